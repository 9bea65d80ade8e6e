"""
Read one list in time slices, side by side, by date filters.

Time slices are quick, but a date filter hides undated rows. So time slices serve the backfill, the lookback and logs,
and never a rescan.
"""

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

from .dispatch import RESTARTS, PageDispatcher
from .page_reader import PageReader
from .partition_read import PartitionRead
from .periods import ATTEMPTS, MAX_DAYS_IN_A_ROW, name_days, round_up_to_period, start_of_period

LOGGER = logging.getLogger("tap_twilio")
MOST_PARTS = 32  # in which a time slice is split at once; each part may be split again
NO_TIME = timedelta(0)
Refusal = Refused | ServerFailed


@dataclass
class PartLength:
    """The length of the next part of a refused time slice, and how the last days were answered."""

    length: timedelta
    limit: timedelta  # Twilio refused a part of this length
    empty_days: int = 0  # in a row, which Twilio answered with HTTP 404
    failed_days: int = 0  # in a row

    def shorten(self, refused: timedelta, filter_refused: bool) -> None:
        """Halve the length; go down to a day where the filter may not reach the part, nor anything older."""
        self.length, self.limit = min(DAY, refused / 2) if filter_refused else refused / 2, refused

    def lengthen(self) -> None:
        if 2 * self.length < self.limit:
            self.length *= 2


@dataclass
class TimeSlices:
    """
    Time slices of one list, read side by side. `left` holds what is left to read, and is saved in the state.

    A time slice that Twilio refuses or fails to answer is read in parts, the newest first, down to single days. For a
    single day, the answer decides:

    - HTTP 400: the filter reaches neither this day nor older ones, if Twilio answers a page without a filter and the
      newest day. Rescans read those rows.
    - HTTP 404: the day has no rows.
    - HTTP 500: the day stays in `left`, and the read ends with an error after all other time slices were read.
    """

    reading: PartitionRead
    endpoint: ListEndpoint
    left: list[TimeSlice]
    mode: ReadMode
    backfill: Backfill | None = None
    by_day: Timestamp = END  # rows dated from then on are compared day by day, since the next sync reads other days
    _refusal: Refused | None = None  # for a day that the filter does not reach
    _out_of_reach: list[TimeSlice] = field(default_factory=list)
    _failing: list[TimeSlice] = field(default_factory=list)
    _failure: ServerFailed | None = None  # of a day, after `retry_minutes`
    _longest_answered: timedelta | None = None
    _from_creation: bool = False  # whether sums are requested from the day on which the account was created

    def read(self) -> Read:
        """Read what is left."""
        if not self.reading.state.finished and self.endpoint.stream.is_log:
            # Nothing of the list was requested yet: Twilio may answer that the account does not have the product.
            yield from self._read(self.left[0])
        yield from self._find_reach()
        yield [self._read(time_slice) for time_slice in self._unread()]
        if self._out_of_reach:
            yield from self._leave_out_of_reach()
        if self._failing and not self.backfill:  # a lookback: the rescan reads these days too
            LOGGER.warning("%s %s: %s", self.endpoint.stream.name, self.endpoint.account, self._server_failed())
        elif self._failing:
            raise self._server_failed()

    def _unread(self) -> list[TimeSlice]:
        """Return the time slices that Twilio was not asked for yet, newest first."""
        given_up = [*map(id, self._out_of_reach), *map(id, self._failing)]
        unread = [time_slice for time_slice in self.left if id(time_slice) not in given_up]
        return sorted(unread, key=lambda time_slice: time_slice.since, reverse=True)

    def _find_reach(self) -> Read:
        """
        Read the oldest time slice before the others.

        A filter that reaches the oldest time slice reaches all. Otherwise the oldest time slice within reach is found
        by halving.
        """
        reached = 0  # how many of the newest time slices are known to be within reach
        unread = self._unread()
        index = len(unread) - 1
        while index > 0:
            floor = self.reading.floor
            yield from self._read(unread[index])
            if self.reading.floor == floor:
                reached = index + 1
            if not self.reading.floor:
                return
            unread = [time_slice for time_slice in unread if time_slice.until > self.reading.floor]
            index = (reached + len(unread)) // 2 if reached < len(unread) else 0

    def _read(self, time_slice: TimeSlice) -> Read:
        """Read a time slice, at first as a whole; in parts, the newest first, as far as Twilio does not answer."""
        whole = _length(time_slice)
        part_length = PartLength(whole, whole)
        while True:
            floor = self.reading.floor
            if time_slice.until <= floor:
                self._out_of_reach.append(time_slice)
                return
            part, is_unit = self._take_newest_part(time_slice, part_length.length, floor)
            outcome = yield from self._read_part(part, is_unit)
            if isinstance(outcome, list):
                yield from self._read_side_by_side(part, outcome)
                part_length.empty_days = part_length.failed_days = 0
                part_length.lengthen()
            elif self._begin_at_creation(part):
                self._put_back(part, time_slice)
                continue
            elif not is_unit and not self._is_empty(part, outcome, part_length):
                self._put_back(part, time_slice)
                part_length.shorten(_length(part), isinstance(outcome, Refused) and outcome.status == 400)
                continue
            else:
                self._settle(part, outcome, part_length)
                part_length.limit = _length(time_slice)
                part_length.lengthen()
            if part is time_slice:
                return
            if part_length.failed_days >= MAX_DAYS_IN_A_ROW:
                self._leave_failing(time_slice)
                return

    def _take_newest_part(self, time_slice: TimeSlice, length: timedelta, floor: Timestamp) -> tuple[TimeSlice, bool]:
        """
        Cut the newest part off a time slice, or return the time slice itself.

        Returns too whether the part is a unit: a single day, or the period of a sum, which cannot be split.
        """
        sums = self._sums
        unit = start_of_period(earlier(time_slice.until, SECOND), sums)
        since = time_slice.since
        if length < _length(time_slice):
            since = min(unit, round_up_to_period(earlier(time_slice.until, length), sums))
        since = max(time_slice.since, since, floor)
        if since == time_slice.since:
            return time_slice, unit <= since
        part = TimeSlice(since, time_slice.until, failed=time_slice.failed)
        self._replace(time_slice, [part, time_slice])
        time_slice.until, time_slice.checkpoint, time_slice.read = since, None, {}
        return part, unit <= since

    def _put_back(self, part: TimeSlice, time_slice: TimeSlice) -> None:
        """Join a part that Twilio did not answer with its time slice."""
        part.checkpoint, part.read = None, {}
        if part is not time_slice:
            self._replace(part, [])
            time_slice.until = part.until

    def _read_side_by_side(self, time_slice: TimeSlice, parts: list[TimeSlice]) -> Read:
        """Replace a time slice by the parts that are left of it, and read these."""
        if not parts:
            self._finish(time_slice)
        self._replace(time_slice, parts)
        if parts:
            yield [self._read(part) for part in parts]

    def _replace(self, time_slice: TimeSlice, parts: list[TimeSlice]) -> None:
        """Put parts in the place of a time slice. Each read replaces its own time slice only."""
        index = next(index for index, other in enumerate(self.left) if other is time_slice)
        self.left[index : index + 1] = parts

    def _read_part(self, time_slice: TimeSlice, is_unit: bool) -> Generator[Effect, Any, Refusal | list[TimeSlice]]:
        """Read a time slice. Returns why Twilio does not answer, or the parts that are left, none when all was read."""
        reading, restarts = self.reading, 0
        page_reader, dispatchers = self._open(time_slice, is_unit), dict[str, PageDispatcher]()
        while page_reader and not page_reader.ended:
            try:
                page = yield from page_reader.next_page()
            except PageShifted as shifted:
                time_slice.checkpoint, time_slice.read = None, {}
                restarts += 1
                if restarts > RESTARTS:
                    raise reading.incomplete(shifted) from None
                page_reader, dispatchers = self._open(time_slice, is_unit), {}
                continue
            except (Refused, ServerFailed) as error:
                if isinstance(error, Refused) and not self._depends_on_dates(error):
                    raise
                return error
            self._longest_answered = max(self._longest_answered or NO_TIME, _length(time_slice))
            page, dates = _inside(reading, self.endpoint, time_slice, page)
            if parts := _split_if_long(reading, self.endpoint, time_slice, page_reader, page, dates):
                return parts
            yield from self._dispatch(time_slice, page_reader, dispatchers, page, dates)
            del page, dates  # a read holds no rows while it waits for more
        if page_reader and (both := halves(self.endpoint, page_reader.rows, time_slice.since, time_slice.until)):
            return [TimeSlice(*half) for half in both]
        for dispatcher in dispatchers.values():
            yield from dispatcher.end()
        return []

    def _dispatch(
        self,
        time_slice: TimeSlice,
        page_reader: PageReader,
        dispatchers: dict[str, PageDispatcher],
        page: Page,
        dates: list[Timestamp],
    ) -> Read:
        """Hand a page to the consumers, and save the progress in the time slice."""
        for name, group in self._groups(time_slice, page, dates):
            if name not in dispatchers:
                dispatchers[name] = self._dispatcher(time_slice, page_reader, name)
            yield from self.reading.take(dispatchers[name], group)
            self._save_progress(time_slice, dispatchers[name])

    def _groups(self, time_slice: TimeSlice, page: Page, dates: list[Timestamp]) -> list[tuple[str, Page]]:
        """Return the rows of a page that are compared together, each group with the name it has in every sync."""
        if self._is_rescanned:
            return [("", page)]
        groups: dict[str, list[Row]] = {}
        for row, date in zip(page.rows, dates):
            name = start_of_period(date, self._sums) if date >= self.by_day else time_slice.since
            groups.setdefault(name, []).append(row)
        return [(name, replace(page, rows=rows)) for name, rows in groups.items()]

    def _open(self, time_slice: TimeSlice, is_unit: bool) -> PageReader | None:
        """Return a reader of the part that the filter still reaches, None when it reaches nothing."""
        since = max(time_slice.since, self.reading.reach)
        if since > time_slice.since:
            self._resend_before(min(since, time_slice.until))
        if since >= time_slice.until:
            return None
        if self._from_creation and self.reading.created:
            newest_day = start_of_period(earlier(time_slice.until, SECOND), "")
            since = max(since, min(day_of(self.reading.created), newest_day))
        top = self.endpoint.top(since, time_slice.until)
        if not is_unit or self._failure or time_slice.failed:
            top = replace(top, attempts=ATTEMPTS)
        return PageReader(self.endpoint, top, time_slice.checkpoint)

    def _dispatcher(self, time_slice: TimeSlice, page_reader: PageReader, name: str) -> PageDispatcher:
        readers: dict[str, Reader | None] = {}
        for consumer in self.reading.consumers if self.mode is ReadMode.BACKFILL else ():
            if self._is_rescanned:
                readers[consumer.name] = consumer.slice_sums(self.mode, time_slice.read.get(consumer.name))
            else:
                readers[consumer.name] = consumer.reader(self.mode, self.endpoint, name)
        return self.reading.slice_dispatcher(self.mode, page_reader, readers)

    def _save_progress(self, time_slice: TimeSlice, dispatcher: PageDispatcher) -> None:
        # A log has no checkpoint inside a time slice: its rows are pending in the dispatchers of several days.
        time_slice.checkpoint = dispatcher.checkpoint if self._is_rescanned else None
        sums = {name: reader for name, reader in dispatcher.readers.items() if isinstance(reader, SliceSums)}
        time_slice.read = {name: text for name, reader in sums.items() if (text := reader.partial_sums.text())}

    @property
    def _sums(self) -> str:
        """Return the period of which each row is a sum, "month" or "year"; empty for days and for other rows."""
        window = self.endpoint.stream.log_window
        return window.sums if window else ""

    @property
    def _is_rescanned(self) -> bool:
        """Return whether rescans read the list too, and continue the fingerprints that the time slices begin."""
        return self.endpoint.stream.has_rescans

    # -- days that Twilio does not answer

    def _depends_on_dates(self, refused: Refused) -> bool:
        """Return whether Twilio may answer other dates. On a product host, a 404 may mean a missing product."""
        never_answered = (
            self.reading.state.finished is None and self._longest_answered is None and not self.reading.rows
        )
        if refused.status == 404 and never_answered and self.endpoint.stream.product.host != "api":
            return False
        return refused.status in (400, 404)

    def _is_empty(self, part: TimeSlice, refusal: Refusal, part_length: PartLength) -> bool:
        """Return whether HTTP 404 for several days means that they have no rows, and not that they are too many."""
        is_404 = isinstance(refusal, Refused) and refusal.status == 404
        is_short = _length(part) <= (self._longest_answered or NO_TIME)
        return is_404 and is_short and part_length.empty_days >= MAX_DAYS_IN_A_ROW

    def _begin_at_creation(self, part: TimeSlice) -> bool:
        """
        Leave the days before the account's creation out of requests for sums, which Twilio may refuse for them.

        Returns whether this is new, so that the part is worth another request.
        """
        created, known_before = self.reading.created, self._from_creation
        self._from_creation |= bool(self._sums) and created is not None and part.since < created
        return self._from_creation and not known_before

    def _settle(self, part: TimeSlice, refusal: Refusal, part_length: PartLength) -> None:
        """Decide what becomes of a day that Twilio does not answer."""
        if isinstance(refusal, ServerFailed):
            self._failure = self._failure or refusal
            part_length.failed_days += 1
            self._leave_failing(part)
        elif refusal.status == 404:
            part_length.empty_days += 1
            part_length.failed_days = 0
            self._finish(part)
            self._replace(part, [])
        else:
            self._refusal = refusal
            self.reading.floor = max(self.reading.floor, part.until)
            self._out_of_reach.append(part)

    def _leave_out_of_reach(self) -> Read:
        """Leave what the filter does not reach to rescans, if Twilio answers a page without a filter."""
        if refusal := self._refusal:
            try:
                yield self.endpoint.top()
                if self._longest_answered is None:
                    now = later(self.reading.now(), SECOND)
                    yield self.endpoint.top(earlier(now, DAY), now)
            except Refused as other:
                if other.status == 400:
                    raise refusal from None
        for time_slice in self._out_of_reach:
            self._leave_to_rescans(time_slice)
        stream, account, floor = self.endpoint.stream, self.endpoint.account, self.reading.floor
        if self._is_rescanned:
            message = "%s %s: Twilio answers no filter on dates before %s; rescans read the older rows"
            LOGGER.info(message, stream.name, account, floor, extra=about(stream.name))
        else:
            message = "%s %s: Twilio answers no filter on dates before %s; older rows cannot be read"
            LOGGER.warning(message, stream.name, account, floor, extra=about(stream.name))

    def _leave_failing(self, time_slice: TimeSlice) -> None:
        """Leave a failing time slice to the next sync; or to rescans, if it failed in an earlier sync too."""
        if time_slice.failed and self.backfill and self._is_rescanned:
            self._leave_to_rescans(time_slice)  # a backfill that never ends would keep all newer rows waiting
        else:
            self._failing.append(time_slice)

    def _leave_to_rescans(self, time_slice: TimeSlice) -> None:
        if self._is_rescanned:
            self._resend_before(time_slice.until)
        self._replace(time_slice, [])

    def _resend_before(self, date: Timestamp) -> None:
        """Have rescans emit the rows listed before a date."""
        if self.backfill:
            bookmarks.leave_to_rescans(self.backfill, date)

    def _server_failed(self) -> ServerFailed:
        """Keep the failing time slices as all that is left, neighbours joined, and return the error that names them."""
        joined: list[TimeSlice] = []
        for time_slice in sorted(self._failing, key=lambda time_slice: time_slice.since, reverse=True):
            if joined and time_slice.until == joined[-1].since:
                joined[-1].since = time_slice.since
            else:
                joined.append(TimeSlice(time_slice.since, time_slice.until, failed=True))
        self.left[:] = joined
        days = ", ".join(name_days(time_slice.since, time_slice.until) for time_slice in joined[:MAX_DAYS_IN_A_ROW])
        more = f" and {len(joined) - MAX_DAYS_IN_A_ROW} more time slices" if len(joined) > MAX_DAYS_IN_A_ROW else ""
        return ServerFailed(
            f"{self._failure}: {days}{more} could not be read, all other days were; if the account is younger, "
            "set start_date to its first day"
        )

    # -- what was read

    def _finish(self, time_slice: TimeSlice) -> None:
        """Note that a time slice was read, and join its range with its neighbours'."""
        if not self.backfill or not self._is_rescanned:
            return
        joined, others = ReadRange(time_slice.since, time_slice.until, time_slice.read), []
        for other in self.backfill.read_ranges:
            if other.until == joined.since:
                joined = ReadRange(other.since, joined.until, self._join_sums(joined.read, other.read))
            elif other.since == joined.until:
                joined = ReadRange(joined.since, other.until, self._join_sums(other.read, joined.read))
            else:
                others.append(other)
        self.backfill.read_ranges = [*others, joined]

    def _join_sums(self, newer: dict[str, str], older: dict[str, str]) -> dict[str, str]:
        """Return the sums of two neighbouring ranges, by consumer."""
        counted = self.reading.counted.items()
        joined = ((name, join(store, newer.get(name), older.get(name))) for name, store in counted)
        return {name: text for name, text in joined if text}


def _length(time_slice: TimeSlice) -> timedelta:
    return parse_timestamp(time_slice.until) - parse_timestamp(time_slice.since)


def _inside(
    reading: PartitionRead, endpoint: ListEndpoint, time_slice: TimeSlice, page: Page
) -> tuple[Page, list[Timestamp]]:
    """Return the rows inside a time slice, with their list dates. A filter may list undated rows and neighbours too."""
    dates = dates_of(endpoint, page.rows)
    reading.slices_overlap |= BEGINNING in dates
    inside = [(row, date) for row, date in zip(page.rows, dates) if time_slice.since <= date < time_slice.until]
    return replace(page, rows=[row for row, _ in inside]), [date for _, date in inside]


def _split_if_long(
    reading: PartitionRead,
    endpoint: ListEndpoint,
    time_slice: TimeSlice,
    page_reader: PageReader,
    page: Page,
    dates: list[Timestamp],
) -> list[TimeSlice] | None:
    """
    Return the parts of a long time slice, to be read side by side; None to read on.

    The parts hold the whole time slice again. That pays after the first page, or when at least four times as much is
    left as was read.
    """
    is_checkpoint_page = page_reader.resumed and page_reader.pages == 1
    if reading.slices_overlap or not page.next or is_checkpoint_page:
        return None
    pages_left = pages_to(dates, time_slice.since)
    pages_again = 0 if page_reader.pages == 1 else page_reader.pages
    window = endpoint.stream.log_window
    if window and (pages_again or window.sums):
        return None  # a row that is read in two groups has two fingerprints, and each sync would find one outdated
    if pages_left < 1.5 * reading.slice_pages or pages_left < 4 * pages_again or (pages_again and page_reader.resumed):
        return None
    parts = split_evenly(reading, endpoint, time_slice.since, time_slice.until, pages_left)
    return parts if len(parts) > 1 else None


def split_evenly(
    reading: PartitionRead, endpoint: ListEndpoint, since: Timestamp, until: Timestamp, pages: float
) -> list[TimeSlice]:
    """Return even time slices from `since` to `until`, newest first, of some `slice_pages` of the `pages` each."""
    assert endpoint.stream.filter
    # Longer time slices for a very long list: otherwise each part would be split again.
    reading.slice_pages = max(reading.slice_pages, pages / MOST_PARTS)
    start, end = parse_timestamp(since), parse_timestamp(until)
    most_units = (end - start) / endpoint.stream.filter.unit
    parts = max(1, int(min(ceil(pages / reading.slice_pages), MOST_PARTS, most_units)))
    if parts > 1 and endpoint.stream.is_log:
        bounds = _midnights(since, until)
    else:
        bounds = [format_timestamp(start + (end - start) * index / parts) for index in range(parts + 1)]
    return [TimeSlice(low, high) for low, high in zip(bounds, bounds[1:]) if low < high][::-1]


def _midnights(since: Timestamp, until: Timestamp) -> list[Timestamp]:
    """Return bounds at midnights, so that each sync compares the same rows of a log."""
    start, end = parse_timestamp(since), parse_timestamp(until)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    step = ceil((end - start) / DAY / MOST_PARTS) * DAY
    midnights = [format_timestamp(midnight + number * step) for number in range(1, MOST_PARTS + 1)]
    return [date for date in (since, *midnights, until) if date <= until]
