"""Bookmarks: the Singer state, a part of it for each partition.

    {"bookmarks": {"messages": {"date_updated": …, "accounts": {"AC…": {…}}, "selections": {"3fa9": ["body", …]}}}}

What a partition's part holds is plan.py's business; this module finds it, keeps what it does not know, and says at
stream level how far all of its accounts are, for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from .errors import TapError
from .records import iso
from .versions import was_read

LISTS = 9  # more than any stream has
MALFORMED = "Give the last STATE line's value that the target wrote, or leave --state out to read everything again."
DATES = ("date_updated", "looked_back", "swept", "owed")


class State:
    """The Singer state of a run. Raises TapError, which names the place, for one that no tap wrote."""

    def __init__(self, value: Any = None) -> None:
        value = {} if value is None else value
        if isinstance(value, dict) and value.get("type") == "STATE":
            value = value.get("value")  # a whole STATE message, as some keep it
        self._value = _object(value, "it")
        bookmarks = _object(self._value.setdefault("bookmarks", {}), "bookmarks")
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
                raise TapError(f"The state is malformed at bookmarks.{name}: {MALFORMED}")
            part = {"accounts": {}}
        _object(part["accounts"], f"bookmarks.{name}.accounts")
        _object(part.setdefault("selections", {}), f"bookmarks.{name}.selections")
        self.bookmarks[name] = part
        return part

    def partition(self, stream: str, account: str) -> dict[str, Any]:
        """A partition's part, checked; the plan changes it in place."""
        where = f"bookmarks.{stream}.accounts.{account}"
        part = _object(self.bookmarks[stream]["accounts"].setdefault(account, {}), where)
        for name in DATES:
            if name in part:
                part[name] = _date(part[name], f"{where}.{name}")
        _check_open(part, where)
        if "calls" in part:  # call_feedback's own reading of the calls
            _check_open(_object(part["calls"], f"{where}.calls"), f"{where}.calls")
        return part

    def dump(self, streams: Iterable[tuple[str, list[str]]]) -> dict[str, Any]:
        """The state to write. `streams`: those that are read, with their accounts; one never read has no say."""
        for name, accounts in streams:
            part = self.bookmarks[name]
            read = filter(was_read, (part["accounts"].get(account, {}) for account in accounts))
            dates = [account.get("date_updated") for account in read]
            if dates and all(dates):
                part["date_updated"] = min(dates)
            else:
                part.pop("date_updated", None)
        return self._value


def selection(properties: Iterable[str]) -> tuple[str, list[str]]:
    """A name for a choice of properties, and the choice, to be kept once a stream and not once a partition."""
    names = sorted(properties)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8], names


def _check_open(part: dict[str, Any], where: str) -> None:
    """What is open in a partition has the form that the plan gives it."""
    for name in ("round", "backfill", "full"):
        if name not in part:
            continue
        open_ = _object(part[name], f"{where}.{name}")
        open_["began"] = _date(open_.get("began"), f"{where}.{name}.began")
        if not isinstance(open_.get("list"), int) or not 0 <= open_["list"] <= LISTS:
            raise TapError(f"The state is malformed at {where}.{name}.list: {MALFORMED}")
        slices = open_.get("slices", [])
        if not isinstance(slices, list):
            raise TapError(f"The state is malformed at {where}.{name}.slices: {MALFORMED}")
        for one in slices:
            _object(one, f"{where}.{name}.slices")
            one["from"], one["to"] = (_date(one.get(end), f"{where}.{name}.slices") for end in ("from", "to"))
        if slices:
            open_["owed"] = _date(open_.get("owed"), f"{where}.{name}.owed")
        if name == "round" and not isinstance(open_.get("pages"), int):
            raise TapError(f"The state is malformed at {where}.{name}.pages: {MALFORMED}")
        if name == "full" and not isinstance(open_.get("version"), int):
            raise TapError(f"The state is malformed at {where}.{name}.version: {MALFORMED}")
        for holder in (open_, *slices):
            if "place" in holder:
                place = _object(holder["place"], f"{where}.{name}.place")
                after = place.get("after", [])
                for page in (place.get("page"), *(after if isinstance(after, list) and len(after) in (0, 2) else [0])):
                    if not isinstance(page, str) or not page.startswith("/") or page.startswith("//"):
                        raise TapError(f"The state is malformed at {where}.{name}.place.page: {MALFORMED}")
                _object(place.get("rows"), f"{where}.{name}.place.rows")
    if not isinstance(part.get("pages", 0), int):
        raise TapError(f"The state is malformed at {where}.pages: {MALFORMED}")
    for name in ("start_date", "refill", "selection"):
        if not isinstance(part.get(name, ""), str):
            raise TapError(f"The state is malformed at {where}.{name}: {MALFORMED}")
    if "date_updated" in part:
        part.setdefault("looked_back", part["date_updated"])


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TapError(f"The state is malformed: {where} is not a JSON object. {MALFORMED}")
    return value


def _date(value: Any, where: str) -> str:
    try:
        return iso(value if "T" in value or " " in value else f"{value}T00:00:00Z")
    except (ValueError, TypeError):
        raise TapError(f"The state is malformed: {where} is not a date. {MALFORMED}") from None
