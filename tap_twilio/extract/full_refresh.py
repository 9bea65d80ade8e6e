"""Reading a list whole: into one version of the table (FULL_TABLE), or because no date of its rows tells changes."""

from __future__ import annotations

from tap_twilio.errors import PageShifted, Refused
from tap_twilio.state.model import Full
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import earlier
from tap_twilio.twilio.endpoint import ListEndpoint

from .list_order import Order
from .page_reader import PageReader
from .partition_read import PartitionRead
from .second_look import Seen, is_settled, look_again, rises_only


def read_whole(reading: PartitionRead) -> Read:
    """Read every row, and hand on each. It is done in one sync, or not at all."""
    while True:
        try:
            for endpoint in reading.endpoints:
                yield from _read_pages(reading, endpoint)
            break
        except PageShifted as shifted:
            if not reading.may_restart():
                raise reading.incomplete(shifted) from None
        except Refused as refused:
            new = reading.state.finished is None and reading.stream.product.host != "api"  # perhaps no such product
            if reading.stream.rows is not None or not refused.says_absent or new:
                raise
            break  # a single resource that the account does not have
    reading.finish_rescan([table.name for table in reading.tables], reading.began)


def _read_pages(reading: PartitionRead, endpoint: ListEndpoint) -> Read:
    """Read a list to its end, and look again for rows that moved up past the read."""
    page_reader, seen = PageReader(endpoint), Seen(endpoint)
    dispatcher = reading.dispatcher(ReadMode.BACKFILL, page_reader)
    while not page_reader.ended:
        page = yield from page_reader.next_page()
        seen.add(endpoint.ids(page.rows), page.rows)
        yield from reading.take(dispatcher, page)
        del page
    yield from dispatcher.end()
    if page_reader.pages > 1 and page_reader.order.may_rise:
        yield from look_again(reading, endpoint, seen, page_reader.order, reading.began)


def read_full(reading: PartitionRead, version: int) -> Read:
    """
    Read every row into one version of the table: walks only, one list strictly after the other.

    Rows move while a list is read, so each list of several pages is looked at again, until a look finds no row that
    was there and was not read. The version holds all that any of the looks saw.
    """
    full = reading.state.full
    if reading.own:
        reading.own.store.clear()  # a version may leave rows out that were written before it
    while full is None or full.version != version or not full.done:
        if full is None or full.version != version:
            full = _begin(reading, version)
        try:
            yield from _read_full(reading, full)
        except PageShifted as shifted:
            full = _begin(reading, version)
            if not reading.may_restart():
                raise reading.incomplete(shifted) from None
    reading.fail_unread()
    for table in reading.tables:
        if table is not reading.own and table.name in full.tables and not table.failed:
            table.finish_rescan(earlier(full.began, reading.bounds.lateness))
    reading.finish_visits(full.tables)


def _begin(reading: PartitionRead, version: int) -> Full:
    for feedback in reading.feedback_consumers:
        feedback.begin_window()
    return Full(version, reading.began, [t.name for t in reading.tables if t is not reading.own and t.in_rescans])


def _read_full(reading: PartitionRead, full: Full) -> Read:
    lists = reading.endpoints
    edge = earlier(full.began, reading.bounds.lateness)
    again: list[tuple[ListEndpoint, Seen, Order]] = [
        (endpoint, Seen(endpoint, by_content=True), Order(endpoint)) for endpoint in lists[: full.at]
    ]
    for index in range(full.at, len(lists)):
        endpoint, heading, stays = lists[index], True, False
        seen = Seen(endpoint, by_content=True)
        page_reader = PageReader(endpoint, checkpoint=full.checkpoint)
        dispatcher = reading.dispatcher(ReadMode.FULL_TABLE, page_reader)
        while not page_reader.ended:
            page = yield from page_reader.next_page()
            reading.state.full = full  # not before: until a page came, what an earlier version read is known
            yield from reading.take(dispatcher, page)
            full.at, full.checkpoint = index, dispatcher.checkpoint
            stays = rises_only(page_reader.order)
            if heading or not stays:
                seen.add(endpoint.ids(page.rows), page.rows)
            heading = heading and not is_settled(endpoint, page, edge)
        yield from dispatcher.end()
        if page_reader.pages > 1 or page_reader.resumed:  # else it showed one moment
            again.append((endpoint, seen, page_reader.order))
        full.at, full.checkpoint = index + 1, None
    for endpoint, seen, order in again:
        yield from look_again(reading, endpoint, seen, order, full.began)
    full.done = True
