"""Logs and sums of periods: each sync reads the new rows, and once more the rows of some days before the bookmark."""

from __future__ import annotations

from dataclasses import replace

from tap_twilio.errors import ServerFailed
from tap_twilio.state.model import Backfill, TimeSlice
from tap_twilio.streams.model import LogWindow
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import BEGINNING, SECOND, Timestamp, day_of, earlier, later, midnight_after

from .partition_read import PartitionRead
from .periods import start_of_period
from .time_slices import TimeSlices


def read_window(reading: PartitionRead) -> Read:
    """
    Read the window in time slices; older rows are final. The start of the sync, less the lateness, is the bookmark.

    The state keeps the days that Twilio fails to answer, and each sync requests them again.
    """
    state, window = reading.state, reading.stream.log_window
    assert window
    opened = state.backfill
    resumed = opened is not None and bool(opened.time_slices)
    if opened is None or not resumed:
        opened = Backfill(reading.began, reading.included_tables(), time_slices=_window_slices(reading, window))
        state.backfill, state.unread = opened, None
    assert opened.time_slices is not None
    failure: ServerFailed | None = None
    by_day = start_of_period(_next_start(reading, window, opened.began), window.sums)
    slices = TimeSlices(reading, reading.endpoints[0], opened.time_slices, ReadMode.BACKFILL, opened, by_day)
    try:
        yield from slices.read()
    except ServerFailed as error:
        failure = error
    if resumed:
        reading.finish_backfill(opened)  # a resend that was scheduled after it began is still due
    else:
        reading.finish_rescan(opened.tables, opened.began)
        state.backfill = None
    if failure:
        state.unread = opened.time_slices
        raise failure


def _window_slices(reading: PartitionRead, window: LogWindow) -> list[TimeSlice]:
    """Return the time slices to read: the window, or everything; and those that no earlier sync could read."""
    state, oldest = reading.state, reading.oldest
    resends = any(table.state.resend_created_before or not table.state.date_updated for table in reading.tables)
    since = oldest
    if state.finished and not resends:
        # Whole days, so that the syncs of a day compare the same rows.
        reach = midnight_after(reading.reach) if reading.reach else BEGINNING
        since = max(since, reach, day_of(earlier(state.finished, window.again)))
    since = start_of_period(since, window.sums) if window.sums else since
    unread = [
        replace(unread, since=max(unread.since, oldest), until=min(unread.until, since))
        for unread in state.unread or ()
        if max(unread.since, oldest) < min(unread.until, since)
    ]
    return [*_split(since, later(reading.began, SECOND), reading), *unread]


def _next_start(reading: PartitionRead, window: LogWindow, began: Timestamp) -> Timestamp:
    """Return the day from which the next sync reads, if this one began at `began`."""
    return day_of(earlier(reading.state.finished or earlier(began, reading.bounds.lateness), window.again))


def _split(since: Timestamp, until: Timestamp, reading: PartitionRead) -> list[TimeSlice]:
    """Split a range, newest first, into time slices that are no longer than the filter takes."""
    longest = reading.stream.filter and reading.stream.filter.longest
    slices = []
    while longest and earlier(until, longest) > since:
        slices.append(TimeSlice(earlier(until, longest), until))
        until = earlier(until, longest)
    return [*slices, TimeSlice(since, until)]
