"""
Adapt schemas to settings: `decimals` as text or for SQL targets, `unknown_properties`, and `mask` (mask.py).

catalog.py applies them to SCHEMA messages, compile.py to records.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .mask import Mask
from .numbers import PRECISION, SCALE, to_json

UNKNOWN = "unknown_properties"  # the column's name, and the setting's
RECEIVED = "received_at"
_UNKNOWN_SCHEMA = {
    "type": ["null", "string"],
    "description": "What this schema does not know of Twilio's row: JSON text of an object with sorted names.",
}
# By `decimals`: the format of a decimal number in compile.py, its keywords in SCHEMA, and its mark in the state.
DECIMAL_FORMATS = {"text": "decimal", "singer": "x-singer.decimal"}
_DECIMAL_KEYWORDS: dict[str, dict[str, Any]] = {
    "text": {},
    "singer": {"format": DECIMAL_FORMATS["singer"], "precision": PRECISION, "scale": SCALE},
}
_DECIMAL_MARKS = {"text": "as text", "singer": "as singer.decimal"}
_DECIMAL = " A decimal number as text, with the digits that Twilio gave."
# Names that a new, secret property of Twilio's may have. No schema has the secrets that are known.
_SECRET = re.compile(r"(?i)secret|passw|passphrase|token|private_?key|credentials?$|auth_?key|api_?key$|^pin$|_pin$")


@dataclass(frozen=True)
class SchemaOptions:
    """`decimals` ("number", "text" or "singer"), `unknown_properties` ("drop" or "column"), and `mask`."""

    decimals: str = "number"
    unknown_properties: str = "drop"
    mask: Mask = Mask()  # noqa: RUF009  # it is frozen

    def written(self, properties: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return a stream's properties as SCHEMA has them, in order, with `received_at` last."""
        written = {name: self._property(about) for name, about in properties.items()}
        if self.unknown_properties == "column":
            last = {name: written.pop(name) for name in (RECEIVED,) if name in written}
            written.update({UNKNOWN: _UNKNOWN_SCHEMA, **last})
        return written

    def _property(self, about: dict[str, Any]) -> dict[str, Any]:
        if self.decimals == "number" or not is_decimal(about):
            return about
        kinds = ["string" if kind == "number" else kind for kind in about["type"]]
        description = about.get("description", "") + _DECIMAL
        return {**about, "type": kinds, **_DECIMAL_KEYWORDS[self.decimals], "description": description}

    def names(self, properties: Collection[str], schema: Mapping[str, dict[str, Any]]) -> list[str]:
        """
        Return the selected properties for the state, marked where `decimals` changes their type.

        A property whose type changes counts as a new property: the next rescan sends every row again.
        """
        mark = _DECIMAL_MARKS.get(self.decimals)
        marked = {name for name, about in schema.items() if mark and is_decimal(about)}
        return [f"{name} {mark}" if name in marked else name for name in properties]


def is_decimal(about: dict[str, Any]) -> bool:
    """Return whether a property holds decimal numbers. (All such properties are nullable.)"""
    return "number" in about["type"] and about["type"] != "number"


def is_secret(name: str) -> bool:
    """
    Return whether a property that no schema knows may be a secret, by its name.

    >>> [name for name in ("auth_token", "client_secret", "sip_password", "queue_time", "pinned") if is_secret(name)]
    ['auth_token', 'client_secret', 'sip_password']
    """
    return bool(_SECRET.search(name))


def unknown_text(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """Return these properties of a row as JSON text, without possible secrets; None if all may be secret."""
    kept = {name: _without_secrets(row[name]) for name in sorted(names) if not is_secret(name)}
    return to_json(kept).decode() if kept else None


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(item) for name, item in value.items() if not is_secret(name)}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value
