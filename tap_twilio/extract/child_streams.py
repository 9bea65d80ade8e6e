"""
Read the lists below the rows of a parent stream, such as the media of a message.

A `ChildStream` is a consumer of the parent's list, in one account; run/plan.py creates it. The dispatcher
(dispatch.py) hands it each page of the parent's rows (`take`). The child stream decides which rows to visit, and reads
the list below each of them. The rows of that list go to its own consumers: its table, and the streams below it.

A method that returns a `Read` is a generator that does no I/O itself (tables/effects.py): it yields the reads of many
lists at once, and the scheduler runs them.

- visit: read the list below one row of the parent. `Parent.visit` declares when: after the row changed, while the row
  is open, or in every sync.
- content: a hash of what decides about a visit. The fingerprints of a chunk of parents hold the contents of the rows
  that were visited, so a row whose content is not among them has to be visited.
- unvisited: not everything below the row was read. Its fingerprint is not stored, so a later sync visits the row again.
- defer: leave a visit to a later sync, because `max_child_requests` is reached.
- pending: the row waits for the end of its chunk, and then for the comparison with the chunk's fingerprint.
- event log: a child's list whose older rows are final, such as the events of a workspace (child_log.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property, partial
from typing import Any, NamedTuple

import orjson

from tap_twilio.changes.chunks import Chunks, chunk_length
from tap_twilio.changes.comparison import Chunk
from tap_twilio.changes.date_rule import NO_DATES, DateRule
from tap_twilio.changes.fingerprint_codec import pack, unpack
from tap_twilio.changes.fingerprints import FingerprintStore, PendingRow, SizeLimit, load_store
from tap_twilio.changes.hashes import hash_contents, hash_keys
from tap_twilio.changes.slice_sums import PartialSums, SliceSums
from tap_twilio.errors import Incomplete, PageShifted, PartitionError, Refused
from tap_twilio.state.model import Partition
from tap_twilio.streams.model import Parent, Stream
from tap_twilio.tables.bookmarks import VISIT_ALL
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode, Table
from tap_twilio.timestamps import BEGINNING, DAY, END, Timestamp, earlier, later, timestamp_or_none
from tap_twilio.twilio.endpoint import DateTriple, ListEndpoint
from tap_twilio.twilio.request import Fetch, Page, Row

from .budget import ChildRequests
from .child_log import ChildLogReader
from .dispatch import BATCH, ChildConsumer, PageDispatcher
from .page_reader import PageReader
from .read_list import read_list

PATIENCE = 7 * DAY  # after a row's last change, how long to wait for the children that the row counts
LINKS = frozenset(("links", "subresource_uris"))  # properties that hold addresses of Twilio's, and no data
MAX_UNCONFIRMED = 1000  # parent rows of one account in the state whose answer awaits confirmation
MAX_READS = 3  # of one list in one sync: rows that move between two pages make a read start over
PACKED_KEY = 2**48  # the state has room for 48 bits of a key (changes/fingerprint_codec.py)


class Decision(Enum):
    """The outcome for one row of the parent."""

    SKIP = auto()  # the row was visited before, or is too old
    DEFER = auto()  # no request is left, so a later sync visits the row
    VISIT = auto()


class ParentRow(NamedTuple):
    """The facts about a row of the parent that a visit needs."""

    path_values: dict[str, str]  # for the path of the child's list
    key_values: Row  # for the path of the row itself
    always_visited: bool  # the row is visited in every sync that reads it
    expects_children: bool  # the row counts children, such as the media of a message
    is_too_old: bool  # Twilio has deleted the children of a row of this age


@dataclass
class Visits:
    """The rows to visit, and the keys of the rows whose children are not all read."""

    rows: list[PendingRow]
    unvisited: set[int]  # a visit that reads everything removes its row


@dataclass
class Unconfirmed:
    """
    The keys of parent rows whose list is missing or empty. Such an answer counts only after a later sync got it again.

    The end of a rescan drops the rows that were noted before the rescan began.
    """

    older: set[int] = field(default_factory=set)  # noted before the open rescan began
    newer: set[int] = field(default_factory=set)  # noted since then
    is_dirty: bool = False  # differs from the state
    _added_now: set[int] = field(default_factory=set)  # in this sync

    @staticmethod
    def parse(text: str | None) -> Unconfirmed:
        keys = unpack(text or "")
        return Unconfirmed(set(keys.get(0, ())), set(keys.get(1, ())))

    def text(self) -> str | None:
        keys_by_age = {0: frozenset(self.older), 1: frozenset(self.newer)}
        return pack({age: keys for age, keys in keys_by_age.items() if keys})

    def note_and_confirm(self, key: int) -> bool:
        """Note such an answer for a row. Return whether the answer confirms that of an earlier sync."""
        key %= PACKED_KEY
        known = key in self.older or key in self.newer
        if known or len(self.older) + len(self.newer) >= MAX_UNCONFIRMED:
            return known and key not in self._added_now
        self.newer.add(key)
        self._added_now.add(key)
        self.is_dirty = True
        return False

    def forget(self, key: int) -> None:
        """Forget a row whose list was read."""
        key %= PACKED_KEY
        self.is_dirty = self.is_dirty or key in self.older or key in self.newer
        self.older.discard(key)
        self.newer.discard(key)

    def rotate(self) -> None:
        """Drop the rows that were noted before the rescan that ended."""
        self.is_dirty = self.is_dirty or bool(self.older or self.newer)
        self.older, self.newer = self.newer, set()


@dataclass
class ChildStream:
    """
    A child stream of one account, with the consumers of its rows: its own table, and its children in turn.

    Its fingerprints cover rows of the parent, as they were when they were visited. A fingerprint is stored only after
    the visits. `state` is the child's own partition, also where the child's table is not selected.
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
    evicts_oldest: bool = False  # see FingerprintStore: the parent is a child itself, so it is seldom read whole
    failed: PartitionError | None = None
    end_date: Timestamp = END
    given_up: int = 0  # rows that count children which Twilio did not list (`_may_be_empty`)
    # The contents of rows that this sync visited, so that it visits none of them twice.
    _visited_by_date: set[int] = field(default_factory=set)  # their dates showed a change
    _already_visited: set[int] = field(default_factory=set)  # rows that every sync visits

    def __post_init__(self) -> None:
        self.size_limit.used += self._packed_size()
        self.event_log = ChildLogReader(self.stream, self.account, self.now, self.end_date)

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def tables(self) -> list[Table]:
        return [table for consumer in self.consumers for table in consumer.tables]

    @property
    def child_streams(self) -> list[ChildStream]:
        """Return this child stream and those below it."""
        below = [consumer for consumer in self.consumers if isinstance(consumer, ChildStream)]
        return [self, *(child_stream for consumer in below for child_stream in consumer.child_streams)]

    @property
    def parent(self) -> Parent:
        assert self.stream.parent
        return self.stream.parent

    def fail(self, error: PartitionError) -> None:
        self.failed = self.failed or error
        for table in self.tables:
            table.fail(error)

    # -- as a consumer (dispatch.py)

    @property
    def _visits_all(self) -> bool:
        return self.parent.visits_all

    @property
    def _is_event_log(self) -> bool:
        return self.stream.is_log

    @property
    def _chunk_length(self) -> int:
        return chunk_length(self.parent_page_size)

    def _unfailed(self) -> list[Table]:
        return [table for table in self.tables if not table.failed]

    def _date_rules(self, mode: ReadMode) -> list[DateRule]:
        return [date_rule for table in self._unfailed() if (date_rule := table.date_rule(mode))]

    def change_detector(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """Return the detector of the rows whose content is new; None if every row is visited, or if dates decide."""
        is_always_visited = self._visits_all and not self._is_event_log
        if mode in (ReadMode.READ_AGAIN, ReadMode.REFRESH) or is_always_visited or self.failed:
            return None
        lookbacks = [table.state.lookback_done_at for table in self._unfailed()]
        all_done = lookbacks and all(lookbacks)
        since = later(min(filter(None, lookbacks)), self._unfailed()[0].lateness) if all_done else BEGINNING
        several = len(endpoint.stream.variants) > 1
        return Chunks(
            self.store, self._chunk_length, endpoint.name + name, since, rows_may_move=several, skips_empty=True
        )

    def slice_sums(self, mode: ReadMode, sums: str | None) -> SliceSums | None:
        """Return the detector for a time slice, which sums up the rows that are visited."""
        if self._visits_all or self.failed:
            return None
        return SliceSums(self.store, self._chunk_length, PartialSums.from_text(sums))

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read:
        """Visit rows of the chunks that end in this page, or, without chunks, of the page. Return its safe points."""
        detector, endpoint = dispatcher.detectors.get(self.name), dispatcher.page_reader.endpoint
        rows = self._pending_rows(dispatcher, page)
        if dispatcher.mode is ReadMode.REFRESH:
            yield from self._visit_again(dispatcher, rows)
            return None
        if isinstance(detector, Chunks):
            unsliceable = endpoint.unsliceable_indices(endpoint.date_triples(page.rows))
            for chunk in detector.iter_chunks(rows, unsliceable):
                yield from self._visit_chunk(dispatcher, detector, chunk)
            if detector.taken < len(rows):  # the state has no space for more fingerprints
                yield from self._visit_by_date(dispatcher, [row for row in rows[detector.taken :] if row.content])
            return detector.safe_points
        rows = [row for row in rows if row.content]
        if isinstance(detector, SliceSums):
            yield from self._visit_slice(dispatcher, detector, rows)
        else:
            yield from self._visit_by_date(dispatcher, rows)
        return None

    def end(self, dispatcher: PageDispatcher, detector: Chunks) -> Read:
        """Visit rows of the chunks that end with the list."""
        for chunk in detector.iter_last_chunks():
            yield from self._visit_chunk(dispatcher, detector, chunk)

    def leave(self, dispatcher: PageDispatcher, detector: Chunks) -> Read:
        """Visit the pending rows whose date shows a change. A later read compares the contents of the others."""
        yield from self._visit_by_date(dispatcher, [row for row in detector.pending if row.content], pending=True)

    # -- the parent's rows

    def _pending_rows(self, dispatcher: PageDispatcher, page: Page) -> list[PendingRow]:
        """Return the rows of a page, each with what its visit needs. A row without children has the content 0."""
        endpoint = dispatcher.page_reader.endpoint
        keys, dates_of_rows = hash_keys(endpoint.ids(page.rows)), endpoint.date_triples(page.rows)
        imported = all(table.state.imported_bookmark for table in self._unfailed())
        date_rules = self._date_rules(dispatcher.mode) if imported else []
        too_old = earlier(self.now(), self.parent.max_age) if self.parent.max_age else BEGINNING
        pending = []
        for key, row, dates in zip(keys, page.rows, dates_of_rows):
            _, _, created = dates
            if not self._has_list(row):
                pending.append(PendingRow(key, 0, None, page.times, NO_DATES))
                continue
            parent_row = self._parent_row(endpoint, row, is_too_old=(timestamp_or_none(created) or END) < too_old)
            content = self._content(endpoint, key, row, parent_row)
            assume_sent = bool(date_rules) and not any(date_rule.is_due(dates) for date_rule in date_rules)
            pending.append(PendingRow(key, content, parent_row, page.times, dates, assume_sent))
        return pending

    def _has_list(self, row: Row) -> bool:
        """Return whether a row has a list of children. Below a row created after `end_date`, there is none yet."""
        where = self.parent.where
        if (where and not where.matches(row)) or None in (row[name] for name in self.parent.path_params.values()):
            return False
        return not self._is_after_end(row)

    def _is_after_end(self, row: Row) -> bool:
        return self.end_date != END and (timestamp_or_none(row.get("date_created")) or BEGINNING) >= self.end_date

    def _parent_row(self, endpoint: ListEndpoint, row: Row, *, is_too_old: bool) -> ParentRow:
        where, key = self.parent.where, endpoint.stream.key[-1]
        path_values = {placeholder: str(row[name]) for placeholder, name in self.parent.path_params.items()}
        always_visited = self.parent.always_visits(row)
        expects_children = not self._visits_all and where is not None and where.above is not None
        return ParentRow(path_values, {key: row[key]}, always_visited, expects_children, is_too_old)

    def _content(self, endpoint: ListEndpoint, key: int, row: Row, parent_row: ParentRow) -> int:
        """
        Return a hash of what decides about a visit, never 0: of the row's properties, or of the row's identity.

        The identity is enough if each sync visits the row. It is also enough above an event log: after the first visit,
        the bookmark of the log decides; the row is visited once more after it is no longer open.
        """
        if self._visits_all or (self._is_event_log and not self.parent.visits_changed):
            # Several rows have the same list if the list's path does not hold their key.
            is_shared = not set(endpoint.stream.key) & set(self.parent.path_params.values())
            identity = [*parent_row.path_values.values()] if is_shared else [key, parent_row.always_visited]
            return hash_contents([repr(identity).encode()])[0]
        ignored = LINKS | endpoint.stream.not_compared
        return hash_contents([_sorted_json({name: value for name, value in row.items() if name not in ignored})])[0]

    # -- decisions

    def _decide(self, row: PendingRow, *, is_new: bool, is_limited: bool) -> Decision:
        """Decide about a row. `is_new`: its content was never visited. `is_limited`: a new row takes a request."""
        if row.record.is_too_old:
            return Decision.SKIP
        if is_new:
            return Decision.VISIT if self.requests.left > 0 or not is_limited else Decision.DEFER
        return (
            Decision.VISIT if row.record.always_visited and row.content not in self._already_visited else Decision.SKIP
        )

    def _choose(self, dispatcher: PageDispatcher, rows: Sequence[PendingRow], new: Collection[int]) -> Visits:
        """Decide about each row, count the requests, and defer the rows for which no request is left."""
        is_limited = self._is_limited(dispatcher)
        visits = Visits([], set())
        for row in rows:
            decision = self._decide(row, is_new=row.key in new, is_limited=is_limited)
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
        return grows and not any(table.state.resend_listed_before == VISIT_ALL for table in self._unfailed())

    def _defer(self, row: PendingRow) -> None:
        for table in self._unfailed():
            _, list_date, _ = row.dates
            table.defer(timestamp_or_none(list_date))

    # -- visits

    def _visit_chunk(self, dispatcher: PageDispatcher, detector: Chunks, chunk: Chunk) -> Read:
        """Visit the rows of a chunk that changed or are open; then save the chunk's fingerprint."""
        new = {row.key for row in chunk.changed if row.content not in self._visited_by_date}
        visits = self._choose(dispatcher, chunk.rows, new)
        try:
            yield from self._visit(dispatcher, visits, new)
        finally:
            detector.save(chunk, visits.unvisited)

    def _visit_slice(self, dispatcher: PageDispatcher, slice_sums: SliceSums, rows: Sequence[PendingRow]) -> Read:
        """Visit the rows on a page of a time slice. Only a backfill reads in this way, so each row is new."""
        new = {row.key for row in rows}
        visits = self._choose(dispatcher, rows, new)
        yield from self._visit(dispatcher, visits, new)
        endpoint = dispatcher.page_reader.endpoint
        unsliceable = endpoint.unsliceable_indices([row.dates for row in rows])
        visited = [row for at, row in enumerate(rows) if row.key not in visits.unvisited and at not in unsliceable]
        slice_sums.add([(row.key, row.content) for row in visited])

    def _visit_by_date(self, dispatcher: PageDispatcher, rows: Sequence[PendingRow], *, pending: bool = False) -> Read:
        """
        Visit the rows whose date shows a change, and the rows that every sync visits.

        `pending`: a later read compares the contents of these rows, so that rows to resend can wait for it.
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
        if dispatcher.mode is ReadMode.READ_AGAIN:  # such a read hands on only rows that are new or changed
            return True
        return any(_is_due(date_rule, row, pending) for date_rule in date_rules)

    def _visit(self, dispatcher: PageDispatcher, visits: Visits, never_visited: Collection[int]) -> Read:
        """Visit rows, some at the same time. A row leaves `unvisited` once all below it is read."""
        rows, unvisited = visits.rows, visits.unvisited
        if self._visits_all:
            rows = list({row.content: row for row in rows}.values())  # several rows may share one list
        unvisited.update(row.key for row in rows)
        try:
            for at in range(0, len(rows), BATCH):
                batch = rows[at : at + BATCH]
                yield [
                    self._read_children(dispatcher, row, unvisited, is_new=row.key in never_visited) for row in batch
                ]
        finally:
            dispatcher.has_unread_children = dispatcher.has_unread_children or bool(unvisited)

    def _read_children(self, dispatcher: PageDispatcher, row: PendingRow, unvisited: set[int], *, is_new: bool) -> Read:
        """Read the list below a row."""
        if row.record.always_visited:
            self._already_visited.add(row.content)
        endpoint = ListEndpoint(self.stream, self.account, self.page_size, values=row.record.path_values)
        try:
            if self._is_event_log:
                done = yield from self._read_event_log(dispatcher.mode, endpoint, is_new=is_new)
            else:
                is_again = dispatcher.mode is ReadMode.READ_AGAIN  # of the parent's list, not of this one
                mode = ReadMode.FULL_TABLE if is_again else dispatcher.mode
                after_end: list[Row] = []  # a sync with a later `end_date` visits the row again for their sake
                children = yield from self._read_list(mode, endpoint, prepare_page=self._note_after_end(after_end))
                done = not (children.has_unread_children or after_end)
                done = done and (children.page_reader.rows > 0 or self._may_be_empty(row))
        except Refused as refused:
            if refused.status != 404:
                raise
            done = yield from self._may_be_missing(dispatcher.page_reader.endpoint, row)
        if done and not any(table.failed for table in self.tables):
            self.unconfirmed.forget(row.key)
            unvisited.discard(row.key)

    def _note_after_end(self, after_end: list[Row]) -> Callable[[Page], Page]:
        """Return a function that adds the rows of a page that were created after `end_date` to a list."""

        def note(page: Page) -> Page:
            after_end.extend(row for row in page.rows if self._is_after_end(row))
            return page

        return note

    # -- a refresh

    def counts_visit(self, endpoint: ListEndpoint, row: Row) -> bool:
        """Return whether a refresh visits a row, and `max_child_requests` limits such visits."""
        grows = not self._visits_all and endpoint.stream.has_rescans and endpoint.stream.tokens_name_rows
        return grows and self._has_list(row) and self._is_refreshed(endpoint, endpoint.dates_of(row))

    def _is_refreshed(self, endpoint: ListEndpoint, dates: DateTriple) -> bool:
        rules = (table.refresh_rule(endpoint.stream) for table in self._unfailed())
        return any(rule.is_due(dates) for rule in rules if rule)

    def _visit_again(self, dispatcher: PageDispatcher, rows: Sequence[PendingRow]) -> Read:
        """Read the lists below the rows that the open refresh selects, whatever was visited before."""
        endpoint = dispatcher.page_reader.endpoint
        due = [row for row in rows if row.content and not row.record.is_too_old]
        due = [row for row in due if self._is_refreshed(endpoint, row.dates)]
        if self._visits_all:
            due = list({row.content: row for row in due}.values())  # several rows may share one list
        for at in range(0, len(due), BATCH):
            yield [self._read_children_again(row) for row in due[at : at + BATCH]]

    def _read_children_again(self, row: PendingRow) -> Read:
        endpoint = ListEndpoint(self.stream, self.account, self.page_size, values=row.record.path_values)
        try:
            if self._is_event_log:
                since = max([table.refresh.since for table in self._unfailed() if table.refresh], default=BEGINNING)
                since = self.event_log.since(BEGINNING, max([since, *(table.start_date for table in self._unfailed())]))
                yield from self.event_log.read(endpoint, since, partial(self._read_list, ReadMode.REFRESH, endpoint))
            else:
                yield from self._read_list(ReadMode.REFRESH, endpoint)
        except Refused as refused:
            if refused.status != 404:  # the reads that follow decide what it means
                raise

    def _may_be_empty(self, row: PendingRow) -> bool:
        """
        Return whether to accept an empty list. Twilio may list the children that a row counts late, or never.

        It is accepted seven days after the row's last change or, of a row without dates, once a later sync confirms it.
        """
        if not row.record.expects_children:
            return True
        changed, _, created = map(timestamp_or_none, row.dates)
        dates = [date for date in (changed, created) if date]
        accepts = later(max(dates), PATIENCE) <= self.now() if dates else self.unconfirmed.note_and_confirm(row.key)
        self.given_up += accepts
        return accepts

    def _may_be_missing(self, parent: ListEndpoint, row: PendingRow) -> Generator[Effect, Any, bool]:
        """Return whether to accept HTTP 404: the row itself is deleted, or an earlier sync got the same answer."""
        if self._visits_all:
            return not self._is_event_log  # each sync visits the row again
        if self.unconfirmed.note_and_confirm(row.key):
            return True
        if parent.stream.has_item_endpoint and parent.stream.rows is not None:
            try:
                yield parent.single_row(row.record.key_values)
            except Refused as refused:
                return refused.status == 404
        return False

    def _read_event_log(self, mode: ReadMode, endpoint: ListEndpoint, *, is_new: bool) -> Generator[Effect, Any, bool]:
        """Read an event log from its bookmark on or, if the row was never visited, from its first day on."""
        rules = [] if is_new else self._date_rules(mode)
        bookmark = min((date_rule.since for date_rule in rules), default=BEGINNING)
        start_date = min((table.start_date for table in self._unfailed()), default=BEGINNING)
        since = self.event_log.since(bookmark, start_date)
        return (yield from self.event_log.read(endpoint, since, partial(self._read_list, mode, endpoint)))

    def _read_list(
        self,
        mode: ReadMode,
        endpoint: ListEndpoint,
        first: Fetch | None = None,
        prepare_page: Callable[[Page], Page] | None = None,
    ) -> Generator[Effect, Any, PageDispatcher]:
        """Read a list to its end, and hand its pages to the consumers. If pages shift, read it again from the top."""
        reads = 1

        def open_dispatcher() -> PageDispatcher:
            return PageDispatcher.of(self.consumers, mode, PageReader(endpoint, first))

        def restart(shifted: PageShifted) -> PageDispatcher:
            nonlocal reads
            if reads == MAX_READS:
                raise Incomplete.of(self.stream.name, self.account, shifted) from None
            reads += 1
            return open_dispatcher()

        dispatcher = open_dispatcher()
        return (
            yield from read_list(PageDispatcher.take, dispatcher, prepare_page=prepare_page, on_shift=restart)
        ) or dispatcher

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
        Forget the visits if one of the tables was not selected then, or needs older rows again (`changed`).

        Return whether the visits are forgotten.
        """
        names = {table.name for table in self.tables}
        forgets = bool(names & set(changed)) or not names <= set((self.state.visited_for or "").split())
        if forgets:
            self.size_limit.used -= self._packed_size()
            self.state.visited = self.state.rescan_visited = self.state.unconfirmed = None
        self.state.visited_for = " ".join(sorted(names))
        return forgets

    def save_fingerprints(self) -> None:
        """Write the fingerprints and the unconfirmed answers into the state."""
        if "store" in vars(self) and self.store.is_dirty:
            self.state.visited, self.state.rescan_visited = pack(self.store.old), pack(self.store.new)
            self.store.is_dirty = False
        if "unconfirmed" in vars(self) and self.unconfirmed.is_dirty:
            self.state.unconfirmed, self.unconfirmed.is_dirty = self.unconfirmed.text(), False

    def finish_rescan(self, included: Collection[str]) -> None:
        """Forget the parent rows that a rescan did not show, if the rescan included all tables."""
        if not self.failed and {table.name for table in self.tables} <= set(included):
            self.unconfirmed.rotate()
            if not self.evicts_oldest:
                self.store.rotate()

    def _packed_size(self) -> int:
        return sum(map(len, filter(None, (self.state.visited, self.state.rescan_visited))))


def _is_due(date_rule: DateRule, row: PendingRow, pending: bool) -> bool:
    """Return whether a row is due by its dates; a pending row only if its date shows a change."""
    return bool(date_rule.since) and date_rule.sees_change(row.dates) if pending else date_rule.is_due(row.dates)


def _may_be_new(date_rule: DateRule, row: PendingRow) -> bool:
    """Return whether a row may never have been visited, by its dates."""
    _, _, created = row.dates
    return date_rule.must_resend(row.dates) or (timestamp_or_none(created) or END) >= date_rule.since


def _sorted_json(row: Row) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # orjson refuses a large integer or a lone surrogate
        return json.dumps(row, sort_keys=True, default=str).encode()
