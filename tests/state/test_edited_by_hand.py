"""
Edit states by hand: either the tap continues from an edited state, or one line names the malformed value.

The states are real, from interrupted runs. Each of their values is replaced or removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import reduce
from typing import Any

import pytest

from sandbox import Twilio, serve
from tap_twilio.state.model import (
    Checkpoint,
    FeedbackProgress,
    FullTableRead,
    OpenBackfill,
    OpenRefresh,
    OpenRescan,
    Partition,
    TimeSlice,
)
from tap_twilio.state.store import FORMAT
from testing.taps import Json, Tap

GONE = object()
STREAMS = ("messages", "conferences", "transcriptions", "call_feedback", "addresses")
ODD: tuple[Any, ...] = (None, 7, -1, True, "", "x", [], {}, [1], {"a": 1}, GONE)
ONE_FOR_ALL = re.compile(r"[A-Z]{2}[0-9a-f]{32}|^[0-9a-f]{8}$|^[0-9]+$")  # SIDs, selections and indices
PAIRS = ("partitions", "rows", "cursor")  # lists whose first two items are no two of a kind
SET = "0123456789abcdef"

Path = tuple[Any, ...]  # the keys that lead to a value in a state


@pytest.fixture(scope="module")
def tap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tap]:
    twilio = Twilio(seed=6)
    dates = ("2026-01-02T00:00:00Z", "2026-02-20T00:00:00Z")
    for stream, rows in (("messages", 200), ("calls", 30), ("conferences", 20), ("transcriptions", 40)):
        twilio.bulk(stream, rows, *dates)
    twilio.at("2026-02-21T00:00:00Z")
    with serve(twilio) as server:
        settings: Json = {"concurrency": 1, "feedback_requests": 3, "call_feedback_source": "feedback"}
        yield Tap(server, tmp_path_factory.mktemp("state"), page_size=5, state_seconds=0, **settings)


def opened(tap: Tap, stream: str, *path: Any, full_table: bool = False, visit: str = "", **settings: Any) -> Json:
    """Return the bookmarks of the first state, in a run of `visit`, that has this path in the stream's partition."""
    run = tap.select(visit or stream, full_table=[stream] if full_table else []).run(**settings)
    for state in run.states:
        try:
            ((_, part),) = state["bookmarks"][stream]["partitions"]
            if reduce(lambda value, key: value[key], path, part) is not None:
                bookmarks: Json = state["bookmarks"]
                return bookmarks
        except (KeyError, IndexError, TypeError, ValueError):
            continue
    raise AssertionError(f"no state with {path}")


@pytest.fixture(scope="module")
def states(tap: Tap) -> list[Json]:
    """Two states that hold, together, all that a state can."""
    tap.state = None
    first = {
        **opened(tap, "messages", "backfill", "time_slices", 0, "checkpoint"),
        **opened(tap, "conferences", "full", "checkpoint", full_table=True),
        **opened(tap, "calls", "backfill", "checkpoint", visit="call_feedback"),
    }
    later: Json = {}
    for stream, path, visit in (
        ("transcriptions", ("rescan", "checkpoint"), "transcriptions"),
        ("call_feedback", ("feedback_progress", "cursor"), "call_feedback"),
    ):
        tap.state = None
        tap.state = tap.select(visit).run().states[-1]
        later |= opened(tap, stream, *path, visit=visit, rescan_pages=1, lookback_days=1)
    ((_, part),) = later["transcriptions"]["partitions"]
    timestamp = "2026-02-01T00:00:00.000000Z"
    part |= {
        "resend_listed_before": timestamp,
        "deferred_before": timestamp,
        "resend_created_before": "~",
        "pages": 4,
        "empty_at": timestamp,
    }
    part |= {"not_read": "failed", "by_date_from": timestamp, "syncs_left": 2}
    part["unread"] = [
        {
            "since": timestamp,
            "until": "2026-02-02T00:00:00.000000Z",
            "checkpoint": None,
            "partial_sums": {},
            "failed": True,
        }
    ]
    part["refreshes"] = [
        {
            "began": timestamp,
            "streams": ["transcriptions"],
            "list_index": 0,
            "checkpoint": None,
            "time_slices": None,
            "resend_listed_before": None,
            "read_ranges": [],
            "since": "2026-01-01T00:00:00.000000Z",
            "until": timestamp,
            "dated_by": "transcriptions",
        }
    ]
    ((_, part),) = later["call_feedback"]["partitions"]
    part["feedback_progress"]["late_starts_done_at"] = part["imported_bookmark"] = timestamp
    part["fingerprints"] = part["visited"] = part["rescan_visited"] = part["unconfirmed"] = "E2xJ4BNsSeAAAX/3xfxNSA=="
    part["visited_for"] = "call_feedback"
    tap.state = None
    later |= tap.select("addresses").run().states[-1]["bookmarks"]
    later["addresses"]["partitions"][0][0] = SET
    later["addresses"] |= {"content_hash": "3 00ff", "written_at": timestamp}
    alike = [tap.twilio.main, "AC" + "1" * 32, "AC" + "2" * 32]
    return [
        {"format": FORMAT, "bookmarks": first, "accounts": {}},
        {"format": FORMAT, "bookmarks": later, "accounts": {SET: alike}},
    ]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield each path in a state, of containers and of what they hold; of paths that are alike, the first."""
    met = set()
    pair = len(path) > 1 and path[-2] in PAIRS and isinstance(value, list) or path[-1:] == ("cursor",)
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        kind = str(key) if pair else ONE_FOR_ALL.sub("*", str(key))
        if kind not in met:
            met.add(kind)
            yield (*path, key)
            if isinstance(inner, (dict, list)):
                yield from paths(inner, (*path, key))


def named(path: Path) -> str:
    """Return a path as the tap writes it."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def edited(state: Json, path: Path, value: Any) -> Json:
    copy: Json = json.loads(json.dumps(state))
    holder = reduce(lambda inner, key: inner[key], path[:-1], copy)
    if value is GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return copy


def end_well(tap: Tap, state: Json, path: Path, value: Any) -> int:
    tap.state = edited(state, path, value)
    run = tap.select(*STREAMS, full_table=["conferences"]).run(page_size=100)
    at = named(path[:-1] if value is GONE else path)
    elsewhere = "bookmarks.addresses.partitions[0][0]" if path[0] == "accounts" else at  # names a set of accounts
    what = f"{path} = {value}: {run.log[-500:]}"
    if run.exit_code == 1 and path == ("format",):
        assert run.log.partition(" ")[2].startswith("CRITICAL The state has another format than "), what
        assert run.log.count("\n") == 1 and not run.lines, what
    elif run.exit_code == 1:
        (line,) = [line for line in run.said if line.startswith("The state is malformed at ")]
        told = line.split(" at ")[1].split(":")[0]
        assert told in (at, elsewhere) or told.startswith((f"{at}.", f"{at}[")) or (told == "its top" and not at), what
        assert run.log.count("\n") == 1 and not run.lines, what
    else:
        assert run.exit_code in (0, 3), what
    return run.exit_code


def edits(states: list[Json]) -> list[tuple[Json, Path, Any]]:
    return [(state, path, value) for state in states for path in paths(state) for value in ODD]


def test_the_states_hold_all_that_a_state_can(states: list[Json]) -> None:
    """Each name that the tap writes is among those that are edited."""
    names = {key for state in states for path in paths(state) for key in path}
    held: Json = {}  # by name, something that is not null
    for state in states:
        for path in paths(state):
            value = reduce(lambda inner, key: inner[key], path, state)
            held[path[-1]] = held.get(path[-1]) if value is None else value

    kinds = (Partition, OpenBackfill, OpenRefresh, TimeSlice, OpenRescan, FullTableRead, Checkpoint, FeedbackProgress)
    assert names >= {part.name for kind in kinds for part in fields(kind)}
    assert names >= {"bookmarks", "accounts", "version", "selections", "partitions"}
    assert {name for name, value in held.items() if value is None} == set()


def test_an_edited_state_is_taken_or_named(tap: Tap, states: list[Json]) -> None:
    """Never an error of the tap's own: what cannot be taken is named with its path. Sampled: one in twelve paths."""
    for state, path, value in edits(states)[:: 12 * len(ODD) + 1]:
        end_well(tap, state, path, value)


@pytest.mark.parametrize(
    ("stream", "path", "value"),
    [
        ("messages", ("backfill", "list_index"), 1),
        ("messages", ("backfill", "time_slices", 0, "until"), "2000-01-01"),
        ("messages", ("backfill", "time_slices", 0, "until"), "9999-12-31T23:59:59Z"),
        ("messages", ("backfill", "resend_listed_before"), None),
        ("conferences", ("full", "list_index"), 4),
        ("calls", ("backfill", "list_index"), 1),
        ("transcriptions", ("backfill",), {"began": "2026-02-01", "time_slices": []}),
    ],
    ids=str,
)
def test_what_would_lose_rows_without_a_word_is_named(
    tap: Tap, states: list[Json], stream: str, path: Path, value: Any
) -> None:
    """A list that the stream does not have, or a time slice that ends before it begins, would be read in no time."""
    path = ("bookmarks", stream, "partitions", 0, 1, *path)

    assert end_well(tap, states[stream not in states[0]["bookmarks"]], path, value) == 1


def test_a_log_without_unread_days_is_taken(tap: Tap, states: list[Json]) -> None:
    """An empty list says the same as null."""
    for state in states:
        for stream in state["bookmarks"]:
            assert end_well(tap, state, ("bookmarks", stream, "partitions", 0, 1, "unread"), []) in (0, 3)


@pytest.mark.parametrize("odd", [2**70, "\ud800"], ids=["number", "text"])
def test_a_state_that_cannot_be_written_again_is_refused_at_once(tap: Tap, states: list[Json], odd: Any) -> None:
    """Not by the first STATE line, when rows may have been read for an hour."""
    tap.state = {**states[0], "note": odd}
    run = tap.run()

    assert run.exit_code == 1 and run.log[21:].startswith("CRITICAL The state is malformed at its top: "), run.log
    assert not run.lines


@pytest.mark.long
def test_every_edited_state_is_taken_or_named(tap: Tap, states: list[Json]) -> None:
    """The same with each value in each path."""
    for state, path, value in edits(states):
        end_well(tap, state, path, value)
