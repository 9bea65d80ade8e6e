"""run-sync with its state in an object store: S3's, Google's and Azure's, each over a server that stands for it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tap_twilio.errors import TapError
from tap_twilio.run_sync.object_store import ObjectStore
from testing.taps import ROOT, Tap
from tests.run_sync.test_run_sync import Job, some_rows

MADE = ".venv-stores/stores.stamp"
BIN = ROOT / ".venv-stores/bin"
SERVERS = ROOT / ".venv-stores/servers/bin"
AZURITE = ROOT / ".venv-stores/node_modules/.bin/azurite-blob"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # in its manual
WRONG_KEY = "c2VjcmV0c2VjcmV0c2VjcmV0"

# The stores are read and written here as run-sync does it; `store` is the file system.
SCRIPT = "import fsspec, json, sys; store = fsspec.filesystem(sys.argv[1]); "


def azure(port: int, key: str = AZURE_KEY) -> dict[str, str]:
    account = "devstoreaccount1"
    where = f"AccountName={account};AccountKey={key};BlobEndpoint=http://127.0.0.1:{port}/{account};"
    return {"AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{where}"}


def amazon(port: int) -> dict[str, str]:
    key = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": WRONG_KEY}
    return {**key, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1"}


def google(port: int) -> dict[str, str]:
    return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "NO_GCE_CHECK": "true"}


@dataclass(frozen=True)
class Store:
    """A server that runs, with a bucket, and the variables that have the libraries find it."""

    scheme: str
    env: dict[str, str]

    def do(self, code: str) -> Any:
        """What a piece of code prints."""
        command = [BIN / "python", "-c", SCRIPT + code, self.scheme]
        done = subprocess.run(command, env=Tap.environment(self.env), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    @property
    def files(self) -> list[str]:
        paths = self.do("print(json.dumps(store.ls('bucket/some/twilio')))")
        return sorted(path.rpartition("/")[2] for path in paths)


COMMANDS: dict[str, tuple[list[Any], Callable[[int], dict[str, str]]]] = {
    "s3": ([SERVERS / "moto_server", "-p"], amazon),
    "gs": ([SERVERS / "gcp-storage-emulator", "start", "--host", "127.0.0.1", "--in-memory", "--port"], google),
    "abfs": ([AZURITE, "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--blobPort"], azure),
}


@pytest.fixture(scope="module", params=COMMANDS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    command, variables = COMMANDS[request.param]
    made = subprocess.run(["make", "-s", MADE], cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"make {MADE}: {made.stderr.strip().rpartition(chr(10))[2]}")
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not here; npm installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([*command, str(port)], **quiet)
    try:
        until = time.monotonic() + 30
        while not answers(port):
            assert server.poll() is None and time.monotonic() < until, f"{command[0]} did not start"
            time.sleep(0.1)
        store = Store(request.param, variables(port))
        store.do("store.mkdir('bucket')")
        yield store
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as there:
        return there.connect_ex(("127.0.0.1", port)) == 0


class StoredJob(Job):
    """A job whose state is in a store; the tap that runs has the libraries of the extra `state`."""

    def __init__(self, tap: Tap, folder: Path, store: Store) -> None:
        super().__init__(tap, folder)
        self.store, self.url = store, f"{store.scheme}://bucket/some/twilio"

    def start(self, *options: str, env: dict[str, str] | None = None, **how: Any) -> subprocess.Popen[str]:
        self.tap.offer()
        return subprocess.Popen(
            [BIN / "python", *self.command(*options, **{"location": self.url, **how})[1:]],
            env=Tap.environment({**self.store.env, **(env or {})}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def job(store: Store, tap_of: Callable[..., Tap], tmp_path: Path) -> StoredJob:
    return StoredJob(tap_of(some_rows()), tmp_path / "job", store)


def test_a_lock_whose_making_was_asked_for_twice_is_the_syncs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library asks again where an answer was lost, and is told that there is such a file."""
    store = ObjectStore(f"local://{tmp_path}")
    write = store._files.pipe_file

    def twice(path: str, value: bytes, mode: str = "overwrite") -> None:
        write(path, value)
        if mode == "create":
            raise FileExistsError(path)

    monkeypatch.setattr(store._files, "pipe_file", twice)
    with store.hold_lock():
        assert (tmp_path / "sync.lock").exists()
    assert not (tmp_path / "sync.lock").exists()


def test_of_an_error_of_many_lines_the_first_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure's have the whole answer in them."""

    def fail(path: str) -> None:
        raise RuntimeError("The server is busy.\nRequestId:1\nContent: <?xml ...")

    store = ObjectStore(f"local://{tmp_path}")
    with store.hold_lock(), monkeypatch.context() as patch:
        patch.setattr(store._files, "cat_file", fail)
        with pytest.raises(TapError, match=r": cannot be read \(RuntimeError: The server is busy.\)\.$"):
            store.load()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_sync_goes_on_from_the_store_also_after_a_kill(job: StoredJob) -> None:
    """The lock of the killed one refuses the next until it has run out; what is said is only what is said elsewhere."""
    job.orders("sync stored 4")
    killed = job.run()
    assert killed.returncode == -9, killed.stderr
    assert job.store.files == ["state.json", "sync.lock"]

    refused = job.run()
    assert refused.returncode == 5
    assert "still runs, or was killed; this one is skipped." in refused.stderr
    job.store.do("store.pipe_file('bucket/some/twilio/sync.lock', b'{\"until\": 1}')")  # as after 15 minutes
    first, second = job.run(), job.run()

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "; 0 rows sent; state saved" in second.stderr
    assert job.wrong() == {}
    assert job.store.files == ["state.json"]
    assert "bookmarks" in job.store.do("print(store.cat_file('bucket/some/twilio/state.json').decode())")
    assert "WARNING" not in first.stderr + second.stderr


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_mistake_at_a_store_is_one_line(job: StoredJob) -> None:
    """It names the address, and tells no key."""
    mistakes = [job.run(location=f"{job.store.scheme}://nobucket/twilio")]
    if job.store.scheme == "s3":
        mistakes.append(job.run(env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}))
    if job.store.scheme == "abfs":
        port = int(job.store.env["AZURE_STORAGE_CONNECTION_STRING"].split("/devstore")[0].rpartition(":")[2])
        mistakes.append(job.run(env=azure(port, WRONG_KEY)))
    for done in mistakes:
        assert done.returncode == 1
        assert done.stderr.partition(" ")[2].startswith(f"CRITICAL --state {job.store.scheme}://")
        assert "sync.lock cannot be written" in done.stderr
        assert done.stderr.count("\n") == 1
        assert WRONG_KEY not in done.stderr
