"""Reading a list whole: into one version of the table (FULL_TABLE), or because its rows have no date that tells changes."""

from __future__ import annotations

from tap_twilio.errors import Moved
from tap_twilio.moments import earlier
from tap_twilio.singer.state import Full

from .effects import Read
from .reading import Reading
from .sinks import How
from .walk import Walk


def read_whole(reading: Reading) -> Read:
    """Read every row, and hand on each. It is done in one sync, or not at all."""
    while True:
        try:
            for listing in reading.lists:
                walk = Walk(listing)
                while not walk.ended:
                    page = yield from walk.turn()
                    yield from reading.take(How.BACKFILL, listing, page)
                    del page
            break
        except Moved:
            if not reading.may_restart():
                raise reading.unfinished() from None
    reading.finish_round([table.name for table in reading.tables], reading.began)


def read_full(reading: Reading, version: int) -> Read:
    """
    Read every row into one version of the table: walks only, one list strictly after the other.

    Rows move up while a list is read, so at the end its head is read again, down to where the read began.
    """
    full = reading.state.full
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


def _begin(reading: Reading, version: int) -> Full:
    return Full(version, reading.began, [t.name for t in reading.tables if t is not reading.own and t.in_rounds])


def _walk_full(reading: Reading, full: Full) -> Read:
    start_date, lists = reading.bounds.start_date, reading.lists
    heads: dict[int, bool] = {}  # the lists that one page held
    for index in range(full.at, len(lists)):
        walk = Walk(lists[index], place=full.place, thorough=bool(start_date))
        while not walk.ended:
            page = yield from walk.turn()
            reading.state.full = full  # not before: until a page came, what an earlier version read is known
            yield from reading.take(How.FULL, lists[index], page)
            full.at, full.place = index, walk.place
            if walk.order.past(start_date, page.rows):
                break
        heads[index] = walk.ended and walk.pages == 1 and not walk.resumed
        full.at, full.place = index + 1, None
    edge = earlier(full.began, reading.bounds.margin)
    for index, listing in enumerate(lists):
        if heads.get(index) and len(lists) == 1:
            continue  # one page is one moment: no row can have moved past it
        walk = Walk(listing)
        while not walk.ended:
            page = yield from walk.turn()
            yield from reading.take(How.FULL, listing, page)
            if listing.all_older(page, edge):
                break
    full.done = True
