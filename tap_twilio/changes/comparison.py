"""Compare a chunk of rows with its stored fingerprints, and choose new ones. Pure: no store is read or written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

from tap_twilio.changes.fingerprint_codec import Fingerprint, Sums
from tap_twilio.changes.fingerprints import PendingRow
from tap_twilio.changes.power_sums import DECODABLE, ZERO, is_root, minus, power_sums, recurrence
from tap_twilio.timestamps import END, Timestamp, timestamp_or_none

FEW_ROWS = 5  # whose hashes take no more bytes than sums
Rows = Sequence[PendingRow]


class Chunk:
    """
    A run of rows that ended, beside the fingerprints that are stored under its `keys`.

    `changed` are the rows to be written. `seen` are the keys of those that differ from a fingerprint; the others are in
    none. Rows created from `since` on cannot be in one.
    """

    def __init__(
        self,
        rows: Rows,
        key: int,
        unsliceable: bool,
        keys: Sequence[int],
        fingerprints: Mapping[int, Fingerprint],
        subchunk_end: int,
        since: Timestamp,
    ) -> None:
        self.rows, self.key, self.unsliceable, self.keys = rows, key, unsliceable, keys
        self.is_new = not fingerprints
        self._fingerprints, self._subchunk_end, self._since = fingerprints, subchunk_end, since
        self._decoded: set[tuple[int, int]] = set()  # chunks and subchunks, by key and length, whose sums told changes
        self._sums: dict[tuple[int, int], Sums] = {}
        self.seen: set[int] = set()
        self.changed: Rows = [row for row in rows if not row.assume_sent] if self.is_new else self._changed_in_chunk()

    # -- which rows changed

    def _changed_in_chunk(self) -> Rows:
        """Return the changed rows: those of which neither the chunk's fingerprint nor a subchunk's says otherwise."""
        fingerprint = self._fingerprints.get(self.key)
        decoded = self._decode_chunk(fingerprint)
        if decoded is not None:
            return self._note_seen(decoded)
        rows = _not_in(self.rows, fingerprint)
        if not rows:
            return rows
        changed = {row.key for some, key in self._subchunks for row in self._changed_in_subchunk(some, key)}
        return [row for row in rows if row.key in changed]

    def _decode_chunk(self, fingerprint: Fingerprint | None) -> Rows | None:
        """Return the changed rows as the chunk's sums tell them; None where they cannot."""
        decoded = self._decode(self.rows, self.key, fingerprint)
        if decoded is None or (decoded and self._ends_stored(self.rows, self.key)):
            return None
        self._decoded.add((self.key, len(self.rows)))
        return [row for row in self.rows if row.key in decoded]

    def _changed_in_subchunk(self, rows: Rows, key: int) -> Rows:
        fingerprint = self._fingerprints.get(key)
        if fingerprint is None:
            return [row for row in rows if not row.assume_sent]
        decoded = self._decode(rows, key, fingerprint)
        if decoded is None or (decoded and self._ends_stored(rows, key)):
            return self._note_seen(_not_in(rows, fingerprint))
        self._decoded.add((key, len(rows)))
        return self._note_seen([row for row in rows if row.key in decoded])

    def _note_seen(self, rows: Rows) -> Rows:
        self.seen.update(row.key for row in rows)
        return rows

    def _ends_stored(self, rows: Rows, key: int) -> bool:
        """Return whether subchunks have fingerprints: then the one under `key` is that of the last subchunk only."""
        ends = (row.key ^ self.unsliceable for row in rows if not row.key & self._subchunk_end)
        return any(end != key and end in self._fingerprints for end in ends)

    def _decode(self, rows: Rows, key: int, stored: Fingerprint | None) -> set[int] | None:
        """Return the keys of the rows that changed or came; None where sums are missing or cannot tell so many."""
        if not isinstance(stored, tuple):
            return None
        difference = minus(self._sum(rows, key), stored)
        if difference == ZERO:
            return set()
        new = [row for row in rows if (timestamp_or_none(row.dates[2]) or END) >= self._since] if self._since else []
        for fresh in ([], new) if new else ([],):
            polynomial = recurrence(minus(difference, power_sums(fresh)))
            if polynomial:
                return {row.key for row in rows if is_root(polynomial, row.key)}.union(row.key for row in fresh)
        return None

    # -- what to store

    def fingerprints(self, is_first: bool, without: Collection[int]) -> Iterator[tuple[int, Fingerprint]]:
        """
        Yield a sum for a stable chunk, else one for each stable subchunk, and one hash a row for a volatile subchunk.

        Only the size depends on this choice. The first chunk of a list is stored in subchunks, since most rows come
        and go there; and so is one `without` some of its rows, which later syncs add.
        """
        rows, key, changed = self.rows, self.key, set() if self.is_new else {row.key for row in self.changed}
        if len(rows) <= FEW_ROWS:
            yield from self._hashes(rows, key, without)
        elif not is_first and not without and self._is_stable(rows, key, changed):
            yield key, self._sum(rows, key)
        else:
            for some, end in self._subchunks:
                complete = not without or not any(row.key in without for row in some)
                if complete and len(some) > FEW_ROWS and self._is_stable(some, end, changed):
                    yield end, self._sum(some, end)
                else:
                    yield from self._hashes(some, end, without)

    def _hashes(self, rows: Rows, key: int, without: Collection[int]) -> Iterator[tuple[int, Fingerprint]]:
        hashes = frozenset(row.content for row in rows if row.key not in without)
        if hashes:
            yield key, hashes

    def _is_stable(self, rows: Rows, key: int, changed: set[int]) -> bool:
        changes = sum(row.key in changed for row in rows) if changed else 0
        return not changes or ((key, len(rows)) in self._decoded and changes <= DECODABLE)

    @cached_property
    def _subchunks(self) -> list[tuple[Rows, int]]:
        subchunks: list[tuple[Rows, int]] = []
        start = 0
        for at, row in enumerate(self.rows[:-1], 1):
            if not row.key & self._subchunk_end:
                subchunks.append((self.rows[start:at], row.key ^ self.unsliceable))
                start = at
        return [*subchunks, (self.rows[start:], self.key)]

    def _sum(self, rows: Rows, key: int) -> Sums:
        at = (key, len(rows))
        if at not in self._sums:
            self._sums[at] = power_sums(rows)
        return self._sums[at]


def _not_in(rows: Rows, fingerprint: Fingerprint | None) -> Rows:
    """Return the rows that are not among the hashes of a fingerprint; all where it has none."""
    if not isinstance(fingerprint, frozenset):
        return rows
    return [row for row in rows if row.content not in fingerprint]
