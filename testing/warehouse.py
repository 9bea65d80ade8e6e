"""
A real Postgres and the real target, for tests that go all the way.

The server starts in a temporary folder, once a session; a test takes a schema of its own. Nothing here knows the
tap: `pipe` runs any command, as a shell would, and can kill it at any byte. `conftest.py` makes the fixture:
`warehouse = pytest.fixture(scope="session")(started)`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from demo.sync import sqlalchemy_url

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".venv-target" / "bin"
CHUNK = 65_536


@dataclass(frozen=True)
class Piped:
    """The end of `tap | target`; `states` are the STATE values that the target printed, in order."""

    tap_exit: int
    target_exit: int
    states: list[dict[str, Any]]
    tap_log: str
    target_log: str
    bytes_sent: int  # that the target got

    def __iter__(self) -> Iterator[Any]:
        """So that `tap_exit, target_exit, states = warehouse.pipe(...)` reads well."""
        return iter((self.tap_exit, self.target_exit, self.states))


def started() -> Iterator[Warehouse]:
    """A warehouse for as long as whoever iterates: the body of a session fixture."""
    with Warehouse() as warehouse:
        yield warehouse


class Warehouse:
    """An embedded Postgres, the target that loads it, and a reader of its tables."""

    def __enter__(self) -> Warehouse:
        if not (TARGET / "target-postgres").exists():
            raise RuntimeError("There is no .venv-target: make test makes it.")
        self._folder = tempfile.TemporaryDirectory(prefix="warehouse-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        command: list[str | Path] = [TARGET / "python", "-m", "demo.postgres", self.folder / "postgres"]
        self._server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        self.url = self._server.stdout.readline().strip()
        if not self.url:
            self.__exit__()
            raise RuntimeError("The embedded Postgres did not start; it says why above.")
        self._reader = psycopg.connect(self.url, row_factory=dict_row, autocommit=True)
        self._reader.execute("set timezone to 'UTC'")
        self._reader.execute("alter system set fsync = off")  # what a test writes need not outlive the machine
        self._reader.execute("select pg_reload_conf()")
        set_json_loads(partial(json.loads, parse_float=Decimal), self._reader)
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_reader"):
            self._reader.close()
        self._server.communicate()  # its standard input closes, and so it stops
        self._folder.cleanup()

    def load(self, lines: bytes, schema: str, **target_config: Any) -> dict[str, Any] | None:
        """Load Singer lines; the last STATE that the target let go of. A target that fails, fails the test."""
        done = subprocess.run(self._target(schema, target_config), input=lines, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-4_000:]
        states = _states(done.stdout)
        return states[-1] if states else None

    def pipe(
        self,
        tap_command: Sequence[str | Path],
        env: Mapping[str, str] | None,
        schema: str,
        kill_after_bytes: int | None = None,
        to_line_end: bool = False,
        **target_config: Any,
    ) -> Piped:
        """
        Run `tap | target`. With `kill_after_bytes` the tap is killed (SIGKILL) once the target got so many of its
        bytes, the last line cut where that falls; the target then sees its input end, as it would in a shell. It
        prints STATE at the end of its input only, and not where it refuses a line that is cut: `to_line_end` cuts none.
        """
        tap = subprocess.Popen(
            tap_command, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        target = subprocess.Popen(
            self._target(schema, target_config), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert tap.stdout is not None
        assert target.stdin is not None
        reads = [_Read(stream) for stream in (tap.stderr, target.stderr, target.stdout)]
        sent = _pump(tap.stdout, target.stdin, kill_after_bytes, to_line_end)
        if kill_after_bytes is not None and sent >= kill_after_bytes:
            tap.kill()
        tap.stdout.close()  # should the target have died, the tap gets EPIPE
        tap.wait()
        target.wait()
        tap_log, target_log, printed = (read.result() for read in reads)
        return Piped(
            tap.returncode,
            target.returncode,
            _states(printed),
            tap_log.decode("utf-8", "replace"),
            target_log.decode("utf-8", "replace"),
            sent,
        )

    def rows(self, table: str, schema: str) -> list[dict[str, Any]]:
        """Every row of a table, by its first column; [] where there is no such table. Numbers come as Decimal."""
        query = sql.SQL("select * from {} order by 1").format(sql.Identifier(schema, table))
        try:
            return self._reader.execute(query).fetchall()
        except psycopg.errors.UndefinedTable:
            return []

    def query(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Return the result of a query, such as column types."""
        cursor = self._reader.execute(query, values)
        return cursor.fetchall() if cursor.description else []

    def drop(self, schema: str) -> None:
        """Forget a schema and all its tables."""
        self._reader.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))

    def _target(self, schema: str, settings: Mapping[str, Any]) -> list[str | Path]:
        config = {"sqlalchemy_url": sqlalchemy_url(self.url), "default_target_schema": schema, **settings}
        path = self.folder / f"target-{schema}.json"
        path.write_text(json.dumps(config), "utf-8")
        return [TARGET / "target-postgres", "--config", path]


class _Read:
    """Reads a stream to its end in a thread: a process whose stderr nobody reads stands still."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._bytes = b""
        self._thread = threading.Thread(target=self._run, args=(stream,), daemon=True)
        self._thread.start()

    def _run(self, stream: IO[bytes]) -> None:
        with stream:
            self._bytes = stream.read()

    def result(self) -> bytes:
        self._thread.join()
        return self._bytes


def _pump(source: IO[bytes], sink: IO[bytes], limit: int | None, to_line_end: bool) -> int:
    """Copy until the source ends, the sink is gone or `limit` is reached; close the sink; how many bytes went."""
    sent, last = 0, b"\n"
    try:
        while True:
            left = CHUNK if limit is None else min(CHUNK, limit - sent)
            if left <= 0 and to_line_end and last != b"\n":
                left = 1
            chunk = os.read(source.fileno(), left) if left > 0 else b""
            if not chunk:
                break
            sink.write(chunk)
            sink.flush()
            sent, last = sent + len(chunk), chunk[-1:]
    except BrokenPipeError:
        pass
    finally:
        with suppress(BrokenPipeError):
            sink.close()
    return sent


def _states(printed: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines() if line.strip()]
