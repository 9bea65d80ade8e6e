"""An answer's bytes to Python, exactly: what cannot be read is an error, never a guess."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from decimal import Decimal
from typing import Any

import orjson

BIGINT = 2**63 - 1  # what Postgres, Snowflake and BigQuery can hold

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
        bare = body[:1] in b"-0123456789"  # a number alone, which is no answer of Twilio's
        if not bare and not (_LONG in body.translate(_SHAPE) and _LONG_NUMBER.search(body)):
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
