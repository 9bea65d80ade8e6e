"""
The screen while `run-sync` works, and the reports about its logs.

The tap shows its warnings, and on a terminal its live display: run-sync passes it the descriptor that SCREEN names.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.process_group import Start

SCREEN = "TAP_TWILIO_SCREEN"
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z ")
SHOWN = re.compile(r"(WARNING|ERROR|CRITICAL)\b")  # by the tap
RAISED = re.compile(r"(\w+\.)+\w+: |\w*(Error|Exception)\b")
HEADING = "--- "  # run-sync's, in the logs
WIDTH, LINES = 80, 4  # of the screen, for a line of the tap's; all of it is in the log file
QUIET_S = 15.0  # so long without a word on the screen, and the tap's last line is shown


def run(start: Start, command: Sequence[str | Path], log: Path, env: dict[str, str], **options: Any) -> bool:
    """Run a run-sync that writes the tap's `log`, and show what the tap shows. Return whether it was interrupted."""
    reader, writer = os.pipe()
    screen = os.dup(sys.stderr.fileno()) if sys.stderr.isatty() else writer
    process = start(command, env={**env, SCREEN: str(screen)}, pass_fds=(screen,), **options)
    for descriptor in {screen, writer}:
        os.close(descriptor)
    with _interrupts(process) as interrupts:
        _copy(reader, log)
        process.wait()
    os.close(reader)
    return bool(interrupts)


def _copy(reader: int, log: Path) -> None:
    """Show all that comes, until nobody writes any more; where nothing does for long, the log's last line."""
    before = ""
    while True:
        if not select.select([reader], [], [], QUIET_S)[0]:
            if (last := plain(_text(log))) != before and not SHOWN.match(last):
                _show(last)
            before = last
        elif text := os.read(reader, 1 << 16):
            sys.stdout.buffer.write(text)
            sys.stdout.flush()
        else:
            return


@contextmanager
def _interrupts(process: subprocess.Popen[Any]) -> Iterator[list[int]]:
    """
    Give a list of the interrupts that come, each of which is passed on.

    The first one has run-sync end the tap and let the target finish; the second one ends both.
    """
    came: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        came.append(number)
        if len(came) == 1:  # a print might be under way
            os.write(sys.stderr.fileno(), b"Stopping: the target still loads what it has; once more stops at once.\n")
        process.send_signal(signal.SIGTERM)

    ends = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, pass_on) for number in ends]
    try:
        yield came
    finally:
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)


def closing_line(log: Path) -> None:
    """Show the last line of a log, unless the tap showed it."""
    if not SHOWN.match(last := plain(_text(log))):
        _show(last)


def reason(log: Path) -> str:
    """Return why a process failed: the exception, where there was a traceback, since libraries add advice to it."""
    text = _text(log)
    raised = [line for line in map(_untimed, text.splitlines()) if RAISED.match(line)]
    return raised[-1].strip() if raised else plain(text)


def plain(text: str) -> str:
    """
    Return the last line of a log, without the time at its begin.

    >>> plain("2026-04-01T09:00:02Z WARNING so it is\\n\\n"), plain("--- 2026-04-01T09:00:02Z tap-twilio run-sync\\n")
    ('WARNING so it is', '')
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(HEADING)]
    return _untimed(lines[-1]).strip() if lines else ""


def _untimed(line: str) -> str:
    return TIME.sub("", line, count=1)


def _text(log: Path) -> str:
    return log.read_text("utf-8", "replace") if log.exists() else ""


def _show(line: str) -> None:
    text = textwrap.wrap(line, WIDTH - 4, max_lines=LINES, placeholder=" …")
    if text:
        print("\n    ".join(["  " + text[0], *text[1:]]), flush=True)
