"""
Selection in a word: `calls,messages.!body,studio_*`, in place of a catalog that somebody edits.

Between commas stands a stream, or a stream and one of its properties after a dot. `*` stands for any text, `?` for any
letter. A stream of which properties are named is read with these, and with what is automatic. `!`, before the stream or
before the property, takes away, wherever in the list it stands; where nothing else does, from what is on by default.
What is off by default in a stream, such as a secret, is taken by its whole name only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from tap_twilio.errors import TapError

from .catalog import discover
from .options import Forms

Json = dict[str, Any]
About = dict[str, dict[tuple[str, ...], Json]]  # the metadata of each stream, by breadcrumb


def chosen(text: str, forms: Forms = Forms()) -> Json:  # noqa: B008  # frozen
    """The catalog that discovery prints, with these streams and properties selected. Raises TapError."""
    catalog = discover(forms=forms)
    about = {entry["tap_stream_id"]: {tuple(i["breadcrumb"]): i["metadata"] for i in entry["metadata"]}
             for entry in catalog["streams"]}  # fmt: skip
    words = [word for word in re.split(r"[\s,]+", text) if word]
    if not words:
        raise TapError("--select names no stream; --streams lists those that there are.")
    takes = [word.partition(".!")[0] for word in words if not word.startswith("!")]
    away = [word.removeprefix("!").replace(".!", ".") for word in words if word.startswith("!") or ".!" in word]
    named: dict[str, set[str]] = {}
    for word in takes:
        for name, properties in _found(word, about, takes=True):
            named.setdefault(name, set()).update(properties)
    for name, metadata in about.items():
        _take(metadata, named.get(name, set()), name in named if takes else metadata[()]["selected-by-default"])
    for word in away:
        for name, properties in _found(word, about, takes=False):
            if not properties:
                about[name][()]["selected"] = False
            for one in properties:
                about[name]["properties", one]["selected"] = False
    return catalog


def _take(metadata: dict[tuple[str, ...], Json], named: set[str], selected: bool) -> None:
    metadata[()]["selected"] = selected
    for breadcrumb, about in metadata.items():
        if breadcrumb and named:
            about["selected"] = breadcrumb[1] in named


def _found(word: str, about: About, takes: bool) -> Iterator[tuple[str, list[str]]]:
    """The streams that a word takes, or takes away; the properties of each, where it names any. Raises TapError."""
    stream, _, prop = word.partition(".")
    streams = [name for name in about if fnmatchcase(name, stream)]
    if not streams:
        near = get_close_matches(stream, about, n=3)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise TapError(f"--select: there is no stream {stream[:60]!a}: {meant}--streams lists them all.")
    pattern = prop if takes else ""
    found = {name: [one for one in _properties(about[name], pattern) if fnmatchcase(one, prop)] for name in streams}
    if prop and not any(found.values()):
        raise TapError(f"--select: {stream} has no property {prop[:60]!a}; --discover lists them.")
    yield from ((name, properties) for name, properties in found.items() if properties or not prop)


def _properties(metadata: dict[tuple[str, ...], Json], takes: str) -> list[str]:
    """All of a stream; where a pattern `takes` some, without those that are off by default, but for the one it is."""
    return [
        breadcrumb[1]
        for breadcrumb, about in metadata.items()
        if breadcrumb and (not takes or breadcrumb[1] == takes or about.get("selected-by-default") is not False)
    ]
