"""
What a read yields, and nothing else: ask for a page, emit these rows, run these reads side by side.

A read is a generator. It is sent the page that answers an `Fetch`; it goes on once its rows are written, or the reads
that it started are done. A failure of any of these is thrown into it. One place handles each: scheduler.py.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol, Union

from tap_twilio.twilio.request import Fetch, Page, Stamp


class Destination(Protocol):
    """The table that rows go to: sinks.Table."""

    @property
    def name(self) -> str:
        """The stream's."""

    account: str


@dataclass(frozen=True)
class Emit:
    """Write these records of a table, as JSON, all from one page."""

    table: Destination
    stamp: Stamp
    records: list[bytes]


@dataclass(frozen=True)
class Wait:
    """Wait until another read has ended. What is sent back is true, or None where none is left that could."""


Effect = Union[Fetch, Emit, Wait, "list[Read]"]
Read = Generator[Effect, Any, Any]
PageRead = Generator[Effect, Any, Page]
