"""Streams and schemas to a Singer catalog, and a user's catalog to what is selected.

Schemas are always ours: a catalog chooses streams, properties and replication methods, and changes no type.
Singer-python's reading of the same catalog agrees; it is not imported, since that takes longer than discovery.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tap_twilio.errors import TapError
from tap_twilio.streams import STREAMS, Stream
from tap_twilio.streams.model import Window

LOGGER = logging.getLogger(__name__)

INCREMENTAL, FULL_TABLE = "INCREMENTAL", "FULL_TABLE"
REDISCOVER = "Make a new catalog with --discover and select in that."


@dataclass(frozen=True)
class Selected:
    """One stream that is to be read, and what of it."""

    stream: Stream
    schema: dict[str, Any]  # of the selected properties
    properties: frozenset[str]
    full_table: bool

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


def discover() -> dict[str, Any]:
    """The catalog of all streams, each selected by default."""
    return {"streams": [_entry(stream) for stream in STREAMS]}


def _entry(stream: Stream) -> dict[str, Any]:
    schema = load_schema(stream.name)
    about_stream: dict[str, Any] = {
        "inclusion": "available",
        "selected-by-default": stream.default,
        "table-key-properties": list(stream.key),
        "valid-replication-keys": [stream.changed] if stream.changed else [],
    }
    if stream.changed:
        about_stream["replication-key"] = stream.changed
    about_stream["replication-method" if _can_be_full(stream) else "forced-replication-method"] = INCREMENTAL
    metadata: list[dict[str, Any]] = [{"breadcrumb": [], "metadata": about_stream}]
    for name in schema["properties"]:
        automatic = name in _automatic(stream)
        about = {"inclusion": "automatic"} if automatic else {"inclusion": "available", "selected-by-default": True}
        metadata.append({"breadcrumb": ["properties", name], "metadata": about})
    return {
        "tap_stream_id": stream.name,
        "stream": stream.name,
        "key_properties": list(stream.key),
        "schema": schema,
        "metadata": metadata,
    }


def _automatic(stream: Stream) -> frozenset[str]:
    return frozenset((*stream.key, stream.changed) if stream.changed else stream.key)


def _can_be_full(stream: Stream) -> bool:
    """Whether there is one list that could be read whole: not so of children, nor of what Twilio keeps for days."""
    return stream.parent is None and not isinstance(stream.reads, Window)


def read_catalog(path: str) -> Any:
    """The JSON in a file. Raises: TapError if it cannot be read."""
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise TapError(f"catalog {path}: {error.strerror}. Name a file that --discover printed.") from None
    except (ValueError, RecursionError):
        raise TapError(f"catalog {path} is not JSON. {REDISCOVER}") from None


def selected_streams(catalog: Any | None) -> list[Selected]:
    """
    What a catalog selects, in the order of `STREAMS`; without one, all that is selected by default.

    Raises: TapError if it is no Singer catalog, or asks for what the tap cannot do.
    """
    if catalog is None:
        catalog = discover()
    else:
        _validate(catalog)
    entries = {}
    for entry in catalog["streams"]:
        name = entry["tap_stream_id"]
        if name in entries:
            raise TapError(f"catalog: stream {_named(name)} is there twice. Remove one of them.")
        if _is_selected(entry):
            entries[name] = entry
    known = {stream.name for stream in STREAMS}
    if unknown := sorted(entries.keys() - known):
        raise TapError(
            f"catalog: unknown stream {_named(unknown[0])} is selected; the tap has {', '.join(sorted(known))}."
            " Deselect or remove it."
        )
    return [_select(stream, entries[stream.name]) for stream in STREAMS if stream.name in entries]


def _is_selected(entry: dict[str, Any]) -> bool:
    """As singer-python: true in either place is true; where neither says, what discovery proposed."""
    about = _metadata(entry).get((), {})
    said = [value for value in (entry.get("schema", {}).get("selected"), about.get("selected")) if value is not None]
    return any(said) if said else about.get("selected-by-default") is True


def _select(stream: Stream, entry: dict[str, Any]) -> Selected:
    schema, metadata, theirs = load_schema(stream.name), _metadata(entry), entry.get("schema", {}).get("properties", {})
    properties = {}
    for name, about in schema["properties"].items():
        selected = _property_is_selected(metadata.get(("properties", name), {}), theirs.get(name, {}))
        if selected or name in _automatic(stream):
            properties[name] = about
    for breadcrumb, about in metadata.items():
        name = breadcrumb[1] if len(breadcrumb) == 2 else None
        if name is not None and about.get("selected") and name not in schema["properties"]:
            LOGGER.warning("%s: the catalog selects %s, which is no property of it.", stream.name, _named(name))
    return Selected(
        stream, {**schema, "properties": properties}, frozenset(properties), _is_full_table(stream, entry, metadata)
    )


def _property_is_selected(about: dict[str, Any], schema: dict[str, Any]) -> bool:
    """One that the catalog says nothing of, as a version that did not have it, is selected."""
    inclusion = about.get("inclusion", schema.get("inclusion"))
    if inclusion in ("automatic", "unsupported"):
        return bool(inclusion == "automatic")
    for said in (about.get("selected"), schema.get("selected"), about.get("selected-by-default")):
        if said is not None:
            return bool(said)
    return True


def _is_full_table(stream: Stream, entry: dict[str, Any], metadata: dict[tuple[str, ...], dict[str, Any]]) -> bool:
    about = metadata.get((), {})
    method = about.get("replication-method") or entry.get("replication_method") or INCREMENTAL
    if method not in (INCREMENTAL, FULL_TABLE):
        raise TapError(
            f"catalog: {stream.name} has replication-method {_named(method)}. Set it to {INCREMENTAL} or {FULL_TABLE}."
        )
    if method == FULL_TABLE and not _can_be_full(stream):
        raise TapError(
            f"catalog: {stream.name} cannot be {FULL_TABLE}, since Twilio has no list of all of it."
            f" Set its replication-method to {INCREMENTAL}."
        )
    key = about.get("replication-key") or entry.get("replication_key") or stream.changed
    if method == INCREMENTAL and key != stream.changed:
        LOGGER.warning(
            "%s: replication-key %s is not possible; %s is used.", stream.name, _named(str(key)), stream.changed
        )
    return bool(method == FULL_TABLE)


def _metadata(entry: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {tuple(item["breadcrumb"]): item["metadata"] for item in entry.get("metadata") or []}


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
    from jsonschema import Draft4Validator  # late: not needed for discovery

    for error in Draft4Validator(_CATALOG).iter_errors(catalog):
        where = "/".join(str(part) for part in error.absolute_path) or "the top level"
        wanted = error.validator_value  # never the value that was found: the file may be another one, with secrets
        kinds = wanted if isinstance(wanted, list) else [wanted]
        rule = {"type": "must be of type", "required": "must hold", "enum": "must be one of"}[str(error.validator)]
        raise TapError(f"catalog: {where[:200]} {rule} {', '.join(map(str, kinds))}. {REDISCOVER}")


def _named(name: str) -> str:
    """A name from a file, in a message."""
    return ascii(name)[:60]
