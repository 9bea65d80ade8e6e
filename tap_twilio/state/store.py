"""
The Singer state: read in one place, which names what is wrong in it, and written in one.

    {"format": "exact-tap-twilio 1",
     "bookmarks": {"messages": {"date_updated": …, "version": …, "selections": {"3fa9c1d2": ["body", …]},
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

from tap_twilio.errors import TapError
from tap_twilio.files import unwrap_state
from tap_twilio.streams import BY_NAME, Stream

from .codec import Count, Date, Json, malformed, object_at, typed
from .model import Backfill, Partition, StreamState, TimeSlice

FORMAT = "exact-tap-twilio 1"  # of a state that this tap wrote; a state of bookmarks alone has no format
FEW = 2  # accounts that an entry lists itself


class State:
    """The state of a run. Raises TapError, with the path of the malformed value, for a state that no tap wrote."""

    def __init__(self, value: Any = None) -> None:
        value = unwrap_state({} if value is None else value)
        self._value: Json = dict(object_at({} if value is None else value, "its top"))
        if self._value and "bookmarks" not in self._value:
            raise malformed("its top", "holds no bookmarks")
        try:
            orjson.dumps(value)
        except TypeError:
            raise malformed("its top", "holds a number or a text that no STATE line can hold") from None
        self._check_format()
        self._value.pop("currently_syncing", None)
        self._bookmarks: Json = dict(object_at(self._value.get("bookmarks", {}), "bookmarks"))
        self._sets: dict[str, list[str]] = typed(dict[str, list[str]], self._value.get("accounts", {}), "accounts")
        self._streams: dict[str, StreamState] = {}

    def _check_format(self) -> None:
        """Accept this tap's format, and bookmarks alone, as other taps write them. Raises TapError for all else."""
        bookmarks = self._value.get("bookmarks")
        parts = bookmarks.values() if isinstance(bookmarks, dict) else ()
        has_partitions = any(isinstance(part, dict) and "partitions" in part for part in parts)
        written = self._value.pop("format", None)
        if written != FORMAT and (written is not None or has_partitions or "accounts" in self._value):
            raise TapError(
                f"The state has another format than {FORMAT}, which this version writes: leave --state out, and "
                "everything is read again."
            )

    def stream(self, name: str) -> StreamState:
        """Return a stream's state, to be changed in place. `dump` writes it anew."""
        if name not in self._streams:
            self._streams[name] = self._read(BY_NAME[name], self._bookmarks.get(name))
        return self._streams[name]

    def peek(self, name: str) -> StreamState:
        """Return a stream's state, not to be changed. Unless `stream` was called, `dump` copies it unread."""
        return self._streams.get(name) or self._read(BY_NAME[name], self._bookmarks.get(name))

    def partition(self, name: str, account: str) -> Partition:
        return self.stream(name).partitions.setdefault(account, Partition())

    # -- as a whole

    @property
    def names(self) -> list[str]:
        """Return the streams that the state has, without those that this version does not know."""
        return [name for name in self._bookmarks if name in BY_NAME]

    @property
    def looked_at(self) -> Collection[str]:
        """Return the streams that this run reads."""
        return self._streams.keys()

    def without(self, names: Collection[str]) -> Json:
        """Return the state without these streams, as it was read."""
        kept = {name: bookmark for name, bookmark in self._bookmarks.items() if name not in names}
        sets = {one for bookmark in kept.values() for one in _sets_in(bookmark)}
        value = {"format": FORMAT, **self._value, "bookmarks": kept}
        return {**value, "accounts": {one: self._sets[one] for one in sets & set(self._sets)}}

    # -- writing

    def dump(self, dated: Mapping[str, Iterable[str]], held: Collection[str] = ()) -> Json:
        """
        Return the state to write. `dated`: for each stream, the accounts that its `date_updated` stands for.

        A stream that this run does not read is copied; so is one whose rows are `held` back, as of the last STATE.
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
        return {"format": FORMAT, **self._value, "bookmarks": dict(bookmarks), "accounts": dict(sets)}

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
        stored = StreamState(
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
                # Each account needs its own object, since callers change it.
                nested = partition.is_open or partition.feedback_progress
                stored.partitions[account] = deepcopy(partition) if nested else replace(partition)
        used = {partition.selection for partition in stored.partitions.values()}
        stored.selections = {name: names for name, names in stored.selections.items() if name in used}
        return stored

    def _entries(self, value: Any, where: str) -> Iterator[tuple[list[str], str, Any]]:
        """Yield each entry's accounts, the path of its partition, and the partition."""
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
    """Return an entry for each set of accounts with equal partitions."""
    groups: dict[Any, list[str]] = {}
    for account, partition in partitions.items():
        known = {
            **vars(partition),
            "feedback_progress": partition.feedback_progress and astuple(partition.feedback_progress),
        }
        group = account if partition.is_open else tuple(known.values())
        groups.setdefault(group, []).append(account)
    entries: list[Any] = []
    for accounts in groups.values():
        named: list[str] | str = accounts
        if len(accounts) > FEW:
            accounts.sort()  # the same accounts have the same name, in whichever order they came
            named = hashlib.sha256("\n".join(accounts).encode()).hexdigest()[:16]
            sets[named] = accounts
        entries.append([named, asdict(partitions[accounts[0]])])
    return entries


def _sets_in(bookmark: Any) -> list[str]:
    """Return the names of the sets of accounts in the bookmark of a stream that this run does not read."""
    entries = bookmark.get("partitions") if isinstance(bookmark, dict) else None
    if not isinstance(entries, list):
        return []
    return [entry[0] for entry in entries if isinstance(entry, list) and entry and isinstance(entry[0], str)]


def _imported(part: Json, where: str) -> StreamState:
    """Read a stream's state as other taps write it, with a bookmark only."""
    dates = [value for value in part.values() if isinstance(value, str)]
    if part and not dates and any(value is not None for value in part.values()):
        raise malformed(where, "holds no bookmark")
    return StreamState(imported=typed(Date, min(dates), where) if dates else None)


def _check(stream: Stream, part: Partition, where: str) -> None:
    """Raise TapError for an unfinished read that this stream cannot have: it would end at once, and miss rows."""
    last = len(stream.queries) - 1
    unfinished = {"backfill": part.backfill, "rescan": part.rescan, "full": part.full}
    for name, read in unfinished.items():
        # After the last list, a backfill and a full refresh read each list's first pages again.
        second_look = read is not None and name != "rescan" and not read.checkpoint
        second_look = second_look and not (isinstance(read, Backfill) and read.time_slices is not None)
        if read and read.at > last + second_look:
            raise malformed(f"{where}.{name}.at", "is the number of a list that the stream does not have")
    _check_ranges(part.unread or (), f"{where}.unread")
    if not part.backfill or part.backfill.time_slices is None:
        return
    if not stream.filter:
        raise malformed(f"{where}.backfill.time_slices", "is of a list that is not read in time slices")
    if not part.backfill.time_slices:
        raise malformed(f"{where}.backfill.time_slices", "is empty, so that nothing would be read")
    if stream.filter_hides_rows and part.backfill.resend_listed_before is None:
        raise malformed(f"{where}.backfill.resend_listed_before", "is missing")
    _check_ranges(part.backfill.time_slices, f"{where}.backfill.time_slices")


def _check_ranges(time_slices: Iterable[TimeSlice], where: str) -> None:
    for number, time_slice in enumerate(time_slices):
        if time_slice.since >= time_slice.until:
            raise malformed(f"{where}[{number}].until", "is not after since")


def selection(properties: Iterable[str]) -> tuple[str, list[str]]:
    """Return a selection's name, which partitions hold, and its properties, which the stream holds once."""
    names = sorted(properties)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8], names
