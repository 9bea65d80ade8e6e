"""Reading Twilio's two envelopes, and single resources, into pages. Anything else is an error, never a guess.

classic  {"messages": [{…}, …], "next_page_uri": "/2010-04-01/…" or null, "page": 0, "page_size": 50, …}
newer    {"call_summaries": [{…}, …], "meta": {"key": "call_summaries", "next_page_url": "https://…" or null, …}}
"""

from __future__ import annotations

import re
from typing import Any

from tap_twilio.errors import Retry
from tap_twilio.timestamps import Timestamp

from .body import parse
from .client import Answer
from .request import Fetch, Page
from .server_clock import Clock

TWILIO = r"^https://{host}(?:\.[a-z0-9-]+){{0,2}}\.twilio\.com(?::443)?(?=/)"  # one product, at any edge and region


def read_page(fetch: Fetch, answer: Answer, origin: str, clock: Clock) -> Page:
    """
    The page in an answer, whose `Date` the clock gets to see.

    The clock stands in where the answer has none, or one that is not believed. Raises Retry for a body that is no page.
    """
    try:
        body = parse(answer.unpacked())
    except ValueError:
        raise Retry("the answer is no valid JSON") from None  # often cut off, which passes
    if not isinstance(body, dict):
        raise Retry("the answer is no JSON object", bad_answer=True)
    if fetch.rows is None:
        if not (fetch.has and set(fetch.has) <= body.keys()) and not {"sid", "account_sid", "url"} & body.keys():
            raise Retry("the answer is not the resource asked for", bad_answer=True)
        return Page([body], None, _date(answer, clock), answer.received_at)
    rows = body.get(fetch.rows)
    if not isinstance(rows, list) or not _are_rows(rows, fetch.has):
        raise Retry(f"the answer has no rows in {fetch.rows!r}", bad_answer=True)
    return Page(rows, _next(fetch, body, origin), _date(answer, clock), answer.received_at)


def _date(answer: Answer, clock: Clock) -> Timestamp:
    if answer.date:
        clock.saw(answer.date, answer.received_at)
    return min(answer.date or clock.now, clock.now)


def _are_rows(rows: list[Any], has: tuple[str, ...]) -> bool:
    """A key is plain text, or a whole number: text that had to be mended (body.py) may be another row's."""
    if not all(isinstance(row, dict) for row in rows):
        return False
    kinds = ({type(row.get(name)) for row in rows} for name in has)
    return all(kind <= {str} or kind <= {int} for kind in kinds)


def _next(fetch: Fetch, body: dict[str, Any], origin: str) -> str | None:
    """The next page, relative to the host that was asked: credentials go to no other."""
    if not fetch.has_next_page:
        return None
    meta = body.get("meta")
    if "next_page_uri" in body:
        following = body["next_page_uri"]
    elif isinstance(meta, dict) and "next_page_url" in meta:
        following = meta["next_page_url"]
    else:
        raise Retry("the answer does not say whether a page follows", bad_answer=True)
    if following is None or following == "":
        return None
    if not isinstance(following, str):
        raise Retry("the answer's next page is not an address", bad_answer=True)
    if following.startswith(f"{origin}/"):
        following = following[len(origin) :]
    following = re.sub(TWILIO.format(host=re.escape(fetch.host)), "", following)  # behind a proxy, or at an edge
    if following.startswith("//") or not following.startswith("/"):
        raise Retry("the answer's next page is on another host", bad_answer=True)
    if following == fetch.uri:
        raise Retry("the answer names itself as its next page", bad_answer=True)
    return following
