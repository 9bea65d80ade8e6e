"""How an endpoint is read: this module alone chooses, by what its stream declares and by what was read before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tap_twilio.streams.model import FullRead, LogWindow, Rescan
from tap_twilio.tables.effects import Read

from .backfill import backfill
from .full_refresh import read_full, read_whole
from .log_window import read_window
from .partition_read import PartitionRead
from .rescan import refresh


def sync(reading: PartitionRead) -> Read:
    """Read from an endpoint what one sync needs."""
    for feedback in reading.feedback_consumers:
        feedback.begin()
    if any(getattr(consumer, "reads_list", True) for consumer in reading.consumers):
        yield from STRATEGIES[type(reading.stream.reads)](reading)
    else:
        yield from reading.read_feedback(whole=True)
    reading.fail_unread()


def _read_incrementally(reading: PartitionRead) -> Read:
    """Read everything the first time; from then on, what changed."""
    if reading.state.finished is not None:
        yield from refresh(reading)
        return
    resumed = reading.state.backfill is not None
    yield from backfill(reading)
    if resumed:
        yield from refresh(reading)  # rows changed since the backfill began in an earlier sync
    else:
        yield from reading.read_feedback(whole=True)


STRATEGIES: Mapping[type, Callable[[PartitionRead], Read]] = {
    Rescan: _read_incrementally,
    LogWindow: read_window,
    FullRead: read_whole,
}


def full(reading: PartitionRead, version: int) -> Read:
    """Read every row of an endpoint into one version of its table."""
    for feedback in reading.feedback_consumers:
        feedback.begin()
    open_read = reading.state.full
    resumed = open_read is not None and open_read.version == version
    yield from read_full(reading, version)
    yield from reading.read_feedback(whole=not resumed)
