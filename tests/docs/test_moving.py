"""Moving: the tap takes the files and tables of singer-io's tap, and docs/moving.md shows each difference."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Twilio
from tap_twilio.streams import BY_NAME
from testing.taps import LISTED, Json, Tap, whole_lines
from testing.warehouse import Warehouse
from tools.moving import AIRBYTE, PAGES, TABLES, page, plural, theirs

MakeTap = Callable[..., Tap]
SCHEMA = "twilio"  # of docs/moving.md
ASIDE = "_before"
BOOKMARK = "2026-02-01T00:00:00.000000Z"
PAIR = {"type": "object", "properties": {"subresource": {"type": "string"}, "uri": {"type": "string"}}}
KINDS: dict[str, Json] = {
    "date-time": {"type": ["null", "string"], "format": "date-time"},
    "array": {"type": ["null", "array"], "items": PAIR},
}


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
        streams.append(
            {
                "stream": name,
                "tap_stream_id": name,
                "key_properties": key,
                "schema": schema(about["columns"]),
                "metadata": noted,
            }
        )
    return {"streams": streams}


def schema(columns: dict[str, str]) -> Json:
    """Return one of its schemas: `array or object` is an anyOf there."""
    properties = {}
    for column, kind in columns.items():
        forms = [KINDS.get(one, {"type": ["null", one]}) for one in kind.split(" or ")]
        properties[column] = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return {"type": "object", "additionalProperties": False, "properties": properties}


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
    assert "accounts.auth_token" in gone
    assert all(name in warning for name in gone)
    assert tap.wrong() == {}


def _columns(stream: str) -> set[str]:
    schema = json.loads((Path("schemas") / f"{stream}.json").read_text("utf-8"))
    return set(schema["properties"])


def their_lines(records: dict[str, list[Json]]) -> bytes:
    """Return what singer-io's tap writes for these records: its keys, its columns, its types."""
    lines: list[Json] = []
    for name, about in theirs("singer-io").items():
        columns = about["columns"]
        lines.append({"type": "SCHEMA", "stream": name, "schema": schema(columns), "key_properties": about["key"]})
        for record in records[name]:
            values = {column: their_value(record.get(column), kind) for column, kind in columns.items()}
            lines.append({"type": "RECORD", "stream": name, "record": values})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def their_value(value: Any, kind: str) -> Any:
    if kind == "object" and isinstance(value, str):
        return json.loads(value)
    if "array" in kind and value is not None:
        return [{"subresource": name, "uri": path} for name, path in value.items()]
    return str(value) if kind == "string" and value is not None else value


def keyed(row: Json, key: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in key)


@pytest.mark.long
def test_the_recipe_loads_into_its_tables_and_drops_nothing(tap_of: MakeTap, warehouse: Warehouse) -> None:
    """
    A real Postgres refuses the first sync into tables that singer-io's schemas made, until the page's SQL ran.

    Then each table has each row that Twilio lists, and each earlier row is in its table or in the one put aside.
    """
    (recipe,) = re.findall(r"(?ms)^```sql\n(.+?)^```$", PAGES[0].read_text("utf-8"))
    streams = theirs("singer-io")
    twilio = Twilio(seed=3, start="2025-12-01").at("2026-03-01T00:00:00Z")
    (message,) = twilio.messages(1, num_media="1")
    twilio.add("message_media", twilio.main, message)
    twilio.add("usage_records", start_date="2026-02-28", end_date="2026-02-28")
    numbers = dict.fromkeys(("local", "mobile", "toll_free"), "/")
    twilio.add("available_phone_number_countries", subresource_uris=numbers)
    for name in streams:
        if not twilio.present(name):
            twilio.add(name)
    tap = tap_of(twilio).select(*streams)
    tap.settings["base_url"] += "/{product}"
    first = tap.run()
    records = {name: first.records(name) for name in streams}
    assert all(records.values()), [name for name, found in records.items() if not found]
    warehouse.drop(SCHEMA)
    warehouse.load(their_lines(json.loads(json.dumps(records, default=float))), SCHEMA)
    before = {name: warehouse.query(f'select * from {SCHEMA}."{name}"') for name in streams}

    refused = warehouse.pipe(tap.command(), None, SCHEMA)
    for statement in filter(str.strip, recipe.split(";")):
        warehouse.query(statement)
    loaded = warehouse.pipe(tap.command(), None, SCHEMA)

    assert refused.target_exit != 0
    assert (loaded.tap_exit, loaded.target_exit) == (0, 0), loaded.target_log[-2000:]
    for name in streams:
        rows, key = warehouse.rows(name, SCHEMA), BY_NAME[name].key
        assert {keyed(row, key) for row in rows} == {keyed(record, key) for record in records[name]}
        kept = warehouse.rows(name + ASIDE, SCHEMA) or rows
        assert len(kept) == len(before[name])
        for column in {column for row in before[name] for column, value in row.items() if value is not None}:
            assert {column, column + ASIDE} & kept[0].keys(), (name, column)
    (call,) = warehouse.rows("calls", SCHEMA)
    assert isinstance(call["subresource_uris"], dict)
    assert isinstance(call["subresource_uris" + ASIDE], list)
    warehouse.drop(SCHEMA)


def test_the_pages_have_the_tables_that_the_schemas_make() -> None:
    """`python -m tools.moving` brings them up to date."""
    texts = [path.read_text("utf-8") for path in PAGES]
    assert [page(text) for text in texts] == texts
    assert [name for name in TABLES if f"<!-- end of {name} -->" not in "".join(texts)] == []


def test_every_table_of_another_connector_has_a_stream_here() -> None:
    """So that a table of the page leads somewhere."""
    assert len(theirs("singer-io")) == 23
    names = [*theirs("singer-io"), *(AIRBYTE.get(name, name) for name in theirs("airbyte")), *theirs("segment")]
    assert set(names) | {plural(name) for name in theirs("fivetran")} <= BY_NAME.keys()
