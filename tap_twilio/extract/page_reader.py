"""
Read one list page after page, and prove at each page that no row was skipped.

The page loop (extract/read_list.py) calls `PageReader.next_page` for each page, and hands the page to a dispatcher.
`next_page` is a generator: it yields a `Fetch` for each request, and the scheduler sends the answer back.

Most page tokens name the last row of their page (`Stream.tokens_name_rows`). If this row changes between two requests,
it may move in its list. The next page then follows the row's new position, and the rows in between are skipped. Other
tokens count rows: after a row above was deleted, such a token skips a row.

The reader assumes one thing about the order of a list: a row's position depends on the row's content, so a row whose
content is unchanged has not moved. The reader accepts a new page if one of two proofs holds:

1. The pages so far rule out every order in which a change moves a row (extract/list_order.py). Or the dates of the last
   row of the previous page and of the first row of the new page show that the former has not moved.
2. The reader requests the last row of the previous page again, alone or with its page. That row is unchanged, so it had
   not moved when the new page came. Where tokens count rows, the whole previous page must be unchanged.

If neither holds, but the previous page, read again, still has an unchanged row, then the reader drops the new page. It
returns the changed rows of the previous page instead, and continues after that page. This skips no row: the unchanged
rows that were below the unchanged row are still below it.

Otherwise the reader raises PageShifted, and the caller decides whether to start from the top. Rows may also move from
an unread page to a page that was read: extract/moved_rows.py and rescans find those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tap_twilio.errors import Incomplete, PageShifted, Refused
from tap_twilio.state.model import Checkpoint
from tap_twilio.tables.effects import Effect, PageRead
from tap_twilio.timestamps import SECOND, Timestamp, earlier, timestamp_or_none
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Fetch, Page, Row

from .list_order import DATE_UPDATED, PossibleOrders

MAX_REPEATS = 10  # how often pages may repeat before the list counts as endless
MAX_REPLACEMENTS = 10  # how often in a row changed rows of the previous page may come in place of the next page
MAX_EMPTY_PAGES = 1000  # in a row: a filter hid a million rows, or the list has no end
CHECKPOINT_ROWS = 10
# `date_updated` has whole seconds. If a row's last change was longer ago than this when Twilio answered, then the next
# change sets another `date_updated`.
SETTLED = 2 * SECOND
ENDLESS = "the pages repeat without end"
SHIFTED = "rows moved between two pages"


@dataclass
class PageProof:
    """Facts about a page that was read, to prove that the next page follows it."""

    fetch: Fetch
    keys: list[str]
    contents: dict[str, int]  # hashes by key; only the last row's hash, if no change moves a row down
    last_row: Row
    answered_at: Timestamp
    rows_before: int  # how many rows the read returned before this page
    keys_before: set[str]  # of rows that came before, which this page may show again


class PageReader:
    """One list, read page after page from its top or from a checkpoint, without skipping a row."""

    def __init__(self, endpoint: ListEndpoint, top: Fetch | None = None, checkpoint: Checkpoint | None = None) -> None:
        self.endpoint = endpoint
        self.orders = PossibleOrders(endpoint)
        self._not_compared = {name.partition(".")[0] for name in endpoint.stream.not_compared}
        self.ended = False
        self.start, self.is_resumed = checkpoint, checkpoint is not None
        self.resume_after: str | None = None  # the last row of the checkpoint that has not moved
        self.pages = self.rows = 0
        self.empty_in_a_row = 0  # how many of the last pages had no row
        self._checkpoint = checkpoint  # until the first page is read
        self._proof: PageProof | None = None  # of the last page that had a row
        self._first_ids: set[str] = set()  # of the first page
        self._addresses: set[str] = set()  # that were requested
        self._page_ends: set[tuple[str, str]] = set()  # of each page read, its first and its last row
        self._repeated_pages = 0
        self._replacements = 0  # how often in a row rows of the previous page came in place of the next page
        self._fetch = top or endpoint.first_page()
        if checkpoint:
            self._fetch = endpoint.page_at(checkpoint.page, has_page_token=checkpoint.page != self._fetch.uri)

    def next_page(self) -> PageRead:
        """Read the next page. Raises PageShifted when rows may have been skipped."""
        page = yield from self._request_proven_page()
        ids = self.endpoint.ids(page.rows)
        if self._checkpoint is not None:
            checkpoint, self._checkpoint = self._checkpoint, None
            self._find_unmoved_row(checkpoint, page, ids)
        self._check_that_it_ends(ids)
        self.pages += 1
        self.rows += len(ids)
        self._first_ids = self._first_ids or set(ids)
        if page.next_uri is None and self.pages > 1 and self._proof and not self.endpoint.stream.tokens_name_rows:
            # No page follows whose proof would show that rows moved up while the last page came.
            changed = yield from self._prove_or_return_changed(self._proof)
            page = replace(page, rows=[*page.rows, *changed.rows], next_uri=changed.next_uri) if changed else page
        self.ended = page.next_uri is None
        if page.next_uri is not None:
            self._fetch = self.endpoint.page_at(page.next_uri)
        return page

    def checkpoint(self, rows: Sequence[Row], last: Row) -> Checkpoint | None:
        """Return where a later sync resumes after the row `last`. `rows` are the rows of the last page."""
        if not self.endpoint.stream.tokens_name_rows or self._proof is None:
            return None
        ids, last_id = self.endpoint.ids(rows), self.endpoint.id_of(last)
        rows_above = rows[: ids.index(last_id)]
        sample = [*rows_above[:: max(1, len(rows_above) // (CHECKPOINT_ROWS - 1))][: CHECKPOINT_ROWS - 1], last]
        settled = earlier(self._proof.answered_at, SETTLED)
        marks = [
            self._mark(row, by_content=(timestamp_or_none(row.get(DATE_UPDATED)) or settled) >= settled)
            for row in sample
        ]
        return Checkpoint(
            self._proof.fetch.uri, [[self.endpoint.id_of(row), self.endpoint.list_date(row)] for row in sample], marks
        )

    # -- requests

    def _request_proven_page(self) -> PageRead:
        """Return the next page if it is proven to follow, else the changed rows of the previous page."""
        proof, refusal = self._proof, None
        try:
            page = yield from self._request_page()
        except PageShifted as shifted:
            if proof is None or shifted.args == (ENDLESS,):
                raise
            refusal = shifted
        else:
            if proof is None or not self._needs_proof(proof, page, self.endpoint.ids(page.rows)):
                return self._accept(page)
        refused_address, changed = self._fetch.uri, (yield from self._prove_or_return_changed(proof))
        if refusal and (changed is None or changed.next_uri == refused_address):
            raise refusal
        if changed is None:
            return self._accept(page)
        self._replacements += 1
        if self._replacements > MAX_REPLACEMENTS:
            raise PageShifted(SHIFTED)
        self._fetch = proof.fetch
        return changed

    def _request_page(self) -> PageRead:
        """Request a page, and request it again if its next page was read before: a faulty proxy repeats pages."""
        self._addresses.add(self._fetch.uri)
        for _ in range(MAX_REPEATS):
            page = yield from self._request(self._fetch, self.rows)
            if page.next_uri is None or page.next_uri not in self._addresses:
                return page
        raise PageShifted(ENDLESS)

    def _request(self, fetch: Fetch, rows_before: int) -> PageRead:
        """Request a page once. Raises PageShifted when Twilio refuses the page token."""
        try:
            page: Page = yield fetch
        except Refused as refused:
            if fetch.has_page_token and refused.status in (400, 404):
                raise PageShifted(str(refused)) from refused  # perhaps the row that the token names was deleted
            raise
        return self.endpoint.check_and_add_derived(page, rows_before)

    def _accept(self, page: Page) -> Page:
        self._replacements = 0
        self._remember(page, self._fetch, self.rows, self._proof.keys if self._proof else ())
        return page

    def _remember(self, page: Page, fetch: Fetch, rows_before: int, keys_before: Iterable[str]) -> None:
        """Keep the facts about a page that prove the next one."""
        if not page.rows:
            return
        self.orders.learn_from(page.rows)
        keys, rows = self._keys(page.rows), page.rows
        needs_all = self.orders.rows_may_move_down or not self.endpoint.stream.tokens_name_rows
        contents = dict(zip(keys, map(self._content, rows))) if needs_all else {keys[-1]: self._content(rows[-1])}
        self._proof = PageProof(fetch, keys, contents, rows[-1], page.twilio_time, rows_before, set(keys_before))

    def _check_that_it_ends(self, ids: list[str]) -> None:
        """Raise an error for a list without an end: one whose pages repeat under new tokens, or hold no rows."""
        ends = (ids[0], ids[-1]) if ids else ("", "")
        self._repeated_pages += bool(ids) and ends in self._page_ends
        self.empty_in_a_row = 0 if ids else self.empty_in_a_row + 1
        self._page_ends.add(ends)
        if self._repeated_pages > MAX_REPEATS:
            raise PageShifted(ENDLESS)
        if self.empty_in_a_row > MAX_EMPTY_PAGES:
            raise Incomplete(f"{self.endpoint.path}: {MAX_EMPTY_PAGES} pages in a row without a row")

    # -- proof between two syncs

    def _find_unmoved_row(self, checkpoint: Checkpoint, page: Page, ids: list[str]) -> None:
        """
        Find the last row of the checkpoint that is unchanged, and so has not moved. The read resumes after it.

        In every order, a row that was below the unmoved row is still below it, or has changed since the earlier sync.
        The next read of the list finds such changes.
        """
        marks = {key: mark for (key, _), mark in zip(checkpoint.rows, checkpoint.marks)}
        for row_id, row in zip(ids, page.rows):
            if row_id in marks and self._mark(row, by_content=marks[row_id].startswith("#")) == marks[row_id]:
                self.resume_after = row_id
        if self._fetch.has_page_token and self.resume_after is None:
            raise PageShifted(SHIFTED)

    def _mark(self, row: Row, by_content: bool) -> str:
        """Return a text that differs after a change that may move the row: a hash of its content, or its dates."""
        if by_content:
            content = repr(sorted(self._stable_part(row).items())).encode("utf-8", "surrogatepass")
            return f"#{hashlib.blake2b(content, digest_size=8).hexdigest()}"
        return " ".join(map(str, self._moving_values(row)))

    def _moving_values(self, row: Row) -> list[Any]:
        """Return values that change whenever a row moves, if its `date_updated` is reliable."""
        updated, listed = row.get(DATE_UPDATED), self.endpoint.list_date(row)
        return [timestamp_or_none(updated), timestamp_or_none(listed), row.get("status")]

    # -- proof between two pages

    def _needs_proof(self, proof: PageProof, page: Page, ids: list[str]) -> bool:
        """Return whether rows may have moved between the previous page and this page."""
        if not self.endpoint.stream.tokens_name_rows:
            return True
        if not ids:  # an empty last page proves nothing; on an empty page before it, a filter hid rows
            return page.next_uri is None
        if self.orders.rows_never_move:
            return False
        if self.orders.rows_may_move_down or not self.orders.shows_unmoved(proof.last_row, page.rows[0]):
            return True
        if ids[0] in self._first_ids or ids[0] in proof.keys:
            return True
        return not self.endpoint.list_date(proof.last_row) and bool(self.endpoint.list_date(page.rows[0]))

    def _prove_or_return_changed(self, proof: PageProof) -> Generator[Effect, Any, Page | None]:
        """
        Return None if the next page is proven to follow, else the changed rows of the previous page as they are now.

        Requests the last row of the previous page again, or that page. Raises PageShifted if no row of it is unchanged.
        """
        stream = self.endpoint.stream
        if stream.tokens_name_rows and stream.has_item_endpoint and (yield from self._last_row_is_unchanged(proof)):
            return None
        page = yield from self._request(proof.fetch, proof.rows_before)
        keys = self._keys(page.rows)
        if self._shows_last_row(proof, keys, page.rows) if stream.tokens_name_rows else self._is_same_page(proof, keys):
            return None
        unchanged = {key for key, row in zip(keys, page.rows) if proof.contents.get(key) == self._content(row)}
        if not unchanged:
            raise PageShifted(SHIFTED)
        self._remember(page, proof.fetch, proof.rows_before, proof.keys_before.union(proof.keys))
        rows = [row for key, row in zip(keys, page.rows) if key not in unchanged and key not in proof.keys_before]
        return replace(page, rows=rows)

    def _last_row_is_unchanged(self, proof: PageProof) -> Generator[Effect, Any, bool]:
        """Request the last row alone, and return whether it is unchanged."""
        last_row = proof.last_row
        try:
            answer: Page = yield self.endpoint.single_row(last_row)
        except Refused as refused:
            if refused.status in (401, 403, 404):
                return False  # the row was deleted; or the credentials may read the list only
            raise
        row = {**last_row, **{name: value for name, value in answer.rows[0].items() if name in last_row}}
        return self._is_unchanged(proof, row)

    def _shows_last_row(self, proof: PageProof, keys: Sequence[str], rows: Sequence[Row]) -> bool:
        """Return whether a page shows the last row unchanged."""
        return any(key == proof.keys[-1] and self._is_unchanged(proof, row) for key, row in zip(keys, rows))

    def _is_same_page(self, proof: PageProof, keys: Sequence[str]) -> bool:
        """
        Return whether a page whose token counts rows shows the same rows as before, or fewer of them.

        Rows of the page before at its top mean that rows were added above: the next page repeats rows and skips none.
        """
        keys = keys[: len(proof.keys)]
        remaining = [key for key in keys if key in proof.contents]
        pushed_down = [key for key in keys if key not in proof.contents]
        if not remaining or remaining != proof.keys[: len(remaining)] or keys[-1] != remaining[-1]:
            return False
        return not proof.fetch.has_page_token or proof.keys_before.issuperset(pushed_down)

    def _is_unchanged(self, proof: PageProof, row: Row) -> bool:
        """Return whether the last row has the same content, or at least the values that change when a row moves."""
        changed = timestamp_or_none(proof.last_row.get(DATE_UPDATED))
        is_settled = changed is not None and changed < earlier(proof.answered_at, SETTLED)
        return self._stable_part(row) == self._stable_part(proof.last_row) or (
            is_settled and self._moving_values(row) == self._moving_values(proof.last_row)
        )

    def _stable_part(self, row: Row) -> Row:
        """Return a row without the properties that change with the clock."""
        ignored = self._not_compared
        return {name: row[name] for name in row if name not in ignored} if ignored else row

    def _content(self, row: Row) -> int:
        return hash(repr(self._stable_part(row)))

    def _keys(self, rows: Sequence[Row]) -> list[str]:
        """Return a text that identifies each row: its key, or its whole content if the key is the row's number."""
        return list(map(repr, rows)) if "#" in self.endpoint.stream.derived.values() else self.endpoint.ids(rows)
