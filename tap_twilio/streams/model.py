"""
Define what the declaration of a stream can say. A contradictory declaration raises DeclarationError at import.

Each module of this folder declares the streams of one product of Twilio's. `extract/strategy.py` reads a list as its
declaration says. No code outside this folder names a stream; only extract/call_feedback.py knows the rows of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from tap_twilio.errors import DeclarationError

_BRACES = re.compile(r"{(\w+)}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


@dataclass(frozen=True)
class Product:
    """
    A host of Twilio's and a version of its API.

    `own_credentials` says that a subaccount's rows need the subaccount's credentials. With the main account's
    credentials, Twilio would return the main account's rows (docs, iam/api/subaccounts).
    """

    host: str  # https://{host}.twilio.com
    root: str  # the beginning of every path; may hold {account_sid}
    suffix: str = ""  # the end of every path
    own_credentials: bool = True
    page_size: int = 1000  # the largest that Twilio accepts


@dataclass(frozen=True)
class Filter:
    """The date filter of a list. A filtered list may lack the rows whose `column` is null."""

    after: str  # the parameter for the earliest date
    before: str  # the parameter for the latest date
    column: str  # the property that Twilio compares
    unit: timedelta = timedelta(seconds=1)  # the precision of both dates: a second, or a day
    midnights: bool = False  # True: a day is written as its midnight, 2026-03-01T00:00:00Z
    inclusive: bool = False  # True: Twilio's documents say that rows of both dates are returned
    nullable: bool = True  # False: `column` is never null, so a filtered list has every row
    max_age: timedelta | None = None  # Twilio refuses earlier dates, or returns nothing
    max_range: timedelta | None = None  # the longest time between both dates of one query
    max_rows: int | None = None  # the most rows that one query returns, on all its pages together

    def __post_init__(self) -> None:
        if self.unit not in (timedelta(seconds=1), timedelta(days=1)):
            raise DeclarationError(f"Filter on {self.column}: write unit=timedelta(seconds=1) or unit=DAY")
        if self.midnights and self.unit != timedelta(days=1):
            raise DeclarationError(f"Filter on {self.column}: midnights=True needs unit=DAY")


@dataclass(frozen=True)
class Rescan:
    """
    The strategy for a list in which any row may change at any time.

    Each sync reads the newest rows, and rescans reread the whole list, within a budget.
    """

    replication_key: str = "date_updated"  # the date of a row's last change


@dataclass(frozen=True)
class LogWindow:
    """The strategy for a log, or sums over periods, whose older rows are final. Each sync rereads the newest rows."""

    lookback: timedelta  # a sync rereads the rows that are at most this much older than the bookmark
    replication_key: str | None = None  # the date of a row's last change, if rows have one
    # A row is the sum of a whole month or year. A query for some of its days would return a smaller sum.
    period: Literal["", "month", "year"] = ""


@dataclass(frozen=True)
class FullRead:
    """The strategy for a short list whose rows have no date of their last change. Every sync reads it in full."""

    replication_key: None = None


@dataclass(frozen=True)
class Condition:
    """A condition on a property of a row. A declaration gives exactly one of `above`, `one_of` and `has_member`."""

    column: str
    above: int | None = None  # the property is a number above this one
    one_of: tuple[str | bool, ...] = ()  # the property is one of these values
    has_member: str = ""  # the property is an object with this member

    def __post_init__(self) -> None:
        if (self.above is not None) + bool(self.one_of) + bool(self.has_member) != 1:
            raise DeclarationError(f"Condition on {self.column}: write exactly one of above, one_of and has_member")

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row meets the condition. An unreadable number does: an extra request loses no row."""
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
    """Read the children of a parent when the parent changed."""


@dataclass(frozen=True)
class AllParents:
    """Read the children of each parent in every sync that reads the parent: they may change without the parent."""


@dataclass(frozen=True)
class OpenParents:
    """
    Read the children of an open parent in every sync that reads the parent, and of other parents when they changed.

    So the children are read once more after their parent was closed.
    """

    open_if: Condition


@dataclass(frozen=True)
class RecentParents:
    """Read the children of recent parents in every sync, within a budget, and the children of older parents once."""


@dataclass(frozen=True)
class Parent:
    """The parent stream of a child stream: the child has one list for each row of the parent."""

    stream: str
    path_params: Mapping[str, str]  # {"call_sid": "sid"}: the parent's `sid` replaces {call_sid} in the child's path
    visit: ChangedParents | AllParents | OpenParents | RecentParents = ChangedParents()
    where: Condition | None = None  # only parents that meet it have children
    max_age: timedelta | None = None  # Twilio deletes the children of a parent that is older

    @property
    def visits_all(self) -> bool:
        """Return whether a sync reads the children of every parent."""
        return isinstance(self.visit, AllParents)

    @property
    def visits_by_age(self) -> bool:
        """Return whether the age of a parent decides when its children are read."""
        return isinstance(self.visit, RecentParents)

    @property
    def visits_changed(self) -> bool:
        """Return whether children are read only when their parent changed."""
        return isinstance(self.visit, ChangedParents)

    def always_visits(self, row: Mapping[str, Any]) -> bool:
        """Return whether every sync reads the children of this parent, changed or not."""
        return self.visits_all or (isinstance(self.visit, OpenParents) and self.visit.open_if.matches(row))


@dataclass(frozen=True)
class ScoreList:
    """
    A list on another product that also has ratings of the parent's rows, and takes a filter by score.

    `call_feedback` uses it: one request for each call and one list for each score return the same ratings. A row of the
    list has the rating in its member `rating_member`. If the row lacks the member, the tap requests `item_path`.
    """

    stream: Stream  # the list; its key is the child's key. The main account's credentials read it
    product_name: str  # for the log
    score_param: str  # the parameter of the filter by score
    scores: tuple[int, ...]
    subaccount_param: str  # the parameter of the filter by subaccount
    item_path: str
    rating_member: str
    score_column: str  # the property of the rating that is the score
    columns: Mapping[str, str]  # {the child's property: the rating's}, such as {"quality_score": "call_score"}
    source_column: str = "source"  # the child's property that says where a row comes from
    source_names: tuple[str, str] = ("feedback", "insights")  # the values of it: the child's own path, and this list


@dataclass(frozen=True)
class Stream:
    """
    A collection at Twilio: one list for each account, one table, and one `schemas/<name>.json`.

    By default, each account has the list, the list has pages but no date filter and no parent, `sid` is the key, any
    row may change at any time, and the catalog does not select the stream.
    """

    name: str
    product: Product
    path: str  # below the product's root; `parent` has the values for its braces
    rows: str | None  # the member of the response that holds the rows; None: the response is one row
    key: tuple[str, ...] = ("sid",)
    read_strategy: Rescan | LogWindow | FullRead = Rescan()
    filter: Filter | None = None  # None: the list has no date filter
    query: Mapping[str, str] = field(default_factory=dict)  # the parameters of every request
    # {"Status": ("init", "completed")}: one list for each value of the parameter.
    query_variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parent: Parent | None = None
    # {"day": "period.start"}: a column that rows lack, and its source: a member of an object, a brace of the path,
    # "account_sid", or "#", which is the position of the row in the list.
    derived: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()  # properties that are never written
    deselected_by_default: frozenset[str] = frozenset()  # properties that are written only if the catalog selects them
    # Properties, or members of objects ("realtime.age"), that change with the clock. They are written, but a change of
    # them alone does not make a row a changed row.
    not_compared: frozenset[str] = frozenset()
    # "main": only the main account has the list. "global": all accounts have the same rows; they are read once a day.
    scope: Literal["account", "main", "global"] = "account"
    page_size: int | None = None  # the largest that Twilio accepts, if it is not the product's
    has_next_page: bool = True  # False: the response names no next page
    has_item_endpoint: bool = True  # False: Twilio does not return one row at {path}/{key}
    # True: a page token names the last row of its page, so a later sync may resume there. False: it is an offset, which
    # shifts when rows are added or deleted, or unknown; each sync reads the list from its top.
    tokens_name_rows: bool = True
    selected_by_default: bool = False
    score_list: ScoreList | None = None
    cost: str = ""  # the requests or the money that the stream costs, for its description in the catalog

    def __post_init__(self) -> None:
        for is_present, problem in self._problems():
            if is_present:
                raise DeclarationError(f"Stream {self.name}: {problem}")

    def _problems(self) -> Iterator[tuple[object, str]]:
        """Yield each problem that a declaration can have, and whether this one has it."""
        braces = set(_BRACES.findall(self.path))
        params = set(self.parent.path_params) if self.parent else set[str]()
        yield braces - params, f"the path has {_list(braces - params)}: add them to path_params of a parent"
        yield params - braces, f"path_params has {_list(params - braces)}: write them in braces into the path"

        sources = {source for source in self.derived.values() if "." not in source} - braces - {"account_sid", "#"}
        hint = 'write "account_sid", "#", a brace of the path, or a member such as "period.start"'
        yield sources, f"derived has the source {_list(sources)}: {hint}"

        filter_, is_child, is_single = self.filter, self.parent is not None, self.rows is None
        if self.is_log:
            hint = "or use Rescan() or FullRead()"
            yield filter_ is None, f"a LogWindow needs a date filter: add filter=Filter(...), {hint}"
            yield self.filter_hides_rows, f"a LogWindow misses rows whose date is null: write nullable=False, {hint}"
        elif filter_:
            yield filter_.max_rows, "max_rows of a filter needs read_strategy=LogWindow(...)"
            yield filter_.max_range, "max_range of a filter needs read_strategy=LogWindow(...)"
        yield is_child and filter_ and filter_.max_range, "the filter of a child cannot have max_range"
        yield filter_ and not self.has_next_page, "a list with has_next_page=False cannot have a filter"
        yield is_single and (filter_ or self.query_variants), "rows=None cannot have a filter or query_variants"

        yield is_child and self.query_variants, "a child cannot have query_variants: declare a stream for each value"
        yield len(self.query_variants) > 1, "query_variants takes only one parameter"

        unwritten = set(self.key) & (self.hidden | self.deselected_by_default)
        yield not self.key, "the key is empty: name the properties that identify a row"
        yield unwritten, f"{_list(unwritten)} is in the key: remove it from hidden and deselected_by_default"
        yield self.not_compared & set(self.key), "a property of the key is in not_compared: remove it there"

        scopes = ("account", "main", "global")
        yield self.scope not in scopes, f"the scope is {self.scope}: write one of {', '.join(scopes)}"

        visits_by_age = self.parent is not None and self.parent.visits_by_age
        yield visits_by_age and not is_single, "RecentParents needs rows=None: choose another visit for a list"
        yield self.score_list and not visits_by_age, "a score_list needs a parent with RecentParents()"

    @property
    def replication_key(self) -> str | None:
        """Return the property with the date of a row's last change; None if rows have no such date."""
        return self.read_strategy.replication_key

    @property
    def log_window(self) -> LogWindow | None:
        """Return how a log is read; None for other streams."""
        return self.read_strategy if isinstance(self.read_strategy, LogWindow) else None

    @property
    def is_log(self) -> bool:
        """Return whether older rows are final."""
        return self.log_window is not None

    @property
    def has_rescans(self) -> bool:
        """Return whether rescans reread the whole list."""
        return isinstance(self.read_strategy, Rescan)

    @property
    def filter_hides_rows(self) -> bool:
        """Return whether a filtered list may lack rows. Rescans find them."""
        return self.filter is not None and self.filter.nullable

    @property
    def variants(self) -> tuple[Mapping[str, str], ...]:
        """Return the parameters of each variant of the list, one for each value in `query_variants`; else of none."""
        for name, values in self.query_variants.items():
            return tuple({name: value} for value in values)
        return ({},)

    @property
    def max_page_size(self) -> int:
        """Return the largest page that Twilio accepts."""
        return self.page_size or self.product.page_size
