"""
Counts of a run by stream and account: requests, pages and rows.

progress.py and display.py show them while the run lasts, summary.py at its end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.twilio.request import RequestStats

from .estimate import first_read_share

Key = tuple[str, str]  # stream, account
SMALLEST_SHARE = 0.01  # the end of a first read is estimated once this run has done so much of it


@dataclass
class StreamStats:
    """Counts of one stream, in one account or in all of them together."""

    requests: int = 0
    seconds: float = 0  # the sum over all requests
    pages: int = 0
    read: int = 0  # rows
    emitted: int = 0  # rows
    rate: float = 0  # rows read a second, from its first request to its last answer
    share: float | None = None  # how much of its first read is done, from 0 to 1; None if none is in progress
    seconds_left: float | None = None  # until its first read ends, at the present rate
    last_s: float = 0  # the time of the last answer


@dataclass
class RunStats:
    """The counts of a run. The main thread changes them; other threads may read them at any time."""

    traffic: Mapping[Key, RequestStats]
    write_s: Callable[[], float]  # the seconds spent in writes to the target
    emitted: Counter[Key] = field(default_factory=Counter)
    readings: Sequence[PartitionRead] = ()
    began_s: float = field(default_factory=time.monotonic)
    _share_before: dict[Key, float] = field(default_factory=dict)  # of first reads, done before this run

    def begin(self, readings: Sequence[PartitionRead]) -> None:
        """Note which lists the run reads, and how much of each first read earlier runs have done."""
        first_reads = [reading for reading in readings if reading.state.finished_at is None]
        self._share_before = {reading.key: first_read_share(reading) or 0 for reading in first_reads}
        self.readings = readings

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began_s

    def of_partition(self, key: Key) -> StreamStats:
        """Return the counts of a stream in one account, without the share of its first read."""
        return _add([self.traffic.get(key, RequestStats())], self.emitted[key])

    def by_stream(self) -> dict[str, StreamStats]:
        """Return the counts of each stream that was requested."""
        traffic: dict[str, list[RequestStats]] = {}
        for (name, _), requests in list(self.traffic.items()):
            traffic.setdefault(name, []).append(requests)
        emitted: Counter[str] = Counter()
        for (name, _), count in list(self.emitted.items()):
            emitted[name] += count
        streams = {name: _add(accounts, emitted[name]) for name, accounts in traffic.items()}
        for name, (share, before) in self._shares().items():
            if name in streams and share < 1:
                stats, done = streams[name], share - before
                stats.share = share
                stats.seconds_left = self.elapsed_s * (1 - share) / done if done > SMALLEST_SHARE else None
        return streams

    def total(self) -> StreamStats:
        return _add(list(self.traffic.values()), sum(self.emitted.values()))

    def _shares(self) -> dict[str, tuple[float, float]]:
        """Return how much of each stream's first reads is done, and how much was done before this run."""
        if not self._share_before:
            return {}
        shares: dict[str, list[tuple[float, float]]] = {}
        for reading in self.readings:
            before = self._share_before.get(reading.key)
            if before is not None:
                shares.setdefault(reading.stream.name, []).append((first_read_share(reading) or 0, before))
        by_stream = {name: tuple(zip(*pairs)) for name, pairs in shares.items()}
        return {name: (_mean(now), _mean(before)) for name, (now, before) in by_stream.items()}


class TargetWait:
    """Tells whether the tap waits for its target most of the time. It measures once a second at most."""

    def __init__(self, counts: RunStats) -> None:
        self._counts = counts
        self._measured_at, self._write_s, self._is_waiting = time.monotonic(), counts.write_s(), False

    def is_waiting(self) -> bool:
        now, write_s = time.monotonic(), self._counts.write_s()
        if now - self._measured_at >= 1:
            self._is_waiting = (write_s - self._write_s) / (now - self._measured_at) > 0.5
            self._measured_at, self._write_s = now, write_s
        return self._is_waiting


def _add(accounts: Sequence[RequestStats], emitted: int) -> StreamStats:
    rows = sum(account.rows for account in accounts)
    requested = [account for account in accounts if account.first_s]
    spent_s = max(stats.last_s for stats in requested) - min(stats.first_s for stats in requested) if requested else 0.0
    return StreamStats(
        requests=sum(account.requests for account in accounts),
        seconds=sum(account.seconds for account in accounts),
        pages=sum(account.pages for account in accounts),
        read=rows,
        emitted=emitted,
        rate=rows / spent_s if spent_s > 0 else 0,
        last_s=max((account.last_s for account in requested), default=0),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def percent(stats: StreamStats) -> str:
    """Return how much of a first read is done, as text; empty if none is in progress."""
    return "" if stats.share is None else f"{100 * stats.share:.0f} %"
