"""The embedded Postgres: side by side with others, as root, and after a kill. Through real processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [ROOT / ".venv-target/bin/python", "-m", "demo.postgres"]
as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only for root does the server run as another user, who needs folders opened"
)


class Server:
    """`python -m demo.postgres`, until it is ended or killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*COMMAND, folder],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def answers(self) -> bool:
        """Whether a new connection gets an answer."""
        with psycopg.connect(self.url) as connection:
            return connection.execute("select 1").fetchone() == (1,)

    def end(self) -> None:
        """Close its input; it stops the server and has nothing to say."""
        out, err = self.process.communicate()
        assert (self.process.returncode, out, err) == (0, "", "")
        assert not (self.folder / "postmaster.pid").exists()

    def kill(self) -> None:
        """SIGKILL the keeper, but not the server that it keeps."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[[Path], Server]]:
    """Starts servers, and in the end stops what a test left."""
    servers: list[Server] = []

    def one(folder: Path) -> Server:
        servers.append(Server(folder))
        return servers[-1]

    yield one
    for server in servers:
        server.process.communicate()
    for folder in {server.folder for server in servers if (server.folder / "postmaster.pid").exists()}:
        subprocess.run([*COMMAND, folder], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that is closed to other users, as root's home is."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


def mode(folder: Path) -> str:
    """Its permissions, as chmod writes them."""
    return f"{folder.stat().st_mode & 0o7777:o}"


@as_root
def test_of_two_servers_in_roots_home_the_first_may_end_first(home: Path, start: Callable[[Path], Server]) -> None:
    """The home is open for as long as one of them needs that, and closed from then on."""
    one, other = start(home / "one/postgres"), start(home / "other/postgres")

    one.end()
    open_for_the_other = mode(home)
    late = start(home / "late/postgres")
    assert late.answers()
    late.end()
    assert other.answers()
    other.end()

    assert (open_for_the_other, mode(home)) == ("755", "700")


@as_root
def test_a_killed_server_does_not_leave_roots_home_open(home: Path, start: Callable[[Path], Server]) -> None:
    """The next one gives back the permissions that the killed one could not, wherever it keeps its data."""
    start(home / "one/postgres").kill()
    assert mode(home) == "755"

    start(home.parent / "other/postgres").end()

    assert mode(home) == "700"


@as_root
def test_permissions_that_the_user_sets_meanwhile_stay(home: Path, start: Callable[[Path], Server]) -> None:
    """What is given back is only what the server had opened."""
    server = start(home / "postgres")
    home.chmod(0o711)

    server.end()

    assert mode(home) == "711"


@as_root
@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0,
    reason="needs a mount namespace, for an /etc of its own",
)
def test_two_first_runs_at_once_both_start(tmp_path: Path) -> None:
    """The machine has no user `pgserver` yet; one of them makes it, and the other waits for that."""
    script = """
        mount --bind "$1" /etc && shift
        "$@"/one/postgres </dev/null & one=$!
        "$@"/other/postgres </dev/null; other=$?
        wait $one && exit $other
    """
    with TemporaryDirectory(dir=tmp_path) as etc:
        shutil.copytree("/etc", etc, symlinks=True, dirs_exist_ok=True)
        for file in (Path(etc) / name for name in ("passwd", "shadow", "group", "gshadow")):
            file.write_text(re.sub("(?m)^pgserver:.*\n", "", file.read_text()))
        command = ["unshare", "--mount", "sh", "-c", script, "sh", etc, *COMMAND, tmp_path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("postgresql://") == 2


def test_another_process_is_not_taken_for_the_server_after_a_crash(
    tmp_path: Path, start: Callable[[Path], Server]
) -> None:
    """A crash leaves the number of a process, which may be another's by now: that one is let alone."""
    folder = tmp_path / "postgres"
    start(folder).end()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        lines = [other.pid, folder, 0, 5432, folder, "", "0 0", "ready"]
        (folder / "postmaster.pid").write_text("".join(f"{line}\n" for line in lines))

        server = start(folder)

        assert server.answers()
        server.end()
        assert other.poll() is None
