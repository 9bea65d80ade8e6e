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
    if sync.runner.replaced:
        LOGGER.warning("%d NUL characters or lone surrogates became U+FFFD, which Postgres takes", sync.runner.replaced)
    pool = sync.pool
    _metric("timer", "http_request_duration", round(pool.spent_s, 3), requests=pool.requests, retries=pool.retries)
    for partition in sync.partitions:
        done = (partition.stream.name, partition.account) not in sync.failed | sync.skipped
        comes = forecast(partition, sync.settings.sweep_pages) if done and not partition.stream.parent else None
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


def forecast(partition: Partition, sweep_pages: int) -> str | None:
    """What comes next for a partition whose history does not fit the budget; None where all is read every sync."""
    state = partition.state
    if "backfill" in state:
        return "its backfill is not complete; the next sync goes on"
    if "round" not in state:
        return None
    pages = state.get("pages") or state["round"]["pages"]
    syncs = max(2, ceil(pages / max(1, sweep_pages)))
    at_least = "" if "pages" in state else "at least "
    owed = "; rows never sent or older come with it" if "owed" in state else ""
    return f"all history re-read every {at_least}{syncs} syncs{owed}"
