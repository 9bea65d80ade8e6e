"""The first read of a list: a short one is walked whole, a long one that can be filtered is read in slices."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from tap_twilio.errors import PageShifted
from tap_twilio.state.model import Backfill
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import SECOND, later
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between

from .list_order import Order
from .page_reader import PageReader
from .partition_read import PartitionRead
from .second_look import Seen, look_again
from .time_slices import MOST_PARTS, TimeSlices, split_evenly


def backfill(reading: PartitionRead) -> Read:
    """Read everything once. Its bookmark is the start of the first sync that took part."""
    state, in_one_go = reading.state, reading.state.backfill is None  # else the look-back and a round follow
    opened = state.backfill = state.backfill or Backfill(reading.began, reading.served())
    lists = reading.endpoints
    again: list[tuple[ListEndpoint, Seen, Order]] = []
    while opened.at < len(lists):
        endpoint = lists[opened.at]
        if opened.time_slices is None:
            page_reader, seen = yield from _read_pages(reading, endpoint, opened)
            if page_reader.ended and page_reader.pages > 1 and page_reader.order.may_rise:
                again.append((endpoint, seen, page_reader.order))
        if opened.time_slices is not None:
            yield from TimeSlices(reading, endpoint, opened.time_slices, ReadMode.BACKFILL, opened).read()
            reading.close(endpoint, opened.read_ranges[0].read if len(opened.read_ranges) == 1 else {})
            opened.time_slices, opened.read_ranges = None, []
        opened.checkpoint = None
        opened.at += 1
    for endpoint, seen, order in again if in_one_go else ():
        yield from look_again(reading, endpoint, seen, order, opened.began)
    reading.finish_backfill(opened)


def _read_pages(
    reading: PartitionRead, endpoint: ListEndpoint, opened: Backfill
) -> Generator[Effect, Any, tuple[PageReader, Seen]]:
    """Walk a list to its end; or, when it turns out long, leave the slices to read in `opened`."""
    page_reader, seen = PageReader(endpoint, checkpoint=opened.checkpoint), Seen(endpoint)
    dispatcher = reading.dispatcher(ReadMode.BACKFILL, page_reader)
    judged = opened.checkpoint is not None or not reading.sliceable
    while not page_reader.ended:
        try:
            page = yield from page_reader.next_page()
        except PageShifted as shifted:
            opened.checkpoint = None
            if reading.may_restart():
                page_reader, seen = PageReader(endpoint), Seen(endpoint)
                dispatcher = reading.dispatcher(ReadMode.BACKFILL, page_reader)
                continue
            if not reading.sliceable:
                raise reading.incomplete(shifted) from None
            _begin_slices(reading, endpoint, opened, MOST_PARTS)
            break
        if not judged and page.next:
            pages = pages_between(endpoint, page, reading.oldest)
            if pages > reading.bounds.short_pages:
                _begin_slices(reading, endpoint, opened, pages)
                break
        judged = judged or bool(page.rows)
        seen.add(endpoint.ids(page.rows), page.rows)
        yield from reading.take(dispatcher, page)
        opened.checkpoint = dispatcher.checkpoint
        del page  # a read holds no rows while it waits for more
    if opened.time_slices is None:
        yield from dispatcher.end()
    return page_reader, seen


def _begin_slices(reading: PartitionRead, endpoint: ListEndpoint, opened: Backfill, pages: float) -> None:
    since = reading.oldest
    opened.time_slices = split_evenly(reading, endpoint, since, later(opened.began, SECOND), pages)
    bookmarks.leave_to_rescans(opened, since)
