"""
What makes the tap fast, without a clock: how much it asks for, holds and imports.

Times and memory are measured by `make bench`; nothing here depends on how fast the machine is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import requests

from sandbox import Twilio
from sandbox.server import Request
from testing.sampled import long
from testing.taps import DAY, LISTED, ROOT, SIX, Tap

TapOf = Callable[..., Tap]
PAGE_SIZE = 50


def history(**rows: int) -> Twilio:
    """A year of so many rows, of which none is fresh."""
    twilio = Twilio(start="2025-03-01T00:00:00Z").at("2026-04-01T09:00:00Z")
    for stream, n in rows.items():
        twilio.bulk(stream, n, twilio.now - 365 * DAY, twilio.now - 2 * DAY)
    return twilio


# Requests -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order", ["recorded", "updated", *long("created", "created_ascending", "first", "last", "sid")]
)
def test_a_first_sync_asks_for_each_page_once(tap_of: TapOf, order: str) -> None:
    """The pages that there are, and the first of a longer list once more; one for each list without a row."""
    rows = {"messages": 420, "calls": 199, "conferences": 101, "transcriptions": 50}
    twilio = history(**rows)
    twilio.order = order
    tap = tap_of(twilio, page_size=PAGE_SIZE)
    tap.sync()

    # Conferences are three lists, of which two are empty; there is no address.
    looks = order not in ("sid", "created_ascending")  # in which no change moves a row up
    pages = {
        "messages": 9 + looks,
        "calls": 4 + looks,
        "conferences": 3 + 2 + looks,
        "transcriptions": 1,
        "addresses": 1,
    }
    assert {stream: len(tap.pages(stream)) for stream in LISTED} == pages
    # Ascending rows may be in order of date_updated, where a change moves the last row of a page away. So that row is
    # requested once more before the next page.
    last_rows = 8 + 3 + 2 if order == "created_ascending" else 0
    assert len(tap.requests) == sum(pages.values()) + last_rows + 2  # the accounts, and what time it is
    assert len(tap.tables.rows["messages"]) == 420


def test_a_list_whose_rows_may_move_down_takes_one_more_request_a_page(tap_of: TapOf) -> None:
    """In order of the last change, the oldest first: the row that each token names is asked for."""
    twilio = history(conferences=420)
    twilio.order = "updated_ascending"
    tap = tap_of(twilio, page_size=PAGE_SIZE).select("conferences")
    tap.sync()

    assert len(tap.requests) == (9 + 2) + 8 + 2  # of the two empty lists a page each; the accounts, and what time it is


def test_a_long_list_costs_no_more_than_a_page_a_slice(tap_of: TapOf) -> None:
    """Read side by side, a list has more pages than read at a stretch: at most one more for each slice."""
    tap = tap_of(history(messages=3_000), page_size=PAGE_SIZE)
    tap.select("messages").sync()
    asked = tap.pages("messages")
    slices = [uri for uri in asked if "DateSent" in uri and "PageToken" not in uri]

    assert len(slices) > 8
    assert len(asked) - 3_000 / PAGE_SIZE <= len(slices) + 1


def test_a_sync_in_which_nothing_changed_asks_for_no_more_than_the_history(tap_of: TapOf) -> None:
    """Its pages, each call of the last 30 days for its feedback, a page for each empty list, and the accounts."""
    twilio = history(messages=420)
    twilio.bulk("calls", 190, twilio.now - 365 * DAY, twilio.now - 31 * DAY)
    twilio.bulk("calls", 10, twilio.now - 29 * DAY, twilio.now - 2 * DAY)
    tap = tap_of(twilio, page_size=PAGE_SIZE, call_feedback_source="feedback").select(*SIX)
    tap.sync()
    twilio.advance(hours=1, busy=0)
    unchanged = tap.sync()

    assert unchanged.sids() == []
    assert len(tap.pages()) == 9 + 4 + 5  # messages, calls, and a page of each other list
    assert len(tap.requests) == 9 + 4 + 5 + 10 + 2


# What is held ---------------------------------------------------------------------------------------------------------


def test_a_reader_that_stops_reading_stops_the_tap(tap_of: TapOf) -> None:
    """While the target takes nothing, the tap asks for no more than it has room for, and then goes on to the end."""
    tap = tap_of(history(conferences=5_000), concurrency=4, page_size=100)
    reader, writer = os.pipe()

    def asked() -> list[Request]:
        return [request for request in tap.server.requests if request.path != "/"]

    started = tap.select("conferences").start(stdout=writer).wait_for(lambda: len(tap.server.requests) > 1)
    os.close(writer)
    with os.fdopen(reader, "rb") as out:
        seen = -1
        with requests.Session() as another:
            while seen != (seen := len(asked())):  # until it asks for nothing while another client asks a hundred times
                for _ in range(100):
                    another.get(tap.server.url, timeout=60)
        # The accounts, the first page of each of three lists, what is under way, the page being written, and what the
        # pipe holds: of 50 pages.
        assert seen <= 1 + 3 + 4 + 1 + (1 << 16) // 100 // 300
        sids = {json.loads(line)["record"]["sid"] for line in out if line.startswith(b'{"type":"RECORD"')}
    run = started.wait()

    assert run.exit_code == 0, run.log
    assert len(sids) == 5_000


@pytest.mark.parametrize("concurrency", [3, *long(1)])
def test_there_are_never_more_connections_than_concurrency(tap_of: TapOf, concurrency: int) -> None:
    """Over all streams and accounts together; each of them is kept for the next request."""
    twilio = Twilio.demo()
    twilio.latency = (0.01, 0)
    tap = tap_of(twilio, concurrency=concurrency)
    tap.sync()

    assert len(tap.requests) > 20
    assert tap.server.max_connections == concurrency


def test_pages_come_compressed(tap_of: TapOf) -> None:
    """Some 90 % of what Twilio sends is saved on the wire."""
    asked: list[str | None] = []
    tap = tap_of(history(messages=10))
    handler = tap.server.RequestHandlerClass

    class Watching(handler):  # type: ignore[misc, valid-type]
        def do_GET(self) -> None:
            asked.append(self.headers.get("Accept-Encoding"))
            super().do_GET()

    tap.server.RequestHandlerClass = Watching
    tap.sync()

    assert asked and set(asked) == {"gzip"}


# What is imported -----------------------------------------------------------------------------------------------------


OURS = ["tap_twilio.settings", "tap_twilio.run.sync", "tap_twilio.twilio.client", "tap_twilio.twilio.retry_pool"]
THEIRS = ["requests", "urllib3", "jsonschema", "singer", "backoff", "asyncio"]


@pytest.mark.parametrize(("argument", "heavy"), [("--version", OURS + THEIRS), ("--discover", OURS)])
def test_no_command_imports_what_it_does_not_need(argument: str, heavy: list[str]) -> None:
    """Schedulers ask for both all the time. Discovery needs singer-python, which brings the others along."""
    program = (
        "import atexit, os, sys\n"
        "def said(code=0):\n"
        f"    print([name for name in {heavy} if name in sys.modules], file=sys.stderr, flush=True)\n"
        "    sys.stdout.flush()\n"
        "    end(code)\n"
        "end, os._exit = os._exit, said\n"
        "atexit.register(said)\n"
        f"sys.argv = ['tap-twilio', {argument!r}]\n"
        "from tap_twilio.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout
