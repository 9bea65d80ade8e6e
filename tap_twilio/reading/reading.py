"""One stream's list in one account: what a sync reads of it, and for whom. plan.py chooses how it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tap_twilio.errors import Error, Unfinished
from tap_twilio.moments import BEGINNING, DAY, END, HOUR, Moment, day_of, earlier
from tap_twilio.singer.state import Backfill, Partition
from tap_twilio.streams.model import Stream
from tap_twilio.twilio.request import Page

from .budget import Budget, Key
from .digests import Known
from .effects import Read
from .lists import Listing
from .recent import RecentBranch
from .sinks import RESTARTS, Below, Branch, Feed
from .tables import How, Reader, Table, close
from .walk import Walk

SLICE_PAGES = 4  # how long a slice is meant to be; longer ones leave workers idle at the end, shorter ones cost probes


@dataclass(frozen=True)
class Bounds:
    """What the settings say about reading, in the units that it reckons in."""

    start_date: Moment = BEGINNING
    lookback: timedelta = 15 * DAY
    margin: timedelta = 6 * HOUR
    page_size: int = 1000
    walked_pages: int = 500  # a look-back of so many pages at most is walked, since slices go by dates
    short_pages: int = 30  # a stretch of this many pages at most is walked, not sliced


@dataclass
class Reading:
    """
    A list with its sinks, and what a sync knows of it.

    `began` is the sync's start, and `now` tells Twilio's clock: a bookmark is never later than the former.
    """

    stream: Stream
    account: str
    state: Partition
    sinks: Sequence[Table | Below]
    began: Moment
    now: Callable[[], Moment]
    budget: Budget
    bounds: Bounds = field(default_factory=Bounds)
    created: Moment | None = None  # of the account
    restarts: int = 0
    known: list[tuple[Partition, Moment | None, Moment | None, Moment | None]] = field(default_factory=list)  # at first
    swept_pages: int = 0  # in this sync, of the budget
    swept_whole: bool = False  # in this sync: all history was read again
    rows: int = 0  # that were read in this sync
    slice_pages: float = SLICE_PAGES  # how long a slice is meant to be: what is longer by half is cut again
    floor: Moment = BEGINNING  # filters on dates before it are refused, as this sync found
    slices_overlap: bool = False  # filters list undated rows too, so that each further slice lists them again

    @property
    def key(self) -> Key:
        return (self.stream.name, self.account)

    @property
    def tables(self) -> list[Table]:
        return [table for sink in self.sinks for table in sink.tables]

    @property
    def recents(self) -> list[RecentBranch]:
        return [sink for sink in self.sinks if isinstance(sink, RecentBranch)]

    @property
    def branches(self) -> list[Branch]:
        """The children that are visited by what their parent's rows hold, and theirs."""
        return [branch for sink in self.sinks if isinstance(sink, Branch) for branch in sink.branches]

    @property
    def counted(self) -> dict[str, Known]:
        """What the consumers of its own rows know of them."""
        return {sink.name: sink.known for sink in self.sinks if isinstance(sink, (Table, Branch))}

    def close(self, listing: Listing, read: dict[str, str]) -> None:
        """All of a list was read by slices."""
        for name, known in self.counted.items():
            close(known, listing, read.get(name))

    def keep(self) -> None:
        """Write into the state what is known of rows."""
        for table in self.tables:
            table.keep()
        for branch in self.branches:
            branch.keep()

    @property
    def own(self) -> Table | None:
        """The stream's own table, if that is selected."""
        return next((table for table in self.tables if table.state is self.state), None)

    @property
    def lists(self) -> list[Listing]:
        return [Listing(self.stream, self.account, self.bounds.page_size, query) for query in self.stream.values]

    @property
    def owes(self) -> bool:
        """Whether a table lacks rows that did not change, or something is open."""
        late = any(table.state.refill or not table.state.date_updated for table in self.tables)
        return late or bool(self.state.opened)

    # -- before anything is read

    def adopt(self, added: Sequence[str] = ()) -> list[str]:
        """
        Hold the state against what is asked for now; returns what to say of it in the log.

        A state from the future is not believed: the only case in which a bookmark goes back. A property that was
        added (`added` names the tables), or an earlier `start_date`, is owed by a round that begins afterwards.
        """
        said = []
        if self._is_from_the_future():
            for state in self._states():
                vars(state).update(vars(Partition()))
            said.append("its state is from the future and not believed: everything is read again")
        wants_more = [table.name for table in self.tables if self._owed(table, table.name in added)]
        for table in self.tables:
            said += self._owe(table, table.name in added)
        for branch in self.branches:
            if branch.adopt(wants_more) and self.state.backfill:
                for read in (*self.state.backfill.spans, *(self.state.backfill.slices or ())):
                    read.read.pop(branch.name, None)
        self._leave_out_unserved()
        self.known = [(s, s.date_updated, s.looked_back, s.finished) for s in self._states()]
        return said

    def hold_back(self, now: Moment) -> None:
        """Twilio's clock was put back: no moment that this sync took is later than it, whatever it showed then."""
        self.began = min(self.began, now)
        for opened in self.state.opened:
            opened.began = min(opened.began, now)
        for recent in self.recents:
            recent.hold_back(now)
        for state, *before in self.known:
            for name, known in zip(("date_updated", "looked_back", "finished"), before):
                if date := getattr(state, name):
                    setattr(state, name, min(date, max(known or BEGINNING, earlier(now, self.bounds.margin))))

    def _states(self) -> list[Partition]:
        parts = [self.state, *(table.state for table in self.tables), *(branch.state for branch in self.branches)]
        return list({id(part): part for part in parts}.values())

    def _is_from_the_future(self) -> bool:
        known = [date for state in self._states() for date in (state.date_updated, state.looked_back, state.finished)]
        known += [opened.began for opened in (self.state.backfill, self.state.round) if opened]
        return max(filter(None, known), default=BEGINNING) > earlier(self.began, -HOUR)

    def _owed(self, table: Table, added: bool) -> Moment:
        """Before when rows were created that a table wants once more."""
        start_date, before = self.bounds.start_date, table.state.start_date
        covered = start_date if before is None else before
        return max(END if added else BEGINNING, covered if start_date < covered else BEGINNING)

    def _owe(self, table: Table, added: bool) -> list[str]:
        state, owed = table.state, self._owed(table, added)
        state.start_date = self.bounds.start_date
        backfilled = self.state.backfill is not None and table.name in self.state.backfill.tables
        if not owed or not (state.date_updated or backfilled):
            return []
        state.refill = max(owed, state.refill or BEGINNING)
        if self.state.round and table.name in self.state.round.tables:
            self.state.round.tables.remove(table.name)
        if table.state is self.state:
            self.state.full = None
        what = "properties were added" if added else "start_date is earlier than before"
        return [f"{what}, so older rows are read again"]

    def _leave_out_unserved(self) -> None:
        """What is open and serves no table any more begins anew."""
        names = {table.name for table in self.tables}
        state = self.state
        self._leave_out([name for opened in state.opened for name in opened.tables if name not in names])
        if state.round and not state.round.tables:
            state.round = None
        if state.backfill and not state.backfill.tables:
            state.backfill = None

    def _leave_out(self, names: Sequence[str]) -> None:
        """What is open goes on without these tables, and the next rounds pay them."""
        for opened in self.state.opened if names else ():
            opened.tables = [name for name in opened.tables if name not in names]

    # -- reading

    def feed(self, how: How, walk: Walk) -> Feed:
        """What hands the pages of a walk to the sinks."""
        return self._watched(Feed.of(self.sinks, how, walk))

    def feed_slice(self, how: How, walk: Walk, readers: dict[str, Reader | None]) -> Feed:
        """The same for a slice; without readers, dates judge."""
        return self._watched(Feed(self.sinks, how, walk, readers))

    def _watched(self, feed: Feed) -> Feed:
        feed.when_failed = lambda: self._leave_out([table.name for table in self.tables if table.failed])
        return feed

    def take(self, feed: Feed, page: Page) -> Read:
        """Hand a page to the sinks."""
        self.rows += len(page.rows)
        yield from feed.take(page)

    def beside(self, whole: bool) -> Read:
        """What children read beside the list. `whole`: whether the look-back met all that they asked for."""
        yield [recent.beside(whole) for recent in self.recents if not recent.failed]

    def finish_backfill(self, opened: Backfill) -> None:
        """Everything was read once, for the tables that it served: its start, less the margin, is their bookmark."""
        bookmark = self._finish(opened.began)
        for table in self._of(opened.tables):
            table.finish_backfill(bookmark, opened.owed)
        self.state.backfill = None

    def finish_round(self, served: Sequence[str], began: Moment) -> None:
        """Every change before `began` was read, for these tables: that, less the margin, is their bookmark."""
        bookmark = self._finish(began)
        for table in self._of(served):
            table.finish_round(bookmark)
        self.finish_visits(served)

    def finish_visits(self, served: Sequence[str]) -> None:
        """The whole list was read, for these tables."""
        for branch in self.branches:
            branch.finish_round(served)

    def _finish(self, began: Moment) -> Moment:
        bookmark = earlier(began, self.bounds.margin)
        self.state.finished = max(self.state.finished or BEGINNING, bookmark)
        return bookmark

    def fail_unread(self) -> None:
        """Fail the children of which Twilio did not answer some days, now that all else was read."""
        for branch in self.branches:
            if branch.unread:
                branch.fail(branch.unread)
                self._leave_out([table.name for table in branch.tables])

    def _of(self, served: Sequence[str]) -> list[Table]:
        self.fail_unread()
        return [table for table in self.tables if table.name in served and not table.failed]

    def served(self) -> list[str]:
        """The tables that a round which begins now serves."""
        return [table.name for table in self.tables if table.in_rounds]

    # -- what the ways of reading share

    @property
    def sliceable(self) -> bool:
        """Whether slices may stand in for walks: not where a child needs every row, since slices hide some."""
        return self.stream.filter is not None and not any(recent.reads_list for recent in self.recents)

    @property
    def oldest(self) -> Moment:
        """Return where slices begin: at `start_date`, else at the account's creation, as far as the filter reaches."""
        since, filter_ = self.bounds.start_date, self.stream.filter
        if self.created and filter_ and filter_.closed:
            since = max(since, day_of(self.created))  # Twilio may refuse sums of days before it
        since = since or (self.created and earlier(self.created, DAY)) or earlier(self.began, 3650 * DAY)
        return max(since, self.reach)

    @property
    def reach(self) -> Moment:
        """How far back the filter answers, for as long as a slice may take."""
        reach = self.stream.filter and self.stream.filter.reach
        return earlier(self.now(), reach - DAY) if reach else BEGINNING

    def may_restart(self) -> bool:
        self.restarts += 1
        return self.restarts <= RESTARTS

    def unfinished(self, moved: Error | None = None) -> Unfinished:
        return Unfinished.of(self.stream.name, self.account, moved)
