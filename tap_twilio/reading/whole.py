"""Reading a list whole: into one version of the table (FULL_TABLE), or because no date of its rows tells changes."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

from tap_twilio.errors import Moved, Refused
from tap_twilio.moments import BEGINNING, END, Moment, earlier, moment_of
from tap_twilio.singer.state import Full
from tap_twilio.twilio.request import Page, Row

from .effects import Effect, Read
from .lists import Listing
from .reading import Reading
from .sinks import RESTARTS
from .tables import How
from .walk import Walk


def read_whole(reading: Reading) -> Read:
    """Read every row, and hand on each. It is done in one sync, or not at all."""
    while True:
        try:
            for listing in reading.lists:
                walk = Walk(listing)
                feed = reading.feed(How.BACKFILL, walk)
                while not walk.ended:
                    page = yield from walk.turn()
                    yield from reading.take(feed, page)
                    del page
                yield from feed.end()
            break
        except Moved as moved:
            if not reading.may_restart():
                raise reading.unfinished(moved) from None
        except Refused as refused:
            new = reading.state.finished is None and reading.stream.product.host != "api"  # perhaps no such product
            if reading.stream.rows is not None or not refused.says_absent or new:
                raise
            break  # a single resource that the account does not have
    reading.finish_round([table.name for table in reading.tables], reading.began)


def read_full(reading: Reading, version: int) -> Read:
    """
    Read every row into one version of the table: walks only, one list strictly after the other.

    Rows move while a list is read, so each list of several pages is looked at again, until a look finds no row that
    was there and was not read. The version holds all that any of the looks saw.
    """
    full = reading.state.full
    if reading.own:
        reading.own.known.clear()  # a version may leave rows out that were written before it
    while full is None or full.version != version or not full.done:
        if full is None or full.version != version:
            full = _begin(reading, version)
        try:
            yield from _walk_full(reading, full)
        except Moved as moved:
            full = _begin(reading, version)
            if not reading.may_restart():
                raise reading.unfinished(moved) from None
    for table in reading.tables:
        if table is not reading.own and table.name in full.tables and not table.failed:
            table.finish_round(earlier(full.began, reading.bounds.margin))
    reading.finish_visits(full.tables)


def _begin(reading: Reading, version: int) -> Full:
    for recent in reading.recents:
        recent.begin_window()
    return Full(version, reading.began, [t.name for t in reading.tables if t is not reading.own and t.in_rounds])


class Seen:
    """The rows of one list that were read, by key and by content: two numbers of eight bytes each."""

    def __init__(self, listing: Listing) -> None:
        self._numbers, self._more = array("q"), set[int]()
        self._volatile = {name.partition(".")[0] for name in listing.stream.volatile}

    def add(self, ids: Iterable[str], rows: Iterable[Row]) -> None:
        """Rows of the first reading, after which `sort` makes them known."""
        for one, row in zip(ids, rows):
            self._numbers.extend((hash(one), self._content(one, row)))

    def sort(self) -> None:
        self._numbers = array("q", sorted(self._numbers))

    def take(self, one: str, row: Row) -> tuple[bool, bool]:
        """Whether a row's key is new, and whether its content is; from now on neither is."""
        return self._is_new(hash(one)), self._is_new(self._content(one, row))

    def _content(self, one: str, row: Row) -> int:
        volatile = self._volatile
        return hash((one, repr({name: row[name] for name in row if name not in volatile} if volatile else row)))

    def _is_new(self, number: int) -> bool:
        at = bisect_left(self._numbers, number)
        if (at < len(self._numbers) and self._numbers[at] == number) or number in self._more:
            return False
        self._more.add(number)
        return True


def _walk_full(reading: Reading, full: Full) -> Read:
    lists = reading.lists
    edge = earlier(full.began, reading.bounds.margin)
    again: list[tuple[Listing, Seen, bool]] = [(listing, Seen(listing), False) for listing in lists[: full.at]]
    for index in range(full.at, len(lists)):
        listing, heading, stays = lists[index], True, False
        seen = Seen(listing)
        walk = Walk(listing, place=full.place)
        feed = reading.feed(How.FULL, walk)
        while not walk.ended:
            page = yield from walk.turn()
            reading.state.full = full  # not before: until a page came, what an earlier version read is known
            yield from reading.take(feed, page)
            full.at, full.place = index, feed.place
            stays = _stays(walk)
            if heading or not stays:
                seen.add(listing.ids(page.rows), page.rows)
            heading = heading and not _settled(listing, page, edge)
        yield from feed.end()
        if walk.pages > 1 or walk.resumed:  # else it showed one moment
            again.append((listing, seen, stays))
        full.at, full.place = index + 1, None
    for listing, seen, stays in again:
        yield from _look_again(reading, listing, seen, edge, stays, full.began)
    full.done = True


def _look_again(reading: Reading, listing: Listing, seen: Seen, edge: Moment, stays: bool, began: Moment) -> Read:
    """
    Read a list again, and emit what the version does not hold so, until no row comes that was left out before.

    Where rows that change stay or come to the top, its head alone; so do those that get their list date.
    """
    seen.sort()
    for _ in range(RESTARTS):
        while True:
            try:
                left_out, stays = yield from _look(reading, listing, seen, edge, stays, began)
                break
            except Moved as moved:
                if not reading.may_restart():
                    raise reading.unfinished(moved) from None
        if not left_out:
            return
    if not stays:
        raise reading.unfinished()


def _look(
    reading: Reading, listing: Listing, seen: Seen, edge: Moment, stays: bool, began: Moment
) -> Generator[Effect, Any, tuple[bool, bool]]:
    """One look; whether a row came that was there when the read began, and is new; and whether the head sufficed."""
    walk, left_out = Walk(listing), False
    feed = reading.feed(How.AGAIN, walk)
    while not walk.ended:
        page = yield from walk.turn()
        new = []
        for one, row in zip(listing.ids(page.rows), page.rows):
            is_new, is_other = seen.take(one, row)
            if is_other:
                new.append(row)
            left_out |= (is_new or (stays and is_other)) and _created(row) < began
        yield from reading.take(feed, replace(page, rows=new))
        stays = stays or _stays(walk)
        if stays and _settled(listing, page, edge):
            break
        del page
    return left_out, stays


def _stays(walk: Walk) -> bool:
    """Whether a row that changes stays where it is or comes to the top, so that the head shows what was left out."""
    return not walk.order.may_sink and walk.listing.stream.token_names_row


def _created(row: Row) -> Moment:
    return moment_of(row.get("date_created")) or BEGINNING


def _settled(listing: Listing, page: Page, edge: Moment) -> bool:
    """Whether no row that moved up since `edge` stands below a page; in a list in order of change, or in any other."""
    return listing.all_older(page, edge) and all(
        (moment_of(row.get("date_updated")) or END) < edge for row in page.rows
    )
