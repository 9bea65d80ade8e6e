"""
End all processes that a run started when the run ends, even if it is killed.

A guard reads from a pipe whose other end the run alone holds, and so it notices the death of the run, whatever the
cause. It then sends SIGTERM to its process group: all that was started in it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.locks import outlast

Start = Callable[..., "subprocess.Popen[Any]"]
GUARD = ("/bin/sh", "-c", "cat; kill 0")


@contextmanager
def process_group(path: Path) -> Iterator[Start]:
    """
    Give a Popen whose processes end with this one. Waits first until those of a killed run have ended.

    All of them inherit the lock at `path`, so it is free once the last one has ended. In a process group of their
    own, they are not told of an interrupt at the keyboard: this process is, and ends them in order.
    """
    with path.open("a") as lock:
        outlast(lock)
        guard = _start(GUARD, lock.fileno(), 0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            yield lambda command, **options: _start(command, lock.fileno(), guard.pid, **options)
        finally:
            guard.communicate()


def _start(
    command: Sequence[str | Path], lock: int, group: int, pass_fds: Sequence[int] = (), **options: Any
) -> subprocess.Popen[Any]:
    # Before the program starts: a run that is killed now still leaves the program in the group.
    return subprocess.Popen(command, pass_fds=(lock, *pass_fds), preexec_fn=lambda: os.setpgid(0, group), **options)
