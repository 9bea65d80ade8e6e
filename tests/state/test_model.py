"""The state survives what schedulers do to it, and stays small."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.changes.fingerprint_codec import pack
from tap_twilio.errors import TapError
from tap_twilio.state.model import (
    Checkpoint,
    FeedbackProgress,
    FullTableRead,
    OpenBackfill,
    OpenRefresh,
    OpenRescan,
    Partition,
    StreamState,
    TimeSlice,
)
from tap_twilio.state.store import FORMAT, State
from tap_twilio.streams import STREAMS

ACCOUNTS = [f"AC{number:032d}" for number in range(6)]
NAMES = ("messages", "calls", "addresses")
Json = dict[str, Any]

dates = st.dates(date(2000, 1, 1), date(2100, 1, 1)).map(lambda day: f"{day}T00:00:00.000000Z")
maybe = st.none() | dates
pages = st.integers(0, 9).map(lambda number: f"/2010-04-01/Accounts/AC/Messages.json?PageToken=PA{number}")
checkpoints = st.none() | st.builds(
    Checkpoint, pages, st.lists(st.tuples(st.sampled_from(["SM1", "SM2"]), maybe).map(list), max_size=3), st.just([])
)
date_ranges = st.lists(dates, min_size=2, max_size=2, unique=True).map(sorted)
hashes = st.frozensets(st.integers(0, 2**48 - 1), max_size=3)
sums = st.tuples(*[st.integers(0, 2**48 - 1)] * 5)
packed = st.dictionaries(st.integers(0, 2**64 - 1), sums | hashes, max_size=3).map(pack)
read = st.dictionaries(st.sampled_from(["messages", "message_media"]), packed.filter(bool), max_size=2)
time_slices = date_ranges.flatmap(
    lambda bounds: st.builds(TimeSlice, st.just(bounds[0]), st.just(bounds[1]), checkpoints, read)
)
tables = st.just(["messages"])
refreshes = date_ranges.flatmap(
    lambda bounds: st.builds(
        OpenRefresh,
        dates,
        tables,
        checkpoint=checkpoints,
        since=st.just("") | st.just(bounds[0]),
        until=st.just("~") | st.just(bounds[1]),
        dated_by=st.none() | st.just("messages"),
    )
)
partitions = st.builds(
    Partition,
    **dict.fromkeys(
        (
            "date_updated",
            "lookback_done_at",
            "resend_listed_before",
            "deferred_before",
            "finished_at",
            "rescanned_at",
            "empty_at",
        ),
        maybe,
    ),
    start_date=st.just("") | maybe,
    resend_created_before=st.just("~") | maybe,
    fingerprints=packed,
    rescan_fingerprints=packed,
    visited=packed,
    rescan_visited=packed,
    visited_for=st.none() | st.just("message_media"),
    unconfirmed=packed,
    imported_bookmark=maybe,
    selection=st.none() | st.sampled_from(["aa", "bb"]),
    pages=st.none() | st.integers(0, 9),
    backfill=st.none()
    | st.builds(
        OpenBackfill, dates, tables, st.just(0), checkpoints, st.none() | st.lists(time_slices, min_size=1), dates
    ),
    rescan=st.none() | st.builds(OpenRescan, dates, tables, st.just(0), st.integers(0, 9), checkpoints),
    refreshes=st.none() | st.lists(refreshes, min_size=1, max_size=2),
    full=st.none()
    | st.builds(FullTableRead, st.integers(1, 9), dates, st.just([]), st.just(0), checkpoints, st.booleans()),
)
streams = st.builds(
    StreamState,
    st.none() | st.integers(1, 9),
    st.none() | st.just("3 00ff"),
    maybe,
    st.booleans(),
    st.just({}),
    st.dictionaries(st.sampled_from(ACCOUNTS), partitions, max_size=5),
)


@st.composite
def states(draw: st.DrawFn) -> Json:
    """A state as the tap writes it."""
    state = State()
    for name in draw(st.sets(st.sampled_from(NAMES), min_size=1)):
        found, drawn = state.stream(name), draw(streams)
        used = {part.selection for part in drawn.partitions.values() if part.selection}
        drawn.selections = {key: [f"of {key}"] for key in used}
        if name == "addresses":  # has no filter, and so no time slices
            for part in drawn.partitions.values():
                if part.backfill:
                    part.backfill.time_slices = None
        vars(found).update(vars(drawn))
    written: Json = json.loads(json.dumps(state.dump(dict.fromkeys(NAMES, ACCOUNTS))))
    return written


OLD_FORM = {"bookmarks": {name: {"date_updated": "2026-01-01", "accounts": {ACCOUNTS[0]: {"pages": 1}}}
                          for name in NAMES}}  # fmt: skip
FOREIGN = {"bookmarks": {name: {"date_sent": "2026-01-01T00:00:00Z"} for name in NAMES}}


def merged(new: Any, old: Any) -> Any:
    """As Meltano does it: objects are merged at every depth, no key is ever removed, and anything else is replaced."""
    if not isinstance(new, dict) or not isinstance(old, dict):
        return new
    return {**old, **{name: merged(value, old.get(name)) for name, value in new.items()}}


@given(states(), states() | st.just(OLD_FORM) | st.just(FOREIGN))
def test_an_older_state_under_the_new_one_changes_nothing(new: Json, old: Json) -> None:
    """After an interrupted full refresh, say: what the new state holds of a stream is what is read of it."""
    alone, over = State(new), State(merged(new, old))
    for name in new["bookmarks"]:
        assert over.stream(name) == alone.stream(name)


@given(states())
def test_what_is_written_is_what_is_read(new: Json) -> None:
    """And every key is there, null for none."""
    state = State(new)
    for name in new["bookmarks"]:
        state.stream(name)
    assert json.loads(json.dumps(state.dump(dict.fromkeys(NAMES, ACCOUNTS)))) == new
    for bookmark in new["bookmarks"].values():
        assert bookmark.keys() == {
            "date_updated",
            "version",
            "content_hash",
            "written_at",
            "blocked",
            "selections",
            "partitions",
        }
        for _, part in bookmark["partitions"]:
            assert part.keys() == {field.name for field in fields(Partition)}


def test_a_thousand_idle_accounts_take_no_more_room_than_their_names() -> None:
    """One value a stream; which accounts it is for is written once."""
    state, accounts = State(), [f"AC{number:032x}" for number in range(1000)]
    for stream in STREAMS:
        for account in accounts:
            part = state.partition(stream.name, account)
            part.date_updated = part.lookback_done_at = part.finished_at = "2026-03-01T00:00:00.000000Z"
            part.feedback_progress = FeedbackProgress(late_starts_done_at="2026-03-01T00:00:00.000000Z")
    size = len(json.dumps(state.dump({stream.name: accounts for stream in STREAMS})))
    assert size < 40_000 + 1_020 * len(STREAMS)


def test_accounts_of_another_stream_keep_their_meaning_when_states_are_merged() -> None:
    """A name for many accounts stands for its content, so that no later state can change whose bookmark it is."""
    first, second = State(), State()
    for number in range(4):
        first.partition("calls", ACCOUNTS[number]).finished_at = "2026-03-01T00:00:00.000000Z"
    for account in ACCOUNTS:
        second.partition("messages", account).finished_at = "2026-04-01T00:00:00.000000Z"
    over = State(merged(second.dump({}), first.dump({})))
    assert set(over.stream("calls").partitions) == set(ACCOUNTS[:4])
    assert set(over.stream("messages").partitions) == set(ACCOUNTS)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"bookmarks": {}},
        {"bookmarks": {"calls": "2026-01-01", "messages": {"date_updated": "2026-01-01T00:00:00Z"}, "faxes": None}},
        {"bookmarks": {"calls": "2026-01-01"}, "currently_syncing": "calls"},
        {"format": FORMAT, "bookmarks": {"calls": {"partitions": []}}, "accounts": {}},
    ],
)
def test_this_format_and_bookmarks_alone_are_accepted(value: Json) -> None:
    """A state that was read and written bears the format; so does one without some streams."""
    state = State(value)
    assert state.dump({})["format"] == state.without([])["format"] == FORMAT
    assert State(state.dump({})).dump({}) == state.dump({})


@pytest.mark.parametrize(
    "value",
    [
        {"bookmarks": {"calls": {"date_updated": None, "partitions": [[["AC"], {"swept": "2026-01-01"}]]}}},
        {"bookmarks": {"a stream to come": {"partitions": []}}},
        {"bookmarks": {"calls": "2026-01-01"}, "accounts": {}},
        {"format": "exact-tap-twilio 2", "bookmarks": {"calls": "2026-01-01"}},
        {"format": 1, "bookmarks": {}},
    ],
)
def test_another_format_is_refused_as_a_whole(value: Json) -> None:
    """Half of such a state, read by names that it shares with this format, would leave rows out."""
    with pytest.raises(TapError, match=r"another format than exact-tap-twilio 1.*leave --state out"):
        State(value)


def test_a_deep_merge_over_another_taps_bookmarks_keeps_the_format() -> None:
    """Meltano merges a partial state into the one before."""
    before = {"bookmarks": {"calls": "2026-01-01", "messages": {"date_updated": "2026-01-01T00:00:00Z"}}}
    state = State(before)
    state.partition("messages", ACCOUNTS[0]).finished_at = "2026-03-01T00:00:00.000000Z"
    over = State(merged(before, state.dump({})))
    assert over.stream("messages").partitions[ACCOUNTS[0]].finished_at == "2026-03-01T00:00:00.000000Z"
    assert over.stream("calls").imported == "2026-01-01T00:00:00.000000Z"
