"""`--refresh`: the rows that it names are written again, whatever the state knows, and no other unchanged row."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Twilio
from testing.taps import Tap

MakeTap = Callable[..., Tap]
WEEK = "2026-03-01..2026-03-07"
PAST = {"since": "2026-02-01T12:00:00Z", "until": "2026-03-30T12:00:00Z"}
NOW = "2026-04-20T09:00:00Z"


def in_week(row: dict[str, Any], date: str) -> bool:
    return "2026-03-01" <= str(row[date] or row["date_created"]) < "2026-03-08"


def emitted(run: Any) -> dict[str, set[str]]:
    """The keys of the rows that a run emitted, by stream."""
    found: dict[str, set[str]] = {}
    for message in run.messages("RECORD"):
        found.setdefault(message["stream"], set()).add(message["record"]["sid"])
    return found


def held(tap: Tap, stream: str, date: str) -> set[str]:
    """The keys of the rows of the week in a table."""
    return {sid for sid, row in tap.tables.rows[stream].items() if in_week(row, date)}


def synced(tap: Tap, times: int = 2) -> Tap:
    """A tap that has read everything."""
    for _ in range(times):
        tap.sync()
    return tap


def is_complete(tap: Tap, folder: Any, stream: str) -> tuple[Any, Any]:
    """Whether the summary of the last sync calls a stream complete, and how many syncs it says are left."""
    entry = next(e for e in json.loads((folder / "summary.json").read_text())["streams"] if e["stream"] == stream)
    return entry["complete"], entry["syncs_left"]


@pytest.fixture
def twilio() -> Twilio:
    return Twilio(seed=4, start="2026-01-01T00:00:00Z", accounts=2).at(NOW)


@pytest.mark.parametrize(("stream", "date"), [("messages", "date_sent"), ("calls", "start_time")])
def test_a_week_is_written_again_and_no_other_row(tap_of: MakeTap, twilio: Twilio, stream: str, date: str) -> None:
    """Rows that no date filter returns count by their creation; the state is the same as after a sync without it."""
    make = getattr(twilio, stream)
    make(200, **PAST)
    make(40, status={"messages": "scheduled", "calls": "canceled"}[stream], **PAST)
    tap = synced(tap_of(twilio, page_size=10, lookback_days=3).select(stream))
    week = held(tap, stream, date)
    undated = {sid for sid in week if not tap.tables.rows[stream][sid][date]}
    assert 20 < len(week) < 60 and (undated or stream == "calls")
    before = tap.state
    without = tap.run().states[-1]
    changed = next(sid for sid in tap.tables.rows[stream] if sid not in week)
    tap.state = before
    run = tap.sync("--refresh", f"{stream}:{WEEK}")
    assert emitted(run) == {stream: week}
    assert tap.state == without
    twilio.change(changed, price="-1.00")
    assert emitted(tap.sync("--refresh", f"{stream}:{WEEK}")) == {stream: week | {changed}}
    assert emitted(tap.sync()) == {}
    assert tap.wrong([stream]) == {}


def test_a_whole_stream_is_written_again(tap_of: MakeTap, twilio: Twilio) -> None:
    """In all accounts; the other streams are not."""
    for account in (row["sid"] for row in twilio.truth("accounts")):
        twilio.messages(30, account, **PAST)
        twilio.messages(5, account, status="scheduled", **PAST)
        twilio.calls(10, account, **PAST)
    tap = synced(tap_of(twilio, page_size=10).select("messages", "calls", "conferences"))
    twilio.conferences(3, created="2026-04-19")
    run = tap.sync("--refresh", "messages")
    assert emitted(run)["messages"] == set(tap.tables.rows["messages"])
    assert "calls" not in emitted(run) and len(emitted(run)["conferences"]) == 3
    assert tap.wrong(["messages", "calls", "conferences"]) == {}


def test_an_account_is_written_again_in_every_selected_stream(tap_of: MakeTap, twilio: Twilio) -> None:
    main, other = (row["sid"] for row in twilio.truth("accounts"))
    of_other = set()
    for account in (main, other):
        made = [*twilio.messages(30, account, **PAST), *twilio.calls(10, account, **PAST)]
        made += [*twilio.conferences(7, account, **PAST), *twilio.addresses(3, account, **PAST)]
        of_other = set(made)
    tap = synced(tap_of(twilio, page_size=10).select("messages", "calls", "conferences", "addresses"))
    assert set().union(*emitted(tap.sync("--refresh", other)).values()) == of_other
    assert emitted(tap.sync()) == {}


def test_two_refreshes_of_one_run(tap_of: MakeTap, twilio: Twilio) -> None:
    twilio.messages(60, **PAST)
    twilio.calls(10, **PAST)
    tap = synced(tap_of(twilio, page_size=10).select("messages", "calls"))
    run = tap.sync(
        "--refresh", "messages:2026-03-01..2026-03-07", "--refresh", "messages:2026-03-20", "--refresh", "calls"
    )
    days = {sid for sid, row in tap.tables.rows["messages"].items() if row["date_sent"][:10] == "2026-03-20"}
    assert days
    assert emitted(run) == {
        "messages": held(tap, "messages", "date_sent") | days,
        "calls": set(tap.tables.rows["calls"]),
    }


def test_children_of_the_rows_of_a_week_are_written_again(tap_of: MakeTap, twilio: Twilio) -> None:
    """The media of the messages of that week: of others, none is requested."""
    messages = twilio.messages(60, num_media="1", **PAST)
    media = {sid: twilio.add("message_media", parent=sid)[0] for sid in messages}
    tap = tap_of(twilio, page_size=10).select("messages", "message_media")
    tap.settings["base_url"] += "/{product}"
    synced(tap)
    week = held(tap, "messages", "date_sent")
    run = tap.sync("--refresh", f"message_media:{WEEK}")
    assert emitted(run) == {"message_media": {media[sid] for sid in week}}
    assert len([request for request in tap.requests if "/Media" in request.path]) == len(week)


def test_children_of_old_rows_within_the_limit_of_requests_take_more_syncs(
    tap_of: MakeTap, twilio: Twilio, tmp_path: Any
) -> None:
    """Each visits as many parents as max_child_requests says; the summary calls it incomplete."""
    messages = twilio.messages(25, num_media="1", **PAST)
    media = {twilio.add("message_media", parent=sid)[0] for sid in messages}
    tap = tap_of(twilio, page_size=10).select("messages", "message_media")
    tap.settings["base_url"] += "/{product}"
    synced(tap)
    tap.settings["max_child_requests"] = 10
    summary = ("--summary-json", str(tmp_path / "summary.json"))
    runs = [tap.sync("--refresh", "message_media", *summary)]
    assert is_complete(tap, tmp_path, "message_media")[0] is False
    assert isinstance(is_complete(tap, tmp_path, "message_media")[1], int)
    assert any("not complete" in line and "--refresh" in line for line in runs[0].said)
    for _ in range(2):
        runs.append(tap.sync(*summary))
    assert [len(emitted(run)["message_media"]) for run in runs] == [10, 10, 5]
    assert set().union(*(emitted(run)["message_media"] for run in runs)) == media
    assert is_complete(tap, tmp_path, "message_media") == (True, 0)
    assert emitted(tap.sync()) == {}


def test_rows_without_a_date_come_within_the_budget_of_rescans(tap_of: MakeTap, twilio: Twilio, tmp_path: Any) -> None:
    """What the filter returns comes at once; what it hides with the pages that rescan_pages allows, over some syncs."""
    twilio.messages(200, **PAST)
    twilio.messages(20, status="scheduled", **PAST)
    tap = synced(tap_of(twilio, page_size=10).select("messages"))
    tap.settings["rescan_pages"] = 8
    week = held(tap, "messages", "date_sent")
    undated = {sid for sid in week if not tap.tables.rows["messages"][sid]["date_sent"]}
    summary = ("--summary-json", str(tmp_path / "summary.json"))
    found = emitted(tap.sync("--refresh", f"messages:{WEEK}", *summary))["messages"]
    assert week - undated <= found <= week
    syncs = 0
    while not is_complete(tap, tmp_path, "messages")[0] and syncs < 12:
        syncs += 1
        if "refresh" not in json.dumps(json.loads((tmp_path / "summary.json").read_text())["streams"]):
            break
        found |= emitted(tap.sync(*summary)).get("messages", set())
    assert found == week and 1 < syncs < 12


def test_a_log_and_a_list_that_is_read_whole(tap_of: MakeTap) -> None:
    """Days before the log's window, and a list without dates of changes."""
    twilio = Twilio(start="2026-02-01T00:00:00Z").at("2026-04-20T09:00:00Z")
    for day in range(1, 9):
        twilio.add("usage_records", start_date=f"2026-03-0{day}", end_date=f"2026-03-0{day}", category="sms")
    tap = tap_of(twilio).select("usage_records", "outgoing_caller_ids")
    tap.tables.load = lambda lines: None  # type: ignore[method-assign]  # they have other keys
    tap.sync()
    tap.sync()
    run = tap.sync("--refresh", "usage_records:2026-03-02..2026-03-04")
    assert {r["start_date"] for r in run.records("usage_records")} == {f"2026-03-0{day}" for day in (2, 3, 4)}
    assert tap.sync().records("usage_records") == []


def test_under_full_table_no_version_is_activated(tap_of: MakeTap, twilio: Twilio) -> None:
    """A list that is unchanged is not written, but the week is: rows that the target has of deleted ones stay."""
    twilio.messages(60, **PAST)
    tap = synced(tap_of(twilio, page_size=10).select("messages", full_table=["messages"]))
    week = held(tap, "messages", "date_sent")
    run = tap.sync("--refresh", f"messages:{WEEK}")
    assert emitted(run) == {"messages": week}
    assert run.messages("ACTIVATE_VERSION") == []
    assert all(message["version"] for message in run.messages("RECORD"))
    twilio.at("2026-04-20T12:00:00Z").delete(min(week))
    run = tap.sync()
    assert len(run.messages("ACTIVATE_VERSION")) == 1
    assert tap.wrong(["messages"], rows=twilio.present) == {}


def test_ratings_are_written_again(tap_of: MakeTap, twilio: Twilio) -> None:
    """Those of the calls of that week, from both sources."""
    calls = twilio.calls(60, **PAST)
    for call in calls[::3]:
        twilio.feedback(call, 3)
    tap = synced(tap_of(twilio, page_size=10, call_feedback_source="feedback").select("calls", "call_feedback"))
    week = held(tap, "calls", "start_time") & set(calls[::3])
    assert week
    assert emitted(tap.sync("--refresh", f"call_feedback:{WEEK}")) == {"call_feedback": week}
    assert emitted(tap.sync()) == {}


def test_an_unfinished_first_sync(tap_of: MakeTap, twilio: Twilio) -> None:
    """The week comes again, and the backfill goes on where it stopped."""
    sids = set(twilio.messages(300, **PAST))
    tap = tap_of(twilio, page_size=5, state_seconds=0, concurrency=1).select("messages")
    started = tap.start()
    started.wait_for(lambda: started.printed().count(b'"type":"RECORD"') > 100)
    started.process.kill()
    killed = started.wait()
    tap.keep(killed.lines)
    run = tap.sync("--refresh", f"messages:{WEEK}")
    week = held(tap, "messages", "date_sent")
    assert week <= emitted(run)["messages"]
    assert set(killed.sids()) | emitted(run)["messages"] == sids
    assert len(run.sids()) < len(sids) + len(week) - 50
    assert tap.wrong(["messages"]) == {}


def test_nothing_to_refresh_where_nothing_was_read(tap_of: MakeTap, twilio: Twilio) -> None:
    """A first sync writes each row once."""
    sids = twilio.messages(30, **PAST)
    tap = tap_of(twilio, page_size=10).select("messages")
    run = tap.sync("--refresh", "messages")
    assert sorted(run.sids()) == sorted(sids)


def test_a_state_without_room(tap_of: MakeTap, twilio: Twilio) -> None:
    """Where dates decide what changed, the week is written again too, and nothing else."""
    twilio.messages(100, **PAST)
    tap = synced(tap_of(twilio, page_size=10, state_kilobytes=0).select("messages"), 3)
    assert emitted(tap.sync()) == {}
    assert emitted(tap.sync("--refresh", f"messages:{WEEK}")) == {"messages": held(tap, "messages", "date_sent")}


@pytest.mark.parametrize("at", [0, 1, 5, 20])
def test_a_kill_loses_nothing_of_a_refresh(tap_of: MakeTap, twilio: Twilio, at: int) -> None:
    """The next sync goes on without the option, from the last STATE."""
    twilio.messages(150, **PAST)
    twilio.messages(20, status="scheduled", **PAST)
    tap = synced(tap_of(twilio, page_size=5, state_seconds=0, concurrency=1).select("messages"))
    week = held(tap, "messages", "date_sent")
    started = tap.start("--refresh", f"messages:{WEEK}")
    started.wait_for(lambda: b'"type":"STATE"' in started.printed() and started.printed().count(b'"RECORD"') >= at)
    started.process.kill()
    killed = started.wait()
    tap.keep(killed.lines)
    assert killed.states, "the first STATE comes before the first row"
    rest = tap.sync()
    assert set(killed.sids()) | set(rest.sids()) == week
    assert emitted(tap.sync()) == {}


def test_the_log_names_what_is_written_again(tap_of: MakeTap, twilio: Twilio) -> None:
    twilio.messages(30, **PAST)
    tap = synced(tap_of(twilio, page_size=10).select("messages"))
    run = tap.sync("--refresh", f"messages:{WEEK}")
    assert any(
        "messages" in line and "2026-03-01 to 2026-03-07" in line and "written again" in line for line in run.said
    )


def test_rows_before_start_date_are_not_written(tap_of: MakeTap, twilio: Twilio) -> None:
    twilio.messages(60, **PAST)
    tap = synced(tap_of(twilio, page_size=10, start_date="2026-03-04").select("messages"))
    found = emitted(tap.sync("--refresh", f"messages:{WEEK}"))["messages"]
    assert found == held(tap, "messages", "date_sent")
    assert all(tap.tables.rows["messages"][sid]["date_created"] >= "2026-03-04" for sid in found)
