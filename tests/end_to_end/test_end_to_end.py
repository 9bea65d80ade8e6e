"""The whole way: a simulated Twilio, the tap as a process, the real target, a real Postgres; every field compared."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from sandbox import Twilio
from testing.sampled import long
from testing.taps import LISTED, SIX, Tap, expected, properties
from testing.warehouse import Piped, Warehouse

MakeTap = Callable[..., Tap]
FAST = {"batch_size_rows": 500, "validate_records": False}


def same(stream: str, name: str, held: Any, should: Any) -> bool:
    """As Postgres holds it: dates without a zone, numbers exact."""
    if properties(stream)[name].get("format") == "date-time" and should is not None:
        return bool(held == datetime.fromisoformat(should[:-1]))
    if isinstance(should, (int, Decimal)) and not isinstance(should, bool):
        return isinstance(held, (int, Decimal)) and held == should
    return bool(held == should)


def differences(
    warehouse: Warehouse, schema: str, rows: Callable[[str], list[dict[str, Any]]], streams: Sequence[str] = LISTED
) -> list[str]:
    """Where the tables of a schema are not these rows; [] where all is right."""
    found = []
    for stream in streams:
        should = {row["sid"]: expected(stream, row) for row in rows(stream)}
        held = {row["sid"]: row for row in warehouse.rows(stream, schema)}
        found += [f"{stream} {sid}: missing" for sid in should.keys() - held.keys()]
        found += [f"{stream} {sid}: should not be there" for sid in held.keys() - should.keys()]
        for sid in should.keys() & held.keys():
            found += [
                f"{stream} {sid} {name}: is {held[sid][name]!r}, should be {value!r}"
                for name, value in should[sid].items()
                if not same(stream, name, held[sid][name], value)
            ]
            if held[sid]["received_at"] is None:
                found.append(f"{stream} {sid} received_at: is empty")
    return found[:5]


class Job:
    """The cron job: each run pipes the tap into the target, and keeps the last STATE that the target let go of."""

    def __init__(self, tap: Tap, warehouse: Warehouse, schema: str) -> None:
        self.tap, self.warehouse, self.schema = tap, warehouse, schema

    def run(self, **options: Any) -> Piped:
        self.tap.offer()
        piped = self.warehouse.pipe(self.tap.command(), None, self.schema, **{**FAST, **options})
        if piped.states:
            self.tap.state = piped.states[-1]
        self.tap.ended(well=piped.tap_exit == 0)
        return piped

    def sync(self, **options: Any) -> Piped:
        piped = self.run(**options)
        assert (piped.tap_exit, piped.target_exit) == (0, 0), piped.tap_log[-1000:] + piped.target_log[-1000:]
        return piped

    def wrong(self) -> list[str]:
        """Each row as the last good run found it; one deleted since may be newer, if a killed run saw it."""
        return [
            line
            for line in differences(self.warehouse, self.schema, self.tap.listed)
            if not self.tap.uncertain(line.split()[1].rstrip(":"))
        ]


def some_weeks(seed: int, days: int = 20) -> Twilio:
    """Two accounts with some of everything."""
    twilio = Twilio(seed, accounts=2, start="2025-11-01")
    return twilio.advance(24 * days).begin()


@pytest.mark.parametrize("syncs", [3, *long(6)])
def test_the_tables_in_postgres_equal_twilio_after_each_of_some_syncs(
    tap_of: MakeTap, warehouse: Warehouse, syncs: int
) -> None:
    """Row by row and field by field: after the first sync, after time moved on, and after a kill."""
    twilio = some_weeks(11)
    schema = f"syncs_{syncs}"
    job = Job(tap_of(twilio, page_size=100, state_seconds=0), warehouse, schema)
    job.sync()
    assert differences(warehouse, schema, twilio.truth) == []
    for number in range(2, syncs + 1):
        twilio.advance(9, busy=3)
        if number == syncs // 2 + 1:
            piped = job.run(kill_after_bytes=60_000)
            assert piped.tap_exit == -9
            continue
        job.sync()
        assert job.wrong() == []


def test_a_first_load_that_was_killed_is_gone_on_with(tap_of: MakeTap, warehouse: Warehouse) -> None:
    """From the last STATE that the target let go of, and without a row twice in the table."""
    twilio = some_weeks(12)
    job = Job(tap_of(twilio, page_size=20, state_seconds=0), warehouse, "killed")
    first = job.tap.run()
    piped = job.run(kill_after_bytes=sum(map(len, first.lines)) * 2 // 3, to_line_end=True)
    assert (piped.tap_exit, piped.target_exit) == (-9, 0)
    assert piped.states
    assert len(job.tap.run(rescan_pages=1).sids()) < len(first.sids()) * 2 // 3
    job.sync()
    job.sync()
    assert job.wrong() == []
    for stream in LISTED:
        rows = warehouse.rows(stream, "killed")
        assert len({row["sid"] for row in rows}) == len(rows)


def test_all_six_tables_are_right_and_stay_so(tap_of: MakeTap, warehouse: Warehouse) -> None:
    """call_feedback as well, whose rows are asked call by call: after a first sync, and when time has moved on."""
    twilio = some_weeks(14)
    for call in [row for row in twilio.present("calls") if row["status"] == "completed"][::9]:
        twilio.feedback(call["sid"], 4, ["echo", "latency"])
    job = Job(tap_of(twilio, call_feedback_source="feedback").select(*SIX), warehouse, "six")
    for _ in range(2):
        job.sync()
        assert differences(warehouse, "six", job.tap.listed, SIX) == []
        twilio.advance(3)


def test_under_full_table_deleted_rows_leave_postgres(tap_of: MakeTap, warehouse: Warehouse) -> None:
    """With hard_delete, a table is what Twilio lists; a stream that is INCREMENTAL keeps what was deleted."""
    twilio = some_weeks(13)
    tap = tap_of(twilio).select("transcriptions", "conferences", full_table=["transcriptions"])
    job = Job(tap, warehouse, "full_table")
    job.sync(hard_delete=True)
    assert differences(warehouse, "full_table", twilio.present, ["transcriptions"]) == []
    before = len(twilio.truth("conferences"))
    twilio.advance(20)
    for stream in ("transcriptions", "conferences"):
        for row in twilio.present(stream)[::5]:
            twilio.delete(row["sid"])
    job.sync(hard_delete=True)
    assert differences(warehouse, "full_table", twilio.present, ["transcriptions"]) == []
    assert len(warehouse.rows("conferences", "full_table")) >= before


@pytest.mark.long
def test_half_a_year_of_sixty_syncs_with_a_kill_in_every_fifth(tap_of: MakeTap, warehouse: Warehouse) -> None:
    """Three accounts; some three days between syncs, in which rows come, change, move and go."""
    rng = random.Random(60)
    twilio = Twilio(seed=60, accounts=3, start="2025-10-01", late_hours=4.0, null_date_updated=0.02)
    twilio.advance(92 * 24)
    twilio.begin()
    orders = itertools.cycle(["created", "first", "last"])
    tokens = itertools.cycle(["taken", "refused", "empty", "refused"])
    job = Job(tap_of(twilio, page_size=20, state_seconds=0, rescan_pages=1000), warehouse, "half_a_year")
    for number in range(1, 61):
        if number % 10 == 0:
            twilio.order, twilio.deleted_token = next(orders), next(tokens)
        if number % 5 == 0:
            job.run(kill_after_bytes=rng.randrange(20_000, 400_000), to_line_end=rng.random() < 0.5)
        else:
            job.sync()
        twilio.advance(rng.choice((3, 24, 72, 190)) * 1.0)
    for _ in range(2):  # what a backfill by date owes comes with the round after it
        job.sync()
        twilio.advance(12, busy=0)
    job.sync()
    assert job.wrong() == []
