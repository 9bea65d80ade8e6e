"""The catalog: what discovery offers, and what a user's choice in it means."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer import Catalog, Transformer
from singer import metadata as singer_metadata

from tap_twilio.errors import TapError
from tap_twilio.singer.catalog import Selected, discover, grades_of_evidence, load_schema, selected_streams
from tap_twilio.streams import BY_NAME, STREAMS

ALL = [stream.name for stream in STREAMS]
DEFAULT = ["addresses", "calls", "conferences", "transcriptions", "messages", "call_feedback"]
# What Twilio keeps, or answers for, for some days only; of the children there is no list to read whole either.
WINDOWS = {
    "alerts",
    "call_summaries",
    "conference_summaries",
    "monitor_events",
    "supersim_usage_records",
    "usage_records",
    "usage_records_monthly",
    "usage_records_yearly",
    "video_room_summaries",
    "wireless_usage_records",
}


def chosen(catalog: dict[str, Any]) -> dict[str, Selected]:
    return {selected.stream.name: selected for selected in selected_streams(catalog)}


def catalog_with(stream: str = "messages", prop: str | None = None, **about: Any) -> dict[str, Any]:
    """What discovery prints, with metadata of one stream or property changed: `replication_method` is its key."""
    catalog = copy.deepcopy(discover())
    breadcrumb = ["properties", prop] if prop else []
    for item in entry_of(catalog, stream)["metadata"]:
        if item["breadcrumb"] == breadcrumb:
            item["metadata"].update({key.replace("_", "-"): value for key, value in about.items()})
    return catalog


def entry_of(catalog: dict[str, Any], stream: str = "messages") -> dict[str, Any]:
    (entry,) = [entry for entry in catalog["streams"] if entry["tap_stream_id"] == stream]
    return entry  # type: ignore[no-any-return]


# Discovery


def test_the_catalog_in_the_repository_is_what_discovery_prints() -> None:
    """Whoever reads catalog.json sees what --discover gives; a changed schema shows as a changed catalog."""
    committed = (Path(__file__).parents[2] / "catalog.json").read_text(encoding="utf-8")

    assert committed == json.dumps(discover(), indent=2) + "\n"


def test_discovery_offers_all_streams_by_the_singer_specification() -> None:
    """Keys, replication key and inclusion are where the specification wants them, the method is the user's."""
    catalog = discover()

    assert [entry["tap_stream_id"] for entry in catalog["streams"]] == ALL
    for stream, entry in zip(STREAMS, catalog["streams"]):
        metadata = singer_metadata.to_map(entry["metadata"])
        changed = [stream.replication_key] if stream.replication_key else []
        about = metadata.pop(())
        method = about.pop("replication-method", None) or about.pop("forced-replication-method")
        assert method == "INCREMENTAL"
        assert about == {
            "inclusion": "available",
            "selected": stream.selected_by_default,
            "selected-by-default": stream.selected_by_default,
            "table-key-properties": list(stream.key),
            "valid-replication-keys": changed,
            **({"replication-key": stream.replication_key} if changed else {}),
        }
        assert entry["key_properties"] == list(stream.key)
        automatic = {name for (_, name), about in metadata.items() if about["inclusion"] == "automatic"}
        assert automatic == {*stream.key, *changed}
        assert {name for _, name in metadata} == entry["schema"]["properties"].keys()


def test_singer_python_reads_what_discovery_prints() -> None:
    """The catalog passes through singer-python's model, which knows its streams, keys and schemas."""
    streams = Catalog.from_dict(discover()).streams

    assert [stream.stream for stream in streams] == ALL
    for stream in streams:
        properties = copy.deepcopy(load_schema(stream.stream)["properties"])
        for about in properties.values():
            about.pop("contentMediaType", None)  # which singer-python's model leaves out
        assert stream.schema.to_dict()["properties"] == properties


def test_a_stream_is_forced_only_where_there_is_no_list_to_read_whole() -> None:
    """Children, and what Twilio keeps for some days; of all others the method is the user's to change."""
    forced = {
        entry["stream"]
        for entry in discover()["streams"]
        if "forced-replication-method" in singer_metadata.to_map(entry["metadata"])[()]
    }

    assert forced == WINDOWS | {stream.name for stream in STREAMS if stream.parent}
    assert [stream.name for stream in STREAMS if stream.selected_by_default] == DEFAULT


def test_discovery_prints_a_schema_as_its_file_has_it() -> None:
    """Keywords that singer-python's model would leave out; its description says the cost and the evidence as well."""
    for entry in discover()["streams"]:
        schema, cost = load_schema(entry["stream"]), BY_NAME[entry["stream"]].cost
        about = entry["schema"]["description"]
        assert json.dumps({**entry["schema"], "description": schema["description"]}) == json.dumps(schema)
        assert about.startswith(schema["description"])
        assert cost[1:] in about
        assert about.endswith(f" Evidence: {grades_of_evidence()[entry['stream']]}.")


# Selection


def test_without_a_catalog_what_is_selected_by_default_is_read() -> None:
    """A first sync needs no catalog; the one that discovery prints, untouched, means the same."""
    assert [selected.stream.name for selected in selected_streams(None)] == DEFAULT
    assert selected_streams(discover()) == selected_streams(None)
    for selected in selected_streams(None):
        assert selected.schema == load_schema(selected.stream.name)
        assert selected.properties == selected.schema["properties"].keys()
        assert not selected.full_table


def test_selected_decides_before_selected_by_default() -> None:
    """A stream that the user deselects is not read, one that he selects is, whatever discovery proposed."""
    assert "messages" not in chosen(catalog_with(selected=False))
    assert "messages" in chosen(catalog_with(selected=True, selected_by_default=False))
    assert "messages" not in chosen(catalog_with(selected=None, selected_by_default=False))
    assert "messages" in chosen(catalog_with(selected=None, selected_by_default=True))


def test_singer_python_selects_the_default_streams_of_an_unedited_catalog() -> None:
    """singer-python knows `selected` only, so discovery writes it too."""
    selected = Catalog.from_dict(discover()).get_selected_streams({})
    assert [entry.tap_stream_id for entry in selected] == DEFAULT


def test_a_catalog_that_lists_one_stream_reads_one() -> None:
    """Streams that were removed from the catalog are not read."""
    catalog = discover()
    catalog["streams"] = [entry_of(catalog, "calls")]

    assert list(chosen(catalog)) == ["calls"]


def test_nothing_may_be_selected() -> None:
    """A catalog without a selected stream is none's mistake here: there is nothing to read."""
    assert selected_streams({"streams": []}) == []


def test_old_catalogs_select_in_the_schema() -> None:
    """Catalogs from before metadata say `selected` in the schema, of a stream and of its properties."""
    old = {
        "streams": [
            {"tap_stream_id": "calls", "schema": {"type": "object", "properties": {}}},
            {
                "tap_stream_id": "messages",
                "schema": {
                    "selected": True,
                    "properties": {
                        "sid": {"inclusion": "automatic", "selected": False},
                        "body": {"selected": False},
                        "to": {"selected": True},
                        "price": {"inclusion": "unsupported", "selected": True},
                    },
                },
            },
        ]
    }
    assert list(chosen(old)) == ["messages"]
    assert load_schema("messages")["properties"].keys() - chosen(old)["messages"].properties == {"body", "price"}


def test_properties_are_chosen_and_leave_the_schema() -> None:
    """The target hears nothing of a property that is not selected, so that no empty column appears."""
    catalog = catalog_with("messages", "body", selected=False)
    selected = chosen(catalog)["messages"]

    assert "body" not in selected.properties
    assert selected.properties == selected.schema["properties"].keys()
    assert list(selected.schema["properties"]) == [n for n in load_schema("messages")["properties"] if n != "body"]
    assert "body" in load_schema("messages")["properties"]


@pytest.mark.parametrize("prop", ["sid", "date_updated"])
@pytest.mark.parametrize(
    "about", [{"selected": False}, {"inclusion": "unsupported"}, {"inclusion": "available"}], ids=str
)
def test_keys_cannot_be_deselected(prop: str, about: dict[str, Any]) -> None:
    """Rows without key or bookmark property are of no use to a target."""
    assert prop in chosen(catalog_with("messages", prop, **{**about, "selected": False}))["messages"].properties


@pytest.mark.parametrize(
    ("about", "is_selected"),
    [
        ({"selected_by_default": False}, False),
        ({"selected_by_default": False, "selected": True}, True),
        ({"selected": None}, True),
        ({"inclusion": "unsupported", "selected": True}, False),
        ({"inclusion": "automatic", "selected": False}, True),
    ],
    ids=str,
)
def test_what_decides_over_a_property(about: dict[str, Any], is_selected: bool) -> None:
    """Inclusion first, then the user, then discovery."""
    selected = chosen(catalog_with("messages", "body", **about))["messages"]

    assert ("body" in selected.properties) is is_selected


def test_an_unselected_object_takes_its_children_along() -> None:
    """A child that is selected does not bring its unselected parent back."""
    catalog = catalog_with("messages", "subresource_uris", selected=False)
    child = {"breadcrumb": ["properties", "subresource_uris", "properties", "media"], "metadata": {"selected": True}}
    entry_of(catalog)["metadata"].append(child)

    assert "subresource_uris" not in chosen(catalog)["messages"].properties


def test_a_new_property_is_selected_in_an_older_catalog() -> None:
    """After an upgrade, a property that the user's catalog has never heard of reaches the warehouse."""
    catalog = discover()
    entry = copy.deepcopy(entry_of(catalog))
    del entry["schema"]["properties"]["body"]
    entry["metadata"] = [item for item in entry["metadata"] if item["breadcrumb"] != ["properties", "body"]]

    assert "body" in chosen({"streams": [entry]})["messages"].properties


def test_a_selected_property_that_is_unknown_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """A property that the tap does not have, as after a typing error, shows in the log and is left out."""
    catalog = discover()
    about = {"breadcrumb": ["properties", "boddy"], "metadata": {"selected": True}}
    entry_of(catalog)["metadata"].append(about)

    assert "boddy" not in chosen(catalog)["messages"].properties
    assert caplog.messages == ["the catalog selects unknown properties, which are ignored: 'messages.boddy'"]


A_KEY = {"string": "2026-01-31T00:00:00Z", "integer": 1}
CHOICE = st.fixed_dictionaries({}, optional={"selected": st.booleans()})


@given(st.data(), st.sampled_from(ALL))
def test_singer_python_agrees(data: st.DataObject, stream: str) -> None:
    """Wherever the user made a choice, singer-python's catalog and transformer read it as we do. Secrets want one."""
    entry = entry_of(copy.deepcopy(discover()), stream)
    entry["schema"].update(data.draw(CHOICE))
    for item in entry["metadata"]:
        if item["breadcrumb"]:
            item["metadata"].update(data.draw(CHOICE))
        else:
            item["metadata"]["selected"] = data.draw(st.booleans())
    ours = chosen({"streams": [entry]})
    theirs = list(Catalog.from_dict({"streams": [entry]}).get_selected_streams({}))

    assert list(ours) == [entry.tap_stream_id for entry in theirs]
    for entry in theirs:
        kinds = load_schema(stream)["properties"]
        row = dict.fromkeys(kinds) | {key: A_KEY[kinds[key]["type"]] for key in entry.key_properties}
        noted = singer_metadata.to_map(entry.metadata)
        record = Transformer().transform(row, entry.schema.to_dict(), noted)
        silent = {name for name in BY_NAME[stream].deselected_by_default if "selected" not in noted["properties", name]}
        assert ours[stream].properties == record.keys() - silent


# Replication method


def test_full_table_is_the_users_to_choose() -> None:
    """In metadata, or beside the schema as old catalogs have it; metadata decides."""
    assert chosen(catalog_with(replication_method="FULL_TABLE"))["messages"].full_table
    old = {"tap_stream_id": "messages", "replication_method": "FULL_TABLE", "schema": {"selected": True}}
    assert chosen({"streams": [old]})["messages"].full_table
    both = catalog_with(replication_method="INCREMENTAL")
    entry_of(both)["replication_method"] = "FULL_TABLE"
    assert not chosen(both)["messages"].full_table


def test_another_replication_key_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """A catalog made for another tap may name another key; the log says that it is not used."""
    assert "messages" in chosen(catalog_with(replication_key="date_sent"))
    assert caplog.messages == ["messages: replication-key 'date_sent' is not possible; date_updated is used."]


# Refusals


def one_line(refused: pytest.ExceptionInfo[TapError]) -> str:
    message = str(refused.value)
    assert "\n" not in message and len(message) < 500
    return message


@pytest.mark.parametrize(
    ("catalog", "says"),
    [
        (catalog_with("call_feedback", replication_method="FULL_TABLE"), "call_feedback cannot be FULL_TABLE"),
        (catalog_with(replication_method="LOG_BASED"), "messages has replication-method 'LOG_BASED'"),
        ({"streams": [{"tap_stream_id": "sms", "schema": {"selected": True}}]}, "unknown stream 'sms' is selected"),
        ({"streams": [{"tap_stream_id": "sms", "schema": {"selected": True}}] * 2}, "'sms' is there twice"),
        (catalog_with(selected="yes"), "streams/4/metadata/0/metadata/selected must be of type boolean, null"),
        (catalog_with("messages", "body", inclusion="maybe"), "inclusion must be one of available, automatic"),
        ({}, "the top level must hold streams"),
        ([], "the top level must be of type object"),
        ({"streams": {}}, "streams must be of type array"),
        ({"streams": [{"stream": "messages"}]}, "streams/0 must hold tap_stream_id"),
        (
            {"streams": [{"tap_stream_id": "messages", "metadata": [{"breadcrumb": []}]}]},
            "must hold breadcrumb, metadata",
        ),
        ({"streams": [{"tap_stream_id": "messages", "schema": "\n" * 1_000}]}, "streams/0/schema"),
    ],
    ids=range(12),
)
def test_what_cannot_be_done_is_one_line(catalog: Any, says: str) -> None:
    """The line names the place in the catalog and what to do there; there is no traceback."""
    with pytest.raises(TapError) as refused:
        selected_streams(catalog)

    message = one_line(refused)
    assert message.startswith("catalog: ") and says in message
    assert any(verb in message for verb in ("Set", "Deselect", "Remove", "Make"))


def test_an_unknown_stream_that_is_not_selected_is_ignored() -> None:
    """A catalog of a newer version, or of another tap, works as long as it selects what there is."""
    catalog = discover()
    catalog["streams"].append({"tap_stream_id": "faxes", "schema": {}, "metadata": None})

    assert list(chosen(catalog)) == DEFAULT


def test_the_types_in_a_catalog_are_not_read() -> None:
    """However odd they are, and however deep: a catalog chooses, and the tap's own schemas say what comes."""
    deep: Any = {}
    for _ in range(5_000):
        deep = {"items": deep}
    catalog = discover()
    entry_of(catalog)["schema"] = {"properties": {"body": {"properties": [1], "items": 7}, "to": deep}, "items": []}

    assert chosen(catalog) == chosen(discover())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(ALL),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["streams", "tap_stream_id", "metadata", "breadcrumb", "schema", "properties", "selected", "body"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(JSON, JSON, JSON, JSON)
def test_any_json_is_a_catalog_or_one_line(streams: Any, schema: Any, metadata: Any, about: Any) -> None:
    """No catalog, however broken, makes a traceback."""
    nearly = {"tap_stream_id": "messages", "schema": schema, "metadata": metadata}
    nearer = {"tap_stream_id": "calls", "metadata": [{"breadcrumb": [], "metadata": about}], "schema": schema}
    for catalog in (streams, {"streams": streams}, {"streams": [nearly]}, {"streams": [nearer]}):
        try:
            said = str(selected_streams(catalog))
        except TapError as error:
            said = str(error)
        assert "\n" not in said
