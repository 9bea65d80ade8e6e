"""Counts of a run, by stream and account: for the progress, the closing table, and the summary file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.twilio.request import RequestStats

from .estimate import first_read_share

Key = tuple[str, str]  # stream, account
LEAST_SHARE = 0.01  # of a first read, before its end is estimated


@dataclass
class StreamStats:
    """Counts of one stream, in all accounts or in one. `seconds`: how long its requests took together."""

    requests: int = 0
    seconds: float = 0
    pages: int = 0
    read: int = 0
    emitted: int = 0
    rate: float = 0  # rows read a second, from its first request to its last answer
    share: float | None = None  # of its first read, from 0 to 1; None: no first read is in progress
    seconds_left: float | None = None  # of the first read, at the present rate
    last_s: float = 0  # the time of the last answer


@dataclass
class RunStats:
    """Counts of a run. One thread changes them; others may read them at any time."""

    traffic: Mapping[Key, RequestStats]
    emitted: Counter[Key] = field(default_factory=Counter)
    readings: Sequence[PartitionRead] = ()
    began_s: float = field(default_factory=time.monotonic)
    _first: dict[Key, float] = field(default_factory=dict)  # share of first reads done before this run

    def start(self, readings: Sequence[PartitionRead]) -> None:
        """Take the reads of this run."""
        first = [reading for reading in readings if reading.state.finished is None]
        self._first = {reading.key: first_read_share(reading) or 0 for reading in first}
        self.readings = readings

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began_s

    def of(self, key: Key) -> StreamStats:
        """Return the counts of a stream in one account, without the share of its first read."""
        return _sum([self.traffic.get(key, RequestStats())], self.emitted[key])

    def by_stream(self) -> dict[str, StreamStats]:
        """Return the counts of each stream that was requested."""
        traffic: dict[str, list[RequestStats]] = {}
        for (name, _), requests in list(self.traffic.items()):
            traffic.setdefault(name, []).append(requests)
        emitted: Counter[str] = Counter()
        for (name, _), count in list(self.emitted.items()):
            emitted[name] += count
        streams = {name: _sum(parts, emitted[name]) for name, parts in traffic.items()}
        for name, (share, before) in self._shares().items():
            if name in streams and share < 1:
                stats, done = streams[name], share - before
                stats.share = share
                stats.seconds_left = self.elapsed_s * (1 - share) / done if done > LEAST_SHARE else None
        return streams

    def total(self) -> StreamStats:
        return _sum(list(self.traffic.values()), sum(self.emitted.values()))

    def _shares(self) -> dict[str, tuple[float, float]]:
        """Return the share of each stream's first reads that is done, and the share done before this run."""
        if not self._first:
            return {}
        shares: dict[str, list[tuple[float, float]]] = {}
        for reading in self.readings:
            before = self._first.get(reading.key)
            if before is not None:
                shares.setdefault(reading.stream.name, []).append((first_read_share(reading) or 0, before))
        columns = {name: tuple(zip(*pairs)) for name, pairs in shares.items()}
        return {name: (_mean(now), _mean(before)) for name, (now, before) in columns.items()}


def _sum(parts: Sequence[RequestStats], emitted: int) -> StreamStats:
    rows = sum(part.rows for part in parts)
    requested = [part for part in parts if part.first_s]
    spent_s = max(part.last_s for part in requested) - min(part.first_s for part in requested) if requested else 0.0
    return StreamStats(
        requests=sum(part.requests for part in parts),
        seconds=sum(part.seconds for part in parts),
        pages=sum(part.pages for part in parts),
        read=rows,
        emitted=emitted,
        rate=rows / spent_s if spent_s > 0 else 0,
        last_s=max((part.last_s for part in requested), default=0),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def percent(stats: StreamStats) -> str:
    """Return how much of a first read is done; empty if none is in progress."""
    return "" if stats.share is None else f"{100 * stats.share:.0f} %"
