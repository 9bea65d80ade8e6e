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

from tap_twilio.errors import Moved, PartitionError, Refused, ServerFailed, Unfinished
from tap_twilio.log import about
from tap_twilio.moments import BEGINNING, DAY, END, SECOND, Moment, day_of, earlier, later, midnight_after, moment_of
from tap_twilio.singer.packed import pack
from tap_twilio.singer.state import Partition
from tap_twilio.streams.model import Changed, Every, Open, Parent, Rounds, Stream, Window
from tap_twilio.twilio.request import Page, Row

from .budget import ChildRequests
from .digests import Chunk, Chunks, Held, Known, Room, Stretch, Tally
from .doubts import Doubts
from .effects import Effect, Read
from .lists import Listing, halves
from .sums import contents_of, keys_of
from .tables import AT_LAST, NO_DATES, How, Judge, Pauses, Reader, Table, chunk_length, known_of
from .units import ATTEMPTS, IN_A_ROW, days_of, name_of
from .walk import Walk

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

    def reader(self, how: How, listing: Listing, name: str = "") -> Chunks | None: ...

    def tally(self, how: How, read: str | None) -> Tally | None: ...


class Below(Consumer, Protocol):
    """A consumer that is no table: what is below the rows."""

    def take(self, feed: Feed, page: Page) -> Read: ...


class Feed:
    """
    What a walk hands on to its consumers, page by page.

    `place` is where a later walk may go on and leaves no row out. It stays behind the walk, since rows wait for the end
    of their chunk. `readers`, by the consumers' names, tell what is new to them; where there is none, dates do.
    """

    def __init__(
        self, sinks: Sequence[Table | Below], how: How, walk: Walk, readers: Mapping[str, Reader | None]
    ) -> None:
        self.sinks, self.how, self.walk, self.readers = sinks, how, walk, readers
        self.place = walk.begins
        self.may_stop = False  # whether the place moved, so that a walk that stops here has come further
        self.undone = False  # whether there are rows below which something is left to read
        self.when_failed: Callable[[], None] = lambda: None

    @staticmethod
    def of(sinks: Sequence[Table | Below], how: How, walk: Walk) -> Feed:
        readers = {sink.name: sink.reader(how, walk.listing) for sink in sinks if not sink.failed}
        return Feed(sinks, how, walk, readers)

    def take(self, page: Page) -> Read:
        """Hand a page to each consumer that did not fail; where none is left, raise what the first one failed with."""
        page = self._unread(page)
        how, listing, pauses = self.how, self.walk.listing, set(range(len(page.rows) + 1))
        for sink in self._alive():
            try:
                found: Pauses
                if isinstance(sink, Table):
                    found = yield from sink.take(how, listing, page, self.readers.get(sink.name))
                else:
                    found = yield from sink.take(self, page)
                pauses = pauses if found is None else pauses & found
            except PartitionError as error:
                sink.fail(error)
        self._notice_failure()
        self._move(page.rows, max(pauses, default=0))

    def stops(self) -> bool:
        """Whether a walk that stops here has come further; else it does so soon."""
        for reader in self.readers.values():
            if isinstance(reader, Chunks):
                reader.hurry = True
        return self.may_stop

    def end(self) -> Read:
        """The list ended, or what of it is wanted."""
        yield from self._stop(ended=True)

    def leave(self) -> Read:
        """The walk stops here for now."""
        yield from self._stop(ended=False)

    def _stop(self, ended: bool) -> Read:
        for sink in self._alive():
            reader = self.readers.get(sink.name)
            if isinstance(reader, Chunks):
                try:
                    if isinstance(sink, Table):
                        yield from sink.end(self.how, reader) if ended else sink.leave(self.how, reader)
                    elif isinstance(sink, Branch):
                        yield from sink.end(self, reader) if ended else sink.leave(self, reader)
                except PartitionError as error:
                    sink.fail(error)
        self._notice_failure()

    def _alive(self) -> Iterable[Table | Below]:
        return (sink for sink in self.sinks if sink.failed is None)

    def _unread(self, page: Page) -> Page:
        """The rows after the one at which an earlier walk left off."""
        after = self.walk.resumes_after if self.walk.pages == 1 else None
        ids = self.walk.listing.ids(page.rows) if after else []
        return replace(page, rows=page.rows[ids.index(after) + 1 :]) if after in ids else page

    def _move(self, rows: Sequence[Row], done: int) -> None:
        self.may_stop = self.may_stop or bool(done)
        if done:
            self.place = self.walk.place(rows, rows[done - 1])

    def _notice_failure(self) -> None:
        failures = [sink.failed for sink in self.sinks if sink.failed]
        if failures:
            self.when_failed()
        if failures and len(failures) == len(self.sinks):
            raise failures[0]


def _within(listing: Listing, page: Page, since: Moment, until: Moment) -> Page:
    """The rows of a span: filters also list those a unit outside."""
    return replace(page, rows=[row for row in page.rows if since <= (moment_of(listing.listed(row)) or since) < until])


class Visit(NamedTuple):
    """What it takes to read the list below a row."""

    values: dict[str, str]  # that fill the path
    row: Row  # the row, as far as its own address needs it
    is_open: bool  # whether it is visited in every sync that reads it
    expects: bool  # whether it says that there are rows below it
    is_over: bool  # whether it is too old to have any


@dataclass
class Branch:
    """
    A child: its list is read under each row of its parent that is to be visited, for the consumers below.

    It knows by fingerprints of its own which rows of the parent were visited as they are now. A row joins them when its
    list was read, and so were those below that. `state` is the child's part of the state, with or without a table.
    """

    stream: Stream
    account: str
    page_size: int
    below: Sequence[Table | Below]
    now: Callable[[], Moment]
    requests: ChildRequests
    state: Partition
    room: Room
    parent_rows: int = 1000  # the most rows of a page of the parent's
    forgets: bool = False  # whether the parent's list is a child's too
    failed: PartitionError | None = None
    unread: ServerFailed | None = None  # days of a log that Twilio fails to answer, when all else was read
    floor: Moment = BEGINNING  # filters on dates before it are refused, as this sync found
    given_up: int = 0  # rows that say that there are rows below, for so long in vain that they are not asked again
    _visited: set[int] = field(default_factory=set)  # in this sync, because a date said so: what the rows held
    _open: set[int] = field(default_factory=set)  # in this sync, because they stood open

    def __post_init__(self) -> None:
        self.room.used += sum(map(len, filter(None, (self.state.visited, self.state.round_visited))))

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def tables(self) -> list[Table]:
        return [table for sink in self.below for table in sink.tables]

    @property
    def branches(self) -> list[Branch]:
        return [self, *(branch for sink in self.below if isinstance(sink, Branch) for branch in sink.branches)]

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
    def known(self) -> Known:
        """The fingerprints of the parent's rows that were visited."""
        return known_of(self.room, self.state.visited, self.state.round_visited, self.forgets)

    @cached_property
    def doubts(self) -> Doubts:
        return Doubts.of(self.state.doubted)

    def adopt(self, changed: Collection[str]) -> bool:
        """
        Forget what was visited for other tables, or for tables that want more now (`changed`); whether it was so.
        """
        names = {table.name for table in self.tables}
        anew = bool(names & set(changed)) or not names <= set((self.state.visited_for or "").split())
        if anew:
            self.room.used -= sum(map(len, filter(None, (self.state.visited, self.state.round_visited))))
            self.state.visited = self.state.round_visited = self.state.doubted = None
        self.state.visited_for = " ".join(sorted(names))
        return anew

    def keep(self) -> None:
        """Write what is known into the state."""
        if "known" in vars(self) and self.known.moved:
            self.state.visited, self.state.round_visited = pack(self.known.old), pack(self.known.new)
            self.known.moved = False
        if "doubts" in vars(self) and self.doubts.moved:
            self.state.doubted, self.doubts.moved = self.doubts.text(), False

    def finish_round(self, served: Collection[str]) -> None:
        """A round ended: what it did not meet is gone, if it served all that is below."""
        if not self.failed and {table.name for table in self.tables} <= set(served):
            self.doubts.turn()
            if not self.forgets:
                self.known.turn()

    # -- which rows

    @property
    def _every(self) -> bool:
        return isinstance(self.parent.asks, Every)

    @property
    def _is_log(self) -> bool:
        return isinstance(self.stream.reads, Window)

    def _alive(self) -> list[Table]:
        return [table for table in self.tables if not table.failed]

    def _judges(self, how: How) -> list[Judge]:
        return [judge for table in self._alive() if (judge := table.judge(how))]

    def reader(self, how: How, listing: Listing, name: str = "") -> Chunks | None:
        """What tells which rows of a walk are to be visited; None where that is every row, or dates tell."""
        if how is How.AGAIN or (self._every and not self._is_log) or self.failed:
            return None
        looked = [table.state.looked_back for table in self._alive()]
        since = later(min(filter(None, looked)), self._alive()[0].margin) if looked and all(looked) else BEGINNING
        several = len(listing.stream.values) > 1
        return Chunks(self.known, self._length, listing.name + name, since, moves=several, gaps=True)

    def tally(self, how: How, read: str | None) -> Tally | None:
        """What counts the rows of a slice that were visited."""
        return None if self._every or self.failed else Tally(self.known, self._length, Stretch.of(read))

    @property
    def _length(self) -> int:
        return chunk_length(self.parent_rows)

    def take(self, feed: Feed, page: Page) -> Read:
        """Visit the rows of a page that are to be, as far as that is known by now. Returns where nothing waits."""
        reader, listing = feed.readers.get(self.name), feed.walk.listing
        rows = self._rows(feed, page)
        if isinstance(reader, Chunks):
            odd = listing.odd_ones(listing.dates_of(page.rows))
            for chunk in reader.cut(rows, odd):
                yield from self._visit_chunk(feed, reader, chunk)
            if reader.taken < len(rows):  # the state has no room for more
                yield from self._visit_by_date(feed, rows[reader.taken :])
            return reader.pauses
        counted = [row for row in rows if row.content]
        if isinstance(reader, Tally):
            keys = set(map(_key_of, counted))
            due = [row for row in counted if not row.record.is_over]
            left = yield from self._visit(feed, self._rationed(feed, due, keys), keys)
            apart = listing.odd_ones([row.dates for row in counted])
            reader.add(
                [(row.key, row.content) for at, row in enumerate(counted) if row.key not in left and at not in apart]
            )
        else:
            yield from self._visit_by_date(feed, counted)
        return None

    def end(self, feed: Feed, reader: Chunks) -> Read:
        """The list ended."""
        for chunk in reader.last():
            yield from self._visit_chunk(feed, reader, chunk)

    def leave(self, feed: Feed, reader: Chunks) -> Read:
        """The walk goes no further: the rows that wait are judged by date, for freshness, and once more by content."""
        yield from self._visit_by_date(feed, [row for row in reader.waiting if row.content], waiting=True)

    def _rows(self, feed: Feed, page: Page) -> list[Held]:
        """The rows of a page, in little. Rows without children have the content 0."""
        listing, where = feed.walk.listing, self.parent.where
        keys, dates = keys_of(listing.ids(page.rows)), listing.dates_of(page.rows)
        judges = self._judges(feed.how) if all(table.state.taken_over for table in self._alive()) else []
        over = earlier(self.now(), self.parent.within) if self.parent.within else BEGINNING
        found = []
        for key, row, said in zip(keys, page.rows, dates):
            if (where and not where.holds(row)) or None in (row[name] for name in self.parent.fills.values()):
                found.append(Held(key, 0, None, page.stamp, NO_DATES))
                continue
            visit = self._visit_of(listing, row, (moment_of(said[2]) or END) < over)
            taken_as_read = bool(judges) and not any(judge.wants(said) for judge in judges)
            found.append(Held(key, self._content(listing, key, row, visit), visit, page.stamp, said, taken_as_read))
        return found

    def _visit_of(self, listing: Listing, row: Row, is_over: bool) -> Visit:
        asks, where = self.parent.asks, self.parent.where
        values = {brace: str(row[name]) for brace, name in self.parent.fills.items()}
        is_open = self._every or (isinstance(asks, Open) and asks.while_.holds(row))
        expects = not self._every and where is not None and where.above is not None
        return Visit(values, {listing.stream.key[-1]: row[listing.stream.key[-1]]}, is_open, expects, is_over)

    def _content(self, listing: Listing, key: int, row: Row, visit: Visit) -> int:
        """
        What stands for what a row holds, never 0.

        Below a log only what was never read matters, since its bookmark tells the rest; and that a row is no more open.
        """
        if self._every or (self._is_log and not isinstance(self.parent.asks, Changed)):
            shared = not set(listing.stream.key) & set(self.parent.fills.values())
            held = [*visit.values.values()] if shared else [key, visit.is_open]
            return contents_of([repr(held).encode()])[0]
        leave_out = LINKS | getattr(listing.stream, "volatile", frozenset())
        return contents_of([_sorted_json({name: value for name, value in row.items() if name not in leave_out})])[0]

    # -- visits

    def _visit_chunk(self, feed: Feed, reader: Chunks, chunk: Chunk) -> Read:
        """Visit the rows of a chunk that are unknown, or stand open; then store what is known of it."""
        unknown = {row.key for row in chunk.changed if not row.record.is_over and row.content not in self._visited}
        due = [row for row in chunk.rows if row.key in unknown or self._stands_open(row)]
        rationed = self._rationed(feed, due, unknown)
        yield from self._visit(feed, rationed, unknown, lambda left: reader.store(chunk, left))

    def _visit_by_date(self, feed: Feed, rows: Sequence[Held], waiting: bool = False) -> Read:
        """Visit rows of which no content is known. `waiting`: it will be, by a later read."""
        judges = [] if self._every else self._judges(feed.how)
        rows = [row for row in rows if not row.record.is_over]
        unvisited = [row for row in rows if row.content not in self._visited]
        wanted = {row.key for row in unvisited if any(_wants(judge, row, waiting) for judge in judges)}
        if feed.how is How.AGAIN and not self._every:
            wanted = set(map(_key_of, unvisited))  # all of them are new, or changed
        due = [row for row in rows if row.key in wanted or self._stands_open(row)]
        new = {row.key for row in due if any(_is_new(judge, row) for judge in self._judges(feed.how))}
        left = yield from self._visit(feed, self._rationed(feed, due, wanted), new)
        for row in due:
            if row.key in wanted and row.key not in left:
                self._visited.add(row.content)
            elif row.key in wanted and not waiting:
                self._put_off(row)

    def _stands_open(self, row: Held) -> bool:
        """Whether a row is visited though it is as it was."""
        return row.record.is_open and not row.record.is_over and row.content not in self._open

    def _rationed(self, feed: Feed, due: Sequence[Held], counted: Collection[int]) -> tuple[list[Held], set[int]]:
        """The rows for which requests are left, and the keys of the others. Those `counted` take one each."""
        traffic = not self._every and isinstance(feed.walk.listing.stream.reads, Rounds)
        if not traffic or any(table.state.owed == AT_LAST for table in self._alive()):
            return list(due), set()
        chosen: list[Held] = []
        left: set[int] = set()
        for row in due:
            if row.key not in counted or self.requests.take():
                chosen.append(row)
            else:
                left.add(row.key)
                self._put_off(row)
        return chosen, left

    def _put_off(self, row: Held) -> None:
        for table in self._alive():
            table.put_off(moment_of(row.dates[1]))

    def _visit(
        self,
        feed: Feed,
        rationed: tuple[list[Held], set[int]],
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
                yield [self._read(feed, row, row.key in new, left) for row in rows[at : at + SIDE_BY_SIDE]]
        finally:
            feed.undone = feed.undone or bool(left)
            done(left)
        return left

    def _read(self, feed: Feed, row: Held, is_new: bool, left: set[int]) -> Read:
        """Read the list below a row."""
        if row.record.is_open:
            self._open.add(row.content)
        listing = Listing(self.stream, self.account, self.page_size, values=row.record.values)
        try:
            if self._is_log:
                done = yield from self._read_log(feed.how, listing, is_new)
            else:
                below = yield from self._walk(How.FULL if feed.how is How.AGAIN else feed.how, listing)
                done = not below.undone and (below.walk.rows > 0 or self._may_be_empty(row))
        except Refused as refused:
            if refused.status != 404:
                raise
            done = yield from self._is_gone(feed.walk.listing, row)
        if done and not any(table.failed for table in self.tables):
            self.doubts.settle(row.key)
            left.discard(row.key)

    def _may_be_empty(self, row: Held) -> bool:
        """Whether an empty list is believed: the row may say that there are rows, which Twilio lists late or never."""
        if not row.record.expects:
            return True
        dates = [date for date in (moment_of(row.dates[0]), moment_of(row.dates[2])) if date]
        over = later(max(dates), PATIENCE) <= self.now() if dates else self.doubts.repeats(row.key)
        self.given_up += over
        return over

    def _is_gone(self, parent: Listing, row: Held) -> Generator[Effect, Any, bool]:
        """Whether 404 is believed: the row is gone itself, or a later sync has the same answer."""
        if self._every:
            return not self._is_log  # each sync asks again
        if self.doubts.repeats(row.key):
            return True
        if parent.stream.fetch and parent.stream.rows is not None:
            try:
                yield parent.row(row.record.row)
            except Refused as refused:
                return refused.status == 404
        return False

    def _walk(
        self, how: How, listing: Listing, span: tuple[Moment, Moment] | None = None, attempts: int | None = None
    ) -> Generator[Effect, Any, Feed]:
        """Read a list to its end; of a log, a span of it."""
        shifted: Moved | None = None
        for _ in range(RESTARTS):
            walk = Walk(listing, replace(listing.top(*span), attempts=attempts) if span else None)
            feed = Feed.of(self.below, how, walk)
            try:
                while not walk.ended:
                    page = yield from walk.turn()
                    yield from feed.take(_within(listing, page, *span) if span else page)
                    del page  # a read holds no rows while it waits for more
                yield from feed.end()
                return feed
            except Moved as moved:
                shifted = moved
        raise Unfinished.of(self.stream.name, self.account, shifted)

    def _read_log(self, how: How, listing: Listing, is_new: bool) -> Generator[Effect, Any, bool]:
        """
        Read a log from the bookmark of those that want it; in halves, where a query lists no more rows.

        A span that Twilio refuses, or fails to answer, is read in parts, down to single days, the newest first. A day
        that is refused ends the log, if what is newer was answered; one that fails is left, and what is older goes on.
        Returns whether nothing below it is left to read.
        """
        spans, done, failing, in_a_row = [(self._since(how, is_new), later(self.now(), SECOND))], True, [], 0
        answered = False
        while spans:
            since, until = spans.pop()
            since = max(since, self.floor)
            if since >= until:
                continue
            parts = days_of(since, until)
            try:
                attempts = ATTEMPTS if parts or self.unread else None
                feed = yield from self._walk(how, listing, (since, until), attempts)
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
                    self._leave_days(listing, error, [*spans, *failing] if in_a_row == IN_A_ROW else failing)
                    spans = [] if in_a_row == IN_A_ROW else spans
                continue
            answered, in_a_row = True, 0
            done = done and not feed.undone
            spans += halves(listing, feed.walk.rows, since, until)
        return done and not failing

    def _end_log(self, floor: Moment) -> None:
        """Note how far back filters on dates go."""
        self.floor = max(self.floor, floor)
        said = "%s %s: Twilio answers no filter on dates before %s; older rows cannot be read"
        LOGGER.warning(said, self.stream.name, self.account, self.floor, extra=about(self.stream.name))

    def _leave_days(self, listing: Listing, error: ServerFailed, days: list[tuple[Moment, Moment]]) -> None:
        """Leave days to the next sync, which asks for them again, and name them once all else was read."""
        named = ", ".join(name_of(*day) for day in sorted(days, reverse=True)[:IN_A_ROW])
        more = f" and {len(days) - IN_A_ROW} more spans" if len(days) > IN_A_ROW else ""
        self.unread = ServerFailed(f"{error}: {listing.path}: {named}{more} could not be read, all other days were")

    def _since(self, how: How, is_new: bool) -> Moment:
        """From when on a log is wanted, as far as it answers: of a row that was never visited, from the beginning."""
        assert isinstance(self.stream.reads, Window)
        tables = self._alive()
        known = BEGINNING if is_new else min((judge.since for judge in self._judges(how)), default=BEGINNING)
        # Whole days, so that the syncs of a day compare the same rows.
        since = day_of(earlier(known, self.stream.reads.again)) if known else earlier(self.now(), OLDEST)
        since = max(since, min((table.start_date for table in tables), default=BEGINNING))
        reach = self.stream.filter and self.stream.filter.reach
        if not reach:
            return since
        answers = earlier(self.now(), reach - DAY)  # a day for the walk to take
        return max(since, midnight_after(answers) if known else answers)


def _wants(judge: Judge, row: Held, waiting: bool) -> bool:
    """Whether a row is visited by its dates; one that waits only if it is fresh."""
    return bool(judge.since) and judge.sees_change(row.dates) if waiting else judge.wants(row.dates)


def _is_new(judge: Judge, row: Held) -> bool:
    """Whether a row may never have been visited, as far as dates tell."""
    return judge.owes(row.dates) or (moment_of(row.dates[2]) or END) >= judge.since


def _key_of(row: Held) -> int:
    return row.key


def _sorted_json(row: Row) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number or a text that it cannot write
        return json.dumps(row, sort_keys=True, default=str).encode()
