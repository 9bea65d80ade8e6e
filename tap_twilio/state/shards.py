"""
A state in pieces, each with some of the accounts, for processes that run side by side; and joined again.

A piece holds its own accounts' partitions as they were. Of every other account whose rows are in the warehouse it holds
`ELSEWHERE`: so no piece takes a FULL_TABLE version for whole, and drops the other accounts' rows. Should a process read
such an account all the same, it reads everything.

Why the join loses no row: each partition in it is one that a sync wrote, whole and of one process. What it leaves out,
the next sync reads from the beginning.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from tap_twilio.errors import TapError
from tap_twilio.streams import BY_NAME

from .codec import Json
from .model import ELSEWHERE, Partition, StreamState
from .store import State


def owned(state: State) -> dict[str, int]:
    """The accounts whose partitions a state holds, in order, and how many bytes of digests each has."""
    found: dict[str, int] = {}
    for name in state.names:
        for account, part in state.stream(name).partitions.items():
            if part != ELSEWHERE:
                size = len(part.fingerprints or "") + len(part.rescan_fingerprints or "")
                found[account] = found.get(account, 0) + size
    return dict(sorted(found.items()))


def grouped(sizes: dict[str, int], number: int) -> list[list[str]]:
    """
    Accounts in so many groups at most, about even by what is known of their rows.

    >>> grouped({"a": 9, "b": 5, "c": 5, "d": 0}, 2)
    [['a', 'd'], ['b', 'c']]
    """
    groups: list[list[str]] = [[] for _ in range(min(number, len(sizes)))]
    for account in sorted(sizes, key=lambda one: (-sizes[one], one)):
        min(groups, key=lambda group: (sum(sizes[one] for one in group), len(group))).append(account)
    return [sorted(group) for group in groups]


def split(state: State, groups: Sequence[Sequence[str]]) -> list[Json]:
    """
    A state for each group of accounts. What belongs to no account is in each of them.

    Streams that are read in the main account alone are with that account.
    """
    streams = {name: state.stream(name) for name in state.names}
    known = [name for name, stream in streams.items() if stream.imported is None]
    found = []
    for group in groups:
        piece = State(deepcopy(state.without(known)))
        for name in known:
            vars(piece.stream(name)).update(vars(_piece(streams[name], group)))
        found.append(piece.dump({name: _own(piece.stream(name)) for name in known}))
    return found


def _piece(stream: StreamState, group: Sequence[str]) -> StreamState:
    partitions = {
        account: part if account in group else ELSEWHERE
        for account, part in stream.partitions.items()
        if account in group or part.was_read
    }
    return replace(stream, partitions=partitions)


def _own(stream: StreamState) -> list[str]:
    return [account for account, part in stream.partitions.items() if part != ELSEWHERE]


def forget(state: State, accounts: Collection[str]) -> Json:
    """A state without these accounts, whose rows may then leave the warehouse. Raises TapError for an unknown one."""
    streams = {name: state.stream(name) for name in state.names}
    known = [name for name, stream in streams.items() if stream.imported is None]
    missing = set(accounts).difference(*(streams[name].partitions for name in known))
    if missing:
        raise TapError(f"the state knows no account {', '.join(sorted(missing))}: state show names those it knows")
    left = State(deepcopy(state.without(known)))
    for name in known:
        kept = {account: part for account, part in streams[name].partitions.items() if account not in accounts}
        vars(left.stream(name)).update(vars(replace(streams[name], partitions=kept)))
    return left.dump({name: _own(left.stream(name)) for name in known})


@dataclass
class Join:
    """States joined into one. `files` are their names and they; `said` is what to say of the join in the log."""

    files: Sequence[tuple[str, State]]
    said: list[str] = field(default_factory=list)

    def value(self) -> Json:
        """The joined state. Raises TapError where two of them contradict each other."""
        names = list(dict.fromkeys(name for _, state in self.files for name in state.names))
        streams = {
            name: [(file, state.stream(name)) for file, state in self.files if name in state.names] for name in names
        }
        known = [name for name in names if any(stream.imported is None for _, stream in streams[name])]
        joined = State(self._others(known))
        for name in known:
            vars(joined.stream(name)).update(vars(self._stream(name, streams[name])))
        return joined.dump({name: _own(joined.stream(name)) for name in known})

    def _others(self, known: Sequence[str]) -> Json:
        """What is of no account: it must be alike in all that have it."""
        found: Json = {}
        for file, state in self.files:
            for member, value in state.without(known).items():
                if isinstance(value, dict) and isinstance(found.setdefault(member, {}), dict):
                    self._unite(found[member], value, file, member)
                else:
                    self._unite(found, {member: value}, file, "its top")
        return found

    def _unite(self, found: Json, more: Json, file: str, where: str) -> None:
        for name, value in more.items():
            if found.setdefault(name, value) != value:
                raise TapError(
                    f"{file}: {name[:60]!r} at {where} is not as in the files before, and of no account. Take it "
                    "out of all of them but one."
                )

    def _stream(self, name: str, files: list[tuple[str, StreamState]]) -> StreamState:
        imported_bookmark = [file for file, stream in files if stream.imported is not None]
        if imported_bookmark:
            self.said.append(
                f"{name}: {', '.join(imported_bookmark)} holds a bookmark of another tap's, for no account: it is left "
                "out, and accounts that the other files do not have are read from the beginning"
            )
        files = [(file, stream) for file, stream in files if stream.imported is None]
        versions = {(stream.version, stream.content, stream.written, stream.blocked) for _, stream in files}
        found = StreamState(max((version for version, *_ in versions if version), default=None))
        if len(versions) == 1:
            ((_, found.content, found.written, found.blocked),) = versions
        for file, stream in files:
            self._unite(found.selections, stream.selections, file, f"bookmarks.{name}.selections")
        for account in dict.fromkeys(account for _, stream in files for account in stream.partitions):
            part = self._partition(name, account, files)
            if part:
                found.partitions[account] = part
        return found

    def _partition(self, name: str, account: str, files: list[tuple[str, StreamState]]) -> Partition | None:
        """The one that there is; None where the next sync is to read it from the beginning."""
        held = [(file, stream.partitions[account]) for file, stream in files if account in stream.partitions]
        own = [(file, part) for file, part in held if part != ELSEWHERE]
        if not own:
            return ELSEWHERE
        first = own[0][1]
        others = [file for file, part in own if part != first]
        if not others:
            return first
        if BY_NAME[name].scope == "account":
            raise TapError(
                f"{own[0][0]} and {others[0]} hold different bookmarks of {name} for {account}: each account belongs "
                "to one process. Cut them with tap-twilio state split, and merge the piece of that account once."
            )
        self.said.append(
            f"{name}: {own[0][0]} and {others[0]} both read it, and it does not belong to their accounts, so the next "
            "sync reads it from the beginning; select it in one of the processes"
        )
        return None


def merge(files: Sequence[tuple[str, Any]]) -> tuple[Json, list[str]]:
    """The joined state, and what to say of it. `files`: names, and States."""
    join = Join(files)
    return join.value(), join.said
