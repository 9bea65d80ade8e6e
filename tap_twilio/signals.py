"""Handlers of SIGTERM and SIGINT."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

NUDGE_AFTER_S = 0.1
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
    if hasattr(signal, "pthread_kill"):
        _nudge_main_thread()
    return seen


def _nudge_main_thread() -> None:
    """
    Interrupt the main thread a moment after each signal.

    Python runs a handler between two steps of the main thread. A signal that comes just before a write to a full pipe
    would else wait for as long as the target reads nothing.
    """
    received, sent = os.pipe()
    os.set_blocking(sent, False)
    signal.set_wakeup_fd(sent, warn_on_full_buffer=False)
    signal.signal(signal.SIGURG, lambda *_: None)  # it interrupts, and means nothing

    def nudge() -> None:
        while number := os.read(received, 1):
            if number[0] != signal.SIGURG:
                time.sleep(NUDGE_AFTER_S)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGURG)

    threading.Thread(target=nudge, daemon=True).start()
