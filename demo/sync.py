"""
`make sync`: run tap-twilio into a real Postgres, and report what changed there.

The source is the account in config.json, or else the sandbox. The database is TARGET_POSTGRES_URL, or else an embedded
Postgres. Each pair of them has a state of its own. STREAMS selects streams; by default, these are all streams of the
sandbox, or the default streams of an account.

`tap-twilio run-sync` does the sync itself. This module uses only the command lines of tap and target; each has its own
virtual environment. All files that it creates are in `.demo/`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from demo import postgres, report, screen
from demo.locks import lock_shared, try_lock, wait_for_lock
from demo.process_group import Start, process_group

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
CONFIG = ROOT / "config.json"
TAP = ROOT / ".venv" / "bin"
TARGET = ROOT / ".venv-target" / "bin"
TAP_LOG, TARGET_LOG = DEMO / "tap.log", DEMO / "target.log"

SANDBOX_SEED = "1"
SANDBOX_HOURS = "3"  # each run after the first advances the sandbox's clock by so much
SANDBOX_READY = re.compile(
    r"sandbox: base_url=(?P<base_url>\S+)  account_sid=(?P<account_sid>\w+)  auth_token=(?P<auth_token>\w+)$"
)
SANDBOX_STREAMS = "all"
LOCK_TIMEOUT = "&options=-c%20lock_timeout%3D5s"  # of the target, if an open psql holds a lock


class DemoError(Exception):
    """An error that ends the run. Its one line says what to do."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Source:
    """A Twilio account, or the simulated one."""

    account_sid: str
    config: Path
    schema: str  # in the database; the sandbox has its own
    environment: dict[str, str]  # for the tap


def main() -> int:
    """Run the command that the arguments name. Every failure is one line."""
    parser = argparse.ArgumentParser(prog="python -m demo.sync", description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--psql", action="store_true", help="open psql on the database that make sync fills")
    parser.add_argument("--stop", action="store_true", help="stop the embedded Postgres, if it still runs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        DEMO.mkdir(mode=0o700, exist_ok=True)  # logs and states hold account SIDs
        if arguments.psql:
            return _psql()
        with _only_run():
            return _stop() if arguments.stop else _sync()
    except BrokenPipeError:  # as in make sync | head; the rows are loaded
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except psycopg.Error as error:
        print(f"The database refused: {_one_line(error)}", file=sys.stderr)
        return 1
    except (DemoError, postgres.PostgresError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        print("Stopped. Run make sync again to continue.", file=sys.stderr)
        return 130


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _only_run() -> Iterator[None]:
    """Allow one run at a time, since two runs would read the same state, and both advance the sandbox's clock."""
    with (DEMO / "lock").open("a") as lock:
        if not try_lock(lock):
            raise DemoError("Another make sync is running in this folder: wait for it, or stop it.")
        yield


def _stop() -> int:
    """Stop the processes that a killed run left."""
    with (DEMO / "psql").open("a") as psql, (DEMO / "started").open("a") as started:
        if not try_lock(psql):
            raise DemoError("make psql is open in this folder: leave it with \\q, then run make clean again.")
        wait_for_lock(started)
        postgres.stop(DEMO / "postgres")
    return 0


def _sync() -> int:
    with ExitStack() as stack:
        url = stack.enter_context(_open_database())
        start = stack.enter_context(process_group(DEMO / "started"))
        selection, in_full = _select(start)
        source = stack.enter_context(_open_source(start))
        state = _state_folder(url, source)
        lock_timeout = "" if os.environ.get("TARGET_POSTGRES_URL") else LOCK_TIMEOUT
        target_config = _write_private(stack, "target.json", _target_config(url + lock_timeout, source.schema))
        before = stack.enter_context(report.snapshot(url))
        since = datetime.now(timezone.utc)
        target = shlex.join(map(str, [TARGET / "target-postgres", "--config", target_config]))
        tap_exit = _run_sync(
            start,
            ["--target", target, "--state", state, "--", "--config", source.config, *selection],
            source.environment,
        )
        with report.connect(url) as now:
            tables = report.tables(before, now, source.schema, since)
            print(
                report.text(
                    tables, report.messages(now, source.schema), source.schema, in_full, bool(os.environ.get("STREAMS"))
                )
            )
    if not os.environ.get("TARGET_POSTGRES_URL"):
        print("\nmake psql opens this database; make sync again reads what changed since;")
        print("make clean removes everything.")
    if tap_exit == 3:
        raise DemoError(f"tap-twilio did not read everything; make sync again continues: {screen.reason(TAP_LOG)}", 3)
    return 0


def _run_sync(start: Start, arguments: list[str | Path], environment: dict[str, str]) -> int:
    """Run `run-sync`, show its messages, return the tap's exit code, 0 or 3. Raises DemoError, KeyboardInterrupt."""
    summary = DEMO / "summary.json"
    for file in (TAP_LOG, TARGET_LOG, summary):
        file.unlink(missing_ok=True)
    with (DEMO / "run-sync.log").open("wb") as log:
        command = [TAP / "tap-twilio", "run-sync", "--logs", DEMO, "--summary-json", summary, *arguments]
        interrupted = screen.run(start, command, TAP_LOG, stderr=log, env=environment)
    if interrupted:
        raise KeyboardInterrupt
    if not summary.exists():
        raise DemoError(f"tap-twilio run-sync failed: {screen.reason(DEMO / 'run-sync.log')}")
    ended = json.loads(summary.read_bytes())
    _raise_if_failed(ended["tap_exit"], ended["target_exit"])
    if ended["tap_exit"] == 0:
        screen.closing_line(TAP_LOG)
    return int(ended["tap_exit"])


def _raise_if_failed(tap_exit: int, target_exit: int) -> None:
    """Raise DemoError if tap or target failed. The tap ends when the target fails, so the target comes first."""
    error_text = screen.reason(TARGET_LOG)
    if "LockNotAvailable" in error_text:
        raise DemoError(
            "Another session, such as an open make psql, holds rows or tables that the sync changes:"
            " commit or roll back there, then make sync again."
        )
    if target_exit:
        raise DemoError(f"target-postgres failed (.demo/target.log): {error_text or target_exit}")
    if tap_exit not in (0, 3):
        raise DemoError(f"tap-twilio failed (.demo/tap.log): {screen.reason(TAP_LOG) or tap_exit}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _write_private(stack: ExitStack, name: str, settings: dict[str, Any]) -> Path:
    """Write credentials into a file that only this user can read. The stack deletes it at the end of the run."""
    path = DEMO / name
    path.unlink(missing_ok=True)
    stack.callback(path.unlink, missing_ok=True)
    with open(path, "x", opener=lambda file, flags: os.open(file, flags, 0o600), encoding="utf-8") as file:
        json.dump(settings, file)
    return path


# The source of the rows.


def _select(start: Start) -> tuple[list[str], frozenset[str]]:
    """Return the tap's arguments that select streams, and the names of the streams that are on by default."""
    streams = os.environ.get("STREAMS", "").strip() or ("" if CONFIG.exists() else SANDBOX_STREAMS)
    selection = ["--select", re.sub(r"\ball\b", "*", streams)] if streams else []
    process = start(
        [TAP / "tap-twilio", "--discover", *selection], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    printed, error_text = process.communicate()
    if process.returncode:
        raise DemoError(f"tap-twilio --discover failed: {screen.plain(error_text) or process.returncode}")
    about = {
        entry["tap_stream_id"]: item["metadata"]
        for entry in json.loads(printed)["streams"]
        for item in entry["metadata"]
        if not item["breadcrumb"]
    }
    return selection, frozenset(name for name, metadata in about.items() if metadata.get("selected-by-default"))


@contextmanager
def _open_source(start: Start, advance: str = SANDBOX_HOURS) -> Iterator[Source]:
    """Yield the account in config.json, or else the sandbox, which runs during the block, `advance` hours later."""
    if CONFIG.exists():
        try:
            settings = json.loads(CONFIG.read_text("utf-8"))
            account_sid = settings.get("account_sid") or os.environ.get("TWILIO_ACCOUNT_SID") or "unknown"
        except (OSError, ValueError, AttributeError) as error:
            raise DemoError(f"config.json is not a JSON object ({error}): compare sample_config.json.") from None
        print(f"Reading the Twilio account {account_sid}, as config.json says.")
        yield Source(str(account_sid), CONFIG, "twilio", dict(os.environ))
        return
    print("No config.json, so this reads the sandbox, a simulated Twilio.")
    print("sample_config.json shows how to read yours.")
    with ExitStack() as stack:
        settings = stack.enter_context(_sandbox(start, advance))
        # Credentials in the environment belong to a real account.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TWILIO_")}
        yield Source(
            settings["account_sid"], _write_private(stack, "config.json", settings), "twilio_sandbox", environment
        )


@contextmanager
def _sandbox(start: Start, advance: str) -> Iterator[dict[str, Any]]:
    """Start a sandbox, and yield the tap's settings for it. All runs share its seed and its clock."""
    clock, port = DEMO / "sandbox.json", os.environ.get("SANDBOX_PORT") or "0"
    command: list[str | Path] = [
        TAP / "python",
        "-m",
        "sandbox",
        "--port",
        port,
        "--seed",
        SANDBOX_SEED,
        "--clock",
        clock,
    ]
    if clock.exists():
        command += ["--advance", advance]
    with (DEMO / "sandbox.log").open("w") as log:
        process = start(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        ready = SANDBOX_READY.match(process.stdout.readline())
        if ready is None:
            error_text = (DEMO / "sandbox.log").read_text("utf-8", "replace").strip().split("\n")[-1]
            where = f" at SANDBOX_PORT={port}" if port != "0" else ""
            raise DemoError(f"The sandbox does not start{where}: {error_text or 'no reason given'}")
        yield ready.groupdict()
    finally:
        process.terminate()
        process.communicate()


# The database, which the rows are loaded into.


@contextmanager
def _open_database() -> Iterator[str]:
    """Yield the URL of the database, which accepts connections."""
    url = os.environ.get("TARGET_POSTGRES_URL")
    if not url:
        with postgres.embedded_in_keeper(DEMO / "postgres") as embedded:
            yield embedded
        return
    try:
        conninfo_to_dict(url)
    except psycopg.Error:  # its text may show the password
        raise DemoError(
            "TARGET_POSTGRES_URL is not a Postgres URL, as in postgresql://user:password@host:5432/database"
            " (special characters in the password percent-encoded)."
        ) from None
    try:
        psycopg.connect(url, connect_timeout=15).close()
    except psycopg.Error as error:
        raise DemoError(f"TARGET_POSTGRES_URL does not answer: {_one_line(error)}") from None
    yield url


def sqlalchemy_url(url: str) -> str:
    """
    Convert any form that libpq accepts (URL or key=value, sockets, several hosts, sslmode) to SQLAlchemy's form.

    >>> sqlalchemy_url("postgres://me:p%40ss@db.example:5433/house?sslmode=require")
    'postgresql+psycopg://me:p%40ss@db.example:5433/house?sslmode=require'
    >>> sqlalchemy_url("postgresql://postgres:@/postgres?host=/tmp/data")
    'postgresql+psycopg://postgres@/postgres?host=%2Ftmp%2Fdata'
    """
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value not in (None, "")}
    user, password, database = (quote(parts.pop(name, ""), safe="") for name in ("user", "password", "dbname"))
    host = ""
    if "host" in parts and not set("/,:") & set(parts["host"]):
        host = parts.pop("host") + (f":{parts.pop('port')}" if "port" in parts else "")
    who = user + (f":{password}" if password else "")
    query = f"?{urlencode(parts)}" if parts else ""
    return f"postgresql+psycopg://{who}{'@' if who else ''}{host}/{database}{query}"


def _target_config(url: str, schema: str) -> dict[str, Any]:
    return {"sqlalchemy_url": sqlalchemy_url(url), "default_target_schema": schema, "batch_size_rows": 10_000}


def _state_folder(url: str, source: Source) -> Path:
    """
    Return the folder in which run-sync saves the state of this account in this database.

    The name depends on the identifiers of server and schema, not only on the address. If somebody drops the schema, or
    creates a new server at the old address, the state is in another folder, and a backfill loads all rows.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        query = "select current_database(), oid::text from pg_namespace where nspname = %s"
        schema = connection.execute(query, [source.schema]).fetchone()
        if schema is None:
            connection.execute(f"create schema {source.schema}")
            schema = connection.execute(query, [source.schema]).fetchone()
        try:
            server = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
        except psycopg.Error:  # a managed database may refuse it
            server = (connection.info.host, connection.info.port)
    name = hashlib.sha256(json.dumps([source.account_sid, schema, server]).encode()).hexdigest()[:16]
    return DEMO / "state" / f"{source.account_sid}-{name}"


def _psql() -> int:
    """Run psql with both schemas on its search path, so that `select * from messages` works; also during a sync."""
    with (DEMO / "psql").open("a") as lock:
        lock_shared(lock)  # so that make clean knows
        with _open_database() as url:
            with psycopg.connect(url) as connection:
                query = "select 1 from information_schema.tables where table_schema in ('twilio', 'twilio_sandbox')"
                if connection.execute(query).fetchone() is None:
                    print("Nothing was loaded yet: leave psql with \\q, and run make sync.", file=sys.stderr)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # psql handles Ctrl-C itself: it ends a query
            options = {"PGOPTIONS": "-c search_path=twilio,twilio_sandbox,public"}
            return subprocess.run([postgres.psql(), url], env=os.environ | options, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
