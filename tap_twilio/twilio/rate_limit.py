"""How many requests an account bears at once. The law is AIMD: a burst of 429 halves it, a quiet period adds one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

QUIET_S = 1  # after so long without a 429, an account's concurrency rises by one;
PROBE_S = 5  # after so long, to the level that was refused last;
QUIETEST_S = 300  # after so long at most, to one that was refused again and again


@dataclass
class ConcurrencyLimit:
    """
    How many requests an account bears at once: halved by a burst of 429, and one more after each quiet period.

    The quiet period before a level that was refused doubles each time that it is refused again, so that the share
    settles just under a limit that stays, and still finds out when the limit rises.
    """

    limit: int
    waiting: deque[Any] = field(default_factory=deque)
    running: int = 0
    peak: int = 0  # of `running` since the limit changed
    changed: float = 0.0
    refused: int = 0  # the level at which the last burst came
    quiet_s: float = PROBE_S  # how long to wait before that level

    def throttled(self, started: float, now: float) -> bool:
        """Several 429 of one burst halve once: those of requests that started before the last halving do not count."""
        if started < self.changed:
            return False
        level = max(1, min(self.limit, self.peak))
        self.quiet_s = min(2 * self.quiet_s, QUIETEST_S) if level == self.refused else PROBE_S
        self.refused = level
        self._change(max(1, level // 2), now)
        return True

    def recovered(self, most: int, now: float) -> bool:
        """Whether, after a quiet period, one more request may run."""
        if self.limit >= most or now - self.changed <= (self.quiet_s if self.limit + 1 == self.refused else QUIET_S):
            return False
        self._change(self.limit + 1, now)
        return True

    def start(self) -> None:
        self.running += 1
        self.peak = max(self.peak, self.running)

    def _change(self, limit: int, now: float) -> None:
        self.limit, self.changed, self.peak = limit, now, self.running
