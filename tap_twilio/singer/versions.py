"""FULL_TABLE: which version of a table is read, and when it may replace the one before.

A version is a number, greater than all before; targets drop the rows of older ones when it is activated. That is done
only when every account of the stream was read whole in it, since the rows of one that was not would be dropped too.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import sha256

from tap_twilio.log import about
from tap_twilio.twilio.request import Stamp

from .records import compared
from .state import ELSEWHERE, StreamState

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
    return stream.version if any(full.at or full.place for full in halfway) else None


def begin(stream: StreamState) -> tuple[Version, bool]:
    """The next version, and whether nothing of the stream was ever read, so that it is activated before its rows."""
    first = stream.version is None and not any(part.was_read for part in stream.partitions.values())
    now_ms = int(datetime.now(timezone.utc).timestamp() * 1000)
    stream.version = max(now_ms, (stream.version or 0) + 1)
    return Version(stream.version, stream.content), first


def not_whole(stream: StreamState, version: int, failed: Collection[str], gone: Collection[str]) -> list[str]:
    """
    The accounts that keep a version from being activated.

    One that was never read and did not fail has no rows to lose; one that is gone from Twilio's list counts as read.
    """
    return [
        account
        for account, part in stream.partitions.items()
        if not (part.full and part.full.version == version and part.full.done)
        and (account in failed or (part.was_read and account not in gone))
    ]


def explain(name: str, stream: StreamState, accounts: list[str]) -> None:
    """Say why deleted rows stay, and what lets them go."""
    unread = [account for account in accounts if stream.partitions[account] != ELSEWHERE]
    if len(unread) < len(accounts):
        said = "%s: deleted rows stay in the warehouse until the pieces of the state are merged"
        LOGGER.info(said, name, extra=about(name))
    if not unread:
        return
    LOGGER.warning(
        "%s: deleted rows stay in the warehouse, since %s could not be read whole; make it readable, name it in "
        "subaccounts, or take it out of the state, at accounts and at bookmarks.%s.partitions, to let its rows go",
        name,
        ", ".join(unread),
        name,
        extra=about(name),
    )
