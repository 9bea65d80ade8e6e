"""
Convert Twilio's numbers to JSON without losing a digit: numbers in text, and numbers that a float would round.

The compiled functions (compile.py) look up each text in a `Cache`, which converts it once.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson

from tap_twilio.timestamps import Cache
from tap_twilio.twilio.response import BIGINT

PRECISION, SCALE = 38, 18  # of the column type NUMERIC with `decimals: singer`: all digits, and those after the point

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))([eE][+-]?[0-9]{1,3})?")


class Integers(Cache):
    """Converts the text of an integer to an integer."""

    def __missing__(self, text: str) -> int | None:
        if text and (not _INTEGER.fullmatch(text) or abs(int(text)) > BIGINT):
            raise ValueError("not a whole number of 64 bits")
        return self.keep(text, int(text) if text else None)  # type: ignore[no-any-return]


class Numbers(Cache):
    """Converts the text of a decimal number to a JSON number of the same value. A float could round it."""

    def __missing__(self, text: str) -> orjson.Fragment | None:
        return self.keep(text, orjson.Fragment(_json_number(text)) if text else None)  # type: ignore[no-any-return]


class Decimals(Cache):
    """Converts the text of a decimal number to the text of that JSON number."""

    def __missing__(self, text: str) -> str | None:
        return self.keep(text, self.convert(text) if text else None)  # type: ignore[no-any-return]

    def convert(self, text: str) -> str:
        """Return the text of the number. Raises ValueError if there is none."""
        return _json_number(text)


class SqlDecimals(Decimals):
    """The same for a column of type NUMERIC(PRECISION, SCALE), which rounds or refuses numbers with more digits."""

    def convert(self, text: str) -> str:
        """Return the text of the number. Raises ValueError if there is none, or if it has too many digits."""
        number = super().convert(text)
        scaled = Fraction(number) * 10**SCALE
        if scaled.denominator > 1 or abs(scaled) >= 10**PRECISION:
            raise ValueError("too many digits for NUMERIC(PRECISION, SCALE)")
        return number


def _json_number(text: str) -> str:
    """
    Return the same number in JSON's grammar. Raises ValueError for other text, and for numbers beyond a float's range.

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
    """Return JSON with every number's digits unchanged. Raises orjson.JSONEncodeError for a value nested too deeply."""
    try:
        return orjson.dumps(value, _digits)
    except orjson.JSONEncodeError as error:  # an integer of more than 64 bits, which is rare
        try:
            return orjson.dumps(_with_decimals(value), _digits)
        except RecursionError:
            raise error from None


def _digits(value: Any) -> orjson.Fragment:
    """Return the digits of a Decimal, which orjson does not know."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return orjson.Fragment(_json_number(str(value)))


def _with_decimals(value: Any) -> Any:
    """Replace integers of more than 64 bits, which orjson refuses, by Decimals."""
    if isinstance(value, dict):
        return {name: _with_decimals(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_decimals(item) for item in value]
    return Decimal(value) if value.__class__ is int and abs(value) > BIGINT else value
