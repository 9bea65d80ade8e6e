"""`mask` and `mask_key`: through the command, over the sandbox, and into Postgres."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
from collections.abc import Callable
from urllib.parse import quote

import pytest

from sandbox import Twilio
from testing.taps import COMMAND, ROOT, Run, Tap, properties
from testing.warehouse import Warehouse

MakeTap = Callable[..., Tap]
KEY = "a-long-random-text-of-the-user"
TO, BODY, NAME = "+12025550123", 'Dear "Zoë", your code is 4711', "Zoë Q. Person"
MASK = {"messages.body": "null", "messages.to": "hash", "calls.to": "hash", "*.caller_name": "null"}

# The function of pgcrypto, which the embedded Postgres does not have.
PGCRYPTO = """
create or replace function public.hmac(data text, key text, kind text) returns bytea language plpgsql as $$
declare inner_key bytea := convert_to(rpad(key, 64, chr(1)), 'UTF8'); outer_key bytea := inner_key;
begin
  for i in 0..63 loop
    inner_key := set_byte(inner_key, i, (case when i < length(key) then get_byte(inner_key, i) else 0 end) # 54);
    outer_key := set_byte(outer_key, i, (case when i < length(key) then get_byte(outer_key, i) else 0 end) # 92);
  end loop;
  return sha256(outer_key || sha256(inner_key || convert_to(data, 'UTF8')));
end $$;
"""


def hashed(text: str, key: str = KEY) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def tap(tap_of: MakeTap) -> Tap:
    """Three messages and two calls, to one number."""
    twilio = Twilio(seed=3, start="2026-01-01").at("2026-01-05T00:00:00Z")
    twilio.messages(3, to=TO, body=BODY)
    twilio.calls(2, to=TO, caller_name=NAME)
    tap = tap_of(twilio).select("messages", "calls")
    tap.settings["mask_key"] = KEY
    return tap


def printed(run: Run) -> str:
    return b"".join(run.lines).decode() + run.log


def test_columns_become_null_or_a_hash_that_is_equal_in_all_tables(tap: Tap) -> None:
    """All else stays as it is, without a mask and beside one; and the schema of a hash is text."""
    plain = {record["sid"]: record for stream in ("messages", "calls") for record in tap.run().records(stream)}
    run = tap.run(mask=MASK)
    assert run.exit_code == 0, run.log
    for stream, nulls in (("messages", {"body"}), ("calls", {"caller_name"})):
        records = run.records(stream)
        assert {record["to"] for record in records} == {hashed(TO)}
        assert {record[name] for record in records for name in nulls} == {None}
        for record in records:
            assert {name for name, value in record.items() if value != plain[record["sid"]][name]} <= {
                "to",
                "received_at",
                *nulls,
            }


def test_the_schema_of_a_hashed_column_is_text(tap: Tap) -> None:
    """In SCHEMA and in discovery, which needs no key; the hash of a number is that of its digits."""
    mask = {"messages.price": "hash", "messages.date_sent": "hash"}
    tap.twilio.messages(1, price="-0.00750")
    run = tap.run(mask=mask)
    (message,) = run.messages("SCHEMA", "messages")
    schema = message["schema"]["properties"]
    assert schema["price"]["type"] == schema["date_sent"]["type"] == ["null", "string"]
    assert "format" not in schema["date_sent"]
    assert {name for name, about in schema.items() if about != properties("messages")[name]} == {"price", "date_sent"}
    assert hashed("-0.00750") in {record["price"] for record in run.records("messages")}

    config = tap.folder / "mask.json"
    config.write_text(json.dumps({"mask": mask}))
    catalog = json.loads(
        subprocess.run([*COMMAND, "--config", config, "--discover"], cwd=ROOT, capture_output=True, check=True).stdout
    )
    (entry,) = (one for one in catalog["streams"] if one["tap_stream_id"] == "messages")
    assert entry["schema"]["properties"] == schema


@pytest.mark.parametrize("how", ["null", "hash"])
def test_copies_in_json_and_urls_are_masked(tap_of: MakeTap, how: str) -> None:
    """As they are, escaped for URLs and JSON, as numbers, as names, in JSON in JSON; other values stay."""
    twilio = Twilio(seed=3, start="2026-01-01").at("2026-01-05T00:00:00Z")
    (call,) = twilio.calls(1, to=TO, caller_name=NAME)
    (service,) = twilio.add("conversation_services")
    (conversation,) = twilio.add("conversations", parent=service, friendly_name=NAME, unique_name="5551234567")
    attributes = json.dumps({NAME: [f"x {NAME}", 1.10], "n": 5551234567, "in": json.dumps({"name": NAME})})
    twilio.generic.items[conversation].data.update(
        attributes=attributes, url=f"https://x.example/c?name={quote(NAME)}&n=5551234567", extra={"a": NAME, "b": 1}
    )
    twilio.rows[call].data["fresh"] = [TO.replace("+", "%2B"), "kept"]
    tap = tap_of(twilio).select("conversations", "calls")
    tap.settings["base_url"] += "/{product}"
    mask = {"conversations.friendly_name": how, "*.unique_name": how, "calls.to": how, "calls.caller_name": how}
    run = tap.run(mask=mask, mask_key=KEY, unknown_properties="column")
    assert run.exit_code == 0, run.log
    (record,) = run.records("conversations")
    name, number = ("***", "***") if how == "null" else (hashed(NAME), hashed("5551234567"))
    held = json.loads(record["attributes"], parse_float=str)
    assert held == {name: [f"x {name}", "1.1"], "n": number, "in": json.dumps({"name": name}, separators=(",", ":"))}
    assert record["url"] == f"https://x.example/c?name={name}&n={number}"
    assert json.loads(record["unknown_properties"]) == {"extra": {"a": name, "b": 1}}
    (called,) = run.records("calls")
    assert json.loads(called["unknown_properties"])["fresh"] == ["***" if how == "null" else hashed(TO), "kept"]


def test_a_masked_value_is_in_no_output_log_and_state(tap: Tap) -> None:
    """Not in errors either: one row does not fit its schema, one request is refused, one value has invalid bytes."""
    sids = [row["sid"] for row in tap.twilio.truth("messages")]
    tap.twilio.rows[sids[0]].data.update(num_media={"text": BODY}, mood=f"{BODY} {TO}")
    tap.twilio.rows[sids[1]].data.update(body=BODY + "\x00", links={"to": TO}, secret_token=TO)
    tap.twilio.fail_next("keyless", 1, "/Calls")
    for exit_code, settings in ((3, {}), (0, {"on_invalid": "null", "unknown_properties": "column"})):
        for _ in range(2):
            run = tap.run(mask=MASK, env={"LOGLEVEL": "DEBUG"}, **settings)
            assert run.exit_code == exit_code, run.log
            tap.state = run.states[-1]
            everything = printed(run)
            for secret in (TO, TO[1:], "Zoë", "4711", NAME, KEY, json.dumps("Zoë")[1:-1], "Zo%C3%AB"):
                assert secret not in everything, secret
            tap.twilio.advance(1)


@pytest.mark.parametrize("state_kilobytes", [1000, 0])
def test_another_mask_has_all_rows_written_once_more(tap: Tap, state_kilobytes: int) -> None:
    """With another key, and back, too; then nothing more is written."""
    tap.settings["state_kilobytes"] = state_kilobytes
    tap.sync()
    expected = [({"mask": MASK}, hashed(TO)), ({"mask": MASK, "mask_key": KEY * 2}, hashed(TO, KEY * 2)), ({}, TO)]
    for settings, to in expected:
        for _ in range(3):
            run = tap.sync(**settings)
            tap.twilio.advance(24, busy=0)
        assert {row["to"] for stream in ("messages", "calls") for row in tap.tables.rows[stream].values()} == {to}
        assert run.sids() == []


def test_keys_and_unknown_columns_are_refused_in_one_line(tap: Tap) -> None:
    """Also through a pattern, for selected streams; a pattern leaves the keys of other streams out."""
    refused = {
        "messages.sid": "mask: messages.sid cannot be masked",
        "messages.date_updated": "mask: messages.date_updated cannot be masked",
        "*s.s?d": "mask: calls.sid cannot be masked",
        "verify_entities.identity": "mask: verify_entities.identity cannot be masked",
        "verify_factors.identity": "mask: verify_factors.identity cannot be masked",
        "messages.bdy": "mask: no property matches 'messages.bdy'",
        "body": "mask: no property matches 'body'",
    }
    for pattern, said in refused.items():
        run = tap.run(mask={pattern: "null"})
        assert (run.exit_code, run.lines) == (1, [])
        (line,) = [line for line in run.said if "mask" in line]
        assert said in line
    assert tap.run(mask={"*.identity": "null"}).exit_code == 0
    for settings, said in (
        ({"mask": {"messages.to": "md5"}}, "Setting mask must be one of 'null', 'hash'"),
        ({"mask": MASK, "mask_key": None}, "Setting mask_key is missing"),
        ({"mask": MASK, "mask_key": "short"}, "Setting mask_key is malformed"),
    ):
        run = tap.run(**settings)
        assert run.exit_code == 1
        assert said in run.log


def test_the_key_may_come_from_the_environment(tap: Tap) -> None:
    """It wins over nothing that a file has; and so may the mask, as JSON."""
    run = tap.run(mask=json.dumps(MASK), mask_key=None, env={"TAP_TWILIO_MASK_KEY": KEY * 3})
    assert {record["to"] for record in run.records("messages")} == {hashed(TO, KEY * 3)}


def test_check_shows_the_masked_columns(tap: Tap) -> None:
    run = tap.run("--check", mask={**MASK, "*.friendly_name": "null"})
    lines = b"".join(run.lines).decode().splitlines()
    assert lines[-2:] == [
        "masked in calls: to (hash), caller_name (null)",
        "masked in messages: body (null), to (hash)",
    ]


def test_the_logged_update_masks_rows_that_are_not_read_any_more(tap: Tap, warehouse: Warehouse) -> None:
    """In Postgres, with the key as a variable of psql; rows that are hashed already stay as they are."""
    gone = tap.twilio.truth("messages")[0]["sid"]
    piped = warehouse.pipe(tap.command(), None, "masked")
    assert (piped.tap_exit, piped.target_exit) == (0, 0), piped.target_log
    tap.state = piped.states[-1]
    tap.twilio.delete(gone)
    piped = warehouse.pipe(tap.command(mask=MASK), None, "masked")
    tap.state = piped.states[-1]
    (sql,) = [line.partition(" run: ")[2] for line in piped.tap_log.splitlines() if " run: update messages" in line]
    assert {row["to"] for row in warehouse.rows("messages", "masked")} == {TO, hashed(TO)}
    for _ in range(2):
        warehouse.query(f"{PGCRYPTO} set search_path to masked, public; {sql}".replace(":'mask_key'", f"'{KEY}'"))
        held = warehouse.rows("messages", "masked")
        assert len(held) == 3
        assert {(row["to"], row["body"]) for row in held} == {(hashed(TO), None)}
    assert " run: " not in tap.run(mask=MASK).log


def test_rows_that_come_one_by_one_are_masked_too(tap: Tap) -> None:
    (call,) = tap.twilio.calls(1, created="2026-01-03", duration=60)
    tap.twilio.annotate(call, call_score=2, comment=BODY)
    tap.settings["base_url"] += "/{product}"
    run = tap.select("call_feedback").run(mask={"call_feedback.comment": "hash"})
    assert [record["comment"] for record in run.records("call_feedback")] == [hashed(BODY)]
