"""
Reading one list, page after page, with proof at each step that no row was skipped. It knows no meaning of rows.

Where a row stands in a list depends on what the row holds, so a row that holds what it held has not moved. That is
all that is taken for granted of an order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from tap_twilio.errors import BadAnswer, Moved, Refused, Unfinished
from tap_twilio.moments import SECOND, Moment, earlier, moment_of
from tap_twilio.singer.state import Place
from tap_twilio.twilio.request import Ask, Page, Row

from .effects import Effect, PageRead, Read
from .lists import Listing
from .order import CHANGED, Order

RETRIES = 10  # how often a page that names a page already read as its next is asked for again
EMPTY_PAGES = 1000  # in a row: a million rows that a filter hid; a list that goes on so may have no end
SAMPLE = 10  # the rows that a place keeps
SETTLED = 2 * SECOND  # after so long, a further change is sure to move the date of the last one
CIRCLE = "the pages go round in a circle"
SHIFTED = "rows moved between two of its pages"


@dataclass
class Kept:
    """What is kept of a page, to prove that the next one follows it."""

    ask: Ask
    names: list[str]
    last: Row
    date: Moment  # of the answer
    before: int  # how many rows the pages before it held
    known: set[str]  # the names on the page before it


class Walk:
    """Page after page of one list, from its top or from a place. Raises Moved rather than skip a row."""

    def __init__(
        self, listing: Listing, top: Ask | None = None, place: Place | None = None, thorough: bool = False
    ) -> None:
        self.listing = listing
        self.order = Order(listing, thorough)
        self.ended = False
        self.begins, self.resumed = place, place is not None
        self.resumes_after: str | None = None  # the row of the place after which what is left begins
        self.pages = self.rows = 0
        self._ask = top or listing.top()
        self._resumes = place
        self._kept: Kept | None = None  # of the last page that had a row
        self._first: set[str] = set()  # the rows of the first page
        self._tokens: set[str] = set()  # the addresses asked for
        self._ends: set[tuple[str, str]] = set()  # of each page read, its first and last row
        self._repeated = 0
        self.empty = 0  # pages without a row, in a row
        if place:
            self._ask = listing.at(place.page, token=place.page != self._ask.uri)

    def turn(self) -> PageRead:
        """Read the next page. Raises Moved when what comes next cannot be trusted to be what is left."""
        before = self.rows
        page = yield from self._page()
        ids = self.listing.ids(page.rows)
        if self._resumes is not None:
            self._recognise(page, ids)
        elif self._kept is not None and self._doubtful(self._kept, page, ids):
            yield from self._prove(self._kept)
        self._guard(ids)
        self.pages += 1
        self.rows += len(ids)
        self._first = self._first or set(ids)
        self.order.see(page.rows)
        self.ended = page.next is None
        if ids:
            known = set(self._kept.names) if self._kept else set()
            self._kept = Kept(self._ask, self._names(page.rows), page.rows[-1], page.date, before, known)
        if self.ended and self.pages > 1 and self._kept and not self.listing.stream.token_names_row:
            yield from self._stands(self._kept)
        if page.next is not None:
            self._ask = self.listing.at(page.next)
        return page

    def place(self, rows: Sequence[Row], done: Row) -> Place | None:
        """Where a later walk goes on, if of the page read last these rows were taken, down to `done`."""
        if not self.listing.stream.token_names_row or self._kept is None:
            return None
        ids, last = self.listing.ids(rows), self.listing.id_of(done)
        above = rows[: ids.index(last)]
        sample = [*above[:: max(1, len(above) // (SAMPLE - 1))][: SAMPLE - 1], done]
        settled = earlier(self._kept.date, SETTLED)
        marks = [self._mark(row, (moment_of(row.get(CHANGED)) or settled) >= settled) for row in sample]
        return Place(self._kept.ask.uri, [[self.listing.id_of(row), self.listing.listed(row)] for row in sample], marks)

    def _page(self) -> PageRead:
        """The page asked for, with a next page that was not read before: Twilio names none twice, a faulty hop may."""
        self._tokens.add(self._ask.uri)
        for _ in range(RETRIES):
            page = yield from self._answer(self._ask, self.rows)
            if page.next is None or page.next not in self._tokens:
                return page
        raise Moved(CIRCLE)

    def _answer(self, ask: Ask, before: int) -> PageRead:
        try:
            page: Page = yield ask
        except Refused as refused:
            if ask.token and refused.status in (400, 404):
                raise Moved(str(refused)) from refused  # perhaps the row that the token names is gone
            raise
        return self.listing.complete(page, before)

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

    # -- between two syncs

    def _recognise(self, page: Page, ids: list[str]) -> None:
        """
        Find a row of the place, at or above the one at which the earlier walk left off, that holds what it held.

        It has not moved. So a row that stood below it stands there still, unless that row changed; what changed since
        the walk began is read by the next one. This holds in every order, since it needs none.
        """
        assert self._resumes is not None
        place, self._resumes = self._resumes, None
        marks = {key: mark for (key, _), mark in zip(place.rows, place.marks)}
        for one, row in zip(ids, page.rows):
            if one in marks and self._mark(row, marks[one].startswith("#")) == marks[one]:
                self.resumes_after = one
        if self._ask.token and self.resumes_after is None:
            raise Moved(SHIFTED)

    def _mark(self, row: Row, by_content: bool) -> str:
        """What every change of a row that may move it changes too: its dates, or all that it holds."""
        if by_content:
            content = repr(sorted(row.items())).encode("utf-8", "surrogatepass")
            return f"#{hashlib.blake2b(content, digest_size=8).hexdigest()}"
        return " ".join(map(str, self._movers(row)))

    def _movers(self, row: Row) -> list[Any]:
        """What moves a row whose `date_updated` tells its changes; or moves it to the list of another status."""
        return [moment_of(row.get(CHANGED)), moment_of(self.listing.listed(row)), row.get("status")]

    # -- between two pages

    def _doubtful(self, kept: Kept, page: Page, ids: list[str]) -> bool:
        """Whether the page may follow something other than the one before it."""
        if not self.listing.stream.token_names_row:
            return True
        if not ids:
            return page.next is None  # an end that shows no row; in the middle, a filter left the page empty
        if self.order.stays:
            return False
        if not self.order.stays_on_change:
            return True
        if ids[0] in self._first or ids[0] in kept.names:
            return True
        return not self.listing.listed(kept.last) and bool(self.listing.listed(page.rows[0]))

    def _prove(self, kept: Kept) -> Read:
        """
        Ask again for what the page before ended with: what has not moved by now had not moved when the next page came.

        Raises Moved if it has.
        """
        if not self.listing.stream.token_names_row:
            yield from self._stands(kept)
        elif not self.listing.stream.fetch or not (yield from self._says_it_stands(kept)):
            again = yield from self._answer(kept.ask, kept.before)
            named = self.listing.id_of(kept.last)
            if not any(self._is_unchanged(kept, row) for row in again.rows if self.listing.id_of(row) == named):
                raise Moved(SHIFTED)

    def _says_it_stands(self, kept: Kept) -> Generator[Effect, Any, bool]:
        """Whether the row that a token names, asked for alone, is seen not to have changed; False: nothing is seen."""
        row = kept.last
        try:
            found: Page = yield self.listing.row(row)
        except Refused as refused:
            if refused.status == 404:
                raise Moved("a row is gone that a page token names") from None
            return False  # the right to read the list may be all that there is
        there = {**row, **{name: value for name, value in found.rows[0].items() if name in row}}
        if self._movers(there) != self._movers(row):
            raise Moved(SHIFTED)
        return self._is_unchanged(kept, there)

    def _is_unchanged(self, kept: Kept, there: Row) -> bool:
        """Whether a page's last row is as it was, as far as a change could move it."""
        row, changed = kept.last, moment_of(kept.last.get(CHANGED))
        told = changed is not None and changed < earlier(kept.date, SETTLED)
        return there == row or (told and self._movers(there) == self._movers(row))

    def _stands(self, kept: Kept) -> Read:
        """
        Ask for a page once more, where a token counts rows: those above it may have become fewer.

        They may have become more: then rows that are known come at its top, and no row is skipped. Raises Moved if
        anything else is seen.
        """
        again = yield from self._answer(kept.ask, kept.before)
        names = self._names(again.rows)[: len(kept.names)]
        left = [name for name in names if name in kept.names]
        pushed = [name for name in names if name not in kept.names]
        foreseen = left == kept.names[: len(left)] and bool(left) and names[-1] == left[-1]
        if not foreseen or (kept.ask.token and not kept.known.issuperset(pushed)):
            raise Moved(SHIFTED)

    def _names(self, rows: Sequence[Row]) -> list[str]:
        """What tells rows apart: their keys, or all that they hold where a key is the number of a row in its list."""
        return list(map(repr, rows)) if "#" in self.listing.stream.adds.values() else self.listing.ids(rows)


def walk_once(walk: Walk, take: Callable[[Page], None]) -> Read:
    """
    Hand on each page of a list that is read but once.

    Raises BadAnswer where its pages do not lead to an end, and Refused where Twilio says why.
    """
    try:
        while not walk.ended:
            take((yield from walk.turn()))
    except Moved as moved:
        if isinstance(moved.__cause__, Refused):
            raise moved.__cause__ from None
        raise BadAnswer(f"{walk.listing.path}: {moved}; going on would leave rows out") from None
