"""
What the warehouse holds, and what a run changed in it, for a person to read.

The state before the run is not copied: a transaction opened before it goes on seeing the rows as they were.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

COMPARED = 50_000  # rows of a table that are compared one by one; of more, only new ones are counted
CHANGES_SHOWN = 5
MESSAGES_SHOWN = 5
WIDTH = 80  # of the further tables, in columns

Row = dict[str, Any]


@dataclass
class Table:
    """One table of the schema, after the run."""

    name: str
    rows: int
    new: int | None  # None here and below: not compared
    changed: int | None
    newest: datetime | None  # date_updated
    received: datetime | None
    changes: list[str] = field(default_factory=list)  # the first few, in words


def connect(url: str) -> psycopg.Connection[Row]:
    """A connection that reads timestamps as UTC, whether their columns have a zone or not."""
    connection = psycopg.connect(url, row_factory=dict_row, autocommit=True)
    connection.execute("set timezone to 'UTC'")
    return connection


@contextmanager
def as_it_was(url: str) -> Iterator[psycopg.Connection[Row]]:
    """A connection that sees the rows as they are now, whatever happens until it is closed."""
    with connect(url) as connection:
        connection.execute("begin isolation level repeatable read read only")
        connection.execute("select 1")  # the first query takes the snapshot
        yield connection


def tables(before: psycopg.Connection[Row], now: psycopg.Connection[Row], schema: str, since: datetime) -> list[Table]:
    """Every table of the schema that the tap fills, compared with what `before` sees of it."""
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
        pass  # a long run: the server closed the connection that had nothing to do
    return table


def _compare(
    before: psycopg.Connection[Row],
    now: psycopg.Connection[Row],
    source: sql.Identifier,
    since: datetime,
    table: Table,
) -> None:
    """Count the rows that the run wrote and that read otherwise before it."""
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
    What differs between two states of a row, the moments of reading and loading aside.

    >>> _change({"status": "sent", "price": None, "_sdc_batched_at": 1}, {"status": "delivered", "price": -0.0079})
    'status sent → delivered, price null → -0.0079'
    """
    kept = [name for name in new if name != "received_at" and not name.startswith("_sdc_")]
    differ = [name for name in kept if old.get(name) != new[name]]
    differ = [name for name in differ if name != "date_updated"] or differ
    return ", ".join(f"{name} {_plain(old.get(name))} → {_plain(new[name])}" for name in differ)


def _plain(value: object, width: int = 40) -> str:
    """A value on one line of the screen: nothing that a terminal would act on, no longer than `width`."""
    if value is None:
        return "null"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    text = "".join(c if c.isprintable() else " " for c in str(value))
    text = re.sub(" +", " ", text).strip()
    return text if len(text) <= width else text[: width - 1] + "…"


def messages(now: psycopg.Connection[Row], schema: str) -> list[Row]:
    """The messages that changed last."""
    wanted = ("date_updated", "direction", "from", "to", "status", "price", "body")
    query = sql.SQL("select {} from {} order by date_updated desc nulls last, sid limit {}").format(
        sql.SQL(", ").join(map(sql.Identifier, wanted)), sql.Identifier(schema, "messages"), sql.Literal(MESSAGES_SHOWN)
    )
    try:
        return now.execute(query).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):  # left out by the user's selection
        return []


def text(found: Sequence[Table], newest_messages: Sequence[Row], schema: str, in_full: Collection[str]) -> str:
    """All of it, as text. Of the tables that are not `in_full`, each has a few words."""
    main = [table for table in found if table.name in in_full]
    further = [table for table in found if table.name not in in_full]
    parts = ["", f"Tables in schema {schema}:", *_main(main)] if main else []
    parts += _further(further, schema, _is_first(found))
    if newest_messages:
        parts += ["", "Messages, the last changed first:"]
        parts += _grid(
            tuple(newest_messages[0]), [tuple(_plain(value) for value in row.values()) for row in newest_messages]
        )
    changes = [change for table in main for change in table.changes]
    changes += [change for table in further for change in table.changes][:CHANGES_SHOWN]
    if changes:
        parts += ["", "Some of what changed since the last run:", *(f"  {change}" for change in changes)]
    return "\n".join(parts)


def _main(found: Sequence[Table]) -> list[str]:
    return _grid(
        ("table", "rows", "new", "changed", "newest date_updated", "last received_at"),
        [
            (
                table.name,
                _count(table.rows),
                _count(table.new),
                _count(table.changed),
                _plain(table.newest) if table.newest else "-",
                _plain(table.received) if table.received else "-",
            )
            for table in found
        ],
    )


def _is_first(found: Sequence[Table]) -> bool:
    """Whether nothing was there before the run."""
    return all(table.new == table.rows for table in found)


def _further(found: Sequence[Table], schema: str, is_first: bool) -> list[str]:
    """Names and rows, side by side; after the first run also how many rows are new."""
    if not found:
        return []
    marks = ["" if is_first or not table.new else f"{table.new:+,}" for table in found]
    cells = [(table.name, _count(table.rows), mark) for table, mark in zip(found, marks, strict=True)]
    said = "rows" if is_first else "rows and how many are new"
    return ["", f"Further tables in schema {schema}, with their {said}:", *_side_by_side(cells, WIDTH)]


def _side_by_side(cells: Sequence[Sequence[str]], width: int) -> list[str]:
    """
    As many columns of cells as fit, filled one after another, as `ls` does. A cell is a name, and numbers.

    >>> _side_by_side([("alerts", "16", "+2"), ("keys", "7", ""), ("accounts", "4", "")], 32)
    ['  alerts  16  +2    accounts  4', '  keys     7']
    """
    for columns in range(len(cells), 0, -1):
        height = -(-len(cells) // columns)
        blocks = [_block(cells[i : i + height]) for i in range(0, len(cells), height)]
        lines = ["    ".join(row).rstrip() for row in zip_longest(*blocks, fillvalue="")]
        if max(map(len, lines)) <= width - 2:
            break
    return [f"  {line}" for line in lines]


def _block(cells: Sequence[Sequence[str]]) -> list[str]:
    """One column of cells, all of one width."""
    name, *numbers = (max(map(len, column)) for column in zip(*cells, strict=True))
    return [
        "  ".join([cell[0].ljust(name), *(text.rjust(wide) for text, wide in zip(cell[1:], numbers) if wide)])
        for cell in cells
    ]


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """
    Columns as wide as their widest cell; those of numbers to the right.

    >>> _grid(("table", "rows"), [("calls", "1,200"), ("messages", "7")])
    ['  table      rows', '  calls     1,200', '  messages      7']
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    right = [bool(rows) and all(re.fullmatch(r"[\d,?]+", row[i]) for row in rows) for i in range(len(head))]
    return [
        "  " + "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in [head, *rows]
    ]
