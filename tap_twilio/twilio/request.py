"""The words of a request and its answer: what to ask Twilio, and the page that came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tap_twilio.timestamps import Timestamp

Row = dict[str, Any]
Stamp = tuple[Timestamp, Timestamp]  # when an answer was received, by our clock and by Twilio's


@dataclass(frozen=True)
class Fetch:
    """
    One thing to ask Twilio: `uri` is relative to the host, `rows` the envelope's member that holds the rows.

    With `rows` None the answer is a single resource, and the page holds it as its only row. `account` is whose
    concurrency the request takes up; with `own` it is asked with that account's own credentials.
    """

    account: str
    uri: str
    rows: str | None = None
    host: str = "api"
    own: bool = False
    has: tuple[str, ...] = ("sid",)  # properties that every row has, as text
    has_next_page: bool = True  # False: the answer names no next page
    token: bool = False  # whether the uri is a next page's, which may name a row
    stream: str = ""  # for which it is counted
    # Attempts that Twilio answers with HTTP 500, 502 or 504 before the request fails; None: for `retry_minutes`.
    attempts: int | None = None


@dataclass(frozen=True)
class Page:
    """An answer: its rows as Twilio wrote them, the uri of the next page, Twilio's clock and ours."""

    rows: list[Row]
    next: str | None
    date: Timestamp
    received_at: Timestamp = ""

    @property
    def stamp(self) -> Stamp:
        return self.received_at, self.date


@dataclass
class RequestStats:
    """What the requests of a stream in an account came to. `seconds` is how long they took together."""

    requests: int = 0  # attempts that failed count too
    seconds: float = 0
    pages: int = 0
    rows: int = 0  # that came, whether or not they were read before
    first_s: float = 0  # when the first request was sent, and when the last answer came, by time.monotonic()
    last_s: float = 0


def where(fetch: Fetch) -> str:
    """A request, in a message: its path alone, since a query may hold what is nobody's to read."""
    return ascii(fetch.uri.split("?")[0])[1:-1][:200]
