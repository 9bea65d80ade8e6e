"""Personal data: the recipes of docs/pii.md, as they stand there, with the real target where it has a part in them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox import Twilio
from testing.taps import ROOT, Tap, expected
from testing.warehouse import Piped, Warehouse

MakeTap = Callable[..., Tap]
PAGE = (ROOT / "docs/pii.md").read_text("utf-8")
SCHEMA = "twilio"  # as the page has it


def blocks(kind: str) -> list[str]:
    """The code blocks of a kind, in order."""
    return re.findall(rf"(?ms)^```{kind}\n(.+?)^```$", PAGE)


(SELECT,) = re.findall("--select '(.+?)'", blocks("sh")[0])
MASKING, METADATA, TARGET = map(json.loads, blocks("json"))
DROP, DELETE_MESSAGE, DELETE_CALL, DELETE_PERSON = blocks("sql")


@pytest.fixture
def twilio() -> Twilio:
    """Old messages and recent ones, and calls; the clock stands a while after."""
    twilio = Twilio(seed=8, start="2025-12-01").at("2026-03-01T00:00:00Z")
    twilio.messages(30, since="2025-12-01", until="2026-02-28", body=lambda i: f"secret text {i}")
    twilio.calls(5, created="2026-02-01", caller_name="A. Person")
    return twilio


class Job:
    """The cron job: each run goes through the real target into the schema that the page names."""

    def __init__(self, tap: Tap, warehouse: Warehouse) -> None:
        self.tap, self.warehouse = tap, warehouse

    def sync(self, *arguments: str, **target: Any) -> Piped:
        piped = self.warehouse.pipe(self.tap.command(*arguments), {"LOGLEVEL": "DEBUG"}, SCHEMA, **target)
        assert (piped.tap_exit, piped.target_exit) == (0, 0), piped.tap_log[-1000:] + piped.target_log[-1000:]
        self.tap.state = piped.states[-1]
        return piped

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        return {row["sid"]: row for row in self.warehouse.rows(table, SCHEMA)}


@pytest.fixture
def job(tap_of: MakeTap, twilio: Twilio, warehouse: Warehouse) -> Any:
    warehouse.drop(SCHEMA)
    yield Job(tap_of(twilio).select("messages", "calls"), warehouse)
    warehouse.drop(SCHEMA)


def test_what_the_config_masks_does_not_leave_the_tap(job: Job) -> None:
    """A number has one hash in both tables."""
    run = job.tap.run(**MASKING)

    assert run.exit_code == 0, run.log
    assert len(run.records("messages")) == 30 and len(run.records("calls")) == 5
    number = re.escape(job.tap.twilio.truth("messages")[0]["from"])
    assert not re.search(f"secret text|A. Person|{number}", b"".join(run.lines).decode() + run.log)
    assert all(len(record["from"]) == 64 for stream in ("messages", "calls") for record in run.records(stream))


def test_what_is_left_out_on_the_command_line_does_not_leave_the_tap(job: Job) -> None:
    """Nor does it stand in SCHEMA; all else comes."""
    job.tap.catalog = None
    run = job.tap.run("--select", SELECT)

    assert run.exit_code == 0, run.log
    assert len(run.records("messages")) == 30 and len(run.records("calls")) == 5
    assert not re.search("secret text|A. Person|caller_name", b"".join(run.lines).decode())
    assert all("body" not in message["schema"]["properties"] for message in run.messages("SCHEMA"))


@pytest.mark.long
def test_what_the_catalog_leaves_out_later_stays_in_its_column_until_that_is_dropped(job: Job) -> None:
    """The rows come once more, without it; what was loaded before is the warehouse's to forget."""
    job.sync()
    before = {sid: row["body"] for sid, row in job.rows("messages").items()}
    assert job.tap.catalog is not None
    entry = next(one for one in job.tap.catalog["streams"] if one["tap_stream_id"] == "messages")
    entry["metadata"] = [one for one in entry["metadata"] if one["breadcrumb"] != METADATA["breadcrumb"]] + [METADATA]
    job.sync()
    assert {sid: row["body"] for sid, row in job.rows("messages").items()} == before

    job.warehouse.query(DROP)
    job.tap.twilio.messages(1, body="secret text 99")
    job.sync()

    assert len(job.rows("messages")) == 31
    assert not any("body" in row for row in job.rows("messages").values())


def test_numbers_are_hashed_at_the_target(job: Job, twilio: Twilio) -> None:
    """One number has one hash in all tables, null stays null, a column mapped to null is left out; no other changes."""
    (nobody,) = twilio.messages(1, from_=None)
    job.sync(**TARGET)

    def hashed(number: str | None) -> str | None:
        seeded = TARGET["stream_map_config"]["seed"] + (number or "")
        return hashlib.sha256(seeded.encode()).hexdigest() if number else None

    messages, calls = job.rows("messages"), job.rows("calls")
    for stream, rows in (("messages", messages), ("calls", calls)):
        assert rows.keys() == {row["sid"] for row in twilio.present(stream)}
        for row in twilio.present(stream):
            held, should = rows[row["sid"]], expected(stream, row)
            assert (held["from"], held["to"]) == (hashed(row["from"]), hashed(row["to"]))
            assert (held["status"], held["price"]) == (should["status"], should["price"])
            assert held["price"] is None or isinstance(held["price"], Decimal)
    assert messages[nobody]["from"] is None
    left_out = {name for about in TARGET["stream_maps"].values() for name, rule in about.items() if rule is None}
    assert not left_out & {name for row in (*messages.values(), *calls.values()) for name in row}


@pytest.mark.parametrize("silently", [True, False])
def test_a_redacted_body_is_empty_after_the_next_sync(job: Job, twilio: Twilio, silently: bool) -> None:
    """Months later too, and whether or not Twilio moves `date_updated`; the log counts the rows where it does not."""
    job.tap.sync()
    old = twilio.present("messages")[0]["sid"]
    twilio.advance(24)
    twilio.silent_changes = silently
    twilio.change(old, body="")
    run = job.tap.sync(env={"LOGLEVEL": "DEBUG"})

    redacted = [row for row in run.records("messages") if row["sid"] == old]
    assert [row["body"] for row in redacted] == [""]
    assert run.table["messages"][2] == ("1" if silently else "0")
    assert "all history re-read" not in run.log  # else the page's "next sync" would be later
    assert job.tap.wrong(["messages", "calls"]) == {}


def erase(job: Job, sql: str, **values: str) -> None:
    """Run the page's SQL with these in place of its examples."""
    for example, value in values.items():
        sql = sql.replace({"message": "SM…", "call": "CA…", "number": "+12025550100"}[example], value)
    for statement in filter(str.strip, sql.split(";")):
        job.warehouse.query(statement)


@pytest.mark.long
def test_what_is_deleted_by_hand_and_at_twilio_does_not_come_back(job: Job, twilio: Twilio) -> None:
    """A message with its media, a call with its feedback, all of a person: also in a sync without a state."""
    gone, other = [row["sid"] for row in twilio.present("messages")[:2]]
    twilio.change(gone, num_media="1")
    for message in (gone, other):
        twilio.add("message_media", twilio.main, message)
    call = twilio.present("calls")[0]["sid"]
    theirs = twilio.messages(2, from_="+12025559999") + twilio.calls(1, to="+12025559999")
    job.tap.select("messages", "message_media", "calls", "call_feedback")
    twilio.feedback(call, 5)
    job.sync()
    assert job.rows("call_feedback").keys() == {call}

    for sid in (gone, call, *theirs):
        twilio.delete(sid)
    erase(job, DELETE_MESSAGE, message=gone)
    erase(job, DELETE_CALL, call=call)
    erase(job, DELETE_PERSON, number="+12025559999")
    job.sync()
    job.tap.state = None
    job.sync()

    assert job.rows("messages").keys() == {row["sid"] for row in twilio.present("messages")}
    assert job.rows("calls").keys() == {row["sid"] for row in twilio.present("calls")}
    assert job.rows("call_feedback") == {}
    assert gone not in {row["parent_sid"] for row in job.rows("message_media").values()}


@pytest.mark.long
def test_a_row_that_only_the_warehouse_lost_comes_back_when_it_changes(job: Job, twilio: Twilio) -> None:
    """Not with the next sync: the state says that it was written."""
    lost = twilio.present("messages")[0]["sid"]
    job.sync()
    erase(job, DELETE_MESSAGE.splitlines()[0], message=lost)
    job.sync()
    assert lost not in job.rows("messages")
    twilio.change(lost, body="")
    job.sync()

    assert job.rows("messages")[lost]["body"] == ""


@pytest.mark.long
@pytest.mark.parametrize("hard", [True, False])
def test_under_full_table_the_target_deletes_what_twilio_deleted(job: Job, twilio: Twilio, hard: bool) -> None:
    """With hard_delete the row is gone; without it the row is marked, and keeps what it held."""
    job.tap.select("messages", full_table=["messages"])
    job.sync(hard_delete=hard)
    gone = twilio.present("messages")[0]
    twilio.delete(gone["sid"])
    job.sync(hard_delete=hard)

    rows = job.rows("messages")
    if hard:
        assert rows.keys() == {row["sid"] for row in twilio.present("messages")}
    else:
        assert rows[gone["sid"]]["_sdc_deleted_at"]
        assert rows[gone["sid"]]["body"] == gone["body"]


def test_neither_the_log_nor_the_state_holds_a_value(job: Job, twilio: Twilio, tmp_path: Path) -> None:
    """At LOGLEVEL=DEBUG, of rows that change, are redacted and are deleted."""
    first = job.tap.sync(env={"LOGLEVEL": "DEBUG"})
    changed, deleted = twilio.present("messages")[0], twilio.present("messages")[1]
    twilio.change(changed["sid"], body="")
    twilio.delete(deleted["sid"])
    second = job.tap.sync(env={"LOGLEVEL": "DEBUG"})

    kept = first.log + second.log + json.dumps(first.states + second.states)
    values = {row[name] for row in (changed, deleted) for name in ("body", "from", "to")}
    assert not [value for value in values if value in kept]
    assert "secret text" not in kept and "A. Person" not in kept
