"""
Write rows again that `--refresh` names, whatever the state knows of them.

extract/strategy.py calls `refresh` before each other read of a list. A refresh reads the list once more, and hands its
rows to the tables in `ReadMode.REFRESH`: they write the rows that the refresh selects, and use no fingerprint. It moves
no bookmark, and the other reads go on as they would without it. The state holds what is left to do (`OpenRefresh`).

A row that moves while the list is read may be missed. Such a row has changed, so that the reads that follow write it.
`refresh` is a generator: the page loop (extract/read_list.py) yields its effects to the scheduler.
"""

from __future__ import annotations

from math import ceil

from tap_twilio.errors import LimitReached, PageShifted, Refused
from tap_twilio.state.model import OpenRefresh, TimeSlice
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import BEGINNING, END, Timestamp, timestamp_or_none, to_datetime
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page

from .dispatch import PageDispatcher
from .log_window import split_range
from .page_reader import PageReader
from .partition_read import PartitionRead
from .periods import start_of_period
from .read_list import YesOrNo, read_list
from .rescan import budget_allows_page
from .time_slices import TimeSlices


def refresh(reading: PartitionRead, full_table: bool = False) -> Read:
    """Go on with the refreshes of a list, one after the other, until a limit of this sync is reached."""
    for opened in list(reading.state.refreshes or ()):
        tables = [table for table in reading.tables if table.name in opened.streams and not table.failed]
        if not tables:
            continue  # the streams are not selected now, or failed in this sync
        reading.split_refresh(opened, [table.name for table in tables])
        for table in tables:
            table.refresh = opened
        try:
            if reading.needs_list:
                yield from _Refresh(reading, opened, is_limited=not full_table).read()
            for feedback in reading.feedback_consumers:
                yield from feedback.read_scores_again()
            reading.fail_unread()
            reading.restart_failed_refresh(opened)
        except LimitReached:
            return
        finally:
            for table in tables:
                table.refresh = None
        reading.state.refreshes = [other for other in reading.state.refreshes or () if other is not opened] or None


class _Refresh:
    """
    The read of a list for one refresh.

    First, time slices return the rows of its dates. Then the list is read page by page, for the rows that the filter
    hides, or all of them if it has no filter. The pages count as pages of rescans (`rescan_pages`).
    """

    def __init__(self, reading: PartitionRead, opened: OpenRefresh, is_limited: bool) -> None:
        self.reading, self.opened = reading, opened
        self.is_limited = is_limited and reading.stream.has_rescans

    def read(self) -> Read:
        """Read each endpoint. Raises LimitReached if the next sync must go on."""
        opened, endpoints = self.opened, self.reading.endpoints
        while opened.list_index < len(endpoints):
            endpoint = endpoints[opened.list_index]
            if opened.time_slices is None and opened.checkpoint is None:
                opened.time_slices = self._plan_slices()
            if opened.time_slices:
                yield from self._estimated(
                    TimeSlices(self.reading, endpoint, opened.time_slices, ReadMode.REFRESH, opened).read()
                )
            if self._needs_pages:
                yield from self._estimated(self._read_pages(endpoint))
            opened.time_slices = opened.checkpoint = None
            opened.list_index += 1

    def _plan_slices(self) -> list[TimeSlice] | None:
        """Return the time slices to read; None if the pages of the list are to show all rows."""
        reading, opened, filter_ = self.reading, self.opened, self.reading.stream.filter
        is_dated = opened.dated_by == reading.stream.name
        if filter_ is None or (not is_dated and filter_.nullable):
            return None
        since = max(opened.since if is_dated else BEGINNING, reading.slices_since)
        if reading.stream.log_window:
            since = start_of_period(since, reading.stream.log_window.period)
        elif is_dated and opened.since < reading.max_age_limit:
            bookmarks.leave_to_rescans(opened, since)  # the pages show the rows that are too old for the filter
        return split_range(since, min(opened.until if is_dated else END, reading.slices_until(reading.as_of)), reading)

    @property
    def _needs_pages(self) -> bool:
        stream, opened = self.reading.stream, self.opened
        filter_misses_rows = stream.filter_hides_rows or (stream.has_rescans and bool(opened.resend_listed_before))
        return opened.time_slices is None or filter_misses_rows

    def _read_pages(self, endpoint: ListEndpoint) -> Read:
        """Read an endpoint page by page. Raises LimitReached if it did not reach the end."""
        dispatcher = self._dispatcher(endpoint)

        def may_read_page() -> YesOrNo:
            return not self.is_limited or (yield from budget_allows_page(self.reading, dispatcher))

        def restart(shifted: PageShifted) -> PageDispatcher:
            nonlocal dispatcher
            self.opened.checkpoint = None
            if not self.reading.may_restart():
                raise self.reading.incomplete(shifted) from None
            dispatcher = self._dispatcher(endpoint)
            return dispatcher

        def keep_checkpoint(dispatcher: PageDispatcher, page: Page) -> bool:
            self.opened.checkpoint = dispatcher.checkpoint
            return dispatcher.has_unread_children

        try:
            yield from read_list(
                self.reading.take,
                dispatcher,
                may_read_page=may_read_page,
                after_page=keep_checkpoint,
                on_shift=restart,
                closes=False,
            )
        except Refused as refused:
            if self.reading.stream.rows is not None or not refused.says_absent:
                raise
            return  # the account does not have this single resource
        if dispatcher.has_unread_children or not dispatcher.page_reader.ended:
            raise LimitReached

    def _dispatcher(self, endpoint: ListEndpoint) -> PageDispatcher:
        page_reader = PageReader(endpoint, checkpoint=self.opened.checkpoint)
        return self.reading.dispatcher(ReadMode.REFRESH, page_reader, {})

    # -- how much is left

    def _estimated(self, read: Read) -> Read:
        """Carry a read out. If it reaches a limit, estimate how many syncs are left, by the dates that it passed."""
        before = self._seconds_left()
        try:
            yield from read
        except LimitReached:
            left = self._seconds_left()
            self.reading.refresh_syncs_left = ceil(left / (before - left)) if 0 < left < before else None
            raise

    def _seconds_left(self) -> float:
        """Return the length of the dates that are left to read, if the newest come first."""
        opened, reading = self.opened, self.reading
        parts = opened.time_slices or [TimeSlice(reading.slices_since, reading.began, opened.checkpoint)]
        return sum(_seconds(part.since, _reached(part) or part.until) for part in parts)


def _reached(part: TimeSlice) -> Timestamp | None:
    """Return the list date of the row after which a time slice is resumed."""
    return timestamp_or_none(part.checkpoint.rows[-1][1]) if part.checkpoint and part.checkpoint.rows else None


def _seconds(since: Timestamp, until: Timestamp) -> float:
    return max(0, (to_datetime(until) - to_datetime(since)).total_seconds())
