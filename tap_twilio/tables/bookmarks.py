"""
Write the dates of a partition (state/model.py): no other module assigns them. Reads and tables call these functions.

The list date of a row is the date that Twilio's filter compares, such as `date_sent`. To resend rows is to emit them
although they did not change: a backfill missed them, properties were added, or `start_date` moved back.

    date_updated            the bookmark: every change before it was written
    lookback_done_at        the last lookback emitted every change before it that `date_updated` shows
    finished_at             the whole list was read as it was then
    resend_listed_before    rescans resend rows without a list date, and rows whose list date is earlier
    resend_created_before   rescans resend rows that were created earlier
    deferred_before         the value of resend_listed_before after the open read, which skips some parents

The first three are bookmarks: the start of a read, less `lateness_hours`. They never go back, with one exception:
`reset` drops a state from the future. (`cap_dates` corrects what the running sync itself wrote, and never to a date
before the one that the sync found.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from tap_twilio.state.model import OpenBackfill, Partition
from tap_twilio.timestamps import BEGINNING, END, HOUR, SECOND, Timestamp, earlier, later

# Two special values of `resend_listed_before`.
VISIT_ALL: Timestamp = "9000-01-01T00:00:00.000000Z"  # read the children of every row, in spite of max_child_requests
UNDATED_ONLY: Timestamp = "1970-01-01T00:00:00.000000Z"  # resend only rows without a list date


def _latest(old: Timestamp | None, new: Timestamp) -> Timestamp:
    return max(old or BEGINNING, new)


# -- bookmarks


def read_start(bookmark: Timestamp, lateness: timedelta) -> Timestamp:
    """Return when the read began that set a bookmark."""
    return later(bookmark, lateness)


def advance(state: Partition, bookmark: Timestamp) -> None:
    """Note that every change before `bookmark` was written."""
    state.date_updated = _latest(state.date_updated, bookmark)
    state.full = None  # left by a FULL_TABLE sync before the stream became INCREMENTAL (run/versions.py)
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


def import_bookmark(state: Partition, bookmark: Timestamp, has_own_list: bool) -> None:
    """
    Start from another tap's bookmark: rows that changed before it count as sent.

    A partition that has its own list starts without a backfill. A child's rows come with the lists of its parents.
    """
    advance(state, bookmark)
    state.imported_bookmark = bookmark
    if has_own_list:
        finish_list(state, bookmark)


# -- the end of a read


def finish_backfill(state: Partition, bookmark: Timestamp, resend_listed_before: Timestamp | None) -> None:
    """Advance after a backfill. It missed rows without a list date, and rows dated before `resend_listed_before`."""
    advance(state, bookmark)
    resend_listed(state, _latest(resend_listed_before, state.deferred_before or BEGINNING) or None)
    state.deferred_before = None


def finish_version(state: Partition) -> None:
    """Note that a FULL_TABLE read took every row: the work that INCREMENTAL syncs left to later ones is done."""
    finish_resend(state)
    state.backfill = state.rescan = state.pages = state.unread = None
    state.deferred_before = state.imported_bookmark = None


def finish_rescan(state: Partition, bookmark: Timestamp) -> None:
    """Advance after a rescan, which resent every row that was due. The next one resends what this one deferred."""
    advance(state, bookmark)
    deferred, resent = state.deferred_before, state.resend_listed_before
    if deferred and resent and deferred >= resent:
        deferred = VISIT_ALL  # each rescan would reach the limit at the same row, and never visit the rows after it
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
    """Make the next rescans resend rows without a list date, and rows listed before a date. None: resend no row."""
    state.resend_listed_before = listed_before


def finish_resend(state: Partition) -> None:
    """Note that nothing is left to resend."""
    state.resend_listed_before = state.resend_created_before = None


def skip_resend(state: Partition) -> None:
    """Cancel what `resend_created` scheduled."""
    state.resend_created_before = None


def skip_older(state: Partition, bookmark: Timestamp) -> None:
    """Start a table at `bookmark` if it has none, and do not send older rows."""
    state.date_updated = state.date_updated or bookmark
    state.lookback_done_at = state.lookback_done_at or state.date_updated
    skip_resend(state)


def defer(state: Partition, listed: Timestamp | None) -> None:
    """
    Note that `max_child_requests` was reached at a parent row with this list date.

    Later syncs visit that row, every older one, and every one without a list date.
    """
    state.deferred_before = _latest(state.deferred_before, later(listed, SECOND) if listed else UNDATED_ONLY)


def leave_to_rescans(opened: OpenBackfill, until: Timestamp) -> None:
    """Note that a backfill leaves rows without a list date, and rows listed before `until`, to rescans."""
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
        """Lower the bookmarks that this sync wrote by a clock that was ahead. `now` is the corrected time."""
        state, cap = self.state, earlier(now, lateness)
        if state.date_updated:
            state.date_updated = min(state.date_updated, _latest(self.date_updated, cap))
        if state.lookback_done_at:
            state.lookback_done_at = min(state.lookback_done_at, _latest(self.lookback_done_at, cap))
        if state.finished_at:
            state.finished_at = min(state.finished_at, _latest(self.finished_at, cap))
