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

from tap_twilio.changes.chunks import Chunks, FingerprintStore, PartialSums, PendingRow, SizeLimit, SliceSums
from tap_twilio.changes.fingerprint_codec import pack, size_of, unpack
from tap_twilio.changes.power_sums import ZERO, contents_of, end_key, hashed, keys_of
from tap_twilio.errors import InvalidRecord, PartitionError
from tap_twilio.state.model import Partition
from tap_twilio.streams.model import Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.timestamps import BEGINNING, END, HOUR, Timestamp, later, timestamp_of
from tap_twilio.twilio.endpoint import Dates, ListEndpoint
from tap_twilio.twilio.request import Page, Row, Stamp

LONGEST_CHUNK = 1024  # rows, on average
Reader = Chunks | SliceSums
Pauses = set[int] | None  # after how many rows of a page nothing waits; None: after each


class ReadMode(Enum):
    """On what occasion a page is read, which decides by which bound its rows are judged."""

    BACKFILL = auto()
    LOOKBACK = auto()
    LOOKBACK_OF_RESCAN = auto()  # a look-back whose pages are the first of a round
    RESCAN = auto()
    FULL_TABLE = auto()
    FULL_TABLE_AGAIN = auto()  # rows that a FULL read met before, and that changed or moved since


@dataclass(frozen=True)
class DateRule:
    """Which rows may have changed by their dates: those that say so, and those that are owed."""

    since: Timestamp = BEGINNING
    resend_listed_before: Timestamp = BEGINNING  # rows undated, or dated before this, are owed
    resend_created_before: Timestamp = BEGINNING  # so are rows created before this

    def is_due(self, dates: Dates) -> bool:
        return self.sees_change(dates) or self.must_resend(dates)

    def sees_change(self, dates: Dates) -> bool:
        """By its date; a row without counts as changed."""
        return not self.since or (timestamp_of(dates[0]) or END) >= self.since

    def must_resend(self, dates: Dates) -> bool:
        """Whether it is to be emitted whatever its date says."""
        _, listed, created = dates
        if self.resend_listed_before and (timestamp_of(listed) or BEGINNING) < self.resend_listed_before:
            return True
        return bool(self.resend_created_before) and (timestamp_of(created) or BEGINNING) < self.resend_created_before


NO_DATES: Dates = (None, None, None)
_stamp = attrgetter("stamp")
_held: Callable[[type[PendingRow], tuple[Any, ...]], PendingRow] = (
    tuple.__new__
)  # quicker than Held._make, for every row read


def chunk_length(page_size: int) -> int:
    """A power of two: about a page, so that a place is seldom more than a page behind."""
    length = 2
    while length < min(page_size, LONGEST_CHUNK):
        length *= 2
    return length


def store_of(size_limit: SizeLimit, old: str | None, new: str | None, evicts_oldest: bool) -> FingerprintStore:
    """The digests that a state holds as two texts."""
    was, now = unpack(old or ""), unpack(new or "")
    packed = len(old or "") + len(new or "")  # which the room counts already
    size_limit.used += sum(map(size_of, [*was.values(), *now.values()])) - packed
    return FingerprintStore(size_limit, was, now, evicts_oldest)


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
    size_limit: SizeLimit = field(default_factory=lambda: SizeLimit(10**6))
    start_date: Timestamp = BEGINNING
    lateness: timedelta = HOUR
    page_size: int = 1000
    failed: PartitionError | None = None
    undated: int = 0  # rows written in this sync that changed although their date says nothing
    by_date_from: Timestamp | None = None  # the newest row for which the state had no room

    def __post_init__(self) -> None:
        self._sent: set[int] = set()  # the content of rows written by their dates in this sync
        kept = [text for text in (self.state.fingerprints, self.state.rescan_fingerprints) if text]
        self.size_limit.used += sum(map(len, kept))

    @property
    def tables(self) -> list[Table]:
        return [self]

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def in_rescans(self) -> bool:
        """Whether a round that begins serves it."""
        return not self.failed

    @property
    def only_when_served(self) -> bool:
        """Whether it takes rows only of reads that serve it. A child's come when a row of the parent is visited."""
        return self.stream.parent is None

    @cached_property
    def store(self) -> FingerprintStore:
        """The digests of what was written. Those of a child stay until there is no room: seldom is all of it read."""
        return store_of(
            self.size_limit, self.state.fingerprints, self.state.rescan_fingerprints, self.stream.parent is not None
        )

    def keep(self) -> None:
        """Write the digests into the state."""
        if "store" in vars(self) and self.store.is_dirty:
            self.state.fingerprints, self.state.rescan_fingerprints = pack(self.store.old), pack(self.store.new)
            self.store.is_dirty = False

    # -- which rows

    def date_rule(self, mode: ReadMode) -> DateRule | None:
        """By which bound rows are judged where dates do it; None: none of them is wanted."""
        state, opened = self.state, self._opened(mode)
        if self.only_when_served and opened is not None and self.name not in opened:
            return None
        if mode is ReadMode.BACKFILL or self._in_version(mode):
            return DateRule()
        if mode is ReadMode.LOOKBACK:
            return (
                None
                if self.only_when_served and state.date_updated is None
                else DateRule(state.lookback_done_at or BEGINNING)
            )
        since = state.date_updated or BEGINNING
        if mode is ReadMode.LOOKBACK_OF_RESCAN and since:
            since = min(since, state.lookback_done_at or since)
        return DateRule(since, state.resend_listed_before or BEGINNING, state.resend_created_before or BEGINNING)

    def _in_version(self, mode: ReadMode) -> bool:
        """Whether all rows go into a version of it."""
        return mode in (ReadMode.FULL_TABLE, ReadMode.FULL_TABLE_AGAIN) and self.state is self.root

    def reader(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """What reads a walk for it; None where every row is wanted, or none."""
        if self.date_rule(mode) is None or self._in_version(mode):
            return None
        looked = self.state.lookback_done_at
        since = later(looked, self.lateness) if looked else BEGINNING  # when the last sync began
        return Chunks(
            self.store,
            chunk_length(self.page_size),
            endpoint.name + name,
            since,
            self._sent,
            len(self.stream.values) > 1,
            all_new=mode is ReadMode.BACKFILL and not self.store and self.state.imported_bookmark is None,
        )

    def slice_sums(self, mode: ReadMode, read: str | None) -> SliceSums | None:
        """What reads a slice of a backfill for it, going on from what was read of that."""
        return (
            SliceSums(self.store, chunk_length(self.page_size), PartialSums.of(read)) if self.date_rule(mode) else None
        )

    def take(self, mode: ReadMode, endpoint: ListEndpoint, page: Page, reader: Reader | None) -> Read:
        """
        Emit those rows of a page that are not in the warehouse, as far as the reader knows by now.

        Returns after how many rows nothing waits.
        """
        date_rule, rows, stamp = self.date_rule(mode), page.rows, page.stamp
        if date_rule is None:
            return None
        if self.start_date:
            rows = [row for row in rows if (timestamp_of(row.get("date_created")) or END) >= self.start_date]
        if reader is None:
            yield from self._emit_by_date(mode, endpoint, rows, stamp, date_rule)
            return None
        records, invalid = self._records(rows)
        if reader.all_new and records:
            yield Emit(self, stamp, records)
        taken = self._read(endpoint, rows[: len(records)], records, stamp, reader, date_rule)
        if isinstance(reader, Chunks):
            yield from self.emit_changed(reader, date_rule)
        if invalid and (reader.all_new or taken == len(records)):
            raise invalid  # the rows above it are written, as the digests say
        if taken < len(rows):
            _, listed, created = endpoint.dates(rows[taken])
            self.by_date_from = self.by_date_from or timestamp_of(listed) or timestamp_of(created)
            reader.forget(keys_of(endpoint.ids(rows[taken:])))
            if not reader.all_new:
                yield from self._emit_by_date(mode, endpoint, rows[taken:], stamp, date_rule)
        return _among(reader.pauses, page.rows, rows) if isinstance(reader, Chunks) else None

    def _read(
        self,
        endpoint: ListEndpoint,
        rows: Sequence[Row],
        records: Sequence[bytes],
        stamp: Stamp,
        reader: Reader,
        date_rule: DateRule,
    ) -> int:
        """Hand rows to the reader. Returns how many it took."""
        keys, contents, dates = keys_of(endpoint.ids(rows)), contents_of(records), endpoint.dates_of(rows)
        unsliceable = endpoint.unsliceable_rows(dates)
        if isinstance(reader, SliceSums):
            reader.add([pair for at, pair in enumerate(zip(keys, contents)) if at not in unsliceable])
            return len(rows)
        assume_sent = (
            repeat(False) if self.state.imported_bookmark is None else [not date_rule.is_due(of) for of in dates]
        )
        kept = (repeat(b""), repeat(stamp), repeat(NO_DATES)) if reader.all_new else (records, repeat(stamp), dates)
        reader.take(list(map(_held, repeat(PendingRow), zip(keys, contents, *kept, assume_sent))), unsliceable)
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

    def emit_changed(self, reader: Chunks, date_rule: DateRule) -> Read:
        """Emit what the reader found changed."""
        changed, reader.changed = reader.changed, []
        for stamp, rows in groupby(changed, _stamp):
            found = list(rows)
            if reader.seen:
                self.undated += sum(row.key in reader.seen and not date_rule.is_due(row.dates) for row in found)
            yield Emit(self, stamp, [row.record for row in found])
        reader.seen.clear()

    def end(self, mode: ReadMode, reader: Chunks) -> Read:
        """The list ended."""
        if date_rule := self.date_rule(mode):
            reader.end()
            yield from self.emit_changed(reader, date_rule)

    def leave(self, mode: ReadMode, reader: Chunks) -> Read:
        """A read goes no further: what waits is judged by date, for freshness. A round will look at its content."""
        date_rule = self.date_rule(mode)
        if date_rule is not None and date_rule.since:
            fresh = [row for row in reader.waiting if date_rule.sees_change(row.dates)]
            yield from self._emit_once([(row.content, row.record, row.stamp) for row in fresh])

    def _emit_by_date(
        self, mode: ReadMode, endpoint: ListEndpoint, rows: Sequence[Row], stamp: Stamp, date_rule: DateRule
    ) -> Read:
        records = list(self.records(row for row in rows if date_rule.is_due(endpoint.dates(row))))
        if mode is ReadMode.LOOKBACK:
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
        if content not in self.store.get(key):
            yield Emit(self, stamp, [record])
            used = self.size_limit.used
            self.store.set(key, content)
            self.store.evict(used)

    # -- the bookmark

    def fail(self, error: PartitionError) -> None:
        """Nothing more is written to it in this sync."""
        self.failed = self.failed or error

    def advance(self, bookmark: Timestamp) -> None:
        """Every change before `bookmark` is in the warehouse. It never moves backwards."""
        bookmarks.advance(self.state, bookmark)

    def finish_backfill(self, bookmark: Timestamp, resend_listed_before: Timestamp | None) -> None:
        """
        A backfill that served this table ended. `resend_listed_before`: rows undated, or dated before this, it did not
        see.
        """
        bookmarks.finish_backfill(self.state, bookmark, resend_listed_before)

    def finish_rescan(self, bookmark: Timestamp) -> None:
        """A round that served this table ended."""
        bookmarks.finish_rescan(self.state, bookmark)
        if not self.store.evicts_oldest:
            self.store.rotate()

    def defer(self, listed: Timestamp | None) -> None:
        """A row of the parent was not asked in this sync: it is owed, with the undated and those listed before it."""
        bookmarks.defer(self.state, listed)

    def _opened(self, mode: ReadMode) -> list[str] | None:
        """The tables that what is read serves; None where that is all."""
        opened = {
            ReadMode.BACKFILL: self.root.backfill,
            ReadMode.RESCAN: self.root.rescan,
            ReadMode.FULL_TABLE: self.root.full,
        }
        opened[ReadMode.FULL_TABLE_AGAIN] = self.root.full
        if self._in_version(mode):
            return None
        found = opened.get(mode)
        return found.tables if found else None


def join(known: FingerprintStore, above: str | None, below: str | None) -> str | None:
    """What was read of two spans that touch."""
    return PartialSums.of(above).join(PartialSums.of(below), known).text()


def close(known: FingerprintStore, endpoint: ListEndpoint, read: str | None) -> None:
    """All of a list was read by slices."""
    partial_sums = PartialSums.of(read)
    if partial_sums.key is not None:
        known.set(partial_sums.key, partial_sums.head)
    if partial_sums.tail != ZERO:
        known.set(end_key(0, endpoint.name), partial_sums.tail)


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
