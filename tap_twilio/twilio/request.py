"""Requests to Twilio, the pages that answer them, and their statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tap_twilio.timestamps import Timestamp

Row = dict[str, Any]
Stamp = tuple[Timestamp, Timestamp]  # when a response came, by this machine's clock and by Twilio's


@dataclass(frozen=True)
class Fetch:
    """
    One request. `uri` is relative to the host, `rows` is the member of the response that holds the rows.

    If `rows` is None, the response is a single resource, which becomes the page's only row. The request counts towards
    the rate limit of `account`. With `own`, it carries that account's own credentials.
    """

    account: str
    uri: str
    rows: str | None = None
    host: str = "api"
    own: bool = False
    has: tuple[str, ...] = ("sid",)  # properties that every row must have
    has_next_page: bool = True  # False: the response names no next page
    token: bool = False  # whether `uri` bears a page token, which may name a row
    stream: str = ""  # the stream that the statistics count it for
    # After so many responses with HTTP 500, 502 or 504 the request fails. None: it fails after `retry_minutes`.
    attempts: int | None = None


@dataclass(frozen=True)
class Page:
    """The rows of a response as Twilio wrote them, the next page's uri, Twilio's clock and this machine's."""

    rows: list[Row]
    next: str | None
    date: Timestamp
    received_at: Timestamp = ""

    @property
    def stamp(self) -> Stamp:
        return self.received_at, self.date


@dataclass
class RequestStats:
    """Statistics of a stream's requests in an account. `seconds` is the sum of their durations."""

    requests: int = 0  # failed attempts included
    seconds: float = 0
    pages: int = 0
    rows: int = 0  # received, repeated ones included
    first_s: float = 0  # when the first request was sent and the last response came, by time.monotonic()
    last_s: float = 0


def where(fetch: Fetch) -> str:
    """Return a request's path, for a message. The query is left out, since it may hold personal data."""
    return ascii(fetch.uri.split("?")[0])[1:-1][:200]
