"""Twilio at its oddest: what its lists, its accounts and its clock may do, and what the tables hold all the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Twilio
from sandbox.timestamps import timestamp
from testing.sampled import long
from testing.taps import HOUR, LISTED, SIX, Tap, expected, kept

MakeTap = Callable[..., Tap]
PAST = {"since": "2025-03-01", "until": "2025-12-30"}


def a_year_old(**options: Any) -> Twilio:
    """Accounts of a year: a backfill judges by their age how long a list is."""
    return Twilio(start="2025-01-01", **options).at("2026-01-01")


def part(tap: Tap, stream: str, account: str) -> dict[str, Any]:
    """What the state keeps of a stream in an account, without what is null."""
    return kept(tap.state, stream)[account]


# Pages without a row --------------------------------------------------------------------------------------------------


class Hollow:
    """In the place of the sandbox's script of faults: pages without a row, by the number of the page."""

    def __init__(self, twilio: Twilio, hollow: Callable[[int], bool], path: str = "") -> None:
        self._hollow, self._path, self.rng = hollow, path, twilio.script.rng

    def next(self, uri: str, rates: Any, is_page: bool) -> str:
        number = re.search(r"&Page=(\d+)", uri)
        listed = is_page and "Accounts.json" not in uri and self._path in uri
        return "hollow" if listed and self._hollow(int(number[1]) if number else 0) else ""


@pytest.mark.long
@pytest.mark.parametrize("full_table", [False, *long(True)])
def test_pages_without_a_row_in_the_middle_of_a_list_end_nothing(tap_of: MakeTap, full_table: bool) -> None:
    """As filters that are applied after paging give them: at the top of each list and in its middle, many in a row."""
    twilio = a_year_old()
    twilio.messages(300, **PAST)
    twilio.messages(30, status="canceled", **PAST)
    for make in (twilio.calls, twilio.conferences, twilio.transcriptions, twilio.addresses):
        make(60, **PAST)
    tap = tap_of(twilio, page_size=10, concurrency=3, rescan_pages=2000)
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
    tap = tap_of(twilio, page_size=10, rescan_pages=1, lookback_days=0).select("addresses")
    twilio.script = Hollow(twilio, lambda number: 2 <= number < 6)  # type: ignore[assignment]
    tap.sync()
    twilio.at("2026-01-02").change(oldest, city="Moved")
    for _ in range(10):  # the list has ten pages, and one is the look-back's
        tap.sync()
    assert tap.wrong(["addresses"]) == {}


@pytest.mark.long
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


# Orders ---------------------------------------------------------------------------------------------------------------


def too_old(row: dict[str, Any]) -> bool:
    return str(expected("messages", row)["date_created"]) < "2025-06-01"


@pytest.mark.parametrize("rows", [25, 60])
def test_old_rows_that_were_redacted_at_once_hide_no_row_below_them(tap_of: MakeTap, rows: int) -> None:
    """A list in order of change, and a start_date: a page of rows older than it says nothing of the pages below."""
    twilio = a_year_old(order="updated")
    old = [
        *twilio.messages(rows, since="2025-03-01", until="2025-05-01"),
        *twilio.messages(rows // 10, status="canceled", since="2025-03-01", until="2025-05-01"),
    ]
    twilio.messages(80, since="2025-06-10", until="2025-12-01")
    twilio.calls(3, **PAST)
    for hour, sid in enumerate(sorted(old)):
        twilio.at(f"2026-01-02T{hour // 60:02}:{hour % 60:02}:00Z").change(sid, body="")
    tap = tap_of(twilio, page_size=10, start_date="2025-06-01").select("messages")
    tap.sync()
    assert tap.wrong(["messages"], but=too_old) == {}
    twilio.at("2026-01-08").change(twilio.present("messages")[-1]["sid"], body="late")
    for hour, sid in enumerate(old):
        twilio.at(f"2026-01-09T{hour // 60:02}:{hour % 60:02}:00Z").change(sid, body="gone")
    tap.sync()
    assert tap.wrong(["messages"], but=too_old) == {}


# The budget -----------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("concurrency", [8, *long(1)])
def test_a_list_with_a_long_look_back_gets_its_part_of_the_budget(tap_of: MakeTap, concurrency: int) -> None:
    """Whatever runs beside it: its old rows come within the syncs that the log promises."""
    twilio = a_year_old(accounts=4)
    accounts = [row["sid"] for row in twilio.truth("accounts")]
    for account in accounts:
        twilio.addresses(300, account, **PAST)
    oldest = twilio.transcriptions(300, accounts[2], since="2025-08-01", until="2025-12-30")[0]
    tap = tap_of(twilio, page_size=10, rescan_pages=8, lookback_days=60, concurrency=concurrency)
    tap.select("addresses", "transcriptions")
    tap.sync()
    twilio.at("2026-01-01T03:00:00Z").change(oldest, transcription_text="late")
    syncs, found = 0, False
    while not found:
        twilio.at(twilio.now + 3 * HOUR)
        found, syncs = oldest in tap.sync().sids(), syncs + 1
        assert syncs <= 20  # beyond the look-back, the list has 18 pages


def test_the_budget_is_used_to_its_end_by_those_that_can_use_it(tap_of: MakeTap) -> None:
    """Many short lists beside a long one keep nothing from it, and it keeps nothing from them."""
    twilio = a_year_old(accounts=6)
    accounts = [row["sid"] for row in twilio.truth("accounts")]
    for account in accounts[1:]:
        twilio.addresses(5, account, **PAST)
    twilio.addresses(600, accounts[0], **PAST)
    tap = tap_of(twilio, page_size=10, rescan_pages=30, lookback_days=0).select("addresses")
    for day in (1, 2, 3):
        twilio.at(f"2026-01-{day:02}")
        tap.sync()
    long = [page for page in tap.pages() if accounts[0] in page]
    assert 30 <= len(long) <= 36  # a round reads on to where it can stop


def test_with_a_budget_of_one_page_each_list_has_its_turn(tap_of: MakeTap) -> None:
    """The one that was swept longest ago comes first in every sync."""
    twilio = a_year_old(accounts=5)
    accounts = [row["sid"] for row in twilio.truth("accounts")]
    for account in accounts:
        twilio.addresses(300, account, **PAST)
    twilio.addresses(60, accounts[2], since="2025-12-22", until="2025-12-30")  # one has much to look back on
    tap = tap_of(twilio, page_size=10, rescan_pages=1, lookback_days=15, concurrency=8).select("addresses")
    tap.sync()
    rescanned_at = []
    for day in range(2, 14):
        twilio.at(f"2026-01-{day:02}")
        before = {account: part(tap, "addresses", account).get("rescan", {}) for account in accounts}
        tap.sync()
        rescanned_at += [
            one
            for one in accounts
            if part(tap, "addresses", one).get("rescan", {}).get("checkpoint") != before[one].get("checkpoint")
        ]
    assert sorted(rescanned_at[-5:]) == sorted(rescanned_at[-10:-5]) == sorted(accounts)


# Accounts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", ["others", "none"])
def test_the_main_account_is_read_whatever_the_list_of_accounts_leaves_out(tap_of: MakeTap, listed: str) -> None:
    """And one warning says that it is not in the list. No row of a FULL_TABLE stream leaves for a list like that."""
    twilio = a_year_old(accounts=3)
    main, *others = (row["sid"] for row in twilio.truth("accounts"))
    mine = twilio.messages(5, **PAST) + twilio.addresses(3, **PAST)
    theirs = [sid for account in others for sid in twilio.addresses(2, account, **PAST)]
    twilio.accounts_listed = listed
    tap = tap_of(twilio).select(*LISTED, full_table=["addresses"])
    run = tap.sync()
    assert set(run.sids()) == {*mine, *(theirs if listed == "others" else [])}
    assert sum(main in line and "Accounts.json" in line for line in run.said) == 1
    twilio.accounts_listed = "all"
    tap.sync()
    assert tap.wrong() == {}
    twilio.accounts_listed = listed
    tap.sync()
    assert tap.wrong() == {}


def test_a_closed_account_is_one_line_in_the_log_and_the_streams_keep_their_date(tap_of: MakeTap) -> None:
    """Whether it was ever read or not: what the state says of a stream is the oldest date of those that can be read."""
    twilio = a_year_old(accounts=3)
    main, closed, never = (row["sid"] for row in twilio.truth("accounts"))
    twilio.close(never)
    for account in (main, closed):
        twilio.addresses(2, account, **PAST)
    tap = tap_of(twilio)
    tap.select(*SIX)
    run = tap.sync()
    assert sum(never in line for line in run.said) == 1
    before = {name: part["date_updated"] for name, part in tap.state["bookmarks"].items()}
    assert set(before) == set(SIX)
    twilio.at("2026-01-05").close(closed)
    run = tap.sync()
    assert sum(never in line for line in run.said) == sum(closed in line for line in run.said) == 1
    assert all(part["date_updated"] > before[name] for name, part in tap.state["bookmarks"].items())


# The clock ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", [1, 4, *long(2)])
@pytest.mark.parametrize("hours", [6.5, 28, -28])
def test_a_wrong_date_at_the_start_of_a_run_loses_no_change(tap_of: MakeTap, hours: float, answers: int) -> None:
    """Of one answer or of several: no bookmark is taken from it, and the log says once that it is not believed."""
    twilio = a_year_old()
    twilio.messages(40, **PAST)
    (sid, *_, other) = twilio.addresses(40, **PAST)
    tap = tap_of(twilio, page_size=10, concurrency=1).select("messages", "addresses")
    tap.sync()
    twilio.at("2026-01-03").misdated_hours = hours
    twilio.fail_next("misdated", answers)
    run = tap.sync()
    assert sum("the tap ignores the implausible one" in line for line in run.said) == 1
    for changed, at in ((sid, "2026-01-03T00:20:00Z"), (other, "2026-01-03T20:00:00Z")):
        twilio.at(at).change(changed, city="Moved")
        twilio.at(timestamp(at) + 3 * 3600)
        tap.sync()
        assert tap.wrong(["messages", "addresses"]) == {}


@pytest.mark.parametrize("hours", [6.5, 28, -28])
def test_a_wrong_date_in_the_middle_of_a_run_loses_no_change(tap_of: MakeTap, hours: float) -> None:
    """Nor does it write rows again that were read."""
    twilio = a_year_old()
    (sid, *_) = twilio.addresses(40, **PAST)
    tap = tap_of(twilio, page_size=10).select("addresses")
    twilio.misdated_hours = hours
    twilio.fail_next("misdated", 1, "Page=2")
    run = tap.sync()
    assert sum("the tap ignores the implausible one" in line for line in run.said) == 1
    twilio.at("2026-01-01T00:20:00Z").change(sid, city="Moved")
    twilio.at("2026-01-02T10:00:00Z")
    assert tap.sync().sids() == [sid]
    assert tap.wrong(["addresses"]) == {}


# FULL_TABLE -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [18, 60])
def test_a_full_table_run_writes_each_row_once(tap_of: MakeTap, rows: int) -> None:
    """Lists of a page are asked for once; of longer ones the head is read again, and only what changed is written."""
    twilio = a_year_old()
    fresh = {"since": "2025-12-20", "until": "2025-12-31T23:00:00Z"}
    made = twilio.addresses(rows, **fresh) + twilio.conferences(rows, **fresh) + twilio.messages(rows, **fresh)
    tap = tap_of(twilio, page_size=20)
    tap.select("addresses", "conferences", "messages", full_table=["addresses", "conferences", "messages"])
    assert sorted(tap.sync().sids()) == sorted(made)
    if rows < 20:
        assert len(tap.pages()) == 5  # conferences are three lists
    twilio.at("2026-01-01T02:00:00Z").delete(made[0])
    assert sorted(tap.sync().sids()) == sorted(made[1:rows])  # the other tables are as they were
    assert tap.wrong(["addresses", "conferences", "messages"], rows=twilio.present) == {}
