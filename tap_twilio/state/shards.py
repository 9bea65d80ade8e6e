"""
Split a state into shards, each with some of the accounts, for concurrent processes; and merge the shards.

A shard holds the partitions of its own accounts. For every other account that has rows in the warehouse it holds
`ELSEWHERE`, so that no process completes a FULL_TABLE version and drops the other accounts' rows. A process that reads
such an account all the same reads everything.

Safety: each merged partition is one that one process wrote. The next sync reads a partition that the merge leaves out
from the beginning.
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
    """Return the accounts whose partitions a state holds, in order, with the size of their fingerprints in bytes."""
    sizes: dict[str, int] = {}
    for name in state.names:
        for account, part in state.stream(name).partitions.items():
            if part != ELSEWHERE:
                size = len(part.fingerprints or "") + len(part.rescan_fingerprints or "")
                sizes[account] = sizes.get(account, 0) + size
    return dict(sorted(sizes.items()))


def grouped(sizes: dict[str, int], number: int) -> list[list[str]]:
    """
    Divide accounts into at most `number` groups of about equal size.

    >>> grouped({"a": 9, "b": 5, "c": 5, "d": 0}, 2)
    [['a', 'd'], ['b', 'c']]
    """
    groups: list[list[str]] = [[] for _ in range(min(number, len(sizes)))]
    for account in sorted(sizes, key=lambda name: (-sizes[name], name)):
        min(groups, key=lambda group: (sum(sizes[name] for name in group), len(group))).append(account)
    return [sorted(group) for group in groups]


def split(state: State, groups: Sequence[Sequence[str]]) -> list[Json]:
    """
    Return a state for each group of accounts. Each of them holds what belongs to no account.

    Streams of the main account alone are in the main account's shard.
    """
    streams = {name: state.stream(name) for name in state.names}
    known = [name for name, stream in streams.items() if stream.imported is None]
    shards = []
    for group in groups:
        shard = State(deepcopy(state.without(known)))
        for name in known:
            vars(shard.stream(name)).update(vars(_shard(streams[name], group)))
        shards.append(shard.dump({name: _own(shard.stream(name)) for name in known}))
    return shards


def _shard(stream: StreamState, group: Sequence[str]) -> StreamState:
    partitions = {
        account: part if account in group else ELSEWHERE
        for account, part in stream.partitions.items()
        if account in group or part.was_read
    }
    return replace(stream, partitions=partitions)


def _own(stream: StreamState) -> list[str]:
    return [account for account, part in stream.partitions.items() if part != ELSEWHERE]


def forget(state: State, accounts: Collection[str]) -> Json:
    """Return a state without these accounts, whose rows a FULL_TABLE read then drops. Raises TapError."""
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
class Merger:
    """Merges states into one. `files`: their names with the states. `warnings`: for the log."""

    files: Sequence[tuple[str, State]]
    warnings: list[str] = field(default_factory=list)

    def value(self) -> Json:
        """Return the merged state. Raises TapError if two states contradict each other."""
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
        """Return the values of no account, which must be equal in all states that have them."""
        merged: Json = {}
        for file, state in self.files:
            for member, value in state.without(known).items():
                if isinstance(value, dict) and isinstance(merged.setdefault(member, {}), dict):
                    self._unite(merged[member], value, file, member)
                else:
                    self._unite(merged, {member: value}, file, "its top")
        return merged

    def _unite(self, merged: Json, more: Json, file: str, where: str) -> None:
        for name, value in more.items():
            if merged.setdefault(name, value) != value:
                raise TapError(
                    f"{file}: {name[:60]!r} at {where} differs from the files before, and belongs to no account. "
                    "Remove it from all files but one."
                )

    def _stream(self, name: str, files: list[tuple[str, StreamState]]) -> StreamState:
        imported_bookmark = [file for file, stream in files if stream.imported is not None]
        if imported_bookmark:
            self.warnings.append(
                f"{name}: {', '.join(imported_bookmark)} holds a bookmark of another tap, which names no account: it "
                "is ignored, and accounts that the other files do not have are read from the beginning"
            )
        files = [(file, stream) for file, stream in files if stream.imported is None]
        versions = {(stream.version, stream.content, stream.written, stream.blocked) for _, stream in files}
        merged = StreamState(max((version for version, *_ in versions if version), default=None))
        if len(versions) == 1:
            ((_, merged.content, merged.written, merged.blocked),) = versions
        for file, stream in files:
            self._unite(merged.selections, stream.selections, file, f"bookmarks.{name}.selections")
        for account in dict.fromkeys(account for _, stream in files for account in stream.partitions):
            part = self._partition(name, account, files)
            if part:
                merged.partitions[account] = part
        return merged

    def _partition(self, name: str, account: str, files: list[tuple[str, StreamState]]) -> Partition | None:
        """Return the partition of the state that owns it; None if the next sync is to read it from the beginning."""
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
                "to one process. Split the state with tap-twilio state split, and merge that account's shard once."
            )
        self.warnings.append(
            f"{name}: {own[0][0]} and {others[0]} both read it, and it does not belong to their accounts, so the next "
            "sync reads it from the beginning; select it in one of the processes"
        )
        return None


def merge(files: Sequence[tuple[str, Any]]) -> tuple[Json, list[str]]:
    """Return the merged state, and warnings for the log. `files`: names with their states."""
    merger = Merger(files)
    return merger.value(), merger.warnings
