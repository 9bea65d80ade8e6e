"""JSON to dataclasses: each value as its type says, or an error that names its place."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from tap_twilio.changes.fingerprint_codec import unpack
from tap_twilio.errors import TapError
from tap_twilio.timestamps import BEGINNING, END, read_date

MALFORMED = "Give the last STATE line's value that the target wrote, or leave --state out to read everything again."
LARGEST = 2**63 - 1  # what databases can hold, and every reader of JSON

Json = dict[str, Any]
Date = Annotated[str, "a date"]
Edge = Annotated[str, "a date, or one end of time"]
Address = Annotated[str, "an address on Twilio's host"]
FingerprintText = Annotated[str, "fingerprints"]
Count = Annotated[int, "a number"]
Dated = Annotated[tuple[str, str], "a date and a key"]
Seen = Annotated[list[Any], "a key and a date"]


def malformed(where: str, what: str) -> TapError:
    """`what` is a verb with what follows it."""
    return TapError(f"The state is malformed at {where}: it {what}. {MALFORMED}")


def object_at(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        raise malformed(where, "is not a JSON object")
    return value


@cache
def hints(cls: type) -> Json:
    """The type of each field."""
    return get_type_hints(cls, include_extras=True)


def typed(hint: Any, value: Any, where: str) -> Any:
    """A value as its type says. Raises TapError, which names the place."""
    arguments, origin = get_args(hint), get_origin(hint)
    if type(None) in arguments:
        return None if value is None else typed(arguments[0], value, where)
    if is_dataclass(hint):
        return _dataclass(hint, value, where)
    if origin is Annotated:
        return _annotated(hint.__metadata__[0], value, where)
    if origin is list:
        if not isinstance(value, list):
            raise malformed(where, "is not a list")
        return [typed(arguments[0], item, f"{where}[{number}]") for number, item in enumerate(value)]
    if origin is dict:
        return {name: typed(arguments[1], item, f"{where}.{name}") for name, item in object_at(value, where).items()}
    if hint is not Any and type(value) is not hint:
        raise malformed(where, f"is not of type {hint.__name__}")
    return value


def _dataclass(cls: Any, value: Any, where: str) -> Any:
    found, known = {}, object_at(value, where)
    for part in fields(cls):
        if part.name in known:
            found[part.name] = typed(hints(cls)[part.name], known[part.name], f"{where}.{part.name}")
        elif part.default is MISSING and part.default_factory is MISSING:
            raise malformed(f"{where}.{part.name}", "is missing")
    return cls(**found)


def _annotated(what: str, value: Any, where: str) -> Any:
    if what == "a number":
        if type(value) is not int or not 0 <= value <= LARGEST:  # to Python, true is an integer
            raise malformed(where, f"is not a whole number from 0 to {LARGEST}")
        return value
    if what in ("a date and a key", "a key and a date"):
        return _pair(what, value, where)
    if not isinstance(value, str):
        raise malformed(where, f"is not {what}")
    if what == "an address on Twilio's host":
        if not value.startswith("/") or value.startswith("//"):
            raise malformed(where, f"is not {what}")
        return value
    if what == "fingerprints":
        return _fingerprints(value, where)
    if what != "a date" and value in (BEGINNING, END):
        return value
    return _date(value, where)


def _pair(what: str, value: Any, where: str) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise malformed(where, f"is not {what}")
    if what == "a key and a date":  # as Twilio wrote it, so of any form
        return [typed(str, value[0], f"{where}[0]"), value[1]]
    return _date(value[0], f"{where}[0]"), typed(str, value[1], f"{where}[1]")


def _fingerprints(value: str, where: str) -> str:
    try:
        unpack(value)
    except ValueError:
        raise malformed(where, "is not digests as the tap writes them") from None
    return value


def _date(value: Any, where: str) -> str:
    try:
        found = read_date(value)
    except (ValueError, TypeError):
        raise malformed(where, "is not a date") from None
    if found >= "9999":  # clocks have no later date, which a read may have to write
        raise malformed(where, "is not a date of any use")
    return found
