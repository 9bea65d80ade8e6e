"""Numbers as Twilio wrote them: in text, or with more digits than a float keeps."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import orjson

from tap_twilio.timestamps import Cache
from tap_twilio.twilio.response import BIGINT

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))([eE][+-]?[0-9]{1,3})?")


class Integers(Cache):
    """A whole number written as text."""

    def __missing__(self, text: str) -> int | None:
        if text and (not _INTEGER.fullmatch(text) or abs(int(text)) > BIGINT):
            raise ValueError("not a whole number of 64 bits")
        return self.keep(text, int(text) if text else None)  # type: ignore[no-any-return]


class Numbers(Cache):
    """A decimal number written as text, to JSON digits of the same value: a float would round it."""

    def __missing__(self, text: str) -> orjson.Fragment | None:
        return self.keep(text, orjson.Fragment(_json_number(text)) if text else None)  # type: ignore[no-any-return]


class Decimals(Cache):
    """The same, for a text: the digits that JSON would have."""

    def __missing__(self, text: str) -> str | None:
        return self.keep(text, _json_number(text) if text else None)  # type: ignore[no-any-return]


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


def to_json(value: Any) -> bytes:
    """JSON with each number's digits as they were. Raises orjson.JSONEncodeError for what is nested too deeply."""
    try:
        return orjson.dumps(value, _digits)
    except orjson.JSONEncodeError as error:  # a whole number of more than 64 bits, which is rare
        try:
            return orjson.dumps(_long_as_decimal(value), _digits)
        except RecursionError:
            raise error from None


def _digits(value: Any) -> orjson.Fragment:
    """Of a Decimal, which orjson does not know."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return orjson.Fragment(_json_number(str(value)))


def _long_as_decimal(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _long_as_decimal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_long_as_decimal(item) for item in value]
    return Decimal(value) if value.__class__ is int and abs(value) > BIGINT else value
