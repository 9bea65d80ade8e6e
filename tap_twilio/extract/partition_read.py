"""
Hold what one sync knows of one stream in one account: its settings, its state and its consumers.

run/plan.py makes a `PartitionRead` for each stream without a parent, in each account. extract/strategy.py reads its
list, and every strategy keeps its progress here and in the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from tap_twilio.changes.fingerprints import FingerprintStore
from tap_twilio.changes.slice_sums import close
from tap_twilio.errors import Error, Incomplete
from tap_twilio.state.model import OpenBackfill, OpenRefresh, Partition
from tap_twilio.streams.model import Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.bookmarks import BookmarksAtStart
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ChangeDetector, ReadMode, Table
from tap_twilio.timestamps import BEGINNING, DAY, END, HOUR, SECOND, Timestamp, earlier, later, start_of_day
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page

from .budget import Budget, Key, VisitLimit
from .call_feedback import CallFeedback
from .child_streams import ChildStream
from .dispatch import MAX_RESTARTS, ChildConsumer, PageDispatcher
from .page_reader import PageReader
from .periods import round_up_to_period

SLICE_PAGES = 4  # per time slice: longer ones leave workers idle at the end, shorter ones cost extra requests
TEN_YEARS = 3650 * DAY  # how far back to read if nothing says since when an account exists
FROM_THE_FUTURE = "its state is dated in the future and ignored: everything is read again"


@dataclass(frozen=True)
class Bounds:
    """The settings that bound a read."""

    start_date: Timestamp = BEGINNING
    lookback: timedelta = 15 * DAY
    lateness: timedelta = 6 * HOUR  # Twilio may list a row so long after the date that the row shows
    page_size: int = 1000
    lookback_pages: int = 500  # the longest lookback that is read page by page, where undated rows show too
    short_pages: int = 30  # the longest list that is read page by page, not in time slices
    end_date: Timestamp = END
    max_child_requests: int = 5000


@dataclass
class PartitionRead:
    """
    A stream of one account, its consumers, and what this sync knows of it.

    `began` is the start of the sync by Twilio's clock, which `now` reads. No bookmark is later than `began`.
    """

    stream: Stream
    account: str
    state: Partition
    consumers: Sequence[Table | ChildConsumer]
    began: Timestamp
    now: Callable[[], Timestamp]
    budget: Budget
    bounds: Bounds = field(default_factory=Bounds)
    created: Timestamp | None = None  # of the account
    restarts: int = 0  # of reads whose pages shifted, in this sync
    bookmarks_at_start: list[BookmarksAtStart] = field(default_factory=list)
    rescan_pages_read: int = 0  # from the budget of this sync
    rescanned_whole: bool = False  # this sync read every row again
    rows: int = 0  # read by this sync
    slice_pages: float = SLICE_PAGES  # the planned length of a time slice (time_slices.py)
    refused_before: Timestamp = BEGINNING  # this sync learned that Twilio refuses filters on earlier dates
    slices_overlap: bool = False  # the filter lists undated rows too, so every time slice repeats them
    # The dates that a first read requests from a list with a date filter; () for all. An audit of some days sets them.
    ranges: Sequence[tuple[Timestamp, Timestamp]] = ()
    refresh_syncs_left: int | None = 0  # after this sync; None: unknown

    @property
    def as_of(self) -> Timestamp:
        """Return the time up to which this sync reads: its start, or an earlier `end_date`."""
        return min(self.began, self.bounds.end_date)

    @cached_property
    def visit_limit(self) -> VisitLimit:
        return VisitLimit(self.bounds.max_child_requests)

    @property
    def key(self) -> Key:
        return (self.stream.name, self.account)

    @property
    def tables(self) -> list[Table]:
        return [table for consumer in self.consumers for table in consumer.tables]

    @property
    def feedback_consumers(self) -> list[CallFeedback]:
        return [consumer for consumer in self.consumers if isinstance(consumer, CallFeedback)]

    @property
    def child_streams(self) -> list[ChildStream]:
        """Return the child streams at every depth."""
        return [
            child_stream
            for consumer in self.consumers
            if isinstance(consumer, ChildStream)
            for child_stream in consumer.child_streams
        ]

    @property
    def fingerprint_stores(self) -> dict[str, FingerprintStore]:
        """Return the fingerprints of each consumer, by its name."""
        return {
            consumer.name: consumer.store for consumer in self.consumers if isinstance(consumer, (Table, ChildStream))
        }

    def finish_slices(self, endpoint: ListEndpoint, partial_sums: dict[str, str]) -> None:
        """Store the fingerprints of an endpoint that was read in time slices."""
        for name, store in self.fingerprint_stores.items():
            close(store, endpoint.name, partial_sums.get(name))

    def save_fingerprints(self) -> None:
        """Write the fingerprints into the state."""
        for table in self.tables:
            table.save_fingerprints()
        for child_stream in self.child_streams:
            child_stream.save_fingerprints()

    @property
    def own_table(self) -> Table | None:
        """Return the stream's own table, or None if only children are selected."""
        return next((table for table in self.tables if table.state is self.state), None)

    @property
    def endpoints(self) -> list[ListEndpoint]:
        return [ListEndpoint(self.stream, self.account, self.bounds.page_size, query) for query in self.stream.variants]

    @property
    def has_pending_resend(self) -> bool:
        """Return whether a table still needs older rows sent, or an INCREMENTAL read of several syncs is open."""
        needs_older = any(table.state.resend_created_before or not table.state.date_updated for table in self.tables)
        return needs_older or bool(self.state.backfill or self.state.rescan)

    # -- before anything is read

    def reconcile(self, added: Sequence[str] = ()) -> list[tuple[str, str]]:
        """
        Adapt the state to the settings and the selection of this sync. Return streams, each with a message for the log.

        A state from the future is reset: only then does a bookmark go back. After a property was added (`added` names
        the tables), or `start_date` was moved back, the next rescan sends the older rows.
        """
        messages = []
        if self._is_from_the_future():
            for state in self._states():
                bookmarks.reset(state)
            messages.append((self.stream.name, FROM_THE_FUTURE))
        with_resend = [table.name for table in self.tables if self._resend_before(table, added)]
        for table in self.tables:
            messages += self._schedule_resend(table, added)
        for child_stream in self.child_streams:
            if child_stream.reconcile(with_resend) and self.state.backfill:
                for time_range in (*self.state.backfill.read_ranges, *(self.state.backfill.time_slices or ())):
                    time_range.partial_sums.pop(child_stream.name, None)
        self._close_unused_reads()
        self._bound_open_reads()
        self.bookmarks_at_start = [BookmarksAtStart.from_state(state) for state in self._states()]
        return messages

    def cap_dates(self, now: Timestamp) -> None:
        """Lower every date that this sync took to `now`, after Twilio's clock was set back."""
        self.began = min(self.began, now)
        for opened in self.state.reads:
            opened.began = min(opened.began, now)
        for feedback in self.feedback_consumers:
            feedback.cap_dates(now)
        for at_start in self.bookmarks_at_start:
            at_start.cap_dates(now, self.bounds.lateness)

    def _states(self) -> list[Partition]:
        states = [
            self.state,
            *(table.state for table in self.tables),
            *(child_stream.state for child_stream in self.child_streams),
        ]
        return list({id(state): state for state in states}.values())

    def _is_from_the_future(self) -> bool:
        opened = [opened.began for opened in (self.state.backfill, self.state.rescan) if opened]
        return bookmarks.is_from_the_future(self._states(), opened, self.began)

    def _resend_before(self, table: Table, added: Sequence[str]) -> Timestamp:
        """Return the creation date before which a table needs every row again, or BEGINNING."""
        if table.name in added:
            return END
        start_date, last_start_date = self.bounds.start_date, table.state.start_date
        return last_start_date if last_start_date is not None and start_date < last_start_date else BEGINNING

    def _schedule_resend(self, table: Table, added: Sequence[str]) -> list[tuple[str, str]]:
        state, resend_before = table.state, self._resend_before(table, added)
        bookmarks.note_start_date(state, self.bounds.start_date)
        backfilled = self.state.backfill is not None and table.name in self.state.backfill.streams
        if not resend_before or not (state.date_updated or backfilled):
            return []
        bookmarks.resend_created(state, resend_before)
        if self.state.rescan and table.name in self.state.rescan.streams:
            self.state.rescan.streams.remove(table.name)
        if table.state is self.state:
            self.state.full = None
        reason = "properties were added" if table.name in added else "start_date is earlier than before"
        return [(table.name, f"{reason}, so older rows are read again")]

    def _bound_open_reads(self) -> None:
        """
        Bound the open reads by `end_date`: this sync leaves out the rows created since.

        After an earlier `end_date`, an unfinished FULL_TABLE read begins again: the target would drop the rows that it
        lacks.
        """
        full, end_date = self.state.full, self.bounds.end_date
        if full and not full.done and full.end_date < end_date:
            full.invalidate()
        elif full and not full.done:
            full.end_date = end_date
        for opened in self.state.reads:
            opened.began = min(opened.began, end_date)

    def _close_unused_reads(self) -> None:
        """Close the open backfill or rescan if it includes no table any more."""
        names = {table.name for table in self.tables}
        state = self.state
        self._remove_from_open_reads([name for opened in state.reads for name in opened.streams if name not in names])
        if state.rescan and not state.rescan.streams:
            state.rescan = None
        if state.backfill and not state.backfill.streams:
            state.backfill = None

    def _remove_from_open_reads(self, names: Sequence[str]) -> None:
        """Remove streams from the open reads. The next rescan sends what they miss."""
        for opened in self.state.reads if names else ():
            opened.streams = [name for name in opened.streams if name not in names]

    # -- reading

    def dispatcher(
        self, mode: ReadMode, page_reader: PageReader, detectors: dict[str, ChangeDetector | None] | None = None
    ) -> PageDispatcher:
        """Return a dispatcher that hands pages to the consumers. Time slices have their own `detectors`."""
        if detectors is None:
            dispatcher = PageDispatcher.of(self.consumers, mode, page_reader)
        else:
            dispatcher = PageDispatcher(self.consumers, mode, page_reader, detectors)
        dispatcher.visit_limit = self.visit_limit if mode is ReadMode.REFRESH else None
        dispatcher.on_failure = lambda: self._remove_from_open_reads(
            [table.name for table in self.tables if table.failed]
        )
        return dispatcher

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read:
        """Hand a page to the consumers."""
        self.rows += len(page.rows)
        yield from dispatcher.take(page)
        if dispatcher.mode is ReadMode.REFRESH:
            for opened in list(self.state.refreshes or ()):
                self.restart_failed_refresh(opened)

    def restart_failed_refresh(self, opened: OpenRefresh) -> None:
        """Have the refresh that is being read begin again for the tables that failed: they get no more pages."""
        if any(table.refresh is opened and table.failed for table in self.tables):
            failed = [table.name for table in self.tables if table.failed]
            self.split_refresh(opened, [name for name in opened.streams if name not in failed])

    def split_refresh(self, opened: OpenRefresh, streams: Sequence[str]) -> None:
        """Go on with a refresh for these of its streams; the others get one that begins again."""
        others = [name for name in opened.streams if name not in streams]
        if others and self.state.refreshes is not None:
            opened.streams = list(streams)
            again = OpenRefresh(self.began, others, since=opened.since, until=opened.until, dated_by=opened.dated_by)
            unchanged = [other for other in self.state.refreshes if streams or other is not opened]
            self.state.refreshes = [*unchanged, again]

    def read_feedback(self, *, saw_all: bool) -> Read:
        """Read call feedback. `saw_all`: this sync read all recent calls."""
        yield [feedback.read_feedback(saw_all=saw_all) for feedback in self.feedback_consumers if not feedback.failed]

    def finish_backfill(self, open_backfill: OpenBackfill) -> None:
        """Set the bookmark of the tables that a backfill included: its start, less the lateness."""
        bookmark = self._finish(open_backfill.began)
        for table in self._unfailed(open_backfill.streams):
            table.finish_backfill(bookmark, open_backfill.resend_listed_before)
        self.state.backfill = None

    def finish_rescan(self, included: Sequence[str], began: Timestamp) -> None:
        """Set the bookmark of the tables that a rescan included: its start, less the lateness."""
        bookmark = self._finish(began)
        for table in self._unfailed(included):
            table.finish_rescan(bookmark)
        self.finish_visits(included)

    def finish_visits(self, included: Sequence[str]) -> None:
        """Let child streams forget the parent rows that a complete read for the included tables did not show."""
        for child_stream in self.child_streams:
            child_stream.finish_rescan(included)

    def _finish(self, began: Timestamp) -> Timestamp:
        bookmark = earlier(began, self.bounds.lateness)
        bookmarks.finish_list(self.state, bookmark)
        return bookmark

    def fail_unread(self) -> None:
        """Fail each child whose log (child_log.py) lacks days that Twilio failed to answer, after all else is read."""
        for child_stream in self.child_streams:
            if child_stream.event_log.error:
                child_stream.fail(child_stream.event_log.error)
                self._remove_from_open_reads([table.name for table in child_stream.tables])

    def _unfailed(self, included: Sequence[str]) -> list[Table]:
        self.fail_unread()
        return [table for table in self.tables if table.name in included and not table.failed]

    def included_tables(self) -> list[str]:
        """Return the names of the tables that a read which begins now includes."""
        return [table.name for table in self.tables if table.is_in_rescans]

    # -- for the strategies

    @property
    def needs_list(self) -> bool:
        """Return whether a consumer needs the rows of the list. Call feedback from scores alone needs no calls."""
        return any(not isinstance(consumer, CallFeedback) or consumer.needs_calls for consumer in self.consumers)

    @property
    def sliceable(self) -> bool:
        """Return whether the list may be read in time slices: not if call feedback needs the undated rows."""
        return self.stream.filter is not None and not any(feedback.needs_calls for feedback in self.feedback_consumers)

    @property
    def slices_since(self) -> Timestamp:
        """Return the date from which time slices read: `start_date` or the account's creation, but not too old."""
        since, filter_ = self.bounds.start_date, self.stream.filter
        if self.created and filter_ and filter_.inclusive:
            since = max(since, start_of_day(self.created))  # Twilio may refuse days before the creation
        since = since or (self.created and earlier(self.created, DAY)) or earlier(self.began, TEN_YEARS)
        return max(since, self.max_age_limit)

    def slices_until(self, began: Timestamp) -> Timestamp:
        """Return the date up to which time slices read, in a read that `began`. A row may be listed a day late."""
        end_date, window = self.bounds.end_date, self.stream.log_window
        if began < end_date:
            return later(began, SECOND)
        return min(
            later(self.began, SECOND), round_up_to_period(end_date, window.period) if window else later(end_date, DAY)
        )

    @property
    def max_age_limit(self) -> Timestamp:
        """Return the oldest date that the filter takes by its declared `max_age`, or BEGINNING."""
        max_age = self.stream.filter and self.stream.filter.max_age
        # One day of margin, since the limit moves during the sync.
        return earlier(self.now(), max_age - DAY) if max_age else BEGINNING

    def may_restart(self) -> bool:
        """Count a restart, and return whether this sync may start the read again."""
        self.restarts += 1
        return self.restarts <= MAX_RESTARTS

    def incomplete(self, shifted: Error | None = None) -> Incomplete:
        return Incomplete.of(self.stream.name, self.account, shifted)
