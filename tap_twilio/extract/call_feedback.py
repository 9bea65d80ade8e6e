"""
A child without a date that tells when to ask for it: recent rows of the parent are asked again and again.

Each sync asks the rows of the last `feedback_days` that its look-back met, the newest first, then on from a cursor, as
far as `feedback_requests` goes. Older rows are asked once, by the backfill or by rounds. Rounds also ask the rows that
stand elsewhere in the list than their time says, which no look-back meets.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from tap_twilio.changes.chunks import Chunks
from tap_twilio.changes.slice_sums import SliceSums
from tap_twilio.errors import PartitionError, Refused
from tap_twilio.log import about
from tap_twilio.state.model import FeedbackProgress
from tap_twilio.streams.model import Parent, Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ReadMode, Table
from tap_twilio.timestamps import BEGINNING, DAY, END, Timestamp, earlier, timestamp_of
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between
from tap_twilio.twilio.request import Page, Row

from .asked import Dated, LogWindow
from .call_scores import Found, SecondSource
from .child_streams import PageDispatcher

LOGGER = logging.getLogger("tap_twilio")
SIDE_BY_SIDE = 100  # rows asked at once, before the cursor in the state moves past them
MISSES = 2000  # after so many requests in a row that found nothing, rows are sampled,
SAMPLE = 100  # so many a sync, until one answers


@dataclass(frozen=True)
class Limits:
    """What the settings say: days and requests, whether older rows are asked once, and which sources there are."""

    days: timedelta
    requests: int
    backfill: bool
    first: bool
    second: bool


class CallFeedbackTable(Table):
    """Its bookmark moves when a window was asked whole; by a round only where that one asked every older row."""

    asks_rows = True  # whether it wants the parent's rows
    asks_all_again = False  # whether what a round asked so far is to be asked by another one
    progress: FeedbackProgress

    @property
    def resends_older(self) -> bool:
        return self.state.date_updated is None or self.state.resend_created_before is not None

    @property
    def in_rescans(self) -> bool:
        return not self.failed and self.asks_rows

    @property
    def only_when_served(self) -> bool:
        return True

    def finish_backfill(self, bookmark: Timestamp, resend_listed_before: Timestamp | None) -> None:
        if self.state.date_updated is None:
            self.advance(bookmark)
            bookmarks.resend_listed(self.state, resend_listed_before)
        self.note(bookmark)

    def finish_rescan(self, bookmark: Timestamp) -> None:
        if self.asks_all_again:
            return
        if self.state.date_updated is None or self.state.resend_created_before == END:
            self.advance(bookmark)
        bookmarks.finish_resend(self.state)
        self.note(bookmark)

    def note(self, late: Timestamp | None = None) -> None:
        """Write the progress into the state."""
        self.progress.late = late or self.progress.late
        self.state.feedback_progress = None if self.progress == FeedbackProgress() else self.progress


@dataclass
class CallFeedback:
    """A child that is asked row by row, as a single resource each."""

    table: CallFeedbackTable
    limits: Limits
    second: SecondSource | None
    began: Timestamp  # the sync's start
    lateness: timedelta
    oldest: Timestamp  # before every row of the parent
    failed: PartitionError | None = None

    def __post_init__(self) -> None:
        self.table.asks_rows = self.limits.first
        self.stream: Stream = self.table.stream
        self.account = self.table.account
        self.progress = self.table.progress = self.table.state.feedback_progress or FeedbackProgress()
        self._asked: set[str] = set()  # in this sync
        self._rated: set[str] = set()  # by the first source, in this sync
        self._announced = False

    def begin(self) -> None:
        """The sync begins, and the state holds what is owed."""
        state = self.table.state
        if self.table.resends_older and not self.limits.backfill:
            bookmarks.skip_older(state, earlier(self.began, self.lateness))
            self.progress.unasked = True
        self._older = self.table.resends_older  # whether this sync owes them
        self.progress.second_source_pending |= self._older
        self.meet_window()
        self._looks = not self._older  # whether the rows of the window are met by this sync
        self._window = LogWindow(self.limits.requests, self.progress.cursor)
        self.table.note()

    def hold_back(self, now: Timestamp) -> None:
        """Twilio's clock was put back."""
        self.began = min(self.began, now)
        if self.progress.began:
            self.progress.began = min(self.progress.began, now)
            self.table.note()

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def tables(self) -> list[Table]:
        return [self.table]

    def reader(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """The rows that it asks are chosen by their age."""
        return None

    def slice_sums(self, mode: ReadMode, read: str | None) -> SliceSums | None:
        return None

    @property
    def parent(self) -> Parent:
        assert self.stream.parent
        return self.stream.parent

    @property
    def reads_list(self) -> bool:
        """Whether it needs the parent's rows at all."""
        return self.limits.first

    def fail(self, error: PartitionError) -> None:
        self.failed = self.failed or error
        self.table.fail(error)

    def meet_window(self) -> None:
        """Where the window begins: by the bookmark before this sync asks it, that of a backfill of several syncs."""
        state, root = self.table.state, self.table.root
        self._edge = earlier(state.date_updated or self.began, self.limits.days)
        # A round that began earlier meets what was in its window then.
        known = [date for date in (state.date_updated, root.finished, self.progress.late) if date]
        self._edge_of_rescans = earlier(min(known, default=self.began), self.limits.days)

    @property
    def reach(self) -> Timestamp | None:
        """How far back it needs the look-back to read."""
        return earlier(self._edge, DAY) if self.limits.first and self.table.state.date_updated else None

    @property
    def _sampling(self) -> bool:
        return self.progress.misses >= MISSES

    # -- which rows

    def begin_look_back(self) -> None:
        """A look-back begins, perhaps once more, at the top."""
        self._looks = self.table.state.date_updated is not None
        self.begin_window()

    def begin_window(self) -> None:
        """The rows of the window are met from the first."""
        self._window = LogWindow(self.limits.requests, self.progress.cursor)

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read:
        """Older rows are asked at once, the window's when all of it is known."""
        mode, endpoint = dispatcher.mode, dispatcher.page_reader.endpoint
        if not self.limits.first:
            return
        asked: list[str] = []
        whole = (
            mode in (ReadMode.BACKFILL, ReadMode.FULL_TABLE) and not self._older
        )  # a read of the list that also meets the window
        if self._looks and (mode in (ReadMode.LOOKBACK, ReadMode.LOOKBACK_OF_RESCAN) or whole):
            for row in self._ended(endpoint, page.rows, self._edge):
                self._window.add(row)
        if self._looks and mode is ReadMode.FULL_TABLE_AGAIN and not self._older:
            asked += [key for _, key in self._ended(endpoint, page.rows, self._edge)]
        if mode in (ReadMode.RESCAN, ReadMode.FULL_TABLE) or (mode is ReadMode.BACKFILL and not self._older):
            late = [row for row in page.rows if self._began_late(endpoint, row)]
            asked += [key for _, key in self._ended(endpoint, late, self._edge_of_rescans)]
        resend_listed_before = self.table.state.resend_listed_before
        if resend_listed_before and mode in (ReadMode.LOOKBACK_OF_RESCAN, ReadMode.RESCAN, ReadMode.FULL_TABLE):
            rows = [
                row for row in page.rows if (timestamp_of(endpoint.listed(row)) or BEGINNING) < resend_listed_before
            ]
            asked += [key for _, key in self._ended(endpoint, rows, BEGINNING)]
        if self._older and mode is not ReadMode.LOOKBACK and self._is_served(mode):
            state = self.table.state
            resend_created_before = END if state.date_updated is None else state.resend_created_before or END
            rows = [
                row for row in page.rows if (timestamp_of(row.get("date_created")) or BEGINNING) < resend_created_before
            ]
            asked += [key for _, key in self._ended(endpoint, rows, BEGINNING)]
            self._announce(endpoint, page)
        yield from self._ask_all([key for key in dict.fromkeys(asked) if key not in self._asked])

    def _is_served(self, mode: ReadMode) -> bool:
        return self.table.date_rule(mode) is not None

    def _ended(self, endpoint: ListEndpoint, rows: list[Row], since: Timestamp) -> Iterator[Dated]:
        key = next(iter(self.parent.path_params.values()))
        for row in rows:
            created = timestamp_of(row.get("date_created")) or END
            began = timestamp_of(endpoint.listed(row)) or created
            where = self.parent.where
            if (not where or where.holds(row)) and created >= self.table.start_date and began >= since:
                yield began, row[key]

    @staticmethod
    def _began_late(endpoint: ListEndpoint, row: Row) -> bool:
        """Whether a row never began, or more than a day after it was created, by which Twilio may sort it."""
        began, created = timestamp_of(endpoint.listed(row)), timestamp_of(row.get("date_created"))
        if not began or not created:
            return True
        return began[:10] != created[:10] and earlier(began, DAY) > created  # most began on the day itself

    def _announce(self, endpoint: ListEndpoint, page: Page) -> None:
        if not self._announced and page.rows:
            self._announced = True
            pages = 1 + (pages_between(endpoint, page, self.oldest) if page.next else 0)
            LOGGER.info(
                "%s %s: about %d requests, one for each row of %s; feedback_backfill: false skips them",
                self.stream.name,
                self.account,
                round(pages * len(page.rows)),
                self.parent.stream,
                extra=about(self.stream.name),
            )

    # -- after the look-back, or the backfill

    def read_feedback(self, whole: bool) -> Read:
        """Ask the window, and the second source. `whole`: whether this sync met every row of the window."""
        try:
            if self.second and self.limits.second:
                yield from self._ask_second(
                    self.second, self.oldest if self.progress.second_source_pending else self._edge
                )
            if not self.limits.first:
                self._finish_window(self.began)
                bookmarks.skip_resend(self.table.state)
            elif self._looks:
                yield from self._ask_window(whole)
        except PartitionError as error:
            self.fail(error)

    def _ask_window(self, whole: bool) -> Read:
        """
        Ask the rows of the window, as far as the budget goes: the newest, then on from the cursor.

        When the last of them was asked, the start of that round becomes the bookmark.
        """
        window, progress = self._window, self.progress
        if self._sampling:
            yield from self._sample(sorted(window.newest, reverse=True))
            return
        left = self.limits.requests - len(self._asked)
        left = max(1, left, self.limits.requests // 2)  # many scores do not use up what the window needs
        newest = sorted(window.newest, reverse=True)
        if progress.began and progress.cursor:
            fresh = [row for row in newest if row[0] >= progress.began][: left // 2]
            yield from self._ask_rows(fresh)
            below = sorted(window.below, reverse=True)[: left - len(fresh)]
            yield from self._ask_rows(below, moves_cursor=True)
            left -= len(fresh) + len(below)
            if left <= 0 or window.more_below or not whole:
                return
            self._finish_window(progress.began)
        progress.began, progress.cursor = self.began, None
        todo = [row for row in newest if row[1] not in self._asked]
        yield from self._ask_rows(todo[:left], moves_cursor=True)
        if whole and len(todo) <= left and window.count <= len(window.newest):
            self._finish_window(self.began)
        elif whole:
            syncs = -(-window.count // self.limits.requests)
            said = "%s %s: %d rows, all asked every %d syncs"
            LOGGER.info(said, self.stream.name, self.account, window.count, syncs, extra=about(self.stream.name))
        self.table.note()

    def _ask_rows(self, rows: list[Dated], moves_cursor: bool = False) -> Read:
        """Ask those that this sync did not ask yet, and move the cursor past all of them."""
        for at in range(0, len(rows), SIDE_BY_SIDE):
            chunk = rows[at : at + SIDE_BY_SIDE]
            yield from self._ask_all([key for _, key in chunk if key not in self._asked])
            if moves_cursor:
                self.progress.cursor = chunk[-1]
                self.table.note()

    def _sample(self, newest: list[Dated]) -> Read:
        """Ask a few; the window then counts as asked."""
        yield [self._ask(key) for _, key in newest[:SAMPLE] if key not in self._asked]
        if self._sampling:
            self._finish_window(self.began, asked=False)

    def _finish_window(self, began: Timestamp, asked: bool = True) -> None:
        if not self.failed:
            self.table.advance(earlier(began, self.lateness))
        self.progress.began = self.progress.cursor = None
        self.progress.unasked = self.progress.unasked and not asked
        self.table.note()

    # -- the first source

    def _ask_all(self, keys: list[str]) -> Read:
        for at in range(0, len(keys), SIDE_BY_SIDE):
            if not self._sampling:
                yield [self._ask(key) for key in keys[at : at + SIDE_BY_SIDE]]

    def _ask(self, key: str) -> Read:
        """What one row of the parent has below it: emitted when it changed. 404 is none."""
        endpoint = ListEndpoint(self.stream, self.account, 1, values=dict.fromkeys(self.parent.path_params, key))
        try:
            page: Page = yield endpoint.top()
        except Refused as refused:
            if not refused.says_absent:
                raise
            self._asked.add(key)  # not before: who finds it there takes the answer for known
            self._missed()
            return
        self._asked.add(key)
        self._rated.add(key)
        self._found()
        page = endpoint.complete(page)
        row = {**page.rows[0]}
        if self.stream.second:
            row[self.stream.second.source] = self.stream.second.names[0]
        yield from self.table.compare(key, row, page.stamp)

    def _missed(self) -> None:
        if self._rated:
            return  # it answered in this sync: what the second source reports is asked first, and the rest in vain
        self.progress.misses += 1
        if self.progress.misses == MISSES:
            LOGGER.warning(
                "%s %s: %d requests in a row found nothing (Twilio announced the end of this resource for 2023), so %d "
                "a sync sample it, until one answers",
                self.stream.name,
                self.account,
                MISSES,
                SAMPLE,
                extra=about(self.stream.name),
            )
        self.table.note()

    def _found(self) -> None:
        """One that answers after samples means that others may, and older ones: all of them are asked again."""
        if self._sampling:
            self.progress.unasked = self.table.asks_all_again = True
            bookmarks.resend_all(self.table.state)
        self.progress.misses = 0
        self.table.note()

    # -- the second source

    def _ask_second(self, second: SecondSource, since: Timestamp) -> Read:
        found: Found = {}
        second.answered = self.progress.second_answered
        try:
            yield from second.find(max(since, self.table.start_date), earlier(self.began, -DAY), found)
        finally:
            self.progress.second_answered = second.answered
        if second.is_off:
            return  # what is owed stays so, for the day on which the account gets it
        yield [self._rate(second, page, key, row) for key, (page, row) in found.items()]
        self.progress.second_source_pending = False
        self.table.note()

    def _rate(self, second: SecondSource, page: Page, key: str, row: Row) -> Read:
        """Emit what the second source has, unless the first one has a row, which then counts."""
        if self.limits.first and key not in self._asked:
            yield from self._ask(key)
        if key not in self._rated:
            filled = yield from second.record(page, key, row)
            empty = dict.fromkeys(("date_created", "date_updated"))
            yield from self.table.compare(key, {self.stream.key[0]: key, **empty, **filled}, page.stamp)
