"""`--check`: a table of the selected streams, ok or why not."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tap_twilio.run.check import Check, CheckResult
from tap_twilio.singer.output import Output

from .sync import prepared


def run(arguments: argparse.Namespace, hide: Callable[[str, str], None]) -> int:
    """1 where a stream cannot be read. Raises TapError, TargetGone, OutputFailed."""
    found = Check(prepared(arguments, hide)).run()
    Output().document("".join(_lines(found)))
    return 1 if any(outcome.failed for outcome in found) else 0


def _lines(found: list[CheckResult]) -> list[str]:
    width = max((len(outcome.stream) for outcome in found), default=0)
    lines = [f"{'stream':{width}}  {'':6}  {'rows':>4}  {'time':>7}\n"]
    for one in found:
        state = "failed" if one.failed else "ok"
        lines.append(f"{one.stream:{width}}  {state:6}  {one.rows:4}  {one.seconds:6.2f}s  {one.said}".rstrip() + "\n")
    return lines
