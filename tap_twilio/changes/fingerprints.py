"""
Keep the fingerprints of one table's rows, within the size that the state may take.

`Table` loads them from the state, `Chunks` (chunks.py) looks them up and replaces them, and `Table.save_fingerprints`
packs them into the state again (fingerprint_codec.py).

Safety: a fingerprint is stored only after its rows were written. A missing or wrong fingerprint causes extra writes,
never a lost row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tap_twilio.changes.fingerprint_codec import MAX_HASHES, Fingerprint, size_in_state, unpack
from tap_twilio.twilio.request import PageTimes


class PendingRow(NamedTuple):
    """A row that is read, and waits for the end of its chunk."""

    key: int  # a hash of its key, 64 bits
    content: int  # a hash of its record
    record: Any  # the JSON to write; of a parent row, what is needed to read its children
    times: PageTimes
    dates: tuple[Any, Any, Any]  # twilio.endpoint.DateTriple
    assume_sent: bool = False  # whether it counts as written if no fingerprint is stored


# Pending rows of one list by key, in the order of the list: the sliceable rows, and the unsliceable ones (chunks.py).
PendingByKind = tuple[dict[int, PendingRow], dict[int, PendingRow]]


@dataclass
class SizeLimit:
    """The bytes of state that the fingerprints of all tables may take, and that they take now."""

    limit: int
    used: int = 0

    @property
    def full(self) -> bool:
        return self.used >= self.limit


@dataclass
class FingerprintStore:
    """
    The fingerprints of one table, by the keys of their chunks, the oldest first.

    `new` holds the fingerprints that were made or confirmed since the open rescan began. `old` holds those of the
    rescan before it; a rescan that ends drops what it did not confirm (`rotate`).

    A full store takes no more rows, and the table decides by dates. The store of a child stream `evicts_oldest`
    instead: it drops the oldest fingerprints, whose rows are then sent again. A child is seldom read whole, so no
    rescan shows which of its fingerprints are outdated.
    """

    size_limit: SizeLimit
    old: dict[int, Fingerprint] = field(default_factory=dict)
    new: dict[int, Fingerprint] = field(default_factory=dict)
    evicts_oldest: bool = False
    is_dirty: bool = False  # whether it differs from the state
    made: set[int] = field(default_factory=set)  # the keys of the fingerprints that this sync made
    pending: dict[str, PendingByKind] = field(default_factory=dict)  # by list; only if a row may move between lists

    def __bool__(self) -> bool:
        return bool(self.old or self.new)

    def get(self, key: int) -> Fingerprint | None:
        fingerprint = self.new.get(key)
        return self.old.get(key) if fingerprint is None else fingerprint

    def find(self, keys: Iterable[int]) -> dict[int, Fingerprint]:
        """Return the fingerprints that are stored under some of these keys."""
        return {key: fingerprint for key in keys if (fingerprint := self.get(key)) is not None}

    @property
    def is_full(self) -> bool:
        """Return whether the limit is reached, and no unconfirmed fingerprint can be dropped."""
        return self.size_limit.full and not self.old and not self.evicts_oldest

    def set(self, key: int, fingerprint: Fingerprint) -> None:
        """Replace a fingerprint. With both stored, a row that changes and changes back would look unchanged."""
        self.drop(key)
        if len(fingerprint) > MAX_HASHES:
            return  # rows without a fingerprint are written again
        self.is_dirty = True
        self.new[key] = fingerprint
        self.made.add(key)
        self.size_limit.used += size_in_state(fingerprint)

    def confirm(self, keys: Iterable[int]) -> None:
        """Confirm fingerprints: their rows were read again, unchanged."""
        for key in keys:
            if key in self.old:
                self.new[key], self.is_dirty = self.old.pop(key), True

    def evict(self, used_before: int) -> None:
        """
        Drop fingerprints while the limit is exceeded, and the last change used more bytes than it freed.

        Without the second condition, a full state would lose one fingerprint for each one that is replaced. Child
        streams leave half of the limit to the other tables.
        """
        limit = self.size_limit.limit // 2 if self.evicts_oldest else self.size_limit.limit
        evictable = self._evictable()
        while self.size_limit.used >= limit and self.size_limit.used > used_before and evictable:
            self.drop(next(iter(evictable) if self.evicts_oldest else reversed(evictable)))
            evictable = self._evictable()

    def _evictable(self) -> dict[int, Fingerprint]:
        return self.old or self.new if self.evicts_oldest else self.old

    def drop(self, key: int) -> None:
        """Drop the fingerprint under a key, if there is one."""
        for fingerprints in (self.old, self.new):
            fingerprint = fingerprints.pop(key, None)
            if fingerprint is not None:
                self.is_dirty = True
                self.size_limit.used -= size_in_state(fingerprint)

    def pending_elsewhere(self, mine: Sequence[dict[int, PendingRow]]) -> list[dict[int, PendingRow]]:
        """Return the pending rows of other lists: a row may have moved from one list to another."""
        return [rows for by_kind in self.pending.values() if by_kind is not mine for rows in by_kind]

    def rotate(self) -> None:
        """End a rescan: drop the fingerprints that it did not confirm."""
        self.size_limit.used -= sum(map(size_in_state, self.old.values()))
        self.old, self.new, self.is_dirty = self.new, {}, True

    def clear(self) -> None:
        """Drop all fingerprints."""
        self.rotate()  # drops `old`
        self.rotate()  # drops what was `new`


def load_store(size_limit: SizeLimit, old: str | None, new: str | None, evicts_oldest: bool) -> FingerprintStore:
    """
    Return the store of the fingerprints in two texts of a state.

    `size_limit` counts the length of these texts already. From now on it counts the fingerprints.
    """
    old_fingerprints, new_fingerprints = unpack(old or ""), unpack(new or "")
    size_limit.used += sum(map(size_in_state, [*old_fingerprints.values(), *new_fingerprints.values()]))
    size_limit.used -= len(old or "") + len(new or "")
    return FingerprintStore(size_limit, old_fingerprints, new_fingerprints, evicts_oldest)
