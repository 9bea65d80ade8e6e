"""
Make the Singer catalog from streams and schemas, and read the selection from a user's catalog.

A catalog selects streams, properties and replication methods, and changes no type. singer-python parses it; this module
adds `selected-by-default` of a stream, since singer-python knows `selected` only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator  # singer-python holds jsonschema at 2.6, which knows Draft 4 at most

from tap_twilio import log
from tap_twilio.errors import TapError
from tap_twilio.streams import STREAMS, Stream

from .compat import Catalog, CatalogEntry, Schema, metadata, should_sync_field
from .options import SchemaOptions

LOGGER = logging.getLogger(__name__)

INCREMENTAL, FULL_TABLE = "INCREMENTAL", "FULL_TABLE"
# The order in which discovery prints an entry: catalogs are kept in repositories, where a new order shows as a change.
FIELDS = ("tap_stream_id", "stream", "key_properties", "schema", "metadata")
REDISCOVER = "Make a new catalog with --discover and select in that."


@dataclass(frozen=True)
class Selected:
    """A selected stream, with its selected properties."""

    stream: Stream
    schema: dict[str, Any]  # of the selected properties
    properties: frozenset[str]
    full_table: bool
    forms: SchemaOptions = SchemaOptions()  # noqa: RUF009  # it is frozen

    @property
    def written(self) -> list[str]:
        """Return the selected properties, each with its form, as the state remembers them."""
        return self.forms.names(self.properties, load_schema(self.stream.name)["properties"])

    @property
    def bookmark_properties(self) -> list[str]:
        """Return the replication key, if the stream has one and it is selected."""
        changed = self.stream.changed
        return [changed] if changed and changed in self.schema["properties"] else []


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Return a stream's whole schema. The object is shared, so do not change it."""
    package = Path(__file__).parent.parent
    folder = package / "schemas"  # of an installed package
    if not folder.is_dir():
        folder = package.parent / "schemas"  # of a clone, and of an editable install
    schema: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return schema


def written_schema(name: str, forms: SchemaOptions) -> dict[str, Any]:
    """Return a stream's whole schema as SCHEMA has it."""
    schema = load_schema(name)
    return schema if forms == SchemaOptions() else {**schema, "properties": forms.written(schema["properties"])}


def discover(streams: Iterable[Stream] = STREAMS, forms: SchemaOptions = SchemaOptions()) -> dict[str, Any]:  # noqa: B008  # frozen
    """Return the catalog of all streams, or of some."""
    catalog = Catalog([_entry(stream, forms) for stream in streams])
    return {"streams": [{name: entry[name] for name in FIELDS} for entry in catalog.to_dict()["streams"]]}


class _WholeSchema(Schema):  # type: ignore[misc]  # singer-python has no types
    """A schema with all its keywords. singer-python's Schema drops those that it does not know."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._whole = schema

    def to_dict(self) -> dict[str, Any]:
        return self._whole


def _entry(stream: Stream, forms: SchemaOptions) -> CatalogEntry:
    schema = written_schema(stream.name, forms)
    about_stream: dict[str, Any] = {
        "inclusion": "available",
        "selected-by-default": stream.default,
        "table-key-properties": list(stream.key),
        "valid-replication-keys": [stream.changed] if stream.changed else [],
    }
    if stream.changed:
        about_stream["replication-key"] = stream.changed
    about_stream["replication-method" if _can_be_full(stream) else "forced-replication-method"] = INCREMENTAL
    about: dict[tuple[str, ...], dict[str, Any]] = {(): about_stream}
    for name in schema["properties"]:
        automatic = {"inclusion": "automatic"}
        chosen = {"inclusion": "available", "selected-by-default": name not in stream.opt_in}
        about["properties", name] = automatic if name in _automatic(stream) else chosen
    return CatalogEntry(
        tap_stream_id=stream.name,
        stream=stream.name,
        key_properties=list(stream.key),
        schema=_WholeSchema({**schema, "description": _described(stream, schema)}),
        metadata=[{**item, "breadcrumb": list(item["breadcrumb"])} for item in metadata.to_list(about)],
    )


def _described(stream: Stream, schema: dict[str, Any]) -> str:
    """Return a stream's description, and its cost in requests."""
    about = str(schema["description"])
    return f"{about} {stream.cost[0].upper()}{stream.cost[1:]}." if stream.cost else about


def _automatic(stream: Stream) -> frozenset[str]:
    return frozenset((*stream.key, stream.changed) if stream.changed else stream.key)


def _can_be_full(stream: Stream) -> bool:
    """Return whether one list has all rows: not of children, nor of logs, whose rows Twilio keeps for days."""
    return stream.parent is None and not stream.is_log


def selected_streams(catalog: Any | None, forms: SchemaOptions = SchemaOptions()) -> list[Selected]:  # noqa: B008  # frozen
    """
    Return the streams that a catalog selects, in the order of `STREAMS`; without a catalog, those on by default.

    Raises TapError if it is no Singer catalog, or selects something that the tap cannot do.
    """
    if catalog is None:
        catalog = discover(stream for stream in STREAMS if stream.default)
    else:
        catalog = _without_deselected(catalog)
        _validate(catalog)
    entries: dict[str, CatalogEntry] = {}
    for entry in _parse(catalog).streams:
        name = entry.tap_stream_id
        if name in entries:
            raise TapError(f"catalog: stream {_named(name)} is there twice. Remove one of them.")
        if _is_selected(entry):
            entries[name] = entry
    known = {stream.name for stream in STREAMS}
    if unknown := sorted(entries.keys() - known):
        raise TapError(
            f"catalog: unknown stream {_named(unknown[0])} is selected; --discover lists all streams."
            " Deselect or remove it."
        )
    _warn_of_properties(entries, forms)
    return [_select(stream, entries[stream.name], forms) for stream in STREAMS if stream.name in entries]


def _without_deselected(catalog: Any) -> Any:
    """Return a catalog without streams that it clearly deselects, since parsing all of them takes time."""
    entries = catalog.get("streams") if isinstance(catalog, dict) else None
    if not isinstance(entries, list):
        return catalog  # it is invalid, which _validate reports
    names = {repr(entry.get("tap_stream_id")) for entry in entries if isinstance(entry, dict)}
    if len(names) < len(entries):
        return catalog
    return {**catalog, "streams": [entry for entry in entries if not _is_plainly_off(entry)]}


def _is_plainly_off(entry: dict[str, Any]) -> bool:
    try:
        about = next(item["metadata"] for item in entry["metadata"] if item["breadcrumb"] == [])
        return about.get("selected", about.get("selected-by-default")) is False and "selected" not in entry["schema"]
    except (KeyError, TypeError, AttributeError, StopIteration):
        return False


def _parse(catalog: Any) -> Catalog:
    """
    Parse a valid catalog with singer-python.

    Its schemas are cut down to the members that select: singer-python fails on some other members.
    """
    entries = [
        {**entry, "schema": _choices(entry.get("schema", {})), "metadata": entry.get("metadata") or []}
        for entry in catalog["streams"]
    ]
    return Catalog.from_dict({"streams": entries})


def _choices(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {
        "selected": schema.get("selected"),
        "properties": {
            name: {"selected": about.get("selected"), "inclusion": about.get("inclusion")}
            for name, about in properties.items()
        },
    }


def _is_selected(entry: CatalogEntry) -> bool:
    """Return whether schema or metadata select the stream, as singer-python decides; by default, discovery's choice."""
    about = metadata.to_map(entry.metadata)
    if entry.schema.selected is None and metadata.get(about, (), "selected") is None:
        return metadata.get(about, (), "selected-by-default") is True
    return bool(entry.is_selected())


def _warn_of_properties(entries: dict[str, CatalogEntry], forms: SchemaOptions) -> None:
    """Warn of unknown properties that are selected, as in a catalog of another tap."""
    unknown = [
        _named(f"{name}.{path[1]}")
        for name, entry in entries.items()
        for path, about in metadata.to_map(entry.metadata).items()
        if len(path) == 2 and about.get("selected") and path[1] not in written_schema(name, forms)["properties"]
    ]
    if unknown:
        LOGGER.warning("the catalog selects unknown properties, which are ignored: %s", ", ".join(unknown))


def _select(stream: Stream, entry: CatalogEntry, forms: SchemaOptions) -> Selected:
    schema, known = written_schema(stream.name, forms), metadata.to_map(entry.metadata)
    properties = {}
    for name, about in schema["properties"].items():
        choices = known.get(("properties", name), {}), entry.schema.properties.get(name)
        if name in _automatic(stream) or _property_is_selected(*choices, default=name not in stream.opt_in):
            properties[name] = about
    full = _is_full_table(stream, entry)
    return Selected(stream, {**schema, "properties": properties}, frozenset(properties), full, forms)


def _property_is_selected(about: dict[str, Any], schema: Schema | None, default: bool) -> bool:
    """Return whether a property is selected: by its metadata, by its schema as in old catalogs, or by default."""
    schema = schema or Schema()
    inclusion = about.get("inclusion") or schema.inclusion
    choices = (about.get("selected"), schema.selected, about.get("selected-by-default"))
    selected = next((choice for choice in choices if choice is not None), None)
    return bool(should_sync_field(inclusion, selected, default=default))


def _is_full_table(stream: Stream, entry: CatalogEntry) -> bool:
    about = metadata.to_map(entry.metadata)
    method = metadata.get(about, (), "replication-method") or entry.replication_method or INCREMENTAL
    if method not in (INCREMENTAL, FULL_TABLE):
        raise TapError(
            f"catalog: {stream.name} has replication-method {_named(method)}. Set it to {INCREMENTAL} or {FULL_TABLE}."
        )
    if method == FULL_TABLE and not _can_be_full(stream):
        raise TapError(
            f"catalog: {stream.name} cannot be {FULL_TABLE}, since Twilio has no list of all its rows."
            f" Set its replication-method to {INCREMENTAL}."
        )
    key = metadata.get(about, (), "replication-key") or entry.replication_key or stream.changed
    if method == INCREMENTAL and key != stream.changed:
        message = "%s: replication-key %s is not possible; %s is used."
        LOGGER.warning(message, stream.name, _named(str(key)), stream.changed, extra=log.about(stream.name))
    return bool(method == FULL_TABLE)


_MAYBE = {"type": ["boolean", "null"]}
_INCLUSION = {"enum": ["available", "automatic", "unsupported", None]}
_TEXT = {"type": ["string", "null"]}
_CATALOG = {
    "type": "object",
    "required": ["streams"],
    "properties": {
        "streams": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tap_stream_id"],
                "properties": {
                    "tap_stream_id": {"type": "string"},
                    "replication_method": _TEXT,
                    "replication_key": _TEXT,
                    "schema": {
                        "type": "object",
                        "properties": {
                            "selected": _MAYBE,
                            "properties": {
                                "type": "object",
                                "additionalProperties": {
                                    "type": "object",
                                    "properties": {"selected": _MAYBE, "inclusion": _INCLUSION},
                                },
                            },
                        },
                    },
                    "metadata": {
                        "type": ["array", "null"],
                        "items": {
                            "type": "object",
                            "required": ["breadcrumb", "metadata"],
                            "properties": {
                                "breadcrumb": {"type": "array", "items": {"type": "string"}},
                                "metadata": {
                                    "type": "object",
                                    "properties": {
                                        "selected": _MAYBE,
                                        "selected-by-default": _MAYBE,
                                        "inclusion": _INCLUSION,
                                        "replication-method": _TEXT,
                                        "replication-key": _TEXT,
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


def _validate(catalog: Any) -> None:
    for error in Draft4Validator(_CATALOG).iter_errors(catalog):
        where = "/".join(str(part) for part in error.absolute_path) or "the top level"
        wanted = error.validator_value  # never the value itself: the file may be another one, with secrets
        kinds = wanted if isinstance(wanted, list) else [wanted]
        rule = {"type": "must be of type", "required": "must hold", "enum": "must be one of"}[str(error.validator)]
        raise TapError(f"catalog: {where[:200]} {rule} {', '.join(map(str, kinds))}. {REDISCOVER}")


def _named(name: str) -> str:
    """Return a name from a file, for a message."""
    return ascii(name)[:60]
