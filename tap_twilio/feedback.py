"""call_feedback: what callers thought of a call, for which Twilio has no list.

Two sources (README, "Call feedback"): the classic subresource of each call, asked call by call, and Voice Insights'
annotations, listed by score. This module decides which calls are asked, and when; it reads the calls through a
Partition, that of `calls` itself where that stream is selected too, so that they are read once.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from .config import Settings
from .errors import NotAvailable, PartitionError, Refused
from .plan import EVER, Partition
from .streams import DAY
from .walk import Ask, Listing, Moment, Page, Read, Row, back, moment, when

LOGGER = logging.getLogger("tap_twilio")
# docs, Call resource: the statuses that no call leaves again.
ENDED = frozenset(("completed", "busy", "failed", "no-answer", "canceled"))
SCORES = (1, 2, 3, 4, 5)
UNAVAILABLE = (401, 403, 404, 410)
CHUNK = 100  # calls asked side by side before the cursor in the state moves past them
INSIGHTS_SLICE = 40 * DAY  # more than the window, so that it is one slice
ANNOTATION = ("comment", "spam", "incident", "connectivity_issue", "answered_by")

Call = tuple[Moment, str]  # when it began (created, where it never did), and its SID: in order of time


@dataclass
class Window:
    """The calls of the window, as the look-back met them: of any number of calls, only as many as can be asked."""

    most: int
    began: Moment  # before the first page of calls was asked for
    cursor: Call | None = None
    count: int = 0
    newest: list[Call] = field(default_factory=list)  # a heap of the newest
    below: list[Call] = field(default_factory=list)  # a heap of the newest below the cursor
    more_below: bool = False

    def add(self, call: Call) -> None:
        self.count += 1
        self._keep(self.newest, call)
        if self.cursor and call < self.cursor:
            self.more_below |= self._keep(self.below, call)

    def _keep(self, heap: list[Call], call: Call) -> bool:
        """Whether one had to go."""
        if len(heap) < self.most:
            heapq.heappush(heap, call)
            return False
        heapq.heappushpop(heap, call)
        return True


def _began_late(row: Row) -> bool:
    """Whether a call never began, or more than a day after it was created, by which Twilio may sort it."""
    began, created = when(row.get("start_time")), when(row.get("date_created"))
    if not began or not created:
        return True
    return began[:10] != created[:10] and back(began, DAY) > created  # most began on the day itself


class Feedback:
    """
    call_feedback in one account.

    `state` is this partition's part of the Singer state; beside what plan.Partition keeps there:
      calls    how far the calls were read for this stream alone, as plan.Partition keeps it
      window   {began, cursor}: the round over the window's calls that is open; calls above the cursor were asked
      unasked  no window was ever asked whole: all is emitted until one was
    `emit` takes rows as Twilio's, of this stream. `calls` is the partition of the calls stream, if that is selected.
    A failure of this stream is kept in `failed`, and never ends the reading of the calls.
    """

    def __init__(
        self,
        own: Partition,
        calls: Partition | None,
        emit: Callable[[Page, list[Row]], None],
        settings: Settings,
        insights_off: set[str],
    ) -> None:
        self.state, self.account, self.now = own.state, own.account, own.now
        self.own = replace(
            own,
            state=own.state.setdefault("calls", {}),
            follow=self._follow,
            bounds=replace(own.bounds, lookback=timedelta(0)),
        )
        self.calls, self.emit, self.settings = calls, emit, settings
        self.failed: PartitionError | None = None
        self._classic = settings.call_feedback_source in ("auto", "feedback")
        self._insights = settings.call_feedback_source in ("auto", "insights")
        self._insights_off = insights_off
        self._window = Window(settings.feedback_requests, EVER)
        self._reach = EVER
        self._asked: set[str] = set()  # in this sync, of those that insights reports or the window holds
        self._rated: set[str] = set()  # by the classic source, in this sync

    def sync(self) -> Read:
        """Read the calls, where they are selected, and their feedback."""
        self._prepare()
        calls = self.calls
        follows = calls is not None and "date_updated" in calls.state
        if not self._classic:
            read = self._insights_only()
        elif "date_updated" not in self.state or "refill" in self.state:
            if calls and not follows and not self.own.state and self._followed(calls):
                yield from self._backfill_with(calls)
                return
            read = self._backfill_alone()
        elif calls and follows:
            self.state.pop("calls", None)
            yield from self._refresh(calls)
            return
        else:
            for name in ("date_updated", "looked_back"):
                self.own.state.setdefault(name, self.state["date_updated"])
            read = self._refresh(self.own)
        yield [calls.sync(), self._guard(read)] if calls else [self._guard(read)]

    # -- which calls

    def _prepare(self) -> None:
        state = self.state
        if self.settings.feedback_backfill:
            if "refill" in state and "date_updated" in state and "again" not in self.own.state:
                self.own.state.clear()
                self.own.state["again"] = True
        elif "date_updated" not in state or "refill" in state:
            state.setdefault("date_updated", back(self.now(), self.own.bounds.margin))
            state.pop("refill", None)
            self.own.state.clear()
            state["unasked"] = True

    def _followed(self, calls: Partition) -> bool:
        """Whether the backfill of the calls, if it is open, was followed from its start."""
        return "backfill" not in calls.state or "followed" in calls.state["backfill"]

    def _backfill_with(self, calls: Partition) -> Read:
        resumed, began = "backfill" in calls.state, self.now()
        calls.follow = self._follow
        yield from calls.backfill()
        if not self.failed:
            self.own.state.update({name: calls.state[name] for name in ("date_updated", "looked_back")})
            yield [self._guard(self._conclude_backfill(began))]
        if resumed:
            yield from self._refresh(calls)

    def _backfill_alone(self) -> Read:
        resumed, began = bool(self.own.state), self.now()
        if "date_updated" not in self.own.state:
            yield from self.own.backfill()
        yield from self._conclude_backfill(began)
        if resumed:
            yield from self._refresh(self.own)

    def _conclude_backfill(self, began: Moment) -> Read:
        """The calls were all asked; what insights reports of them is what is missing."""
        yield from self._ask_insights(self._oldest(), began)
        self.state["date_updated"] = max(self.state.get("date_updated", EVER), self.own.state["date_updated"])
        self.state.pop("refill", None)
        self.own.state.pop("again", None)

    def _refresh(self, calls: Partition) -> Read:
        """Look back over the window's calls, and ask them; rounds meet those that never began, wherever they stand."""
        calls.follow = self._follow
        self._asked.clear()  # before the window began
        self._rated.clear()
        self._reach = self._edge()  # of this sync: the window may end while rounds go on
        opened = self.state.get("window") or {}
        cursor = opened.get("cursor")
        self._window = Window(self.settings.feedback_requests, self.now(), tuple(cursor) if cursor else None)
        if self.failed:
            yield from calls.refresh()
        else:
            yield from calls.refresh(back(self._reach, DAY), lambda whole: self._guard(self._ask_window(whole)))

    def _edge(self, since: Moment = "~") -> Moment:
        """Where the window begins: a call leaves it only after it was asked when past its days."""
        return back(min(since, self.state["date_updated"]), timedelta(days=self.settings.feedback_days))

    def _oldest(self) -> Moment:
        return self.own.bounds.start_date or self.own.created or back(self.now(), 3650 * DAY)

    def _ended(self, rows: list[Row], since: Moment) -> Iterator[Call]:
        start_date = self.own.bounds.start_date or EVER
        for row in rows:
            created = when(row.get("date_created")) or "~"
            began = when(row.get("start_time")) or created
            if row.get("status") in ENDED and created >= start_date and began >= since:
                yield began, row["sid"]

    def _follow(self, kind: str, listing: Listing, page: Page, first: bool) -> Read:
        """Called for each page of calls: a backfill's are asked at once, a look-back's when all of it is known."""
        if self.failed:
            return
        if kind == "head":
            if first:
                self._window = Window(self._window.most, self._window.began, self._window.cursor)
            for call in self._ended(page.rows, self._reach):
                self._window.add(call)
            return
        calls = self.calls if self.calls and "date_updated" in self.calls.state else self.own
        if kind == "backfill":
            refill = self.state.get("refill", "~")
            rows = [row for row in page.rows if (when(row.get("date_created")) or EVER) < refill]
            asked = [sid for _, sid in self._ended(rows, EVER)]
            if first and page.rows:
                self._announce(listing, page)
        else:  # those that no look-back meets, since they stand elsewhere than their time says
            rows = [row for row in page.rows if _began_late(row)]
            asked = [sid for _, sid in self._ended(rows, min(self._reach, self._edge(calls.state["date_updated"])))]
        try:
            yield [self._ask(sid, EVER) for sid in asked if sid not in self._asked]
        except PartitionError as error:
            self.failed = error
            open_ = self.calls and self.calls.state.get("backfill")
            if open_ and open_.pop("followed", None):  # the calls go on; this stream does from here, by itself
                self.state["calls"] = self.own.state = {"backfill": dict(open_)}

    def _announce(self, listing: Listing, page: Page) -> None:
        pages = 1 + (self.own.pages_left(listing, page) if page.next else 0)
        LOGGER.info(
            "call_feedback %s: about %d requests, one for each call that ended; feedback_backfill: false skips them",
            self.account,
            round(pages * len(page.rows)),
        )

    # -- the window

    def _ask_window(self, whole: bool) -> Read:
        """
        Ask the calls of the window, as far as `feedback_requests` goes: the newest, then on from the cursor.

        When the last of them was asked, the start of that round, less the margin, becomes the bookmark. `whole`:
        whether the look-back met every call of the window.
        """
        window, began = self._window, self._window.began
        yield from self._ask_insights(self._edge(), began)
        left = self.settings.feedback_requests - len(self._asked)
        left = max(1, left, self.settings.feedback_requests // 2)  # many ratings do not stop the round
        newest = sorted(window.newest, reverse=True)
        opened = self.state.get("window")
        if opened and opened["cursor"]:
            fresh = [call for call in newest if call[0] >= opened["began"]][: left // 2]
            yield from self._ask_all(fresh)
            below = sorted(window.below, reverse=True)[: left - len(fresh)]
            yield from self._ask_all(below, opened)
            left -= len(fresh) + len(below)
            if left <= 0 or window.more_below or not whole:
                return
            self._finish_window(opened["began"])
        opened = self.state["window"] = {"began": began, "cursor": None}
        todo = [call for call in newest if call[1] not in self._asked]
        yield from self._ask_all(todo[:left], opened)
        if whole and len(todo) <= left and window.count <= len(window.newest):
            self._finish_window(began)
        elif whole:
            syncs = -(-window.count // self.settings.feedback_requests)
            LOGGER.info("call_feedback %s: %d calls, all asked every %d syncs", self.account, window.count, syncs)

    def _ask_all(self, calls: list[Call], opened: dict[str, Any] | None = None) -> Read:
        """Ask those that this sync did not ask yet, and move the cursor past all of them."""
        since = EVER if "unasked" in self.state else self.state["date_updated"]
        for at in range(0, len(calls), CHUNK):
            chunk = calls[at : at + CHUNK]
            yield [self._ask(sid, since) for _, sid in chunk if sid not in self._asked]
            self._asked.update(sid for _, sid in chunk)
            if opened is not None:
                opened["cursor"] = list(chunk[-1])

    def _finish_window(self, began: Moment) -> None:
        began = min(began, self.now())  # should Twilio's clock have been put back since
        self.state["date_updated"] = max(self.state["date_updated"], back(began, self.own.bounds.margin))
        self.state.pop("window", None)
        self.state.pop("unasked", None)

    # -- the classic source

    def _ask(self, sid: str, since: Moment) -> Read:
        """One call's feedback: emitted when it changed. 404 is a call without (docs, Call Feedback resource)."""
        try:
            page = yield Ask(self.account, f"/2010-04-01/Accounts/{self.account}/Calls/{sid}/Feedback.json")
        except Refused as refused:
            if refused.status == 404:
                return
            raise
        row = {**page.rows[0], "sid": sid, "source": "feedback"}
        self._rated.add(sid)
        if (when(row.get("date_updated")) or "~") >= since:
            self.emit(page, [row])

    # -- Voice Insights

    def _insights_only(self) -> Read:
        """Ratings of the window, or of all calls at first, from the one source."""
        began = self.now()
        since = self._oldest()
        if "date_updated" in self.state and "refill" not in self.state:
            since = max(since, self._edge())
        yield from self._ask_insights(since, began)
        self.state.pop("refill", None)
        began = min(began, self.now())
        self.state["date_updated"] = max(self.state.get("date_updated", EVER), back(began, self.own.bounds.margin))

    def _ask_insights(self, since: Moment, until: Moment) -> Read:
        """Every rated call that began in that time: five lists a slice, one for each score."""
        if not self._insights or self.account in self._insights_off:
            return
        until = back(until, -DAY)
        while since < until:
            upper = min(until, back(since, -INSIGHTS_SLICE))
            found: dict[str, tuple[Page, Row]] = {}  # a score that changes meanwhile is in two lists
            try:
                yield [self._list_scored(score, since, upper, found) for score in SCORES]
            except Refused as refused:
                if refused.status not in UNAVAILABLE:
                    raise
                if not self._classic:
                    raise NotAvailable(
                        "call_feedback_source is insights, but this account has no Voice Insights "
                        f"(HTTP {refused.status}, code {refused.code}): use auto or feedback"
                    ) from None
                self._insights_off.add(self.account)
                LOGGER.info(
                    "call_feedback %s: this account has no Voice Insights (HTTP %d), so that source is left out",
                    self.account,
                    refused.status,
                )
                return
            yield [self._rate(page, row) for page, row in found.values()]
            since = upper

    def _list_scored(self, score: int, since: Moment, until: Moment, found: dict[str, tuple[Page, Row]]) -> Read:
        """
        Find the calls rated with a score, as {"call_sid": …, "annotation": {"call_score": 2, …}, …}.

        Both times are always sent, since they default to the last four hours; so is the processing state, whose
        default is not documented (OpenAPI twilio_insights_v1, ListCallSummaries).
        """
        query = {
            "CallScoreAnnotation": score,
            "StartTime": f"{moment(since):%Y-%m-%dT%H:%M:%SZ}",
            "EndTime": f"{moment(until):%Y-%m-%dT%H:%M:%SZ}",
            "ProcessingState": "all",
            "SortBy": "start_time",
            "PageSize": self.settings.page_size,
        }
        if self.account != self.settings.account_sid:
            query["Subaccount"] = self.account
        uri: str | None = f"/v1/Voice/Summaries?{urlencode(query)}"
        seen: set[str] = set()
        while uri and uri not in seen:
            seen.add(uri)
            page = yield Ask(self.account, uri, "call_summaries", product="insights", key="call_sid")
            found.update({row["call_sid"]: (page, {**row, "score": score}) for row in page.rows})
            uri = page.next

    def _rate(self, page: Page, summary: Row) -> Read:
        """Emit a call's annotation, unless the classic source has a row of it, which then counts."""
        sid, score = summary["call_sid"], summary["score"]
        if sid in self._rated:
            return
        if self._classic and sid not in self._asked:
            self._asked.add(sid)
            yield from self._ask(sid, EVER if "unasked" in self.state else self.state.get("date_updated", EVER))
        if sid in self._rated:
            return
        annotation = summary.get("annotation")
        if not isinstance(annotation, dict) or "call_score" not in annotation or not set(ANNOTATION) <= set(annotation):
            try:
                found = yield Ask(self.account, f"/v1/Voice/{sid}/Annotation", product="insights")
                annotation = found.rows[0]
            except Refused as refused:
                if refused.status != 404:
                    raise
                annotation = {"call_score": score}
        row = {
            "sid": sid,
            "account_sid": self.account,
            "quality_score": annotation.get("call_score") or score,
            "issues": annotation.get("quality_issues"),
            "date_created": None,
            "date_updated": None,
            "source": "insights",
            **{name: annotation.get(name) for name in ANNOTATION},
        }
        self.emit(page, [row])

    def _guard(self, read: Read) -> Read:
        try:
            yield from read
        except PartitionError as error:
            self.failed = error
