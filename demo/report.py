"""
Report what the warehouse holds, and what a run of `make sync` changed in it.

A transaction that began before the run still sees the rows as they were, so nothing is copied.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

COMPARED = 50_000  # written rows that are compared one by one; if a run wrote more, only new rows are counted
CHANGES_SHOWN = 5
FURTHER_SHOWN = 30
MESSAGES_SHOWN = 5
WIDTH = 80  # of all but the changes, in columns
SLOTS = 3  # tables on a line; a long name takes two slots or three
SENDER = 16  # columns for a sender or a receiver, such as a phone number
LARGE = 10_000_000  # a greater number is shown in millions

Row = dict[str, Any]


@dataclass
class Table:
    """One table of the schema, after the run."""

    name: str
    rows: int
    new: int | None  # None: not compared
    changed: int | None  # None: not compared
    newest: datetime | None  # date_updated
    received: datetime | None
    changes: list[str] = field(default_factory=list)  # the first few, in words


def connect(url: str) -> psycopg.Connection[Row]:
    """Connect, and have all timestamps read as UTC, with or without a time zone."""
    connection = psycopg.connect(url, row_factory=dict_row, autocommit=True)
    connection.execute("set timezone to 'UTC'")
    return connection


@contextmanager
def snapshot(url: str) -> Iterator[psycopg.Connection[Row]]:
    """Yield a connection that sees the rows as they are now, until it is closed."""
    with connect(url) as connection:
        connection.execute("begin isolation level repeatable read read only")
        connection.execute("select 1")  # the first query takes the snapshot
        yield connection


def tables(before: psycopg.Connection[Row], now: psycopg.Connection[Row], schema: str, since: datetime) -> list[Table]:
    """Return every table of the schema that the tap fills, compared with its state in `before`."""
    found = now.execute(
        "select table_name as name, array_agg(column_name::text) as columns from information_schema.columns"
        " where table_schema = %s group by 1 having 'received_at' = any(array_agg(column_name::text)) order by 1",
        [schema],
    ).fetchall()
    return [_table(before, now, schema, row["name"], row["columns"], since) for row in found]


def _table(
    before: psycopg.Connection[Row],
    now: psycopg.Connection[Row],
    schema: str,
    name: str,
    columns: Sequence[str],
    since: datetime,
) -> Table:
    source = sql.Identifier(schema, name)
    newest = sql.SQL("max(date_updated)" if "date_updated" in columns else "null")
    facts = sql.SQL(
        "select count(*) as rows, {} as newest, max(received_at) as received,"
        " count(*) filter (where received_at >= %s) as written from {}"
    ).format(newest, source)
    after = now.execute(facts, [since]).fetchall()[0]
    table = Table(name, after["rows"], None, None, after["newest"], after["received"])
    try:
        earlier = before.execute(sql.SQL("select count(*) as rows from {}").format(source)).fetchall()[0]["rows"]
        table.new = after["rows"] - earlier
        if not earlier or not after["written"]:
            table.changed = 0
        elif after["written"] <= COMPARED and "sid" in columns:
            _compare(before, now, source, since, table)
    except psycopg.OperationalError:
        pass  # the server closed the idle connection during a long run
    return table


def _compare(
    before: psycopg.Connection[Row],
    now: psycopg.Connection[Row],
    source: sql.Identifier,
    since: datetime,
    table: Table,
) -> None:
    """Count the rows that the run wrote and that had other values before."""
    written = sql.SQL("select sid, to_jsonb(t) as row from {} t where received_at >= %s").format(source)
    was = sql.SQL("select sid, to_jsonb(t) as row from {} t where sid = any(%s)").format(source)
    changed = 0
    cursor = now.execute(written, [since])
    while batch := cursor.fetchmany(5_000):
        old = {row["sid"]: row["row"] for row in before.execute(was, [[row["sid"] for row in batch]])}
        for row in batch:
            change = _change(old[row["sid"]], row["row"]) if row["sid"] in old else ""
            if change:
                changed += 1
                if len(table.changes) < CHANGES_SHOWN:
                    table.changes.append(f"{table.name} {row['sid']}: {change}")
    table.changed = changed


def _change(old: Row, new: Row) -> str:
    """
    Return the difference between two states of a row, without the times of reading and loading.

    >>> _change({"status": "sent", "price": None, "_sdc_batched_at": 1}, {"status": "delivered", "price": -0.0079})
    'status sent → delivered, price null → -0.0079'
    """
    kept = [name for name in new if name != "received_at" and not name.startswith("_sdc_")]
    differ = [name for name in kept if old.get(name) != new[name]]
    differ = [name for name in differ if name != "date_updated"] or differ
    return ", ".join(f"{name} {_plain(old.get(name))} → {_plain(new[name])}" for name in differ)


def _plain(value: object, width: int = 40) -> str:
    """Return a value on one line, without control characters, no longer than `width`."""
    if value is None:
        return "null"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%MZ")
    text = "".join(c if c.isprintable() else " " for c in str(value))
    text = re.sub(" +", " ", text).strip()
    if _columns(text) <= width:
        return text
    while _columns(text) >= width:
        text = text[:-1]
    return text + "…"


def _columns(text: str) -> int:
    """
    Return the width of a text on a terminal: two for an ideograph or an emoji, none for a combining accent.

    >>> _columns("né"), _columns("ne\u0301"), _columns("你👍")
    (2, 2, 4)
    """
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def messages(now: psycopg.Connection[Row], schema: str) -> list[Row]:
    """Return the messages that changed last."""
    wanted = ("date_updated", "from", "to", "status", "body")
    query = sql.SQL("select {} from {} order by date_updated desc nulls last, sid limit {}").format(
        sql.SQL(", ").join(map(sql.Identifier, wanted)), sql.Identifier(schema, "messages"), sql.Literal(MESSAGES_SHOWN)
    )
    try:
        return now.execute(query).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):  # not selected by the user
        return []


def text(
    found: Sequence[Table], newest_messages: Sequence[Row], schema: str, in_full: Collection[str], every: bool = False
) -> str:
    """Return the report as text. `in_full`: the tables with a line each. `every`: name all other tables, too."""
    main = [table for table in found if table.name in in_full]
    further = [table for table in found if table.name not in in_full]
    parts = ["", f"Tables in schema {schema}:", *_main(main)] if main else []
    parts += _further(further, schema, _is_first(found), every) if further else []
    if newest_messages:
        parts += ["", "Messages, the last changed first:", *_messages(newest_messages)]
    changes = [change for table in main for change in table.changes]
    changes += [change for table in further for change in table.changes][:CHANGES_SHOWN]
    if changes:
        parts += ["", "Some of what changed since the last run:", *(f"  {change}" for change in changes)]
    return "\n".join(parts)


def _messages(rows: Sequence[Row]) -> list[str]:
    """Return one line per message, with the body cut to the rest of the width."""
    head = tuple(rows[0])
    facts = [tuple(_plain(value, SENDER) for value in tuple(row.values())[:-1]) for row in rows]
    used = max(map(len, _grid(head[:-1], facts)))
    bodies = [_plain(row["body"], WIDTH - used - 2) for row in rows]
    return _grid(head, [(*cells, body) for cells, body in zip(facts, bodies)])


def _main(found: Sequence[Table]) -> list[str]:
    return _grid(
        ("table", "rows", "new", "changed", "date_updated", "received_at"),
        [
            (
                table.name,
                _count(table.rows),
                _count(table.new),
                _count(table.changed),
                _plain(table.newest) if table.newest else "-",
                _time_or_date(table.received) if table.received else "-",
            )
            for table in found
        ],
    )


def _time_or_date(timestamp: datetime) -> str:
    """Return the time in UTC if it is of today, else the date."""
    return f"{timestamp:%H:%MZ}" if timestamp.date() == datetime.now(timezone.utc).date() else f"{timestamp:%Y-%m-%d}"


def _is_first(found: Sequence[Table]) -> bool:
    """Return whether nothing was loaded before the run."""
    return all(table.new == table.rows for table in found)


def _further(found: Sequence[Table], schema: str, is_first: bool, every: bool) -> list[str]:
    """
    Return the largest further tables, several a line; after the first run, only those that changed.

    The others are counted, unless `every` one is wanted.
    """
    if every:
        return ["", f"Further tables in schema {schema}, with their rows:", *_in_lines(found, is_first)]
    of_note = [table for table in found if (table.rows if is_first else table.new != 0 or table.changed != 0)]
    by_size = sorted(of_note, key=lambda table: -table.rows)
    shown, small = by_size[:FURTHER_SHOWN], by_size[FURTHER_SHOWN:]
    parts = []
    if shown:
        description = (
            f"in schema {schema}, with their rows" if is_first else "that changed, with their rows and new ones"
        )
        which = "The largest further tables" if small else "Further tables"
        parts += ["", f"{which} {description}:", *_in_lines(shown, is_first)]
    if small:
        parts += [f"  {len(small)} more, of at most {_rows(small[0].rows)} each."]
    if rest := len(found) - len(of_note):
        parts += [f"  {rest} {'empty' if is_first else 'unchanged'}."]
    return parts if shown else ["", f"Further tables in schema {schema}:", *parts]


def _in_lines(found: Sequence[Table], is_first: bool) -> list[str]:
    """Return tables by name, each with its rows and new rows."""
    marks = ["" if is_first or not table.new else f"{table.new:+,}" for table in found]
    return _side_by_side(sorted((t.name, _count(t.rows), mark) for t, mark in zip(found, marks)), WIDTH)


def _rows(number: int) -> str:
    return f"{_count(number)} {'row' if number == 1 else 'rows'}"


def _side_by_side(cells: Sequence[Sequence[str]], width: int) -> list[str]:
    """
    Return lines in which each cell takes as many slots as it needs. A cell is a name, and numbers.

    >>> _side_by_side([("alerts", "16", "+2"), ("keys", "7", ""), ("assigned_add_ons", "1,024", "")], 44)
    ['  alerts 16 +2  keys 7', '  assigned_add_ons 1,024']
    """
    slot = (width - 2) // SLOTS
    lines, used = [""], 0
    for cell in cells:
        text = " ".join(filter(None, cell))
        slots = min(-(-(len(text) + 2) // slot), SLOTS)
        if used + slots > SLOTS:
            lines, used = [*lines, ""], 0
        lines[-1] += text.ljust(slots * slot)
        used += slots
    return [f"  {line}".rstrip() for line in lines]


def _count(number: int | None) -> str:
    """
    Return a number as it is, or in millions.

    >>> _count(1_413), _count(123_456_789)
    ('1,413', '123.5M')
    """
    if number is None:
        return "?"
    return f"{number:,}" if number < LARGE else f"{number / 1e6:,.1f}M"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """
    Return columns as wide as their widest cell, numbers aligned right.

    >>> _grid(("table", "rows"), [("calls", "1,200"), ("messages", "7")])
    ['  table      rows', '  calls     1,200', '  messages      7']
    """
    widths = [max(map(_columns, column)) for column in zip(head, *rows, strict=True)]
    right = [bool(rows) and all(re.fullmatch(r"[\d,.M?]+", row[i]) for row in rows) for i in range(len(head))]
    return [
        "  " + "  ".join(_pad(c, w, to_right=r) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in [head, *rows]
    ]


def _pad(text: str, width: int, *, to_right: bool) -> str:
    blank = " " * (width - _columns(text))
    return blank + text if to_right else text + blank
