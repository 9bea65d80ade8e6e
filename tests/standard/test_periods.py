"""Sums of months and of years: each arrives whole, however long the history is and on whichever day a sync runs."""

from __future__ import annotations

import pytest

from sandbox import Twilio
from tap_twilio.streams import BY_NAME

from .test_streams import MakeTap, differences, table, tap_for, truth

PERIODS = pytest.mark.parametrize("name", ["usage_records_monthly", "usage_records_yearly"])


CATEGORIES = ("calls", "mms", "sms", "sms-inbound", "totalprice")
DAYS = {
    "usage_records_monthly": [f"{year}-{month:02}-17" for year in (2023, 2024, 2025) for month in range(1, 13)][4:],
    "usage_records_yearly": [f"{year}-06-17" for year in range(2005, 2026)],
}


@pytest.fixture
def twilio(name: str) -> Twilio:
    """An account that was opened on a day in the middle of a month, and used ever since."""
    days = [*DAYS[name], "2026-01-20"]
    twilio = Twilio(seed=3, start=days[0]).at(days[-1])
    for day in days:
        use = {"created": day, "category": lambda i: CATEGORIES[i], "count": "31", "price": "3.1"}
        twilio.add(name, twilio.main, n=len(CATEGORIES), **use)
    return twilio


@PERIODS
def test_no_period_is_missing_and_none_is_a_part_of_its_sum(tap_of: MakeTap, twilio: Twilio, name: str) -> None:
    """From the month in which the account was opened on, with pages so short that another log would be cut."""
    stream = BY_NAME[name]
    tap = tap_for(tap_of, twilio, stream)
    run = tap.run()
    assert run.exit_code == 0, run.log[-2000:]
    should = truth(twilio, stream)
    assert min(start for _, _, start in should) == ("2023-05-01" if "monthly" in name else "2005-01-01")
    assert differences(table(run, stream), should) == []


@PERIODS
def test_a_later_sync_brings_what_the_last_periods_became(tap_of: MakeTap, twilio: Twilio, name: str) -> None:
    """Priced late: the month before the last one, and in February the year before."""
    stream = BY_NAME[name]
    tap = tap_for(tap_of, twilio, stream)
    first = tap.run()
    tap.state = first.states[-1]
    twilio.at("2026-02-19")
    ended = "2025-12-01" if "monthly" in name else "2025-01-01"
    (late,) = [i for i in twilio.generic.lists[name] if (i.data["start_date"], i.data["category"]) == (ended, "sms")]
    twilio.change(late.handle, price="4.7")
    twilio.add(name, twilio.main, n=2, created="2026-02-19", category=lambda i: f"new-{i}", count="1")
    second = tap.run()
    assert second.exit_code == 0, second.log[-2000:]
    assert differences(table(first, stream) | table(second, stream), truth(twilio, stream)) == []
    assert len(table(second, stream)) < len(table(first, stream)) / 3


@PERIODS
def test_start_date_takes_the_whole_of_the_period_that_it_lies_in(tap_of: MakeTap, twilio: Twilio, name: str) -> None:
    """And none before it."""
    stream = BY_NAME[name]
    run = tap_for(tap_of, twilio, stream, start_date="2024-03-14T00:00:00Z").run()
    assert run.exit_code == 0, run.log[-2000:]
    first = "2024-03-01" if "monthly" in name else "2024-01-01"
    should = {key: row for key, row in truth(twilio, stream).items() if key[2] >= first}
    assert differences(table(run, stream), should) == []
