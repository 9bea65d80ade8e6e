"""
Make the catalog that `--select` describes, such as `calls,messages.!body,studio_*`, instead of an edited catalog.

Each word between commas names a stream, or a property after a dot. `*` matches any text, `?` any letter. If properties
of a stream are named, it has these and the automatic ones. `!` before a stream or a property deselects it, anywhere in
the list; a list that only deselects starts from the default selection. A property that is deselected by default, such
as a secret, is selected by its full name only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from tap_twilio.errors import TapError

from .catalog import discover
from .options import SchemaOptions

Json = dict[str, Any]
About = dict[str, dict[tuple[str, ...], Json]]  # the metadata of each stream, by breadcrumb


def build_catalog(text: str, options: SchemaOptions = SchemaOptions()) -> Json:  # noqa: B008  # frozen
    """Return discovery's catalog with these streams and properties selected. Raises TapError."""
    catalog = discover(options=options)
    about = {entry["tap_stream_id"]: {tuple(i["breadcrumb"]): i["metadata"] for i in entry["metadata"]}
             for entry in catalog["streams"]}  # fmt: skip
    words = [word for word in re.split(r"[\s,]+", text) if word]
    if not words:
        raise TapError("--select names no stream; --streams lists all streams.")
    selecting = [word.partition(".!")[0] for word in words if not word.startswith("!")]
    deselecting = [word.removeprefix("!").replace(".!", ".") for word in words if word.startswith("!") or ".!" in word]
    named: dict[str, set[str]] = {}
    for word in selecting:
        for name, properties in _matches(word, about, selects=True):
            named.setdefault(name, set()).update(properties)
    for name, metadata in about.items():
        _select(metadata, named.get(name, set()), name in named if selecting else metadata[()]["selected-by-default"])
    for word in deselecting:
        for name, properties in _matches(word, about, selects=False):
            if not properties:
                about[name][()]["selected"] = False
            for column in properties:
                about[name]["properties", column]["selected"] = False
    return catalog


def _select(metadata: dict[tuple[str, ...], Json], named: set[str], selected: bool) -> None:
    metadata[()]["selected"] = selected
    for breadcrumb, about in metadata.items():
        if breadcrumb and named:
            about["selected"] = breadcrumb[1] in named


def _matches(word: str, about: About, selects: bool) -> Iterator[tuple[str, list[str]]]:
    """Yield the streams that a word matches, each with the properties that it matches. Raises TapError."""
    stream, _, column = word.partition(".")
    streams = [name for name in about if fnmatchcase(name, stream)]
    if not streams:
        near = get_close_matches(stream, about, n=3)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise TapError(f"--select: there is no stream {stream[:60]!a}: {meant}--streams lists all streams.")
    pattern = column if selects else ""
    matches = {
        name: [known for known in _properties(about[name], pattern) if fnmatchcase(known, column)] for name in streams
    }
    if column and not any(matches.values()):
        raise TapError(f"--select: {stream} has no property {column[:60]!a}; --discover lists all properties.")
    yield from ((name, properties) for name, properties in matches.items() if properties or not column)


def _properties(metadata: dict[tuple[str, ...], Json], pattern: str) -> list[str]:
    """Return a stream's properties. With a pattern, a property that is deselected by default must equal it."""
    return [
        breadcrumb[1]
        for breadcrumb, about in metadata.items()
        if breadcrumb and (not pattern or breadcrumb[1] == pattern or about.get("selected-by-default") is not False)
    ]
