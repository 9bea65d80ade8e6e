"""
A second look at a list that was read, for the rows that moved up past the read.

A row that changes may move to the top, or to any place, while a list of several pages is read: then no page shows it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tap_twilio.errors import PageShifted
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.timestamps import BEGINNING, END, Timestamp, earlier, timestamp_of
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page, Row

from .dispatch import RESTARTS
from .list_order import Order
from .page_reader import PageReader
from .partition_read import PartitionRead

SKEW = timedelta(minutes=1)  # between the clock that dates rows and the one that dates answers


class Seen:
    """The rows of one list that were read, by key, and by content where that is wanted: eight bytes each."""

    def __init__(self, endpoint: ListEndpoint, by_content: bool = False) -> None:
        self._numbers, self._more, self.by_content = array("q"), set[int](), by_content
        self._volatile = {name.partition(".")[0] for name in endpoint.stream.volatile}

    def add(self, ids: Iterable[str], rows: Iterable[Row]) -> None:
        """Add rows of the first reading, after which `sort` makes them known."""
        self._numbers.extend(map(hash, ids := list(ids)))
        if self.by_content:
            self._numbers.extend(map(self._content, ids, rows))

    def sort(self) -> None:
        """Make the rows of the first reading known."""
        self._numbers = array("q", sorted(self._numbers))

    def take(self, one: str, row: Row) -> tuple[bool, bool]:
        """Return whether a row's key is new, and whether its content is; from now on neither is."""
        is_new = self._is_new(hash(one))
        return is_new, self._is_new(self._content(one, row)) if self.by_content else is_new

    def _content(self, one: str, row: Row) -> int:
        volatile = self._volatile
        return hash((one, repr({name: row[name] for name in row if name not in volatile} if volatile else row)))

    def _is_new(self, number: int) -> bool:
        at = bisect_left(self._numbers, number)
        if (at < len(self._numbers) and self._numbers[at] == number) or number in self._more:
            return False
        self._more.add(number)
        return True


def look_again(reading: PartitionRead, endpoint: ListEndpoint, seen: Seen, order: Order, began: Timestamp) -> Read:
    """
    Read a list again that was read since `began`, and emit what was not seen so, until a look leaves no row out.

    Where rows that change stay or come to the top, as the list's `order` shows, its head is read alone; so do rows that
    get their list date. A look of one page shows one moment. What a longer one leaves out changed after it began.
    """
    seen.sort()
    edge = earlier(began, reading.bounds.lateness)
    for _ in range(RESTARTS):
        looked = earlier(reading.now(), SKEW)
        while True:
            try:
                left_out, pages = yield from _look(reading, endpoint, seen, edge, order, began)
                break
            except PageShifted as shifted:
                if not reading.may_restart():
                    raise reading.incomplete(shifted) from None
        if not left_out or pages == 1:
            return
        edge = max(edge, looked)
    if not (
        rises_only(order) and seen.by_content
    ):  # then a row that was seen, and changed, cannot be told from one left out
        raise reading.incomplete()


def _look(
    reading: PartitionRead, endpoint: ListEndpoint, seen: Seen, edge: Timestamp, order: Order, began: Timestamp
) -> Generator[Effect, Any, tuple[bool, int]]:
    """Look once. Returns whether a row came that was there when the read began, and is new; and how many pages came."""
    page_reader, left_out, stays = PageReader(endpoint), False, rises_only(order)
    page_reader.order = order  # what a page refuted before stays refuted
    dispatcher = reading.dispatcher(ReadMode.FULL_TABLE_AGAIN, page_reader)
    while not page_reader.ended:
        page = yield from page_reader.next_page()
        new = []
        for one, row in zip(endpoint.ids(page.rows), page.rows):
            is_new, is_other = seen.take(one, row)
            if is_other:
                new.append(row)
            left_out |= (is_new or (stays and is_other)) and _created(row) < began
        yield from reading.take(dispatcher, replace(page, rows=new))
        stays = stays or rises_only(order)
        if stays and is_settled(endpoint, page, edge):
            break
        del page
    return left_out, page_reader.pages


def rises_only(order: Order) -> bool:
    """Return whether a row that changes stays or comes to the top, so that the head shows those left out."""
    return not order.may_move_down and order.endpoint.stream.resumable


def _created(row: Row) -> Timestamp:
    return timestamp_of(row.get("date_created")) or BEGINNING


def is_settled(endpoint: ListEndpoint, page: Page, edge: Timestamp) -> bool:
    """Return whether no row that moved up since `edge` stands below a page, in whatever order of dates."""
    return endpoint.all_older(page, edge) and all(
        (timestamp_of(row.get("date_updated")) or END) < edge for row in page.rows
    )
