"""
Save the last STATE of a sync in a folder; commands/run_sync.py uses it, or object_store.py for an address.

`state.json` is replaced atomically. All processes of a sync hold `sync.lock`. The lock is free once the last of them
has ended, and nobody has to remove the file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tap_twilio.errors import AlreadyRunning, TapError
from tap_twilio.files import open_private, parse_state, write_atomically

try:
    import fcntl
except ImportError:  # on Windows, where run-sync does not run
    fcntl = None  # type: ignore[assignment]

LOGGER = logging.getLogger("tap_twilio")
STATE, LOCK, TORN = "state.json", "sync.lock", "state.torn"


class Folder:
    """A folder that holds the STATE and the lock. It is created if it is missing. Raises TapError if that fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)  # a state holds account SIDs
        except OSError as error:
            raise TapError(f"--state {path}: no folder can be made there ({error.strerror}).") from None

    @contextmanager
    def hold_lock(self) -> Iterator[int]:
        """
        Hold the lock, and yield a descriptor that the processes of the sync inherit.

        Raises AlreadyRunning while another sync, or a process of a killed one, still runs.
        """
        with lock_file(self.path / LOCK, f"--state {self.path}") as descriptor:
            yield descriptor

    def load(self) -> Path | None:
        """Return the file with the last STATE; None if there is no STATE. Raises TapError."""
        file = self.path / STATE
        try:
            text = file.read_bytes()
            if holds_state(text, str(file)):
                return file
            if text.strip():
                file.replace(self.path / TORN)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise TapError(f"{file}: cannot be read ({error.strerror}). Check its permissions.") from None
        return None

    def save(self, state: bytes) -> None:
        """Replace the last STATE, and wait until the disk has the new one. Raises TapError."""
        try:
            write_atomically(self.path / STATE, state + b"\n", open_private)
        except OSError as error:
            raise TapError(
                f"{self.path / STATE}: cannot be written ({error.strerror}). The next sync repeats what this one"
                " did since the last STATE that was saved."
            ) from None

    def renew_lock(self) -> None:
        """Do nothing: a file lock lasts as long as its processes."""

    def __str__(self) -> str:
        return str(self.path / STATE)


@contextmanager
def lock_file(path: Path, what: str) -> Iterator[int]:
    """Lock a file for this process and all processes that inherit the descriptor. Raises AlreadyRunning, TapError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TapError(f"{path}: cannot be opened ({error.strerror}). Check the folder and its permissions.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"{what}: the last sync still runs, so this one is skipped.") from None
        yield descriptor
    finally:
        os.close(descriptor)


def holds_state(text: bytes, what: str) -> bool:
    """Return whether a text is a STATE. If it is something else, warn that the sync reads everything again."""
    if parse_state(text) is not None:
        return True
    if text.strip():
        LOGGER.warning("%s: holds no state, perhaps after a disk failure: it is set aside, and all is read again", what)
    else:
        LOGGER.warning("%s: is empty, so everything is read again", what)
    return False
