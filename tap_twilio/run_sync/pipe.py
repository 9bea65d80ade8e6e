"""
`tap | target`, with this process in between and at the end.

It copies whole lines from one to the other, so that a tap which is killed leaves no half of a line that the target
would fail on, and counts records. It hands on what the target prints: the STATE of what the target has stored.

Both end with this process, even where it is killed. Their pipes close then, and a guard, which reads from a pipe that
this process alone holds the other end of, sends SIGTERM to the process group that they are in.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

from tap_twilio.errors import TapError
from tap_twilio.files import MOST_BYTES

from .ledger import Ledger

LOGGER = logging.getLogger("tap_twilio")
ENDS = (signal.SIGTERM, signal.SIGINT)
GUARD = ("/bin/sh", "-c", "cat; kill 0")
CHUNK = 65_536
BEAT_S = 30.0
TOO_LONG = b"a line without an end"
PATIENCE_S = 30.0  # for a tap whose target is gone


@dataclass
class Outcome:
    """How a sync went. Exit codes are a shell's: 128 + N of what signal N ended."""

    tap_exit: int = 0
    target_exit: int = 0
    rows: int = 0  # sent to the target; it may have stored fewer
    states: int = 0  # kept
    kept_at: float = 0.0  # of the monotonic clock
    missing: int = 0  # rows whose STATE the target ended without confirming
    target_left: bool = False  # the target ended before it had read all
    signals: list[int] = field(default_factory=list)  # that came for this process


class Lines:
    """Makes whole lines of what comes in pieces. A line longer than `longest` bytes comes as `TOO_LONG`."""

    def __init__(self, longest: int | None = None) -> None:
        self._longest, self._parts, self._length = longest, list[bytes](), 0

    def take(self, chunk: bytes) -> bytes:
        """Return the lines that a piece ends, and keep what stands behind them."""
        end = chunk.rfind(b"\n") + 1
        lines = b""
        if end:
            lines = self.rest() + chunk[:end]
        self._parts.append(chunk[end:])
        self._length += len(chunk) - end
        if self._longest and self._length > self._longest:
            self._parts = [TOO_LONG]
        return lines

    def rest(self) -> bytes:
        """Return what ends with no line break."""
        rest = b"".join(self._parts)
        self._parts, self._length = [], 0
        return rest


class Pipe:
    """
    One run of both. `keep` is called with each STATE, `beat` twice a minute.

    Of the states that come together the last one is kept. Where that fails, the next one may succeed; if none does,
    `run` raises what `keep` raised, once both have ended.
    """

    def __init__(self, keep: Callable[[bytes], None], beat: Callable[[], None]) -> None:
        self.outcome = Outcome()
        self._keep, self._beat = keep, beat
        self._failed: TapError | None = None
        self._ledger, self._kept = Ledger(), b""
        self._warned = self._all_sent = False
        self._tap: subprocess.Popen[bytes] | None = None
        self._target: subprocess.Popen[bytes] | None = None

    def run(
        self,
        tap: Sequence[str],
        target: Sequence[str],
        lock: int,
        logs: tuple[IO[bytes] | None, IO[bytes] | None],
        passed: Mapping[str, int],
    ) -> Outcome:
        """
        Until both have ended; `lock` is a descriptor that they inherit, `logs` take their stderr.

        `passed` are descriptors that the tap inherits, by the variables of its environment that name them.

        The first SIGTERM or SIGINT ends the tap, which writes a last STATE, and lets the target finish; the second ends
        both. Raises TapError.
        """
        with self._signals(), _group(lock) as group:
            self._target = _start(target, lock, group, "--target", {}, stdin=subprocess.PIPE, stderr=logs[1])
            self._tap = _start(tap, lock, group, "--tap", passed, stdin=subprocess.DEVNULL, stderr=logs[0])
            copies = threading.Thread(target=self._copy, args=(self._tap, self._target), daemon=True)
            copies.start()
            if self.outcome.signals:
                self._stop()
            self._read(self._target)
            self.outcome.target_exit = _code(self._target.wait())
            self._end(self._tap, copies)
        if self._failed:
            raise self._failed
        return self.outcome

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def heed(number: int, _frame: object) -> None:
            self.outcome.signals.append(number)
            self._stop()

        before = {number: signal.signal(number, heed) for number in ENDS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self) -> None:
        """As often as signals came: end the tap, or both."""
        first = len(self.outcome.signals) == 1
        for process in (self._tap,) if first else (self._tap, self._target):
            if process:
                process.send_signal(signal.SIGTERM if first else signal.SIGKILL)

    def _copy(self, tap: subprocess.Popen[bytes], target: subprocess.Popen[bytes]) -> None:
        """Whole lines from the tap to the target, until one of them ends."""
        assert tap.stdout and target.stdin
        source, sink, whole = tap.stdout.fileno(), target.stdin.fileno(), Lines()
        try:
            while chunk := os.read(source, CHUNK):
                lines = whole.take(chunk)
                self._ledger.wrote(lines)
                while lines:
                    lines = lines[os.write(sink, lines) :]
            self._all_sent = True
        except BrokenPipeError:
            pass
        finally:  # whatever happened, so that both are told
            tap.stdout.close()
            with suppress(BrokenPipeError):
                target.stdin.close()

    def _read(self, target: subprocess.Popen[bytes]) -> None:
        """Keep what the target prints, until it prints no more."""
        assert target.stdout
        descriptor, whole = target.stdout.fileno(), Lines(MOST_BYTES)
        while True:
            self._beat()
            if not select.select([descriptor], [], [], BEAT_S)[0]:
                self._keep_settled()
                continue
            chunk = os.read(descriptor, CHUNK)
            self._take((whole.take(chunk) if chunk else whole.rest()).split(b"\n"))
            if not chunk:
                return

    def _take(self, lines: Sequence[bytes]) -> None:
        """Keep the last of these lines that is a STATE. Half of one is none: a target that is killed may leave it."""
        for line in reversed(lines):
            if not line.strip():
                continue
            state = self._ledger.confirm(line)
            if state is not None:
                self._keep_one(state)
                return
            if not self._warned:
                self._warned = True
                LOGGER.warning("the target printed something that is no STATE; it is not kept")

    def _keep_settled(self) -> None:
        """Keep the tap's last STATE where no row came since the last one that is kept."""
        settled = self._ledger.settled
        if settled and settled != self._kept:
            self._keep_one(settled)

    def _keep_one(self, state: bytes) -> None:
        try:
            self._keep(state)
            self.outcome.states += 1
            self.outcome.kept_at, self._failed, self._kept = time.monotonic(), None, state
        except TapError as error:
            self._failed = error

    def _end(self, tap: subprocess.Popen[bytes], copies: threading.Thread) -> None:
        """The target has ended; see to it that the tap does."""
        self.outcome.target_left = not self._all_sent
        if not self._all_sent:
            tap.terminate()
            try:
                tap.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                tap.kill()
        copies.join()
        self.outcome.tap_exit = _code(tap.wait())
        self.outcome.rows = self._ledger.rows
        if not self.outcome.target_exit:
            self.outcome.missing = self._ledger.missing if self._all_sent else 0
            self._keep_settled()


@contextmanager
def _group(lock: int) -> Iterator[int]:
    """A process group with a guard in it. An interrupt at the keyboard comes to this process only, to be passed on."""
    guard = subprocess.Popen(  # noqa: S603  # two words of ours
        GUARD,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(lock,),
        preexec_fn=os.setpgrp,
    )
    try:
        yield guard.pid
    finally:
        guard.communicate()


def _start(
    command: Sequence[str], lock: int, group: int, what: str, passed: Mapping[str, int], **streams: Any
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603  # the user's own command, without a shell
            command,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=(lock, *passed.values()),
            env=os.environ | {name: str(descriptor) for name, descriptor in passed.items()},
            preexec_fn=lambda: os.setpgid(0, group),  # before the program starts, should this process be killed now
            **streams,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise TapError(f"{what} {command[0]}: cannot be started ({said}). Check its path.") from None


def _code(exit_code: int) -> int:
    return exit_code if exit_code >= 0 else 128 - exit_code
