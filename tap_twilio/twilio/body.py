"""An answer's bytes to Python, exactly: what cannot be read is an error, never a guess."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from decimal import Decimal
from typing import Any

from msgspec import DecodeError
from msgspec.json import Decoder

BIGINT = 2**63 - 1  # what Postgres, Snowflake and BigQuery can hold

_NUL = re.compile(rb"\\u0000")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Sanitized:
    """A value in which NUL, which Postgres refuses, or lone surrogates became U+FFFD: counted where it is written."""

    __slots__ = ()


class SanitizedText(Sanitized, str):
    __slots__ = ()


class SanitizedObject(Sanitized, dict[str, Any]):
    __slots__ = ()


class SanitizedArray(Sanitized, list[Any]):
    __slots__ = ()


def parse(body: bytes) -> Any:
    """
    JSON to Python. What no database stores is replaced; a value that held any of it is `Sanitized`.

    What msgspec refuses, `json` may read: raw control characters, lone surrogates. A number that a float cannot hold
    comes as Decimal; a whole one of any length as int. A byte order mark at the start is no part of it.
    Raises: ValueError if neither reads it, or it is nested beyond reason.
    """
    body = body.removeprefix(BOM_UTF8)
    try:
        value = _DECODER.decode(body)
        return _mended(value) if b"\\" in body and _NUL.search(body) else value  # the first look costs next to nothing
    except (DecodeError, UnicodeDecodeError, ArithmeticError):
        pass
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    try:
        return _mended(json.loads(body.decode(), strict=False, parse_float=_exact, parse_constant=_refuse_constant))
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except ArithmeticError:
        raise ValueError("a number in JSON is out of range") from None


def _exact(digits: str) -> float | Decimal:
    short, exact = float(digits), Decimal(digits)
    return short if Decimal(repr(short)) == exact else exact


_DECODER = Decoder(float_hook=_exact)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        text, count = _UNSTORABLE.subn("\ufffd", value)
        return SanitizedText(text) if count else text
    if isinstance(value, dict):
        members = {_mended(name): _mended(item) for name, item in value.items()}
        if any(isinstance(one, Sanitized) for one in (*members, *members.values())):
            return SanitizedObject({str(name): item for name, item in members.items()})
        return members
    if isinstance(value, list):
        items = [_mended(item) for item in value]
        return SanitizedArray(items) if any(isinstance(item, Sanitized) for item in items) else items
    return value
