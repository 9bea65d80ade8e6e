"""
Declare streams. A declaration that contradicts itself raises DeclarationError at import.

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

    `own_credentials`: each subaccount needs its own. With the main account's, Twilio would return the main account's
    rows (docs, iam/api/subaccounts).
    """

    host: str  # https://{host}.twilio.com
    root: str  # may hold {account_sid}
    suffix: str = ""  # the end of every path
    own_credentials: bool = True
    page_size: int = 1000  # the maximum


@dataclass(frozen=True)
class Filter:
    """The date filter of a list. A filtered list may leave out rows whose `column` is null."""

    after: str  # the parameter for the first bound
    before: str  # the parameter for the second bound
    column: str  # the property that Twilio compares
    unit: timedelta = timedelta(seconds=1)  # the precision of the bounds: a second, or a day
    midnights: bool = False  # whether bounds are midnights, as 2026-03-01T00:00:00Z
    inclusive: bool = False  # whether both bounds are known to be inclusive
    nullable: bool = True  # whether `column` can be null
    max_age: timedelta | None = None  # how far back the filter works
    max_range: timedelta | None = None  # the longest range of one query
    max_rows: int | None = None  # the most rows that one query returns, on all its pages

    def __post_init__(self) -> None:
        if self.unit not in (timedelta(seconds=1), timedelta(days=1)):
            raise DeclarationError(f"a filter on {self.column} whose bounds are neither seconds nor days")
        if self.midnights and self.unit != timedelta(days=1):
            raise DeclarationError(f"a filter on {self.column} that takes midnights, and whose unit is no day")


@dataclass(frozen=True)
class Rescan:
    """
    A list in which any row may change at any time. Rescans read it again and again, within a budget.

    `replication_key` is the date of a row's last change.
    """

    replication_key: str = "date_updated"


@dataclass(frozen=True)
class LogWindow:
    """A log, or sums over periods. Each sync reads the rows from `lookback` before the bookmark on."""

    lookback: timedelta
    replication_key: str | None = None  # the date of a row's last change, if rows have one
    # Rows are sums over whole months or years. A query for a part would return a part of the sum.
    period: Literal["", "month", "year"] = ""


@dataclass(frozen=True)
class FullRead:
    """A short list without a date of the last change. Every sync reads it in full."""

    replication_key: None = None


@dataclass(frozen=True)
class Condition:
    """A condition on a row: a property is above a number, one of some values, or an object with some member."""

    column: str
    above: int | None = None
    one_of: tuple[str | bool, ...] = ()
    has_member: str = ""

    def __post_init__(self) -> None:
        if (self.above is not None) + bool(self.one_of) + bool(self.has_member) != 1:
            raise DeclarationError(f"a condition on {self.column} that is not just one of above, one_of and has_member")

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row meets it. An unreadable number counts as above: an extra visit loses nothing."""
        value = row.get(self.column)
        if self.has_member:
            return isinstance(value, Mapping) and self.has_member in value
        if self.above is None:
            return value in self.one_of
        try:
            return int(value or 0) > self.above
        except (TypeError, ValueError):
            return True


@dataclass(frozen=True)
class ChangedParents:
    """Visit the parents that changed."""


@dataclass(frozen=True)
class AllParents:
    """Visit each parent in every sync that reads it, since children change without it."""


@dataclass(frozen=True)
class OpenParents:
    """Visit each open parent in every sync that reads it, and once after it ended."""

    open_if: Condition


@dataclass(frozen=True)
class RecentParents:
    """Visit recent parents in every sync, within a budget, and older ones once. Children have no date of a change."""


@dataclass(frozen=True)
class Parent:
    """The parent stream of a child: the values for the child's path, and the parent rows to visit."""

    stream: str
    path_params: Mapping[str, str]  # a brace of the child's path <- a property of the parent's row
    visit: ChangedParents | AllParents | OpenParents | RecentParents = ChangedParents()
    where: Condition | None = None  # other rows have no children
    max_age: timedelta | None = None  # rows that were created longer ago have none any more

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
        return self.visits_all or (isinstance(self.visit, OpenParents) and self.visit.open_if.matches(row))


@dataclass(frozen=True)
class ScoreList:
    """
    A second source of a child's rows: a list on another product, which can be filtered by one score at a time.

    Its key is the parent's. Each row has the `columns` in its member `rating_member`; if not, the tap requests
    `item_path`.
    """

    stream: Stream  # the list, read with the main account's credentials
    product_name: str  # the product's name, for the log
    score_param: str  # the filter by score
    scores: tuple[int, ...]
    subaccount_param: str  # the filter by subaccount
    item_path: str  # the path of one row
    rating_member: str
    score_column: str  # the property that holds the score
    columns: Mapping[str, str]  # the child's property <- the list's property
    source_column: str = "source"  # the child's property that names the source of a row,
    source_names: tuple[str, str] = (
        "feedback",
        "insights",
    )  # and its values: for the child's own path, and for this list


@dataclass(frozen=True)
class Stream:
    """One Twilio collection: one table, one `schemas/<name>.json`."""

    name: str
    product: Product
    path: str  # under the product's root; `parent` fills the braces
    rows: str | None  # the member of the response that holds the rows; None: a single resource
    key: tuple[str, ...] = ("sid",)
    read_strategy: Rescan | LogWindow | FullRead = field(default_factory=Rescan)
    filter: Filter | None = None  # None: the list has no date filter
    query: Mapping[str, str] = field(default_factory=dict)  # parameters of every request
    query_variants: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # one list for each value of a parameter
    parent: Parent | None = None
    # A property that rows lack <- a brace of the path, account_sid, a member of an object ("period.start"), or "#", the
    # position in the whole list.
    derived: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()  # properties that are never written
    deselected_by_default: frozenset[str] = frozenset()  # properties that are written only if the catalog selects them
    # Properties, and members of objects ("realtime.age"), that change with the clock alone. They are written, and not
    # compared.
    not_compared: frozenset[str] = frozenset()
    scope: str = "account"  # "main": the main account only; "twilio": the same rows for everybody, read once a day
    page_size: int | None = None  # the maximum, if it is not the product's
    has_next_page: bool = True  # False: the response names no next page
    has_item_endpoint: bool = True  # whether Twilio returns one row at {path}/{key}
    resumable: bool = True  # False: a page token is an offset or an index, so no checkpoint is kept
    selected_by_default: bool = False  # selected by default
    score_list: ScoreList | None = None
    cost: str = ""  # what it costs, for the description in the catalog

    def __post_init__(self) -> None:
        braces = set(_BRACES.findall(self.path))
        filled = set(self.parent.path_params) if self.parent else set()
        child = self.parent is not None
        recent = self.parent is not None and self.parent.visits_recent
        wrong = {
            "its path has braces that nothing fills, or fills what is no brace": braces != filled,
            "it derives a property from nowhere": not {v for v in self.derived.values() if "." not in v}
            <= filled | {"account_sid", "#"},
            "it reads by a window, and has no filter": self.is_log and not self.filter,
            "it reads by a window, and its filter hides rows": self.is_log
            and bool(self.filter and self.filter.nullable),
            "it caps a query, and is not read by a window": bool(self.filter and self.filter.max_rows)
            and not self.is_log,
            "it is a child, and has one list for each value": child and bool(self.query_variants),
            "it limits the span of a query, and is not read by a window": bool(self.filter and self.filter.max_range)
            and not self.is_log,
            "it is a child, and limits the span of a query": child and bool(self.filter and self.filter.max_range),
            "it has several parameters with one list for each value": len(self.query_variants) > 1,
            "it is a single resource, and has a filter or pages": self.rows is None
            and (self.filter is not None or bool(self.query_variants)),
            "it has no next page, and a filter": not self.has_next_page and self.filter is not None,
            "it hides its key": bool((self.hidden | self.deselected_by_default) & set(self.key)),
            "it does not compare its key": bool(self.not_compared & set(self.key)),
            "it has no key": not self.key,
            "its scope is unknown": self.scope not in ("account", "main", "global"),
            "it visits recent parents, and is no single resource": recent and self.rows is not None,
            "it has a second source, and does not visit recent parents": self.score_list is not None and not recent,
        }
        for what, is_wrong in wrong.items():
            if is_wrong:
                raise DeclarationError(f"Stream {self.name}: {what}")

    @property
    def replication_key(self) -> str | None:
        """Return the date of a row's last change, which is the replication key."""
        return self.read_strategy.replication_key

    @property
    def log_window(self) -> LogWindow | None:
        """Return the window that each sync reads of a log; None if the stream is no log."""
        return self.read_strategy if isinstance(self.read_strategy, LogWindow) else None

    @property
    def is_log(self) -> bool:
        """Return whether rows are final once they are some days old."""
        return self.log_window is not None

    @property
    def has_rescans(self) -> bool:
        """Return whether the list is read again from top to bottom, as the budget allows."""
        return isinstance(self.read_strategy, Rescan)

    @property
    def filter_hides_rows(self) -> bool:
        """Return whether time slices miss rows, which a rescan then sends."""
        return self.filter is not None and self.filter.nullable

    @property
    def queries(self) -> tuple[Mapping[str, str], ...]:
        """Return the query of each of its lists."""
        for name, values in self.query_variants.items():
            return tuple({name: value} for value in values)
        return ({},)

    @property
    def max_page_size(self) -> int:
        """Return the maximum page size."""
        return self.page_size or self.product.page_size
