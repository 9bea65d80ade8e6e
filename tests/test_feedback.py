"""call_feedback over random histories of calls, ratings and annotations, and over HTTP against the sandbox."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_twilio.config import Settings
from tap_twilio.errors import PartitionError, Refused
from tap_twilio.feedback import Feedback
from tap_twilio.plan import Bounds, Budget, Partition
from tap_twilio.walk import Ask, Page, text

from .strategies import ACCOUNT, DAY, HOUR, STREAM, Killed, TwilioList, drive, live, rfc2822

SEEDS = st.integers(0, 10**9)
many = settings(
    max_examples=int(os.environ.get("PLAN_HISTORIES", "12")), deadline=None, suppress_health_check=list(HealthCheck)
)
ANNOTATED = {"comment": None, "spam": None, "incident": None, "connectivity_issue": None, "answered_by": None}


class RatedCalls(TwilioList):
    """Calls that end, and are rated up to 30 days after they began: by the classic source, by annotation, or both."""

    def __init__(self, rng: Any, insights: bool) -> None:
        super().__init__(rng, "calls", rng.choice(("created", "first", "last")), "taken", timedelta(0))
        self.without_date_updated = False
        self.insights = insights
        self.ratings: dict[str, dict[str, Any]] = {}
        self.annotations: dict[str, int] = {}
        self.feedback_asked: list[str] = []

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

    def answer(self, ask: Ask) -> Page:
        path = urlsplit(ask.uri).path
        if path.endswith("/Feedback.json"):
            sid = path.split("/")[-2]
            self.feedback_asked.append(sid)
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
                raise Refused(403, 20003, "no Voice Insights", path)
            query = parse_qs(urlsplit(ask.uri).query)
            score, since, until = int(query["CallScoreAnnotation"][0]), query["StartTime"][0], query["EndTime"][0]
            rows = [
                {"call_sid": sid, "annotation": {"call_score": score, **ANNOTATED}}
                for sid, given in self.annotations.items()
                if given == score
                and since <= text(self.rows[sid]["start_time"] or self.rows[sid]["date_created"]) <= until
            ]
            return Page(rows, None, text(self.now))
        return super().answer(ask)

    def truth(self) -> dict[str, tuple[str, int]]:
        rated = {sid: ("insights", score) for sid, score in self.annotations.items()}
        return rated | {sid: ("feedback", rating["quality_score"]) for sid, rating in self.ratings.items()}


class FeedbackTap:
    """The tap's call_feedback, beside calls or alone, and the warehouse that its rows make."""

    def __init__(self, twilio: RatedCalls) -> None:
        self.twilio = twilio
        self.states: dict[str, dict[str, Any]] = {"calls": {}, "call_feedback": {}}
        self.warehouse: dict[str, tuple[str, int]] = {}
        self.emitted: list[str] = []
        self.calls: dict[str, Any] = {}

    def sync(
        self, requests: int = 5000, calls: bool = True, lives: int | None = None, chatter: float = 0.2, **given: Any
    ) -> bool:
        self.states = json.loads(json.dumps(self.states))
        self.emitted = []
        twilio = self.twilio
        chosen = Settings(ACCOUNT, ACCOUNT, "secret", feedback_requests=requests, page_size=5, **given)
        bounds = Bounds(page_size=5, short_pages=3, margin=HOUR, start_date=chosen.start_date)
        common = (lambda: text(twilio.now), Budget(10**6), bounds, text(twilio.now - 400 * DAY))

        def take(page: Page, rows: list[dict[str, Any]]) -> None:
            for row in rows:
                self.warehouse[row["sid"]] = (row["source"], row["quality_score"])
                self.emitted.append(row["sid"])

        def take_calls(page: Page, rows: list[dict[str, Any]]) -> None:
            self.calls.update({row["sid"]: row for row in rows})

        parent = Partition(STREAM["calls"], ACCOUNT, self.states["calls"], take_calls, *common)
        own = replace(parent, state=self.states["call_feedback"], emit=lambda page, rows: None)
        parent.adopt()
        own.adopt()
        if self.states["call_feedback"].get("refill"):
            self.states["call_feedback"].pop("calls", None)
        feedback = Feedback(own, parent if calls else None, take, chosen, set())
        with suppress(Killed, PartitionError):
            drive(feedback.sync(), twilio, chatter, lives)
            return feedback.failed is None
        return False


def rated_calls(seed: int, insights: bool = True) -> tuple[RatedCalls, FeedbackTap]:
    import random

    twilio = RatedCalls(random.Random(seed), insights)
    for _ in range(twilio.rng.randrange(0, 40)):
        twilio.add(twilio.now - 90 * DAY * twilio.rng.random())
    for _ in range(20):
        twilio.happen()
    return twilio, FeedbackTap(twilio)


@pytest.mark.parametrize("alone", [False, True], ids=["with calls", "alone"])
@pytest.mark.parametrize("source", ["auto", "feedback"])
@many
@given(SEEDS)
def test_ratings_that_come_and_change_arrive_in_the_end(source, alone, seed):
    """With small budgets, pauses of the schedule and kills: the warehouse has each call's last rating."""
    twilio, tap = rated_calls(seed, insights=source == "auto")
    rng = twilio.rng
    for _ in range(rng.randrange(2, 12)):
        live(twilio)
        lives = rng.randrange(0, 60) if rng.random() < 0.3 else None
        tap.sync(requests=rng.choice((3, 10, 100)), calls=not alone, lives=lives, call_feedback_source=source)
    for _ in range(30):
        twilio.now += 3 * HOUR
        tap.sync(requests=10, calls=not alone, chatter=0, call_feedback_source=source)
    ended = {sid for sid, row in twilio.rows.items() if row["status"] in ("completed", "canceled")}
    assert tap.warehouse == {sid: rating for sid, rating in twilio.truth().items() if sid in ended}
    if not alone:
        assert tap.calls == {sid: twilio.wire(row) for sid, row in twilio.rows.items()}


@many
@given(SEEDS)
def test_within_the_budget_ratings_are_right_after_every_sync(seed):
    """Every rating given before a sync that ended well began is in the warehouse after it."""
    twilio, tap = rated_calls(seed)
    rng = twilio.rng
    for _ in range(rng.randrange(2, 10)):
        live(twilio)
        before, dates = dict(twilio.truth()), {sid: rating["date_updated"] for sid, rating in twilio.ratings.items()}
        if tap.sync(lives=rng.randrange(0, 90) if rng.random() < 0.3 else None, calls=rng.random() < 0.7):
            same = {sid for sid, date in dates.items() if twilio.ratings[sid]["date_updated"] == date}
            wrong = {
                sid: (before[sid], tap.warehouse.get(sid))
                for sid in same - set(twilio.annotations)
                if tap.warehouse.get(sid) != before[sid]
            }
            assert not wrong


@many
@given(SEEDS)
def test_a_sync_in_which_nothing_was_rated_emits_nothing_of_the_classic_source(seed):
    """Its dates tell what changed; but calls that never began or late, which rounds alone meet, come again."""
    twilio, tap = rated_calls(seed, insights=False)
    for _ in range(3):
        twilio.now += DAY
        tap.sync(chatter=0)
    late = {
        s for s, row in twilio.rows.items() if not row["start_time"] or row["start_time"] - row["date_created"] > DAY
    }
    assert set(tap.emitted) <= late


@many
@given(SEEDS)
def test_selecting_calls_too_reads_the_calls_once(seed):
    """As many pages of calls as there are, and as many ratings asked as calls that ended."""
    twilio, tap = rated_calls(seed, insights=False)
    twilio.hollow = 0
    tap.sync(chatter=0)
    pages = [ask.uri for ask in twilio.asked if ask.rows == "calls"]
    assert len(pages) == len(set(pages)) == max(1, -(-len(twilio.rows) // 5))
    assert sorted(twilio.feedback_asked) == sorted(
        sid for sid, row in twilio.rows.items() if row["status"] in ("completed", "canceled")
    )
    twilio.asked.clear()
    twilio.now += DAY
    tap.sync(chatter=0)
    pages = [ask.uri for ask in twilio.asked if ask.rows == "calls"]
    assert len(pages) == len(set(pages)) == max(1, -(-len(twilio.rows) // 5))


@many
@given(SEEDS)
def test_without_the_backfill_only_the_window_is_asked(seed):
    """`feedback_backfill: false`: no call older than the window, and each of the window."""
    twilio, tap = rated_calls(seed, insights=False)
    tap.sync(chatter=0, feedback_backfill=False)
    edge = twilio.now - 31 * DAY
    assert all(
        (row := twilio.rows[sid])["start_time"] is None or row["start_time"] > edge for sid in twilio.feedback_asked
    )
    recent = {s for s in twilio.ratings if twilio.rows[s]["date_created"] > twilio.now - 30 * DAY}
    assert recent <= set(tap.warehouse)
