"""Test refreshes over random histories: kills, small limits, older STATEs, and lists that change meanwhile."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.state.model import OpenRefresh
from tap_twilio.tables.effects import Emit
from tap_twilio.timestamps import BEGINNING, END
from tap_twilio.timestamps import from_datetime as text
from testing.histories import ACCOUNT, DAY, FEW, HOUR, Tap, TwilioList, histories, live

from .test_child_streams import TABLES, Family
from .test_child_streams import Tap as FamilyTap

SEEDS = st.integers(0, 10**9)
STREAMS = ("messages", "calls", "conferences", "addresses")


class RefreshTap(Tap):
    """A tap whose next sync gets `--refresh`."""

    requested: OpenRefresh | None = None

    def __init__(self, twilio: TwilioList) -> None:
        super().__init__(twilio)
        self.all_emitted: list[str] = []

    def request(self, days: tuple[datetime, datetime] | None) -> None:
        """Have the next sync write the rows of some days again, or all rows."""
        name = self.twilio.stream.name
        since, until = map(text, days) if days else (BEGINNING, END)
        self.requested = OpenRefresh(text(self.twilio.now), [name], since=since, until=until)
        self.requested.dated_by = name if days else None
        self.all_emitted = []

    def reading(self, budget: int, **bounds: Any) -> PartitionRead:
        reading = super().reading(budget, **bounds)
        if self.requested:
            reading.state.refreshes, self.requested = [self.requested], None
        return reading

    def emit(self, emit: Emit) -> None:
        before = len(self.emitted)
        super().emit(emit)
        self.all_emitted += self.emitted[before:]

    def selected(self, days: tuple[datetime, datetime] | None) -> set[str]:
        """The listed rows of some days, by the date of the filter, or by that of their creation."""
        rows = [row for row in self.twilio.rows.values() if row["shown"] <= self.twilio.now]
        date = self.twilio.column
        return {row["sid"] for row in rows if not days or days[0] <= (row[date] or row["date_created"]) < days[1]}


def some_days(twilio: TwilioList) -> tuple[datetime, datetime] | None:
    """Some days of the list's past, or None for all."""
    if twilio.rng.random() < 0.2:
        return None
    last = twilio.now - twilio.rng.choice((0, 3, 40, 200, 500)) * DAY
    last = last.replace(hour=0, minute=0, second=0) + DAY
    return last - twilio.rng.choice((1, 7, 60, 300)) * DAY, last


def settle(tap: RefreshTap, **bounds: Any) -> None:
    """Sync until nothing is left to do, and nothing is emitted."""
    for _ in range(5):
        tap.twilio.now += DAY
        assert tap.sync(chatter=0, **bounds)
    assert not tap.emitted and not tap.wrong()


@pytest.mark.parametrize("stream", STREAMS)
@FEW
@given(seed=SEEDS)
def test_exactly_the_selected_rows_are_written_and_those_that_changed(stream: str, seed: int) -> None:
    """Wherever a sync dies; the next ones go on from any STATE that it wrote."""
    twilio, tap = _history(stream, seed)
    rng = twilio.rng
    settle(tap)
    for _ in range(2):
        days = some_days(twilio)
        changed = set(rng.sample(sorted(tap.selected(None)), min(rng.randrange(3), len(tap.selected(None)))))
        for sid in changed:
            twilio.rows[sid]["price"] += 1
        should = tap.selected(days) | changed
        tap.request(days)
        tap.states = []
        died = not tap.sync(chatter=0, lives=rng.choice((None, 1, 3, 8)))
        if died and tap.states:
            tap.written, _ = rng.choice(tap.states)
        tap.states = None
        if died and not tap.state.refreshes and not tap.all_emitted:
            should = changed  # it died before its first STATE
        for _ in range(60):
            if not tap.state.refreshes:
                break
            twilio.now += HOUR
            assert tap.sync(chatter=0)
        assert tap.state.refreshes is None
        tap.sync(chatter=0)
        assert set(tap.all_emitted) == should
        assert not tap.wrong()


@pytest.mark.parametrize("stream", STREAMS)
@FEW
@given(seed=SEEDS)
def test_no_selected_row_is_missed_while_the_list_changes(stream: str, seed: int) -> None:
    """A first sync may be open, rows move while they are read, and come late; the refresh ends, and all is right."""
    twilio, tap = _history(stream, seed)
    rng = twilio.rng
    for _ in range(rng.randrange(3)):
        tap.sync(budget=rng.choice((1, 4, 10**6)), lives=rng.choice((None, 2, 8)))
        live(twilio)
    days = some_days(twilio)
    listed = tap.selected(days)
    tap.request(days)
    for _ in range(40):
        tap.sync(budget=rng.choice((1, 4, 10**6)), lives=rng.choice((None, None, 9)))
        if tap.written is not None and not tap.state.refreshes:
            break
        live(twilio)
    for _ in range(8):
        twilio.now += 3 * HOUR
        tap.sync(chatter=0)
    assert tap.state.refreshes is None
    assert listed & tap.selected(days) <= set(tap.all_emitted)
    assert not tap.wrong()


def _history(stream: str, seed: int) -> tuple[TwilioList, RefreshTap]:
    twilio, _ = histories(seed, stream)
    return twilio, RefreshTap(twilio)


@FEW
@given(seed=SEEDS)
def test_a_family_is_written_again(seed: int) -> None:
    """Each of the three tables, by the dates of the rows that the declaration says, while some requests fail."""
    twilio = Family(random.Random(seed))
    rng = twilio.rng
    for number in range(rng.randrange(1, 7)):
        twilio.add(twilio.now - timedelta(days=20 * number + 1))
    for _ in range(40):
        twilio.happen()
        twilio.now += rng.choice((HOUR, DAY))
    tap = FamilyTap(twilio)
    for _ in range(4):
        twilio.now += DAY
        assert tap.sync(chatter=0)
    names = rng.sample(TABLES, rng.randrange(1, 4))
    tap.refresh = OpenRefresh(text(twilio.now), names)
    twilio.trouble = rng.choice((0, 0.3))
    emitted: set[str] = set()
    for _ in range(40):
        tap.sync(chatter=0, requests=rng.choice((1, 3, 100)), lives=rng.choice((None, 5)))
        emitted |= set(tap.emitted)
        refreshes = tap.state.partition("studio_flows", ACCOUNT).refreshes
        if not refreshes:
            break
        twilio.trouble = 0
    assert not refreshes
    truth = twilio.truth()
    assert emitted == {sid for name in names for sid in truth[name]}
    assert not tap.wrong()
