"""Raw JSON to Singer records: a page's bytes to Python, a row to its record, records to RECORD lines.

Each stream's schema and selection are compiled once into one plain function, so that no property is looked up
in a schema while rows pass. A value is converted only where that loses nothing; any other value that does not fit
its schema is an error or a counted null, never a guess. Nothing here knows what Twilio's rows mean.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson

from tap_twilio.errors import InvalidRecord

Row = dict[str, Any]
Record = dict[str, Any]
Compiled = Callable[[Row, str], Record]

BIGINT = 2**63 - 1  # what Postgres, Snowflake and BigQuery can hold
CACHE_SIZE = 20_000  # entries of each cache of converted strings: 3 MB at most
NAMES_KEPT = 100  # unknown properties that are told apart, so that odd answers cannot fill the memory


# Dates --------------------------------------------------------------------------------------------------------------

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RFC_2822 = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?([0-9]{1,2}) ([A-Z][a-z]{2}) ([0-9]{4})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) (?:([+-])([0-9]{2})([0-9]{2})|GMT|UTC?|Z)"
)
_ISO_8601 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r"(?:([+-])([0-9]{2}):?([0-9]{2})|[Zz])"
)


def iso(text: str) -> str:
    """
    A moment as `YYYY-MM-DDTHH:MM:SS.ffffffZ` in UTC, so that text order is the order of time.

    Takes RFC 2822, as the classic API writes, and ISO 8601; what is finer than a microsecond is cut off.
    Raises: ValueError if it is neither, has no zone, or is no date of the calendar.

    >>> iso("Tue, 31 Aug 2010 20:36:28 +0000"), iso("2026-03-01T09:00:00.5+01:00")
    ('2010-08-31T20:36:28.000000Z', '2026-03-01T08:00:00.500000Z')
    """
    if match := _RFC_2822.fullmatch(text):
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
        month, fraction = _MONTHS.index(month) + 1, ""  # ValueError, if there is no such month
    elif match := _ISO_8601.fullmatch(text):
        year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    else:
        raise ValueError("not a date with a time and a zone")
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    microsecond = int((fraction or "").ljust(6, "0")[:6])
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), microsecond, zone)
        return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    except OverflowError:
        raise ValueError("a date outside the calendar") from None


class _Cache(dict[str, Any]):
    """Converted strings, bounded. What a subclass cannot convert raises ValueError or TypeError."""

    def keep(self, text: str, value: Any) -> Any:
        if len(self) >= CACHE_SIZE:
            self.clear()
        self[text] = value
        return value


# The classic form in three look-ups, as most dates are new ones: `Tue, 31 Aug 2010 `, `20:36:` and `28 +0000`.
_MINUTES = {f"{hour:02}:{minute:02}:": f"{hour:02}:{minute:02}:" for hour in range(24) for minute in range(60)}
_SECONDS = {f"{second:02} +0000": f"{second:02}.000000Z" for second in range(60)}


class _Days(_Cache):
    def __missing__(self, text: str) -> str:
        return self.keep(text, iso(f"{text}00:00:00 +0000")[:11])  # type: ignore[no-any-return]  # values are Any


class _Dates(_Cache):
    """`iso` of any form; "" is null."""

    def __missing__(self, text: str) -> str | None:
        return self.keep(text, iso(text) if text else None)  # type: ignore[no-any-return]


_DAYS, _DATES = _Days(), _Dates()


def date(text: str) -> str | None:
    """`iso`, some ten times as fast where there are many; "" is null. Raises ValueError, LookupError."""
    if text[25:] == " +0000":
        return f"{_DAYS[text[:17]]}{_MINUTES[text[17:23]]}{_SECONDS[text[23:]]}"
    return _DATES[text]  # type: ignore[no-any-return]


# Numbers ------------------------------------------------------------------------------------------------------------

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))([eE][+-]?[0-9]{1,3})?")


class _Integers(_Cache):
    """A whole number written as text."""

    def __missing__(self, text: str) -> int | None:
        if text and (not _INTEGER.fullmatch(text) or abs(int(text)) > BIGINT):
            raise ValueError("not a whole number of 64 bits")
        return self.keep(text, int(text) if text else None)  # type: ignore[no-any-return]


class _Numbers(_Cache):
    """A decimal number written as text, to JSON digits of the same value: a float would round it."""

    def __missing__(self, text: str) -> orjson.Fragment | None:
        return self.keep(text, orjson.Fragment(_json_number(text)) if text else None)  # type: ignore[no-any-return]


def _json_number(text: str) -> str:
    """
    The same number in JSON's grammar. Raises ValueError where it is none, or is too large for any reader.

    >>> _json_number("-0.00750"), _json_number("+.5"), _json_number("01.")
    ('-0.00750', '0.5', '1')
    """
    match = _NUMBER.fullmatch(text)
    if not match or float(text) in (float("inf"), float("-inf")):
        raise ValueError("not a decimal number")
    sign, whole, fraction, bare_fraction, exponent = match.groups()
    digits = (whole or "").lstrip("0") or "0"
    fraction = fraction or bare_fraction
    return f"{'-' if sign == '-' else ''}{digits}{'.' + fraction if fraction else ''}{exponent or ''}"


# A page -------------------------------------------------------------------------------------------------------------

_NUL = re.compile(rb"\\u0000")  # twice as fast as `in`, since backslashes are few
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# A number with more digits than a float keeps, found in two steps: the first is quick, and certain where it says no.
_SHAPE = bytes.maketrans(b"0123456789.eE+-\n\r\t :,[", b"0" * 15 + b":" * 7)
_LONG = b":" + b"0" * 17
_LONG_NUMBER = re.compile(rb'(?:"\s*:|[\[,])\s*-?[0-9][0-9.eE+-]{15,}\s*[,}\]]')


class Mended:
    """A value in which NUL, which Postgres refuses, or lone surrogates became U+FFFD: counted where it is written."""

    __slots__ = ()


class MendedText(Mended, str):
    __slots__ = ()


class MendedObject(Mended, dict[str, Any]):
    __slots__ = ()


class MendedArray(Mended, list[Any]):
    __slots__ = ()


def parse(body: bytes) -> Any:
    """
    JSON to Python. What no database stores is replaced; a value that held any of it is `Mended`.

    What orjson refuses, `json` may read: raw control characters, lone surrogates. A number that a float cannot hold
    comes as Decimal, one of more than 64 bits too. A byte order mark at the start is no part of it.
    Raises: ValueError if neither reads it, or it is nested beyond reason.
    """
    body = body.removeprefix(BOM_UTF8)
    try:
        if not (_LONG in body.translate(_SHAPE) and _LONG_NUMBER.search(body)):
            value = orjson.loads(body)
            return _mended(value) if _NUL.search(body) else value
    except orjson.JSONDecodeError:
        pass
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    try:
        return _mended(
            json.loads(
                body.decode(), strict=False, parse_float=_exact, parse_int=_exact_int, parse_constant=_refuse_constant
            )
        )
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except ArithmeticError:
        raise ValueError("a number in JSON is out of range") from None


def _exact(digits: str) -> float | Decimal:
    short, exact = float(digits), Decimal(digits)
    return short if Decimal(repr(short)) == exact else exact


def _exact_int(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < 19 or abs(int(digits)) <= BIGINT else Decimal(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        text, count = _UNSTORABLE.subn("\ufffd", value)
        return MendedText(text) if count else text
    if isinstance(value, dict):
        members = {_mended(name): _mended(item) for name, item in value.items()}
        if any(isinstance(one, Mended) for one in (*members, *members.values())):
            return MendedObject({str(name): item for name, item in members.items()})
        return members
    if isinstance(value, list):
        items = [_mended(item) for item in value]
        return MendedArray(items) if any(isinstance(item, Mended) for item in items) else items
    return value


# A row --------------------------------------------------------------------------------------------------------------


@dataclass
class Drift:
    """What one stream's rows had that its schema did not foresee."""

    stream: str
    unknown: Counter[str] = field(default_factory=Counter)  # property -> rows that had it
    nulled: Counter[str] = field(default_factory=Counter)  # property -> values that did not fit, written as null
    mended: Counter[str] = field(default_factory=Counter)  # property -> values that were written as `Mended`

    def see_unknown(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.unknown or len(self.unknown) < NAMES_KEPT:
                self.unknown[name] += 1

    def summary(self) -> list[str]:
        """Lines for the log; none where nothing was odd."""
        lines = []
        if self.unknown:
            lines.append(f"{self.stream}: properties not in the schema, dropped: {_counts(self.unknown, 'rows')}")
        if self.nulled:
            lines.append(f"{self.stream}: values that do not fit, written as null: {_counts(self.nulled, 'values')}")
        if self.mended:
            what = "NUL characters or lone surrogates became U+FFFD"
            lines.append(f"{self.stream}: {what} in {_counts(self.mended, 'values')}")
        return lines


def _counts(counter: Counter[str], unit: str) -> str:
    names = ((name if name.isidentifier() else ascii(name)[:60], n) for name, n in sorted(counter.items()))
    return ", ".join(f"{name} ({n} {unit})" for name, n in names)


def compile_record(
    stream: str,
    schema: dict[str, Any],
    selected: Collection[str],
    *,
    key: Collection[str] = ("sid",),
    on_invalid: str = "fail",
    drift: Drift | None = None,
) -> Compiled:
    """
    The function that makes a record of one of the stream's rows: `record(row, received_at)`.

    A record has all that is selected, in the schema's order, since targets may load by position: what the row does not
    have is null.
    Args: `schema` is the stream's whole schema, of which `selected` and `key` go into the record;
        `on_invalid` "fail" or "null"; `drift` is counted into.
    The function raises: InvalidRecord for a value that does not fit, with "null" only for a key.
    """
    drift = drift if drift is not None else Drift(stream)
    properties = schema["properties"]
    known = frozenset(properties) - {"received_at"}
    taken = [name for name in properties if name in selected or name in key]
    values = {name: f"value_{index}" for index, name in enumerate(taken) if name != "received_at"}

    def misfit(row: Row, name: str) -> Any:
        value, kind = row.get(name), _kind(properties[name])
        if value and isinstance(value, Mended) and _fits(value, kind):
            drift.mended[name] += 1
            return value
        if name in key or on_invalid != "null":
            hint = "" if name in key else " (on_invalid: null would write null)"
            raise InvalidRecord(_misfit(stream, properties[name], row, name) + hint)
        drift.nulled[name] += 1
        return None

    def other_date(row: Row, name: str) -> str | None:
        try:
            return _DATES[row[name]]  # type: ignore[no-any-return]
        except (ValueError, TypeError, LookupError):
            return misfit(row, name)  # type: ignore[no-any-return]

    def step(template: str, name: str) -> list[str]:
        return template.replace("NAME", repr(name)).replace("VALUE", values[name]).splitlines()

    # A row that has each known property, and as many as are known, has no other: quicker than to look at each.
    lines = ["def record(row, received_at):", "    try:"]
    lines += [f"        {values.get(name, '_')} = row[{name!r}]" for name in properties if name in known]
    lines += [f"        foreseen = len(row) == {len(known)}", "    except KeyError:", "        get = row.get"]
    lines += [f"        {value} = get({name!r})" for name, value in values.items()]
    lines += ["        foreseen = row.keys() <= known"]
    lines += ["    if not foreseen:", "        see_unknown(row.keys() - known)"]
    texts = [name for name in values if name not in key and _kind(properties[name]) == "string"]
    lines += _ALL_TEXT.replace("VALUES", "".join(f"{values[name]}, " for name in texts)).splitlines()
    for name in texts:
        lines += ["    " + line for line in step(_STEPS["string"], name)]
    for name in values:
        if name in key:
            lines += step(_KEY, name)
        elif name not in texts:
            lines += step(_STEPS[_kind(properties[name])], name)
    lines += ["    return {"] + [f"        {name!r}: {values.get(name, 'received_at')}," for name in taken] + ["    }"]
    scope: dict[str, Any] = {
        "known": known,
        "see_unknown": drift.see_unknown,
        "misfit": misfit,
        "other_date": other_date,
        "TEXT": frozenset((str, type(None))),
        "days": _DAYS,
        "minutes": _MINUTES,
        "seconds": _SECONDS,
        "integers": _Integers(),
        "numbers": _Numbers(),
        "NUMERIC": frozenset((int, float, Decimal)),
        "BIGINT": BIGINT,
    }
    exec("\n".join(lines), scope)  # noqa: S102  # only the templates below and names of our own schemas
    return scope["record"]  # type: ignore[no-any-return]  # exec has no types


def _kind(schema: dict[str, Any]) -> str:
    """How values are converted: by their type, or as `date-time`, or as `strings`, an array of them."""
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    (kind,) = [name for name in types if name != "null"]
    if kind == "array" and schema.get("items", {}).get("type") == "string":
        return "strings"
    return "date-time" if schema.get("format") == "date-time" else str(kind)


def _fits(value: Mended, kind: str) -> bool:
    """Whether a value is of its kind, which the steps below ask by class, and so deny."""
    if kind == "strings":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, {"string": str, "object": dict, "array": list}.get(kind, ()))


# Each property is a local variable, converted in place. Most are text, which is asked of all of them at once; only
# where one is no text, each is asked by itself.
_ALL_TEXT = """
    if not TEXT.issuperset(map(type, (VALUES))):
        pass
"""
_KEY = """
    if VALUE.__class__ is not str or not VALUE:
        misfit(row, NAME)
"""
_DATE = """
    if VALUE is not None:
        try:
            VALUE = f"{days[VALUE[:17]]}{minutes[VALUE[17:23]]}{seconds[VALUE[23:]]}"
        except (ValueError, TypeError, LookupError):
            VALUE = other_date(row, NAME)
"""
_TAKEN = """
    if VALUE is not None and not (FITS):
        VALUE = None if EMPTY else misfit(row, NAME)
"""
_WRITTEN = """
    if VALUE.__class__ is str:
        try:
            VALUE = CACHE[VALUE]
        except ValueError:
            VALUE = misfit(row, NAME)
    elif VALUE is not None and not (FITS):
        VALUE = misfit(row, NAME)
"""


def _taken(fits: str, empty: str = "VALUE == ''") -> str:
    return _TAKEN.replace("FITS", fits).replace("EMPTY", empty)


def _written(fits: str, cache: str) -> str:
    return _WRITTEN.replace("FITS", fits).replace("CACHE", cache)


# The class is compared, not asked by isinstance: to JSON, true is no integer. It is also the faster of the two.
_STEPS = {
    "string": _taken("VALUE.__class__ is str", empty="False"),
    "boolean": _taken("VALUE.__class__ is bool"),
    "object": _taken("VALUE.__class__ is dict"),
    "array": _taken("VALUE.__class__ is list"),
    "strings": _taken("VALUE.__class__ is list and all(item.__class__ is str for item in VALUE)"),
    "integer": _written("VALUE.__class__ is int and -BIGINT <= VALUE <= BIGINT", cache="integers"),
    "number": _written("VALUE.__class__ in NUMERIC", cache="numbers"),
    "date-time": _DATE,
}
_EXPECTED = {
    "string": "text",
    "boolean": "true or false",
    "object": "an object",
    "array": "an array",
    "strings": "an array of text",
    "integer": "a whole number of 64 bits",
    "number": "a number",
    "date-time": "a date with a time and a zone",
}
_SEEN = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    Decimal: "a number",
    list: "an array",
    dict: "an object",
}


def _misfit(stream: str, schema: dict[str, Any], row: Row, name: str) -> str:
    """What does not fit and where; never the value, which may be somebody's name or number."""
    value, kind = row.get(name), _kind(schema)
    if value is None:
        seen = "null" if name in row else "missing"
    elif isinstance(value, str):
        seen = "empty" if not value else "other text"
    else:
        seen = _SEEN.get(type(value), "something else")
        seen = "another number" if kind == "integer" and seen == "a number" else seen
        seen = "an array of other things" if kind == "strings" and seen == "an array" else seen
    return f"{stream} {_sid(row)}: {name} should be {_EXPECTED[kind]}, but is {seen}"


def _sid(row: Row) -> str:
    sid = row.get("sid")
    return sid if isinstance(sid, str) and re.fullmatch("[A-Za-z0-9]{1,64}", sid) else "without a readable sid"


def record_lines(
    rows: Iterable[Row],
    record: Compiled,
    stream: str,
    received_at: str,
    time_extracted: str,
    version: int | None = None,
) -> bytes:
    """
    The rows as RECORD messages, one line each. Dates are text as `iso` gives it.

    Raises: InvalidRecord for the first row that cannot be written; none of the others is, then.
    """
    versioned = b"" if version is None else b',"version":%d' % version
    before = b'{"type":"RECORD","stream":%s,"record":' % orjson.dumps(stream)
    after = b'%s,"time_extracted":%s}\n' % (versioned, orjson.dumps(time_extracted))
    records = []
    for row in rows:
        try:
            records.append(orjson.dumps(record(row, received_at), _decimal))
        except orjson.JSONEncodeError as error:  # nested deeper than 254 levels, a number beyond any reader
            raise InvalidRecord(f"{stream} {_sid(row)}: cannot be written as JSON: {error}") from None
    return before + (after + before).join(records) + after if records else b""


def _decimal(value: Any) -> orjson.Fragment:
    """For orjson, which does not know Decimal: the digits as they were."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return orjson.Fragment(_json_number(str(value)))
