"""
Decides which lists a run reads, and notes why it did not read the others: closed, unavailable, refused, and so on.

run/sync.py asks before each read, and reports the end of each read. A product is unavailable in an account only if
Twilio says so (HTTP 404, code 20404, from the product's top list) and nothing of the product was ever read there. Any
other refusal is a failure. Every sync requests refused and unavailable lists again. With `empty_recheck_hours`, a
subaccount's unavailable lists wait for that many hours.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tap_twilio.base_url import why_not_found
from tap_twilio.errors import PartitionError, Refused, TapError
from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.log import FEW, about, first_few
from tap_twilio.settings import Settings
from tap_twilio.state.model import Partition
from tap_twilio.state.store import State
from tap_twilio.streams import BY_NAME, STREAMS, Stream, top_of
from tap_twilio.tables.bookmarks import read_start
from tap_twilio.timestamps import DAY, earlier
from tap_twilio.twilio.credentials import Credentials
from tap_twilio.twilio.server_clock import Clock

from .accounts import Account

LOGGER = logging.getLogger("tap_twilio")
Key = tuple[str, str]  # a stream and an account

# The reasons why a stream was not read whole in an account.
CLOSED, SUSPENDED = "closed", "suspended"  # by Accounts.json; nobody can read such an account
UNAVAILABLE = "unavailable"  # the account does not have the product
REFUSED, FAILED = "refused", "failed"
TOKENLESS = "tokenless"  # the product needs the subaccount's own auth_token, which is unknown
RECENTLY_EMPTY = "recently_empty"  # its list was empty a short time ago (empty_recheck_hours)
INACTIVE = (CLOSED, SUSPENDED)


@dataclass
class Availability:
    """
    Decides which lists this run reads, and notes why it did not read the others.

    `answered` returns whether Twilio answered with a page of a stream in an account. `accounts` are those that the
    settings choose.
    """

    settings: Settings
    state: State
    credentials: Credentials
    clock: Clock
    answered: Callable[[Key], bool]
    accounts: list[Account] = field(default_factory=list)
    incomplete: dict[Key, str] = field(default_factory=dict)  # the reason, for each stream and account not read whole
    failed: dict[Key, PartitionError] = field(default_factory=dict)
    _undecided: list[tuple[PartitionRead, Refused]] = field(default_factory=list)  # unavailable or refused: `settle`
    _logged: Counter[object] = field(default_factory=Counter)

    # -- before a read

    def accounts_of(self, stream: Stream, names: Sequence[str]) -> list[Account]:
        """Return the accounts in which a list is read; note why `names`, its streams, are not read in the others."""
        main, accounts = self.settings.account_sid, self.accounts
        if stream.scope != "account":
            accounts = [account for account in accounts if account.sid == main] or [Account(main)]
        readable = []
        for account in accounts:
            if account.closed:
                self.note_incomplete(names, account.sid, CLOSED)
            elif self.credentials.can_read(account.sid, stream.product.own_credentials):
                readable.append(account)
            else:
                self.note_incomplete(names, account.sid, TOKENLESS)
        return readable

    @property
    def products_without_token(self) -> list[str]:
        """Return the products that are not read in a subaccount because its auth_token is missing."""
        return sorted({_host(name) for (name, _), reason in self.incomplete.items() if reason == TOKENLESS})

    def is_skipped(self, partition_read: PartitionRead, names: Sequence[str]) -> bool:
        """Return whether a list was read, or was empty, so lately that this sync skips it."""
        state, now = partition_read.state, self.clock.now
        if state.refreshes:
            return False
        if partition_read.stream.scope == "global" and state.finished_at and not partition_read.has_pending_resend:
            return earlier(now, DAY) < read_start(state.finished_at, timedelta(hours=self.settings.lateness_hours))
        recheck = timedelta(hours=self.settings.empty_recheck_hours)
        if recheck and state.empty_at and earlier(now, recheck) < state.empty_at <= now:
            self.note_incomplete(names, partition_read.account, RECENTLY_EMPTY)
            return True
        return False

    def note_incomplete(self, streams: Collection[str], account: str, reason: str) -> None:
        """Note why these streams are not read whole in an account."""
        self.incomplete.update(((name, account), reason) for name in streams)

    # -- after a read

    def note_end(self, partition_read: PartitionRead, error: PartitionError | None) -> None:
        """Note how the read of a list ended. Some of its tables may have failed by themselves."""
        failures = {table.name: table.failed for table in partition_read.tables if table.failed}
        if isinstance(error, Refused) and error.says_absent and partition_read.stream.product.host != "api":
            self._undecided.append((partition_read, error))
        elif error and error not in failures.values():
            self._fail(_names(partition_read), partition_read.account, error)
        for name, failure in failures.items():
            self._fail([name], partition_read.account, failure)
        if self.settings.empty_recheck_hours:
            partition_read.state.empty_at = self.clock.now if self._is_empty(partition_read, error) else None

    def _is_empty(self, partition_read: PartitionRead, error: PartitionError | None) -> bool:
        """Return whether a product's list has no rows in a subaccount, or the subaccount lacks the product."""
        is_subaccount = (
            partition_read.stream.product.own_credentials and partition_read.account != self.settings.account_sid
        )
        answered = error is None or (isinstance(error, Refused) and error.says_absent)
        return is_subaccount and answered and not partition_read.rows and not partition_read.stream.is_log

    def settle(self) -> None:
        """Decide which refusals mean unavailable: nothing of the product was ever read in the account."""
        undecided, self._undecided = self._undecided, []
        for partition_read, refused in undecided:
            is_single_resource = partition_read.stream.rows is None  # which may be absent though the product is there
            if not is_single_resource and self._was_read(partition_read.stream.product.host, partition_read.account):
                self._fail(_names(partition_read), partition_read.account, refused)
            else:
                self.note_incomplete(_names(partition_read), partition_read.account, UNAVAILABLE)
                partition_read.state.backfill = None

    def _was_read(self, host: str, account: str) -> bool:
        streams = [stream for stream in STREAMS if stream.product.host == host]
        return any(self.answered((stream.name, account)) for stream in streams) or product_answered_before(
            self.state, host, account
        )

    def _fail(self, names: Sequence[str], sid: str, error: PartitionError) -> None:
        """Note that these streams were not read whole, and log the failure of the first, which the others depend on."""
        name = names[0]
        if isinstance(error, Refused) and error.says_inactive and self._is_suspended(sid):
            self.note_incomplete(names, sid, SUSPENDED)
            return
        self.note_incomplete(names, sid, REFUSED if isinstance(error, Refused) else FAILED)
        self.failed[name, sid] = error
        line, max_lines = _line_of(name, error), 1 if isinstance(error, Refused) else FEW
        self._logged[line] += 1
        if self._logged[line] <= max_lines:
            reason = str(error).rstrip(".")
            message = "%s %s failed, the other streams continue: %s; the rows read so far are kept. %s"
            LOGGER.error(message, name, sid, reason, self._next_step(name, sid, error), extra=about(name))

    def _next_step(self, name: str, sid: str, error: PartitionError) -> str:
        if isinstance(error, Refused) and error.status in (401, 403) and sid in self.settings.credentials:
            return "Check the account's key in credentials and its rights; if the account is closed, take it out there."
        is_not_found = isinstance(error, Refused) and error.status == 404
        wrong_address = why_not_found(self.settings.base_url, _host(name)) if is_not_found else None
        return f"{wrong_address}." if wrong_address else error.next_step

    def _is_suspended(self, sid: str) -> bool:
        return any(account.status == "suspended" for account in self.accounts if account.sid == sid)

    # -- at the end of the run

    def log_incomplete(self) -> None:
        """Log what was not read whole, in one line for each reason."""
        if closed := self._accounts_with(CLOSED):
            LOGGER.info("closed accounts are not read, and their bookmarks are kept: %s", first_few(closed))
        if suspended := self._accounts_with(SUSPENDED):
            LOGGER.info("suspended accounts cannot be read, and their bookmarks are kept: %s", first_few(suspended))
        unavailable: dict[str, set[str]] = {}
        for name, account in (key for key, reason in self.incomplete.items() if reason == UNAVAILABLE):
            unavailable.setdefault(_host(top_of(BY_NAME[name]).name), set()).add(account)
        for host, accounts in sorted(unavailable.items()):
            count, plural = len(accounts), "s" * (len(accounts) > 1)
            if wrong_address := why_not_found(self.settings.base_url, host):
                LOGGER.warning(
                    "%s: not found in %d account%s (HTTP 404, code 20404): %s", host, count, plural, wrong_address
                )
            else:
                message = "%s: not available in %d account%s (HTTP 404, code 20404); later syncs try again"
                LOGGER.info(message, host, count, plural)
        if skipped := [key for key, reason in self.incomplete.items() if reason == RECENTLY_EMPTY]:
            message = "%d lists of %d accounts were empty and are not read by this sync (empty_recheck_hours)"
            LOGGER.info(message, len(skipped), len({account for _, account in skipped}))

    def _accounts_with(self, reason: str) -> list[str]:
        return list(dict.fromkeys(account for (_, account), why in self.incomplete.items() if why == reason))

    def log_failures(self) -> None:
        """Log what failed: one line for each product and code of refusals, else a few lines for each stream."""
        groups: dict[object, list[Key]] = {}
        for key, error in self.failed.items():
            groups.setdefault(_line_of(key[0], error), []).append(key)
        for keys in groups.values():
            self._log_group(keys)

    def _log_group(self, keys: Sequence[Key]) -> None:
        error, name = self.failed[keys[0]], keys[0][0]
        streams, accounts = list(dict.fromkeys(name for name, _ in keys)), {account: None for _, account in keys}
        if isinstance(error, Refused) and len(keys) > 1:
            LOGGER.error(
                "failed: %s (%s): Twilio refused %d account%s (HTTP %d, code %s): %s. %s",
                _host(name),
                first_few(streams),
                len(accounts),
                "s" * (len(accounts) > 1),
                error.status,
                error.code,
                first_few(accounts),
                self._next_step(name, keys[0][1], error),
                extra=about(name if len(streams) == 1 else None),
            )
            return
        for name, sid in keys[:FEW]:
            LOGGER.error("failed: %s %s: %s", name, sid, self.failed[name, sid], extra=about(name))
        if len(keys) > FEW:
            message = "failed: %s: %d more accounts, which --summary-json names"
            LOGGER.error(message, name, len(keys) - FEW, extra=about(name))


def product_answered_before(state: State, host: str, account: str) -> bool:
    """Return whether the state shows that any stream of a product was ever read in an account."""
    for stream in STREAMS:
        if stream.product.host == host:
            try:
                partition = state.peek(stream.name).partitions.get(account)
            except TapError:
                return True  # malformed state of an unselected stream is no error, and may hold rows
            if partition and _had_rows(stream, partition):
                return True
    return False


def _had_rows(stream: Stream, partition: Partition) -> bool:
    backfill = partition.backfill
    if top_of(stream).product.host != stream.product.host:  # the bookmark belongs to another product's list
        return bool(partition.fingerprints or partition.rescan_fingerprints)
    if partition.finished_at or partition.date_updated:
        return True
    if stream.is_log and backfill:  # a log window writes its time slices before its first request
        return bool(partition.full or backfill.read_ranges) or any(
            time_slice.checkpoint for time_slice in backfill.time_slices or ()
        )
    return partition.was_read


def _names(partition_read: PartitionRead) -> list[str]:
    """Return the stream of a list, and the streams that are read along with it."""
    return list(dict.fromkeys([partition_read.stream.name, *(table.name for table in partition_read.tables)]))


def _host(name: str) -> str:
    return BY_NAME[name].product.host


def _line_of(name: str, error: PartitionError) -> tuple[object, ...]:
    """Return what the failures of one log line share: product, status and code of refusals, else the stream."""
    return (_host(name), error.status, error.code) if isinstance(error, Refused) else (name,)
