"""What the log says at the end of a run."""

from __future__ import annotations

import json
import logging
from math import ceil
from typing import TYPE_CHECKING

from .plan import Partition

if TYPE_CHECKING:
    from .sync import Sync

LOGGER = logging.getLogger("tap_twilio")


def report(sync: Sync, seconds: float) -> None:
    """Say what a run read, what it emitted and what comes next."""
    for table in sync.tables:
        for line in table.drift.summary():
            LOGGER.warning("%s", line)
        emitted = sum(table.emitted.values())
        _metric("counter", "record_count", emitted, endpoint=table.name)
    pool = sync.pool
    _metric("timer", "http_request_duration", round(pool.spent_s, 3), requests=pool.requests, retries=pool.retries)
    vast = [one for one in sync.partitions if (one.swept_pages or "round" in one.state) and not one.swept_whole]
    share = sum(partition.swept_pages for partition in vast) / max(1, len(vast))
    for partition in sync.partitions:
        done = (partition.stream.name, partition.account) not in sync.failed | sync.skipped
        comes = forecast(partition, share) if done and not partition.stream.parent else None
        if comes:
            LOGGER.info("%s %s: %s", partition.stream.name, partition.account, comes)
    LOGGER.info(
        "read %d pages with %d requests in %.1f s and emitted %s",
        sync.runner.pages,
        sync.pool.requests,
        seconds,
        ", ".join(f"{sum(table.emitted.values())} {table.name}" for table in sync.tables) or "nothing",
    )
    if sync.runner.stopping:
        LOGGER.warning("stopped before the end; the last STATE line covers all that was written")
    for failure in sync.failures:
        LOGGER.error("failed: %s", failure)


def _metric(kind: str, metric: str, value: float, **tags: object) -> None:
    """A line in the form of singer-python's metrics, which loggers of Singer taps look for."""
    LOGGER.info("METRIC: %s", json.dumps({"type": kind, "metric": metric, "value": value, "tags": tags}))


def forecast(partition: Partition, share: float) -> str | None:
    """What comes next for a partition whose history does not fit the budget; None where all is read every sync.

    `share`: the pages of the budget that each such partition got, on average; its turn evens out how many one gets.
    """
    state = partition.state
    if "backfill" in state:
        return "its backfill is not complete; the next sync goes on"
    if partition.swept_whole:
        return None
    if "round" in state or partition.swept_pages:
        pages = state.get("pages") or state["round"]["pages"]
        at_least = "" if "pages" in state else "at least "
        owed = "; rows never sent or older come with it" if "owed" in state else ""
        return f"all history re-read every {at_least}{max(2, ceil(pages / share) if share else pages)} syncs{owed}"
    return "rows never sent, and those beyond the filter's reach, come with the next sync" if "owed" in state else None
