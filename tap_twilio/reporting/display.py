"""The live display: a table on a terminal, drawn twice a second, with the lines of the log above it."""

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

from .stats import RunStats, StreamStats, percent

REFRESHES_PER_SECOND = 2
DEFAULT_COLUMNS, DEFAULT_LINES = 80, 25  # of a terminal that does not tell its size
OTHER_LINES = 5  # of the screen, that are no stream's
COLUMNS = ("pages", "rows read", "emitted", "rows/s", "done", "left")


class Display:
    """A live table of the run. It disappears at its end, since the log then has a table."""

    def __init__(self, counts: RunStats, screen: TextIO) -> None:
        self._counts, self._screen = counts, screen
        self._console = Console(file=screen)  # rich respects NO_COLOR
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._above = cast(TextIO, _AboveDisplay(self._console))
        self._drawn: RenderableType = Text("")

    def start(self) -> None:
        self._redirect(self._screen, self._above)
        self._live.start()
        self._console.show_cursor(True)  # so that a kill leaves no terminal without one

    def end(self) -> None:
        """Remove the display. A second call does nothing."""
        with suppress(Exception):  # the terminal may be gone
            self._live.stop()
        self._redirect(self._above, self._screen)

    @staticmethod
    def _redirect(before: TextIO, now: TextIO) -> None:
        """Make the log handlers that write to one stream write to the other."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.setStream(now)

    def _draw(self) -> RenderableType:
        with suppress(Exception):  # the counts may change meanwhile; the next refresh comes soon
            columns, lines = os.get_terminal_size(self._screen.fileno())  # rich looks at stdin, stdout and stderr only
            self._console.size = ConsoleDimensions(columns or DEFAULT_COLUMNS, lines or DEFAULT_LINES)
            self._drawn = Group(_total(self._counts), _table(self._counts, self._console.height - OTHER_LINES))
        return self._drawn


class _AboveDisplay:
    """A text stream that prints above the display."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.print(text, end="", markup=False, highlight=False, emoji=False, soft_wrap=True)

    def flush(self) -> None:
        """Do nothing, since `write` does not buffer."""


def _total(counts: RunStats) -> Text:
    total = counts.total()
    read = f"{total.requests:,} requests, {total.pages:,} pages, {total.read:,} rows read"
    return Text(
        f"{duration(counts.elapsed_s)}: {read}, {total.emitted:,} emitted",
        style="bold",
        no_wrap=True,
        overflow="ellipsis",
    )


def _table(counts: RunStats, height: int) -> Table:
    """Return a table of the streams that got a page; on a small screen, of the latest ones."""
    streams = {name: stats for name, stats in counts.by_stream().items() if stats.pages}
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
