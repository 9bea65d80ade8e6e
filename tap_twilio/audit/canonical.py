"""
Turn records into the text that every database can compute too, and hash it.

twilio_side.py calls the compiled function for each record that a sync would write; dialects.py writes the same as SQL.
The text of a row is its compared properties in the schema's order, joined by U+001F, with U+001E for null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from hashlib import md5
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from msgspec.json import Decoder

from tap_twilio.timestamps import Cache

SEPARATOR, NULL = "\x1f", "\x1e"
# Python's own MD5 takes half the time of OpenSSL's, which hashlib prefers.
_md5: Any = import_module("_md5").md5 if find_spec("_md5") else partial(md5, usedforsecurity=False)
BUCKETS = 256  # of a table whose rows have no date
MIDNIGHT = "T00:00:00.000000Z"


@dataclass(frozen=True)
class Column:
    """A compared property, and the warehouse's column for it."""

    property: str
    name: str  # in the warehouse
    kind: str  # text, decimal, integer, boolean, timestamp, timestamptz or date: the column's type
    type: str = "string"  # the property's type by the schema
    is_day: bool = False  # the property is a day without a time


@dataclass(frozen=True)
class Comparison:
    """What is compared of one stream: its columns, and how its rows are divided into buckets."""

    stream: str
    table: str  # in the warehouse
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    date: str | None  # the property whose UTC day is the bucket; None: 256 buckets by the hash of the key
    has_account: bool
    left_out: Mapping[str, str] = field(default_factory=dict)  # property -> why it is not compared

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.property == name)

    @property
    def changed(self) -> list[str]:
        """Return the properties that show how old a row, or its last change, is."""
        names = {column.property for column in self.columns if column.kind != "date"}
        return [name for name in ("date_created", "date_updated") if name in names]


class Texts(NamedTuple):
    """A record as text."""

    key: str
    row: str
    account: str
    day: str  # "" for a row without a date
    changed: str  # the newest of its dates, "" without one


def digits_of(text: str) -> str:
    """
    Return the hash that every dialect computes, as hexadecimal digits.

    >>> digits_of("abc") == "900150983cd24fb0d6963f7d28e17f72"[17:]
    True
    """
    return str(_md5(text.encode()).hexdigest()[17:])


def hash_of(text: str) -> int:
    """Return the hash that every dialect computes."""
    return int(digits_of(text), 16)


def decimal_text(text: Any) -> str:
    """
    Return a decimal number without an exponent and without trailing zeros.

    >>> decimal_text("-0.00750"), decimal_text("1E-7"), decimal_text(100), decimal_text("-0.0")
    ('-0.0075', '0.0000001', '100', '0')
    """
    plain = format(Decimal(text), "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("", "-", "-0") else plain


class _Decimals(Cache):
    def __missing__(self, text: str) -> str:
        return self.keep(text, decimal_text(text))  # type: ignore[no-any-return]


def value_text(value: Any, column: Column) -> str:
    """Return a value of a record as the text that the warehouse's column gives."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if column.kind == "decimal":
        return decimal_text(value)
    return f"{value}{MIDNIGHT}" if column.is_day and column.kind.startswith("timestamp") else str(value)


_BOOLEANS = {None: NULL, True: "true", False: "false"}


def compile_texts(comparison: Comparison) -> Callable[[bytes], Texts]:
    """Return the function that turns a record, as JSON, into its texts. It is compiled, since it runs for each row."""
    decimals = _Decimals()
    values = {column.property: f"v{index}" for index, column in enumerate(comparison.columns)}
    lines = ["def texts(record):", "    row = decode(record)"]
    for column in comparison.columns:
        lines += [f"    {values[column.property]} = row[{column.property!r}]"]
    expressions = {column.property: _expression(column, values[column.property]) for column in comparison.columns}
    dates = [f"{values[name]} or ''" for name in comparison.changed]
    day = f"({values[comparison.date]} or '')[:10]" if comparison.date else "''"
    changed = f"max({', '.join(dates)})" if len(dates) > 1 else (dates or ["''"])[0]
    account = f"{values['account_sid']} or ''" if comparison.has_account else "''"
    key, row = _join(expressions[name] for name in comparison.key), _join(expressions.values())
    lines += [f"    return make(Texts, ({key}, {row}, {account}, {day}, {changed}))"]
    scope: dict[str, Any] = {
        "decode": Decoder(float_hook=decimals.__getitem__).decode,
        "make": tuple.__new__,
        "Texts": Texts,
        "value_text": value_text,
        "booleans": _BOOLEANS,
        **{f"c{values[column.property]}": column for column in comparison.columns},
    }
    exec("\n".join(lines), scope)  # noqa: S102  # only the templates of this file and names of our own schemas
    return scope["texts"]  # type: ignore[no-any-return]  # exec has no types


def _join(expressions: Any) -> str:
    parts = list(expressions)
    return parts[0] if len(parts) == 1 else f"{SEPARATOR!r}.join(({', '.join(parts)}))"


def _expression(column: Column, value: str) -> str:
    """Return the source of a value's text. The usual pairs of property and column need no call."""
    pair = (column.type, column.kind)
    if column.type == "string" and column.kind != "decimal" and not column.is_day:
        return f"({NULL!r} if {value} is None else {value})"
    if pair in (("integer", "integer"), ("number", "decimal"), ("integer", "decimal")):
        return f"({NULL!r} if {value} is None else str({value}))"
    if pair == ("boolean", "boolean"):
        return f"booleans[{value}]"
    return f"value_text({value}, c{value})"
