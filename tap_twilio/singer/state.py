"""
The Singer state: typed, read in one place that names what is wrong in it, and written in one.

    {"bookmarks": {"messages": {"date_updated": …, "version": …, "selections": {"3fa9c1d2": ["body", …]},
                                "partitions": [[accounts, {"date_updated": …, "round": …, …}], …]}},
     "accounts": {"77aa01b2": ["AC…", …]}}

It survives a deep merge over any older state, as Meltano does it: every known key is written, null for none, and
`partitions` is a list, which a merge replaces whole. Accounts whose partitions are alike share one entry, and where
many do, `accounts` lists them under a name that stands for its content: 1,000 idle accounts cost no more than one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import orjson

from tap_twilio.errors import TapError
from tap_twilio.moments import BEGINNING, END, to_moment

MALFORMED = "Give the last STATE line's value that the target wrote, or leave --state out to read everything again."
FEW = 2  # accounts that an entry lists itself
Json = dict[str, Any]

Date = Annotated[str, "a date"]
Edge = Annotated[str, "a date, or one end of time"]
Address = Annotated[str, "an address on Twilio's host"]
Count = Annotated[int, "a number"]


@dataclass
class Place:
    """Where a walk goes on: the address of the last page read, and some of its rows as [key, list date]."""

    page: Address
    rows: list[list[Any]]
    agreed: list[str] = field(default_factory=list)  # the orders that all rows so far agree with (reading/order.py)


@dataclass
class Slice:
    """A span of a list's dates that is left to read, the second bound excluded."""

    since: Date
    until: Date
    place: Place | None = None


@dataclass
class Backfill:
    """The first read of a list, while it is open."""

    began: Date  # the start of the first sync that read it
    tables: list[str] = field(default_factory=list)  # the streams that it serves
    at: Count = 0  # the number of the list that is read now
    place: Place | None = None
    slices: list[Slice] | None = None  # None: the list is walked
    owed: Date | None = None  # rows undated, or dated before this, are not seen by the slices


@dataclass
class Round:
    """One walk over the whole list, while it is open."""

    began: Date
    tables: list[str] = field(default_factory=list)
    at: Count = 0
    pages: Count = 0
    place: Place | None = None


@dataclass
class Full:
    """A FULL_TABLE read of one version."""

    version: Count
    began: Date
    tables: list[str] = field(default_factory=list)  # children that are read along
    at: Count = 0
    place: Place | None = None
    done: bool = False


@dataclass
class Partition:
    """What is kept of one stream in one account: of its table, and of the list that it is read from."""

    # the table
    date_updated: Date | None = None  # the bookmark: every change before it is in the warehouse
    looked_back: Date | None = None  # the start of the last look-back, less the margin
    start_date: Edge | None = None  # what was asked for last; "": everything
    selection: str | None = None  # the name of the properties that were selected last
    owed: Date | None = None  # rounds emit rows undated, or dated before this
    refill: Edge | None = None  # rounds emit rows created before this
    asked: list[Any] | None = None  # how far a child with a budget got; reading/recent.py reads it
    # the list
    finished: Date | None = None  # the start of the last finished round, less the margin; null until the backfill is
    swept: Date | None = None  # when a round last read here
    pages: Count | None = None  # how many pages the last round had, where it took several syncs
    absent: Date | None = None  # when the account was seen not to have the product
    backfill: Backfill | None = None
    round: Round | None = None
    full: Full | None = None

    @property
    def opened(self) -> list[Backfill | Round | Full]:
        """The reads that are under way."""
        return [opened for opened in (self.backfill, self.round, self.full) if opened]

    @property
    def is_open(self) -> bool:
        """Whether something of it is under way, so that it is like no other."""
        return bool(self.backfill or self.round or self.full or self.asked)

    @property
    def was_read(self) -> bool:
        """Whether rows of it may be in the warehouse."""
        full, backfill = self.full, self.backfill
        return (
            self.date_updated is not None
            or (full is not None and (full.done or full.at > 0 or full.place is not None))
            or (backfill is not None and (backfill.at > 0 or bool(backfill.place or backfill.slices is not None)))
        )


@dataclass
class StreamState:
    """What is kept of one stream."""

    version: int | None = None  # of the last FULL_TABLE read
    selections: dict[str, list[str]] = field(default_factory=dict)
    partitions: dict[str, Partition] = field(default_factory=dict)  # by account
    foreign: str | None = None  # a bookmark that another tap wrote, and all that is known


class State:
    """The state of a run. Raises TapError, which names the place, for one that no tap wrote."""

    def __init__(self, value: Any = None) -> None:
        value = {} if value is None else value
        if isinstance(value, dict) and value.get("type") == "STATE":
            value = value.get("value")  # a whole STATE message, as some keep it
        self._value: Json = dict(_object(value, "it"))
        try:
            orjson.dumps(value)
        except TypeError:
            raise TapError(
                f"The state is malformed: it holds a number or a text that no STATE line can hold. {MALFORMED}"
            ) from None
        self._value.pop("currently_syncing", None)
        self._bookmarks: Json = dict(_object(self._value.get("bookmarks", {}), "bookmarks"))
        self._sets: dict[str, list[str]] = _as(dict[str, list[str]], self._value.get("accounts", {}), "accounts")
        self._streams: dict[str, StreamState] = {}

    def stream(self, name: str) -> StreamState:
        """A stream's part, changed in place by who reads it."""
        if name not in self._streams:
            self._streams[name] = self._read(self._bookmarks.get(name), f"bookmarks.{name}")
        return self._streams[name]

    def partition(self, name: str, account: str) -> Partition:
        return self.stream(name).partitions.setdefault(account, Partition())

    # -- writing

    def dump(self, dated: Mapping[str, Iterable[str]]) -> Json:
        """
        The state to write. `dated`: for each stream, the accounts that its `date_updated` stands for.

        A stream that this run does not look at is written as it came.
        """
        sets: dict[str, list[str]] = {}
        bookmarks = dict(self._bookmarks)
        for name, bookmark in bookmarks.items():
            if name not in self._streams:
                sets.update({one: self._sets[one] for one in _sets_in(bookmark) if one in self._sets})
        for name, stream in self._streams.items():
            parts = [stream.partitions[account] for account in dated.get(name, ()) if account in stream.partitions]
            dates = [part.date_updated for part in parts]
            known = [date for date in dates if date]
            used = {part.selection for part in stream.partitions.values()}
            bookmarks[name] = {
                "date_updated": min(known) if known and len(known) == len(dates) else None,
                "version": stream.version,
                "selections": {key: names for key, names in stream.selections.items() if key in used},
                "partitions": _grouped(stream.partitions, sets),
            }
        return {**self._value, "bookmarks": bookmarks, "accounts": sets}

    # -- reading

    def _read(self, part: Any, where: str) -> StreamState:
        if isinstance(part, str):
            part = {"date_updated": part}
        part = {} if part is None else _object(part, where)
        if "partitions" not in part:
            return _first_version(part, where) if "accounts" in part else _foreign(part, where)
        stream = StreamState(
            _as(Count | None, part.get("version"), f"{where}.version"),
            _as(dict[str, list[str]], part.get("selections", {}), f"{where}.selections"),
        )
        for number, entry in enumerate(_as(list[list[Any]], part["partitions"], f"{where}.partitions")):
            at = f"{where}.partitions[{number}]"
            if len(entry) != 2:
                raise malformed(at, "is not [accounts, partition]")
            accounts = self._sets.get(entry[0]) if isinstance(entry[0], str) else entry[0]
            partition: Partition = _as(Partition, entry[1], f"{at}[1]")
            for account in _as(list[str], accounts, f"{at}[0]"):
                # One object for each account, since who reads it changes it.
                stream.partitions[account] = deepcopy(partition) if partition.is_open else replace(partition)
        return stream


def _grouped(partitions: dict[str, Partition], sets: dict[str, list[str]]) -> list[Any]:
    """Accounts whose partitions are alike, together."""
    groups: dict[Any, list[str]] = {}
    for account, partition in partitions.items():
        alike = account if partition.is_open else tuple(vars(partition).values())
        groups.setdefault(alike, []).append(account)
    found: list[Any] = []
    for accounts in groups.values():
        named: list[str] | str = accounts
        if len(accounts) > FEW:
            named = hashlib.sha256("\n".join(accounts).encode()).hexdigest()[:16]
            sets[named] = accounts
        found.append([named, asdict(partitions[accounts[0]])])
    return found


def _sets_in(bookmark: Any) -> list[str]:
    """The sets of accounts that a part refers to which this run does not look at."""
    entries = bookmark.get("partitions") if isinstance(bookmark, dict) else None
    if not isinstance(entries, list):
        return []
    return [entry[0] for entry in entries if isinstance(entry, list) and entry and isinstance(entry[0], str)]


def _foreign(part: Json, where: str) -> StreamState:
    """A part as other taps write it: nothing but a bookmark."""
    dates = [value for value in part.values() if isinstance(value, str)]
    if part and not dates and any(value is not None for value in part.values()):
        raise malformed(where, "holds no bookmark")
    return StreamState(foreign=_as(Date, min(dates), where) if dates else None)


def _first_version(part: Json, where: str) -> StreamState:
    """A part as version 0.1 wrote it, with an object for each account."""
    stream = StreamState(
        _as(Count | None, part.get("version"), f"{where}.version"),
        _as(dict[str, list[str]], part.get("selections", {}), f"{where}.selections"),
    )
    name = where.removeprefix("bookmarks.")
    for account, old in _object(part["accounts"], f"{where}.accounts").items():
        at = f"{where}.accounts.{account}"
        new = {key: value for key, value in _object(old, at).items() if key in _hints(Partition)}
        new["finished"] = new.get("date_updated")
        for key, absent in (("backfill", ("place", "slices", "owed")), ("round", ("place",)), ("full", ("place",))):
            if new.get(key) is not None:
                opened = {**dict.fromkeys(absent), "done": False, **_object(new[key], f"{at}.{key}")}
                new[key] = {**_renamed(opened, f"{at}.{key}"), "tables": [name]}
        if "date_updated" in new:
            new.setdefault("looked_back", new["date_updated"])
        stream.partitions[account] = _as(Partition, new, at)
    return stream


def _renamed(old: Json, where: str) -> Json:
    """What is open, with the names of today."""
    new = dict(old)
    if "list" in new:
        new["at"] = new.pop("list")
    if isinstance(new.get("place"), dict):
        rows = _object(new["place"].get("rows"), f"{where}.place.rows")
        new["place"] = {**new["place"], "rows": [[sid, date] for sid, date in rows.items()]}
    if isinstance(new.get("slices"), list):
        slices = [_object(one, f"{where}.slices") for one in new["slices"]]
        new["slices"] = [
            {**_renamed({"place": None, **one}, f"{where}.slices"), "since": one.get("from"), "until": one.get("to")}
            for one in slices
        ]
    return new


# -- values as their types say


def malformed(where: str, what: str) -> TapError:
    return TapError(f"The state is malformed at {where}: it {what}. {MALFORMED}")


def _object(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        if where == "it":
            raise TapError(f"The state is malformed: it is not a JSON object. {MALFORMED}")
        raise malformed(where, "is not a JSON object")
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _as(hint: Any, value: Any, where: str) -> Any:
    """A value as its type says. Raises TapError, which names the place."""
    arguments, origin = get_args(hint), get_origin(hint)
    if type(None) in arguments:
        return None if value is None else _as(arguments[0], value, where)
    if is_dataclass(hint):
        return _dataclass(hint, value, where)
    if origin is Annotated:
        return _annotated(hint.__metadata__[0], value, where)
    if origin is list:
        if not isinstance(value, list):
            raise malformed(where, "is not a list")
        return [_as(arguments[0], item, f"{where}[{number}]") for number, item in enumerate(value)]
    if origin is dict:
        return {name: _as(arguments[1], item, f"{where}.{name}") for name, item in _object(value, where).items()}
    if hint is not Any and type(value) is not hint:
        raise malformed(where, f"is not of type {hint.__name__}")
    return value


_LATER = ("agreed",)  # what a place of an older version does not hold


def _dataclass(cls: Any, value: Any, where: str) -> Any:
    found, known = {}, _object(value, where)
    for part in fields(cls):
        if part.name in known:
            found[part.name] = _as(_hints(cls)[part.name], known[part.name], f"{where}.{part.name}")
        elif part.name not in _LATER and cls is not Partition:
            raise malformed(f"{where}.{part.name}", "is missing")
    return cls(**found)


def _annotated(what: str, value: Any, where: str) -> Any:
    if what == "a number":
        if type(value) is not int or value < 0:
            raise malformed(where, "is not a number")
        return value
    if not isinstance(value, str):
        raise malformed(where, f"is not {what}")
    if what == "an address on Twilio's host":
        if not value.startswith("/") or value.startswith("//"):
            raise malformed(where, f"is not {what}")
        return value
    if what != "a date" and value in (BEGINNING, END):
        return value
    try:
        return to_moment(value if "T" in value or " " in value else f"{value}T00:00:00Z")
    except ValueError:
        raise malformed(where, f"is not {what}") from None


def selection(properties: Iterable[str]) -> tuple[str, list[str]]:
    """A name for a choice of properties, and the choice, to be kept once a stream and not once a partition."""
    names = sorted(properties)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8], names
