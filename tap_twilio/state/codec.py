"""
Convert JSON to the dataclasses of model.py, for store.py.

A value that does not fit the type of its field is an error that names the value's path.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from tap_twilio.changes.fingerprint_codec import unpack
from tap_twilio.errors import TapError
from tap_twilio.timestamps import BEGINNING, END, parse_date

WHAT_TO_DO = "Give the last STATE line's value that the target wrote, or leave --state out to read everything again."
LARGEST = 2**63 - 1  # the largest integer that all databases and JSON readers hold

Json = dict[str, Any]
Date = Annotated[str, "a date"]
DateOrEnd = Annotated[str, "a date, or one end of time"]
Address = Annotated[str, "an address on Twilio's host"]
FingerprintText = Annotated[str, "fingerprints"]
Count = Annotated[int, "a number"]
DateAndKey = Annotated[tuple[str, str], "a date and a key"]
KeyAndDate = Annotated[list[Any], "a key and a date"]


def malformed(where: str, problem: str) -> TapError:
    """Return the error for the value at a path. `problem` completes the sentence "it …"."""
    return TapError(f"The state is malformed at {where}: it {problem}. {WHAT_TO_DO}")


def object_at(value: Any, where: str) -> Json:
    """Return a value. Raises TapError if it is not a JSON object."""
    if not isinstance(value, dict):
        raise malformed(where, "is not a JSON object")
    return value


@cache
def hints(cls: type) -> Json:
    """Return the type of each field of a dataclass."""
    return get_type_hints(cls, include_extras=True)


def convert(hint: Any, value: Any, where: str) -> Any:
    """Convert a value to a type. Raises TapError, which names the value's path."""
    arguments, origin = get_args(hint), get_origin(hint)
    if type(None) in arguments:
        return None if value is None else convert(arguments[0], value, where)
    if is_dataclass(hint):
        return _dataclass(hint, value, where)
    if origin is Annotated:
        return _annotated(hint.__metadata__[0], value, where)
    if origin is list:
        if not isinstance(value, list):
            raise malformed(where, "is not a list")
        return [convert(arguments[0], item, f"{where}[{number}]") for number, item in enumerate(value)]
    if origin is dict:
        return {name: convert(arguments[1], item, f"{where}.{name}") for name, item in object_at(value, where).items()}
    if hint is not Any and type(value) is not hint:
        raise malformed(where, f"is not of type {hint.__name__}")
    return value


def _dataclass(cls: Any, value: Any, where: str) -> Any:
    members, converted = object_at(value, where), {}
    for field in fields(cls):
        if field.name in members:
            converted[field.name] = convert(hints(cls)[field.name], members[field.name], f"{where}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise malformed(f"{where}.{field.name}", "is missing")
    return cls(**converted)


def _annotated(kind: str, value: Any, where: str) -> Any:
    if kind == "a number":
        if type(value) is not int or not 0 <= value <= LARGEST:  # to Python, true is an integer
            raise malformed(where, f"is not a whole number from 0 to {LARGEST}")
        return value
    if kind in ("a date and a key", "a key and a date"):
        return _pair(kind, value, where)
    if not isinstance(value, str):
        raise malformed(where, f"is not {kind}")
    if kind == "an address on Twilio's host":
        if not value.startswith("/") or value.startswith("//"):
            raise malformed(where, f"is not {kind}")
        return value
    if kind == "fingerprints":
        return _fingerprints(value, where)
    if kind != "a date" and value in (BEGINNING, END):
        return value
    return _date(value, where)


def _pair(kind: str, value: Any, where: str) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise malformed(where, f"is not {kind}")
    if kind == "a key and a date":  # as Twilio wrote it, so of any form
        return [convert(str, value[0], f"{where}[0]"), value[1]]
    return _date(value[0], f"{where}[0]"), convert(str, value[1], f"{where}[1]")


def _fingerprints(value: str, where: str) -> str:
    try:
        unpack(value)
    except ValueError:
        raise malformed(where, "does not hold fingerprints") from None
    return value


def _date(value: Any, where: str) -> str:
    try:
        date = parse_date(value)
    except (ValueError, TypeError):
        raise malformed(where, "is not a date") from None
    if date >= "9999":  # datetime has no year 10000, which a later bound would need
        raise malformed(where, "is not a date before the year 9999")
    return date
