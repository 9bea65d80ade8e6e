"""Bookmarks: the Singer state, a part of it for each partition.

    {"bookmarks": {"messages": {"date_updated": …, "accounts": {"AC…": {…}}, "selections": {"3fa9": ["body", …]}}}}

What a partition's part holds is plan.py's business; this module finds it, keeps what it does not know, and says at
stream level how far all of its accounts are, for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import orjson

from .errors import TapError
from .records import BIGINT, iso
from .streams import STREAMS, Stream

# What may stand at a place: given the value and the name of the place, the value as the tap writes it. Raises TapError.
Check = Callable[[Any, str], Any]


class State:
    """The Singer state of a run. Raises TapError, which names the place, for one that no tap wrote."""

    def __init__(self, value: Any = None) -> None:
        value = {} if value is None else value
        if isinstance(value, dict) and value.get("type") == "STATE":
            value = value.get("value")  # a whole STATE message, as some keep it
        self._value = _object(value, "its top")
        bookmarks = _object(self._value.setdefault("bookmarks", {}), "bookmarks")
        try:
            orjson.dumps(value)
        except TypeError:
            raise _malformed("its top", "it holds a number or a text that no STATE line can hold") from None
        self._value.pop("currently_syncing", None)
        self.bookmarks: dict[str, Any] = bookmarks
        self.foreign: dict[str, str] = {}  # streams of which only a bookmark is known, as other taps write it

    def stream(self, name: str) -> dict[str, Any]:
        """A stream's part, checked."""
        part = self.bookmarks.get(name)
        if part is None:
            part = {}
        if isinstance(part, str):
            part = {"date_updated": part}
        part = _object(part, f"bookmarks.{name}")
        if "accounts" not in part:
            dates = [value for value in part.values() if isinstance(value, str)]
            if dates:
                self.foreign[name] = _date(min(dates), f"bookmarks.{name}")
            elif part:
                raise _malformed(f"bookmarks.{name}", "it has no accounts, and no bookmark of another tap")
            part = {"accounts": {}}
        part.setdefault("selections", {})
        self.bookmarks[name] = _STREAM(part, f"bookmarks.{name}")
        return part

    def partition(self, stream: str, account: str) -> dict[str, Any]:
        """A partition's part, checked; the plan changes it in place."""
        part: dict[str, Any] = self.bookmarks[stream]["accounts"].setdefault(account, {})
        _partition(stream)(part, f"bookmarks.{stream}.accounts.{account}")
        for one in (part, part.get("calls", {})):
            if "date_updated" in one:
                one.setdefault("looked_back", one["date_updated"])
        return part

    def dump(self, streams: Iterable[tuple[str, list[str]]]) -> dict[str, Any]:
        """The state to write. `streams`: those that are read, with their accounts."""
        for name, accounts in streams:
            part = self.bookmarks[name]
            dates = [part["accounts"].get(account, {}).get("date_updated") for account in accounts]
            if dates and all(dates):
                part["date_updated"] = min(dates)
            else:
                part.pop("date_updated", None)
        return self._value


def selection(properties: Iterable[str]) -> tuple[str, list[str]]:
    """A name for a choice of properties, and the choice, to be kept once a stream and not once a partition."""
    names = sorted(properties)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8], names


# What the state holds; plan.Partition and feedback.Feedback say what it means -----------------------------------------


def _malformed(where: str, what: str) -> TapError:
    return TapError(
        f"The state is malformed at {where}: {what}. "
        "Give the last STATE line's value that the target wrote, or leave --state out to read everything again."
    )


def _form(needed: dict[str, Check], others: dict[str, Check]) -> Check:
    """An object with these members, and these others where they are there; what is not known is kept as it is."""

    def check(value: Any, where: str) -> dict[str, Any]:
        found = _object(value, where)
        for name, member in (*needed.items(), *others.items()):
            if name in needed or name in found:
                found[name] = member(found.get(name), f"{where}.{name}")
        return found

    return check


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(where, "it is not a JSON object")
    return value


def _object_of(member: Check) -> Check:
    return lambda value, where: {key: member(one, f"{where}.{key}") for key, one in _object(value, where).items()}


def _list_of(member: Check) -> Check:
    def check(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise _malformed(where, "it is not a list")
        return [member(one, f"{where}.{index}") for index, one in enumerate(value)]

    return check


def _date(value: Any, where: str) -> str:
    try:
        found = iso(value if "T" in value or " " in value else f"{value}T00:00:00Z")
    except (ValueError, TypeError):
        raise _malformed(where, "it is not a date") from None
    if found >= "9999":  # clocks have no later date, which the plan may have to write
        raise _malformed(where, "it is not a date of any use")
    return found


def _date_or(word: str) -> Check:
    return lambda value, where: value if value == word else _date(value, where)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _malformed(where, "it is not text")
    return value


def _true(value: Any, where: str) -> bool:
    if value is not True:
        raise _malformed(where, "it is not true")
    return value


def _number(most: int) -> Check:
    def check(value: Any, where: str) -> int:
        if type(value) is not int or not 0 <= value <= most:  # to Python, true is an integer
            raise _malformed(where, f"it is not a whole number from 0 to {most}")
        return value

    return check


def _page(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.startswith("/") or value.startswith("//"):
        raise _malformed(where, "it is not the path of a page")
    return value


def _cursor(value: Any, where: str) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise _malformed(where, "it is neither null nor a date and a SID")
    return [_date(value[0], f"{where}.0"), _text(value[1], f"{where}.1")]


def _slice(value: Any, where: str) -> dict[str, Any]:
    found: dict[str, Any] = _SLICE(value, where)
    if found["from"] >= found["to"]:
        raise _malformed(f"{where}.to", "it is not after from")
    return found


def _backfill(opened: dict[str, Check], sliced: bool) -> Check:
    slices = _list_of(_slice)
    form = _form(opened, {"place": _PLACE, "slices": slices, "owed": _date, "followed": _true})

    def check(value: Any, where: str) -> dict[str, Any]:
        found: dict[str, Any] = form(value, where)
        if "slices" in found:
            if not sliced:
                raise _malformed(f"{where}.slices", "this list is not read in slices")
            _date(found.get("owed"), f"{where}.owed")
        return found

    return check


_COUNT = _number(BIGINT)
_STREAM = _form({"accounts": _object_of(_object), "selections": _object_of(_list_of(_text))}, {"version": _COUNT})
_PLACE = _form({"page": _page, "rows": _object}, {})
_SLICE = _form({"from": _date, "to": _date}, {"place": _PLACE})
_BOOKMARKS = dict.fromkeys(("date_updated", "looked_back", "swept", "owed"), _date)


def _reading(stream: Stream) -> dict[str, Check]:
    """How far the lists of a stream were read."""
    last = max(1, len(stream.statuses)) - 1
    opened = {"began": _date, "list": _number(last)}  # beyond the last list, a read would end without having read
    return {
        **_BOOKMARKS,
        "pages": _COUNT,
        "start_date": _date_or(""),
        "refill": _date_or("~"),
        "selection": _text,
        "backfill": _backfill(opened, stream.filter is not None),
        "round": _form({**opened, "pages": _COUNT}, {"place": _PLACE}),
        "full": _form({"began": _date, "list": _number(last + 1), "version": _COUNT}, {"place": _PLACE, "done": _true}),
    }


@cache
def _partition(name: str) -> Check:
    stream = next(one for one in STREAMS if one.name == name)
    if not stream.parent:
        return _form({}, _reading(stream))
    parent = next(one for one in STREAMS if one.name == stream.parent)
    window = _form({"began": _date, "cursor": _cursor}, {})
    calls = _form({}, {**_reading(parent), "again": _true})
    return _form({}, {**_reading(stream), "calls": calls, "window": window, "unasked": _true})
