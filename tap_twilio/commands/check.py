"""`--check`: prints a table of the selected streams, each with "ok" or its error. run/check.py sends the requests."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

from tap_twilio.run.check import Check, CheckResult
from tap_twilio.singer.catalog import Selected
from tap_twilio.singer.output import Output

from .sync import create_sync


def run(arguments: argparse.Namespace, hide: Callable[[str, str], None]) -> int:
    """Print the table, and return 1 if a stream failed, else 0. Raises TapError, TargetGone, OutputFailed."""
    sync = create_sync(arguments, hide)
    results = Check(sync).run()
    Output().document("".join(_lines(results) + _masked(sync.selected.values())))
    return 1 if any(result.failed for result in results) else 0


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
