"""Test call feedback over random histories of calls, ratings and annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.errors import Refused, Unreachable
from tap_twilio.tables.effects import Emit
from tap_twilio.timestamps import from_datetime as text
from tap_twilio.twilio.request import Fetch, Page
from testing.family_tap import FamilyTap
from testing.histories import (
    DAY,
    FEW,
    HOUR,
    START,
    Pages,
    TwilioList,
    live,
    rfc2822,
)

SEEDS = st.integers(0, 10**9)
ANNOTATED = {"comment": None, "spam": None, "incident": None, "connectivity_issue": None, "answered_by": None}


class RatedCalls(TwilioList):
    """Calls that end, and get a rating up to 30 days after they started: as feedback, as an annotation, or both."""

    def __init__(self, rng: Any, insights: bool) -> None:
        super().__init__(rng, "calls", rng.choice(("created", "first", "last")), "taken", timedelta(0))
        self.without_date_updated = False
        self.insights = insights
        self.ratings: dict[str, dict[str, Any]] = {}
        self.annotations: dict[str, int] = {}
        self.feedback_requests: list[str] = []
        self.trouble = 0.0  # the share of requests for ratings that fail

    def add(self, created: Any = None) -> None:
        super().add(created)
        row = next(reversed(self.rows.values()))
        row["status"] = "completed" if created else self.rng.choice(("queued", "in-progress", "completed", "canceled"))
        row["start_time"] = (
            None if row["status"] in ("queued", "canceled") else row["start_time"] or row["date_created"]
        )

    def happen(self) -> None:
        row = self.rng.choice(list(self.rows.values())) if self.rows else None
        if row is None or self.rng.random() < 0.3:
            return self.add()
        if row["status"] in ("queued", "in-progress"):
            row.update(status="completed", start_time=row["start_time"] or self.now, date_updated=self.now)
        elif self.now - (row["start_time"] or row["date_created"]) < 30 * DAY:
            score = self.rng.randrange(1, 6)
            if self.insights and self.rng.random() < 0.5:
                self.annotations[row["sid"]] = score
            else:
                self.ratings[row["sid"]] = {"quality_score": score, "date_updated": self.now}
        return None

    def answer(self, fetch: Fetch) -> Page:
        path = urlsplit(fetch.uri).path
        feedback = path.endswith("/Feedback.json")
        if (feedback or fetch.host == "insights") and self.rng.random() < self.trouble:
            down = Unreachable("HTTP 500, for 15 minutes")
            raise self.rng.choice((down, Refused(403, 20003, "no", path))) if feedback else down
        if feedback:
            sid = path.split("/")[-2]
            self.feedback_requests.append(sid)
            if sid not in self.ratings:
                raise Refused(404, 20404, "none", path)
            rating = self.ratings[sid]
            row = {
                "sid": sid,
                "quality_score": rating["quality_score"],
                "date_updated": rfc2822(rating["date_updated"]),
            }
            return Page([row], None, text(self.now))
        if path == "/v1/Voice/Summaries":
            if not self.insights:
                raise Refused(404, 20404, "no Voice Insights", path)
            query = parse_qs(urlsplit(fetch.uri).query)
            score, since, until = int(query["CallScoreAnnotation"][0]), query["StartTime"][0], query["EndTime"][0]
            rows = [
                {"call_sid": sid, "annotation": {"call_score": score, **ANNOTATED}}
                for sid, given in self.annotations.items()
                if given == score
                and since <= text(self.rows[sid]["start_time"] or self.rows[sid]["date_created"]) <= until
            ]
            return Page(rows, None, text(self.now))
        return super().answer(fetch)

    def truth(self, start_date: str | None = None) -> dict[str, tuple[str, int]]:
        """Return the ratings of the calls that were created since `start_date`."""
        since = start_date or ""
        return {sid: rating for sid, rating in self._ratings().items() if self.created(sid) >= since}

    def created(self, sid: str) -> str:
        return text(self.rows[sid]["date_created"])

    def _ratings(self) -> dict[str, tuple[str, int]]:
        rated = {sid: ("insights", score) for sid, score in self.annotations.items()}
        return rated | {sid: ("feedback", rating["quality_score"]) for sid, rating in self.ratings.items()}


class FeedbackTap(FamilyTap):
    """The tap's call_feedback, with calls or alone, and the warehouse that it loads."""

    twilio: RatedCalls

    def __init__(self, twilio: RatedCalls) -> None:
        super().__init__(twilio)
        self.warehouse: dict[str, tuple[str, int]] = {}
        self.emitted: list[str] = []
        self.calls: dict[str, Any] = {}

    def sync(
        self, requests: int = 5000, calls: bool = True, lives: int | None = None, chatter: float = 0.2, **given: Any
    ) -> bool:
        self.emitted = []
        return self.run(
            ("call_feedback", "calls") if calls else ("call_feedback",),
            Pages(self.twilio, chatter, lives),
            {"feedback_requests": requests, "page_size": 5, **given},
            {"page_size": 5, "short_pages": 3, "start_date": given.get("start_date") or ""},
        )

    def take(self, emit: Emit) -> None:
        for row in map(json.loads, emit.records):
            if emit.table.name == "calls":
                self.calls[row["sid"]] = row
            else:
                self.warehouse[row["sid"]] = (row["source"], row["quality_score"])
                self.emitted.append(row["sid"])


def rated_calls(seed: int, insights: bool = True) -> tuple[RatedCalls, FeedbackTap]:
    import random

    twilio = RatedCalls(random.Random(seed), insights)
    for _ in range(twilio.rng.randrange(0, 40)):
        twilio.add(twilio.now - 90 * DAY * twilio.rng.random())
    for _ in range(20):
        twilio.happen()
    return twilio, FeedbackTap(twilio)


def start_dates(rng: Any) -> Iterator[str | None]:
    """Yield the `start_date` of each sync, which becomes earlier now and then, and may end as None."""
    days = rng.choice((10, 40, 70, None))
    while True:
        yield None if days is None else text(START - days * DAY)
        if days and rng.random() < 0.3:
            days = rng.choice((days + 10, days + 30, None))


@pytest.mark.parametrize("alone", [False, True], ids=["with calls", "alone"])
@pytest.mark.parametrize("source", ["auto", "feedback"])
@FEW
@given(SEEDS)
def test_each_last_rating_arrives_in_the_end(source, alone, seed):
    """
    The warehouse has each call's last rating, whatever went before: few requests, pauses of the schedule, kills,
    failures, and an earlier start_date.
    """
    twilio, tap = rated_calls(seed, insights=source == "auto")
    rng, dates, chosen = twilio.rng, start_dates(twilio.rng), {"calls": not alone, "call_feedback_source": source}
    for _ in range(rng.randrange(2, 12)):
        live(twilio)
        lives = rng.randrange(0, 60) if rng.random() < 0.3 else None
        twilio.trouble = rng.choice((0, 0, 0.02, 0.3, 1))
        tap.sync(requests=rng.choice((3, 10, 100)), lives=lives, start_date=next(dates), **chosen)
    twilio.trouble, start_date = 0, next(dates)
    for _ in range(30):
        twilio.now += 3 * HOUR
        assert tap.sync(requests=10, chatter=0, start_date=start_date, **chosen)
    ended = {sid for sid, row in twilio.rows.items() if row["status"] in ("completed", "canceled")}
    held = {sid: rating for sid, rating in tap.warehouse.items() if twilio.created(sid) >= (start_date or "")}
    assert held == {sid: rating for sid, rating in twilio.truth(start_date).items() if sid in ended}
    if not alone:
        assert tap.calls == {
            sid: twilio.wire(row) for sid, row in twilio.rows.items() if twilio.created(sid) >= (start_date or "")
        }


@FEW
@given(SEEDS)
def test_within_the_budget_ratings_are_right_after_every_sync(seed):
    """A rating that existed before a successful sync is in the warehouse after it. The last sync succeeds."""
    twilio, tap = rated_calls(seed)
    rng, start_date = twilio.rng, start_dates(twilio.rng)
    for left in reversed(range(rng.randrange(2, 10))):
        live(twilio)
        since = next(start_date)
        before, dates = twilio.truth(since), {sid: rating["date_updated"] for sid, rating in twilio.ratings.items()}
        twilio.trouble = rng.choice((0, 0, 0, 0.02, 0.3, 1)) if left else 0
        lives = rng.randrange(0, 90) if left and rng.random() < 0.3 else None
        well = tap.sync(lives=lives, calls=rng.random() < 0.7, chatter=0.2 if left else 0, start_date=since)
        assert well or left
        if well:
            same = {sid for sid in before if sid in dates and twilio.ratings[sid]["date_updated"] == dates[sid]}
            wrong = {
                sid: (before[sid], tap.warehouse.get(sid))
                for sid in same - set(twilio.annotations)
                if tap.warehouse.get(sid) != before[sid]
            }
            assert not wrong


@FEW
@given(SEEDS)
def test_a_sync_in_which_nothing_was_rated_emits_nothing_of_the_classic_source(seed):
    """Except for calls that never started or started late: only rescans meet them, and they come again."""
    twilio, tap = rated_calls(seed, insights=False)
    for _ in range(3):
        twilio.now += DAY
        assert tap.sync(chatter=0)
        assert tap.warehouse == twilio.truth()
    late = {
        s for s, row in twilio.rows.items() if not row["start_time"] or row["start_time"] - row["date_created"] > DAY
    }
    assert set(tap.emitted) <= late


@FEW
@given(SEEDS)
def test_selecting_calls_too_reads_the_calls_once(seed):
    """Each page of calls is read once, and the first pages again; each call that ended has one request for feedback."""
    twilio, tap = rated_calls(seed, insights=False)
    twilio.hollow = 0
    assert tap.sync(chatter=0)
    pages, there = (
        [ask.uri for ask in twilio.requests if ask.rows_property == "calls"],
        max(1, -(-len(twilio.rows) // 5)),
    )
    assert len(set(pages[:there])) == len(set(pages)) == there
    assert pages[there:] == pages[: len(pages) - there]
    assert sorted(twilio.feedback_requests) == sorted(
        sid for sid, row in twilio.rows.items() if row["status"] in ("completed", "canceled")
    )
    twilio.requests.clear()
    twilio.now += DAY
    assert tap.sync(chatter=0)
    pages = [ask.uri for ask in twilio.requests if ask.rows_property == "calls"]
    assert len(pages) == len(set(pages)) == max(1, -(-len(twilio.rows) // 5))


@FEW
@given(SEEDS)
def test_without_the_backfill_only_recent_calls_are_requested(seed):
    """With `feedback_backfill: false`, the feedback of recent calls is requested, and that of older calls is not."""
    twilio, tap = rated_calls(seed, insights=False)
    assert tap.sync(chatter=0, feedback_backfill=False)
    edge = twilio.now - 31 * DAY
    assert all(
        (row := twilio.rows[sid])["start_time"] is None or row["start_time"] > edge for sid in twilio.feedback_requests
    )
    recent = {s for s in twilio.ratings if twilio.rows[s]["date_created"] > twilio.now - 30 * DAY}
    assert recent <= set(tap.warehouse)
