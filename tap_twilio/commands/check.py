"""`--check`: prints a table of the selected streams, each with "ok" or its error. run/check.py sends the requests."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tap_twilio.run.check import Check, CheckResult
from tap_twilio.singer.output import Output

from .sync import create_sync


def run(arguments: argparse.Namespace, hide: Callable[[str, str], None]) -> int:
    """Print the table, and return 1 if a stream failed, else 0. Raises TapError, TargetGone, OutputFailed."""
    results = Check(create_sync(arguments, hide)).run()
    Output().document("".join(_lines(results)))
    return 1 if any(result.failed for result in results) else 0


def _lines(results: list[CheckResult]) -> list[str]:
    width = max((len(result.stream) for result in results), default=0)
    lines = [f"{'stream':{width}}  {'':6}  {'rows':>4}  {'time':>7}\n"]
    for result in results:
        verdict = "failed" if result.failed else "ok"
        line = f"{result.stream:{width}}  {verdict:6}  {result.rows:4}  {result.seconds:6.2f}s  {result.message}"
        lines.append(line.rstrip() + "\n")
    return lines
