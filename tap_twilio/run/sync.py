"""
One run of the tap: finds the accounts, plans the reads, runs them, and writes records and STATE to stdout.

commands/sync.py creates a `Sync` and calls `run`. plan.py creates the reads, scheduler.py runs them, and `Sync` gets
their records and errors. This module alone writes STATE lines. One thread writes records and STATE, so a STATE follows
all records that it covers.

A version is a FULL_TABLE read of a stream in all accounts: a number that its RECORD and ACTIVATE_VERSION lines carry
(versions.py).
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
from tap_twilio.extract.partition_read import FROM_THE_FUTURE, PartitionRead
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
from tap_twilio.streams import Stream
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.timestamps import HOUR, earlier, machine_now, to_datetime
from tap_twilio.twilio.client import Client
from tap_twilio.twilio.credentials import Credentials
from tap_twilio.twilio.request import PageTimes
from tap_twilio.twilio.retry_pool import Pool
from tap_twilio.twilio.server_clock import Clock

from .accounts import Account, AccountFinder, account_request
from .availability import INACTIVE, UNAVAILABLE, Availability
from .plan import RunPlan
from .refresh import Refresh, check_accounts, note
from .scheduler import Done, Scheduler
from .versions import Versions, interrupted_version, leave_full_table

LOGGER = logging.getLogger("tap_twilio")
QUIET_STATE_S = 300  # between two STATEs without a record between them; a killed rescan repeats this much at most
MAX_CLOCK_REQUESTS = 4  # until two answers agree on the time


class Sync:
    """
    One run of the tap. `stop` may be called from a signal handler.

    `hide` is called with each user name and password, so that the log does not show them.
    """

    def __init__(
        self,
        settings: Settings,
        selected: list[Selected],
        state: State,
        output: Output,
        hide: Callable[[str, str], None] = lambda user, password: None,
        refreshes: Sequence[Refresh] = (),
    ) -> None:
        self.settings, self.state, self.output, self.refreshes = settings, state, output, refreshes
        self.selected = {choice.stream.name: choice for choice in selected}
        self.credentials = Credentials(
            settings.account_sid, settings.user, settings.password, hide, settings.credentials
        )
        self.clock = Clock(machine_counts=not settings.base_url)  # a base_url may simulate time
        client = Client(settings, self.credentials)
        client.origin("api")  # refuses an unknown region before any request
        self.pool = Pool(
            client, self.clock, settings.concurrency, settings.retry_minutes * 60, settings.request_timeout
        )
        self.scheduler = Scheduler(self.pool, self._emit)
        self.recorders = {name: Recorder(choice, settings.on_invalid) for name, choice in self.selected.items()}
        self.versions = Versions(state, self._write, output.activate_version)
        self.partition_reads: list[PartitionRead] = []
        self.account_finder = AccountFinder(settings, self.scheduler, self.credentials)
        self.accounts: list[Account] = []  # those that the run reads
        self.stats = RunStats(self.pool.traffic, lambda: output.write_s)
        self.availability = Availability(settings, state, self.credentials, self.clock, self._answered)
        self.end_progress: Callable[[], None] = lambda: None  # called between the last page and the closing lines
        self._wrote_state = time.monotonic()
        self._masking_sql: dict[str, str] = {}  # by stream, if the last sync masked fewer columns
        self._sids_by_stream: dict[str, list[str]] = {}  # the accounts in which the run reads a stream

    def stop(self) -> None:
        self.scheduler.stopping = True
        self.pool.wake()

    def run(self) -> int:
        """Sync, and return the exit code: 0, or 3 if a partition failed. Raises TapError, TargetGone, OutputFailed."""
        for name in self.selected:
            self.state.stream(name)  # refuses a malformed state before any request
        self.find_accounts()
        check_accounts(self.refreshes, [account.sid for account in self.accounts if not account.closed])
        warnings = self.settle_clock()
        self._plan()
        log_lines.log_start(len(self.accounts), list(self.selected), warnings)
        for product in self.availability.products_without_token:
            LOGGER.info("%s: read in the main account only, since subaccounts need their own auth_token", product)
        self._reconcile_states()
        note(self.refreshes, self.partition_reads)
        for name, choice in self.selected.items():
            self.output.schema(name, choice.schema, choice.stream.key, choice.bookmark_properties)
        if self.refreshes:
            self._write_state()  # if the run is killed, the next sync goes on with them
        self.scheduler.after_page = self._after_page
        self._read()
        self.availability.settle()
        self._note_outcome()
        self._write_state()
        self.pool.close()
        self.end_progress()
        self._report()
        return 3 if self.failed else 0

    def _answered(self, key: tuple[str, str]) -> bool:
        """Return whether Twilio answered with a page of a stream in an account."""
        return key in self.stats.traffic and self.stats.of_partition(key).pages > 0

    @property
    def failed(self) -> dict[tuple[str, str], str]:
        """Return the error of each stream and account that failed."""
        return {key: str(error) for key, error in self.availability.failed.items()}

    @property
    def incomplete(self) -> dict[tuple[str, str], str]:
        """Return the reason for each stream and account that was not read whole: a constant of availability.py."""
        return self.availability.incomplete

    def find_accounts(self) -> None:
        """Ask Twilio for the accounts to read. Raises TapError if it refuses the credentials or does not answer."""
        try:
            self.accounts = self.account_finder.find_accounts()
            self.availability.accounts = self.accounts
        except PartitionError as error:
            raise TapError(f"{error}; nothing was read.") from None

    def summarize(self) -> list[StreamSummary]:
        """Return what was read so far, by stream."""
        stats, now = self.stats, self.clock.now or machine_now()
        return summarize(self.selected, self.partition_reads, stats, self.failed, self.incomplete, self.state, now)

    # -- planning

    def _plan(self) -> None:
        records = {name: recorder.records for name, recorder in self.recorders.items()}
        self.run_plan = run_plan = RunPlan(
            self.settings, self.state, frozenset(self.selected), self.clock.now, lambda: self.clock.now, records
        )
        pairs = [(stream, account) for stream in run_plan.top_streams() for account in self._accounts_of(stream)]
        # The budget for rescans goes first to the list that waits longest.
        pairs.sort(key=lambda pair: self.state.partition(pair[0].name, pair[1].sid).rescanned_at or "")
        budget = Budget(self.settings.rescan_pages, [(stream.name, account.sid) for stream, account in pairs])
        self.partition_reads = [run_plan.partition_read(stream, account, budget) for stream, account in pairs]

    def _accounts_of(self, stream: Stream) -> list[Account]:
        return self.availability.accounts_of(stream, self.run_plan.names(stream))

    def _reconcile_states(self) -> None:
        resends: dict[str, list[str]] = {}  # by reason: the streams
        imported = [
            name for partition_read in self.partition_reads for name in self._reconcile(partition_read, resends)
        ]
        for name, sql in self._masking_sql.items():
            message = (
                "%s: older rows are written once more, masked. For rows that Twilio does not list any more, run: %s"
            )
            LOGGER.warning(message, name, sql, extra=about(name))
        for reason, names in resends.items():
            LOGGER.info("%s: %s", ", ".join(dict.fromkeys(names)), reason)
        if imported:
            LOGGER.warning(
                "the state has only bookmarks for %s: older rows are assumed to be loaded. To be exact, leave --state "
                "out, or take these streams out of the state, so that everything is read once",
                ", ".join(dict.fromkeys(imported)),
            )
        self.stats.begin(self.partition_reads)
        for partition_read in self.partition_reads:
            for table in partition_read.tables:
                self._sids_by_stream.setdefault(table.name, []).append(table.account)

    def _reconcile(self, partition_read: PartitionRead, resends: dict[str, list[str]]) -> list[str]:
        """
        Reconcile the states of a read with settings and catalog. Return the tables with imported bookmarks.

        Add to `resends` the streams whose older rows are read again, by reason.
        """
        added, imported = [], []
        for table in partition_read.tables:
            stream = self.state.stream(table.name)
            selection_name, properties = selection(self.selected[table.name].written)
            last_properties = stream.selections.get(table.state.selection or "")
            has_selection = table.state.selection is not None
            if has_selection and (last_properties is None or not set(properties) <= set(last_properties)):
                added.append(table.name)
            if (
                last_properties
                and table.state.was_read
                and (sql := self.selected[table.name].masking_sql(last_properties, machine_now()))
            ):
                self._masking_sql[table.name] = sql
            table.state.selection, stream.selections[selection_name] = selection_name, properties
            if not self.selected[table.name].full_table:
                leave_full_table(stream, table.state)
            has_dates = self.selected[table.name].stream.replication_key  # else a bookmark says nothing about the rows
            if stream.imported and has_dates and not table.state.was_read:
                bookmark = earlier(stream.imported, timedelta(hours=self.settings.lateness_hours))
                bookmarks.import_bookmark(table.state, bookmark, has_own_list=table.state is partition_read.state)
                imported.append(table.name)
        for name, message in partition_read.reconcile(added):
            if message == FROM_THE_FUTURE:
                LOGGER.warning("%s %s: %s", name, partition_read.account, message, extra=about(name))
            else:
                resends.setdefault(message, []).append(name)
        return imported

    # -- reading

    def _read(self) -> None:
        """Resume interrupted versions; then begin the next ones, and read all lists side by side."""
        full_table_names = [name for name, choice in self.selected.items() if choice.full_table]
        self._resume_versions(
            {name: version for name in full_table_names if (version := self._interrupted_version(name))}
        )
        if self.scheduler.stopping:
            return
        for name in full_table_names:
            if self._interrupted_version(name):
                self.versions.set_aside(name)
            else:
                self.versions.begin(name, self.clock.now)
        self.scheduler.run(self._reads())
        self._end_versions(full_table_names)

    def _resume_versions(self, versions: dict[str, int]) -> None:
        self.versions.resume(versions)
        self.scheduler.run(
            (strategy.full(partition_read, versions[partition_read.stream.name]), partial(self._done, partition_read))
            for partition_read in self.partition_reads
            if partition_read.stream.name in versions
        )
        self._end_versions(list(versions))

    def _interrupted_version(self, name: str) -> int | None:
        return interrupted_version(self.state.stream(name), self._sids_by_stream.get(name, ()))

    def _end_versions(self, names: Sequence[str]) -> None:
        self.availability.settle()
        if self.scheduler.stopping:
            self.versions.flush(names)
        else:
            self.versions.end(names, self.availability.failed, self.incomplete, self.clock.now)

    def _reads(self) -> Iterator[tuple[Read, Done]]:
        for partition_read in self.partition_reads:
            if self._is_full_table(partition_read):
                version = self.versions.number(partition_read.stream.name)
                partition_read.budget.end(partition_read.key)
                if version is not None:
                    yield strategy.full(partition_read, version), partial(self._done, partition_read)
            elif self.availability.is_skipped(partition_read, self.run_plan.names(partition_read.stream)):
                partition_read.budget.end(partition_read.key)
            else:
                yield strategy.sync(partition_read), partial(self._done, partition_read)

    def _is_full_table(self, partition_read: PartitionRead) -> bool:
        choice = self.selected.get(partition_read.stream.name)
        return choice is not None and choice.full_table

    def _done(self, partition_read: PartitionRead, error: PartitionError | None) -> None:
        """Note that the read of a list ended, with an error or without."""
        partition_read.budget.end(partition_read.key)
        full = partition_read.state.full
        is_resumable = error is None or isinstance(error, (Unreachable, Incomplete))
        if full and not is_resumable and self._is_full_table(partition_read):
            full.invalidate()
        self.availability.note_end(partition_read, error)

    # -- rows and state

    def _emit(self, emit: Emit) -> None:
        write = self._write if emit.again else self.versions.emit
        write(emit.table.name, emit.table.account, emit.times, emit.records)

    def _write(self, name: str, account: str, times: PageTimes, records: list[bytes]) -> None:
        version = self.versions.number(name) or self._last_version(name)
        self.output.records(self.recorders[name].lines(records, times, version))
        self.stats.emitted[name, account] += len(records)

    def _last_version(self, name: str) -> int | None:
        """Return the version of rows that a refresh writes while no version of their FULL_TABLE stream is open."""
        return self.state.stream(name).version if self.selected[name].full_table else None

    def _after_page(self) -> None:
        """
        Write a STATE if it is due: only after some minutes if no row was written since the last one.

        Of several STATEs without rows between them, some targets print only the first, so the first must be late.
        """
        wait = self.settings.state_seconds
        if wait and not self.output.changed:
            wait = max(wait, QUIET_STATE_S)
        if time.monotonic() - self._wrote_state >= wait:
            self._write_state()

    def _note_outcome(self) -> None:
        """Write into the state what this sync leaves to the next ones."""
        pages_per_list = rescan_pages_per_list(self.partition_reads)
        for partition_read in self.partition_reads:
            for table in partition_read.tables:
                note_read(table.state, syncs_left(partition_read, pages_per_list), table.by_date_from)
        note_not_read(self.state, self.incomplete)

    def _write_state(self) -> None:
        if self.clock.put_back:
            for partition_read in self.partition_reads:
                partition_read.cap_dates(self.clock.now)
        for partition_read in self.partition_reads:
            partition_read.save_fingerprints()
        unreadable = {key for key, reason in self.incomplete.items() if reason in (*INACTIVE, UNAVAILABLE)}
        readable = {
            name: [sid for sid in sids if (name, sid) not in unreadable] for name, sids in self._sids_by_stream.items()
        }
        self.output.state(self.state.dump(readable, self.versions.buffering))
        self._wrote_state = time.monotonic()

    # -- clock and log

    def settle_clock(self) -> list[str]:
        """Ask Twilio for its time, before any timestamp is derived from it. Return warnings about clocks."""
        self._request_times()
        return self._check_clock()

    def _request_times(self) -> None:
        """Send more requests, until two answers agree on the time."""
        sid = self.settings.account_sid
        for _ in range(MAX_CLOCK_REQUESTS):
            if self.clock.settled or not self.clock.now or self.scheduler.stopping:
                return
            try:
                self.scheduler.fetch(account_request(sid))
            except PartitionError:
                return  # Twilio refuses it to a Standard key; later answers then correct the clock

    def _check_clock(self) -> list[str]:
        """Return warnings about Twilio's clock, this machine's, and a start_date in the future."""
        now, warnings = machine_now(), []
        if not self.clock.now:
            warnings.append(
                "Twilio's answers have no Date header (a proxy?): this machine's clock minus 1 hour is used"
            )
            self.clock.observe(earlier(now, HOUR))
        apart = to_datetime(now) - to_datetime(self.clock.now)
        if abs(apart) > HOUR / 2 and not self.settings.base_url:
            warnings.append(f"this machine's clock is {apart} off from Twilio's; the tap uses Twilio's")
        if self.settings.start_date and self.settings.start_date > self.clock.now:
            warnings.append("start_date is in the future: no row is emitted until then")
        return warnings

    def _report(self) -> None:
        """Log the closing lines."""
        streams = self.summarize()
        emitted = {stream.stream: sum(account.stats.emitted for account in stream.accounts) for stream in streams}
        for recorder in self.recorders.values():
            for line in recorder.drift.summary():
                LOGGER.warning("%s", line, extra=about(recorder.drift.stream))
        counted = ((name, emitted[name]) for name in self.selected)
        log_lines.log_metrics(counted, self.pool.spent_s, self.pool.requests, self.pool.retries)
        log_lines.log_full_state(self.partition_reads)
        log_lines.log_missing_children(self.partition_reads)
        self.availability.log_incomplete()
        for sid, requests in self.run_plan.requests.items():
            if requests.exhausted:
                LOGGER.info("%s: max_child_requests is used up; the next syncs visit the remaining parent rows", sid)
        log_lines.log_forecasts(self.partition_reads, self.incomplete)
        log_table(streams)
        log_lines.log_totals(self.pool.pages, self.pool.requests, self.stats.elapsed_s, sum(emitted.values()))
        if self.scheduler.stopping:
            LOGGER.warning("stopped before the end; the last STATE line covers every record that was written")
        self.availability.log_failures()
