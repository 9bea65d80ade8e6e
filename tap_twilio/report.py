"""What the log says at the end of a run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from .reading.reading import Reading
from .singer.library import Metric, Point, Tag, log_metric

LOGGER = logging.getLogger("tap_twilio")


def forecasts(readings: Iterable[Reading], failed: Iterable[tuple[str, str]]) -> None:
    """Say what the next syncs bring, for each list whose history does not fit the budget."""
    readings, failed = list(readings), set(failed)
    vast = [one for one in readings if (one.swept_pages or one.state.round) and not one.swept_whole]
    share = sum(reading.swept_pages for reading in vast) / max(1, len(vast))
    for reading in readings:
        comes = forecast(reading, share) if reading.key not in failed else None
        if comes:
            LOGGER.info("%s %s: %s", reading.stream.name, reading.account, comes)


def forecast(reading: Reading, share: float) -> str | None:
    """What comes next for a list whose history does not fit the budget; None where all is read by every sync.

    `share`: the pages of the budget that each such list got, on average; its turn evens out how many one gets.
    """
    state = reading.state
    if state.backfill:
        return "its backfill is not complete; the next sync goes on"
    if reading.swept_whole:
        return None
    owed = any(table.state.owed for table in reading.tables)
    if state.round:
        pages = max(state.pages or 0, state.round.pages)
        at_least = "" if state.pages else "at least "
        comes = "; rows never sent or older come with it" if owed else ""
        return f"all history re-read every {at_least}{max(2, ceil(pages / share) if share else pages)} syncs{comes}"
    return "rows never sent, and those beyond the filter's reach, come with the next sync" if owed else None


def summary(pages: int, requests: int, seconds: float, emitted: Sequence[tuple[str, int]]) -> None:
    """The line that says what a run read and emitted."""
    LOGGER.info(
        "read %d pages with %d requests in %.1f s and emitted %s",
        pages,
        requests,
        seconds,
        ", ".join(f"{count} {name}" for name, count in emitted) or "nothing",
    )


def silent_changes(readings: Iterable[Reading], emitted: Mapping[str, int]) -> None:
    """Say how many rows changed although their dates do not show it: what Twilio really does becomes visible."""
    silent: Counter[str] = Counter()
    for table in (table for reading in readings for table in reading.tables):
        silent[table.name] += table.silent
        if table.dated_from:
            LOGGER.warning(
                "%s %s: the state has no room for what rows hold (state_kilobytes), so from %s back rows are judged by "
                "their dates",
                table.name,
                table.account,
                table.dated_from[:10],
            )
    for name, count in silent.items():
        if count:
            LOGGER.info("%s: %d rows, %d of them changed without date_updated", name, emitted[name], count)


def metrics(emitted: Iterable[tuple[str, int]], seconds: float, requests: int, retries: int) -> None:
    """Rows of each stream, and how long all requests took together, as monitors of Singer taps look for them."""
    for name, count in emitted:
        log_metric(LOGGER, Point("counter", Metric.record_count, count, {Tag.endpoint: name}))
    tags = {"requests": requests, "retries": retries}
    log_metric(LOGGER, Point("timer", Metric.http_request_duration, round(seconds, 3), tags))
