"""One run: plans the reads of all accounts and streams, writes their rows to stdout, and their progress to the state.

This module alone writes STATE lines. One thread writes records and STATE, so a STATE follows all records it covers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial

from tap_twilio.errors import Incomplete, PartitionError, TapError, Unreachable
from tap_twilio.extract import strategy
from tap_twilio.extract.budget import Budget
from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.log import about
from tap_twilio.reporting import log_lines
from tap_twilio.reporting.forecast import rescan_pages_per_list, syncs_left
from tap_twilio.reporting.stats import RunStats
from tap_twilio.reporting.summary import StreamSummary, log_table, summarize
from tap_twilio.settings import Settings
from tap_twilio.singer.catalog import Selected
from tap_twilio.singer.output import Output
from tap_twilio.singer.records import Recorder
from tap_twilio.state.outcome import note_not_read, note_read
from tap_twilio.state.store import State, selection
from tap_twilio.streams import PROBE, Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.timestamps import HOUR, Timestamp, earlier, machine_now, parse_timestamp
from tap_twilio.twilio.client import Client
from tap_twilio.twilio.credentials import Credentials
from tap_twilio.twilio.request import Stamp
from tap_twilio.twilio.retry_pool import Pool
from tap_twilio.twilio.server_clock import Clock

from .accounts import Account, Accounts, fetch_account, find_accounts
from .availability import INACTIVE, UNAVAILABLE, Availability
from .plan import RunPlan
from .scheduler import Done, Scheduler
from .versions import Versions, interrupted

LOGGER = logging.getLogger("tap_twilio")
QUIET_S = 300  # between STATEs with no row between them; a killed rescan reads this much again at most
CLOCK_REQUESTS = 4  # at most, until two answers agree on the time


class Sync:
    """One run of the tap. `stop` may be called from a signal handler."""

    def __init__(
        self,
        settings: Settings,
        selected: list[Selected],
        state: State,
        output: Output,
        hide: Callable[[str, str], None] = lambda user, password: None,
    ) -> None:
        self.settings, self.state, self.output = settings, state, output
        self.selected = {choice.stream.name: choice for choice in selected}
        self.credentials = Credentials(settings.account_sid, settings.user, settings.password, hide)
        self.clock = Clock(machine_counts=not settings.base_url)  # a base_url may simulate time
        client = Client(settings, self.credentials)
        client.origin("api")  # refuses an unknown region before any request
        self.pool = Pool(
            client, self.clock, settings.concurrency, settings.retry_minutes * 60, settings.request_timeout
        )
        self.scheduler = Scheduler(self.pool, self._emit)
        self.recorders = {name: Recorder(choice, settings.on_invalid) for name, choice in self.selected.items()}
        self.versions = Versions(state, self._write, output.activate_version)
        self.readings: list[PartitionRead] = []
        self.accounts = Accounts((), False)
        self.counts = RunStats(self.pool.traffic, lambda: output.write_s)
        self.available = Availability(settings, state, self.credentials, self.clock, self._answered)
        self.end_progress: Callable[[], None] = lambda: None  # called before the closing lines
        self._wrote_state = time.monotonic()
        self._accounts: dict[str, list[str]] = {}  # those read of each stream

    def stop(self) -> None:
        self.scheduler.stopping = True
        self.pool.wake()

    def run(self) -> int:
        """Sync, and return the exit code: 0, or 3 if a partition failed. Raises TapError, TargetGone, OutputFailed."""
        for name in self.selected:
            self.state.stream(name)  # a malformed state is refused before any request
        self.find_accounts()
        warnings = self.settle_clock()
        self._plan()
        log_lines.log_start(len(self.accounts.chosen), list(self.selected), warnings)
        for host in self.available.hosts_without_token:
            LOGGER.info("%s: read in the main account only, since subaccounts need their own auth_token", host)
        self._reconcile_states()
        for name, choice in self.selected.items():
            self.output.schema(name, choice.schema, choice.stream.key, choice.bookmark_properties)
        self.scheduler.after_page = self._after_page
        self._read()
        self.available.settle()
        self._note_outcome()
        self._write_state()
        self.pool.close()
        self.end_progress()
        self._report()
        return 3 if self.failed else 0

    def _answered(self, key: tuple[str, str]) -> bool:
        """Return whether Twilio answered with a page of a stream in an account."""
        return key in self.counts.traffic and self.counts.of_partition(key).pages > 0

    @property
    def failed(self) -> dict[tuple[str, str], str]:
        """Return the error of each stream and account that failed."""
        return {key: str(error) for key, error in self.available.failed.items()}

    @property
    def unread(self) -> dict[tuple[str, str], str]:
        """Return the reason for each stream and account that was not read whole: a constant of availability.py."""
        return self.available.unread

    def find_accounts(self) -> None:
        """Ask Twilio for the accounts to read. Raises TapError if it refuses the credentials or does not answer."""
        try:
            self.accounts = find_accounts(self.settings, self.scheduler, self.credentials, PROBE)
            self.available.accounts = self.accounts
        except PartitionError as error:
            raise TapError(f"{error}; nothing was read.") from None

    def summarize(self) -> list[StreamSummary]:
        """Return what was read so far, by stream."""
        return summarize(self.selected, self.readings, self.counts, self.failed, self.unread, self.state)

    # -- planning

    def _plan(self) -> None:
        records = {name: recorder.records for name, recorder in self.recorders.items()}
        self.run_plan = run_plan = RunPlan(
            self.settings, self.state, frozenset(self.selected), self.clock.now, lambda: self.clock.now, records
        )
        pairs = [(stream, account) for stream in run_plan.roots() for account in self._accounts_of(stream)]
        pairs.sort(key=lambda pair: self.state.partition(pair[0].name, pair[1].sid).rescanned_at or "")
        budget = Budget(self.settings.rescan_pages, [(stream.name, account.sid) for stream, account in pairs])
        self.readings = [run_plan.reading(stream, account, budget) for stream, account in pairs]

    def _accounts_of(self, stream: Stream) -> list[Account]:
        return self.available.accounts_of(stream, self.run_plan.names(stream))

    def _reconcile_states(self) -> None:
        imported = [name for reading in self.readings for name in self._reconcile(reading)]
        if imported:
            LOGGER.warning(
                "the state has only bookmarks for %s: older rows are assumed to be loaded. To be exact, leave --state "
                "out, or take these streams out of the state, so that everything is read once",
                ", ".join(dict.fromkeys(imported)),
            )
        self.counts.begin(self.readings)
        for reading in self.readings:
            for table in reading.tables:
                self._accounts.setdefault(table.name, []).append(table.account)

    def _reconcile(self, reading: PartitionRead) -> list[str]:
        """Reconcile a list's state with settings and catalog. Return its tables with imported bookmarks."""
        added, imported = [], []
        for table in reading.tables:
            stream = self.state.stream(table.name)
            key, names = selection(self.selected[table.name].written)
            before = stream.selections.get(table.state.selection or "")
            if table.state.selection is not None and (before is None or not set(names) <= set(before)):
                added.append(table.name)
            table.state.selection, stream.selections[key] = key, names
            if not self.selected[table.name].full_table:
                stream.content = None  # an incremental sync writes rows of no version
            dated = self.selected[table.name].stream.changed  # a bookmark tells nothing about rows without dates
            if stream.imported and dated and not table.state.was_read:
                self._import_bookmark(reading, stream.imported, table.name)
                imported.append(table.name)
        for warning in reading.reconcile(added):
            name = reading.stream.name
            LOGGER.warning("%s %s: %s", name, reading.account, warning, extra=about(name))
        return imported

    def _import_bookmark(self, reading: PartitionRead, imported: Timestamp, name: str) -> None:
        """Begin to emit at a bookmark that another tap, or a person, wrote."""
        bookmark = earlier(imported, timedelta(hours=self.settings.lateness_hours))
        table = next(table for table in reading.tables if table.name == name)
        own = table.state is reading.state
        bookmarks.import_bookmark(table.state, reading.state if own else None, bookmark)

    # -- reading

    def _read(self) -> None:
        """Resume interrupted versions; then begin the next ones, and read all lists side by side."""
        full = [name for name, choice in self.selected.items() if choice.full_table]
        resumed = {name: version for name in full if (version := self._interrupted(name))}
        self._read_versions(resumed)
        if self.scheduler.stopping:
            return
        for name in full:
            if self._interrupted(name):
                self.versions.drop(name)
            else:
                self.versions.begin(name, self.clock.now)
        self.scheduler.run(self._reads())
        self._end_versions(full)

    def _read_versions(self, resumed: dict[str, int]) -> None:
        self.versions.resume(resumed)
        readings = [reading for reading in self.readings if reading.stream.name in resumed]
        self.scheduler.run(
            (strategy.full(reading, resumed[reading.stream.name]), partial(self._done, reading)) for reading in readings
        )
        self._end_versions(list(resumed))

    def _interrupted(self, name: str) -> int | None:
        return interrupted(self.state.stream(name), self._accounts.get(name, ()))

    def _end_versions(self, names: Sequence[str]) -> None:
        self.available.settle()
        if self.scheduler.stopping:
            self.versions.release(names)
        else:
            self.versions.end(names, self.available.failed, self.unread, self.clock.now)

    def _reads(self) -> Iterator[tuple[Read, Done]]:
        for reading in self.readings:
            if self._is_full(reading):
                number = self.versions.number(reading.stream.name)
                reading.budget.end(reading.key)
                if number is not None:
                    yield strategy.full(reading, number), partial(self._done, reading)
            elif self.available.is_skipped(reading, self.run_plan.names(reading.stream)):
                reading.budget.end(reading.key)
            else:
                yield strategy.sync(reading), partial(self._done, reading)

    def _is_full(self, reading: PartitionRead) -> bool:
        choice = self.selected.get(reading.stream.name)
        return choice is not None and choice.full_table

    def _done(self, reading: PartitionRead, error: PartitionError | None) -> None:
        """Note that the read of a list ended, with an error or without."""
        reading.budget.end(reading.key)
        full = reading.state.full
        if full and error and not isinstance(error, (Unreachable, Incomplete)):
            full.checkpoint = None  # this read cannot be resumed
            full.version, full.done = 0, True  # but rows of the account may be in the warehouse
        self.available.note_end(reading, error)

    # -- rows and state

    def _emit(self, emit: Emit) -> None:
        self.versions.emit(emit.table.name, emit.table.account, emit.stamp, emit.records)

    def _write(self, name: str, account: str, stamp: Stamp, records: list[bytes]) -> None:
        self.output.records(self.recorders[name].lines(records, stamp, self.versions.number(name)))
        self.counts.emitted[name, account] += len(records)

    def _after_page(self) -> None:
        """
        Write a STATE if it is due: only after some minutes if no row was written since the last one.

        Some targets print only the first of several STATEs without rows between them, so that one must be late.
        """
        wait = self.settings.state_seconds
        if wait and not self.output.changed:
            wait = max(wait, QUIET_S)
        if time.monotonic() - self._wrote_state >= wait:
            self._write_state()

    def _note_outcome(self) -> None:
        """Write into the state what this sync leaves to the next ones."""
        pages_per_list = rescan_pages_per_list(self.readings)
        for reading in self.readings:
            for table in reading.tables:
                note_read(table.state, syncs_left(reading, pages_per_list), table.by_date_from)
        note_not_read(self.state, self.unread)

    def _write_state(self) -> None:
        if self.clock.put_back:
            for reading in self.readings:
                reading.hold_back(self.clock.now)
        for reading in self.readings:
            reading.keep()
        undated = {key for key, reason in self.unread.items() if reason in (*INACTIVE, UNAVAILABLE)}
        dated = {name: [sid for sid in sids if (name, sid) not in undated] for name, sids in self._accounts.items()}
        self.output.state(self.state.dump(dated, self.versions.holding))
        self._wrote_state = time.monotonic()

    # -- clock and log

    def settle_clock(self) -> list[str]:
        """Ask Twilio for its time, before any timestamp is derived from it. Return warnings about clocks."""
        self._ask_time()
        return self._check_clock()

    def _ask_time(self) -> None:
        """Ask Twilio for more answers, until two agree on the time."""
        sid = self.settings.account_sid
        for _ in range(CLOCK_REQUESTS):
            if self.clock.settled or not self.clock.now or self.scheduler.stopping:
                return
            try:
                self.scheduler.fetch(fetch_account(sid))
            except PartitionError:
                return  # a Standard key may not; later answers then correct the clock

    def _check_clock(self) -> list[str]:
        """Return warnings about Twilio's clock, this machine's, and a start_date in the future."""
        now, warnings = machine_now(), []
        if not self.clock.now:
            warnings.append(
                "Twilio's answers have no Date header (a proxy?): this machine's clock minus 1 hour is used"
            )
            self.clock.saw(earlier(now, HOUR))
        apart = parse_timestamp(now) - parse_timestamp(self.clock.now)
        if abs(apart) > HOUR / 2 and not self.settings.base_url:
            warnings.append(f"this machine's clock is {apart} off from Twilio's; the tap uses Twilio's")
        if self.settings.start_date and self.settings.start_date > self.clock.now:
            warnings.append("start_date is in the future: no row is emitted until then")
        return warnings

    def _report(self) -> None:
        streams = self.summarize()
        emitted = {stream.stream: sum(account.stats.emitted for account in stream.accounts) for stream in streams}
        for recorder in self.recorders.values():
            for line in recorder.drift.summary():
                LOGGER.warning("%s", line, extra=about(recorder.drift.stream))
        counted = ((name, emitted[name]) for name in self.selected)
        log_lines.log_metrics(counted, self.pool.spent_s, self.pool.requests, self.pool.retries)
        log_lines.log_full_state(self.readings)
        log_lines.log_missing_children(self.readings)
        self.available.explain()
        for sid, requests in self.run_plan.requests.items():
            if requests.exhausted:
                LOGGER.info("%s: max_child_requests is used up; the next syncs visit the remaining parent rows", sid)
        log_lines.log_forecasts(self.readings, self.unread)
        log_table(streams)
        log_lines.log_totals(self.pool.pages, self.pool.requests, self.counts.elapsed_s, sum(emitted.values()))
        if self.scheduler.stopping:
            LOGGER.warning("stopped before the end; the last STATE line covers every record that was written")
        self.available.log_failures()
