"""What moves with the clock is no change: it is emitted with a row, and does not make one be written again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Twilio
from tap_twilio.streams import BY_NAME, STREAMS
from testing.sampled import long
from testing.taps import Tap, properties
from tests.standard.test_streams import LISTED, NOW, fill

TapOf = Callable[..., Tap]
USAGE = [stream.name for stream in STREAMS if "as_of" in stream.not_compared]


def tap_on(tap_of: TapOf, twilio: Twilio, *names: str) -> Tap:
    tap = tap_of(twilio, page_size=50)
    tap.settings["base_url"] += "/{product}"
    return tap.select(*names, opted_in=True)


@pytest.mark.long
@pytest.mark.parametrize("syncs", [3, *long(10)])
def test_syncs_of_an_account_in_which_nothing_happens_write_nothing(tap_of: TapOf, syncs: int) -> None:
    """Every three hours, over midnight; all streams, of which usage says another `as_of` each time."""
    twilio = Twilio(seed=11, start="2025-06-01").at(NOW)
    for stream in LISTED:
        fill(twilio, stream, 4)
    twilio.at("2026-01-20T19:00:00Z")
    tap = tap_on(tap_of, twilio, *(stream.name for stream in LISTED))
    first = tap.run()
    assert first.exit_code == 0, first.log[-2000:]
    assert len({message["stream"] for message in first.messages("RECORD")}) > 200
    for _ in range(syncs):
        tap.state = first.states[-1]
        twilio.advance(hours=3, busy=0)
        first = tap.run()
        assert first.exit_code == 0, first.log[-2000:]
        assert {message["stream"] for message in first.messages("RECORD")} == set()


@pytest.mark.parametrize("full_table", [[], ["usage_records_all_time"]])
def test_usage_is_written_with_the_time_of_the_request_and_again_only_if_it_changed(
    tap_of: TapOf, full_table: list[str]
) -> None:
    """By FULL_TABLE as well, where one change has all rows written."""
    twilio = Twilio(seed=3, start="2025-12-01").at("2026-01-20T19:00:00Z")
    for name in USAGE:
        twilio.add(name, twilio.main, n=9, since="2026-01-10", until="2026-01-20", count="3")
    tap = tap_on(tap_of, twilio, *USAGE)
    tap.select(*USAGE, full_table=full_table)
    first = tap.run()
    assert {row["as_of"] for name in USAGE for row in first.records(name)} == {"2026-01-20T19:00:00.000000Z"}
    tap.state = first.states[-1]
    twilio.advance(hours=3, busy=0)
    again = tap.run()
    assert (again.exit_code, again.messages("RECORD")) == (0, [])
    tap.state = again.states[-1]
    twilio.advance(hours=3, busy=0)
    for name in USAGE:
        twilio.change(twilio.generic.lists[name][4].handle, count="4")
    last = tap.run()
    for name in USAGE:
        written = last.records(name)
        assert {row["as_of"] for row in written} == {"2026-01-21T01:00:00.000000Z"}
        assert sum(row["count"] == 4 for row in written) == 1
        assert len(written) == (9 if name in full_table else 1)


def test_a_number_that_counts_seconds_is_no_change(tap_of: TapOf) -> None:
    """Also in an object of statistics; what else stands beside it is."""
    names = ["taskrouter_task_queue_statistics", "taskrouter_workspace_statistics"]
    twilio = Twilio(seed=11, start="2025-06-01").at(NOW)
    for name in names:
        fill(twilio, BY_NAME[name], 1)
    tap = tap_on(tap_of, twilio, *names)
    tap.state = tap.run().states[-1]
    for name in names:
        for item in twilio.generic.of(name, None, now=True):
            if "realtime" in item.data:
                now = {**item.data["realtime"], "longest_task_waiting_age": 77}
                period = {**item.data["cumulative"], "start_time": "2026-01-19T03:00:00Z"}
                twilio.change(item.handle, realtime=now, cumulative=period)
            else:
                twilio.change(item.handle, start_time="2026-01-19T03:00:00Z", end_time="2026-01-20T03:00:00Z")
    run = tap.run()
    assert (run.exit_code, run.messages("RECORD")) == (0, [])
    tap.state = run.states[-1]
    for item in twilio.generic.of(names[0], None, now=True):
        twilio.change(item.handle, realtime={**item.data["realtime"], "total_tasks": 5})
    assert len(tap.run().records(names[0])) > 0


@pytest.mark.parametrize("stream", [one for one in STREAMS if one.not_compared], ids=lambda stream: stream.name)
def test_the_schema_says_what_is_not_compared(stream: object) -> None:
    """Since the warehouse may hold an old value."""
    about = properties(stream.name)  # type: ignore[attr-defined]
    for name in stream.not_compared:  # type: ignore[attr-defined]
        assert "not compared, so the warehouse holds" in about[name.partition(".")[0]]["description"]
