"""
Make fingerprints during a backfill in time slices, so that the first rescan does not send the history again.

`Table.slice_sums` returns a `SliceSums` for each slice, instead of `Chunks`. Slices are read concurrently and out of
order, so a chunk may begin in one slice and end in another. The state keeps `PartialSums` of each range that was read:
the sums of its incomplete first and last chunk. extract/time_slices.py joins the partial sums of ranges that touch
(`join`). After the last slice, extract/partition_read.py stores the first and last chunk of the whole list (`close`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tap_twilio.changes.fingerprint_codec import Sums, pack, unpack
from tap_twilio.changes.fingerprints import FingerprintStore, PendingRow
from tap_twilio.changes.hashes import last_chunk_key
from tap_twilio.changes.power_sums import ZERO, plus, power_sums

TAIL_KEY = 2**64 - 1  # stands for the key of the tail in the text of partial sums


@dataclass
class PartialSums:
    """
    The sums of a range's incomplete chunks: `head`, up to the first row that ends a chunk, and `tail`, after the last.

    `key` is the key of that first row; None if no chunk ends in the range. The chunks between are in the store.
    """

    key: int | None = None
    head: Sums = ZERO
    tail: Sums = ZERO

    def join(self, older: PartialSums, store: FingerprintStore) -> PartialSums:
        """
        Return the sums of this range and the older range that follows it in the list.

        Store the fingerprint of the chunk that begins in this range and ends in the older one.
        """
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
        """Return the sums as text for the state."""
        return pack({**({} if self.key is None else {self.key: self.head}), TAIL_KEY: self.tail})

    @staticmethod
    def from_text(text: str | None) -> PartialSums:
        """Read what `text` returned. Any other text counts as a range without rows."""
        sums = [(key, fingerprint) for key, fingerprint in unpack(text or "").items() if isinstance(fingerprint, tuple)]
        if len(sums) == 1:
            return PartialSums(None, ZERO, sums[0][1])
        return PartialSums(sums[0][0], sums[0][1], sums[1][1]) if len(sums) == 2 else PartialSums()


class SliceSums:
    """Sums up the rows of a time slice, all of which are written as they come (`all_new`)."""

    all_new = True
    safe_points = None

    def __init__(self, store: FingerprintStore, length: int, partial_sums: PartialSums) -> None:
        self._store, self._mask, self._sums = store, length - 1, partial_sums
        self._open: list[Sequence[int]] = []  # rows after the last end of a chunk, which `_sums` lacks
        self.taken = 0
        self.changed: list[PendingRow] = []
        self.fingerprinted: set[int] = set()

    def take(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> None:
        """Take rows, and ignore the unsliceable ones: they have chunks of their own, which rescans make."""
        self.add([row[:2] for at, row in enumerate(rows) if at not in unsliceable])
        self.taken = len(rows)

    def add(self, rows: Iterable[Sequence[int]]) -> None:
        """Add rows, each as the hashes of its key and of its record."""
        for row in rows:
            self._open.append(row)
            key = row[0]
            if not key & self._mask:  # the row ends a chunk
                added = PartialSums(key, power_sums(self._open), ZERO)
                self._sums, self._open = self._sums.join(added, self._store), []

    def forget(self, keys: Iterable[int]) -> None:
        """Do nothing: no row is pending."""

    @property
    def partial_sums(self) -> PartialSums:
        """Return the partial sums of the slice so far, to be kept in the state."""
        return self._sums.join(PartialSums(None, ZERO, power_sums(self._open)), self._store)


def join(store: FingerprintStore, newer: str | None, older: str | None) -> str | None:
    """Return the partial sums of two ranges that touch, as text."""
    return PartialSums.from_text(newer).join(PartialSums.from_text(older), store).text()


def close(store: FingerprintStore, list_name: str, text: str | None) -> None:
    """Store the first and the last chunk of a list that was read whole in slices. `text`: its partial sums."""
    partial_sums = PartialSums.from_text(text)
    if partial_sums.key is not None:
        store.set(partial_sums.key, partial_sums.head)
    if partial_sums.tail != ZERO:
        store.set(last_chunk_key(0, list_name), partial_sums.tail)
