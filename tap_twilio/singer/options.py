"""How a stream's schema is written where a setting asks for another form: decimals as text, unknown properties kept."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .numbers import to_json

UNKNOWN = "unknown_properties"  # the column's name, and the setting's
RECEIVED = "received_at"
_UNKNOWN_SCHEMA = {
    "type": ["null", "string"],
    "description": "What Twilio's row has and this schema does not know: JSON text of an object, its names in order.",
}
_DECIMAL = " A decimal number as text, with the digits that Twilio gave."
# What a new property of Twilio's may be called that nobody should see. What is known to be secret is in no schema.
_SECRET = re.compile(r"(?i)secret|passw|passphrase|token|private_?key|credentials?$|auth_?key|api_?key$|^pin$|_pin$")


@dataclass(frozen=True)
class Forms:
    """The settings `decimals` ("number" or "text") and `unknown_properties` ("drop" or "column")."""

    decimals: str = "number"
    unknown_properties: str = "drop"

    def written(self, properties: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """A stream's properties as SCHEMA has them, in order; `received_at` stays the last one."""
        found = {name: self._property(about) for name, about in properties.items()}
        if self.unknown_properties == "column":
            last = {name: found.pop(name) for name in (RECEIVED,) if name in found}
            found.update({UNKNOWN: _UNKNOWN_SCHEMA, **last})
        return found

    def _property(self, about: dict[str, Any]) -> dict[str, Any]:
        if self.decimals != "text" or not is_decimal(about):
            return about
        kinds = ["string" if kind == "number" else kind for kind in about["type"]]
        return {**about, "type": kinds, "description": about.get("description", "") + _DECIMAL}

    def names(self, properties: Collection[str], schema: Mapping[str, dict[str, Any]]) -> list[str]:
        """
        Selected properties for the state, each with the form that it is written in.

        A property in another form is another property: rows without a digest are then owed, as for one that is added.
        """
        as_text = {name for name, about in schema.items() if self.decimals == "text" and is_decimal(about)}
        return [f"{name} as text" if name in as_text else name for name in properties]


def is_decimal(about: dict[str, Any]) -> bool:
    """Whether a property is a number with decimals; each may be null."""
    return "number" in about["type"] and about["type"] != "number"


def is_secret(name: str) -> bool:
    """
    Whether a property that no schema knows is to stay out of the warehouse, for its name alone.

    >>> [name for name in ("auth_token", "client_secret", "sip_password", "queue_time", "pinned") if is_secret(name)]
    ['auth_token', 'client_secret', 'sip_password']
    """
    return bool(_SECRET.search(name))


def unknown_text(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """These properties of a row as JSON text; None where nothing is left without what may be secret."""
    kept = {name: _without_secrets(row[name]) for name in sorted(names) if not is_secret(name)}
    return to_json(kept).decode() if kept else None


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(item) for name, item in value.items() if not is_secret(name)}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value
