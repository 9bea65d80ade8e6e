"""
Read Twilio as a first sync does, and hand each record to the audit instead of stdout.

audit.py calls `read` for the sums, and once more for the rows that differ. run/sync.py reads: first with an empty
state, in time slices where a list is long, then once more for the rows that no time slice shows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson

from tap_twilio.errors import PartitionError, Refused
from tap_twilio.run.sync import Sync
from tap_twilio.settings import Settings
from tap_twilio.singer.catalog import Selected
from tap_twilio.singer.output import Output
from tap_twilio.state.store import State
from tap_twilio.streams import Stream, top_of
from tap_twilio.timestamps import Timestamp
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import PageTimes

LOGGER = logging.getLogger("tap_twilio")
NO_LIMIT = 10**9  # pages of rescans
Take = Callable[[str, str, PageTimes, list[bytes]], None]  # a stream, an account, and the records of a page
Range = tuple[Timestamp, Timestamp]


class _NoOutput(Output):
    """Keeps the last STATE, and writes nothing."""

    last_state: Any = None

    def schema(self, *_: Any, **__: Any) -> None:
        pass

    def activate_version(self, stream: str, version: int) -> None:
        pass

    def state(self, value: dict[str, Any]) -> None:
        self.last_state = orjson.loads(orjson.dumps(value))
        self.changed = False


class AuditSync(Sync):
    """A sync that writes nothing. `ranges` limits the dates that are requested, where Twilio has a filter on them."""

    def __init__(
        self,
        settings: Settings,
        selected: list[Selected],
        state: State,
        take: Take,
        ranges: Callable[[Stream], Sequence[Range]] = lambda stream: (),
        hide: Callable[[str, str], None] = lambda user, password: None,
    ) -> None:
        self.silent = _NoOutput()
        # INCREMENTAL reads the same rows as FULL_TABLE, and in time slices.
        incremental = [replace(choice, full_table=False) for choice in selected]
        super().__init__(settings, incremental, state, self.silent, hide)
        self.take_records, self.ranges = take, ranges

    def _plan(self) -> None:
        super()._plan()
        for partition_read in self.partition_reads:
            partition_read.ranges = self.ranges(partition_read.stream)

    def _write(self, name: str, account: str, times: PageTimes, records: list[bytes]) -> None:
        self.take_records(name, account, times, records)
        self.stats.emitted[name, account] += len(records)

    def _report(self) -> None:
        self.availability.log_failures()

    def row(self, stream: Stream, account: str, key: str) -> tuple[PageTimes, bytes] | None:
        """Request one row at its own address; None if Twilio answers 404. Raises PartitionError."""
        endpoint = ListEndpoint(stream, account, self.settings.page_size)
        try:
            page = self.scheduler.fetch(endpoint.single_row({stream.key[-1]: key}))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        page = endpoint.check_and_add_derived(page)
        return page.times, next(iter(self.recorders[stream.name].records(page.rows)))


class TwilioSide:
    """All reads of one audit."""

    def __init__(
        self,
        settings: Settings,
        ranges: Callable[[Stream], Sequence[Range]],
        hide: Callable[[str, str], None],
        begin: Callable[[Sync], None],
    ) -> None:
        self.settings = replace(
            settings, state_kilobytes=NO_LIMIT // 1000, rescan_pages=NO_LIMIT, state_seconds=NO_LIMIT
        )
        self.ranges, self.hide, self.begin = ranges, hide, begin
        self.unread: dict[tuple[str, str], str] = {}
        self.failed: dict[tuple[str, str], str] = {}
        self.accounts: list[str] = []
        self.requests = 0
        self.stopped = False
        self.sync: AuditSync | None = None

    def now(self) -> Timestamp:
        """Return Twilio's time. Raises TapError if Twilio refuses the credentials."""
        sync = AuditSync(self.settings, [], State(), lambda *_: None, hide=self.hide)
        self._prepare(sync)
        sync.pool.close()
        return sync.clock.now

    @staticmethod
    def _prepare(sync: Sync) -> None:
        sync.find_accounts()
        for warning in sync.settle_clock():
            LOGGER.warning("%s", warning)

    def read(self, selected: list[Selected], take: Take) -> None:
        """Read streams, and hand each record to `take`. A row may come twice: its last record counts."""
        sync = self._run(selected, State(), take)
        if self.stopped:
            return
        state = State(sync.silent.last_state)
        sliced = {
            partition_read.stream.name
            for partition_read in sync.partition_reads
            if not partition_read.ranges
            and (
                partition_read.state.resend_listed_before
                or any(table.state.resend_listed_before for table in partition_read.tables)
            )
        }
        again = [choice for choice in selected if top_of(choice.stream).name in sliced]
        if again:  # the rows that no time slice shows
            self._run(again, state, take)

    def _run(self, selected: list[Selected], state: State, take: Take) -> AuditSync:
        sync = self.sync = AuditSync(self.settings, selected, state, take, self.ranges, self.hide)
        self.begin(sync)
        sync.run()
        self.unread.update(sync.incomplete)
        self.failed.update(sync.failed)
        self.accounts = [account.sid for account in sync.accounts]
        self.requests += sync.pool.requests
        self.stopped = self.stopped or sync.scheduler.stopping
        return sync

    def rows(
        self, selected: Selected, keys: Iterable[tuple[str, str]]
    ) -> dict[str, tuple[str, PageTimes, bytes] | None]:
        """Request single rows by account and key. A deleted row is None; a failed one is left out."""
        found: dict[str, tuple[str, PageTimes, bytes] | None] = {}
        sync = AuditSync(self.settings, [selected], State(), lambda *_: None, hide=self.hide)
        self._prepare(sync)
        for account, key in keys:
            with suppress(PartitionError):
                row = sync.row(selected.stream, account, key)
                found[key] = row and (account, *row)
        self.requests += sync.pool.requests
        sync.pool.close()
        return found
