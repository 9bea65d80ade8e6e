"""
Read an endpoint again to find the rows that moved up during the first read.

A row that changes during a read of several pages may move to a page that was already read. Then no page shows it. So a
backfill in one sync and a full read call `find_moved_rows` after their last page. It is a generator: the page loop
yields its effects to the scheduler. Other reads do not need it, since a rescan follows them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from tap_twilio.errors import PageShifted
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import BEGINNING, END, Timestamp, earlier, timestamp_or_none
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page, Row

from .dispatch import RESTARTS, PageDispatcher
from .list_order import PossibleOrders
from .page_reader import PageReader
from .partition_read import PartitionRead
from .read_list import read_list

SKEW = timedelta(minutes=1)  # between the clock that dates rows and the clock that dates answers


class SeenRows:
    """The rows that were read of one endpoint: hashes of their keys and, if `by_content`, of their contents."""

    def __init__(self, endpoint: ListEndpoint, by_content: bool = False) -> None:
        self._first_hashes, self._later_hashes, self.by_content = array("q"), set[int](), by_content
        self._not_compared = {name.partition(".")[0] for name in endpoint.stream.not_compared}

    def add(self, ids: Iterable[str], rows: Iterable[Row]) -> None:
        """Add rows of the first read. Call `sort` after the last of them."""
        self._first_hashes.extend(map(hash, ids := list(ids)))
        if self.by_content:
            self._first_hashes.extend(map(self._content, ids, rows))

    def sort(self) -> None:
        """Make the rows of the first read searchable."""
        self._first_hashes = array("q", sorted(self._first_hashes))

    def take(self, row_id: str, row: Row) -> tuple[bool, bool]:
        """Add a row of a later read, and return whether its key is new and whether its content is new."""
        is_new = self._is_new(hash(row_id))
        return is_new, self._is_new(self._content(row_id, row)) if self.by_content else is_new

    def _content(self, row_id: str, row: Row) -> int:
        ignored = self._not_compared
        return hash((row_id, repr({name: row[name] for name in row if name not in ignored} if ignored else row)))

    def _is_new(self, hashed: int) -> bool:
        index = bisect_left(self._first_hashes, hashed)
        was_read = index < len(self._first_hashes) and self._first_hashes[index] == hashed
        if was_read or hashed in self._later_hashes:
            return False
        self._later_hashes.add(hashed)
        return True


class FirstRead(NamedTuple):
    """The result of the first read of an endpoint."""

    endpoint: ListEndpoint
    seen: SeenRows
    orders: PossibleOrders  # what the pages showed about the order of the list


def find_moved_rows(reading: PartitionRead, first_read: FirstRead, began: Timestamp) -> Read:
    """
    Read an endpoint again and emit the new rows, until such a read finds no row that the reads before it missed.

    `began` is the start of the first read. If changed rows only move to the top, only the newest pages are read. A read
    of a single page is the last one, since it shows one point in time. A row that a longer read misses changed after
    that read began.
    """
    first_read.seen.sort()
    edge = earlier(began, reading.bounds.lateness)
    for _ in range(RESTARTS):
        reread_began = earlier(reading.now(), SKEW)
        while True:
            try:
                found_missed, pages = yield from _read_again(reading, first_read, edge, began)
                break
            except PageShifted as shifted:
                if not reading.may_restart():
                    raise reading.incomplete(shifted) from None
        if not found_missed or pages == 1:
            return
        edge = max(edge, reread_began)
    # If rows only move up, each changed row counts as missed. A busy list may always have one, so that is no error.
    if not (moves_only_up(first_read.orders) and first_read.seen.by_content):
        raise reading.incomplete()


def _read_again(
    reading: PartitionRead, first_read: FirstRead, edge: Timestamp, began: Timestamp
) -> Generator[Effect, Any, tuple[bool, int]]:
    """Read the endpoint again. Return whether a row showed that the reads before missed, and the number of pages."""
    endpoint, seen, orders = first_read
    page_reader = PageReader(endpoint)
    page_reader.orders = orders  # an order that the first read refuted stays refuted
    found_missed, only_up = False, moves_only_up(orders)

    def keep_new_rows(page: Page) -> Page:
        nonlocal found_missed
        new_rows = []
        for row_id, row in zip(endpoint.ids(page.rows), page.rows):
            is_new, has_new_content = seen.take(row_id, row)
            if has_new_content:
                new_rows.append(row)
            found_missed |= (is_new or (only_up and has_new_content)) and _created(row) < began
        return replace(page, rows=new_rows)

    def is_enough(dispatcher: PageDispatcher, page: Page) -> bool:
        nonlocal only_up
        only_up = only_up or moves_only_up(orders)
        return only_up and is_below_moved_rows(endpoint, page, edge)

    dispatcher = reading.dispatcher(ReadMode.FULL_TABLE_AGAIN, page_reader)
    yield from read_list(reading.take, dispatcher, prepare_page=keep_new_rows, after_page=is_enough)
    return found_missed, page_reader.pages


def moves_only_up(orders: PossibleOrders) -> bool:
    """Return whether changed rows stay or move to the top, so that the newest pages show all missed rows."""
    return not orders.may_move_down and orders.endpoint.stream.resumable


def _created(row: Row) -> Timestamp:
    return timestamp_or_none(row.get("date_created")) or BEGINNING


def is_below_moved_rows(endpoint: ListEndpoint, page: Page, edge: Timestamp) -> bool:
    """Return whether all rows that moved up since `edge` are above this page."""
    return endpoint.all_before(page, edge) and all(
        (timestamp_or_none(row.get("date_updated")) or END) < edge for row in page.rows
    )
