"""The first read of an endpoint: page by page or, if the list is long and has a date filter, in time slices."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from tap_twilio.errors import PageShifted
from tap_twilio.state.model import Backfill, Checkpoint
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import BEGINNING, SECOND, later
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between
from tap_twilio.twilio.request import Page

from .child_streams import PageDispatcher
from .page_reader import PageReader
from .partition_read import PartitionRead
from .read_list import read_list
from .second_look import FirstRead, SeenRows, look_again
from .time_slices import MOST_PARTS, TimeSlices, split_evenly


def backfill(reading: PartitionRead) -> Read:
    """Read every row once, over as many syncs as that takes. The start of the first sync becomes the bookmark."""
    state, in_one_sync = reading.state, reading.state.backfill is None
    opened = state.backfill = state.backfill or Backfill(reading.began, reading.served())
    endpoints = reading.endpoints
    first_reads: list[FirstRead] = []
    while opened.at < len(endpoints):
        endpoint = endpoints[opened.at]
        if opened.time_slices is None:
            first_read = yield from _read_pages(reading, endpoint, opened)
            if first_read and first_read.order.may_rise:
                first_reads.append(first_read)
        if opened.time_slices is not None:
            yield from TimeSlices(reading, endpoint, opened.time_slices, ReadMode.BACKFILL, opened).read()
            reading.close(endpoint, opened.read_ranges[0].read if len(opened.read_ranges) == 1 else {})
            opened.time_slices, opened.read_ranges = None, []
        opened.checkpoint = None
        opened.at += 1
    if in_one_sync:  # otherwise a lookback and a rescan follow
        for first_read in first_reads:
            yield from look_again(reading, first_read, opened.began)
    reading.finish_backfill(opened)


def _read_pages(
    reading: PartitionRead, endpoint: ListEndpoint, opened: Backfill
) -> Generator[Effect, Any, FirstRead | None]:
    """
    Read an endpoint to its end; or, if it proves long, plan its time slices in `opened`.

    Return what several pages showed. Return None if there was one page, or if time slices are planned.
    """
    seen = SeenRows(endpoint)
    is_length_known = opened.checkpoint is not None or not reading.sliceable

    def dispatcher_from(checkpoint: Checkpoint | None) -> PageDispatcher:
        return reading.dispatcher(ReadMode.BACKFILL, PageReader(endpoint, checkpoint=checkpoint))

    def slice_if_long(page: Page) -> Page | None:
        nonlocal is_length_known
        if not is_length_known and page.next:
            pages = pages_between(endpoint, page, reading.oldest)
            if pages > reading.bounds.short_pages:
                _plan_slices(reading, endpoint, opened, pages)
                return None
        is_length_known = is_length_known or bool(page.rows)
        seen.add(endpoint.ids(page.rows), page.rows)
        return page

    def keep_checkpoint(dispatcher: PageDispatcher, page: Page) -> None:
        opened.checkpoint = dispatcher.checkpoint

    def restart(shifted: PageShifted) -> PageDispatcher | None:
        nonlocal seen
        opened.checkpoint, seen = None, SeenRows(endpoint)
        if reading.may_restart():
            return dispatcher_from(None)
        if not reading.sliceable:
            raise reading.incomplete(shifted) from None
        _plan_slices(reading, endpoint, opened, MOST_PARTS)
        return None

    dispatcher = yield from read_list(
        reading.take,
        dispatcher_from(opened.checkpoint),
        prepare_page=slice_if_long,
        after_page=keep_checkpoint,
        on_shift=restart,
    )
    if dispatcher is None or dispatcher.page_reader.pages == 1:
        return None
    return FirstRead(endpoint, seen, dispatcher.page_reader.order)


def _plan_slices(reading: PartitionRead, endpoint: ListEndpoint, opened: Backfill, pages: float) -> None:
    """Plan time slices for the whole endpoint. Rescans send the undated rows, which no slice shows."""
    since = reading.oldest
    opened.time_slices = split_evenly(reading, endpoint, since, later(opened.began, SECOND), pages)
    opened.resend_listed_before = max(since, opened.resend_listed_before or BEGINNING)
