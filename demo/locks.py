"""
Locks that end with the process that holds them, however it ends: none is ever left behind.

Who uses a thing together with others holds a share of its lock; who can take the lock alone is the only one left.
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
    """Let one process at a time into this block; for short steps, since the next process waits silently."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def share(file: IO[str]) -> None:
    """Hold the lock together with others."""
    fcntl.flock(file, fcntl.LOCK_SH)


def alone(file: IO[str]) -> bool:
    """Take the lock for this process alone. False: others hold it, and this process holds no share any more."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def outlast(file: IO[str]) -> None:
    """Take the lock for this process alone once what a killed run left has ended, as it soon does."""
    if not alone(file):
        print("Waiting until all that a killed run left has ended.", file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)
