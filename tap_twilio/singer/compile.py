"""
Compile each stream's schema and selection into one plain function, which converts a row to a record.

`Recorder` (records.py) compiles it at a stream's first row, and turns the function's records into JSON for the table
(tables/table.py). `_source` writes the function's Python source, so that no row needs a look-up in the schema: its
doctest shows an example. The function converts a value only if nothing is lost. Any other value that does not fit the
schema is an error or is written as null, and counted; never a guess.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tap_twilio.errors import InvalidRecord
from tap_twilio.timestamps import DATES, DAYS, ISO_DAYS, ISO_SECONDS, MINUTES, SECONDS, is_day
from tap_twilio.twilio.request import Row
from tap_twilio.twilio.response import BIGINT, Sanitized

from .numbers import PRECISION, SCALE, Decimals, Integers, Numbers, SqlDecimals, to_json
from .options import DECIMAL_FORMATS, UNKNOWN, is_decimal, is_secret, unknown_text

Record = dict[str, Any]
Compiled = Callable[[Row], Record]

Note = tuple[str, bool]  # a property whose value was replaced: True if it was sanitized, False if it became null

MAX_NAMES = 100  # unknown properties that are counted by name, so that strange responses cannot fill the memory
# Kinds of text: a timestamp, a day, the JSON of any value, a decimal number.
FORMATS = ("date-time", "date", "json", *DECIMAL_FORMATS.values())


# A row --------------------------------------------------------------------------------------------------------------


@dataclass
class Drift:
    """Counts the values of a stream's rows that its schema does not expect."""

    stream: str
    unknown: Counter[str] = field(default_factory=Counter)  # property -> rows that had it
    kept: Counter[str] = field(default_factory=Counter)  # the same, if they go to the column unknown_properties
    nulled: Counter[str] = field(default_factory=Counter)  # property -> values that did not fit, written as null
    sanitized: Counter[str] = field(default_factory=Counter)  # property -> values that were written as `Sanitized`
    notes: list[Note] = field(default_factory=list)  # of the current row, counted if its record is written

    def count(self, notes: Iterable[Note]) -> None:
        """Count the replaced values of a record that is written."""
        for name, sanitized in notes:
            (self.sanitized if sanitized else self.nulled)[name] += 1

    def see_unknown(self, names: Iterable[str], kept: bool = False) -> None:
        """Count unknown properties of a row. `kept`: they are written to the column unknown_properties."""
        seen = self.kept if kept else self.unknown
        for name in names:
            if name in seen or len(seen) < MAX_NAMES:
                seen[name] += 1

    def summary(self) -> list[str]:
        """Return lines for the log; none if every value was as expected."""
        lines = []
        if self.unknown:
            lines.append(f"{self.stream}: properties not in the schema, dropped: {_counts(self.unknown, 'rows')}")
        if self.kept:
            lines.append(f"{self.stream}: properties not in the schema, in {UNKNOWN}: {_counts(self.kept, 'rows')}")
        if self.nulled:
            lines.append(f"{self.stream}: values that do not fit, written as null: {_counts(self.nulled, 'values')}")
        if self.sanitized:
            replaced = "replaced invalid characters (NUL, lone surrogates) by U+FFFD"
            lines.append(f"{self.stream}: {replaced} in {_counts(self.sanitized, 'values')}")
        return lines


def _counts(counter: Counter[str], unit: str) -> str:
    names = ((name if name.isidentifier() else ascii(name)[:60], n) for name, n in sorted(counter.items()))
    return ", ".join(f"{name} ({n} {unit})" for name, n in names)


@dataclass(frozen=True)
class _Fallbacks:
    """Converts the values that a compiled function does not expect."""

    stream: str
    properties: dict[str, Any]
    key: Collection[str]
    on_invalid: str
    drift: Drift

    def replacement_for(self, row: Row, name: str) -> Any:
        """Return the value to write instead of one that does not fit. Raises InvalidRecord if there is none."""
        value, kind = row.get(name), _kind(self.properties[name])
        if value and isinstance(value, Sanitized) and _fits(value, kind):
            self.drift.notes.append((name, True))
            return value
        if name in self.key or self.on_invalid != "null":
            hint = "" if name in self.key else " (on_invalid: null would write null)"
            raise InvalidRecord(_misfit_message(self.stream, self.properties[name], row, name) + hint)
        self.drift.notes.append((name, False))
        return None

    def json_text(self, name: str, value: Any) -> str:
        """Return a value as JSON text, and text unchanged."""
        if isinstance(value, Sanitized):
            self.drift.notes.append((name, True))
        return str(value) if isinstance(value, str) else without_password(to_json(value).decode())

    def unknown(self, row: Row, names: Set[str]) -> str | None:
        """Return the properties of a row that the schema does not know, as JSON text."""
        secret = {name for name in names if is_secret(name)}
        self.drift.see_unknown(secret)
        self.drift.see_unknown(names - secret, kept=True)
        if any(isinstance(row[name], Sanitized) for name in names - secret):
            self.drift.notes.append((UNKNOWN, True))
        text = unknown_text(row, names)
        return without_password(text) if text else None

    def other_date(self, row: Row, name: str) -> str | None:
        """Parse a date that came in an unusual form, and return it in the record's form."""
        try:
            return DATES[row[name]]  # type: ignore[no-any-return]
        except (ValueError, TypeError, LookupError):
            return self.replacement_for(row, name)  # type: ignore[no-any-return]


def compile_record(
    stream: str,
    schema: dict[str, Any],
    selected: Collection[str],
    *,
    key: Collection[str] = ("sid",),
    on_invalid: str = "fail",
    drift: Drift | None = None,
    decimals: str = "number",
    dropped: Collection[str] = (),
) -> Compiled:
    """
    Return the function that converts a row to its record, without `received_at`, which is added last.

    A record has all selected properties in the schema's order, since targets may load by position. Missing values are
    null.
    Args: `schema` is the stream's whole schema, of which `selected` and `key` go into the record; `on_invalid` is
        "fail" or "null"; `drift` counts; `decimals` is "number", "text" or "singer"; `dropped` are never written.
    The function raises InvalidRecord for a value that does not fit; with "null", only for one of the key.
    """
    properties = schema["properties"]
    known = frozenset(properties).union(dropped) - {"received_at"}
    columns = {name: column for name, column in properties.items() if name in selected or name in key}
    columns.pop("received_at", None)
    if kind := DECIMAL_FORMATS.get(decimals):
        columns.update({name: {**column, "format": kind} for name, column in columns.items() if is_decimal(column)})
    drift = drift if drift is not None else Drift(stream)
    fallbacks = _Fallbacks(stream, {**properties, **columns}, key, on_invalid, drift)
    scope = _scope(fallbacks, known)
    exec(_source(columns, known - frozenset(dropped), key, UNKNOWN in selected), scope)  # noqa: S102  # only the templates below and names of our own schemas
    return scope["record"]  # type: ignore[no-any-return]  # exec has no types


def _scope(fallbacks: _Fallbacks, known: Set[str]) -> dict[str, Any]:
    """Return the names that a compiled function can use."""
    return {
        **_SCOPE,
        "known": known,
        "see_unknown": fallbacks.drift.see_unknown,
        "unknown": fallbacks.unknown,
        "replacement_for": fallbacks.replacement_for,
        "other_date": fallbacks.other_date,
        "json_text": fallbacks.json_text,
        "integers": Integers(),
        "numbers": Numbers(),
        "decimals": Decimals(),
        "sql_decimals": SqlDecimals(),
    }


def _source(columns: dict[str, Any], known: Collection[str], key: Collection[str], keeps_unknown: bool = False) -> str:
    """
    Return the function's source. `columns` are a record's properties, `known` the properties that a row should have.

    With `keeps_unknown`, the record also has the row's unknown properties.

    >>> print(_source({"sid": {"type": "string"}, "paid": {"type": ["null", "boolean"]}}, ["sid", "paid"], ["sid"]))
    def record(row):
        try:
            value_1 = row['paid']
            value_0 = row['sid']
            all_known = len(row) == 2
        except KeyError:
            get = row.get
            value_0 = get('sid')
            value_1 = get('paid')
            all_known = row.keys() <= known
        if not all_known:
            see_unknown(row.keys() - known)
        if value_0.__class__ is not str or not value_0:
            replacement_for(row, 'sid')
        if value_1 is not None and not (value_1.__class__ is bool):
            value_1 = None if value_1 == '' else replacement_for(row, 'paid')
        return {
            'sid': value_0,
            'paid': value_1,
        }
    """
    values = {name: f"value_{index}" for index, name in enumerate(columns)}

    def step(template: str, name: str) -> list[str]:
        return template.replace("NAME", repr(name)).replace("VALUE", values[name]).strip("\n").splitlines()

    # The fastest test for unknown properties: a row with all known ones, and as many properties as these, has none.
    lines = ["def record(row):", "    try:"]
    lines += [f"        {values.get(name, '_')} = row[{name!r}]" for name in sorted(known)]
    lines += [f"        all_known = len(row) == {len(known)}", "    except KeyError:", "        get = row.get"]
    lines += [f"        {value} = get({name!r})" for name, value in values.items()]
    lines += ["        all_known = row.keys() <= known"]
    lines += ["    rest = None"] if keeps_unknown else []
    see = "rest = unknown(row, " if keeps_unknown else "see_unknown("
    lines += ["    if not all_known:", f"        {see}row.keys() - known)"]
    texts = [name for name in values if name not in key and _kind(columns[name]) == "string"]
    if texts:
        lines += _ALL_TEXT.replace("VALUES", "".join(f"{values[name]}, " for name in texts)).strip("\n").splitlines()
    for name in texts:
        lines += ["    " + line for line in step(_STEPS["string"], name)]
    for name in values:
        kind = _kind(columns[name])
        if name in key and kind in ("string", "date"):
            lines += step(_KEY, name)
        elif name not in texts:
            lines += step(_STEPS[kind], name)
            lines += step(_PRESENT, name) if name in key else []
        elif name.endswith("_url") or "callback" in name or name == "target":
            lines += step(_ADDRESS, name)
    lines += ["    return {"] + [f"        {name!r}: {values[name]}," for name in columns]
    lines += [f"        {UNKNOWN!r}: rest,"] if keeps_unknown else []
    lines += ["    }"]
    return "\n".join(lines)


def _kind(schema: dict[str, Any]) -> str:
    """Return the key of a property in `_STEPS`: its type or format; for arrays, `strings` or `objects`."""
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    (kind,) = [name for name in types if name != "null"]
    if kind == "array":
        return f"{schema['items']['type']}s"
    return str(schema["format"]) if schema.get("format") in FORMATS else str(kind)


def _fits(value: Any, kind: str) -> bool:
    """Return whether a `Sanitized` value fits its kind. `_STEPS` compare classes, so they refuse this subclass."""
    if kind in ("strings", "objects"):
        return isinstance(value, list) and all(_fits(item, kind[:-1]) for item in value)
    return isinstance(value, {"string": str, "object": dict}.get(kind, ()))


_USERINFO = re.compile(r"(\b\w+://)[^/?#\s\"]*@")
_SIP_PASSWORD = re.compile(r"(\bsips?:[^:@\s\"]*):[^@\s\"]*@")


def without_password(address: str) -> str:
    """
    Return an address, or JSON text with addresses, without its users and passwords.

    >>> without_password("https://me:secret@example.com/sms?to=a@b"), without_password("https://example.com/?to=a@b")
    ('https://***@example.com/sms?to=a@b', 'https://example.com/?to=a@b')
    >>> without_password("sip:desk:secret@example.com"), without_password('{"url": "http://me@example.com"}')
    ('sip:desk:***@example.com', '{"url": "http://***@example.com"}')
    """
    return _SIP_PASSWORD.sub(r"\1:***@", _USERINFO.sub(r"\1***@", address))


# Names that every compiled function can use.
_SCOPE: dict[str, Any] = {
    "TEXT": frozenset((str, type(None))),
    "NUMERIC": frozenset((int, float, Decimal)),
    "BIGINT": BIGINT,
    "is_day": is_day,
    "without_password": without_password,
    "to_json": to_json,
    "days": DAYS,
    "iso_days": ISO_DAYS,
    "iso_seconds": ISO_SECONDS,
    "minutes": MINUTES,
    "seconds": SECONDS,
}

# Each property is a local variable, converted in place. Most are text: one test covers them all, and each is tested
# separately only if that test fails.
_ALL_TEXT = """
    if not TEXT.issuperset(map(type, (VALUES))):
"""
_KEY = """
    if VALUE.__class__ is not str or not VALUE:
        replacement_for(row, NAME)
"""
_PRESENT = """
    if VALUE is None:
        replacement_for(row, NAME)
"""
_ADDRESS = """
    if VALUE and '@' in VALUE:
        VALUE = without_password(VALUE)
"""
_DATE = """
    if VALUE is not None:
        try:
            if VALUE[10:11] == "T":
                VALUE = f"{iso_days[VALUE[:11]]}{minutes[VALUE[11:17]]}{iso_seconds[VALUE[17:]]}"
            else:
                VALUE = f"{days[VALUE[:17]]}{minutes[VALUE[17:23]]}{seconds[VALUE[23:]]}"
        except (ValueError, TypeError, LookupError):
            VALUE = other_date(row, NAME)
"""
_JSON = """
    if VALUE is not None and VALUE.__class__ is not str:
        VALUE = json_text(NAME, VALUE)
"""
_IF_FITS = """
    if VALUE is not None and not (FITS):
        VALUE = None if EMPTY else replacement_for(row, NAME)
"""
_FROM_TEXT = """
    if VALUE.__class__ is str:
        try:
            VALUE = CACHE[VALUE]
        except ValueError:
            VALUE = replacement_for(row, NAME)
    elif VALUE is not None and not (FITS):
        VALUE = replacement_for(row, NAME)
"""
_DECIMAL = """
    if VALUE is not None:
        try:
            VALUE = decimals[VALUE if VALUE.__class__ is str else to_json(VALUE).decode()]
        except (ValueError, TypeError):
            VALUE = replacement_for(row, NAME)
"""


def _if_fits(fits: str, empty: str = "VALUE == ''") -> str:
    return _IF_FITS.replace("FITS", fits).replace("EMPTY", empty)


def _from_text(fits: str, cache: str) -> str:
    return _FROM_TEXT.replace("FITS", fits).replace("CACHE", cache)


# The steps compare classes: isinstance would take true for an integer, and is slower.
_STEPS = {
    "string": _if_fits("VALUE.__class__ is str", empty="False"),
    "json": _JSON,
    "date": _if_fits("VALUE.__class__ is str and is_day(VALUE)"),
    "boolean": _if_fits("VALUE.__class__ is bool"),
    "object": _if_fits("VALUE.__class__ is dict"),
    "objects": _if_fits("VALUE.__class__ is list and all(item.__class__ is dict for item in VALUE)"),
    "strings": _if_fits("VALUE.__class__ is list and all(item.__class__ is str for item in VALUE)"),
    "integer": _from_text("VALUE.__class__ is int and -BIGINT <= VALUE <= BIGINT", cache="integers"),
    "number": _from_text("VALUE.__class__ in NUMERIC", cache="numbers"),
    "decimal": _DECIMAL,
    "x-singer.decimal": _DECIMAL.replace("decimals[", "sql_decimals["),
    "date-time": _DATE,
}
_EXPECTED = {
    "string": "text",
    "boolean": "true or false",
    "object": "an object",
    "objects": "an array of objects",
    "strings": "an array of text",
    "integer": "a whole number of 64 bits",
    "number": "a number",
    "decimal": "a number",
    "x-singer.decimal": f"a number of at most {PRECISION - SCALE} digits before the point and {SCALE} after it",
    "date-time": "a date with a time and a zone",
    "date": "a day, as 2026-01-31",
    "json": "anything",
}
_SEEN = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    Decimal: "a number",
    list: "an array",
    dict: "an object",
}


def _misfit_message(stream: str, schema: dict[str, Any], row: Row, name: str) -> str:
    """Return the error text: which value does not fit. The value is left out, since it may be personal data."""
    value, kind = row.get(name), _kind(schema)
    if value is None:
        seen = "null" if name in row else "missing"
    elif isinstance(value, str):
        seen = "empty" if not value else "other text"
    else:
        seen = _SEEN.get(type(value), "something else")
        seen = "another number" if kind in ("integer", "x-singer.decimal") and seen == "a number" else seen
        seen = "an array of other things" if kind in ("strings", "objects") and seen == "an array" else seen
    return f"{stream} {sid_of(row)}: {name} should be {_EXPECTED[kind]}, but is {seen}"


def sid_of(row: Row) -> str:
    """Return the row's sid, for a message."""
    sid = row.get("sid")
    return sid if isinstance(sid, str) and re.fullmatch("[A-Za-z0-9]{1,64}", sid) else "without a readable sid"
