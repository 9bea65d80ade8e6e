"""
One audit: ask the warehouse for its sums, read Twilio, compare, and look twice at each row that differs.

commands/audit.py calls `Audit.run`, and prints the report (report.py).
"""

from __future__ import annotations

import hashlib
import logging
import math
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path

from tap_twilio.run.sync import Sync
from tap_twilio.settings import Settings
from tap_twilio.singer.catalog import Selected
from tap_twilio.state.store import State
from tap_twilio.streams import Stream
from tap_twilio.timestamps import BEGINNING, Timestamp, duration, earlier, machine_now
from tap_twilio.twilio.request import PageTimes

from . import scope as audit_scope
from .canonical import NULL, SEPARATOR, Comparison, compile_texts, hash_of
from .compare import (
    ALTERED,
    CHANGED,
    DUPLICATE,
    EXTRA,
    MISSING,
    Difference,
    Suspicions,
    changed_properties,
    differing,
    is_altered,
    suspect,
)
from .dialects import PARTS
from .spool import Bucket, Spool, Sums
from .twilio_side import TwilioSide
from .warehouse import Warehouse

LOGGER = logging.getLogger("tap_twilio")
MAX_ROWS_AT_ONCE = 10_000  # of buckets that differ; more are compared in 16 parts
MAX_SINGLE_REQUESTS = 300  # for rows to look at again; beyond that, the list is read again
KEYS_IN_A_QUERY = 500
SECONDS_A_PAGE = 1.5
SHORT_PAGES = 30  # a longer list is read in time slices, then once more for the rows that they hide
UNREADABLE = ("refused", "failed", "tokenless")  # reasons that make an audit incomplete
Record = tuple[str, PageTimes, bytes]  # an account, when it came, and the JSON


@dataclass
class StreamReport:
    """What was found of one stream."""

    stream: str
    accounts: int = 0
    days: int = 0
    twilio: int = 0
    warehouse: int = 0
    kept: int = 0
    due: int = 0
    differences: list[Difference] = field(default_factory=list)
    not_compared: dict[str, str] = field(default_factory=dict)  # property -> why
    notes: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)  # why some of it could not be compared
    equal_days: int = 0
    buckets: list[Bucket] = field(default_factory=list)  # that differ, where rows cannot be looked at

    def count(self, what: str) -> int:
        return sum(difference.what == what for difference in self.differences)

    @property
    def differs(self) -> bool:
        return bool(self.buckets) or any(difference.what != ALTERED for difference in self.differences)


@dataclass
class Report:
    """The result of an audit."""

    streams: list[StreamReport]
    requests: int
    checksum: str
    ended_at: Timestamp
    sampled: tuple[int, int, int] | None = None  # days at random, of how many, the seed

    @property
    def exit_code(self) -> int:
        """Return 6 if rows differ, 3 if some of it could not be compared, else 0."""
        if any(stream.differs for stream in self.streams):
            return 6
        return 3 if any(stream.incomplete for stream in self.streams) else 0


@dataclass
class Audit:
    """The parts of one audit. `warehouse` is None if its sums come from a file."""

    settings: Settings
    selected: list[Selected]
    warehouse: Warehouse | None
    scope: audit_scope.Scope
    hide: Callable[[str, str], None]
    begin: Callable[[Sync], None]  # called with each sync before it reads
    extras: bool = False
    state: State | None = None
    given_sums: Mapping[str, Mapping[Bucket, Sums]] | None = None  # of the warehouse, by stream
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    records: dict[str, list[Record]] = field(default_factory=dict)  # the wrong rows as Twilio has them
    deletable: dict[str, list[str]] = field(default_factory=dict)  # keys whose own address answers 404
    reports: dict[str, StreamReport] = field(default_factory=dict)
    days: list[str] = field(default_factory=list)  # () for all

    def run(self) -> Report:
        """Compare all selected streams. Raises TapError."""
        self.twilio = TwilioSide(self.settings, self._ranges, self.hide, self.begin)
        self.now = self.twilio.now()
        self._choose()
        sums = self._warehouse_sums()
        all_days = self._choose_days(sums)
        compared = [choice for choice in self.selected if choice.stream.name in self.comparisons]
        self._log_estimate(compared, sums)
        checksum = hashlib.sha256()
        with tempfile.TemporaryDirectory(prefix="tap-twilio-audit-") as folder:
            spools = self._read(compared, Path(folder)) if compared else {}
            for choice in compared:
                name = choice.stream.name
                twilio = spools[name].sums()
                checksum.update(repr((name, sorted(twilio.items()), sorted(sums[name].items()))).encode())
                self._compare(choice, spools[name], twilio, sums[name])
        sampled = (
            (self.scope.sample, all_days, self.scope.seed) if self.scope.sample and not self.scope.newest else None
        )
        return Report(
            list(self.reports.values()), self.twilio.requests, checksum.hexdigest()[:16], machine_now(), sampled
        )

    # -- what is compared

    def _choose(self) -> None:
        """Find the columns of each stream's table; note streams that cannot be compared."""
        tables = self.warehouse.tables() if self.warehouse else {}
        for choice in self.selected:
            name = choice.stream.name
            report = self.reports[name] = StreamReport(name)
            if not self.scope.is_whole and choice.stream.parent:
                report.notes.append("a list below other rows is compared by an audit of all days")
                self.comparisons.pop(name, None)
                continue
            if not self.warehouse:
                report.not_compared = dict(self.comparisons[name].left_out)
                continue
            if name not in tables:
                report.incomplete.append("the warehouse has no such table")
                continue
            comparison = audit_scope.comparison(
                choice, self.warehouse.names[name], tables[name], self.warehouse.dialect
            )
            report.not_compared = dict(comparison.left_out)
            if unusable := set(comparison.key) & set(comparison.left_out):
                report.incomplete.append(f"its key {', '.join(sorted(unusable))} cannot be compared")
                continue
            self.comparisons[name] = comparison

    def _warehouse_sums(self) -> Mapping[str, Mapping[Bucket, Sums]]:
        if self.given_sums is not None:
            return {name: self.given_sums.get(name, {}) for name in self.comparisons}
        assert self.warehouse
        found: dict[str, dict[Bucket, Sums]] = {}
        for name, comparison in self.comparisons.items():
            query = self.warehouse.dialect.sums(comparison, self.warehouse.qualified(comparison.table))
            rows = self.warehouse.execute(query)
            found[name] = {
                (account, bucket): Sums(int(count), int(keys), int(contents))
                for _, account, bucket, count, keys, contents in rows
            }
        return found

    def _choose_days(self, sums: Mapping[str, Mapping[Bucket, Sums]]) -> int:
        """Choose the days, and return from how many."""
        if self.scope.is_whole:
            return 0
        known = [bucket[1] for name, buckets in sums.items() if self.comparisons[name].date for bucket in buckets]
        oldest = audit_scope.oldest_day(known, self.now)
        self.days = self.scope.days(oldest, self.now)
        return len(audit_scope.Scope(self.scope.since, self.scope.until).days(oldest, self.now))

    def _ranges(self, stream: Stream) -> Sequence[tuple[Timestamp, Timestamp]]:
        """Return the dates to request from a list: all, unless its filter compares the date of the buckets."""
        comparison, window = self.comparisons.get(stream.name), stream.log_window
        if not self.days or comparison is None or stream.filter is None or comparison.date != stream.filter.column:
            return ()
        return () if window and window.period else audit_scope.ranges(self.days)

    def _in_scope(self, comparison: Comparison) -> Callable[[Bucket], bool]:
        unread = {account for (name, account), _ in self.twilio.unread.items() if name == comparison.stream}
        accounts, days = set(self.twilio.accounts) - unread, set(self.days)

        def in_scope(bucket: Bucket) -> bool:
            is_read = not comparison.has_account or not bucket[0] or bucket[0] in accounts
            return is_read and (not days or comparison.date is None or bucket[1] in days)

        return in_scope

    def _log_estimate(self, compared: Sequence[Selected], sums: Mapping[str, Mapping[Bucket, Sums]]) -> None:
        """Log the cost before anything is read: from the warehouse's counts, which Twilio's should equal."""
        at_once, in_a_row, again, days = 0, 0, 0, set(self.days)
        for choice in compared:
            stream = choice.stream
            scoped, rows = bool(self._ranges(stream)), dict[str, int]()
            for (account, bucket), one in sums[stream.name].items():
                rows[account] = rows.get(account, 0) + one.rows * (not scoped or bucket in days)
            page_size = min(self.settings.page_size, stream.max_page_size)
            pages = [math.ceil(count / page_size) for count in rows.values()] or [0]
            lists = len(stream.variants) * (len(audit_scope.ranges(self.days)) if scoped else 1)
            requests = sum(max(count, lists) for count in pages)
            if stream.parent:
                parents = sums.get(stream.parent.stream, {})
                requests = max(requests, sum(one.rows for one in parents.values()))
            elif stream.filter_hides_rows and not scoped and max(pages) > SHORT_PAGES:
                in_a_row = max(in_a_row, max(pages))
                again += sum(pages)
            at_once += requests
        seconds = SECONDS_A_PAGE * (at_once / max(1, self.settings.concurrency) + in_a_row)
        LOGGER.info("some %s requests, %s; --days and --sample need fewer", f"{at_once + again:,}", duration(seconds))

    # -- reading

    def _read(self, compared: list[Selected], folder: Path) -> dict[str, Spool]:
        """Read Twilio, and return the rows of each stream."""
        spools = {
            name: Spool(folder / name, comparison.date is not None) for name, comparison in self.comparisons.items()
        }
        texts = {name: compile_texts(comparison) for name, comparison in self.comparisons.items()}

        def take(name: str, account: str, times: PageTimes, records: list[bytes]) -> None:
            if name in spools:
                add, text = spools[name].add, texts[name]
                for record in records:
                    add(text(record))

        self.twilio.read(compared, take)
        for (name, account), reason in self.twilio.unread.items():
            if name in self.reports and (reason in UNREADABLE):
                self.reports[name].incomplete.append(f"{account}: {self.twilio.failed.get((name, account), reason)}")
        if self.twilio.stopped:
            raise KeyboardInterrupt
        return spools

    # -- comparing

    def _compare(
        self, choice: Selected, spool: Spool, twilio: Mapping[Bucket, Sums], warehouse: Mapping[Bucket, Sums]
    ) -> None:
        name = choice.stream.name
        comparison, report = self.comparisons[name], self.reports[name]
        in_scope = self._in_scope(comparison)
        read = {bucket for bucket in {*twilio, *warehouse} if in_scope(bucket)}
        report.twilio = sum(sums.rows for bucket, sums in twilio.items() if bucket in read)
        report.warehouse = sum(sums.rows for bucket, sums in warehouse.items() if bucket in read)
        report.accounts = len({account for account, _ in read})
        report.days = len({day for _, day in read}) if comparison.date else 0
        others = {account for account, _ in warehouse} - {account for account, _ in read}
        if others and not self.days:
            report.notes.append(f"{len(others)} account{'s' * (len(others) > 1)} in the warehouse not read")
        suspects = differing(twilio, warehouse, in_scope)
        report.equal_days = report.days - len({day for _, day in suspects})
        if not suspects:
            return
        if self.warehouse is None:
            report.buckets = suspects
            return
        found = self._suspicions(comparison, spool, suspects, twilio, warehouse)
        report.due = found.due
        self._confirm(choice, found)
        oldest: dict[str, str] = {}
        for account, day in twilio if comparison.date else ():
            if day:
                oldest[account] = min(day, oldest.get(account, day))
        self._look_at_extras(choice, found, oldest)
        for key in found.duplicates:
            report.differences.append(Difference(name, key, DUPLICATE))

    def _suspicions(
        self,
        comparison: Comparison,
        spool: Spool,
        suspects: Collection[Bucket],
        twilio: Mapping[Bucket, Sums],
        warehouse: Mapping[Bucket, Sums],
    ) -> Suspicions:
        """Return the rows that differ in some buckets; in parts, if the buckets are large."""
        assert self.warehouse
        rows = sum(twilio.get(bucket, Sums()).rows + warehouse.get(bucket, Sums()).rows for bucket in suspects)
        parts = range(PARTS) if rows > MAX_ROWS_AT_ONCE else (-1,)
        cutoff, found = self._cutoff(comparison.stream), Suspicions()
        table = self.warehouse.qualified(comparison.table)
        for part in parts:
            query = self.warehouse.dialect.details(comparison, table, suspects, part)
            here = spool.details(suspects, part)
            suspect(here, self.warehouse.execute(query), lambda changed: changed >= cutoff, found)
        return found

    def _cutoff(self, name: str) -> Timestamp:
        """Return the date from which on a difference may be due with the next sync."""
        cutoff = earlier(self.now, timedelta(hours=self.settings.lateness_hours))
        if self.state is not None:
            partitions = self.state.peek(name).partitions.values()
            cutoff = min([cutoff, *(partition.date_updated or BEGINNING for partition in partitions)])
        return cutoff

    def _confirm(self, choice: Selected, found: Suspicions) -> None:
        """Look at each missing or changed row again on both sides. Only a difference seen twice the same counts."""
        name, keys = choice.stream.name, found.keys
        if not keys:
            return
        comparison, report = self.comparisons[name], self.reports[name]
        again, there = self._twilio_rows(choice, found), self._warehouse_rows(comparison, keys)
        texts = compile_texts(comparison)
        for key in keys:
            first = found.missing.get(key) or found.changed[key][0]
            if key not in again:
                report.incomplete.append("some rows that differ could not be read again")
                continue
            record = again[key]
            if record is None:
                continue  # deleted at Twilio since it was read
            text = texts(record[2])
            stored = there.get(key)
            moved = hash_of(text.row) != first.content or (
                key in found.changed and (stored is None or stored[0] != found.changed[key][1].content)
            )
            if moved or (stored is None and self._is_due(name, text.day)):
                report.due += 1
            elif stored is None:
                report.differences.append(Difference(name, key, MISSING))
                self.records.setdefault(name, []).append(record)
            elif stored[0] != first.content:
                here = [None if value == NULL else value for value in text.row.split(SEPARATOR)]
                names = [column.property for column in comparison.columns]
                properties, values = changed_properties(names, here, stored[1])
                what = ALTERED if is_altered(values) else CHANGED
                report.differences.append(Difference(name, key, what, properties, values))
                if what == CHANGED:
                    self.records.setdefault(name, []).append(record)

    def _is_due(self, name: str, day: str) -> bool:
        """Return whether a rescan of the state will emit the rows of a day, or without a date."""
        partitions = self.state.peek(name).partitions.values() if self.state is not None else ()
        bounds = [partition.resend_listed_before for partition in partitions if partition.resend_listed_before]
        return bool(bounds) and day < max(bounds)[:10]

    def _has_addresses(self, stream: Stream, comparison: Comparison) -> bool:
        """Return whether Twilio returns single rows of a stream."""
        is_list = stream.rows is not None and stream.parent is None and stream.has_item_endpoint
        return is_list and len(stream.key) == 1 and comparison.has_account

    def _twilio_rows(self, choice: Selected, found: Suspicions) -> dict[str, Record | None]:
        """Read rows again: each at its own address, or the whole list if there are many. A deleted row is None."""
        keys, comparison = found.keys, self.comparisons[choice.stream.name]
        seen = {**{key: rows[0] for key, rows in found.changed.items()}, **found.missing}
        if len(keys) <= MAX_SINGLE_REQUESTS and self._has_addresses(choice.stream, comparison):
            return self.twilio.rows(choice, ((seen[key].account, key) for key in keys))
        rows: dict[str, Record | None] = dict.fromkeys(keys)
        texts = compile_texts(comparison)

        def take(name: str, account: str, times: PageTimes, records: list[bytes]) -> None:
            if name == choice.stream.name:
                for record in records:
                    key = texts(record).key
                    if key in rows:
                        rows[key] = (account, times, record)

        self.twilio.read([choice], take)
        return rows

    def _warehouse_rows(
        self, comparison: Comparison, keys: Iterable[str]
    ) -> dict[str, tuple[int, tuple[str | None, ...]]]:
        """Return the hash and the values of some rows, as text."""
        assert self.warehouse
        rows, left = {}, iter(keys)
        while batch := list(islice(left, KEYS_IN_A_QUERY)):
            query = self.warehouse.dialect.by_key(comparison, self.warehouse.qualified(comparison.table), batch)
            for key, content, *values in self.warehouse.execute(query):
                rows[key] = (int(content), tuple(values))
        return rows

    def _look_at_extras(self, choice: Selected, found: Suspicions, oldest: Mapping[str, str]) -> None:
        """Decide about rows that Twilio does not list: kept, or extra if their own address answers 404."""
        name = choice.stream.name
        report, rows = self.reports[name], found.only_in_warehouse
        if not (choice.full_table or self.extras):
            report.kept += len(rows)
            return
        listed = {key: seen for key, seen in rows.items() if not seen.day or seen.day >= oldest.get(seen.account, "")}
        report.kept += len(rows) - len(listed)
        if not self._has_addresses(choice.stream, self.comparisons[name]):
            report.differences += [Difference(name, key, EXTRA) for key in listed]
            return
        answers = self.twilio.rows(choice, ((seen.account, key) for key, seen in listed.items()))
        for key in listed:
            if key in answers and answers[key] is None:
                report.differences.append(Difference(name, key, EXTRA))
                self.deletable.setdefault(name, []).append(key)
            else:
                report.kept += 1
