"""Test `end_date` over random histories: it bounds what is emitted, moves back and forth, and leaves no gap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.timestamps import END
from tap_twilio.timestamps import from_datetime as text
from testing.histories import DAY, FEW, HOUR, TwilioList, histories, live

from .test_child_streams import TABLES, family

SEEDS = st.integers(0, 10**9)


def some_end(twilio: TwilioList) -> str:
    days = twilio.rng.choice((None, 0, 1, 5, 50, 200))
    return END if days is None else text(twilio.now - days * DAY)


@pytest.mark.parametrize("stream", ["messages", "calls", "conferences", "addresses"])
@FEW
@given(seed=SEEDS)
def test_it_bounds_what_is_emitted_and_may_be_moved(stream: str, seed: int) -> None:
    """With small budgets, kills, and a state without room; the sync without it brings what is missing."""
    twilio, tap = histories(seed, stream)
    rng = twilio.rng
    tap.size_limit = rng.choice((0, 10**6, 10**6))
    twilio.undated = 0.5 if tap.size_limit else 0  # without fingerprints, only dates show a change
    for _ in range(rng.randrange(1, 8)):
        live(twilio)
        end_date = some_end(twilio)
        tap.sync(rng.choice((1, 3, 20, 10**6)), lives=rng.choice((None, None, 5)), end_date=end_date)
        created = [text(twilio.rows[sid]["date_created"]) for sid in tap.emitted if sid in twilio.rows]
        assert all(date < end_date for date in created)
    last = rng.choice((END, some_end(twilio)))
    for end_date in (last, END):
        for _ in range(6):
            twilio.now += 3 * HOUR
            tap.sync(chatter=0, end_date=end_date)
        wrong = tap.wrong()
        assert not [sid for sid in wrong if text(twilio.rows[sid]["date_created"]) < end_date]


@FEW
@given(SEEDS)
def test_children_that_come_after_it_are_not_lost(seed: int) -> None:
    """Steps of executions that ended since, executions of old flows, and those below rows that came later."""
    twilio, tap = family(seed)
    rng = twilio.rng
    for _ in range(rng.randrange(1, 8)):
        live(twilio)
        end_date = some_end(twilio)
        tap.sync(rng.choice((TABLES, TABLES[1:])), chatter=0.2, lives=rng.choice((None, None, 20)), end_date=end_date)
    for _ in range(5):
        twilio.now += 3 * HOUR
        assert tap.sync(chatter=0)
    assert not tap.wrong()
