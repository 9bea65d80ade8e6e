"""
The versions of FULL_TABLE streams, and when a new version replaces the last one.

run/sync.py begins a version before the read, passes records through it, and ends it after the read. A version is a
number, greater than all earlier ones. ACTIVATE_VERSION tells the target to drop the rows of all other versions. The tap
sends it only if every account that may have rows was read whole in the version: else the target would drop rows of the
other accounts. Users drop an account's rows with `tap-twilio state forget`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import sha256

from tap_twilio.log import FEW, about, first_few
from tap_twilio.singer.records import compared
from tap_twilio.state.model import ELSEWHERE, Partition, StreamState
from tap_twilio.state.store import State
from tap_twilio.timestamps import DAY, Timestamp, earlier
from tap_twilio.twilio.request import PageTimes

MAX_BUFFERED_ROWS = 20_000
LOGGER = logging.getLogger("tap_twilio")
Key = tuple[str, str]  # a stream and an account
Batch = tuple[str, PageTimes, list[bytes]]  # an account, and the records of one page
Write = Callable[[str, str, PageTimes, list[bytes]], None]  # of a stream: an account, and the records of one page


@dataclass
class Version:
    """
    A FULL_TABLE read in progress. It buffers its records as long as they may equal the rows of the table.

    A read that finds exactly what the table holds writes nothing, so an unchanged stream costs no writes.
    """

    number: int
    last_content_hash: str | None = None  # of the table's rows; None: they are unknown, so records are not buffered
    resumed: bool = False  # an earlier sync read the first part
    rows: int = 0  # read so far
    sum_of_hashes: int = 0  # of these rows
    buffer: list[Batch] = field(default_factory=list)

    def add(self, account: str, times: PageTimes, records: list[bytes]) -> list[Batch]:
        """Add the records of a page, and return the batches to write now."""
        self.rows += len(records)
        self.sum_of_hashes += sum(int(sha256(compared(record)).hexdigest()[:32], 16) for record in records)
        self.buffer.append((account, times, records))
        return [] if self.is_buffering and self.rows <= MAX_BUFFERED_ROWS else self.flush()

    def flush(self) -> list[Batch]:
        """Return the buffered batches, to be written, and stop buffering: the table then changes."""
        batches, self.buffer, self.last_content_hash = self.buffer, [], None
        return batches

    @property
    def is_buffering(self) -> bool:
        return self.last_content_hash is not None

    @property
    def is_unchanged(self) -> bool:
        """Return whether the rows equal the rows of the table, and none of them was written."""
        return self.last_content_hash == self.content_hash

    @property
    def content_hash(self) -> str:
        """Return a hash of the rows that does not depend on their order."""
        return f"{self.rows} {self.sum_of_hashes % 2**128:032x}"


def interrupted_version(stream: StreamState, accounts: Collection[str]) -> int | None:
    """Return the number of the version whose read stopped halfway in one of these accounts; a sync resumes it first."""
    reads = [stream.partitions[account].full for account in accounts if account in stream.partitions]
    unfinished = [read for read in reads if read and read.version == stream.version and not read.done]
    return stream.version if any(read.list_index or read.checkpoint for read in unfinished) else None


def leave_full_table(stream: StreamState, partition: Partition) -> None:
    """
    Note that a stream is read INCREMENTAL: the rows that it writes have no version.

    The version of an earlier FULL_TABLE sync must not be resumed: its activation would drop these rows. Until the
    partition has a bookmark, the invalid read is what tells that the warehouse may have rows.
    """
    stream.content_hash, stream.blocked = None, False
    if partition.date_updated is not None:
        partition.full = None
    elif partition.full:
        partition.full.invalidate()


class Versions:
    """The open versions of one run. `write` writes records of a stream, `activate` writes ACTIVATE_VERSION."""

    def __init__(self, state: State, write: Write, activate: Callable[[str, int], None]) -> None:
        self._state, self._write, self._activate = state, write, activate
        self._open: dict[str, Version] = {}

    def number(self, name: str) -> int | None:
        """Return the number of a stream's open version; None if it has none."""
        version = self._open.get(name)
        return version.number if version else None

    @property
    def buffering(self) -> list[str]:
        """Return the streams with buffered records: a STATE must not count these records as written."""
        return [name for name, version in self._open.items() if version.is_buffering]

    def resume(self, numbers: Mapping[str, int]) -> None:
        """Open the versions that earlier syncs left unfinished, and no other."""
        self._open = {name: Version(number, resumed=True) for name, number in numbers.items()}

    def begin(self, name: str, now: Timestamp) -> None:
        """
        Open the next version of a stream.

        Its records are buffered only if the table was written within a day. A lost STATE may leave rows in the
        warehouse that the state does not know. Only a version that is written removes them, so one is written each day.
        """
        stream = self._state.stream(name)
        now_ms = int(datetime.now(timezone.utc).timestamp() * 1000)
        stream.version = max(now_ms, (stream.version or 0) + 1)
        is_recent = stream.written_at is not None and earlier(now, DAY) < stream.written_at <= now
        self._open[name] = Version(stream.version, stream.content_hash if is_recent else None)
        stream.content_hash = None

    def emit(self, name: str, account: str, times: PageTimes, records: list[bytes]) -> None:
        """Write records, unless the open version of their stream buffers them."""
        version, batch = self._open.get(name), (account, times, records)
        self._write_all(name, version.add(*batch) if version else [batch])

    def set_aside(self, name: str) -> None:
        """Close a resumed version whose read failed again. The state keeps its progress for the next sync."""
        self._open.pop(name, None)

    def flush(self, names: Sequence[str]) -> None:
        """Write the buffered records, as the run stops."""
        for name in names:
            if name in self._open:
                self._write_all(name, self._open[name].flush())

    def end(self, names: Sequence[str], failed: Collection[Key], incomplete: Mapping[Key, str], now: Timestamp) -> None:
        """
        Write the buffered records of changed streams, and activate each version that was read whole.

        `incomplete` has the reason for each stream and account that was not read whole.
        """
        for name in names:
            if name in self._open:
                reasons = {account: reason for (stream, account), reason in incomplete.items() if stream == name}
                self._end(name, [account for stream, account in failed if stream == name], reasons, now)

    def _end(self, name: str, failed: Collection[str], reasons: Mapping[str, str], now: Timestamp) -> None:
        stream, version = self._state.stream(name), self._open[name]
        incomplete_accounts = _incomplete_accounts(stream, version.number, failed)
        if incomplete_accounts:
            _log_why_rows_stay(name, stream, incomplete_accounts, reasons)
        if version.is_unchanged and (incomplete_accounts or not stream.blocked):
            version.flush()  # not written: the table has these rows
            stream.content_hash = version.content_hash
            return
        # A resumed version has hashed only the rows of this sync.
        stream.content_hash = None if version.resumed else version.content_hash
        stream.written_at, stream.blocked = now, bool(incomplete_accounts)
        self._write_all(name, version.flush())
        if not incomplete_accounts:
            self._activate(name, version.number)

    def _write_all(self, name: str, batches: Collection[Batch]) -> None:
        for account, times, records in batches:
            self._write(name, account, times, records)


def _incomplete_accounts(stream: StreamState, version: int, failed: Collection[str]) -> list[str]:
    """
    Return the accounts that keep a version from being activated.

    Such an account failed, or may have rows in the warehouse and was not read whole in this version.
    """
    return [
        account
        for account in dict.fromkeys([*stream.partitions, *failed])
        if account in failed or not _is_whole(stream.partitions[account], version)
    ]


def _is_whole(partition: Partition, version: int) -> bool:
    """Return whether an account was read whole in a version, or has no rows as far as the state knows."""
    read = partition.full
    return not partition.was_read or (read is not None and read.version == version and read.done)


def _log_why_rows_stay(name: str, stream: StreamState, accounts: list[str], reasons: Mapping[str, str]) -> None:
    """
    Log why deleted rows stay, and how to drop them. `reasons` holds why each account was not read whole.

    An account that another shard of the state holds (ELSEWHERE) needs no action: the merged state has it.
    """
    own_accounts = [account for account in accounts if stream.partitions.get(account) != ELSEWHERE]
    if len(own_accounts) < len(accounts):
        LOGGER.info("%s: deleted rows stay in the warehouse until the state shards are merged", name, extra=about(name))
    if not own_accounts:
        return
    LOGGER.warning(
        "%s: deleted rows stay in the warehouse, since %d accounts that may have rows there were not read whole: %s. "
        "Make them readable; or drop their rows: take them out of subaccounts, and out of the state with "
        "tap-twilio state forget FILE %s",
        name,
        len(own_accounts),
        first_few(
            [f"{account} ({reasons.get(account, 'not among the accounts that are read')})" for account in own_accounts]
        ),
        " ".join(own_accounts[:FEW]),
        extra=about(name),
    )
