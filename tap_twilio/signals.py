"""SIGTERM and SIGINT."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

STOP_WITHIN_S = 5  # after a signal; a target that reads nothing any more does not hold the tap longer


def on_signals(stop: Callable[[], None]) -> list[int]:
    """
    Call `stop` when the first signal comes. Returns the signals seen so far, as a list that grows.

    A second signal ends the process at once, and so does the end of the time that a stop may take.
    """
    seen: list[int] = []

    def handle(number: int, frame: object) -> None:
        if seen:
            os._exit(128 + number)
        seen.append(number)
        stop()
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
            signal.setitimer(signal.ITIMER_REAL, STOP_WITHIN_S)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return seen
