"""
Describe the forms of an account's answers, for `--check --shapes FILE`.

run/check.py requests a page of each stream, and commands/check.py writes the description to the file. Users attach the
file to a public issue. So it must hold nothing of the account: no value, no SID, and no name of a property that the
schemas do not have, except a plain name at the top level of a row.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tap_twilio import __version__
from tap_twilio.errors import PartitionError, Refused
from tap_twilio.singer.catalog import load_schema
from tap_twilio.singer.compile import Drift, compile_record
from tap_twilio.streams import Stream
from tap_twilio.timestamps import Timestamp, timestamp_or_none
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Fetch, Page, Row

FORMAT = 1  # the version of the file's format
# The forms of text. The first that matches counts.
TEXTS = {
    "empty": r"",
    "RFC 2822": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000",
    "RFC 2822 with an offset": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
    "ISO 8601": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "ISO 8601 with fractions": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
    "ISO 8601 with an offset": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d",
    "day": r"\d{4}-\d\d-\d\d",
    "integer as text": r"-?\d{1,9}",
    "number as text": r"-?\d+\.\d+",
    "text": r"(?s).*",
}
# bool comes before int, of which it is a subclass.
KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    ((float, Decimal), "number"),
    (dict, "object"),
)
ABSENT = "absent"  # the form of a property that a row does not have
SHOWN_NAME = re.compile("[a-z_]{1,40}")  # names of other forms may be people's data
PAGING = {"Page", "PageSize", "PageToken"}  # parameters that Twilio adds to the address of a next page
TOKEN_PREFIXES = ("PA", "PB", "PT", "AP", "DN")  # with which Twilio's page tokens begin
NUMBERS = ("a number", "a number in base64")  # the forms of page tokens that name no row
TWILIO_CODES = range(10_000, 100_000)  # of errors; another number might be data of the account

Json = dict[str, Any]


@dataclass
class CheckedPage:
    """A request for the first page of a stream, and what came: the page as Twilio wrote it, or an error."""

    endpoint: ListEndpoint
    fetch: Fetch
    page: Page | None = None
    error: PartitionError | None = None


def shapes_of(checked_pages: Iterable[CheckedPage], now: Timestamp) -> Json:
    """Return the content of the file."""
    streams = {checked.endpoint.stream.name: _stream_shape(checked) for checked in checked_pages}
    return {"format": FORMAT, "tap_version": __version__, "month": now[:7], "streams": streams}


def as_text(shapes: Json) -> str:
    """Return the file as JSON, a stream a line."""
    head = json.dumps({name: value for name, value in shapes.items() if name != "streams"})
    streams = (f"{json.dumps(name)}: {json.dumps(shape)}" for name, shape in shapes["streams"].items())
    return head[:-1] + ', "streams": {\n' + ",\n".join(streams) + "\n}}\n"


def contradictions(shapes: Json) -> list[str]:
    """Return everything in the answers that the tap does not expect, for the terminal."""
    return [f"{name}: {text}" for name, shape in shapes["streams"].items() for text in shape.get("contradictions", ())]


def form_of(value: Any) -> str:
    """
    Return the form of a value.

    >>> [form_of(value) for value in (None, "", "2026-06-09", "-0.00750", 3, [], ["VP8"])]
    ['null', 'empty', 'day', 'number as text', 'integer', 'empty array', 'array of text']
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return next(form for form, pattern in TEXTS.items() if re.fullmatch(pattern, value))
    if isinstance(value, list):
        items = "objects" if value and isinstance(value[0], dict) else "text"
        items = items if not value or isinstance(value[0], (dict, str)) else "other values"
        return f"array of {items}" if value else "empty array"
    return next((form for kind, form in KINDS if isinstance(value, kind)), "something else")


# One stream ---------------------------------------------------------------------------------------------------------


def _stream_shape(checked: CheckedPage) -> Json:
    if checked.page is None:
        return _refusal(checked.error)
    rows, stream = checked.page.rows, checked.endpoint.stream
    known = load_schema(stream.name)["properties"].keys() - {"received_at", *stream.derived} | stream.hidden
    unknown = {name for row in rows for name in row} - known
    named = {name for name in unknown if SHOWN_NAME.fullmatch(name)} - stream.derived.keys()
    shape: Json = {
        "status": 200,
        "rows": len(rows),
        "properties": _forms(rows, known),
        "unknown_properties": _forms(rows, named),
        "unknown_properties_not_named": len(unknown - named - stream.derived.keys()),
        "order": _order(checked.endpoint, rows),
        "next_page": _next_page(checked.fetch, checked.page, stream),
    }
    return {**shape, "contradictions": list(_contradictions(checked, shape))}


def _refusal(error: PartitionError | None) -> Json:
    """Return the status of a refusal, or the kind of another error. The text may quote the account's data."""
    if not isinstance(error, Refused):
        return {"error": type(error).__name__}
    return {"status": error.status, "code": error.code if error.code in TWILIO_CODES else None}


def _forms(rows: list[Row], names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return the number of rows for each form of each property."""
    counts = {name: Counter(form_of(row[name]) if name in row else ABSENT for row in rows) for name in sorted(names)}
    return {name: dict(sorted(forms.items())) for name, forms in counts.items() if forms}


def _order(endpoint: ListEndpoint, rows: list[Row]) -> dict[str, str]:
    """Return how the rows are sorted, by each property of the key and by each date."""
    values = {name: [row.get(name) for row in rows] for name in endpoint.stream.key}
    for name, about in load_schema(endpoint.stream.name)["properties"].items():
        if about.get("format") == "date-time" and name != "received_at":
            values[name] = [timestamp_or_none(row.get(name)) for row in rows]
    directions = {name: _direction(column) for name, column in values.items()}
    return {name: direction for name, direction in directions.items() if direction}


def _direction(values: Iterable[Any]) -> str:
    """Return how values are sorted, empty values left out; an empty text if all are equal or they cannot be sorted."""
    present = [value for value in values if value not in (None, "")]
    if len({type(value) for value in present}) != 1 or not isinstance(present[0], (str, int)):
        return ""
    if len(set(present)) == 1:
        return ""
    if present == sorted(present):
        return "ascending"
    return "descending" if present == sorted(present, reverse=True) else "not sorted"


def _next_page(fetch: Fetch, page: Page, stream: Stream) -> Json | None:
    """Return the form of the next page's address; None on the last page."""
    if page.next_uri is None:
        return None
    sent, query = dict(_query(fetch.uri)), _query(page.next_uri)
    known = PAGING.union(sent)
    values = dict(query)
    same_size = values.get("PageSize") == sent.get("PageSize")
    return {
        "parameters": [name if name in known else "another" for name, _ in query],
        "page_size": "as requested" if same_size else "another" if "PageSize" in values else "not named",
        "page_token": _token_form(values.get("PageToken", ""), page.rows[-1] if page.rows else {}, stream),
    }


def _query(uri: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(uri).query, keep_blank_values=True)


def _token_form(token: str, last_row: Mapping[str, Any], stream: Stream) -> str:
    """
    Return the form of a page token.

    >>> from tap_twilio.streams import BY_NAME
    >>> [_token_form(token, {"sid": "SM0"}, BY_NAME["messages"]) for token in ("PASM0", "APMTA=", "PA-1")]
    ['PA and the key of the last row', 'AP and a number in base64', 'PA and text']
    """
    prefix = next((prefix for prefix in TOKEN_PREFIXES if token.startswith(prefix)), "")
    rest = token.removeprefix(prefix)
    keys = [str(last_row[name]) for name in stream.key if last_row.get(name)]
    decoded = _from_base64(rest)
    if not token:
        form = "none"
    elif rest in keys:
        form = "the key of the last row"
    elif rest.isdecimal():
        form = "a number"
    elif decoded.isdecimal():
        form = "a number in base64"
    elif any(key in decoded for key in keys):
        form = "the key of the last row in base64"
    else:
        form = "text"
    return f"{prefix} and {form}" if prefix else form


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_" if "-" in text or "_" in text else None).decode()
    except ValueError:
        return ""


# Contradictions -----------------------------------------------------------------------------------------------------


def _contradictions(checked: CheckedPage, shape: Json) -> Iterator[str]:
    """Yield everything that the schema or the declaration of the stream does not expect."""
    assert checked.page is not None
    endpoint, rows = checked.endpoint, checked.page.rows
    stream, next_page = endpoint.stream, shape["next_page"]
    for name, form in sorted(_misfits(stream, rows)):
        yield f"the schema does not expect the form {form!r} of {name}"
    if stream.has_rescans and stream.parent is None and not _is_newest_first(endpoint, rows):
        yield "the newest rows are not first"
    if next_page and stream.tokens_name_rows and next_page["page_token"].endswith(NUMBERS):
        yield "the page token counts rows or pages, and names no row"
    if stream.rows is not None and len(rows) > int(dict(_query(checked.fetch.uri)).get("PageSize", len(rows))):
        yield "the page has more rows than requested"


def _misfits(stream: Stream, rows: list[Row]) -> set[tuple[str, str]]:
    """Return the properties, and the forms of their values, that a sync would refuse or write as null."""
    schema, drift = load_schema(stream.name), Drift(stream.name)
    record = compile_record(stream.name, schema, schema["properties"], key=(), on_invalid="null", drift=drift)
    misfits = set()
    for row in rows:
        drift.notes.clear()
        with suppress(TypeError, ValueError):  # it is nested too deeply for JSON; the sync that reads it says so
            record(row)
        misfits |= {(name, form_of(row.get(name))) for name, sanitized in drift.notes if not sanitized}
    return misfits


def _is_newest_first(endpoint: ListEndpoint, rows: list[Row]) -> bool:
    """Return whether the rows may be sorted by list date, creation or last change, the newest first."""
    names = {endpoint.list_date_property, "date_created", endpoint.stream.replication_key or ""}
    columns = [[timestamp_or_none(row.get(name)) for row in rows] for name in names]
    directions = {_direction(dates) for dates in (*columns, map(endpoint.latest_date, rows))} - {""}
    return not directions or "descending" in directions
