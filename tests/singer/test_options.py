"""Decimals as text, and a column for what schemas do not know; through the command, and into Postgres."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import pytest

from sandbox import Twilio
from testing.taps import COMMAND, ROOT, Run, Tap, properties
from testing.warehouse import Warehouse

MakeTap = Callable[..., Tap]
DIGITS = ["-0.00750", "-0.123456789012345678", None]


@pytest.fixture
def tap(tap_of: MakeTap) -> Tap:
    """Three messages, whose prices a float does not hold, or which are not there."""
    twilio = Twilio(seed=3, start="2026-01-01").at("2026-01-05T00:00:00Z")
    for digits in DIGITS:
        twilio.messages(1, price=digits)
    return tap_of(twilio).select("messages")


def schema(run: Run) -> dict[str, Any]:
    (message,) = run.messages("SCHEMA", "messages")
    return dict(message["schema"]["properties"])


def test_decimals_as_text_have_the_same_digits(tap: Tap) -> None:
    """SCHEMA says so of each number, and of nothing else; without the setting they are JSON numbers."""
    digits = [*DIGITS, "-0.12345678901234567890123"]
    tap.twilio.messages(1, price=digits[-1])
    run = tap.run(decimals="text")
    assert {record["price"] for record in run.records("messages")} == set(digits)
    assert schema(run)["price"]["type"] == ["null", "string"]
    assert {name for name, about in schema(run).items() if about != properties("messages")[name]} == {"price"}

    numbers = {record["price"] for record in tap.run().records("messages")}
    assert numbers == {Decimal(text) if text else None for text in digits}


def test_decimals_for_sql_targets_are_text_with_the_type_of_the_column(tap: Tap) -> None:
    """The form of the Singer SDK's `use_singer_decimal`, for each number and nothing else."""
    run = tap.run(decimals="singer")
    assert {record["price"] for record in run.records("messages")} == set(DIGITS)
    (name,) = (name for name, about in schema(run).items() if about != properties("messages")[name])
    price = {keyword: value for keyword, value in schema(run)[name].items() if keyword != "description"}
    assert name == "price"
    assert price == {"type": ["null", "string"], "format": "x-singer.decimal", "precision": 38, "scale": 18}


@pytest.mark.parametrize(
    ("digits", "fits"),
    [
        ("-99999999999999999999.999999999999999999", True),
        ("0.1234567890123456780000", True),
        ("1.5e-17", True),
        ("0e-30", True),
        (0.1, True),
        ("100000000000000000000", False),
        ("-0.1234567890123456789", False),
        (1e-19, False),
        (1e20, False),
    ],
)
def test_decimals_for_sql_targets_have_no_digit_that_the_column_would_round(
    tap_of: MakeTap, digits: Any, fits: bool
) -> None:
    """20 before the point and 18 after it; a number with more is treated as `on_invalid` says."""
    twilio = Twilio(seed=4, start="2026-01-01").at("2026-01-05T00:00:00Z")
    twilio.messages(1, price=digits)
    tap = tap_of(twilio).select("messages")
    run = tap.run(decimals="singer")
    if fits:
        assert [Decimal(record["price"]) for record in run.records("messages")] == [Decimal(str(digits))]
        return
    assert run.exit_code == 3
    assert "price should be a number of at most 20 digits before the point and 18 after it, but is" in run.log
    nulled = tap.run(decimals="singer", on_invalid="null")
    assert [record["price"] for record in nulled.records("messages")] == [None]
    assert "messages: values that do not fit, written as null: price (1 values)" in nulled.said


def test_a_number_in_json_becomes_text_too(tap_of: MakeTap) -> None:
    """With decimals or whole; true is still no number."""
    twilio = Twilio(seed=4, start="2026-01-01").at("2026-01-05T00:00:00Z")
    values = [0.5, 12, -0.0075]
    for value in values:
        twilio.messages(1, price=value)
    tap = tap_of(twilio).select("messages")
    assert {record["price"] for record in tap.run(decimals="text").records("messages")} == set(map(str, values))

    twilio.messages(1, price=True)
    run = tap.run(decimals="text")
    assert run.exit_code == 3
    assert "price should be a number, but is a boolean" in run.log


@pytest.mark.parametrize("full_table", [[], ["messages"]])
@pytest.mark.parametrize("state_kilobytes", [1000, 0])
def test_another_form_has_all_rows_with_a_price_written_once_more(
    tap: Tap, full_table: list[str], state_kilobytes: int
) -> None:
    """There and back, as FULL_TABLE and without room for fingerprints too; a sync after that writes nothing."""
    tap.select("messages", full_table=full_table)
    tap.settings["state_kilobytes"] = state_kilobytes
    priced = {row["sid"] for row in tap.twilio.truth("messages") if row["price"]}
    tap.sync()
    for decimals in ("text", "singer", "number"):
        for _ in range(3):  # the rescan that began before the change ends first
            tap.sync(decimals=decimals)
            tap.twilio.advance(24, busy=0)
        rows = tap.tables.rows["messages"]
        kind = Decimal if decimals == "number" else str
        assert {type(rows[sid]["price"]) for sid in priced} == {kind}
        if not full_table:
            assert tap.sync(decimals=decimals).sids() == []


def test_unknown_properties_come_as_json_in_one_column(tap: Tap) -> None:
    """In order of their names, whatever Twilio's; null where there is none; and what the tap hides stays hidden."""
    first, second, third = (row["sid"] for row in tap.twilio.truth("messages"))
    tap.twilio.rows[first].data.update(mood="fine\n☀", tags=[1.10, {"b": None}])
    tap.twilio.rows[second].data.update(
        links={"media": "/x"}, auth_token="hush", more={"client_secret": "hush", "x": 1}
    )
    run = tap.run(unknown_properties="column")
    held = {record["sid"]: record["unknown_properties"] for record in run.records("messages")}

    assert json.loads(held[first]) == {"mood": "fine\n☀", "tags": [1.1, {"b": None}]}
    assert held[second] == '{"more":{"x":1}}'
    assert held[third] is None
    assert "hush" not in "".join(map(str, run.lines)) + run.log
    assert list(schema(run))[-2:] == ["unknown_properties", "received_at"]
    assert all(list(record) == list(schema(run)) for record in run.records("messages"))
    assert (
        "messages: properties not in the schema, in unknown_properties: mood (1 rows), more (1 rows), tags (1 rows)"
        in run.said
    )
    assert "messages: properties not in the schema, dropped: auth_token (1 rows)" in run.said


def test_accounts_tokens_do_not_become_unknown_properties(tap: Tap) -> None:
    """They are known, and hidden."""
    tap.select("accounts")
    run = tap.run(unknown_properties="column")
    assert [record["unknown_properties"] for record in run.records("accounts")] == [None]
    assert tap.twilio.auth_token not in "".join(map(str, run.lines))


def test_the_new_column_is_filled_for_old_rows_and_follows_them(tap: Tap) -> None:
    """Rows that were read before the setting come again; later a value that only it shows is a change of the row."""
    sid = tap.twilio.truth("messages")[0]["sid"]
    tap.twilio.rows[sid].data["mood"] = "fine"
    tap.sync()
    for _ in range(3):
        tap.sync(unknown_properties="column")
        tap.twilio.advance(24, busy=0)
    assert json.loads(tap.tables.rows["messages"][sid]["unknown_properties"]) == {"mood": "fine"}

    tap.twilio.change(sid, silently=True, status="delivered")
    tap.twilio.rows[sid].data["mood"] = "glum"
    assert tap.sync(unknown_properties="column").sids() == [sid]
    assert json.loads(tap.tables.rows["messages"][sid]["unknown_properties"]) == {"mood": "glum"}


def test_discovery_and_selection_follow_the_config(tap: Tap) -> None:
    """A config is enough that says these two; the column can be deselected by name."""
    config = tap.folder / "forms.json"
    config.write_text(json.dumps({"decimals": "text", "unknown_properties": "column"}))
    command = [*COMMAND, "--config", config, "--discover"]
    catalog = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    (entry,) = (one for one in catalog["streams"] if one["tap_stream_id"] == "messages")
    tap.catalog = None
    settings = {"decimals": "text", "unknown_properties": "column"}

    assert entry["schema"]["properties"] == schema(tap.run("--select", "messages", **settings))
    assert "unknown_properties" not in schema(tap.run("--select", "messages.!unknown_*", **settings))


@pytest.mark.parametrize("name", ["decimals", "unknown_properties"])
def test_another_word_is_refused_by_name(tap: Tap, name: str) -> None:
    """By a sync, and by discovery."""
    for arguments in ((), ("--discover",)):
        run = tap.run(*arguments, **{name: "maybe"})
        assert run.exit_code == 1
        assert f"CRITICAL Setting {name} must be one of" in run.log


def test_decimals_for_sql_targets_become_exact_numbers_in_postgres(tap: Tap, warehouse: Warehouse) -> None:
    """The column is NUMERIC(38, 18), and its sum has all digits; a later sync changes a price there."""
    settings = {"decimals": "singer", "state_seconds": 0}
    tap.twilio.messages(1, price="99999999999999999999.000000000000000001")
    piped = warehouse.pipe(tap.command(**settings), None, "numeric")
    assert (piped.tap_exit, piped.target_exit) == (0, 0), piped.target_log
    (column,) = warehouse.query(
        "select data_type, numeric_precision, numeric_scale from information_schema.columns"
        " where table_schema = 'numeric' and table_name = 'messages' and column_name = 'price'"
    )
    assert column == {"data_type": "numeric", "numeric_precision": 38, "numeric_scale": 18}
    assert _sum_of_prices(warehouse) == _true_sum(tap)

    tap.state = piped.states[-1]
    tap.twilio.change(tap.twilio.truth("messages")[0]["sid"], price="-0.000000000000000001")
    assert tuple(warehouse.pipe(tap.command(**settings), None, "numeric"))[:2] == (0, 0)
    assert _sum_of_prices(warehouse) == _true_sum(tap)


def test_tables_that_exist_get_exact_prices_by_the_steps_of_the_page(tap: Tap, warehouse: Warehouse) -> None:
    """Text columns here; a row that Twilio no longer has keeps its price, and a change comes with its digits."""
    page = (ROOT / "docs" / "targets.md").read_text("utf-8")
    before, after = re.findall(r"(?ms)^   ```sql\n(.+?)^   ```", page.partition("## Exact prices")[2])
    (gone, changed, _) = (row["sid"] for row in tap.twilio.truth("messages"))
    tap.state = warehouse.pipe(tap.command(decimals="text"), None, "steps").states[-1]
    tap.twilio.delete(gone)
    tap.twilio.change(changed, price="0.000000000000000001")
    warehouse.query("set search_path to steps")
    warehouse.query(before)
    piped = warehouse.pipe(tap.command(decimals="singer"), None, "steps")
    assert (piped.tap_exit, piped.target_exit) == (0, 0), piped.target_log
    warehouse.query(after)
    held = {row["sid"]: row for row in warehouse.rows("messages", "steps")}
    assert {sid: row["price"] for sid, row in held.items() if row["price"] is not None} == {
        gone: Decimal(DIGITS[0] or 0),
        changed: Decimal("0.000000000000000001"),
    }
    assert "price_before" not in held[gone]


def _sum_of_prices(warehouse: Warehouse) -> Decimal:
    (total,) = warehouse.query("select sum(price) as price from numeric.messages")
    return Decimal(total["price"])


def _true_sum(tap: Tap) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        return sum((Decimal(row["price"]) for row in tap.twilio.truth("messages") if row["price"]), Decimal())


def test_both_forms_arrive_in_postgres(tap: Tap, warehouse: Warehouse) -> None:
    """The digits as they were, in a text column; and the JSON of what is unknown."""
    row = tap.twilio.truth("messages")[1]
    tap.twilio.rows[row["sid"]].data["mood"] = "fine\n☀"
    piped = warehouse.pipe(tap.command(decimals="text", unknown_properties="column"), None, "forms")
    assert (piped.tap_exit, piped.target_exit) == (0, 0), piped.target_log
    held = {row["sid"]: row for row in warehouse.rows("messages", "forms")}

    assert {sid: one["price"] for sid, one in held.items()} == {
        one["sid"]: one["price"] for one in tap.twilio.truth("messages")
    }
    assert json.loads(held[row["sid"]]["unknown_properties"]) == {"mood": "fine\n☀"}
