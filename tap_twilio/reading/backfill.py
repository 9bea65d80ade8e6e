"""The first read of a list: a short one is walked whole, a long one that can be filtered is read in slices."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from tap_twilio.errors import Moved
from tap_twilio.moments import BEGINNING, SECOND, later
from tap_twilio.singer.state import Backfill

from .again import Seen, look_again
from .effects import Effect, Read
from .lists import Listing, pages_between
from .order import Order
from .reading import Reading
from .slices import CUTS, Slices, cut
from .tables import How
from .walk import Walk


def backfill(reading: Reading) -> Read:
    """Read everything once. Its bookmark is the start of the first sync that took part."""
    state, in_one_go = reading.state, reading.state.backfill is None  # else the look-back and a round follow
    opened = state.backfill = state.backfill or Backfill(reading.began, reading.served())
    lists = reading.lists
    again: list[tuple[Listing, Seen, Order]] = []
    while opened.at < len(lists):
        listing = lists[opened.at]
        if opened.slices is None:
            walk, seen = yield from _walk(reading, listing, opened)
            if walk.ended and walk.pages > 1 and walk.order.may_rise:
                again.append((listing, seen, walk.order))
        if opened.slices is not None:
            yield from Slices(reading, listing, opened.slices, How.BACKFILL, opened).read()
            reading.close(listing, opened.spans[0].read if len(opened.spans) == 1 else {})
            opened.slices, opened.spans = None, []
        opened.place = None
        opened.at += 1
    for listing, seen, order in again if in_one_go else ():
        yield from look_again(reading, listing, seen, order, opened.began)
    reading.finish_backfill(opened)


def _walk(reading: Reading, listing: Listing, opened: Backfill) -> Generator[Effect, Any, tuple[Walk, Seen]]:
    """Walk a list to its end; or, when it turns out long, leave the slices to read in `opened`."""
    walk, seen = Walk(listing, place=opened.place), Seen(listing)
    feed = reading.feed(How.BACKFILL, walk)
    judged = opened.place is not None or not reading.sliceable
    while not walk.ended:
        try:
            page = yield from walk.turn()
        except Moved as moved:
            opened.place = None
            if reading.may_restart():
                walk, seen = Walk(listing), Seen(listing)
                feed = reading.feed(How.BACKFILL, walk)
                continue
            if not reading.sliceable:
                raise reading.unfinished(moved) from None
            _begin_slices(reading, listing, opened, CUTS)
            break
        if not judged and page.next:
            pages = pages_between(listing, page, reading.oldest)
            if pages > reading.bounds.short_pages:
                _begin_slices(reading, listing, opened, pages)
                break
        judged = judged or bool(page.rows)
        seen.add(listing.ids(page.rows), page.rows)
        yield from reading.take(feed, page)
        opened.place = feed.place
        del page  # a read holds no rows while it waits for more
    if opened.slices is None:
        yield from feed.end()
    return walk, seen


def _begin_slices(reading: Reading, listing: Listing, opened: Backfill, pages: float) -> None:
    since = reading.oldest
    opened.slices = cut(reading, listing, since, later(opened.began, SECOND), pages)
    opened.owed = max(since, opened.owed or BEGINNING)
