"""
Lists: how Twilio sorts and filters rows, and what a page token means.

A token names a row and nothing else: the next page begins after that row's current position.
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from .rows import Row
from .timestamps import DAY, timestamp

Key = Callable[[Row], Any]

PAGING = frozenset({"PageSize", "Page", "PageToken"})


class Refused(Exception):
    """Twilio answers with an error: its HTTP status, its code and what it says."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class ListEndpoint:
    """One classic list: where it is, under which name its rows stand, and which filters it takes."""

    path: str  # under the account, and the rows' own path
    key: str  # the rows' name in the envelope
    equals: dict[str, str] = field(default_factory=dict)  # parameter -> property
    dates: dict[str, str] = field(default_factory=dict)  # parameter -> slot of a row; also with < and >
    dates_only: bool = False  # takes 2026-03-01, refuses 2026-03-01T09:00:00Z
    by_date: bool = False  # sorted by `dated`, as the switch `order` says


LISTINGS = {
    "messages": ListEndpoint(
        "Messages", "messages", equals={"To": "to", "From": "from"}, dates={"DateSent": "dated"}, by_date=True
    ),
    "calls": ListEndpoint(
        "Calls",
        "calls",
        equals={"To": "to", "From": "from", "ParentCallSid": "parent_call_sid", "Status": "status"},
        dates={"StartTime": "dated", "EndTime": "ended"},
        by_date=True,
    ),
    "conferences": ListEndpoint(
        "Conferences",
        "conferences",
        equals={"FriendlyName": "friendly_name", "Status": "status"},
        dates={"DateCreated": "created", "DateUpdated": "updated"},
        dates_only=True,
    ),
    "transcriptions": ListEndpoint("Transcriptions", "transcriptions"),
    "addresses": ListEndpoint(
        "Addresses",
        "addresses",
        equals={
            "CustomerName": "customer_name",
            "FriendlyName": "friendly_name",
            "EmergencyEnabled": "emergency_enabled",
            "IsoCountry": "iso_country",
        },
    ),
    "accounts": ListEndpoint("Accounts", "accounts", equals={"FriendlyName": "friendly_name", "Status": "status"}),
}


def by_created(row: Row) -> Any:
    """Sort newest first; rows of one second by SID."""
    return (-row.created, row.sid)


def undated_first(row: Row) -> Any:
    """Sort never-sent rows by creation, then the others by the date they were sent, newest first."""
    return (1, -row.dated, row.sid) if row.dated is not None else (0, -row.created, row.sid)


def undated_last(row: Row) -> Any:
    """Sort dated rows by that date, newest first, then those never sent, by creation."""
    return (0, -row.dated, row.sid) if row.dated is not None else (1, -row.created, row.sid)


def by_created_ascending(row: Row) -> Any:
    """Sort oldest first."""
    return (row.created, row.sid)


def by_updated(row: Row) -> Any:
    """Sort the last change first."""
    return (-(row.updated or row.created), row.sid)


def by_updated_ascending(row: Row) -> Any:
    """Sort the last change last."""
    return (row.updated or row.created, row.sid)


def by_sid(row: Row) -> Any:
    """Sort by SID, in no order of time."""
    return row.sid


def by_dated(row: Row) -> Any:
    """Sort dated rows."""
    return (-(row.dated or 0), row.sid)


def by_ended(row: Row) -> Any:
    """Sort ended calls."""
    return (-(row.ended or 0), row.sid)


ORDERS: dict[str, Key] = {
    "created": by_created,
    "created_ascending": by_created_ascending,
    "first": undated_first,
    "last": undated_last,
    "updated": by_updated,
    "updated_ascending": by_updated_ascending,
    "sid": by_sid,
}

# The orders that live accounts received (recorded, public repositories, 2014-2026); all others: newest first.
RECORDED_ORDERS = {
    "messages": "last",  # by date_sent and by date_created, which agree; where undated rows stand is not recorded
    "calls": "created",
    "addresses": "sid",
    "applications": "updated",
    "incoming_phone_numbers": "updated_ascending",
    "outgoing_caller_ids": "created_ascending",
    "usage_triggers": "created_ascending",
    # In no order of dates.
    "conversations": "sid",
    "default_conversations": "sid",
    "verify_services": "sid",
}


def order_of(name: str, order: str) -> str:
    """Return the order of a list under the option `order`."""
    return RECORDED_ORDERS.get(name, "created") if order == "recorded" else order


DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Span:
    """A date filter: rows whose `slot` lies between two timestamps, either of which may be missing or excluded."""

    slot: str
    since: int | None = None
    until: int | None = None
    inclusive: bool = True
    nulls: bool = False  # whether rows without the date pass

    def holds(self, row: Row) -> bool:
        """Return whether the row passes."""
        at: int | None = getattr(row, self.slot)
        if at is None:
            return self.nulls
        if self.inclusive:
            return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)
        return (self.since is None or at > self.since) and (self.until is None or at < self.until)


def read_spans(
    listing: ListEndpoint, query: dict[str, str], inclusive: bool, less_than_date_means: str, nulls: bool
) -> list[Span]:
    """Parse the date filters of a query. A bare date means that day, a timestamp that second."""
    spans = []
    for name, slot in listing.dates.items():
        bounds: dict[str, int] = {}
        for sign in ("", ">", "<"):
            value = query.get(name + sign)
            if not value:
                continue
            bare = DATE.fullmatch(value) is not None
            try:
                at = timestamp(date.fromisoformat(value)) if bare else timestamp(value.replace(" ", "+"))
            except ValueError:
                raise Refused(400, 20001, f"Parameter '{name + sign}' is not valid") from None
            if listing.dates_only and not bare:
                raise Refused(400, 20001, f"Parameter '{name + sign}' must be a date, YYYY-MM-DD")
            if sign == "":
                spans.append(Span(slot, at, at + DAY - 1 if bare else at, True, nulls))
            else:
                bounds[sign] = at + DAY if sign == "<" and bare and less_than_date_means == "end" else at
        if bounds:
            spans.append(Span(slot, bounds.get(">"), bounds.get("<"), inclusive, nulls))
    return spans


def equal(value: Any, asked: str) -> bool:
    """Return whether a property has the value that a query asks for."""
    if isinstance(value, bool):
        return value == (asked.lower() == "true")
    return bool(value == asked)


class Table:
    """The rows of one list in one account, in their order, and by date; views of it are kept until a row changes."""

    def __init__(self, by_date: bool) -> None:
        self.by_date = by_date
        self.rows: list[Row] = []
        self.dated: list[Row] = []  # those with a date, newest first
        self.order = "last" if by_date else "created"
        self._unsorted = False
        self._views: dict[Any, list[Row]] = {}

    def load(self, rows: Iterable[Row]) -> None:
        """Add many at once."""
        self.rows.extend(rows)
        self._unsorted = True
        self._views.clear()

    def add(self, row: Row) -> None:
        """Add a row at its place."""
        self._sort()
        insort(self.rows, row, key=ORDERS[self.order])
        if row.dated is not None:
            insort(self.dated, row, key=by_dated)
        self._views.clear()

    def discard(self, row: Row) -> None:
        """Remove a row: before it changes, since its content determines its position."""
        self._sort()
        key = ORDERS[self.order]
        del self.rows[bisect_left(self.rows, key(row), key=key)]
        if row.dated is not None:
            del self.dated[bisect_left(self.dated, by_dated(row), key=by_dated)]
        self._views.clear()

    def touch(self) -> None:
        """Forget cached views: a row changed but kept its position."""
        self._views.clear()

    def _sort(self, order: str | None = None) -> None:
        if order in ("first", "last") and not self.by_date:
            order = "created"
        if order and order != self.order:
            self.order, self._unsorted = order, True
            self._views.clear()
        if self._unsorted:
            self.rows.sort(key=ORDERS[self.order])
            self.dated = sorted((r for r in self.rows if r.dated is not None), key=by_dated) if self.by_date else []
            self._unsorted = False

    def between(self, since: int | None, until: int | None) -> list[Row]:
        """Return the rows dated so, both ends included, newest first."""
        self._sort()
        start = 0 if until is None else bisect_left(self.dated, (-until, ""), key=by_dated)
        end = len(self.dated) if since is None else bisect_left(self.dated, (1 - since, ""), key=by_dated)
        return self.dated[start:end]

    def view(self, order: str, spans: list[Span], equals: dict[str, str]) -> tuple[list[Row], Key]:
        """Return the rows that pass, in the list's order, and the key they are sorted by."""
        self._sort(order)
        key = ORDERS[self.order]
        if not spans and not equals:
            return self.rows, key
        name = (tuple(spans), tuple(sorted(equals.items())))
        if name not in self._views:
            if len(self._views) >= 64:
                self._views.clear()
            first = next((s for s in spans if s.slot == "dated" and not s.nulls), None)
            rows: Iterable[Row] = self.rows if first is None else self.between(first.since, first.until)
            rows = [r for r in rows if all(span.holds(r) for span in spans)]
            if equals:
                rows = [r for r in rows if all(equal(r.data[prop], asked) for prop, asked in equals.items())]
            self._views[name] = rows if first is None or self.order in ("first", "last") else sorted(rows, key=key)
        return self._views[name], key


def page_after(rows: list[Row], key: Key, after_row: Row | None, size: int, now: int) -> tuple[list[Row], bool]:
    """Return the listed rows after a row (or from the top), and whether more follow."""
    at = bisect_right(rows, key(after_row), key=key) if after_row is not None else 0
    page: list[Row] = []
    while at < len(rows) and len(page) <= size:
        page += [row for row in rows[at : at + size + 1] if row.shown <= now]
        at += size + 1
    return page[:size], len(page) > size


def page_before(rows: list[Row], key: Key, after_row: Row, size: int, now: int) -> list[Row]:
    """Return the rows just before a row, for `previous_page_uri`."""
    at = bisect_left(rows, key(after_row), key=key)
    return [row for row in rows[:at] if row.shown <= now][-size:]
