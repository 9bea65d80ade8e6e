"""
For root, the server runs as a user `pgserver`, and the wheel opens every folder above its own to everybody so that
this user gets there: root's home as well, which is nobody's wish once the server stops.

So the first run notes the permissions of each folder, every run that needs the folder open holds a share of the lock
on its note, and the last one gives the permissions back. A run that was killed holds nothing any more: the next one,
in whatever checkout, gives back what it left. Where this process is not root's, nothing here does anything.
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

from demo.locks import alone, locked, share

NOTES = Path("/var/run/tap-twilio")
OPENED = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH  # what the wheel adds


@contextmanager
def kept(paths: Iterable[Path]) -> Iterator[None]:
    """Give the folders above these paths their permissions back, once no run needs them open any more."""
    with ExitStack() as notes:
        with one_at_a_time():
            if _is_root():
                ways = [way for path in paths for way in (path, path.resolve())]  # a link leads through other folders
                for folder in {parent.resolve() for way in ways for parent in way.parents}:
                    notes.enter_context(_note(folder))
                    _open(folder)
        try:
            yield
        finally:
            notes.close()
            give_back()


def give_back() -> None:
    """Close what was opened and nobody needs open any more."""
    with one_at_a_time():
        pass


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Allow one run of root at a time on this machine. First close the folders that nobody needs open any more."""
    if not _is_root():
        yield
        return
    NOTES.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(NOTES / "lock"):
        for note in NOTES.glob("*.json"):
            _give_back(note)
        yield


def _is_root() -> bool:
    return os.geteuid() == 0


def _note(folder: Path) -> IO[str]:
    """Open the note on a folder, with a share of its lock. An existing note has the mode before the first run."""
    note = (NOTES / f"{hashlib.sha256(bytes(folder)).hexdigest()[:16]}.json").open("a+")
    share(note)
    if not note.tell():
        json.dump({"folder": str(folder), "mode": _mode(folder)}, note)
        note.flush()
    return note


def _open(folder: Path) -> None:
    """Open a folder as the wheel does, which does not follow links."""
    if _mode(folder) & OPENED != OPENED:
        folder.chmod(_mode(folder) | OPENED)


def _give_back(note: Path) -> None:
    """Restore a folder's mode unless a run needs it open, or somebody changed it meanwhile."""
    with note.open() as file:
        if not alone(file):
            return
        text = file.read()
    if text:  # else the run was killed before it had written, and so before it opened anything
        noted = json.loads(text)
        folder = Path(noted["folder"])
        with suppress(OSError):  # it may be gone
            if _mode(folder) == noted["mode"] | OPENED:
                folder.chmod(noted["mode"])
    note.unlink()


def _mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)
