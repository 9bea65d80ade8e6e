"""
Choose how a list is read: by the declaration of its stream, and by what was read before.

run/sync.py calls `sync` or `full` for each `PartitionRead`. Each read is a generator that yields effects, such as a
`Fetch`, to the scheduler (run/scheduler.py), and does no I/O itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tap_twilio.streams.model import FullRead, LogWindow, Rescan
from tap_twilio.tables.effects import Read

from .backfill import backfill
from .full_refresh import read_all_rows, read_version
from .log_window import read_window
from .partition_read import PartitionRead
from .refresh import refresh
from .rescan import read_changes


def sync(reading: PartitionRead) -> Read:
    """Read from a list what one sync needs."""
    for feedback in reading.feedback_consumers:
        feedback.begin()
    yield from refresh(reading)
    if reading.needs_list:
        yield from STRATEGIES[type(reading.stream.read_strategy)](reading)
    else:
        yield from reading.read_feedback(saw_all=True)
    reading.fail_unread()


def _read_incrementally(reading: PartitionRead) -> Read:
    """Read everything the first time; from then on, what changed."""
    if reading.state.finished_at is not None:
        yield from read_changes(reading)
        return
    is_resumed = reading.state.backfill is not None
    yield from backfill(reading)
    if is_resumed:
        yield from read_changes(reading)  # rows changed since the backfill began in an earlier sync
    else:
        yield from reading.read_feedback(saw_all=True)


STRATEGIES: Mapping[type, Callable[[PartitionRead], Read]] = {
    Rescan: _read_incrementally,
    LogWindow: read_window,
    FullRead: read_all_rows,
}


def full(reading: PartitionRead, version: int) -> Read:
    """Read every row of a list into one version of its table."""
    for feedback in reading.feedback_consumers:
        feedback.begin()
    yield from refresh(reading, full_table=True)
    last_read = reading.state.full
    is_resumed = last_read is not None and last_read.version == version
    yield from read_version(reading, version)
    yield from reading.read_feedback(saw_all=not is_resumed)
