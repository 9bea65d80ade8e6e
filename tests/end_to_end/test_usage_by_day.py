"""Sums of a day: usage records in hundreds of categories; Super SIM and Programmable Wireless, by a period's object."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Twilio
from sandbox.samples import add_usage
from tap_twilio.errors import BadAnswer
from tap_twilio.streams import BY_NAME
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page
from testing.taps import Tap

USAGE = ("supersim_usage_records", "wireless_usage_records", "wireless_sim_usage_records")


def tap_on(tap_of: Callable[..., Tap], twilio: Twilio, *names: str, **settings: Any) -> Tap:
    tap = tap_of(twilio, page_size=50, **settings)
    tap.settings["base_url"] += "/{product}"
    return tap.select(*names)


def sim_of(twilio: Twilio, name: str) -> str | None:
    """A SIM in use, for usage that is listed below it."""
    return twilio.add("wireless_sims", created="2023-01-01", status="active")[0] if "sim_usage" in name else None


@pytest.mark.long
def test_hundreds_of_categories_a_day_arrive_and_are_emitted_once(tap_of: Callable[..., Tap]) -> None:
    """Most of them zero, some without count or unit; each answer says its own time, which is no change."""
    twilio = Twilio(start="2025-06-01", usage_categories=517).at("2026-01-20T13:05:00Z")
    add_usage(twilio, twilio.main)
    tap = tap_of(twilio).select("usage_records")
    first = tap.run()
    assert first.exit_code == 0, first.log[-2000:]
    assert sorted(
        (row["start_date"], row["category"], "" if row["count"] is None else str(row["count"]), row["count_unit"] or "")
        for row in first.records("usage_records")
    ) == sorted(
        (row["start_date"], row["category"], row["count"] or "", row["count_unit"] or "")
        for row in twilio.present("usage_records")
    )
    assert len(first.records("usage_records")) == 21 * 517
    tap.state = first.states[-1]
    twilio.at("2026-01-20T14:05:00Z")
    assert tap.run().records("usage_records") == []


def days(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(row["period_start"][:10] for row in rows)


@pytest.mark.parametrize("name", USAGE)
def test_eighteen_months_are_read_in_spans_that_twilio_answers(tap_of: Callable[..., Tap], name: str) -> None:
    """Whole days, 31 at most of usage by SIM, none older than 18 months; then the days of the last week and since."""
    twilio = Twilio(start="2022-03-01").at("2026-01-20T13:05:00Z")
    sim = sim_of(twilio, name)
    twilio.add(name, parent=sim, n=300, since="2023-01-01", until="2026-01-20")
    tap = tap_on(tap_of, twilio, name)
    run = tap.run()
    assert run.exit_code == 0, run.log[-2000:]
    kept = [row["period"] for row in twilio.present(name)]
    should = sorted((period.get("start_time") or period["start"])[:10] for period in kept)
    found = days(run.records(name))
    assert found == [day for day in should if day >= found[0]]
    assert found[0] <= "2024-08-01"  # of the oldest, some days are left out: they may be gone before they are read
    tap.state = run.states[-1]
    twilio.at("2026-01-21T09:00:00Z")
    twilio.add(name, parent=sim, created="2026-01-21")
    tap.server.reset()
    again = tap.run()
    assert again.exit_code == 0, again.log[-2000:]
    asked = [json.dumps(request.query) for request in tap.server.requests if "UsageRecords" in request.path]
    assert asked
    assert all("2026-01-12T00" in query and "2026-01-22T00" in query for query in asked)
    assert days(again.records(name))[-1] == "2026-01-21"


@pytest.mark.parametrize("name", USAGE)
def test_a_day_that_is_summed_anew_is_written_again(tap_of: Callable[..., Tap], name: str) -> None:
    """Within a week; the other days are not."""
    twilio = Twilio(start="2022-03-01").at("2026-01-20T13:05:00Z")
    *_, last = twilio.add(name, parent=sim_of(twilio, name), n=20, since="2026-01-01", until="2026-01-18")
    tap = tap_on(tap_of, twilio, name)
    for _ in range(2):
        tap.state = tap.run().states[-1]
    twilio.at("2026-01-20T14:00:00Z")
    column = "data_total" if name.startswith("supersim") else "data"
    twilio.change(last, **{column: 7 if column == "data_total" else {"total": 7}})
    records = tap.run().records(name)
    assert [record[column] for record in records] == [7 if column == "data_total" else '{"total":7}']


@pytest.mark.parametrize("name", USAGE)
def test_a_sum_without_a_period_is_an_error(name: str) -> None:
    """It cannot be told from others, nor be left out without a word."""
    row = {"account_sid": "AC0", "sim_sid": "HS0", "period": {}}
    with pytest.raises(BadAnswer, match=r"a row came without period\.start"):
        ListEndpoint(BY_NAME[name], "AC0", 50, values={"sim_sid": "HS0"}).check_and_add_derived(Page([row], None, ""))
