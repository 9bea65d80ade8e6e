"""The strategies over random histories: whatever happens in a list, the warehouse becomes equal to it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.errors import Incomplete
from tap_twilio.extract import strategy
from testing.histories import DAY, FEW, HOUR, Killed, histories, live, text
from testing.sampled import long

SEEDS = st.integers(0, 10**9)
STREAMS = ("messages", "addresses", *long("calls", "conferences"))


def changing_settings(rng):
    return {
        "lookback": rng.choice((0, 1, 15, 60)) * DAY,
        "page_size": rng.choice((2, 3, 5)),
        "short_pages": rng.choice((2, 4, 100)),
    }


@pytest.mark.parametrize("stream", STREAMS)
@FEW
@given(SEEDS)
def test_after_every_sync_that_ends_well_the_warehouse_equals_the_list(stream, seed):
    """If the history fits the budget, each row that changed before the sync began is there, or is due to be resent."""
    twilio, tap = histories(seed, stream)
    rng = twilio.rng
    for _ in range(rng.randrange(2, 10)):
        live(twilio)
        began = twilio.now
        before = {sid: dict(row) for sid, row in twilio.rows.items() if row["shown"] <= began}
        if not tap.sync(lives=rng.randrange(0, 30) if rng.random() < 0.3 else None, **changing_settings(rng)):
            continue
        resend_listed_before = tap.state.resend_listed_before
        for sid, row in before.items():
            now = twilio.rows.get(sid)
            if now is None or now != row:
                continue
            listed = row.get(twilio.column)
            if resend_listed_before and (listed is None or text(listed) < resend_listed_before):
                continue
            assert tap.warehouse.get(sid) == twilio.wire(row)


@pytest.mark.parametrize("stream", STREAMS)
@FEW
@given(SEEDS)
def test_a_sync_in_which_nothing_changed_emits_nothing(stream, seed):
    """The history holds no row within the lateness, none without date_updated, and none that is due to be resent."""
    twilio, tap = histories(seed, stream)
    live(twilio)
    twilio.now += 2 * DAY
    twilio.without_date_updated = False
    tap.sync(chatter=0)
    twilio.now += DAY
    tap.sync(chatter=0)
    twilio.now += DAY
    tap.sync(chatter=0)
    assert tap.emitted == []
    assert not tap.wrong()


@pytest.mark.parametrize("stream", STREAMS)
@FEW
@given(SEEDS)
def test_start_date_bounds_what_is_emitted_and_may_be_moved(stream, seed):
    """Rows created before start_date are never emitted; when it moves back, the skipped rows are."""
    twilio, tap = histories(seed, stream)
    rng = twilio.rng
    start_dates = ["", *(text(twilio.now - days * DAY) for days in (5, 50, 200, 600))]
    start_date = ""
    for _ in range(rng.randrange(2, 8)):
        live(twilio)
        start_date = rng.choice(start_dates)
        tap.sync(
            budget=rng.randrange(1, 9),
            lives=rng.randrange(0, 20) if rng.random() < 0.2 else None,
            start_date=start_date,
        )
        assert all(
            text(twilio.rows[sid]["date_created"]) >= (start_date or "") for sid in tap.emitted if sid in twilio.rows
        )
    twilio.now += DAY
    for _ in range(25 * (1 + twilio.hollow)):  # empty pages take from the budget too
        tap.sync(budget=5, chatter=0, start_date=start_date)
        twilio.now += 3 * HOUR
    assert not tap.wrong(since=start_date or "")


@pytest.mark.parametrize("stream", STREAMS)
@FEW
@given(SEEDS)
def test_rows_read_before_a_property_was_added_come_again(stream, seed):
    """Every row that Twilio still lists is emitted again with the added property."""
    twilio, tap = histories(seed, stream)
    tap.left_out = ("value",)
    for _ in range(3):
        live(twilio)
        tap.sync(budget=3, lives=twilio.rng.choice((None, None, 5)))
    tap.left_out = ()
    tap.sync(budget=3, added=True)
    twilio.now += DAY
    for _ in range(25 * (1 + twilio.hollow)):  # empty pages take from the budget too
        tap.sync(budget=5, chatter=0)
        twilio.now += 3 * HOUR
    assert not tap.wrong()


@pytest.mark.parametrize("stream", STREAMS)
@FEW
@given(SEEDS)
def test_a_full_table_version_holds_just_what_is_listed(stream, seed):
    """After one or several runs, a version holds the rows that are listed, as they were when they were read."""
    twilio, tap = histories(seed, stream)
    rng = twilio.rng
    for version in range(1, 4):
        live(twilio)
        tap.version = version
        listed = {sid for sid, row in twilio.rows.items() if row["shown"] <= twilio.now}
        while True:
            reading = tap.reading(1)
            try:
                tap.run(strategy.full(reading, version), 0.2, rng.randrange(0, 20) if rng.random() < 0.4 else None)
            except (Killed, Incomplete):
                twilio.now += rng.choice((timedelta(minutes=1), 3 * HOUR))
                continue
            break
        in_version = {sid for sid, held in tap.versions.items() if held == version}
        assert listed & set(twilio.rows) <= in_version
        # A version that is read while no row changes equals the list, row by row. New rows may still appear.
        unchanging = tap.reading(1)
        shown = {sid for sid, row in twilio.rows.items() if row["shown"] <= twilio.now}
        tap.version = -version
        tap.run(strategy.full(unchanging, 10 * version), 0, None)
        again = {sid for sid, held in tap.versions.items() if held == -version}
        assert shown <= again <= {sid for sid, row in twilio.rows.items() if row["shown"] <= twilio.now}
        assert {sid: tap.warehouse[sid] for sid in again} == {sid: twilio.wire(twilio.rows[sid]) for sid in again}
