"""
Read the lists below the rows of a parent, such as the media of a message.

A row of the parent is visited when what it holds changed since the last visit, while it is open, or in every sync, as
the child's stream declares.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from tap_twilio.changes.chunks import Chunks, chunk_length
from tap_twilio.changes.comparison import Chunk
from tap_twilio.changes.date_rule import NO_DATES, DateRule
from tap_twilio.changes.fingerprint_codec import pack, unpack
from tap_twilio.changes.fingerprints import FingerprintStore, PendingRow, SizeLimit, load_store
from tap_twilio.changes.hashes import hash_contents, hash_keys
from tap_twilio.changes.slice_sums import PartialSums, SliceSums
from tap_twilio.errors import Incomplete, PageShifted, PartitionError, Refused, ServerFailed
from tap_twilio.log import about
from tap_twilio.state.model import Partition
from tap_twilio.streams.model import Parent, Stream
from tap_twilio.tables.bookmarks import NO_LIMIT
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode, Table
from tap_twilio.timestamps import (
    BEGINNING,
    DAY,
    END,
    SECOND,
    Timestamp,
    day_of,
    earlier,
    later,
    midnight_after,
    timestamp_of,
)
from tap_twilio.twilio.endpoint import ListEndpoint, halves
from tap_twilio.twilio.request import Page, Row

from .budget import ChildRequests
from .dispatch import RESTARTS, ChildConsumer, PageDispatcher
from .page_reader import PageReader
from .read_list import read_list
from .units import ATTEMPTS, IN_A_ROW, name_of, split_at_midnight

LOGGER = logging.getLogger("tap_twilio")
SIDE_BY_SIDE = 100  # visits at the same time
OLDEST = 3650 * DAY  # the start of a log whose declaration names no reach
PATIENCE = 7 * DAY  # after a row's last change, how long to wait for the children that the row announces
LINKS = frozenset(("links", "subresource_uris"))  # properties that hold addresses of Twilio's, and no data
MOST_UNCONFIRMED = 1000  # rows in the state whose answer awaits confirmation


class Decision(Enum):
    """The outcome for one row of the parent."""

    SKIP = auto()  # its children are known
    DEFER = auto()  # no request is left: a later sync visits it
    VISIT = auto()


class Visit(NamedTuple):
    """The facts about a row of the parent that a visit needs."""

    path_values: dict[str, str]
    row: Row  # as far as the row's own address needs it
    is_open: bool  # the row is visited in every sync that reads it
    expects_children: bool  # the row says that it has children
    is_too_old: bool  # Twilio has deleted the children of a row of this age


@dataclass
class Visits:
    """The rows to visit, and the keys of the rows whose children are not all read, which shrink with each visit."""

    rows: list[PendingRow]
    unvisited: set[int]


@dataclass
class Unconfirmed:
    """
    Rows with an answer that counts only after a later sync got it again: the list is missing, or empty.

    `older` holds rows of the previous rescan. The end of a rescan drops the rows that it did not meet again.
    """

    older: set[int] = field(default_factory=set)
    newer: set[int] = field(default_factory=set)
    is_dirty: bool = False  # differs from the state
    _added_now: set[int] = field(default_factory=set)  # in this sync

    @staticmethod
    def parse(text: str | None) -> Unconfirmed:
        keys = unpack(text or "")
        return Unconfirmed(set(keys.get(0, ())), set(keys.get(1, ())))

    def text(self) -> str | None:
        keys_by_age = {0: frozenset(self.older), 1: frozenset(self.newer)}
        return pack({age: keys for age, keys in keys_by_age.items() if keys})

    def repeats(self, key: int) -> bool:
        """Note an answer for a row. Return whether an earlier sync noted it too."""
        key %= 2**48
        known = key in self.older or key in self.newer
        if known or len(self.older) + len(self.newer) >= MOST_UNCONFIRMED:
            return known and key not in self._added_now
        self.newer.add(key)
        self._added_now.add(key)
        self.is_dirty = True
        return False

    def settle(self, key: int) -> None:
        """Forget a row whose list was read."""
        key %= 2**48
        self.is_dirty = self.is_dirty or key in self.older or key in self.newer
        self.older.discard(key)
        self.newer.discard(key)

    def rotate(self) -> None:
        """Drop the rows that the rescan that ended did not meet."""
        self.is_dirty = self.is_dirty or bool(self.older or self.newer)
        self.older, self.newer = self.newer, set()


@dataclass
class ChildStreams:
    """
    A child stream of one account, with the consumers of its rows: its own table, and its children in turn.

    Its fingerprints tell which rows of the parent were visited as they are now. A row gets a fingerprint after all that
    is below it was read. `state` is the child's own partition, also where the child's table is not selected.
    """

    stream: Stream
    account: str
    page_size: int
    consumers: Sequence[Table | ChildConsumer]
    now: Callable[[], Timestamp]
    requests: ChildRequests
    state: Partition
    size_limit: SizeLimit
    parent_page_size: int = 1000
    evicts_oldest: bool = False  # the parent is a child itself
    failed: PartitionError | None = None
    unread: ServerFailed | None = None  # days of a log that Twilio did not answer
    floor: Timestamp = BEGINNING  # Twilio refuses filters on earlier dates, as this sync learned
    given_up: int = 0  # rows that announce children which Twilio has not listed in seven days
    _visited_by_date: set[int] = field(default_factory=set)  # contents of rows, in this sync
    _visited_open: set[int] = field(default_factory=set)  # contents of open rows, in this sync

    def __post_init__(self) -> None:
        self.size_limit.used += self._packed_size()

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def tables(self) -> list[Table]:
        return [table for consumer in self.consumers for table in consumer.tables]

    @property
    def child_streams(self) -> list[ChildStreams]:
        """Return this child stream and those below it."""
        below = [consumer for consumer in self.consumers if isinstance(consumer, ChildStreams)]
        return [self, *(child_stream for consumer in below for child_stream in consumer.child_streams)]

    @property
    def parent(self) -> Parent:
        assert self.stream.parent
        return self.stream.parent

    def fail(self, error: PartitionError) -> None:
        self.failed = self.failed or error
        for table in self.tables:
            table.fail(error)

    # -- the state

    @cached_property
    def store(self) -> FingerprintStore:
        """Return the fingerprints of the parent's rows that were visited."""
        return load_store(self.size_limit, self.state.visited, self.state.rescan_visited, self.evicts_oldest)

    @cached_property
    def unconfirmed(self) -> Unconfirmed:
        return Unconfirmed.parse(self.state.unconfirmed)

    def reconcile(self, changed: Collection[str]) -> bool:
        """
        Forget the visits if a table below was not selected then, or wants more rows now (`changed`).

        Return whether they are forgotten.
        """
        names = {table.name for table in self.tables}
        forgets = bool(names & set(changed)) or not names <= set((self.state.visited_for or "").split())
        if forgets:
            self.size_limit.used -= self._packed_size()
            self.state.visited = self.state.rescan_visited = self.state.unconfirmed = None
        self.state.visited_for = " ".join(sorted(names))
        return forgets

    def keep(self) -> None:
        """Write the fingerprints and the unconfirmed answers into the state."""
        if "store" in vars(self) and self.store.is_dirty:
            self.state.visited, self.state.rescan_visited = pack(self.store.old), pack(self.store.new)
            self.store.is_dirty = False
        if "unconfirmed" in vars(self) and self.unconfirmed.is_dirty:
            self.state.unconfirmed, self.unconfirmed.is_dirty = self.unconfirmed.text(), False

    def finish_rescan(self, served: Collection[str]) -> None:
        """Forget the rows that a rescan did not meet, if it served all tables below."""
        if not self.failed and {table.name for table in self.tables} <= set(served):
            self.unconfirmed.rotate()
            if not self.evicts_oldest:
                self.store.rotate()

    def _packed_size(self) -> int:
        return sum(map(len, filter(None, (self.state.visited, self.state.rescan_visited))))

    # -- what a read hands over

    @property
    def _visits_all(self) -> bool:
        return self.parent.visits_all

    @property
    def _is_log(self) -> bool:
        return self.stream.is_log

    @property
    def _chunk_length(self) -> int:
        return chunk_length(self.parent_page_size)

    def _unfailed(self) -> list[Table]:
        return [table for table in self.tables if not table.failed]

    def _date_rules(self, mode: ReadMode) -> list[DateRule]:
        return [date_rule for table in self._unfailed() if (date_rule := table.date_rule(mode))]

    def reader(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """Return what finds the rows to visit; None where every row is visited, or where dates decide."""
        if mode is ReadMode.FULL_TABLE_AGAIN or (self._visits_all and not self._is_log) or self.failed:
            return None
        lookbacks = [table.state.lookback_done_at for table in self._unfailed()]
        all_done = lookbacks and all(lookbacks)
        since = later(min(filter(None, lookbacks)), self._unfailed()[0].lateness) if all_done else BEGINNING
        several = len(endpoint.stream.values) > 1
        return Chunks(self.store, self._chunk_length, endpoint.name + name, since, moves=several, gaps=True)

    def slice_sums(self, mode: ReadMode, read: str | None) -> SliceSums | None:
        """Return what sums up the visited rows of a time slice."""
        if self._visits_all or self.failed:
            return None
        return SliceSums(self.store, self._chunk_length, PartialSums.from_text(read))

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read:
        """Visit the rows of a page that are due so far. Return the numbers of rows after which none is pending."""
        reader, endpoint = dispatcher.readers.get(self.name), dispatcher.page_reader.endpoint
        rows = self._pending_rows(dispatcher, page)
        if isinstance(reader, Chunks):
            unsliceable = endpoint.unsliceable_rows(endpoint.dates_of(page.rows))
            for chunk in reader.iter_chunks(rows, unsliceable):
                yield from self._visit_chunk(dispatcher, reader, chunk)
            if reader.taken < len(rows):  # the state has no space for more fingerprints
                yield from self._visit_by_date(dispatcher, [row for row in rows[reader.taken :] if row.content])
            return reader.pauses
        rows = [row for row in rows if row.content]
        if isinstance(reader, SliceSums):
            yield from self._visit_slice(dispatcher, reader, rows)
        else:
            yield from self._visit_by_date(dispatcher, rows)
        return None

    def end(self, dispatcher: PageDispatcher, reader: Chunks) -> Read:
        """Visit the pending rows that are due: the list ended."""
        for chunk in reader.iter_last_chunks():
            yield from self._visit_chunk(dispatcher, reader, chunk)

    def leave(self, dispatcher: PageDispatcher, reader: Chunks) -> Read:
        """Visit the pending rows that changed by date, for freshness: a later read compares their contents."""
        yield from self._visit_by_date(dispatcher, [row for row in reader.pending if row.content], pending=True)

    # -- the parent's rows

    def _pending_rows(self, dispatcher: PageDispatcher, page: Page) -> list[PendingRow]:
        """Return the rows of a page, each with what its visit needs. A row without children has the content 0."""
        endpoint, where = dispatcher.page_reader.endpoint, self.parent.where
        keys, dates_of_rows = hash_keys(endpoint.ids(page.rows)), endpoint.dates_of(page.rows)
        imported = all(table.state.imported_bookmark for table in self._unfailed())
        date_rules = self._date_rules(dispatcher.mode) if imported else []
        too_old = earlier(self.now(), self.parent.within) if self.parent.within else BEGINNING
        pending = []
        for key, row, dates in zip(keys, page.rows, dates_of_rows):
            if (where and not where.holds(row)) or None in (row[name] for name in self.parent.path_params.values()):
                pending.append(PendingRow(key, 0, None, page.stamp, NO_DATES))
                continue
            visit = self._visit_of(endpoint, row, (timestamp_of(dates[2]) or END) < too_old)
            content = self._content(endpoint, key, row, visit)
            assume_sent = bool(date_rules) and not any(date_rule.is_due(dates) for date_rule in date_rules)
            pending.append(PendingRow(key, content, visit, page.stamp, dates, assume_sent))
        return pending

    def _visit_of(self, endpoint: ListEndpoint, row: Row, is_too_old: bool) -> Visit:
        where, key = self.parent.where, endpoint.stream.key[-1]
        path_values = {brace: str(row[name]) for brace, name in self.parent.path_params.items()}
        is_open = self.parent.is_open(row)
        expects_children = not self._visits_all and where is not None and where.above is not None
        return Visit(path_values, {key: row[key]}, is_open, expects_children, is_too_old)

    def _content(self, endpoint: ListEndpoint, key: int, row: Row, visit: Visit) -> int:
        """
        Return a hash of what decides about a visit, never 0: what a row holds.

        A log has a bookmark, so a row above a log is due only once, and once more after it is no longer open.
        """
        if self._visits_all or (self._is_log and not self.parent.visits_changed):
            is_shared = not set(endpoint.stream.key) & set(self.parent.path_params.values())
            identity = [*visit.path_values.values()] if is_shared else [key, visit.is_open]
            return hash_contents([repr(identity).encode()])[0]
        ignored = LINKS | endpoint.stream.volatile
        return hash_contents([_sorted_json({name: value for name, value in row.items() if name not in ignored})])[0]

    # -- decisions

    def decide(self, row: PendingRow, is_new: bool, is_limited: bool) -> Decision:
        """Decide about a row. `is_new`: its content was never visited. `is_limited`: a new row takes a request."""
        if row.record.is_too_old:
            return Decision.SKIP
        if is_new:
            return Decision.VISIT if self.requests.left > 0 or not is_limited else Decision.DEFER
        return Decision.VISIT if row.record.is_open and row.content not in self._visited_open else Decision.SKIP

    def _choose(self, dispatcher: PageDispatcher, rows: Sequence[PendingRow], new: Collection[int]) -> Visits:
        """Decide about each row, take the requests, and defer the rows for which no request is left."""
        is_limited = self._is_limited(dispatcher)
        visits = Visits([], set())
        for row in rows:
            decision = self.decide(row, row.key in new, is_limited)
            if decision is Decision.SKIP:
                continue
            if is_limited and row.key in new:
                self.requests.take()
            if decision is Decision.VISIT:
                visits.rows.append(row)
            else:
                visits.unvisited.add(row.key)
                self._defer(row)
        return visits

    def _is_limited(self, dispatcher: PageDispatcher) -> bool:
        """Return whether a sync may visit only some of the new rows: a parent such as calls grows without end."""
        grows = not self._visits_all and dispatcher.page_reader.endpoint.stream.has_rescans
        return grows and not any(table.state.resend_listed_before == NO_LIMIT for table in self._unfailed())

    def _defer(self, row: PendingRow) -> None:
        for table in self._unfailed():
            table.defer(timestamp_of(row.dates[1]))

    # -- visits

    def _visit_chunk(self, dispatcher: PageDispatcher, reader: Chunks, chunk: Chunk) -> Read:
        """Visit the rows of a chunk that changed or are open; then store the chunk's fingerprint."""
        new = {row.key for row in chunk.changed if row.content not in self._visited_by_date}
        visits = self._choose(dispatcher, chunk.rows, new)
        try:
            yield from self._visit(dispatcher, visits, new)
        finally:
            reader.store(chunk, visits.unvisited)

    def _visit_slice(self, dispatcher: PageDispatcher, slice_sums: SliceSums, rows: Sequence[PendingRow]) -> Read:
        """Visit all rows on a page of a time slice."""
        new = {row.key for row in rows}
        visits = self._choose(dispatcher, rows, new)
        yield from self._visit(dispatcher, visits, new)
        endpoint = dispatcher.page_reader.endpoint
        unsliceable = endpoint.unsliceable_rows([row.dates for row in rows])
        visited = [row for at, row in enumerate(rows) if row.key not in visits.unvisited and at not in unsliceable]
        slice_sums.add([(row.key, row.content) for row in visited])

    def _visit_by_date(self, dispatcher: PageDispatcher, rows: Sequence[PendingRow], pending: bool = False) -> Read:
        """
        Visit the rows that changed by date, or are open.

        `pending`: a later read compares the contents of these rows, so only fresh ones are visited.
        """
        date_rules = self._date_rules(dispatcher.mode)
        changed = {row.key for row in rows if self._is_changed(dispatcher, date_rules, row, pending)}
        visits = self._choose(dispatcher, rows, changed)
        never_visited = {row.key for row in rows if any(_may_be_new(date_rule, row) for date_rule in date_rules)}
        yield from self._visit(dispatcher, visits, never_visited)
        for row in rows:
            if row.key in changed and row.key not in visits.unvisited:
                self._visited_by_date.add(row.content)
            elif row.key in changed and not pending:
                self._defer(row)

    def _is_changed(
        self, dispatcher: PageDispatcher, date_rules: Sequence[DateRule], row: PendingRow, pending: bool
    ) -> bool:
        if self._visits_all or row.record.is_too_old or row.content in self._visited_by_date:
            return False
        if dispatcher.mode is ReadMode.FULL_TABLE_AGAIN:  # hands on only rows that are new or changed
            return True
        return any(_is_due(date_rule, row, pending) for date_rule in date_rules)

    def _visit(self, dispatcher: PageDispatcher, visits: Visits, never_visited: Collection[int]) -> Read:
        """Visit rows, some at the same time. A row leaves `unvisited` once all below it is read."""
        rows, unvisited = visits.rows, visits.unvisited
        if self._visits_all:
            rows = list({row.content: row for row in rows}.values())  # several rows may share one list
        unvisited.update(row.key for row in rows)
        try:
            for at in range(0, len(rows), SIDE_BY_SIDE):
                batch = rows[at : at + SIDE_BY_SIDE]
                yield [self._read_children(dispatcher, row, row.key in never_visited, unvisited) for row in batch]
        finally:
            dispatcher.has_unvisited = dispatcher.has_unvisited or bool(unvisited)

    def _read_children(self, dispatcher: PageDispatcher, row: PendingRow, is_new: bool, unvisited: set[int]) -> Read:
        """Read the list below a row."""
        if row.record.is_open:
            self._visited_open.add(row.content)
        endpoint = ListEndpoint(self.stream, self.account, self.page_size, values=row.record.path_values)
        try:
            if self._is_log:
                done = yield from self._read_log(dispatcher.mode, endpoint, is_new)
            else:
                is_again = dispatcher.mode is ReadMode.FULL_TABLE_AGAIN
                mode = ReadMode.FULL_TABLE if is_again else dispatcher.mode
                children = yield from self._read_pages(mode, endpoint)
                done = not children.has_unvisited and (children.page_reader.rows > 0 or self._may_be_empty(row))
        except Refused as refused:
            if refused.status != 404:
                raise
            done = yield from self._is_gone(dispatcher.page_reader.endpoint, row)
        if done and not any(table.failed for table in self.tables):
            self.unconfirmed.settle(row.key)
            unvisited.discard(row.key)

    def _may_be_empty(self, row: PendingRow) -> bool:
        """Return whether to accept an empty list: Twilio lists the children that a row announces late, or never."""
        if not row.record.expects_children:
            return True
        dates = [date for date in (timestamp_of(row.dates[0]), timestamp_of(row.dates[2])) if date]
        accepts = later(max(dates), PATIENCE) <= self.now() if dates else self.unconfirmed.repeats(row.key)
        self.given_up += accepts
        return accepts

    def _is_gone(self, parent: ListEndpoint, row: PendingRow) -> Generator[Effect, Any, bool]:
        """Return whether to accept HTTP 404: the row itself is deleted, or an earlier sync got the same answer."""
        if self._visits_all:
            return not self._is_log  # each sync visits the row again
        if self.unconfirmed.repeats(row.key):
            return True
        if parent.stream.has_item_endpoint and parent.stream.rows is not None:
            try:
                yield parent.row(row.record.row)
            except Refused as refused:
                return refused.status == 404
        return False

    def _read_pages(
        self,
        mode: ReadMode,
        endpoint: ListEndpoint,
        dates: tuple[Timestamp, Timestamp] | None = None,
        attempts: int | None = None,
    ) -> Generator[Effect, Any, PageDispatcher]:
        """Read a list to its end; of a log, a range of dates."""
        restarts = 0

        def open_dispatcher() -> PageDispatcher:
            page_reader = PageReader(endpoint, replace(endpoint.top(*dates), attempts=attempts) if dates else None)
            return PageDispatcher.of(self.consumers, mode, page_reader)

        def restart(shifted: PageShifted) -> PageDispatcher:
            nonlocal restarts
            restarts += 1
            if restarts == RESTARTS:
                raise Incomplete.of(self.stream.name, self.account, shifted) from None
            return open_dispatcher()

        def keep_dates(page: Page) -> Page:
            return _only_between(endpoint, page, *dates) if dates else page

        dispatcher = open_dispatcher()
        return (
            yield from read_list(PageDispatcher.take, dispatcher, prepare_page=keep_dates, on_shift=restart)
        ) or dispatcher

    # -- logs

    def _read_log(self, mode: ReadMode, endpoint: ListEndpoint, is_new: bool) -> Generator[Effect, Any, bool]:
        """
        Read a log from the bookmarks of its tables on. Return whether all below it was read.

        A range with as many rows as Twilio lists in a query is halved. A range that Twilio refuses or does not answer
        is split down to single days, and the newest is read first. A refused day is the end of the log, if Twilio
        answered a newer range. A day without an answer is left to the next sync, and the older days are read.
        """
        ranges = [(self._log_start(mode, is_new), later(self.now(), SECOND))]
        done, has_answered, unanswered_in_a_row = True, False, 0
        unanswered: list[tuple[Timestamp, Timestamp]] = []
        while ranges:
            since, until = ranges.pop()
            since = max(since, self.floor)
            if since >= until:
                continue
            parts = split_at_midnight(since, until)
            try:
                attempts = ATTEMPTS if parts or self.unread else None
                dispatcher = yield from self._read_pages(mode, endpoint, (since, until), attempts)
            except (Refused, ServerFailed) as error:
                if isinstance(error, Refused) and (error.status != 400 or not (parts or has_answered)):
                    raise
                if parts:
                    ranges += parts
                elif isinstance(error, Refused):
                    self._end_log(until)
                else:
                    unanswered.append((since, until))
                    unanswered_in_a_row += 1
                    gives_up = unanswered_in_a_row == IN_A_ROW
                    self._leave_days(endpoint, error, [*ranges, *unanswered] if gives_up else unanswered)
                    ranges = [] if gives_up else ranges
                continue
            has_answered, unanswered_in_a_row = True, 0
            done = done and not dispatcher.has_unvisited
            ranges += halves(endpoint, dispatcher.page_reader.rows, since, until)
        return done and not unanswered

    def _end_log(self, floor: Timestamp) -> None:
        """Note the earliest date that Twilio's filter accepts."""
        self.floor = max(self.floor, floor)
        message = "%s %s: Twilio answers no filter on dates before %s; older rows cannot be read"
        LOGGER.warning(message, self.stream.name, self.account, self.floor, extra=about(self.stream.name))

    def _leave_days(self, endpoint: ListEndpoint, error: ServerFailed, days: list[tuple[Timestamp, Timestamp]]) -> None:
        """Leave days to the next sync. The error that names them is raised after all else was read."""
        named = ", ".join(name_of(*day) for day in sorted(days, reverse=True)[:IN_A_ROW])
        more = f" and {len(days) - IN_A_ROW} more spans" if len(days) > IN_A_ROW else ""
        self.unread = ServerFailed(f"{error}: {endpoint.path}: {named}{more} could not be read, all other days were")

    def _log_start(self, mode: ReadMode, is_new: bool) -> Timestamp:
        """Return the date from which to read a log: its first, for a row that was never visited, else by bookmark."""
        window = self.stream.log_window
        assert window
        rules = [] if is_new else self._date_rules(mode)
        known = min((date_rule.since for date_rule in rules), default=BEGINNING)
        # Whole days, so that all syncs of a day compare the same rows.
        since = day_of(earlier(known, window.again)) if known else earlier(self.now(), OLDEST)
        since = max(since, min((table.start_date for table in self._unfailed()), default=BEGINNING))
        reach = self.stream.filter and self.stream.filter.reach
        if not reach:
            return since
        reached = earlier(self.now(), reach - DAY)  # less a day, for the time that the read takes
        return max(since, midnight_after(reached) if known else reached)


def _only_between(endpoint: ListEndpoint, page: Page, since: Timestamp, until: Timestamp) -> Page:
    """Return a page without the rows that a filter lists a unit outside of the dates."""
    return replace(
        page, rows=[row for row in page.rows if since <= (timestamp_of(endpoint.listed(row)) or since) < until]
    )


def _is_due(date_rule: DateRule, row: PendingRow, pending: bool) -> bool:
    """Return whether a row is due by its dates; a pending row only if it is fresh."""
    return bool(date_rule.since) and date_rule.sees_change(row.dates) if pending else date_rule.is_due(row.dates)


def _may_be_new(date_rule: DateRule, row: PendingRow) -> bool:
    """Return whether a row may never have been visited, by its dates."""
    return date_rule.must_resend(row.dates) or (timestamp_of(row.dates[2]) or END) >= date_rule.since


def _sorted_json(row: Row) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # orjson refuses a large integer or a lone surrogate
        return json.dumps(row, sort_keys=True, default=str).encode()
