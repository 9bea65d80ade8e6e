"""
Reading one list, page after page, with proof at each step that no row was skipped. It knows no meaning of rows.

Where a row stands in a list depends on what the row holds, so a row that holds what it held has not moved. That is
all that is taken for granted of an order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tap_twilio.errors import BadAnswer, Incomplete, PageShifted, Refused
from tap_twilio.state.model import Checkpoint
from tap_twilio.tables.effects import Effect, PageRead, Read
from tap_twilio.timestamps import SECOND, Timestamp, earlier, timestamp_of
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Fetch, Page, Row

from .list_order import CHANGED, Order

RETRIES = 10  # how often a page that names a page already read as its next is asked for again
EMPTY_PAGES = 1000  # in a row: a million rows that a filter hid; a list that goes on so may have no end
SAMPLE = 10  # the rows that a place keeps
SETTLED = 2 * SECOND  # after so long, a further change is sure to move the date of the last one
CIRCLE = "the pages go round in a circle"
SHIFTED = "rows moved between two of its pages"


@dataclass
class PageProof:
    """What is kept of a page, to prove that the next one follows it."""

    fetch: Fetch
    names: list[str]
    contents: dict[str, int]  # by name; of the last row alone, where no row moves down
    last: Row
    date: Timestamp  # of the answer
    before: int  # how many rows the pages before it held
    known: set[str]  # the names on the page before it


class PageReader:
    """Page after page of one list, from its top or from a place. Raises Moved rather than skip a row."""

    def __init__(self, endpoint: ListEndpoint, top: Fetch | None = None, checkpoint: Checkpoint | None = None) -> None:
        self.endpoint = endpoint
        self.order = Order(endpoint)
        self._volatile = {name.partition(".")[0] for name in endpoint.stream.volatile}
        self.ended = False
        self.begins, self.resumed = checkpoint, checkpoint is not None
        self.resumes_after: str | None = None  # the row of the place after which what is left begins
        self.pages = self.rows = 0
        self._ask = top or endpoint.top()
        self._resumes = checkpoint
        self._kept: PageProof | None = None  # of the last page that had a row
        self._first: set[str] = set()  # the rows of the first page
        self._tokens: set[str] = set()  # the addresses asked for
        self._ends: set[tuple[str, str]] = set()  # of each page read, its first and last row
        self._repeated = 0
        self._steps_back = 0  # in a row
        self.empty = 0  # pages without a row, in a row
        if checkpoint:
            self._ask = endpoint.at(checkpoint.page, token=checkpoint.page != self._ask.uri)

    def next_page(self) -> PageRead:
        """Read the next page. Raises Moved when what comes next cannot be trusted to be what is left."""
        page = yield from self._next()
        ids = self.endpoint.ids(page.rows)
        if self._resumes is not None:
            self._recognise(page, ids)
        self._guard(ids)
        self.pages += 1
        self.rows += len(ids)
        self._first = self._first or set(ids)
        if page.next is None and self.pages > 1 and self._kept and not self.endpoint.stream.resumable:
            rest = yield from self._rest(self._kept)
            page = replace(page, rows=[*page.rows, *rest.rows], next=rest.next) if rest else page
        self.ended = page.next is None
        if page.next is not None:
            self._ask = self.endpoint.at(page.next)
        return page

    def _keep(self, page: Page, fetch: Fetch, before: int, known: Iterable[str]) -> None:
        if not page.rows:
            return
        self.order.see(page.rows)
        names, rows = self._names(page.rows), page.rows
        moving = self.order.may_move_down or not self.endpoint.stream.resumable
        contents = dict(zip(names, map(self._content, rows))) if moving else {names[-1]: self._content(rows[-1])}
        self._kept = PageProof(fetch, names, contents, rows[-1], page.date, before, set(known))

    def _next(self) -> PageRead:
        """The page that follows, if it is proven to; else what is left of the one before it, and where that leads."""
        kept, refused = self._kept, None
        try:
            page = yield from self._page()
        except PageShifted as shifted:
            if kept is None or shifted.args == (CIRCLE,):
                raise
            refused = shifted
        else:
            if kept is None or not self._doubtful(kept, page, self.endpoint.ids(page.rows)):
                return self._follows(page)
        asked, rest = self._ask.uri, (yield from self._rest(kept))
        if refused and (rest is None or rest.next == asked):
            raise refused
        if rest is None:
            return self._follows(page)
        self._steps_back += 1
        if self._steps_back > RETRIES:
            raise PageShifted(SHIFTED)
        self._ask = kept.fetch
        return rest

    def _follows(self, page: Page) -> Page:
        self._steps_back = 0
        self._keep(page, self._ask, self.rows, self._kept.names if self._kept else ())
        return page

    def checkpoint(self, rows: Sequence[Row], done: Row) -> Checkpoint | None:
        """Where a later walk goes on, if of the page read last these rows were taken, down to `done`."""
        if not self.endpoint.stream.resumable or self._kept is None:
            return None
        ids, last = self.endpoint.ids(rows), self.endpoint.id_of(done)
        above = rows[: ids.index(last)]
        sample = [*above[:: max(1, len(above) // (SAMPLE - 1))][: SAMPLE - 1], done]
        settled = earlier(self._kept.date, SETTLED)
        marks = [self._mark(row, (timestamp_of(row.get(CHANGED)) or settled) >= settled) for row in sample]
        return Checkpoint(
            self._kept.fetch.uri, [[self.endpoint.id_of(row), self.endpoint.listed(row)] for row in sample], marks
        )

    def _page(self) -> PageRead:
        """The page asked for, with a next page that was not read before: Twilio names none twice, a faulty hop may."""
        self._tokens.add(self._ask.uri)
        for _ in range(RETRIES):
            page = yield from self._answer(self._ask, self.rows)
            if page.next is None or page.next not in self._tokens:
                return page
        raise PageShifted(CIRCLE)

    def _answer(self, fetch: Fetch, before: int) -> PageRead:
        try:
            page: Page = yield fetch
        except Refused as refused:
            if fetch.token and refused.status in (400, 404):
                raise PageShifted(str(refused)) from refused  # perhaps the row that the token names is gone
            raise
        return self.endpoint.complete(page, before)

    def _guard(self, ids: list[str]) -> None:
        """A list whose pages come again and again under new tokens has no end: to walk it would take for ever."""
        ends = (ids[0], ids[-1]) if ids else ("", "")
        self._repeated += bool(ids) and ends in self._ends
        self.empty = 0 if ids else self.empty + 1
        self._ends.add(ends)
        if self._repeated > RETRIES:
            raise PageShifted(CIRCLE)
        if self.empty > EMPTY_PAGES:
            raise Incomplete(f"{self.endpoint.path}: {EMPTY_PAGES} pages in a row without a row")

    # -- between two syncs

    def _recognise(self, page: Page, ids: list[str]) -> None:
        """
        Find a row of the place, at or above the one at which the earlier walk left off, that holds what it held.

        It has not moved. So a row that stood below it stands there still, unless that row changed; what changed since
        the walk began is read by the next one. This holds in every order, since it needs none.
        """
        assert self._resumes is not None
        checkpoint, self._resumes = self._resumes, None
        marks = {key: mark for (key, _), mark in zip(checkpoint.rows, checkpoint.marks)}
        for one, row in zip(ids, page.rows):
            if one in marks and self._mark(row, marks[one].startswith("#")) == marks[one]:
                self.resumes_after = one
        if self._ask.token and self.resumes_after is None:
            raise PageShifted(SHIFTED)

    def _mark(self, row: Row, by_content: bool) -> str:
        """What every change of a row that may move it changes too: its dates, or all that it holds."""
        if by_content:
            content = repr(sorted(self._compared(row).items())).encode("utf-8", "surrogatepass")
            return f"#{hashlib.blake2b(content, digest_size=8).hexdigest()}"
        return " ".join(map(str, self._movers(row)))

    def _movers(self, row: Row) -> list[Any]:
        """What moves a row whose `date_updated` tells its changes; or moves it to the list of another status."""
        return [timestamp_of(row.get(CHANGED)), timestamp_of(self.endpoint.listed(row)), row.get("status")]

    # -- between two pages

    def _doubtful(self, kept: PageProof, page: Page, ids: list[str]) -> bool:
        """Whether the page may follow something other than the one before it."""
        if not self.endpoint.stream.resumable:
            return True
        if not ids:
            return page.next is None  # an end that shows no row; in the middle, a filter left the page empty
        if self.order.stays:
            return False
        if self.order.may_move_down or not self.order.follows(kept.last, page.rows[0]):
            return True
        if ids[0] in self._first or ids[0] in kept.names:
            return True
        return not self.endpoint.listed(kept.last) and bool(self.endpoint.listed(page.rows[0]))

    def _rest(self, kept: PageProof) -> Generator[Effect, Any, Page | None]:
        """
        Ask again for what the page before ended with. What has not moved by now, had not when the next page came.

        Returns None if that page is proven to follow. Else what is left of the one before, as it is now: below a row
        that has not moved stands all that stood there and did not move either. Raises Moved if there is no such row.
        """
        names_row = self.endpoint.stream.resumable
        if names_row and self.endpoint.stream.has_item_endpoint and (yield from self._says_it_stands(kept)):
            return None
        again = yield from self._answer(kept.fetch, kept.before)
        names = self._names(again.rows)
        if self._stands(kept, names, again.rows) if names_row else self._is_foreseen(kept, names[: len(kept.names)]):
            return None
        same = {name for name, row in zip(names, again.rows) if kept.contents.get(name) == self._content(row)}
        if not same:
            raise PageShifted(SHIFTED)
        self._keep(again, kept.fetch, kept.before, kept.known.union(kept.names))
        rows = [row for name, row in zip(names, again.rows) if name not in same and name not in kept.known]
        return replace(again, rows=rows)

    def _stands(self, kept: PageProof, names: Sequence[str], rows: Sequence[Row]) -> bool:
        """Whether the row that a token names is still on its page, as it was."""
        return any(name == kept.names[-1] and self._is_unchanged(kept, row) for name, row in zip(names, rows))

    def _is_foreseen(self, kept: PageProof, names: Sequence[str]) -> bool:
        """
        Whether a page looks as it did, where a token counts rows: those above it may have become fewer.

        They may have become more: then rows that are known come at its top, and no row is skipped.
        """
        left = [name for name in names if name in kept.contents]
        pushed = [name for name in names if name not in kept.contents]
        if not left or left != kept.names[: len(left)] or names[-1] != left[-1]:
            return False
        return not kept.fetch.token or kept.known.issuperset(pushed)

    def _says_it_stands(self, kept: PageProof) -> Generator[Effect, Any, bool]:
        """Whether the row that a token names, asked for alone, is seen not to have changed."""
        row = kept.last
        try:
            found: Page = yield self.endpoint.row(row)
        except Refused as refused:
            if refused.status in (401, 403, 404):
                return False  # it is gone; or the right to read the list is all that there is
            raise
        there = {**row, **{name: value for name, value in found.rows[0].items() if name in row}}
        return self._is_unchanged(kept, there)

    def _is_unchanged(self, kept: PageProof, there: Row) -> bool:
        """Whether a page's last row is as it was, as far as a change could move it."""
        row, changed = kept.last, timestamp_of(kept.last.get(CHANGED))
        told = changed is not None and changed < earlier(kept.date, SETTLED)
        return self._compared(there) == self._compared(row) or (told and self._movers(there) == self._movers(row))

    def _compared(self, row: Row) -> Row:
        """Return a row without what moves with the clock."""
        volatile = self._volatile
        return {name: row[name] for name in row if name not in volatile} if volatile else row

    def _content(self, row: Row) -> int:
        return hash(repr(self._compared(row)))

    def _names(self, rows: Sequence[Row]) -> list[str]:
        """What tells rows apart: their keys, or all that they hold where a key is the number of a row in its list."""
        return list(map(repr, rows)) if "#" in self.endpoint.stream.derived.values() else self.endpoint.ids(rows)


def read_pages(page_reader: PageReader, take: Callable[[Page], None]) -> Read:
    """
    Hand on each page of a list that is read but once.

    Raises BadAnswer where its pages do not lead to an end, and Refused where Twilio says why.
    """
    try:
        while not page_reader.ended:
            take((yield from page_reader.next_page()))
    except PageShifted as shifted:
        if isinstance(shifted.__cause__, Refused):
            raise shifted.__cause__ from None
        raise BadAnswer(f"{page_reader.endpoint.path}: {shifted}; going on would leave rows out") from None
