"""
A list endpoint: builds the requests for the pages of one list, and gets keys and dates from its rows.

The reads in extract/ yield these requests; extract/page_reader.py calls `check_and_add_derived` on each page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any
from urllib.parse import quote, urlencode

from tap_twilio.errors import BadAnswer
from tap_twilio.streams.model import Filter, Product, Stream
from tap_twilio.timestamps import (
    BEGINNING,
    DAY,
    END,
    SECOND,
    Timestamp,
    earlier,
    from_datetime,
    later,
    timestamp_or_none,
    to_datetime,
)
from tap_twilio.twilio.request import Fetch, Page, Row


def path_of(product: Product, path: str, values: Mapping[str, str]) -> str:
    """Fill the braces of a path, and put it below the product's root. Values are quoted: some are free text."""
    filled = f"{product.root}/{path}{product.suffix}"
    for name, value in values.items():
        filled = filled.replace(f"{{{name}}}", quote(value, safe=""))
    return filled


# The dates of a row as Twilio wrote them: of its last change, its list date, and of its creation.
DateTriple = tuple[Any, Any, Any]


@dataclass(frozen=True)
class ListEndpoint:
    """
    One list of a stream in one account.

    A stream with `query_variants` has one list for each value of a parameter, a child stream one for each parent row.
    """

    stream: Stream
    account: str
    page_size: int
    query: Mapping[str, str] = field(default_factory=dict)  # one of the stream's `query_variants`
    values: Mapping[str, str] = field(default_factory=dict)  # of the parent row, for the braces of the path
    counted_for: str = ""  # count these requests under this stream, instead of the list's own

    def first_page(self, since: Timestamp | None = None, until: Timestamp | None = None) -> Fetch:
        """
        Return the request for the first page, with a date filter from `since` to before `until` if these are given.

        Twilio does not document whether bounds are inclusive, nor which end of a day a bare date means (OpenAPI
        twilio_api_v2010, the descriptions of `StartTime<` and `DateSent<`). So the filter is a unit wider on each side,
        and extract/time_slices.py drops the rows outside.

        >>> from tap_twilio.streams import BY_NAME
        >>> ListEndpoint(BY_NAME["conferences"], "AC0", 50, {"Status": "init"}).first_page(
        ...     "2026-03-01T00:00:00.000000Z", "2026-03-02T00:00:00.000000Z").uri
        '/2010-04-01/Accounts/AC0/Conferences.json?Status=init&DateCreated%3E=2026-02-28&DateCreated%3C=2026-03-03&PageSize=50'
        """
        query: dict[str, str | int] = {**self.query}
        if since and until and self.stream.filter:
            query.update(bounds(self.stream.filter, since, until))
        query.update(self.stream.query)
        if self.stream.rows is not None and self.stream.has_next_page:
            query["PageSize"] = min(self.page_size, self.stream.max_page_size)
        return self.page_at(f"{self.path}?{urlencode(query)}" if query else self.path, has_page_token=False)

    def page_at(self, uri: str, has_page_token: bool = True) -> Fetch:
        """Return the request for a page at an address."""
        stream, product = self.stream, self.stream.product
        return Fetch(
            self.account,
            uri,
            stream.rows,
            product.host,
            product.own_credentials,
            required=tuple(name for name in stream.key if name not in stream.derived),
            has_next_page=stream.has_next_page,
            has_page_token=has_page_token,
            stream=self.counted_for or stream.name,
        )

    def single_row(self, row: Row) -> Fetch:
        """Return the request for one row."""
        product = self.stream.product
        folder, key = self.path.removesuffix(product.suffix), quote(str(row[self.stream.key[-1]]), safe="")
        uri, name = f"{folder}/{key}{product.suffix}", self.counted_for or self.stream.name
        return Fetch(self.account, uri, None, product.host, product.own_credentials, (), stream=name)

    @cached_property
    def path(self) -> str:
        return path_of(self.stream.product, self.stream.path, {"account_sid": self.account, **self.values})

    @cached_property
    def list_date_property(self) -> str:
        """Return the property that holds a row's list date: Twilio sorts and filters the list by it."""
        return self.stream.filter.column if self.stream.filter else "date_created"

    def check_and_add_derived(self, page: Page, rows_before: int = 0) -> Page:
        """
        Return a page with the stream's `derived` properties in each row. `rows_before` rows of the list precede it.

        Raises BadAnswer for a row of another account, which a product host lists for wrong credentials, and for a row
        without a value that its key is derived from.
        """
        account, derived = self.account, self.stream.derived
        for row in page.rows:
            if row.get("account_sid", account) not in (account, None):
                raise BadAnswer(f"{self.path}: a row of another account came")
        if not derived:
            return page
        values = {"account_sid": account, **self.values}
        from_path = {name: values[source] for name, source in derived.items() if source in values}
        rows = [{**row, **from_path} for row in page.rows]
        for name, source in derived.items():
            if source not in values:
                for index, row in enumerate(rows, rows_before):
                    row[name] = index if source == "#" else _member(row, source)
                    if name in self.stream.key and row[name] is None:
                        raise BadAnswer(f"{self.path}: a row came without {source}, which is part of its key")
        return Page(rows, page.next_uri, page.twilio_time, page.received_at)

    @cached_property
    def id_of(self) -> Callable[[Row], str]:
        """Return the function that returns a row's key as text."""
        key = self.stream.key
        if len(key) == 1:
            return itemgetter(key[0])
        return lambda row: " ".join(str(row[name]) for name in key)

    def ids(self, rows: Iterable[Row]) -> list[str]:
        return list(map(self.id_of, rows))

    def list_date(self, row: Row) -> Any:
        """Return a row's list date (when it was created, sent or started) as Twilio wrote it; None or "" if undated."""
        return row.get(self.list_date_property)

    @cached_property
    def dates_of(self) -> Callable[[Row], DateTriple]:
        """Return the function that returns a row's dates."""
        changed, listed = self.stream.replication_key or "", self.list_date_property
        return lambda row: (row.get(changed), row.get(listed), row.get("date_created"))

    def date_triples(self, rows: Sequence[Row]) -> list[DateTriple]:
        """Return the dates of rows. The quick way needs every date in every row."""
        try:
            return list(map(itemgetter(self.stream.replication_key, self.list_date_property, "date_created"), rows))
        except KeyError:
            return list(map(self.dates_of, rows))

    def unsliceable_indices(self, triples: Sequence[DateTriple]) -> frozenset[int]:
        """
        Return the indices of rows that a date filter hides, or lists at another place than the unfiltered list.

        These are rows without a list date or a creation date, and rows whose list date is more than a day after their
        creation.
        """
        if not self.stream.filter_hides_rows:
            return frozenset()
        # Most rows have one minute for both dates: to compare the texts first is quicker than to parse them.
        differ = (
            index
            for index, (_, listed, created) in enumerate(triples)
            if not listed or not created or listed[:16] != created[:16]
        )
        return frozenset(
            index
            for index in differ
            if _is_unsliceable(timestamp_or_none(triples[index][1]), timestamp_or_none(triples[index][2]))
        )

    @cached_property
    def name(self) -> str:
        """Return a name that no other list of the same stream and account has."""
        return " ".join([*self.query.values(), *self.values.values()])

    def latest_date(self, row: Row) -> Timestamp | None:
        """Return the later of a row's list date and its creation; None for an undated row."""
        listed, created = timestamp_or_none(self.list_date(row)), timestamp_or_none(row.get("date_created"))
        return listed and max(listed, created or listed)

    def all_before(self, page: Page, date: Timestamp) -> bool:
        """
        Return whether every row of a page is older than a date; the date of an undated row is its creation.

        At least one row must be dated, since a list may show all undated rows above the dated ones.
        """
        dates = (self.latest_date(row) or timestamp_or_none(row.get("date_created")) or END for row in page.rows)
        return all(row_date < date for row_date in dates) and any(
            timestamp_or_none(self.list_date(row)) for row in page.rows
        )


def _member(row: Row, source: str) -> Any:
    """Return the value at a path such as `links.media` inside a row; None if there is none."""
    value: Any = row
    for name in source.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _is_unsliceable(listed: Timestamp | None, created: Timestamp | None) -> bool:
    return not listed or not created or (listed[:10] != created[:10] and earlier(listed, DAY) > created)


def bounds(filter_: Filter, since: Timestamp, until: Timestamp) -> dict[str, str]:
    """Return the query of a date filter: a unit wider on each side, unless its bounds are known to be inclusive."""

    def bound(at: Timestamp) -> str:
        day = f"{at[:10]}T00:00:00Z" if filter_.midnights else at[:10]
        return day if filter_.unit >= DAY else f"{at[:19]}Z"

    if filter_.inclusive:
        return {filter_.after: bound(since), filter_.before: bound(earlier(until, SECOND))}
    return {
        filter_.after: bound(earlier(since, filter_.unit)),
        filter_.before: bound(later(until, filter_.unit)),
    }


def halves(endpoint: ListEndpoint, rows: int, since: Timestamp, until: Timestamp) -> list[tuple[Timestamp, Timestamp]]:
    """
    Return the newer and the older half of a time slice whose query listed the maximum of rows; else nothing.

    Twilio then hides the remaining rows. Raises BadAnswer if the time slice is too short to be halved.
    """
    filter_ = endpoint.stream.filter
    if filter_ is None or filter_.max_rows is None or rows < filter_.max_rows:
        return []
    start, end = to_datetime(since), to_datetime(until)
    if end - start < 2 * filter_.unit:
        raise BadAnswer(f"{endpoint.path}: one {filter_.unit} has more rows than Twilio lists in a query")
    middle = from_datetime(start + (end - start) / 2)
    return [(middle, until), (since, middle)]


def list_dates(endpoint: ListEndpoint, rows: Sequence[Row]) -> list[Timestamp]:
    """Return the list dates of rows; BEGINNING for a row without one."""
    return [timestamp_or_none(endpoint.list_date(row)) or BEGINNING for row in rows]


def pages_between(endpoint: ListEndpoint, page: Page, since: Timestamp) -> float:
    """Estimate the number of pages from this one back to `since`, if rows are as dense there as on this page."""
    dates = [
        timestamp_or_none(endpoint.list_date(row)) or timestamp_or_none(row.get("date_created")) for row in page.rows
    ]
    return pages_to([date for date in dates if date], since)


def pages_to(dates: list[Timestamp], since: Timestamp) -> float:
    """Estimate the number of pages from one with these dates back to `since`, if rows are as dense there."""
    if not dates or min(dates) <= since:
        return 0
    spread = max(to_datetime(max(dates)) - to_datetime(min(dates)), SECOND)
    return (to_datetime(min(dates)) - to_datetime(since)) / spread
