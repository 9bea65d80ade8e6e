"""The look-back over a list's head, for freshness; and rounds over all of it, within the budget, for exactness."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from tap_twilio.errors import Moved
from tap_twilio.moments import SECOND, Moment, earlier, later
from tap_twilio.singer.state import Round

from .effects import Effect, Pause, Read
from .lists import Listing, pages_between
from .reading import Reading
from .sinks import Feed
from .slices import Slices, cut
from .tables import How
from .walk import Walk

EMPTY_HEAD = 10  # pages without a row after which a look-back leaves the rest to the round
Feeds = Sequence["Feed | None"]


def refresh(reading: Reading) -> Read:
    """The look-back, and rounds. Where a round begins, the look-back's pages are its first."""
    state = reading.state
    if state.round and not state.round.at and not state.round.place:
        state.round = None  # nothing of it was read
    begins = state.round is None
    for recent in reading.recents:
        recent.meet_window()
    reach = min((recent.reach for recent in reading.recents if recent.reach), default=None)
    feeds, whole = yield from _look_back(reading, begins, reach)
    if begins:
        _begin(reading)
    yield [_rounds(reading, feeds if begins else None), reading.beside(whole)]


# -- the look-back


def _look_back(reading: Reading, begins: bool, reach: Moment | None) -> Generator[Effect, Any, tuple[Feeds, bool]]:
    """
    Read the head of each list, and hand on what changed since the last look-back.

    Returns the feeds to go on with, None for a list whose pages cannot be a round's; and whether all was met.
    """
    state, served = reading.state, [table for table in reading.tables if table.state.date_updated]
    known = [table.state.looked_back for table in served if table.state.looked_back]
    edge = earlier(min([date for date in (*known, state.finished) if date]), reading.bounds.lookback)
    edge = min(edge, reach or edge)
    feeds: list[Feed | None] = []
    whole = True
    for listing in reading.lists:
        feed, met = yield from _head(reading, listing, edge, begins)
        feeds.append(feed)
        whole = whole and met
    bookmark = earlier(reading.began, reading.bounds.margin)
    for table in served:
        if not table.failed:
            table.state.looked_back = max(table.state.looked_back or bookmark, bookmark)
    return feeds, whole


def _head(
    reading: Reading, listing: Listing, edge: Moment, begins: bool
) -> Generator[Effect, Any, tuple[Feed | None, bool]]:
    how = How.FIRST if begins else How.LOOK_BACK
    feed = _first(reading, listing, how)
    while not feed.walk.ended:
        walk = feed.walk
        try:
            page = yield from walk.turn()
        except Moved:
            if not reading.may_restart():
                return None, False  # the round reads it
            feed = _first(reading, listing, how)
            continue
        yield from reading.take(feed, page)
        if listing.all_older(page, edge) or walk.empty == EMPTY_HEAD:
            break
        if walk.pages == 1 and page.next and reading.sliceable:
            pages = pages_between(listing, page, edge)
            if pages > max(reading.bounds.short_pages, reading.bounds.walked_pages):
                slices = cut(reading, listing, edge, later(reading.began, SECOND), pages)
                yield from Slices(reading, listing, slices, How.LOOK_BACK).read()
                return None, True
    if not begins:
        yield from feed.end() if feed.walk.ended else feed.leave()
    return feed, True


def _first(reading: Reading, listing: Listing, how: How) -> Feed:
    for recent in reading.recents:
        recent.begin_look_back()
    return reading.feed(how, Walk(listing))


# -- rounds


def _begin(reading: Reading) -> None:
    reading.state.round = Round(reading.began, reading.served())


def _rounds(reading: Reading, feeds: Feeds | None) -> Read:
    """Go on with the open round; when it ends with budget left, with one more, but never more than one whole."""
    whole = feeds is not None
    while (yield from _round(reading, feeds)):
        _finish(reading, whole)
        if whole:
            return
        whole, feeds = True, None
        _begin(reading)


def _finish(reading: Reading, whole: bool) -> None:
    ended = reading.state.round
    assert ended
    reading.finish_round(ended.tables, ended.began)
    reading.state.pages = None if whole else ended.pages
    reading.state.round = None
    reading.swept_whole |= whole


def _round(reading: Reading, feeds: Feeds | None) -> Generator[Effect, Any, bool]:
    """Whether the round ended. Where its place moved, it starts again from the top of its first list."""
    while True:
        try:
            return (yield from _walk_on(reading, feeds))
        except Moved as moved:
            feeds = None
            _begin(reading)
            if not reading.may_restart():
                raise reading.unfinished(moved) from None


def _walk_on(reading: Reading, feeds: Feeds | None) -> Generator[Effect, Any, bool]:
    opened = reading.state.round
    assert opened
    lists = reading.lists
    for index in range(opened.at, len(lists)):
        listing, feed = lists[index], feeds[index] if feeds else None
        if feed:
            opened.pages += feed.walk.pages
            feed.how = How.ROUND
        else:
            feed = reading.feed(How.ROUND, Walk(listing, place=opened.place))
        opened.at, opened.place, walk = index, feed.place, feed.walk
        while not walk.ended:
            # Neither the page of the place counts again, nor those without a row, which show nothing.
            again = (walk.resumed and walk.pages == 0) or walk.empty > 0
            if not again and not (yield from _may_turn(reading, feed)):
                for left in (feed, *(feeds or ())[index + 1 :]):
                    if left:
                        yield from left.leave()
                return False
            page = yield from walk.turn()
            yield from reading.take(feed, page)
            opened.place = feed.place
            opened.pages += not again
            del page
        yield from feed.end()
        opened.at = index + 1
        opened.place = None
    return True


def _may_turn(reading: Reading, feed: Feed) -> Generator[Effect, Any, bool]:
    """
    Whether the budget has a page for this round. A list of which no place is kept is read in one go.

    A round that did not come any further reads on to where it can stop, some pages more.
    """
    while reading.stream.token_names_row and not reading.budget.take(reading.key):
        if reading.budget.may_come(reading.key) and (yield Pause()) is not None:
            continue
        if feed.stops():
            return False
        break
    reading.swept_pages += 1
    reading.state.swept = reading.began
    return True
