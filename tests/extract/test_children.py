"""
Test that the children of each new or changed row are read, whatever the row's dates say, on every way of reading.

The parents have all kinds of children. They change without a date, are listed late, or are visited too early.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.errors import Refused
from tap_twilio.extract import strategy
from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.streams import children
from tap_twilio.streams.model import AllParents, OpenParents, RecentParents, Stream
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.timestamps import from_datetime as text
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Fetch, Page
from testing.family_tap import FamilyTap
from testing.histories import (
    ACCOUNT,
    DAY,
    FEW,
    HOUR,
    START,
    STREAM,
    Pages,
    TwilioList,
    live,
    rfc2822,
)

SEEDS = st.integers(0, 10**9)
# By stream: the properties that a row with children must have.
SHOWN: dict[str, dict[str, Any]] = {
    "messages": {"num_media": "1"},
    "calls": {"status": "completed"},
    "recordings": {"status": "completed"},
    "recording_add_on_results": {"status": "completed"},
    "video_rooms": {"status": "in-progress"},
    "video_room_participants": {"status": "connected"},
    "studio_executions": {"status": "active"},
}
FAMILIES = {
    "messages": ("message_media",),
    "calls": ("call_events", "call_feedback"),
    "recordings": ("recording_add_on_results", "recording_add_on_result_payloads"),
    "video_rooms": ("video_room_participants", "video_published_tracks"),
    "studio_flows": ("studio_flow_revisions", "studio_executions", "studio_execution_steps"),
    "addresses": ("dependent_phone_numbers",),
    "taskrouter_workspaces": ("taskrouter_events",),
}
BELOW = [(root, child) for root, tree in FAMILIES.items() for child in tree]


class Families(TwilioList):
    """A list with the children of each row. Each child has a tag of its own."""

    def __init__(self, rng: random.Random, stream: str, order: str = "created") -> None:
        super().__init__(rng, stream, order, "taken", timedelta(0))
        self.without_date_updated, self.hollow, self.hides_null = False, 0, True
        self.children_by_path: dict[str, list[dict[str, Any]]] = {}  # by path
        self.tags: dict[str, set[str]] = {name: set() for name in FAMILIES[stream]}
        self.refused: Counter[str] = Counter()  # how many more times a path answers 404
        self.hidden: Counter[str] = Counter()  # how many more times a path is listed empty
        self.visited_paths: list[str] = []

    def add(self, created: datetime | None = None) -> None:
        super().add(created)
        row = next(reversed(self.rows.values()))
        if self.column != "date_created":
            row[self.column] = row["date_created"]
        row.update(SHOWN.get(self.stream.name, {}))
        self.add_children(self.stream, row, {}, row["shown"])

    def add_children(self, stream: Stream, row: dict[str, Any], values: dict[str, str], at: datetime) -> None:
        """Add a row to each child list of a row, and to the child lists of that row."""
        for child in children(stream):
            if child.name not in self.tags or not child.parent:
                continue
            filled = {brace: str(row[name]) for brace, name in child.parent.path_params.items()}
            path = ListEndpoint(child, ACCOUNT, 50, values=filled).path
            self.count += 1
            sid = f"R{self.count:05d}"
            made = {"sid": sid, "revision": self.count, "tag": sid, **values, **filled}
            made |= {"date_created": rfc2822(at), "date_updated": rfc2822(at)}
            made |= SHOWN.get(child.name, {}) | {"event_date": f"{at:%Y-%m-%dT%H:%M:%SZ}", "quality_score": 1}
            if isinstance(child.parent.visit, RecentParents):
                made["sid"] = row["sid"]
                self.children_by_path[path] = [made]
                self.tags[child.name] -= {sid}
            else:
                self.children_by_path.setdefault(path, []).append(made)
            self.tags[child.name].add(sid)
            self.add_children(child, made, {**values, **filled}, at)

    def happen(self) -> None:
        """Add a row, or change one and its children, with or without a new date."""
        if self.rng.random() < 0.4 or not self.rows:
            return self.add()
        self.change(self.rng.choice(list(self.rows.values())), silently=self.rng.random() < 0.5)
        return None

    def change(self, row: dict[str, Any], silently: bool = True) -> None:
        row["value"] += 1
        if not silently:
            row["date_updated"] = self.now
        if "call_feedback" not in self.tags:
            self.add_children(self.stream, row, {}, self.now)

    def answer(self, ask: Fetch) -> Page:
        path = urlsplit(ask.uri).path
        root = ListEndpoint(self.stream, ACCOUNT, 50).path
        single = path.removesuffix(".json").removeprefix(root.removesuffix(".json")).count("/") <= 1
        if path == root or (not ask.rows_property and single and path not in self.children_by_path):
            return super().answer(ask)
        folder, key = path.removesuffix(".json").rsplit("/", 1)
        rows = [*self.children_by_path.get(folder, ()), *self.children_by_path.get(f"{folder}.json", ())]
        if items := [dict(row) for row in rows if row["sid"] == key and not ask.rows_property]:
            return Page(items, None, text(self.now))
        self.visited_paths.append(path)
        for answers in (self.refused, self.hidden):
            if answers[path]:
                answers[path] -= 1
                if answers is self.refused:
                    raise Refused(404, 20404, "not yet", path)
                return Page([], None, text(self.now))
        if path not in self.children_by_path:
            raise Refused(404, 20404, "not found", path)
        return Page([dict(row) for row in self.children_by_path[path]], None, text(self.now))


class Tap(FamilyTap):
    """The tap, and the tags of the rows that it emitted, by table."""

    twilio: Families

    def __init__(self, twilio: Families, *selected: str) -> None:
        super().__init__(twilio)
        self.selected = selected or (twilio.stream.name, *FAMILIES[twilio.stream.name])
        self.tags: dict[str, set[str]] = {name: set() for name in self.selected}
        self.version = 0
        self.given_up = 0
        self.states: list[Any] = []  # each that could be written

    def sync(self, way: str = "", lives: int | None = None, chatter: float = 0.0, **given: Any) -> bool:
        """Run a sync on one of the `WAYS`. Return whether it succeeded."""
        self.twilio.visited_paths = []
        budget, requests = given.pop("budget", 10**6), given.pop("requests", 5000)
        succeeded = self.run(
            self.selected,
            Pages(self.twilio, chatter, lives, lambda: self.states.append(self.dump(self.selected))),
            {"page_size": 3, "call_feedback_source": "feedback", "max_child_requests": requests},
            {"page_size": 3, "short_pages": 300, **given},
            budget,
            0 if way == "full state" else 10**6,
            self._read_version if way == "FULL_TABLE" else strategy.sync,
        )
        self.states.append(self.written)
        self.given_up += sum(child_stream.given_up for child_stream in self.reading.child_streams)
        return succeeded

    def _read_version(self, reading: PartitionRead) -> Read:
        self.version += 1
        return strategy.full(reading, self.version)

    def take(self, emit: Emit) -> None:
        self.tags[emit.table.name] |= {row.get("tag", row["sid"]) for row in map(json.loads, emit.records)}

    def missing(self) -> dict[str, set[str]]:
        found = {name: self.twilio.tags[name] - self.tags[name] for name in self.selected if name in self.twilio.tags}
        return {name: tags for name, tags in found.items() if tags}


def families(seed: int, stream: str, *selected: str, rows: int = 14) -> tuple[Families, Tap]:
    twilio = Families(random.Random(seed), stream)
    for number in range(rows):
        twilio.add(START - (number + 1) * 25 * HOUR)
    return twilio, Tap(twilio, *selected)


WAYS: dict[str, dict[str, Any]] = {
    "first read": {},
    "first slices": {"short_pages": 1},
    "look-back": {"budget": 1},
    "look-back by slices": {"lookback_pages": 0, "short_pages": 0},
    "rescan": {"budget": 2, "lookback": timedelta(0)},
    "FULL_TABLE": {},
    "full state": {},
}
DATED = ("look-back by slices", "full state")  # contents are not compared


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("root", "selected"),
    [(root, (child,)) for root, child in BELOW] + [(root, (root, *children)) for root, children in FAMILIES.items()],
    ids=[child for _, child in BELOW] + [f"all of {root}" for root in FAMILIES],
)
def test_every_kind_of_child_gets_its_rows_on_every_way_of_reading(
    way: str, root: str, selected: tuple[str, ...]
) -> None:
    """Children of old rows, changed rows and rows listed late arrive, with one table selected and with all of them."""
    twilio, tap = families(7, root, *selected)
    given = dict(WAYS[way])
    assert tap.sync(way, **given) or way == "first slices"
    for _ in range(8):
        twilio.now += HOUR
        tap.sync(way, **given)
    assert not tap.missing(), (way, selected)
    newest, oldest = list(twilio.rows.values())[1], list(twilio.rows.values())[-2]
    for row in (newest,) if way.startswith("look-back") else (newest, oldest):
        twilio.change(row, silently=way not in DATED)
    twilio.now += 9 * HOUR
    if way not in (*DATED, "look-back"):
        twilio.add(twilio.now - 10 * DAY)  # Twilio lists it ten days late
    for _ in range(1 if way in ("look-back", "look-back by slices", "FULL_TABLE") else 8):
        assert tap.sync(way, **given)
        twilio.now += HOUR
    assert not tap.missing(), (way, selected)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "full state"])
@pytest.mark.parametrize("root", FAMILIES)
def test_without_changes_no_row_is_visited_again(way: str, root: str) -> None:
    """Except for open rows, logs and recent calls, which every sync visits."""
    twilio, tap = families(11, root)
    for _ in range(12):
        twilio.now += HOUR
        assert tap.sync(way, **WAYS[way])
    visited_again = {path.split("/")[-1].removesuffix(".json") for path in twilio.visited_paths}
    for child in map(STREAM.__getitem__, FAMILIES[root]):
        visit = child.parent.visit if child.parent else None
        last = child.path.split("/")[-1]
        assert (last in visited_again) <= isinstance(visit, (AllParents, OpenParents, RecentParents)), (way, child.name)


@FEW
@given(SEEDS, st.sampled_from(sorted(FAMILIES)))
def test_kills_and_older_states_lose_no_child(seed: int, root: str) -> None:
    """After kills at any page, and after an older STATE was restored, later syncs emit every row."""
    twilio, tap = families(seed, root, rows=random.Random(seed).randrange(0, 12))
    rng = twilio.rng
    for _ in range(rng.randrange(2, 8)):
        live(twilio)
        lives = rng.randrange(0, 60) if rng.random() < 0.5 else None
        way = rng.choice(("", "", "FULL_TABLE"))
        tap.sync(way, lives, 0.2, budget=rng.randrange(1, 9), short_pages=rng.choice((0, 1, 300)))
        if rng.random() < 0.3:
            tap.written = rng.choice(tap.states)
    for _ in range(25):
        twilio.now += 3 * HOUR
        assert tap.sync(budget=9)
    assert not tap.missing()


@pytest.mark.parametrize("requests", [1, 3])
def test_a_few_requests_a_sync_come_to_every_row(requests: int) -> None:
    """`max_child_requests`: if a chunk has more rows than a sync may visit, the next sync continues there."""
    twilio, tap = families(3, "messages")
    for syncs in range(1, 30):
        twilio.now += HOUR
        tap.sync(requests=requests)
        assert len(tap.tags["message_media"]) >= min(14, requests * syncs)
    assert not tap.missing()


@pytest.mark.parametrize("root", ["messages", "recordings", "studio_flows", "video_rooms"])
def test_a_list_that_answers_404_once_is_read_again_by_a_later_sync(root: str) -> None:
    """At every level, although no row of the parents changed."""
    twilio, tap = families(5, root, rows=3)
    twilio.refused.update(list(twilio.children_by_path))
    for _ in range(4):
        twilio.now += HOUR
        assert tap.sync()
    assert not tap.missing()


@pytest.mark.parametrize("root", ["messages", "recordings"])
def test_a_list_that_always_answers_404_is_left_in_the_end(root: str) -> None:
    """A 404 counts if the parent answers 404 too, or if the list repeats it."""
    twilio, tap = families(5, root, rows=3)
    twilio.children_by_path.clear()
    visits = []
    for _ in range(4):
        twilio.now += HOUR
        assert tap.sync()
        visits.append(len(twilio.visited_paths))
    assert visits[0]
    assert not visits[-1]


def test_an_empty_list_whose_parent_announces_rows_is_read_again() -> None:
    """`num_media` is above 0: each sync reads the media until Twilio lists them, or for seven days."""
    twilio, tap = families(5, "messages", rows=0)
    twilio.add(twilio.now)
    (path,) = twilio.children_by_path
    twilio.hidden[path] = 3
    for _ in range(4):
        twilio.now += HOUR
        assert tap.sync()
        assert twilio.visited_paths == [path]
    assert not tap.missing() and not tap.given_up
    assert tap.sync() and not twilio.visited_paths


def test_a_list_that_stays_empty_is_given_up_after_seven_days() -> None:
    """The sync that gives up reports it once."""
    twilio, tap = families(5, "messages", rows=0)
    twilio.add(twilio.now)
    (path,) = twilio.children_by_path
    twilio.hidden[path] = 1000
    for day in range(1, 10):
        twilio.now += DAY
        assert tap.sync()
        assert len(twilio.visited_paths) == (day <= 7)
        assert tap.given_up == (day >= 7)


def test_media_that_come_to_an_old_message_without_a_date_are_read() -> None:
    """Only num_media changes, from 0 to 1."""
    twilio, tap = families(5, "messages")
    row = list(twilio.rows.values())[9]
    row["num_media"] = "0"
    (path,) = (path for path in twilio.children_by_path if row["sid"] in path)
    (media,) = twilio.children_by_path[path]
    twilio.tags["message_media"] -= {media["tag"]}
    for _ in range(3):
        twilio.now += HOUR
        assert tap.sync()
    assert media["tag"] not in tap.tags["message_media"]
    row["num_media"] = "1"
    twilio.now += HOUR
    assert tap.sync()
    assert media["tag"] in tap.tags["message_media"]
    assert twilio.visited_paths == [path]


def test_a_child_selected_later_is_read_below_every_row() -> None:
    """Its parent was read before, for another child."""
    twilio, _ = families(5, "recordings")
    tap = Tap(twilio, "recordings", "recording_add_on_result_payloads")
    for _ in range(3):
        twilio.now += HOUR
        assert tap.sync()
    tap.selected = ("recordings", *FAMILIES["recordings"])
    tap.tags["recording_add_on_results"] = set()
    twilio.now += HOUR
    assert tap.sync()
    assert not tap.missing()


def test_two_chunks_never_share_a_fingerprint() -> None:
    """100,000 child lists have 100,000 keys. Two lists with one key would be emitted in every sync."""
    from tap_twilio.changes.hashes import last_chunk_key

    keys = {last_chunk_key(unsliceable, f"{number:032x}") for number in range(100_000) for unsliceable in (0, 1)}
    assert len(keys) == 200_000
    assert max(keys) > 2**63
