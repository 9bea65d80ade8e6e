"""
Read a log, or sums over periods: the new rows, and once more the last days before the bookmark (the log window).

extract/strategy.py chooses this read. Older rows are final, so only the first sync and a resend read them. The read is
a generator: extract/time_slices.py yields its effects to the scheduler.
"""

from __future__ import annotations

from dataclasses import replace

from tap_twilio.errors import ServerFailed
from tap_twilio.state.model import OpenBackfill, TimeSlice
from tap_twilio.streams.model import LogWindow
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import BEGINNING, Timestamp, earlier, round_up_to_day, start_of_day

from .partition_read import PartitionRead
from .periods import start_of_period
from .time_slices import TimeSlices


def read_window(reading: PartitionRead) -> Read:
    """
    Read the log window in time slices, or go on with an earlier sync's read of it.

    The bookmark becomes the start of that read, less the lateness.
    The state keeps the days that Twilio fails to answer (`unread`), and each sync requests them again.
    """
    state, window, open_backfill = reading.state, reading.stream.log_window, reading.state.backfill
    assert window
    is_resumed = open_backfill is not None and bool(open_backfill.time_slices)
    if open_backfill is None or not is_resumed:
        open_backfill = OpenBackfill(
            reading.as_of, reading.included_tables(), time_slices=_slices_to_read(reading, window)
        )
        state.backfill, state.unread = open_backfill, None
    assert open_backfill.time_slices is not None
    _cut_at_end_date(reading, open_backfill.time_slices)
    failure: ServerFailed | None = None
    group_by_day_from = start_of_period(_window_start(reading, window, open_backfill.began), window.period)
    slices = TimeSlices(
        reading, reading.endpoints[0], open_backfill.time_slices, ReadMode.BACKFILL, open_backfill, group_by_day_from
    )
    try:
        yield from slices.read()
    except ServerFailed as error:
        failure = error
    if is_resumed:
        reading.finish_backfill(open_backfill)  # keeps a resend that was scheduled after this read began
    else:
        reading.finish_rescan(open_backfill.streams, open_backfill.began)
        state.backfill = None
    if failure:
        state.unread = open_backfill.time_slices
        raise failure


def _slices_to_read(reading: PartitionRead, window: LogWindow) -> list[TimeSlice]:
    """Return the time slices of the window, or of the whole log; and the days that no earlier sync could read."""
    if reading.ranges:
        return [time_slice for dates in reading.ranges for time_slice in split_range(*dates, reading)]
    state, oldest = reading.state, reading.slices_since
    is_resend = any(table.state.resend_created_before or not table.state.date_updated for table in reading.tables)
    since = oldest
    if state.finished_at and not is_resend:
        filter_start = round_up_to_day(reading.max_age_limit) if reading.max_age_limit else BEGINNING
        since = max(since, filter_start, _window_start(reading, window, reading.as_of))
    since = start_of_period(since, window.period) if window.period else since
    unread = [
        replace(unread, since=max(unread.since, oldest), until=min(unread.until, since))
        for unread in state.unread or ()
        if max(unread.since, oldest) < min(unread.until, since)
    ]
    return [*split_range(since, reading.slices_until(reading.as_of), reading), *unread]


def _window_start(reading: PartitionRead, window: LogWindow, began: Timestamp) -> Timestamp:
    """
    Return the first day of the window. For a first sync that began at `began`, it is the window of the next sync.

    The window has whole days, so that all syncs of a day compare the same rows.
    """
    bookmark = reading.state.finished_at or earlier(began, reading.bounds.lateness)
    return start_of_day(earlier(bookmark, window.lookback))


def _cut_at_end_date(reading: PartitionRead, time_slices: list[TimeSlice]) -> None:
    """Drop the days from `end_date` on, which an earlier sync without it may have left."""
    if reading.as_of < reading.began:
        until = reading.slices_until(reading.as_of)
        time_slices[:] = [replace(part, until=min(part.until, until)) for part in time_slices if part.since < until]


def split_range(since: Timestamp, until: Timestamp, reading: PartitionRead) -> list[TimeSlice]:
    """Split a range, newest first, into time slices that are no longer than the filter takes; none if it is empty."""
    if since >= until:
        return []
    longest = reading.stream.filter and reading.stream.filter.max_range
    slices = []
    while longest and earlier(until, longest) > since:
        slices.append(TimeSlice(earlier(until, longest), until))
        until = earlier(until, longest)
    return [*slices, TimeSlice(since, until)]
