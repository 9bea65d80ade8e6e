"""Schemas: what each stream's table looks like in a warehouse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft4Validator

from sandbox.catalog import RECORDED as RECORDED_FACTS
from sandbox.filters import inner
from tap_twilio.singer.catalog import load_schema
from tap_twilio.singer.compile import compile_record
from tap_twilio.streams import BY_NAME, STREAMS, Stream

ROOT = Path(__file__).parents[2]
SCHEMAS: dict[str, Any] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "schemas").glob("*.json"))
}
BY_HAND = ("addresses", "calls", "conferences", "transcriptions", "messages", "call_feedback")
KEYS = {stream.name: set(stream.key) for stream in STREAMS}
# What the source's own documentation promises of each stream.
PROMISED = {
    "addresses": "account_sid city customer_name emergency_enabled friendly_name iso_country postal_code region street"
    " validated",
    "calls": "account_sid api_version caller_name date_created date_updated direction duration end_time forwarded_from"
    " from parent_call_sid phone_number_sid price start_time status to",
    "conferences": "account_sid date_created date_updated friendly_name region status",
    "transcriptions": "account_sid date_created date_updated duration price recording_sid status transcription_text",
    "messages": "account_sid api_version body date_created date_sent date_updated direction error_code error_message"
    " from num_media num_segments price status to",
    "call_feedback": "account_sid quality_score issues date_created date_updated source",
}
NEVER_TAKEN = {"auth_token", "links"}  # a secret; addresses that follow from the SID
SUBRESOURCES = {"calls", "conferences", "messages"}  # the streams that keep subresource_uris
ADDED = {"received_at"}  # by the tap
RECORDED = {name: fact["properties"].keys() for name, fact in RECORDED_FACTS.items()}  # of rows of live accounts
ADDED_TO = {stream.name: set(stream.derived) for stream in STREAMS}
TIMES = {"start_time", "end_time"}  # of the six, beside what is called date_... or ..._at
JSON_TEXT = "as JSON text"  # what the description of a column says whose type Twilio's documents do not give
NUMBERS = {"price", "balance", "usage", "count", "duration", "queue_time", "error_code", "channels"} | {
    "current_value",
    "trigger_value",
}
SECONDS = {"connect_duration", "duration", "queue_time", "validity_period"}

each_stream = pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
each_schema = pytest.mark.parametrize("name", SCHEMAS)


def openapi_facts() -> dict[str, Any]:
    """What Twilio's OpenAPI documents have of the schemas, by name; call_feedback is in none of them."""
    facts = json.loads((ROOT / "tests/facts/openapi.json").read_text("utf-8"))
    for path in (ROOT / "sandbox/facts").glob("*.json"):
        facts |= {each["name"]: each for each in json.loads(path.read_text("utf-8"))}
    return {name: facts[name] for name in SCHEMAS if name in facts}


FACTS = openapi_facts()
each_with_facts = pytest.mark.parametrize("name", FACTS)


def columns() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each property of each schema, as `schema.property`."""
    for name, schema in SCHEMAS.items():
        for column, about in schema["properties"].items():
            yield f"{name}.{column}", about


def kind(about: dict[str, Any]) -> str:
    """A property's format, else its type beside null."""
    types = [about["type"]] if isinstance(about["type"], str) else about["type"]
    return str(about.get("format", types[-1]))


@each_stream
def test_each_stream_has_its_schema(stream: Stream) -> None:
    """A stream is described where it is declared, and the properties of its key come with it."""
    assert load_schema(stream.name) == SCHEMAS[stream.name]
    assert set(stream.key) <= SCHEMAS[stream.name]["properties"].keys()


def test_each_schema_has_its_stream() -> None:
    """None is left over."""
    assert SCHEMAS.keys() == KEYS.keys()


@each_schema
def test_a_schema_is_draft_4(name: str) -> None:
    """Every Singer target can read the schema: singer-python itself knows Draft 4."""
    assert SCHEMAS[name]["$schema"] == "http://json-schema.org/draft-04/schema#"
    Draft4Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", PROMISED)
def test_a_schema_has_what_is_promised(name: str) -> None:
    """No property of the source's documentation is missing, nor the key, nor received_at."""
    assert {*PROMISED[name].split(), "sid", "received_at"} <= SCHEMAS[name]["properties"].keys()


@each_with_facts
def test_a_schema_has_what_the_openapi_documents_have(name: str) -> None:
    """Every property of the documents and of recorded rows, but what is never taken; no other but what the tap adds."""
    dropped = NEVER_TAKEN if name in SUBRESOURCES else NEVER_TAKEN | {"subresource_uris"}
    expected = (FACTS[name]["properties"].keys() | RECORDED.get(name, set())) - dropped | ADDED | ADDED_TO[name]

    assert SCHEMAS[name]["properties"].keys() == expected


@each_with_facts
def test_a_type_is_the_one_of_the_openapi_documents(name: str) -> None:
    """Text may turn out to be a number or a date; whatever else has a type keeps it; the rest is JSON text."""
    for column, about in SCHEMAS[name]["properties"].items():
        fact = FACTS[name]["properties"].get(column, {})
        if fact.get("format") in ("date-time", "date-time-rfc-2822"):
            assert kind(about) == "date-time", column
        elif fact.get("format") == "date":
            assert kind(about) == "date", column
        elif fact.get("type") in ("boolean", "integer", "number", "object"):
            assert kind(about) == fact["type"], column
        elif fact.get("type") == "array":
            assert kind(about) in ("array", "string", "json"), column
        elif fact and "type" not in fact:
            assert kind(about) == "json" and JSON_TEXT in about["description"], column


@each_with_facts
def test_a_published_row_fits(name: str) -> None:
    """Each row that Twilio's documents show becomes a record that its schema allows."""
    schema = SCHEMAS[name]
    properties = schema["properties"]
    record = compile_record(name, schema, properties, key=KEYS[name])
    for published in FACTS[name].get("published", ()):
        row = {column: value for column, value in published.items() if column in properties}
        for added, source in BY_NAME[name].derived.items():
            row[added] = inner(published, source) if "." in source else 0 if source == "#" else "AC0"
        if None in (row[column] for column in KEYS[name]):
            continue  # a sum of no period, which no query by date lists
        Draft4Validator(schema).validate(json.loads(orjson.dumps(record(row))))


@each_schema
def test_only_keys_refuse_null(name: str) -> None:
    """A row never fails for a null but in its key, text or a whole number; each other property has one type beside."""
    properties = SCHEMAS[name]["properties"]

    assert KEYS[name] <= properties.keys()
    for column, about in properties.items():
        if column in KEYS[name]:
            assert about["type"] in ("string", "integer"), column
        else:
            assert about["type"][0] == "null" and len(about["type"]) == 2, column


@pytest.mark.parametrize("name", BY_HAND)
def test_dates_are_dates(name: str) -> None:
    """What is called a date or a time is a timestamp; the other streams are held to the documents."""
    properties = SCHEMAS[name]["properties"]
    dates = {column for column in properties if column.startswith("date_") or column.endswith("_at") or column in TIMES}

    assert {column for column, about in properties.items() if about.get("format") == "date-time"} == dates


@each_stream
def test_a_bookmark_is_a_date(stream: Stream) -> None:
    """The property that a bookmark holds can be compared with a timestamp, where the rows have one."""
    if stream.replication_key:
        assert load_schema(stream.name)["properties"][stream.replication_key]["format"] == "date-time"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("number", {"calls.price", "messages.price", "transcriptions.price"}),
        (
            "integer",
            {
                "calls.duration",
                "calls.queue_time",
                "transcriptions.duration",
                "messages.num_media",
                "messages.num_segments",
                "messages.error_code",
                "call_feedback.quality_score",
            },
        ),
        ("boolean", {*("addresses." + name for name in ("emergency_enabled", "validated", "verified"))}),
        ("object", {name + ".subresource_uris" for name in SUBRESOURCES}),
        ("array", {"call_feedback.issues"}),
    ],
)
def test_what_is_not_text(wanted: str, names: set[str]) -> None:
    """Of the six, exactly these columns are numbers, truth values, objects and arrays."""
    found = {column for column, about in columns() if kind(about) == wanted and column.split(".")[0] in BY_HAND}
    assert names - {"call_feedback.spam"} == found - {"call_feedback.spam"}


@each_with_facts
def test_text_that_is_read_as_a_number_is_called_so(name: str) -> None:
    """Twilio writes some numbers as text. What is text to its documents is a number only under these names."""
    for column, about in SCHEMAS[name]["properties"].items():
        if FACTS[name]["properties"].get(column, {}).get("type") == "string" and kind(about) in ("integer", "number"):
            assert column in NUMBERS or column.startswith("num_"), column


@each_schema
def test_json_text_says_so(name: str) -> None:
    """A column of any JSON is text, and its description says what it holds."""
    for column, about in SCHEMAS[name]["properties"].items():
        if kind(about) == "json":
            assert JSON_TEXT in about["description"], column


@each_schema
def test_each_property_is_described(name: str) -> None:
    """Each table and property says what it is, in a line; times say their unit, or that they are UTC."""
    assert SCHEMAS[name]["description"].endswith(".")
    for column, about in SCHEMAS[name]["properties"].items():
        text = about["description"]
        assert text.endswith(".") and text.isprintable() and text == text.strip(), column
        if about.get("format", "json") != "json":
            assert "UTC" in text, column
        if column in SECONDS:
            assert "seconds" in text, column


@each_schema
def test_every_table_ends_with_received_at(name: str) -> None:
    """The last column is the tap's own, and the same everywhere."""
    column, about = list(SCHEMAS[name]["properties"].items())[-1]

    assert (column, about) == ("received_at", SCHEMAS["addresses"]["properties"]["received_at"])


@each_schema
def test_no_secret_and_no_link_is_a_column(name: str) -> None:
    """An account's token never leaves; links to what belongs to a row follow from its SID."""
    taken = SCHEMAS[name]["properties"].keys()

    assert not taken & NEVER_TAKEN
    assert "subresource_uris" not in taken or name in SUBRESOURCES


def test_schemas_are_written_alike() -> None:
    """
    A schema is indented by two and ends with a line break, so that a change shows as what changed.

    A property has no more than its type, its format or its items, and its description, in this order.
    """
    for path in (ROOT / "schemas").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n", path.name
        assert list(SCHEMAS[path.stem]) == ["$schema", "description", "type", "properties"], path.name
    for column, about in columns():
        between = ["items"] if kind(about) == "array" else ["format"] if "format" in about else []
        assert list(about) == ["type", *between, "description"], column
        assert about.get("format", "date-time") in ("date-time", "date", "json"), column
        assert about.get("items", {}) in ({}, {"type": "string"}, {"type": "object"}), column
