"""One list of Twilio's: how its pages are asked for, and what its rows are called."""

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
    format_timestamp,
    later,
    parse_timestamp,
    timestamp_of,
)
from tap_twilio.twilio.request import Fetch, Page, Row


def path_of(product: Product, path: str, values: Mapping[str, str]) -> str:
    """A path under a product, its braces filled. Values are quoted, since identities and names are free text."""
    filled = f"{product.root}/{path}{product.suffix}"
    for name, value in values.items():
        filled = filled.replace(f"{{{name}}}", quote(value, safe=""))
    return filled


# What a row says of itself, as Twilio wrote it: when it changed, when it was sent or began, and when it was created.
Dates = tuple[Any, Any, Any]


@dataclass(frozen=True)
class ListEndpoint:
    """A stream's list in one account: of one value, where it has one list for each, and under one row of its parent."""

    stream: Stream
    account: str
    page_size: int
    query: Mapping[str, str] = field(default_factory=dict)  # the value
    values: Mapping[str, str] = field(default_factory=dict)  # that fill the path
    counted_for: str = ""  # another stream, if its rows go there

    def top(self, since: Timestamp | None = None, until: Timestamp | None = None) -> Fetch:
        """
        The first page; of the rows dated from `since` on and before `until`, where these are given.

        Whether Twilio's bounds are inclusive, and which end of a day a bare date means, is not established
        (OpenAPI twilio_api_v2010, the descriptions of `StartTime<` and `DateSent<`), so the bounds sent reach a unit
        further on each side; `slices.py` drops the rows outside.

        >>> from tap_twilio.streams import BY_NAME
        >>> ListEndpoint(BY_NAME["conferences"], "AC0", 50, {"Status": "init"}).top(
        ...     "2026-03-01T00:00:00.000000Z", "2026-03-02T00:00:00.000000Z").uri
        '/2010-04-01/Accounts/AC0/Conferences.json?Status=init&DateCreated%3E=2026-02-28&DateCreated%3C=2026-03-03&PageSize=50'
        """
        query: dict[str, str | int] = {**self.query}
        if since and until and self.stream.filter:
            query.update(bounds(self.stream.filter, since, until))
        query.update(self.stream.query)
        if self.stream.rows is not None and self.stream.has_next_page:
            query["PageSize"] = min(self.page_size, self.stream.most_rows)
        return self.at(f"{self.path}?{urlencode(query)}" if query else self.path, token=False)

    def at(self, uri: str, token: bool = True) -> Fetch:
        stream = self.stream
        has = tuple(name for name in stream.key if name not in stream.derived)
        product = stream.product
        name = self.counted_for or stream.name
        return Fetch(
            self.account,
            uri,
            stream.rows,
            product.host,
            product.own_credentials,
            has,
            stream.has_next_page,
            token,
            name,
        )

    def row(self, row: Row) -> Fetch:
        """The request for one row."""
        folder = self.path.removesuffix(self.stream.product.suffix)
        key = quote(str(row[self.stream.key[-1]]), safe="")
        product, name = self.stream.product, self.counted_for or self.stream.name
        uri = f"{folder}/{key}{product.suffix}"
        return Fetch(self.account, uri, None, product.host, product.own_credentials, (), stream=name)

    @cached_property
    def path(self) -> str:
        values = {"account_sid": self.account, **self.values}
        return path_of(self.stream.product, self.stream.path, values)

    @cached_property
    def column(self) -> str:
        """The date that Twilio sorts and filters this list by."""
        return self.stream.filter.column if self.stream.filter else "date_created"

    def complete(self, page: Page, before: int = 0) -> Page:
        """
        A page's rows with what the declaration adds to each. `before`: how many rows the pages before it held.

        Raises BadAnswer for a row of another account: on a product host, that is what wrong credentials give; and for
        one that lacks what its key is taken from.
        """
        account, derived = self.account, self.stream.derived
        for row in page.rows:
            if row.get("account_sid", account) not in (account, None):
                raise BadAnswer(f"{self.path}: a row of another account came")
        if derived:
            values = {"account_sid": account, **self.values}
            added = {name: values[source] for name, source in derived.items() if source in values}
            rows = [{**row, **added} for row in page.rows]
            for name, source in derived.items():
                if source not in values:
                    for position, row in enumerate(rows, before):
                        row[name] = position if source == "#" else _member(row, source)
                        if name in self.stream.key and row[name] is None:
                            raise BadAnswer(f"{self.path}: a row came without {source}, which tells it from others")
            return Page(rows, page.next, page.date, page.received_at)
        return page

    @cached_property
    def id_of(self) -> Callable[[Row], str]:
        """A row's key as text."""
        key = self.stream.key
        if len(key) == 1:
            return itemgetter(key[0])
        return lambda row: " ".join(str(row[name]) for name in key)

    def ids(self, rows: Iterable[Row]) -> list[str]:
        return list(map(self.id_of, rows))

    def listed(self, row: Row) -> Any:
        """A row's list date (created, sent or started) as Twilio wrote it; null or empty: an undated row."""
        return row.get(self.column)

    @cached_property
    def dates(self) -> Callable[[Row], Dates]:
        """What a row says of itself."""
        changed, listed = self.stream.changed or "", self.column
        return lambda row: (row.get(changed), row.get(listed), row.get("date_created"))

    def dates_of(self, rows: Sequence[Row]) -> list[Dates]:
        try:
            return list(map(itemgetter(self.stream.changed, self.column, "date_created"), rows))
        except KeyError:
            return list(map(self.dates, rows))

    def unsliceable_rows(self, rows: Sequence[Dates]) -> frozenset[int]:
        """
        The indices of rows that slices do not see, or may see elsewhere than a walk does.

        Most rows began on the day on which they were created.
        """
        if not self.stream.filter_hides_rows:
            return frozenset()
        differ = (at for at, (_, one, other) in enumerate(rows) if not one or not other or one[:16] != other[:16])
        return frozenset(at for at in differ if _stand_apart(timestamp_of(rows[at][1]), timestamp_of(rows[at][2])))

    @cached_property
    def name(self) -> str:
        """What tells it from other lists whose rows go to the same table."""
        return " ".join([*self.query.values(), *self.values.values()])

    def newest(self, row: Row) -> Timestamp | None:
        """The later of a row's list date and its creation; None for an undated row."""
        listed, created = timestamp_of(self.listed(row)), timestamp_of(row.get("date_created"))
        return listed and max(listed, created or listed)

    def all_older(self, page: Page, edge: Timestamp) -> bool:
        """
        Whether every row of a page is from before `edge`, an undated one by its creation: where a list's head ends.

        One row at least must be dated: undated rows may all stand above those that are.
        """
        newest = (self.newest(row) or timestamp_of(row.get("date_created")) or END for row in page.rows)
        return all(date < edge for date in newest) and any(timestamp_of(self.listed(row)) for row in page.rows)


def _member(row: Row, source: str) -> Any:
    """Of an object in a row; null where there is none."""
    value: Any = row
    for name in source.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _stand_apart(listed: Timestamp | None, created: Timestamp | None) -> bool:
    return not listed or not created or (listed[:10] != created[:10] and earlier(listed, DAY) > created)


def bounds(filter_: Filter, since: Timestamp, until: Timestamp) -> dict[str, str]:
    """The parameters that ask for a span; a unit further on each side, where it is not known whether those belong."""

    def bound(at: Timestamp) -> str:
        day = f"{at[:10]}T00:00:00Z" if filter_.midnights else at[:10]
        return day if filter_.unit >= DAY else f"{at[:19]}Z"

    if filter_.closed:
        return {filter_.after: bound(since), filter_.before: bound(earlier(until, SECOND))}
    return {
        filter_.after: bound(earlier(since, filter_.unit)),
        filter_.before: bound(later(until, filter_.unit)),
    }


def halves(endpoint: ListEndpoint, rows: int, since: Timestamp, until: Timestamp) -> list[tuple[Timestamp, Timestamp]]:
    """
    Both halves of a span, where a query listed as many rows as Twilio lists at most, whether or not there are more.

    Raises BadAnswer for a span that cannot be halved.
    """
    filter_ = endpoint.stream.filter
    if filter_ is None or filter_.most_rows is None or rows < filter_.most_rows:
        return []
    start, end = parse_timestamp(since), parse_timestamp(until)
    if end - start < 2 * filter_.unit:
        raise BadAnswer(f"{endpoint.path}: one {filter_.unit} has more rows than Twilio lists in a query")
    middle = format_timestamp(start + (end - start) / 2)
    return [(middle, until), (since, middle)]


def dates_of(endpoint: ListEndpoint, rows: Sequence[Row]) -> list[Timestamp]:
    """Return the list dates of rows, BEGINNING where a row has none."""
    return [timestamp_of(endpoint.listed(row)) or BEGINNING for row in rows]


def pages_between(endpoint: ListEndpoint, page: Page, since: Timestamp) -> float:
    """How many pages lie between this one and `since`, should rows stand there as densely as here."""
    dates = [timestamp_of(endpoint.listed(row)) or timestamp_of(row.get("date_created")) for row in page.rows]
    return pages_to([date for date in dates if date], since)


def pages_to(dates: list[Timestamp], since: Timestamp) -> float:
    """How many pages lie between one that shows these dates and `since`, should rows stand there as densely."""
    if not dates or min(dates) <= since:
        return 0
    spread = max(parse_timestamp(max(dates)) - parse_timestamp(min(dates)), SECOND)
    return (parse_timestamp(min(dates)) - parse_timestamp(since)) / spread
