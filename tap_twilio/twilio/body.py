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


def parse(body: bytes) -> tuple[Any, int]:
    """
    JSON to Python, and how many characters became U+FFFD: NUL, which Postgres refuses, and lone surrogates.

    What orjson refuses, `json` may read: raw control characters, lone surrogates. A number that a float cannot hold
    comes as Decimal, one of more than 64 bits too. A byte order mark at the start is no part of it.
    Raises: ValueError if neither reads it, or it is nested beyond reason.
    """
    body = body.removeprefix(BOM_UTF8)
    try:
        if not (_LONG in body.translate(_SHAPE) and _LONG_NUMBER.search(body)):
            value = orjson.loads(body)
            return _cleaned(value) if _NUL.search(body) else (value, 0)
    except orjson.JSONDecodeError:
        pass
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    try:
        return _cleaned(
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


def _cleaned(value: Any) -> tuple[Any, int]:
    replaced = 0

    def clean(value: Any) -> Any:
        nonlocal replaced
        if isinstance(value, str):
            text, count = _UNSTORABLE.subn("\ufffd", value)
            replaced += count
            return text
        if isinstance(value, dict):
            return {clean(key): clean(item) for key, item in value.items()}
        if isinstance(value, list):
            return [clean(item) for item in value]
        return value

    return clean(value), replaced
