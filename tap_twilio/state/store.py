"""
Read and write the Singer state.

run/sync.py reads the value of `--state`, changes partitions in place, and writes `dump` as each STATE. The value:

    {"format": "exact-tap-twilio 1",
     "bookmarks": {"messages": {"date_updated": …, "version": …, "selections": {"3fa9c1d2": ["body", …]},
                                "partitions": [[accounts, {"date_updated": …, "rescan": …, …}], …]}},
     "accounts": {"77aa01b2": ["AC…", …]}}

Meltano merges each state deeply over the one before. So every key is always written, with null for none, and
`partitions` is a list, which a merge replaces whole. Accounts with equal partitions share one entry. If more than two
accounts share it, `accounts` lists them under a hash of the list: 1,000 idle accounts cost no more than one.
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

from .codec import Count, Date, Json, convert, malformed, object_at
from .model import OpenBackfill, OpenRefresh, Partition, StreamState, TimeSlice

FORMAT = "exact-tap-twilio 1"  # of a state that this tap wrote; a state of bookmarks alone has no format
MAX_LISTED = 2  # accounts that an entry of `partitions` lists itself


class State:
    """The state of a run. Raises TapError for a state that no tap wrote, with the path of the malformed value."""

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
        # Lists of accounts by name, which `partitions` names instead of the accounts.
        self._sets: dict[str, list[str]] = convert(dict[str, list[str]], self._value.get("accounts", {}), "accounts")
        self._streams: dict[str, StreamState] = {}

    def _check_format(self) -> None:
        """Accept this tap's format, and the plain bookmarks of other taps. Raises TapError for all else."""
        bookmarks = self._value.get("bookmarks")
        streams = bookmarks.values() if isinstance(bookmarks, dict) else ()
        has_partitions = any(isinstance(stream, dict) and "partitions" in stream for stream in streams)
        written = self._value.pop("format", None)
        if written != FORMAT and (written is not None or has_partitions or "accounts" in self._value):
            raise TapError(
                f"The state has another format than {FORMAT}, which this version writes: leave --state out, and "
                "everything is read again."
            )

    def stream(self, name: str) -> StreamState:
        """Return a stream's state, to be changed in place."""
        if name not in self._streams:
            self._streams[name] = self._read(BY_NAME[name], self._bookmarks.get(name))
        return self._streams[name]

    def peek(self, name: str) -> StreamState:
        """Return a stream's state, for reading only: `dump` writes no change of it, unless `stream` was called too."""
        return self._streams.get(name) or self._read(BY_NAME[name], self._bookmarks.get(name))

    def partition(self, name: str, account: str) -> Partition:
        return self.stream(name).partitions.setdefault(account, Partition())

    # -- streams

    @property
    def names(self) -> list[str]:
        """Return the names of the streams that are in the state, except those that this version does not know."""
        return [name for name in self._bookmarks if name in BY_NAME]

    @property
    def names_read(self) -> Collection[str]:
        """Return the names of the streams that this run reads."""
        return self._streams.keys()

    def without(self, names: Collection[str]) -> Json:
        """Return the state without these streams, as it was read."""
        kept = {name: bookmark for name, bookmark in self._bookmarks.items() if name not in names}
        set_names = {set_name for bookmark in kept.values() for set_name in _set_names(bookmark)}
        value = {"format": FORMAT, **self._value, "bookmarks": kept}
        return {**value, "accounts": {name: self._sets[name] for name in set_names & set(self._sets)}}

    # -- writing

    def dump(self, readable: Mapping[str, Iterable[str]], unchanged: Collection[str] = ()) -> Json:
        """
        Return the value of a STATE.

        `readable`: for each stream, the accounts that can be read. The oldest of their bookmarks becomes the stream's
        `date_updated`. The streams `unchanged` are copied from the last STATE, since their rows are not written yet. So
        are the streams that this run does not read.
        """
        sets: dict[str, list[str]] = {}
        bookmarks = dict(self._bookmarks)
        for name, bookmark in bookmarks.items():
            if name not in self._streams or name in unchanged:
                names = [set_name for set_name in _set_names(bookmark) if set_name in self._sets]
                sets.update({set_name: self._sets[set_name] for set_name in names})
        for name, stream in self._streams.items():
            if name in unchanged:
                continue
            accounts = [account for account in readable.get(name, ()) if account in stream.partitions]
            dates = [stream.partitions[account].date_updated or "" for account in accounts]
            used = {partition.selection for partition in stream.partitions.values()}
            bookmarks[name] = {
                "date_updated": min(dates, default="") or None,
                "version": stream.version,
                "content_hash": stream.content_hash,
                "written_at": stream.written_at,
                "blocked": stream.blocked,
                "selections": {key: names for key, names in stream.selections.items() if key in used},
                "partitions": _grouped(stream.partitions, sets),
            }
        self._bookmarks, self._sets = bookmarks, sets
        return {"format": FORMAT, **self._value, "bookmarks": dict(bookmarks), "accounts": dict(sets)}

    # -- reading

    def _read(self, stream: Stream, bookmark: Any) -> StreamState:
        where = f"bookmarks.{stream.name}"
        if isinstance(bookmark, str):
            bookmark = {"date_updated": bookmark}
        bookmark = {} if bookmark is None else object_at(bookmark, where)
        if "partitions" not in bookmark and "accounts" in bookmark:
            raise malformed(where, "holds accounts, which this version does not read there")
        if "partitions" not in bookmark:
            return _import(bookmark, where)
        stored = StreamState(
            convert(Count | None, bookmark.get("version"), f"{where}.version"),
            convert(str | None, bookmark.get("content_hash"), f"{where}.content_hash"),
            convert(Date | None, bookmark.get("written_at"), f"{where}.written_at"),
            convert(bool, bookmark.get("blocked", False), f"{where}.blocked"),
            convert(dict[str, list[str]], bookmark.get("selections", {}), f"{where}.selections"),
        )
        for accounts, at, value in self._entries(bookmark["partitions"], f"{where}.partitions"):
            partition: Partition = convert(Partition, value, at)
            _check(stream, partition, at)
            partition.unread, partition.refreshes = partition.unread or None, partition.refreshes or None
            for account in accounts:
                # Each account needs objects of its own, because callers change them.
                has_objects = partition.has_reads or partition.feedback_progress
                stored.partitions[account] = deepcopy(partition) if has_objects else replace(partition)
        used = {partition.selection for partition in stored.partitions.values()}
        stored.selections = {name: names for name, names in stored.selections.items() if name in used}
        return stored

    def _entries(self, value: Any, where: str) -> Iterator[tuple[list[str], str, Any]]:
        """Yield each entry's accounts, the path of its partition, and the partition."""
        for number, entry in enumerate(convert(list[list[Any]], value, where)):
            at = f"{where}[{number}]"
            if len(entry) != 2:
                raise malformed(at, "is not [accounts, partition]")
            accounts = entry[0]
            if isinstance(accounts, str):
                if accounts not in self._sets:
                    raise malformed(f"{at}[0]", "names accounts that are not in the state's accounts")
                accounts = self._sets[accounts]
            yield convert(list[str], accounts, f"{at}[0]"), f"{at}[1]", entry[1]


def _grouped(partitions: dict[str, Partition], sets: dict[str, list[str]]) -> list[Any]:
    """Return an entry for each set of accounts with equal partitions."""
    groups: dict[Any, list[str]] = {}
    for account, partition in partitions.items():
        values = {
            **vars(partition),
            "feedback_progress": partition.feedback_progress and astuple(partition.feedback_progress),
        }
        # The progress of a read differs from account to account, and dataclasses cannot be keys of a dict.
        group = account if partition.has_reads else tuple(values.values())
        groups.setdefault(group, []).append(account)
    entries: list[Any] = []
    for accounts in groups.values():
        named: list[str] | str = accounts
        if len(accounts) > MAX_LISTED:
            accounts.sort()  # so that the same accounts have the same name in each STATE
            named = hashlib.sha256("\n".join(accounts).encode()).hexdigest()[:16]
            sets[named] = accounts
        entries.append([named, asdict(partitions[accounts[0]])])
    return entries


def _set_names(bookmark: Any) -> list[str]:
    """Return the names of the sets of accounts in the bookmark of a stream, which may be malformed."""
    entries = bookmark.get("partitions") if isinstance(bookmark, dict) else None
    if not isinstance(entries, list):
        return []
    return [entry[0] for entry in entries if isinstance(entry, list) and entry and isinstance(entry[0], str)]


def _import(bookmark: Json, where: str) -> StreamState:
    """Read a stream's bookmark as other taps write it."""
    dates = [value for value in bookmark.values() if isinstance(value, str)]
    if bookmark and not dates and any(value is not None for value in bookmark.values()):
        raise malformed(where, "holds no bookmark")
    return StreamState(imported=convert(Date, min(dates), where) if dates else None)


def _check(stream: Stream, partition: Partition, where: str) -> None:
    """Raise TapError for an unfinished read that this stream cannot have: it would end immediately, and miss rows."""
    last = len(stream.variants) - 1
    reads = {"backfill": partition.backfill, "rescan": partition.rescan, "full": partition.full}
    for name, read in reads.items():
        # After the last list, a backfill and a FULL_TABLE read look for moved rows in the first pages of each list.
        finds_moved_rows = read is not None and name != "rescan" and not read.checkpoint
        finds_moved_rows = finds_moved_rows and not (isinstance(read, OpenBackfill) and read.time_slices is not None)
        if read and read.list_index > last + finds_moved_rows:
            raise malformed(f"{where}.{name}.list_index", "is the number of a list that the stream does not have")
    _check_ranges(partition.unread or (), f"{where}.unread")
    for number, refresh in enumerate(partition.refreshes or ()):
        _check_refresh(stream, refresh, f"{where}.refreshes[{number}]")
    if not partition.backfill or partition.backfill.time_slices is None:
        return
    if not stream.filter:
        raise malformed(f"{where}.backfill.time_slices", "belongs to a list that is not read in time slices")
    if not partition.backfill.time_slices:
        raise malformed(f"{where}.backfill.time_slices", "is empty, so that nothing would be read")
    if stream.filter_hides_rows and partition.backfill.resend_listed_before is None:
        raise malformed(f"{where}.backfill.resend_listed_before", "is missing")
    _check_ranges(partition.backfill.time_slices, f"{where}.backfill.time_slices")


def _check_refresh(stream: Stream, refresh: OpenRefresh, where: str) -> None:
    if refresh.list_index >= len(stream.variants):
        raise malformed(f"{where}.list_index", "is the number of a list that the stream does not have")
    if refresh.since >= refresh.until:
        raise malformed(f"{where}.until", "is not after since")
    if refresh.dated_by is not None and refresh.dated_by not in BY_NAME:
        raise malformed(f"{where}.dated_by", "is not a stream")
    if refresh.time_slices and not stream.filter:
        raise malformed(f"{where}.time_slices", "belongs to a list that is not read in time slices")
    _check_ranges(refresh.time_slices or (), f"{where}.time_slices")


def _check_ranges(time_slices: Iterable[TimeSlice], where: str) -> None:
    for number, time_slice in enumerate(time_slices):
        if time_slice.since >= time_slice.until:
            raise malformed(f"{where}[{number}].until", "is not after since")


def selection(properties: Iterable[str]) -> tuple[str, list[str]]:
    """Return the name of a selection, which partitions store, and its properties, which the stream stores once."""
    names = sorted(properties)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8], names
