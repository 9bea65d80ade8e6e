"""Twilio at its oddest: what its lists, its accounts and its clock may do, and what the tables hold all the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Twilio
from tests.taps import LISTED, Tap

MakeTap = Callable[..., Tap]
PAST = {"since": "2025-03-01", "until": "2025-12-30"}


def a_year_old(**options: Any) -> Twilio:
    """Accounts of a year: a backfill judges by their age how long a list is."""
    return Twilio(start="2025-01-01", **options).at("2026-01-01")


# Pages without a row --------------------------------------------------------------------------------------------------


class Hollow:
    """In the place of the sandbox's script of faults: pages without a row, by the number of the page."""

    def __init__(self, twilio: Twilio, hollow: Callable[[int], bool], path: str = "") -> None:
        self._hollow, self._path, self.rng = hollow, path, twilio.script.rng

    def next(self, uri: str, rates: Any, is_page: bool) -> str:
        number = re.search(r"&Page=(\d+)", uri)
        listed = is_page and "Accounts.json" not in uri and self._path in uri
        return "hollow" if listed and self._hollow(int(number[1]) if number else 0) else ""


@pytest.mark.parametrize("full_table", [False, True])
def test_pages_without_a_row_in_the_middle_of_a_list_end_nothing(tap_of: MakeTap, full_table: bool) -> None:
    """As filters that are applied after paging give them: at the top of each list and in its middle, many in a row."""
    twilio = a_year_old()
    twilio.messages(300, **PAST)
    twilio.messages(30, status="canceled", **PAST)
    for make in (twilio.calls, twilio.conferences, twilio.transcriptions, twilio.addresses):
        make(60, **PAST)
    tap = tap_of(twilio, page_size=10, concurrency=3, sweep_pages=2000)
    tap.select(*LISTED, full_table=LISTED if full_table else ())
    twilio.script = Hollow(twilio, lambda number: number % 15 != 3)  # type: ignore[assignment]  # as good as a Faults
    tap.sync()
    for day in (2, 3):
        twilio.at(f"2026-01-{day:02}")
        for stream in LISTED:
            twilio.change(twilio.present(stream)[day]["sid"])
        tap.sync()
        assert tap.wrong() == {}


def test_a_budget_of_a_page_gets_over_pages_without_a_row(tap_of: MakeTap) -> None:
    """A place is kept on such a page as on any other: the round that ends there goes on there."""
    twilio = a_year_old()
    (oldest, *_) = twilio.addresses(60, **PAST)
    tap = tap_of(twilio, page_size=10, sweep_pages=1, lookback_days=0).select("addresses")
    twilio.script = Hollow(twilio, lambda number: 2 <= number < 6)  # type: ignore[assignment]
    tap.sync()
    twilio.at("2026-01-02").change(oldest, city="Moved")
    for _ in range(10):  # the list has ten pages, and one is the look-back's
        tap.sync()
    assert tap.wrong(["addresses"]) == {}


def test_a_chain_of_pages_without_a_row_that_never_ends_is_an_error(tap_of: MakeTap) -> None:
    """Exit code 3 and a line that says so, not a run for ever; once the chain is gone, all is read."""
    twilio = a_year_old()
    twilio.addresses(30, **PAST)
    tap = tap_of(twilio, page_size=10).select("addresses")
    script = twilio.script
    twilio.script = Hollow(twilio, lambda number: number > 1)  # type: ignore[assignment]
    run = tap.sync(exits=3)
    assert any("without a row" in line for line in run.said)
    twilio.script = script
    tap.sync()
    assert tap.wrong(["addresses"]) == {}
