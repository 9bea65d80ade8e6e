"""Test logs below the rows of a parent over random histories: each event is emitted, with no needless request."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.errors import Refused, ServerFailed, Unreachable
from tap_twilio.tables.effects import Emit
from tap_twilio.timestamps import from_datetime as text
from tap_twilio.twilio.request import Fetch, Page
from testing.family_tap import FamilyTap
from testing.histories import DAY, FEW, HOUR, START, Pages, TwilioList

SEEDS = st.integers(0, 10**9)
LOG = "taskrouter_events"
TABLES = ("taskrouter_workspaces", LOG)


class Workspaces(TwilioList):
    """Workspaces, whose events come some hours late. A workspace does not change with its events."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, TABLES[0], "created", "taken", timedelta(0))
        self.reach = 31 * DAY  # Twilio answers filters on later dates only
        self.longest = 365 * DAY  # the longest range that Twilio answers
        self.bad: list[datetime] = []  # Twilio answers no range with one of these timestamps
        self.trouble = 0.0  # the share of requests for events that fail
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.requested_since: list[datetime] = []  # of each request for events
        self.descending = rng.random() < 0.5

    def happen(self) -> None:
        if self.rng.random() < 0.2 or not self.rows:
            return super().happen()
        self.log(self.rng.choice(list(self.rows)), self.now)
        return None

    def log(self, workspace: str, at: datetime, shown: datetime | None = None) -> None:
        """Add an event, which Twilio lists immediately or up to twelve hours later."""
        self.count += 1
        late = self.rng.choice((0, 0, 1, 12)) * HOUR
        row = {"sid": f"E{self.count:05d}", "event_date": at.replace(microsecond=0), "shown": shown or at + late}
        self.events.setdefault(workspace, []).append(row)

    def answer(self, ask: Fetch) -> Page:
        path, query = urlsplit(ask.uri).path, dict(parse_qsl(urlsplit(ask.uri).query))
        if not path.endswith("/Events"):
            return super().answer(ask)
        if self.rng.random() < self.trouble:
            raise Unreachable("HTTP 500, for 15 minutes")
        workspace = path.split("/")[-2]
        if workspace not in self.rows:
            raise Refused(404, 20404, "not found", ask.uri)
        low, high = (datetime.fromisoformat(query[name].replace("Z", "+00:00")) for name in ("StartDate", "EndDate"))
        assert self.now - low <= 30 * DAY, "further back than Twilio keeps"
        self.requested_since.append(low)
        if low < self.now - self.reach:
            raise Refused(400, 20004, "too far back", ask.uri)
        if high - low > self.longest or any(low <= bad <= high for bad in self.bad):
            raise ServerFailed("HTTP 500, 3 times")
        rows = [
            row
            for row in self.events.get(workspace, ())
            if row["shown"] <= self.now and low <= row["event_date"] <= high
        ]
        rows.sort(key=lambda row: (row["event_date"], row["sid"]), reverse=self.descending)
        first, size = int(query.get("At", 0)), int(query["PageSize"])
        more = f"{path}?{'&'.join(f'{k}={v}' for k, v in {**query, 'At': first + size}.items())}"
        page = [self.event(row) for row in rows[first : first + size]]
        return Page(page, more if len(rows) > first + size else None, text(self.now))

    def event(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"sid": row["sid"], "event_date": row["event_date"].strftime("%Y-%m-%dT%H:%M:%SZ")}

    def truth(self, at: datetime) -> dict[str, dict[str, Any]]:
        """Return the events that Twilio lists at a timestamp."""
        return {
            row["sid"]: self.event(row)
            for workspace in self.rows
            for row in self.events.get(workspace, ())
            if row["shown"] <= at
        }


class Tap(FamilyTap):
    """The tap, and the warehouse that it loads."""

    twilio: Workspaces

    def __init__(self, twilio: Workspaces) -> None:
        super().__init__(twilio)
        self.warehouse: dict[str, dict[str, Any]] = {}
        self.emitted: list[str] = []
        self.began = twilio.now

    @property
    def said(self) -> str:
        """Return the errors of the last sync."""
        return " ".join(str(table.failed) for table in self.reading.tables if table.failed)

    def sync(
        self, budget: int = 10**6, lives: int | None = None, size: int = 3, still: bool = False, **bounds: Any
    ) -> bool:
        """Run a sync. Return whether it succeeded."""
        self.emitted, self.began = [], self.twilio.now
        self.twilio.requested_since.clear()
        selected = TABLES if self.twilio.rng.random() < 0.5 else (LOG,)
        pages = Pages(self.twilio, 0.0, lives)
        pages.events = 60 if still else 0  # from 60 on, no time passes
        bounds = {"page_size": size, "short_pages": 3, **bounds}
        return self.run(selected, pages, {"page_size": size}, bounds, budget)

    def wrong(self) -> dict[str, Any]:
        """Return the events that Twilio listed as the last sync began, and that the warehouse lacks."""
        truth = self.twilio.truth(self.began)
        return {sid: row for sid, row in truth.items() if self.warehouse.get(sid) != row}

    def take(self, emit: Emit) -> None:
        if emit.table.name == LOG:
            self.warehouse |= {row["sid"]: row for row in map(json.loads, emit.records)}
            self.emitted += [json.loads(record)["sid"] for record in emit.records]


def workspaces(seed: int) -> tuple[Workspaces, Tap]:
    """Return workspaces of the last year with events of the last twenty days, and a tap."""
    twilio = Workspaces(random.Random(seed))
    twilio.now = datetime(2026, 6, 1, 9, 30, tzinfo=timezone.utc)
    for _ in range(twilio.rng.randrange(0, 8)):
        twilio.add(START - 300 * DAY * twilio.rng.random())
    for _ in range(60 if twilio.rows else 0):
        twilio.log(twilio.rng.choice(list(twilio.rows)), twilio.now - 20 * DAY * twilio.rng.random())
    return twilio, Tap(twilio)


@FEW
@given(SEEDS)
def test_every_event_is_written_whatever_was_killed_or_failed(seed: int) -> None:
    """After each successful sync: events of old and new workspaces, also late events."""
    twilio, tap = workspaces(seed)
    rng = twilio.rng
    for _ in range(rng.randrange(2, 8)):
        twilio.now += rng.choice((HOUR, 5 * HOUR, DAY))
        for _ in range(rng.randrange(20)):
            twilio.happen()
        twilio.trouble = rng.choice((0, 0, 0.1, 0.5))
        if tap.sync(lives=rng.randrange(0, 30) if rng.random() < 0.3 else None):
            assert not tap.wrong()


@FEW
@given(SEEDS)
def test_with_a_budget_of_some_pages_every_event_is_written_in_the_end(seed: int) -> None:
    """A rescan then takes several syncs, and some days fail meanwhile."""
    twilio, tap = workspaces(seed)
    rng = twilio.rng
    for _ in range(rng.randrange(2, 6)):
        twilio.now += 3 * HOUR
        for _ in range(rng.randrange(20)):
            twilio.happen()
        twilio.bad = [twilio.now - rng.randrange(20) * DAY] if rng.random() < 0.3 else []
        tap.sync(rng.randrange(1, 4), lookback=rng.choice((0, 1)) * DAY)
    twilio.bad = []
    for _ in range(12):
        twilio.now += 3 * HOUR
        assert tap.sync(2, lookback=timedelta(0))
    assert not tap.wrong()


@FEW
@given(SEEDS)
def test_a_sync_asks_for_a_day_or_two_and_the_next_of_that_day_writes_nothing_again(seed: int) -> None:
    """Without new events, a sync reads no earlier day, and emits no event again."""
    twilio, tap = workspaces(seed)
    for _ in range(300 if twilio.rows else 0):
        at = twilio.now + 3 * DAY * twilio.rng.random()
        twilio.log(twilio.rng.choice(list(twilio.rows)), at, shown=at)
    size = twilio.rng.choice((3, 50))
    for step in (DAY, DAY, DAY, HOUR, HOUR):
        twilio.now += step
        assert tap.sync(size=size, still=True)
    assert tap.emitted == []
    assert all(since >= tap.began - 3 * DAY for since in twilio.requested_since)


@FEW
@given(SEEDS)
def test_a_workspace_that_is_new_to_the_table_is_asked_for_all_that_twilio_keeps(seed: int) -> None:
    """Only the first read of a workspace goes back to the earliest date that Twilio answers, and never further."""
    twilio, tap = workspaces(seed)
    assert tap.sync()
    twilio.now += DAY
    twilio.add()
    assert tap.sync()
    assert sum(since < tap.began - 27 * DAY for since in twilio.requested_since) == 1


@FEW
@given(SEEDS)
def test_nothing_before_start_date_is_asked_for(seed: int) -> None:
    """Events have no creation date: `start_date` applies to the date of the filter."""
    twilio, tap = workspaces(seed)
    start = twilio.now - 5 * DAY
    assert tap.sync(start_date=text(start))
    first = f"{start:%Y-%m-%dT%H:%M:%SZ}"
    assert all(since >= start - timedelta(seconds=1) for since in twilio.requested_since)
    assert all(row["event_date"] >= first for row in tap.warehouse.values())
    assert not {sid for sid, row in tap.wrong().items() if row["event_date"] >= first}


@FEW
@given(SEEDS, st.sampled_from((2, 9, 17)))
def test_a_log_that_goes_back_some_days_only_is_read_that_far(seed: int, days: int) -> None:
    """Twilio refuses earlier filters with HTTP 400. Each sync succeeds, with few refused requests."""
    twilio, tap = workspaces(seed)
    twilio.reach = days * DAY
    for _ in range(3):
        assert tap.sync(still=True)
        answered = text(twilio.now - twilio.reach + DAY)
        assert not {sid for sid, row in tap.wrong().items() if row["event_date"] >= answered}
        assert sum(since < twilio.now - twilio.reach for since in twilio.requested_since) <= 8 * len(twilio.rows)
        twilio.now += 5 * HOUR
        for _ in range(twilio.rng.randrange(9)):
            twilio.happen()


@FEW
@given(SEEDS)
def test_a_day_of_a_log_that_fails_is_named_and_all_others_arrive(seed: int) -> None:
    """
    Twilio answers HTTP 500 for a day and for long ranges. The events of that day come after Twilio answers it.

    The error names the day in each workspace, up to three of them.
    """
    twilio, tap = workspaces(seed)
    twilio.longest = 4 * DAY
    twilio.bad = [twilio.now - twilio.rng.choice((2, 9)) * DAY]
    day = str(twilio.bad[0])[:10]
    failed = not tap.sync(still=True)
    assert failed == bool(twilio.rows)
    # A filter reaches a unit further on each side; and the first day asked for begins at no midnight.
    assert {row["event_date"][:10] for row in tap.wrong().values()} <= {day}
    assert all(day in tap.said for _ in range(failed))
    assert sum(f"/{sid}/Events: {day}" in tap.said for sid in twilio.rows) == min(len(twilio.rows), 3)
    assert (f" and {len(twilio.rows) - 3} more lists" in tap.said) == (len(twilio.rows) > 3)
    twilio.now += HOUR
    assert tap.sync(still=True) != failed
    twilio.bad = []
    twilio.now += HOUR
    assert tap.sync(still=True)
    assert not tap.wrong()
