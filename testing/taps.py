"""
The tap as a user runs it: a process of its own, real HTTP to a simulated Twilio, and the tables that its output makes.

`Tap.sync` is one run of the cron job: what it printed goes into `tables` as a target would load it, and its last STATE
is the next run's. What the tables should hold is reckoned here from Twilio's raw rows, by none of the tap's own code.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import singer

from sandbox import Request, Server, Twilio
from testing.forked import Forked

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "tap_twilio"]
LISTED = ("addresses", "calls", "conferences", "transcriptions", "messages")  # the streams that Twilio has lists of
SIX = (*LISTED, "call_feedback")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)

Json = dict[str, Any]


# What a row should become ---------------------------------------------------------------------------------------------


@cache
def properties(stream: str) -> Json:
    found: Json = json.loads((ROOT / "schemas" / f"{stream}.json").read_text("utf-8"))["properties"]
    return found


def expected(stream: str, row: Json) -> Json:
    """A row as Twilio has it, as the record that it should become; `received_at` aside."""
    kinds = _kinds(stream)
    if stream == "call_feedback":
        row = {**row, "source": "feedback"}
    assert row.keys() < kinds.keys()
    return {name: _expected(row.get(name), kind) for name, kind in kinds.items() if name != "received_at"}


def expected_value(value: Any, about: Json) -> Any:
    """A property's value, as what it should become; of a property that may be anything, what its JSON text says."""
    if about.get("format") == "json":
        return json.loads(json.dumps(_storable(value), default=float), parse_float=Decimal)
    types = [about["type"]] if isinstance(about["type"], str) else about["type"]
    (kind,) = (kind for kind in types if kind != "null")
    return _expected(value, about.get("format", kind) if about.get("format") == "date-time" else kind)


@cache
def _kinds(stream: str) -> dict[str, str]:
    kinds = {}
    for name, about in properties(stream).items():
        types = [about["type"]] if isinstance(about["type"], str) else about["type"]
        (kinds[name],) = (kind for kind in types if kind != "null")
        kinds[name] = about.get("format", kinds[name])
    return kinds


def _expected(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "date-time":
        return _date(value) if value else None
    value = _storable(value)
    if value == "" and kind != "string":
        return None
    if kind == "integer" and isinstance(value, str):
        return int(value)
    if kind == "number":
        return Decimal(str(value))
    return value


@lru_cache(100_000)
def _date(value: str) -> str:
    at = parsedate_to_datetime(value) if "," in value else datetime.fromisoformat(value.replace("Z", "+00:00"))
    return f"{at.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S.%f}Z"


def _storable(value: Any) -> Any:
    """Without what Postgres refuses: NUL, and halves of a surrogate pair; decimal fractions as they are written."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return value
        return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return Decimal(repr(value)) if isinstance(value, float) else value


# What came out --------------------------------------------------------------------------------------------------------


class Tables:
    """Tables as a target builds them from Singer lines: a key's last row wins; an activated version removes others."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Json]] = {}
        self.versions: dict[str, dict[str, int | None]] = {}
        self._keys: dict[str, list[str]] = {}

    def load(self, lines: Iterable[bytes]) -> None:
        """Each line must be one that singer-python reads, and each record one of a stream whose SCHEMA came first."""
        self._keys = {}  # each run says its own
        for line in lines:
            message = singer.parse_message(line.decode())
            if isinstance(message, singer.SchemaMessage):
                assert message.stream not in self._keys, "SCHEMA comes once a stream"
                assert message.bookmark_properties == ["date_updated"]
                self._keys[message.stream] = message.key_properties
                self.rows.setdefault(message.stream, {})
                self.versions.setdefault(message.stream, {})
            elif isinstance(message, singer.RecordMessage):
                assert self._keys[message.stream] == ["sid"]
                sid = message.record["sid"]
                self.rows[message.stream][sid] = message.record
                self.versions[message.stream][sid] = message.version
            elif isinstance(message, singer.ActivateVersionMessage):
                rows, versions = self.rows[message.stream], self.versions[message.stream]
                for sid in [sid for sid in rows if versions[sid] != message.version]:
                    del rows[sid], versions[sid]
            else:
                assert isinstance(message, singer.StateMessage)


@dataclass(frozen=True)
class Run:
    """The end of one run of the tap, and its output; a line that a kill cut short is left out."""

    exit_code: int
    lines: list[bytes]
    log: str

    def messages(self, kind: str, stream: str | None = None) -> list[Json]:
        found = (json.loads(line, parse_float=Decimal) for line in self.lines if b'"type":"%s"' % kind.encode() in line)
        return [message for message in found if message["type"] == kind and stream in (None, message.get("stream"))]

    def records(self, stream: str) -> list[Json]:
        return [message["record"] for message in self.messages("RECORD", stream)]

    def sids(self, stream: str | None = None) -> list[str]:
        """The keys of all rows that were emitted, in order."""
        return [message["record"]["sid"] for message in self.messages("RECORD", stream)]

    @property
    def states(self) -> list[Json]:
        return [message["value"] for message in self.messages("STATE")]

    @property
    def said(self) -> list[str]:
        """The log without its times and levels, without metrics, and without the line that every sync begins with."""
        lines = [line for line in self.log.splitlines() if "METRIC: " not in line]
        return [line.split(" ", 2)[2] for line in lines if not re.match(r"\S+ INFO tap-twilio \S+ reads ", line)]

    @property
    def table(self) -> dict[str, list[str]]:
        """The table at the log's end: the cells of each stream. A long name has a line of its own."""
        lines = [re.split(" {2,}", line) for line in self.said]
        (at,) = (index for index, line in enumerate(lines) if line[:2] == ["stream", "read"])
        pairs = zip(lines[at:], lines[at + 1 :])
        return {line[0] or before[0]: line[1:] for before, line in pairs if len(line) == len(lines[at])}


def whole_lines(printed: bytes) -> list[bytes]:
    return printed[: printed.rfind(b"\n") + 1].splitlines(keepends=True)


# The tap --------------------------------------------------------------------------------------------------------------


@cache
def _catalog_entries() -> dict[str, str]:
    """Return the JSON of each entry of catalog.json, by stream."""
    catalog = json.loads((ROOT / "catalog.json").read_text("utf-8"))
    return {entry["tap_stream_id"]: json.dumps(entry) for entry in catalog["streams"]}


class Tap:
    """A tap set up to read one simulated Twilio: its config, catalog and state, and the warehouse that it fills."""

    def __init__(self, server: Server, folder: Path, **settings: Any) -> None:
        self.server, self.folder = server, folder
        self.settings: Json = {
            "account_sid": server.twilio.main,
            "auth_token": server.twilio.auth_token,
            "base_url": server.url,
            **settings,
        }
        self.catalog: Json | None = None
        self.select(*LISTED)
        self.state: Any = None
        self.tables = Tables()
        self.requests: list[Request] = []  # of the last run
        self._listed: dict[str, dict[str, Json]] = {stream: {} for stream in SIX}
        self._maybe: dict[str, list[Json]] = {}  # rows as a run that was killed may have read them
        self._runs = itertools.count()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def twilio(self) -> Twilio:
        return self.server.twilio

    def select(
        self, *streams: str, full_table: Iterable[str] = (), without: Iterable[str] = (), opted_in: bool = False
    ) -> Tap:
        """
        Select these streams in the catalog that discovery prints, and deselect some properties of all of them.

        `opted_in`: select their properties that are left out else, too.
        """
        kept = {*streams, "messages", "calls"}  # with the others, a catalog is long to write and to read
        entries = _catalog_entries()
        self.catalog = {"streams": [json.loads(entries[name]) for name in entries if name in kept]}
        for entry in self.catalog["streams"]:
            about = {tuple(item["breadcrumb"]): item["metadata"] for item in entry["metadata"]}
            about[()]["selected"] = entry["tap_stream_id"] in streams
            if entry["tap_stream_id"] in full_table:
                about[()]["replication-method"] = "FULL_TABLE"
            for name in without:
                about.get(("properties", name), {})["selected"] = False
            for where, item in about.items():
                if opted_in and where and item.get("selected-by-default") is False:
                    item["selected"] = True
        return self

    def command(self, *arguments: str, **settings: Any) -> list[str]:
        """Return the command, with its files written; a setting that is None is left out."""
        folder = self.folder / str(next(self._runs))
        folder.mkdir()
        config = {name: value for name, value in {**self.settings, **settings}.items() if value is not None}
        command = [*COMMAND, "--config", self._file(folder / "config.json", config)]
        if self.catalog is not None and not {"--catalog", "--properties"} & set(arguments):
            command += ["--catalog", self._file(folder / "catalog.json", self.catalog)]
        if self.state is not None:
            command += ["--state", self._file(folder / "state.json", self.state)]
        return [*command, *arguments]

    def start(
        self, *arguments: str, env: Json | None = None, stdout: Any = None, command: Sequence[str] = (), **settings: Any
    ) -> Started:
        """Start a run. What Twilio lists at this moment is what the tables should hold once it has ended well."""
        self.offer()
        return Started(self, command or self.command(*arguments, **settings), env or {}, stdout)

    def run(self, *arguments: str, env: Json | None = None, **settings: Any) -> Run:
        """A run whose output goes nowhere."""
        return self.start(*arguments, env=env, **settings).wait()

    def sync(self, *arguments: str, exits: int = 0, env: Json | None = None, **settings: Any) -> Run:
        """A run whose output is loaded into the tables, and whose last STATE is kept."""
        run = self.run(*arguments, env=env, **settings)
        assert run.exit_code == exits, run.log[-2000:]
        self.keep(run.lines)
        return run

    def offer(self) -> None:
        """A run begins: what Twilio lists now is what it is to read."""
        self._offered = {stream: self.twilio.present(stream) for stream in SIX}
        self.server.reset()

    def ended(self, well: bool) -> None:
        """That run ended: it read all of it, or some."""
        for stream, rows in self._offered.items():
            for row in rows:
                if well:
                    self._listed[stream][row["sid"]] = row
                    self._maybe.pop(row["sid"], None)
                else:
                    self._maybe.setdefault(row["sid"], []).append(row)

    def keep(self, lines: Sequence[bytes]) -> None:
        self.tables.load(lines)
        states = [json.loads(line)["value"] for line in lines if line.startswith(b'{"type":"STATE"')]
        self.state = states[-1] if states else self.state

    def forget(self, *accounts: str) -> None:
        """Take accounts out of the state, as a user does who lets their rows go."""
        path = self._file(self.folder / "forget.json", self.state)
        done = subprocess.run([*COMMAND, "state", "forget", path, *accounts], cwd=ROOT, capture_output=True, check=True)
        self.state = json.loads(done.stdout)

    def listed(self, stream: str) -> list[Json]:
        """Each row that Twilio listed when a run began that ended well, as it was when the last such run began."""
        return list(self._listed[stream].values())

    def uncertain(self, sid: str) -> bool:
        """Return whether a row may also be as a killed run read it; it was deleted since."""
        return sid in self._maybe

    def wrong(
        self,
        streams: Sequence[str] = LISTED,
        but: Callable[[Json], bool] = lambda row: False,
        rows: Callable[[str], Iterable[Json]] | None = None,
    ) -> Json:
        """
        Return the differences from the expected tables; {} if there are none.

        They should hold each row that Twilio listed when a run began that ended well, as it was when the last such run
        began; a row that was deleted since may also be as a run that was killed could read it. `but` leaves rows out
        of the comparison. With `rows`, just these rows of a stream.
        """
        found: Json = {}
        for stream in streams:
            should = {
                row["sid"]: expected(stream, row)
                for row in (rows(stream) if rows else self.listed(stream))
                if not but(row)
            }
            held = self.tables.rows.get(stream, {})
            for sid in should.keys() | held.keys():
                if sid in self.twilio.rows and but(self.twilio.rows[sid].data):
                    continue
                if not rows and any(
                    expected(stream, row).items() <= held.get(sid, {}).items() for row in self._maybe.get(sid, [])
                ):
                    continue
                if sid not in should or sid not in held:
                    found[f"{stream} {sid}"] = "should not be there" if sid in held else f"missing: {should[sid]}"
                    continue
                for name, value in should[sid].items():
                    if held[sid].get(name) != value:
                        found[f"{stream} {sid} {name}"] = f"is {held[sid].get(name)!r}, should be {value!r}"
                if not held[sid].get("received_at"):
                    found[f"{stream} {sid} received_at"] = "is empty"
        return dict(itertools.islice(found.items(), 5))

    def pages(self, stream: str | None = None) -> list[str]:
        """The list pages that the last run asked for, in order; accounts aside."""
        return [
            f"{request.path}?{request.query}"
            for request in self.requests
            if request.kind in LISTED and stream in (None, request.kind)
        ]

    @staticmethod
    def environment(env: Json | None = None) -> Json:
        """This process's, without what could stand in for a setting."""
        return {**{name: value for name, value in os.environ.items() if not name.startswith("TWILIO_")}, **(env or {})}

    def _file(self, path: Path, value: Any) -> str:
        path.touch(0o600)
        path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
        return str(path)


class Started:
    """A tap that runs. Its output goes to a file, unless `stdout` says otherwise; then it is started as a user does."""

    def __init__(self, tap: Tap, command: Sequence[str], env: Json, stdout: Any) -> None:
        self.tap = tap
        name = f"{len(list(tap.folder.glob('*.err')))}"
        self._out, self._err = tap.folder / f"{name}.out", tap.folder / f"{name}.err"
        env = tap.environment(env)
        self._out.touch()
        self._err.touch()
        self.process: subprocess.Popen[bytes] | Forked
        if stdout is None:
            self.process = Forked(command[len(COMMAND) :], env, self._out, self._err)
            return
        with self._err.open("wb") as err:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=stdout, stderr=err)

    def wait(self, timeout_s: float = 60) -> Run:
        try:
            code = self.process.wait(timeout_s)
        finally:
            with suppress(OSError):
                self.process.kill()
            self.process.wait()
        self.tap.requests = list(self.tap.server.requests)
        self.tap.ended(well=code in (0, 3))
        return Run(code, whole_lines(self._out.read_bytes()), self._err.read_text("utf-8", "replace"))

    def wait_for(self, happened: Callable[[], bool], timeout_s: float = 20) -> Started:
        """Until something happened, or the tap ended by itself."""
        for _ in range(int(timeout_s * 500)):
            if happened() or self.process.poll() is not None:
                return self
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.002)
        raise AssertionError("It never happened.")

    def printed(self) -> bytes:
        return self._out.read_bytes()


def kept(state: Json, stream: str) -> dict[str, Json]:
    """What a state keeps of a stream, by account, without what is null."""
    found = {}
    for named, part in state["bookmarks"][stream]["partitions"]:
        for account in state["accounts"][named] if isinstance(named, str) else named:
            found[account] = {name: value for name, value in part.items() if value is not None}
    return found


def twice(run: Run) -> dict[str, int]:
    """The rows that a run emitted more than once."""
    return {sid: times for sid, times in Counter(run.sids()).items() if times > 1}


__all__ = [
    "COMMAND",
    "DAY",
    "HOUR",
    "LISTED",
    "ROOT",
    "SIX",
    "Run",
    "Started",
    "Tables",
    "Tap",
    "expected",
    "kept",
    "twice",
]
