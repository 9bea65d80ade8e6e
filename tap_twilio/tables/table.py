"""
Choose the rows of a page that are written to a stream's table in one account.

Changes are found by fingerprints of the rows' content (changes/chunks.py). Dates decide where the state has no room for
more fingerprints, and where a read is for freshness only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from functools import cached_property
from itertools import groupby, repeat
from operator import attrgetter
from typing import Any, Protocol

from tap_twilio.changes.chunks import Chunks, chunk_length
from tap_twilio.changes.date_rule import NO_DATES, DateRule
from tap_twilio.changes.fingerprint_codec import pack
from tap_twilio.changes.fingerprints import FingerprintStore, PendingRow, SizeLimit, store_of
from tap_twilio.changes.power_sums import contents_of, hashed, keys_of
from tap_twilio.changes.slice_sums import PartialSums, SliceSums
from tap_twilio.errors import InvalidRecord, PartitionError
from tap_twilio.state.model import Partition
from tap_twilio.streams.model import Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.timestamps import BEGINNING, END, HOUR, Timestamp, later, timestamp_of
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page, Row, Stamp

Pauses = set[int] | None  # after how many rows of a page no row is pending; None: after each


class ReadMode(Enum):
    """Why a page is read, which decides the date from which its rows are due."""

    BACKFILL = auto()
    LOOKBACK = auto()
    LOOKBACK_OF_RESCAN = auto()  # a lookback whose pages are the first of a rescan
    RESCAN = auto()
    FULL_TABLE = auto()
    FULL_TABLE_AGAIN = auto()  # rows of a FULL_TABLE read that changed or moved meanwhile


class Reader(Protocol):
    """Find the changed rows of one list: `Chunks`, or `SliceSums` for a time slice of a backfill."""

    taken: int  # how many of the rows given last it took
    changed: list[PendingRow]
    seen: set[int]  # the keys of changed rows that differ from a fingerprint

    @property
    def all_new(self) -> bool:
        """Return whether every row is written as it comes."""

    @property
    def pauses(self) -> Pauses:
        """Return after how many of the rows given last no row was pending."""

    def take(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> None: ...

    def forget(self, keys: Iterable[int]) -> None: ...


_stamp = attrgetter("stamp")
# Quicker than PendingRow._make, for each row that is read.
_pending: Callable[[type[PendingRow], tuple[Any, ...]], PendingRow] = tuple.__new__


@dataclass
class Table:
    """
    A stream's table in one account. `state` is its part of the Singer state, `root` that of the list that is read.

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
    undated: int = 0  # rows of undated changes, written in this sync
    by_date_from: Timestamp | None = None  # the newest row for which the state had no room

    def __post_init__(self) -> None:
        self._sent: set[int] = set()  # the content of rows that this sync wrote because of their dates
        packed = (self.state.fingerprints, self.state.rescan_fingerprints)
        self.size_limit.used += sum(map(len, filter(None, packed)))

    @property
    def tables(self) -> list[Table]:
        return [self]

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def is_in_rescans(self) -> bool:
        """Return whether a rescan that begins includes this table."""
        return not self.failed

    @property
    def only_if_included(self) -> bool:
        """Return whether rows come only from reads that serve this table. A child's come with each visit."""
        return self.stream.parent is None

    @cached_property
    def store(self) -> FingerprintStore:
        """Return the fingerprints of the rows that were written."""
        return store_of(
            self.size_limit, self.state.fingerprints, self.state.rescan_fingerprints, self.stream.parent is not None
        )

    def keep(self) -> None:
        """Write the fingerprints into the state."""
        if "store" in vars(self) and self.store.is_dirty:
            self.state.fingerprints, self.state.rescan_fingerprints = pack(self.store.old), pack(self.store.new)
            self.store.is_dirty = False

    # -- which rows

    def date_rule(self, mode: ReadMode) -> DateRule | None:
        """Return which rows are due by their dates; None if the table takes no row of such a read."""
        state, included = self.state, self._tables_included(mode)
        if self.only_if_included and included is not None and self.name not in included:
            return None
        if mode is ReadMode.BACKFILL or self._in_version(mode):
            return DateRule()
        if mode is ReadMode.LOOKBACK:
            if self.only_if_included and state.date_updated is None:
                return None
            return DateRule(state.lookback_done_at or BEGINNING)
        since = state.date_updated or BEGINNING
        if mode is ReadMode.LOOKBACK_OF_RESCAN and since:
            since = min(since, state.lookback_done_at or since)
        return DateRule(since, state.resend_listed_before or BEGINNING, state.resend_created_before or BEGINNING)

    def _in_version(self, mode: ReadMode) -> bool:
        """Return whether all rows go into a FULL_TABLE version of this table."""
        return mode in (ReadMode.FULL_TABLE, ReadMode.FULL_TABLE_AGAIN) and self.state is self.root

    def reader(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """Return a reader of the pages of a list; None where every row is wanted, or none."""
        if self.date_rule(mode) is None or self._in_version(mode):
            return None
        done_at = self.state.lookback_done_at
        since = later(done_at, self.lateness) if done_at else BEGINNING  # when the last sync began
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
        """Return a reader of a time slice of a backfill, which goes on from what was `read` of it."""
        if self.date_rule(mode) is None:
            return None
        return SliceSums(self.store, chunk_length(self.page_size), PartialSums.of(read))

    def take(self, mode: ReadMode, endpoint: ListEndpoint, page: Page, reader: Reader | None) -> Read:
        """
        Emit the rows of a page that are known to have changed by now; others wait for the end of their chunk.

        Returns after how many rows no row is pending.
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
        reader.take(*self._pending(endpoint, rows[: len(records)], records, stamp, reader, date_rule))
        yield from self.emit_changed(reader, date_rule)
        if invalid and (reader.all_new or reader.taken == len(records)):
            raise invalid  # the rows before it are written, as their fingerprints say
        if reader.taken < len(rows):
            yield from self._emit_beyond_limit(mode, endpoint, rows[reader.taken :], stamp, reader, date_rule)
        return None if reader.pauses is None else _among(reader.pauses, page.rows, rows)

    def _pending(
        self,
        endpoint: ListEndpoint,
        rows: Sequence[Row],
        records: Sequence[bytes],
        stamp: Stamp,
        reader: Reader,
        date_rule: DateRule,
    ) -> tuple[list[PendingRow], Collection[int]]:
        """Return rows as a reader takes them, and the indices of the unsliceable ones."""
        keys, contents, dates = keys_of(endpoint.ids(rows)), contents_of(records), endpoint.dates_of(rows)
        assume_sent: Iterable[bool] = repeat(False)
        if self.state.imported_bookmark is not None:
            assume_sent = [not date_rule.is_due(row_dates) for row_dates in dates]
        kept = (repeat(b""), repeat(stamp), repeat(NO_DATES)) if reader.all_new else (records, repeat(stamp), dates)
        pending = list(map(_pending, repeat(PendingRow), zip(keys, contents, *kept, assume_sent)))
        return pending, endpoint.unsliceable_rows(dates)

    def _emit_beyond_limit(
        self,
        mode: ReadMode,
        endpoint: ListEndpoint,
        rows: Sequence[Row],
        stamp: Stamp,
        reader: Reader,
        date_rule: DateRule,
    ) -> Read:
        """Emit by date the rows for whose fingerprints the state has no room."""
        _, listed, created = endpoint.dates(rows[0])
        self.by_date_from = self.by_date_from or timestamp_of(listed) or timestamp_of(created)
        reader.forget(keys_of(endpoint.ids(rows)))
        if not reader.all_new:
            yield from self._emit_by_date(mode, endpoint, rows, stamp, date_rule)

    def _records(self, rows: Sequence[Row]) -> tuple[list[bytes], InvalidRecord | None]:
        """Return the rows' records up to the first invalid one, and that one's error."""
        records: list[bytes] = []
        try:
            for record in self.records(rows):
                records.append(record)
        except InvalidRecord as invalid:
            return records, invalid
        return records, None

    def emit_changed(self, reader: Reader, date_rule: DateRule) -> Read:
        """Emit the rows that the reader found changed."""
        changed, reader.changed = reader.changed, []
        for stamp, group in groupby(changed, _stamp):
            rows = list(group)
            if reader.seen:
                self.undated += sum(row.key in reader.seen and not date_rule.is_due(row.dates) for row in rows)
            yield Emit(self, stamp, [row.record for row in rows])
        reader.seen.clear()

    def end(self, mode: ReadMode, reader: Chunks) -> Read:
        """Emit the changed rows of the chunks that end with the list."""
        if date_rule := self.date_rule(mode):
            reader.end()
            yield from self.emit_changed(reader, date_rule)

    def leave(self, mode: ReadMode, reader: Chunks) -> Read:
        """Emit the pending rows whose date changed, as a read stops within a chunk; a rescan compares the others."""
        date_rule = self.date_rule(mode)
        if date_rule is not None and date_rule.since:
            fresh = [row for row in reader.waiting if date_rule.sees_change(row.dates)]
            yield from self._emit_once([(row.content, row.record, row.stamp) for row in fresh])

    def _emit_by_date(
        self, mode: ReadMode, endpoint: ListEndpoint, rows: Sequence[Row], stamp: Stamp, date_rule: DateRule
    ) -> Read:
        """Emit the rows that are due by their dates."""
        records = list(self.records(row for row in rows if date_rule.is_due(endpoint.dates(row))))
        if mode is ReadMode.LOOKBACK:
            yield from self._emit_once(list(zip(contents_of(records), records, repeat(stamp))))
        elif records:
            yield Emit(self, stamp, records)

    def _emit_once(self, rows: Iterable[tuple[int, bytes, Stamp]]) -> Read:
        """Emit rows, except those that this sync emitted with the same content."""
        for content, record, stamp in rows:
            if content not in self._sent:
                self._sent.add(content)
                yield Emit(self, stamp, [record])

    def compare(self, name: str, row: Row, stamp: Stamp) -> Read:
        """Emit a single row if it differs from the one that was written under this name."""
        [record], key = self.records([row]), hashed(name.encode())
        content = frozenset(contents_of([record]))
        if content != self.store.get(key):
            yield Emit(self, stamp, [record])
            used = self.size_limit.used
            self.store.set(key, content)
            self.store.evict(used)

    # -- the bookmark

    def fail(self, error: PartitionError) -> None:
        """Write nothing more to this table in this sync."""
        self.failed = self.failed or error

    def advance(self, bookmark: Timestamp) -> None:
        """Note that every change before `bookmark` was written."""
        bookmarks.advance(self.state, bookmark)

    def finish_backfill(self, bookmark: Timestamp, resend_listed_before: Timestamp | None) -> None:
        """Note the end of a backfill, which did not see rows that are undated or listed before a date."""
        bookmarks.finish_backfill(self.state, bookmark, resend_listed_before)

    def finish_rescan(self, bookmark: Timestamp) -> None:
        """Note the end of a rescan that included this table."""
        bookmarks.finish_rescan(self.state, bookmark)
        if not self.store.evicts_oldest:
            self.store.rotate()

    def defer(self, listed: Timestamp | None) -> None:
        """Note that the request limit was reached at a parent row with this list date."""
        bookmarks.defer(self.state, listed)

    def _tables_included(self, mode: ReadMode) -> list[str] | None:
        """Return the names of the tables that the open read includes; None where it includes all."""
        if self._in_version(mode):
            return None
        full = mode in (ReadMode.FULL_TABLE, ReadMode.FULL_TABLE_AGAIN)
        by_mode = {ReadMode.BACKFILL: self.root.backfill, ReadMode.RESCAN: self.root.rescan}
        opened = self.root.full if full else by_mode.get(mode)
        return opened.tables if opened else None


def _among(pauses: set[int], rows: Sequence[Row], taken: Sequence[Row]) -> set[int]:
    """Return pauses, which count the rows taken, as pauses that count all rows of a page."""
    if len(taken) == len(rows):
        return pauses
    taken_ids, count, among_all = set(map(id, taken)), 0, {0} & pauses
    for number, row in enumerate(rows, 1):
        count += id(row) in taken_ids
        if count in pauses:
            among_all.add(number)
    return among_all
