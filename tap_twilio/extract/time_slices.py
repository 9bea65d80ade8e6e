"""
Read one list in time slices: ranges of dates, each requested with Twilio's date filter, several at the same time.

extract/backfill.py, lookback.py and log_window.py read a long list in this way. A date filter hides undated rows, so
rescans read without time slices.

`TimeSlices.read` yields the reads of all time slices, and the scheduler runs them side by side. `SliceRead` reads one
time slice, and hands its rows to the consumers. If the time slice has too many rows, `SliceRead` returns the shorter
time slices (parts) to be read instead.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from typing import Any

from tap_twilio.changes.slice_sums import SliceSums, join
from tap_twilio.errors import LimitReached, PageShifted, Refused, ServerFailed
from tap_twilio.log import about
from tap_twilio.state.model import OpenBackfill, ReadRange, TimeSlice
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ChangeDetector, ReadMode
from tap_twilio.timestamps import (
    BEGINNING,
    DAY,
    END,
    SECOND,
    Timestamp,
    earlier,
    from_datetime,
    later,
    start_of_day,
    to_datetime,
)
from tap_twilio.twilio.endpoint import ListEndpoint, halves, list_dates, pages_to
from tap_twilio.twilio.request import Page, Row

from .dispatch import MAX_RESTARTS, PageDispatcher
from .page_reader import PageReader
from .partition_read import PartitionRead
from .periods import ATTEMPTS, MAX_DAYS_IN_A_ROW, name_days, round_up_to_period, start_of_period
from .read_list import Refusal, read_list

LOGGER = logging.getLogger("tap_twilio")
MAX_PARTS = 32  # of one split; each part may be split again
SPLIT_FACTOR = 1.5  # a time slice of so many times its planned pages is split
WORTH_REREADING = 4  # how many pages must be left for each page that a split reads again
NO_TIME = timedelta(0)
Outcome = Refusal | list[TimeSlice]  # why Twilio does not answer; or the parts to read instead, none when all was read


@dataclass
class PartLength:
    """The length of the next part of a refused time slice, and how Twilio answered the last days."""

    length: timedelta
    limit: timedelta  # Twilio refused a part of this length, so the next parts are shorter
    empty_days: int = 0  # in a row: HTTP 404
    failed_days: int = 0  # in a row: HTTP 500, 502 or 504

    def shorten(self, refused: timedelta, *, filter_refused: bool) -> None:
        """Halve the length. If Twilio refused the filter, try a day at most: it may refuse all older dates too."""
        self.length, self.limit = min(DAY, refused / 2) if filter_refused else refused / 2, refused

    def lengthen(self) -> None:
        if 2 * self.length < self.limit:
            self.length *= 2


@dataclass
class TimeSlices:
    """
    Time slices of one list. `left` holds those that are left to read; the state keeps it.

    A time slice that Twilio refuses or fails to answer is read in shorter parts, the newest first, down to single days,
    or to the months or years that rows are sums of. The answer for a single day decides:

    - HTTP 400: Twilio refuses this day and all older ones, if it answers two control requests: a page without a
      filter, and the last 24 hours (unless it answered a filter before). Rescans read the older rows.
    - HTTP 404: the day has no rows.
    - HTTP 500: the day stays in `left`, and the read ends with an error after all other time slices were read.
    """

    reading: PartitionRead
    endpoint: ListEndpoint
    left: list[TimeSlice]
    mode: ReadMode
    backfill: OpenBackfill | None = None
    # Each day of a log from then on has its own fingerprints, since the window of the next sync has other days.
    group_by_day_from: Timestamp = END
    _refusal: Refused | None = None  # the last HTTP 400 for a day
    _refused_slices: list[TimeSlice] = field(default_factory=list)
    _failing_slices: list[TimeSlice] = field(default_factory=list)
    failure: ServerFailed | None = None  # of a day, after `retry_minutes`
    longest_answered: timedelta | None = None
    from_creation: bool = False  # whether rows that are sums over a period are requested from the account's creation on

    def read(self) -> Read:
        """Read all time slices in `left`."""
        if self.left and not self.reading.state.finished_at and self.endpoint.stream.is_log:
            # Nothing of the list was requested yet: Twilio may answer that the account does not have the product.
            yield from self._read(self.left[0])
        elif self.backfill and self.is_rescanned and self.mode is ReadMode.BACKFILL:
            yield from self._read_newest_days(self.backfill.began)
        yield from self._find_oldest_answered()
        yield [self._read(time_slice) for time_slice in self._not_requested()]
        if self._refused_slices:
            yield from self._leave_refused()
        if self._failing_slices and not self.backfill:  # a lookback: the rescan reads these days too
            LOGGER.warning("%s %s: %s", self.endpoint.stream.name, self.endpoint.account, self._keep_failing())
        elif self._failing_slices:
            raise self._keep_failing()

    def _read_newest_days(self, began: Timestamp) -> Read:
        """Read the rows of the last two days before all older rows: users look for them first."""
        since = start_of_day(earlier(began, DAY))
        newest = [
            self._take_newest_part(time_slice, _length(TimeSlice(since, time_slice.until)), BEGINNING)[0]
            for time_slice in [*self.left]
            if time_slice.until > since
        ]
        if not newest or len(newest) == len(self.left):
            return  # an earlier sync read these days, or there are no others
        rows_before = self.reading.rows
        yield [self._read(time_slice) for time_slice in newest]
        if self.reading.rows > rows_before and not self._refused_slices and not self._failing_slices:
            name, account = self.endpoint.stream.name, self.endpoint.account
            message = "%s %s: the rows since %s are written, older ones follow"
            LOGGER.info(message, name, account, since[:10], extra=about(name))

    def _not_requested(self) -> list[TimeSlice]:
        """Return the time slices that were not requested yet, newest first."""
        given_up = [*map(id, self._refused_slices), *map(id, self._failing_slices)]
        unread = [time_slice for time_slice in self.left if id(time_slice) not in given_up]
        return sorted(unread, key=lambda time_slice: time_slice.since, reverse=True)

    def _find_oldest_answered(self) -> Read:
        """
        Read the oldest time slice before the others.

        If Twilio answers the oldest time slice, it answers all. Otherwise a binary search finds the oldest time slice
        that it answers.
        """
        answered = 0  # how many of the newest time slices Twilio answers
        unread = self._not_requested()
        index = len(unread) - 1
        while index > 0:
            refused_before = self.reading.refused_before
            yield from self._read(unread[index])
            if self.reading.refused_before == refused_before:
                answered = index + 1
            if not self.reading.refused_before:
                return
            unread = [time_slice for time_slice in unread if time_slice.until > self.reading.refused_before]
            index = (answered + len(unread)) // 2 if answered < len(unread) else 0

    def _read(self, time_slice: TimeSlice) -> Read:
        """Read a time slice: first request the whole; if Twilio does not answer, request parts, the newest first."""
        whole = _length(time_slice)
        part_length = PartLength(whole, whole)
        while True:
            refused_before = self.reading.refused_before
            if time_slice.until <= refused_before:
                self._refused_slices.append(time_slice)
                return
            part, is_one_period = self._take_newest_part(time_slice, part_length.length, refused_before)
            outcome = yield from SliceRead(self, part, is_one_period).read()
            if isinstance(outcome, list):
                if outcome:
                    self._replace(part, outcome)
                    yield [self._read(shorter) for shorter in outcome]
                else:
                    self._finish(part)
                part_length.empty_days = part_length.failed_days = 0
                part_length.lengthen()
            elif self._begin_at_creation(part):
                self._put_back(part, time_slice)
                continue
            elif not is_one_period and not self._is_empty(part, outcome, part_length):
                self._put_back(part, time_slice)
                part_length.shorten(
                    _length(part), filter_refused=isinstance(outcome, Refused) and outcome.status == 400
                )
                continue
            else:
                self._decide_about_period(part, outcome, part_length)
                part_length.limit = _length(time_slice)
                part_length.lengthen()
            if part is time_slice:
                return
            if part_length.failed_days >= MAX_DAYS_IN_A_ROW:
                self._leave_failing(time_slice)
                return

    def _take_newest_part(
        self, time_slice: TimeSlice, length: timedelta, refused_before: Timestamp
    ) -> tuple[TimeSlice, bool]:
        """
        Cut the newest part off a time slice, or return the time slice itself.

        Also returns whether the part is one period, which cannot be split: a day, or the month or year of a row.
        """
        newest_period = start_of_period(earlier(time_slice.until, SECOND), self.row_period)
        since = time_slice.since
        if length < _length(time_slice):
            since = min(newest_period, round_up_to_period(earlier(time_slice.until, length), self.row_period))
        since = max(time_slice.since, since, refused_before)
        if since == time_slice.since:
            return time_slice, newest_period <= since
        part = TimeSlice(since, time_slice.until, failed=time_slice.failed)
        self._replace(time_slice, [part, time_slice])
        time_slice.until, time_slice.checkpoint, time_slice.partial_sums = since, None, {}
        return part, newest_period <= since

    def _put_back(self, part: TimeSlice, time_slice: TimeSlice) -> None:
        """Join a part that Twilio did not answer with its time slice."""
        part.checkpoint, part.partial_sums = None, {}
        if part is not time_slice:
            self._replace(part, [])
            time_slice.until = part.until

    def _replace(self, time_slice: TimeSlice, parts: list[TimeSlice]) -> None:
        """Put parts in the place of a time slice. Other reads change `left` meanwhile, so its index may have moved."""
        index = next(index for index, other in enumerate(self.left) if other is time_slice)
        self.left[index : index + 1] = parts

    @property
    def row_period(self) -> str:
        """Return "month" or "year" if each row is the sum of such a period, else an empty text."""
        window = self.endpoint.stream.log_window
        return window.period if window else ""

    @property
    def is_rescanned(self) -> bool:
        """Return whether rescans read the list too. They continue the fingerprints that the time slices begin."""
        return self.endpoint.stream.has_rescans

    # -- dates that Twilio does not answer

    def depends_on_dates(self, refused: Refused) -> bool:
        """Return whether Twilio may answer other dates. On a product host, a 404 may mean a missing product."""
        never_answered = (
            self.reading.state.finished_at is None and self.longest_answered is None and not self.reading.rows
        )
        if refused.status == 404 and never_answered and self.endpoint.stream.product.host != "api":
            return False
        return refused.status in (400, 404)

    def _is_empty(self, part: TimeSlice, refusal: Refusal, part_length: PartLength) -> bool:
        """Return whether HTTP 404 means that a part has no rows. For a long part, it may mean too many days."""
        is_404 = isinstance(refusal, Refused) and refusal.status == 404
        is_short = _length(part) <= (self.longest_answered or NO_TIME)
        return is_404 and is_short and part_length.empty_days >= MAX_DAYS_IN_A_ROW

    def _begin_at_creation(self, part: TimeSlice) -> bool:
        """
        Request rows that are sums over a period from the account's creation on: Twilio may refuse older days.

        Returns True if this is new, so that the part is requested once more.
        """
        created, known_before = self.reading.created, self.from_creation
        self.from_creation |= bool(self.row_period) and created is not None and part.since < created
        return self.from_creation and not known_before

    def _decide_about_period(self, part: TimeSlice, refusal: Refusal, part_length: PartLength) -> None:
        """Skip an empty period, leave a failing one, or note that Twilio refuses it and all older ones."""
        if isinstance(refusal, ServerFailed):
            self.failure = self.failure or refusal
            part_length.failed_days += 1
            self._leave_failing(part)
        elif refusal.status == 404:
            part_length.empty_days += 1
            part_length.failed_days = 0
            self._finish(part)
        else:
            self._refusal = refusal
            self.reading.refused_before = max(self.reading.refused_before, part.until)
            self._refused_slices.append(part)

    def _leave_refused(self) -> Read:
        """Leave the rows of refused dates to rescans. Raises the refusal if Twilio refuses a control request too."""
        if refusal := self._refusal:
            try:
                yield self.endpoint.first_page()
                if self.longest_answered is None:
                    now = later(self.reading.now(), SECOND)
                    yield self.endpoint.first_page(earlier(now, DAY), now)
            except Refused as other:
                if other.status == 400:
                    raise refusal from None
        for time_slice in self._refused_slices:
            self._leave_to_rescans(time_slice)
        stream, account, refused_before = self.endpoint.stream, self.endpoint.account, self.reading.refused_before
        if self.is_rescanned:
            message = "%s %s: Twilio answers no filter on dates before %s; rescans read the older rows"
            LOGGER.info(message, stream.name, account, refused_before, extra=about(stream.name))
        else:
            message = "%s %s: Twilio answers no filter on dates before %s; older rows cannot be read"
            LOGGER.warning(message, stream.name, account, refused_before, extra=about(stream.name))

    def _leave_failing(self, time_slice: TimeSlice) -> None:
        """
        Leave a failing time slice to the next sync.

        If a backfill fails at it for the second time, rescans read it, in a list that has rescans.
        """
        if time_slice.failed and self.backfill and self.is_rescanned:
            self._leave_to_rescans(time_slice)  # a backfill that never ends would keep all newer rows waiting
        else:
            self._failing_slices.append(time_slice)

    def _leave_to_rescans(self, time_slice: TimeSlice) -> None:
        if self.is_rescanned:
            self.resend_before(time_slice.until)
        self._replace(time_slice, [])

    def resend_before(self, date: Timestamp) -> None:
        """Have rescans emit the rows listed before a date."""
        if self.backfill:
            bookmarks.leave_to_rescans(self.backfill, date)

    def _keep_failing(self) -> ServerFailed:
        """Reduce `left` to the failing time slices, with neighbors joined, and return the error that names them."""
        joined: list[TimeSlice] = []
        for time_slice in sorted(self._failing_slices, key=lambda time_slice: time_slice.since, reverse=True):
            if joined and time_slice.until == joined[-1].since:
                joined[-1].since = time_slice.since
            else:
                joined.append(TimeSlice(time_slice.since, time_slice.until, failed=True))
        self.left[:] = joined
        days = ", ".join(name_days(time_slice.since, time_slice.until) for time_slice in joined[:MAX_DAYS_IN_A_ROW])
        more = f" and {len(joined) - MAX_DAYS_IN_A_ROW} more time slices" if len(joined) > MAX_DAYS_IN_A_ROW else ""
        return ServerFailed(
            f"{self.failure}: {days}{more} could not be read, all other days were; if the account is younger, "
            "set start_date to its first day"
        )

    # -- what was read

    def _finish(self, time_slice: TimeSlice) -> None:
        """Remove a time slice that was read from `left`, and join its range with those of its neighbors."""
        self._replace(time_slice, [])
        if not self.backfill or not self.is_rescanned or self.mode is ReadMode.REFRESH:
            return
        joined, others = ReadRange(time_slice.since, time_slice.until, time_slice.partial_sums), []
        for other in self.backfill.read_ranges:
            if other.until == joined.since:
                joined = ReadRange(
                    other.since, joined.until, self._join_partial_sums(joined.partial_sums, other.partial_sums)
                )
            elif other.since == joined.until:
                joined = ReadRange(
                    joined.since, other.until, self._join_partial_sums(other.partial_sums, joined.partial_sums)
                )
            else:
                others.append(other)
        self.backfill.read_ranges = [*others, joined]

    def _join_partial_sums(self, newer: dict[str, str], older: dict[str, str]) -> dict[str, str]:
        """Return the partial sums of two neighboring ranges, by consumer."""
        stores = self.reading.fingerprint_stores.items()
        joined = ((name, join(store, newer.get(name), older.get(name))) for name, store in stores)
        return {name: text for name, text in joined if text}


def _length(time_slice: TimeSlice) -> timedelta:
    return to_datetime(time_slice.until) - to_datetime(time_slice.since)


class SliceRead:
    """
    The read of one time slice. The page loop uses this object as the dispatcher.

    One PageDispatcher takes the rows of a list with rescans. The rows of a log are grouped, and each group has its own
    PageDispatcher: a fingerprint must cover the same rows in every sync.
    """

    page_reader: PageReader

    def __init__(self, slices: TimeSlices, time_slice: TimeSlice, is_one_period: bool) -> None:
        self.slices, self.time_slice, self.is_one_period = slices, time_slice, is_one_period
        self.reading, self.endpoint = slices.reading, slices.endpoint
        self._dispatchers: dict[str, PageDispatcher] = {}  # by group
        self._outcome: Outcome = []
        self._restarts = 0

    def read(self) -> Generator[Effect, Any, Outcome]:
        """Read the time slice. Return a refusal, or the parts to read instead, none if all was read."""
        if not self._open():
            return []
        is_read = yield from read_list(
            SliceRead.take,
            self,
            prepare_page=self._keep_inside_rows,
            on_shift=self._restart,
            on_refusal=self._keep_refusal,
            closes=False,
        )
        if not is_read:
            return self._outcome
        if both := halves(self.endpoint, self.page_reader.rows, self.time_slice.since, self.time_slice.until):
            return [TimeSlice(*half) for half in both]
        yield from self.end()
        return []

    def _open(self) -> bool:
        """Begin with the dates that are not too old for the filter (max_age). Return whether there are any."""
        time_slice, created = self.time_slice, self.reading.created
        since = max(time_slice.since, self.reading.max_age_limit)
        if since > time_slice.since:
            self.slices.resend_before(min(since, time_slice.until))
        if since >= time_slice.until:
            return False
        if self.slices.from_creation and created:
            newest_day = start_of_period(earlier(time_slice.until, SECOND), "")
            since = max(since, min(start_of_day(created), newest_day))
        top = self.endpoint.first_page(since, time_slice.until)
        if not self.is_one_period or self.slices.failure or time_slice.failed:
            top = replace(top, max_server_failures=ATTEMPTS)
        self.page_reader = PageReader(self.endpoint, top, time_slice.checkpoint)
        return True

    def _restart(self, shifted: PageShifted) -> SliceRead | None:
        self.time_slice.checkpoint, self.time_slice.partial_sums = None, {}
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise self.reading.incomplete(shifted) from None
        self._dispatchers = {}
        return self if self._open() else None

    def _keep_refusal(self, refusal: Refusal) -> None:
        if isinstance(refusal, Refused) and not self.slices.depends_on_dates(refusal):
            raise refusal
        self._outcome = refusal

    def _keep_inside_rows(self, page: Page) -> Page | None:
        """Drop the rows outside the time slice: a filter may list undated rows and neighbors. Split a long slice."""
        self.slices.longest_answered = max(self.slices.longest_answered or NO_TIME, _length(self.time_slice))
        dates = list_dates(self.endpoint, page.rows)
        self.reading.slices_overlap |= BEGINNING in dates
        rows = [row for row, date in zip(page.rows, dates) if self._contains(date)]
        self._outcome = self._parts_if_long(page, list(filter(self._contains, dates)))
        return None if self._outcome else replace(page, rows=rows)

    def _contains(self, date: Timestamp) -> bool:
        return self.time_slice.since <= date < self.time_slice.until

    def _parts_if_long(self, page: Page, dates: list[Timestamp]) -> list[TimeSlice]:
        """
        Return the parts of a long time slice, to be read side by side; none to read on.

        The parts start over: they read again, and send twice, what was read before this page. That is worth it on the
        first page, or if many more pages are left (WORTH_REREADING), since parts are read side by side.
        """
        time_slice, page_reader = self.time_slice, self.page_reader
        is_checkpoint_page = page_reader.is_resumed and page_reader.pages == 1
        if self.reading.slices_overlap or not page.next_uri or is_checkpoint_page:
            return []
        pages_left = pages_to(dates, time_slice.since)
        pages_again = 0 if page_reader.pages == 1 else page_reader.pages
        window = self.endpoint.stream.log_window
        if window and (pages_again or window.period):
            return []  # a row that is read in two groups has two fingerprints, and each sync would find one outdated
        if pages_again and page_reader.is_resumed:
            return []
        if pages_left < max(SPLIT_FACTOR * self.reading.slice_pages, WORTH_REREADING * pages_again):
            return []
        parts = split_evenly(self.reading, self.endpoint, time_slice.since, time_slice.until, pages_left)
        return parts if len(parts) > 1 else []

    # -- as the dispatcher

    def take(self, page: Page) -> Read:
        """Hand a page to the consumers, and save the progress in the time slice."""
        for name, group in self._groups(page):
            if name not in self._dispatchers:
                self._dispatchers[name] = self._dispatcher(name)
            yield from self.reading.take(self._dispatchers[name], group)
            if self.slices.is_rescanned:  # a log has no checkpoint, since its rows are pending in several groups
                self.time_slice.checkpoint = self._dispatchers[name].checkpoint
                detectors = self._dispatchers[name].detectors.items()
                sums = {
                    consumer: detector.partial_sums.text()
                    for consumer, detector in detectors
                    if isinstance(detector, SliceSums)
                }
                self.time_slice.partial_sums = {consumer: text for consumer, text in sums.items() if text}
            if self.slices.mode is ReadMode.REFRESH and self._dispatchers[name].has_unread_children:
                raise LimitReached

    def end(self) -> Read:
        """Compare the pending rows."""
        for dispatcher in self._dispatchers.values():
            yield from dispatcher.end()

    leave = end  # the page loop requires this method, but never calls it: a time slice is read to its end or given up

    def _groups(self, page: Page) -> list[tuple[str, Page]]:
        """Return the rows of a page that are compared together, each group with the name it has in every sync."""
        if self.slices.is_rescanned:
            return [("", page)]
        groups: dict[str, list[Row]] = {}
        for row, date in zip(page.rows, list_dates(self.endpoint, page.rows)):
            by_day = date >= self.slices.group_by_day_from
            name = start_of_period(date, self.slices.row_period) if by_day else self.time_slice.since
            groups.setdefault(name, []).append(row)
        return [(name, replace(page, rows=rows)) for name, rows in groups.items()]

    def _dispatcher(self, group: str) -> PageDispatcher:
        mode, detectors = self.slices.mode, dict[str, ChangeDetector | None]()
        for consumer in self.reading.consumers if mode is ReadMode.BACKFILL else ():
            if self.slices.is_rescanned:
                detectors[consumer.name] = consumer.slice_sums(mode, self.time_slice.partial_sums.get(consumer.name))
            else:
                detectors[consumer.name] = consumer.change_detector(mode, self.endpoint, group)
        return self.reading.dispatcher(mode, self.page_reader, detectors)


def split_evenly(
    reading: PartitionRead, endpoint: ListEndpoint, since: Timestamp, until: Timestamp, pages: float
) -> list[TimeSlice]:
    """Return time slices of even length from `since` to `until`, newest first, for a range of so many `pages`."""
    assert endpoint.stream.filter
    # MAX_PARTS bounds their number, so a very long list gets longer time slices. Otherwise each would be split again.
    reading.slice_pages = max(reading.slice_pages, pages / MAX_PARTS)
    start, end = to_datetime(since), to_datetime(until)
    most_units = (end - start) / endpoint.stream.filter.unit
    parts = max(1, int(min(ceil(pages / reading.slice_pages), MAX_PARTS, most_units)))
    if parts > 1 and endpoint.stream.is_log:
        bounds = _midnights(since, until)
    else:
        bounds = [from_datetime(start + (end - start) * index / parts) for index in range(parts + 1)]
    return [TimeSlice(low, high) for low, high in zip(bounds, bounds[1:]) if low < high][::-1]


def _midnights(since: Timestamp, until: Timestamp) -> list[Timestamp]:
    """Return bounds at midnights, so that each sync compares the same rows of a log."""
    start, end = to_datetime(since), to_datetime(until)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    step = ceil((end - start) / DAY / MAX_PARTS) * DAY
    midnights = [from_datetime(midnight + number * step) for number in range(1, MAX_PARTS + 1)]
    return [date for date in (since, *midnights, until) if date <= until]
