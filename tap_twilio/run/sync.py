"""One run: accounts and streams to readings, their rows to stdout, their progress to the state.

The only place where a STATE line is written: after every record that it covers, since one thread does both.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial

from tap_twilio.errors import Incomplete, PartitionError, Refused, TapError, Unreachable
from tap_twilio.extract import strategy
from tap_twilio.extract.budget import Budget
from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.log import about
from tap_twilio.reporting.closing_lines import (
    beyond_size_limit,
    forecasts,
    given_up,
    introduce,
    metrics,
    settle,
    summary,
)
from tap_twilio.reporting.stats import RunStats
from tap_twilio.reporting.summary import FullRead, log_table, summarise
from tap_twilio.settings import Settings
from tap_twilio.singer.catalog import Selected
from tap_twilio.singer.output import Output
from tap_twilio.singer.records import Recorder
from tap_twilio.state.model import State, selection
from tap_twilio.streams import BY_NAME, PROBE, Stream
from tap_twilio.streams.model import LogWindow
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.timestamps import DAY, HOUR, Timestamp, earlier, later, machine_now, parse_timestamp
from tap_twilio.twilio.client import Client
from tap_twilio.twilio.credentials import Credentials
from tap_twilio.twilio.request import Stamp
from tap_twilio.twilio.retry_pool import Pool
from tap_twilio.twilio.server_clock import Clock

from .accounts import Account, Accounts, fetch_account, find_accounts
from .availability import ABSENT, CLOSED, INACTIVE, LEFT_OUT, TOKENLESS, Availability
from .plan import RunPlan
from .scheduler import Done, Scheduler
from .versions import Version, begin, end, explain, interrupted, not_whole

LOGGER = logging.getLogger("tap_twilio")
QUIET_S = 300  # between STATEs without a row between them: what a killed rescan reads again, at most
SETTLING = 4  # requests at most to find two answers that agree on the time


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
        self.selected = {one.stream.name: one for one in selected}
        self.credentials = Credentials(settings.account_sid, settings.user, settings.password, hide)
        self.clock = Clock(machine_counts=not settings.base_url)  # behind base_url time may be simulated
        client = Client(settings, self.credentials)
        client.origin("api")  # refuses a region that it cannot place, before anything is asked
        self.pool = Pool(
            client, self.clock, settings.concurrency, settings.retry_minutes * 60, settings.request_timeout
        )
        self.scheduler = Scheduler(self.pool, self._emit)
        self.recorders = {name: Recorder(one, settings.on_invalid) for name, one in self.selected.items()}
        self.versions: dict[str, Version] = {}  # of the FULL_TABLE reads
        self.readings: list[PartitionRead] = []
        self.accounts = Accounts((), False)
        self.counts = RunStats(self.pool.traffic)
        self.available = Availability(state, lambda key: key in self.counts.traffic and self.counts.of(key).pages > 0)
        self.when_read: Callable[[], None] = lambda: None  # called before the log says what the run did
        self._wrote_state = time.monotonic()
        self._dated: dict[str, list[str]] = {}

    def stop(self) -> None:
        self.scheduler.stopping = True
        self.pool.wake()

    def run(self) -> int:
        """The exit code: 0, or 3 when some partitions failed. Raises TapError, TargetGone, OutputFailed."""
        for name in self.selected:
            self.state.stream(name)  # a malformed state is refused before any request
        self.find_accounts()
        said = self.settle_clock()
        self._plan()
        introduce(len(self.accounts.chosen), list(self.selected), said)
        for host in self.without_token:
            LOGGER.info("%s: read in the main account only, since it wants each subaccount's auth_token", host)
        self._reconcile_states()
        for name, one in self.selected.items():
            self.output.schema(name, one.schema, one.stream.key, one.bookmark_properties)
        self.scheduler.after_page = self._after_page
        self._read()
        self.available.settle()
        settle(self.state, self.readings, self.unread)
        self._write_state()
        self.pool.close()
        self.when_read()
        self._report()
        return 3 if self.failed else 0

    @property
    def failed(self) -> dict[tuple[str, str], str]:
        """Stream and account, and why it failed."""
        return {key: str(error) for key, error in self.available.failed.items()}

    @property
    def unread(self) -> dict[tuple[str, str], str]:
        """Stream and account, and why it was not read whole: one of the words in availability.py."""
        return self.available.unread

    def find_accounts(self) -> None:
        """Which accounts there are. Raises TapError where the credentials do not hold, or nothing answers."""
        try:
            self.accounts = find_accounts(self.settings, self.scheduler, self.credentials, PROBE)
            self.available.accounts = self.accounts
        except PartitionError as error:
            raise TapError(f"{error}; nothing was read.") from None

    def summarise(self) -> list[FullRead]:
        """What was read so far, stream by stream."""
        return summarise(self.selected, self.readings, self.counts, self.failed, self.unread, self.state)

    # -- what is read

    def _plan(self) -> None:
        records = {name: recorder.records for name, recorder in self.recorders.items()}
        self.run_plan = run_plan = RunPlan(
            self.settings, self.state, frozenset(self.selected), self.clock.now, lambda: self.clock.now, records
        )
        pairs = [(stream, account) for stream in run_plan.roots() for account in self._accounts_of(stream)]
        pairs.sort(key=lambda pair: self.state.partition(pair[0].name, pair[1].sid).rescanned_at or "")
        budget = Budget(self.settings.rescan_pages, [(stream.name, account.sid) for stream, account in pairs])
        self.readings = [run_plan.reading(stream, account, budget) for stream, account in pairs]

    def _reconcile_states(self) -> None:
        taken = [name for reading in self.readings for name in self._reconcile(reading)]
        if taken:
            LOGGER.warning(
                "a bookmark is all that the state holds of %s, so their older rows are taken as read; for exactness, "
                "leave --state out, or take them out of it, and let everything be read once",
                ", ".join(dict.fromkeys(taken)),
            )
        self.counts.start(self.readings)
        for reading in self.readings:
            for table in reading.tables:
                self._dated.setdefault(table.name, []).append(table.account)

    def _accounts_of(self, stream: Stream) -> list[Account]:
        """The accounts in which a list is read."""
        main, chosen = self.settings.account_sid, self.accounts.chosen
        if stream.scope != "account":
            chosen = tuple(account for account in chosen if account.sid == main) or (Account(main),)
        able = []
        for one in chosen:
            if one.closed:
                self.available.leave_out(self.run_plan.names(stream), one.sid, CLOSED)
            elif self.credentials.reads(one.sid, stream.product.own_credentials):
                able.append(one)
            else:
                self.available.leave_out(self.run_plan.names(stream), one.sid, TOKENLESS)
        return able

    @property
    def without_token(self) -> list[str]:
        """The products that are not read in a subaccount, for want of its token."""
        names = {name for (name, _), why in self.unread.items() if why == TOKENLESS}
        return sorted({BY_NAME[name].product.host for name in names})

    def _reconcile(self, reading: PartitionRead) -> list[str]:
        """Hold the state of a list and its tables against what is asked for now; its tables with a foreign bookmark."""
        added, taken = [], []
        for table in reading.tables:
            stream = self.state.stream(table.name)
            key, names = selection(self.selected[table.name].written)
            before = stream.selections.get(table.state.selection or "")
            if table.state.selection is not None and (before is None or not set(names) <= set(before)):
                added.append(table.name)
            table.state.selection, stream.selections[key] = key, names
            if not self.selected[table.name].full_table:
                stream.content = None  # what this sync writes is of no version
            dated = self.selected[table.name].stream.changed  # without a date, a bookmark says nothing of the rows
            if stream.imported and dated and not table.state.was_read:
                self._import_bookmark(reading, stream.imported, table.name)
                taken.append(table.name)
        for said in reading.reconcile(added):
            name = reading.stream.name
            LOGGER.warning("%s %s: %s", name, reading.account, said, extra=about(name))
        return taken

    def _import_bookmark(self, reading: PartitionRead, imported: Timestamp, name: str) -> None:
        """A bookmark of another tap's, or one written by hand, is where emitting starts."""
        bookmark = earlier(imported, timedelta(hours=self.settings.lateness_hours))
        table = next(table for table in reading.tables if table.name == name)
        own = table.state is reading.state
        bookmarks.import_bookmark(table.state, reading.state if own else None, bookmark)

    # -- reading

    def _read(self) -> None:
        """Resume interrupted versions; then begin the next ones, and read all lists side by side."""
        full = [name for name, one in self.selected.items() if one.full_table]
        resumed = {name: version for name in full if (version := self._interrupted(name))}
        self._read_versions(resumed)
        if self.scheduler.stopping:
            return
        for name in full:
            if self._interrupted(name):
                self.versions.pop(name, None)  # it stopped again, and is resumed by the next sync
            else:
                self._begin_version(name)
        self.scheduler.run(self._reads())
        self._end_versions(full)

    def _read_versions(self, resumed: dict[str, int]) -> None:
        self.versions = {name: Version(number, resumed=True) for name, number in resumed.items()}
        readings = [one for one in self.readings if one.stream.name in resumed]
        self.scheduler.run((strategy.full(one, resumed[one.stream.name]), partial(self._done, one)) for one in readings)
        self._end_versions(list(resumed))

    def _reads(self) -> Iterator[tuple[Read, Done]]:
        for reading in self.readings:
            if self._left_out(reading):
                reading.budget.end(reading.key)
                continue
            if self._is_full(reading):
                version = self.versions.get(reading.stream.name)
                reading.budget.end(reading.key)
                if version is not None:
                    yield strategy.full(reading, version.number), partial(self._done, reading)
            else:
                yield strategy.sync(reading), partial(self._done, reading)

    def _is_full(self, reading: PartitionRead) -> bool:
        one = self.selected.get(reading.stream.name)
        return one is not None and one.full_table

    def _left_out(self, reading: PartitionRead) -> bool:
        """Whether what is all Twilio's was read less than a day ago, or a list was empty a short time ago."""
        state, now = reading.state, self.clock.now
        if self._is_full(reading):
            return False
        if reading.stream.scope == "twilio" and state.finished and not reading.has_pending_resend:
            return earlier(now, DAY) < later(state.finished, timedelta(hours=self.settings.lateness_hours))
        hours = timedelta(hours=self.settings.empty_recheck_hours)
        if hours and state.empty and earlier(now, hours) < state.empty <= now:
            self.available.leave_out(self.run_plan.names(reading.stream), reading.account, LEFT_OUT)
            return True
        return False

    def _done(self, reading: PartitionRead, error: PartitionError | None) -> None:
        """A list was read, or failed."""
        reading.budget.end(reading.key)
        full = reading.state.full
        if full and error and not isinstance(error, (Unreachable, Incomplete)):
            full.checkpoint = None  # there is no resuming it
            full.version, full.done = 0, True  # but rows of the account may be in the warehouse
        self.available.ended(reading, error)
        if self.settings.empty_recheck_hours:
            reading.state.empty = self.clock.now if self._may_be_empty(reading, error) else None

    def _may_be_empty(self, reading: PartitionRead, error: PartitionError | None) -> bool:
        """Whether a subaccount has nothing in a list of a product's, be it that it does not have the product."""
        subaccount = reading.stream.product.own_credentials and reading.account != self.settings.account_sid
        answered = error is None or (isinstance(error, Refused) and error.says_absent)
        return subaccount and answered and not reading.rows and not isinstance(reading.stream.reads, LogWindow)

    # -- FULL_TABLE

    def _interrupted(self, name: str) -> int | None:
        return interrupted(self.state.stream(name), self._dated.get(name, ()))

    def _begin_version(self, name: str) -> None:
        self.versions[name] = begin(self.state.stream(name), self.clock.now)

    def _end_versions(self, names: Sequence[str]) -> None:
        self.available.settle()
        for name in names:
            if name in self.versions:
                self._end_version(name, self.versions[name])

    def _end_version(self, name: str, version: Version) -> None:
        if self.scheduler.stopping:
            for batch in version.release():
                self._write(name, *batch)
            return
        stream = self.state.stream(name)
        failed = [sid for one, sid in self.available.failed if one == name]
        blocking = not_whole(stream, version.number, failed)
        batches, activated = end(stream, version, blocking, self.clock.now)
        for batch in batches:
            self._write(name, *batch)
        if blocking:
            explain(name, stream, blocking, {sid: why for (one, sid), why in self.unread.items() if one == name})
        elif activated:
            self.output.activate_version(name, version.number)

    # -- rows and state

    def _emit(self, emit: Emit) -> None:
        name = emit.table.name
        version, batch = self.versions.get(name), (emit.table.account, emit.stamp, emit.records)
        for one in version.take(*batch) if version else [batch]:
            self._write(name, *one)

    def _write(self, name: str, account: str, stamp: Stamp, records: list[bytes]) -> None:
        version = self.versions.get(name)
        self.output.records(self.recorders[name].lines(records, stamp, version.number if version else None))
        self.counts.emitted[name, account] += len(records)

    def _after_page(self) -> None:
        """
        Write a STATE if it is due; where no row came since the last one, after some minutes only.

        Targets there are that print the first of such STATEs alone. So it is to be a late one.
        """
        wait = self.settings.state_seconds
        if wait and not self.output.changed:
            wait = max(wait, QUIET_S)
        if time.monotonic() - self._wrote_state >= wait:
            self._write_state()

    def _write_state(self) -> None:
        if self.clock.put_back:
            for reading in self.readings:
                reading.hold_back(self.clock.now)
        for reading in self.readings:
            reading.keep()
        without = {key for key, why in self.unread.items() if why in (*INACTIVE, ABSENT)}
        dated = {name: [sid for sid in sids if (name, sid) not in without] for name, sids in self._dated.items()}
        self.output.state(self.state.dump(dated, [name for name, version in self.versions.items() if version.before]))
        self._wrote_state = time.monotonic()

    # -- the log

    def settle_clock(self) -> list[str]:
        """Find out Twilio's time, before any moment is taken from it. Returns what to say of it."""
        self._ask_time()
        return self._check_clock()

    def _ask_time(self) -> None:
        """Ask for other answers than the first, until two agree."""
        sid = self.settings.account_sid
        for _ in range(SETTLING):
            if self.clock.settled or not self.clock.now or self.scheduler.stopping:
                return
            try:
                self.scheduler.fetch(fetch_account(sid))
            except PartitionError:
                return  # a Standard key may not; its moments are held against the answers that come

    def _check_clock(self) -> list[str]:
        """What to say of it."""
        now, said = machine_now(), []
        if not self.clock.now:
            said.append("Twilio's answers bear no Date (a proxy?): this machine's clock less an hour stands in")
            self.clock.saw(earlier(now, HOUR))
        apart = parse_timestamp(now) - parse_timestamp(self.clock.now)
        if abs(apart) > HOUR / 2 and not self.settings.base_url:
            said.append(f"this machine's clock is {apart} from Twilio's, which is the one that counts")
        if self.settings.start_date and self.settings.start_date > self.clock.now:
            said.append("start_date is in the future: no row is emitted until then")
        return said

    def _report(self) -> None:
        streams = self.summarise()
        emitted = {one.stream: sum(part.figures.emitted for part in one.parts) for one in streams}
        for recorder in self.recorders.values():
            for line in recorder.drift.summary():
                LOGGER.warning("%s", line, extra=about(recorder.drift.stream))
        counted = ((name, emitted[name]) for name in self.selected)
        metrics(counted, self.pool.spent_s, self.pool.requests, self.pool.retries)
        beyond_size_limit(self.readings)
        given_up(self.readings)
        self.available.explain()
        for sid, requests in self.run_plan.requests.items():
            if requests.exhausted:
                LOGGER.info(
                    "%s: max_child_requests are spent; the next syncs ask the rows whose turn did not come", sid
                )
        forecasts(self.readings, self.unread)
        log_table(streams)
        summary(self.pool.pages, self.pool.requests, self.counts.elapsed_s, sum(emitted.values()))
        if self.scheduler.stopping:
            LOGGER.warning("stopped before the end; the last STATE line covers all that was written")
        self.available.log_failures()
