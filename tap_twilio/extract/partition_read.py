"""One stream's list in one account: what a sync reads of it, and for whom. plan.py chooses how it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tap_twilio.changes.fingerprints import FingerprintStore
from tap_twilio.changes.slice_sums import close
from tap_twilio.errors import Error, Incomplete
from tap_twilio.state.model import Backfill, Partition
from tap_twilio.streams.model import Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.bookmarks import BookmarksAtStart
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import Reader, ReadMode, Table
from tap_twilio.timestamps import BEGINNING, DAY, END, HOUR, Timestamp, day_of, earlier
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page

from .budget import Budget, Key
from .call_feedback import CallFeedback
from .child_streams import RESTARTS, ChildConsumer, ChildStreams, PageDispatcher
from .page_reader import PageReader

SLICE_PAGES = 4  # how long a slice is meant to be; longer ones leave workers idle at the end, shorter ones cost probes


@dataclass(frozen=True)
class Bounds:
    """What the settings say about reading, in the units that it reckons in."""

    start_date: Timestamp = BEGINNING
    lookback: timedelta = 15 * DAY
    lateness: timedelta = 6 * HOUR
    page_size: int = 1000
    lookback_pages: int = 500  # a look-back of so many pages at most is walked, since slices go by dates
    short_pages: int = 30  # a stretch of this many pages at most is walked, not sliced


@dataclass
class PartitionRead:
    """
    A list with its sinks, and what a sync knows of it.

    `began` is the sync's start, and `now` tells Twilio's clock: a bookmark is never later than the former.
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
    restarts: int = 0
    bookmarks_at_start: list[BookmarksAtStart] = field(default_factory=list)
    rescan_pages_read: int = 0  # in this sync, of the budget
    rescanned_whole: bool = False  # in this sync: all history was read again
    rows: int = 0  # that were read in this sync
    slice_pages: float = SLICE_PAGES  # how long a slice is meant to be: what is longer by half is cut again
    floor: Timestamp = BEGINNING  # filters on dates before it are refused, as this sync found
    slices_overlap: bool = False  # filters list undated rows too, so that each further slice lists them again

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
    def child_streams(self) -> list[ChildStreams]:
        """The children that are visited by what their parent's rows hold, and theirs."""
        return [
            child_stream
            for consumer in self.consumers
            if isinstance(consumer, ChildStreams)
            for child_stream in consumer.child_streams
        ]

    @property
    def counted(self) -> dict[str, FingerprintStore]:
        """What the consumers of its own rows know of them."""
        return {
            consumer.name: consumer.store for consumer in self.consumers if isinstance(consumer, (Table, ChildStreams))
        }

    def close(self, endpoint: ListEndpoint, read: dict[str, str]) -> None:
        """All of a list was read by slices."""
        for name, known in self.counted.items():
            close(known, endpoint.name, read.get(name))

    def keep(self) -> None:
        """Write into the state what is known of rows."""
        for table in self.tables:
            table.keep()
        for child_stream in self.child_streams:
            child_stream.keep()

    @property
    def own(self) -> Table | None:
        """The stream's own table, if that is selected."""
        return next((table for table in self.tables if table.state is self.state), None)

    @property
    def endpoints(self) -> list[ListEndpoint]:
        return [ListEndpoint(self.stream, self.account, self.bounds.page_size, query) for query in self.stream.values]

    @property
    def has_pending_resend(self) -> bool:
        """Whether a table lacks rows that did not change, or something is open."""
        late = any(table.state.resend_created_before or not table.state.date_updated for table in self.tables)
        return late or bool(self.state.opened)

    # -- before anything is read

    def reconcile(self, added: Sequence[str] = ()) -> list[str]:
        """
        Hold the state against what is asked for now; returns what to say of it in the log.

        A state from the future is not believed: the only case in which a bookmark goes back. A property that was
        added (`added` names the tables), or an earlier `start_date`, is owed by a round that begins afterwards.
        """
        said = []
        if self._is_from_the_future():
            for state in self._states():
                bookmarks.reset(state)
            said.append("its state is from the future and not believed: everything is read again")
        wants_more = [table.name for table in self.tables if self._owed(table, table.name in added)]
        for table in self.tables:
            said += self._schedule_resend(table, table.name in added)
        for child_stream in self.child_streams:
            if child_stream.reconcile(wants_more) and self.state.backfill:
                for read in (*self.state.backfill.read_ranges, *(self.state.backfill.time_slices or ())):
                    read.read.pop(child_stream.name, None)
        self._leave_out_unserved()
        self.bookmarks_at_start = [BookmarksAtStart.of(state) for state in self._states()]
        return said

    def hold_back(self, now: Timestamp) -> None:
        """Twilio's clock was put back: no moment that this sync took is later than it, whatever it showed then."""
        self.began = min(self.began, now)
        for opened in self.state.opened:
            opened.began = min(opened.began, now)
        for feedback in self.feedback_consumers:
            feedback.hold_back(now)
        for at_start in self.bookmarks_at_start:
            at_start.hold_back(now, self.bounds.lateness)

    def _states(self) -> list[Partition]:
        parts = [
            self.state,
            *(table.state for table in self.tables),
            *(child_stream.state for child_stream in self.child_streams),
        ]
        return list({id(part): part for part in parts}.values())

    def _is_from_the_future(self) -> bool:
        opened = [opened.began for opened in (self.state.backfill, self.state.rescan) if opened]
        return bookmarks.is_from_the_future(self._states(), opened, self.began)

    def _owed(self, table: Table, added: bool) -> Timestamp:
        """Before when rows were created that a table wants once more."""
        start_date, before = self.bounds.start_date, table.state.start_date
        covered = start_date if before is None else before
        return max(END if added else BEGINNING, covered if start_date < covered else BEGINNING)

    def _schedule_resend(self, table: Table, added: bool) -> list[str]:
        state, resend_listed_before = table.state, self._owed(table, added)
        bookmarks.request_from(state, self.bounds.start_date)
        backfilled = self.state.backfill is not None and table.name in self.state.backfill.tables
        if not resend_listed_before or not (state.date_updated or backfilled):
            return []
        bookmarks.resend(state, resend_listed_before)
        if self.state.rescan and table.name in self.state.rescan.tables:
            self.state.rescan.tables.remove(table.name)
        if table.state is self.state:
            self.state.full = None
        what = "properties were added" if added else "start_date is earlier than before"
        return [f"{what}, so older rows are read again"]

    def _leave_out_unserved(self) -> None:
        """What is open and serves no table any more begins anew."""
        names = {table.name for table in self.tables}
        state = self.state
        self._leave_out([name for opened in state.opened for name in opened.tables if name not in names])
        if state.rescan and not state.rescan.tables:
            state.rescan = None
        if state.backfill and not state.backfill.tables:
            state.backfill = None

    def _leave_out(self, names: Sequence[str]) -> None:
        """What is open goes on without these tables, and the next rounds pay them."""
        for opened in self.state.opened if names else ():
            opened.tables = [name for name in opened.tables if name not in names]

    # -- reading

    def dispatcher(self, mode: ReadMode, page_reader: PageReader) -> PageDispatcher:
        """What hands the pages of a walk to the sinks."""
        return self._watched(PageDispatcher.of(self.consumers, mode, page_reader))

    def slice_dispatcher(
        self, mode: ReadMode, page_reader: PageReader, readers: dict[str, Reader | None]
    ) -> PageDispatcher:
        """The same for a slice; without readers, dates judge."""
        return self._watched(PageDispatcher(self.consumers, mode, page_reader, readers))

    def _watched(self, dispatcher: PageDispatcher) -> PageDispatcher:
        dispatcher.when_failed = lambda: self._leave_out([table.name for table in self.tables if table.failed])
        return dispatcher

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read:
        """Hand a page to the sinks."""
        self.rows += len(page.rows)
        yield from dispatcher.take(page)

    def read_feedback(self, whole: bool) -> Read:
        """What children read beside the list. `whole`: whether the look-back met all that they asked for."""
        yield [feedback.read_feedback(whole) for feedback in self.feedback_consumers if not feedback.failed]

    def finish_backfill(self, opened: Backfill) -> None:
        """Everything was read once, for the tables that it served: its start, less the margin, is their bookmark."""
        bookmark = self._finish(opened.began)
        for table in self._unfailed(opened.tables):
            table.finish_backfill(bookmark, opened.resend_listed_before)
        self.state.backfill = None

    def finish_rescan(self, served: Sequence[str], began: Timestamp) -> None:
        """Every change before `began` was read, for these tables: that, less the margin, is their bookmark."""
        bookmark = self._finish(began)
        for table in self._unfailed(served):
            table.finish_rescan(bookmark)
        self.finish_visits(served)

    def finish_visits(self, served: Sequence[str]) -> None:
        """The whole list was read, for these tables."""
        for child_stream in self.child_streams:
            child_stream.finish_rescan(served)

    def _finish(self, began: Timestamp) -> Timestamp:
        bookmark = earlier(began, self.bounds.lateness)
        bookmarks.finish_list(self.state, bookmark)
        return bookmark

    def fail_unread(self) -> None:
        """Fail the children of which Twilio did not answer some days, now that all else was read."""
        for child_stream in self.child_streams:
            if child_stream.unread:
                child_stream.fail(child_stream.unread)
                self._leave_out([table.name for table in child_stream.tables])

    def _unfailed(self, served: Sequence[str]) -> list[Table]:
        self.fail_unread()
        return [table for table in self.tables if table.name in served and not table.failed]

    def served(self) -> list[str]:
        """The tables that a round which begins now serves."""
        return [table.name for table in self.tables if table.in_rescans]

    # -- what the ways of reading share

    @property
    def sliceable(self) -> bool:
        """Whether slices may stand in for walks: not where a child needs every row, since slices hide some."""
        return self.stream.filter is not None and not any(feedback.reads_list for feedback in self.feedback_consumers)

    @property
    def oldest(self) -> Timestamp:
        """Return where slices begin: at `start_date`, else at the account's creation, as far as the filter reaches."""
        since, filter_ = self.bounds.start_date, self.stream.filter
        if self.created and filter_ and filter_.closed:
            since = max(since, day_of(self.created))  # Twilio may refuse sums of days before it
        since = since or (self.created and earlier(self.created, DAY)) or earlier(self.began, 3650 * DAY)
        return max(since, self.reach)

    @property
    def reach(self) -> Timestamp:
        """How far back the filter answers, for as long as a slice may take."""
        reach = self.stream.filter and self.stream.filter.reach
        return earlier(self.now(), reach - DAY) if reach else BEGINNING

    def may_restart(self) -> bool:
        self.restarts += 1
        return self.restarts <= RESTARTS

    def incomplete(self, shifted: Error | None = None) -> Incomplete:
        return Incomplete.of(self.stream.name, self.account, shifted)
