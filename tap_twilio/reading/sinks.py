"""
Who wants the rows of a list: the stream's own table, and the lists of its children.

A list is read once for all of its sinks. Each judges rows by its own bookmark, fails by itself, and is paid by the
next rounds what it missed. The bookmark of a table moves here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from tap_twilio.errors import Moved, PartitionError, Refused, Unfinished
from tap_twilio.moments import BEGINNING, END, Moment, moment_of
from tap_twilio.singer.state import Partition
from tap_twilio.streams.model import Changed, Every, Open, Parent, Stream
from tap_twilio.twilio.request import Page, Row

from .effects import Emit, Read
from .lists import Listing
from .walk import Walk

SIDE_BY_SIDE = 100  # rows of a parent that are asked at once
RESTARTS = 3  # how often a sync starts again a walk whose place moved
Fresh = frozenset[str]  # the tables that want every row of a child's list, since its parent is new to them


class How(Enum):
    """On what occasion a page is read, which decides by which bound its rows are judged."""

    BACKFILL = auto()
    LOOK_BACK = auto()
    FIRST = auto()  # a look-back whose pages are the first of a round
    ROUND = auto()
    FULL = auto()


@dataclass(frozen=True)
class Judge:
    """Which rows may have changed: those that say so, and those that are owed."""

    changed: str | None  # the date that tells; None: every row may have
    since: Moment = BEGINNING
    owed: Moment = BEGINNING  # rows undated, or dated before this, are owed
    refill: Moment = BEGINNING  # so are rows created before this

    def wants(self, row: Row, listing: Listing) -> bool:
        return self.sees_change(row) or self.owes(row, listing)

    def sees_change(self, row: Row) -> bool:
        """By its date; a row without counts as changed."""
        return not self.since or self.changed is None or (moment_of(row.get(self.changed)) or END) >= self.since

    def owes(self, row: Row, listing: Listing) -> bool:
        """Whether it is to be emitted whatever its date says."""
        if self.owed and (moment_of(listing.listed(row)) or BEGINNING) < self.owed:
            return True
        return bool(self.refill) and (moment_of(row.get("date_created")) or BEGINNING) < self.refill


@dataclass
class Table:
    """A stream's own table in one account. `state` is its part of the Singer state, `root` that of the list read."""

    stream: Stream
    account: str
    state: Partition
    root: Partition
    start_date: Moment = BEGINNING
    emits_all: bool = False  # in the look-back
    failed: PartitionError | None = None

    @property
    def tables(self) -> list[Table]:
        return [self]

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def in_rounds(self) -> bool:
        """Whether a round that begins serves it."""
        return not self.failed

    def judge(self, how: How, changed: str | None) -> Judge | None:
        """By which bound rows are judged; None: none of them is wanted. `changed`: the date that tells."""
        state, opened = self.state, self._opened(how)
        if opened is not None and self.name not in opened:
            return None
        if how is How.BACKFILL or (how is How.FULL and self.state is self.root):
            return Judge(changed)
        if how is How.LOOK_BACK:
            since = BEGINNING if self.emits_all else state.looked_back
            return None if state.date_updated is None else Judge(changed, since or BEGINNING)
        since = state.date_updated or BEGINNING
        if how is How.FIRST and since:
            since = BEGINNING if self.emits_all else min(since, state.looked_back or since)
        return Judge(changed, since, state.owed or BEGINNING, state.refill or BEGINNING)

    def take(self, how: How, listing: Listing, page: Page, fresh: Fresh = frozenset()) -> Read:
        """Emit the rows of a page that may have changed."""
        judge = self.judge(how, self.stream.changed)
        if judge is None:
            return
        rows = page.rows
        if self.start_date:
            rows = [row for row in rows if (moment_of(row.get("date_created")) or END) >= self.start_date]
        if judge.since and judge.changed and self.name not in fresh:
            rows = [row for row in rows if judge.wants(row, listing)]
        if rows:
            yield Emit(self, page, rows)

    def fail(self, error: PartitionError) -> None:
        """Nothing more is written to it in this sync."""
        self.failed = self.failed or error

    def advance(self, bookmark: Moment) -> None:
        """Every change before `bookmark` is in the warehouse. It never moves backwards."""
        self.state.date_updated = max(self.state.date_updated or BEGINNING, bookmark)
        self.state.looked_back = max(self.state.looked_back or BEGINNING, bookmark)

    def finish_backfill(self, bookmark: Moment, owed: Moment | None) -> None:
        """A backfill that served this table ended. `owed`: rows undated, or dated before this, it did not see."""
        self.advance(bookmark)
        self.state.owed = owed

    def finish_round(self, bookmark: Moment) -> None:
        """A round that served this table ended."""
        self.advance(bookmark)
        self.state.owed = self.state.refill = None

    def _opened(self, how: How) -> list[str] | None:
        """The tables that what is read serves; None where that is all."""
        opened = {How.BACKFILL: self.root.backfill, How.ROUND: self.root.round, How.FULL: self.root.full}
        if how is How.FULL and self.state is self.root:
            return None
        found = opened.get(how)
        return found.tables if found else None


class Sink(Protocol):
    """Who wants a list's rows."""

    failed: PartitionError | None

    @property
    def tables(self) -> list[Table]: ...

    def take(self, how: How, listing: Listing, page: Page, fresh: Fresh = frozenset()) -> Read: ...

    def fail(self, error: PartitionError) -> None: ...


def feed(sinks: Sequence[Sink], how: How, listing: Listing, page: Page, fresh: Fresh = frozenset()) -> Read:
    """Hand a page to each sink that did not fail; where none is left, raise what the first one failed with."""
    for sink in sinks:
        if sink.failed is None:
            try:
                yield from sink.take(how, listing, page, fresh)
            except PartitionError as error:
                sink.fail(error)
    failures = [sink.failed for sink in sinks if sink.failed]
    if failures and len(failures) == len(sinks):
        raise failures[0]


@dataclass
class Branch:
    """A child: its list is read under each row of its parent that is asked, for the sinks below."""

    stream: Stream
    account: str
    page_size: int
    below: Sequence[Sink]
    failed: PartitionError | None = None
    _asked: set[tuple[Fresh, bool, str]] = field(default_factory=set)  # in this sync: for whom, how, and which row

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
        changed = listing.stream.changed
        known = [(t, judge) for t in self.tables if not t.failed and (judge := t.judge(how, changed))]
        served = frozenset(table.name for table, _ in known)
        for one, row in zip(listing.ids(page.rows), page.rows) if known else ():
            if self.parent.where and not self.parent.where.holds(row):
                continue
            wanted = any(table.name in fresh or judge.wants(row, listing) for table, judge in known)
            asked = (served, how is How.LOOK_BACK, one)  # a look-back judges by a later bound than a round
            if not wanted and (asked in self._asked or not self._stands_open(row)):
                continue
            if not isinstance(self.parent.asks, Changed):
                self._asked.add(asked)
            new_to = (table.name for table, judge in known if self._is_new(row, listing, judge))
            yield row, fresh.union(new_to) if wanted else frozenset()

    def _is_new(self, row: Row, listing: Listing, judge: Judge) -> bool:
        """Whether a table may lack rows below this one that did not change: it was not asked for them before."""
        if judge.owes(row, listing) or (moment_of(row.get("date_created")) or END) >= judge.since:
            return True
        return self.parent.where is not None and judge.sees_change(row)

    def _stands_open(self, row: Row) -> bool:
        """Whether a row is asked although it did not change."""
        asks = self.parent.asks
        return isinstance(asks, Every) or (isinstance(asks, Open) and asks.while_.holds(row))

    def _read(self, how: How, row: Row, fresh: Fresh) -> Read:
        values = {brace: str(row[name]) for brace, name in self.parent.fills.items()}
        listing = Listing(self.stream, self.account, self.page_size, values=values)
        for _ in range(RESTARTS):
            walk = Walk(listing)
            try:
                while not walk.ended:
                    page = yield from walk.turn()
                    yield from feed(self.below, how, listing, page, fresh)
                    del page  # a read holds no rows while it waits for more
                return
            except Moved:
                continue
            except Refused as refused:
                if refused.status == 404:
                    return  # the parent is gone
                raise
        raise Unfinished(f"{self.stream.name} {self.account}: the list moved under every walk; the next sync goes on.")
