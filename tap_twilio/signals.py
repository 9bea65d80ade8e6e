"""
Stops a run at SIGTERM or SIGINT: the run ends after its current page, with a last STATE.

commands/sync.py installs the handlers.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

INTERRUPT_AFTER_S = 0.1
MAX_STOP_S = 5  # the process ends so long after the first signal, even if the target stopped reading


def on_signals(stop: Callable[[], None], end: Callable[[int], None]) -> list[int]:
    """
    Call `stop` at the first signal. Return the list of the signals that came, which grows.

    At a second signal, or if the stop takes too long, call `end` with the exit code, and end the process.
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
            signal.setitimer(signal.ITIMER_REAL, MAX_STOP_S)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    if hasattr(signal, "pthread_kill"):
        _interrupt_main_thread()
    return seen


def _interrupt_main_thread() -> None:
    """
    Interrupt the main thread shortly after each signal.

    Python runs a handler only between two steps of the main thread. Without this, a signal just before a write to a
    full pipe would wait until the target reads.
    """
    received, sent = os.pipe()
    os.set_blocking(sent, False)
    signal.set_wakeup_fd(sent, warn_on_full_buffer=False)
    signal.signal(signal.SIGURG, lambda *_: None)  # it only interrupts a system call

    def interrupt() -> None:
        while number := os.read(received, 1):
            if number[0] != signal.SIGURG:
                time.sleep(INTERRUPT_AFTER_S)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGURG)

    threading.Thread(target=interrupt, daemon=True).start()
