"""
Read call feedback: ratings of calls, which no list of recent changes shows.

There are two sources: a Feedback resource for each call, and the list of call summaries of Voice Insights, which can be
filtered by score. If both have a rating, the Feedback resource counts.

Each sync requests the feedback of recent calls again: of the last `feedback_days`, the newest first, then from a cursor
on, up to `feedback_requests`. The feedback of older calls is requested once, by the backfill or by a rescan. A rescan
also requests that of recent calls which the lookback cannot meet, because they stand lower in the list.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from tap_twilio.changes.chunks import Chunks
from tap_twilio.changes.slice_sums import SliceSums
from tap_twilio.errors import NotAvailable, PartitionError, Refused
from tap_twilio.log import about
from tap_twilio.state.model import FeedbackProgress
from tap_twilio.streams.model import Parent, ScoreList, Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ReadMode, Table
from tap_twilio.timestamps import BEGINNING, DAY, END, Timestamp, earlier, later, timestamp_or_none
from tap_twilio.twilio.endpoint import ListEndpoint, pages_between, path_of
from tap_twilio.twilio.request import Fetch, Page, Row

from .dispatch import PageDispatcher
from .page_reader import PageReader
from .read_list import read_pages

LOGGER = logging.getLogger("tap_twilio")
SIDE_BY_SIDE = 100  # requests at the same time, before the cursor in the state moves past their calls
MISSES = 2000  # after so many requests in a row without feedback, a sync only samples the newest calls
SAMPLE = 100
SCORE_SLICE = 40 * DAY  # longer than a call can be scored after its start, so that a usual sync needs one query a score
Dated = tuple[Timestamp, str]  # a call's start (its creation, if it never started), and its SID
ScoredCalls = dict[str, tuple[Page, Row]]  # by the SIDs of the calls


@dataclass(frozen=True)
class Limits:
    """The settings of call feedback."""

    days: timedelta
    requests: int
    backfill: bool
    uses_calls: bool  # the Feedback resource of each call is a source
    uses_scores: bool  # the list of call summaries is a source


class Call(NamedTuple):
    """A call that ended."""

    started: Timestamp  # its creation, if it never started
    sid: str
    listed: Timestamp | None
    created: Timestamp | None

    @property
    def is_listed_late(self) -> bool:
        """Return whether the call never started, or over a day after its creation, by which Twilio may sort it."""
        if not self.listed or not self.created:
            return True
        return self.listed[:10] != self.created[:10] and earlier(self.listed, DAY) > self.created


@dataclass
class RecentCalls:
    """The recent calls that a read met: the newest ones, as many as a sync can request, of any number."""

    limit: int
    cursor: Dated | None = None
    count: int = 0
    newest: list[Dated] = field(default_factory=list)  # a heap
    before_cursor: list[Dated] = field(default_factory=list)  # a heap of the newest calls before the cursor
    has_more_before_cursor: bool = False

    def add(self, call: Dated) -> None:
        self.count += 1
        self._push(self.newest, call)
        if self.cursor and call < self.cursor:
            self.has_more_before_cursor |= self._push(self.before_cursor, call)

    def _push(self, heap: list[Dated], call: Dated) -> bool:
        """Add a call to a heap. Return whether another one had to go."""
        if len(heap) < self.limit:
            heapq.heappush(heap, call)
            return False
        heapq.heappushpop(heap, call)
        return True


class CallFeedbackTable(Table):
    """
    The table of call feedback.

    Its bookmark moves after the feedback of all recent calls was requested. A rescan moves it only if it requested the
    feedback of all older calls as well.
    """

    reads_calls = True  # the table wants the rows of the calls
    needs_another_rescan = False  # the calls that the open rescan met so far are to be requested again
    progress: FeedbackProgress

    @property
    def resends_older(self) -> bool:
        """Return whether the feedback of older calls is to be requested."""
        return self.state.date_updated is None or self.state.resend_created_before is not None

    @property
    def is_in_rescans(self) -> bool:
        return not self.failed and self.reads_calls

    @property
    def only_if_included(self) -> bool:
        return True

    def finish_backfill(self, bookmark: Timestamp, resend_listed_before: Timestamp | None) -> None:
        if self.state.date_updated is None:
            self.advance(bookmark)
            bookmarks.resend_listed(self.state, resend_listed_before)
        self.note(bookmark)

    def finish_rescan(self, bookmark: Timestamp) -> None:
        if self.needs_another_rescan:
            return
        if self.state.date_updated is None or self.state.resend_created_before == END:
            self.advance(bookmark)
        bookmarks.finish_resend(self.state)
        self.note(bookmark)

    def note(self, late: Timestamp | None = None) -> None:
        """Write the progress into the state. `late`: before this, late calls were requested too."""
        self.progress.late = late or self.progress.late
        self.state.feedback_progress = None if self.progress == FeedbackProgress() else self.progress


@dataclass
class CallFeedback:
    """The consumer of calls that requests their feedback, in one account."""

    table: CallFeedbackTable
    limits: Limits
    scores: CallScores | None
    began: Timestamp  # the start of the sync
    lateness: timedelta
    oldest: Timestamp  # no call is older
    failed: PartitionError | None = None

    def __post_init__(self) -> None:
        self.table.reads_calls = self.limits.uses_calls
        self.stream: Stream = self.table.stream
        self.account = self.table.account
        self.progress = self.table.progress = self.table.state.feedback_progress or FeedbackProgress()
        self._requested: set[str] = set()  # the SIDs of calls, in this sync
        self._answered: set[str] = set()  # of these, the calls that have a Feedback resource
        self._announced = False

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
    def reads_list(self) -> bool:
        """Return whether it needs the list of calls."""
        return self.limits.uses_calls

    @property
    def reach(self) -> Timestamp | None:
        """Return how far back the lookback must read the calls."""
        return earlier(self._edge, DAY) if self.limits.uses_calls and self.table.state.date_updated else None

    def fail(self, error: PartitionError) -> None:
        self.failed = self.failed or error
        self.table.fail(error)

    def reader(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """Return None: the age of a call decides, not what its row holds."""
        return None

    def slice_sums(self, mode: ReadMode, read: str | None) -> SliceSums | None:
        return None

    def end(self, dispatcher: PageDispatcher, reader: Chunks) -> Read:
        """Do nothing: no row is pending, since there is no reader."""
        yield from ()

    def leave(self, dispatcher: PageDispatcher, reader: Chunks) -> Read:
        yield from ()

    # -- before the calls are read

    def begin(self) -> None:
        """Prepare a sync: decide which calls it requests."""
        state = self.table.state
        if self.table.resends_older and not self.limits.backfill:
            bookmarks.skip_older(state, earlier(self.began, self.lateness))
            self.progress.unasked = True
        self._resends_older = self.table.resends_older  # as the sync began
        self.progress.second_source_pending |= self._resends_older
        self.meet_window()
        self._collects_recent = not self._resends_older
        self.begin_window()
        self.table.note()

    def cap_dates(self, now: Timestamp) -> None:
        """Correct dates of this sync that are later than Twilio's clock, which was set back."""
        self.began = min(self.began, now)
        if self.progress.began:
            self.progress.began = min(self.progress.began, now)
            self.table.note()

    def meet_window(self) -> None:
        """Set the date from which calls are recent: `feedback_days` before the bookmark."""
        state, root = self.table.state, self.table.root
        self._edge = earlier(state.date_updated or self.began, self.limits.days)
        # A rescan that began earlier meets the calls that were recent then.
        known = [date for date in (state.date_updated, root.finished, self.progress.late) if date]
        self._edge_of_rescans = earlier(min(known, default=self.began), self.limits.days)

    def begin_look_back(self) -> None:
        """Start to collect recent calls, at the top of the list, possibly again."""
        self._collects_recent = self.table.state.date_updated is not None
        self.begin_window()

    def begin_window(self) -> None:
        """Forget the recent calls that were collected."""
        self._recent = RecentCalls(self.limits.requests, self.progress.cursor)

    # -- while the calls are read: which of them are requested

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read:
        """Request the feedback of the calls due now, and collect the recent calls for `read_feedback`."""
        if not self.limits.uses_calls:
            return
        mode, endpoint = dispatcher.mode, dispatcher.page_reader.endpoint
        calls = list(self._ended_calls(endpoint, page.rows))
        if self._collects(mode):
            for call in self._recent_calls(calls):
                self._recent.add((call.started, call.sid))
        if self._requests_older(mode):
            self._announce(endpoint, page)
        due = [
            *(self._recent_calls(calls) if self._requests_changed(mode) else ()),
            *(self._late_calls(calls) if self._requests_late(mode) else ()),
            *(self._hidden_calls(calls) if self._requests_hidden(mode) else ()),
            *(self._older_calls(calls) if self._requests_older(mode) else ()),
        ]
        yield from self._request_all(list(dict.fromkeys(call.sid for call in due)))

    def _ended_calls(self, endpoint: ListEndpoint, rows: Iterable[Row]) -> Iterator[Call]:
        key, where = next(iter(self.parent.path_params.values())), self.parent.where
        for row in rows:
            if where and not where.matches(row):
                continue
            listed, created = timestamp_or_none(endpoint.list_date(row)), timestamp_or_none(row.get("date_created"))
            if (created or END) >= self.table.start_date:
                yield Call(listed or created or END, row[key], listed, created)

    def _recent_calls(self, calls: Iterable[Call]) -> Iterator[Call]:
        return (call for call in calls if call.started >= self._edge)

    def _late_calls(self, calls: Iterable[Call]) -> Iterator[Call]:
        """Select recent calls that the lookback may not meet."""
        return (call for call in calls if call.is_listed_late and call.started >= self._edge_of_rescans)

    def _hidden_calls(self, calls: Iterable[Call]) -> Iterator[Call]:
        """Select the calls that the time slices of the backfill did not list: undated ones, and those dated before."""
        before = self.table.state.resend_listed_before or BEGINNING
        return (call for call in calls if (call.listed or BEGINNING) < before)

    def _older_calls(self, calls: Iterable[Call]) -> Iterator[Call]:
        """Select calls of all time, or those before an earlier `start_date`."""
        state = self.table.state
        before = END if state.date_updated is None else state.resend_created_before or END
        return (call for call in calls if (call.created or BEGINNING) < before)

    def _collects(self, mode: ReadMode) -> bool:
        is_first_read = mode in (ReadMode.BACKFILL, ReadMode.FULL_TABLE) and not self._resends_older
        is_lookback = mode in (ReadMode.LOOKBACK, ReadMode.LOOKBACK_OF_RESCAN)
        return self._collects_recent and (is_lookback or is_first_read)

    def _requests_changed(self, mode: ReadMode) -> bool:
        return self._collects_recent and mode is ReadMode.FULL_TABLE_AGAIN and not self._resends_older

    def _requests_late(self, mode: ReadMode) -> bool:
        is_whole = mode in (ReadMode.RESCAN, ReadMode.FULL_TABLE)
        return is_whole or (mode is ReadMode.BACKFILL and not self._resends_older)

    def _requests_hidden(self, mode: ReadMode) -> bool:
        is_rescan = mode in (ReadMode.LOOKBACK_OF_RESCAN, ReadMode.RESCAN, ReadMode.FULL_TABLE)
        return is_rescan and bool(self.table.state.resend_listed_before)

    def _requests_older(self, mode: ReadMode) -> bool:
        is_served = self.table.date_rule(mode) is not None
        return self._resends_older and mode is not ReadMode.LOOKBACK and is_served

    def _announce(self, endpoint: ListEndpoint, page: Page) -> None:
        if not self._announced and page.rows:
            self._announced = True
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

    def read_feedback(self, whole: bool) -> Read:
        """Request the feedback of the recent calls, and list the scores. `whole`: this sync met all recent calls."""
        try:
            if self.scores and self.limits.uses_scores:
                since = self.oldest if self.progress.second_source_pending else self._edge
                yield from self._read_scores(self.scores, since)
            if not self.limits.uses_calls:
                self._finish_pass(self.began)
                bookmarks.skip_resend(self.table.state)
            elif self._collects_recent:
                yield from self._request_recent(whole)
        except PartitionError as error:
            self.fail(error)

    def _request_recent(self, whole: bool) -> Read:
        """
        Go on with the open pass over the recent calls; when it ends, begin another one with what is left of the limit.

        A pass may take several syncs: it requests the newest call first, and the cursor is the last call requested.
        """
        newest, progress = sorted(self._recent.newest, reverse=True), self.progress
        if self._is_sampling:
            yield from self._sample(newest)
            return
        left = self.limits.requests - len(self._requested)
        left = max(1, left, self.limits.requests // 2)  # many scores do not use up what the recent calls need
        if progress.began and progress.cursor:
            left = yield from self._continue_pass(newest, progress.began, left)
            if left <= 0 or self._recent.has_more_before_cursor or not whole:
                return
            self._finish_pass(progress.began)
        yield from self._begin_pass(newest, left, whole)

    def _continue_pass(self, newest: Sequence[Dated], began: Timestamp, left: int) -> Read:
        """Request the calls since the pass began, then those before the cursor. Return how many requests are left."""
        fresh = [call for call in newest if call[0] >= began][: left // 2]
        yield from self._request_dated(fresh)
        rest = sorted(self._recent.before_cursor, reverse=True)[: left - len(fresh)]
        yield from self._request_dated(rest, moves_cursor=True)
        return left - len(fresh) - len(rest)

    def _begin_pass(self, newest: Sequence[Dated], left: int, whole: bool) -> Read:
        """Request the newest calls. A pass that requests all recent calls ends at once."""
        self.progress.began, self.progress.cursor = self.began, None
        due = [call for call in newest if call[1] not in self._requested]
        yield from self._request_dated(due[:left], moves_cursor=True)
        count = self._recent.count
        if whole and len(due) <= left and count <= len(newest):
            self._finish_pass(self.began)
        elif whole:
            LOGGER.info(
                "%s %s: %d recent rows of %s, too many for one sync: each is requested every %d syncs (raise "
                "feedback_requests to request it more often)",
                self.stream.name,
                self.account,
                count,
                self.parent.stream,
                -(-count // self.limits.requests),
                extra=about(self.stream.name),
            )
        self.table.note()

    def _finish_pass(self, began: Timestamp, requested_all: bool = True) -> None:
        """Move the bookmark to the start of the pass."""
        if not self.failed:
            self.table.advance(earlier(began, self.lateness))
        self.progress.began = self.progress.cursor = None
        self.progress.unasked = self.progress.unasked and not requested_all
        self.table.note()

    @property
    def _is_sampling(self) -> bool:
        return self.progress.misses >= MISSES

    def _sample(self, newest: Sequence[Dated]) -> Read:
        """Request a few calls; then all recent calls count as requested."""
        yield [self._request(sid) for _, sid in newest[:SAMPLE] if sid not in self._requested]
        if self._is_sampling:
            self._finish_pass(self.began, requested_all=False)

    # -- the Feedback resource of a call

    def _request_dated(self, calls: Sequence[Dated], moves_cursor: bool = False) -> Read:
        """Request the feedback of calls, and move the cursor past them."""
        for at in range(0, len(calls), SIDE_BY_SIDE):
            batch = calls[at : at + SIDE_BY_SIDE]
            yield from self._request_all([sid for _, sid in batch])
            if moves_cursor:
                self.progress.cursor = batch[-1]
                self.table.note()

    def _request_all(self, sids: Sequence[str]) -> Read:
        """Request the feedback of the calls that this sync has not requested; of none while sampling."""
        due = [sid for sid in sids if sid not in self._requested]
        for at in range(0, len(due), SIDE_BY_SIDE):
            if not self._is_sampling:
                yield [self._request(sid) for sid in due[at : at + SIDE_BY_SIDE]]

    def _request(self, sid: str) -> Read:
        """Request the feedback of a call, and emit it if it changed. HTTP 404: the call has no feedback."""
        endpoint = ListEndpoint(self.stream, self.account, 1, values=dict.fromkeys(self.parent.path_params, sid))
        try:
            page: Page = yield endpoint.first_page()
        except Refused as refused:
            if not refused.says_absent:
                raise
            self._requested.add(sid)  # only after the answer, since `_emit_score` relies on it
            self._count_miss()
            return
        self._requested.add(sid)
        self._answered.add(sid)
        self._reset_misses()
        page = endpoint.complete(page)
        row = {**page.rows[0]}
        if self.stream.score_list:
            row[self.stream.score_list.source_column] = self.stream.score_list.source_names[0]
        yield from self.table.compare(sid, row, page.times)

    def _count_miss(self) -> None:
        # An answer in this sync may belong to a call that Voice Insights reported, and misses after it prove nothing.
        if self._answered:
            return
        self.progress.misses += 1
        if self.progress.misses == MISSES:
            LOGGER.warning(
                "%s %s: %d requests in a row found nothing (Twilio announced the end of this resource for 2023): each "
                "sync requests only the newest %d, until one has feedback",
                self.stream.name,
                self.account,
                MISSES,
                SAMPLE,
                extra=about(self.stream.name),
            )
        self.table.note()

    def _reset_misses(self) -> None:
        """Count from zero. If this sync sampled, request all calls again, since others may have feedback too."""
        if self._is_sampling:
            self.progress.unasked = self.table.needs_another_rescan = True
            bookmarks.resend_all(self.table.state)
        self.progress.misses = 0
        self.table.note()

    # -- the scores of Voice Insights

    def _read_scores(self, scores: CallScores, since: Timestamp) -> Read:
        scored: ScoredCalls = {}
        scores.has_answered = self.progress.second_answered
        try:
            yield from scores.read(max(since, self.table.start_date), earlier(self.began, -DAY), scored)
        finally:
            self.progress.second_answered = scores.has_answered
        if scores.is_off:
            return  # `second_source_pending` stays, for the day on which the account gets Voice Insights
        yield [self._emit_score(scores, page, sid, row) for sid, (page, row) in scored.items()]
        self.progress.second_source_pending = False
        self.table.note()

    def _emit_score(self, scores: CallScores, page: Page, sid: str, row: Row) -> Read:
        """Emit the score of a call that has no Feedback resource."""
        if self.limits.uses_calls and sid not in self._requested:
            yield from self._request(sid)
        if sid not in self._answered:
            values = yield from scores.record(page, sid, row)
            no_dates = dict.fromkeys(("date_created", "date_updated"))
            yield from self.table.compare(sid, {self.stream.key[0]: sid, **no_dates, **values}, page.times)


@dataclass
class CallScores:
    """The scores of calls in one account, listed one score at a time (streams/model.py, `ScoreList`)."""

    stream: Stream
    account: str
    main: str
    page_size: int
    is_only_source: bool
    off: set[str]  # the accounts without the product, as this run learned
    has_answered: bool = False  # so the account has the product

    @property
    def declaration(self) -> ScoreList:
        assert self.stream.score_list
        return self.stream.score_list

    @property
    def is_off(self) -> bool:
        """Return whether the account does not have the product."""
        return self.account in self.off

    def read(self, since: Timestamp, until: Timestamp, scored: ScoredCalls) -> Read:
        """Read all scores of the calls that started between two dates into `scored`."""
        while since < until and not self.is_off:
            upper = min(until, later(since, SCORE_SLICE))
            try:
                yield [self._read_list(score, since, upper, scored) for score in self.declaration.scores]
            except Refused as refused:
                self._switch_off(refused)
                return
            since = upper

    def record(self, page: Page, sid: str, row: Row) -> Any:
        """Return the feedback's row of a scored call. Request what the list left out."""
        declaration = self.declaration
        annotation: Any = row.get(declaration.rating_member)
        names = set(declaration.columns.values())
        if not isinstance(annotation, dict) or not names - {"quality_issues"} <= set(annotation):
            annotation = yield from self._request_annotation(sid, {declaration.score_column: row["score"]})
        values = {name: annotation.get(source) for name, source in declaration.columns.items()}
        score = next(name for name, source in declaration.columns.items() if source == declaration.score_column)
        values[score] = values[score] or row["score"]
        return {"account_sid": self.account, **values, declaration.source_column: declaration.source_names[1]}

    def _request_annotation(self, sid: str, default: Mapping[str, Any]) -> Any:
        stream = self.declaration.stream
        uri = path_of(stream.product, self.declaration.item_path, {stream.key[0]: sid})
        try:
            page: Page = yield Fetch(self.account, uri, None, stream.product.host, required=(), stream=self.stream.name)
        except Refused as refused:
            if not refused.says_absent:
                raise
            return default
        return page.rows[0]

    def _read_list(self, score: int, since: Timestamp, until: Timestamp, scored: ScoredCalls) -> Read:
        declaration = self.declaration
        query = {declaration.score_param: str(score)}
        if self.account != self.main:
            query[declaration.subaccount_param] = self.account
        endpoint = ListEndpoint(declaration.stream, self.account, self.page_size, query, counted_for=self.stream.name)

        def take(page: Page) -> None:
            self.has_answered = True
            scored.update({endpoint.id_of(row): (page, {**row, "score": score}) for row in page.rows})

        yield from read_pages(PageReader(endpoint, endpoint.first_page(since, until)), take)

    def _switch_off(self, refused: Refused) -> None:
        """Note that the account does not have the product; raise the refusal if it had, or if Twilio says otherwise."""
        if not refused.says_absent or self.has_answered:
            raise refused
        names, product = self.declaration.source_names, self.declaration.product_name
        if self.is_only_source:
            raise NotAvailable(
                f"call_feedback_source is {names[1]}, but this account has no {product} "
                f"(HTTP {refused.status}, code {refused.code}): use auto or {names[0]}"
            ) from None
        self.off.add(self.account)
        LOGGER.info(
            "%s %s: this account has no %s (HTTP %d), so that source is skipped",
            self.stream.name,
            self.account,
            product,
            refused.status,
            extra=about(self.stream.name),
        )
