"""Logs and periods: each sync reads the rows dated within some days before the bookmark, and all since, in slices."""

from __future__ import annotations

from dataclasses import replace

from tap_twilio.errors import ServerFailed
from tap_twilio.state.model import Backfill, TimeSlice
from tap_twilio.streams.model import LogWindow
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import BEGINNING, SECOND, Timestamp, day_of, earlier, later, midnight_after

from .partition_read import PartitionRead
from .time_slices import TimeSlices
from .units import first_of


def read_window(reading: PartitionRead) -> Read:
    """
    Read the window; rows before it count as final. Its start, less the margin, becomes the bookmark.

    Days that Twilio fails to answer are kept in the state, and each sync asks for them again.
    """
    state, stream = reading.state, reading.stream
    assert isinstance(stream.reads, LogWindow)
    opened = state.backfill
    resumed = opened is not None and bool(opened.time_slices)
    if opened is None or not resumed:
        opened = Backfill(reading.began, reading.served(), time_slices=_window(reading, stream.reads))
        state.backfill, state.unread = opened, None
    assert opened.time_slices is not None
    failed: ServerFailed | None = None
    by_day = first_of(_reread(reading, stream.reads, opened.began), stream.reads.sums)
    try:
        yield from TimeSlices(
            reading, reading.endpoints[0], opened.time_slices, ReadMode.BACKFILL, opened, by_day
        ).read()
    except ServerFailed as error:
        failed = error
    if resumed:
        reading.finish_backfill(opened)  # what is owed since it began stays owed
    else:
        reading.finish_rescan(opened.tables, opened.began)
        state.backfill = None
    if failed:
        state.unread = opened.time_slices
        raise failed


def _window(reading: PartitionRead, reads: LogWindow) -> list[TimeSlice]:
    """What is to be read: all, or the days of late, and those that no earlier sync could read."""
    state, since = reading.state, reading.oldest
    resend_listed_before = any(
        table.state.resend_created_before or not table.state.date_updated for table in reading.tables
    )
    if state.finished and not resend_listed_before:
        # Whole days, so that the syncs of a day compare the same rows.
        reach = midnight_after(reading.reach) if reading.reach else BEGINNING
        since = max(since, reach, day_of(earlier(state.finished, reads.again)))
    since = first_of(since, reads.sums) if reads.sums else since
    first = reading.oldest
    unread = [
        replace(one, since=max(one.since, first), until=min(one.until, since))
        for one in state.unread or ()
        if max(one.since, first) < min(one.until, since)
    ]
    return [*_spans(since, later(reading.began, SECOND), reading), *unread]


def _reread(reading: PartitionRead, reads: LogWindow, began: Timestamp) -> Timestamp:
    """Return from when on the days of a list are read again, after a sync that began then."""
    return day_of(earlier(reading.state.finished or earlier(began, reading.bounds.lateness), reads.again))


def _spans(since: Timestamp, until: Timestamp, reading: PartitionRead) -> list[TimeSlice]:
    """The newest first, none longer than the list takes."""
    longest = reading.stream.filter and reading.stream.filter.longest
    found = []
    while longest and earlier(until, longest) > since:
        found.append(TimeSlice(earlier(until, longest), until))
        until = earlier(until, longest)
    return [*found, TimeSlice(since, until)]
