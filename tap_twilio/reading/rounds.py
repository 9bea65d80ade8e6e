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
from .sinks import How
from .slices import cut, read_slices
from .walk import Walk

EMPTY_HEAD = 10  # pages without a row after which a look-back leaves the rest to the round
Walks = Sequence["Walk | None"]


def refresh(reading: Reading) -> Read:
    """The look-back, and rounds. Where a round begins, the look-back's pages are its first."""
    state = reading.state
    if state.round and not state.round.at and not state.round.place:
        state.round = None  # nothing of it was read
    begins = state.round is None
    for recent in reading.recents:
        recent.meet_window()
    reach = min((recent.reach for recent in reading.recents if recent.reach), default=None)
    walks, whole = yield from _look_back(reading, begins, reach)
    if begins:
        _begin(reading)
    yield [_rounds(reading, walks if begins else None), reading.beside(whole)]


# -- the look-back


def _look_back(reading: Reading, begins: bool, reach: Moment | None) -> Generator[Effect, Any, tuple[Walks, bool]]:
    """
    Read the head of each list, and hand on what changed since the last look-back.

    Returns the walks to go on with, None for a list whose pages cannot be a round's; and whether all was met.
    """
    state, served = reading.state, [table for table in reading.tables if table.state.date_updated]
    known = [table.state.looked_back for table in served if table.state.looked_back]
    edge = earlier(min([date for date in (*known, state.finished) if date]), reading.bounds.lookback)
    edge = min(edge, reach or edge)
    walks: list[Walk | None] = []
    whole = True
    for listing in reading.lists:
        walk, met = yield from _head(reading, listing, edge, begins)
        walks.append(walk)
        whole = whole and met
    bookmark = earlier(reading.began, reading.bounds.margin)
    for table in served:
        if not table.failed:
            table.state.looked_back = max(table.state.looked_back or bookmark, bookmark)
    return walks, whole


def _head(
    reading: Reading, listing: Listing, edge: Moment, begins: bool
) -> Generator[Effect, Any, tuple[Walk | None, bool]]:
    how = How.FIRST if begins else How.LOOK_BACK
    walk = _first(reading, listing)
    while not walk.ended:
        try:
            page = yield from walk.turn()
        except Moved:
            if not reading.may_restart():
                return None, False  # the round reads it
            walk = _first(reading, listing)
            continue
        yield from reading.take(how, listing, page)
        if listing.all_older(page, edge) or walk.empty == EMPTY_HEAD:
            break
        if walk.pages == 1 and page.next and reading.sliceable:
            pages = pages_between(listing, page, edge)
            if pages > reading.bounds.short_pages:
                slices = cut(reading, listing, edge, later(reading.began, SECOND), pages)
                yield from read_slices(reading, listing, slices, How.LOOK_BACK)
                return None, True
    return walk, True


def _first(reading: Reading, listing: Listing) -> Walk:
    for recent in reading.recents:
        recent.begin_look_back()
    return Walk(listing, thorough=bool(reading.bounds.start_date))


# -- rounds


def _begin(reading: Reading) -> None:
    reading.state.round = Round(reading.began, reading.served())


def _rounds(reading: Reading, walks: Walks | None) -> Read:
    """Go on with the open round; when it ends with budget left, with one more, but never more than one whole."""
    whole = walks is not None
    while (yield from _round(reading, walks)):
        _finish(reading, whole)
        if whole:
            return
        whole, walks = True, None
        _begin(reading)


def _finish(reading: Reading, whole: bool) -> None:
    ended = reading.state.round
    assert ended
    reading.finish_round(ended.tables, ended.began)
    reading.state.pages = None if whole else ended.pages
    reading.state.round = None
    reading.swept_whole |= whole


def _round(reading: Reading, walks: Walks | None) -> Generator[Effect, Any, bool]:
    """Whether the round ended. Where its place moved, it starts again from the top of its first list."""
    while True:
        try:
            return (yield from _walk_on(reading, walks))
        except Moved:
            walks = None
            _begin(reading)
            if not reading.may_restart():
                raise reading.unfinished() from None


def _walk_on(reading: Reading, walks: Walks | None) -> Generator[Effect, Any, bool]:
    opened, start_date = reading.state.round, reading.bounds.start_date
    assert opened
    lists = reading.lists
    for index in range(opened.at, len(lists)):
        listing, walk = lists[index], walks[index] if walks else None
        if walk:
            opened.pages += walk.pages
            opened.place = walk.place
        else:
            walk = Walk(listing, place=opened.place, thorough=bool(start_date))
        opened.at = index
        while not walk.ended:
            # Neither the page of the place counts again, nor those without a row, which show nothing.
            again = (walk.resumed and walk.pages == 0) or walk.empty > 0
            if not again and not (yield from _may_turn(reading, listing)):
                return False
            page = yield from walk.turn()
            yield from reading.take(How.ROUND, listing, page)
            opened.place = walk.place
            opened.pages += not again
            if walk.order.past(start_date, page.rows):
                break
            del page
        opened.at = index + 1
        opened.place = None
    return True


def _may_turn(reading: Reading, listing: Listing) -> Generator[Effect, Any, bool]:
    """Whether the budget has a page for this round. A list of which no place is kept is read in one go."""
    while listing.stream.token_names_row and not reading.budget.take(reading.key):
        if not reading.budget.may_come(reading.key):
            return False
        if (yield Pause()) is None:
            return False
    reading.swept_pages += 1
    reading.state.swept = reading.began
    return True
