"""
A state that somebody edited: either the tap goes on from it, or one line names the place that is malformed.

Real states, of runs that stopped halfway, with something else, or nothing, in the place of each of their values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import reduce
from typing import Any

import pytest

from sandbox import Twilio, serve
from tests.taps import Json, Tap

GONE = object()
ODD: tuple[Any, ...] = (None, 7, -1, True, "", "x", [], {}, [1], {"a": 1}, GONE)
ONE_FOR_ALL = re.compile(r"[A-Z]{2}[0-9a-f]{32}|^[0-9a-f]{8}$|^[0-9]+$")  # SIDs, selections and indices

Place = tuple[Any, ...]


@pytest.fixture(scope="module")
def tap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tap]:
    twilio = Twilio(seed=6)
    span = ("2026-01-02T00:00:00Z", "2026-02-20T00:00:00Z")
    for stream, rows in (("messages", 200), ("calls", 30), ("conferences", 20), ("transcriptions", 40)):
        twilio.bulk(stream, rows, *span)
    twilio.at("2026-02-21T00:00:00Z")
    with serve(twilio) as server:
        settings: Json = {"concurrency": 1, "feedback_requests": 3, "call_feedback_source": "feedback"}
        yield Tap(server, tmp_path_factory.mktemp("state"), page_size=5, state_seconds=0, **settings)


def opened(tap: Tap, stream: str, *place: Any, full_table: bool = False, **settings: Any) -> Json:
    """A stream's part of the state, as it was when a run first wrote it with such a place in it."""
    run = tap.select(stream, full_table=[stream] if full_table else []).run(**settings)
    for state in run.states:
        part: Json = state["bookmarks"][stream]
        try:
            reduce(lambda value, key: value[key], place, part["accounts"].get(tap.twilio.main, {}))
        except (KeyError, IndexError):
            continue
        return part
    raise AssertionError(f"no state with {place}")


@pytest.fixture(scope="module")
def states(tap: Tap) -> list[Json]:
    """Two states that hold, together, all that a state can."""
    tap.state = None
    parts = {
        "messages": opened(tap, "messages", "backfill", "slices", 0, "place"),
        "conferences": opened(tap, "conferences", "full", "place", full_table=True),
        "call_feedback": opened(tap, "call_feedback", "calls", "backfill", "place"),
    }
    later = {}
    for stream, place in (("transcriptions", ("round", "place")), ("call_feedback", ("window", "cursor"))):
        tap.state = tap.select(stream).run().states[-1]
        later[stream] = opened(tap, stream, *place, sweep_pages=1, lookback_days=1)
    for name, value in (("owed", "2026-02-01T00:00:00.000000Z"), ("refill", "~"), ("pages", 4)):
        later["transcriptions"]["accounts"][tap.twilio.main].setdefault(name, value)
    return [{"bookmarks": parts}, {"bookmarks": later}]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every place in a state, of containers and of what they hold; of those that are alike, the first."""
    met = set()
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        kind = ONE_FOR_ALL.sub("*", str(key))
        if kind not in met:
            met.add(kind)
            yield (*place, key)
            if isinstance(inner, (dict, list)):
                yield from places(inner, (*place, key))


def edited(state: Json, place: Place, value: Any) -> Json:
    copy: Json = json.loads(json.dumps(state))
    holder = reduce(lambda inner, key: inner[key], place[:-1], copy)
    if value is GONE:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return copy


def end_well(tap: Tap, state: Json, place: Place, value: Any) -> int:
    tap.state = edited(state, place, value)
    run = tap.select(*(state["bookmarks"]), full_table=["conferences"]).run()
    at = ".".join(map(str, place[:-1] if value is GONE else place))
    what = f"{place} = {value}: {run.log[-500:]}"
    if run.exit_code == 1:
        (line,) = [line for line in run.said if line.startswith("The state is malformed at ")]
        assert f"{line.split(' at ')[1].split(':')[0]}.".startswith(f"{at}."), what
        assert run.log.count("\n") == 1 and not run.lines, what
    else:
        assert run.exit_code in (0, 3), what
    return run.exit_code


def edits(states: list[Json]) -> list[tuple[Json, Place, Any]]:
    return [(state, place, value) for state in states for place in places(state) for value in ODD]


def test_the_states_hold_all_that_a_state_can(states: list[Json]) -> None:
    """Each name that the tap writes is among those that are edited."""
    names = {key for state in states for place in places(state) for key in place}

    assert names >= {
        *("date_updated", "looked_back", "start_date", "refill", "owed", "swept", "pages", "selection", "selections"),
        *("backfill", "round", "full", "window", "calls", "slices", "place", "page", "rows", "from", "to"),
        *("began", "list", "cursor", "version", "followed", "accounts"),
    }


def test_an_edited_state_is_taken_or_named(tap: Tap, states: list[Json]) -> None:
    """Never an error of the tap's own: what cannot be taken is named with its place. Sampled: one a place."""
    for state, place, value in edits(states)[:: len(ODD) + 1]:
        end_well(tap, state, place, value)


@pytest.mark.parametrize(
    ("stream", "place", "value"),
    [
        ("messages", ("backfill", "list"), 1),
        ("messages", ("backfill", "slices", 0, "to"), "2000-01-01"),
        ("messages", ("backfill", "slices", 0, "to"), "9999-12-31T23:59:59Z"),
        ("conferences", ("full", "list"), 4),
        ("call_feedback", ("calls", "backfill", "list"), 1),
    ],
    ids=str,
)
def test_what_would_lose_rows_without_a_word_is_named(
    tap: Tap, states: list[Json], stream: str, place: Place, value: Any
) -> None:
    """A list that the stream does not have, or a slice that ends before it begins, would be read in no time."""
    place = ("bookmarks", stream, "accounts", tap.twilio.main, *place)

    assert end_well(tap, states[0], place, value) == 1


@pytest.mark.parametrize("odd", [2**70, "\ud800"], ids=["number", "text"])
def test_a_state_that_cannot_be_written_again_is_refused_at_once(tap: Tap, states: list[Json], odd: Any) -> None:
    """Not by the first STATE line, when rows may have been read for an hour."""
    tap.state = {**states[0], "note": odd}
    run = tap.run()

    assert run.exit_code == 1 and run.log.startswith("CRITICAL The state is malformed at its top: "), run.log
    assert not run.lines


@pytest.mark.long
def test_every_edited_state_is_taken_or_named(tap: Tap, states: list[Json]) -> None:
    """The same with each value in each place."""
    for state, place, value in edits(states):
        end_well(tap, state, place, value)
