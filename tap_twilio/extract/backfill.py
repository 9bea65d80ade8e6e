"""
The backfill: read an endpoint for the first time, page by page; in time slices if the list is long and can be filtered.

extract/strategy.py calls `backfill` in each sync until the backfill is finished. It is a generator: the page loop and
the time slices yield its effects to the scheduler. Later syncs read with a lookback and a rescan (extract/rescan.py).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from tap_twilio.errors import PageShifted
from tap_twilio.state.model import Checkpoint, OpenBackfill, TimeSlice
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between
from tap_twilio.twilio.request import Page

from .dispatch import PageDispatcher
from .moved_rows import FirstPass, SeenRows, find_moved_rows
from .page_reader import PageReader
from .partition_read import PartitionRead
from .read_list import read_list
from .time_slices import TimeSlices, split_evenly

UNKNOWN_PAGES = 32  # the assumed length of a list whose pages shift


def backfill(reading: PartitionRead) -> Read:
    """
    Read every row once, over as many syncs as that takes.

    The bookmark becomes the start of the first of these syncs, less the lateness.
    """
    state, begins_now = reading.state, reading.state.backfill is None
    open_backfill = state.backfill = state.backfill or OpenBackfill(reading.as_of, reading.included_tables())
    endpoints = reading.endpoints
    first_passes: list[FirstPass] = []
    while open_backfill.list_index < len(endpoints):
        endpoint = endpoints[open_backfill.list_index]
        if reading.ranges and reading.sliceable:  # an audit of some days
            open_backfill.time_slices = [TimeSlice(*dates) for dates in reading.ranges]
        if open_backfill.time_slices is None:
            first_pass = yield from _PagesOrSlices(reading, endpoint, open_backfill).read()
            if first_pass and first_pass.orders.rows_may_move_up:
                first_passes.append(first_pass)
        if open_backfill.time_slices is not None:
            yield from TimeSlices(reading, endpoint, open_backfill.time_slices, ReadMode.BACKFILL, open_backfill).read()
            ranges = open_backfill.read_ranges  # neighbors are joined: one range if no time slice was left out
            reading.finish_slices(endpoint, ranges[0].partial_sums if len(ranges) == 1 else {})
            open_backfill.time_slices, open_backfill.read_ranges = None, []
        open_backfill.checkpoint = None
        open_backfill.list_index += 1
    if begins_now:  # otherwise a lookback and a rescan follow, which find the rows that moved
        for first_pass in first_passes:
            yield from find_moved_rows(reading, first_pass, open_backfill.began)
    reading.finish_backfill(open_backfill)


class _PagesOrSlices:
    """Read an endpoint to its end or, if it proves to be long or its pages keep shifting, plan its time slices."""

    def __init__(self, reading: PartitionRead, endpoint: ListEndpoint, open_backfill: OpenBackfill) -> None:
        self.reading, self.endpoint, self.open_backfill = reading, endpoint, open_backfill
        self.seen = SeenRows(endpoint)
        self.is_length_known = open_backfill.checkpoint is not None or not reading.sliceable

    def read(self) -> Generator[Effect, Any, FirstPass | None]:
        """Return what the pages showed; None if there is only one, or if time slices are planned."""
        dispatcher = yield from read_list(
            self.reading.take,
            self._dispatcher_from(self.open_backfill.checkpoint),
            prepare_page=self._plan_slices_if_long,
            after_page=self._keep_checkpoint,
            on_shift=self._restart,
        )
        if dispatcher is None or dispatcher.page_reader.pages == 1:
            return None
        return FirstPass(self.endpoint, self.seen, dispatcher.page_reader.orders)

    def _dispatcher_from(self, checkpoint: Checkpoint | None) -> PageDispatcher:
        return self.reading.dispatcher(ReadMode.BACKFILL, PageReader(self.endpoint, checkpoint=checkpoint))

    def _plan_slices_if_long(self, page: Page) -> Page | None:
        if not self.is_length_known and page.next_uri:
            pages = pages_between(self.endpoint, page, self.reading.slices_since)
            if pages > self.reading.bounds.short_pages:
                self._plan_slices(pages)
                return None
        self.is_length_known = self.is_length_known or bool(page.rows)
        self.seen.add(self.endpoint.ids(page.rows), page.rows)
        return page

    def _keep_checkpoint(self, dispatcher: PageDispatcher, page: Page) -> None:
        self.open_backfill.checkpoint = dispatcher.checkpoint

    def _restart(self, shifted: PageShifted) -> PageDispatcher | None:
        self.open_backfill.checkpoint, self.seen = None, SeenRows(self.endpoint)
        if self.reading.may_restart():
            return self._dispatcher_from(None)
        if not self.reading.sliceable:
            raise self.reading.incomplete(shifted) from None
        self._plan_slices(UNKNOWN_PAGES)
        return None

    def _plan_slices(self, pages: float) -> None:
        """Plan time slices for the whole endpoint. Rescans send the undated rows, which no time slice shows."""
        since, open_backfill = self.reading.slices_since, self.open_backfill
        open_backfill.time_slices = split_evenly(
            self.reading, self.endpoint, since, self.reading.slices_until(open_backfill.began), pages
        )
        bookmarks.leave_to_rescans(open_backfill, since)
