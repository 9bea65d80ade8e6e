"""
Define what a read asks its caller to do: fetch a page, emit rows, wait, run other reads side by side.

A read is a generator that does no I/O itself. The pattern is called sans-I/O. The read yields an effect, and the
scheduler (run/scheduler.py) carries it out: it sends the page back for a `Fetch`, and resumes the read after an `Emit`
is written or after a list of reads has ended. An error of an effect is thrown into the read.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol, Union

from tap_twilio.twilio.request import Fetch, Page, PageTimes


class Destination(Protocol):
    """A table that rows go to, such as `tables.table.Table`."""

    @property
    def name(self) -> str:
        """Return the name of the stream."""

    account: str


@dataclass(frozen=True)
class Emit:
    """Write records of a table: JSON, all from one page. `again`: a refresh, so they belong to no FULL_TABLE read."""

    table: Destination
    times: PageTimes
    records: list[bytes]
    again: bool = False


@dataclass(frozen=True)
class Wait:
    """Wait for another read. Sends True after another read ended, None when no other read is running."""


Effect = Union[Fetch, Emit, Wait, "list[Read]"]
Read = Generator[Effect, Any, Any]
PageRead = Generator[Effect, Any, Page]
