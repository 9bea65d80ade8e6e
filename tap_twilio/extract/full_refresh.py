"""
Read all rows: into one version of the table (FULL_TABLE), or in each sync, because rows have no date of their change.

extract/strategy.py chooses these reads. They are generators: the page loop (extract/read_list.py) yields their effects
to the scheduler. run/versions.py ends a version.
"""

from __future__ import annotations

from tap_twilio.errors import PageShifted, Refused
from tap_twilio.state.model import FullTableRead
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import earlier
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page

from .dispatch import PageDispatcher
from .list_order import PossibleOrders
from .moved_rows import FirstPass, SeenRows, find_moved_rows, is_below_moved_rows, rows_move_only_up
from .page_reader import PageReader
from .partition_read import PartitionRead
from .read_list import read_list


def read_all_rows(reading: PartitionRead) -> Read:
    """Read every row and hand it on. The read succeeds within this sync, or fails."""
    while True:
        try:
            for endpoint in reading.endpoints:
                yield from _read_pages(reading, endpoint)
            break
        except PageShifted as shifted:
            if not reading.may_restart():
                raise reading.incomplete(shifted) from None
        except Refused as refused:
            is_single = reading.stream.rows is None
            may_lack_product = reading.state.finished_at is None and reading.stream.product.host != "api"
            if not is_single or not refused.says_absent or may_lack_product:
                raise
            break  # the resource is one row, which this account does not have
    reading.finish_rescan([table.name for table in reading.tables], reading.as_of)


def _read_pages(reading: PartitionRead, endpoint: ListEndpoint) -> Read:
    """Read an endpoint to its end, then read it again for rows that moved up meanwhile."""
    seen = SeenRows(endpoint)

    def remember(page: Page) -> Page:
        seen.add(endpoint.ids(page.rows), page.rows)
        return page

    page_reader = PageReader(endpoint)
    yield from read_list(reading.take, reading.dispatcher(ReadMode.BACKFILL, page_reader), prepare_page=remember)
    if page_reader.pages > 1 and page_reader.orders.rows_may_move_up:
        yield from find_moved_rows(reading, FirstPass(endpoint, seen, page_reader.orders), reading.began)


def read_version(reading: PartitionRead, version: int) -> Read:
    """
    Read every row into one version of the table, page by page, one endpoint after the other.

    Rows may move during the read. So each endpoint of several pages is read again until no such pass shows a row that
    the passes before it missed. The version holds every row that any pass showed.
    """
    full = reading.state.full
    if reading.own_table:
        reading.own_table.store.clear()  # the version may lack rows that were written earlier
    while full is None or full.version != version or not full.done:
        if full is None or full.version != version:
            full = _begin(reading, version)
        try:
            yield from _read_endpoints(reading, full)
        except PageShifted as shifted:
            full = _begin(reading, version)
            if not reading.may_restart():
                raise reading.incomplete(shifted) from None
    bookmarks.finish_version(reading.state)
    reading.fail_unread()
    for table in reading.tables:
        if table is not reading.own_table and table.name in full.streams and not table.failed:
            table.finish_rescan(earlier(full.began, reading.bounds.lateness))
    reading.finish_visits(full.streams)


def _begin(reading: PartitionRead, version: int) -> FullTableRead:
    for feedback in reading.feedback_consumers:
        feedback.forget_recent()
    children = [table.name for table in reading.tables if table is not reading.own_table and table.is_in_rescans]
    return FullTableRead(version, reading.as_of, children, end_date=reading.bounds.end_date)


def _read_endpoints(reading: PartitionRead, full: FullTableRead) -> Read:
    """Read the endpoints that are left, then find the rows that moved up in all of them."""
    endpoints = reading.endpoints
    first_passes = [  # an earlier sync read these endpoints, and did not keep which rows it saw
        FirstPass(endpoint, SeenRows(endpoint, by_content=True), PossibleOrders(endpoint))
        for endpoint in endpoints[: full.list_index]
    ]
    while full.list_index < len(endpoints):
        endpoint = endpoints[full.list_index]
        page_reader, seen = PageReader(endpoint, checkpoint=full.checkpoint), SeenRows(endpoint, by_content=True)
        yield from _read_endpoint(reading, full, page_reader, seen)
        if page_reader.pages > 1 or page_reader.is_resumed:  # a single page shows one point in time
            first_passes.append(FirstPass(endpoint, seen, page_reader.orders))
        full.list_index, full.checkpoint = full.list_index + 1, None
    for first_pass in first_passes:
        yield from find_moved_rows(reading, first_pass, full.began)
    full.done = True


def _read_endpoint(reading: PartitionRead, full: FullTableRead, page_reader: PageReader, seen: SeenRows) -> Read:
    """Read an endpoint to its end, and remember the rows that `find_moved_rows` can show again."""
    endpoint, moved_since = page_reader.endpoint, earlier(full.began, reading.bounds.lateness)
    reached_unmoved_rows = False

    def store_progress(page: Page) -> Page:
        reading.state.full = full  # not before the first page: without it, the progress of the last version counts
        return page

    def remember(dispatcher: PageDispatcher, page: Page) -> None:
        nonlocal reached_unmoved_rows
        full.checkpoint = dispatcher.checkpoint
        if not reached_unmoved_rows or not rows_move_only_up(page_reader.orders):
            seen.add(endpoint.ids(page.rows), page.rows)
        reached_unmoved_rows = reached_unmoved_rows or is_below_moved_rows(endpoint, page, moved_since)

    dispatcher = reading.dispatcher(ReadMode.FULL_TABLE, page_reader)
    yield from read_list(reading.take, dispatcher, prepare_page=store_progress, after_page=remember)
