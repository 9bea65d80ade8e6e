"""
The Singer state: typed, read in one place that names what is wrong in it, and written in one.

    {"format": "exact-tap-twilio 1",
     "bookmarks": {"messages": {"date_updated": …, "version": …, "selections": {"3fa9c1d2": ["body", …]},
                                "partitions": [[accounts, {"date_updated": …, "round": …, …}], …]}},
     "accounts": {"77aa01b2": ["AC…", …]}}

It survives a deep merge over any older state, as Meltano does it: every known key is written, null for none, and
`partitions` is a list, which a merge replaces whole. Accounts whose partitions are alike share one entry, and where
many do, `accounts` lists them under a name that stands for its content: 1,000 idle accounts cost no more than one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import Any

import orjson

from tap_twilio.errors import TapError
from tap_twilio.files import unwrapped
from tap_twilio.streams import BY_NAME, Stream

from .codec import Address, Count, Date, Dated, Edge, FingerprintText, Json, Seen, malformed, object_at, typed

FORMAT = "exact-tap-twilio 1"  # of a state that this tap wrote; a state of bookmarks alone has no format
FEW = 2  # accounts that an entry lists itself


@dataclass
class Checkpoint:
    """
    Where a walk goes on: the address of the last page read, and some of its rows as [key, list date].

    The walk goes on after the last of these. A row has not moved if its mark is the same (extract/page_reader.py).
    """

    page: Address
    rows: list[Seen]
    marks: list[str] = field(default_factory=list)  # one for each row


@dataclass
class TimeSlice:
    """A span of a list's dates that is left to read, the second bound excluded."""

    since: Date
    until: Date
    checkpoint: Checkpoint | None = None
    read: dict[str, FingerprintText] = field(
        default_factory=dict
    )  # of the rows before the place's page, by who reads them
    failed: bool = False  # whether Twilio answered an earlier sync with errors of its own, each time it was asked


@dataclass
class ReadRange:
    """What slices have read of a list's dates, the second bound excluded."""

    since: Date
    until: Date
    read: dict[str, FingerprintText] = field(default_factory=dict)


@dataclass
class Backfill:
    """The first read of a list, while it is open."""

    began: Date  # the start of the first sync that read it
    tables: list[str] = field(default_factory=list)  # the streams that it serves
    at: Count = 0  # the number of the list that is read now
    checkpoint: Checkpoint | None = None
    time_slices: list[TimeSlice] | None = None  # None: the list is walked
    resend_listed_before: Date | None = None  # rows undated, or dated before this, are not seen by the slices
    read_ranges: list[ReadRange] = field(default_factory=list)  # what the slices have read


@dataclass
class OpenRescan:
    """One walk over the whole list, while it is open."""

    began: Date
    tables: list[str] = field(default_factory=list)
    at: Count = 0
    pages: Count = 0
    checkpoint: Checkpoint | None = None


@dataclass
class Full:
    """A FULL_TABLE read of one version."""

    version: Count
    began: Date
    tables: list[str] = field(default_factory=list)  # children that are read along
    at: Count = 0
    checkpoint: Checkpoint | None = None
    done: bool = False


@dataclass
class FeedbackProgress:
    """How far a child got that is asked row by row, within a budget (extract/call_feedback.py)."""

    began: Date | None = None  # of the round over its window that is open
    cursor: Dated | None = None  # rows of the window above it were asked
    unasked: bool = False  # no window was ever asked whole: all is emitted until one was
    misses: Count = 0  # requests in a row that found nothing
    second_source_pending: bool = False  # whether the second source is to be asked for all time
    second_answered: bool = False  # whether the second source ever answered
    late: Date | None = None  # the start of the last round that asked the rows that stand elsewhere, less the margin


@dataclass
class Partition:
    """What is kept of one stream in one account: of its table, and of the list that it is read from."""

    # the table
    date_updated: Date | None = None  # the bookmark: every change before it is in the warehouse
    lookback_done_at: Date | None = None  # the start of the last look-back, less the margin
    start_date: Edge | None = None  # what was asked for last; "": everything
    selection: str | None = None  # the name of the properties that were selected last
    resend_listed_before: Date | None = None  # rounds emit rows undated, or dated before this
    deferred_before: Date | None = None  # what will be owed: rows of the parent that were not asked since a read began
    resend_created_before: Edge | None = None  # rounds emit rows created before this
    feedback_progress: FeedbackProgress | None = None
    imported_bookmark: Date | None = (
        None  # another tap's bookmark: rows that are in no digest yet are taken as read by it
    )
    fingerprints: FingerprintText | None = None  # of what was written (changes/chunks.py)
    rescan_fingerprints: FingerprintText | None = None  # those that were made since the open round began
    # the rows of the parent, of a child
    visited: FingerprintText | None = None  # of those that were visited (extract/child_streams.py)
    rescan_visited: FingerprintText | None = None  # those that were made since the open round began
    visited_for: str | None = None  # the tables that this served
    unconfirmed: FingerprintText | None = None  # the rows of which an answer is not believed before it is repeated
    # the list
    finished: Date | None = None  # the start of the last finished round, less the margin; null until the backfill is
    rescanned_at: Date | None = None  # when a round last read here
    pages: Count | None = None  # how many pages the last round had, where it took several syncs
    empty: Date | None = None  # when a subaccount's list was last seen empty, or absent (empty_recheck_hours)
    unread: list[TimeSlice] | None = None  # spans of a log that Twilio failed to answer; each sync asks them again
    backfill: Backfill | None = None
    rescan: OpenRescan | None = None
    full: Full | None = None
    # what the last sync left out
    not_read: str | None = None  # why it was not read: a word of availability.py
    by_date_from: Date | None = None  # from this date back there was no room for digests, so dates told what changed
    syncs_left: Count | None = None  # how many syncs the open work takes, as far as that is known

    @property
    def opened(self) -> list[Backfill | OpenRescan | Full]:
        """The reads that are under way."""
        return [opened for opened in (self.backfill, self.rescan, self.full) if opened]

    @property
    def is_open(self) -> bool:
        """Whether a read is under way, so that it is like no other."""
        return bool(self.opened or self.unread)

    @property
    def was_read(self) -> bool:
        """Whether rows of it may be in the warehouse."""
        full, backfill = self.full, self.backfill
        return (
            self.date_updated is not None
            or (full is not None and (full.done or full.at > 0 or full.checkpoint is not None))
            or (
                backfill is not None
                and (backfill.at > 0 or bool(backfill.checkpoint or backfill.time_slices is not None))
            )
        )


# In place of a partition that another piece of the state holds (pieces.py): rows may be in the warehouse.
ELSEWHERE = Partition(date_updated="0001-01-01T00:00:00.000000Z")


@dataclass
class StreamState:
    """What is kept of one stream."""

    version: Count | None = None  # of the last FULL_TABLE read
    content: str | None = None  # what stands for its rows, where one sync read all of them (versions.py)
    written: Date | None = None  # when these rows were last written
    blocked: bool = False  # whether the version that they were written in was not activated
    selections: dict[str, list[str]] = field(default_factory=dict)
    partitions: dict[str, Partition] = field(default_factory=dict)  # by account
    imported: str | None = None  # a bookmark that another tap wrote, and all that is known


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
        value = {"format": FORMAT, **self._value, "bookmarks": kept}
        return {**value, "accounts": {one: self._sets[one] for one in sets & set(self._sets)}}

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
        raise malformed(f"{where}.backfill.time_slices", "is of a list that is not read in slices")
    if not part.backfill.time_slices:
        raise malformed(f"{where}.backfill.time_slices", "is empty, so that nothing would be read")
    if stream.filter_hides_rows and part.backfill.resend_listed_before is None:
        raise malformed(f"{where}.backfill.resend_listed_before", "is missing")
    _check_spans(part.backfill.time_slices, f"{where}.backfill.time_slices")


def _check_spans(spans: Iterable[TimeSlice], where: str) -> None:
    for number, span in enumerate(spans):
        if span.since >= span.until:
            raise malformed(f"{where}[{number}].until", "is not after since")


def selection(properties: Iterable[str]) -> tuple[str, list[str]]:
    """A name for a choice of properties, and the choice, to be kept once a stream and not once a partition."""
    names = sorted(properties)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8], names
