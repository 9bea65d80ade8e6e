"""FULL_TABLE: which version of a table is read, and when it may replace the one before.

A version is a number, greater than all before; targets drop the rows of others when it is activated. That is done at
the end of a sync, and only when every account that may have rows was read whole in it, since the rows of one that was
not would be dropped too. To drop an account's rows is the user's act: `tap-twilio state forget`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import sha256

from tap_twilio.log import FEW, about, listed
from tap_twilio.singer.records import compared
from tap_twilio.state.model import ELSEWHERE, Partition, StreamState
from tap_twilio.timestamps import DAY, Timestamp, earlier
from tap_twilio.twilio.request import Stamp

MOST_HELD = 20_000  # rows of a version that are held back until it is known whether the table changed
LOGGER = logging.getLogger("tap_twilio")
Batch = tuple[str, Stamp, list[bytes]]  # the account, and records that came with one answer


@dataclass
class Version:
    """
    A FULL_TABLE read under way. While it may turn out to hold just what the table holds, its rows are held back.

    `before` stands for what the table holds; None where that is not known, or where rows of this version were written.
    """

    number: int
    before: str | None = None
    rows: int = 0
    total: int = 0  # of the hashes of all rows
    resumed: bool = False  # whether an earlier sync read a part of it
    held: list[Batch] = field(default_factory=list)

    def take(self, account: str, stamp: Stamp, records: list[bytes]) -> list[Batch]:
        """The records to write now."""
        self.rows += len(records)
        self.total += sum(int.from_bytes(sha256(compared(record)).digest()[:16], "big") for record in records)
        self.held.append((account, stamp, records))
        return self.release() if self.before is None or self.rows > MOST_HELD else []

    def release(self) -> list[Batch]:
        """What was held back, to be written."""
        held, self.held, self.before = self.held, [], None
        return held

    @property
    def is_unchanged(self) -> bool:
        """Whether it holds just what the table holds, and nothing of it was written."""
        return self.before is not None and self.before == self.content

    @property
    def content(self) -> str:
        """What stands for its rows, in whatever order they came."""
        return f"{self.rows} {self.total % 2**128:032x}"


def interrupted(stream: StreamState, accounts: Collection[str]) -> int | None:
    """The open version, if the read of one of these accounts in it stopped halfway: it is resumed first."""
    opened = [stream.partitions[account].full for account in accounts if account in stream.partitions]
    halfway = [full for full in opened if full and full.version == stream.version and not full.done]
    return stream.version if any(full.at or full.checkpoint for full in halfway) else None


def begin(stream: StreamState, now: Timestamp) -> Version:
    """
    Return the next version.

    Its rows are held back for a day at most after such rows were written. The state may be older than what the
    warehouse holds, since a sync wrote rows whose STATE was lost; nothing but a whole new version takes those out.
    """
    now_ms = int(datetime.now(timezone.utc).timestamp() * 1000)
    stream.version = max(now_ms, (stream.version or 0) + 1)
    known = stream.written is not None and earlier(now, DAY) < stream.written <= now
    version, stream.content = Version(stream.version, stream.content if known else None), None
    return version


def end(stream: StreamState, version: Version, blocking: Collection[str], now: Timestamp) -> tuple[list[Batch], bool]:
    """Return what is still to be written of a version that was read, and whether it is to be activated."""
    if version.is_unchanged and (blocking or not stream.blocked):
        version.before, stream.content = None, version.content
        return [], False
    stream.content = None if version.resumed else version.content
    stream.written, stream.blocked = now, bool(blocking)
    return version.release(), not blocking


def not_whole(stream: StreamState, version: int, failed: Collection[str]) -> list[str]:
    """
    Return the accounts that keep a version from being activated.

    They failed; or rows of them may be in the warehouse, and they were not read whole in it, whatever the reason.
    """
    return [
        account
        for account in dict.fromkeys([*stream.partitions, *failed])
        if account in failed or not _is_whole(stream.partitions[account], version)
    ]


def _is_whole(part: Partition, version: int) -> bool:
    """Whether an account was read whole in a version, or has no rows to lose, as far as the state knows."""
    full = part.full
    return not part.was_read or (full is not None and full.version == version and full.done)


def explain(name: str, stream: StreamState, accounts: list[str], why: Mapping[str, str]) -> None:
    """Say why deleted rows stay, and what lets them go. `why` tells it of an account."""
    unread = [account for account in accounts if stream.partitions.get(account) != ELSEWHERE]
    if len(unread) < len(accounts):
        said = "%s: deleted rows stay in the warehouse until the pieces of the state are merged"
        LOGGER.info(said, name, extra=about(name))
    if not unread:
        return
    LOGGER.warning(
        "%s: deleted rows stay in the warehouse, since %d accounts that may have rows there were not read whole: %s; "
        "make them readable, or let their rows go: leave them out of subaccounts, and out of the state with "
        "tap-twilio state forget FILE %s",
        name,
        len(unread),
        listed([f"{account} ({why.get(account, 'not among the accounts that are read')})" for account in unread]),
        " ".join(unread[:FEW]),
        extra=about(name),
    )
