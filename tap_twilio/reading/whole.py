"""Reading a list whole: into one version of the table (FULL_TABLE), or because no date of its rows tells changes."""

from __future__ import annotations

from collections.abc import Generator
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
        except Moved:
            if not reading.may_restart():
                raise reading.unfinished() from None
        except Refused as refused:
            new = reading.state.finished is None and reading.stream.product.host != "api"  # perhaps no such product
            if reading.stream.rows is not None or not refused.says_absent or new:
                raise
            break  # a single resource that the account does not have
    reading.finish_round([table.name for table in reading.tables], reading.began)


def read_full(reading: Reading, version: int) -> Read:
    """
    Read every row into one version of the table: walks only, one list strictly after the other.

    Rows move up while a list is read, so at the end its head is read again, down to where the read began.
    """
    full = reading.state.full
    if reading.own:
        reading.own.known.clear()  # a version may leave rows out that were written before it
    while full is None or full.version != version or not full.done:
        if full is None or full.version != version:
            full = _begin(reading, version)
        try:
            yield from _walk_full(reading, full)
        except Moved:
            full = _begin(reading, version)
            if not reading.may_restart():
                raise reading.unfinished() from None
    for table in reading.tables:
        if table is not reading.own and table.name in full.tables and not table.failed:
            table.finish_round(earlier(full.began, reading.bounds.margin))
    reading.finish_visits(full.tables)


def _begin(reading: Reading, version: int) -> Full:
    for recent in reading.recents:
        recent.begin_window()
    return Full(version, reading.began, [t.name for t in reading.tables if t is not reading.own and t.in_rounds])


def _walk_full(reading: Reading, full: Full) -> Read:
    start_date, lists = reading.bounds.start_date, reading.lists
    edge = earlier(full.began, reading.bounds.margin)
    moving = list(lists)  # those of which rows may have moved up while they were read
    emitted: dict[str, int] = {}  # the content of the heads, so that the second look emits only what changed
    for index in range(full.at, len(lists)):
        listing, heading = lists[index], True
        walk = Walk(listing, place=full.place, thorough=bool(start_date))
        feed = reading.feed(How.FULL, walk)
        while not walk.ended:
            page = yield from walk.turn()
            reading.state.full = full  # not before: until a page came, what an earlier version read is known
            yield from reading.take(feed, page)
            full.at, full.place = index, feed.place
            if heading:
                emitted.update((one, _content(listing, row)) for one, row in zip(listing.ids(page.rows), page.rows))
                heading = not _settled(listing, page, edge)
            if walk.order.past(start_date, page.rows):
                break
        yield from feed.end()
        if walk.ended and walk.pages == 1 and not walk.resumed:
            moving.remove(listing)  # one page shows one moment
        full.at, full.place = index + 1, None
    for listing in moving:
        for _ in range(RESTARTS):  # a row may move up once more while the head is looked at
            if not (yield from _look_again(reading, listing, edge, emitted, full.began)):
                break
    full.done = True


def _look_again(
    reading: Reading, listing: Listing, edge: Moment, emitted: dict[str, int], began: Moment
) -> Generator[Effect, Any, bool]:
    """Read a head, and emit what the version does not hold so; whether a row was among it that the read should know."""
    walk, moved = Walk(listing), False
    feed = reading.feed(How.AGAIN, walk)
    while not walk.ended:
        page = yield from walk.turn()
        new = [
            (one, row)
            for one, row in zip(listing.ids(page.rows), page.rows)
            if emitted.get(one) != _content(listing, row)
        ]
        moved |= any((moment_of(row.get("date_created")) or BEGINNING) < began for _, row in new)
        emitted.update((one, _content(listing, row)) for one, row in new)
        yield from reading.take(feed, replace(page, rows=[row for _, row in new]))
        if _settled(listing, page, edge):
            break
    return moved


def _settled(listing: Listing, page: Page, edge: Moment) -> bool:
    """Whether no row that moved up since `edge` stands below a page; in a list in order of change, or in any other."""
    return listing.all_older(page, edge) and all(
        (moment_of(row.get("date_updated")) or END) < edge for row in page.rows
    )


def _content(listing: Listing, row: Row) -> int:
    volatile = {name.partition(".")[0] for name in listing.stream.volatile}
    return hash(repr({name: value for name, value in row.items() if name not in volatile} if volatile else row))
