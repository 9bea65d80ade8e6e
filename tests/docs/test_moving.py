"""From elsewhere: the files of singer-io's tap are taken as they are, and docs/moving.md has the tables right."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Twilio
from tap_twilio.streams import BY_NAME
from testing.taps import LISTED, Json, Tap, whole_lines
from tools.moving import AIRBYTE, PAGE, page, plural, theirs

MakeTap = Callable[..., Tap]
BOOKMARK = "2026-02-01T00:00:00.000000Z"
KINDS = {"date-time": {"type": ["null", "string"], "format": "date-time"}}


def config(tap: Tap) -> Json:
    """All that singer-io's tap reads of a config."""
    return {
        "account_sid": tap.settings["account_sid"],
        "auth_token": tap.settings["auth_token"],
        "start_date": "2026-01-01T00:00:00Z",
        "user_agent": "tap-twilio <api_user_email@your_company.com>",
        "date_window_days": "30",
        "lookback_window": 15,
    }


def catalog(properties: bool) -> Json:
    """What it discovers, with all streams selected; `properties`: and all properties, one by one, as Stitch does it."""
    streams = []
    for name, about in theirs("singer-io").items():
        key, bookmark = about["key"], about["bookmark"]
        top: Json = {
            "inclusion": "available",
            "selected": True,
            "table-key-properties": key,
            "forced-replication-method": about["method"],
            "valid-replication-keys": [bookmark] if bookmark else None,
        }
        noted = [{"breadcrumb": [], "metadata": {n: value for n, value in top.items() if value is not None}}]
        for column in about["columns"]:
            inclusion = "automatic" if column in (*key, bookmark) else "available"
            chosen = {"selected": True} if properties else {}
            noted.append({"breadcrumb": ["properties", column], "metadata": {"inclusion": inclusion, **chosen}})
        schema = {
            column: KINDS.get(kind, {"type": ["null", *kind.split(" or ")]})
            for column, kind in about["columns"].items()
        }
        streams.append(
            {
                "stream": name,
                "tap_stream_id": name,
                "key_properties": key,
                "schema": {"type": "object", "additionalProperties": False, "properties": schema},
                "metadata": noted,
            }
        )
    return {"streams": streams}


def state() -> Json:
    """What it leaves behind when it is stopped: one bookmark a stream, for all accounts."""
    bookmarks = {name: BOOKMARK for name, about in theirs("singer-io").items() if about["bookmark"]}
    return {"currently_syncing": "accounts", "bookmarks": bookmarks}


@pytest.fixture
def tap(tap_of: MakeTap) -> Tap:
    """An account and a subaccount, with rows before and after the bookmark."""
    twilio = Twilio(seed=3, start="2025-12-01").at("2026-01-10T00:00:00Z")
    subaccount = twilio.add_account()
    twilio.add("usage_records", start_date="2026-01-09", end_date="2026-01-09")
    for day in ("2026-01-10T00:00:00Z", "2026-03-01T00:00:00Z"):
        twilio.at(day)
        for account in (twilio.main, subaccount):
            twilio.addresses(1, account)
            for stream in LISTED[1:]:
                twilio.add(stream, account, n=2)
    twilio.add("alerts")
    return tap_of(twilio.at("2026-03-05T00:00:00Z"))


@pytest.fixture
def run(tap: Tap, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command with singer-io's files as they are; a second config says no more than where the sandbox is."""

    def run(**files: Any) -> subprocess.CompletedProcess[str]:
        command = [*tap.command()[:3]]
        for name, value in {"config": config(tap), "catalog": catalog(False), **files}.items():
            path = tmp_path / f"{name}.json"
            path.touch(0o600)
            path.write_text(json.dumps(value), "utf-8")
            command += [f"--{name}", str(path)]
        (tmp_path / "sandbox.json").touch(0o600)
        (tmp_path / "sandbox.json").write_text(
            json.dumps({"base_url": tap.settings["base_url"] + "/{product}"}), "utf-8"
        )
        tap.offer()
        done = subprocess.run(
            [*command, "--config", str(tmp_path / "sandbox.json")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=Tap.environment(),
        )
        lines = whole_lines(done.stdout.encode())
        tap.keep([line for line in lines if json.loads(line).get("stream", "messages") in LISTED])
        tap.ended(well=done.returncode == 0)
        return done

    return run


def warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.split(" ")[1] in ("WARNING", "ERROR", "CRITICAL")]


def messages(done: subprocess.CompletedProcess[str], kind: str) -> list[Json]:
    return [message for message in map(json.loads, done.stdout.splitlines()) if message["type"] == kind]


def test_its_config_and_catalog_fill_all_tables_without_a_warning(run: Any, tap: Tap) -> None:
    """What is written is all that Twilio lists, of the subaccount as well, in the tables that its catalog selects."""
    done = run()

    assert warnings(done) == []
    assert "this tap ignores: date_window_days, lookback_window" in done.stderr
    assert tap.wrong() == {}
    assert {line["stream"] for line in messages(done, "SCHEMA")} == theirs("singer-io").keys()
    assert [line["stream"] for line in messages(done, "RECORD")].count("alerts") == 1


def test_its_state_is_taken_with_one_warning(run: Any, tap: Tap) -> None:
    """
    For all streams and accounts together: what is older than the bookmark is taken as read.

    A bookmark of usage is not, since that tap's rows are totals and no days. The next sync has a state of its own.
    """
    done = run(state=state())

    (warning,) = warnings(done)
    assert "the state has only bookmarks for addresses, calls," in warning
    assert "usage_records" not in warning
    assert tap.wrong(but=lambda row: "Jan 2026" in row["date_updated"]) == {}
    for stream in LISTED:
        assert {row["date_created"][:7] for row in tap.tables.rows[stream].values()} == {"2026-03"}
    usage = [line["record"]["start_date"] for line in messages(done, "RECORD") if line["stream"] == "usage_records"]
    assert usage == ["2026-01-09"]
    assert warnings(run(state=tap.state)) == []


def test_properties_that_it_has_and_this_tap_has_not_are_one_warning(run: Any, tap: Tap) -> None:
    """As when a catalog selects each property by itself."""
    (warning,) = warnings(run(catalog=catalog(properties=True)))

    gone = {
        f"{name}.{column}"
        for name, about in theirs("singer-io").items()
        for column in about["columns"].keys() - _columns(name)
    }
    assert "applications.voice_callback_id_lookup" in gone
    assert all(name in warning for name in gone)
    assert tap.wrong() == {}


def _columns(stream: str) -> set[str]:
    schema = json.loads((Path("schemas") / f"{stream}.json").read_text("utf-8"))
    return set(schema["properties"])


def test_the_page_has_the_tables_that_the_schemas_make() -> None:
    """`python -m tools.moving` brings them up to date."""
    assert page(PAGE.read_text("utf-8")) == PAGE.read_text("utf-8")


def test_every_table_of_another_connector_has_a_stream_here() -> None:
    """So that a table of the page leads somewhere."""
    assert len(theirs("singer-io")) == 23
    names = [*theirs("singer-io"), *(AIRBYTE.get(name, name) for name in theirs("airbyte")), *theirs("segment")]
    assert set(names) | {plural(name) for name in theirs("fivetran")} <= BY_NAME.keys()
