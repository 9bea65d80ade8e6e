"""
Reads a response: decompresses and parses its body, and returns its rows as a Page.

retry_pool.py calls `read_page` on the main thread for each response that client.py got. A list has one of two forms:

classic  {"messages": [{…}, …], "next_page_uri": "/2010-04-01/…" or null, "page": 0, "page_size": 50, …}
newer    {"call_summaries": [{…}, …], "meta": {"key": "call_summaries", "next_page_url": "https://…" or null, …}}

Any other body is an error: to guess its form could lose rows.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from msgspec import DecodeError
from msgspec.json import Decoder
from zlib_ng import zlib_ng as zlib  # twice as fast as zlib

from tap_twilio.errors import Retry
from tap_twilio.files import MAX_JSON_BYTES, fits_in_memory
from tap_twilio.timestamps import Timestamp

from .request import Fetch, Page
from .server_clock import Clock

BIGINT = 2**63 - 1  # the largest integer of Postgres, Snowflake and BigQuery
TOO_LARGE = "the answer is larger than any page should be (page_size makes pages smaller)"
TWILIO_ORIGIN = (
    r"^https://{host}(?:\.[a-z0-9-]+){{0,2}}\.twilio\.com(?::443)?(?=/)"  # one product, at any edge and region
)

_NUL = re.compile(rb"\\u0000")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Answer:
    """A response as it came. `date` is its `Date` header, `received_at` the time of this machine's clock."""

    body: bytes
    date: Timestamp | None
    received_at: Timestamp
    encoding: str | None = None  # its `Content-Encoding` header

    def decompress(self) -> bytes:
        """
        Return the decompressed body. Raises Retry for a truncated, a malformed and an oversized one.

        Only the main thread calls it, so that memory holds one decompressed page at a time.
        """
        body = self.body if self.encoding in (None, "", "identity") else self._decompress()
        if not fits_in_memory(body):
            raise Retry(TOO_LARGE, bad_answer=True)
        return body

    def _decompress(self) -> bytes:
        members, compressed, max_bytes = [], self.body, MAX_JSON_BYTES
        try:
            while compressed:  # a gzip file may have several members
                decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip, or what HTTP calls deflate
                members.append(decompressor.decompress(compressed, max_bytes))
                max_bytes -= len(members[-1])
                if decompressor.unconsumed_tail or max_bytes <= 0:
                    raise Retry(TOO_LARGE, bad_answer=True)
                if not decompressor.eof:
                    raise Retry("the answer was cut off")
                compressed = decompressor.unused_data
        except zlib.error:  # type: ignore[misc]  # its stub gives it no base
            raise Retry("the answer cannot be unpacked") from None
        return b"".join(members)


# The body -----------------------------------------------------------------------------------------------------------


class Sanitized:
    """
    A value in which U+FFFD replaces NUL characters, which Postgres refuses, or lone surrogates.

    singer/compile.py counts such values for the log.
    """

    __slots__ = ()


class SanitizedText(Sanitized, str):
    __slots__ = ()


class SanitizedObject(Sanitized, dict[str, Any]):
    __slots__ = ()


class SanitizedArray(Sanitized, list[Any]):
    __slots__ = ()


def parse(body: bytes) -> Any:
    """
    Parse JSON. Characters that no database stores are replaced, and the value that held them becomes `Sanitized`.

    `json` reads some texts that msgspec refuses: raw control characters, lone surrogates. A number that a float would
    round becomes a Decimal, an integer of any length an int. A byte order mark at the start is skipped.
    Raises: ValueError if neither parser reads the text, or it is nested too deeply.
    """
    body = body.removeprefix(BOM_UTF8)
    try:
        value = _DECODER.decode(body)
        return _sanitized(value) if b"\\" in body and _NUL.search(body) else value  # `in` is fast, and mostly false
    except (DecodeError, UnicodeDecodeError, ArithmeticError):
        pass
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    try:
        return _sanitized(json.loads(body.decode(), strict=False, parse_float=_exact, parse_constant=_refuse_constant))
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except ArithmeticError:
        raise ValueError("a number in JSON is out of range") from None


def _exact(digits: str) -> float | Decimal:
    rounded, exact = float(digits), Decimal(digits)
    return rounded if Decimal(repr(rounded)) == exact else exact


_DECODER = Decoder(float_hook=_exact)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _sanitized(value: Any) -> Any:
    if isinstance(value, str):
        text, count = _UNSTORABLE.subn("\ufffd", value)
        return SanitizedText(text) if count else text
    if isinstance(value, dict):
        members = {_sanitized(name): _sanitized(item) for name, item in value.items()}
        if any(isinstance(part, Sanitized) for part in (*members, *members.values())):
            return SanitizedObject({str(name): item for name, item in members.items()})
        return members
    if isinstance(value, list):
        items = [_sanitized(item) for item in value]
        return SanitizedArray(items) if any(isinstance(item, Sanitized) for item in items) else items
    return value


# The page -----------------------------------------------------------------------------------------------------------


def read_page(fetch: Fetch, answer: Answer, origin: str, clock: Clock) -> Page:
    """
    Return the page in a response, and show its `Date` to the clock. Raises Retry for a body that is no page.

    `origin` is the address that the request went to. If the response has no `Date`, or one later than the clock, the
    page bears the clock's time.
    """
    try:
        body = parse(answer.decompress())
    except ValueError:
        raise Retry("the answer is no valid JSON") from None  # often truncated, so a retry helps
    if not isinstance(body, dict):
        raise Retry("the answer is no JSON object", bad_answer=True)
    if fetch.rows_property is None:
        if (
            not (fetch.required and set(fetch.required) <= body.keys())
            and not {"sid", "account_sid", "url"} & body.keys()
        ):
            raise Retry("the answer is not the resource asked for", bad_answer=True)
        return Page([body], None, _date(answer, clock), answer.received_at)
    rows = body.get(fetch.rows_property)
    if not isinstance(rows, list) or not _are_rows(rows, fetch.required):
        raise Retry(f"the answer has no rows in {fetch.rows_property!r}", bad_answer=True)
    return Page(rows, _next_uri(fetch, body, origin), _date(answer, clock), answer.received_at)


def _date(answer: Answer, clock: Clock) -> Timestamp:
    if answer.date:
        clock.observe(answer.date, answer.received_at)
    return min(answer.date or clock.now, clock.now)


def _are_rows(rows: list[Any], required: tuple[str, ...]) -> bool:
    """Return whether all are objects with plain keys; a sanitized key is refused, since it may equal another row's."""
    if not all(isinstance(row, dict) for row in rows):
        return False
    types = ({type(row.get(name)) for row in rows} for name in required)
    return all(found <= {str} or found <= {int} for found in types)


def _next_uri(fetch: Fetch, body: dict[str, Any], origin: str) -> str | None:
    """Return the next page's path and query. Its host must be this request's: credentials go to no other host."""
    if not fetch.has_next_page:
        return None
    meta = body.get("meta")
    if "next_page_uri" in body:
        address = body["next_page_uri"]
    elif isinstance(meta, dict) and "next_page_url" in meta:
        address = meta["next_page_url"]
    else:
        raise Retry("the answer does not say whether a page follows", bad_answer=True)
    if address is None or address == "":
        return None
    if not isinstance(address, str):
        raise Retry("the answer's next page is not an address", bad_answer=True)
    if address.startswith(f"{origin}/"):
        address = address[len(origin) :]
    address = re.sub(TWILIO_ORIGIN.format(host=re.escape(fetch.host)), "", address)  # behind a proxy, or at an edge
    if address.startswith("//") or not address.startswith("/"):
        raise Retry("the answer's next page is on another host", bad_answer=True)
    if address == fetch.uri:
        raise Retry("the answer names itself as its next page", bad_answer=True)
    return address
