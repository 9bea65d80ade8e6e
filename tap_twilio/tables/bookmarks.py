"""
Write the dates of a partition (state/model.py). No other module assigns them; reads and tables call these functions.

    date_updated            the bookmark: every change before it was written
    lookback_done_at        the last lookback emitted every dated change before it
    finished_at             the whole list was read as it was then
    resend_listed_before    rescans resend undated rows, and rows whose list date is earlier
    resend_created_before   rescans resend rows that were created earlier
    deferred_before         the next resend_listed_before, while a read is open

The first three never go back, with one exception: `reset` drops a state from the future. (`cap_dates` corrects what the
running sync itself wrote, and never to a date before the one that the sync found.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from tap_twilio.state.model import OpenBackfill, Partition
from tap_twilio.timestamps import BEGINNING, END, HOUR, SECOND, Timestamp, earlier, later

# Values of `resend_listed_before`: visit all rows, without a request limit; and resend undated rows only.
NO_LIMIT: Timestamp = "9000-01-01T00:00:00.000000Z"
UNDATED_ONLY: Timestamp = "1970-01-01T00:00:00.000000Z"


def _latest(old: Timestamp | None, new: Timestamp) -> Timestamp:
    return max(old or BEGINNING, new)


# -- bookmarks


def advance(state: Partition, bookmark: Timestamp) -> None:
    """Note that every change before `bookmark` was written."""
    state.date_updated = _latest(state.date_updated, bookmark)
    finish_lookback(state, bookmark)


def finish_lookback(state: Partition, bookmark: Timestamp) -> None:
    """Note that a lookback emitted every dated change before `bookmark`."""
    state.lookback_done_at = _latest(state.lookback_done_at, bookmark)


def finish_list(state: Partition, bookmark: Timestamp) -> None:
    """Note that the whole list was read as it was at `bookmark`."""
    state.finished_at = _latest(state.finished_at, bookmark)


def note_rescan(state: Partition, now: Timestamp) -> None:
    """Note when a rescan last read a page of the list. The next rescans begin with the list that waits longest."""
    state.rescanned_at = now


def import_bookmark(state: Partition, endpoint: Partition | None, bookmark: Timestamp) -> None:
    """Start from another tap's bookmark: older rows count as sent. `endpoint`: the partition of its own list."""
    advance(state, bookmark)
    state.imported_bookmark = bookmark
    if endpoint is not None and endpoint.finished_at is None:
        endpoint.finished_at = bookmark


# -- the end of a read


def finish_backfill(state: Partition, bookmark: Timestamp, resend_listed_before: Timestamp | None) -> None:
    """Advance after a backfill, which missed undated rows and rows listed before `resend_listed_before`."""
    advance(state, bookmark)
    resend_listed(state, max(resend_listed_before or BEGINNING, state.deferred_before or BEGINNING) or None)
    state.deferred_before = None


def finish_rescan(state: Partition, bookmark: Timestamp) -> None:
    """Advance after a rescan, which resent every row that was due. The next one resends what this one deferred."""
    advance(state, bookmark)
    deferred, resent = state.deferred_before, state.resend_listed_before
    if deferred and resent and deferred >= resent:
        deferred = NO_LIMIT  # each rescan would reach the limit at the same row, and never visit the rows after it
    finish_resend(state)
    state.resend_listed_before = deferred
    state.deferred_before = state.imported_bookmark = None


# -- rows to resend


def resend_created(state: Partition, created_before: Timestamp) -> None:
    """Make the next rescans resend every row that was created before a date."""
    state.resend_created_before = _latest(state.resend_created_before, created_before)


def resend_all(state: Partition) -> None:
    """Make the next rescans resend every row."""
    resend_created(state, END)


def resend_listed(state: Partition, listed_before: Timestamp | None) -> None:
    """Make the next rescans resend every row that is undated or listed before a date; none without a date."""
    state.resend_listed_before = listed_before


def finish_resend(state: Partition) -> None:
    """Note that nothing is left to resend."""
    state.resend_listed_before = state.resend_created_before = None


def skip_resend(state: Partition) -> None:
    """Resend no row because of its creation."""
    state.resend_created_before = None


def skip_older(state: Partition, bookmark: Timestamp) -> None:
    """Start a table without a bookmark at `bookmark`, and skip all older rows."""
    state.date_updated = state.date_updated or bookmark
    state.lookback_done_at = state.lookback_done_at or state.date_updated
    skip_resend(state)


def defer(state: Partition, listed: Timestamp | None) -> None:
    """
    Note that the request limit was reached at a parent row with this list date.

    Later syncs visit that row, every undated one and every older one.
    """
    state.deferred_before = _latest(state.deferred_before, later(listed, SECOND) if listed else UNDATED_ONLY)


def leave_to_rescans(opened: OpenBackfill, until: Timestamp) -> None:
    """Note that a backfill leaves undated rows and rows listed before `until` to rescans."""
    opened.resend_listed_before = _latest(opened.resend_listed_before, until)


def note_start_date(state: Partition, start_date: Timestamp) -> None:
    """Note the `start_date` of this sync, so that a later sync can see that it moved back."""
    state.start_date = start_date


# -- clocks that go back


def is_from_the_future(states: Iterable[Partition], opened: Iterable[Timestamp], now: Timestamp) -> bool:
    """Return whether a bookmark, or the start of an open read, is more than an hour later than `now`."""
    dates = [date for state in states for date in (state.date_updated, state.lookback_done_at, state.finished_at)]
    return max(filter(None, (*dates, *opened)), default=BEGINNING) > earlier(now, -HOUR)


def reset(state: Partition) -> None:
    """Forget a state from the future, so that everything is read again."""
    vars(state).update(vars(Partition()))


@dataclass(frozen=True)
class BookmarksAtStart:
    """The bookmarks of a partition as a sync found them."""

    state: Partition
    date_updated: Timestamp | None
    lookback_done_at: Timestamp | None
    finished_at: Timestamp | None

    @staticmethod
    def from_state(state: Partition) -> BookmarksAtStart:
        return BookmarksAtStart(state, state.date_updated, state.lookback_done_at, state.finished_at)

    def cap_dates(self, now: Timestamp, lateness: timedelta) -> None:
        """Lower the bookmarks that this sync wrote with a clock that was ahead: by Twilio's, it is `now`."""
        state, cap = self.state, earlier(now, lateness)
        if state.date_updated:
            state.date_updated = min(state.date_updated, _latest(self.date_updated, cap))
        if state.lookback_done_at:
            state.lookback_done_at = min(state.lookback_done_at, _latest(self.lookback_done_at, cap))
        if state.finished_at:
            state.finished_at = min(state.finished_at, _latest(self.finished_at, cap))
