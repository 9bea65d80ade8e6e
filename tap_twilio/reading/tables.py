"""
A stream's own table in one account: which rows are written to it, and its bookmark, which moves only here.

What changed is known by content, as far as there are digests (digests.py). Where there are none, since the state has no
room for more, and where a read is for freshness only, dates judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from functools import cached_property
from itertools import groupby, repeat
from operator import attrgetter
from typing import Any

from tap_twilio.errors import InvalidRecord, PartitionError
from tap_twilio.moments import BEGINNING, END, HOUR, SECOND, Moment, later, moment_of
from tap_twilio.singer.packed import pack, size_of, unpack
from tap_twilio.singer.state import Partition
from tap_twilio.streams.model import Stream
from tap_twilio.twilio.request import Page, Row, Stamp

from .digests import Chunks, Held, Known, Room, Stretch, Tally
from .effects import Emit, Read
from .lists import Dates, Listing
from .sums import ZERO, contents_of, end_key, hashed, keys_of

AT_LAST: Moment = "9000-01-01T00:00:00.000000Z"  # all that is owed is asked, however much that is
LONG_AGO: Moment = "1970-01-01T00:00:00.000000Z"
LONGEST_CHUNK = 1024  # rows, on average
Reader = Chunks | Tally
Pauses = set[int] | None  # after how many rows of a page nothing waits; None: after each


class How(Enum):
    """On what occasion a page is read, which decides by which bound its rows are judged."""

    BACKFILL = auto()
    LOOK_BACK = auto()
    FIRST = auto()  # a look-back whose pages are the first of a round
    ROUND = auto()
    FULL = auto()
    AGAIN = auto()  # rows that a FULL read met before, and that changed or moved since


@dataclass(frozen=True)
class Judge:
    """Which rows may have changed by their dates: those that say so, and those that are owed."""

    since: Moment = BEGINNING
    owed: Moment = BEGINNING  # rows undated, or dated before this, are owed
    refill: Moment = BEGINNING  # so are rows created before this

    def wants(self, dates: Dates) -> bool:
        return self.sees_change(dates) or self.owes(dates)

    def sees_change(self, dates: Dates) -> bool:
        """By its date; a row without counts as changed."""
        return not self.since or (moment_of(dates[0]) or END) >= self.since

    def owes(self, dates: Dates) -> bool:
        """Whether it is to be emitted whatever its date says."""
        _, listed, created = dates
        if self.owed and (moment_of(listed) or BEGINNING) < self.owed:
            return True
        return bool(self.refill) and (moment_of(created) or BEGINNING) < self.refill


NO_DATES: Dates = (None, None, None)
_stamp = attrgetter("stamp")
_held: Callable[[type[Held], tuple[Any, ...]], Held] = tuple.__new__  # quicker than Held._make, for every row read


def chunk_length(page_size: int) -> int:
    """A power of two: about a page, so that a place is seldom more than a page behind."""
    length = 2
    while length < min(page_size, LONGEST_CHUNK):
        length *= 2
    return length


def known_of(room: Room, old: str | None, new: str | None, forgets: bool) -> Known:
    """The digests that a state holds as two texts."""
    was, now = unpack(old or ""), unpack(new or "")
    packed = len(old or "") + len(new or "")  # which the room counts already
    room.used += sum(map(size_of, [*was.values(), *now.values()])) - packed
    return Known(room, was, now, forgets)


@dataclass
class Table:
    """
    Its `state` is its part of the Singer state, `root` that of the list read.

    `records` makes the JSON of rows' records, or raises InvalidRecord.
    """

    stream: Stream
    account: str
    state: Partition
    root: Partition
    records: Callable[[Iterable[Row]], Iterable[bytes]] = field(repr=False)
    room: Room = field(default_factory=lambda: Room(10**6))
    start_date: Moment = BEGINNING
    margin: timedelta = HOUR
    page_size: int = 1000
    failed: PartitionError | None = None
    silent: int = 0  # rows written in this sync that changed although their date says nothing
    dated_from: Moment | None = None  # the newest row for which the state had no room

    def __post_init__(self) -> None:
        self._sent: set[int] = set()  # the content of rows written by their dates in this sync
        kept = [text for text in (self.state.digests, self.state.round_digests) if text]
        self.room.used += sum(map(len, kept))

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

    @property
    def in_turn(self) -> bool:
        """Whether it takes rows only of reads that serve it. A child's come when a row of the parent is visited."""
        return self.stream.parent is None

    @cached_property
    def known(self) -> Known:
        """The digests of what was written. Those of a child stay until there is no room: seldom is all of it read."""
        return known_of(self.room, self.state.digests, self.state.round_digests, self.stream.parent is not None)

    def keep(self) -> None:
        """Write the digests into the state."""
        if "known" in vars(self) and self.known.moved:
            self.state.digests, self.state.round_digests = pack(self.known.old), pack(self.known.new)
            self.known.moved = False

    # -- which rows

    def judge(self, how: How) -> Judge | None:
        """By which bound rows are judged where dates do it; None: none of them is wanted."""
        state, opened = self.state, self._opened(how)
        if self.in_turn and opened is not None and self.name not in opened:
            return None
        if how is How.BACKFILL or self._in_version(how):
            return Judge()
        if how is How.LOOK_BACK:
            return None if self.in_turn and state.date_updated is None else Judge(state.looked_back or BEGINNING)
        since = state.date_updated or BEGINNING
        if how is How.FIRST and since:
            since = min(since, state.looked_back or since)
        return Judge(since, state.owed or BEGINNING, state.refill or BEGINNING)

    def _in_version(self, how: How) -> bool:
        """Whether all rows go into a version of it."""
        return how in (How.FULL, How.AGAIN) and self.state is self.root

    def reader(self, how: How, listing: Listing, name: str = "") -> Chunks | None:
        """What reads a walk for it; None where every row is wanted, or none."""
        if self.judge(how) is None or self._in_version(how):
            return None
        looked = self.state.looked_back
        since = later(looked, self.margin) if looked else BEGINNING  # when the last sync began
        return Chunks(
            self.known,
            chunk_length(self.page_size),
            listing.name + name,
            since,
            self._sent,
            len(self.stream.values) > 1,
            all_new=how is How.BACKFILL and not self.known and self.state.taken_over is None,
        )

    def tally(self, how: How, read: str | None) -> Tally | None:
        """What reads a slice of a backfill for it, going on from what was read of that."""
        return Tally(self.known, chunk_length(self.page_size), Stretch.of(read)) if self.judge(how) else None

    def take(self, how: How, listing: Listing, page: Page, reader: Reader | None) -> Read:
        """
        Emit those rows of a page that are not in the warehouse, as far as the reader knows by now.

        Returns after how many rows nothing waits.
        """
        judge, rows, stamp = self.judge(how), page.rows, page.stamp
        if judge is None:
            return None
        if self.start_date:
            rows = [row for row in rows if (moment_of(row.get("date_created")) or END) >= self.start_date]
        if reader is None:
            yield from self._emit_by_date(how, listing, rows, stamp, judge)
            return None
        records, invalid = self._records(rows)
        if reader.all_new and records:
            yield Emit(self, stamp, records)
        taken = self._read(listing, rows[: len(records)], records, stamp, reader, judge)
        if isinstance(reader, Chunks):
            yield from self.emit_changed(reader, judge)
        if invalid and (reader.all_new or taken == len(records)):
            raise invalid  # the rows above it are written, as the digests say
        if taken < len(rows):
            _, listed, created = listing.dates(rows[taken])
            self.dated_from = self.dated_from or moment_of(listed) or moment_of(created)
            reader.forget(keys_of(listing.ids(rows[taken:])))
            if not reader.all_new:
                yield from self._emit_by_date(how, listing, rows[taken:], stamp, judge)
        return _among(reader.pauses, page.rows, rows) if isinstance(reader, Chunks) else None

    def _read(
        self,
        listing: Listing,
        rows: Sequence[Row],
        records: Sequence[bytes],
        stamp: Stamp,
        reader: Reader,
        judge: Judge,
    ) -> int:
        """Hand rows to the reader. Returns how many it took."""
        keys, contents, dates = keys_of(listing.ids(rows)), contents_of(records), listing.dates_of(rows)
        odd = listing.odd_ones(dates)
        if isinstance(reader, Tally):
            reader.add([pair for at, pair in enumerate(zip(keys, contents)) if at not in odd])
            return len(rows)
        trusted = repeat(False) if self.state.taken_over is None else [not judge.wants(of) for of in dates]
        kept = (repeat(b""), repeat(stamp), repeat(NO_DATES)) if reader.all_new else (records, repeat(stamp), dates)
        reader.take(list(map(_held, repeat(Held), zip(keys, contents, *kept, trusted))), odd)
        return reader.taken

    def _records(self, rows: Sequence[Row]) -> tuple[list[bytes], InvalidRecord | None]:
        """The rows' records, up to one that cannot be written."""
        records: list[bytes] = []
        try:
            for record in self.records(rows):
                records.append(record)
        except InvalidRecord as invalid:
            return records, invalid
        return records, None

    def emit_changed(self, reader: Chunks, judge: Judge) -> Read:
        """Emit what the reader found changed."""
        changed, reader.changed = reader.changed, []
        for stamp, rows in groupby(changed, _stamp):
            found = list(rows)
            if reader.seen:
                self.silent += sum(row.key in reader.seen and not judge.wants(row.dates) for row in found)
            yield Emit(self, stamp, [row.record for row in found])
        reader.seen.clear()

    def end(self, how: How, reader: Chunks) -> Read:
        """The list ended."""
        if judge := self.judge(how):
            reader.end()
            yield from self.emit_changed(reader, judge)

    def leave(self, how: How, reader: Chunks) -> Read:
        """A read goes no further: what waits is judged by date, for freshness. A round will look at its content."""
        judge = self.judge(how)
        if judge is not None and judge.since:
            fresh = [row for row in reader.waiting if judge.sees_change(row.dates)]
            yield from self._emit_once([(row.content, row.record, row.stamp) for row in fresh])

    def _emit_by_date(self, how: How, listing: Listing, rows: Sequence[Row], stamp: Stamp, judge: Judge) -> Read:
        records = list(self.records(row for row in rows if judge.wants(listing.dates(row))))
        if how is How.LOOK_BACK:
            yield from self._emit_once(list(zip(contents_of(records), records, repeat(stamp))))
        elif records:
            yield Emit(self, stamp, records)

    def _emit_once(self, rows: Iterable[tuple[int, bytes, Stamp]]) -> Read:
        """Emit what this sync did not emit so already."""
        for content, record, stamp in rows:
            if content not in self._sent:
                self._sent.add(content)
                yield Emit(self, stamp, [record])

    def compare(self, name: str, row: Row, stamp: Stamp) -> Read:
        """Emit one row, should it differ from what was written under that name."""
        [record], key = self.records([row]), hashed(name.encode())
        content = frozenset(contents_of([record]))
        if content not in self.known.get(key):
            yield Emit(self, stamp, [record])
            used = self.room.used
            self.known.set(key, content)
            self.known.give_way(used)

    # -- the bookmark

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
        self.state.owed, self.state.put_off = max(owed or BEGINNING, self.state.put_off or BEGINNING) or None, None

    def finish_round(self, bookmark: Moment) -> None:
        """A round that served this table ended."""
        self.advance(bookmark)
        state = self.state
        if state.put_off and state.owed and state.put_off >= state.owed:
            state.put_off = AT_LAST  # in the order of this list, the turn of the same rows would never come
        state.owed, state.put_off = state.put_off, None
        state.refill = state.taken_over = None
        if not self.known.forgets:
            self.known.turn()

    def put_off(self, listed: Moment | None) -> None:
        """A row of the parent was not asked in this sync: it is owed, with the undated and those listed before it."""
        until = later(listed, SECOND) if listed else LONG_AGO
        self.state.put_off = max(self.state.put_off or BEGINNING, until)

    def _opened(self, how: How) -> list[str] | None:
        """The tables that what is read serves; None where that is all."""
        opened = {How.BACKFILL: self.root.backfill, How.ROUND: self.root.round, How.FULL: self.root.full}
        opened[How.AGAIN] = self.root.full
        if self._in_version(how):
            return None
        found = opened.get(how)
        return found.tables if found else None


def join(known: Known, above: str | None, below: str | None) -> str | None:
    """What was read of two spans that touch."""
    return Stretch.of(above).join(Stretch.of(below), known).text()


def close(known: Known, listing: Listing, read: str | None) -> None:
    """All of a list was read by slices."""
    stretch = Stretch.of(read)
    if stretch.key is not None:
        known.set(stretch.key, stretch.head)
    if stretch.tail != ZERO:
        known.set(end_key(0, listing.name), stretch.tail)


def _among(pauses: set[int], rows: Sequence[Row], taken: Sequence[Row]) -> set[int]:
    """Pauses among some rows of a page, as pauses among all of them."""
    if len(taken) == len(rows):
        return pauses
    chosen, count, found = set(map(id, taken)), 0, {0} & pauses
    for at, row in enumerate(rows, 1):
        count += id(row) in chosen
        if count in pauses:
            found.add(at)
    return found
