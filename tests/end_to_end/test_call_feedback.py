"""Test call feedback as a user sees it: a real process, real HTTP, and both sources of the simulated Twilio."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

import sandbox.server
from sandbox import Twilio
from sandbox.messages import error
from testing.taps import LISTED, SIX, Run, Tap

MakeTap = Callable[..., Tap]
BESIDE = pytest.mark.parametrize(
    "streams", [("call_feedback",), ("calls", "call_feedback")], ids=["alone", "with calls"]
)


def held(tap: Tap) -> dict[str, tuple[Any, Any]]:
    """Return the score of each rated call in the warehouse, and its source."""
    return {sid: (row["quality_score"], row["source"]) for sid, row in tap.tables.rows.get("call_feedback", {}).items()}


def asked(tap: Tap, part: str) -> list[str]:
    return [request.path for request in tap.server.requests if part in request.path]


def rated() -> tuple[Twilio, list[str]]:
    """Return a Twilio with 60 ended calls, one a day, and their SIDs."""
    twilio = Twilio(seed=3)
    calls = twilio.calls(60, since="2026-01-01T12:00:00Z", until="2026-03-01T12:00:00Z")
    twilio.at("2026-03-01T13:00:00Z")
    return twilio, calls


def stopped_at(tap: Tap, call: str, **settings: Any) -> Run:
    """Stop a sync while it waits for the feedback of this call."""
    tap.twilio.fail_next("hang", path_contains=f"{call}/Feedback")
    started = tap.start(**settings)
    started.wait_for(lambda: any(call in path for path in asked(tap, "Feedback")))
    started.process.send_signal(signal.SIGTERM)
    run = started.wait()
    assert run.exit_code == 143, run.log[-2000:]
    tap.keep(run.lines)
    return run


@pytest.mark.long
def test_every_property_of_the_classic_feedback_arrives(tap_of: MakeTap) -> None:
    """All accounts of the demo: each feedback, property by property, beside the five listed streams."""
    tap = tap_of(Twilio.demo(5), call_feedback_source="feedback").select(*SIX)
    tap.sync()
    assert tap.twilio.present("call_feedback")
    assert not tap.wrong(SIX)
    tap.twilio.advance(3)
    tap.sync()
    assert not tap.wrong(SIX)


@BESIDE
def test_a_rating_that_comes_or_changes_later_reaches_the_warehouse(tap_of: MakeTap, streams: tuple[str, ...]) -> None:
    """One changes from 2 to 5, one comes 29 days after the call; no other rating is emitted again."""
    twilio, calls = rated()
    twilio.feedback(calls[-1], 2)
    twilio.feedback(calls[0], 4)
    tap = tap_of(twilio, call_feedback_source="feedback").select(*streams)
    tap.sync()
    assert held(tap) == {calls[-1]: (2, "feedback"), calls[0]: (4, "feedback")}

    twilio.at("2026-03-02T01:00:00Z")
    twilio.feedback(calls[-1], 5, ["echo"])
    late = calls[-29]
    twilio.feedback(late, 1)
    twilio.at("2026-03-02T03:00:00Z")
    second = tap.sync()
    assert held(tap) == {calls[-1]: (5, "feedback"), calls[0]: (4, "feedback"), late: (1, "feedback")}
    assert sorted(second.sids("call_feedback")) == sorted([calls[-1], late])


def test_the_backfill_asks_each_call_once_and_says_how_many(tap_of: MakeTap) -> None:
    """Later syncs request only the calls of the last 30 days."""
    twilio, calls = rated()
    tap = tap_of(twilio, call_feedback_source="feedback").select("calls", "call_feedback")
    first = tap.sync()
    assert len(asked(tap, "Feedback")) == len(calls)
    assert any("about 60 requests" in line for line in first.said)
    twilio.at("2026-03-01T16:00:00Z")
    tap.sync()
    assert 30 <= len(asked(tap, "Feedback")) <= 31
    assert len(asked(tap, "Calls.json")) == 1, "the calls are read once for both streams"


def test_without_the_backfill_older_calls_are_never_asked(tap_of: MakeTap) -> None:
    """`feedback_backfill: false`."""
    twilio, calls = rated()
    twilio.feedback(calls[-1], 3)
    tap = tap_of(twilio, call_feedback_source="feedback", feedback_backfill=False).select("call_feedback")
    tap.sync()
    assert 30 <= len(asked(tap, "Feedback")) <= 31
    assert held(tap) == {calls[-1]: (3, "feedback")}


def test_a_small_budget_comes_round_to_each_call_in_the_syncs_that_the_log_states(tap_of: MakeTap) -> None:
    """`feedback_requests` limits each sync, and every rating arrives within the number of syncs that the log states."""
    twilio, calls = rated()
    tap = tap_of(twilio, call_feedback_source="feedback", feedback_requests=10).select("call_feedback")
    tap.sync()
    twilio.at("2026-03-01T16:00:00Z")
    told = tap.sync()
    assert len(asked(tap, "Feedback")) <= 10
    (line,) = [line for line in told.said if "requested every" in line]
    syncs = int(line.split("requested every ")[1].split()[0])
    twilio.feedback(calls[-25], 1)
    for hour in range(19, 19 + 3 * syncs, 3):
        twilio.at(f"2026-03-{1 + hour // 24:02}T{hour % 24:02}:00:00Z")
        tap.sync()
        assert len(asked(tap, "Feedback")) <= 10
    assert held(tap) == {calls[-25]: (1, "feedback")}


def test_insights_alone_lists_ratings_and_asks_no_call(tap_of: MakeTap) -> None:
    """A sync reads five lists, whatever the number of calls, and fills the columns that only annotations have."""
    twilio, calls = rated()
    twilio.annotate(calls[-1], call_score=2, comment="crackling", spam=False, quality_issues=["static_noise"])
    tap = tap_of(twilio, call_feedback_source="insights").select("call_feedback")
    tap.sync()
    assert held(tap) == {calls[-1]: (2, "insights")}
    row = tap.tables.rows["call_feedback"][calls[-1]]
    assert (row["comment"], row["spam"], row["issues"]) == ("crackling", False, ["static_noise"])
    assert row["date_updated"] is None
    assert not asked(tap, "Feedback")
    assert not asked(tap, "Calls.json")
    twilio.at("2026-03-02T03:00:00Z")
    twilio.annotate(calls[-1], call_score=5)
    tap.sync()
    assert held(tap) == {calls[-1]: (5, "insights")}
    assert len(asked(tap, "Summaries")) == 5


@pytest.mark.parametrize("default", ["completed", "partial", "all"])
@pytest.mark.parametrize("annotation", ["whole", "part", "none"])
def test_a_call_rated_within_the_half_hour_is_found(tap_of: MakeTap, default: str, annotation: str) -> None:
    """Whatever the default ProcessingState, and whatever part of the annotation a summary carries."""
    twilio = Twilio(seed=4, processing_default=default, summary_annotation=annotation)
    (call,) = twilio.calls(1)
    twilio.annotate(call, call_score=1, incident="42")
    tap = tap_of(twilio, call_feedback_source="insights").select("call_feedback")
    tap.sync()
    assert held(tap) == {call: (1, "insights")}
    assert tap.tables.rows["call_feedback"][call]["incident"] == "42"


def test_with_both_sources_the_classic_row_counts(tap_of: MakeTap) -> None:
    """A call rated at both has the classic row, however often both are read; one annotated only has that."""
    twilio, calls = rated()
    twilio.annotate(calls[-1], call_score=1)
    twilio.feedback(calls[-1], 5)
    twilio.annotate(calls[-2], call_score=2)
    tap = tap_of(twilio).select("calls", "call_feedback")
    for day in range(2, 5):
        tap.sync()
        assert held(tap) == {calls[-1]: (5, "feedback"), calls[-2]: (2, "insights")}
        twilio.at(f"2026-03-{day:02}T13:00:00Z")


def test_an_account_without_insights_has_the_classic_source(tap_of: MakeTap) -> None:
    """One line in the log says that Insights is skipped, and the exit code is 0. Each sync tries Insights again."""
    twilio, calls = rated()
    twilio.insights_available = False
    twilio.feedback(calls[-1], 3)
    tap = tap_of(twilio).select("call_feedback")
    for _ in range(2):
        run = tap.sync()
        assert held(tap) == {calls[-1]: (3, "feedback")}
        assert len([line for line in run.said if "no Voice Insights" in line]) == 1
    twilio.annotate(calls[-3], call_score=2)
    twilio.at("2026-04-20T12:00:00Z")
    tap.sync()
    twilio.insights_available = True
    tap.sync()
    assert held(tap) == {calls[-1]: (3, "feedback"), calls[-3]: (2, "insights")}, "of all time"


@pytest.mark.parametrize("worked", [False, True])
@pytest.mark.parametrize("status", [401, 403, 404])
def test_insights_that_refuse_are_a_failure_until_they_answer(tap_of: MakeTap, worked: bool, status: int) -> None:
    """401 and 403 in any case, 404 once it had worked: exit code 3, no rating is taken for missing, and all come."""
    twilio, calls = rated()
    tap = tap_of(twilio).select("calls", "call_feedback")
    if worked:
        tap.sync()
    twilio.insights_available, twilio.insights_refusal = False, status
    absent = status == 404 and not worked
    twilio.annotate(calls[-1], call_score=2)
    for _ in range(2):
        run = tap.sync(exits=0 if absent else 3)
        assert any(line.startswith("failed: call_feedback") for line in run.said) == (not absent)
        assert len(tap.tables.rows["calls"]) == len(calls)
    twilio.insights_available = True
    tap.sync()
    assert held(tap) == {calls[-1]: (2, "insights")}


def test_insights_asked_for_by_name_and_not_there_is_an_error_that_says_so(tap_of: MakeTap) -> None:
    """The error names the setting and what to set instead; the other streams are synced."""
    twilio, _ = rated()
    twilio.insights_available = False
    tap = tap_of(twilio, call_feedback_source="insights").select(*SIX)
    run = tap.sync(exits=3)
    assert any("call_feedback_source" in line and "auto" in line for line in run.said)
    assert not tap.wrong(LISTED)


@BESIDE
def test_feedback_that_fails_costs_the_calls_nothing(tap_of: MakeTap, streams: tuple[str, ...]) -> None:
    """The calls are synced, the failure is named, and the next sync has the ratings."""
    twilio, calls = rated()
    twilio.feedback(calls[3], 3)
    tap = tap_of(twilio, call_feedback_source="feedback", retry_minutes=0).select(*streams)
    twilio.fail_next("500", path_contains=f"{calls[3]}/Feedback")
    run = tap.sync(exits=3)
    assert any("call_feedback" in line and "failed" in line for line in run.said)
    assert len(tap.tables.rows.get("calls", calls)) == len(calls)
    tap.sync()
    assert held(tap) == {calls[3]: (3, "feedback")}


@BESIDE
@pytest.mark.parametrize("failure", ["500", "403"])
def test_feedback_that_fails_while_its_backfill_goes_on_does_not_crash_all_later_syncs(
    tap_of: MakeTap, monkeypatch: pytest.MonkeyPatch, streams: tuple[str, ...], failure: str
) -> None:
    """It fails by itself: exit code 3, one line, every call is there; and the next sync has the ratings."""
    twilio, calls = rated()
    for call in calls:
        twilio.feedback(call, 3)
    tap = tap_of(twilio, call_feedback_source="feedback", retry_minutes=0, page_size=10).select(*streams)
    stopped_at(tap, calls[35])
    with monkeypatch.context() as patch:
        if failure == "500":
            twilio.fail_next("500", path_contains=f"{calls[25]}/Feedback")
        else:
            answer, refusal = sandbox.server.answer, error(403, 20003, "No")
            patch.setattr(
                sandbox.server, "answer", lambda t, q, f="": refusal if "Feedback" in q.path else answer(t, q, f)
            )
        run = tap.sync(exits=3)
    (line,) = [line for line in run.said if line.startswith("failed: ")]
    assert line.startswith(f"failed: call_feedback {twilio.main}: ")
    assert f"HTTP {failure}" in line
    assert len(tap.tables.rows.get("calls", calls)) == len(calls)

    tap.sync()
    assert held(tap) == dict.fromkeys(calls, (3, "feedback"))


@BESIDE
@pytest.mark.parametrize("source", ["feedback", "insights", "auto"])
def test_a_start_date_lowered_while_the_backfill_is_open_brings_all_ratings(
    tap_of: MakeTap, streams: tuple[str, ...], source: str
) -> None:
    """The ratings of calls that were not requested yet, and of older calls."""
    twilio, calls = rated()
    for call in calls:
        twilio.feedback(call, 3)
    for call in calls[30:]:
        twilio.annotate(call, call_score=3)
    tap = tap_of(twilio, call_feedback_source=source, page_size=10).select(*streams)
    if source == "insights":
        twilio.fail_next("500", path_contains="Summaries")
        tap.sync(exits=3, start_date="2026-02-15T00:00:00Z", retry_minutes=0)
    else:
        stopped_at(tap, calls[35], start_date="2026-01-15T00:00:00Z")
    tap.sync(start_date="2026-01-05T00:00:00Z")
    should = calls[30:] if source == "insights" else calls[4:]
    assert held(tap) == dict.fromkeys(should, (3, "insights" if source == "insights" else "feedback"))


@BESIDE
def test_a_start_date_lowered_on_any_day_loses_no_rating(tap_of: MakeTap, streams: tuple[str, ...]) -> None:
    """The ratings of older calls arrive, and those that came since the last sync."""
    twilio, calls = rated()
    for call in calls[:-1]:
        twilio.feedback(call, 3)
    tap = tap_of(twilio, call_feedback_source="feedback", page_size=10).select(*streams)
    tap.sync(start_date="2026-01-15T00:00:00Z")
    twilio.at("2026-03-02T01:00:00Z")
    twilio.feedback(calls[-1], 1)
    twilio.at("2026-03-02T13:00:00Z")
    tap.sync(start_date="2026-01-05T00:00:00Z")
    should = {**dict.fromkeys(calls[4:-1], (3, "feedback")), calls[-1]: (1, "feedback")}
    assert held(tap) == should

    twilio.at("2026-03-02T16:00:00Z")
    tap.sync(start_date="2026-01-05T00:00:00Z")
    assert held(tap) == should
    assert len(asked(tap, "Feedback")) <= 31, "older calls are requested once"


@BESIDE
def test_a_last_rating_of_a_call_that_never_began_outlives_a_failure(tap_of: MakeTap, streams: tuple[str, ...]) -> None:
    """Only a rescan meets the call, and its feedback fails in the sync that would request it last."""
    twilio, _ = rated()
    (canceled,) = twilio.calls(1, status="canceled", created="2026-02-01T12:00:00Z")
    tap = tap_of(twilio, call_feedback_source="feedback", retry_minutes=0, page_size=10).select(*streams)
    tap.sync()
    twilio.at("2026-03-03T01:00:00Z")
    tap.sync()
    twilio.at("2026-03-03T10:00:00Z").feedback(canceled, 1)
    twilio.at("2026-03-06T12:00:00Z")
    twilio.fail_next("500", path_contains=f"{canceled}/Feedback")
    tap.sync(exits=3)
    for day in range(8, 11):
        twilio.at(f"2026-03-{day:02}T12:00:00Z")
        tap.sync()
    assert held(tap) == {canceled: (1, "feedback")}


@pytest.mark.parametrize("source", ["feedback", "insights", "auto"])
def test_on_a_bad_day_every_rating_arrives(tap_of: MakeTap, source: str) -> None:
    """Errors, resets, throttling and broken bodies: more requests, and the same ratings."""
    twilio, calls = rated()
    for call in calls[-5:]:
        twilio.feedback(call, 4)
        twilio.annotate(call, call_score=4)
    twilio.faults = dict.fromkeys(("429", "500", "503", "reset", "cut", "broken", "error200"), 0.03)
    tap = tap_of(twilio, call_feedback_source=source).select("calls", "call_feedback")
    tap.sync()
    assert held(tap) == dict.fromkeys(calls[-5:], (4, "insights" if source == "insights" else "feedback"))
    assert len(tap.tables.rows["calls"]) == len(calls)


@pytest.mark.parametrize("source", ["insights", "auto"])
def test_pages_of_ratings_that_repeat_without_end_are_an_error(tap_of: MakeTap, source: str) -> None:
    """The list's end is never guessed at: exit code 3, one line; the calls are there, and the next sync has all."""
    twilio, calls = rated()
    for call in calls[-25:]:
        twilio.annotate(call, call_score=2)
    tap = tap_of(twilio, call_feedback_source=source, page_size=5).select("calls", "call_feedback")
    twilio.fail_next("circle", path_contains="&Page=1&StartTime=")
    run = tap.sync(exits=3)
    (line,) = [line for line in run.said if line.startswith("failed: ")]
    assert line.startswith(f"failed: call_feedback {twilio.main}: ")
    assert "repeat without end" in line
    assert len(tap.tables.rows["calls"]) == len(calls)

    tap.sync()
    assert held(tap) == dict.fromkeys(calls[-25:], (2, "insights"))


@pytest.mark.long
def test_a_source_that_finds_nothing_is_sampled_until_it_answers(tap_of: MakeTap) -> None:
    """After 2,000 requests without feedback, a sync requests the newest 100; after one answers, all calls again."""
    twilio = Twilio(seed=3)
    calls = twilio.calls(2100, since="2026-02-01T12:00:00Z", until="2026-03-01T12:00:00Z")
    twilio.at("2026-03-01T13:00:00Z")
    tap = tap_of(twilio, call_feedback_source="feedback").select("call_feedback")
    first = tap.sync()
    assert 2000 <= len(asked(tap, "Feedback")) < 2100
    assert len([line for line in first.said if "2000 requests in a row found nothing" in line]) == 1
    twilio.at("2026-03-01T16:00:00Z")
    second = tap.sync()
    assert sorted(path.split("/")[-2] for path in asked(tap, "Feedback")) == sorted(calls[-100:])
    assert not any("found nothing" in line for line in second.said)

    twilio.feedback(calls[-50], 2)
    for call in calls[::300]:
        twilio.feedback(call, 4)
    for day in (2, 3, 4):
        twilio.at(f"2026-03-0{day}T13:00:00Z")
        tap.sync()
    assert held(tap) == {calls[-50]: (2, "feedback")} | dict.fromkeys(calls[::300], (4, "feedback"))


@pytest.mark.long
def test_a_source_that_answers_for_what_insights_reports_is_not_sampled(tap_of: MakeTap) -> None:
    """The calls that Insights reports are requested first, and misses after an answer are not counted."""
    twilio = Twilio(seed=3)
    calls = twilio.calls(2100, since="2026-02-05T12:00:00Z", until="2026-03-01T12:00:00Z")
    twilio.at("2026-03-01T13:00:00Z")
    twilio.annotate(calls[-1], call_score=1)
    twilio.feedback(calls[-1], 1)
    tap = tap_of(twilio).select("call_feedback")
    tap.sync()
    for day in (2, 3):
        twilio.at(f"2026-03-0{day}T13:00:00Z")
        run = tap.sync()
        assert len(asked(tap, "Feedback")) == len(calls)
        assert not any("found nothing" in line for line in run.said)
