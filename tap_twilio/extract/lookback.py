"""
The lookback: each sync reads the newest pages of an endpoint, so that fresh changes arrive without a whole rescan.

extract/rescan.py calls `look_back` first, and a rescan that begins goes on from the lookback's pages. It is a
generator: the page loop yields its effects to the scheduler.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from tap_twilio.errors import PageShifted
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Effect
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import SECOND, Timestamp, earlier, later
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between
from tap_twilio.twilio.request import Page

from .dispatch import PageDispatcher
from .page_reader import PageReader
from .partition_read import PartitionRead
from .read_list import close, read_list
from .time_slices import TimeSlices, split_evenly

MAX_EMPTY_PAGES = 10  # in a row, after which a lookback leaves the rest to the rescan
Dispatchers = Sequence["PageDispatcher | None"]


def look_back(
    reading: PartitionRead, begins_rescan: bool, feedback_since: Timestamp | None
) -> Generator[Effect, Any, tuple[Dispatchers, bool]]:
    """
    Read the newest pages of each endpoint, and emit what changed since the last lookback.

    Return a dispatcher for each endpoint with which a rescan can go on, or None if the rescan must read the endpoint
    from the top. Also return whether the lookback reached its edge in every endpoint.
    """
    tables = [table for table in reading.tables if table.state.date_updated]
    edge = _edge(reading, feedback_since)
    dispatchers: list[PageDispatcher | None] = []
    is_complete = True
    for endpoint in reading.endpoints:
        dispatcher, reached_edge = yield from _read_newest(reading, endpoint, edge, begins_rescan)
        dispatchers.append(dispatcher)
        is_complete = is_complete and reached_edge
    bookmark = earlier(reading.began, reading.bounds.lateness)
    for table in tables:
        if not table.failed:
            bookmarks.finish_lookback(table.state, bookmark)
    return dispatchers, is_complete


def _edge(reading: PartitionRead, feedback_since: Timestamp | None) -> Timestamp:
    """Return the list date down to which the lookback reads: call feedback may need older rows (`feedback_since`)."""
    states = [table.state for table in reading.tables if table.state.date_updated]
    lookbacks = [state.lookback_done_at for state in states if state.lookback_done_at]
    edge = earlier(min([date for date in (*lookbacks, reading.state.finished_at) if date]), reading.bounds.lookback)
    return min(edge, feedback_since or edge)


def _read_newest(
    reading: PartitionRead, endpoint: ListEndpoint, edge: Timestamp, begins_rescan: bool
) -> Generator[Effect, Any, tuple[PageDispatcher | None, bool]]:
    """Read one endpoint down to the edge: page by page or, when the lookback is long, in time slices."""
    mode = ReadMode.LOOKBACK_OF_RESCAN if begins_rescan else ReadMode.LOOKBACK
    pages_to_slice = 0.0

    def restart(shifted: PageShifted) -> PageDispatcher | None:
        return _from_the_top(reading, endpoint, mode) if reading.may_restart() else None  # the rescan reads it

    def is_enough(dispatcher: PageDispatcher, page: Page) -> bool:
        nonlocal pages_to_slice
        if endpoint.all_before(page, edge) or dispatcher.page_reader.empty == MAX_EMPTY_PAGES:
            return True
        if dispatcher.page_reader.pages == 1 and page.next_uri and reading.sliceable:
            pages = pages_between(endpoint, page, edge)
            if pages > max(reading.bounds.short_pages, reading.bounds.lookback_pages):
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
        slices = split_evenly(reading, endpoint, edge, later(reading.began, SECOND), pages_to_slice)
        yield from TimeSlices(reading, endpoint, slices, ReadMode.LOOKBACK).read()
        return None, True
    if dispatcher and not begins_rescan:
        yield from close(dispatcher)
    return dispatcher, dispatcher is not None


def _from_the_top(reading: PartitionRead, endpoint: ListEndpoint, mode: ReadMode) -> PageDispatcher:
    for feedback in reading.feedback_consumers:
        feedback.begin_lookback()
    return reading.dispatcher(mode, PageReader(endpoint))
