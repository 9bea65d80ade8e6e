"""Reading one list, page after page, with proof at each step that no row was skipped.

`Ask` is what to ask Twilio, `Page` what it answered, `Listing` a list, `Walk` a reading of it. What to make of the rows
is plan.py's business.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from .errors import Refused, Unfinished
from .records import date
from .streams import DAY, Stream

Row = dict[str, Any]
Moment = str  # as records.iso writes it, so that moments compare as text
Read = Generator["Ask | list[Read]", "Page", None]
PageRead = Generator["Ask | list[Read]", "Page", "Page"]

ASK_AGAIN = 10  # how often a page that names a page already read as its next is asked for again
SAMPLE = 10  # the SIDs that a place keeps
EMPTY_PAGES = 1000  # in a row: a million rows that a filter hid; a list that goes on so may have no end


def moment(text: Moment) -> datetime:
    """
    >>> moment("2026-03-01T00:00:00.000000Z")
    datetime.datetime(2026, 3, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)  # strptime takes four times as long


def text(at: datetime) -> Moment:
    """
    >>> text(moment("2026-03-01T00:00:00.000000Z"))
    '2026-03-01T00:00:00.000000Z'
    """
    return at.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def back(at: Moment, by: timedelta) -> Moment:
    """A moment earlier than another; never earlier than the year 1, where Python's calendar begins."""
    try:
        return text(moment(at) - by)
    except OverflowError:
        return "0001-01-01T00:00:00.000000Z"


def when(value: object) -> Moment | None:
    """A row's date as a moment; None where it has none, or none that can be read (records.py decides what then)."""
    if not value or not isinstance(value, str):
        return None
    try:
        return date(value)
    except (ValueError, LookupError):
        return None


class Moved(Exception):
    """The row that a place or a page token names has moved or is gone: what follows it is not what is left to read."""


@dataclass(frozen=True)
class Ask:
    """One thing to ask Twilio: `uri` relative to the product's host, `rows` the envelope's member that holds the rows.

    With `rows` empty the answer is a single resource, and the page holds it as its only row.
    """

    account: str
    uri: str
    rows: str = ""
    token: bool = False  # whether the uri is a `next_page_uri`, which names a row
    product: str = "api"
    key: str = "sid"  # the property that every row has


@dataclass(frozen=True)
class Page:
    """An answer: its rows as Twilio wrote them, the uri of the next page, Twilio's clock and ours."""

    rows: list[Row]
    next: str | None
    date: Moment
    received_at: Moment = ""


@dataclass(frozen=True)
class Listing:
    """One list of a partition: what its pages and its rows are called."""

    stream: Stream
    account: str
    status: str | None
    page_size: int

    def top(self, since: Moment | None = None, until: Moment | None = None) -> Ask:
        """
        The first page; of the rows dated from `since` on and before `until`, where these are given.

        Whether Twilio's bounds are inclusive, and which end of a day a bare date means, is not established
        (OpenAPI twilio_api_v2010, the descriptions of `StartTime<` and `DateSent<`), so the bounds sent reach a unit
        further on each side; `Slice.holds` drops the rows outside.

        >>> from .streams import STREAMS
        >>> Listing(STREAMS[2], "AC0", "init", 50).top("2026-03-01T00:00:00.000000Z", "2026-03-02T00:00:00.000000Z").uri
        '/2010-04-01/Accounts/AC0/Conferences.json?Status=init&DateCreated%3E=2026-02-28&DateCreated%3C=2026-03-03&PageSize=50'
        """
        query: dict[str, str | int] = {"Status": self.status} if self.status else {}
        if since and until and self.stream.filter:
            query[f"{self.stream.filter.param}>"] = self._bound(moment(since) - self.stream.filter.unit)
            query[f"{self.stream.filter.param}<"] = self._bound(moment(until) + self.stream.filter.unit)
        query["PageSize"] = self.page_size
        return self.at(f"{self._folder}.json?{urlencode(query)}", token=False)

    def at(self, uri: str, token: bool = True) -> Ask:
        return Ask(self.account, uri, self.stream.rows, token)

    def row(self, sid: str) -> Ask:
        return Ask(self.account, f"{self._folder}/{sid}.json")

    @property
    def column(self) -> str:
        """The date that Twilio sorts and filters this list by."""
        return self.stream.filter.column if self.stream.filter else "date_created"

    def listed(self, row: Row) -> object:
        """A row's date by that, as Twilio wrote it; null or empty: an undated row."""
        return row.get(self.column)

    def newest(self, row: Row) -> Moment | None:
        """The later of a row's list dates (created, sent or started); None for an undated row."""
        listed, created = when(self.listed(row)), when(row.get("date_created"))
        return listed and max(listed, created or listed)

    @property
    def _folder(self) -> str:
        return f"/2010-04-01/Accounts/{self.account}/{self.stream.path.removesuffix('.json')}"

    def _bound(self, at: datetime) -> str:
        assert self.stream.filter
        return at.strftime("%Y-%m-%d" if self.stream.filter.unit >= DAY else "%Y-%m-%dT%H:%M:%SZ")


def changes_rise(rows: list[Row]) -> bool:
    """Whether a row changed later than the one before it: the list is not in order of change."""
    moments = [changed for row in rows if (changed := when(row.get("date_updated")))]
    return any(former < latter for former, latter in zip(moments, moments[1:]))


class Order:
    """
    What a walk has seen of its list's order, so that it may end early where only older rows follow.

    Known orders in which it may: of creation; and of list date with the undated rows, by creation, before all others.
    A single row out of place in both forbids it for the rest of the walk. Two more orders must be disproved first,
    since rows of any age may stand at their end: undated rows last, and the last change first. Only what one page shows
    at once disproves them, for rows move between pages.
    """

    def __init__(self, listing: Listing, agreed: list[str] | None = None) -> None:
        self._listing = listing
        self.agreed = set(("created", "undated first") if agreed is None else agreed)
        self._dated_after_undated = self._change_after_older = False
        self._created, self._listed, self._undated = "~", "~", True  # of the row before

    @property
    def proven(self) -> bool:
        return bool(self.agreed) and self._dated_after_undated and self._change_after_older

    def learn(self, rows: list[Row]) -> None:
        if not self.agreed or not self._listing.stream.filter_hides_rows:
            return
        undated = None  # of the row before, on this page
        for row in rows:
            listed = when(self._listing.listed(row))
            self._hold(listed, when(row.get("date_created")) or "~~")  # without a date no order can be told
            self._dated_after_undated |= listed is not None and undated is True
            undated = listed is None
        self._change_after_older |= changes_rise(rows)

    def _hold(self, listed: Moment | None, created: Moment) -> None:
        """Hold a row against the one before it."""
        fits = created <= self._created
        if not fits:
            self.agreed.discard("created")
        if not (self._undated and (listed is not None or fits) or listed is not None and listed <= self._listed):
            self.agreed.discard("undated first")
        self._created, self._undated = created, listed is None
        self._listed = listed or "~"


class Walk:
    """Page after page of one list, from its top or from a place, with proof at each step that no row was skipped.

    A place in the state is {"page": uri of the last page read, "rows": {sid: list date, …}}: ten rows of that page.
    "orders" are those that all rows so far agree with (see Order).
    A page without a row proves nothing, so after such pages it is still that of the last page with rows, and "after"
    says what follows that page, and how far those without a row were read: [next page, page to go on with].
    """

    def __init__(self, listing: Listing, top: Ask | None = None, place: dict[str, Any] | None = None) -> None:
        self.listing = listing
        self.ended = False
        self.resumed = place is not None
        self.pages = 0
        self.place: dict[str, Any] | None = None  # of the last page read
        self.by_creation = False  # seen: the list is in order of creation, so no row of it ever moves
        self.by_list_date = False  # seen: the list is in order of its list date, and not of creation
        self._ask = top or listing.top()
        self._resumes = place
        self._next: str | None = None  # what follows the page of the place
        self._order = Order(listing, (place or {}).get("orders"))
        self._last: Row | None = None  # of the page before: the row that the token names
        self._met: set[str] = set()
        self._first: set[str] = set()
        self._tokens: set[str] = set()
        self._ends: set[int] = set()  # of each page read, its first and last row
        self._repeated = 0
        self.empty = 0  # pages without a row, in a row
        self._ordered, self._listed_before, self._created_before = True, "~", "~"
        self._created_rose = self._changed_rose = False
        if place:
            self._ask = listing.at(place["page"], token=place["page"] != self._ask.uri)

    def turn(self) -> PageRead:
        """Read the next page. Raises Moved when what comes next cannot be trusted to be what is left."""
        page = yield from self._page()
        after = self._resumes and self._resumes.get("after")
        if self._resumes is not None:
            self._recognise(page)
        elif self._last is not None and self._doubtful(page):
            yield from self._find(self._last)
        self._guard(page)
        self.pages += 1
        sids = [row["sid"] for row in page.rows]
        self._first = self._first or set(sids)
        self._met = self._first.union(sids) if sids else self._met
        self._learn(page.rows)
        self._last = page.rows[-1] if page.rows else self._last
        self.ended = page.next is None
        if page.next is not None:
            following = after[1] if after and after[0] == page.next else page.next
            self._keep_place(page, following)
            self._ask = self.listing.at(following)
        return page

    def _keep_place(self, page: Page, following: str) -> None:
        if page.rows or self.place is None:
            sample = page.rows[:: max(1, len(page.rows) // SAMPLE)][:SAMPLE]
            self.place = {
                "page": self._ask.uri,
                "rows": {row["sid"]: self.listing.listed(row) for row in sample},
                "orders": sorted(self._order.agreed),
            }
            self._next = page.next
        if following != self._next:
            self.place = {**self.place, "after": [self._next, following]}

    def _guard(self, page: Page) -> None:
        """A list whose pages come again and again under new tokens has no end: to walk it would take for ever."""
        self.empty = 0 if page.rows else self.empty + 1
        if self.empty > EMPTY_PAGES:
            where = f"{self.listing.stream.name} {self.listing.account}"
            raise Unfinished(f"{where}: {EMPTY_PAGES} pages in a row without a row; the next sync goes on there")
        if not page.rows:
            return
        ends = hash((page.rows[0]["sid"], page.rows[-1]["sid"]))
        self._repeated += ends in self._ends
        self._ends.add(ends)
        if self._repeated > ASK_AGAIN:
            raise Moved

    def past(self, start_date: Moment | None, page: Page) -> bool:
        """Whether every row from here on was created before `start_date`, by the order that all rows so far prove."""
        if not start_date or not self._order.proven or not page.rows:
            return False
        for row in page.rows:
            newest = self.listing.newest(row)
            if newest is None and self.by_creation:
                newest = when(row.get("date_created"))
            if newest is None or newest >= start_date:
                return False
        return True

    def _page(self) -> PageRead:
        """The page asked for, with a next page that was not read before: Twilio names none twice, a faulty hop may."""
        self._tokens.add(self._ask.uri)
        for _ in range(ASK_AGAIN):
            try:
                page = yield self._ask
            except Refused as refused:
                if self._ask.token and refused.status in (400, 404):
                    raise Moved from None
                raise
            if page.next is None or page.next not in self._tokens:
                return page
        raise Moved

    def _recognise(self, page: Page) -> None:
        """On resuming: the page must still hold one of the place's rows, with the same date."""
        assert self._resumes is not None
        rows, self._resumes = self._resumes["rows"], None
        if self._ask.token and not any(
            row["sid"] in rows and rows[row["sid"]] == self.listing.listed(row) for row in page.rows
        ):
            raise Moved

    def _doubtful(self, page: Page) -> bool:
        """Whether the page may follow something other than the row that its token names."""
        if not page.rows:  # of several in a row, the first and the last are: where rows were hidden, more pages follow
            return not self.empty or page.next is None
        if page.rows[0]["sid"] in self._met:
            return True
        return (
            not self.by_creation
            and not self.listing.listed(self._last or {})
            and bool(self.listing.listed(page.rows[0]))
        )

    def _find(self, row: Row) -> Read:
        """Ask for the row that the token names: it must be where it was."""
        try:
            found = yield self.listing.row(row["sid"])
        except Refused as refused:
            if refused.status == 404:
                raise Moved from None
            raise
        there = found.rows[0]
        if self.listing.listed(there) != self.listing.listed(row) or there.get("status") != row.get("status"):
            raise Moved  # or it left this list for that of another status

    def _learn(self, rows: list[Row]) -> None:
        """What the page shows of the list's order. Only what one page shows at once counts: rows move between pages."""
        self._order.learn(rows)
        column = self.listing.column
        if self.listing.stream.filter_hides_rows and not self.by_creation:
            dated = [bool(row.get(column)) for row in rows]
            steps = set(zip(dated, dated[1:]))
            self.by_creation = {(False, True), (True, False)} <= steps

    def follow_order(self, rows: list[Row], dates: list[Moment]) -> None:
        """
        For slices, whose rows are all dated: tell order of list date from those of creation and of change.

        It is told only where all rows so far are in it, and some stand in neither of the others. `dates`: the rows'
        list dates.
        """
        if self._ordered:
            listed = [self._listed_before, *dates]
            self._ordered = listed == sorted(listed, reverse=True)
            self._listed_before = listed[-1]
        if self._ordered and not self._created_rose:
            created = [self._created_before, *(when(row.get("date_created")) or "" for row in rows)]
            self._created_rose = created != sorted(created, reverse=True)
            self._created_before = created[-1]
        if self._ordered and not self._changed_rose:
            self._changed_rose = changes_rise(rows)
        self.by_list_date = (
            self._ordered and self._changed_rose and (self._created_rose or self.listing.column == "date_created")
        )
