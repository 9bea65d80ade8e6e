"""
Mask columns with personal data, as the settings `mask` and `mask_key` say.

A masked column is null, or holds the HMAC-SHA-256 of Twilio's text, so that equal texts stay equal in all tables.
Copies of a masked text in the row's other columns of JSON and URLs are replaced too. records.py masks each row of a
stream with masked columns; catalog.py adapts its schema; run/sync.py logs the SQL for rows that are not written again.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from tap_twilio.errors import InvalidRecord, TapError
from tap_twilio.log import spellings, unescaped
from tap_twilio.streams import STREAMS, Stream
from tap_twilio.timestamps import Timestamp
from tap_twilio.twilio.request import Row
from tap_twilio.twilio.response import parse

from .numbers import to_json

Record = dict[str, Any]
Properties = Mapping[str, dict[str, Any]]
NULL, HASH = "null", "hash"
REPLACED = "***"  # a copy of a text whose column is null
SHORTEST_PART_CHARS = 6  # a shorter text is part of many words and numbers, so its copies are whole words only
_WORD = r"(?:(?<!\w)|(?<=%[0-9A-Fa-f]{{2}})){}(?!\w)"
_HOLDS_COPIES = re.compile("(^|_)ur[il]s?$|callback|payload|^(target|alert_text|unknown_properties)$")
_HASHED = " Masked: the HMAC-SHA-256 of Twilio's value, in hexadecimal digits."


@dataclass(frozen=True)
class Mask:
    """The settings `mask`, as patterns such as `*.friendly_name` with "null" or "hash", and `mask_key`."""

    rules: Mapping[str, str] = field(default_factory=dict)
    key: str = field(default="", repr=False)

    def columns(self, stream: Stream, properties: Collection[str]) -> dict[str, str]:
        """Return the masked columns of a stream. A rule without `*` wins over one with it."""
        masked: dict[str, str] = {}
        for pattern in sorted(self.rules, key=lambda pattern: "*" not in pattern):
            masked.update(dict.fromkeys(_matches(pattern, stream, properties), self.rules[pattern]))
        return {name: masked[name] for name in properties if name in masked and name not in _unmaskable(stream)}

    def check(self, selected: Collection[str], properties: Callable[[str], Collection[str]]) -> None:
        """Raise TapError for a rule that names no property, and for one that masks a key of a selected stream."""
        for pattern in self.rules:
            found = [(stream, name) for stream in STREAMS if fnmatchcase(stream.name, pattern.partition(".")[0])
                     for name in _matches(pattern, stream, properties(stream.name))]  # fmt: skip
            if not found:
                raise TapError(f"Setting mask: no property matches {ascii(pattern)[:80]}; --discover lists all.")
            for stream, name in found:
                if name in _unmaskable(stream) and (stream.name in selected or pattern == f"{stream.name}.{name}"):
                    raise TapError(
                        f"Setting mask: {stream.name}.{name} cannot be masked, since the tap finds rows by it (a key, "
                        "the replication key, or a part of a request's path). Name other properties."
                    )

    def schema(self, stream: Stream, properties: Properties) -> Properties:
        """Return a stream's properties as SCHEMA has them: a hash is text."""
        hashed = {
            name: {"type": ["null", "string"], "description": properties[name].get("description", "") + _HASHED}
            for name, how in self.columns(stream, properties).items()
            if how == HASH
        }
        return {**properties, **hashed}

    def names(self, stream: Stream, properties: Properties, names: Iterable[str]) -> list[str]:
        """
        Return the names of selected properties for the state, as `SchemaOptions.names` has them, marked if masked.

        Another mark counts as a new property, so rows are written once more.
        """
        marks = {name: self._mark(how) for name, how in self.columns(stream, properties).items()}
        return [marks.get(name.partition(" ")[0], "{}").format(name) for name in names]

    def _mark(self, how: str) -> str:
        return "{} masked" if how == NULL else f"{{}} hashed {self.hash('mask_key')[:8]}"

    def hash(self, value: Any) -> str:
        """Return the HMAC of a text as it is, or of another value's JSON."""
        text = value.encode() if isinstance(value, str) else to_json(value)
        return hmac.digest(self.key.encode(), text, "sha256").hex()

    def masking(
        self, stream: Stream, properties: Properties, selected: Collection[str], record: Callable[[Row], Record]
    ) -> Callable[[Row], Record]:
        """Return the function that converts a row to its masked record; `record` makes it without a mask."""
        columns = self.columns(stream, properties)
        if not columns:
            return record
        searched_columns = {name for name in selected if name not in columns and _holds_copies(name, properties[name])}
        not_searched = properties.keys() - searched_columns

        def masked(row: Row) -> Record:
            copies = _Copies(self._substitutes(row, columns))
            searched = row.keys() - not_searched if copies.substitutes else ()
            try:
                made = record({**row, **{name: copies.replace(row[name]) for name in searched}} if searched else row)
            except RecursionError:
                raise InvalidRecord(f"{stream.name}: a value is nested too deeply to be masked") from None
            for name, how in columns.items():
                if made.get(name) is not None:
                    made[name] = None if how == NULL else self.hash(row.get(name, made[name]))
            return made

        return masked

    def _substitutes(self, row: Row, columns: Mapping[str, str]) -> dict[str, str]:
        """Return what replaces copies of each masked text of a row."""
        substitutes: dict[str, str] = {}
        for name, how in columns.items():
            value = row.get(name)
            if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
                value = str(value)
            if isinstance(value, str) and value and not (how == HASH and value in substitutes):
                substitutes[value] = REPLACED if how == NULL else self.hash(row[name])
        return substitutes

    def update(self, stream: Stream, properties: Properties, columns: Collection[str], before: Timestamp) -> str:
        """Return the SQL, for Postgres, that masks columns in rows written before a time, and empties their copies."""
        how = self.columns(stream, properties)
        hashed = "case when {0} ~ '^[0-9a-f]{{64}}$' then {0} else encode(hmac({0}, :'mask_key', 'sha256'), 'hex') end"
        values = {name: "null" if how[name] == NULL else hashed.format(f'"{name}"') for name in columns}
        values |= {name: "null" for name, about in properties.items() if name not in how and _holds_copies(name, about)}
        changes = ", ".join(f'"{name}" = {value}' for name, value in values.items())
        return f"update {stream.name} set {changes} where received_at < '{before}';"  # noqa: S608  # for the log


class _Copies:
    """Replaces the texts of a row's masked columns wherever they occur in other values."""

    def __init__(self, substitutes: dict[str, str]) -> None:
        self.substitutes = dict(sorted(substitutes.items(), key=lambda item: -len(item[0])))  # the longest first

    def replace(self, value: Any) -> Any:
        """Return a value without copies: the same object if it has none."""
        if isinstance(value, str):
            return self._replace_in_text(value)
        if isinstance(value, dict):
            replaced: Any = {self.replace(name): self.replace(item) for name, item in value.items()}
        elif isinstance(value, list):
            replaced = [self.replace(item) for item in value]
        else:
            text = str(value) if isinstance(value, (int, float, Decimal)) else ""
            return self.substitutes.get(text, value) if len(text) >= SHORTEST_PART_CHARS else value
        return value if replaced == value else replaced

    def _replace_in_text(self, text: str) -> str:
        if text[:1] in ("{", "["):
            try:
                value = parse(text.encode())
            except ValueError:
                pass
            else:
                replaced = self.replace(value)
                return text if replaced is value else to_json(replaced).decode()
        plain = (unescaped(text) if "%" in text or "\\" in text else text).replace("+", " ")
        for copied, substitute in self.substitutes.items():
            if copied.replace("+", " ") in plain:
                spelled = "".join(map(spellings, copied))
                pattern = spelled if len(copied) >= SHORTEST_PART_CHARS else _WORD.format(spelled)
                text = re.sub(pattern, substitute, text)
        return text


def _matches(pattern: str, stream: Stream, properties: Collection[str]) -> list[str]:
    names, _, columns = pattern.partition(".")
    return [name for name in properties if fnmatchcase(name, columns)] if fnmatchcase(stream.name, names) else []


def _unmaskable(stream: Stream) -> set[str]:
    """Return the columns by which the tap, or a target, finds rows: the state and the log may hold their values."""
    children = [child.parent for child in STREAMS if child.parent and child.parent.stream == stream.name]
    in_paths = {name for parent in children for name in parent.path_params.values()}
    own_path = {name for name, source in stream.derived.items() if "." not in source}
    own_path.update(stream.parent.path_params if stream.parent else ())
    return {*stream.key, *in_paths, *own_path, stream.replication_key or "", "received_at"}


def _holds_copies(name: str, about: Mapping[str, Any]) -> bool:
    """Return whether a column may hold another column's text: JSON, and URLs."""
    is_json = about.get("format") == "json" or not {"array", "object"}.isdisjoint(about["type"])
    is_json |= "JSON" in about.get("description", "")  # Twilio's own JSON text, such as attributes
    return is_json or bool(_HOLDS_COPIES.search(name))
