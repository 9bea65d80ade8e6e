"""The look-back over a list's head, for freshness; and rounds over all of it, within the budget, for exactness."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from tap_twilio.errors import PageShifted
from tap_twilio.state.model import OpenRescan
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Effect, Read, Wait
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import SECOND, Timestamp, earlier, later
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between

from .child_streams import PageDispatcher
from .page_reader import PageReader
from .partition_read import PartitionRead
from .time_slices import TimeSlices, split_evenly

EMPTY_HEAD = 10  # pages without a row after which a look-back leaves the rest to the round
Dispatchers = Sequence["PageDispatcher | None"]


def refresh(reading: PartitionRead) -> Read:
    """The look-back, and rounds. Where a round begins, the look-back's pages are its first."""
    state = reading.state
    if state.rescan and not state.rescan.at and not state.rescan.checkpoint:
        state.rescan = None  # nothing of it was read
    begins = state.rescan is None
    for feedback in reading.feedback_consumers:
        feedback.meet_window()
    reach = min((feedback.reach for feedback in reading.feedback_consumers if feedback.reach), default=None)
    dispatchers, whole = yield from _look_back(reading, begins, reach)
    if begins:
        _begin(reading)
    yield [_rescans(reading, dispatchers if begins else None), reading.read_feedback(whole)]


# -- the look-back


def _look_back(
    reading: PartitionRead, begins: bool, reach: Timestamp | None
) -> Generator[Effect, Any, tuple[Dispatchers, bool]]:
    """
    Read the head of each list, and hand on what changed since the last look-back.

    Returns the feeds to go on with, None for a list whose pages cannot be a round's; and whether all was met.
    """
    state, served = reading.state, [table for table in reading.tables if table.state.date_updated]
    known = [table.state.lookback_done_at for table in served if table.state.lookback_done_at]
    edge = earlier(min([date for date in (*known, state.finished) if date]), reading.bounds.lookback)
    edge = min(edge, reach or edge)
    dispatchers: list[PageDispatcher | None] = []
    whole = True
    for endpoint in reading.endpoints:
        dispatcher, met = yield from _head(reading, endpoint, edge, begins)
        dispatchers.append(dispatcher)
        whole = whole and met
    bookmark = earlier(reading.began, reading.bounds.lateness)
    for table in served:
        if not table.failed:
            bookmarks.finish_lookback(table.state, bookmark)
    return dispatchers, whole


def _head(
    reading: PartitionRead, endpoint: ListEndpoint, edge: Timestamp, begins: bool
) -> Generator[Effect, Any, tuple[PageDispatcher | None, bool]]:
    mode = ReadMode.LOOKBACK_OF_RESCAN if begins else ReadMode.LOOKBACK
    dispatcher = _first(reading, endpoint, mode)
    while not dispatcher.page_reader.ended:
        page_reader = dispatcher.page_reader
        try:
            page = yield from page_reader.next_page()
        except PageShifted:
            if not reading.may_restart():
                return None, False  # the round reads it
            dispatcher = _first(reading, endpoint, mode)
            continue
        yield from reading.take(dispatcher, page)
        if endpoint.all_older(page, edge) or page_reader.empty == EMPTY_HEAD:
            break
        if page_reader.pages == 1 and page.next and reading.sliceable:
            pages = pages_between(endpoint, page, edge)
            if pages > max(reading.bounds.short_pages, reading.bounds.lookback_pages):
                slices = split_evenly(reading, endpoint, edge, later(reading.began, SECOND), pages)
                yield from TimeSlices(reading, endpoint, slices, ReadMode.LOOKBACK).read()
                return None, True
    if not begins:
        yield from dispatcher.end() if dispatcher.page_reader.ended else dispatcher.leave()
    return dispatcher, True


def _first(reading: PartitionRead, endpoint: ListEndpoint, mode: ReadMode) -> PageDispatcher:
    for feedback in reading.feedback_consumers:
        feedback.begin_look_back()
    return reading.dispatcher(mode, PageReader(endpoint))


# -- rounds


def _begin(reading: PartitionRead) -> None:
    reading.state.rescan = OpenRescan(reading.began, reading.served())


def _rescans(reading: PartitionRead, dispatchers: Dispatchers | None) -> Read:
    """Go on with the open round; when it ends with budget left, with one more, but never more than one whole."""
    whole = dispatchers is not None
    while (yield from _rescan(reading, dispatchers)):
        _finish(reading, whole)
        if whole:
            return
        whole, dispatchers = True, None
        _begin(reading)


def _finish(reading: PartitionRead, whole: bool) -> None:
    ended = reading.state.rescan
    assert ended
    reading.finish_rescan(ended.tables, ended.began)
    reading.state.pages = None if whole else ended.pages
    reading.state.rescan = None
    reading.rescanned_whole |= whole


def _rescan(reading: PartitionRead, dispatchers: Dispatchers | None) -> Generator[Effect, Any, bool]:
    """Whether the round ended. Where its place moved, it starts again from the top of its first list."""
    while True:
        try:
            return (yield from _read_on(reading, dispatchers))
        except PageShifted as shifted:
            dispatchers = None
            _begin(reading)
            if not reading.may_restart():
                raise reading.incomplete(shifted) from None


def _read_on(reading: PartitionRead, dispatchers: Dispatchers | None) -> Generator[Effect, Any, bool]:
    opened = reading.state.rescan
    assert opened
    lists = reading.endpoints
    for index in range(opened.at, len(lists)):
        endpoint, dispatcher = lists[index], dispatchers[index] if dispatchers else None
        if dispatcher:
            opened.pages += dispatcher.page_reader.pages
            dispatcher.mode = ReadMode.RESCAN
        else:
            dispatcher = reading.dispatcher(ReadMode.RESCAN, PageReader(endpoint, checkpoint=opened.checkpoint))
        opened.at, opened.checkpoint, page_reader = index, dispatcher.checkpoint, dispatcher.page_reader
        while not page_reader.ended:
            # Neither the page of the place counts again, nor those without a row, which show nothing.
            again = (page_reader.resumed and page_reader.pages == 0) or page_reader.empty > 0
            if not again and not (yield from _may_read_page(reading, dispatcher)):
                for left in (dispatcher, *(dispatchers or ())[index + 1 :]):
                    if left:
                        yield from left.leave()
                return False
            page = yield from page_reader.next_page()
            yield from reading.take(dispatcher, page)
            opened.checkpoint = dispatcher.checkpoint
            opened.pages += not again
            del page
        yield from dispatcher.end()
        opened.at = index + 1
        opened.checkpoint = None
    return True


def _may_read_page(reading: PartitionRead, dispatcher: PageDispatcher) -> Generator[Effect, Any, bool]:
    """
    Whether the budget has a page for this round. A list of which no place is kept is read in one go.

    A round that did not come any further reads on to where it can stop, some pages more.
    """
    while reading.stream.resumable and not reading.budget.take(reading.key):
        if reading.budget.may_come(reading.key) and (yield Wait()) is not None:
            continue
        if dispatcher.stops():
            return False
        break
    reading.rescan_pages_read += 1
    bookmarks.note_rescan(reading.state, reading.began)
    return True
