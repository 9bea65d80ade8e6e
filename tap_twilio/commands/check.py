"""
`--check`: prints a table of the selected streams, each with "ok" or its error. run/check.py sends the requests.

`--shapes` also writes the forms of the answers to a file, which run/shapes.py makes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from tap_twilio.files import prepare_output_file, write_atomically, writing
from tap_twilio.run.check import Check, CheckResult
from tap_twilio.run.shapes import as_text, contradictions, shapes_of
from tap_twilio.singer.catalog import Selected
from tap_twilio.singer.output import Output

from .sync import create_sync


def run(arguments: argparse.Namespace, hide: Callable[[str, str], None]) -> int:
    """Print the table, and return 1 if a stream failed, else 0. Raises TapError, TargetGone, OutputFailed."""
    file = Path(arguments.shapes) if arguments.shapes else None
    if file:
        with writing("--shapes", file):
            prepare_output_file(file)
    sync = create_sync(arguments, hide)
    check = Check(sync)
    results = check.run()
    lines = _lines(results) + _masked(sync.selected.values())
    if file:
        lines += _write_shapes(check, results, file)
    Output().document("".join(lines))
    return 1 if any(result.failed for result in results) else 0


def _write_shapes(check: Check, results: list[CheckResult], file: Path) -> list[str]:
    """Write the forms of the answers, and return lines that say what of them the tap does not expect."""
    pages = [check.checked_pages[result.stream] for result in results if result.stream in check.checked_pages]
    shapes = shapes_of(pages, check.sync.clock.now)
    with writing("--shapes", file):
        write_atomically(file, as_text(shapes).encode())
    return [f"unexpected: {line}\n" for line in contradictions(shapes)]


def _lines(results: list[CheckResult]) -> list[str]:
    width = max((len(result.stream) for result in results), default=0)
    lines = [f"{'stream':{width}}  {'':6}  {'rows':>4}  {'time':>7}\n"]
    for result in results:
        verdict = "failed" if result.failed else "ok"
        line = f"{result.stream:{width}}  {verdict:6}  {result.rows:4}  {result.seconds:6.2f}s  {result.message}"
        lines.append(line.rstrip() + "\n")
    return lines


def _masked(selected: Iterable[Selected]) -> list[str]:
    """Return a line for each stream with masked columns."""
    masked = {choice.stream.name: choice.masked_columns for choice in selected}
    return [
        f"masked in {name}: {', '.join(f'{column} ({how})' for column, how in columns.items())}\n"
        for name, columns in masked.items()
        if columns
    ]
