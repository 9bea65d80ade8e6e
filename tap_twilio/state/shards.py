"""
Split a state by accounts into shards, one for each concurrent process, and merge shards (commands/state.py).

A shard holds the partitions of its own accounts. For every other account with rows in the warehouse it holds
`ELSEWHERE`, so that no process completes a FULL_TABLE version and drops the rows of other accounts. A process that
reads such an account anyway reads it from the beginning.

Safety: the merge takes each partition from one shard. If two shards hold different bookmarks of an account, the merge
fails. In a stream that is not read per account, both processes may have read it: the merge leaves that partition out,
and the next sync reads it from the beginning.
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


def fingerprint_bytes_by_account(state: State) -> dict[str, int]:
    """Return the accounts whose partitions a state holds, not another shard, with the bytes of their fingerprints."""
    sizes: dict[str, int] = {}
    for name in state.names:
        for account, partition in state.stream(name).partitions.items():
            if partition != ELSEWHERE:
                size = len(partition.fingerprints or "") + len(partition.rescan_fingerprints or "")
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
    Return a state for each group of accounts. All of them hold the values that belong to no account.

    The shard of the main account holds the streams that only the main account has.
    """
    streams = _partitioned_streams(state)
    return [_with_streams(state, {name: _shard(stream, group) for name, stream in streams.items()}) for group in groups]


def _partitioned_streams(state: State) -> dict[str, StreamState]:
    """Return the streams that hold partitions, and not only another tap's bookmark."""
    streams = {name: state.stream(name) for name in state.names}
    return {name: stream for name, stream in streams.items() if stream.imported is None}


def _with_streams(state: State, streams: dict[str, StreamState]) -> Json:
    """Return a state with these streams instead of its own."""
    changed = State(deepcopy(state.without(streams)))
    for name, stream in streams.items():
        vars(changed.stream(name)).update(vars(stream))
    return changed.dump({name: _own_accounts(stream) for name, stream in streams.items()})


def _shard(stream: StreamState, group: Sequence[str]) -> StreamState:
    partitions = {
        account: partition if account in group else ELSEWHERE
        for account, partition in stream.partitions.items()
        if account in group or partition.was_read
    }
    return replace(stream, partitions=partitions)


def _own_accounts(stream: StreamState) -> list[str]:
    return [account for account, partition in stream.partitions.items() if partition != ELSEWHERE]


def forget(state: State, accounts: Collection[str]) -> Json:
    """Return a state without these accounts. The next FULL_TABLE read then drops their rows. Raises TapError."""
    streams = _partitioned_streams(state)
    missing = set(accounts).difference(*(stream.partitions for stream in streams.values()))
    if missing:
        raise TapError(
            f"the state has no account {', '.join(sorted(missing))}: tap-twilio state show lists its accounts"
        )
    return _with_streams(state, {name: _forget_in(stream, accounts) for name, stream in streams.items()})


def _forget_in(stream: StreamState, accounts: Collection[str]) -> StreamState:
    kept = {account: partition for account, partition in stream.partitions.items() if account not in accounts}
    return replace(stream, partitions=kept)


@dataclass
class Merger:
    """Merges shards into one state. `files`: the names of their files, and the states. `warnings`: for the log."""

    files: Sequence[tuple[str, State]]
    warnings: list[str] = field(default_factory=list)

    def merge(self) -> Json:
        """Return the merged state. Raises TapError if two states contradict each other."""
        names = list(dict.fromkeys(name for _, state in self.files for name in state.names))
        streams = {
            name: [(file, state.stream(name)) for file, state in self.files if name in state.names] for name in names
        }
        names = [name for name in names if any(stream.imported is None for _, stream in streams[name])]
        merged = State(self._merge_others(names))
        for name in names:
            vars(merged.stream(name)).update(vars(self._merge_stream(name, streams[name])))
        return merged.dump({name: _own_accounts(merged.stream(name)) for name in names})

    def _merge_others(self, names: Sequence[str]) -> Json:
        """Return the values that belong to no account, which must be equal in all states that have them."""
        merged: Json = {}
        for file, state in self.files:
            for member, value in state.without(names).items():
                if isinstance(value, dict) and isinstance(merged.setdefault(member, {}), dict):
                    self._add_equal(merged[member], value, file, member)
                else:
                    self._add_equal(merged, {member: value}, file, "its top")
        return merged

    def _add_equal(self, merged: Json, more: Json, file: str, where: str) -> None:
        for name, value in more.items():
            if merged.setdefault(name, value) != value:
                raise TapError(
                    f"{file}: {name[:60]!r} at {where} differs from the files before, and belongs to no account. "
                    "Remove it from all files but one."
                )

    def _merge_stream(self, name: str, files: list[tuple[str, StreamState]]) -> StreamState:
        importing = [file for file, stream in files if stream.imported is not None]
        if importing:
            self.warnings.append(
                f"{name}: {', '.join(importing)} holds a bookmark of another tap, which names no account: it "
                "is ignored, and accounts that the other files do not have are read from the beginning"
            )
        files = [(file, stream) for file, stream in files if stream.imported is None]
        versions = {(stream.version, stream.content_hash, stream.written_at, stream.blocked) for _, stream in files}
        merged = StreamState(max((version for version, *_ in versions if version), default=None))
        if len(versions) == 1:
            ((_, merged.content_hash, merged.written_at, merged.blocked),) = versions
        for file, stream in files:
            self._add_equal(merged.selections, stream.selections, file, f"bookmarks.{name}.selections")
        for account in dict.fromkeys(account for _, stream in files for account in stream.partitions):
            partition = self._choose_partition(name, account, files)
            if partition:
                merged.partitions[account] = partition
        return merged

    def _choose_partition(self, name: str, account: str, files: list[tuple[str, StreamState]]) -> Partition | None:
        """
        Return the partition from the state that holds it, and ELSEWHERE if none does.

        Returns None if the next sync must read the partition from the beginning.
        """
        partitions = [(file, stream.partitions[account]) for file, stream in files if account in stream.partitions]
        own = [(file, partition) for file, partition in partitions if partition != ELSEWHERE]
        if not own:
            return ELSEWHERE
        first = own[0][1]
        others = [file for file, partition in own if partition != first]
        if not others:
            return first
        if BY_NAME[name].scope == "account":
            raise TapError(
                f"{own[0][0]} and {others[0]} hold different bookmarks of {name} for {account}: each account belongs "
                "to one process. Split the state with tap-twilio state split, and merge that account's shard once."
            )
        self.warnings.append(
            f"{name}: {own[0][0]} and {others[0]} both read this stream, which is not per account, so the next sync "
            "reads it from the beginning; select it in one of the processes"
        )
        return None


def merge(files: Sequence[tuple[str, Any]]) -> tuple[Json, list[str]]:
    """Return the merged state, and warnings for the log. `files`: the names of files, and the states in them."""
    merger = Merger(files)
    return merger.merge(), merger.warnings
