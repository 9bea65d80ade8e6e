"""
File locks, which end with the process that holds them.

All users of a resource hold a shared lock on it. A process that gets the exclusive lock is the only user left.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time run this block. Use it for short steps, since the next process waits without a word."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lock_shared(file: IO[str]) -> None:
    """Hold the lock together with other processes."""
    fcntl.flock(file, fcntl.LOCK_SH)


def try_lock(file: IO[str]) -> bool:
    """Take the exclusive lock. If another process holds a lock, give up a shared one, and return False."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(file: IO[str]) -> None:
    """Take the exclusive lock once the processes of a killed run have ended, as they soon do."""
    if not try_lock(file):
        print("Waiting until the processes of a killed run have ended.", file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)
