"""An estimate of how much of a first read is done, by the time span read so far. Any thread may call it."""

from __future__ import annotations

from datetime import timedelta

from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.state.model import Backfill, Checkpoint
from tap_twilio.timestamps import Timestamp, timestamp_or_none, to_datetime


def first_read_share(reading: PartitionRead) -> float | None:
    """Return the share that is done, from 0 to 1; None if no first read is in progress.

    Assumes that the newest rows come first.
    """
    opened, finished = reading.state.backfill, reading.state.finished
    if finished is not None:
        return None if opened else 1.0
    if opened is None:
        return None
    since = min([reading.oldest, *(time_slice.since for time_slice in list(opened.time_slices or ()))])
    whole = to_datetime(opened.began) - to_datetime(since)
    if whole <= timedelta(0):
        return None
    share = 1 - min(1.0, max(0.0, _left(opened, since, whole) / whole))
    return (opened.at + share) / max(1, len(reading.endpoints))


def _left(opened: Backfill, since: Timestamp, whole: timedelta) -> timedelta:
    """Return the time span that is left to read of the current list."""
    if opened.time_slices is None:
        return _until(opened.checkpoint, since) if opened.checkpoint else whole
    return sum(
        (
            _until(left.checkpoint, left.since) if left.checkpoint else _between(left.since, left.until)
            for left in list(opened.time_slices)  # a copy, since another thread removes some
        ),
        timedelta(0),
    )


def _until(checkpoint: Checkpoint | None, since: Timestamp) -> timedelta:
    """Return the time span from `since` to the last dated row of a checkpoint."""
    dates = [timestamp_or_none(date) for _, date in checkpoint.rows if date] if checkpoint else []
    return _between(since, dates[-1] or since) if dates else timedelta(0)


def _between(since: Timestamp, until: Timestamp) -> timedelta:
    return max(timedelta(0), to_datetime(until) - to_datetime(since))
