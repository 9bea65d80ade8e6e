"""The first read of an endpoint: page by page or, if the list is long and has a date filter, in time slices."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from tap_twilio.errors import PageShifted
from tap_twilio.state.model import Backfill, Checkpoint
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import SECOND, later
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between
from tap_twilio.twilio.request import Page

from .dispatch import PageDispatcher
from .page_reader import PageReader
from .partition_read import PartitionRead
from .read_list import read_list
from .second_look import FirstRead, SeenRows, look_again
from .time_slices import MOST_PARTS, TimeSlices, split_evenly


def backfill(reading: PartitionRead) -> Read:
    """Read every row once, over as many syncs as that takes. The start of the first sync becomes the bookmark."""
    state, in_one_sync = reading.state, reading.state.backfill is None
    opened = state.backfill = state.backfill or Backfill(reading.began, reading.included_tables())
    endpoints = reading.endpoints
    first_reads: list[FirstRead] = []
    while opened.at < len(endpoints):
        endpoint = endpoints[opened.at]
        if opened.time_slices is None:
            first_read = yield from _PagesOrSlices(reading, endpoint, opened).read()
            if first_read and first_read.order.may_rise:
                first_reads.append(first_read)
        if opened.time_slices is not None:
            yield from TimeSlices(reading, endpoint, opened.time_slices, ReadMode.BACKFILL, opened).read()
            reading.finish_slices(endpoint, opened.read_ranges[0].read if len(opened.read_ranges) == 1 else {})
            opened.time_slices, opened.read_ranges = None, []
        opened.checkpoint = None
        opened.at += 1
    if in_one_sync:  # otherwise a lookback and a rescan follow
        for first_read in first_reads:
            yield from look_again(reading, first_read, opened.began)
    reading.finish_backfill(opened)


class _PagesOrSlices:
    """Read an endpoint to its end; or, if it proves long, plan its time slices in `opened`."""

    def __init__(self, reading: PartitionRead, endpoint: ListEndpoint, opened: Backfill) -> None:
        self.reading, self.endpoint, self.opened = reading, endpoint, opened
        self.seen = SeenRows(endpoint)
        self.is_length_known = opened.checkpoint is not None or not reading.sliceable

    def read(self) -> Generator[Effect, Any, FirstRead | None]:
        """Return what several pages showed; None after a single page, or if time slices are planned."""
        dispatcher = yield from read_list(
            self.reading.take,
            self._dispatcher_from(self.opened.checkpoint),
            prepare_page=self._plan_slices_if_long,
            after_page=self._keep_checkpoint,
            on_shift=self._restart,
        )
        if dispatcher is None or dispatcher.page_reader.pages == 1:
            return None
        return FirstRead(self.endpoint, self.seen, dispatcher.page_reader.order)

    def _dispatcher_from(self, checkpoint: Checkpoint | None) -> PageDispatcher:
        return self.reading.dispatcher(ReadMode.BACKFILL, PageReader(self.endpoint, checkpoint=checkpoint))

    def _plan_slices_if_long(self, page: Page) -> Page | None:
        if not self.is_length_known and page.next:
            pages = pages_between(self.endpoint, page, self.reading.oldest)
            if pages > self.reading.bounds.short_pages:
                self._plan_slices(pages)
                return None
        self.is_length_known = self.is_length_known or bool(page.rows)
        self.seen.add(self.endpoint.ids(page.rows), page.rows)
        return page

    def _keep_checkpoint(self, dispatcher: PageDispatcher, page: Page) -> None:
        self.opened.checkpoint = dispatcher.checkpoint

    def _restart(self, shifted: PageShifted) -> PageDispatcher | None:
        self.opened.checkpoint, self.seen = None, SeenRows(self.endpoint)
        if self.reading.may_restart():
            return self._dispatcher_from(None)
        if not self.reading.sliceable:
            raise self.reading.incomplete(shifted) from None
        self._plan_slices(MOST_PARTS)
        return None

    def _plan_slices(self, pages: float) -> None:
        """Plan time slices for the whole endpoint. Rescans send the undated rows, which no time slice shows."""
        since, opened = self.reading.oldest, self.opened
        opened.time_slices = split_evenly(self.reading, self.endpoint, since, later(opened.began, SECOND), pages)
        bookmarks.leave_to_rescans(opened, since)
