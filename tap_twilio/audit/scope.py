"""
Decide what an audit compares: which columns of each table, and which days.

audit.py calls `comparison` for each selected stream, with the warehouse's columns or with those that the recommended
target makes (`assumed`), and `days` for the options `--since`, `--until`, `--days` and `--sample`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tap_twilio.singer.catalog import Selected
from tap_twilio.timestamps import DAY, Timestamp, earlier, later, start_of_day

from .canonical import Column, Comparison
from .dialects import Dialect

# The kinds of columns that hold a property's values unchanged, by the property's type.
FITTING = {
    "string": ("text",),
    "integer": ("integer", "decimal", "text"),
    "number": ("decimal",),
    "boolean": ("boolean", "text"),
    "date-time": ("timestamp", "timestamptz", "text"),
    "date": ("date", "timestamp", "text"),
}
FLOATS = ("snowflake", "duckdb")  # whose targets make floats of decimal numbers
DATED = ("timestamp", "timestamptz", "date", "text")


@dataclass(frozen=True)
class Scope:
    """The options that limit an audit to some days."""

    since: Timestamp | None = None
    until: Timestamp | None = None  # not included
    newest: int | None = None  # --days
    sample: int | None = None
    seed: int = 0

    @property
    def is_whole(self) -> bool:
        return self == Scope(seed=self.seed)

    def days(self, oldest: Timestamp, now: Timestamp) -> list[str]:
        """
        Return the days to compare, in order; both kinds, if `newest` and `sample` are given.

        >>> Scope(newest=2).days("2026-01-01T00:00:00.000000Z", "2026-03-02T09:00:00.000000Z")
        ['2026-03-01', '2026-03-02']
        """
        day, days = start_of_day(self.since or oldest), []
        while day < (self.until or now):
            days.append(day[:10])
            day = later(day, DAY)
        newest = days[-self.newest :] if self.newest else []
        if not self.sample:
            return newest or days
        rest = days[: len(days) - len(newest)]
        chosen = random.Random(self.seed).sample(rest, min(self.sample, len(rest)))  # noqa: S311  # no secret
        return sorted([*chosen, *newest])


def ranges(days: Sequence[str]) -> list[tuple[Timestamp, Timestamp]]:
    """
    Return days as ranges of dates, newest first, with neighbors joined.

    >>> ranges(["2026-03-01", "2026-03-02"])
    [('2026-03-01T00:00:00.000000Z', '2026-03-03T00:00:00.000000Z')]
    """
    joined: list[tuple[Timestamp, Timestamp]] = []
    for day in days:
        since = f"{day}T00:00:00.000000Z"
        if joined and joined[-1][1] == since:
            since = joined.pop()[0]
        joined.append((since, later(f"{day}T00:00:00.000000Z", DAY)))
    return joined[::-1]


def oldest_day(days: Sequence[str], now: Timestamp) -> Timestamp:
    """Return the start of the oldest of some buckets' days; a month ago without one."""
    dated = [day for day in days if len(day) == 10]
    return f"{min(dated)}T00:00:00.000000Z" if dated else earlier(now, 30 * DAY)


def comparison(choice: Selected, table: str, columns: Mapping[str, tuple[str, str]], dialect: Dialect) -> Comparison:
    """Return what is compared of a stream. `columns`: by lower-case name, a column's own name and its type."""
    found, left_out = [], {}
    for name, about in choice.schema["properties"].items():
        kind = _kind(about)
        if name == "received_at" or name in {path.partition(".")[0] for path in choice.stream.not_compared}:
            continue
        if name.lower() not in columns:
            left_out[name] = "no column"
            continue
        own_name, type_name = columns[name.lower()]
        column_kind = dialect.kind(type_name)
        if column_kind not in FITTING.get(kind, ()):
            left_out[name] = "JSON" if kind in ("array", "object") else type_name
            continue
        schema_type = "string" if kind in ("date-time", "date") else kind
        found.append(Column(name, own_name, column_kind, schema_type, kind == "date"))
    return Comparison(
        choice.stream.name,
        table,
        tuple(found),
        choice.stream.key,
        _date(choice, found),
        any(column.property == "account_sid" for column in found),
        left_out,
    )


def _kind(about: Mapping[str, Any]) -> str:
    types = [about["type"]] if isinstance(about["type"], str) else about["type"]
    (kind,) = [name for name in types if name != "null"]
    return about["format"] if about.get("format") in ("date-time", "date") else str(kind)


def _date(choice: Selected, columns: Sequence[Column]) -> str | None:
    """Return the date by which rows are divided: the one that Twilio filters by, else that of the creation."""
    dated = {column.property for column in columns if column.kind in DATED}
    filter_ = choice.stream.filter
    candidates = [filter_.column] if filter_ else []
    return next((name for name in (*candidates, "date_created") if name in dated), None)


def assumed_columns(choice: Selected, dialect: Dialect) -> dict[str, tuple[str, str]]:
    """Return the columns that a target makes for a stream, where nobody asks the warehouse."""
    types = {"date-time": "timestamp", "date": "date", "integer": "bigint", "boolean": "boolean", "string": "text"}
    types["number"] = "double" if dialect.name in FLOATS else "numeric"
    upper = dialect.name == "snowflake"
    return {
        name.lower(): (name.upper() if upper else name, types.get(_kind(about), "json"))
        for name, about in choice.schema["properties"].items()
    }
