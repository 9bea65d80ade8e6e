"""
`--check`: reads one page of each selected stream in the main account, to try the credentials and their rights.

commands/check.py calls `Check.run`, and prints its results as a table.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

from tap_twilio.base_url import why_not_found
from tap_twilio.errors import PartitionError, Refused, ServerFailed, Unreachable
from tap_twilio.streams import BY_NAME, Stream, top_of
from tap_twilio.timestamps import DAY, SECOND, earlier, later
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page, Row

from .availability import was_read
from .sync import Sync

LOGGER = logging.getLogger("tap_twilio")
PAGE_SIZE = 50  # enough to find a row that has children
PATIENCE_S = 10  # a user waits: a request that fails for longer has failed


@dataclass(frozen=True)
class CheckResult:
    """The result of requesting one page of a stream. `message` is empty if Twilio answered with a page."""

    stream: str
    rows: int
    seconds: float
    message: str = ""
    failed: bool = False


@dataclass
class Check:
    """Requests a page of each stream; of a child stream, for the first parent row that has children to read."""

    sync: Sync

    def __post_init__(self) -> None:
        self._pages: dict[str, Page] = {}
        self._refused: dict[str, Refused] = {}  # by top stream
        self._unreachable: dict[str, Unreachable] = {}  # by product

    def run(self) -> list[CheckResult]:
        """Request the pages. Raises TapError if Twilio refuses the credentials or does not answer."""
        sync = self.sync
        sync.pool.hurry("--check", PATIENCE_S, timeout_s=PATIENCE_S)
        sync.find_accounts()
        for warning in sync.settle_clock():
            LOGGER.warning("%s", warning)
        sync.pool.hurry("--check", PATIENCE_S, sync.settings.request_timeout)  # there is a network: a page may be slow
        try:
            results = [self._result(choice.stream) for choice in sync.selected.values()]
            return [self._decide(result) for result in results]
        finally:
            sync.pool.close()

    def _result(self, stream: Stream) -> CheckResult:
        began = time.monotonic()
        try:
            page = self._page(stream)
        except PartitionError as error:
            return CheckResult(stream.name, 0, time.monotonic() - began, str(error), failed=True)
        message = "" if page else self._why_unchecked(stream)
        return CheckResult(stream.name, len(page.rows) if page else 0, time.monotonic() - began, message)

    def _why_unchecked(self, stream: Stream) -> str:
        """Return why no row is there whose children could be read."""
        while stream.parent and stream.name not in self._pages:
            stream = BY_NAME[stream.parent.stream]
        if self._pages[stream.name].rows:
            return f"no row on the first page of {stream.name} has children to read"
        return f"no parent row on the first page of {stream.name}"

    def _decide(self, result: CheckResult) -> CheckResult:
        """Return the result, no failure if the account does not have the product: a sync decides in the same way."""
        top = top_of(BY_NAME[result.stream])
        refused, host, account = self._refused.get(top.name), top.product.host, self.sync.settings.account_sid
        answered = any(BY_NAME[name].product.host == host for name in self._pages)
        if not refused or refused.status != 404:
            return result
        has_product = host == "api" or answered or was_read(self.sync.state, host, account)
        is_absent = refused.says_absent and not has_product
        if reason := why_not_found(self.sync.settings.base_url, host):
            return replace(result, message=f"{reason} (HTTP 404, code {refused.code})", failed=not is_absent)
        return (
            replace(result, message="the account does not have it (HTTP 404, code 20404)", failed=False)
            if is_absent
            else result
        )

    def _page(self, stream: Stream) -> Page | None:
        """Return a page of a stream; None if no row of its parent has children to read."""
        if stream.name in self._refused:
            raise self._refused[stream.name]
        if stream.name not in self._pages:
            values = self._values(stream)
            if values is None:
                return None
            self._pages[stream.name] = self._fetch(stream, values)
        return self._pages[stream.name]

    def _values(self, stream: Stream) -> dict[str, str] | None:
        """Return the values of a parent row for the path; None if no parent row has children to read."""
        parent = stream.parent
        if parent is None:
            return {}
        parents = self._page(BY_NAME[parent.stream])
        parents_with_children = (
            row for row in (parents.rows if parents else ()) if parent.where is None or parent.where.matches(row)
        )
        row: Row | None = next(parents_with_children, None)
        return row and {brace: str(row[name]) for brace, name in parent.path_params.items()}

    def _fetch(self, stream: Stream, values: dict[str, str]) -> Page:
        host = stream.product.host
        if host in self._unreachable:
            raise self._unreachable[host]
        account = self.sync.settings.account_sid
        endpoint = ListEndpoint(stream, account, PAGE_SIZE, stream.queries[-1], values)
        now = self.sync.clock.now
        last_day = (earlier(now, DAY), later(now, SECOND)) if stream.is_log else ()
        try:
            return endpoint.check_and_add_derived(self.sync.scheduler.fetch(endpoint.first_page(*last_day)))
        except Refused as refused:
            if stream.rows is None and stream.parent and refused.says_absent:
                return Page([], None, "", "")  # this parent row has none
            if stream.parent is None:
                self._refused[stream.name] = refused
            raise
        except Unreachable as error:
            if not isinstance(error, ServerFailed):
                self._unreachable[host] = error
            raise
