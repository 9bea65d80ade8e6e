"""
Make fingerprints from time slices, so that the first rescan after a backfill does not send the history again.

Slices are read side by side and out of order. What was read of each is kept as partial sums, which are joined where
slices touch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tap_twilio.changes.fingerprint_codec import Sums, pack, unpack
from tap_twilio.changes.fingerprints import FingerprintStore, PendingRow
from tap_twilio.changes.power_sums import ZERO, last_chunk_key, plus, power_sums

TAIL_KEY = -1 % 2**64  # of the tail, in a text of partial sums


@dataclass
class PartialSums:
    """
    The sums of a range's rows up to the first end of a chunk, and after the last end. The chunks between are stored.

    `key` is that of the first end; None where the range has none.
    """

    key: int | None = None
    head: Sums = ZERO
    tail: Sums = ZERO

    def join(self, older: PartialSums, store: FingerprintStore) -> PartialSums:
        """Return the sums of this range and of the one that follows it in the list."""
        if self.key is None:
            if older.key is None:
                return PartialSums(None, ZERO, plus(self.tail, older.tail))
            return PartialSums(older.key, plus(self.tail, older.head), older.tail)
        if older.key is None:
            return PartialSums(self.key, self.head, plus(self.tail, older.tail))
        if not store.size_limit.full:
            store.set(older.key, plus(self.tail, older.head))
        return PartialSums(self.key, self.head, older.tail)

    def text(self) -> str | None:
        return pack({**({} if self.key is None else {self.key: self.head}), TAIL_KEY: self.tail})

    @staticmethod
    def of(text: str | None) -> PartialSums:
        """Read what `text` returned. Any other text counts as a range of which nothing is known."""
        sums = [(key, fingerprint) for key, fingerprint in unpack(text or "").items() if isinstance(fingerprint, tuple)]
        if len(sums) == 1:
            return PartialSums(None, ZERO, sums[0][1])
        return PartialSums(sums[0][0], sums[0][1], sums[1][1]) if len(sums) == 2 else PartialSums()


class SliceSums:
    """Read the rows of a time slice. All are written as they come; `partial_sums` holds what was read."""

    idle = all_new = True
    pauses = None

    def __init__(self, store: FingerprintStore, length: int, partial_sums: PartialSums) -> None:
        self._store, self._end, self._read = store, length - 1, partial_sums
        self._open: list[Sequence[int]] = []  # rows since the last end of a chunk
        self.taken = 0
        self.changed: list[PendingRow] = []
        self.seen: set[int] = set()

    def take(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> None:
        """Take rows. Unsliceable ones are left out, since a later rescan may meet them elsewhere."""
        self.add([row[:2] for at, row in enumerate(rows) if at not in unsliceable])
        self.taken = len(rows)

    def add(self, rows: Iterable[Sequence[int]]) -> None:
        """Add rows by the hashes of their keys and contents."""
        for row in rows:
            self._open.append(row)
            if not row[0] & self._end:
                here = PartialSums(row[0], power_sums(self._open), ZERO)
                self._read, self._open = self._read.join(here, self._store), []

    def forget(self, keys: Iterable[int]) -> None:
        """Do nothing: no row is pending."""

    @property
    def partial_sums(self) -> PartialSums:
        return self._read.join(PartialSums(None, ZERO, power_sums(self._open)), self._store)


def join(store: FingerprintStore, newer: str | None, older: str | None) -> str | None:
    """Return what was read of two ranges that touch."""
    return PartialSums.of(newer).join(PartialSums.of(older), store).text()


def close(store: FingerprintStore, name: str, read: str | None) -> None:
    """Store the first and the last chunk of a list, all of which was read by slices."""
    partial_sums = PartialSums.of(read)
    if partial_sums.key is not None:
        store.set(partial_sums.key, partial_sums.head)
    if partial_sums.tail != ZERO:
        store.set(last_chunk_key(0, name), partial_sums.tail)
