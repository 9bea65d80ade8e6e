"""What a run counted so far, by stream and account: for the progress, the table at the end, and the summary's file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.twilio.request import RequestStats

from .estimate import first_read_share

Key = tuple[str, str]  # stream, account
LEAST_SHARE = 0.01  # of a first read, before its end is estimated


@dataclass
class StreamStats:
    """Of one stream, or of a stream in one account. `seconds`: how long its requests took together."""

    requests: int = 0
    seconds: float = 0
    pages: int = 0
    read: int = 0
    emitted: int = 0
    rate: float = 0  # rows read a second, from its first request to its last answer
    share: float | None = None  # of its first read, from 0 to 1; None: none is under way
    seconds_left: float | None = None  # of that, should it go on so
    last_s: float = 0  # when the last answer came


@dataclass
class RunStats:
    """Counted into by one thread, and looked at by others too: nothing here is changed by looking."""

    traffic: Mapping[Key, RequestStats]
    emitted: Counter[Key] = field(default_factory=Counter)
    readings: Sequence[PartitionRead] = ()
    began_s: float = field(default_factory=time.monotonic)
    _first: dict[Key, float] = field(default_factory=dict)  # the first reads of this run: how much was done before

    def start(self, readings: Sequence[PartitionRead]) -> None:
        """These are read now."""
        first = [reading for reading in readings if reading.state.finished is None]
        self._first = {reading.key: first_read_share(reading) or 0 for reading in first}
        self.readings = readings

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began_s

    def of(self, key: Key) -> StreamStats:
        """Those of a stream in one account, without its share."""
        return _sum([self.traffic.get(key, RequestStats())], self.emitted[key])

    def by_stream(self) -> dict[str, StreamStats]:
        """Those of each stream that was asked for."""
        traffic: dict[str, list[RequestStats]] = {}
        for (name, _), one in list(self.traffic.items()):
            traffic.setdefault(name, []).append(one)
        emitted: Counter[str] = Counter()
        for (name, _), count in list(self.emitted.items()):
            emitted[name] += count
        found = {name: _sum(parts, emitted[name]) for name, parts in traffic.items()}
        for name, (share, before) in self._shares().items():
            if name in found and share < 1:
                figures, done = found[name], share - before
                figures.share = share
                figures.seconds_left = self.elapsed_s * (1 - share) / done if done > LEAST_SHARE else None
        return found

    def total(self) -> StreamStats:
        return _sum(list(self.traffic.values()), sum(self.emitted.values()))

    def _shares(self) -> dict[str, tuple[float, float]]:
        """How much of a stream's first reads is done, over all its accounts, and was done before this run."""
        if not self._first:
            return {}
        shares: dict[str, list[tuple[float, float]]] = {}
        for reading in self.readings:
            before = self._first.get(reading.key)
            if before is not None:
                shares.setdefault(reading.stream.name, []).append((first_read_share(reading) or 0, before))
        return {name: (_mean(now for now, _ in of), _mean(before for _, before in of)) for name, of in shares.items()}


def _sum(parts: Sequence[RequestStats], emitted: int) -> StreamStats:
    rows = sum(one.rows for one in parts)
    asked = [one for one in parts if one.first_s]
    spent_s = max(one.last_s for one in asked) - min(one.first_s for one in asked) if asked else 0.0
    return StreamStats(
        requests=sum(one.requests for one in parts),
        seconds=sum(one.seconds for one in parts),
        pages=sum(one.pages for one in parts),
        read=rows,
        emitted=emitted,
        rate=rows / spent_s if spent_s > 0 else 0,
        last_s=max((one.last_s for one in asked), default=0),
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def percent(one: StreamStats) -> str:
    """How much of a first read is done; empty where none is under way."""
    return "" if one.share is None else f"{100 * one.share:.0f} %"
