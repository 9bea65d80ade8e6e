"""Dates that Twilio refuses or fails to answer: newer rows arrive, and no row is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from sandbox import Twilio
from testing.sampled import long
from testing.taps import DAY, Run, Tap

TapOf = Callable[..., Tap]
PAGE_SIZE = 10


def messages(days: float, rows: int = 2_000) -> Twilio:
    """Return an account with two years of messages, in which date filters reach back some days only."""
    twilio = Twilio(start="2024-03-01T00:00:00Z").at("2026-04-01T09:00:00Z")
    twilio.bulk("messages", rows, twilio.now - 700 * DAY, twilio.now - DAY / 24)
    twilio.reach_days = days
    return twilio


def refused(tap: Tap) -> list[str]:
    """Return the requests of the last run that Twilio answered with HTTP 400."""
    return [request.query for request in tap.requests if request.status == 400]


# Retention -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [30, *long(1, 90, 200, 399)])
@pytest.mark.parametrize("kills", [False, True])
def test_messages_arrive_although_date_filters_reach_some_days_only(tap_of: TapOf, days: int, kills: bool) -> None:
    """The first sync ends, the next one has new messages, and rescans read all that Twilio lists."""
    twilio = messages(days)
    tap = tap_of(twilio, page_size=PAGE_SIZE, rescan_pages=50).select("messages")
    if kills:
        started = tap.start(state_seconds=0).wait_for(lambda: len(tap.server.requests) > 45)
        started.process.kill()
        tap.keep(started.wait().lines)
    first = tap.sync()
    assert "answers no filter on dates before 2026-" in first.log or days > 90 or kills
    assert len(refused(tap)) <= 25
    recent = [row for row in twilio.present("messages") if "Mar 2026" in (row["date_sent"] or "")]
    stored = tap.tables.rows["messages"]
    assert not [row["sid"] for row in recent if row["sid"] not in stored] or days < 31
    (new,) = twilio.messages(1)
    twilio.advance(hours=3, busy=0)
    tap.sync()
    assert new in tap.tables.rows["messages"]
    for _ in range(8):
        twilio.advance(hours=3, busy=0)
        last = tap.sync()
    assert tap.wrong(["messages"]) == {}
    assert last.sids() == []


@pytest.mark.long
def test_a_lookback_in_time_slices_ends_where_the_filter_does(tap_of: TapOf) -> None:
    """The lookback has more than 500 pages; the rescan reads older rows."""
    twilio = Twilio(start="2026-01-01T00:00:00Z").at("2026-04-01T09:00:00Z")
    twilio.bulk("messages", 12_000, twilio.now - 20 * DAY, twilio.now - DAY / 24)
    tap = tap_of(twilio, page_size=10, rescan_pages=1500, lookback_days=15).select("messages")
    tap.sync()
    twilio.reach_days = 5
    twilio.advance(hours=3, busy=0)
    new = twilio.messages(100, since=twilio.now - DAY / 8, until=twilio.now)[50]
    run = tap.sync()
    assert "no filter on dates before 2026-03-2" in run.log
    assert new in tap.tables.rows["messages"]


@pytest.mark.parametrize("stream", ["calls", *long("conferences")])
def test_any_list_may_refuse_old_dates(tap_of: TapOf, stream: str) -> None:
    """Twilio does not document a limit for calls; an account may have one."""
    twilio = Twilio(start="2024-03-01T00:00:00Z").at("2026-04-01T09:00:00Z")
    twilio.bulk(stream, 1_000, twilio.now - 700 * DAY, twilio.now - DAY / 24)
    twilio.reaches = {stream: 100}
    tap = tap_of(twilio, page_size=PAGE_SIZE, rescan_pages=500).select(stream)
    for _ in range(3):
        tap.sync()
        twilio.advance(hours=3, busy=0)
    assert tap.wrong([stream]) == {}


def test_a_filter_that_twilio_refuses_for_every_date_is_an_error(tap_of: TapOf) -> None:
    """Code 20004 may also mean a bad parameter. The tap then assumes no row to be out of reach."""
    tap = tap_of(messages(-1), page_size=PAGE_SIZE).select("messages")
    run = tap.sync(exits=3)
    assert "code 20004: The date cannot be more than -1 days in the past" in run.log
    assert "answers no filter" not in run.log
    assert len(refused(tap)) <= 25


# Usage ---------------------------------------------------------------------------------------------------------------

USAGE = "usage_records"


def usage(first: str = "2024-03-01", born: str = "2024-03-01", **switches: Any) -> Twilio:
    """Return an account with usage of two categories a day."""
    twilio = Twilio(seed=5, start=born).at("2026-04-01T09:00:00Z")
    days = (twilio.now.date() - date.fromisoformat(first)).days + 1
    for category in ("sms", "calls"):
        make = {"category": category, "count": "3", "price": "0.3"}
        twilio.add(USAGE, twilio.main, n=days, since=first, until="2026-04-01", **make)
    for name, value in switches.items():
        setattr(twilio, name, value)
    return twilio


def standard(tap_of: TapOf, twilio: Twilio, **settings: Any) -> Tap:
    """Return a tap with a Standard key, which cannot see when the account was created."""
    sid, secret = twilio.add_key(kind="standard")
    settings = {
        "auth_token": None,
        "api_key_sid": sid,
        "api_key_secret": secret,
        "subaccounts": False,
        "retry_minutes": 0.05,
        **settings,
    }
    return tap_of(twilio, page_size=1000, **settings).select(USAGE)


def keep(tap: Tap, run: Run, found: dict[Any, Any]) -> None:
    found.update({(row["start_date"], row["category"]): row["count"] for row in run.records(USAGE)})
    tap.state = run.states[-1]


def days_of(twilio: Twilio) -> set[Any]:
    return {(row["start_date"], row["category"]) for row in twilio.present(USAGE)}


@pytest.mark.parametrize("status", [500, 404, 400])
@pytest.mark.parametrize("longest", [30, *long(1, 5, 365)])
def test_usage_is_read_in_short_time_slices_where_twilio_refuses_long_ones(
    tap_of: TapOf, status: int, longest: int
) -> None:
    """Twilio answers long ones with HTTP 500, 404 or 400; the next sync requests the last days only."""
    twilio = usage(usage_days=longest, usage_refusal=status)
    tap, found = tap_of(twilio, page_size=1000).select(USAGE), dict[Any, Any]()
    run = tap.run()
    assert run.exit_code == 0, run.log
    keep(tap, run, found)
    assert set(found) == days_of(twilio)
    assert len(tap.requests) < 200 if longest > 5 else 2000
    twilio.advance(hours=3, busy=0)
    again = tap.run()
    assert again.exit_code == 0, again.log
    assert again.records(USAGE) == []
    assert len(tap.requests) < 40


def test_no_day_before_the_account_is_requested(tap_of: TapOf) -> None:
    """A tap that can see when the account was created requests the days since then."""
    twilio = usage(usage_since_creation=True)
    tap = tap_of(twilio).select(USAGE)
    assert tap.run().exit_code == 0
    queries = [request.query for request in tap.requests if "Usage" in request.path]
    assert all("StartDate=2024-03-01" in query and "EndDate=2026-04-01" in query for query in queries)
    assert len(set(queries)) == 2  # pages, each requested twice, since its token counts rows


@pytest.mark.parametrize("status", [404, 400])
def test_a_standard_key_finds_out_when_usage_begins(tap_of: TapOf, status: int) -> None:
    """Twilio refuses days before the account was created, which have no rows."""
    twilio = usage(usage_since_creation=True, usage_refusal=status)
    tap, found = standard(tap_of, twilio), dict[Any, Any]()
    run = tap.run()
    assert run.exit_code == 0, run.log
    keep(tap, run, found)
    assert set(found) == days_of(twilio)
    assert len(tap.requests) < 100


@pytest.mark.long
def test_days_before_the_account_that_fail_are_named_once(tap_of: TapOf) -> None:
    """HTTP 500 does not prove that a day is empty: exit code 3, and the log says what to do. All other days arrive."""
    twilio = usage(usage_since_creation=True)
    tap, found = standard(tap_of, twilio), dict[Any, Any]()
    run = tap.run()
    assert run.exit_code == 3
    assert " to 2024-02-29 could not be read" in run.log
    assert "start_date" in run.log
    keep(tap, run, found)
    assert set(found) == days_of(twilio)
    first = len(tap.requests)
    for _ in range(2):
        twilio.advance(hours=24, busy=0)
        twilio.add(USAGE, twilio.main, created=str(twilio.now)[:10], category="sms", count="7")
        again = tap.run()
        assert again.exit_code == 3
        keep(tap, again, found)
        assert set(found) == days_of(twilio)
        assert len(tap.requests) < first
    tap.settings["start_date"] = "2024-03-01T00:00:00Z"
    ended = tap.run()
    assert ended.exit_code == 0, ended.log


def test_a_day_that_fails_is_named_and_all_others_arrive(tap_of: TapOf) -> None:
    """Later and earlier days are not requested again; the failing day arrives once Twilio answers it."""
    twilio = usage(usage_bad_days={"2025-02-03": 500})
    tap, found = tap_of(twilio, page_size=1000, retry_minutes=0.05).select(USAGE), dict[Any, Any]()
    run = tap.run()
    assert run.exit_code == 3
    assert ": 2025-02-03 could not be read" in run.log
    keep(tap, run, found)
    assert {day for day, _ in days_of(twilio) - set(found)} == {"2025-02-03"}
    twilio.advance(hours=24, busy=0)
    twilio.add(USAGE, twilio.main, created="2026-04-02", category="sms", count="7")
    again = tap.run()
    assert again.exit_code == 3
    assert [row["start_date"] for row in again.records(USAGE)] == ["2026-04-02"]
    keep(tap, again, found)
    twilio.usage_bad_days = {}
    last = tap.run()
    assert last.exit_code == 0, last.log
    keep(tap, last, found)
    assert set(found) == days_of(twilio)


def test_an_empty_day_is_no_failure(tap_of: TapOf) -> None:
    """Twilio answers each time slice with this day with HTTP 404."""
    twilio = usage(usage_bad_days={"2025-02-03": 404})
    run = tap_of(twilio, page_size=1000).select(USAGE).run()
    assert run.exit_code == 0, run.log
    found = {(row["start_date"], row["category"]) for row in run.records(USAGE)}
    assert {day for day, _ in days_of(twilio) - found} == {"2025-02-03"}


@pytest.mark.long
def test_an_outage_loses_nothing(tap_of: TapOf) -> None:
    """Twilio answers the first sync with HTTP 500 only, and the next sync has all rows."""
    twilio = usage()
    tap, found = tap_of(twilio, page_size=1000, retry_minutes=0.02).select(USAGE), dict[Any, Any]()
    twilio.fail_next("500", 10_000, "Usage")
    run = tap.run()
    assert run.exit_code == 3
    assert run.records(USAGE) == []
    assert len(tap.requests) < 80
    tap.state = run.states[-1]
    twilio.script.scripted.clear()
    run = tap.run()
    assert run.exit_code == 0, run.log
    keep(tap, run, found)
    assert set(found) == days_of(twilio)


@pytest.mark.parametrize("period", ["monthly", "yearly"])
@pytest.mark.parametrize("status", [500, 404, 400])
def test_the_first_period_of_an_account_is_requested_from_its_creation(tap_of: TapOf, period: str, status: int) -> None:
    """Twilio refuses days before the creation; nothing was used then, so the sum is complete."""
    twilio = Twilio(seed=5, start="2025-11-17").at("2026-04-01T09:00:00Z")
    twilio.usage_since_creation, twilio.usage_refusal = True, status
    name = f"usage_records_{period}"
    for day in ("2025-11-20", "2026-03-05"):
        twilio.add(name, twilio.main, created=day, category="sms", count="30")
    tap = tap_of(twilio).select(name)
    run = tap.run()
    assert run.exit_code == 0, run.log
    assert len(run.records(name)) == 2
    tap.state = run.states[-1]
    twilio.advance(hours=3, busy=0)
    again = tap.run()
    assert (again.exit_code, again.records(name)) == (0, [])


# Child logs ----------------------------------------------------------------------------------------------------------


def test_a_child_log_is_read_as_far_back_as_the_filter_reaches(tap_of: TapOf) -> None:
    """Twilio refuses older dates with HTTP 400: the sync ends well and logs the first date; new rows arrive later."""
    twilio = Twilio(start="2025-01-01").at("2026-04-01T09:00:00Z")
    workspaces = twilio.add("taskrouter_workspaces", n=2)
    for workspace in workspaces:
        twilio.add("taskrouter_events", parent=workspace, n=50, since="2026-03-05", until="2026-04-01")
    twilio.reaches = {"taskrouter_events": 10}
    tap = tap_of(twilio, page_size=PAGE_SIZE).select("taskrouter_events")
    tap.settings["base_url"] += "/{product}"
    first = tap.run()
    assert first.exit_code == 0, first.log
    assert "taskrouter_events" in first.log and "answers no filter on dates before 2026-03-2" in first.log
    assert len({row["sid"] for row in first.records("taskrouter_events")}) >= 20
    assert len(refused(tap)) <= 12
    tap.state = first.states[-1]
    twilio.advance(hours=3, busy=0)
    new = twilio.add("taskrouter_events", parent=workspaces[0], n=1)[0]
    again = tap.run()
    assert again.exit_code == 0, again.log
    assert new in {row["sid"] for row in again.records("taskrouter_events")}
    assert refused(tap) == []
