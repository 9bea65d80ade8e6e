"""Random histories of lists that refuse some spans of dates, and fail to answer others: each row arrives."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.errors import Refused, ServerFailed
from testing.histories import DAY, FEW, HOUR, Tap, TwilioList, histories, live

SEEDS = st.integers(0, 10**9)


class Spans:
    """Which spans a list answers: none that begins too long ago, is too long, or holds a bad day."""

    def __init__(self, twilio: TwilioList, rng: random.Random) -> None:
        self.twilio, self.plain = twilio, twilio.filtered
        self.reach = rng.choice((3, 20, 90, 1000)) * DAY
        self.longest = rng.choice((4, 30, 1000)) * DAY
        self.bad = [twilio.now - rng.randrange(1, 300) * DAY for _ in range(rng.choice((0, 0, 1, 3)))]
        self.fails = rng.choice((ServerFailed("HTTP 500, 3 times"), Refused(404, 20404, "no", ""), None))
        twilio.filtered = self.filtered  # type: ignore[method-assign]

    def filtered(self, rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        assert self.twilio.stream.filter
        names = (self.twilio.stream.filter.after, self.twilio.stream.filter.before)
        if all(name in query for name in names):
            low, high = (datetime.fromisoformat(query[name].rstrip("Z")).replace(tzinfo=timezone.utc) for name in names)
            if low < self.twilio.now - self.reach:
                raise Refused(400, 20004, "too far back", "")
            if isinstance(self.fails, ServerFailed) and any(low <= day <= high for day in self.bad):
                raise self.fails
            if self.fails and high - low > self.longest + HOUR:
                raise self.fails
        return self.plain(rows, query)


def lists(seed: int, stream: str) -> tuple[TwilioList, Tap, Spans]:
    twilio, tap = histories(seed, stream)
    return twilio, tap, Spans(twilio, random.Random(seed))


@FEW
@given(SEEDS, st.sampled_from(["messages", "calls", "conferences"]))
def test_every_row_arrives_whatever_spans_are_refused(seed: int, stream: str) -> None:
    """After kills as well. A span that fails for ever is left to the rescans by the second sync that meets it."""
    twilio, tap, _ = lists(seed, stream)
    rng = twilio.rng
    for _ in range(rng.randrange(1, 5)):
        with suppress(ServerFailed):
            tap.sync(chatter=0.1, lives=rng.randrange(0, 30) if rng.random() < 0.4 else None)
        live(twilio)
    for _ in range(4):
        twilio.now += 2 * HOUR + timedelta(minutes=1)
        with suppress(ServerFailed):
            tap.sync(chatter=0)
    twilio.now += twilio.late
    assert tap.sync(chatter=0)
    assert tap.wrong() == {}


@FEW
@given(SEEDS)
def test_a_first_sync_asks_no_more_than_some_days_in_vain(seed: int) -> None:
    """Where a list goes back some days only."""
    twilio, tap, spans = lists(seed, "messages")
    spans.fails = None
    refused = 0

    def counting(rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        nonlocal refused
        try:
            return spans.filtered(rows, query)
        except Refused:
            refused += 1
            raise

    twilio.filtered = counting  # type: ignore[method-assign]
    tap.sync(chatter=0)
    assert refused <= 30
