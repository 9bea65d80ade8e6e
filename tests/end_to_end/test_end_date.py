"""`end_date`: rows created after it are not read yet; a later sync without it reads exactly these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Twilio
from testing.taps import Tap

MakeTap = Callable[..., Tap]
PAST = {"since": "2025-09-01T12:00:00Z", "until": "2026-03-30T12:00:00Z"}
NOW = "2026-04-20T09:00:00Z"
LISTS = ("messages", "calls", "conferences", "transcriptions", "addresses")


@pytest.fixture
def twilio() -> Twilio:
    return Twilio(seed=4, start="2025-08-01T00:00:00Z").at(NOW)


def until(tap: Tap, end: str, *streams: str) -> dict[str, Any]:
    """The differences between the tables and Twilio's rows that were created before a date."""
    return tap.wrong(streams, rows=lambda stream: [r for r in tap.twilio.present(stream) if created(r) < end])


def created(row: Any) -> str:
    return tap_date(row["date_created"])


def tap_date(value: str) -> str:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(value).strftime("%Y-%m-%dT%H:%M:%SZ") if "," in value else value


def test_rows_after_it_come_with_a_later_sync_without_it(tap_of: MakeTap, twilio: Twilio) -> None:
    """Each row once, the bookmark stops there, and the day itself counts."""
    for stream in LISTS:
        getattr(twilio, stream)(70, **PAST)
    twilio.messages(15, status="scheduled", **PAST)
    tap = tap_of(twilio, page_size=10)
    first = tap.sync(end_date="2025-12-31")
    assert first.sids()
    assert max(record["date_created"] for s in LISTS for record in first.records(s)) < "2026-01-01"
    assert tap.state["bookmarks"]["calls"]["date_updated"] < "2026-01-01T00:00:00.000000Z"
    tap.sync(end_date="2025-12-31")  # brings the messages without a date
    assert until(tap, "2026-01-01", *LISTS) == {}
    again = tap.sync(end_date="2025-12-31")
    assert again.sids() == []
    run = tap.sync()
    for stream in LISTS:
        missing = [row["sid"] for row in twilio.present(stream) if created(row) >= "2026-01-01"]
        if stream == "addresses":  # in no order of time, so that new rows stand between the others in each chunk
            assert set(missing) <= set(run.sids(stream))
        else:
            assert sorted(run.sids(stream)) == sorted(missing)
    assert tap.wrong(LISTS) == {}


def test_a_date_with_a_time_is_the_first_moment_that_is_left_out(tap_of: MakeTap, twilio: Twilio) -> None:
    twilio.messages(1, created="2025-12-31T11:59:59Z")
    twilio.messages(1, created="2025-12-31T12:00:00Z")
    tap = tap_of(twilio).select("messages")
    run = tap.sync(end_date="2025-12-31T12:00:00Z")
    assert [record["date_created"][:19] for record in run.records("messages")] == ["2025-12-31T11:59:59"]


def test_a_long_list_is_requested_up_to_it(tap_of: MakeTap, twilio: Twilio) -> None:
    """No page of a later month; the next syncs look back from there."""
    twilio.bulk("messages", 4000, twilio.at(NOW).now.replace(month=1), twilio.now)
    tap = tap_of(twilio, page_size=10).select("messages")
    tap.sync(end_date="2026-01-31")
    dated = [row for row in twilio.present("messages") if created(row) < "2026-02-01" and row["date_sent"]]
    assert len(tap.tables.rows["messages"]) == len(dated)
    assert len(tap.pages("messages")) < len(dated) / 10 + 45
    tap.sync(end_date="2026-01-31", rescan_pages=1)
    assert len(tap.pages("messages")) < 100  # the last 15 days before the end, of 400 pages


def test_going_back_and_forth(tap_of: MakeTap, twilio: Twilio) -> None:
    """Nothing is lost, and each sync holds what its end_date allows."""
    for stream in LISTS:
        getattr(twilio, stream)(50, **PAST)
    tap = tap_of(twilio, page_size=10)
    for day, end in enumerate(("2025-11-30", "2025-10-31", None, "2025-12-31", "2026-02-28", "2025-12-31", None)):
        before = {s: set(tap.tables.rows.get(s, {})) for s in LISTS}
        twilio.at(f"2026-04-2{day}T15:00:00Z")
        changed = sorted(twilio.streams["messages"])[day]
        twilio.change(changed, body=f"day {day}")
        run = tap.sync(end_date=end)
        for stream in LISTS:
            new = [record for record in run.records(stream) if record["sid"] not in before[stream]]
            assert all(record["date_created"][:10] <= (end or "9") for record in new)
    twilio.at("2026-04-29T15:00:00Z")
    tap.sync()
    assert tap.wrong(LISTS) == {}


def test_rows_that_arrive_late_are_not_lost(tap_of: MakeTap, twilio: Twilio) -> None:
    """Created before the end, listed hours later: the next sync with the same end brings them, and one without it."""
    tap = tap_of(twilio, page_size=10).select("messages")
    twilio.messages(30, **PAST)
    tap.sync(end_date="2026-04-20T08:00:00Z")
    (late,) = twilio.messages(1, created="2026-04-20T07:00:00Z")
    twilio.at("2026-04-20T12:00:00Z")
    assert tap.sync(end_date="2026-04-20T08:00:00Z").sids() == [late]
    (later,) = twilio.messages(1, created="2026-04-20T09:30:00Z")
    assert tap.sync(end_date="2026-04-20T08:00:00Z").sids() == []
    assert tap.sync().sids() == [later]


def test_children_of_a_row_before_it_that_come_after_it(tap_of: MakeTap, twilio: Twilio) -> None:
    """Media of an old message that were created after the end: the parent has not changed, but is visited again."""
    (message,) = twilio.messages(1, num_media="1", created="2025-12-31T23:00:00Z")
    (early,) = twilio.add("message_media", parent=message, date_created="Wed, 31 Dec 2025 23:00:00 +0000")
    (late,) = twilio.add("message_media", parent=message, date_created="Thu, 01 Jan 2026 01:00:00 +0000")
    (young,) = twilio.messages(1, num_media="1", created="2026-02-01T00:00:00Z")
    (of_young,) = twilio.add("message_media", parent=young, date_created="Sun, 01 Feb 2026 00:00:00 +0000")
    tap = tap_of(twilio).select("messages", "message_media")
    tap.settings["base_url"] += "/{product}"
    first = tap.sync(end_date="2025-12-31")
    assert (first.sids("messages"), first.sids("message_media")) == ([message], [early])
    assert not [request for request in tap.requests if young in request.path]
    assert tap.sync(end_date="2025-12-31").sids() == []
    run = tap.sync()
    assert (run.sids("messages"), sorted(run.sids("message_media"))) == ([young], sorted([late, of_young]))
    assert tap.sync().sids() == []


def test_a_log_ends_with_the_day(tap_of: MakeTap) -> None:
    """Sums of a day have no creation date: the filter's date counts."""
    twilio = Twilio(start="2026-02-01T00:00:00Z").at("2026-04-20T09:00:00Z")
    for day in range(1, 9):
        twilio.add("usage_records", start_date=f"2026-03-0{day}", end_date=f"2026-03-0{day}", category="sms")
    tap = tap_of(twilio).select("usage_records")
    tap.tables.load = lambda lines: None  # type: ignore[method-assign]  # they have other keys

    def days(**settings: Any) -> set[str]:
        return {record["start_date"] for record in tap.sync(**settings).records("usage_records")}

    assert {day for day in days(end_date="2026-03-04") if day < "2026-03-09"} == {f"2026-03-0{d}" for d in range(1, 5)}
    assert {day for day in days() if day < "2026-03-09"} == {f"2026-03-0{d}" for d in range(5, 9)}


def test_under_full_table_the_table_ends_there_too(tap_of: MakeTap, twilio: Twilio) -> None:
    twilio.messages(60, **PAST)
    tap = tap_of(twilio, page_size=10).select("messages", full_table=["messages"])
    tap.sync(end_date="2025-12-31")
    assert until(tap, "2026-01-01", "messages") == {}
    tap.sync()
    assert tap.wrong(["messages"], rows=twilio.present) == {}


@pytest.mark.parametrize("end", ["2025-12-31", None])
def test_an_interrupted_full_table_read_begins_again_when_it_moves(tap_of: MakeTap, twilio: Twilio, end: Any) -> None:
    """Else the version would lack the rows that the earlier end left out, and the target would drop them."""
    twilio.messages(120, **PAST)
    tap = tap_of(twilio, page_size=5, state_seconds=0, concurrency=1).select("messages", full_table=["messages"])
    started = tap.start(end_date="2025-12-31")
    started.wait_for(lambda: started.printed().count(b'"RECORD"') > 20)
    started.process.kill()
    tap.keep(started.wait().lines)
    run = tap.sync(end_date=end)
    assert len(run.messages("ACTIVATE_VERSION")) >= 1
    assert (until(tap, "2026-01-01", "messages") if end else tap.wrong(["messages"], rows=twilio.present)) == {}
    first = run.messages("ACTIVATE_VERSION")[0]["version"]
    lines = [json_line(line) for line in run.lines]
    rows = {m["record"]["sid"] for m in lines if m["type"] == "RECORD" and m.get("version") == first}
    assert end or len(rows) == 120


def json_line(line: bytes) -> Any:
    import json

    return json.loads(line)


def test_a_backfill_over_several_syncs_with_moving_ends(tap_of: MakeTap, twilio: Twilio) -> None:
    """Pages that were read under an earlier end lack rows: the bookmark does not pass it."""
    twilio.messages(200, **PAST)
    tap = tap_of(twilio, page_size=5, state_seconds=0, concurrency=1).select("messages")
    started = tap.start(end_date="2025-12-31")
    started.wait_for(lambda: started.printed().count(b'"RECORD"') > 40)
    started.process.kill()
    tap.keep(started.wait().lines)
    tap.sync(end_date="2026-02-28")
    tap.sync()
    assert tap.wrong(["messages"]) == {}


def test_ratings_of_calls_after_it_come_later(tap_of: MakeTap, twilio: Twilio) -> None:
    calls = twilio.calls(40, **PAST)
    for call in calls:
        twilio.feedback(call, 3)
    tap = tap_of(twilio, page_size=10, call_feedback_source="feedback").select("calls", "call_feedback")
    early = {row["sid"] for row in twilio.present("calls") if created(row) < "2026-01-01"}
    assert set(tap.sync(end_date="2025-12-31").sids("call_feedback")) == early
    assert set(tap.sync().sids("call_feedback")) == set(calls) - early


def test_without_room_in_the_state(tap_of: MakeTap, twilio: Twilio) -> None:
    """Where dates decide, too, nothing is lost."""
    twilio.messages(100, **PAST)
    tap = tap_of(twilio, page_size=10, state_kilobytes=0).select("messages")
    for end in ("2025-11-30", "2025-12-31", "2025-10-31", None, "2026-01-31", None):
        twilio.at(twilio.clock + 3600)
        tap.sync(end_date=end)
    assert tap.wrong(["messages"]) == {}
