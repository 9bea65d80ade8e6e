"""
Compare a chunk of rows with its stored fingerprints, and choose the fingerprints that replace them.

`Chunks` (chunks.py) makes a `Chunk` of the pending rows when they end, hands on `Chunk.changed`, and then stores
`Chunk.fingerprints`. This module reads and writes no store. In a `PendingRow`, `key` and `content` are hashes: of the
row's key, and of its record.

The fingerprint of a chunk is stored under the key of its last row: five sums (power_sums.py), or one hash a row if the
chunk has few rows. If many of its rows changed, or if it is the first of its list, its subchunks have fingerprints
instead, each under the key of its own last row. So up to three comparisons follow one another, until one of them
identifies the changed rows: the sums of the chunk, the sums of a subchunk, the hashes of a subchunk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

from tap_twilio.changes.fingerprint_codec import Fingerprint, Sums
from tap_twilio.changes.fingerprints import PendingRow
from tap_twilio.changes.power_sums import MAX_IDENTIFIED, ZERO, is_located, locate, minus, power_sums
from tap_twilio.timestamps import END, Timestamp, timestamp_or_none

FEW_ROWS = 5  # whose hashes take no more bytes than sums
Rows = Sequence[PendingRow]


class Chunk:
    """
    The rows of a chunk that ended. `stored` are the fingerprints under its `keys`: its own and those of its subchunks.

    `changed` are the rows to be written, `fingerprinted` the keys of those that had a fingerprint before. Rows created
    from `since` on, when the last sync began, are probably new. A key with zeros in `subchunk_mask` ends a subchunk.
    """

    def __init__(
        self,
        rows: Rows,
        key: int,
        unsliceable: bool,
        keys: Sequence[int],
        stored: Mapping[int, Fingerprint],
        subchunk_mask: int,
        since: Timestamp,
    ) -> None:
        self.rows, self.key, self.unsliceable, self.keys = rows, key, unsliceable, keys
        self.is_new = not stored
        self._stored, self._subchunk_mask, self._since = stored, subchunk_mask, since
        # A key and a number of rows tell chunk and subchunks apart: the last subchunk has the chunk's key.
        self._identified: set[tuple[int, int]] = set()  # those whose sums identified the changed rows
        self._sums: dict[tuple[int, int], Sums] = {}
        self.fingerprinted: set[int] = set()
        self.changed: Rows = [row for row in rows if not row.assume_sent] if self.is_new else self._compare()

    # -- which rows changed

    def _compare(self) -> Rows:
        """Return the changed rows: those that neither the chunk's fingerprint nor a subchunk's shows as unchanged."""
        identified = self._identify_changed(self.rows, self.key)
        if identified is not None:
            return identified
        rows = _not_in(self.rows, self._stored.get(self.key))
        if not rows:
            return rows
        changed = {row.key for subchunk, key in self._subchunks for row in self._compare_subchunk(subchunk, key)}
        return [row for row in rows if row.key in changed]

    def _compare_subchunk(self, rows: Rows, key: int) -> Rows:
        fingerprint = self._stored.get(key)
        if fingerprint is None:
            return [row for row in rows if not row.assume_sent]
        identified = self._identify_changed(rows, key)
        return self._note_fingerprinted(_not_in(rows, fingerprint)) if identified is None else identified

    def _identify_changed(self, rows: Rows, key: int) -> Rows | None:
        """Return the changed rows of a chunk or subchunk, if the sums under its key identify them; None if not."""
        stored = self._stored.get(key)
        if not isinstance(stored, tuple):
            return None
        changed = self._keys_of_changed(rows, minus(self._sum(rows, key), stored))
        if changed is None or (changed and self._is_of_last_subchunk(rows, key)):
            return None
        self._identified.add((key, len(rows)))
        return self._note_fingerprinted([row for row in rows if row.key in changed])

    def _keys_of_changed(self, rows: Rows, difference: Sums) -> set[int] | None:
        """Return the keys of the rows that changed or are new; None if they are too many for the sums."""
        if difference == ZERO:
            return set()
        for new in ([], self._probably_new(rows)):
            locator = locate(minus(difference, power_sums(new)))
            if locator is not None:
                return {row.key for row in rows if is_located(locator, row.key)}.union(row.key for row in new)
        return None

    def _probably_new(self, rows: Rows) -> Rows:
        """Return the rows that were created since the last sync began, or have no date of creation."""
        if not self._since:
            return []
        return [row for row in rows if _created(row) >= self._since]

    def _is_of_last_subchunk(self, rows: Rows, key: int) -> bool:
        """Return whether the fingerprint under a chunk's key is that of its last subchunk: others are stored too."""
        ends = (row.key ^ self.unsliceable for row in rows if not row.key & self._subchunk_mask)
        return any(end != key and end in self._stored for end in ends)

    def _note_fingerprinted(self, rows: Rows) -> Rows:
        self.fingerprinted.update(row.key for row in rows)
        return rows

    # -- what to store

    def fingerprints(self, is_first: bool, without: Collection[int]) -> Iterator[tuple[int, Fingerprint]]:
        """
        Yield the sums of a stable chunk; else the sums of each stable subchunk, and one hash a row of the others.

        A chunk is stable if so few rows changed that sums identified them. Only the size of the state depends on this
        choice. `is_first`: the first chunk of a list has subchunks, because most rows come and go there. A chunk
        `without` some of its rows has subchunks too: later syncs add these rows.
        """
        rows, key, changed = self.rows, self.key, set() if self.is_new else {row.key for row in self.changed}
        if len(rows) <= FEW_ROWS:
            yield from self._hashes(rows, key, without)
        elif not is_first and not without and self._is_stable(rows, key, changed):
            yield key, self._sum(rows, key)
        else:
            for subchunk, end in self._subchunks:
                complete = not without or not any(row.key in without for row in subchunk)
                if complete and len(subchunk) > FEW_ROWS and self._is_stable(subchunk, end, changed):
                    yield end, self._sum(subchunk, end)
                else:
                    yield from self._hashes(subchunk, end, without)

    def _hashes(self, rows: Rows, key: int, without: Collection[int]) -> Iterator[tuple[int, Fingerprint]]:
        hashes = frozenset(row.content for row in rows if row.key not in without)
        if hashes:
            yield key, hashes

    def _is_stable(self, rows: Rows, key: int, changed: set[int]) -> bool:
        """Return whether no row changed, or so few that sums identified them."""
        changes = sum(row.key in changed for row in rows) if changed else 0
        return not changes or ((key, len(rows)) in self._identified and changes <= MAX_IDENTIFIED)

    @cached_property
    def _subchunks(self) -> list[tuple[Rows, int]]:
        """Return the rows and the key of each subchunk."""
        subchunks: list[tuple[Rows, int]] = []
        start = 0
        for at, row in enumerate(self.rows[:-1], 1):
            if not row.key & self._subchunk_mask:
                subchunks.append((self.rows[start:at], row.key ^ self.unsliceable))
                start = at
        return [*subchunks, (self.rows[start:], self.key)]

    def _sum(self, rows: Rows, key: int) -> Sums:
        at = (key, len(rows))
        if at not in self._sums:
            self._sums[at] = power_sums(rows)
        return self._sums[at]


def _created(row: PendingRow) -> Timestamp:
    _, _, created = row.dates
    return timestamp_or_none(created) or END


def _not_in(rows: Rows, fingerprint: Fingerprint | None) -> Rows:
    """Return the rows that are not among a fingerprint's hashes; all rows if it has sums, or does not exist."""
    if not isinstance(fingerprint, frozenset):
        return rows
    return [row for row in rows if row.content not in fingerprint]
