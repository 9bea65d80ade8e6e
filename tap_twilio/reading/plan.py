"""Which way a list is read: by the way that its stream declares, and by what was read of it before."""

from __future__ import annotations

from tap_twilio.streams.model import Rounds, Window

from .backfill import backfill
from .effects import Read
from .reading import Reading
from .rounds import refresh
from .whole import read_full, read_whole
from .window import read_window


def sync(reading: Reading) -> Read:
    """What one sync reads of a list."""
    for recent in reading.recents:
        recent.begin()
    if not any(getattr(sink, "reads_list", True) for sink in reading.sinks):
        yield from reading.beside(whole=True)
    elif isinstance(reading.stream.reads, Window):
        yield from read_window(reading)
    elif not isinstance(reading.stream.reads, Rounds):
        yield from read_whole(reading)
    elif reading.state.finished is None:
        resumed = reading.state.backfill is not None
        yield from backfill(reading)
        if resumed:
            yield from refresh(reading)
        else:
            yield from reading.beside(whole=True)
    else:
        yield from refresh(reading)
    reading.fail_unread()


def full(reading: Reading, version: int) -> Read:
    """Read all of a list into one version of its table."""
    for recent in reading.recents:
        recent.begin()
    before = reading.state.full
    resumed = before is not None and before.version == version
    yield from read_full(reading, version)
    yield from reading.beside(whole=not resumed)
