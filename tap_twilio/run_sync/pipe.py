"""
Run `tap | target` as two processes, with this process between them, and save the STATEs that the target prints.

This process copies only whole lines from the tap to the target, so that a tap that is killed in the middle of a line
does not make the target fail. ledger.py counts the lines, and decides which STATE to save. commands/run_sync.py calls
`Pipe.run`.

Tap and target are ended when this process ends, even if it is killed. A guard process reads a pipe from this process;
when that pipe closes, the guard sends SIGTERM to the process group of tap and target.
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
from tap_twilio.files import MAX_JSON_BYTES

from .ledger import Ledger

LOGGER = logging.getLogger("tap_twilio")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
GUARD = ("/bin/sh", "-c", "cat; kill 0")
CHUNK_BYTES = 65_536
RENEW_S = 30.0
TOO_LONG = b"a line without an end"
GRACE_S = 30.0  # for the tap, after its target ended


@dataclass
class Outcome:
    """The result of a sync. Exit codes are a shell's: 128 + N after signal N."""

    tap_exit: int = 0
    target_exit: int = 0
    rows: int = 0  # rows sent to the target, which may have stored fewer
    states: int = 0  # STATEs saved
    saved_at: float = 0.0  # by time.monotonic()
    missing: int = 0  # rows that the target did not confirm
    target_left_early: bool = False  # the target ended before all lines were sent to it
    signals: list[int] = field(default_factory=list)  # signals that this process received


class Lines:
    """Joins chunks into whole lines. A line longer than `longest` bytes becomes `TOO_LONG`."""

    def __init__(self, longest: int | None = None) -> None:
        self._longest, self._parts, self._length = longest, list[bytes](), 0

    def take(self, chunk: bytes) -> bytes:
        """Return the lines that a chunk completes, and keep the rest."""
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
        """Return the last, incomplete line."""
        rest = b"".join(self._parts)
        self._parts, self._length = [], 0
        return rest


class Pipe:
    """
    One run of tap and target. It calls `save` with each confirmed STATE, and `renew_lock` twice a minute.

    It also calls `look` with whole lines of the tap.

    A STATE of the tap is confirmed if the target stored every row before it, as ledger.py finds out. If one chunk of
    the target's output has several STATEs, the last one is saved. If `save` fails, a later call may succeed; if no
    later call succeeds, `run` raises the error after both processes have ended.
    """

    def __init__(
        self, save: Callable[[bytes], None], renew_lock: Callable[[], None], look: Callable[[bytes], None]
    ) -> None:
        self.outcome, self._look = Outcome(), look
        self._save_state, self._renew_lock = save, renew_lock
        self._failed: TapError | None = None
        self._ledger, self._saved = Ledger(), b""
        self._warned = self._all_sent = False
        self._tap: subprocess.Popen[bytes] | None = None
        self._target: subprocess.Popen[bytes] | None = None

    def run(
        self,
        tap: Sequence[str],
        target: Sequence[str],
        lock_fd: int,
        logs: tuple[IO[bytes] | None, IO[bytes] | None],
        inherited_fds: Mapping[str, int],
    ) -> Outcome:
        """
        Run tap and target until both end. `logs` take their stderr.

        Both inherit `lock_fd`, so that the lock is held until the last of them ends. The tap also inherits
        `inherited_fds`, by the environment variables that name them.

        The first SIGTERM or SIGINT ends the tap, which writes a last STATE, and lets the target finish. The second one
        kills both. Raises TapError.
        """
        with self._handle_signals(), _process_group(lock_fd) as group:
            self._target = _start(target, lock_fd, group, "--target", {}, stdin=subprocess.PIPE, stderr=logs[1])
            self._tap = _start(tap, lock_fd, group, "--tap", inherited_fds, stdin=subprocess.DEVNULL, stderr=logs[0])
            copier = threading.Thread(target=self._copy, args=(self._tap, self._target), daemon=True)
            copier.start()
            if self.outcome.signals:
                self._stop()
            self._read_target(self._target)
            self.outcome.target_exit = _shell_exit_code(self._target.wait())
            self._finish(self._tap, copier)
        if self._failed:
            raise self._failed
        return self.outcome

    @contextmanager
    def _handle_signals(self) -> Iterator[None]:
        def handle(number: int, _frame: object) -> None:
            self.outcome.signals.append(number)
            self._stop()

        before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self) -> None:
        """End the tap after the first signal; kill both after the second."""
        first = len(self.outcome.signals) == 1
        for process in (self._tap,) if first else (self._tap, self._target):
            if process:
                process.send_signal(signal.SIGTERM if first else signal.SIGKILL)

    def _copy(self, tap: subprocess.Popen[bytes], target: subprocess.Popen[bytes]) -> None:
        """Copy whole lines from the tap to the target, until one of them ends."""
        assert tap.stdout and target.stdin
        source, destination, whole = tap.stdout.fileno(), target.stdin.fileno(), Lines()
        try:
            while chunk := os.read(source, CHUNK_BYTES):
                lines = whole.take(chunk)
                self._ledger.count(lines)
                self._look(lines)
                while lines:
                    lines = lines[os.write(destination, lines) :]
            self._all_sent = True
        except BrokenPipeError:
            pass
        finally:  # so that both processes notice
            tap.stdout.close()
            with suppress(BrokenPipeError):
                target.stdin.close()

    def _read_target(self, target: subprocess.Popen[bytes]) -> None:
        """Read what the target prints, and save its STATEs, until it ends."""
        assert target.stdout
        descriptor, whole = target.stdout.fileno(), Lines(MAX_JSON_BYTES)
        while True:
            self._renew_lock()
            if not select.select([descriptor], [], [], RENEW_S)[0]:
                self._save_confirmed()
                continue
            chunk = os.read(descriptor, CHUNK_BYTES)
            self._handle_lines((whole.take(chunk) if chunk else whole.rest()).split(b"\n"))
            if not chunk:
                return

    def _handle_lines(self, lines: Sequence[bytes]) -> None:
        """Save the last STATE of these lines. A killed target may leave half a line, which is no STATE."""
        for line in reversed(lines):
            if not line.strip():
                continue
            state = self._ledger.state_to_save(line)
            if state is not None:
                self._save(state)
                return
            if not self._warned:
                self._warned = True
                LOGGER.warning("the target printed a line that is no STATE; it is ignored")

    def _save_confirmed(self) -> None:
        """Save the last STATE of the tap if the target confirmed every row before it."""
        confirmed = self._ledger.confirmed_state
        if confirmed and confirmed != self._saved:
            self._save(confirmed)

    def _save(self, state: bytes) -> None:
        try:
            self._save_state(state)
            self.outcome.states += 1
            self.outcome.saved_at, self._failed, self._saved = time.monotonic(), None, state
        except TapError as error:
            self._failed = error

    def _finish(self, tap: subprocess.Popen[bytes], copier: threading.Thread) -> None:
        """End the tap after the target has ended."""
        self.outcome.target_left_early = not self._all_sent
        if not self._all_sent:
            tap.terminate()
            try:
                tap.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                tap.kill()
        copier.join()
        self.outcome.tap_exit = _shell_exit_code(tap.wait())
        self.outcome.rows = self._ledger.rows
        if not self.outcome.target_exit:
            self.outcome.missing = self._ledger.missing if self._all_sent else 0
            self._save_confirmed()


@contextmanager
def _process_group(lock_fd: int) -> Iterator[int]:
    """
    Create a process group with a guard in it. Ctrl-C reaches this process only, which then stops the tap.

    The guard inherits the lock too, so that no other sync begins before the guard has sent its signal.
    """
    guard = subprocess.Popen(  # noqa: S603  # a constant
        GUARD,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(lock_fd,),
        preexec_fn=os.setpgrp,
    )
    try:
        yield guard.pid
    finally:
        guard.communicate()


def _start(
    command: Sequence[str], lock_fd: int, group: int, what: str, inherited_fds: Mapping[str, int], **streams: Any
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603  # the user's own command, without a shell
            command,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=(lock_fd, *inherited_fds.values()),
            env=os.environ | {name: str(descriptor) for name, descriptor in inherited_fds.items()},
            preexec_fn=lambda: os.setpgid(0, group),  # in the child, in case this process is killed now
            **streams,
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TapError(f"{what} {command[0]}: cannot be started ({reason}). Check its path.") from None


def _shell_exit_code(exit_code: int) -> int:
    return exit_code if exit_code >= 0 else 128 - exit_code
