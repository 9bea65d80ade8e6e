"""What a declaration can say of a list, and no more: a declaration that contradicts itself refuses to be written.

A stream is one `Stream` in a file of this folder and one schema in `schemas/`. Nothing outside this folder names one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from tap_twilio.errors import DeclarationError

_BRACES = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Product:
    """
    A host of Twilio's and a version of its API.

    `own_credentials`: subaccounts are read with their own, since the main account's would answer with the main
    account's rows (docs, iam/api/subaccounts).
    """

    host: str  # https://{host}.twilio.com
    root: str  # may hold {account_sid}
    suffix: str = ""  # what every path ends with
    own_credentials: bool = True
    page_size: int = 1000  # the most rows a page


@dataclass(frozen=True)
class Filter:
    """How a list can be asked by date. A row whose `column` is null may not be listed then."""

    after: str  # the parameter that says from when on
    before: str  # the one that says until when
    column: str  # the property that it compares
    unit: timedelta = timedelta(seconds=1)  # the finest bound that the list takes: a second, or a day
    midnights: bool = False  # whether a day is written as its midnight, 2026-03-01T00:00:00Z
    closed: bool = False  # whether both bounds are known to belong to the span
    nullable: bool = True  # whether `column` can be null
    reach: timedelta | None = None  # how far back it answers
    longest: timedelta | None = None  # the longest span that it takes
    most_rows: int | None = None  # the most rows that one query lists, over all its pages

    def __post_init__(self) -> None:
        if self.unit not in (timedelta(seconds=1), timedelta(days=1)):
            raise DeclarationError(f"a filter on {self.column} whose bounds are neither seconds nor days")
        if self.midnights and self.unit != timedelta(days=1):
            raise DeclarationError(f"a filter on {self.column} that takes midnights, and whose unit is no day")


@dataclass(frozen=True)
class Rescan:
    """
    A list that changes anywhere and at any time: it is read again and again, as far as the budget goes.

    `changed` is the date that tells a change.
    """

    changed: str = "date_updated"


@dataclass(frozen=True)
class LogWindow:
    """A log, or a period's sums: each sync reads the rows dated within `again` before the bookmark, and all since."""

    again: timedelta
    changed: str | None = None  # the date that tells a change, where the rows have one
    # Rows are sums of these, so that none is asked for in part: the answer would be a part of the sum.
    sums: Literal["", "month", "year"] = ""


@dataclass(frozen=True)
class FullRead:
    """A short list without a date that tells changes: read whole by every sync."""

    changed: None = None


@dataclass(frozen=True)
class Has:
    """A condition on a row: its property is above a number, one of some values, or an object with some member."""

    column: str
    above: int | None = None
    among: tuple[str | bool, ...] = ()
    holding: str = ""

    def __post_init__(self) -> None:
        if (self.above is not None) + bool(self.among) + bool(self.holding) != 1:
            raise DeclarationError(f"a condition on {self.column} that is not just one of above, among and holding")

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row meets it. A number that cannot be read counts as above: to ask once too often loses nothing."""
        value = row.get(self.column)
        if self.holding:
            return isinstance(value, Mapping) and self.holding in value
        if self.above is None:
            return value in self.among
        try:
            return int(value or 0) > self.above
        except (TypeError, ValueError):
            return True


@dataclass(frozen=True)
class ChangedParents:
    """Ask the rows of the parent that changed."""


@dataclass(frozen=True)
class AllParents:
    """Ask each row of the parent in every sync that reads it: what is below changes without it."""


@dataclass(frozen=True)
class OpenParents:
    """Ask the rows of the parent that are open in every sync that reads them, and once more when they ended."""

    while_: Has


@dataclass(frozen=True)
class RecentParents:
    """Ask the parent's rows of the last days, within a budget, and older ones once: what is below dates no change."""


@dataclass(frozen=True)
class Parent:
    """Where the values in a child's path come from, and which of the parent's rows are asked."""

    stream: str
    path_params: Mapping[str, str]  # a brace of the child's path <- a property of the parent's row
    visit: ChangedParents | AllParents | OpenParents | RecentParents = ChangedParents()
    where: Has | None = None  # rows for which it does not hold have no children
    within: timedelta | None = None  # rows that were created longer ago have none any more

    @property
    def visits_all(self) -> bool:
        """Return whether every row is visited by every sync that reads it."""
        return isinstance(self.visit, AllParents)

    @property
    def visits_recent(self) -> bool:
        """Return whether rows are visited by their age."""
        return isinstance(self.visit, RecentParents)

    @property
    def visits_changed(self) -> bool:
        """Return whether rows are visited only when they changed."""
        return isinstance(self.visit, ChangedParents)

    def is_open(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row is visited by every sync that reads it."""
        return self.visits_all or (isinstance(self.visit, OpenParents) and self.visit.while_.holds(row))


@dataclass(frozen=True)
class Scores:
    """
    A second source of a child: a list on another product that can be asked for one score at a time.

    Its key is the parent's. Each of its rows holds, under `holds`, what `columns` takes over; else `one` is asked.
    """

    stream: Stream  # the list, as the main account's credentials read it
    called: str  # the product's name, for the log
    parameter: str  # that asks for one score
    scores: tuple[int, ...]
    subaccount: str  # the parameter that asks for a subaccount
    one: str  # the path that answers for one row
    holds: str
    score: str  # the property of the score
    columns: Mapping[str, str]  # the child's property <- this source's
    source: str = "source"  # the child's property that names the source,
    names: tuple[str, str] = ("feedback", "insights")  # and what it says: of the child's own path, and of this one


@dataclass(frozen=True)
class Stream:
    """One Twilio collection: one table, one `schemas/<name>.json`."""

    name: str
    product: Product
    path: str  # under the product's root; braces are filled by `parent`
    rows: str | None  # the envelope's member that holds the rows; None: a single resource, which is the only row
    key: tuple[str, ...] = ("sid",)
    reads: Rescan | LogWindow | FullRead = field(default_factory=Rescan)
    filter: Filter | None = None  # None: the list can only be walked
    query: Mapping[str, str] = field(default_factory=dict)  # parameters that are always sent
    query_variants: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # one list for each value of a parameter
    parent: Parent | None = None
    # A property that the row lacks <- a brace, account_sid, a member of one of its objects ("period.start"), or "#",
    # its position in the whole list.
    derived: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()  # properties that never leave the tap
    opt_in: frozenset[str] = frozenset()  # properties that leave only where the catalog selects them
    # Properties, and members of objects ("realtime.age"), that move with the clock and say nothing of the row. They are
    # emitted, and not compared.
    volatile: frozenset[str] = frozenset()
    scope: str = "account"  # or "main": the main account's alone; or "twilio": the same for all, read once a day
    page_size: int | None = None  # the most rows a page, where it is not the product's
    has_next_page: bool = True  # False: the answer names no next page
    has_item_endpoint: bool = True  # whether Twilio can be asked for one row: {path}/{key}
    resumable: bool = True  # False: a page token is an offset or an index, so no place is kept
    default: bool = False  # selected by default
    second: Scores | None = None
    cost: str = ""  # what it costs, for discovery

    def __post_init__(self) -> None:
        braces = set(_BRACES.findall(self.path))
        filled = set(self.parent.path_params) if self.parent else set()
        child = self.parent is not None
        recent = self.parent is not None and self.parent.visits_recent
        wrong = {
            "its path has braces that nothing fills, or fills what is no brace": braces != filled,
            "it adds a property from nowhere": not {v for v in self.derived.values() if "." not in v}
            <= filled | {"account_sid", "#"},
            "it reads by a window, and has no filter": self.is_log and not self.filter,
            "it reads by a window, and its filter hides rows": self.is_log
            and bool(self.filter and self.filter.nullable),
            "it caps a query, and is not read by a window": bool(self.filter and self.filter.most_rows)
            and not self.is_log,
            "it is a child, and has one list for each value": child and bool(self.query_variants),
            "it limits the span of a query, and is not read by a window": bool(self.filter and self.filter.longest)
            and not self.is_log,
            "it is a child, and limits the span of a query": child and bool(self.filter and self.filter.longest),
            "it has several parameters with one list for each value": len(self.query_variants) > 1,
            "it is a single resource, and has a filter or pages": self.rows is None
            and (self.filter is not None or bool(self.query_variants)),
            "it has no next page, and a filter": not self.has_next_page and self.filter is not None,
            "it hides its key": bool((self.hidden | self.opt_in) & set(self.key)),
            "it does not compare its key": bool(self.volatile & set(self.key)),
            "it has no key": not self.key,
            "its scope is unknown": self.scope not in ("account", "main", "twilio"),
            "it asks recent rows, and is no single resource": recent and self.rows is not None,
            "it has a second source, and does not ask recent rows": self.second is not None and not recent,
        }
        for what, is_wrong in wrong.items():
            if is_wrong:
                raise DeclarationError(f"Stream {self.name}: {what}")

    @property
    def changed(self) -> str | None:
        """The date that tells a change, which is the replication key."""
        return self.reads.changed

    @property
    def log_window(self) -> LogWindow | None:
        """Return the window that each sync reads of a log; None if the stream is no log."""
        return self.reads if isinstance(self.reads, LogWindow) else None

    @property
    def is_log(self) -> bool:
        """Return whether rows are final once they are some days old."""
        return self.log_window is not None

    @property
    def has_rescans(self) -> bool:
        """Return whether the list is read again from top to bottom, as the budget allows."""
        return isinstance(self.reads, Rescan)

    @property
    def filter_hides_rows(self) -> bool:
        """Whether slices miss rows, which a backfill by date then owes to the rounds."""
        return self.filter is not None and self.filter.nullable

    @property
    def values(self) -> tuple[Mapping[str, str], ...]:
        """The fixed query of each of its lists."""
        for name, values in self.query_variants.items():
            return tuple({name: value} for value in values)
        return ({},)

    @property
    def most_rows(self) -> int:
        """The most rows a page."""
        return self.page_size or self.product.page_size
