"""Logs and periods: each sync reads the rows dated within some days before the bookmark, and all since, in slices."""

from __future__ import annotations

from tap_twilio.moments import BEGINNING, SECOND, Moment, day_of, earlier, later, midnight_after
from tap_twilio.singer.state import Backfill, Slice
from tap_twilio.streams.model import Window

from .effects import Read
from .reading import Reading
from .slices import Slices
from .tables import How


def read_window(reading: Reading) -> Read:
    """Read the window; rows before it count as final. Its start, less the margin, becomes the bookmark."""
    state, stream = reading.state, reading.stream
    assert isinstance(stream.reads, Window)
    since = reading.oldest
    owed = any(table.state.refill or not table.state.date_updated for table in reading.tables)
    if state.finished and not owed:
        # Whole days, so that the syncs of a day compare the same rows.
        reach = midnight_after(reading.reach) if reading.reach else BEGINNING
        since = max(since, reach, day_of(earlier(state.finished, stream.reads.again)))
    since = _first_day(since, stream.reads.sums)
    opened = state.backfill
    resumed = opened is not None
    if opened is None or opened.slices is None:
        until = later(reading.began, SECOND)
        opened = Backfill(reading.began, reading.served(), slices=_spans(since, until, reading))
        state.backfill = opened
    assert opened.slices is not None
    yield from Slices(reading, reading.lists[0], opened.slices, How.BACKFILL, opened).read()
    if resumed:
        reading.finish_backfill(opened)  # what is owed since it began stays owed
    else:
        reading.finish_round(opened.tables, opened.began)
        state.backfill = None


def _first_day(since: Moment, of: str) -> Moment:
    """
    Where the month or the year begins that a moment lies in; the moment itself where rows are not sums of those.

    >>> _first_day("2026-03-14T15:09:26.000000Z", "month"), _first_day("2026-03-14T15:09:26.000000Z", "year")
    ('2026-03-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z')
    """
    return {"month": f"{since[:7]}-01T00:00:00.000000Z", "year": f"{since[:4]}-01-01T00:00:00.000000Z"}.get(of, since)


def _spans(since: Moment, until: Moment, reading: Reading) -> list[Slice]:
    """The newest first, none longer than the list takes."""
    longest = reading.stream.filter and reading.stream.filter.longest
    found = []
    while longest and earlier(until, longest) > since:
        found.append(Slice(earlier(until, longest), until))
        until = earlier(until, longest)
    return [*found, Slice(since, until)]
