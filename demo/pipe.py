"""
`tap | target`, and the state that results.

Both run as processes of their own, each with a log file. The last STATE line that the target printed is kept if
the target ended well, however the tap ended: it covers only what is in the database by then.

Where this runs on a terminal, the tap gets a terminal too, so that it draws its live display. That goes on to the
screen, and not into the log.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from demo.leash import Start

TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z ")
SHOWN = re.compile(r"\W*(WARNING|ERROR|CRITICAL)\b")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LEVEL = re.compile(rf"({'|'.join(LEVELS)})\b")
MOVES = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")  # of a cursor, and colours
RAISED = re.compile(r"(\w+\.)+\w+: |\w*(Error|Exception)\b")
WIDTH, LINES = 80, 4  # of the screen, for a line of the tap's; all of it is in the log file
QUIET_S = 15.0  # so long without a word on the screen, and the tap's last line is shown


@dataclass
class Outcome:
    """How the two ended, and what each said last on stderr."""

    tap_exit: int
    tap_said: str
    target_exit: int
    target_said: str
    interrupted: bool


@dataclass
class _Log:
    """Copies a process's stderr into a file, and its warnings to the screen."""

    stream: IO[str]
    path: Path
    shown: bool
    draws: bool = False  # whether what is no line of a log is drawn on a terminal
    last: str = ""
    raised: str = ""
    fresh: bool = False  # whether `last` is not on the screen yet
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._copy, daemon=True)
        self.thread.start()

    def _copy(self) -> None:
        with self.path.open("w", encoding="utf-8") as file:
            for line in self._lines():
                file.write(line)
                file.flush()
                line = TIME.sub("", line, count=1)
                if RAISED.match(line):
                    self.raised = line.strip()
                if line.strip():
                    self.last, self.fresh = line.strip(), True
                    if self.shown and SHOWN.match(line):
                        self.show()

    def _lines(self) -> Iterator[str]:
        """The lines of the log. What else is drawn on a terminal goes to the screen as it is."""
        if not self.draws:
            yield from self.stream
            return
        rest = ""
        with suppress(OSError):  # how a terminal ends whose other side is closed
            while text := os.read(self.stream.fileno(), 1 << 16).decode(errors="replace"):
                *whole, rest = re.split(r"(?<=\n)", rest + text)
                for line in whole:
                    drawn, said = _parted(line)
                    self._draw(drawn)
                    if said:
                        yield said
                if _is_drawn(rest):
                    self._draw(rest)
                    rest = ""
        self._draw(rest)

    @staticmethod
    def _draw(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    @property
    def said(self) -> str:
        """Why it failed: the exception, where there was a traceback, since libraries add lines of advice to it."""
        return self.raised or self.last

    def show(self) -> None:
        if self.fresh:
            self.fresh = False
            text = textwrap.wrap(self.last, WIDTH - 4, max_lines=LINES, placeholder=" …")
            print("\n    ".join(["  " + text[0], *text[1:]]), flush=True)


def pipe(
    tap: Sequence[str | Path],
    target: Sequence[str | Path],
    state: Path,
    logs: Path,
    start: Start,
    tap_environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run `tap --state state | target`, and keep the state that comes out."""
    logs.mkdir(parents=True, exist_ok=True)
    state.parent.mkdir(parents=True, exist_ok=True)
    printed = state.with_suffix(".tmp")
    tap = [*tap, "--state", state] if state.exists() else tap
    with _interrupts() as interrupts, _terminal() as (screen, its_end):
        with printed.open("wb") as stdout:
            first = start(tap, stdout=subprocess.PIPE, stderr=its_end or subprocess.PIPE, env=tap_environment)
            if its_end is not None:
                os.close(its_end)
            second = start(target, stdin=first.stdout, stdout=stdout, stderr=subprocess.PIPE)
        assert first.stdout is not None
        first.stdout.close()  # the target's alone now: when it ends, the tap is told
        if screen is None:
            tap_log = _log(first, logs / "tap.log", shown=True)
        else:
            stream = os.fdopen(screen, closefd=False)
            tap_log = _Log(stream, logs / "tap.log", shown=True, draws=True)
        target_log = _log(second, logs / "target.log", shown=False)
        _wait(first, second, tap_log, interrupts)
        tap_log.thread.join()
        target_log.thread.join()
    if first.returncode == 0:
        tap_log.show()  # its closing line
    if second.returncode == 0:
        keep_state(printed, state)
    printed.unlink(missing_ok=True)
    return Outcome(first.returncode, tap_log.said, second.returncode, target_log.said, bool(interrupts))


def _log(process: subprocess.Popen[bytes], path: Path, *, shown: bool) -> _Log:
    assert process.stderr is not None
    return _Log(open(process.stderr.fileno(), encoding="utf-8", errors="replace", closefd=False), path, shown)


def _parted(line: str) -> tuple[str, str]:
    """
    What of a line is drawn, and what is a line of the log.

    >>> _parted("\\x1b[2K\\x1b[1A\\x1b[2KINFO read it\\r\\n")
    ('\\x1b[2K\\x1b[1A\\x1b[2K', 'INFO read it\\n')
    >>> _parted("messages   12 pages\\r\\n")
    ('messages   12 pages\\r\\n', '')
    """
    for at in {0, *(found.end() for found in MOVES.finditer(line))}:
        if LEVEL.match(line, at):
            return line[:at], MOVES.sub("", line[at:]).strip() + "\n"
    return line, ""


def _is_drawn(rest: str) -> bool:
    """
    Whether a line without an end is drawn, as the last one of a display is, and no log line that begins.

    >>> _is_drawn("messages 12"), _is_drawn("\\x1b[2K"), _is_drawn("\\x1b[2KWARN"), _is_drawn("messages\\x1b[2")
    (True, False, False, False)
    """
    text = MOVES.sub("", rest)
    begins = any(level.startswith(text) or text.startswith(level) for level in LEVELS)
    return not begins and not re.search(r"\x1b(\[[\d;?]*)?$", rest)


@contextmanager
def _terminal() -> Iterator[tuple[int | None, int | None]]:
    """Both ends of a terminal as wide as this one: ours, and the tap's to close; None where this is no terminal."""
    if not sys.stderr.isatty():
        yield None, None
        return
    ours, its_end = pty.openpty()
    try:
        size = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, size)
        yield ours, its_end
    finally:
        os.close(ours)


def _wait(tap: subprocess.Popen[bytes], target: subprocess.Popen[bytes], log: _Log, interrupts: list[int]) -> None:
    """Until both have ended. The first interrupt ends the tap and lets the target finish; the second ends both."""
    heeded, spoke = 0, time.monotonic()
    while tap.poll() is None or target.poll() is None:
        time.sleep(0.05)
        if not log.fresh:
            spoke = time.monotonic()
        elif time.monotonic() - spoke > QUIET_S and not log.draws:
            log.show()
        if heeded < len(interrupts):
            heeded += 1
            if heeded == 1:
                print("Stopping: the target still loads what it has; once more stops at once.", file=sys.stderr)
            for process in (tap,) if heeded == 1 else (tap, target):
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM if heeded == 1 else signal.SIGKILL)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list of those that come, where each would else raise in the middle of whatever runs."""
    came: list[int] = []
    ends = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda number, _: came.append(number)) for number in ends]
    try:
        yield came
    finally:
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)


def keep_state(printed: Path, state: Path) -> None:
    """Put the last line of `printed` in the place of `state`, whole or not at all."""
    lines = [line for line in printed.read_bytes().splitlines() if line.strip()]
    if not lines:
        return  # a run without STATE: what was known still holds
    json.loads(lines[-1])
    new = state.with_suffix(".new")
    with new.open("wb") as file:
        file.write(lines[-1] + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(state)
