"""
Define what reads request and receive: `Fetch` and `Page`. `RequestStats` counts both.

A read (extract/) yields a `Fetch`. The scheduler hands it to retry_pool.py, and sends the `Page` back into the read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tap_twilio.timestamps import Timestamp

Row = dict[str, Any]


@dataclass(frozen=True)
class Fetch:
    """A request for one page of a list. If `rows_property` is None, the response is a single resource: one row."""

    account: str  # whose rate limit the request counts towards
    uri: str  # path and query
    rows_property: str | None = None  # of the response: the array of its rows
    host: str = "api"  # `Product.host`: the request goes to https://{host}.twilio.com
    own_credentials: bool = False  # send the account's own credentials, not those of the settings
    required: tuple[str, ...] = ("sid",)  # properties that every row must have
    has_next_page: bool = True  # False: the response names no next page
    has_page_token: bool = False  # in `uri`; it may name a row, and Twilio refuses it once that row is deleted
    stream: str = ""  # the statistics count the request under this stream
    # The request fails after so many responses with HTTP 500, 502 or 504. None: it fails after `retry_minutes`.
    max_server_failures: int | None = None

    @property
    def path(self) -> str:
        """Return the path for a message. The query is left out, since it may hold personal data."""
        return ascii(self.uri.split("?")[0])[1:-1][:200]


class PageTimes(NamedTuple):
    """The time at which a response came."""

    received_at: Timestamp  # by this machine's clock; the record's `received_at`
    twilio_time: Timestamp  # by Twilio's clock; the record's `time_extracted`


@dataclass(frozen=True)
class Page:
    """The rows of a response as Twilio wrote them, and the next page's `Fetch.uri`, None on the last page."""

    rows: list[Row]
    next_uri: str | None
    twilio_time: Timestamp
    received_at: Timestamp = ""

    @property
    def times(self) -> PageTimes:
        return PageTimes(self.received_at, self.twilio_time)


@dataclass
class RequestStats:
    """Statistics of a stream's requests in an account."""

    requests: int = 0  # attempts, failed ones included
    seconds: float = 0  # the sum of the attempts' durations
    pages: int = 0
    rows: int = 0  # received, repeated ones included
    first_s: float = 0  # when the first request was sent, by time.monotonic()
    last_s: float = 0  # when the last response came
