"""What the log says first, and at the end beside the table: what comes next, what has no room, and metrics."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import ceil

from tap_twilio import __version__
from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.log import about
from tap_twilio.singer.compat import Metric, Point, Tag, log_metric
from tap_twilio.state.model import State
from tap_twilio.tables.table import Table

LOGGER = logging.getLogger("tap_twilio")
FEW = 10  # streams, which are named


def introduce(accounts: int, streams: Sequence[str], warnings: Iterable[str]) -> None:
    """The first line of a sync, and what there is to warn of."""
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
    """Say what the next syncs bring, for each list that was read, and whose history does not fit the budget."""
    share = share_of_budget(readings)
    for reading in readings:
        comes = forecast(reading, share) if reading.key not in unread else None
        if comes:
            LOGGER.info("%s %s: %s", reading.stream.name, reading.account, comes, extra=about(reading.stream.name))


def share_of_budget(readings: Iterable[PartitionRead]) -> float:
    """The pages of the budget that each list got, on average, whose history does not fit it."""
    vast = [one for one in readings if (one.rescan_pages_read or one.state.rescan) and not one.rescanned_whole]
    return sum(reading.rescan_pages_read for reading in vast) / max(1, len(vast))


def forecast(reading: PartitionRead, share: float) -> str | None:
    """What comes next for a list whose history does not fit the budget; None where all is read by every sync.

    `share`: the pages of the budget that each such list got, on average; its turn evens out how many one gets.
    """
    state = reading.state
    if state.backfill:
        return "its backfill is not complete; the next sync goes on"
    if reading.rescanned_whole:
        return None
    resend_listed_before = any(table.state.resend_listed_before for table in reading.tables)
    if state.rescan:
        pages = max(state.pages or 0, state.rescan.pages)
        at_least = "" if state.pages else "at least "
        comes = "; rows never sent or older come with it" if resend_listed_before else ""
        return f"all history re-read every {at_least}{max(2, ceil(pages / share) if share else pages)} syncs{comes}"
    return (
        "rows never sent, and those beyond the filter's reach, come with the next sync"
        if resend_listed_before
        else None
    )


def settle(state: State, readings: Sequence[PartitionRead], unread: Mapping[tuple[str, str], str]) -> None:
    """Write into the state what this sync left to the next ones: state/describe.py gives its verdicts by that."""
    share = share_of_budget(readings)
    for reading in readings:
        for table in reading.tables:
            table.state.by_date_from = table.by_date_from
            table.state.syncs_left = _syncs_left(reading, share)
            table.state.not_read = None
    for (name, account), why in unread.items():
        part = state.stream(name).partitions.get(account) if name in state.looked_at else None
        if part:
            part.not_read, part.syncs_left = why, None


def _syncs_left(reading: PartitionRead, share: float) -> int | None:
    """How many syncs a list takes until all of it was read again; None where that is not known."""
    state = reading.state
    if state.backfill or (state.rescan and not (state.pages and share)):
        return None
    if state.rescan and state.pages:
        return max(1, ceil((state.pages - state.rescan.pages) / share))
    return ceil(state.pages / share) if state.pages and share else 1


def comes_next(reading: PartitionRead, table: Table, share: float, why: str | None) -> str:
    """What the next sync does for a table, in all cases. `why` it was not read whole, if it was not."""
    state = reading.state
    if why in ("refused", "failed"):
        return "goes on where it failed"
    if why == "absent":
        return "asks whether the account has it"
    if found := forecast(reading, share):
        return found
    if state.finished is None and table.state.date_updated is None and not (state.full and state.full.done):
        return "begins to read it"
    return "reads what is new" if reading.stream.is_log else "looks at all of it again"


def summary(pages: int, requests: int, seconds: float, emitted: int) -> None:
    """The line that says what a run read and emitted."""
    LOGGER.info(
        "read %d pages with %d requests in %.1f s and emitted %d rows",
        pages,
        requests,
        seconds,
        emitted,
        extra=about(pages=pages, requests=requests, seconds=round(seconds, 3), rows_emitted=emitted),
    )


def beyond_size_limit(readings: Iterable[PartitionRead]) -> None:
    """Say of which rows the state does not know what they hold."""
    for table in (table for reading in readings for table in reading.tables):
        if table.by_date_from:
            LOGGER.warning(
                "%s %s: the state has no room for what rows hold (state_kilobytes), so from %s back rows are judged by "
                "their dates",
                table.name,
                table.account,
                table.by_date_from[:10],
                extra=about(table.name),
            )


def given_up(readings: Iterable[PartitionRead]) -> None:
    """Say of how many rows the children were asked for in vain for so long that they are not asked for again."""
    for child_stream in (child_stream for reading in readings for child_stream in reading.child_streams):
        if child_stream.given_up:
            LOGGER.info(
                "%s %s: %d rows of %s say that they have some, and Twilio listed none until seven days after their "
                "last change; they are asked again when they change",
                child_stream.name,
                child_stream.account,
                child_stream.given_up,
                child_stream.parent.stream,
                extra=about(child_stream.name),
            )


def metrics(emitted: Iterable[tuple[str, int]], seconds: float, requests: int, retries: int) -> None:
    """Rows of each stream, and how long all requests took together, as monitors of Singer taps look for them."""
    for name, count in emitted:
        log_metric(LOGGER, Point("counter", Metric.record_count, count, {Tag.endpoint: name}))
    tags = {"requests": requests, "retries": retries}
    log_metric(LOGGER, Point("timer", Metric.http_request_duration, round(seconds, 3), tags))
