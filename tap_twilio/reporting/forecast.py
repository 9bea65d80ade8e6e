"""
Forecasts of the next syncs, for lists that are too long for one sync.

A sync shares `rescan_pages` among the lists that it cannot rescan whole. The forecasts assume that each of these lists
gets the same number of pages in every sync. log_lines.py and summary.py print them; run/sync.py saves `syncs_left`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.tables.table import Table


def rescan_pages_per_list(readings: Iterable[PartitionRead]) -> float:
    """Return how many pages of `rescan_pages` this sync read, on average, of each list that it did not rescan whole."""
    long_lists = [
        reading
        for reading in readings
        if (reading.rescan_pages_read or reading.state.rescan) and not reading.rescanned_whole
    ]
    return sum(reading.rescan_pages_read for reading in long_lists) / max(1, len(long_lists))


def describe_progress(reading: PartitionRead, pages_per_list: float) -> str | None:
    """Return what is left to read of a list that one sync cannot read whole; None if every sync reads all of it."""
    state = reading.state
    if state.backfill:
        return "the backfill is not complete; the next sync continues it"
    if reading.rescanned_whole:
        return None
    resends_old_rows = any(table.state.resend_listed_before for table in reading.tables)
    if state.rescan:
        pages = max(state.pages or 0, state.rescan.pages)
        at_least = "" if state.pages else "at least "
        syncs = max(2, ceil(pages / pages_per_list) if pages_per_list else pages)
        resend = "; rows without a date, and older rows, are emitted with it" if resends_old_rows else ""
        return f"the whole list is reread every {at_least}{syncs} syncs{resend}"
    if resends_old_rows:
        return "the next sync emits rows without a date, and rows that the date filter does not reach"
    return None


def describe_next_sync(reading: PartitionRead, table: Table, pages_per_list: float, not_read: str | None) -> str:
    """Return what the next sync does for a table. `not_read`: why this sync did not read it whole, if so."""
    if not_read in ("closed", "suspended"):
        return ""
    state = reading.state
    if not_read in ("refused", "failed"):
        return "continues where it failed"
    if not_read == "unavailable":
        return "checks whether the account has it"
    if progress := describe_progress(reading, pages_per_list):
        return progress
    if state.finished_at is None and table.state.date_updated is None and not (state.full and state.full.done):
        return "begins the backfill"
    return "reads new rows" if reading.stream.is_log else "rereads the whole list"


def syncs_left(reading: PartitionRead, pages_per_list: float) -> int | None:
    """Return how many syncs it takes until the whole list is reread, and the refreshes end; None if unknown."""
    rescan, refresh = _syncs_of_rescan(reading, pages_per_list), reading.refresh_syncs_left
    return None if rescan is None or refresh is None else max(rescan, refresh)


def _syncs_of_rescan(reading: PartitionRead, pages_per_list: float) -> int | None:
    state = reading.state
    if state.backfill or (state.rescan and not (state.pages and pages_per_list)):
        return None
    if state.rescan and state.pages:
        return max(1, ceil((state.pages - state.rescan.pages) / pages_per_list))
    return ceil(state.pages / pages_per_list) if state.pages and pages_per_list else 1
