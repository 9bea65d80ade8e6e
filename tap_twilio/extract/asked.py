"""What a sync knows of the rows that a child asks again and again: those that it met, and how far it asked them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from tap_twilio.timestamps import Timestamp

Dated = tuple[Timestamp, str]  # when a row began (was created, where it never did), and its key: in order of time


@dataclass
class LogWindow:
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
