"""The first line of the log, and the lines around the closing table: what the next syncs do, limits, and metrics."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import ceil

from tap_twilio import __version__
from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.log import about
from tap_twilio.singer.compat import Metric, Point, Tag, log_metric
from tap_twilio.state.store import State
from tap_twilio.tables.table import Table

LOGGER = logging.getLogger("tap_twilio")
FEW = 10  # streams that the first line names


def introduce(accounts: int, streams: Sequence[str], warnings: Iterable[str]) -> None:
    """Log the first line of a sync, and the warnings."""
    LOGGER.info(
        "tap-twilio %s reads %d account%s and %d stream%s%s",
        __version__,
        accounts,
        "" if accounts == 1 else "s",
        len(streams),
        "" if len(streams) == 1 else "s",
        f": {', '.join(streams)}" if 0 < len(streams) <= FEW else "",
        extra=about(version=__version__, accounts=accounts, streams=list(streams)),
    )
    for warning in warnings:
        LOGGER.warning("%s", warning)


def forecasts(readings: Sequence[PartitionRead], unread: Collection[tuple[str, str]]) -> None:
    """Log what the next syncs bring, for each list that one sync cannot read whole."""
    share = share_of_budget(readings)
    for reading in readings:
        message = forecast(reading, share) if reading.key not in unread else None
        if message:
            LOGGER.info("%s %s: %s", reading.stream.name, reading.account, message, extra=about(reading.stream.name))


def share_of_budget(readings: Iterable[PartitionRead]) -> float:
    """Return how many pages of `rescan_pages` each list got on average, of the lists that one sync cannot rescan."""
    large = [
        reading
        for reading in readings
        if (reading.rescan_pages_read or reading.state.rescan) and not reading.rescanned_whole
    ]
    return sum(reading.rescan_pages_read for reading in large) / max(1, len(large))


def forecast(reading: PartitionRead, share: float) -> str | None:
    """Return what comes next for a list that one sync cannot read whole; None if every sync reads all of it.

    `share`: the pages that each such list gets on average (`share_of_budget`).
    """
    state = reading.state
    if state.backfill:
        return "the backfill is not complete; the next sync continues it"
    if reading.rescanned_whole:
        return None
    resend_listed_before = any(table.state.resend_listed_before for table in reading.tables)
    if state.rescan:
        pages = max(state.pages or 0, state.rescan.pages)
        at_least = "" if state.pages else "at least "
        resend = "; rows without a date, or older, come with it" if resend_listed_before else ""
        return (
            f"the whole list is reread every {at_least}{max(2, ceil(pages / share) if share else pages)} syncs{resend}"
        )
    return (
        "rows without a date, and those that the date filter does not reach, come with the next sync"
        if resend_listed_before
        else None
    )


def settle(state: State, readings: Sequence[PartitionRead], unread: Mapping[tuple[str, str], str]) -> None:
    """Write into the state what this sync leaves to the next ones; state/describe.py derives its verdicts from it."""
    share = share_of_budget(readings)
    for reading in readings:
        for table in reading.tables:
            table.state.by_date_from = table.by_date_from
            table.state.syncs_left = _syncs_left(reading, share)
            table.state.not_read = None
    for (name, account), reason in unread.items():
        part = state.stream(name).partitions.get(account) if name in state.names_read else None
        if part:
            part.not_read, part.syncs_left = reason, None


def _syncs_left(reading: PartitionRead, share: float) -> int | None:
    """Return how many syncs it takes to reread a whole list; None if unknown."""
    state = reading.state
    if state.backfill or (state.rescan and not (state.pages and share)):
        return None
    if state.rescan and state.pages:
        return max(1, ceil((state.pages - state.rescan.pages) / share))
    return ceil(state.pages / share) if state.pages and share else 1


def next_sync(reading: PartitionRead, table: Table, share: float, reason: str | None) -> str:
    """Return what the next sync does for a table. `reason`: why it was not read whole, if it was not."""
    state = reading.state
    if reason in ("refused", "failed"):
        return "continues where it failed"
    if reason == "unavailable":
        return "checks whether the account has it"
    if message := forecast(reading, share):
        return message
    if state.finished is None and table.state.date_updated is None and not (state.full and state.full.done):
        return "begins the first read"
    return "reads new rows" if reading.stream.is_log else "rereads the whole list"


def summary(pages: int, requests: int, seconds: float, emitted: int) -> None:
    """Log how much a run read and emitted."""
    LOGGER.info(
        "read %d pages with %d requests in %.1f s and emitted %d rows",
        pages,
        requests,
        seconds,
        emitted,
        extra=about(pages=pages, requests=requests, seconds=round(seconds, 3), rows_emitted=emitted),
    )


def beyond_size_limit(readings: Iterable[PartitionRead]) -> None:
    """Log the tables whose older rows have no fingerprint, since the state is full."""
    for table in (table for reading in readings for table in reading.tables):
        if table.by_date_from:
            LOGGER.warning(
                "%s %s: the state has no room for more fingerprints (state_kilobytes): of rows before %s, changes are "
                "detected by date_updated only",
                table.name,
                table.account,
                table.by_date_from[:10],
                extra=about(table.name),
            )


def given_up(readings: Iterable[PartitionRead]) -> None:
    """Log how many parent rows announced children that Twilio did not list within seven days."""
    for child_stream in (child_stream for reading in readings for child_stream in reading.child_streams):
        if child_stream.given_up:
            LOGGER.info(
                "%s %s: %d rows of %s announce some, but Twilio listed none within seven days after their last change; "
                "they are visited again when they change",
                child_stream.name,
                child_stream.account,
                child_stream.given_up,
                child_stream.parent.stream,
                extra=about(child_stream.name),
            )


def metrics(emitted: Iterable[tuple[str, int]], seconds: float, requests: int, retries: int) -> None:
    """Log the metrics of singer-python: rows of each stream, and the time of all requests."""
    for name, count in emitted:
        log_metric(LOGGER, Point("counter", Metric.record_count, count, {Tag.endpoint: name}))
    tags = {"requests": requests, "retries": retries}
    log_metric(LOGGER, Point("timer", Metric.http_request_duration, round(seconds, 3), tags))
