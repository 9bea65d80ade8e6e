"""Each row arrives from lists that refuse some dates and fail to answer others, in random histories."""

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


class RefusedDates:
    """The dates that a list does not answer: too old ones, too many days at once, and some bad days."""

    def __init__(self, twilio: TwilioList, rng: random.Random) -> None:
        self.twilio, self.plain = twilio, twilio.filtered
        self.reach = rng.choice((3, 20, 90, 1000)) * DAY
        self.longest = rng.choice((4, 30, 1000)) * DAY
        self.bad = [twilio.now - rng.randrange(1, 300) * DAY for _ in range(rng.choice((0, 0, 1, 3)))]
        self.fails = rng.choice((ServerFailed("HTTP 500, 3 times"), Refused(404, 20404, "no", ""), None))
        twilio.filtered = self.filtered  # type: ignore[method-assign]

    def filtered(self, rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        assert self.twilio.stream.filter
        bounds = (self.twilio.stream.filter.after, self.twilio.stream.filter.before)
        if all(bound in query for bound in bounds):
            low, high = (
                datetime.fromisoformat(query[name].rstrip("Z")).replace(tzinfo=timezone.utc) for name in bounds
            )
            if low < self.twilio.now - self.reach:
                raise Refused(400, 20004, "too far back", "")
            if isinstance(self.fails, ServerFailed) and any(low <= day <= high for day in self.bad):
                raise self.fails
            if self.fails and high - low > self.longest + HOUR:
                raise self.fails
        return self.plain(rows, query)


def lists(seed: int, stream: str) -> tuple[TwilioList, Tap, RefusedDates]:
    twilio, tap = histories(seed, stream)
    return twilio, tap, RefusedDates(twilio, random.Random(seed))


@FEW
@given(SEEDS, st.sampled_from(["messages", "calls", "conferences"]))
def test_every_row_arrives_whatever_dates_are_refused(seed: int, stream: str) -> None:
    """Rows arrive after kills too. The second sync that meets a failing time slice leaves it to rescans."""
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
def test_a_first_sync_makes_few_requests_for_days_out_of_reach(seed: int) -> None:
    """The filter reaches back some days only, and Twilio refuses at most 30 requests."""
    twilio, tap, dates = lists(seed, "messages")
    dates.fails = None
    refused = 0

    def counting(rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        nonlocal refused
        try:
            return dates.filtered(rows, query)
        except Refused:
            refused += 1
            raise

    twilio.filtered = counting  # type: ignore[method-assign]
    tap.sync(chatter=0)
    assert refused <= 30
