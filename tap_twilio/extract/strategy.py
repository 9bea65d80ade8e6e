"""Which way a list is read: by the way that its stream declares, and by what was read of it before."""

from __future__ import annotations

from tap_twilio.streams.model import LogWindow, Rescan
from tap_twilio.tables.effects import Read

from .backfill import backfill
from .full_refresh import read_full, read_whole
from .log_window import read_window
from .partition_read import PartitionRead
from .rescan import refresh


def sync(reading: PartitionRead) -> Read:
    """What one sync reads of a list."""
    for feedback in reading.feedback_consumers:
        feedback.begin()
    if not any(getattr(consumer, "reads_list", True) for consumer in reading.consumers):
        yield from reading.read_feedback(whole=True)
    elif isinstance(reading.stream.reads, LogWindow):
        yield from read_window(reading)
    elif not isinstance(reading.stream.reads, Rescan):
        yield from read_whole(reading)
    elif reading.state.finished is None:
        resumed = reading.state.backfill is not None
        yield from backfill(reading)
        if resumed:
            yield from refresh(reading)
        else:
            yield from reading.read_feedback(whole=True)
    else:
        yield from refresh(reading)
    reading.fail_unread()


def full(reading: PartitionRead, version: int) -> Read:
    """Read all of a list into one version of its table."""
    for feedback in reading.feedback_consumers:
        feedback.begin()
    before = reading.state.full
    resumed = before is not None and before.version == version
    yield from read_full(reading, version)
    yield from reading.read_feedback(whole=not resumed)
