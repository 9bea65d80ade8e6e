"""Reading a list whole: into one version of the table (FULL_TABLE), or because no date of its rows tells changes."""

from __future__ import annotations

from tap_twilio.errors import Moved, Refused
from tap_twilio.moments import earlier
from tap_twilio.singer.state import Full

from .again import Seen, is_settled, look_again, rises_only
from .effects import Read
from .lists import Listing
from .order import Order
from .reading import Reading
from .tables import How
from .walk import Walk


def read_whole(reading: Reading) -> Read:
    """Read every row, and hand on each. It is done in one sync, or not at all."""
    while True:
        try:
            for listing in reading.lists:
                yield from _walk(reading, listing)
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


def _walk(reading: Reading, listing: Listing) -> Read:
    """Read a list to its end, and look again for rows that moved up past the read."""
    walk, seen = Walk(listing), Seen(listing)
    feed = reading.feed(How.BACKFILL, walk)
    while not walk.ended:
        page = yield from walk.turn()
        seen.add(listing.ids(page.rows), page.rows)
        yield from reading.take(feed, page)
        del page
    yield from feed.end()
    if walk.pages > 1 and walk.order.may_rise:
        yield from look_again(reading, listing, seen, walk.order, reading.began)


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
    reading.fail_unread()
    for table in reading.tables:
        if table is not reading.own and table.name in full.tables and not table.failed:
            table.finish_round(earlier(full.began, reading.bounds.margin))
    reading.finish_visits(full.tables)


def _begin(reading: Reading, version: int) -> Full:
    for recent in reading.recents:
        recent.begin_window()
    return Full(version, reading.began, [t.name for t in reading.tables if t is not reading.own and t.in_rounds])


def _walk_full(reading: Reading, full: Full) -> Read:
    lists = reading.lists
    edge = earlier(full.began, reading.bounds.margin)
    again: list[tuple[Listing, Seen, Order]] = [
        (listing, Seen(listing, by_content=True), Order(listing)) for listing in lists[: full.at]
    ]
    for index in range(full.at, len(lists)):
        listing, heading, stays = lists[index], True, False
        seen = Seen(listing, by_content=True)
        walk = Walk(listing, place=full.place)
        feed = reading.feed(How.FULL, walk)
        while not walk.ended:
            page = yield from walk.turn()
            reading.state.full = full  # not before: until a page came, what an earlier version read is known
            yield from reading.take(feed, page)
            full.at, full.place = index, feed.place
            stays = rises_only(walk.order)
            if heading or not stays:
                seen.add(listing.ids(page.rows), page.rows)
            heading = heading and not is_settled(listing, page, edge)
        yield from feed.end()
        if walk.pages > 1 or walk.resumed:  # else it showed one moment
            again.append((listing, seen, walk.order))
        full.at, full.place = index + 1, None
    for listing, seen, order in again:
        yield from look_again(reading, listing, seen, order, full.began)
    full.done = True
