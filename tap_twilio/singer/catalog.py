"""Streams and schemas to a Singer catalog, and a user's catalog to what is selected.

Schemas are always ours: a catalog chooses streams, properties and replication methods, and changes no type.
singer-python holds the catalog and its metadata; what `selected-by-default` means for a stream is added here, since
its own reading knows `selected` only.
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
from .options import Forms

LOGGER = logging.getLogger(__name__)

INCREMENTAL, FULL_TABLE = "INCREMENTAL", "FULL_TABLE"
# The order in which discovery prints an entry: catalogs are kept in repositories, where a new order shows as a change.
FIELDS = ("tap_stream_id", "stream", "key_properties", "schema", "metadata")
REDISCOVER = "Make a new catalog with --discover and select in that."


@dataclass(frozen=True)
class Selected:
    """One stream that is to be read, and what of it."""

    stream: Stream
    schema: dict[str, Any]  # of the selected properties
    properties: frozenset[str]
    full_table: bool
    forms: Forms = Forms()  # noqa: RUF009  # it is frozen

    @property
    def written(self) -> list[str]:
        """The properties, each with its form, by which the state knows what was selected."""
        return self.forms.names(self.properties, load_schema(self.stream.name)["properties"])

    @property
    def bookmark_properties(self) -> list[str]:
        """The replication key, where the rows have one that is selected."""
        changed = self.stream.changed
        return [changed] if changed and changed in self.schema["properties"] else []


@cache
def load_schema(name: str) -> dict[str, Any]:
    """A stream's whole schema; shared, so not to be changed."""
    here = Path(__file__).parent.parent
    folder = here / "schemas"  # where it is installed
    if not folder.is_dir():
        folder = here.parent / "schemas"  # a checkout, and an editable install
    schema: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return schema


def written_schema(name: str, forms: Forms) -> dict[str, Any]:
    """A stream's whole schema as SCHEMA has it."""
    schema = load_schema(name)
    return schema if forms == Forms() else {**schema, "properties": forms.written(schema["properties"])}


def discover(streams: Iterable[Stream] = STREAMS, forms: Forms = Forms()) -> dict[str, Any]:  # noqa: B008  # frozen
    """The catalog of all streams, or of some."""
    catalog = Catalog([_entry(stream, forms) for stream in streams])
    return {"streams": [{name: entry[name] for name in FIELDS} for entry in catalog.to_dict()["streams"]]}


class _WholeSchema(Schema):  # type: ignore[misc]  # singer-python has no types
    """A schema as its file has it. singer-python's own form drops the keywords that it does not know."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._whole = schema

    def to_dict(self) -> dict[str, Any]:
        return self._whole


def _entry(stream: Stream, forms: Forms) -> CatalogEntry:
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
    """What a row is, and what the stream costs."""
    about = str(schema["description"])
    return f"{about} {stream.cost[0].upper()}{stream.cost[1:]}." if stream.cost else about


def _automatic(stream: Stream) -> frozenset[str]:
    return frozenset((*stream.key, stream.changed) if stream.changed else stream.key)


def _can_be_full(stream: Stream) -> bool:
    """Whether there is one list that could be read whole: not so of children, nor of what Twilio keeps for days."""
    return stream.parent is None and not stream.is_log


def selected_streams(catalog: Any | None, forms: Forms = Forms()) -> list[Selected]:  # noqa: B008  # frozen
    """
    What a catalog selects, in the order of `STREAMS`; without one, all that is selected by default.

    Raises: TapError if it is no Singer catalog, or asks for what the tap cannot do.
    """
    if catalog is None:
        catalog = discover(stream for stream in STREAMS if stream.default)
    else:
        catalog = _without_the_rest(catalog)
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
            f"catalog: unknown stream {_named(unknown[0])} is selected; --discover lists those that there are."
            " Deselect or remove it."
        )
    _warn_of_properties(entries, forms)
    return [_select(stream, entries[stream.name], forms) for stream in STREAMS if stream.name in entries]


def _without_the_rest(catalog: Any) -> Any:
    """A catalog without what it plainly does not select: most of many streams, and to look at each takes time."""
    entries = catalog.get("streams") if isinstance(catalog, dict) else None
    if not isinstance(entries, list):
        return catalog  # it has a mistake, which is found where all is looked at
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
    singer-python's reading of a valid catalog.

    Of its schemas, only what selects is handed on: types are ours, and singer-python would stumble over odd ones.
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
    """As singer-python: true in either place is true; where neither says, what discovery proposed."""
    about = metadata.to_map(entry.metadata)
    if entry.schema.selected is None and metadata.get(about, (), "selected") is None:
        return metadata.get(about, (), "selected-by-default") is True
    return bool(entry.is_selected())


def _warn_of_properties(entries: dict[str, CatalogEntry], forms: Forms) -> None:
    """Say once what is selected and is not there, as in a catalog of another tap's."""
    missing = [
        _named(f"{name}.{path[1]}")
        for name, entry in entries.items()
        for path, about in metadata.to_map(entry.metadata).items()
        if len(path) == 2 and about.get("selected") and path[1] not in written_schema(name, forms)["properties"]
    ]
    if missing:
        LOGGER.warning("the catalog selects properties that there are not: %s", ", ".join(missing))


def _select(stream: Stream, entry: CatalogEntry, forms: Forms) -> Selected:
    schema, noted = written_schema(stream.name, forms), metadata.to_map(entry.metadata)
    properties = {}
    for name, about in schema["properties"].items():
        found = noted.get(("properties", name), {}), entry.schema.properties.get(name)
        if name in _automatic(stream) or _property_is_selected(*found, default=name not in stream.opt_in):
            properties[name] = about
    full = _is_full_table(stream, entry)
    return Selected(stream, {**schema, "properties": properties}, frozenset(properties), full, forms)


def _property_is_selected(about: dict[str, Any], schema: Schema | None, default: bool) -> bool:
    """A property missing from an older catalog is selected by `default`. `schema`: old catalogs choose there."""
    schema = schema or Schema()
    inclusion = about.get("inclusion") or schema.inclusion
    said = (about.get("selected"), schema.selected, about.get("selected-by-default"))
    return bool(should_sync_field(inclusion, next((one for one in said if one is not None), None), default=default))


def _is_full_table(stream: Stream, entry: CatalogEntry) -> bool:
    about = metadata.to_map(entry.metadata)
    method = metadata.get(about, (), "replication-method") or entry.replication_method or INCREMENTAL
    if method not in (INCREMENTAL, FULL_TABLE):
        raise TapError(
            f"catalog: {stream.name} has replication-method {_named(method)}. Set it to {INCREMENTAL} or {FULL_TABLE}."
        )
    if method == FULL_TABLE and not _can_be_full(stream):
        raise TapError(
            f"catalog: {stream.name} cannot be {FULL_TABLE}, since Twilio has no list of all of it."
            f" Set its replication-method to {INCREMENTAL}."
        )
    key = metadata.get(about, (), "replication-key") or entry.replication_key or stream.changed
    if method == INCREMENTAL and key != stream.changed:
        said = "%s: replication-key %s is not possible; %s is used."
        LOGGER.warning(said, stream.name, _named(str(key)), stream.changed, extra=log.about(stream.name))
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
        wanted = error.validator_value  # never the value that was found: the file may be another one, with secrets
        kinds = wanted if isinstance(wanted, list) else [wanted]
        rule = {"type": "must be of type", "required": "must hold", "enum": "must be one of"}[str(error.validator)]
        raise TapError(f"catalog: {where[:200]} {rule} {', '.join(map(str, kinds))}. {REDISCOVER}")


def _named(name: str) -> str:
    """A name from a file, in a message."""
    return ascii(name)[:60]
