"""
A state in shards: processes that each sync some accounts, and then one state again, arrive where one process arrives.

Whole syncs run here in this process, over real HTTP to a simulated Twilio, since a history takes many of them.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import Server, Twilio, serve
from tap_twilio.run.sync import Sync
from tap_twilio.settings import settings_from
from tap_twilio.singer.catalog import discover, selected_streams
from tap_twilio.singer.output import Output
from tap_twilio.state.shards import fingerprint_bytes_by_account, grouped, merge, split
from tap_twilio.state.store import State
from testing.taps import Json
from tests.state.test_model import ACCOUNTS, states

FULL = "addresses"  # read as a full table
OF_AN_ACCOUNT = ("messages", "calls", "call_feedback", "message_media", "conferences", FULL)
OF_NONE = ("accounts", "pricing_voice_countries")  # read in the main account alone
Key = tuple[str, ...]
Emitted = dict[str, list[tuple[Key, Json]]]


def assigned(accounts: Sequence[str], rng: random.Random) -> list[list[str]]:
    """Each account in one of some groups."""
    groups: list[list[str]] = [[] for _ in range(rng.randint(2, 3))]
    for account in accounts:
        rng.choice(groups).append(account)
    return [group for group in groups if group]


@given(states(), st.randoms(use_true_random=False))
def test_shards_make_the_whole_again(written: Json, rng: random.Random) -> None:
    """
    Whatever a state holds, and however its accounts are grouped: a sync reads the same of the join as of the state.

    No account stands in two shards with what is known of it.
    """
    groups = assigned(ACCOUNTS, rng)
    shards = split(State(written), groups)
    joined, said = merge([(str(number), State(shard)) for number, shard in enumerate(shards)])
    before, after = State(written), State(json.loads(json.dumps(joined)))

    assert not said
    for name in written["bookmarks"]:
        assert after.stream(name) == before.stream(name)
    for group, shard in zip(groups, shards):
        assert set(fingerprint_bytes_by_account(State(shard))) <= set(group)


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 99), max_size=9), st.integers(1, 9))
def test_groups_are_about_even(sizes: dict[str, int], number: int) -> None:
    """Each account is in one of them, none is empty, and no group has more than another without its last account."""
    groups = grouped(sizes, number)
    assert sorted(account for group in groups for account in group) == sorted(sizes)
    assert len(groups) == min(number, len(sizes)) and all(groups)
    weights = [sum(sizes[account] for account in group) for group in groups]
    assert all(max(weights) - weight <= max(sizes.values()) for weight in weights)


# Syncs ----------------------------------------------------------------------------------------------------------------


@cache
def catalog(with_main: bool) -> Json:
    """What of discovery's catalog a process reads."""
    names = OF_AN_ACCOUNT + (OF_NONE if with_main else ())
    streams = [entry for entry in discover()["streams"] if entry["tap_stream_id"] in names]
    for entry in streams:
        about = next(item["metadata"] for item in entry["metadata"] if not item["breadcrumb"])
        about["selected"] = True
        if entry["tap_stream_id"] == FULL:
            about["replication-method"] = "FULL_TABLE"
    return {"streams": streams}


class World:
    """A warehouse and the state of who fills it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.state: Json = {}
        self.rows: dict[str, dict[Key, Json]] = {}
        self.versions: dict[str, dict[Key, Any]] = {}

    def sync(self, accounts: Sequence[str], state: Json, rng: random.Random | None = None, **more: Any) -> Any:
        """
        Sync these accounts; the state that the sync ends with, and the rows that it wrote, by stream and key.

        With `rng`, the sync dies somewhere: what it wrote after that STATE was loaded, or not.
        """
        main = self.server.twilio.main
        raw = {
            "account_sid": main,
            "auth_token": self.server.twilio.auth_token,
            "base_url": f"{self.server.url}/{{product}}",
            "subaccounts": list(accounts),
            "page_size": 10,
            "state_seconds": 0 if rng else 10,
            **more,
        }
        with tempfile.TemporaryFile() as file:
            run = Sync(
                settings_from(raw, {})[0],
                selected_streams(catalog(main in accounts)),
                State(state or None),
                Output(file.fileno()),
            )
            assert run.run() == 0
            file.seek(0)
            messages = [json.loads(line) for line in file]
        if rng:
            ends = [number for number, message in enumerate(messages) if message["type"] == "STATE"]
            end = rng.choice(ends)
            state = messages[end]["value"]
            messages = messages[: rng.choice((end, rng.randint(end, len(messages))))]
        else:
            state = messages[-1]["value"]
        return state, self._load(messages)

    def _load(self, messages: Iterable[Json]) -> Emitted:
        keys: dict[str, list[str]] = {}
        emitted: Emitted = {}
        for message in messages:
            name = message.get("stream", "")
            rows, versions = self.rows.setdefault(name, {}), self.versions.setdefault(name, {})
            if message["type"] == "SCHEMA":
                keys[name] = message["key_properties"]
            elif message["type"] == "RECORD":
                record = {**message["record"], "received_at": None}
                key = tuple(str(record[one]) for one in keys[name])
                rows[key], versions[key] = record, message.get("version")
                emitted.setdefault(name, []).append((key, record))
            elif message["type"] == "ACTIVATE_VERSION":
                for key in [key for key in rows if versions[key] != message["version"]]:
                    del rows[key], versions[key]
        for of in emitted.values():
            of.sort(key=str)
        return emitted

    def sync_in_shards(self, groups: list[list[str]], rng: random.Random, dies: bool, **more: Any) -> Emitted:
        """Split, sync each shard with its accounts only, merge; the rows that all of them wrote."""
        shards = []
        emitted: Emitted = {}
        for group, shard in zip(groups, split(State(self.state or None), groups)):
            state, written = self.sync(group, shard, rng if dies else None, **more)
            for name, rows in written.items():
                emitted[name] = sorted([*emitted.get(name, []), *rows], key=str)
            shards.append((",".join(group), State(json.loads(json.dumps(state)))))
        rng.shuffle(shards)
        self.state, said = merge(shards)
        assert not said
        return emitted


@contextmanager
def lived(rng: random.Random) -> Iterator[tuple[Twilio, Server]]:
    """A Twilio of three accounts with some past."""
    twilio = Twilio(seed=rng.randrange(1000), start="2025-10-01", accounts=3).at("2026-01-01")
    for account in [row["sid"] for row in twilio.present("accounts")]:
        past = {"account": account, "since": "2025-10-01", "until": "2025-12-30"}
        twilio.messages(rng.randint(0, 40), **past)
        twilio.messages(rng.randint(0, 5), status="scheduled", **past)
        twilio.calls(rng.randint(0, 9), **past)
        twilio.conferences(rng.randint(0, 5), **past)
        twilio.addresses(rng.randint(0, 15), **past)
    twilio.add("pricing_voice_countries", twilio.main, n=3)
    with serve(twilio) as server:
        yield twilio, server


def live(twilio: Twilio, rng: random.Random) -> None:
    """Some hours or days pass, and old rows change or go."""
    twilio.advance(rng.choice((1, 3, 30)), busy=2)
    for row in rng.sample(twilio.present("messages"), 3):
        twilio.change(row["sid"], silently=rng.random() < 0.5, body=str(rng.random()))
    for row in rng.sample(twilio.present(FULL), min(2, len(twilio.present(FULL)))):
        twilio.delete(row["sid"])


@settings(max_examples=settings().max_examples // 10)
@given(st.integers(0, 10**9))
def test_syncs_in_shards_equal_syncs_of_all(seed: int) -> None:
    """
    In what the warehouse holds, and in what the next sync of all writes: the same rows, and no other.

    A full table's deleted rows leave with that sync, and it writes the whole of one that was read in shards.
    """
    rng = random.Random(seed)
    with lived(rng) as (twilio, server):
        accounts = [row["sid"] for row in twilio.present("accounts")]
        one, several = World(server), World(server)
        if rng.random() < 0.7:
            one.state, _ = one.sync(accounts, one.state)
            several.state, _ = several.sync(accounts, several.state)
            live(twilio, rng)
        for _ in range(rng.randint(1, 2)):
            knew = bool(several.state)
            one.state, written = one.sync(accounts, one.state)
            of_shards = several.sync_in_shards(assigned(accounts, rng), rng, dies=False)
            assert {**of_shards, FULL: []} == {**written, FULL: []}
            for name in {*OF_AN_ACCOUNT, *OF_NONE} - {FULL}:
                assert several.rows.get(name) == one.rows.get(name), name
            assert not knew or several.rows[FULL].items() >= one.rows[FULL].items()
            live(twilio, rng)
        one.state, written = one.sync(accounts, one.state)
        several.state, of_shards = several.sync(accounts, several.state)

        assert several.rows == one.rows
        written.pop(FULL, None)
        of_shards.pop(FULL, None)
        assert of_shards == written
        assert several.sync(accounts, several.state)[1] == {}


@pytest.mark.long
@settings(max_examples=settings().max_examples // 5)
@given(st.integers(0, 10**9))
def test_shards_that_die_with_little_budget_lose_no_row(seed: int) -> None:
    """Killed anywhere, with histories longer than the budget: syncs of all bring what one that reads all anew holds."""
    rng = random.Random(seed)
    with lived(rng) as (twilio, server):
        accounts = [row["sid"] for row in twilio.present("accounts")]
        several = World(server)
        for _ in range(rng.randint(1, 3)):
            more = {"rescan_pages": rng.choice((1, 3, 500)), "lookback_days": rng.choice((0, 15))}
            several.sync_in_shards(assigned(accounts, rng), rng, dies=rng.random() < 0.5, **more)
            live(twilio, rng)
        for _ in range(3):
            several.state, _ = several.sync(accounts, several.state)
        fresh = World(server)
        fresh.sync(accounts, {})
        for name, rows in fresh.rows.items():
            held = several.rows[name]
            assert {key: held.get(key) for key in rows} == rows, name
        assert several.rows[FULL] == fresh.rows[FULL]
