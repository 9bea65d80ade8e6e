"""
After a sync the warehouse equals Twilio: the promise, point by point, through a real process and real HTTP.

`Tap.wrong` compares every property of every row that Twilio ever listed when a run began. Pages are small here, so that
a few hundred rows are a long list.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import pytest

from sandbox import Twilio
from tap_twilio.run.sync import Sync
from tap_twilio.settings import Settings
from tap_twilio.singer.output import Output
from tap_twilio.state.store import State
from testing.sampled import long
from testing.taps import HOUR, LISTED, Tap, expected, kept, twice

MakeTap = Callable[..., Tap]
PAST = {"since": "2025-03-01", "until": "2025-12-30"}


def a_year_old(**options: Any) -> Twilio:
    """Accounts of a year: a backfill judges by their age how long a list is."""
    return Twilio(start="2025-01-01", **options).at("2026-01-01")


def part(tap: Tap, stream: str = "messages", account: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = kept(tap.state, stream)[account or tap.twilio.main]
    return found


def long_history(twilio: Twilio, n: int = 300) -> list[str]:
    """Messages over ten months; each tenth was never sent."""
    sent = twilio.messages(n - n // 10, **PAST)
    return sent + twilio.messages(n // 10, status="scheduled", **PAST)


# 1. Late changes arrive


def test_every_kind_of_late_change_arrives_with_the_next_sync(tap_of: MakeTap) -> None:
    """Delivered, priced, redacted a year later, completed, canceled, edited: wherever in the history the row stands."""
    twilio = a_year_old()
    old = {"created": "2025-01-05"}
    sent, redacted, never = (
        *twilio.messages(1, status="sent", **old),
        *twilio.messages(1, **old),
        *twilio.messages(1, status="scheduled", **old),
    )
    (unpriced,) = twilio.calls(1, price=None, **old)
    (queued,) = twilio.calls(1, status="queued", **old)
    (running,) = twilio.conferences(1, status="in-progress", **old)
    (untranscribed,) = twilio.transcriptions(1, status="in-progress", **old)
    (address,) = twilio.addresses(1, **old)
    for make in (twilio.messages, twilio.calls, twilio.conferences, twilio.transcriptions, twilio.addresses):
        make(60, **PAST)
    tap = tap_of(twilio, page_size=20)
    tap.sync()
    assert tap.wrong() == {}

    twilio.at("2026-01-10")
    twilio.change(sent, status="delivered")
    twilio.change(redacted, body="", num_media="0")
    twilio.change(never, status="canceled")
    twilio.change(unpriced, price="-0.02600")
    twilio.change(queued, status="canceled")
    twilio.change(running, status="completed")
    twilio.change(untranscribed, status="completed", transcription_text="Hello", price=-0.05)
    twilio.change(address, street_secondary="Floor 1")
    run = tap.sync()
    assert sorted(run.sids()) == sorted([sent, redacted, never, unpriced, queued, running, untranscribed, address])
    assert tap.wrong(rows=twilio.truth) == {}


ORDERS = ("created", "first", "last", "updated", "updated_ascending", "created_ascending", "sid")
PAIRS = [*itertools.product(ORDERS, ("taken", "refused", "empty"))]


@pytest.mark.parametrize(
    "order_and_token",
    [*PAIRS[:9:4], *long(*(pair for pair in PAIRS if pair not in PAIRS[:9:4]))],
    ids="-".join,
)
def test_it_is_right_after_every_sync_whatever_twilio_does_to_its_lists(
    tap_of: MakeTap, order_and_token: tuple[str, str]
) -> None:
    """However lists are sorted, what a token of a deleted row gets, rows listed hours late, without date_updated."""
    order, token = order_and_token
    twilio = a_year_old(seed=len(order) + len(token), accounts=2, order=order, deleted_token=token)
    twilio.late_hours, twilio.null_date_updated = 4.0, 0.1
    twilio.messages(250, **PAST)
    twilio.messages(25, status="scheduled", **PAST)
    twilio.calls(60, **PAST)
    tap = tap_of(twilio, page_size=8, concurrency=4, retry_minutes=1)
    tap.sync()
    resend_listed_before = {message["sid"] for message in twilio.truth("messages") if not message["date_sent"]}
    assert tap.wrong(but=lambda row: row["sid"] in resend_listed_before) == {}
    for hours in (3, 40):
        twilio.advance(hours, busy=3)
        tap.sync()
        assert tap.wrong() == {}


@pytest.mark.parametrize("token", ["taken", "refused", "empty"])
def test_a_round_finds_its_place_again_or_starts_again(tap_of: MakeTap, token: str) -> None:
    """When the row that a place's page follows is deleted between two syncs, no row after it is passed over."""
    twilio = a_year_old(deleted_token=token)
    sids = twilio.messages(200, since="2025-11-01", until="2025-12-20")
    tap = tap_of(twilio, page_size=10, rescan_pages=4, lookback_days=0).select("messages")
    tap.sync()
    rng = random.Random(token)
    for day in range(2, 7):
        twilio.at(f"2026-01-{day:02}")
        for sid in re.findall(r"PageToken=PA(\w+)", part(tap).get("rescan", {}).get("checkpoint", {}).get("page", "")):
            twilio.delete(sid)
        for sid in rng.sample(sids, 3):
            twilio.change(sid, body=f"day {day}")
        tap.sync()
    twilio.at("2026-01-09")
    tap.sync(rescan_pages=500)
    listed = {row["sid"] for row in twilio.present("messages")}
    assert tap.wrong(["messages"], but=lambda row: row["sid"] not in listed) == {}


class Meddler:
    """In the place of the sandbox's script of faults: does something to the row that a page's token names."""

    def __init__(self, twilio: Twilio, pages: set[str], meddle: Callable[[str], object]) -> None:
        self._script, self._pages, self._meddle = twilio.script, pages, meddle
        self.rng = twilio.script.rng

    def next(self, uri: str, *rest: Any) -> str:
        number, named = (re.search(pattern, uri) for pattern in (r"&Page=(\d+)", r"&PageToken=PA(\w+)"))
        if number and named and number[1] in self._pages:
            self._pages.remove(number[1])
            self._meddle(named[1])
        return self._script.next(uri, *rest)


@pytest.mark.parametrize("stream", ["messages", "addresses"])
@pytest.mark.parametrize("meddling", ["taken", "refused", "empty", "moved"])
def test_a_row_that_goes_or_moves_while_its_page_is_turned_takes_no_other_along(
    tap_of: MakeTap, stream: str, meddling: str
) -> None:
    """The row that a token names is deleted, or sent, between a page and the next: in a backfill, and in a round."""
    twilio = a_year_old(order="first", deleted_token="taken" if meddling == "moved" else meddling)
    make = getattr(twilio, stream)
    many = make(90, **PAST)
    if stream == "messages":
        many += make(90, status="scheduled", **PAST)

    def meddle(sid: str) -> None:
        if meddling == "moved":
            twilio.change(sid, **({"status": "sent"} if stream == "messages" else {"city": "Moved"}))
        else:
            twilio.delete(sid)

    tap = tap_of(twilio, page_size=10, lookback_days=0).select(stream)
    original = twilio.script
    for day in (2, 3):
        twilio.script = Meddler(twilio, {"2", "6"}, meddle)  # type: ignore[assignment]  # as good as a Faults
        tap.sync()
        twilio.script = original
        twilio.at(f"2026-01-{day:02}")
        for sid in many[::9]:
            twilio.change(sid, **({"body": f"day {day}"} if stream == "messages" else {"street": f"day {day}"}))
    tap.sync()
    listed = {row["sid"] for row in twilio.present(stream)}
    assert tap.wrong([stream], but=lambda row: row["sid"] not in listed) == {}


def test_with_a_small_budget_a_change_arrives_within_the_syncs_that_the_log_states(tap_of: MakeTap) -> None:
    """`the whole list is reread every N syncs`: wherever the row stands, and whenever it changes."""
    twilio = a_year_old()
    sids = twilio.messages(200, **PAST)
    tap = tap_of(twilio, page_size=10, rescan_pages=4, lookback_days=1).select("messages")
    tap.sync()
    for _ in range(8):
        twilio.at(twilio.now + 3 * HOUR)
        run = tap.sync()
    (line,) = (line for line in run.said if "is reread every" in line and line.startswith("messages AC"))
    stated = int(re.search(r"messages AC\w+: the whole list is reread every (\d+) syncs", line)[1])  # type: ignore[index]
    assert stated in (5, 6)
    for sid in (sids[0], sids[95], sids[180]):
        twilio.at(twilio.now + 3 * HOUR).change(sid, body="late")
        syncs, found = 0, False
        while not found:
            twilio.at(twilio.now + 3 * HOUR)
            found, syncs = sid in tap.sync().sids(), syncs + 1
            assert syncs <= stated


def test_several_accounts_share_the_budget_and_the_log_counts_on_it(tap_of: MakeTap) -> None:
    """The number of syncs that the log states, which is their average, holds for each of them, give or take a third."""
    twilio = a_year_old(accounts=3)
    accounts = [row["sid"] for row in twilio.truth("accounts")]
    oldest = [twilio.messages(120, account, **PAST)[0] for account in accounts]
    tap = tap_of(twilio, page_size=10, rescan_pages=4, lookback_days=1).select("messages")
    for _ in range(12):
        twilio.at(twilio.now + 3 * HOUR)
        run = tap.sync()
    stated = [
        int(n) for line in run.said for n in re.findall(r"AC\w+: .* is reread every (?:at least )?(\d+) syncs", line)
    ]
    assert len(stated) == 3
    twilio.at(twilio.now + 3 * HOUR)
    for sid in oldest:
        twilio.change(sid, body="late")
    missing = set(oldest)
    for _ in range(max(stated) * 4 // 3 + 1):
        twilio.at(twilio.now + 3 * HOUR)
        missing -= set(tap.sync().sids())
    assert not missing


def test_a_sync_costs_two_pages_a_list_the_look_back_and_the_budget(tap_of: MakeTap) -> None:
    """However long the history is."""
    twilio = a_year_old()
    twilio.messages(600, **PAST)
    twilio.calls(600, **PAST)
    twilio.addresses(300, **PAST)
    tap = tap_of(twilio, page_size=10, rescan_pages=7, lookback_days=1)
    tap.sync()
    lists = len(LISTED) + 2  # conferences are three
    for _ in range(4):
        twilio.at(twilio.now + 3 * HOUR)
        tap.sync()
        assert len(tap.pages()) <= 4 * lists  # rounds read on to where they can stop
    recent = twilio.messages(10, since=twilio.now, until=twilio.now + 2 * HOUR)
    twilio.at(twilio.now + 3 * HOUR)
    run = tap.sync()
    assert set(recent) <= set(run.sids())
    assert len(tap.pages()) <= 2 * lists + 1 + 10
    assert re.fullmatch(r"read \d+ pages with \d+ requests in [\d.]+ s and emitted \d+ rows", run.said[-1])


# 2. Only what changed is written


def test_a_sync_in_which_nothing_changed_emits_nothing(tap_of: MakeTap) -> None:
    """Neither rows within the lateness, nor those that have no date_updated."""
    twilio = a_year_old()
    long_history(twilio, 600)
    twilio.messages(3, created="2025-12-31T20:00:00Z")
    twilio.null_date_updated = 1.0
    twilio.messages(4, **PAST)
    tap = tap_of(twilio, page_size=10).select("messages")
    first = tap.sync()
    assert twice(first) == {}
    twilio.at("2026-01-01T03:00:00Z")
    second = tap.sync()  # brings the never-sent rows, which a backfill by date owes
    resend_listed_before = {row["sid"] for row in twilio.truth("messages") if not row["date_sent"]}
    assert resend_listed_before <= set(second.sids()) and len(second.sids()) <= len(resend_listed_before) + 0.05 * 600
    assert twice(second) == {}
    twilio.at("2026-01-01T12:00:00Z")
    assert tap.sync().sids() == []
    assert tap.wrong(["messages"]) == {}


def test_a_row_outside_the_margin_is_emitted_once(tap_of: MakeTap) -> None:
    """Through look-backs and rounds, a change is written once and not by each that meets it."""
    twilio = a_year_old()
    sids = twilio.messages(200, **PAST)
    tap = tap_of(twilio, page_size=10, rescan_pages=6, lookback_days=400).select("messages")
    tap.sync()
    seen: Counter[str] = Counter()
    for day in range(2, 12):
        twilio.at(f"2026-01-{day:02}")
        seen.update(tap.sync().sids())
        if day == 4:
            twilio.at("2026-01-04T12:00:00Z").change(sids[150], status="read")
    assert set(seen) == {sids[150]}
    assert seen[sids[150]] <= 2  # the look-back that is first to see it, and the round, which trusts no look-back


# 3. Life goes on while the tap reads


@contextmanager
def life(twilio: Twilio, step_s: float = 0.02, hours: float = 0.05) -> Iterator[None]:
    """Rows come, change, move and go while the block runs."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(step_s):
            twilio.advance(hours, busy=60)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("order", ["first", *long("created", "last")])
def test_what_moves_while_it_is_read_is_right_after_the_next_quiet_sync(tap_of: MakeTap, order: str) -> None:
    """Rows appear, move up, are sent and are deleted under a backfill, a look-back and a round."""
    twilio = a_year_old(seed=4, order=order, deleted_token="refused")
    twilio.messages(200, since="2025-10-01", until="2025-12-30")
    twilio.messages(40, status="queued", since="2025-10-01", until="2025-12-30")
    tap = tap_of(twilio, page_size=6, concurrency=2).select("messages", "calls", "transcriptions")
    twilio.latency = (0.004, 0.0)
    for _ in range(2):
        with life(twilio):
            run = tap.run()
        assert run.exit_code in (0, 3), run.log
        tap.keep(run.lines)
    twilio.latency = (0.0, 0.0)
    for _ in range(2):
        twilio.at(twilio.now + HOUR)
        tap.sync()
    wrong = {
        stream: [
            row["sid"]
            for row in twilio.present(stream)
            if {**tap.tables.rows[stream].get(row["sid"], {}), "received_at": 0}
            != {**expected(stream, row), "received_at": 0}
        ]
        for stream in ("messages", "calls", "transcriptions")
    }
    assert wrong == {"messages": [], "calls": [], "transcriptions": []}


# 4. Bookmarks


def test_a_subaccount_that_appears_is_backfilled_and_one_that_vanishes_keeps_its_state(tap_of: MakeTap) -> None:
    """From start_date on; the others are not read again for it."""
    twilio = a_year_old(accounts=2)
    gone = twilio.truth("accounts")[1]["sid"]
    twilio.messages(20, gone, **PAST)
    tap = tap_of(twilio, start_date="2025-06-01").select("messages")
    tap.sync()
    kept = part(tap, account=gone)
    twilio.at("2026-01-05").remove_account(gone)
    new = twilio.add_account()
    old, wanted = twilio.messages(5, new, created="2025-05-01"), twilio.messages(5, new, created="2025-07-01")
    run = tap.sync()
    assert sorted(run.sids()) == sorted(wanted)
    assert not set(old) & tap.tables.rows["messages"].keys()
    assert part(tap, account=gone) == kept
    assert part(tap, account=new)["date_updated"] == "2026-01-04T18:00:00.000000Z"


def test_a_stream_selected_later_is_backfilled(tap_of: MakeTap) -> None:
    """Whatever the bookmarks of the others are."""
    twilio = a_year_old()
    twilio.messages(20, **PAST)
    calls = twilio.calls(20, **PAST)
    tap = tap_of(twilio).select("messages")
    tap.sync()
    twilio.at("2026-01-05")
    tap.select("messages", "calls")
    assert sorted(tap.sync().sids()) == sorted(calls)


def test_a_property_selected_later_is_filled_for_old_rows(tap_of: MakeTap) -> None:
    """Once, and over as many syncs as the budget needs; one line says so for all accounts."""
    twilio = a_year_old(accounts=2)
    twilio.messages(200, **PAST)
    twilio.messages(10, status="canceled", **PAST)
    tap = tap_of(twilio, page_size=10, rescan_pages=15).select("messages", without=["body"])
    tap.sync()
    tap.select("messages")
    twilio.at("2026-01-05")
    (line,) = (line for line in tap.sync().log.splitlines() if "properties were added, so" in line)
    assert line.endswith(" INFO messages: properties were added, so older rows are read again")
    twilio.at("2026-01-06")
    tap.sync()
    assert tap.wrong(["messages"]) == {}


def test_an_earlier_start_date_brings_the_difference_and_a_later_one_emits_no_less_of_what_counts(
    tap_of: MakeTap,
) -> None:
    """Rows created before start_date are not emitted; lowering it, also after raising it, emits them."""
    twilio = a_year_old()
    long_history(twilio, 100)
    tap = tap_of(twilio, page_size=10).select("messages")
    for day, start_date in enumerate(("2025-10-01", "2025-12-01", "2025-08-01", "2025-11-01", "2025-06-01T12:00:00Z")):
        twilio.at(f"2026-01-{day + 2:02}")
        run = tap.sync(start_date=start_date)
        assert all(record["date_created"] >= start_date[:10] for record in run.records("messages"))
    twilio.at("2026-01-08")
    run = tap.sync(start_date="2025-06-01T12:00:00Z")
    assert run.sids() == []
    early = "2025-06-01T12:00:00.000000Z"
    assert tap.wrong(["messages"], but=lambda row: expected("messages", row)["date_created"] < early) == {}
    tap.sync(start_date=None)
    assert tap.wrong(["messages"]) == {}


def test_a_start_date_in_the_future_emits_nothing_and_loses_nothing(tap_of: MakeTap) -> None:
    """The log says so; when the day comes, or the setting goes, the rows come."""
    twilio = a_year_old()
    long_history(twilio, 100)
    tap = tap_of(twilio, page_size=10).select("messages")
    run = tap.sync(start_date="2026-02-01")
    assert run.sids() == []
    assert any("start_date is in the future" in line for line in run.said)
    twilio.at("2026-02-02")
    later = twilio.messages(3, created="2026-02-01T12:00:00Z")
    assert sorted(tap.sync(start_date="2026-02-01").sids()) == sorted(later)
    twilio.at("2026-02-03")
    tap.sync()
    assert tap.wrong(["messages"]) == {}


def test_a_start_date_at_the_beginning_of_the_calendar_brings_all(tap_of: MakeTap) -> None:
    """The year 1, which some write for "everything", before which the calendar has no day to ask from."""
    twilio = a_year_old()
    twilio.calls(400, **PAST)
    twilio.conferences(400, **PAST)
    tap = tap_of(twilio, page_size=5, start_date="0001-01-01").select("calls", "conferences")
    tap.sync()
    assert tap.wrong(["calls", "conferences"]) == {}


def test_a_state_from_the_future_is_not_believed(tap_of: MakeTap) -> None:
    """One restored from another account's or a mistyped date: the partition is read anew, and the log says so."""
    twilio = a_year_old()
    twilio.messages(30, **PAST)
    tap = tap_of(twilio).select("messages")
    tap.sync()
    for _, kept_part in tap.state["bookmarks"]["messages"]["partitions"]:
        kept_part["date_updated"] = kept_part["lookback_done_at"] = "2026-03-01T00:00:00.000000Z"
    twilio.at("2026-01-02")
    run = tap.sync()
    assert len(run.sids()) == 30
    assert any("dated in the future" in line for line in run.said)
    assert part(tap)["date_updated"] == "2026-01-01T18:00:00.000000Z"


def test_a_clock_that_goes_back_a_little_moves_no_bookmark_back(tap_of: MakeTap) -> None:
    """Twilio's servers do not agree to the second; half an hour back is no state from the future."""
    twilio = a_year_old()
    twilio.messages(30, **PAST)
    tap = tap_of(twilio).select("messages")
    tap.sync()
    before = part(tap)["date_updated"]
    twilio.at("2025-12-31T23:30:00Z")
    late = twilio.messages(1)
    run = tap.sync()
    assert part(tap)["date_updated"] == before
    assert not any("future" in line for line in run.said)
    twilio.at("2026-01-01T01:00:00Z")
    tap.sync()
    assert set(late) <= tap.tables.rows["messages"].keys()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_machine_whose_clock_is_an_hour_off_is_told_so(hours: int) -> None:
    """Twilio's clock is the one that counts: the machine's is in received_at only."""
    sync = Sync(Settings("AC" + "0" * 32, "AC", "token"), [], State(), Output(2))
    sync.clock.observe(f"{datetime.now(timezone.utc) + hours * HOUR:%Y-%m-%dT%H:%M:%S.%fZ}")
    (said,) = sync._check_clock()
    assert "clock is" in said


def test_bookmarks_only_move_forward(tap_of: MakeTap) -> None:
    """Through budgets of a page, settings that change, and life going on."""
    twilio = Twilio.demo(seed=6)
    tap = tap_of(twilio, page_size=100)
    before: dict[tuple[str, str], str] = {}
    for rescan_pages, lookback_days in ((1, 3), (50, 0), (2, 30), (500, 15)):
        twilio.advance(5)
        tap.sync(rescan_pages=rescan_pages, lookback_days=lookback_days)
        now = {
            (stream, account): one["date_updated"]
            for stream in LISTED
            for account, one in kept(tap.state, stream).items()
            if "date_updated" in one
        }
        assert all(now[name] >= bookmark for name, bookmark in before.items())
        before = now
    assert tap.wrong() == {}


# 5. Interruption


def test_a_walk_that_was_killed_reads_only_its_last_pages_again(tap_of: MakeTap) -> None:
    """From any STATE line of a backfill, a list is read on from the last page at which nothing waited."""
    twilio = a_year_old(order="created")
    twilio.addresses(60, **PAST)
    tap = tap_of(twilio, page_size=5, state_seconds=0, rescan_pages=1, concurrency=1).select("addresses")
    run = tap.run()
    *whole, head = tap.pages()
    assert len(whole) == 12 and head == whole[0]
    for read in (1, 4, 11):
        resumed = Tap(tap.server, tap.folder / str(read), **tap.settings).select("addresses")
        cut = [index for index, line in enumerate(run.lines) if b'"STATE"' in line][read - 1] + 1
        resumed.keep(run.lines[:cut])
        again = resumed.sync()
        first = whole.index(resumed.pages()[0])
        assert read - 4 <= first < read
        assert resumed.pages()[: 12 - first] == whole[first:]
        assert len(again.sids()) <= 60 - 5 * (read - 4)
        assert resumed.wrong(["addresses"]) == {}


def test_a_long_list_that_was_killed_reads_no_finished_slice_again(tap_of: MakeTap) -> None:
    """Killed at random moments: the resumed runs read little more than what was left, and end up right."""
    twilio = a_year_old()
    long_history(twilio, 400)
    tap = tap_of(twilio, page_size=5, state_seconds=0, rescan_pages=1, lookback_days=0, concurrency=4)
    tap.select("messages")
    tap.run()
    alone, rows = len(tap.pages()), len(twilio.truth("messages"))
    rng = random.Random(1)
    read, emitted, again = 0, 0, 0
    twilio.latency = (0.004, 0.0)
    for _ in range(3):
        until = rng.randrange(alone // 5, alone // 3)
        started = tap.start()
        started.wait_for(lambda until=until: len(tap.server.requests) >= until)  # type: ignore[misc]
        started.process.kill()
        run = started.wait()
        assert run.exit_code == -9
        tap.keep(run.lines)
        read += len(tap.pages())
        emitted += len(run.sids())
        # Of each slice that was begun, the page at which it stopped; and what four workers had on its way.
        again += sum("checkpoint" in one for one in part(tap)["backfill"]["time_slices"]) + 4
    run = tap.sync()
    read += len(tap.pages())
    emitted += len(run.sids())
    assert read <= alone + again + 4  # the last run's look-back and round
    assert emitted <= rows + (again + 4) * 5
    tap.sync(rescan_pages=500)
    assert tap.wrong(["messages"]) == {}


@pytest.mark.parametrize("seed", [0, *long(1, 2)])
def test_killed_at_any_moment_nothing_is_lost(tap_of: MakeTap, seed: int) -> None:
    """SIGKILL in backfills, look-backs and rounds, with life going on between the runs."""
    twilio = Twilio.demo(seed=seed)
    tap = tap_of(twilio, page_size=30, state_seconds=0, rescan_pages=40)
    rng = random.Random(seed)
    for _ in range(4):
        started, until = tap.start(), rng.randrange(5, 150)
        started.wait_for(lambda until=until: len(tap.server.requests) >= until)  # type: ignore[misc]
        started.process.kill()
        tap.keep(started.wait().lines)
        twilio.advance(rng.choice((0.1, 3, 30)))
    for _ in range(2):
        tap.sync(rescan_pages=500)
        twilio.advance(0.1, busy=0)
    tap.sync(rescan_pages=500)
    assert tap.wrong() == {}


# 6. One failing account does not cost the others


def test_one_failing_account_costs_only_itself(tap_of: MakeTap) -> None:
    """The rest is synced, its state saved, the failure named at the end; exit code 3. The next sync mends it."""
    twilio = a_year_old(accounts=3)
    accounts = [row["sid"] for row in twilio.truth("accounts")]
    for account in accounts:
        twilio.messages(30, account, **PAST)
        twilio.addresses(3, account, **PAST)
    twilio.messages(1, accounts[1], created="2025-07-01", num_segments="many")
    tap = tap_of(twilio, page_size=10)
    run = tap.sync(exits=3)
    failures = [line for line in run.said if line.startswith("failed:")]
    assert len(failures) == 1
    assert run.said[-1] == failures[0]
    assert f"messages {accounts[1]}" in failures[0]
    assert "num_segments" in failures[0]
    assert "many" not in run.log
    assert "date_updated" not in part(tap, account=accounts[1])
    assert all("date_updated" in part(tap, stream, accounts[1]) for stream in LISTED if stream != "messages")
    assert all("date_updated" in part(tap, account=account) for account in (accounts[0], accounts[2]))
    assert tap.wrong(but=lambda row: row["account_sid"] == accounts[1] and row["sid"][:2] in ("SM", "MM")) == {}
    tap.sync(on_invalid="null")
    assert len(tap.tables.rows["messages"]) == 91


def test_a_fatal_answer_halfway_costs_no_row(tap_of: MakeTap) -> None:
    """Twilio refuses a page in the middle of a list: exit code 3, and the next sync goes on there."""
    twilio = a_year_old(order="created")
    twilio.addresses(60, **PAST)
    tap = tap_of(twilio, page_size=5, state_seconds=0, retry_minutes=0, rescan_pages=1).select("addresses")
    twilio.fail_next("503", 1, "Page=6")
    run = tap.sync(exits=3)
    written = run.sids()
    assert 10 < len(written) <= 30  # of the six pages before it, all but the rows that wait
    again = tap.sync()
    assert len(written) + len(again.sids()) == 60
    assert tap.wrong(["addresses"]) == {}


# 7. FULL_TABLE


def versions(run: Any, stream: str) -> set[int | None]:
    return {message.get("version") for message in run.messages("RECORD", stream)}


def test_under_full_table_deleted_rows_leave(tap_of: MakeTap) -> None:
    """Each sync is a version, greater than the last; one that ended well is what Twilio lists now."""
    twilio = a_year_old(accounts=2)
    sub = twilio.truth("accounts")[1]["sid"]
    mine = twilio.messages(50, **PAST) + twilio.messages(5, status="canceled", **PAST)
    twilio.messages(20, sub, **PAST)
    twilio.conferences(9, **PAST)
    tap = tap_of(twilio, page_size=10).select(*LISTED, full_table=["messages", "conferences"])
    first = tap.sync()
    assert tap.wrong(rows=twilio.present) == {}
    twilio.at("2026-01-02")
    for sid in mine[::7]:
        twilio.delete(sid)
    twilio.change(mine[1], status="read")
    second = tap.sync()
    assert tap.wrong(rows=twilio.present) == {}
    (one,), (two,) = versions(first, "messages"), versions(second, "messages")
    assert one is not None
    assert two is not None
    assert two > one
    assert versions(second, "calls") <= {None}
    kinds = [json.loads(line)["type"] for line in first.lines]
    assert kinds.index("RECORD") < kinds.index("ACTIVATE_VERSION")  # rows may be there of which no state tells
    assert second.messages("ACTIVATE_VERSION", "messages") == [
        {"type": "ACTIVATE_VERSION", "stream": "messages", "version": two}
    ]


def test_an_interrupted_full_table_read_activates_nothing_and_goes_on_with_its_version(tap_of: MakeTap) -> None:
    """Killed halfway: the rows of before stay until the version is whole."""
    twilio = a_year_old()
    sids = twilio.messages(120, **PAST)
    tap = tap_of(twilio, page_size=5, state_seconds=0, concurrency=1).select("messages")
    tap.sync()
    twilio.at("2026-01-02").delete(sids[3])
    tap.select("messages", full_table=["messages"])
    twilio.latency = (0.005, 0.0)
    started = tap.start().wait_for(lambda: len(tap.server.requests) >= 15)
    started.process.kill()
    killed = started.wait()
    assert killed.messages("ACTIVATE_VERSION") == []
    tap.keep(killed.lines)
    assert sids[3] in tap.tables.rows["messages"]
    twilio.latency = (0.0, 0.0)
    resumed = tap.sync()
    (open_,) = versions(killed, "messages")
    rest = [message for message in resumed.messages("RECORD") if message["version"] == open_]
    assert len(rest) <= 120 - len(killed.sids()) + 20  # its place, the head again, what no STATE covered
    assert resumed.messages("ACTIVATE_VERSION")[0]["version"] == open_
    assert tap.wrong(["messages"], rows=twilio.present) == {}


def test_an_unchanged_full_table_list_writes_nothing_and_keeps_its_version(tap_of: MakeTap) -> None:
    """A change of one row, even without a date, or a deletion, writes a version whole."""
    twilio = a_year_old(accounts=2)
    accounts = [row["sid"] for row in twilio.truth("accounts")]
    sids = twilio.messages(60, accounts[0], **PAST) + twilio.messages(30, accounts[1], **PAST)
    tap = tap_of(twilio, page_size=10, state_seconds=0).select("messages", full_table=["messages"])
    tap.sync()
    for change in (lambda: None, lambda: twilio.change(sids[70], body=""), lambda: twilio.delete(sids[3])):
        twilio.at(twilio.now + 3 * HOUR)
        change()
        run = tap.sync()
        changed = len(tap.tables.rows["messages"]) if versions(run, "messages") else 0
        assert len(set(run.sids())) == changed
        assert tap.wrong(["messages"], rows=twilio.present) == {}
        twilio.at(twilio.now + 3 * HOUR)
        still = tap.sync()
        assert still.sids() == [] and still.messages("ACTIVATE_VERSION") == []
    assert len(tap.tables.rows["messages"]) == 89


def test_a_full_table_account_that_fails_or_is_closed_lets_nothing_leave(tap_of: MakeTap) -> None:
    """Until every account was read whole, no row leaves; the log names the account and the way out."""
    twilio = a_year_old(accounts=3)
    main, failing, closing = (row["sid"] for row in twilio.truth("accounts"))
    for account in (main, failing, closing):
        twilio.addresses(12, account, **PAST)
    tap = tap_of(twilio, page_size=5, retry_minutes=0).select("addresses", full_table=["addresses"])
    tap.sync()
    gone = twilio.present("addresses", main)[0]["sid"]
    twilio.at("2026-01-02").delete(gone)
    twilio.fail_next("503", 1, f"{failing}/Addresses")
    run = tap.sync(exits=3)
    assert run.messages("ACTIVATE_VERSION") == []
    assert gone in tap.tables.rows["addresses"]
    tap.sync()
    assert gone not in tap.tables.rows["addresses"]

    twilio.at("2026-01-03").close(closing)
    gone = twilio.present("addresses", main)[0]["sid"]
    twilio.delete(gone)
    for _ in range(2):
        run = tap.sync()
        assert run.messages("ACTIVATE_VERSION") == []
        (line,) = (line for line in run.said if "deleted rows stay" in line)
        assert closing in line
        assert f"{closing} (closed)" in line and f"tap-twilio state forget FILE {closing}" in line
    assert len(tap.tables.rows["addresses"]) == 36 - 1

    twilio.remove_account(closing)  # as Twilio does 30 days later
    run = tap.sync()
    assert run.sids() == [] and len(tap.tables.rows["addresses"]) == 36 - 1
    tap.forget(closing)
    tap.sync()
    assert tap.wrong(["addresses"], rows=twilio.present) == {}


def test_under_full_table_an_account_closed_before_its_first_sync_does_not_count(tap_of: MakeTap) -> None:
    """None of its rows ever came: it blocks nothing."""
    twilio = a_year_old(accounts=2)
    twilio.close(twilio.truth("accounts")[1]["sid"])
    sids = twilio.addresses(12, **PAST)
    tap = tap_of(twilio, page_size=5).select("addresses", full_table=["addresses"])
    for day in (2, 3):
        run = tap.sync()
        assert not any("deleted rows stay" in line for line in run.said)
        assert tap.wrong(["addresses"], rows=twilio.present) == {}
        twilio.at(f"2026-01-{day:02}").delete(sids[day])


def test_an_account_that_the_settings_leave_out_lets_no_row_of_a_full_table_leave(tap_of: MakeTap) -> None:
    """Its rows are in the table still: they are not taken for deleted."""
    twilio = a_year_old(accounts=2)
    main, sub = (row["sid"] for row in twilio.truth("accounts"))
    for account in (main, sub):
        twilio.addresses(3, account, **PAST)
    tap = tap_of(twilio).select("addresses", full_table=["addresses"])
    tap.sync()
    run = tap.sync(subaccounts=False)
    assert len(tap.tables.rows["addresses"]) == 6
    (line,) = (line for line in run.said if "deleted rows stay" in line)
    assert sub in line
    tap.forget(sub)
    tap.sync(subaccounts=False)
    assert len(tap.tables.rows["addresses"]) == 3


def test_from_incremental_to_full_table_and_back(tap_of: MakeTap) -> None:
    """Rows loaded without a version count as old, so they stay until the first version is whole."""
    twilio = a_year_old()
    sids = twilio.messages(40, **PAST)
    tap = tap_of(twilio, page_size=10).select("messages")
    tap.sync()
    twilio.at("2026-01-02").delete(sids[5])
    tap.select("messages", full_table=["messages"])
    run = tap.sync()
    assert [message["type"] for message in map(json.loads, run.lines)].index("RECORD") < [
        message["type"] for message in map(json.loads, run.lines)
    ].index("ACTIVATE_VERSION")
    assert tap.wrong(["messages"], rows=twilio.present) == {}
    tap.select("messages")
    twilio.at("2026-01-03").change(sids[6], status="read")
    tap.sync()
    assert tap.wrong(["messages"], rows=twilio.present) == {}


def test_a_row_that_came_and_went_between_two_full_tables_leaves(tap_of: MakeTap) -> None:
    """Though the list is as the last version left it: an incremental sync wrote the row meanwhile."""
    twilio = a_year_old()
    twilio.addresses(3, **PAST)
    tap = tap_of(twilio).select("addresses", full_table=["addresses"])
    tap.sync()
    twilio.at("2026-01-02")
    (passing,) = twilio.addresses(1)
    tap.select("addresses").sync()
    assert passing in tap.tables.rows["addresses"]
    twilio.at("2026-01-03")
    twilio.delete(passing)
    tap.select("addresses", full_table=["addresses"]).sync()
    assert passing not in tap.tables.rows["addresses"] and len(tap.tables.rows["addresses"]) == 3


# 9. What changed without saying so


def test_a_price_that_comes_without_a_date_arrives_and_is_counted(tap_of: MakeTap) -> None:
    """However old the row is: it alone is written, and the log says that its date did not tell."""
    twilio = a_year_old()
    sids = twilio.messages(300, **PAST)
    tap = tap_of(twilio, page_size=20).select("messages")
    tap.sync()
    twilio.at("2026-01-02")
    twilio.change(sids[3], price="-0.5")
    twilio.change(sids[150], body="")
    twilio.change(sids[280], status="read")
    run = tap.sync()
    assert sorted(run.sids()) == sorted([sids[3], sids[150], sids[280]])
    assert tap.wrong(["messages"]) == {}
    assert run.table["messages"][1:3] == ["3", "2"]  # emitted, silent
    assert tap.sync().sids() == []


def test_where_the_state_has_no_room_dates_judge_and_the_log_says_from_when_on(tap_of: MakeTap) -> None:
    """The newest rows keep their digests, and what changes with its date arrives wherever it is."""
    twilio = a_year_old()
    sids = twilio.messages(600, **PAST)
    tap = tap_of(twilio, page_size=10, state_kilobytes=1).select("messages")
    for day in ("02", "03", "04", "05"):
        twilio.at(f"2026-01-{day}")
        run = tap.sync()
        assert day == "02" or any("the state has no room" in line for line in run.said)
        assert day != "05" or run.sids() == []  # once the digests have settled
        assert len(json.dumps(tap.state)) < 4_000
    for sid in sids[::50]:
        twilio.change(sid, status="read")
    assert set(tap.sync().sids()) >= set(sids[::50])
    assert tap.wrong(["messages"]) == {}
