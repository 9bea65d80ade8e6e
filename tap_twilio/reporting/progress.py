"""What a run shows while it reads: a live display on a terminal, else a line of the log now and then."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from tap_twilio.log import JSON, OneLine, about
from tap_twilio.timestamps import duration

from .stats import RunStats, StreamStats, percent

LOGGER = logging.getLogger("tap_twilio")
EVERY_S = 30.0
SHOWN = 3  # first reads that a line names


@contextmanager
def shown(counts: RunStats, log: OneLine) -> Iterator[Callable[[], None]]:
    """
    Show how far a run is, until it leaves this block or calls what it is given. Never writes to stdout, raises nothing.

    The display needs `rich`, a terminal that can move its cursor, and a stdout that is none.
    """
    display = _display(counts, log)
    ended = threading.Event()
    if display is not None:
        display.start()
    else:
        threading.Thread(target=_lines, args=(counts, ended), daemon=True).start()
    end = ended.set if display is None else display.end
    try:
        yield end
    finally:
        end()


def _display(counts: RunStats, log: OneLine) -> Any:
    """Return a display; None where nothing can be drawn, or rich is not installed."""
    if log.screen is None or not _may_draw(log.screen) or (log.form == JSON and log.screen is sys.stderr):
        return None
    try:
        from .display import Display
    except ImportError:
        return None
    return Display(counts, log.screen)


def _may_draw(screen: TextIO) -> bool:
    moves = screen.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    return moves and not (sys.stdout is not None and sys.stdout.isatty())


# Lines ----------------------------------------------------------------------------------------------------------------


def _every_s() -> float:
    """Seconds between two lines; 0: none."""
    try:
        return max(0.0, float(os.environ.get("TAP_TWILIO_PROGRESS_SECONDS") or EVERY_S))
    except ValueError:
        return EVERY_S


def _lines(counts: RunStats, ended: threading.Event) -> None:
    every_s, before = _every_s(), dict[str, StreamStats]()
    while every_s and not ended.wait(every_s):
        with suppress(Exception):  # it is looked at while it changes; a line that fails is not worth ending for
            now = counts.by_stream()
            _say(counts.total(), now, before, every_s)
            before = now


def _say(total: StreamStats, now: dict[str, StreamStats], before: dict[str, StreamStats], every_s: float) -> None:
    """What came so far, and what of it since the line before."""
    moved = {name: one for name, one in now.items() if one.pages > before.get(name, StreamStats()).pages}
    rate = (total.read - sum(one.read for one in before.values())) / every_s
    first = [(name, one) for name, one in now.items() if one.share is not None]
    parts = [
        f"{name} {percent(one)}" + (f", {duration(one.seconds_left)} left" if one.seconds_left else "")
        for name, one in first
    ]
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    LOGGER.info(
        "%d pages, %d rows read (%.0f a second), %d emitted%s%s%s",
        total.pages,
        total.read,
        rate,
        total.emitted,
        "; first reads: " if parts else "",
        "; ".join(parts[:SHOWN]),
        more,
        extra=about(rows_per_second=round(rate, 1), **_members(total), streams=_streams(moved)),
    )


def _streams(moved: dict[str, StreamStats]) -> list[dict[str, Any]]:
    return [{"stream": name, **_members(one), **_ends(one)} for name, one in moved.items()]


def _members(one: StreamStats) -> dict[str, Any]:
    return {"pages": one.pages, "rows_read": one.read, "rows_emitted": one.emitted, "requests": one.requests}


def _ends(one: StreamStats) -> dict[str, Any]:
    left = None if one.seconds_left is None else round(one.seconds_left)
    return {"first_read": None if one.share is None else round(one.share, 3), "seconds_left": left}
