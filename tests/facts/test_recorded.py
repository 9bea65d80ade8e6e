"""
The schemas and the compiled records fit the rows that live accounts received.

The forms of these rows stand in `sandbox/recorded.json`, and in the files of `evidence/`, which users sent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft4Validator

from sandbox.catalog import RECORDED, facts
from tap_twilio.run.shapes import ABSENT, CheckedPage, shapes_of
from tap_twilio.run.shapes import as_text as shapes_text
from tap_twilio.singer.catalog import load_schema
from tap_twilio.singer.compile import Drift, compile_record
from tap_twilio.streams import BY_NAME, STREAMS, Stream
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Fetch, Page
from tools.evidence import FILE as EVIDENCE
from tools.evidence import as_text as grades_text
from tools.evidence import derive as derive_grades
from tools.evidence import reports
from tools.recorded import FILE, as_text, derive, main, recorded_lines

# A value of each form, and the values that a record may have for it: as it is, or converted by the schema.
EXAMPLES: dict[str, tuple[Any, list[Any]]] = {
    "null": (None, [None]),
    "empty": ("", [None, ""]),
    "boolean": (True, [True]),
    "integer": (30005, [30005]),
    "number": (0.5, [0.5]),
    "integer as text": ("12", [12, "12"]),
    "number as text": ("-0.00750", [-0.0075, "-0.00750"]),
    "RFC 2822": ("Tue, 09 Jun 2026 10:43:13 +0000", ["2026-06-09T10:43:13.000000Z", "2026-06-09T10:43:13Z"]),
    "RFC 2822 with an offset": (
        "Tue, 09 Jun 2026 12:43:13 +0200",
        ["2026-06-09T10:43:13.000000Z"],
    ),
    "ISO 8601": ("2026-06-09T10:43:13Z", ["2026-06-09T10:43:13.000000Z", "2026-06-09T10:43:13Z"]),
    "ISO 8601 with fractions": ("2026-06-09T10:43:13.250Z", ["2026-06-09T10:43:13.250000Z"]),
    "ISO 8601 with an offset": ("2026-06-09T12:43:13+02:00", ["2026-06-09T10:43:13.000000Z", "2026-06-09T10:43:13Z"]),
    "day": ("2026-06-09", ["2026-06-09"]),
    "text": ("some text", ["some text"]),
    "object": ({"a": 1}, [{"a": 1}, '{"a":1}']),
    "empty array": ([], [[], "[]"]),
    "array of text": (["VP8"], [["VP8"], '["VP8"]']),
    "array of other values": ([1], [[1], "[1]"]),
    "array of objects": ([{"a": 1}], [[{"a": 1}], '[{"a":1}]']),
}
# Addresses that follow from the SID are not in every schema; the token of an account is in none.
NEVER_TAKEN = {"links", "subresource_uris", "auth_token"}


Forms = Mapping[str, Collection[str]]  # of each property


def reported(report: dict[str, Any]) -> dict[str, Forms]:
    """Return the forms in a file of `--check --shapes`, by stream; properties that the schema lacks are among them."""
    shapes = {stream: shape for stream, shape in report["streams"].items() if shape.get("rows")}
    return {stream: shape["properties"] | shape["unknown_properties"] for stream, shape in shapes.items()}


RECORDS: dict[str, tuple[str, Forms]] = {stream: (stream, fact["properties"]) for stream, fact in RECORDED.items()}
for file, report in reports().items():
    RECORDS |= {f"{file} {stream}": (stream, forms) for stream, forms in reported(report).items()}


@pytest.mark.parametrize(("stream", "forms"), RECORDS.values(), ids=RECORDS)
def test_every_recorded_form_of_a_value_is_kept_in_the_record(stream: str, forms: Forms) -> None:
    """Each property is in the schema, and a value of each form that was seen becomes no error, and no null."""
    assert_kept(stream, forms)


def assert_kept(stream: str, forms: Forms) -> None:
    """Assert that a record keeps a value of each form of each property."""
    forms = {name: seen for name, found in forms.items() if (seen := [form for form in found if form != ABSENT])}
    schema = load_schema(stream)
    properties = schema["properties"]
    assert forms.keys() - NEVER_TAKEN <= properties.keys()

    drift = Drift(stream)
    record = compile_record(stream, schema, properties, key=BY_NAME[stream].key, drift=drift)
    row = {name: EXAMPLES[[*found][-1]][0] for name, found in forms.items() if name in properties}
    row = {name: key_value(properties[name]) for name in BY_NAME[stream].key} | row  # the path may give the key
    for name in row.keys() & forms.keys():
        for form in forms[name]:
            value, expected = EXAMPLES[form]
            written = json.loads(orjson.dumps(record({**row, name: value})))
            assert written[name] in expected, (name, form)
            Draft4Validator(schema).validate(written)
    assert not drift.unknown


def key_value(schema: dict[str, Any]) -> Any:
    """Return a value of a column of a key."""
    form = schema.get("format", schema["type"])
    return {"integer": 0, "date-time": EXAMPLES["ISO 8601"][0], "date": EXAMPLES["day"][0]}.get(form, "SID")


# The published rows of supersim_usage_records are the answer to another query: their keys are null.
PUBLISHED = [stream for stream in STREAMS if stream.name in facts() and stream.name != "supersim_usage_records"]


@pytest.mark.parametrize("stream", PUBLISHED, ids=lambda stream: stream.name)
def test_a_report_of_rows_that_fit_is_accepted(stream: Stream) -> None:
    """Of Twilio's published rows here. A property that the schema lacks, or a form that it does not fit, is noticed."""
    endpoint = ListEndpoint(stream, "AC0", 50)
    rows = [dict(row) for row in facts()[stream.name].published]
    shapes = shapes_of([CheckedPage(endpoint, Fetch("AC0", ""), Page(rows, None, ""))], "2026-01-01T00:00:00.000000Z")
    report = json.loads(shapes_text(shapes))

    assert_kept(stream.name, reported(report)[stream.name])
    assert derive_grades({"2026-01-1.json": report})["live"] == [stream.name]
    with pytest.raises(AssertionError):
        assert_kept(stream.name, {"something_new": {"text": 1}})


def test_the_grades_of_evidence_are_derived() -> None:
    """`tap_twilio/evidence.json` is what `python -m tools.evidence` writes. A report without a row proves nothing."""
    assert EVIDENCE.read_text("utf-8") == grades_text(derive_grades(reports()))

    shapes = {"messages": {"status": 200, "rows": 0}, "calls": {"status": 404, "code": 20404}, "keys": {"rows": 1}}
    grades = derive_grades({"2026-01-1.json": {"streams": shapes}})
    assert grades["live"] == ["keys"]
    assert {"messages", "calls"} < set(grades["recorded"])
    assert "studio_flows" in grades["published example"]
    assert grades["documents only"] == ["call_feedback"]


def test_the_facts_are_those_of_the_recorded_bodies() -> None:
    """`sandbox/recorded.json` is what `python -m tools.recorded` writes, to the byte."""
    folder = os.environ.get("TWILIO_RECORDED")
    if not folder:
        pytest.skip("TWILIO_RECORDED does not say where the recorded bodies are")
    lines = recorded_lines(Path(folder), ["airbytehq", "integration_tests"])
    assert FILE.read_text(encoding="utf-8") == as_text(derive(lines))


def test_facts_hold_no_value_of_a_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only names of a row's own properties, and the forms of their values."""
    secret, sid = "Owl Dental", "CA" + "7" * 32
    address = f"/2010-04-01/Accounts/AC{'1' * 32}/Calls"
    call = {"sid": sid, "price": "-0.01300", "start_time": None, "from": "+14155550123", "Ana's note": secret}
    call |= {"uri": f"{address}/{sid}.json", "subresource_uris": {secret: secret}, "annotation": secret}
    lines = [
        {"kind": "recorded", "years": "2019, 2026", "body": {"calls": [call, call], "uri": f"{address}.json?Page=0"}},
        {"kind": "recorded", "years": "2020", "body": call},
        {"kind": "recorded", "years": "", "body": {"calls": [{"to": secret}], "uri": f"{address}.json", "skip": "me"}},
        {"kind": "published", "years": "2015", "body": {"calls": [{"status": secret}], "uri": f"{address}.json"}},
        {"kind": "recorded", "years": "", "body": {"code": 20404, "message": secret}},
    ]
    (tmp_path / "bodies.jsonl").write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setattr("tools.recorded.FILE", tmp_path / "recorded.json")

    assert main([str(tmp_path), "--skip", '"skip"']) == 0
    text = (tmp_path / "recorded.json").read_text()
    assert json.loads(text) == {
        "calls": {
            "rows": 3,
            "newest": 2026,
            "properties": {
                "annotation": ["text"],
                "from": ["text"],
                "price": ["number as text"],
                "sid": ["text"],
                "start_time": ["null"],
                "subresource_uris": ["object"],
                "uri": ["text"],
            },
        }
    }
