"""
Show the progress of a run: a live display on a terminal (display.py), else a log line every 30 seconds.

commands/sync.py runs a sync inside `show_progress`. A thread of its own reads the counts of stats.py. The environment
variable TAP_TWILIO_PROGRESS_SECONDS sets another interval; 0 means no lines.
"""

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

from .stats import RunStats, StreamStats, TargetWait, percent

LOGGER = logging.getLogger("tap_twilio")
INTERVAL_S = 30.0
MAX_NAMED = 3  # backfills that a line names


@contextmanager
def show_progress(run_stats: RunStats, log: OneLine) -> Iterator[Callable[[], None]]:
    """
    Show progress during the block, and yield a function that ends it earlier. Never writes to stdout, never raises.

    The display needs `rich` and a terminal that can move its cursor. If stdout is a terminal too, the Singer messages
    would break the display.
    """
    display = _create_display(run_stats, log)
    ended = threading.Event()
    if display is not None:
        display.start()
    else:
        threading.Thread(target=_log_lines, args=(run_stats, ended), daemon=True).start()
    end = ended.set if display is None else display.end
    try:
        yield end
    finally:
        end()


def _create_display(run_stats: RunStats, log: OneLine) -> Any:
    """Return a display; None if the terminal cannot show it, or rich is not installed."""
    if log.screen is None or not _can_draw(log.screen) or (log.form == JSON and log.screen is sys.stderr):
        return None
    try:
        from .display import Display
    except ImportError:
        return None
    return Display(run_stats, log.screen)


def _can_draw(screen: TextIO) -> bool:
    moves_cursor = screen.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    return moves_cursor and not (sys.stdout is not None and sys.stdout.isatty())


# Lines ----------------------------------------------------------------------------------------------------------------


def _read_interval_s() -> float:
    """Return the seconds between two lines; 0 for no lines."""
    try:
        return max(0.0, float(os.environ.get("TAP_TWILIO_PROGRESS_SECONDS") or INTERVAL_S))
    except ValueError:
        return INTERVAL_S


def _log_lines(run_stats: RunStats, ended: threading.Event) -> None:
    interval_s, before, target_wait = _read_interval_s(), dict[str, StreamStats](), TargetWait(run_stats)
    while interval_s and not ended.wait(interval_s):
        with suppress(Exception):  # the counts may change meanwhile; a lost line harms nobody
            now = run_stats.by_stream()
            _log_line(run_stats.total(), now, before, interval_s, target_wait.is_waiting())
            before = now


def _log_line(
    total: StreamStats,
    now: dict[str, StreamStats],
    before: dict[str, StreamStats],
    interval_s: float,
    is_waiting: bool,
) -> None:
    """Log what was read so far, and the rate since the last line."""
    active = {name: stats for name, stats in now.items() if stats.pages > before.get(name, StreamStats()).pages}
    rate = (total.read - sum(stats.read for stats in before.values())) / interval_s
    backfills = [
        f"{name} {percent(stats)}" + (f", {duration(stats.seconds_left)} left" if stats.seconds_left else "")
        for name, stats in now.items()
        if stats.share is not None
    ]
    waiting = "; waiting for the target" if is_waiting else ""
    more = f" and {len(backfills) - MAX_NAMED} more" if len(backfills) > MAX_NAMED else ""
    LOGGER.info(
        "%d pages, %d rows read (%.0f a second), %d emitted%s%s%s%s",
        total.pages,
        total.read,
        rate,
        total.emitted,
        "; backfills: " if backfills else "",
        "; ".join(backfills[:MAX_NAMED]),
        more,
        waiting,
        extra=about(rows_per_second=round(rate, 1), **_log_fields(total), streams=_streams(active)),
    )


def _streams(active: dict[str, StreamStats]) -> list[dict[str, Any]]:
    return [{"stream": name, **_log_fields(stats), **_backfill_fields(stats)} for name, stats in active.items()]


def _log_fields(stats: StreamStats) -> dict[str, Any]:
    return {"pages": stats.pages, "rows_read": stats.read, "rows_emitted": stats.emitted, "requests": stats.requests}


def _backfill_fields(stats: StreamStats) -> dict[str, Any]:
    left = None if stats.seconds_left is None else round(stats.seconds_left)
    return {"backfill_share": None if stats.share is None else round(stats.share, 3), "seconds_left": left}
