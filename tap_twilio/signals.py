"""Handlers of SIGTERM and SIGINT."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

STOP_WITHIN_S = 5  # after a signal, also if the target reads nothing any more


def on_signals(stop: Callable[[], None], end: Callable[[int], None]) -> list[int]:
    """
    Call `stop` at the first signal. Return a list to which each signal is appended.

    A second signal, or a stop that takes too long, ends the process after a call of `end` with the exit code.
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
