"""The schemas and the compiled records fit the rows that live accounts received: `sandbox/recorded.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft4Validator

from sandbox.catalog import RECORDED
from tap_twilio.singer.catalog import load_schema
from tap_twilio.singer.compile import Drift, compile_record
from tap_twilio.streams import BY_NAME
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
    "ISO 8601": ("2026-06-09T10:43:13Z", ["2026-06-09T10:43:13.000000Z", "2026-06-09T10:43:13Z"]),
    "ISO 8601 with fractions": ("2026-06-09T10:43:13.250Z", ["2026-06-09T10:43:13.250000Z"]),
    "ISO 8601 with an offset": ("2026-06-09T12:43:13+02:00", ["2026-06-09T10:43:13.000000Z", "2026-06-09T10:43:13Z"]),
    "day": ("2026-06-09", ["2026-06-09"]),
    "text": ("some text", ["some text"]),
    "object": ({"a": 1}, [{"a": 1}, '{"a":1}']),
    "empty array": ([], [[], "[]"]),
    "array of text": (["VP8"], [["VP8"], '["VP8"]']),
    "array of objects": ([{"a": 1}], [[{"a": 1}], '[{"a":1}]']),
}
# Addresses that follow from the SID are not in every schema; the token of an account is in none.
NEVER_TAKEN = {"links", "subresource_uris", "auth_token"}


@pytest.mark.parametrize("stream", RECORDED)
def test_every_recorded_form_of_a_value_is_kept_in_the_record(stream: str) -> None:
    """Each property is in the schema, and a value of each form that was seen becomes no error, and no null."""
    schema, forms = load_schema(stream), RECORDED[stream]["properties"]
    properties = schema["properties"]
    assert forms.keys() - NEVER_TAKEN <= properties.keys()

    drift = Drift(stream)
    record = compile_record(stream, schema, properties, key=BY_NAME[stream].key, drift=drift)
    row = {name: EXAMPLES[found[-1]][0] for name, found in forms.items() if name in properties}
    keys = {name: 0 if properties[name]["type"] == "integer" else "SID" for name in BY_NAME[stream].key}
    row = keys | row  # part of the key may come from the path
    for name in row.keys() & forms.keys():
        for form in forms[name]:
            value, expected = EXAMPLES[form]
            written = json.loads(orjson.dumps(record({**row, name: value})))
            assert written[name] in expected, (name, form)
            Draft4Validator(schema).validate(written)
    assert not drift.unknown


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
