"""
End all processes that a run of `make sync` started when the run ends, even if it is killed.

A guard process reads a pipe whose other end only the run holds. When the run ends, the pipe closes, and the guard sends
SIGTERM to its process group, which has all these processes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.locks import wait_for_lock

Start = Callable[..., "subprocess.Popen[Any]"]
GUARD = ("/bin/sh", "-c", "cat; kill 0")


@contextmanager
def process_group(path: Path) -> Iterator[Start]:
    """
    Yield a Popen whose processes end with this process. First wait until the processes of a killed run have ended.

    All of them inherit the lock at `path`, so the lock is free once the last one has ended. They are in a process group
    of their own, so that Ctrl-C reaches only this process, which ends them in the right order.
    """
    with path.open("a") as lock:
        wait_for_lock(lock)
        guard = _start(GUARD, lock.fileno(), 0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            yield lambda command, **options: _start(command, lock.fileno(), guard.pid, **options)
        finally:
            guard.communicate()


def _start(
    command: Sequence[str | Path], lock: int, group: int, pass_fds: Sequence[int] = (), **options: Any
) -> subprocess.Popen[Any]:
    # The process joins the group before its program starts, in case this run is killed just now.
    return subprocess.Popen(command, pass_fds=(lock, *pass_fds), preexec_fn=lambda: os.setpgid(0, group), **options)
