"""The page reader skips no row and drops no row, in any order of a list and with any kind of page token."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.errors import Incomplete
from tap_twilio.extract import strategy
from tap_twilio.twilio.request import Fetch, Page
from testing.histories import DAY, FEW, HOUR, START, Killed, Tap, TwilioList, histories, live

SEEDS = st.integers(0, 10**9)
ORDERS = ("updated_ascending", "updated", "created", "sid", "name")
LISTS = [  # the stream, its order, whether its tokens name rows, and whether a row can be requested alone
    ("addresses", "updated_ascending", True, True),
    ("addresses", "updated_ascending", True, False),
    ("addresses", "updated", True, True),
    ("addresses", "name", True, True),
    ("addresses", "updated_ascending", False, True),
    ("messages", "updated_ascending", True, True),
]
DATED = itertools.product(("messages", "conferences"), ("first", "last", *ORDERS), (True,), (True,))
OTHERS = [*itertools.product(("addresses",), ORDERS, (True, False), (True, False)), *DATED]
SAMPLED = [case if case in LISTS else pytest.param(*case, marks=pytest.mark.long) for case in OTHERS]
each_list = pytest.mark.parametrize(("stream", "order", "by_row", "has_items"), SAMPLED)


def begun(seed: int, stream: str, order: str, by_row: bool, has_items: bool) -> tuple[TwilioList, Tap]:
    """Return a list of that kind with older rows, and a tap that has not read it yet."""
    twilio, tap = histories(seed, stream)
    past = [row["date_created"] for row in twilio.rows.values()]
    twilio.rows.clear()
    twilio.order, twilio.stream = order, replace(twilio.stream, tokens_name_rows=by_row, has_item_endpoint=has_items)
    for created in past:
        twilio.add(created)
    return twilio, tap


def settings(rng: Any) -> dict[str, Any]:
    return {"page_size": rng.choice((2, 3, 5)), "short_pages": rng.choice((2, 4, 100))}


@each_list
@FEW
@given(SEEDS)
def test_a_sync_that_ends_well_has_every_row_that_was_there(
    stream: str, order: str, by_row: bool, has_items: bool, seed: int
) -> None:
    """Rows that did not change during the sync arrive; of a list read in time slices, the rows that these see."""
    twilio, tap = begun(seed, stream, order, by_row, has_items)
    rng = twilio.rng
    for _ in range(rng.randrange(1, 6)):
        live(twilio)
        before = {sid: dict(row) for sid, row in twilio.rows.items() if row["shown"] <= twilio.now}
        if not tap.sync(lives=rng.randrange(0, 30) if rng.random() < 0.3 else None, **settings(rng)):
            continue
        resend_listed_before = tap.state.resend_listed_before
        missing = {
            sid
            for sid, row in before.items()
            if twilio.rows.get(sid) == row and tap.warehouse.get(sid) != twilio.wire(row) and not resend_listed_before
        }
        assert not missing


@pytest.mark.parametrize(
    ("stream", "order", "by_row", "has_items"), [*SAMPLED, ("connect_apps", "updated", True, True)]
)
@FEW
@given(SEEDS)
def test_one_first_sync_has_every_row_that_was_there_whatever_changes_meanwhile(
    stream: str, order: str, by_row: bool, has_items: bool, seed: int
) -> None:
    """Rows that move up past the read arrive too, with a content they had since it began; not in time slices."""
    twilio, tap = begun(seed, stream, order, by_row, has_items)
    twilio.undated = twilio.rng.choice((0, 0.5))
    for _ in range(30):
        twilio.add(START - 20 * DAY * twilio.rng.random())
    twilio.now += twilio.rng.choice((HOUR, 30 * DAY))
    before, contents = shown(twilio), {sid: [row] for sid, row in shown(twilio).items()}

    def answer(fetch: Fetch) -> Page:
        for sid, row in shown(twilio).items():
            contents.setdefault(sid, []).append(row)
        return plain(fetch)

    plain, twilio.answer = twilio.answer, answer  # type: ignore[assignment,method-assign]
    chatter, page_size = twilio.rng.choice((0.1, 0.3)), twilio.rng.choice((3, 7, 20))
    if not tap.sync(chatter=chatter, page_size=page_size, short_pages=10**6) or tap.state.resend_listed_before:
        return
    assert [sid for sid in before if sid in twilio.rows and tap.warehouse.get(sid) not in contents[sid]] == []


def shown(twilio: TwilioList) -> dict[str, dict[str, Any]]:
    """Return the rows that Twilio lists now, as answers show them."""
    return {sid: twilio.wire(row) for sid, row in twilio.rows.items() if row["shown"] <= twilio.now}


@each_list
@FEW
@given(SEEDS)
def test_a_read_over_several_syncs_skips_no_row(
    stream: str, order: str, by_row: bool, has_items: bool, seed: int
) -> None:
    """Rows change between the syncs, the budget ends each read in the middle, and some syncs are killed."""
    twilio, tap = begun(seed, stream, order, by_row, has_items)
    rng = twilio.rng
    for _ in range(rng.randrange(2, 9)):
        live(twilio)
        lives = rng.randrange(0, 20) if rng.random() < 0.3 else None
        tap.sync(budget=rng.randrange(1, 7), lives=lives, **settings(rng))
    twilio.now += DAY
    for _ in range(25 * (1 + twilio.hollow)):  # the budget counts pages without a row too
        tap.sync(budget=5, chatter=0)
        twilio.now += 3 * HOUR
    assert not tap.wrong()


@each_list
@FEW
@given(SEEDS)
def test_a_first_sync_over_several_runs_ends_with_every_row(
    stream: str, order: str, by_row: bool, has_items: bool, seed: int
) -> None:
    """The first bookmark after several runs covers each row that did not change since the first run began."""
    twilio, tap = begun(seed, stream, order, by_row, has_items)
    rng, before = twilio.rng, {sid: dict(row) for sid, row in twilio.rows.items() if row["shown"] <= twilio.now}
    for _ in range(30):
        if tap.sync(lives=rng.randrange(0, 25), chatter=0.2, budget=1, page_size=3, short_pages=100):
            break
        twilio.now += rng.choice((timedelta(minutes=1), 3 * HOUR))
    if tap.state.date_updated is None or tap.state.resend_listed_before:
        return
    missing = {
        sid for sid, row in before.items() if twilio.rows.get(sid) == row and tap.warehouse.get(sid) != twilio.wire(row)
    }
    assert not missing


@each_list
@FEW
@given(SEEDS)
def test_a_full_table_version_drops_no_row_that_is_listed(
    stream: str, order: str, by_row: bool, has_items: bool, seed: int
) -> None:
    """A version, read in one run or several, holds each row that was listed when it began and still is."""
    twilio, tap = begun(seed, stream, order, by_row, has_items)
    rng = twilio.rng
    for version in range(1, 4):
        live(twilio)
        tap.version, done = version, False
        listed = {sid for sid, row in twilio.rows.items() if row["shown"] <= twilio.now}
        for runs in range(40):
            reading = tap.reading(1)
            lives = rng.randrange(0, 40) if rng.random() < 0.3 else None
            try:
                tap.run(strategy.full(reading, version), 0.2 if runs < 20 else 0, lives)
            except (Killed, Incomplete):
                twilio.now += rng.choice((timedelta(minutes=1), 3 * HOUR))
                continue
            done = True
            break
        assert done
        assert listed & set(twilio.rows) <= {sid for sid, last in tap.versions.items() if last == version}
