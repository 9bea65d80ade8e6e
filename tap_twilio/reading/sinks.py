"""
Who wants the rows of a list: the stream's own table, and the lists of its children.

A list is read once for all of its sinks. Each judges rows by itself, fails by itself, and is paid by the next rounds
what it missed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tap_twilio.errors import Moved, PartitionError, Refused, Unfinished
from tap_twilio.moments import BEGINNING, DAY, END, SECOND, Moment, day_of, earlier, later, midnight_after, moment_of
from tap_twilio.streams.model import Changed, Every, Open, Parent, Rounds, Stream, Window
from tap_twilio.twilio.request import Page, Row

from .budget import ChildRequests
from .digests import Chunks
from .effects import Effect, Read
from .lists import Dates, Listing, halves
from .tables import AT_LAST, How, Judge, Reader, Table
from .walk import Walk

SIDE_BY_SIDE = 100  # rows of a parent that are asked at once
RESTARTS = 3  # how often a sync starts again a walk whose place moved
OLDEST = 3650 * DAY  # where a log begins that says no reach
Fresh = frozenset[str]  # the tables that want every row of a child's list, since its parent is new to them


class Sink(Protocol):
    """Who wants a list's rows. A table takes them by `Feed`, all others by themselves."""

    failed: PartitionError | None

    @property
    def tables(self) -> list[Table]: ...

    def fail(self, error: PartitionError) -> None: ...


class Below(Sink, Protocol):
    """A sink that is no table: what is below the rows."""

    def take(self, how: How, listing: Listing, page: Page, fresh: Fresh = frozenset()) -> Read: ...


class Feed:
    """
    What a walk hands on to its sinks, page by page.

    `place` is where a later walk may go on and leaves no row out. It stays behind the walk, since rows wait for the end
    of their chunk.
    """

    def __init__(self, sinks: Sequence[Table | Below], how: How, walk: Walk, reader: Reader | None = None) -> None:
        self.sinks, self.how, self.walk, self.reader = sinks, how, walk, reader
        self.place = walk.begins
        self.may_stop = False  # whether the place moved, so that a walk that stops here has come further

    @staticmethod
    def of(sinks: Sequence[Table | Below], how: How, walk: Walk) -> Feed:
        table = _table_of(sinks)
        return Feed(sinks, how, walk, table.chunks(how, walk.listing) if table and not table.failed else None)

    @property
    def table(self) -> Table | None:
        table = _table_of(self.sinks)
        return table if table and not table.failed else None

    def take(self, page: Page, fresh: Fresh = frozenset()) -> Read:
        """Hand a page to each sink that did not fail; where none is left, raise what the first one failed with."""
        page = self._unread(page)
        last = done = page.rows[-1] if page.rows else None
        for sink in self.sinks:
            if sink.failed is None:
                try:
                    if isinstance(sink, Table):
                        done = yield from sink.take(self.how, self.walk.listing, page.rows, page.stamp, self.reader)
                    else:
                        yield from sink.take(self.how, self.walk.listing, page, fresh)
                except PartitionError as error:
                    sink.fail(error)
        self._raise_failure()
        self._move(page.rows, done if self.table else last)

    def stops(self) -> bool:
        """Whether a walk that stops here has come further; else it does so soon."""
        if isinstance(self.reader, Chunks):
            self.reader.hurry = True
        return self.may_stop

    def end(self) -> Read:
        """The list ended, or what of it is wanted."""
        table = self.table
        if table and isinstance(self.reader, Chunks) and (judge := table.judge(self.how)):
            self.reader.end()
            yield from table.emit_changed(self.reader, judge)

    def leave(self) -> Read:
        """The walk stops here for now."""
        if self.table and isinstance(self.reader, Chunks):
            yield from self.table.leave(self.how, self.reader)

    def _unread(self, page: Page) -> Page:
        """The rows after the one at which an earlier walk left off."""
        after = self.walk.resumes_after if self.walk.pages == 1 else None
        ids = self.walk.listing.ids(page.rows) if after else []
        return replace(page, rows=page.rows[ids.index(after) + 1 :]) if after in ids else page

    def _move(self, rows: Sequence[Row], done: Row | None) -> None:
        self.may_stop = self.may_stop or done is not None
        if done:
            self.place = self.walk.place(rows, done)

    def _raise_failure(self) -> None:
        failures = [sink.failed for sink in self.sinks if sink.failed]
        if failures and len(failures) == len(self.sinks):
            raise failures[0]


def _table_of(sinks: Sequence[Table | Below]) -> Table | None:
    return next((sink for sink in sinks if isinstance(sink, Table)), None)


def _within(listing: Listing, page: Page, since: Moment, until: Moment) -> Page:
    """The rows of a span: filters also list those a unit outside."""
    return replace(page, rows=[row for row in page.rows if since <= (moment_of(listing.listed(row)) or since) < until])


@dataclass
class Branch:
    """A child: its list is read under each row of its parent that is asked, for the sinks below."""

    stream: Stream
    account: str
    page_size: int
    below: Sequence[Table | Below]
    now: Callable[[], Moment]
    requests: ChildRequests
    failed: PartitionError | None = None
    _asked: set[tuple[Fresh, bool, str]] = field(default_factory=set)  # in this sync: for whom, how, and which row
    # In this sync, of lists that several rows name: the row by which one was read, for whom and how.
    _named: dict[tuple[Fresh, Fresh, bool, tuple[Any, ...]], str] = field(default_factory=dict)

    @property
    def tables(self) -> list[Table]:
        return [table for sink in self.below for table in sink.tables]

    @property
    def parent(self) -> Parent:
        assert self.stream.parent
        return self.stream.parent

    def fail(self, error: PartitionError) -> None:
        self.failed = self.failed or error
        for table in self.tables:
            table.fail(error)

    def take(self, how: How, listing: Listing, page: Page, fresh: Fresh = frozenset()) -> Read:
        """Read the list under each row of a page that is to be asked."""
        todo = list(self._chosen(how, listing, page, fresh))
        for at in range(0, len(todo), SIDE_BY_SIDE):
            yield [self._read(how, row, wanted) for row, wanted in todo[at : at + SIDE_BY_SIDE]]

    def _chosen(self, how: How, listing: Listing, page: Page, fresh: Fresh) -> Iterator[tuple[Row, Fresh]]:
        """The rows that are asked, each with the tables to which it is new."""
        known = [(t, judge) for t in self.tables if not t.failed and (judge := t.judge(how))]
        served = frozenset(table.name for table, _ in known)
        shared = not set(listing.stream.key) & set(self.parent.fills.values())
        for one, row in zip(listing.ids(page.rows), page.rows) if known else ():
            if self.parent.where and not self.parent.where.holds(row):
                continue
            dates = listing.dates(row)
            if self.parent.within and (moment_of(dates[2]) or END) < earlier(self.now(), self.parent.within):
                continue
            wanted = any(table.name in fresh or judge.wants(dates) for table, judge in known)
            asked = (served, how is How.LOOK_BACK, one)  # a look-back judges by a later bound than a round
            if not wanted and (asked in self._asked or not self._stands_open(row)):
                continue
            if wanted and self._is_rationed(listing) and not self.requests.take():
                for table, _ in known:
                    table.put_off(moment_of(dates[1]))
                continue
            if not isinstance(self.parent.asks, Changed):
                self._asked.add(asked)
            new_to = (table.name for table, judge in known if self._is_new(dates, judge))
            new = fresh.union(new_to) if wanted else frozenset()
            names = tuple(row[name] for name in self.parent.fills.values())
            if shared and None in names:
                continue
            if shared and self._named.setdefault((served, new, how is How.LOOK_BACK, names), one) != one:
                continue
            yield row, new

    def _is_rationed(self, listing: Listing) -> bool:
        """Whether the rows asked are traffic, of which there is no end. Only a list in rounds comes back to others."""
        traffic = not isinstance(self.parent.asks, Every) and isinstance(listing.stream.reads, Rounds)
        return traffic and all(table.state.owed != AT_LAST for table in self.tables)

    def _is_new(self, dates: Dates, judge: Judge) -> bool:
        """Whether a table may lack rows below this one that did not change: it was not asked for them before."""
        if judge.owes(dates) or (moment_of(dates[2]) or END) >= judge.since:
            return True
        return self.parent.where is not None and judge.sees_change(dates)

    def _stands_open(self, row: Row) -> bool:
        """Whether a row is asked although it did not change."""
        asks = self.parent.asks
        return isinstance(asks, Every) or (isinstance(asks, Open) and asks.while_.holds(row))

    def _read(self, how: How, row: Row, fresh: Fresh) -> Read:
        values = {brace: str(row[name]) for brace, name in self.parent.fills.items()}
        listing = Listing(self.stream, self.account, self.page_size, values=values)
        log = isinstance(self.stream.reads, Window)
        try:
            yield from self._read_log(how, listing, fresh) if log else self._walk(how, listing, fresh)
        except Refused as refused:
            if refused.status != 404:
                raise  # else the parent is gone

    def _walk(
        self, how: How, listing: Listing, fresh: Fresh, span: tuple[Moment, Moment] | None = None
    ) -> Generator[Effect, Any, Walk]:
        """Read a list to its end; of a log, a span of it."""
        shifted: Moved | None = None
        for _ in range(RESTARTS):
            walk = Walk(listing, listing.top(*span) if span else None)
            feed = Feed.of(self.below, how, walk)
            try:
                while not walk.ended:
                    page = yield from walk.turn()
                    yield from feed.take(_within(listing, page, *span) if span else page, fresh)
                    del page  # a read holds no rows while it waits for more
                yield from feed.end()
                return walk
            except Moved as moved:
                shifted = moved
        raise Unfinished.of(self.stream.name, self.account, shifted)

    def _read_log(self, how: How, listing: Listing, fresh: Fresh) -> Read:
        """A log is read from the bookmark of those that want it; in halves, where a query lists no more rows."""
        since, until = self._since(how, fresh), later(self.now(), SECOND)
        spans = [(since, until)] if since < until else []
        while spans:
            since, until = span = spans.pop()
            walk = yield from self._walk(how, listing, fresh, span)
            spans += halves(listing, walk.rows, since, until)

    def _since(self, how: How, fresh: Fresh) -> Moment:
        """From when on a log is wanted, as far as it answers; of a row that is new to a table, from the beginning."""
        assert isinstance(self.stream.reads, Window)
        tables = [table for table in self.tables if not table.failed]
        judges = [judge for table in tables if (judge := table.judge(how))]
        known = BEGINNING if fresh else min((judge.since for judge in judges), default=BEGINNING)
        # Whole days, so that the syncs of a day compare the same rows.
        since = day_of(earlier(known, self.stream.reads.again)) if known else earlier(self.now(), OLDEST)
        since = max(since, min((table.start_date for table in tables), default=BEGINNING))
        reach = self.stream.filter and self.stream.filter.reach
        if not reach:
            return since
        answers = earlier(self.now(), reach - DAY)  # a day for the walk to take
        return max(since, midnight_after(answers) if known else answers)
