"""
Show what happens while `run-sync` works, and find in its logs why it failed.

The tap itself writes its warnings to the screen, and on a terminal its live display. Its stderr is a log file, so the
variable SCREEN names another descriptor to it; run-sync passes both on.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.process_group import Start

SCREEN = "TAP_TWILIO_SCREEN"
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z ")
SHOWN = re.compile(r"(WARNING|ERROR|CRITICAL)\b")  # lines that the tap shows itself
RAISED = re.compile(r"(\w+\.)+\w+: |\w*(Error|Exception)\b")
TOTALS = "INFO read "  # the beginning of the tap's last line
HEADING = "--- "  # the beginning of run-sync's own lines in the logs
WIDTH, LINES = 80, 4  # the longest message on the screen; the log file has all of it
QUIET_S = 15.0  # if the screen shows nothing new for so long, the last line of the tap's log is shown


def run(start: Start, command: Sequence[str | Path], log: Path, env: dict[str, str], **options: Any) -> bool:
    """Run `run-sync`, and show what the tap writes to the screen. Return whether the user interrupted it."""
    reader, writer = os.pipe()
    screen = os.dup(sys.stderr.fileno()) if sys.stderr.isatty() else writer
    process = start(command, env={**env, SCREEN: str(screen)}, pass_fds=(screen,), **options)
    for descriptor in {screen, writer}:
        os.close(descriptor)
    with _forward_interrupts(process) as interrupts:
        _copy(reader, log)
        _wait(process, log)
    os.close(reader)
    return bool(interrupts)


def _copy(reader: int, log: Path) -> None:
    """Show all that is written to the pipe until it closes; after a long silence, the last line of the log."""
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


def _wait(process: subprocess.Popen[Any], log: Path) -> None:
    """Wait for run-sync. The live display ends with the tap, so say then that the target still works."""
    while process.poll() is None:
        if plain(_text(log)).startswith(TOTALS):
            _show("The tap has ended; waiting for the target.")
            process.wait()
        time.sleep(0.2)


@contextmanager
def _forward_interrupts(process: subprocess.Popen[Any]) -> Iterator[list[int]]:
    """
    Forward each interrupt to run-sync, and yield the list of them.

    After the first interrupt, run-sync ends the tap and lets the target finish. After the second, it ends both.
    """
    interrupts: list[int] = []

    def forward(number: int, _frame: object) -> None:
        interrupts.append(number)
        if len(interrupts) == 1:  # os.write, since a print may be in progress
            os.write(sys.stderr.fileno(), b"Stopping: the target loads what it has; press Ctrl-C again to stop now.\n")
        process.send_signal(signal.SIGTERM)

    stop_signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, forward) for number in stop_signals]
    try:
        yield interrupts
    finally:
        for number, handler in zip(stop_signals, before, strict=True):
            signal.signal(number, handler)


def closing_line(log: Path) -> None:
    """Show the last line of a log, unless the tap has shown it."""
    if not SHOWN.match(last := plain(_text(log))):
        _show(last)


def reason(log: Path) -> str:
    """Return why a process failed: its last exception, since libraries log advice after it, or else its last line."""
    text = _text(log)
    exceptions = [line for line in map(_untimed, text.splitlines()) if RAISED.match(line)]
    return exceptions[-1].strip() if exceptions else plain(text)


def plain(text: str) -> str:
    """
    Return the last line of a log, without the time at its beginning.

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
