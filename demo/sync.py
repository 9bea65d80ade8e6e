"""
`make sync`: run tap-twilio into a real Postgres, and report what changed there.

Decides where rows come from (config.json, or else the sandbox), where they go (TARGET_POSTGRES_URL, or else an
embedded Postgres), and which state belongs to that pair; `tap-twilio run-sync` does the rest. It knows the tap and the
target by their command lines only, each in a virtual environment of its own. All that it makes lies in `.demo/`.

The sandbox is read with every stream selected, an account with what the tap selects by itself. STREAMS says otherwise.
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
from demo.locks import alone, outlast, share
from demo.process_group import Start, process_group

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
CONFIG = ROOT / "config.json"
TAP = ROOT / ".venv" / "bin"
TARGET = ROOT / ".venv-target" / "bin"
TAP_LOG, TARGET_LOG = DEMO / "tap.log", DEMO / "target.log"

SANDBOX_SEED = "1"
SANDBOX_HOURS = "3"  # by which each run but the first moves the sandbox's time on
SANDBOX_READY = re.compile(
    r"sandbox: (?P<base_url>\S+)  account_sid=(?P<account_sid>\w+)  auth_token=(?P<auth_token>\w+)$"
)
STREAMS_OF_SANDBOX = "all"
PATIENCE = "&options=-c%20lock_timeout%3D5s"  # of the target, where an open psql holds a lock


class DemoError(Exception):
    """Ends the run with one line that says what to do."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Source:
    """A Twilio account, or a simulated one."""

    account_sid: str
    config: Path
    schema: str  # sandbox rows go into a schema of their own
    environment: dict[str, str]  # for the tap


def main() -> int:
    """Run as the arguments say; every failure is one line."""
    parser = argparse.ArgumentParser(prog="python -m demo.sync", description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--psql", action="store_true", help="open psql on the database that make sync fills")
    parser.add_argument("--stop", action="store_true", help="stop the embedded Postgres, if it still runs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        DEMO.mkdir(mode=0o700, exist_ok=True)  # logs and states tell of accounts
        if arguments.psql:
            return _psql()
        with _alone():
            return _stop() if arguments.stop else _sync()
    except BrokenPipeError:  # make sync | head: the rows are loaded, and whoever read of it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except psycopg.Error as error:
        print(f"The database refused: {_one_line(error)}", file=sys.stderr)
        return 1
    except (DemoError, postgres.PostgresError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        print("Stopped; make sync again goes on from what is loaded.", file=sys.stderr)
        return 130


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _alone() -> Iterator[None]:
    """Allow one run at a time: two would read the same state and both advance the sandbox."""
    with (DEMO / "lock").open("a") as lock:
        if not alone(lock):
            raise DemoError("Another make sync runs in this folder: wait until it has ended, or stop it.")
        yield


def _stop() -> int:
    """Stop everything that a killed run left."""
    with (DEMO / "psql").open("a") as psql, (DEMO / "started").open("a") as started:
        if not alone(psql):
            raise DemoError("make psql is open in this folder: leave it with \\q, then run make clean again.")
        outlast(started)
        postgres.stop(DEMO / "postgres")
    return 0


def _sync() -> int:
    with ExitStack() as stack:
        url = stack.enter_context(_database())
        start = stack.enter_context(process_group(DEMO / "started"))
        selection, in_full = _selection(start)
        source = stack.enter_context(_source(start))
        state = _state_folder(url, source)
        patience = "" if os.environ.get("TARGET_POSTGRES_URL") else PATIENCE
        target_config = _private(stack, "target.json", _target_config(url + patience, source.schema))
        before = stack.enter_context(report.as_it_was(url))
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
        print("\nmake psql looks around in it; make sync again reads what changed;")
        print("make clean removes it all.")
    if tap_exit == 3:
        raise DemoError(f"tap-twilio finished in part, and make sync again goes on: {screen.reason(TAP_LOG)}", 3)
    return 0


def _run_sync(start: Start, arguments: list[str | Path], environment: dict[str, str]) -> int:
    """Run it, show what it says, and return the tap's exit code: 0 or 3. Raises DemoError, KeyboardInterrupt."""
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
    _refuse(ended["tap_exit"], ended["target_exit"])
    if ended["tap_exit"] == 0:
        screen.closing_line(TAP_LOG)
    return int(ended["tap_exit"])


def _refuse(tap_exit: int, target_exit: int) -> None:
    """Say what failed. When the target dies the tap does too, so the target is named first."""
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


def _private(stack: ExitStack, name: str, settings: dict[str, Any]) -> Path:
    """Yield a file with credentials, readable by this user alone, for as long as the run lasts."""
    path = DEMO / name
    path.unlink(missing_ok=True)
    stack.callback(path.unlink, missing_ok=True)
    with open(path, "x", opener=lambda file, flags: os.open(file, flags, 0o600), encoding="utf-8") as file:
        json.dump(settings, file)
    return path


# What is read, and where rows come from.


def _selection(start: Start) -> tuple[list[str], frozenset[str]]:
    """Return the tap's arguments that select streams, and the names of those that it reads by itself."""
    streams = os.environ.get("STREAMS", "").strip() or ("" if CONFIG.exists() else STREAMS_OF_SANDBOX)
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
def _source(start: Start) -> Iterator[Source]:
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
        settings = stack.enter_context(_sandbox(start))
        # Credentials in the environment are for the real one.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TWILIO_")}
        settings["base_url"] += "/{product}"  # several products have a list of one path
        yield Source(settings["account_sid"], _private(stack, "config.json", settings), "twilio_sandbox", environment)


@contextmanager
def _sandbox(start: Start) -> Iterator[dict[str, Any]]:
    """Start a sandbox; yield the tap's settings for it. It keeps its seed and its clock from run to run."""
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
        command += ["--advance", SANDBOX_HOURS]
    with (DEMO / "sandbox.log").open("w") as log:
        process = start(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        ready = SANDBOX_READY.match(process.stdout.readline())
        if ready is None:
            error_text = (DEMO / "sandbox.log").read_text("utf-8", "replace").strip().split("\n")[-1]
            where = f" at SANDBOX_PORT={port}" if port != "0" else ""
            raise DemoError(f"The sandbox does not start{where}: {error_text or 'it does not say why'}")
        yield ready.groupdict()
    finally:
        process.terminate()
        process.communicate()


# Where they go.


@contextmanager
def _database() -> Iterator[str]:
    """Yield the URL of the database, which is reachable."""
    url = os.environ.get("TARGET_POSTGRES_URL")
    if not url:
        with postgres.kept(DEMO / "postgres") as embedded:
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
    Convert everything that libpq accepts to the target's form: URL or key=value, sockets, several hosts, sslmode.

    >>> sqlalchemy_url("postgres://me:p%40ss@db.example:5433/house?sslmode=require")
    'postgresql+psycopg://me:p%40ss@db.example:5433/house?sslmode=require'
    >>> sqlalchemy_url("postgresql://postgres:@/postgres?host=/tmp/data")
    'postgresql+psycopg://postgres@/postgres?host=%2Ftmp%2Fdata'
    """
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value not in (None, "")}
    user, password, database = (quote(parts.pop(name, ""), safe="") for name in ("user", "password", "dbname"))
    place = ""
    if "host" in parts and not set("/,:") & set(parts["host"]):
        place = parts.pop("host") + (f":{parts.pop('port')}" if "port" in parts else "")
    who = user + (f":{password}" if password else "")
    query = f"?{urlencode(parts)}" if parts else ""
    return f"postgresql+psycopg://{who}{'@' if who else ''}{place}/{database}{query}"


def _target_config(url: str, schema: str) -> dict[str, Any]:
    return {"sqlalchemy_url": sqlalchemy_url(url), "default_target_schema": schema, "batch_size_rows": 10_000}


def _state_folder(url: str, source: Source) -> Path:
    """
    Return where run-sync keeps the state of this account in this database.

    The database is known by what it says of itself as well: a server made anew under the old address, or a schema
    dropped, is another place, and gets a backfill. That a database is taken for new by mistake costs a backfill;
    the reverse would lose rows.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        query = "select current_database(), oid::text from pg_namespace where nspname = %s"
        place = connection.execute(query, [source.schema]).fetchone()
        if place is None:
            connection.execute(f"create schema {source.schema}")
            place = connection.execute(query, [source.schema]).fetchone()
        try:
            server = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
        except psycopg.Error:  # a managed database may keep it to itself
            server = (connection.info.host, connection.info.port)
    name = hashlib.sha256(json.dumps([source.account_sid, place, server]).encode()).hexdigest()[:16]
    return DEMO / "state" / f"{source.account_sid}-{name}"


def _psql() -> int:
    """Run psql with both schemas on its search path, so that `select * from messages` works, even during a sync."""
    with (DEMO / "psql").open("a") as lock:
        share(lock)  # for make clean to see
        with _database() as url:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's: it ends a query
            options = {"PGOPTIONS": "-c search_path=twilio,twilio_sandbox,public"}
            return subprocess.run([postgres.psql(), url], env=os.environ | options, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
