"""
Choose the rows of a page that are written to a stream's table in one account.

`PageDispatcher` (extract/dispatch.py) hands each page of a list to `Table.take`. The table converts the rows to records
(singer/records.py). A `ChangeDetector` finds the changed rows by their fingerprints (changes/chunks.py), and the table
yields an `Emit` with their records, which run/sync.py writes. Where there is no detector, the dates of a row decide
(`DateRule`): in a lookback in time slices, in a FULL_TABLE read, and for rows for whose fingerprints the state has no
room. A row is due if its dates say that it must be written.

Methods that return `Read` are generators of effects (effects.py).
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
from tap_twilio.changes.date_rule import NO_DATES, DateRange, DateRule
from tap_twilio.changes.fingerprint_codec import pack
from tap_twilio.changes.fingerprints import FingerprintStore, PendingRow, SizeLimit, load_store
from tap_twilio.changes.hashes import hash_bytes, hash_contents, hash_keys
from tap_twilio.changes.slice_sums import PartialSums, SliceSums
from tap_twilio.errors import InvalidRecord, PartitionError
from tap_twilio.state.model import OpenRefresh, Partition
from tap_twilio.streams.model import Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.bookmarks import read_start
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.timestamps import BEGINNING, END, HOUR, Timestamp, timestamp_or_none
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page, PageTimes, Row

# The numbers of a page's rows after which no row is pending, so that a later read can resume there. None: any number.
SafePoints = set[int] | None


class ReadMode(Enum):
    """The kind of read that a page belongs to. It decides which rows are due by their dates (`Table.date_rule`)."""

    BACKFILL = auto()
    LOOKBACK = auto()
    LOOKBACK_OF_RESCAN = auto()  # the first pages of a rescan, which are a lookback too
    RESCAN = auto()
    FULL_TABLE = auto()
    READ_AGAIN = auto()  # a further read of a list, for the rows that moved during the read before it
    REFRESH = auto()  # writes rows again, whatever the state knows of them (extract/refresh.py)


class ChangeDetector(Protocol):
    """Finds the changed rows of one list: `Chunks`, or `SliceSums` for a time slice of a backfill."""

    taken: int  # how many of the rows given last it took; the store has no room for the others
    changed: list[PendingRow]
    fingerprinted: set[int]  # the hashed keys of changed rows that had a fingerprint before

    @property
    def all_new(self) -> bool:
        """Return whether the table writes every row as it comes, so that `changed` stays empty."""

    @property
    def safe_points(self) -> SafePoints:
        """Return the safe points among the rows given last."""

    def take(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> None: ...

    def forget(self, keys: Iterable[int]) -> None: ...


_times = attrgetter("times")
# Makes a PendingRow. This runs for each row that is read, and PendingRow._make is slower.
_make_pending: Callable[[type[PendingRow], tuple[Any, ...]], PendingRow] = tuple.__new__


@dataclass
class Table:
    """
    A stream's table in one account. `state` is its partition of the state.

    `list_state` is the partition of the list that is read: the same, or that of the topmost parent. `records` converts
    rows to JSON (`Recorder.records`), or raises InvalidRecord.
    """

    stream: Stream
    account: str
    state: Partition
    list_state: Partition
    records: Callable[[Iterable[Row]], Iterable[bytes]] = field(repr=False)
    size_limit: SizeLimit = field(default_factory=lambda: SizeLimit(10**6))
    start_date: Timestamp = BEGINNING
    lateness: timedelta = HOUR
    page_size: int = 1000
    failed: PartitionError | None = None
    undated: int = 0  # rows written in this sync whose content changed, but not their date
    by_date_from: Timestamp | None = None  # the date of the newest row for whose fingerprint the state had no room
    end_date: Timestamp = END  # rows created from then on are not written
    refresh: OpenRefresh | None = None  # the one that is being read, if it writes rows of this table again

    def __post_init__(self) -> None:
        self._sent: set[int] = set()  # hashes of the records that this sync wrote because of their dates
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
    def must_be_included(self) -> bool:
        """Return whether only reads that began with this table hand it rows. A child gets the rows of each visit."""
        return self.stream.parent is None

    @cached_property
    def store(self) -> FingerprintStore:
        """Load the fingerprints of the rows that were written."""
        return load_store(
            self.size_limit, self.state.fingerprints, self.state.rescan_fingerprints, self.stream.parent is not None
        )

    def save_fingerprints(self) -> None:
        """Write the fingerprints into the state."""
        if "store" in vars(self) and self.store.is_dirty:
            self.state.fingerprints, self.state.rescan_fingerprints = pack(self.store.old), pack(self.store.new)
            self.store.is_dirty = False

    # -- which rows

    def date_rule(self, mode: ReadMode) -> DateRule | None:
        """
        Return which rows are due by their dates; None if the table takes no row of such a read.

        In a backfill and a FULL_TABLE read, every row is due; in a lookback, the changes since the last lookback; in a
        rescan, the changes since the bookmark and the rows to resend.
        """
        if mode is ReadMode.REFRESH:
            return self.refresh_rule(self.stream)
        state, included = self.state, self._tables_included(mode)
        if self.must_be_included and included is not None and self.name not in included:
            return None
        if mode is ReadMode.BACKFILL or self._in_version(mode):
            return DateRule()
        if mode is ReadMode.LOOKBACK:
            if self.must_be_included and state.date_updated is None:
                return None
            return DateRule(state.lookback_done_at or BEGINNING)
        since = state.date_updated or BEGINNING
        if mode is ReadMode.LOOKBACK_OF_RESCAN and since:
            since = min(since, state.lookback_done_at or since)
        return DateRule(since, state.resend_listed_before or BEGINNING, state.resend_created_before or BEGINNING)

    def refresh_rule(self, listed: Stream) -> DateRule | None:
        """Return which rows of a list the open refresh selects: of this table's list, or of a list above it."""
        refresh = self.refresh
        if refresh is None:
            return None
        if refresh.dated_by != listed.name:
            return DateRule()
        has_slices = refresh.time_slices == []  # they were read
        missed_before = (refresh.resend_listed_before or BEGINNING) if has_slices else END
        return DateRange(range_since=refresh.since, range_until=refresh.until, missed_before=missed_before)

    def _in_version(self, mode: ReadMode) -> bool:
        """Return whether the read fills a FULL_TABLE version of this table, which has all rows."""
        return mode in (ReadMode.FULL_TABLE, ReadMode.READ_AGAIN) and self.state is self.list_state

    def change_detector(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """Return the finder of a list's changed rows; None if a FULL_TABLE read needs every row, or no row is due."""
        if mode is ReadMode.REFRESH or self.date_rule(mode) is None or self._in_version(mode):
            return None
        done_at = self.state.lookback_done_at
        return Chunks(
            self.store,
            chunk_length(self.page_size),
            endpoint.name + name,
            since=read_start(done_at, self.lateness) if done_at else BEGINNING,
            sent=self._sent,
            rows_may_move=len(self.stream.variants) > 1,
            all_new=mode is ReadMode.BACKFILL and not self.store and self.state.imported_bookmark is None,
        )

    def slice_sums(self, mode: ReadMode, sums: str | None) -> SliceSums | None:
        """Return the detector for a time slice of a backfill. `sums`: the partial sums of an earlier sync, as text."""
        if self.date_rule(mode) is None:
            return None
        return SliceSums(self.store, chunk_length(self.page_size), PartialSums.from_text(sums))

    def take(self, mode: ReadMode, endpoint: ListEndpoint, page: Page, detector: ChangeDetector | None) -> Read:
        """Emit the rows that have changed; the rows of an open chunk stay pending. Return the page's safe points."""
        date_rule, rows, times = self.date_rule(mode), page.rows, page.times
        if date_rule is None:
            return None
        if self.start_date or self.end_date != END:
            rows = [row for row in rows if self._is_between_dates(row)]
        if detector is None:
            yield from self._emit_by_date(mode, endpoint, rows, times, date_rule)
            return None
        records, invalid = self._records(rows)
        if detector.all_new and records:
            yield Emit(self, times, records)
        detector.take(*self._pending(endpoint, rows[: len(records)], records, times, detector, date_rule))
        yield from self.emit_changed(detector, date_rule)
        if invalid and (detector.all_new or detector.taken == len(records)):
            raise invalid  # the rows before it are written, as their fingerprints say
        if detector.taken < len(rows):
            yield from self._emit_beyond_limit(mode, endpoint, rows[detector.taken :], times, detector, date_rule)
        return None if detector.safe_points is None else _among(detector.safe_points, page.rows, rows)

    def _is_between_dates(self, row: Row) -> bool:
        """Return whether a row was created between `start_date` and `end_date`, or has no date of creation."""
        created = timestamp_or_none(row.get("date_created"))
        return created is None or self.start_date <= created < self.end_date

    def _pending(
        self,
        endpoint: ListEndpoint,
        rows: Sequence[Row],
        records: Sequence[bytes],
        times: PageTimes,
        detector: ChangeDetector,
        date_rule: DateRule,
    ) -> tuple[list[PendingRow], Collection[int]]:
        """Return rows as a detector takes them, and the indices of unsliceable rows (chunks.py)."""
        keys, contents, dates = hash_keys(endpoint.ids(rows)), hash_contents(records), endpoint.date_triples(rows)
        assume_sent: Iterable[bool] = repeat(False)
        if self.state.imported_bookmark is not None:  # another tap wrote the rows that no date shows as changed since
            assume_sent = [not date_rule.is_due(row_dates) for row_dates in dates]
        # Rows that are written already need no record and no dates, which cost memory.
        kept = (repeat(b""), repeat(times), repeat(NO_DATES)) if detector.all_new else (records, repeat(times), dates)
        pending = list(map(_make_pending, repeat(PendingRow), zip(keys, contents, *kept, assume_sent)))
        return pending, endpoint.unsliceable_indices(dates)

    def _emit_beyond_limit(
        self,
        mode: ReadMode,
        endpoint: ListEndpoint,
        rows: Sequence[Row],
        times: PageTimes,
        detector: ChangeDetector,
        date_rule: DateRule,
    ) -> Read:
        """Emit the rows that are due by their dates: the state has no room for their fingerprints."""
        _, listed, created = endpoint.dates_of(rows[0])
        self.by_date_from = self.by_date_from or timestamp_or_none(listed) or timestamp_or_none(created)
        detector.forget(hash_keys(endpoint.ids(rows)))
        if not detector.all_new:
            yield from self._emit_by_date(mode, endpoint, rows, times, date_rule)

    def _records(self, rows: Sequence[Row]) -> tuple[list[bytes], InvalidRecord | None]:
        """Return the records of the rows before the first invalid row, and the error of that row."""
        records: list[bytes] = []
        try:
            for record in self.records(rows):
                records.append(record)
        except InvalidRecord as invalid:
            return records, invalid
        return records, None

    def emit_changed(self, detector: ChangeDetector, date_rule: DateRule) -> Read:
        """Emit the rows that the detector found changed."""
        changed, detector.changed = detector.changed, []
        for times, group in groupby(changed, _times):
            rows = list(group)
            if detector.fingerprinted:
                self.undated += sum(
                    row.key in detector.fingerprinted and not date_rule.is_due(row.dates) for row in rows
                )
            yield Emit(self, times, [row.record for row in rows])
        detector.fingerprinted.clear()

    def end(self, mode: ReadMode, detector: Chunks) -> Read:
        """Emit the changed rows of the chunks that end with the list."""
        if date_rule := self.date_rule(mode):
            detector.end()
            yield from self.emit_changed(detector, date_rule)

    def leave(self, mode: ReadMode, detector: Chunks) -> Read:
        """Emit the pending rows whose date shows a change: the read stops in a chunk. A rescan compares the others."""
        date_rule = self.date_rule(mode)
        if date_rule is not None and date_rule.since:
            fresh = [row for row in detector.pending if date_rule.sees_change(row.dates)]
            yield from self._emit_once([(row.content, row.record, row.times) for row in fresh])

    def _emit_by_date(
        self, mode: ReadMode, endpoint: ListEndpoint, rows: Sequence[Row], times: PageTimes, date_rule: DateRule
    ) -> Read:
        """Emit the rows that are due by their dates."""
        records = list(self.records(row for row in rows if date_rule.is_due(endpoint.dates_of(row))))
        if mode is ReadMode.LOOKBACK:
            yield from self._emit_once(list(zip(hash_contents(records), records, repeat(times))))
        elif records:
            yield Emit(self, times, records, again=mode is ReadMode.REFRESH)

    def _emit_once(self, rows: Iterable[tuple[int, bytes, PageTimes]]) -> Read:
        """Emit rows, except rows that this sync already emitted with the same content."""
        for content, record, times in rows:
            if content not in self._sent:
                self._sent.add(content)
                yield Emit(self, times, [record])

    def emit_if_changed(self, name: str, row: Row, times: PageTimes) -> Read:
        """Emit a single row if it differs from the row that was written under this name; store its fingerprint."""
        [record], key = self.records([row]), hash_bytes(name.encode())
        content = frozenset(hash_contents([record]))
        if content != self.store.get(key):
            yield Emit(self, times, [record])
            used = self.size_limit.used
            self.store.set(key, content)
            self.store.evict(used)

    def forget(self, name: str) -> None:
        """Drop the fingerprint of a single row, so that it counts as changed."""
        self.store.drop(hash_bytes(name.encode()))

    # -- the bookmark

    def fail(self, error: PartitionError) -> None:
        """Note an error, after which this sync writes nothing more to this table."""
        self.failed = self.failed or error

    def advance(self, bookmark: Timestamp) -> None:
        """Note that every change before `bookmark` was written."""
        bookmarks.advance(self.state, bookmark)

    def finish_backfill(self, bookmark: Timestamp, resend_listed_before: Timestamp | None) -> None:
        """Advance after a backfill, which missed undated rows and rows listed before a date."""
        bookmarks.finish_backfill(self.state, bookmark, resend_listed_before)

    def finish_rescan(self, bookmark: Timestamp) -> None:
        """Advance after a rescan, and drop the fingerprints that it did not confirm."""
        bookmarks.finish_rescan(self.state, bookmark)
        if not self.store.evicts_oldest:
            self.store.rotate()

    def defer(self, listed: Timestamp | None) -> None:
        """Have later syncs visit a parent row with this list date, and older ones: the request limit is reached."""
        bookmarks.defer(self.state, listed)

    def _tables_included(self, mode: ReadMode) -> list[str] | None:
        """Return the names of the tables that the open read hands rows to; None if it hands rows to all."""
        if self._in_version(mode):
            return None
        full = mode in (ReadMode.FULL_TABLE, ReadMode.READ_AGAIN)
        by_mode = {ReadMode.BACKFILL: self.list_state.backfill, ReadMode.RESCAN: self.list_state.rescan}
        opened = self.list_state.full if full else by_mode.get(mode)
        return opened.streams if opened else None


def _among(safe_points: set[int], rows: Sequence[Row], taken: Sequence[Row]) -> set[int]:
    """Convert safe points that count the taken rows into safe points that count all rows of a page."""
    if len(taken) == len(rows):
        return safe_points
    taken_ids, count, among_all = set(map(id, taken)), 0, {0} & safe_points
    for number, row in enumerate(rows, 1):
        count += id(row) in taken_ids
        if count in safe_points:
            among_all.add(number)
    return among_all
