"""FULL_TABLE: the versions of tables, and when a version replaces the one before.

A version is a number, greater than all before. When it is activated, targets drop the rows of other versions. The run
activates it at the end of a sync, and only if every account that may have rows was read whole in it: else the rows of
the other accounts would be dropped too. Users drop an account's rows with `tap-twilio state forget`.
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

MOST_HELD = 20_000  # rows of a version that are held back until it is known whether the table changed
LOGGER = logging.getLogger("tap_twilio")
Key = tuple[str, str]  # a stream and an account
Batch = tuple[str, PageTimes, list[bytes]]  # an account, and the records of one answer
Write = Callable[[str, str, PageTimes, list[bytes]], None]  # of a stream: an account, and the records of one answer


@dataclass
class Version:
    """
    A FULL_TABLE read in progress. It holds its rows back as long as it may equal what the table holds.

    `before` is the content of the table; None if it is unknown, or if rows of this version were written.
    """

    number: int
    before: str | None = None
    rows: int = 0
    total: int = 0  # the sum of the hashes of all rows
    resumed: bool = False  # an earlier sync read a part of it
    held: list[Batch] = field(default_factory=list)

    def take(self, account: str, times: PageTimes, records: list[bytes]) -> list[Batch]:
        """Take records, and return the batches to write now."""
        self.rows += len(records)
        self.total += sum(int.from_bytes(sha256(compared(record)).digest()[:16], "big") for record in records)
        self.held.append((account, times, records))
        return self.release() if self.before is None or self.rows > MOST_HELD else []

    def release(self) -> list[Batch]:
        """Return the batches that were held back, to be written."""
        held, self.held, self.before = self.held, [], None
        return held

    @property
    def is_unchanged(self) -> bool:
        """Return whether the version equals what the table holds, and none of its rows was written."""
        return self.before is not None and self.before == self.content

    @property
    def content(self) -> str:
        """Return a fingerprint of the rows, independent of their order."""
        return f"{self.rows} {self.total % 2**128:032x}"


def interrupted(stream: StreamState, accounts: Collection[str]) -> int | None:
    """Return the open version if the read of one of these accounts stopped halfway; a sync resumes it first."""
    opened = [stream.partitions[account].full for account in accounts if account in stream.partitions]
    halfway = [full for full in opened if full and full.version == stream.version and not full.done]
    return stream.version if any(full.at or full.checkpoint for full in halfway) else None


def begin(stream: StreamState, now: Timestamp) -> Version:
    """
    Return the next version.

    Rows are held back only if the table was written within a day. The state may be older than the warehouse, if the
    STATE after some rows was lost; only a whole new version removes such rows.
    """
    now_ms = int(datetime.now(timezone.utc).timestamp() * 1000)
    stream.version = max(now_ms, (stream.version or 0) + 1)
    known = stream.written is not None and earlier(now, DAY) < stream.written <= now
    version, stream.content = Version(stream.version, stream.content if known else None), None
    return version


def end(stream: StreamState, version: Version, blocking: Collection[str], now: Timestamp) -> tuple[list[Batch], bool]:
    """Return the batches of a version that are still to write, and whether to activate it."""
    if version.is_unchanged and (blocking or not stream.blocked):
        version.before, stream.content = None, version.content
        return [], False
    stream.content = None if version.resumed else version.content
    stream.written, stream.blocked = now, bool(blocking)
    return version.release(), not blocking


def not_whole(stream: StreamState, version: int, failed: Collection[str]) -> list[str]:
    """
    Return the accounts that keep a version from being activated.

    Such an account failed, or may have rows in the warehouse and was not read whole in this version.
    """
    return [
        account
        for account in dict.fromkeys([*stream.partitions, *failed])
        if account in failed or not _is_whole(stream.partitions[account], version)
    ]


def _is_whole(part: Partition, version: int) -> bool:
    """Return whether an account was read whole in a version, or has no rows as far as the state knows."""
    full = part.full
    return not part.was_read or (full is not None and full.version == version and full.done)


def explain(name: str, stream: StreamState, accounts: list[str], reasons: Mapping[str, str]) -> None:
    """Log why deleted rows stay, and how to drop them. `reasons` holds why each account was not read whole."""
    unread = [account for account in accounts if stream.partitions.get(account) != ELSEWHERE]
    if len(unread) < len(accounts):
        LOGGER.info("%s: deleted rows stay in the warehouse until the state shards are merged", name, extra=about(name))
    if not unread:
        return
    LOGGER.warning(
        "%s: deleted rows stay in the warehouse, since %d accounts that may have rows there were not read whole: %s. "
        "Make them readable; or drop their rows: take them out of subaccounts, and out of the state with "
        "tap-twilio state forget FILE %s",
        name,
        len(unread),
        first_few(
            [f"{account} ({reasons.get(account, 'not among the accounts that are read')})" for account in unread]
        ),
        " ".join(unread[:FEW]),
        extra=about(name),
    )


class Versions:
    """The FULL_TABLE reads of one run. `write` writes records of a stream, `activate` tells the target to switch."""

    def __init__(self, state: State, write: Write, activate: Callable[[str, int], None]) -> None:
        self._state, self._write, self._activate = state, write, activate
        self._open: dict[str, Version] = {}

    def number(self, name: str) -> int | None:
        """Return the number of a stream's open version; None if it has none."""
        version = self._open.get(name)
        return version.number if version else None

    @property
    def holding(self) -> list[str]:
        """Return the streams whose rows are held back."""
        return [name for name, version in self._open.items() if version.before]

    def emit(self, name: str, account: str, times: PageTimes, records: list[bytes]) -> None:
        """Write records, unless the open version of their stream holds them back."""
        version, batch = self._open.get(name), (account, times, records)
        self._write_all(name, version.take(*batch) if version else [batch])

    def resume(self, numbers: Mapping[str, int]) -> None:
        """Open the versions that earlier syncs left unfinished, and no other."""
        self._open = {name: Version(number, resumed=True) for name, number in numbers.items()}

    def begin(self, name: str, now: Timestamp) -> None:
        """Open the next version of a stream."""
        self._open[name] = begin(self._state.stream(name), now)

    def drop(self, name: str) -> None:
        """Close a version that stopped again; the next sync resumes it."""
        self._open.pop(name, None)

    def release(self, names: Sequence[str]) -> None:
        """Write the rows that were held back, as the run stops."""
        for name in names:
            if name in self._open:
                self._write_all(name, self._open[name].release())

    def end(self, names: Sequence[str], failed: Collection[Key], unread: Mapping[Key, str], now: Timestamp) -> None:
        """Write what is left of these versions, and activate each one that is complete."""
        for name in names:
            if name in self._open:
                reasons = {account: reason for (stream, account), reason in unread.items() if stream == name}
                self._end(name, [account for stream, account in failed if stream == name], reasons, now)

    def _end(self, name: str, failed: Collection[str], reasons: Mapping[str, str], now: Timestamp) -> None:
        stream, version = self._state.stream(name), self._open[name]
        blocking = not_whole(stream, version.number, failed)
        batches, complete = end(stream, version, blocking, now)
        self._write_all(name, batches)
        if blocking:
            explain(name, stream, blocking, reasons)
        elif complete:
            self._activate(name, version.number)

    def _write_all(self, name: str, batches: Collection[Batch]) -> None:
        for account, times, records in batches:
            self._write(name, account, times, records)
