"""
Log lines about a whole run: the first line, the limits that the run met, and its totals.

run/sync.py logs the first line before any list is read, and the others after the last STATE. The table between them
is in summary.py.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence

from tap_twilio import __version__
from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.log import about
from tap_twilio.singer.compat import Metric, Point, Tag, log_metric

from .forecast import describe_progress, rescan_pages_per_list

LOGGER = logging.getLogger("tap_twilio")
FEW = 10  # streams that the first line names


def log_start(accounts: int, streams: Sequence[str], warnings: Iterable[str]) -> None:
    """Log how many accounts and streams a sync reads, and the warnings."""
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


def log_forecasts(readings: Sequence[PartitionRead], not_read: Collection[tuple[str, str]]) -> None:
    """Log how many syncs a whole read takes, for each list that one sync cannot read whole."""
    pages_per_list = rescan_pages_per_list(readings)
    for reading in readings:
        progress = None if reading.key in not_read else describe_progress(reading, pages_per_list)
        if progress:
            LOGGER.info("%s %s: %s", reading.stream.name, reading.account, progress, extra=about(reading.stream.name))


def log_full_state(readings: Iterable[PartitionRead]) -> None:
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


def log_missing_children(readings: Iterable[PartitionRead]) -> None:
    """Log how many parent rows count children that Twilio did not list in time."""
    for child_stream in (child_stream for reading in readings for child_stream in reading.child_streams):
        if child_stream.given_up:
            LOGGER.info(
                "%s %s: %d rows of %s count children that Twilio did not list within seven days after the last change "
                "of the row or, of a row without dates, in two syncs; these rows are visited again when they change",
                child_stream.name,
                child_stream.account,
                child_stream.given_up,
                child_stream.parent.stream,
                extra=about(child_stream.name),
            )


def log_metrics(emitted: Iterable[tuple[str, int]], seconds: float, requests: int, retries: int) -> None:
    """Log the metrics of singer-python: the emitted rows of each stream, and the time of all requests."""
    for name, count in emitted:
        log_metric(LOGGER, Point("counter", Metric.record_count, count, {Tag.endpoint: name}))
    tags = {"requests": requests, "retries": retries}
    log_metric(LOGGER, Point("timer", Metric.http_request_duration, round(seconds, 3), tags))


def log_totals(pages: int, requests: int, seconds: float, emitted: int) -> None:
    """Log how much a run read and emitted."""
    LOGGER.info(
        "read %d pages with %d requests in %.1f s and emitted %d rows",
        pages,
        requests,
        seconds,
        emitted,
        extra=about(pages=pages, requests=requests, seconds=round(seconds, 3), rows_emitted=emitted),
    )
