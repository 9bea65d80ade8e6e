"""
A folder that keeps the last STATE of a sync.

`state.json` is replaced whole or not at all, whenever this process or the machine stops. `sync.lock` is held by all the
processes of a sync, so it is free once the last of them has ended, and nobody has to take it away.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tap_twilio.errors import AlreadyRunning, TapError
from tap_twilio.files import private, replace, state_in

try:
    import fcntl
except ImportError:  # on Windows, where run-sync does not run
    fcntl = None  # type: ignore[assignment]

LOGGER = logging.getLogger("tap_twilio")
STATE, LOCK, TORN = "state.json", "sync.lock", "state.torn"


class Folder:
    """Keeps the STATE in a folder, which is made where there is none. Raises TapError where that fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)  # it tells of accounts
        except OSError as error:
            raise TapError(f"--state {path}: no folder can be made there ({error.strerror}).") from None

    @contextmanager
    def alone(self) -> Iterator[int]:
        """
        Hold the lock. What it gives is for the processes of the sync to inherit.

        Raises Locked while another sync, or what a killed one left, still runs.
        """
        with held(self.path / LOCK, f"--state {self.path}") as descriptor:
            yield descriptor

    def last(self) -> Path | None:
        """The file with the last STATE; None where all is to be read. Raises TapError."""
        file = self.path / STATE
        try:
            text = file.read_bytes()
            if whole(text, str(file)):
                return file
            if text.strip():
                file.replace(self.path / TORN)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise TapError(f"{file}: cannot be read ({error.strerror}). Check its permissions.") from None
        return None

    def keep(self, state: bytes) -> None:
        """Put a STATE in the place of the last one; it is on the disk then. Raises TapError."""
        try:
            replace(self.path / STATE, state + b"\n", private)
        except OSError as error:
            raise TapError(
                f"{self.path / STATE}: cannot be written ({error.strerror}). The next sync reads again what this one"
                " did since the last STATE that was kept."
            ) from None

    def beat(self) -> None:
        """Nothing: the lock lasts as long as the sync."""

    def __str__(self) -> str:
        return str(self.path / STATE)


@contextmanager
def held(path: Path, what: str) -> Iterator[int]:
    """A lock on a file, for a process and whoever inherits the descriptor. Raises Locked, TapError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TapError(f"{path}: cannot be opened ({error.strerror}). Check the folder and its permissions.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"{what}: the last sync still runs, so this one is left out.") from None
        yield descriptor
    finally:
        os.close(descriptor)


def whole(text: bytes, what: str) -> bool:
    """Return whether a kept STATE is one. If not, all is read again, which is slow and right; the log says so."""
    if state_in(text) is not None:
        return True
    if text.strip():
        LOGGER.warning("%s: holds no state, as after a disk failed: it is set aside, and all is read again", what)
    return False
