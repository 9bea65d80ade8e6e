"""
Selection in a word: `calls,messages.!body,studio_*`, in place of a catalog that somebody edits.

Between commas stands a stream, or a stream and one of its properties after a dot. `*` stands for any text, `?` for any
letter, and `!` takes away. A stream of which properties are named is read with these, and with what is automatic.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from tap_twilio.errors import TapError

from .catalog import discover
from .forms import Forms

Json = dict[str, Any]


def chosen(text: str, forms: Forms = Forms()) -> Json:  # noqa: B008  # frozen
    """The catalog that discovery prints, with these streams and properties selected. Raises TapError."""
    catalog = discover(forms=forms)
    about = {entry["tap_stream_id"]: {tuple(i["breadcrumb"]): i["metadata"] for i in entry["metadata"]}
             for entry in catalog["streams"]}  # fmt: skip
    taken: dict[str, list[str]] = {}  # what is named of each stream, of its properties
    words = [word for word in re.split(r"[\s,]+", text) if word]
    if not words:
        raise TapError("--select names no stream; --streams lists those that there are.")
    for word in words:
        stream, _, prop = word.removeprefix("!").partition(".")
        found = [name for name in about if fnmatchcase(name, stream)]
        if not found:
            near = get_close_matches(stream, about, n=3)
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise TapError(f"--select: there is no stream {stream[:60]!a}: {meant}--streams lists them all.")
        for name in found:
            if word.startswith("!"):
                taken.pop(name, None)
            else:
                taken.setdefault(name, []).extend([prop] if prop else [])
    for name, metadata in about.items():
        metadata[()]["selected"] = name in taken
        _choose(name, metadata, taken.get(name, []))
    return catalog


def _choose(stream: str, metadata: dict[tuple[str, ...], Json], words: list[str]) -> None:
    """Select some properties of a stream: those that are named, or all but those that are taken away."""
    there = [breadcrumb[1] for breadcrumb in metadata if len(breadcrumb) == 2]
    only = any(not word.startswith("!") for word in words)
    for name in there if only else ():
        metadata["properties", name]["selected"] = False
    for word in words:
        found = [name for name in there if fnmatchcase(name, word.removeprefix("!"))]
        if not found:
            raise TapError(f"--select: {stream} has no property {word[:60]!a}; --discover lists them.")
        for name in found:
            metadata["properties", name]["selected"] = not word.startswith("!")
