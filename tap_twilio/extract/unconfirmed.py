"""Answers about a row that are not believed at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from tap_twilio.changes.fingerprint_codec import pack, unpack

MOST_UNCONFIRMED = 1000  # how many rows a state keeps of which an answer is not believed yet


@dataclass
class Unconfirmed:
    """
    The rows of which an answer is not believed before a later sync repeats it: a list that is not there, or empty.

    `older` are those of the round before. They are dropped with the end of a round that did not meet them again.
    """

    older: set[int] = field(default_factory=set)
    newer: set[int] = field(default_factory=set)
    is_dirty: bool = False  # whether it differs from what the state holds
    _now: set[int] = field(default_factory=set)  # those that this sync added

    @staticmethod
    def of(text: str | None) -> Unconfirmed:
        found = unpack(text or "")
        return Unconfirmed(set(found.get(0, ())), set(found.get(1, ())))

    def text(self) -> str | None:
        held = {0: frozenset(self.older), 1: frozenset(self.newer)}
        return pack({age: keys for age, keys in held.items() if keys})

    def repeats(self, key: int) -> bool:
        """Note a row. Returns whether an earlier sync noted it."""
        key %= 2**48
        known = key in self.older or key in self.newer
        if known or len(self.older) + len(self.newer) >= MOST_UNCONFIRMED:
            return known and key not in self._now
        self.newer.add(key)
        self._now.add(key)
        self.is_dirty = True
        return False

    def settle(self, key: int) -> None:
        """The row's list was read."""
        key %= 2**48
        self.is_dirty = self.is_dirty or key in self.older or key in self.newer
        self.older.discard(key)
        self.newer.discard(key)

    def rotate(self) -> None:
        self.is_dirty = self.is_dirty or bool(self.older or self.newer)
        self.older, self.newer = self.newer, set()
