"""What the documents say of single lists below a parent, over the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Twilio
from testing.taps import Tap

MakeTap = Callable[..., Tap]


def tap_for(tap_of: MakeTap, twilio: Twilio, *streams: str, **settings: Any) -> Tap:
    tap = tap_of(twilio, **settings)
    tap.settings["base_url"] += "/{product}"
    return tap.select(*streams)


@pytest.mark.long
def test_logs_of_which_a_query_lists_ten_thousand_arrive_all(tap_of: MakeTap) -> None:
    """Below one environment: the span is halved until a query lists fewer."""
    twilio = Twilio(start="2025-12-01").at("2026-01-20")
    (service,) = twilio.add("serverless_services")
    (environment,) = twilio.add("serverless_environments", parent=service)
    twilio.add("serverless_logs", parent=environment, n=10_400, since="2026-01-02", until="2026-01-19T23:00:00Z")
    run = tap_for(tap_of, twilio, "serverless_logs").run()
    assert run.exit_code == 0, run.log[-2000:]
    assert {row["sid"] for row in run.records("serverless_logs")} == {
        row["sid"] for row in twilio.present("serverless_logs")
    }


def test_a_schema_that_several_types_of_event_share_is_asked_for_once(tap_of: MakeTap) -> None:
    """Its versions are written once, and a type without a schema asks for nothing."""
    twilio = Twilio(start="2025-12-01").at("2026-01-20")
    (first, *_) = twilio.add("event_types", n=5)
    twilio.add("event_types", schema_id=None)
    twilio.add("event_schema_versions", parent=first, n=3)
    tap = tap_for(tap_of, twilio, "event_schema_versions")
    run = tap.run()
    assert run.exit_code == 0, run.log[-2000:]
    assert len(run.records("event_schema_versions")) == 3
    assert len([request for request in tap.requests if "/Schemas/" in request.path]) == 1


def test_what_may_be_a_secret_leaves_only_where_it_is_selected_by_name(tap_of: MakeTap) -> None:
    """Neither the value of a Functions service's variable, nor how a sink is reached, is in a record else."""
    twilio = Twilio(start="2025-12-01").at("2026-01-20")
    (service,) = twilio.add("serverless_services")
    (environment,) = twilio.add("serverless_environments", parent=service)
    twilio.add("serverless_variables", parent=environment, value="hunter2")
    twilio.add("event_sinks", sink_configuration={"write_key": "hunter2"})
    tap = tap_for(tap_of, twilio, "serverless_variables", "event_sinks")
    run = tap.run()
    assert run.exit_code == 0, run.log[-2000:]
    (variable,), (sink,) = run.records("serverless_variables"), run.records("event_sinks")
    assert "value" not in variable and "sink_configuration" not in sink
    assert b"hunter2" not in b"".join(run.lines)
