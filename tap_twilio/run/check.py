"""`--check`: whether the credentials hold, and whether each selected stream can be read: one page of each."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

from tap_twilio.errors import PartitionError, Refused
from tap_twilio.streams import BY_NAME, Stream, top_of
from tap_twilio.timestamps import DAY, SECOND, earlier, later
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page, Row

from .availability import was_read
from .sync import Sync

LOGGER = logging.getLogger("tap_twilio")
ROWS = 50  # of a page: enough to find one that has something below it


@dataclass(frozen=True)
class CheckResult:
    """What asking for one page of a stream came to. `said` is empty where rows, or none, came."""

    stream: str
    rows: int
    seconds: float
    said: str = ""
    failed: bool = False


@dataclass
class Check:
    """Asks for one page of each stream in the main account; of a child, below the first fitting row of its parent."""

    sync: Sync

    def __post_init__(self) -> None:
        self._pages: dict[str, Page] = {}
        self._refused: dict[str, Refused] = {}  # what lists at the top answered

    def run(self) -> list[CheckResult]:
        """Raises TapError where the credentials do not hold, or nothing answers."""
        sync = self.sync
        sync.find_accounts()
        for said in sync.settle_clock():
            LOGGER.warning("%s", said)
        try:
            tried = [self._outcome(one.stream) for one in sync.selected.values()]
            return [self._judged(outcome) for outcome in tried]
        finally:
            sync.pool.close()

    def _outcome(self, stream: Stream) -> CheckResult:
        began = time.monotonic()
        try:
            page = self._page(stream)
        except PartitionError as error:
            return CheckResult(stream.name, 0, time.monotonic() - began, str(error), failed=True)
        said = "" if page else f"no row of {stream.parent.stream if stream.parent else ''} to ask below"
        return CheckResult(stream.name, len(page.rows) if page else 0, time.monotonic() - began, said)

    def _judged(self, outcome: CheckResult) -> CheckResult:
        """Return the outcome, which is no failure where the account does not have the product, as in a sync."""
        top = top_of(BY_NAME[outcome.stream])
        refused, host, account = self._refused.get(top.name), top.product.host, self.sync.settings.account_sid
        answered = any(BY_NAME[name].product.host == host for name in self._pages)
        known = host == "api" or answered or was_read(self.sync.state, host, account)
        if known or not refused or not refused.says_absent:
            return outcome
        return replace(outcome, said="the account does not have it (HTTP 404, code 20404)", failed=False)

    def _page(self, stream: Stream) -> Page | None:
        """A page; None where its parent has no row that would be asked."""
        if stream.name in self._refused:
            raise self._refused[stream.name]
        if stream.name not in self._pages:
            values = self._values(stream)
            if values is None:
                return None
            self._pages[stream.name] = self._ask(stream, values)
        return self._pages[stream.name]

    def _values(self, stream: Stream) -> dict[str, str] | None:
        parent = stream.parent
        if parent is None:
            return {}
        above = self._page(BY_NAME[parent.stream])
        fitting = (row for row in (above.rows if above else ()) if parent.where is None or parent.where.holds(row))
        row: Row | None = next(fitting, None)
        return row and {brace: str(row[name]) for brace, name in parent.path_params.items()}

    def _ask(self, stream: Stream, values: dict[str, str]) -> Page:
        account = self.sync.settings.account_sid
        endpoint = ListEndpoint(stream, account, ROWS, stream.values[-1], values)
        now = self.sync.clock.now
        log = stream.is_log
        top = endpoint.top(earlier(now, DAY), later(now, SECOND)) if log else endpoint.top()
        try:
            return endpoint.complete(self.sync.scheduler.fetch(top))
        except Refused as refused:
            if stream.rows is None and stream.parent and refused.says_absent:
                return Page([], None, "", "")  # this row has none
            if stream.parent is None:
                self._refused[stream.name] = refused
            raise
