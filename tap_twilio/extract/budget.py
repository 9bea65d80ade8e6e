"""
Limit the requests of one sync: `Budget` the pages of rescans (rescan.py), `ChildRequests` the visits of parent rows
(child_streams.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Key = tuple[str, str]  # a partition: its stream and account


@dataclass
class Budget:
    """
    The pages that one sync may read for rescans, shared by all partitions.

    Each partition has an even share. `order` lists the partitions, the least recently rescanned first; the first ones
    get the remainder. When a partition ends, the rest of its share is free for any other.
    """

    left: int
    order: Sequence[Key] = ()
    _shares: dict[Key, int] = field(default_factory=dict)  # pages kept for the partitions that have not ended

    def __post_init__(self) -> None:
        share, rest = divmod(self.left, max(1, len(self.order)))
        self._shares = {key: share + (index < rest) for index, key in enumerate(self.order)}

    def take(self, key: Key) -> bool:
        """Take a page for a partition. Return whether there is one now."""
        share = self._shares.get(key, 0)
        if share <= 0 and self.left <= sum(self._shares.values()):
            return False
        self._shares[key] = max(0, share - 1)
        self.left -= 1
        return self.left >= 0

    def may_grow(self, key: Key) -> bool:
        """Return whether other partitions still keep pages, which are free once these partitions end."""
        return any(share for other, share in self._shares.items() if other != key)

    def end(self, key: Key) -> None:
        """Give the rest of a partition's share to the others."""
        self._shares.pop(key, None)


@dataclass
class ChildRequests:
    """The parent rows that one sync may still visit in one account (`max_child_requests`)."""

    left: int  # negative once more visits were due than allowed

    @property
    def exhausted(self) -> bool:
        """Return whether a visit was left to a later sync."""
        return self.left < 0

    def take(self) -> None:
        """Count a due visit. If none was left, `left` becomes negative, and a later sync makes this visit."""
        self.left -= 1


@dataclass
class VisitLimit:
    """The visits of parent rows that a sync may still make for the refreshes of one list (`max_child_requests`)."""

    left: int
    _has_begun: bool = False

    def allows(self, visits: int) -> bool:
        """Take the visits of a row, and return whether enough are left. The first row gets as many as it needs."""
        if visits > self.left and self._has_begun:
            self.left = 0
            return False
        self.left, self._has_begun = max(0, self.left - visits), self._has_begun or visits > 0
        return True
