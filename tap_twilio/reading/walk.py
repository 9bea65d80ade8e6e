"""Reading one list, page after page, with proof at each step that no row was skipped. It knows no meaning of rows."""

from __future__ import annotations

from collections.abc import Callable

from tap_twilio.errors import BadAnswer, Moved, Refused, Unfinished
from tap_twilio.singer.state import Place
from tap_twilio.twilio.request import Ask, Page, Row

from .effects import PageRead, Read
from .lists import Listing
from .order import Order

RETRIES = 10  # how often a page that names a page already read as its next is asked for again
EMPTY_PAGES = 1000  # in a row: a million rows that a filter hid; a list that goes on so may have no end
SAMPLE = 10  # the rows that a place keeps
CIRCLE = "the pages go round in a circle"


class Walk:
    """Page after page of one list, from its top or from a place. Raises Moved rather than skip a row."""

    def __init__(
        self, listing: Listing, top: Ask | None = None, place: Place | None = None, thorough: bool = False
    ) -> None:
        self.listing = listing
        self.order = Order(listing, thorough, place.agreed) if place else Order(listing, thorough)
        self.ended = False
        self.begins, self.resumed = place, place is not None
        self.pages = self.rows = 0
        self.place: Place | None = None  # of the last page read
        self._ask = top or listing.top()
        self._resumes = place
        self._last: Row | None = None  # the last row of the page before: the one that the token names
        self._met: set[str] = set()  # the rows of the first page and of the page before
        self._first: set[str] = set()
        self._tokens: set[str] = set()  # the addresses asked for
        self._ends: set[tuple[str, str]] = set()  # of each page read, its first and last row
        self._repeated = 0
        self.empty = 0  # pages without a row, in a row
        if place:
            self._ask = listing.at(place.page, token=place.page != self._ask.uri)

    def turn(self) -> PageRead:
        """Read the next page. Raises Moved when what comes next cannot be trusted to be what is left."""
        page = yield from self._page()
        ids = self.listing.ids(page.rows)
        if self._resumes is not None:
            self._recognise(page, ids)
        elif self._last is not None and self._doubtful(page, ids):
            yield from self._find(self._last)
        self._guard(ids)
        self.pages += 1
        self.rows += len(ids)
        self._first = self._first or set(ids)
        self._met = self._first.union(ids) if ids else self._met
        self.order.see(page.rows)
        if self.listing.stream.token_names_row and ids:
            step = max(1, len(ids) // SAMPLE)
            rows = [[one, self.listing.listed(row)] for one, row in zip(ids[::step], page.rows[::step])]
            self.place = Place(self._ask.uri, rows[:SAMPLE], self.order.agreed)
        self._last = page.rows[-1] if page.rows else self._last
        self.ended = page.next is None
        if page.next is not None:
            self._ask = self.listing.at(page.next)
        return page

    def _page(self) -> PageRead:
        """The page asked for, with a next page that was not read before: Twilio names none twice, a faulty hop may."""
        self._tokens.add(self._ask.uri)
        for _ in range(RETRIES):
            try:
                page: Page = yield self._ask
            except Refused as refused:
                if self._ask.token and refused.status in (400, 404):
                    raise Moved("a page is gone before it was read") from None
                raise
            if page.next is None or page.next not in self._tokens:
                return self.listing.complete(page, self.rows)
        raise Moved(CIRCLE)

    def _guard(self, ids: list[str]) -> None:
        """A list whose pages come again and again under new tokens has no end: to walk it would take for ever."""
        ends = (ids[0], ids[-1]) if ids else ("", "")
        self._repeated += bool(ids) and ends in self._ends
        self.empty = 0 if ids else self.empty + 1
        self._ends.add(ends)
        if self._repeated > RETRIES:
            raise Moved(CIRCLE)
        if self.empty > EMPTY_PAGES:
            raise Unfinished(f"{self.listing.path}: {EMPTY_PAGES} pages in a row without a row")

    def _recognise(self, page: Page, ids: list[str]) -> None:
        """On resuming: the page must still hold one of the place's rows, with the same date."""
        assert self._resumes is not None
        known, self._resumes = dict(self._resumes.rows), None
        if self._ask.token and not any(
            one in known and known[one] == self.listing.listed(row) for one, row in zip(ids, page.rows)
        ):
            raise Moved

    def _doubtful(self, page: Page, ids: list[str]) -> bool:
        """Whether the page may follow something other than the row that its token names."""
        if not self.listing.stream.token_names_row:
            return False
        if not ids:
            return page.next is None  # an end that shows no row; in the middle, a filter left the page empty
        if self.order.by_creation:
            return False
        if ids[0] in self._met:
            return True
        return not self.listing.listed(self._last or {}) and bool(self.listing.listed(page.rows[0]))

    def _find(self, row: Row) -> Read:
        """Ask for the row that the token names: it must be where it was."""
        if not self.listing.stream.fetch:
            raise Moved
        try:
            found: Page = yield self.listing.row(row)
        except Refused as refused:
            if refused.status == 404:
                raise Moved from None
            raise
        there = found.rows[0]
        if self.listing.listed(there) != self.listing.listed(row) or there.get("status") != row.get("status"):
            raise Moved  # or it left this list for that of another status


def walk_once(walk: Walk, take: Callable[[Page], None]) -> Read:
    """Hand on each page of a list that is read but once. Raises BadAnswer where its pages do not lead to an end."""
    try:
        while not walk.ended:
            take((yield from walk.turn()))
    except Moved as moved:
        raise BadAnswer(f"{walk.listing.path}: {moved}; going on would leave rows out") from None
