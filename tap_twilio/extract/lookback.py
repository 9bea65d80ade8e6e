"""
The lookback: each sync reads the newest pages of an endpoint, so that fresh changes arrive without a whole rescan.

extract/rescan.py calls `look_back` first, and a rescan that begins goes on from the lookback's pages. `look_back` is a
generator: the page loop (read_list.py) yields its effects to the scheduler.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from tap_twilio.errors import PageShifted
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Effect
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import Timestamp, earlier
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between
from tap_twilio.twilio.request import Page

from .dispatch import PageDispatcher
from .page_reader import PageReader
from .partition_read import PartitionRead
from .read_list import close, read_list
from .time_slices import TimeSlices, split_evenly

ENOUGH_EMPTY_PAGES = 10  # in a row: the lookback leaves the rest to the rescan
Dispatchers = Sequence["PageDispatcher | None"]


def look_back(
    reading: PartitionRead, *, begins_rescan: bool, feedback_since: Timestamp | None
) -> Generator[Effect, Any, tuple[Dispatchers, bool]]:
    """
    Read the newest pages of each endpoint, and emit what changed since the last lookback.

    Return, for each endpoint, the dispatcher with which a rescan can go on; None if the rescan must read the endpoint
    from its top. Also return whether the lookback read every endpoint down to its date.
    """
    tables = [table for table in reading.tables if table.state.date_updated]
    since = _lookback_since(reading, feedback_since)
    mode = ReadMode.LOOKBACK_OF_RESCAN if begins_rescan else ReadMode.LOOKBACK
    dispatchers: list[PageDispatcher | None] = []
    is_complete = True
    for endpoint in reading.endpoints:
        dispatcher, reached_date = yield from _read_newest(reading, endpoint, since, mode)
        dispatchers.append(dispatcher)
        is_complete = is_complete and reached_date
    bookmark = earlier(reading.as_of, reading.bounds.lateness)
    for table in tables:
        if not table.failed:
            bookmarks.finish_lookback(table.state, bookmark)
    return dispatchers, is_complete


def _lookback_since(reading: PartitionRead, feedback_since: Timestamp | None) -> Timestamp:
    """Return the list date down to which the lookback reads. Call feedback may need older rows (`feedback_since`)."""
    states = [table.state for table in reading.tables if table.state.date_updated]
    lookbacks = [state.lookback_done_at for state in states if state.lookback_done_at]
    since = earlier(min([date for date in (*lookbacks, reading.state.finished_at) if date]), reading.bounds.lookback)
    return min(since, feedback_since or since)


def _read_newest(
    reading: PartitionRead, endpoint: ListEndpoint, since: Timestamp, mode: ReadMode
) -> Generator[Effect, Any, tuple[PageDispatcher | None, bool]]:
    """Read one endpoint down to a list date: page by page or, if the lookback is long, in time slices."""
    pages_to_slice = 0.0

    def restart(shifted: PageShifted) -> PageDispatcher | None:
        # None: the rescan reads the endpoint.
        return _from_the_top(reading, endpoint, mode) if reading.may_restart() else None

    def is_enough(dispatcher: PageDispatcher, page: Page) -> bool:
        nonlocal pages_to_slice
        if endpoint.all_before(page, since) or dispatcher.page_reader.empty_in_a_row == ENOUGH_EMPTY_PAGES:
            return True
        if dispatcher.page_reader.pages == 1 and page.next_uri and reading.sliceable:
            pages = pages_between(endpoint, page, since)
            longest = reading.bounds.lookback_pages if reading.as_of == reading.began else 0
            if pages > max(reading.bounds.short_pages, longest):
                pages_to_slice = pages
        return pages_to_slice > 0

    dispatcher = yield from read_list(
        reading.take,
        _from_the_top(reading, endpoint, mode),
        after_page=is_enough,
        on_shift=restart,
        closes=False,
    )
    if pages_to_slice:
        slices = split_evenly(reading, endpoint, since, reading.slices_until(reading.as_of), pages_to_slice)
        yield from TimeSlices(reading, endpoint, slices, ReadMode.LOOKBACK).read()
        return None, True
    if dispatcher and mode is ReadMode.LOOKBACK:  # else the rescan goes on with it
        yield from close(dispatcher)
    return dispatcher, dispatcher is not None


def _from_the_top(reading: PartitionRead, endpoint: ListEndpoint, mode: ReadMode) -> PageDispatcher:
    for feedback in reading.feedback_consumers:
        feedback.begin_lookback()
    return reading.dispatcher(mode, PageReader(endpoint))
