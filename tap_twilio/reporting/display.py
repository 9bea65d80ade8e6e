"""The live display: a table on a terminal that is drawn anew twice a second, with the log's lines above it."""

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

A_SECOND = 2  # times that it is drawn
COLUMNS_ELSE, LINES_ELSE = 80, 25  # of a terminal that does not say how large it is
BESIDE = 5  # lines of the screen that streams do not get
COLUMNS = ("pages", "rows read", "emitted", "rows/s", "done", "left")


class Display:
    """Gone once it ends, since the log then has a table."""

    def __init__(self, counts: RunStats, screen: TextIO) -> None:
        self._counts, self._screen = counts, screen
        self._console = Console(file=screen)  # NO_COLOR is rich's to heed
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._above = cast(TextIO, _Above(self._console))
        self._drawn: RenderableType = Text("")

    def start(self) -> None:
        self._redirect(self._screen, self._above)
        self._live.start()
        self._console.show_cursor(True)  # so that a kill leaves no terminal without one

    def end(self) -> None:
        """May be called again."""
        with suppress(Exception):  # the terminal may be gone
            self._live.stop()
        self._redirect(self._above, self._screen)

    @staticmethod
    def _redirect(before: TextIO, now: TextIO) -> None:
        """Let what the log writes to the one stream go to the other."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.setStream(now)

    def _draw(self) -> RenderableType:
        with suppress(Exception):  # it is looked at while it changes; it is drawn again soon
            columns, lines = os.get_terminal_size(self._screen.fileno())  # rich looks at stdin, stdout and stderr only
            self._console.size = ConsoleDimensions(columns or COLUMNS_ELSE, lines or LINES_ELSE)
            self._drawn = Group(_total(self._counts), _table(self._counts, self._console.height - BESIDE))
        return self._drawn


class _Above:
    """A stream whose lines come above the display."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.print(text, end="", markup=False, highlight=False, emoji=False, soft_wrap=True)

    def flush(self) -> None:
        """Each line is written at once."""


def _total(counts: RunStats) -> Text:
    one = counts.total()
    said = f"{duration(counts.elapsed_s)}: {one.requests:,} requests, {one.pages:,} pages, {one.read:,} rows read, "
    return Text(f"{said}{one.emitted:,} emitted", style="bold", no_wrap=True, overflow="ellipsis")


def _table(counts: RunStats, height: int) -> Table:
    """The streams that answered; where the screen is too small, those that are busy."""
    found = {name: one for name, one in counts.by_stream().items() if one.pages}
    table = Table(box=None, pad_edge=False)
    table.add_column("stream", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    names = set(sorted(found, key=lambda name: found[name].last_s, reverse=True)[: max(1, height)])
    for name in (name for name in found if name in names):
        table.add_row(name, *_cells(found[name]))
    if len(names) < len(found):
        table.add_row(f"and {len(found) - len(names)} more")
    return table


def _cells(one: StreamStats) -> tuple[str, ...]:
    rate = f"{one.rate:,.0f}" if one.rate else ""
    left = "" if one.seconds_left is None else duration(one.seconds_left)
    return (f"{one.pages:,}", f"{one.read:,}", f"{one.emitted:,}", rate, percent(one), left)
