"""
One place decides why a list was not read: an account lacks the product, is not active, or a read failed.

Absent is only what Twilio's own answer says is absent: HTTP 404 with code 20404, from the list at the top of a product
of which nothing was ever read in that account. Every other refusal is a failure, and is asked again by every sync.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from tap_twilio.errors import PartitionError, Refused, TapError
from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.log import FEW, about, listed
from tap_twilio.state.model import Partition, State
from tap_twilio.streams import BY_NAME, STREAMS, Stream, top_of

from .accounts import Accounts

LOGGER = logging.getLogger("tap_twilio")
Key = tuple[str, str]  # a stream and an account

# Why a stream was not read whole in an account.
CLOSED, SUSPENDED = "closed", "suspended"  # Accounts.json says so, and nobody can read it
ABSENT = "absent"  # the account does not have the product
REFUSED, FAILED = "refused", "failed"
TOKENLESS = "tokenless"  # only its own token reads the product in this subaccount, and there is none
LEFT_OUT = "left_out"  # its list was empty a short time ago (empty_recheck_hours)
INACTIVE = (CLOSED, SUSPENDED)


@dataclass
class Availability:
    """What was not read in this run, and why. `answered`: whether a page of a stream came, in an account."""

    state: State
    answered: Callable[[Key], bool]
    accounts: Accounts = field(default_factory=lambda: Accounts((), False))
    unread: dict[Key, str] = field(default_factory=dict)
    failed: dict[Key, PartitionError] = field(default_factory=dict)
    _absent: list[tuple[PartitionRead, Refused]] = field(default_factory=list)  # perhaps: the end of the run decides
    _said: Counter[object] = field(default_factory=Counter)

    # -- what is not asked

    def leave_out(self, streams: Collection[str], account: str, why: str) -> None:
        """Note that these are not asked in an account."""
        self.unread.update(((name, account), why) for name in streams)

    # -- what was asked

    def ended(self, reading: PartitionRead, error: PartitionError | None) -> None:
        """Note how the read of a list ended, of whose tables some may have failed by themselves."""
        failures = {table.name: table.failed for table in reading.tables if table.failed}
        if isinstance(error, Refused) and error.says_absent and reading.stream.product.host != "api":
            self._absent.append((reading, error))
        elif error and error not in failures.values():
            self._fail(_names(reading), reading.account, error)
        for name, failure in failures.items():
            self._fail([name], reading.account, failure)

    def settle(self) -> None:
        """Decide what is absent: a product of which this account was never read, not in this run either."""
        pending, self._absent = self._absent, []
        for reading, refused in pending:
            is_one = reading.stream.rows is None  # a single resource, which the account lacks
            if not is_one and self._was_read(reading.stream.product.host, reading.account):
                self._fail(_names(reading), reading.account, refused)
            else:
                self.leave_out(_names(reading), reading.account, ABSENT)
                reading.state.backfill = None

    def _was_read(self, host: str, account: str) -> bool:
        streams = [stream for stream in STREAMS if stream.product.host == host]
        return any(self.answered((stream.name, account)) for stream in streams) or was_read(self.state, host, account)

    def _fail(self, names: Sequence[str], sid: str, error: PartitionError) -> None:
        """The first of `names` failed, and with it the others were not read."""
        name = names[0]
        if isinstance(error, Refused) and error.says_inactive and self._is_suspended(sid):
            self.leave_out(names, sid, SUSPENDED)
            return
        self.leave_out(names, sid, REFUSED if isinstance(error, Refused) else FAILED)
        self.failed[name, sid] = error
        group, most = _group(name, error), 1 if isinstance(error, Refused) else FEW
        self._said[group] += 1
        if self._said[group] <= most:
            what = str(error).rstrip(".")
            said = "%s %s failed, the others go on: %s; what was read is kept. %s"
            LOGGER.error(said, name, sid, what, error.next_step, extra=about(name))

    def _is_suspended(self, sid: str) -> bool:
        return any(account.status == "suspended" for account in self.accounts.chosen if account.sid == sid)

    # -- what to say of it at the end

    def explain(self) -> None:
        """Say what was left out, a line each kind."""
        for why, said in (
            (CLOSED, "closed accounts are left out, and their bookmarks are kept: %s"),
            (SUSPENDED, "suspended accounts refuse to be read; they are left out, and their bookmarks are kept: %s"),
        ):
            if found := self._accounts(why):
                LOGGER.info(said, listed(found))
        absent: dict[str, set[str]] = {}
        for name, account in (key for key, why in self.unread.items() if why == ABSENT):
            absent.setdefault(_host(top_of(BY_NAME[name]).name), set()).add(account)
        for host, accounts in sorted(absent.items()):
            said = "%s: %d account%s without it (HTTP 404, code 20404); each sync asks again"
            LOGGER.info(said, host, len(accounts), "s" * (len(accounts) > 1))
        if left := [key for key, why in self.unread.items() if why == LEFT_OUT]:
            said = "%d lists of %d accounts were empty and are not read by this sync (empty_recheck_hours)"
            LOGGER.info(said, len(left), len({account for _, account in left}))

    def _accounts(self, why: str) -> list[str]:
        return list(dict.fromkeys(account for (_, account), known in self.unread.items() if known == why))

    def log_failures(self) -> None:
        """Say at the end what failed: refusals together, of each product and code; of others a few of each stream."""
        groups: dict[object, list[Key]] = {}
        for key, error in self.failed.items():
            groups.setdefault(_group(key[0], error), []).append(key)
        for keys in groups.values():
            self._log_group(keys)

    def _log_group(self, keys: Sequence[Key]) -> None:
        error, name = self.failed[keys[0]], keys[0][0]
        streams, accounts = list(dict.fromkeys(name for name, _ in keys)), {account: None for _, account in keys}
        if isinstance(error, Refused) and len(keys) > 1:
            LOGGER.error(
                "failed: %s (%s): Twilio refused %d account%s (HTTP %d, code %s): %s. %s",
                _host(name),
                listed(streams),
                len(accounts),
                "s" * (len(accounts) > 1),
                error.status,
                error.code,
                listed(accounts),
                error.next_step,
                extra=about(name if len(streams) == 1 else None),
            )
            return
        for name, sid in keys[:FEW]:
            LOGGER.error("failed: %s %s: %s", name, sid, self.failed[name, sid], extra=about(name))
        if len(keys) > FEW:
            said = "failed: %s: %d more accounts, which --summary-json names"
            LOGGER.error(said, name, len(keys) - FEW, extra=about(name))


def was_read(state: State, host: str, account: str) -> bool:
    """Whether the state knows that anything of a product was ever read in an account, by whatever stream."""
    for stream in STREAMS:
        if stream.product.host == host:
            try:
                part = state.peek(stream.name).partitions.get(account)
            except TapError:
                return True  # of a stream that is not selected, so it is not refused; it is not known, either
            if part and _knows_rows(stream, part):
                return True
    return False


def _knows_rows(stream: Stream, part: Partition) -> bool:
    if top_of(stream).product.host != stream.product.host:  # its bookmark is that of another product's list
        return bool(part.fingerprints or part.rescan_fingerprints)
    if part.finished or part.date_updated:
        return True
    if stream.is_log and part.backfill:  # which notes what it is to read before it asks
        return bool(part.full or part.backfill.read_ranges) or any(
            one.checkpoint for one in part.backfill.time_slices or ()
        )
    return part.was_read


def _names(reading: PartitionRead) -> list[str]:
    """A list's stream, and those that are read along with it."""
    return list(dict.fromkeys([reading.stream.name, *(table.name for table in reading.tables)]))


def _host(name: str) -> str:
    return BY_NAME[name].product.host


def _group(name: str, error: PartitionError) -> tuple[object, ...]:
    """Those that are told together: refusals of a product with one code; other failures of a stream."""
    return (_host(name), error.status, error.code) if isinstance(error, Refused) else (name,)
