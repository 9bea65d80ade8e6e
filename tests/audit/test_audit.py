"""`tap-twilio audit` against a real Postgres that a real target filled, and that somebody changed behind its back."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo.sync import sqlalchemy_url
from sandbox import Twilio
from testing.sampled import long
from testing.taps import COMMAND, ROOT, Tap
from testing.warehouse import TARGET, Warehouse

MakeTap = Callable[..., Tap]
Json = dict[str, Any]


class Audited:
    """A tap whose rows are in a schema of the warehouse, and the audit of both."""

    def __init__(self, tap: Tap, warehouse: Warehouse, schema: str) -> None:
        self.tap, self.warehouse, self.schema = tap, warehouse, schema
        self.diff = tap.folder / "diff.csv"

    def sync(self, **target: Any) -> None:
        run = self.tap.sync()
        self.warehouse.load(b"".join(run.lines), self.schema, **target)

    def run(self, *arguments: str, url: str = "", **settings: Any) -> subprocess.CompletedProcess[str]:
        state, self.tap.state = self.tap.state, None
        command = self.tap.command(**settings)
        self.tap.state = state
        place = ["--url", url or sqlalchemy_url(self.warehouse.url), "--schema", self.schema]
        return subprocess.run(
            [*COMMAND, "audit", *command[len(COMMAND) :], *place, "--diff", str(self.diff), *arguments],
            cwd=ROOT, env=self.tap.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip

    def report(self, *arguments: str, exits: int = 0, **settings: Any) -> Json:
        """Return the report by stream."""
        done = self.run("--format", "json", *arguments, **settings)
        assert done.returncode == exits, (done.stdout, done.stderr)
        return {stream["stream"]: stream for stream in json.loads(done.stdout)["streams"]}

    @property
    def differences(self) -> set[tuple[str, str, str]]:
        """Return the key of each row that differs, what differs, and the properties."""
        with self.diff.open() as file:
            return {(row["key"], row["what"], row["properties"]) for row in csv.DictReader(file)}

    def emit(self, *arguments: str) -> None:
        """Hand the wrong rows to the target again."""
        done = self.run("--emit", *arguments)
        assert done.returncode == 6, done.stderr
        assert '"type":"STATE"' not in done.stdout
        self.warehouse.load(done.stdout.encode(), self.schema)

    def table(self, stream: str) -> str:
        return f'"{self.schema}"."{stream}"'


@pytest.fixture
def audited(tap_of: MakeTap, warehouse: Warehouse, request: pytest.FixtureRequest) -> Iterator[Callable[..., Audited]]:
    schema = f"audit_{abs(hash(request.node.name)) % 10**8}"

    def make(twilio: Twilio, *streams: str, **settings: Any) -> Audited:
        tap = tap_of(twilio, **settings)
        tap.select(*streams) if streams else None
        return Audited(tap, warehouse, schema)

    yield make
    warehouse.drop(schema)


def history(rows: int = 400) -> Twilio:
    """Two months of messages and calls, some of which no date filter lists."""
    twilio = Twilio(seed=1, start="2025-12-01T00:00:00Z").at("2026-03-01T00:00:00Z")
    dates = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-20T00:00:00Z"}
    twilio.messages(rows, price=lambda n: f"-0.{n % 90 + 10:05}", **dates)
    twilio.messages(rows // 20, status="canceled", **dates)
    twilio.calls(rows // 2, **dates)
    return twilio


@pytest.mark.parametrize("rows", [400, *long(50_000)])
def test_it_names_exactly_the_rows_that_differ_and_mends_them(audited: Callable[..., Audited], rows: int) -> None:
    """Deleted, changed in each property, and added behind the target's back; then nothing differs any more."""
    one = audited(history(rows), "messages", "calls", page_size=50 if rows < 1_000 else 1_000)
    one.sync()
    one.sync()  # brings the rows that no time slice of the first sync showed
    assert {name: stream["changed"] for name, stream in one.report().items()} == {"messages": 0, "calls": 0}
    expected = set()
    for stream, types in (("messages", _types(one, "messages")), ("calls", _types(one, "calls"))):
        sids = [row["sid"] for row in one.warehouse.query(f"select sid from {one.table(stream)} order by sid")]
        skipped = {"sid", "received_at", *(name for name, kind in types.items() if kind in ("jsonb", "ARRAY", "json"))}
        for name, sid in zip([name for name in types if name not in skipped and not name.startswith("_sdc")], sids[5:]):
            one.warehouse.query(
                f'update {one.table(stream)} set "{name}" = {_other(types[name], name)} where sid = %s', sid
            )
            expected.add((sid, "changed", name))
        one.warehouse.query(f"delete from {one.table(stream)} where sid = any(%s)", sids[:3])
        expected |= {(sid, "missing", "") for sid in sids[:3]}
        prefix, day = sids[0][:2], "2026-02-01"
        one.warehouse.query(
            f"insert into {one.table(stream)} (sid, account_sid, date_created, date_updated, {_dated(stream)})"
            f" select '{prefix}' || repeat('0', 32), account_sid, '{day}', '{day}', '{day}'"
            f" from {one.table(stream)} limit 1"
        )
        expected.add((f"{prefix}{'0' * 32}", "extra", ""))

    one.report("--extras", exits=6)
    assert one.differences == expected

    done = one.run("--extras")
    for line in done.stdout.splitlines():
        if line.startswith("DELETE"):
            one.warehouse.query(line.replace("%", "%%"))
    one.emit()
    assert one.run().returncode == 0
    assert "all equal" in one.run().stdout


def _types(one: Audited, stream: str) -> dict[str, str]:
    query = "select column_name, data_type from information_schema.columns where table_schema = %s and table_name = %s"
    return {row["column_name"]: row["data_type"] for row in one.warehouse.query(query, one.schema, stream)}


def _dated(stream: str) -> str:
    return "date_sent" if stream == "messages" else "start_time"


def _other(kind: str, name: str) -> str:
    """Return another value of a column, in SQL."""
    if name == "account_sid":
        return "'AC' || repeat('e', 32)"
    quoted = f'"{name}"'
    if kind == "boolean":
        return f"not coalesce({quoted}, false)"
    if kind in ("numeric", "bigint", "integer", "double precision"):
        return f"coalesce({quoted}, 0) + 1"
    if kind.startswith("timestamp"):
        return f"coalesce({quoted}, '2026-01-05') - interval '3 days'"
    return f"coalesce({quoted}, '') || 'x'"


def test_what_twilio_changed_since_the_last_sync_is_due_if_lateness_covers_it(audited: Callable[..., Audited]) -> None:
    """The warehouse is one sync behind; a shorter lateness calls the same rows wrong."""
    twilio = history(60)
    one = audited(twilio, "messages")
    one.sync()
    sids = twilio.messages(3)
    changed = one.tap.tables.rows["messages"]
    twilio.change(next(iter(changed)), body="changed just now")
    twilio.at("2026-03-01T02:00:00Z")

    stream = one.report()["messages"]
    assert (stream["due"], stream["missing"], stream["changed"]) == (4, 0, 0)
    assert one.report(exits=6, lateness_hours=1)["messages"]["missing"] == len(sids)


def test_some_days_need_only_the_requests_for_these_days(audited: Callable[..., Audited]) -> None:
    """--sample names the days that it drew by its seed, and says what they prove."""
    one = audited(history(2_000), "messages", page_size=20)
    one.sync()
    everything = one.run("--format", "json")
    whole = json.loads(everything.stdout)
    (estimated,) = map(int, re.findall(r"some ([\d]+) requests", everything.stderr.replace(",", "")))
    assert whole["requests"] / 2 <= estimated <= whole["requests"] * 2
    one.tap.server.reset()

    done = one.run("--sample", "10", "--seed", "7")
    assert done.returncode == 0, done.stderr
    assert "days at random were equal (--seed 7): with 95 % confidence fewer than" in done.stdout
    pages = [request for request in one.tap.server.requests if request.kind == "messages"]
    assert pages and len(pages) < whole["requests"] / 2
    assert all("DateSent" in request.query for request in pages)


@pytest.mark.long
def test_what_the_state_leaves_to_rescans_is_due(audited: Callable[..., Audited]) -> None:
    """After the first sync of a long list, the messages that were never sent are missing; the next sync brings them."""
    one = audited(history(2_000), "messages", page_size=20)
    one.sync()
    state = one.tap.folder / "state.json"
    state.write_text(json.dumps(one.tap.state))

    assert one.report(exits=6)["messages"]["missing"] == 100
    assert one.report("--state", str(state))["messages"]["due"] == 100
    one.sync()
    assert one.report()["messages"]["twilio"] == 2_100


def test_a_password_is_refused_in_the_address_and_shown_nowhere(audited: Callable[..., Audited]) -> None:
    one = audited(Twilio(seed=0), "messages")
    done = one.run(url="postgresql://etl:hunter2222@db/warehouse")

    assert done.returncode == 1
    assert "TAP_TWILIO_WAREHOUSE_PASSWORD" in done.stderr
    assert "hunter2222" not in done.stdout + done.stderr


def test_a_role_that_may_only_select_is_enough(audited: Callable[..., Audited]) -> None:
    one = audited(history(30), "messages")
    one.sync()
    role = f"reader_{one.schema}"
    one.warehouse.query(f"create role {role} login")
    one.warehouse.query(f"grant usage on schema {one.schema} to {role}")
    one.warehouse.query(f"grant select on all tables in schema {one.schema} to {role}")
    url = sqlalchemy_url(one.warehouse.url).replace("://postgres@", f"://{role}@")

    assert one.run(url=url).returncode == 0
    one.warehouse.query(f"drop owned by {role}")
    one.warehouse.query(f"drop role {role}")


def test_no_value_of_a_row_leaves_unless_asked_for(audited: Callable[..., Audited]) -> None:
    one = audited(history(30), "messages")
    one.sync()
    one.warehouse.query(f"update {one.table('messages')} set body = 'a secret body' where sid like %s", "SM%")

    done = one.run(exits := "--format", "json")
    assert exits and done.returncode == 6
    assert "secret" not in done.stdout + done.stderr + one.diff.read_text()
    one.run("--values")
    assert "a secret body" in one.diff.read_text()


def test_the_result_of_the_printed_statement_is_enough(audited: Callable[..., Audited], tmp_path: Path) -> None:
    """It is run elsewhere, and its CSV is handed back: then the audit names days, not rows."""
    one = audited(history(60), "messages", "calls")
    one.sync()
    one.warehouse.query(f"delete from {one.table('calls')} where sid in (select sid from {one.table('calls')} limit 1)")
    config = one.tap.command()
    at = config.index("--config")
    common = [*COMMAND, "audit", *config[at : at + 2], "--select", "messages,calls", "--schema", one.schema]
    sql = subprocess.run([*common, "--sql", "postgres"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = one.warehouse.query(sql.replace("%", "%%").rstrip().rstrip(";"))
    result = tmp_path / "result.csv"
    with result.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)

    done = subprocess.run(
        [*common, "--warehouse", result, "--format", "json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 6, done.stderr
    found = {stream["stream"]: len(stream["differing_buckets"]) for stream in json.loads(done.stdout)["streams"]}
    assert found == {"messages": 0, "calls": 1}


def test_rows_that_a_table_without_a_key_has_twice_are_found(audited: Callable[..., Audited]) -> None:
    """The printed SQL, run by hand, leaves one of them."""
    one = audited(history(30), "messages")
    one.sync()
    copy = f"create table {one.schema}.copied as select * from {one.table('messages')}"
    one.warehouse.query(copy)
    one.warehouse.query(f"drop table {one.table('messages')}")
    one.warehouse.query(f"alter table {one.schema}.copied rename to messages")
    (sid,) = (row["sid"] for row in one.warehouse.query(f"select min(sid) as sid from {one.table('messages')}"))
    one.warehouse.query(
        f"insert into {one.table('messages')} select * from {one.table('messages')} where sid = %s", sid
    )

    done = one.run()
    assert done.returncode == 6, done.stderr
    assert one.differences == {(sid, "duplicate", "")}
    (delete,) = (line for line in done.stdout.splitlines() if line.startswith("DELETE"))
    one.warehouse.query(delete)
    assert one.run().returncode == 0


def test_a_repaired_state_makes_the_next_sync_emit_the_wrong_rows(audited: Callable[..., Audited]) -> None:
    one = audited(history(60), "messages")
    one.sync()
    one.warehouse.query(
        f"delete from {one.table('messages')} where sid in (select sid from {one.table('messages')} limit 2)"
    )
    state = one.tap.folder / "state.json"
    state.write_text(json.dumps(one.tap.state))

    done = one.run("--repair", str(state))
    assert done.returncode == 6, done.stderr
    one.tap.state = json.loads(done.stdout)
    one.sync()
    assert one.run().returncode == 0


KINDS = ("conferences", "queues", "alerts", "usage_records", "call_feedback", "conference_participants")


def test_each_kind_of_stream_is_compared(audited: Callable[..., Audited]) -> None:
    """Rescanned lists, lists without dates, a log, sums by day, and lists below rows: equal, and then not."""
    twilio = Twilio.demo(seed=3)
    one = audited(twilio, "calls", *KINDS)
    one.tap.settings["base_url"] += "/{product}"
    run = one.tap.run()
    one.warehouse.load(b"".join(run.lines), one.schema)

    equal = one.report()
    assert {name: stream["incomplete"] for name, stream in equal.items()} == {name: [] for name in (*KINDS, "calls")}
    some_days = one.report("--days", "20")
    assert some_days["alerts"]["twilio"] and some_days["calls"]["twilio"] < equal["calls"]["twilio"]
    filled = {name for name, stream in equal.items() if stream["twilio"]}
    assert filled >= {"calls", "conferences", "alerts", "call_feedback"}
    for name in filled:
        query = f"delete from {one.table(name)} where ctid = (select min(ctid) from {one.table(name)})"
        one.warehouse.query(query)
    twilio.at(twilio.now + timedelta(hours=8))  # no row is young any more
    wrong = one.report(exits=6)
    assert {name for name, stream in wrong.items() if stream["missing"] == 1} == filled


def test_run_sync_audits_after_the_sync(audited: Callable[..., Audited], tmp_path: Path) -> None:
    """By the target's own config; the verdict stands in the summary."""
    one = audited(history(60), "messages")
    config = tmp_path / "target.json"
    config.write_text(
        json.dumps({"sqlalchemy_url": sqlalchemy_url(one.warehouse.url), "default_target_schema": one.schema})
    )
    summary = tmp_path / "summary.json"
    target = f"{TARGET}/target-postgres --config {config}"
    command = [
        *COMMAND,
        "run-sync",
        "--target",
        target,
        "--state",
        str(tmp_path / "state"),
        "--summary-json",
        str(summary),
    ]
    command += ["--audit", "--", *one.tap.command()[len(COMMAND) :]]
    environment = one.tap.environment()

    def run() -> Json:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        found: Json = json.loads(summary.read_text())
        assert done.returncode == found["audit"]["exit_code"], done.stderr
        return found

    assert run()["audit"]["equal"] is True
    one.warehouse.query(f"delete from {one.table('messages')}")
    found = run()
    assert found["tap_exit"] == 0 and found["audit"]["exit_code"] == 6


def test_duckdb_is_read_by_its_own_package(audited: Callable[..., Audited]) -> None:
    """As a target leaves it: exact decimals are compared, floats are left out and named."""
    one = audited(history(30), "messages")
    records = one.tap.sync().records("messages")
    kinds = {"price": "double", "num_segments": "bigint", "num_media": "bigint", "error_code": "bigint"}
    kinds |= dict.fromkeys(("date_created", "date_updated", "date_sent"), "timestamp")
    path = one.tap.folder / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        names = ", ".join(f'"{name}" {kinds.get(name, "varchar")}' for name in records[0])
        connection.execute(f"create schema {one.schema}")
        connection.execute(f"create table {one.table('messages')} ({names})")
        marks = ", ".join("?" * len(records[0]))
        rows = [[str(value) if isinstance(value, dict) else value for value in row.values()] for row in records]
        connection.executemany(f"insert into {one.table('messages')} values ({marks})", rows)

    equal = one.run(url=f"duckdb:///{path}")
    assert equal.returncode == 0, equal.stderr
    assert "price (DOUBLE)" in equal.stdout and "all equal but for price" in equal.stdout
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"update {one.table('messages')} set body = body || '!' where sid = ?", [records[0]["sid"]])
    assert one.run(url=f"duckdb:///{path}").returncode == 6
    assert one.differences == {(records[0]["sid"], "changed", "body")}


def test_masked_columns_are_compared_and_emitted_as_the_tap_masks_them(audited: Callable[..., Audited]) -> None:
    """A masked table equals Twilio, and a row that goes to the target again holds no plain text."""
    mask = {"messages.body": "null", "messages.from": "hash", "messages.to": "hash"}
    one = audited(history(40), "messages", mask=mask, mask_key="a key of this test")
    one.sync()
    one.sync()
    report = one.report()["messages"]
    assert (report["missing"], report["changed"], report["extra"]) == (0, 0, 0)
    [row] = one.warehouse.query(f"delete from {one.table('messages')} where sid in "
                                f"(select min(sid) from {one.table('messages')}) returning *")  # fmt: skip
    done = one.run("--emit")
    assert done.returncode == 6, done.stderr
    [record] = [line["record"] for line in map(json.loads, done.stdout.splitlines()) if line["type"] == "RECORD"]
    assert (record["sid"], record["body"]) == (row["sid"], None)
    assert (record["from"], record["to"]) == (row["from"], row["to"])
    assert all(re.fullmatch("[0-9a-f]{64}", record[name]) for name in ("from", "to"))
