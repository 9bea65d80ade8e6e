"""Bookmarks: they never go back, and what is due to be resent is never forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.state.model import Partition
from tap_twilio.tables import bookmarks
from tap_twilio.tables.bookmarks import VISIT_ALL, BookmarksAtStart
from tap_twilio.timestamps import END, HOUR, earlier, from_datetime, later

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
DATES = st.integers(0, 1000).map(lambda hours: from_datetime(START + timedelta(hours=hours)))
STEPS = st.one_of(
    st.tuples(st.just(bookmarks.advance), DATES),
    st.tuples(st.just(bookmarks.finish_lookback), DATES),
    st.tuples(st.just(bookmarks.finish_list), DATES),
    st.tuples(st.just(bookmarks.finish_rescan), DATES),
    st.tuples(st.just(bookmarks.finish_backfill), DATES, st.none() | DATES),
    st.tuples(st.just(bookmarks.import_bookmark), DATES, st.booleans()),
    st.tuples(st.just(bookmarks.skip_older), DATES),
    st.tuples(st.just(bookmarks.defer), st.none() | DATES),
    st.tuples(st.just(bookmarks.resend_created), DATES),
)


def _bookmarks(state: Partition) -> tuple[str, ...]:
    return (state.date_updated or "", state.lookback_done_at or "", state.finished_at or "")


@given(st.lists(STEPS, max_size=12))
def test_no_step_takes_a_bookmark_back(steps: list[tuple[Callable[..., None], Any]]) -> None:
    state = Partition()
    for step, *dates in steps:
        before = _bookmarks(state)
        step(state, *dates)
        assert all(new >= old for old, new in zip(before, _bookmarks(state)))


@given(st.lists(STEPS, max_size=5), st.lists(STEPS, max_size=5), DATES)
def test_a_clock_that_goes_back_takes_back_only_what_this_sync_wrote(
    earlier_syncs: list[tuple[Callable[..., None], Any]], this_sync: list[tuple[Callable[..., None], Any]], now: str
) -> None:
    state = Partition()
    for step, *dates in earlier_syncs:
        step(state, *dates)
    found = _bookmarks(state)
    at_start = BookmarksAtStart.from_state(state)
    for step, *dates in this_sync:
        step(state, *dates)
    at_start.cap_dates(now, HOUR)
    for old, new in zip(found, _bookmarks(state)):
        assert old <= new <= max(old, earlier(now, HOUR))


def test_a_state_from_the_future_is_reset() -> None:
    now = from_datetime(START)
    state = Partition(date_updated=later(now, 2 * HOUR), fingerprints="AAAA")
    assert bookmarks.is_from_the_future([state], [], now)
    bookmarks.reset(state)
    assert state == Partition()
    assert not bookmarks.is_from_the_future([Partition(finished_at=later(now, HOUR / 2))], [], now)
    assert bookmarks.is_from_the_future([state], [later(now, 2 * HOUR)], now)


def test_rows_that_the_limit_deferred_are_resent_and_the_limit_ends_where_that_does_not_help() -> None:
    state, bookmark = Partition(), from_datetime(START)
    bookmarks.defer(state, bookmark)
    bookmarks.defer(state, None)
    bookmarks.finish_rescan(state, bookmark)
    resent = state.resend_listed_before
    assert resent and bookmark < resent < VISIT_ALL and state.deferred_before is None
    bookmarks.defer(state, bookmark)
    bookmarks.finish_rescan(state, bookmark)
    assert state.resend_listed_before == VISIT_ALL
    bookmarks.finish_rescan(state, bookmark)
    assert state.resend_listed_before is None


def test_a_resend_of_every_row_covers_any_other() -> None:
    state = Partition()
    bookmarks.resend_all(state)
    bookmarks.resend_created(state, from_datetime(START))
    assert state.resend_created_before == END
    bookmarks.finish_rescan(state, from_datetime(START))
    assert state.resend_created_before is None
