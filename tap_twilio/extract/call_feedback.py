"""
Read call feedback: the ratings of calls. No list of Twilio's shows which call was rated, so most calls cost a request.

`CallFeedback` is a consumer of the list of calls, in one account; run/plan.py creates it. The strategy (strategy.py)
calls `begin` before a sync reads calls, and `read_feedback` afterwards. The dispatcher (dispatch.py) calls `take` with
each page of calls. `CallFeedbackTable` gets the answers, and emits the ratings that changed.

A method that returns a `Read` is a generator that does no I/O itself (tables/effects.py): it yields a request, and the
scheduler sends the page back; it yields a list of reads, and the scheduler runs them at the same time.

A rating has one of two sources: the Feedback resource of the call, with one request a call, or the scores, which are a
list of Voice Insights (call_scores.py). If both have a rating, the Feedback resource counts.

Older calls are requested once, recent calls (`feedback_days`) again and again, in cycles. A cycle requests each recent
call once, the newest first. A sync requests at most `feedback_requests` calls, so a cycle may take several syncs. Each
sync first collects the recent calls that it reads, and then goes on with the open cycle. The state keeps the start of
the cycle and its cursor: the call that the cycle requested last. `DUE` says which read requests which calls.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Flag, auto
from typing import Any, NamedTuple

from tap_twilio.changes.chunks import Chunks
from tap_twilio.changes.slice_sums import SliceSums
from tap_twilio.errors import PartitionError, Refused
from tap_twilio.log import about
from tap_twilio.state.model import FeedbackProgress
from tap_twilio.streams.model import Parent, Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode, Table
from tap_twilio.timestamps import BEGINNING, DAY, END, Timestamp, earlier, timestamp_or_none
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between
from tap_twilio.twilio.request import Page, Row

from .call_scores import CallScores, ScoredCalls
from .dispatch import BATCH, PageDispatcher

LOGGER = logging.getLogger("tap_twilio")
MAX_MISSES = 2000  # after so many requests in a row without feedback, a sync requests only a sample
SAMPLE_SIZE = 100  # of the newest calls
DatedCall = tuple[Timestamp, str]  # `Call.sort_date` and the SID


class Due(Flag):
    """Groups of calls that a read is to request. A call may belong to several."""

    RECENT_WITHIN_LIMIT = auto()  # calls of the last `feedback_days`: after the read, at most `feedback_requests`
    ALL_RECENT = auto()  # the same calls, but all of them, and during the read
    MISSED_BY_LOOKBACK = auto()  # recent calls that a lookback may miss, because Twilio may list them by their creation
    NOT_IN_BACKFILL = auto()  # calls that the backfill in time slices did not show: undated or too old
    OLDER = auto()  # calls of any age, or those before the last sync's `start_date`; each is requested once


_RESCANNED = Due.MISSED_BY_LOOKBACK | Due.NOT_IN_BACKFILL
# By mode of the read: the groups in a usual sync, and in a sync that still has to request older calls. In a first sync,
# every call counts as older, recent calls too.
DUE: Mapping[ReadMode, tuple[Due, Due]] = {
    ReadMode.BACKFILL: (Due.RECENT_WITHIN_LIMIT | Due.MISSED_BY_LOOKBACK, Due.OLDER),
    ReadMode.LOOKBACK: (Due.RECENT_WITHIN_LIMIT, Due.RECENT_WITHIN_LIMIT),
    ReadMode.LOOKBACK_OF_RESCAN: (
        Due.RECENT_WITHIN_LIMIT | Due.NOT_IN_BACKFILL,
        Due.RECENT_WITHIN_LIMIT | Due.NOT_IN_BACKFILL | Due.OLDER,
    ),
    ReadMode.RESCAN: (_RESCANNED, _RESCANNED | Due.OLDER),
    ReadMode.FULL_TABLE: (Due.RECENT_WITHIN_LIMIT | _RESCANNED, _RESCANNED | Due.OLDER),
    ReadMode.READ_AGAIN: (Due.ALL_RECENT, Due.OLDER),
}


@dataclass(frozen=True)
class FeedbackSettings:
    """The settings of call feedback."""

    days: timedelta  # how old a recent call is at most
    requests: int  # for recent calls in one sync
    backfill: bool  # whether older calls are requested
    uses_feedback_resource: bool  # the Feedback resource of each call is a source
    uses_scores: bool  # the scores of Voice Insights are a source


class Call(NamedTuple):
    """A call that ended."""

    sid: str
    start_time: Timestamp | None
    created: Timestamp | None

    @property
    def sort_date(self) -> Timestamp:
        """Return the date that decides whether the call is recent: its start, else its creation."""
        return self.start_time or self.created or END

    @property
    def may_be_missed_by_lookback(self) -> bool:
        """Return whether the call never started, or started over a day after its creation."""
        if not self.start_time or not self.created:
            return True
        return self.start_time[:10] != self.created[:10] and earlier(self.start_time, DAY) > self.created


@dataclass
class RecentCalls:
    """The recent calls that a read showed: their count, and as many of them as one sync can request."""

    limit: int
    cursor: DatedCall | None = None
    count: int = 0
    newest: list[DatedCall] = field(default_factory=list)  # a heap of the newest calls
    before_cursor: list[DatedCall] = field(default_factory=list)  # a heap of the newest calls before the cursor
    has_more_before_cursor: bool = False

    def add(self, call: DatedCall) -> None:
        self.count += 1
        self._push(self.newest, call)
        if self.cursor and call < self.cursor:
            self.has_more_before_cursor |= self._push(self.before_cursor, call)

    def _push(self, heap: list[DatedCall], call: DatedCall) -> bool:
        """Add a call to a heap. Return whether the heap dropped one."""
        if len(heap) < self.limit:
            heapq.heappush(heap, call)
            return False
        heapq.heappushpop(heap, call)
        return True


class CallFeedbackTable(Table):
    """
    The table of call feedback.

    Its bookmark moves at the end of a cycle. A rescan moves it only if it also requested all older calls. The dates
    `resend_…` of its state say which calls to request again.
    """

    needs_calls = True  # as in CallFeedback
    needs_another_rescan = False  # the open rescan skipped calls while this sync sampled
    progress: FeedbackProgress

    @property
    def is_older_due(self) -> bool:
        """Return whether older calls are still to be requested."""
        return self.state.date_updated is None or self.state.resend_created_before is not None

    @property
    def is_in_rescans(self) -> bool:
        """Return whether a rescan of calls that begins includes this table."""
        return not self.failed and self.needs_calls

    @property
    def must_be_included(self) -> bool:
        """Return True: a read that began without this table has not requested the calls of its first pages."""
        return True

    def finish_backfill(self, bookmark: Timestamp, resend_listed_before: Timestamp | None) -> None:
        if self.state.date_updated is None:
            self.advance(bookmark)
            bookmarks.resend_listed(self.state, resend_listed_before)
        self._note_late_starts_done(bookmark)

    def finish_rescan(self, bookmark: Timestamp) -> None:
        if self.needs_another_rescan:
            return
        if self.state.date_updated is None or self.state.resend_created_before == END:
            self.advance(bookmark)
        bookmarks.finish_resend(self.state)
        self._note_late_starts_done(bookmark)

    def _note_late_starts_done(self, bookmark: Timestamp) -> None:
        """Note that a read that ended requested the recent calls that a lookback may miss."""
        self.progress.late_starts_done_at = bookmark
        self.save_progress()

    def save_progress(self) -> None:
        """Write the progress into the state."""
        self.state.feedback_progress = None if self.progress == FeedbackProgress() else self.progress


@dataclass
class CallFeedback:
    """The consumer of calls that requests their feedback, in one account."""

    table: CallFeedbackTable
    settings: FeedbackSettings
    scores: CallScores | None
    began: Timestamp  # the start of the sync
    lateness: timedelta  # how long after a change Twilio may list it (the setting `lateness_hours`)
    oldest: Timestamp  # no call is older
    failed: PartitionError | None = None

    def __post_init__(self) -> None:
        self.table.needs_calls = self.needs_calls
        self.stream: Stream = self.table.stream
        self.account = self.table.account
        self.progress = self.table.progress = self.table.state.feedback_progress or FeedbackProgress()
        self._requested: set[str] = set()  # the SIDs of calls, in this sync
        self._rated: set[str] = set()  # those of them that have a Feedback resource
        self._has_logged_cost = False

    # -- as a consumer (dispatch.py)

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def tables(self) -> list[Table]:
        return [self.table]

    @property
    def parent(self) -> Parent:
        assert self.stream.parent
        return self.stream.parent

    @property
    def needs_calls(self) -> bool:
        """Return whether the calls must be read: their Feedback resources are a source."""
        return self.settings.uses_feedback_resource

    @property
    def lookback_since(self) -> Timestamp | None:
        """Return the date down to which the lookback must read calls; None if it may stop at its usual date."""
        return earlier(self._recent_since, DAY) if self.needs_calls and self.table.state.date_updated else None

    def fail(self, error: PartitionError) -> None:
        self.failed = self.failed or error
        self.table.fail(error)

    def change_detector(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """Return None: a call is requested because of its age, and not because its row changed."""
        return None

    def slice_sums(self, mode: ReadMode, sums: str | None) -> SliceSums | None:
        return None

    def end(self, dispatcher: PageDispatcher, detector: Chunks) -> Read:
        """Do nothing: without a detector, no row is pending."""
        yield from ()

    def leave(self, dispatcher: PageDispatcher, detector: Chunks) -> Read:
        yield from ()

    # -- before the calls are read

    def begin(self) -> None:
        """Decide which calls this sync requests."""
        state = self.table.state
        if self.table.is_older_due and not self.settings.backfill:
            bookmarks.skip_older(state, earlier(self.began, self.lateness))
        self._requests_older = self.table.is_older_due  # as the sync began
        self._requests_recent = not self._requests_older
        self.progress.scores_pending |= self._requests_older
        self.update_recent_since()
        self.forget_recent()
        self.table.save_progress()

    def update_recent_since(self) -> None:
        """Set the date from which calls are recent: `feedback_days` before the bookmark."""
        state, list_state = self.table.state, self.table.list_state
        self._recent_since = earlier(state.date_updated or self.began, self.settings.days)
        # Only some reads request the calls that a lookback may miss, so these calls count as recent for longer.
        known = [
            date for date in (state.date_updated, list_state.finished_at, self.progress.late_starts_done_at) if date
        ]
        self._missed_by_lookback_since = earlier(min(known, default=self.began), self.settings.days)

    def begin_lookback(self) -> None:
        """Prepare for a lookback, which reads calls from the top of the list. It may begin several times."""
        self._requests_recent = self.table.state.date_updated is not None
        self.forget_recent()

    def forget_recent(self) -> None:
        """Forget the recent calls that were collected, because the read begins again."""
        self._recent = RecentCalls(self.settings.requests, self.progress.cursor)

    def cap_dates(self, now: Timestamp) -> None:
        """Correct dates of this sync that are later than Twilio's clock, which was set back."""
        self.began = min(self.began, now)
        if self.progress.began:
            self.progress.began = min(self.progress.began, now)
            self.table.save_progress()

    # -- while the calls are read

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read:
        """Collect recent calls of a page for `read_feedback`, and request the calls that are due during the read."""
        if not self.needs_calls:
            return
        if dispatcher.mode is ReadMode.REFRESH:
            yield from self._request_again(dispatcher.page_reader.endpoint, page)
            return
        endpoint, due = dispatcher.page_reader.endpoint, self._due(dispatcher.mode)
        calls = list(self._ended_calls(endpoint, page.rows))
        if Due.RECENT_WITHIN_LIMIT in due:
            for call in calls:
                if call.sort_date >= self._recent_since:
                    self._recent.add((call.sort_date, call.sid))
        if Due.OLDER in due:
            self._log_cost(endpoint, page)
        yield from self._request_all(self._due_during_read(due, calls))

    def _due(self, mode: ReadMode) -> Due:
        usual, with_older = DUE[mode]
        due = with_older if self._requests_older else usual
        if not self._requests_recent:
            due &= ~Due.RECENT_WITHIN_LIMIT
        if self.table.date_rule(mode) is None:  # the open read began before this table was selected
            due &= ~Due.OLDER
        return due

    def _due_during_read(self, due: Due, calls: Sequence[Call]) -> list[str]:
        """Return the SIDs of the calls that are due during the read, group by group."""
        state = self.table.state
        listed_before = state.resend_listed_before or BEGINNING
        created_before = END if state.date_updated is None else state.resend_created_before or END
        groups: dict[Due, Callable[[Call], bool]] = {
            Due.ALL_RECENT: lambda call: call.sort_date >= self._recent_since,
            Due.MISSED_BY_LOOKBACK: lambda call: (
                call.may_be_missed_by_lookback and call.sort_date >= self._missed_by_lookback_since
            ),
            Due.NOT_IN_BACKFILL: lambda call: (call.start_time or BEGINNING) < listed_before,
            Due.OLDER: lambda call: (call.created or BEGINNING) < created_before,
        }
        chosen = [call.sid for group, holds in groups.items() if group in due for call in calls if holds(call)]
        return list(dict.fromkeys(chosen))

    def _ended_calls(self, endpoint: ListEndpoint, rows: Iterable[Row]) -> Iterator[Call]:
        """Yield the calls that ended and were created since `start_date`."""
        key, where = next(iter(self.parent.path_params.values())), self.parent.where
        for row in rows:
            if where and not where.matches(row):
                continue
            start_time, created = timestamp_or_none(endpoint.list_date(row)), timestamp_or_none(row.get("date_created"))
            if created is None or self.table.start_date <= created < self.table.end_date:
                yield Call(row[key], start_time, created)

    # -- a refresh

    def counts_visit(self, endpoint: ListEndpoint, row: Row) -> bool:
        """Return False: as in a backfill, no limit applies to the calls of a refresh."""
        return False

    def _request_again(self, endpoint: ListEndpoint, page: Page) -> Read:
        """Request the calls that the open refresh selects, and emit their ratings, changed or not."""
        rule = self.table.refresh_rule(endpoint.stream)
        calls = self._ended_calls(endpoint, page.rows) if rule else ()
        sids = [call.sid for call in calls if rule and rule.is_due((None, call.start_time, call.created))]
        for at in range(0, len(sids), BATCH):
            for sid in sids[at : at + BATCH]:
                self.table.forget(sid)
            yield [self._request(sid) for sid in sids[at : at + BATCH]]

    def read_scores_again(self) -> Read:
        """Emit the scores of the calls that the open refresh selects, after these calls were requested."""
        refresh = self.table.refresh
        if refresh and self.scores and self.settings.uses_scores:
            scored = yield from self._list_scores(self.scores, max(refresh.since, self.oldest), refresh.until)
            for sid in scored:
                if sid not in self._rated:
                    self.table.forget(sid)
            yield [self._emit_score(self.scores, page, sid, row) for sid, (page, row) in scored.items()]

    # -- the cost of a backfill

    def _log_cost(self, endpoint: ListEndpoint, page: Page) -> None:
        if not self._has_logged_cost and page.rows:
            self._has_logged_cost = True
            pages = 1 + (pages_between(endpoint, page, self.oldest) if page.next_uri else 0)
            LOGGER.info(
                "%s %s: backfill: about %d requests, one per row of %s (set feedback_backfill: false to skip)",
                self.stream.name,
                self.account,
                round(pages * len(page.rows)),
                self.parent.stream,
                extra=about(self.stream.name),
            )

    # -- after the lookback, or the backfill

    def read_feedback(self, *, saw_all: bool) -> Read:
        """Read the scores, and request the recent calls. `saw_all`: this sync read all recent calls."""
        try:
            if self.scores and self.settings.uses_scores:
                since = self.oldest if self.progress.scores_pending else self._recent_since
                yield from self._read_scores(self.scores, since)
            if not self.needs_calls:
                self._finish_cycle(self.began)
                bookmarks.skip_resend(self.table.state)
            elif self._requests_recent:
                yield from self._request_recent(saw_all)
        except PartitionError as error:
            self.fail(error)

    def _request_recent(self, saw_all: bool) -> Read:
        """Go on with the open cycle. If it ends, begin another one with what is left of `feedback_requests`."""
        newest, progress = sorted(self._recent.newest, reverse=True), self.progress
        if self._is_sampling:
            yield from self._sample(newest)
            return
        left = self.settings.requests - len(self._requested)
        left = max(1, left, self.settings.requests // 2)  # many scores do not use up what the recent calls need
        if progress.began and progress.cursor:
            left = yield from self._continue_cycle(newest, progress.began, left)
            if left <= 0 or self._recent.has_more_before_cursor or not saw_all:
                return
            self._finish_cycle(progress.began)
        yield from self._begin_cycle(newest, left, saw_all)

    def _continue_cycle(self, newest: Sequence[DatedCall], began: Timestamp, left: int) -> Read:
        """
        Request calls since the cycle began, then the calls before the cursor. Return how many requests are left.

        The former take at most half of the requests, so that the cycle ends.
        """
        fresh = [call for call in newest if call[0] >= began][: left // 2]
        yield from self._request_dated(fresh)
        rest = sorted(self._recent.before_cursor, reverse=True)[: left - len(fresh)]
        yield from self._request_dated(rest, moves_cursor=True)
        return left - len(fresh) - len(rest)

    def _begin_cycle(self, newest: Sequence[DatedCall], left: int, saw_all: bool) -> Read:
        """Begin a cycle with the newest calls. The cycle ends at once if that is all recent calls."""
        self.progress.began, self.progress.cursor = self.began, None
        due = [call for call in newest if call[1] not in self._requested]
        yield from self._request_dated(due[:left], moves_cursor=True)
        count = self._recent.count
        if saw_all and len(due) <= left and count <= len(newest):
            self._finish_cycle(self.began)
        elif saw_all:
            LOGGER.info(
                "%s %s: %d recent rows of %s, too many for one sync: each is requested every %d syncs (raise "
                "feedback_requests to request it more often)",
                self.stream.name,
                self.account,
                count,
                self.parent.stream,
                -(-count // self.settings.requests),
                extra=about(self.stream.name),
            )
        self.table.save_progress()

    def _finish_cycle(self, began: Timestamp) -> None:
        """Move the bookmark to the start of the cycle."""
        if not self.failed:
            self.table.advance(earlier(began, self.lateness))
        self.progress.began = self.progress.cursor = None
        self.table.save_progress()

    @property
    def _is_sampling(self) -> bool:
        return self.progress.misses >= MAX_MISSES

    def _sample(self, newest: Sequence[DatedCall]) -> Read:
        """Request a few calls; then all recent calls count as requested."""
        yield [self._request(sid) for _, sid in newest[:SAMPLE_SIZE] if sid not in self._requested]
        if self._is_sampling:
            self._finish_cycle(self.began)

    # -- the Feedback resource of a call

    def _request_dated(self, calls: Sequence[DatedCall], moves_cursor: bool = False) -> Read:
        """Request the feedback of calls, and move the cursor past them."""
        for at in range(0, len(calls), BATCH):
            batch = calls[at : at + BATCH]
            yield from self._request_all([sid for _, sid in batch])
            if moves_cursor:
                self.progress.cursor = batch[-1]
                self.table.save_progress()

    def _request_all(self, sids: Sequence[str]) -> Read:
        """Request the feedback of the calls that this sync has not requested; of none while sampling."""
        due = [sid for sid in sids if sid not in self._requested]
        for at in range(0, len(due), BATCH):
            if not self._is_sampling:
                yield [self._request(sid) for sid in due[at : at + BATCH]]

    def _request(self, sid: str) -> Read:
        """Request the feedback of a call, and emit it if it changed. HTTP 404: the call has no feedback."""
        endpoint = ListEndpoint(self.stream, self.account, 1, values=dict.fromkeys(self.parent.path_params, sid))
        try:
            page: Page = yield endpoint.first_page()
        except Refused as refused:
            if not refused.says_absent:
                raise
            self._requested.add(sid)  # not before the answer: `_emit_score` needs to know `_rated`
            self._count_miss()
            return
        self._requested.add(sid)
        self._rated.add(sid)
        self._reset_misses()
        page = endpoint.check_and_add_derived(page)
        row = {**page.rows[0]}
        if self.stream.score_list:
            row[self.stream.score_list.source_column] = self.stream.score_list.source_names[0]
        yield from self.table.emit_if_changed(sid, row, page.times)

    def _count_miss(self) -> None:
        if self._rated:  # there is feedback, so the misses of this sync do not show that the resource is gone
            return
        self.progress.misses += 1
        if self.progress.misses == MAX_MISSES:
            LOGGER.warning(
                "%s %s: %d requests in a row found nothing (Twilio announced the end of this resource for 2023): each "
                "sync requests only the newest %d, until one has feedback",
                self.stream.name,
                self.account,
                MAX_MISSES,
                SAMPLE_SIZE,
                extra=about(self.stream.name),
            )
        self.table.save_progress()

    def _reset_misses(self) -> None:
        """Count misses from zero. If this sync sampled, have all calls requested again: more may have feedback."""
        if self._is_sampling:
            self.table.needs_another_rescan = True
            bookmarks.resend_all(self.table.state)
        self.progress.misses = 0
        self.table.save_progress()

    # -- the scores of Voice Insights

    def _read_scores(self, scores: CallScores, since: Timestamp) -> Read:
        scored = yield from self._list_scores(scores, since, END)
        if scores.is_unavailable:
            return  # `scores_pending` stays, in case the account gets Voice Insights later
        yield [self._emit_score(scores, page, sid, row) for sid, (page, row) in scored.items()]
        self.progress.scores_pending = False
        self.table.save_progress()

    def _list_scores(
        self, scores: CallScores, since: Timestamp, until: Timestamp
    ) -> Generator[Effect, Any, ScoredCalls]:
        """Return the scored calls that started between two dates."""
        scored: ScoredCalls = {}
        scores.has_answered = self.progress.scores_answered
        until = min(until, earlier(self.began, -DAY), self.table.end_date)
        try:
            yield from scores.read(max(since, self.table.start_date), until, scored)
        finally:
            self.progress.scores_answered = scores.has_answered
        return scored

    def _emit_score(self, scores: CallScores, page: Page, sid: str, row: Row) -> Read:
        """Emit the score of a call that has no Feedback resource."""
        if self.needs_calls and sid not in self._requested:
            yield from self._request(sid)
        if sid not in self._rated:
            values = yield from scores.rating_of(page, sid, row)
            no_dates = dict.fromkeys(("date_created", "date_updated"))
            yield from self.table.emit_if_changed(sid, {self.stream.key[0]: sid, **no_dates, **values}, page.times)
