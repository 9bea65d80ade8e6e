"""What a person runs by hand: facts derived from Twilio's OpenAPI documents, and proposals made of them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sandbox.catalog import Fact, fact, facts
from tap_twilio.streams import BY_NAME, PRODUCTS, STREAMS, model
from tap_twilio.streams.model import Condition, Filter, OpenParents, Parent, Product, Stream
from tap_twilio.timestamps import DAY
from tools.check import Outcome, check, list_key, stream_key, text
from tools.documents import Documents
from tools.left_out import LEFT_OUT, UNDOCUMENTED
from tools.oai import CHECKSUMS, FACTS, PUBLISHED, all_facts, as_text, by_shape, checksums, listed, main
from tools.page import DOCS, pages
from tools.propose import declaration, schema_of


def test_the_facts_are_those_of_the_documents() -> None:
    """`sandbox/facts` is what `python -m tools.oai facts` writes, to the byte."""
    folder = os.environ.get("TWILIO_OAI")
    if not folder:
        pytest.skip("TWILIO_OAI does not say where Twilio's OpenAPI documents are")
    derived = {product: as_text(found) for product, found in all_facts(Documents(Path(folder))).items()}
    assert {path.stem: path.read_text(encoding="utf-8") for path in FACTS.glob("*.json")} == derived


def test_the_facts_are_those_that_were_derived_last() -> None:
    """Without the documents at hand, too: whoever edits a fact by hand is told here."""
    assert CHECKSUMS.read_text(encoding="utf-8") == checksums()


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
    """Types of columns, the key, the parent, the filter; what a common property is."""
    flows = asdict(fact("studio_executions"))
    assert declaration(flows, by_shape()) == (
        'Stream("studio_executions", STUDIO, "Flows/{flow_sid}/Executions", "executions",'
        ' filter=Filter("DateCreatedFrom", "DateCreatedTo", "date_created"),'
        ' parent=Parent("studio_flows", {"flow_sid": "sid"})),'
    )
    people = asdict(fact("conference_participants"))
    assert 'key=("account_sid", "conference_sid", "call_sid")' in declaration(people, by_shape())
    properties = schema_of(asdict(fact("recordings")))["properties"]
    assert properties["sid"]["type"] == "string"
    assert properties["price"]["type"] == ["null", "number"]
    assert properties["date_created"] == {
        "type": ["null", "string"], "format": "date-time", "description": "When the recording was created, UTC.",
    }  # fmt: skip


def test_what_is_proposed_can_be_pasted_into_the_file_of_its_product() -> None:
    """Each list that there are facts of; what the documents tell of a stream is what its declaration has."""
    homes = {name: vars(import_module(f"tap_twilio.streams.{name}")) for name in PRODUCTS}
    home_of = {stream.name: home for home in homes.values() for stream in home["STREAMS"]}
    for name, one in facts().items():
        proposed = declaration(asdict(one), by_shape())
        constant = proposed.split(", ")[1]
        home = home_of.get(name) or next((home for home in homes.values() if constant in home), {})
        (stream,) = eval(proposed, {**vars(model), "DAY": DAY, **home})  # of our own words
        if name in BY_NAME:
            assert told(stream) == told(BY_NAME[name])


def told(stream: Stream) -> tuple[object, ...]:
    """What the documents tell of it, beyond doubt."""
    return stream.product, stream.path, stream.rows, stream.max_page_size, stream.hidden


def test_a_product_that_nothing_is_read_of_is_declared_on_the_spot() -> None:
    """And so is a new version of one."""
    toys = asdict(fact("studio_flows")) | {"product": "toys", "version": "v7", "path": "/v7/Flows"}
    (stream,) = eval(declaration(toys, by_shape()), dict(vars(model)))
    assert stream.product == Product("toys", "/v7")


# The check, on a document of its own ----------------------------------------------------------------------------------

TOYS = Product("toys", "/v1", page_size=50)
BOXES = Stream("boxes", TOYS, "Boxes", "boxes", filter=Filter("After", "Before", "date_created", unit=DAY))
OPEN = OpenParents(open_if=Condition("state", one_of=("open",)))
BALLS = Stream("balls", TOYS, "Boxes/{box_sid}/Balls", "balls", parent=Parent("boxes", {"box_sid": "sid"}, OPEN))
TEXT = {"type": "string"}
SCHEMAS: dict[str, Any] = {
    "boxes": {"properties": {name: {} for name in ("sid", "state", "date_created", "date_updated", "received_at")}},
    "balls": {"properties": {name: {} for name in ("sid", "date_updated", "received_at")}},
}


def listing(rows: str, names: str, query: dict[str, Any]) -> Any:
    """A path item of a paged list."""
    state = {"state": {"$ref": "#/components/schemas/state"}}
    row = {"type": "object", "properties": {name: state.get(name, TEXT) for name in names.split()}}
    answer = {"type": "object", "properties": {"meta": {}, rows: {"type": "array", "items": row}}}
    parameters = [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()]
    responses = {"200": {"content": {"application/json": {"schema": answer}}}}
    return {"get": {"operationId": rows, "parameters": parameters, "responses": responses}}


@pytest.fixture
def toys(tmp_path: Path) -> Path:
    """A folder with one document: boxes, the balls in them, lids, and a path that redirects."""
    one = {"get": {"operationId": "one", "responses": {"200": {"content": {"application/json": {"schema": {}}}}}}}
    day = {"type": "string", "format": "date"}
    kinds, lids = {"enum": ["big", "small"]}, {"type": "boolean"}
    query = {"PageSize": {"maximum": 50}, "After": day, "Before": day, "Kind": kinds, "WithLids": lids}
    paths = {
        "/v1/Boxes": listing("boxes", "sid state date_created date_updated links", query),
        "/v1/Boxes/{Sid}": one,
        "/v1/Boxes/{BoxSid}/Balls": listing("balls", "sid color date_updated", {}),
        "/v1/Boxes/{BoxSid}/Balls/{Sid}": one,
        "/v1/Lids": listing("lids", "sid state", {}),
        "/v1/Elsewhere": {"get": {"operationId": "elsewhere", "responses": {"307": {}}}},
    }
    state = {"type": "string", "enum": ["open", "closed"]}
    document = {"servers": [{"url": "https://toys.twilio.com"}], "paths": paths}
    (tmp_path / "toys.json").write_text(json.dumps(document | {"components": {"schemas": {"state": state}}}))
    return tmp_path


def checked(toys: Path, boxes: Stream = BOXES, balls: Stream = BALLS, **left_out: str) -> Outcome:
    """What a check of these two streams finds; `left_out` by the list's path after the version."""
    lists = {("toys", f"/v1/{name}"): reason for name, reason in left_out.items()}
    return check(Documents(toys), (boxes, balls), SCHEMAS, lists)


def test_a_check_counts_the_lists_without_a_stream_and_finds_nothing_wrong_with_them(toys: Path) -> None:
    """Unless they are left out for a reason; what a schema leaves out is a note."""
    outcome, without = checked(toys), checked(toys, Lids="nobody plays with them")

    assert text(outcome).splitlines() == [
        "not declared: toys /v1/Lids",
        "note: balls: its schema does not have color",
        "2 streams are declared, 0 lists are left out, 1 are not declared; 0 contradictions.",
    ]
    assert (without.undeclared, without.left_out, without.contradictions) == ([], 1, [])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"path": "Crates"}, "there is no GET toys /v1/Crates"),
        ({"product": replace(TOYS, suffix=".json")}, "there is no GET toys /v1/Boxes.json"),
        ({"rows": "crates"}, "its rows are in boxes, not in crates"),
        ({"has_next_page": False, "filter": None}, "it names a next page"),
        ({"page_size": 1000}, "a page has 50 rows at most, not 1000"),
        ({"path": "Lids", "rows": "lids"}, "Twilio cannot be asked for one of its rows"),
        ({"key": ("number",)}, "there is no property number (the key's)"),
        ({"hidden": frozenset({"secret"})}, "there is no property secret (the hidden)"),
        ({"derived": {"state": "account_sid"}}, "it adds state, which its rows have"),
        ({"filter": Filter("From", "Before", "date_created", unit=DAY)}, "there is no parameter From (the filter's)"),
        ({"filter": Filter("After", "Before", "date_sent", unit=DAY)}, "there is no property date_sent (the filter's)"),
        ({"filter": Filter("After", "Before", "date_created")}, "After takes days, and the filter's unit is none"),
        ({"query": {"Order": "asc"}}, "there is no parameter Order"),
        ({"query": {"Kind": "huge"}}, "Kind is never huge"),
        ({"query": {"WithLids": "perhaps"}}, "WithLids is never perhaps"),
        ({"query_variants": {"Kind": ("big", "huge")}}, "Kind is never huge"),
    ],
)
def test_what_a_declaration_says_and_the_documents_do_not_is_a_contradiction(
    toys: Path, changes: dict[str, Any], says: str
) -> None:
    """Of a path, the rows, the key, a filter, a parameter, a value; nothing else is said of the stream."""
    found = checked(toys, boxes=replace(BOXES, **changes)).contradictions

    assert f"boxes: {says}" in found
    assert all(one.startswith("boxes: ") for one in found)


@pytest.mark.parametrize(
    ("parent", "says"),
    [
        (Parent("boxes", {"box_sid": "number"}, OPEN), "there is no property number (of boxes, the path's)"),
        (Parent("boxes", {"box_sid": "sid"}, where=Condition("lid", above=0)), "there is no property lid (of boxes, "),
        (
            Parent("boxes", {"box_sid": "sid"}, where=Condition("state", one_of=("lost",))),
            "state of boxes is never lost",
        ),
    ],
)
def test_a_child_is_held_against_the_rows_of_its_parent(toys: Path, parent: Parent, says: str) -> None:
    """The values of its path come from there, and the conditions on which it is asked."""
    (found,) = checked(toys, balls=replace(BALLS, parent=parent)).contradictions

    assert found.startswith(f"balls: {says}")


def test_a_column_that_the_documents_lack_is_a_contradiction(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the tap adds it."""
    monkeypatch.setitem(SCHEMAS["balls"]["properties"], "size", {})

    assert checked(toys).contradictions == ["balls: there is no property size (the schema's)"]


def test_a_list_that_is_left_out_is_there_and_no_stream_reads_it(toys: Path) -> None:
    """Else the reason is out of date."""
    outcome = checked(toys, Boxes="too many", Bows="too few")

    assert outcome.contradictions == ["toys /v1/Boxes: left out, and a stream reads it"]
    assert "toys /v1/Bows: left out, and the documents have no such list" in outcome.notes


def test_the_command_ends_with_1_where_a_declaration_is_contradicted(
    toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The toys' document has none of the tap's lists, but the one stream that no document has is not missed."""
    assert main(["check", str(toys)]) == 1

    printed = capsys.readouterr().out
    assert "CONTRADICTION messages: there is no GET api /2010-04-01/Accounts/{account_sid}/Messages.json" in printed
    assert "not declared: toys /v1/Balls" not in printed
    assert "not declared: toys /v1/Boxes/{BoxSid}/Balls" in printed
    assert all(f"{name}: there is no GET api" not in printed for name in UNDOCUMENTED)


def document_of(one: Fact) -> dict[str, Any]:
    """Return an OpenAPI document that says of a list what its facts do, and no more."""
    row = {"type": "object", "properties": one.properties}
    more: dict[str, Any] = {"classic": {"next_page_uri": {}}, "meta": {"meta": {}}, "none": {}}
    listed = {"properties": {one.rows: {"type": "array", "items": row}, **more.get(one.envelope, {})}}
    size = {"PageSize": {"maximum": one.page_size}} if one.page_size else {}
    query = [{"name": name, "in": "query", "schema": schema} for name, schema in {**one.query, **size}.items()]

    def get(answer: dict[str, Any]) -> dict[str, Any]:
        responses = {"200": {"content": {"application/json": {"schema": answer}}}}
        return {"get": {"operationId": one.operation, "parameters": query, "responses": responses}}

    paths = {one.path: get(row if one.envelope == "single" else listed)} | ({one.one: get(row)} if one.one else {})
    return {"servers": [{"url": f"https://{one.product}.twilio.com"}], "paths": paths}


def test_the_declarations_are_those_of_the_facts(tmp_path: Path) -> None:
    """As below, where the documents are not at hand: the facts have all that the check asks for."""
    for one in facts().values():
        (tmp_path / f"{one.name}.json").write_text(json.dumps(document_of(one)), encoding="utf-8")

    assert check(Documents(tmp_path), STREAMS).contradictions == []


def test_the_declarations_are_those_of_the_documents(capsys: pytest.CaptureFixture[str]) -> None:
    """No stream says what Twilio's documents do not."""
    folder = os.environ.get("TWILIO_OAI")
    if not folder:
        pytest.skip("TWILIO_OAI does not say where Twilio's OpenAPI documents are")
    assert main(["check", folder]) == 0, capsys.readouterr().out


def test_every_list_of_the_documents_is_a_stream_or_left_out_with_its_reason() -> None:
    """`tools/published.txt` has every list; none is forgotten, and none is both."""
    published = {list_key(*line.split()) for line in PUBLISHED.read_text(encoding="utf-8").splitlines()}
    declared = {stream_key(stream.product, stream.path) for stream in STREAMS}
    left = {list_key(*one) for one in LEFT_OUT}
    assert published - declared - left == set()
    assert left <= published
    assert left & declared == set()
    assert all(LEFT_OUT.values())


def test_the_generated_pages_are_up_to_date() -> None:
    """`python -m tools.page` writes them. The folder has no other page, and the site's navigation has all."""
    written = {str(path.relative_to(DOCS)): path.read_text("utf-8") for path in DOCS.glob("dictionary/*")}
    assert written | {"streams.md": (DOCS / "streams.md").read_text("utf-8")} == pages()

    navigation = Path("mkdocs.yml").read_text("utf-8").split("nav:\n")[1]
    assert [name for name in written if name.endswith(".md") and f"{name}\n" not in navigation] == []


def test_links_between_the_generated_pages_lead_to_a_section() -> None:
    """Streams link to their sections, and joins to the sections of other streams."""
    found = pages()
    for name in found:
        for path, anchor in re.findall(r"\]\(([^)\s#:]*)#(\w+)\)", found[name]):
            assert f"\n## {anchor}\n" in found[os.path.normpath(Path(name).parent / path) if path else name], name


def test_the_dictionary_says_how_tables_join() -> None:
    """By the path of a child, by all columns of a parent's key, and by the SID that a column describes."""
    found = "".join(pages().values())
    sections = dict(re.findall(r"(?ms)^## (\w+)$(.+?)(?=^## |\Z)", found))
    assert "- **Joins**: `sid` = [calls](#calls) `sid`\n" in sections["call_feedback"]
    assert "- **Joined by**: [message_media](#message_media) `parent_sid`\n" in sections["messages"]
    assert "`recording_sid` = [recordings](#recordings) `sid`" in sections["transcriptions"]
    both = "`service_sid`, `identity`"
    assert f"{both} = [verify_entities](#verify_entities) {both}" in sections["verify_factors"]
    assert "- **Joins**: `account_sid`, `iso_code` =" in sections["voice_dialing_permission_high_risk_prefixes"]
    assert "`messaging_service_sid` = [messaging_services](messaging.md#messaging_services)" in sections["messages"]
    assert "author_sid` =" not in sections["studio_flows"]  # users of the console are in no table
