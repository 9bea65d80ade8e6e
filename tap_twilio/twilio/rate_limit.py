"""
Limits the concurrent requests of an account, by AIMD: a burst of HTTP 429 halves the limit, a quiet period adds one.

retry_pool.py has one `ConcurrencyLimit` for each account.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

# Seconds without a 429 after which the limit rises by one:
QUIET_S = 1
REFUSED_QUIET_S = 5  # to the level that was refused last
MAX_QUIET_S = 300  # to a level that was refused repeatedly


@dataclass
class ConcurrencyLimit:
    """
    The number of requests that an account may run at once.

    Each time that Twilio refuses a level again, the quiet period before the next try at that level doubles. So the
    limit settles just under Twilio's, and still follows when Twilio's rises.
    """

    limit: int
    waiting: deque[Any] = field(default_factory=deque)  # retry_pool.Job
    running: int = 0
    peak: int = 0  # the highest `running` since the limit changed
    changed: float = 0.0  # when the limit changed
    refused: int = 0  # the level at which the last burst came
    quiet_s: float = REFUSED_QUIET_S  # the quiet period before that level

    def throttled(self, started: float, now: float) -> bool:
        """Halve the limit, once for each burst of 429: requests that started before the last halving do not count."""
        if started < self.changed:
            return False
        level = max(1, min(self.limit, self.peak))
        self.quiet_s = min(2 * self.quiet_s, MAX_QUIET_S) if level == self.refused else REFUSED_QUIET_S
        self.refused = level
        self._change(max(1, level // 2), now)
        return True

    def recovered(self, max_limit: int, now: float) -> bool:
        """Raise the limit by one after a quiet period. Return whether it rose."""
        if self.limit >= max_limit or now - self.changed <= (
            self.quiet_s if self.limit + 1 == self.refused else QUIET_S
        ):
            return False
        self._change(self.limit + 1, now)
        return True

    def start(self) -> None:
        self.running += 1
        self.peak = max(self.peak, self.running)

    def _change(self, limit: int, now: float) -> None:
        self.limit, self.changed, self.peak = limit, now, self.running
