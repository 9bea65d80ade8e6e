"""
Who wants the rows of a list: the stream's own table, and the lists of its children.

A list is read once for all of its consumers. Each knows by itself, and by what a row holds, which rows are new to it:
a table emits them, a child reads the list below them. Each fails by itself.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import orjson

from tap_twilio.changes.chunks import Chunks, chunk_length
from tap_twilio.changes.comparison import Chunk
from tap_twilio.changes.date_rule import NO_DATES, DateRule
from tap_twilio.changes.fingerprint_codec import pack
from tap_twilio.changes.fingerprints import FingerprintStore, PendingRow, SizeLimit, store_of
from tap_twilio.changes.power_sums import contents_of, keys_of
from tap_twilio.changes.slice_sums import PartialSums, SliceSums
from tap_twilio.errors import Incomplete, PageShifted, PartitionError, Refused, ServerFailed
from tap_twilio.log import about
from tap_twilio.state.model import Partition
from tap_twilio.streams.model import AllParents, ChangedParents, LogWindow, OpenParents, Parent, Rescan, Stream
from tap_twilio.tables.bookmarks import NO_LIMIT
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import Pauses, Reader, ReadMode, Table
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
from .page_reader import PageReader
from .unconfirmed import Unconfirmed
from .units import ATTEMPTS, IN_A_ROW, days_of, name_of

LOGGER = logging.getLogger("tap_twilio")
SIDE_BY_SIDE = 100  # rows of a parent that are visited at once
RESTARTS = 3  # how often a sync starts again a walk whose place moved
OLDEST = 3650 * DAY  # where a log begins that says no reach
PATIENCE = 7 * DAY  # after a row's last change, how long a list is asked for the rows that the row says there are
LINKS = frozenset(("links", "subresource_uris"))  # they name addresses, which tell nothing of a row


class Consumer(Protocol):
    """Who wants a list's rows."""

    failed: PartitionError | None

    @property
    def name(self) -> str: ...

    @property
    def tables(self) -> list[Table]: ...

    def fail(self, error: PartitionError) -> None: ...

    def reader(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None: ...

    def slice_sums(self, mode: ReadMode, read: str | None) -> SliceSums | None: ...


class ChildConsumer(Consumer, Protocol):
    """A consumer that is no table: what is below the rows."""

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read: ...


class PageDispatcher:
    """
    What a walk hands on to its consumers, page by page.

    `checkpoint` is where a later walk may go on and leaves no row out. It stays behind the walk, since rows wait for
    the end of their chunk. `readers`, by the consumers' names, tell what is new to them; where there is none, dates do.
    """

    def __init__(
        self,
        consumers: Sequence[Table | ChildConsumer],
        mode: ReadMode,
        page_reader: PageReader,
        readers: Mapping[str, Reader | None],
    ) -> None:
        self.consumers, self.mode, self.page_reader, self.readers = consumers, mode, page_reader, readers
        self.checkpoint = page_reader.begins
        self.may_stop = False  # whether the place moved, so that a walk that stops here has come further
        self.undone = False  # whether there are rows below which something is left to read
        self.when_failed: Callable[[], None] = lambda: None

    @staticmethod
    def of(consumers: Sequence[Table | ChildConsumer], mode: ReadMode, page_reader: PageReader) -> PageDispatcher:
        readers = {
            consumer.name: consumer.reader(mode, page_reader.endpoint) for consumer in consumers if not consumer.failed
        }
        return PageDispatcher(consumers, mode, page_reader, readers)

    def take(self, page: Page) -> Read:
        """Hand a page to each consumer that did not fail; where none is left, raise what the first one failed with."""
        page = self._unread(page)
        mode, endpoint, pauses = self.mode, self.page_reader.endpoint, set(range(len(page.rows) + 1))
        for consumer in self._alive():
            try:
                found: Pauses
                if isinstance(consumer, Table):
                    found = yield from consumer.take(mode, endpoint, page, self.readers.get(consumer.name))
                else:
                    found = yield from consumer.take(self, page)
                pauses = pauses if found is None else pauses & found
            except PartitionError as error:
                consumer.fail(error)
        self._notice_failure()
        self._move(page.rows, max(pauses, default=0))

    def stops(self) -> bool:
        """Whether a walk that stops here has come further; else it does so soon."""
        for reader in self.readers.values():
            if isinstance(reader, Chunks):
                reader.flush_soon = True
        return self.may_stop

    def end(self) -> Read:
        """The list ended, or what of it is wanted."""
        yield from self._stop(ended=True)

    def leave(self) -> Read:
        """The walk stops here for now."""
        yield from self._stop(ended=False)

    def _stop(self, ended: bool) -> Read:
        for consumer in self._alive():
            reader = self.readers.get(consumer.name)
            if isinstance(reader, Chunks):
                try:
                    if isinstance(consumer, Table):
                        yield from consumer.end(self.mode, reader) if ended else consumer.leave(self.mode, reader)
                    elif isinstance(consumer, ChildStreams):
                        yield from consumer.end(self, reader) if ended else consumer.leave(self, reader)
                except PartitionError as error:
                    consumer.fail(error)
        self._notice_failure()

    def _alive(self) -> Iterable[Table | ChildConsumer]:
        return (consumer for consumer in self.consumers if consumer.failed is None)

    def _unread(self, page: Page) -> Page:
        """The rows after the one at which an earlier walk left off."""
        after = self.page_reader.resumes_after if self.page_reader.pages == 1 else None
        ids = self.page_reader.endpoint.ids(page.rows) if after else []
        return replace(page, rows=page.rows[ids.index(after) + 1 :]) if after in ids else page

    def _move(self, rows: Sequence[Row], done: int) -> None:
        self.may_stop = self.may_stop or bool(done)
        if done:
            self.checkpoint = self.page_reader.checkpoint(rows, rows[done - 1])

    def _notice_failure(self) -> None:
        failures = [consumer.failed for consumer in self.consumers if consumer.failed]
        if failures:
            self.when_failed()
        if failures and len(failures) == len(self.consumers):
            raise failures[0]


def _within(endpoint: ListEndpoint, page: Page, since: Timestamp, until: Timestamp) -> Page:
    """The rows of a span: filters also list those a unit outside."""
    return replace(
        page, rows=[row for row in page.rows if since <= (timestamp_of(endpoint.listed(row)) or since) < until]
    )


class Visit(NamedTuple):
    """What it takes to read the list below a row."""

    values: dict[str, str]  # that fill the path
    row: Row  # the row, as far as its own address needs it
    is_open: bool  # whether it is visited in every sync that reads it
    expects: bool  # whether it says that there are rows below it
    is_over: bool  # whether it is too old to have any


@dataclass
class ChildStreams:
    """
    A child: its list is read under each row of its parent that is to be visited, for the consumers below.

    It knows by fingerprints of its own which rows of the parent were visited as they are now. A row joins them when its
    list was read, and so were those below that. `state` is the child's part of the state, with or without a table.
    """

    stream: Stream
    account: str
    page_size: int
    below: Sequence[Table | ChildConsumer]
    now: Callable[[], Timestamp]
    requests: ChildRequests
    state: Partition
    size_limit: SizeLimit
    parent_rows: int = 1000  # the most rows of a page of the parent's
    evicts_oldest: bool = False  # whether the parent's list is a child's too
    failed: PartitionError | None = None
    unread: ServerFailed | None = None  # days of a log that Twilio fails to answer, when all else was read
    floor: Timestamp = BEGINNING  # filters on dates before it are refused, as this sync found
    given_up: int = 0  # rows that say that there are rows below, for so long in vain that they are not asked again
    _visited: set[int] = field(default_factory=set)  # in this sync, because a date said so: what the rows held
    _open: set[int] = field(default_factory=set)  # in this sync, because they stood open

    def __post_init__(self) -> None:
        self.size_limit.used += sum(map(len, filter(None, (self.state.visited, self.state.rescan_visited))))

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def tables(self) -> list[Table]:
        return [table for consumer in self.below for table in consumer.tables]

    @property
    def child_streams(self) -> list[ChildStreams]:
        return [
            self,
            *(
                child_stream
                for consumer in self.below
                if isinstance(consumer, ChildStreams)
                for child_stream in consumer.child_streams
            ),
        ]

    @property
    def parent(self) -> Parent:
        assert self.stream.parent
        return self.stream.parent

    def fail(self, error: PartitionError) -> None:
        self.failed = self.failed or error
        for table in self.tables:
            table.fail(error)

    # -- its part of the state

    @cached_property
    def store(self) -> FingerprintStore:
        """The fingerprints of the parent's rows that were visited."""
        return store_of(self.size_limit, self.state.visited, self.state.rescan_visited, self.evicts_oldest)

    @cached_property
    def unconfirmed(self) -> Unconfirmed:
        return Unconfirmed.of(self.state.unconfirmed)

    def reconcile(self, changed: Collection[str]) -> bool:
        """
        Forget what was visited for other tables, or for tables that want more now (`changed`); whether it was so.
        """
        names = {table.name for table in self.tables}
        anew = bool(names & set(changed)) or not names <= set((self.state.visited_for or "").split())
        if anew:
            self.size_limit.used -= sum(map(len, filter(None, (self.state.visited, self.state.rescan_visited))))
            self.state.visited = self.state.rescan_visited = self.state.unconfirmed = None
        self.state.visited_for = " ".join(sorted(names))
        return anew

    def keep(self) -> None:
        """Write what is known into the state."""
        if "store" in vars(self) and self.store.is_dirty:
            self.state.visited, self.state.rescan_visited = pack(self.store.old), pack(self.store.new)
            self.store.is_dirty = False
        if "unconfirmed" in vars(self) and self.unconfirmed.is_dirty:
            self.state.unconfirmed, self.unconfirmed.is_dirty = self.unconfirmed.text(), False

    def finish_rescan(self, served: Collection[str]) -> None:
        """A round ended: what it did not meet is gone, if it served all that is below."""
        if not self.failed and {table.name for table in self.tables} <= set(served):
            self.unconfirmed.rotate()
            if not self.evicts_oldest:
                self.store.rotate()

    # -- which rows

    @property
    def _every(self) -> bool:
        return isinstance(self.parent.visit, AllParents)

    @property
    def _is_log(self) -> bool:
        return isinstance(self.stream.reads, LogWindow)

    def _alive(self) -> list[Table]:
        return [table for table in self.tables if not table.failed]

    def _date_rules(self, mode: ReadMode) -> list[DateRule]:
        return [date_rule for table in self._alive() if (date_rule := table.date_rule(mode))]

    def reader(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """What tells which rows of a walk are to be visited; None where that is every row, or dates tell."""
        if mode is ReadMode.FULL_TABLE_AGAIN or (self._every and not self._is_log) or self.failed:
            return None
        looked = [table.state.lookback_done_at for table in self._alive()]
        since = later(min(filter(None, looked)), self._alive()[0].lateness) if looked and all(looked) else BEGINNING
        several = len(endpoint.stream.values) > 1
        return Chunks(self.store, self._length, endpoint.name + name, since, moves=several, gaps=True)

    def slice_sums(self, mode: ReadMode, read: str | None) -> SliceSums | None:
        """What counts the rows of a slice that were visited."""
        return None if self._every or self.failed else SliceSums(self.store, self._length, PartialSums.of(read))

    @property
    def _length(self) -> int:
        return chunk_length(self.parent_rows)

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read:
        """Visit the rows of a page that are to be, as far as that is known by now. Returns where nothing waits."""
        reader, endpoint = dispatcher.readers.get(self.name), dispatcher.page_reader.endpoint
        rows = self._rows(dispatcher, page)
        if isinstance(reader, Chunks):
            unsliceable = endpoint.unsliceable_rows(endpoint.dates_of(page.rows))
            for chunk in reader.cut(rows, unsliceable):
                yield from self._visit_chunk(dispatcher, reader, chunk)
            if reader.taken < len(rows):  # the state has no room for more
                yield from self._visit_by_date(dispatcher, rows[reader.taken :])
            return reader.pauses
        counted = [row for row in rows if row.content]
        if isinstance(reader, SliceSums):
            keys = {row.key for row in counted}
            due = [row for row in counted if not row.record.is_over]
            left = yield from self._visit(dispatcher, self._rationed(dispatcher, due, keys), keys)
            apart = endpoint.unsliceable_rows([row.dates for row in counted])
            reader.add(
                [(row.key, row.content) for at, row in enumerate(counted) if row.key not in left and at not in apart]
            )
        else:
            yield from self._visit_by_date(dispatcher, counted)
        return None

    def end(self, dispatcher: PageDispatcher, reader: Chunks) -> Read:
        """The list ended."""
        for chunk in reader.last():
            yield from self._visit_chunk(dispatcher, reader, chunk)

    def leave(self, dispatcher: PageDispatcher, reader: Chunks) -> Read:
        """The walk goes no further: the rows that wait are judged by date, for freshness, and once more by content."""
        yield from self._visit_by_date(dispatcher, [row for row in reader.waiting if row.content], waiting=True)

    def _rows(self, dispatcher: PageDispatcher, page: Page) -> list[PendingRow]:
        """The rows of a page, in little. Rows without children have the content 0."""
        endpoint, where = dispatcher.page_reader.endpoint, self.parent.where
        keys, dates = keys_of(endpoint.ids(page.rows)), endpoint.dates_of(page.rows)
        date_rules = (
            self._date_rules(dispatcher.mode) if all(table.state.imported_bookmark for table in self._alive()) else []
        )
        over = earlier(self.now(), self.parent.within) if self.parent.within else BEGINNING
        found = []
        for key, row, said in zip(keys, page.rows, dates):
            if (where and not where.holds(row)) or None in (row[name] for name in self.parent.path_params.values()):
                found.append(PendingRow(key, 0, None, page.stamp, NO_DATES))
                continue
            visit = self._visit_of(endpoint, row, (timestamp_of(said[2]) or END) < over)
            taken_as_read = bool(date_rules) and not any(date_rule.is_due(said) for date_rule in date_rules)
            found.append(
                PendingRow(key, self._content(endpoint, key, row, visit), visit, page.stamp, said, taken_as_read)
            )
        return found

    def _visit_of(self, endpoint: ListEndpoint, row: Row, is_over: bool) -> Visit:
        visit, where = self.parent.visit, self.parent.where
        values = {brace: str(row[name]) for brace, name in self.parent.path_params.items()}
        is_open = self._every or (isinstance(visit, OpenParents) and visit.while_.holds(row))
        expects = not self._every and where is not None and where.above is not None
        return Visit(values, {endpoint.stream.key[-1]: row[endpoint.stream.key[-1]]}, is_open, expects, is_over)

    def _content(self, endpoint: ListEndpoint, key: int, row: Row, visit: Visit) -> int:
        """
        What stands for what a row holds, never 0.

        Below a log only what was never read matters, since its bookmark tells the rest; and that a row is no more open.
        """
        if self._every or (self._is_log and not isinstance(self.parent.visit, ChangedParents)):
            shared = not set(endpoint.stream.key) & set(self.parent.path_params.values())
            held = [*visit.values.values()] if shared else [key, visit.is_open]
            return contents_of([repr(held).encode()])[0]
        leave_out = LINKS | getattr(endpoint.stream, "volatile", frozenset())
        return contents_of([_sorted_json({name: value for name, value in row.items() if name not in leave_out})])[0]

    # -- visits

    def _visit_chunk(self, dispatcher: PageDispatcher, reader: Chunks, chunk: Chunk) -> Read:
        """Visit the rows of a chunk that are unknown, or stand open; then store what is known of it."""
        unknown = {row.key for row in chunk.changed if not row.record.is_over and row.content not in self._visited}
        due = [row for row in chunk.rows if row.key in unknown or self._stands_open(row)]
        rationed = self._rationed(dispatcher, due, unknown)
        yield from self._visit(dispatcher, rationed, unknown, lambda left: reader.store(chunk, left))

    def _visit_by_date(self, dispatcher: PageDispatcher, rows: Sequence[PendingRow], waiting: bool = False) -> Read:
        """Visit rows of which no content is known. `waiting`: it will be, by a later read."""
        date_rules = [] if self._every else self._date_rules(dispatcher.mode)
        rows = [row for row in rows if not row.record.is_over]
        unvisited = [row for row in rows if row.content not in self._visited]
        wanted = {row.key for row in unvisited if any(_is_due(date_rule, row, waiting) for date_rule in date_rules)}
        if dispatcher.mode is ReadMode.FULL_TABLE_AGAIN and not self._every:
            wanted = {row.key for row in unvisited}  # all of them are new, or changed
        due = [row for row in rows if row.key in wanted or self._stands_open(row)]
        new = {
            row.key for row in due if any(_is_new(date_rule, row) for date_rule in self._date_rules(dispatcher.mode))
        }
        left = yield from self._visit(dispatcher, self._rationed(dispatcher, due, wanted), new)
        for row in due:
            if row.key in wanted and row.key not in left:
                self._visited.add(row.content)
            elif row.key in wanted and not waiting:
                self._defer(row)

    def _stands_open(self, row: PendingRow) -> bool:
        """Whether a row is visited though it is as it was."""
        return row.record.is_open and not row.record.is_over and row.content not in self._open

    def _rationed(
        self, dispatcher: PageDispatcher, due: Sequence[PendingRow], counted: Collection[int]
    ) -> tuple[list[PendingRow], set[int]]:
        """The rows for which requests are left, and the keys of the others. Those `counted` take one each."""
        traffic = not self._every and isinstance(dispatcher.page_reader.endpoint.stream.reads, Rescan)
        if not traffic or any(table.state.resend_listed_before == NO_LIMIT for table in self._alive()):
            return list(due), set()
        chosen: list[PendingRow] = []
        left: set[int] = set()
        for row in due:
            if row.key not in counted or self.requests.take():
                chosen.append(row)
            else:
                left.add(row.key)
                self._defer(row)
        return chosen, left

    def _defer(self, row: PendingRow) -> None:
        for table in self._alive():
            table.defer(timestamp_of(row.dates[1]))

    def _visit(
        self,
        dispatcher: PageDispatcher,
        rationed: tuple[list[PendingRow], set[int]],
        new: Collection[int],
        done: Callable[[set[int]], None] = lambda left: None,
    ) -> Generator[Effect, Any, set[int]]:
        """Visit rows; returns the keys of those that are not done, and tells `done`, also where a visit failed."""
        rows, left = rationed
        if self._every:
            rows = list({row.content: row for row in rows}.values())  # several may name one list
        left |= {row.key for row in rows}
        try:
            for at in range(0, len(rows), SIDE_BY_SIDE):
                yield [self._read(dispatcher, row, row.key in new, left) for row in rows[at : at + SIDE_BY_SIDE]]
        finally:
            dispatcher.undone = dispatcher.undone or bool(left)
            done(left)
        return left

    def _read(self, dispatcher: PageDispatcher, row: PendingRow, is_new: bool, left: set[int]) -> Read:
        """Read the list below a row."""
        if row.record.is_open:
            self._open.add(row.content)
        endpoint = ListEndpoint(self.stream, self.account, self.page_size, values=row.record.values)
        try:
            if self._is_log:
                done = yield from self._read_log(dispatcher.mode, endpoint, is_new)
            else:
                below = yield from self._read_pages(
                    ReadMode.FULL_TABLE if dispatcher.mode is ReadMode.FULL_TABLE_AGAIN else dispatcher.mode, endpoint
                )
                done = not below.undone and (below.page_reader.rows > 0 or self._may_be_empty(row))
        except Refused as refused:
            if refused.status != 404:
                raise
            done = yield from self._is_gone(dispatcher.page_reader.endpoint, row)
        if done and not any(table.failed for table in self.tables):
            self.unconfirmed.settle(row.key)
            left.discard(row.key)

    def _may_be_empty(self, row: PendingRow) -> bool:
        """Whether an empty list is believed: the row may say that there are rows, which Twilio lists late or never."""
        if not row.record.expects:
            return True
        dates = [date for date in (timestamp_of(row.dates[0]), timestamp_of(row.dates[2])) if date]
        over = later(max(dates), PATIENCE) <= self.now() if dates else self.unconfirmed.repeats(row.key)
        self.given_up += over
        return over

    def _is_gone(self, parent: ListEndpoint, row: PendingRow) -> Generator[Effect, Any, bool]:
        """Whether 404 is believed: the row is gone itself, or a later sync has the same answer."""
        if self._every:
            return not self._is_log  # each sync asks again
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
        span: tuple[Timestamp, Timestamp] | None = None,
        attempts: int | None = None,
    ) -> Generator[Effect, Any, PageDispatcher]:
        """Read a list to its end; of a log, a span of it."""
        shifted: PageShifted | None = None
        for _ in range(RESTARTS):
            page_reader = PageReader(endpoint, replace(endpoint.top(*span), attempts=attempts) if span else None)
            dispatcher = PageDispatcher.of(self.below, mode, page_reader)
            try:
                while not page_reader.ended:
                    page = yield from page_reader.next_page()
                    yield from dispatcher.take(_within(endpoint, page, *span) if span else page)
                    del page  # a read holds no rows while it waits for more
                yield from dispatcher.end()
                return dispatcher
            except PageShifted as is_dirty:
                shifted = is_dirty
        raise Incomplete.of(self.stream.name, self.account, shifted)

    def _read_log(self, mode: ReadMode, endpoint: ListEndpoint, is_new: bool) -> Generator[Effect, Any, bool]:
        """
        Read a log from the bookmark of those that want it; in halves, where a query lists no more rows.

        A span that Twilio refuses, or fails to answer, is read in parts, down to single days, the newest first. A day
        that is refused ends the log, if what is newer was answered; one that fails is left, and what is older goes on.
        Returns whether nothing below it is left to read.
        """
        spans, done, failing, in_a_row = [(self._since(mode, is_new), later(self.now(), SECOND))], True, [], 0
        answered = False
        while spans:
            since, until = spans.pop()
            since = max(since, self.floor)
            if since >= until:
                continue
            parts = days_of(since, until)
            try:
                attempts = ATTEMPTS if parts or self.unread else None
                dispatcher = yield from self._read_pages(mode, endpoint, (since, until), attempts)
            except (Refused, ServerFailed) as error:
                if isinstance(error, Refused) and (error.status != 400 or not (parts or answered)):
                    raise
                if parts:
                    spans += parts
                elif isinstance(error, Refused):
                    self._end_log(until)
                else:
                    failing.append((since, until))
                    in_a_row += 1
                    self._leave_days(endpoint, error, [*spans, *failing] if in_a_row == IN_A_ROW else failing)
                    spans = [] if in_a_row == IN_A_ROW else spans
                continue
            answered, in_a_row = True, 0
            done = done and not dispatcher.undone
            spans += halves(endpoint, dispatcher.page_reader.rows, since, until)
        return done and not failing

    def _end_log(self, floor: Timestamp) -> None:
        """Note how far back filters on dates go."""
        self.floor = max(self.floor, floor)
        said = "%s %s: Twilio answers no filter on dates before %s; older rows cannot be read"
        LOGGER.warning(said, self.stream.name, self.account, self.floor, extra=about(self.stream.name))

    def _leave_days(self, endpoint: ListEndpoint, error: ServerFailed, days: list[tuple[Timestamp, Timestamp]]) -> None:
        """Leave days to the next sync, which asks for them again, and name them once all else was read."""
        named = ", ".join(name_of(*day) for day in sorted(days, reverse=True)[:IN_A_ROW])
        more = f" and {len(days) - IN_A_ROW} more spans" if len(days) > IN_A_ROW else ""
        self.unread = ServerFailed(f"{error}: {endpoint.path}: {named}{more} could not be read, all other days were")

    def _since(self, mode: ReadMode, is_new: bool) -> Timestamp:
        """From when on a log is wanted, as far as it answers: of a row that was never visited, from the beginning."""
        assert isinstance(self.stream.reads, LogWindow)
        tables = self._alive()
        known = (
            BEGINNING if is_new else min((date_rule.since for date_rule in self._date_rules(mode)), default=BEGINNING)
        )
        # Whole days, so that the syncs of a day compare the same rows.
        since = day_of(earlier(known, self.stream.reads.again)) if known else earlier(self.now(), OLDEST)
        since = max(since, min((table.start_date for table in tables), default=BEGINNING))
        reach = self.stream.filter and self.stream.filter.reach
        if not reach:
            return since
        answers = earlier(self.now(), reach - DAY)  # a day for the walk to take
        return max(since, midnight_after(answers) if known else answers)


def _is_due(date_rule: DateRule, row: PendingRow, waiting: bool) -> bool:
    """Whether a row is visited by its dates; one that waits only if it is fresh."""
    return bool(date_rule.since) and date_rule.sees_change(row.dates) if waiting else date_rule.is_due(row.dates)


def _is_new(date_rule: DateRule, row: PendingRow) -> bool:
    """Whether a row may never have been visited, as far as dates tell."""
    return date_rule.must_resend(row.dates) or (timestamp_of(row.dates[2]) or END) >= date_rule.since


def _sorted_json(row: Row) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number or a text that it cannot write
        return json.dumps(row, sort_keys=True, default=str).encode()
