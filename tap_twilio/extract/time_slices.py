"""Date-filtered reads of spans, side by side: quick, but blind to undated rows, so they are never a round's pages."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from typing import Any

from tap_twilio.changes.slice_sums import SliceSums, join
from tap_twilio.errors import PageShifted, Refused, ServerFailed
from tap_twilio.log import about
from tap_twilio.state.model import Backfill, ReadRange, TimeSlice
from tap_twilio.streams.model import LogWindow, Rescan
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import Reader, ReadMode
from tap_twilio.timestamps import (
    BEGINNING,
    DAY,
    END,
    SECOND,
    Timestamp,
    day_of,
    earlier,
    format_timestamp,
    later,
    parse_timestamp,
)
from tap_twilio.twilio.endpoint import ListEndpoint, dates_of, halves, pages_to
from tap_twilio.twilio.request import Page, Row

from .child_streams import RESTARTS, PageDispatcher
from .page_reader import PageReader
from .partition_read import PartitionRead
from .units import ATTEMPTS, IN_A_ROW, ceiling, first_of, name_of

LOGGER = logging.getLogger("tap_twilio")
MOST_PARTS = 32  # the parts that a span is cut into at most, each of which may be cut again
NO_TIME = timedelta(0)
Refusal = Refused | ServerFailed


@dataclass
class Pace:
    """How long a part of a slice is asked for at once. Any shorter than `limit` may be longer than the one before."""

    step: timedelta
    limit: timedelta
    empty: int = 0  # single days in a row of which Twilio said that it has nothing
    failed: int = 0  # single days in a row that Twilio failed to answer

    def shorten(self, length: timedelta, refused: bool) -> None:
        """Ask for half; where the filter may not reach that, for a day, since nothing older is answered then."""
        self.step, self.limit = min(DAY, length / 2) if refused else length / 2, length

    def lengthen(self) -> None:
        if 2 * self.step < self.limit:
            self.step *= 2


@dataclass
class TimeSlices:
    """
    Dated rows of one list, read side by side. `left` is what is left to read: each slice leaves it when done.

    A slice that Twilio refuses, or fails to answer, is read in parts, the newest first. What becomes of a single day:

    - HTTP 400: the filter does not reach it, nor what is older. That is believed if Twilio answers a page without
      a filter, and the newest day. Rounds read those rows.
    - HTTP 404: it holds nothing.
    - HTTP 500: it stays to be read, and the read ends with an error, after all other slices were read.
    """

    reading: PartitionRead
    endpoint: ListEndpoint
    left: list[TimeSlice]
    mode: ReadMode
    backfill: Backfill | None = None
    by_day: Timestamp = END  # rows dated from then on are compared day by day, since the next sync reads other days
    _refused: Refused | None = None  # for a day that the filter does not reach
    _below: list[TimeSlice] = field(default_factory=list)  # what it does not reach
    _failing: list[TimeSlice] = field(default_factory=list)
    _failure: ServerFailed | None = None  # that of a day which was asked for as long as `retry_minutes` says
    _longest: timedelta | None = None  # the longest span that was answered
    _by_creation: bool = False  # whether a period's sums are asked for from the day on which the account was created

    def read(self) -> Read:
        if not self.reading.state.finished and isinstance(self.endpoint.stream.reads, LogWindow):
            # Nothing of it was asked yet, and it may turn out not to be there.
            yield from self._read(self.left[0])
        yield from self._try_oldest()
        yield [self._read(one) for one in self._todo()]
        if self._below:
            yield from self._leave_below()
        if self._failing and not self.backfill:  # a look-back, whose days the round reads too
            LOGGER.warning("%s %s: %s", self.endpoint.stream.name, self.endpoint.account, self._failed())
        elif self._failing:
            raise self._failed()

    def _todo(self) -> list[TimeSlice]:
        """The slices that are left to ask for, newest first."""
        done = [*map(id, self._below), *map(id, self._failing)]
        todo = [one for one in self.left if id(one) not in done]
        return sorted(todo, key=lambda one: one.since, reverse=True)

    def _try_oldest(self) -> Read:
        """
        Ask for the oldest slice before the others.

        Where the filter reaches it, it reaches all; else the first slice that it reaches is found by halving.
        """
        reached = 0  # how many of the newest slices are known to be within reach
        todo = self._todo()
        at = len(todo) - 1
        while at > 0:
            floor = self.reading.floor
            yield from self._read(todo[at])
            if self.reading.floor == floor:
                reached = at + 1
            if not self.reading.floor:
                return
            todo = [one for one in todo if one.until > self.reading.floor]
            at = (reached + len(todo)) // 2 if reached < len(todo) else 0

    def _read(self, one: TimeSlice) -> Read:
        """Read a slice, at first as a whole; as far as Twilio does not answer, in parts, the newest first."""
        length = _length(one)
        pace = Pace(length, length)
        while True:
            floor = self.reading.floor
            if one.until <= floor:
                self._below.append(one)
                return
            part, is_unit = self._newest_part(one, pace.step, floor)
            refusal = yield from self._read_part(part, is_unit)
            if refusal is None:
                pace.empty = pace.failed = 0
                pace.lengthen()
            elif self._ask_from_creation(part):
                self._join(part, one)
                continue
            elif not is_unit and not self._is_nothing(part, refusal, pace):
                self._join(part, one)
                pace.shorten(_length(part), isinstance(refusal, Refused) and refusal.status == 400)
                continue
            else:
                self._settle(part, refusal, pace)
                pace.limit = _length(one)
                pace.lengthen()
            if part is one:
                return
            if pace.failed >= IN_A_ROW:
                self._leave_failing(one)
                return

    def _newest_part(self, one: TimeSlice, step: timedelta, floor: Timestamp) -> tuple[TimeSlice, bool]:
        """Part a slice, and say whether the part is a single day, or the period of a sum, which is not parted."""
        sums = self._sums
        unit = first_of(earlier(one.until, SECOND), sums)
        since = one.since if step >= _length(one) else min(unit, ceiling(earlier(one.until, step), sums))
        since = max(one.since, since, floor)
        if since == one.since:
            return one, unit <= since
        part = TimeSlice(since, one.until, failed=one.failed)
        self.left.insert(self._index(one), part)
        one.until, one.checkpoint, one.read = since, None, {}
        return part, unit <= since

    def _join(self, part: TimeSlice, one: TimeSlice) -> None:
        """Put a part back that was not answered."""
        part.checkpoint, part.read = None, {}
        if part is not one:
            self._remove(part)
            one.until = part.until

    def _is_nothing(self, part: TimeSlice, refusal: Refusal, pace: Pace) -> bool:
        """Whether 404 means that a span longer than a day holds nothing, and not that it is too long."""
        is_404 = isinstance(refusal, Refused) and refusal.status == 404
        return is_404 and pace.empty >= IN_A_ROW and _length(part) <= (self._longest or NO_TIME)

    def _ask_from_creation(self, part: TimeSlice) -> bool:
        """Whether a period's sums may be asked for once more, without the days before the account was created."""
        created, asked_before = self.reading.created, self._by_creation
        self._by_creation |= bool(self._sums) and created is not None and part.since < created
        return self._by_creation and not asked_before

    def _settle(self, part: TimeSlice, refusal: Refusal, pace: Pace) -> None:
        """Decide about a day that Twilio does not answer."""
        if isinstance(refusal, ServerFailed):
            self._failure = self._failure or refusal
            pace.failed += 1
            self._leave_failing(part)
        elif refusal.status == 404:
            pace.empty += 1
            pace.failed = 0
            self._finish(part, part.since)
            self._remove(part)
        else:
            self._refused = refusal
            self.reading.floor = max(self.reading.floor, part.until)
            self._below.append(part)

    def _read_part(self, one: TimeSlice, is_unit: bool) -> Generator[Effect, Any, Refusal | None]:
        """Read a slice, or return why Twilio does not answer."""
        reading, restarts = self.reading, 0
        page_reader, dispatchers = self._open(one, is_unit), dict[str, PageDispatcher]()
        while page_reader and not page_reader.ended:
            try:
                page = yield from page_reader.next_page()
            except PageShifted as shifted:
                one.checkpoint, one.read = None, {}
                restarts += 1
                if restarts > RESTARTS:
                    raise reading.incomplete(shifted) from None
                page_reader, dispatchers = self._open(one, is_unit), {}
                continue
            except (Refused, ServerFailed) as error:
                if isinstance(error, Refused) and not self._is_of_the_span(error):
                    raise
                return error
            self._longest = max(self._longest or NO_TIME, _length(one))
            page, dates = _inside(reading, self.endpoint, one, page)
            parts = _split_if_long(reading, self.endpoint, one, page_reader, page, dates)
            if not parts:
                for name, some in self._groups(one, page, dates):
                    dispatcher = dispatchers[name] = dispatchers.get(name) or self._dispatcher(one, page_reader, name)
                    yield from reading.take(dispatcher, some)
                    self._keep(one, dispatcher)
                if page_reader.ended:
                    parts = [TimeSlice(*half) for half in halves(self.endpoint, page_reader.rows, one.since, one.until)]
            if parts:
                at = self._index(one)
                self.left[at : at + 1] = parts
                del page, dates, page_reader, dispatchers  # the parts may take long
                yield [self._read(part) for part in parts]
                return None
            del page, dates  # a read holds no rows while it waits for more
        for dispatcher in dispatchers.values():
            yield from dispatcher.end()
        self._finish(one, one.since)
        self._remove(one)
        return None

    def _groups(self, one: TimeSlice, page: Page, dates: list[Timestamp]) -> list[tuple[str, Page]]:
        """The rows of a page that are compared together, each with a name that is the same in every sync."""
        if self._has_sums:
            return [("", page)]
        groups: dict[str, list[Row]] = {}
        for row, date in zip(page.rows, dates):
            groups.setdefault(first_of(date, self._sums) if date >= self.by_day else one.since, []).append(row)
        return [(name, replace(page, rows=rows)) for name, rows in groups.items()]

    def _is_of_the_span(self, refused: Refused) -> bool:
        """Whether another span may be answered. The first 404 of a product host says that the account has no such."""
        never = self.reading.state.finished is None and self._longest is None and not self.reading.rows
        if refused.status == 404 and never and self.endpoint.stream.product.host != "api":
            return False
        return refused.status in (400, 404)

    def _open(self, one: TimeSlice, is_unit: bool) -> PageReader | None:
        """A slice's walk; None when the filter no longer reaches any of it. What it does not reach is owed."""
        since = max(one.since, self.reading.reach)
        if since > one.since and self.backfill:
            bookmarks.leave_to_rescans(self.backfill, min(since, one.until))
        if since >= one.until:
            return None
        if self._by_creation and self.reading.created:
            since = max(since, min(day_of(self.reading.created), first_of(earlier(one.until, SECOND), "")))
        top = self.endpoint.top(since, one.until)
        if not is_unit or self._failure or one.failed:
            top = replace(top, attempts=ATTEMPTS)
        return PageReader(self.endpoint, top, one.checkpoint)

    def _dispatcher(self, one: TimeSlice, page_reader: PageReader, name: str) -> PageDispatcher:
        readers: dict[str, Reader | None] = {}
        for consumer in self.reading.consumers if self.mode is ReadMode.BACKFILL else ():
            slice_sums = consumer.slice_sums(self.mode, one.read.get(consumer.name)) if self._has_sums else None
            readers[consumer.name] = slice_sums if self._has_sums else consumer.reader(self.mode, self.endpoint, name)
        return self.reading.slice_dispatcher(self.mode, page_reader, readers)

    # -- what Twilio does not answer

    def _leave_below(self) -> Read:
        """Leave what the filter does not reach to rounds, once Twilio answers all that is no such filter."""
        if refused := self._refused:
            try:
                yield self.endpoint.top()
                if self._longest is None:
                    now = later(self.reading.now(), SECOND)
                    yield self.endpoint.top(earlier(now, DAY), now)
            except Refused as other:
                if other.status == 400:
                    raise refused from None
        for one in self._below:
            self._leave_to_rescans(one)
        stream, account, floor = self.endpoint.stream, self.endpoint.account, self.reading.floor
        if self._has_sums:
            said = "%s %s: Twilio answers no filter on dates before %s; rounds read the older rows"
            LOGGER.info(said, stream.name, account, floor, extra=about(stream.name))
        else:
            said = "%s %s: Twilio answers no filter on dates before %s; older rows cannot be read"
            LOGGER.warning(said, stream.name, account, floor, extra=about(stream.name))

    def _leave_failing(self, one: TimeSlice) -> None:
        """Leave a slice that Twilio fails to answer to the next sync; to rounds, where an earlier sync did that."""
        if one.failed and self.backfill and self._has_sums:
            self._leave_to_rescans(one)  # else no sync would come to what is newer than the first one
        else:
            self._failing.append(one)

    def _leave_to_rescans(self, one: TimeSlice) -> None:
        """Leave a slice to the rounds."""
        if self.backfill and self._has_sums:
            bookmarks.leave_to_rescans(self.backfill, one.until)
        self._remove(one)

    def _failed(self) -> ServerFailed:
        """Join what is left, and name it."""
        joined: list[TimeSlice] = []
        for one in sorted(self._failing, key=lambda one: one.since, reverse=True):
            if joined and one.until == joined[-1].since:
                joined[-1].since = one.since
            else:
                joined.append(TimeSlice(one.since, one.until, failed=True))
        self.left[:] = joined
        spans = ", ".join(name_of(one.since, one.until) for one in joined[:IN_A_ROW])
        more = f" and {len(joined) - IN_A_ROW} more spans" if len(joined) > IN_A_ROW else ""
        return ServerFailed(
            f"{self._failure}: {spans}{more} could not be read, all other days were; if the account is younger, "
            "start_date at its first day ends this"
        )

    # -- what is left to read

    def _index(self, one: TimeSlice) -> int:
        return next(index for index, other in enumerate(self.left) if other is one)

    def _remove(self, one: TimeSlice) -> None:
        self.left[:] = [other for other in self.left if other is not one]

    @property
    def _sums(self) -> str:
        """Of which periods the rows are sums, where it is not days."""
        reads = self.endpoint.stream.reads
        return reads.sums if isinstance(reads, LogWindow) else ""

    @property
    def _has_sums(self) -> bool:
        """Whether slices begin the digests, which rounds go on with; those of a window have their own."""
        return isinstance(self.endpoint.stream.reads, Rescan)

    def _keep(self, one: TimeSlice, dispatcher: PageDispatcher) -> None:
        one.checkpoint = dispatcher.checkpoint if self._has_sums else None  # rows of a window wait in several feeds
        slice_sums = {name: reader for name, reader in dispatcher.readers.items() if isinstance(reader, SliceSums)}
        one.read = {name: text for name, slice_sums in slice_sums.items() if (text := slice_sums.partial_sums.text())}

    def _finish(self, one: TimeSlice, since: Timestamp) -> None:
        """A slice was read down to `since`."""
        if not self.backfill or not self._has_sums:
            return
        new, others = ReadRange(since, one.until, one.read), []
        for other in self.backfill.read_ranges:
            if other.until == new.since:
                new = ReadRange(other.since, new.until, self._join_read(new.read, other.read))
            elif other.since == new.until:
                new = ReadRange(new.since, other.until, self._join_read(other.read, new.read))
            else:
                others.append(other)
        self.backfill.read_ranges = [*others, new]

    def _join_read(self, above: dict[str, str], below: dict[str, str]) -> dict[str, str]:
        """What was read of two spans that touch."""
        counted = self.reading.counted.items()
        joined = ((name, join(known, above.get(name), below.get(name))) for name, known in counted)
        return {name: text for name, text in joined if text}


def _length(one: TimeSlice) -> timedelta:
    return parse_timestamp(one.until) - parse_timestamp(one.since)


def _inside(reading: PartitionRead, endpoint: ListEndpoint, one: TimeSlice, page: Page) -> tuple[Page, list[Timestamp]]:
    """The rows of a slice, with their list dates: filters may also list undated rows, and those a unit outside."""
    dates = dates_of(endpoint, page.rows)
    reading.slices_overlap |= BEGINNING in dates
    inside = [(row, date) for row, date in zip(page.rows, dates) if one.since <= date < one.until]
    return replace(page, rows=[row for row, _ in inside]), [date for _, date in inside]


def _split_if_long(
    reading: PartitionRead,
    endpoint: ListEndpoint,
    one: TimeSlice,
    page_reader: PageReader,
    page: Page,
    dates: list[Timestamp],
) -> list[TimeSlice] | None:
    """
    The parts of a slice that turned out long, to be read side by side; None to read on.

    The parts hold the whole slice again. That pays after the first page, or when at least four times as much is left as
    was read; a window is cut after the first page or not at all, and never where its rows are sums.
    """
    if (
        reading.slices_overlap or not page.next or (page_reader.resumed and page_reader.pages == 1)
    ):  # which was read before
        return None
    left = pages_to(dates, one.since)
    again = 0 if page_reader.pages == 1 else page_reader.pages
    if isinstance(endpoint.stream.reads, LogWindow) and (again or endpoint.stream.reads.sums):
        return None  # rows that are read in two ways have two digests, of which each sync would find one outdated
    if left < 1.5 * reading.slice_pages or left < 4 * again or (again and page_reader.resumed):
        return None
    parts = split_evenly(reading, endpoint, one.since, one.until, left)
    return parts if len(parts) > 1 else None


def split_evenly(
    reading: PartitionRead, endpoint: ListEndpoint, since: Timestamp, until: Timestamp, pages: float
) -> list[TimeSlice]:
    """A span in even parts, newest first, of some `slice_pages` each if `pages` are spread evenly over it."""
    assert endpoint.stream.filter
    reading.slice_pages = max(
        reading.slice_pages, pages / MOST_PARTS
    )  # else all parts of a very long list were cut again
    start, end = parse_timestamp(since), parse_timestamp(until)
    finest = (end - start) / endpoint.stream.filter.unit
    parts = max(1, int(min(ceil(pages / reading.slice_pages), MOST_PARTS, finest)))
    cuts = [format_timestamp(start + (end - start) * index / parts) for index in range(parts + 1)]
    if parts > 1 and isinstance(endpoint.stream.reads, LogWindow):  # at days, so that each sync compares the same rows
        days = ceil((end - start) / DAY / MOST_PARTS)
        cuts = [
            since,
            *(
                format_timestamp(start.replace(hour=0, minute=0, second=0, microsecond=0) + number * days * DAY)
                for number in range(1, MOST_PARTS + 1)
            ),
            until,
        ]
        cuts = [at for at in cuts if at <= until]
    return [TimeSlice(low, high) for low, high in zip(cuts, cuts[1:]) if low < high][::-1]
