"""
Make the catalog that `--discover` prints, and read the selection from the catalog that `--catalog` names.

`discover` makes it from the declarations (streams/) and the schemas (schemas/). `selected_streams` returns what the run
reads, for run/sync.py. A catalog selects streams, properties and replication methods, and changes no type.
singer-python parses it; this module adds `selected-by-default`, which singer-python does not know.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator  # singer-python holds jsonschema at 2.6, which knows Draft 4 at most

from tap_twilio import log
from tap_twilio.errors import TapError
from tap_twilio.streams import BY_NAME, STREAMS, Stream
from tap_twilio.timestamps import Timestamp

from .compat import Catalog, CatalogEntry, Schema, metadata, should_sync_field
from .mask import Properties
from .options import SchemaOptions

LOGGER = logging.getLogger(__name__)

INCREMENTAL, FULL_TABLE = "INCREMENTAL", "FULL_TABLE"
# Discovery always prints an entry in this order: users keep catalogs in repositories, where a new order is a change.
FIELDS = ("tap_stream_id", "stream", "key_properties", "schema", "metadata")
REDISCOVER = "Make a new catalog with --discover and select in that."


@dataclass(frozen=True)
class Selected:
    """A selected stream, with its selected properties."""

    stream: Stream
    schema: dict[str, Any]  # of the selected properties
    properties: frozenset[str]
    full_table: bool
    options: SchemaOptions = SchemaOptions()  # noqa: RUF009  # it is frozen

    @property
    def written(self) -> list[str]:
        """Return the selected properties for the state, marked where `options` change their values."""
        names = self.options.names(self.properties, load_schema(self.stream.name)["properties"])
        return self.options.mask.names(self.stream, self._all_properties, names)

    @property
    def masked_columns(self) -> dict[str, str]:
        """Return the selected columns that are masked, each with "null" or "hash"."""
        masked = self.options.mask.columns(self.stream, self._all_properties)
        return {name: how for name, how in masked.items() if name in self.properties}

    def masking_sql(self, since: Collection[str], before: Timestamp) -> str | None:
        """Return SQL that masks rows written before a time; None if `written` masked the same columns in `since`."""
        marks = self.options.mask.names(self.stream, self._all_properties, self.masked_columns)
        columns = [name for name, mark in zip(self.masked_columns, marks) if mark not in since]
        properties = {name: about for name, about in self._all_properties.items() if name in self.properties}
        return self.options.mask.update(self.stream, properties, columns, before) if columns else None

    @property
    def _all_properties(self) -> Properties:
        return self.options.written(load_schema(self.stream.name)["properties"])

    @property
    def bookmark_properties(self) -> list[str]:
        """Return the replication key, if the stream has one and it is selected."""
        changed = self.stream.replication_key
        return [changed] if changed and changed in self.schema["properties"] else []


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Return a stream's schema, with all properties. The object is shared, so do not change it."""
    package = Path(__file__).parent.parent
    folder = package / "schemas"  # in an installed package
    if not folder.is_dir():
        folder = package.parent / "schemas"  # in a clone, and with an editable install
    schema: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return schema


@cache
def grades_of_evidence() -> dict[str, str]:
    """Return what each stream was compared with, such as "recorded". `python -m tools.evidence` derives it."""
    grades = json.loads((Path(__file__).parent.parent / "evidence.json").read_text(encoding="utf-8"))
    return {name: grade for grade, names in grades.items() for name in names}


def written_schema(name: str, options: SchemaOptions) -> dict[str, Any]:
    """Return a stream's schema as the SCHEMA message has it."""
    schema = load_schema(name)
    if options == SchemaOptions():
        return schema
    return {**schema, "properties": options.mask.schema(BY_NAME[name], options.written(schema["properties"]))}


def discover(streams: Iterable[Stream] = STREAMS, options: SchemaOptions = SchemaOptions()) -> dict[str, Any]:  # noqa: B008  # frozen
    """Return the catalog of all streams, or of some."""
    catalog = Catalog([_entry(stream, options) for stream in streams])
    return {"streams": [{name: entry[name] for name in FIELDS} for entry in catalog.to_dict()["streams"]]}


class _WholeSchema(Schema):  # type: ignore[misc]  # singer-python has no types
    """A schema with all its keywords. singer-python's Schema drops those that it does not know."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._whole = schema

    def to_dict(self) -> dict[str, Any]:
        return self._whole


def _entry(stream: Stream, options: SchemaOptions) -> CatalogEntry:
    schema = written_schema(stream.name, options)
    about_stream: dict[str, Any] = {
        "inclusion": "available",
        "selected": stream.selected_by_default,  # singer-python and older tools know this member only
        "selected-by-default": stream.selected_by_default,
        "table-key-properties": list(stream.key),
        "valid-replication-keys": [stream.replication_key] if stream.replication_key else [],
    }
    if stream.replication_key:
        about_stream["replication-key"] = stream.replication_key
    about_stream["replication-method" if _can_be_full(stream) else "forced-replication-method"] = INCREMENTAL
    about: dict[tuple[str, ...], dict[str, Any]] = {(): about_stream}
    for name in schema["properties"]:
        automatic = {"inclusion": "automatic"}
        optional = {"inclusion": "available", "selected-by-default": name not in stream.deselected_by_default}
        about["properties", name] = automatic if name in _automatic(stream) else optional
    return CatalogEntry(
        tap_stream_id=stream.name,
        stream=stream.name,
        key_properties=list(stream.key),
        schema=_WholeSchema({**schema, "description": _described(stream, schema)}),
        metadata=[{**item, "breadcrumb": list(item["breadcrumb"])} for item in metadata.to_list(about)],
    )


def _described(stream: Stream, schema: dict[str, Any]) -> str:
    """Return a stream's description, its cost in requests, and what it was compared with."""
    about = str(schema["description"])
    about = f"{about} {stream.cost[0].upper()}{stream.cost[1:]}." if stream.cost else about
    return f"{about} Evidence: {grades_of_evidence()[stream.name]}."


def _automatic(stream: Stream) -> frozenset[str]:
    return frozenset((*stream.key, stream.replication_key) if stream.replication_key else stream.key)


def _can_be_full(stream: Stream) -> bool:
    """Return whether one list has all rows. A child has many lists; Twilio keeps the rows of a log for some days."""
    return stream.parent is None and not stream.is_log


def selected_streams(catalog: Any | None, options: SchemaOptions = SchemaOptions()) -> list[Selected]:  # noqa: B008  # frozen
    """
    Return the streams that a catalog selects, in the order of `STREAMS`; without a catalog, those on by default.

    Raises TapError for a value that is not a Singer catalog, and for a selection that the tap cannot do.
    """
    if catalog is None:
        catalog = discover(stream for stream in STREAMS if stream.selected_by_default)
    else:
        catalog = _without_deselected(catalog)
        _validate(catalog)
    entries: dict[str, CatalogEntry] = {}
    for entry in _parse(catalog).streams:
        name = entry.tap_stream_id
        if name in entries:
            raise TapError(f"catalog: stream {_quote(name)} is there twice. Remove one of them.")
        if _is_selected(entry):
            entries[name] = entry
    known = {stream.name for stream in STREAMS}
    if unknown := sorted(entries.keys() - known):
        raise TapError(
            f"catalog: unknown stream {_quote(unknown[0])} is selected; --discover lists all streams."
            " Deselect or remove it."
        )
    _warn_about_unknown_properties(entries, options)
    options.mask.check(entries, lambda name: options.written(load_schema(name)["properties"]))
    return [_select(stream, entries[stream.name], options) for stream in STREAMS if stream.name in entries]


def _without_deselected(catalog: Any) -> Any:
    """Return a catalog without the streams that it clearly deselects, because parsing all of them takes time."""
    entries = catalog.get("streams") if isinstance(catalog, dict) else None
    if not isinstance(entries, list):
        return catalog  # it is invalid; _validate reports that
    names = {repr(entry.get("tap_stream_id")) for entry in entries if isinstance(entry, dict)}
    if len(names) < len(entries):
        return catalog
    return {**catalog, "streams": [entry for entry in entries if not _is_clearly_deselected(entry)]}


def _is_clearly_deselected(entry: dict[str, Any]) -> bool:
    try:
        about = next(item["metadata"] for item in entry["metadata"] if item["breadcrumb"] == [])
        return about.get("selected", about.get("selected-by-default")) is False and "selected" not in entry["schema"]
    except (KeyError, TypeError, AttributeError, StopIteration):
        return False


def _parse(catalog: Any) -> Catalog:
    """
    Parse a valid catalog with singer-python.

    It keeps only the members of schemas that select something: singer-python fails on some others.
    """
    entries = [
        {**entry, "schema": _selecting_members(entry.get("schema", {})), "metadata": entry.get("metadata") or []}
        for entry in catalog["streams"]
    ]
    return Catalog.from_dict({"streams": entries})


def _selecting_members(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {
        "selected": schema.get("selected"),
        "properties": {
            name: {"selected": about.get("selected"), "inclusion": about.get("inclusion")}
            for name, about in properties.items()
        },
    }


def _is_selected(entry: CatalogEntry) -> bool:
    """Return whether schema or metadata select the stream, by singer-python's rules; without either, the default."""
    about = metadata.to_map(entry.metadata)
    if entry.schema.selected is None and metadata.get(about, (), "selected") is None:
        return metadata.get(about, (), "selected-by-default") is True
    return bool(entry.is_selected())


def _warn_about_unknown_properties(entries: dict[str, CatalogEntry], options: SchemaOptions) -> None:
    """Warn of unknown properties that are selected, as in a catalog of another tap."""
    unknown = [
        _quote(f"{name}.{path[1]}")
        for name, entry in entries.items()
        for path, about in metadata.to_map(entry.metadata).items()
        if len(path) == 2 and about.get("selected") and path[1] not in written_schema(name, options)["properties"]
    ]
    if unknown:
        LOGGER.warning("the catalog selects unknown properties, which are ignored: %s", ", ".join(unknown))


def _select(stream: Stream, entry: CatalogEntry, options: SchemaOptions) -> Selected:
    schema, by_breadcrumb = written_schema(stream.name, options), metadata.to_map(entry.metadata)
    properties = {}
    for name, about in schema["properties"].items():
        selecting = by_breadcrumb.get(("properties", name), {}), entry.schema.properties.get(name)
        if name in _automatic(stream) or _property_is_selected(
            *selecting, default=name not in stream.deselected_by_default
        ):
            properties[name] = about
    full = _is_full_table(stream, entry)
    return Selected(stream, {**schema, "properties": properties}, frozenset(properties), full, options)


def _property_is_selected(about: dict[str, Any], schema: Schema | None, default: bool) -> bool:
    """Return whether a property is selected: by its metadata, by its schema as in old catalogs, or by default."""
    schema = schema or Schema()
    inclusion = about.get("inclusion") or schema.inclusion
    values = (about.get("selected"), schema.selected, about.get("selected-by-default"))
    selected = next((value for value in values if value is not None), None)
    return bool(should_sync_field(inclusion, selected, default=default))


def _is_full_table(stream: Stream, entry: CatalogEntry) -> bool:
    about = metadata.to_map(entry.metadata)
    method = metadata.get(about, (), "replication-method") or entry.replication_method or INCREMENTAL
    if method not in (INCREMENTAL, FULL_TABLE):
        raise TapError(
            f"catalog: {stream.name} has replication-method {_quote(method)}. Set it to {INCREMENTAL} or {FULL_TABLE}."
        )
    if method == FULL_TABLE and not _can_be_full(stream):
        raise TapError(
            f"catalog: {stream.name} cannot be {FULL_TABLE}, since Twilio has no list of all its rows."
            f" Set its replication-method to {INCREMENTAL}."
        )
    key = metadata.get(about, (), "replication-key") or entry.replication_key or stream.replication_key
    if method == INCREMENTAL and key != stream.replication_key:
        message = "%s: replication-key %s is not possible; %s is used."
        LOGGER.warning(message, stream.name, _quote(str(key)), stream.replication_key, extra=log.about(stream.name))
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
        wanted = error.validator_value  # never the value itself: the file may be a wrong one, with secrets
        kinds = wanted if isinstance(wanted, list) else [wanted]
        rule = {"type": "must be of type", "required": "must hold", "enum": "must be one of"}[str(error.validator)]
        raise TapError(f"catalog: {where[:200]} {rule} {', '.join(map(str, kinds))}. {REDISCOVER}")


def _quote(name: str) -> str:
    """Quote a name from a file, for a message."""
    return ascii(name)[:60]
