"""
The live display: a table on a terminal, drawn twice a second below the lines of the log.

progress.py starts and ends it. It disappears at the end of the run, when summary.py logs the closing table.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import TextIO, cast

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tap_twilio.timestamps import duration

from .stats import RunStats, StreamStats, TargetWait, percent

REFRESHES_PER_SECOND = 2
DEFAULT_COLUMNS, DEFAULT_LINES = 80, 25  # of a terminal with an unknown size
OTHER_LINES = 6  # of the screen, for everything but streams
COLUMNS = ("pages", "rows read", "emitted", "rows/s", "done", "left")


class Display:
    """A live table of the run."""

    def __init__(self, run_stats: RunStats, screen: TextIO) -> None:
        self._run_stats, self._screen = run_stats, screen
        self._target_wait = TargetWait(run_stats)
        self._console = Console(file=screen)  # rich respects NO_COLOR
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._log_stream = cast(TextIO, _AboveDisplay(self._console))
        self._drawn: RenderableType = Text("")

    def start(self) -> None:
        self._redirect_log(self._screen, self._log_stream)
        self._live.start()
        self._console.show_cursor(True)  # or else a killed run leaves a terminal without a cursor

    def end(self) -> None:
        """Remove the display. A second call does nothing."""
        with suppress(Exception):  # the terminal may be gone
            self._live.stop()
        self._redirect_log(self._log_stream, self._screen)

    @staticmethod
    def _redirect_log(before: TextIO, now: TextIO) -> None:
        """Make log handlers that write to `before` write to `now`."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.setStream(now)

    def _draw(self) -> RenderableType:
        with suppress(Exception):  # the main thread may change the counts meanwhile; the next refresh comes soon
            columns, lines = os.get_terminal_size(self._screen.fileno())  # rich measures stdin, stdout and stderr only
            self._console.size = ConsoleDimensions(columns or DEFAULT_COLUMNS, lines or DEFAULT_LINES)
            waiting = [Text("waiting for the target")] if self._target_wait.is_waiting() else []
            table = _table(self._run_stats, self._console.height - OTHER_LINES)
            self._drawn = Group(_total(self._run_stats), *waiting, table)
        return self._drawn


class _AboveDisplay:
    """A text stream that prints above the display."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.print(text, end="", markup=False, highlight=False, emoji=False, soft_wrap=True)

    def flush(self) -> None:
        """Do nothing, since `write` does not buffer."""


def _total(run_stats: RunStats) -> Text:
    total = run_stats.total()
    read = f"{total.requests:,} requests, {total.pages:,} pages, {total.read:,} rows read"
    return Text(
        f"{duration(run_stats.elapsed_s)}: {read}, {total.emitted:,} emitted",
        style="bold",
        no_wrap=True,
        overflow="ellipsis",
    )


def _table(run_stats: RunStats, height: int) -> Table:
    """Return a table of the streams that have a page; on a small screen, of the most recently read ones."""
    streams = {name: stats for name, stats in run_stats.by_stream().items() if stats.pages}
    table = Table(box=None, pad_edge=False)
    table.add_column("stream", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    names = set(sorted(streams, key=lambda name: streams[name].last_s, reverse=True)[: max(1, height)])
    for name in (name for name in streams if name in names):
        table.add_row(name, *_cells(streams[name]))
    if len(names) < len(streams):
        table.add_row(f"and {len(streams) - len(names)} more")
    return table


def _cells(stats: StreamStats) -> tuple[str, ...]:
    rate = f"{stats.rate:,.0f}" if stats.rate else ""
    left = "" if stats.seconds_left is None else duration(stats.seconds_left)
    return (f"{stats.pages:,}", f"{stats.read:,}", f"{stats.emitted:,}", rate, percent(stats), left)
