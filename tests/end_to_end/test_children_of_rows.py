"""What is below the rows of a list, as a user sees it: the tap as a process, over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from sandbox import Twilio
from testing.taps import Tap

MakeTap = Callable[..., Tap]


def asked(tap: Tap, what: str) -> int:
    return len([request for request in tap.requests if what in request.path])


def test_feedback_is_asked_in_every_sync_also_where_calls_are_full_table(tap_of: MakeTap) -> None:
    """A rating given after the first sync arrives, as it does where calls are INCREMENTAL."""
    for full_table in ([], ["calls"]):
        twilio = Twilio(seed=3)
        calls = twilio.calls(30, since="2026-01-01T12:00:00Z", until="2026-03-01T12:00:00Z")
        twilio.at("2026-03-01T13:00:00Z")
        tap = tap_of(twilio, call_feedback_source="feedback").select("calls", "call_feedback", full_table=full_table)
        requests = []
        for day in range(2, 6):
            tap.sync()
            requests.append(asked(tap, "/Feedback"))
            twilio.at(f"2026-03-{day:02}T13:00:00Z").feedback(calls[-day], day % 5 + 1)
        tap.sync()
        assert requests[0] == 30
        assert all(12 <= number <= 20 for number in requests[1:]), requests
        assert set(tap.tables.rows["call_feedback"]) == {calls[-day] for day in range(2, 6)}


def test_media_of_a_message_that_gets_them_without_a_date_arrive(tap_of: MakeTap) -> None:
    """And a sync in which nothing changed asks for no media."""
    twilio = Twilio(seed=3)
    messages = twilio.messages(30, since="2026-01-01T12:00:00Z", until="2026-02-01T12:00:00Z", num_media="0")
    twilio.at("2026-03-01T13:00:00Z")
    tap = tap_of(twilio).select("messages", "message_media")
    tap.settings["base_url"] += "/{product}"
    tap.run()
    tap.state = tap.run().states[-1]
    (media,) = twilio.add("message_media", parent=messages[3])
    twilio.change(messages[3], silently=True, num_media="1")
    twilio.at("2026-03-01T16:00:00Z")
    run = tap.run()
    assert run.exit_code == 0, run.log[-2000:]
    assert len(run.records("message_media")) == 1
    assert asked(tap, "/Media") == 1
    tap.state = run.states[-1]
    tap.run()
    assert asked(tap, "/Media") == 0
    assert media


def test_a_full_state_does_not_stop_the_visits_of_rows_some_of_which_have_no_children(tap_of: MakeTap) -> None:
    """New media arrive, and a message without media ends no sync."""
    twilio = Twilio(seed=3)
    twilio.messages(200, since="2026-01-01T12:00:00Z", until="2026-02-01T12:00:00Z", num_media="0")
    twilio.at("2026-03-01T13:00:00Z")
    tap = tap_of(twilio, page_size=10, state_kilobytes=1).select("messages", "message_media")
    tap.sync()
    for day in range(2, 6):
        twilio.at(f"2026-03-{day:02}T13:00:00Z")
        (message,) = twilio.messages(1, num_media="1")
        twilio.messages(12, num_media="0")
        twilio.add("message_media", parent=message)
        tap.sync()
    assert len(tap.tables.rows["message_media"]) == 4
