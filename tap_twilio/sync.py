"""The loop that puts the parts together: accounts and streams to partitions, partitions to reads, rows to stdout.

The only place where a STATE line is written: after every record that it covers, since one thread does both.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from .accounts import FOLDER, Account, Accounts, find_accounts
from .catalog import Selected, load_schema
from .client import Client
from .config import Settings
from .errors import PartitionError, Refused, TapError, Unfinished, Unreachable
from .feedback import Feedback
from .output import Output
from .plan import Bounds, Budget, Partition, Share, allot
from .pool import Pool
from .records import Drift, compile_record, record_lines
from .report import report
from .run import Clock, Runner
from .state import State, selection
from .streams import STREAMS
from .versions import begin, explain, interrupted, not_whole
from .walk import Ask, Page, Read, Row, back, moment, text

LOGGER = logging.getLogger("tap_twilio")
HOUR = timedelta(hours=1)
SETTLING = 4  # requests at most to find two answers that agree on the time
PROBE = next(stream for stream in STREAMS if stream.name == "messages")


@dataclass
class Table:
    """A selected stream and what a run makes of it."""

    selected: Selected
    record: Callable[[Row, str], dict[str, Any]]
    drift: Drift
    version: int | None = None  # of a FULL_TABLE read
    emitted: Counter[str] = field(default_factory=Counter)  # by account

    @property
    def name(self) -> str:
        return self.selected.stream.name


class Sync:
    """One run of the tap. `stop` may be called from a signal handler."""

    def __init__(self, settings: Settings, selected: list[Selected], state: State, output: Output) -> None:
        self.settings, self.state, self.output = settings, state, output
        self.client = Client(settings)
        self.client.origin("api")  # refuses a region that it cannot place, before anything is asked
        self.pool = Pool(self.client, settings.concurrency, settings.retry_minutes * 60, settings.request_timeout)
        self.clock = Clock(machine_counts=not settings.base_url)  # behind base_url time may be simulated
        self.runner = Runner(self.pool, self.clock, self.client.origin)
        self.budget = Budget(settings.sweep_pages)
        self.bounds = Bounds(
            settings.start_date,
            timedelta(days=settings.lookback_days),
            settings.lookback_emits == "all",
            timedelta(hours=settings.margin_hours),
            settings.page_size,
        )
        self.tables = [self._table(one) for one in selected]
        self.failures: list[str] = []
        self.accounts = Accounts((), False)
        self._accounts: dict[str, Account] = {}
        self.partitions: list[Partition] = []
        self.failed: set[tuple[str, str]] = set()
        self.skipped: set[tuple[str, str]] = set()
        self._insights_off: set[str] = set()
        self._wrote_state = time.monotonic()
        self._begun: list[tuple[Partition, Callable[[PartitionError | None], None]]] = []
        self.state_parts: list[tuple[str, list[str]]] = []

    def stop(self) -> None:
        self.runner.stopping = True
        self.pool.wake()

    def run(self) -> int:
        """The exit code: 0, or 3 when some partitions failed. Raises TapError, TargetGone, OutputFailed."""
        began = time.monotonic()
        for table in self.tables:
            self.state.stream(table.name)  # a malformed state is refused before any request
        for table in self.tables:
            for account in list(self.state.bookmarks[table.name]["accounts"]):
                self.state.partition(table.name, account)
        try:
            self.accounts = find_accounts(self.settings, self.runner, PROBE)
        except PartitionError as error:
            raise TapError(f"{error}; nothing was read.") from None
        self._settle_clock()
        self._check_clock()
        for table in self.tables:
            stream = table.selected.stream
            bookmark = [stream.replication_key] if stream.replication_key in table.selected.schema["properties"] else []
            self.output.schema(table.name, table.selected.schema, stream.key, bookmark)
        self._accounts = {account.sid: account for account in self.accounts.chosen}
        self.runner.after_page = self._after_page
        self.partitions = [self._partition(table, account) for table in self.tables for account in self.accounts.chosen]
        for table in self.tables:  # once a table: with a thousand accounts, once a partition would be a million steps
            part = self.state.bookmarks[table.name]
            used = {other.get("selection") for other in part["accounts"].values()}
            part["selections"] = {name: value for name, value in part["selections"].items() if name in used}
        self.state_parts = [(table.name, [account.sid for account in self.accounts.chosen]) for table in self.tables]
        self._resume_versions()
        for table in self.tables:
            if table.selected.full_table and not self.runner.stopping:
                self._begin_version(table)
        self._allot_budget()
        self.runner.run(self._reads())
        self.runner.run(self._rounds_cut_short())
        for table in self.tables:
            if table.selected.full_table:
                self._end_version(table)
        self._write_state()
        self.pool.close()
        report(self, time.monotonic() - began)
        return 3 if self.failures else 0

    # -- what is read

    def _table(self, selected: Selected) -> Table:
        drift = Drift(selected.stream.name)
        record = compile_record(
            selected.stream.name,
            load_schema(selected.stream.name),
            selected.properties,
            key=selected.stream.key,
            on_invalid=self.settings.on_invalid,
            drift=drift,
        )
        return Table(selected, record, drift)

    def _partition(self, table: Table, account: Account) -> Partition:
        state = self.state.partition(table.name, account.sid)
        part = self.state.bookmarks[table.name]
        partition = Partition(
            table.selected.stream,
            account.sid,
            state,
            self._emitter(table, account),
            lambda: self.clock.now,
            Share(self.budget),
            self.bounds,
            account.created,
        )
        key, names = selection(table.selected.properties)
        before = part["selections"].get(state.get("selection", ""))
        added = bool(state) and (before is None or not set(names) <= set(before))
        foreign = self.state.foreign.get(table.name)
        if not state and foreign:
            state["date_updated"] = state["looked_back"] = back(foreign, self.bounds.margin)
            LOGGER.warning(
                "%s %s: a bookmark is all that the state holds, so older rows are taken as read; for exactness, "
                "take it out of the state and let everything be read once",
                table.name,
                account.sid,
            )
        said = partition.adopt(properties_added=added)
        if said:
            if partition.stream.parent:
                state.pop("calls", None)  # what it asked so far is to be asked again
            LOGGER.warning("%s %s: %s", table.name, account.sid, said)
        part["selections"][key] = names
        state["selection"] = key
        return partition

    def _emitter(self, table: Table, account: Account) -> Callable[[Page, list[Row]], None]:
        def emit(page: Page, rows: list[Row]) -> None:
            lines = record_lines(rows, table.record, table.name, page.received_at, page.date, table.version)
            self.output.records(lines)
            table.emitted[account.sid] += len(rows)

        return emit

    def _reads(self) -> Iterator[tuple[Read, Callable[[PartitionError | None], None]]]:
        """Least recently swept first, so that a budget too small for all comes round to each."""
        versions = {table.name: table.version for table in self.tables}
        full = {table.name for table in self.tables if table.selected.full_table}
        children = {one.account: one for one in self.partitions if one.stream.parent}
        for partition in sorted(self.partitions, key=_swept):
            name, child = partition.stream.name, children.get(partition.account)
            if partition.stream.parent:
                if partition.stream.parent not in versions or partition.stream.parent in full:
                    yield self._with_feedback(None, partition)  # else it is read with its parent
            elif name in full:
                version = versions[name]
                if version is not None:
                    yield partition.read_full(version), self._done(partition)
            elif child and child.stream.parent == name:
                read, done = self._with_feedback(partition, child)
                self._begun.append((partition, done))
                yield read, done
            else:
                self._begun.append((partition, self._done(partition)))
                yield partition.sync(), self._done(partition)

    def _allot_budget(self) -> None:
        """To each list whose round may go on; those that are backfilled, or read whole, use none."""
        full = {table.name for table in self.tables if table.selected.full_table}
        shares = []
        for partition in sorted(self.partitions, key=_swept):
            state = _calls_state(partition)
            opened = "date_updated" in state or "backfill" in state
            if opened and partition.stream.name not in full and isinstance(partition.budget, Share):
                shares.append((partition.budget, 1 + state.get("pages", self.settings.sweep_pages)))
        allot(self.budget, shares)

    def _rounds_cut_short(self) -> Iterator[tuple[Read, Callable[[PartitionError | None], None]]]:
        """They go on with what was kept for others that did not use it."""
        for partition, done in self._begun:
            failed = (partition.stream.name, partition.account) in self.failed | self.skipped
            if partition.cut_short and not failed and not self.budget.spent:
                yield partition.rounds(None), done

    def _with_feedback(
        self, calls: Partition | None, child: Partition
    ) -> tuple[Read, Callable[[PartitionError | None], None]]:
        """The read of an account's calls and their feedback together; each fails by itself."""
        parent = next(stream for stream in STREAMS if stream.name == child.stream.parent)
        own = replace(child, stream=parent, emit=lambda page, rows: None)
        feedback = Feedback(own, calls, child.emit, self.settings, self._insights_off)

        def done(error: PartitionError | None) -> None:
            if calls:
                self._done(calls)(error)
            self._done(child)(feedback.failed or error)

        return feedback.sync(), done

    def _done(self, partition: Partition) -> Callable[[PartitionError | None], None]:
        account = self._accounts[partition.account]

        def done(error: PartitionError | None) -> None:
            name = (partition.stream.name, partition.account)
            partition.budget.release()
            if name in self.failed | self.skipped:
                return  # said when it failed first
            full = partition.state.get("full")
            if full and error and not isinstance(error, (Unreachable, Unfinished)):
                full.pop("place", None)  # there is no going on from it
                full.update(version=0, done=True)  # but rows of the account may be in the warehouse
            if isinstance(error, Refused) and account.closed and error.status in (401, 403, 404):
                if not any(sid == account.sid for _, sid in self.skipped):
                    LOGGER.info("%s: the account is closed and left out; its bookmarks are kept", account.sid)
                self.skipped.add(name)
            elif error:
                self.failed.add(name)
                self.failures.append(f"{partition.stream.name} {partition.account}: {error}")
                what = str(error).rstrip(".")
                LOGGER.error(
                    "%s %s failed, the others go on: %s; what was read is kept. %s", *name, what, error.next_step
                )

        return done

    # -- FULL_TABLE

    def _resume_versions(self) -> None:
        """
        Go on with versions whose read was interrupted; each sync then begins the next, so that what was read before
        the interruption is read again as well.
        """
        chosen = [account.sid for account in self.accounts.chosen]
        tables = [table for table in self.tables if table.selected.full_table]
        resumed = [table for table in tables if interrupted(self.state.bookmarks[table.name], chosen)]
        for table in resumed:
            table.version = self.state.bookmarks[table.name]["version"]
        names = {table.name: table for table in resumed}
        self.runner.run(
            (one.read_full(names[one.stream.name].version or 0), self._done(one))
            for one in self.partitions
            if one.stream.name in names
        )
        for table in resumed:
            self._end_version(table)

    def _begin_version(self, table: Table) -> None:
        if interrupted(self.state.bookmarks[table.name], [account.sid for account in self.accounts.chosen]):
            table.version = None  # it stopped again, and is gone on with next time
            return
        table.version, first = begin(self.state.bookmarks[table.name])
        if first and table.name not in self.state.foreign:
            self.output.activate_version(table.name, table.version)

    def _end_version(self, table: Table) -> None:
        part, version = self.state.bookmarks[table.name], table.version
        if version is None or self.runner.stopping:
            return
        failed = {account for name, account in self.failed if name == table.name}
        listed = {account.sid for account in self.accounts.chosen}
        gone = set(part["accounts"]) - listed if self.accounts.listed else set()
        missing = not_whole(part, version, failed, gone)
        if missing:
            explain(table.name, missing)
        else:
            self.output.activate_version(table.name, version)

    # -- state

    def _after_page(self) -> None:
        if time.monotonic() - self._wrote_state >= self.settings.state_seconds:
            self._write_state()

    def _write_state(self) -> None:
        if self.clock.put_back:
            for partition in self.partitions:
                partition.hold_back()
        parts = [(name, [sid for sid in sids if (name, sid) not in self.skipped]) for name, sids in self.state_parts]
        self.output.state(self.state.dump(parts))
        self._wrote_state = time.monotonic()

    # -- the log

    def _settle_clock(self) -> None:
        """Before any moment is taken from one answer, others are asked for, until two agree."""
        sid = self.settings.account_sid
        for _ in range(SETTLING):
            if self.clock.settled or not self.clock.now or self.runner.stopping:
                return
            try:
                self.runner.ask(Ask(sid, f"{FOLDER}/{sid}.json"))
            except PartitionError:
                return  # a Standard key may not; its moments are held against the answers that come

    def _check_clock(self) -> None:
        now = text(datetime.now(timezone.utc))
        if not self.clock.now:
            LOGGER.warning("Twilio's answers bear no Date (a proxy?): this machine's clock less an hour stands in")
            self.clock.saw(back(now, HOUR))
        apart = moment(now) - moment(self.clock.now)
        if abs(apart) > HOUR / 2 and not self.settings.base_url:
            LOGGER.warning("this machine's clock is %s from Twilio's, which is the one that counts", apart)
        if self.settings.start_date and self.settings.start_date > self.clock.now:
            LOGGER.warning("start_date is in the future: no row is emitted until then")


def _calls_state(partition: Partition) -> dict[str, Any]:
    """Where a partition's round is kept: that of call_feedback, which reads calls, apart."""
    found: dict[str, Any] = partition.state.get("calls", {}) if partition.stream.parent else partition.state
    return found


def _swept(partition: Partition) -> str:
    """When a round last read here."""
    return str(_calls_state(partition).get("swept", ""))
