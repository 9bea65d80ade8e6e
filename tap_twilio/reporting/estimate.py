"""
Estimate how much of a first read is done, from the dates of the rows read so far.

stats.py calls it, on the main thread and on that of the live display.
"""

from __future__ import annotations

from datetime import timedelta

from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.state.model import Checkpoint, OpenBackfill
from tap_twilio.timestamps import Timestamp, timestamp_or_none, to_datetime


def first_read_share(reading: PartitionRead) -> float | None:
    """
    Return how much is done, from 0 to 1; None if no first read is in progress.

    The estimate assumes that Twilio lists the newest rows first, and as many rows on each day.
    """
    backfill, finished = reading.state.backfill, reading.state.finished_at
    if finished is not None:
        return None if backfill else 1.0
    if backfill is None:
        return None
    oldest = min([reading.slices_since, *(time_slice.since for time_slice in list(backfill.time_slices or ()))])
    whole = to_datetime(backfill.began) - to_datetime(oldest)
    if whole <= timedelta(0):
        return None
    share_of_list = 1 - min(1.0, max(0.0, _time_left(backfill, oldest, whole) / whole))
    return (backfill.list_index + share_of_list) / max(1, len(reading.endpoints))


def _time_left(backfill: OpenBackfill, oldest: Timestamp, whole: timedelta) -> timedelta:
    """Return the range of dates that is left to read of the current list."""
    if backfill.time_slices is None:
        return _after(oldest, backfill.checkpoint) if backfill.checkpoint else whole
    return sum(
        (
            _after(left.since, left.checkpoint) if left.checkpoint else _between(left.since, left.until)
            for left in list(backfill.time_slices)  # a copy, since the main thread removes some
        ),
        timedelta(0),
    )


def _after(since: Timestamp, checkpoint: Checkpoint) -> timedelta:
    """Return the time from `since` to the date of the row at which the next read resumes."""
    dates = [timestamp_or_none(date) for _, date in checkpoint.rows if date]
    return _between(since, dates[-1] or since) if dates else timedelta(0)


def _between(since: Timestamp, until: Timestamp) -> timedelta:
    return max(timedelta(0), to_datetime(until) - to_datetime(since))
