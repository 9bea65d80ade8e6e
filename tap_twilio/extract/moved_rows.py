"""
Read an endpoint again to find the rows that moved up during the first pass.

A pass reads the endpoint once, from its top. A row that changes during a pass of several pages may move to a page that
was already read. Then no page shows it. So a backfill in one sync and a full read call `find_moved_rows` after their
last page. `find_moved_rows` is a generator: the page loop yields its effects to the scheduler. Other reads do not need
it, since a rescan follows them.
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

from .dispatch import PageDispatcher
from .list_order import PossibleOrders
from .page_reader import PageReader
from .partition_read import PartitionRead
from .read_list import read_list

MAX_PASSES = 3  # after the first pass
SKEW = timedelta(minutes=1)  # between the clock that dates rows and the clock that dates answers


class SeenRows:
    """Hashes of the rows that the passes over an endpoint showed: of keys and, if `by_content`, of contents too."""

    def __init__(self, endpoint: ListEndpoint, by_content: bool = False) -> None:
        self._first_hashes, self._later_hashes, self.by_content = array("q"), set[int](), by_content
        self._not_compared = {name.partition(".")[0] for name in endpoint.stream.not_compared}

    def add(self, ids: Iterable[str], rows: Iterable[Row]) -> None:
        """Add rows of the first pass. Call `sort` after the last of them."""
        self._first_hashes.extend(map(hash, ids := list(ids)))
        if self.by_content:
            self._first_hashes.extend(map(self._content, ids, rows))

    def sort(self) -> None:
        """Make the rows of the first pass searchable."""
        self._first_hashes = array("q", sorted(self._first_hashes))

    def check_and_add(self, row_id: str, row: Row) -> tuple[bool, bool]:
        """Return whether a row of a later pass has a new key, and whether it has a new content. Add the row."""
        is_new = self._add_if_new(hash(row_id))
        return is_new, self._add_if_new(self._content(row_id, row)) if self.by_content else is_new

    def _content(self, row_id: str, row: Row) -> int:
        ignored = self._not_compared
        return hash((row_id, repr({name: row[name] for name in row if name not in ignored} if ignored else row)))

    def _add_if_new(self, hashed: int) -> bool:
        """Add a hash of a later pass. Return whether no pass showed it before."""
        index = bisect_left(self._first_hashes, hashed)
        was_read = index < len(self._first_hashes) and self._first_hashes[index] == hashed
        if was_read or hashed in self._later_hashes:
            return False
        self._later_hashes.add(hashed)
        return True


class FirstPass(NamedTuple):
    """What the first pass over an endpoint showed."""

    endpoint: ListEndpoint
    seen: SeenRows
    orders: PossibleOrders


def find_moved_rows(reading: PartitionRead, first_pass: FirstPass, began: Timestamp) -> Read:
    """
    Make further passes over an endpoint and emit the new rows, until a pass shows no row that all passes before missed.

    `began` is the start of the first pass. If rows only move up, a pass ends below the rows that changed since the pass
    before it began: no other row can have moved. A pass of a single page is the last one, since all its rows are of one
    point in time.
    """
    first_pass.seen.sort()
    moved_since = earlier(began, reading.bounds.lateness)
    for _ in range(MAX_PASSES):
        pass_began = earlier(reading.now(), SKEW)
        while True:
            try:
                found_missed, pages = yield from _make_pass(reading, first_pass, moved_since, began)
                break
            except PageShifted as shifted:
                if not reading.may_restart():
                    raise reading.incomplete(shifted) from None
        if not found_missed or pages == 1:
            return
        moved_since = max(moved_since, pass_began)
    # With `by_content`, each changed row counts as missed if rows only move up. A busy list may show one in every pass,
    # so this is no error.
    if not (rows_move_only_up(first_pass.orders) and first_pass.seen.by_content):
        raise reading.incomplete()


def _make_pass(
    reading: PartitionRead, first_pass: FirstPass, moved_since: Timestamp, began: Timestamp
) -> Generator[Effect, Any, tuple[bool, int]]:
    """Make one pass. Return whether it showed a row that the passes before missed, and the number of its pages."""
    endpoint, seen, orders = first_pass
    page_reader = PageReader(endpoint)
    page_reader.orders = orders  # an order that the first pass refuted stays refuted
    found_missed, only_up = False, rows_move_only_up(orders)

    def keep_new_rows(page: Page) -> Page:
        nonlocal found_missed
        new_rows = []
        for row_id, row in zip(endpoint.ids(page.rows), page.rows):
            is_new, has_new_content = seen.check_and_add(row_id, row)
            if has_new_content:
                new_rows.append(row)
            found_missed |= (is_new or (only_up and has_new_content)) and _created(row) < began
        return replace(page, rows=new_rows)

    def is_enough(dispatcher: PageDispatcher, page: Page) -> bool:
        nonlocal only_up
        only_up = only_up or rows_move_only_up(orders)
        return only_up and is_below_moved_rows(endpoint, page, moved_since)

    dispatcher = reading.dispatcher(ReadMode.READ_AGAIN, page_reader)
    yield from read_list(reading.take, dispatcher, prepare_page=keep_new_rows, after_page=is_enough)
    return found_missed, page_reader.pages


def rows_move_only_up(orders: PossibleOrders) -> bool:
    """Return whether no row moves down, so that the newest pages show all rows that moved."""
    return not orders.rows_may_move_down and orders.endpoint.stream.tokens_name_rows


def _created(row: Row) -> Timestamp:
    return timestamp_or_none(row.get("date_created")) or BEGINNING


def is_below_moved_rows(endpoint: ListEndpoint, page: Page, moved_since: Timestamp) -> bool:
    """Return whether all rows that moved up since a date are above this page."""
    return endpoint.all_before(page, moved_since) and all(
        (timestamp_or_none(row.get("date_updated")) or END) < moved_since for row in page.rows
    )
