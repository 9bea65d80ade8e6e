"""
The Singer state: read in one place, which names what is wrong in it, and written in one.

    {"bookmarks": {"messages": {"date_updated": …, "version": …, "selections": {"3fa9c1d2": ["body", …]},
                                "partitions": [[accounts, {"date_updated": …, "rescan": …, …}], …]}},
     "accounts": {"77aa01b2": ["AC…", …]}}

The state survives a deep merge over any older state, as Meltano merges it: every known key is written, null for none,
and `partitions` is a list, which a merge replaces whole. Accounts with equal partitions share one entry. If there are
more than two of them, `accounts` lists them under a hash of the list: 1,000 idle accounts cost no more than one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, astuple, replace
from typing import Any

import orjson

from tap_twilio.files import unwrapped
from tap_twilio.streams import BY_NAME, Stream

from .codec import Count, Date, Json, malformed, object_at, typed
from .model import Backfill, Partition, StreamState, TimeSlice

FEW = 2  # accounts that an entry lists itself


class State:
    """The state of a run. Raises TapError, which names the place, for one that no tap wrote."""

    def __init__(self, value: Any = None) -> None:
        value = unwrapped({} if value is None else value)
        self._value: Json = dict(object_at({} if value is None else value, "its top"))
        if self._value and "bookmarks" not in self._value:
            raise malformed("its top", "holds no bookmarks")
        try:
            orjson.dumps(value)
        except TypeError:
            raise malformed("its top", "holds a number or a text that no STATE line can hold") from None
        self._value.pop("currently_syncing", None)
        self._bookmarks: Json = dict(object_at(self._value.get("bookmarks", {}), "bookmarks"))
        self._sets: dict[str, list[str]] = typed(dict[str, list[str]], self._value.get("accounts", {}), "accounts")
        self._streams: dict[str, StreamState] = {}

    def stream(self, name: str) -> StreamState:
        """A stream's part, changed in place by who reads it."""
        if name not in self._streams:
            self._streams[name] = self._read(BY_NAME[name], self._bookmarks.get(name))
        return self._streams[name]

    def peek(self, name: str) -> StreamState:
        """A stream's part, only looked at: if this run does not read it, it is written as it came."""
        return self._streams.get(name) or self._read(BY_NAME[name], self._bookmarks.get(name))

    def partition(self, name: str, account: str) -> Partition:
        return self.stream(name).partitions.setdefault(account, Partition())

    # -- as a whole

    @property
    def names(self) -> list[str]:
        """The streams that it has a part of; those that this version does not know aside."""
        return [name for name in self._bookmarks if name in BY_NAME]

    @property
    def looked_at(self) -> Collection[str]:
        """The streams that this run reads."""
        return self._streams.keys()

    def without(self, names: Collection[str]) -> Json:
        """What it holds beside these streams, as it came."""
        kept = {name: bookmark for name, bookmark in self._bookmarks.items() if name not in names}
        sets = {one for bookmark in kept.values() for one in _sets_in(bookmark)}
        return {**self._value, "bookmarks": kept, "accounts": {one: self._sets[one] for one in sets & set(self._sets)}}

    # -- writing

    def dump(self, dated: Mapping[str, Iterable[str]], held: Collection[str] = ()) -> Json:
        """
        The state to write. `dated`: for each stream, the accounts that its `date_updated` stands for.

        A stream that this run does not look at is written as it came; one whose rows are `held` back as it was before.
        """
        sets: dict[str, list[str]] = {}
        bookmarks = dict(self._bookmarks)
        for name, bookmark in bookmarks.items():
            if name not in self._streams or name in held:
                sets.update({one: self._sets[one] for one in _sets_in(bookmark) if one in self._sets})
        for name, stream in self._streams.items():
            if name in held:
                continue
            parts = [stream.partitions[account] for account in dated.get(name, ()) if account in stream.partitions]
            dates = [part.date_updated for part in parts]
            known = [date for date in dates if date]
            used = {part.selection for part in stream.partitions.values()}
            bookmarks[name] = {
                "date_updated": min(known) if known and len(known) == len(dates) else None,
                "version": stream.version,
                "content": stream.content,
                "written": stream.written,
                "blocked": stream.blocked,
                "selections": {key: names for key, names in stream.selections.items() if key in used},
                "partitions": _grouped(stream.partitions, sets),
            }
        self._bookmarks, self._sets = bookmarks, sets
        return {**self._value, "bookmarks": dict(bookmarks), "accounts": dict(sets)}

    # -- reading

    def _read(self, stream: Stream, part: Any) -> StreamState:
        where = f"bookmarks.{stream.name}"
        if isinstance(part, str):
            part = {"date_updated": part}
        part = {} if part is None else object_at(part, where)
        if "partitions" not in part and "accounts" in part:
            raise malformed(where, "holds accounts, which this version does not read there")
        if "partitions" not in part:
            return _imported(part, where)
        found = StreamState(
            typed(Count | None, part.get("version"), f"{where}.version"),
            typed(str | None, part.get("content"), f"{where}.content"),
            typed(Date | None, part.get("written"), f"{where}.written"),
            typed(bool, part.get("blocked", False), f"{where}.blocked"),
            typed(dict[str, list[str]], part.get("selections", {}), f"{where}.selections"),
        )
        for accounts, at, value in self._entries(part["partitions"], f"{where}.partitions"):
            partition: Partition = typed(Partition, value, at)
            _check(stream, partition, at)
            for account in accounts:
                # One object for each account, since who reads it changes it.
                shared = partition.is_open or partition.feedback_progress
                found.partitions[account] = deepcopy(partition) if shared else replace(partition)
        used = {partition.selection for partition in found.partitions.values()}
        found.selections = {name: names for name, names in found.selections.items() if name in used}
        return found

    def _entries(self, value: Any, where: str) -> Iterator[tuple[list[str], str, Any]]:
        """Of each entry: its accounts, the place of its partition, and that."""
        for number, entry in enumerate(typed(list[list[Any]], value, where)):
            at = f"{where}[{number}]"
            if len(entry) != 2:
                raise malformed(at, "is not [accounts, partition]")
            accounts = entry[0]
            if isinstance(accounts, str):
                if accounts not in self._sets:
                    raise malformed(f"{at}[0]", "names accounts that are not in the state's accounts")
                accounts = self._sets[accounts]
            yield typed(list[str], accounts, f"{at}[0]"), f"{at}[1]", entry[1]


def _grouped(partitions: dict[str, Partition], sets: dict[str, list[str]]) -> list[Any]:
    """Accounts whose partitions are alike, together."""
    groups: dict[Any, list[str]] = {}
    for account, partition in partitions.items():
        known = {
            **vars(partition),
            "feedback_progress": partition.feedback_progress and astuple(partition.feedback_progress),
        }
        alike = account if partition.is_open else tuple(known.values())
        groups.setdefault(alike, []).append(account)
    found: list[Any] = []
    for accounts in groups.values():
        named: list[str] | str = accounts
        if len(accounts) > FEW:
            accounts.sort()  # so that the same accounts have the same name, whichever came first
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


def _imported(part: Json, where: str) -> StreamState:
    """A part as other taps write it: nothing but a bookmark."""
    dates = [value for value in part.values() if isinstance(value, str)]
    if part and not dates and any(value is not None for value in part.values()):
        raise malformed(where, "holds no bookmark")
    return StreamState(imported=typed(Date, min(dates), where) if dates else None)


def _check(stream: Stream, part: Partition, where: str) -> None:
    """What is open is of this stream: else a read would end at once, and leave rows out without a word."""
    last = len(stream.values) - 1
    opened = {"backfill": part.backfill, "rescan": part.rescan, "full": part.full}
    for name, one in opened.items():
        looks = one is not None and name != "rescan" and not one.checkpoint  # at heads, at last
        looks = looks and not (isinstance(one, Backfill) and one.time_slices is not None)
        if one and one.at > last + looks:
            raise malformed(f"{where}.{name}.at", "is the number of a list that the stream does not have")
    _check_spans(part.unread or (), f"{where}.unread")
    if not part.backfill or part.backfill.time_slices is None:
        return
    if not stream.filter:
        raise malformed(f"{where}.backfill.slices", "is of a list that is not read in slices")
    if not part.backfill.time_slices:
        raise malformed(f"{where}.backfill.slices", "is empty, so that nothing would be read")
    if stream.filter_hides_rows and part.backfill.resend_listed_before is None:
        raise malformed(f"{where}.backfill.owed", "is missing")
    _check_spans(part.backfill.time_slices, f"{where}.backfill.slices")


def _check_spans(spans: Iterable[TimeSlice], where: str) -> None:
    for number, span in enumerate(spans):
        if span.since >= span.until:
            raise malformed(f"{where}[{number}].until", "is not after since")


def selection(properties: Iterable[str]) -> tuple[str, list[str]]:
    """A name for a choice of properties, and the choice, to be kept once a stream and not once a partition."""
    names = sorted(properties)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8], names
