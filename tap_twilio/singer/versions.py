"""FULL_TABLE: which version of a table is read, and when it may replace the one before.

A version is a number, greater than all before; targets drop the rows of older ones when it is activated. That is done
only when every account of the stream was read whole in it, since the rows of one that was not would be dropped too.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timezone
from typing import Any

LOGGER = logging.getLogger("tap_twilio")
Part = dict[str, Any]  # a stream's part of the state: {"version": 17…, "accounts": {"AC…": {"full": {…}, …}}}


def interrupted(part: Part, accounts: Collection[str]) -> int | None:
    """The open version, if the read of one of these accounts in it stopped halfway: it is gone on with first."""
    version = part.get("version")
    opened = [part["accounts"].get(account, {}).get("full", {}) for account in accounts]
    if any(full.get("version") == version and not full.get("done") and _has_progress(full) for full in opened):
        return version if isinstance(version, int) else None
    return None


def begin(part: Part) -> tuple[int, bool]:
    """The next version, and whether nothing of the stream was ever read, so that it is activated before its rows."""
    version = part.get("version")
    first = version is None and not any(map(was_read, part["accounts"].values()))
    now_ms = int(datetime.now(timezone.utc).timestamp() * 1000)
    part["version"] = max(now_ms, version + 1 if isinstance(version, int) else 0)
    return part["version"], first


def not_whole(part: Part, version: int, failed: Collection[str], gone: Collection[str]) -> list[str]:
    """
    The accounts that keep a version from being activated.

    One that was never read and did not fail has no rows to lose; one that is gone from Twilio's list counts as read.
    """
    return [
        account
        for account, state in part["accounts"].items()
        if not (state.get("full", {}).get("version") == version and state["full"].get("done"))
        and (account in failed or (was_read(state) and account not in gone))
    ]


def was_read(state: Part) -> bool:
    """Whether rows of a partition may be in the warehouse."""
    return "date_updated" in state or any(_has_progress(state.get(name, {})) for name in ("full", "backfill"))


def _has_progress(opened: Part) -> bool:
    return bool(opened.get("done") or opened.get("list") or "place" in opened or "slices" in opened)


def explain(name: str, accounts: list[str]) -> None:
    LOGGER.warning(
        "%s: deleted rows stay in the warehouse, since %s could not be read whole; make it readable, name it in "
        "subaccounts, or take it out of the state at bookmarks.%s.accounts to let its rows go",
        name,
        ", ".join(accounts),
        name,
    )
