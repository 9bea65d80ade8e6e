"""The text and the hash of a row: each database computes what Python does, each statement is one of its dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import sqlglot

from tap_twilio.audit.canonical import Column, Comparison, compile_texts, hash_of
from tap_twilio.audit.dialects import DIALECTS, PARTS, Dialect
from testing.warehouse import Warehouse

COLUMNS = (
    Column("sid", "sid", "text"),
    Column("account_sid", "account_sid", "text"),
    Column("at", "at", "text"),
    Column("price", "price", "decimal", "number"),
    Column("segments", "segments", "integer", "integer"),
    Column("cached", "cached", "boolean", "boolean"),
    Column("date_created", "date_created", "timestamp"),
    Column("date_updated", "date_updated", "timestamptz"),
    Column("day", "day", "date", is_day=True),
)
MESSAGES = Comparison("messages", "messages", COLUMNS, ("sid",), "date_created", True)
UNDATED = Comparison("messages", "messages", COLUMNS, ("sid", "account_sid"), None, True)
TYPES = ("text", "text", "text", "numeric(38, 9)", "bigint", "boolean", "timestamp", "timestamptz", "date")
TEXTS = (
    "",
    "plain",
    'it\'s "quoted"',
    "back\\slash\\n",
    "line\nbreak\ttab",
    "emoji 🎉",
    "e\u0301 combined",
    "\x7f",
    "%d :x",
)
PRICES = ("-0.00750", "0", "-0.0", "100", "1E-9", "12345678901234567890.123456789", None)
DATES = ("2026-01-31T23:59:59.999999Z", "1999-12-31T00:00:00.000000Z", None)


def rows() -> Iterator[dict[str, Any]]:
    """Awkward rows: each text, price, date, boolean and null is in some."""
    for index in range(200):
        yield {
            "sid": f"SM{index:032x}",
            "account_sid": f"AC{index % 3}" if index % 7 else None,
            "at": TEXTS[index % len(TEXTS)] if index % 5 else None,
            "price": PRICES[index % len(PRICES)],
            "segments": index * 10 if index % 4 else None,
            "cached": (True, False, None)[index % 3],
            "date_created": DATES[index % 2] if index % 11 else DATES[2],
            "date_updated": DATES[(index + 1) % 3],
            "day": "2026-02-28" if index % 2 else None,
        }


def record(row: dict[str, Any]) -> bytes:
    """Return a row as the tap writes it: numbers with their digits."""
    text = json.dumps({**row, "price": "PRICE"}, ensure_ascii=False)
    return text.replace('"PRICE"', row["price"] or "null").encode()


def by_python(comparison: Comparison) -> set[tuple[Any, ...]]:
    texts, buckets = compile_texts(comparison), dict[tuple[str, str], list[int]]()
    for row in rows():
        text = texts(record(row))
        bucket = text.day if comparison.date else str(hash_of(text.key) % 256)
        sums = buckets.setdefault((text.account, bucket), [0, 0, 0])
        for index, number in enumerate((1, hash_of(text.key), hash_of(text.row))):
            sums[index] += number
    return {("messages", *bucket, *sums) for bucket, sums in buckets.items()}


def load(execute: Callable[..., Any], table: str, mark: str) -> None:
    columns = ", ".join(f'"{column.name}" {kind}' for column, kind in zip(COLUMNS, TYPES))
    execute(f"create table {table} ({columns})")
    for row in rows():
        values = [Decimal(value) if name == "price" and value else value for name, value in row.items()]
        execute(f"insert into {table} values ({', '.join([mark] * len(values))})", values)


@pytest.mark.parametrize("comparison", [MESSAGES, UNDATED], ids=["by day", "by key"])
@pytest.mark.parametrize("database", ["postgres", "duckdb"])
def test_a_database_computes_the_same_sums(warehouse: Warehouse, database: str, comparison: Comparison) -> None:
    """Of nulls, quotes, emoji, control characters, nine decimals and both kinds of timestamps."""
    schema = f"sums_{comparison.date}".lower()
    statement = Dialect(database).sums(comparison, f'"{schema}"."messages"')
    if database == "postgres":
        warehouse.query(f"create schema {schema}")
        load(lambda query, values=(): warehouse.query(query, *values), f"{schema}.messages", "%s")
        found = {tuple(row.values()) for row in warehouse.query(statement.replace("%", "%%"))}
    else:
        connection = duckdb.connect()
        connection.execute("set timezone = 'Asia/Tokyo'")  # the session's zone must not matter
        connection.execute(f"create schema {schema}")
        load(connection.execute, f"{schema}.messages", "?")
        found = set(connection.execute(statement).fetchall())

    assert {tuple(int(value) if isinstance(value, Decimal) else value for value in row) for row in found} == by_python(
        comparison
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_is_one_of_its_dialect(dialect: str) -> None:
    sql = Dialect(dialect)
    for comparison in (MESSAGES, UNDATED):
        for statement in (
            sql.sums(comparison, "twilio.messages"),
            sql.details(comparison, "twilio.messages", [("AC1", "2026-01-01")], PARTS - 1),
            sql.by_key(comparison, "twilio.messages", ["it's", "back\\slash"]),
        ):
            parsed = sqlglot.parse_one(statement, read=dialect)
            assert parsed.key == "select" and not list(parsed.find_all(sqlglot.exp.Insert, sqlglot.exp.Delete))


def test_a_column_that_holds_other_values_is_not_compared() -> None:
    """Floats round, JSON is written in another form, and an array's text is the target's own."""
    types = [
        "double precision",
        "real",
        "float",
        "double",
        "jsonb",
        "variant",
        "ARRAY",
        "varchar[]",
        "time",
        "interval",
    ]
    assert [Dialect(dialect).kind(name) for dialect in DIALECTS for name in types] == [""] * len(types) * len(DIALECTS)
