"""What a sync knows of the rows that a child asks again and again: those that it met, and how far it asked them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

from tap_twilio.moments import Moment, moment_of
from tap_twilio.singer.state import malformed

Dated = tuple[Moment, str]  # when a row began (was created, where it never did), and its key: in order of time


@dataclass
class Window:
    """The rows of the window, as a look-back met them: of any number, only as many as can be asked."""

    most: int
    cursor: Dated | None = None
    count: int = 0
    newest: list[Dated] = field(default_factory=list)  # a heap of the newest
    below: list[Dated] = field(default_factory=list)  # a heap of the newest below the cursor
    more_below: bool = False

    def add(self, row: Dated) -> None:
        self.count += 1
        self._keep(self.newest, row)
        if self.cursor and row < self.cursor:
            self.more_below |= self._keep(self.below, row)

    def _keep(self, heap: list[Dated], row: Dated) -> bool:
        """Whether one had to go."""
        if len(heap) < self.most:
            heapq.heappush(heap, row)
            return False
        heapq.heappushpop(heap, row)
        return True


@dataclass
class Progress:
    """What the state keeps of the asking, as a list."""

    began: Moment | None = None  # of the window's round that is open
    cursor: Dated | None = None  # rows above it were asked
    unasked: bool = False  # no window was ever asked whole: all is emitted until one was
    misses: int = 0  # requests in a row that found nothing
    second_owed: bool = False  # whether the second source is to be asked for all time
    late: Moment | None = None  # the start of the last round that asked the rows that stand elsewhere, less the margin

    @classmethod
    def of(cls, value: Any, where: str) -> Progress:
        """Raises TapError for a value that no tap wrote."""
        if value is None:
            return cls()
        kinds = (object, object, object, bool, int, bool, object)
        fits = isinstance(value, list) and [isinstance(*pair) for pair in zip(value, kinds)] == [True] * len(kinds)
        moments = [value[0], value[1], value[6]] if fits else []
        if not fits or not all(item is None or item == moment_of(item) for item in moments):
            raise malformed(f"{where}.asked", "is not what the tap wrote")
        began, at, key, unasked, misses, second_owed, late = value
        cursor = (at, key) if at is not None and isinstance(key, str) else None
        return cls(began, cursor, unasked, misses, second_owed, late)

    def kept(self) -> list[Any] | None:
        at, key = self.cursor or (None, None)
        value = [self.began, at, key, self.unasked, self.misses, self.second_owed, self.late]
        return None if value == [None, None, None, False, 0, False, None] else value
