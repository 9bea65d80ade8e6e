"""FULL_TABLE: which version of a table is read, and when it may replace the one before.

A version is a number, greater than all before; targets drop the rows of older ones when it is activated. That is done
only when every account of the stream was read whole in it, since the rows of one that was not would be dropped too.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timezone

from .state import StreamState

LOGGER = logging.getLogger("tap_twilio")


def interrupted(stream: StreamState, accounts: Collection[str]) -> int | None:
    """The open version, if the read of one of these accounts in it stopped halfway: it is resumed first."""
    opened = [stream.partitions[account].full for account in accounts if account in stream.partitions]
    halfway = [full for full in opened if full and full.version == stream.version and not full.done]
    return stream.version if any(full.at or full.place for full in halfway) else None


def begin(stream: StreamState) -> tuple[int, bool]:
    """The next version, and whether nothing of the stream was ever read, so that it is activated before its rows."""
    first = stream.version is None and not any(part.was_read for part in stream.partitions.values())
    now_ms = int(datetime.now(timezone.utc).timestamp() * 1000)
    stream.version = max(now_ms, (stream.version or 0) + 1)
    return stream.version, first


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


def explain(name: str, accounts: list[str]) -> None:
    LOGGER.warning(
        "%s: deleted rows stay in the warehouse, since %s could not be read whole; make it readable, name it in "
        "subaccounts, or take it out of the state, at accounts and at bookmarks.%s.partitions, to let its rows go",
        name,
        ", ".join(accounts),
        name,
    )
