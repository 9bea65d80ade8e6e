"""SIGTERM and SIGINT."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

STOP_WITHIN_S = 5  # after a signal; a target that reads nothing any more does not hold the tap longer


def on_signals(stop: Callable[[], None], end: Callable[[int], None]) -> list[int]:
    """
    Call `stop` when the first signal comes. Returns the signals seen so far, as a list that grows.

    A second signal ends the process at once, and so does the end of the time that a stop may take: after `end` was
    called with the exit code, whatever it raises.
    """
    seen: list[int] = []

    def leave(code: int) -> None:
        try:
            end(code)
        finally:
            os._exit(code)

    def handle(number: int, frame: object) -> None:
        if seen:
            leave(128 + number)
        seen.append(number)
        stop()
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, lambda *_: leave(128 + number))
            signal.setitimer(signal.ITIMER_REAL, STOP_WITHIN_S)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return seen
