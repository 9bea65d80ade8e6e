"""
Adapt schemas to settings: `decimals` as text, a column for `unknown_properties`, and `mask` (mask.py).

catalog.py applies them to SCHEMA messages, compile.py to records.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .mask import Mask
from .numbers import to_json

UNKNOWN = "unknown_properties"  # the column's name, and the setting's
RECEIVED = "received_at"
_UNKNOWN_SCHEMA = {
    "type": ["null", "string"],
    "description": "What this schema does not know of Twilio's row: JSON text of an object with sorted names.",
}
_DECIMAL = " A decimal number as text, with the digits that Twilio gave."
# Names that a new, secret property of Twilio's may have. No schema has the secrets that are known.
_SECRET = re.compile(r"(?i)secret|passw|passphrase|token|private_?key|credentials?$|auth_?key|api_?key$|^pin$|_pin$")


@dataclass(frozen=True)
class SchemaOptions:
    """The settings `decimals` ("number" or "text"), `unknown_properties` ("drop" or "column"), and `mask`."""

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
        if self.decimals != "text" or not is_decimal(about):
            return about
        kinds = ["string" if kind == "number" else kind for kind in about["type"]]
        return {**about, "type": kinds, "description": about.get("description", "") + _DECIMAL}

    def names(self, properties: Collection[str], schema: Mapping[str, dict[str, Any]]) -> list[str]:
        """
        Return the selected properties for the state, marked where they are text because of `decimals`.

        A property whose type changes counts as a new property: the next rescan sends every row again.
        """
        as_text = {name for name, about in schema.items() if self.decimals == "text" and is_decimal(about)}
        return [f"{name} as text" if name in as_text else name for name in properties]


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
