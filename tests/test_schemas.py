"""Schemas: what each stream's table looks like in a warehouse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft4Validator

from tap_twilio.catalog import load_schema
from tap_twilio.streams import STREAMS, Stream

SCHEMAS = Path(__file__).parents[1] / "schemas"
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

each_stream = pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)


def test_streams_and_schemas_match() -> None:
    """Each stream has one schema, and each schema its stream."""
    assert {path.stem for path in SCHEMAS.glob("*.json")} == {stream.name for stream in STREAMS}


@each_stream
def test_a_schema_is_draft_4(stream: Stream) -> None:
    """Every Singer target can read the schema: singer-python itself knows Draft 4."""
    Draft4Validator.check_schema(load_schema(stream.name))


@each_stream
def test_a_schema_has_what_is_promised(stream: Stream) -> None:
    """No property of the source's documentation is missing, nor the key, nor received_at."""
    assert {*PROMISED[stream.name].split(), "sid", "received_at"} <= load_schema(stream.name)["properties"].keys()


@each_stream
def test_only_keys_refuse_null(stream: Stream) -> None:
    """A row never fails for a null, except in its key, which is text; every other property has one type beside null."""
    for name, schema in load_schema(stream.name)["properties"].items():
        if name in stream.key:
            assert schema["type"] == "string"
        else:
            assert schema["type"][0] == "null" and len(schema["type"]) == 2, name


@each_stream
def test_dates_are_dates(stream: Stream) -> None:
    """Whatever is called a date or a time is a timestamp in the warehouse, the bookmark's property too."""
    properties = load_schema(stream.name)["properties"]
    dates = {
        name for name in properties if name.startswith("date_") or name.endswith(("_at", "start_time", "end_time"))
    }

    assert {name for name, schema in properties.items() if schema.get("format") == "date-time"} == dates
    assert stream.replication_key in dates


@pytest.mark.parametrize(
    ("kind", "names"),
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
        (
            "boolean",
            {"addresses." + name for name in ("emergency_enabled", "validated", "verified")} | {"call_feedback.spam"},
        ),
        ("object", {name + ".subresource_uris" for name in ("calls", "conferences", "messages")}),
        ("array", {"call_feedback.issues"}),
    ],
)
def test_what_is_not_text(kind: str, names: set[str]) -> None:
    """Exactly these columns are numbers, truth values, objects and arrays."""
    assert names == {
        f"{stream.name}.{name}"
        for stream in STREAMS
        for name, schema in load_schema(stream.name)["properties"].items()
        if kind in schema["type"]
    }


@each_stream
def test_each_property_is_described(stream: Stream) -> None:
    """Each property says what it is, in a sentence; times say their unit, or that they are UTC."""
    for name, schema in load_schema(stream.name)["properties"].items():
        assert schema["description"].endswith("."), name
        if schema.get("format") == "date-time":
            assert "UTC" in schema["description"], name
        if name in ("duration", "queue_time"):
            assert "seconds" in schema["description"], name


def test_schemas_are_written_alike() -> None:
    """A schema is indented by two and ends with a line break, so that a change shows as what changed."""
    for path in SCHEMAS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n", path.name
