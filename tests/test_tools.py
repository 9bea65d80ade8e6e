"""What a person runs by hand: facts derived from Twilio's OpenAPI documents, and proposals made of them."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from sandbox.catalog import fact, facts
from tools.documents import Documents
from tools.oai import FACTS, all_facts, as_text, by_shape, listed, main
from tools.propose import declaration, schema_of


def test_the_facts_are_those_of_the_documents() -> None:
    """`sandbox/facts` is what `python -m tools.oai facts` writes, to the byte."""
    folder = os.environ.get("TWILIO_OAI")
    if not folder:
        pytest.skip("TWILIO_OAI does not say where Twilio's OpenAPI documents are")
    derived = {product: as_text(found) for product, found in all_facts(Documents(Path(folder))).items()}
    assert {path.stem: path.read_text(encoding="utf-8") for path in FACTS.glob("*.json")} == derived


def test_proposals_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, or by operation and product; one that is not listed ends the program with a word."""
    folder = os.environ.get("TWILIO_OAI")
    if not folder:
        pytest.skip("TWILIO_OAI does not say where Twilio's OpenAPI documents are")
    assert main(["propose", "alerts", "studio/ListFlow", "--documents", folder]) == 0
    printed = capsys.readouterr().out
    assert [name in printed for name in ("# schemas/alerts.json", 'Stream("studio_flows"')] == [True, True]
    with pytest.raises(SystemExit, match="has no list 'gremlins'"):
        main(["propose", "gremlins", "--documents", folder])


def test_every_list_that_has_a_name_has_facts() -> None:
    """`tools/lists.txt` and `sandbox/facts` name the same lists."""
    assert {(one.name, one.product, one.path) for one in listed()} == {
        (one.name, one.product, one.path) for one in facts().values()
    }


def test_a_list_is_proposed_as_a_schema_and_a_declaration() -> None:
    """Types of columns, the key, the parent, the filter; descriptions are placeholders."""
    flows = asdict(fact("studio_executions"))
    assert declaration(flows, by_shape()) == (
        'Stream("studio_executions", STUDIO_V2, "Flows/{flow_sid}/Executions", "executions",'
        ' filter=Filter("DateCreatedFrom", "DateCreatedTo", "date_created"),'
        ' parent=Parent("studio_flows", {"flow_sid": "sid"})),'
    )
    people = asdict(fact("conference_participants"))
    assert 'key=("account_sid", "conference_sid", "call_sid")' in declaration(people, by_shape())
    properties = schema_of(asdict(fact("recordings")))["properties"]
    assert properties["sid"]["type"] == "string"
    assert properties["price"]["type"] == ["null", "number"]
    assert properties["date_created"] == {
        "type": ["null", "string"], "format": "date-time", "description": "Date created, UTC.",
    }  # fmt: skip
