"""
Every list of the sandbox, from the facts of Twilio's OpenAPI documents in `facts/`, read once.

It finds a list by its name or by the path that a request asks for, and says which list holds a list's parents.
"""

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from .rows import Json, snake

FOLDER = Path(__file__).parent / "facts"
RECORDED: Json = json.loads((Path(__file__).parent / "recorded.json").read_text(encoding="utf-8"))

# Paths whose parent's list has another path; insights finds a call by its SID alone, and Chat's services and channels
# are those of Conversations.
PARENTS = {
    ("insights", "CallSid"): "calls",
    ("chat", "ServiceSid"): "conversation_services",
    ("chat", "ChannelSid"): "conversations",
    ("events", "Id"): "event_types",
}
# Path values that the parent's row holds under another name.
NAMED = {("event_types", "Id"): "schema_id"}

# What tells the rows of a list apart that have no SID, and no path of their own.
APART = {"voice_dialing_permission_high_risk_prefixes": "prefix"}

# Lists that are the same for all accounts. Source: Twilio's documentation of each; their rows name no account.
EVERYBODYS = frozenset(
    {
        "event_types",
        "event_schema_versions",
        "intelligence_operator_types",
        "intelligence_prebuilt_operators",
        "marketplace_available_add_ons",
        "marketplace_available_add_on_extensions",
        "regulatory_end_user_types",
        "regulatory_regulations",
        "regulatory_supporting_document_types",
        "supersim_networks",
        "trusthub_end_user_types",
        "trusthub_policies",
        "trusthub_supporting_document_types",
    }
)

_UNDOCUMENTED: Json = {"type": "string", "nullable": True}


@dataclass(frozen=True, eq=False)
class Fact:
    """The facts of one list, or of a single resource (its envelope is `single`)."""

    name: str
    product: str
    version: str
    operation: str
    path: str
    one: str | None  # the path of one of its rows
    envelope: str  # classic, meta, none or single
    rows: str  # the member of the envelope that holds the rows
    page_size: int | None  # the largest
    path_parameters: Json
    query: Json  # without those of paging
    properties: Json
    published: list[Json]

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """Return the parts of the path: "{FlowSid}" stands for any value."""
        return _segments(self.path)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Return the path's parameters except the account, from left to right."""
        return tuple(part[1:-1] for part in self.segments if part[0] == "{" and part != "{AccountSid}")

    @property
    def of_everybody(self) -> bool:
        """Return whether all accounts see the same rows."""
        return self.product == "pricing" or self.name in EVERYBODYS

    def property_of(self, parameter: str) -> str:
        """
        Return the property of a row that fills this parameter of a path: `sid` for most parameters named …Sid.

        >>> fact("studio_flows").property_of("FlowSid"), fact("pricing_voice_countries").property_of("IsoCountry")
        ('sid', 'iso_country')
        """
        if (self.name, parameter) in NAMED:
            return NAMED[self.name, parameter]
        if parameter.endswith("Sid") and "sid" in self.properties:
            return "sid"
        return snake(parameter) if snake(parameter) in self.properties or "sid" not in self.properties else "sid"

    @cached_property
    def key(self) -> str:
        """Return the property by which Twilio finds one row, or that identifies a row, or an empty string."""
        if self.name in APART:
            return APART[self.name]
        if self.one is not None:
            return self.property_of(_segments(self.one)[-1][1:-1])
        if "sid" in self.properties or self.envelope == "single":
            return "sid" if "sid" in self.properties else ""
        children = {self.property_of(p) for f in facts().values() for p in f.parameters if parent_of(f, p) is self}
        return min(children, default="")

    def fill(self, path: str, values: Json) -> str:
        """Fill the values into a path of this list, escaped: identities are free text."""
        return re.sub(r"\{(\w+)\}", lambda found: quote(str(values[found[1]]), safe=""), path)


def _segments(path: str) -> tuple[str, ...]:
    return tuple(path.removesuffix(".json").strip("/").split("/"))


@lru_cache(maxsize=1)
def facts() -> dict[str, Fact]:
    """Return all lists by name."""
    read = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json")))
    return {row["name"]: Fact(**row | {"properties": _with_undocumented(row)}) for rows in read for row in rows}


def _with_undocumented(row: Json) -> Json:
    """Return the properties of a list, with those that only recorded rows have."""
    seen = RECORDED.get(row["name"], {}).get("properties", {})
    properties: Json = row["properties"]
    return properties | {name: _UNDOCUMENTED for name in seen if name not in properties}


@lru_cache(maxsize=1)
def products() -> frozenset[str]:
    """Return the first label of each host."""
    return frozenset(fact.product for fact in facts().values())


def fact(name: str) -> Fact:
    """
    Return a list by its name, or by its operation and product ("studio/ListExecution").

    Raises: ValueError if there is none, or more than one.
    """
    if name in facts():
        return facts()[name]
    product, _, operation = name.rpartition("/")
    found = [f for f in facts().values() if f.operation == operation and product in ("", f.product)]
    if len(found) != 1:
        names = ", ".join(f.name for f in found)
        raise ValueError(f"{name!r} is {'one of ' + names if found else 'no list of Twilio: see tools/lists.txt'}")
    return found[0]


@lru_cache(maxsize=1)
def _by_shape() -> dict[tuple[str, int], list[tuple[tuple[str, ...], Fact, bool]]]:
    """Return the paths by product and length; those with the fewest braces come first."""
    shapes: dict[tuple[str, int], list[tuple[tuple[str, ...], Fact, bool]]] = {}
    for one in facts().values():
        for path, is_row in ((one.path, False), (one.one, True)):
            if path is not None:
                parts = _segments(path)
                shapes.setdefault((one.product, len(parts)), []).append((parts, one, is_row))
    for found in shapes.values():
        found.sort(key=lambda entry: (sum(part[0] == "{" for part in entry[0]), entry[2]))
    return shapes


def find(product: str, path: str) -> tuple[Fact, Json, bool] | None:
    """Return the list that a path names, the path's values, and whether it asks for a single row."""
    if (product == "api") != path.endswith(".json"):
        return None
    asked = _segments(path)
    for parts, found, is_row in _by_shape().get((product, len(asked)), ()):
        if all(part == value or (part[0] == "{" and value) for part, value in zip(parts, asked)):
            values = {part[1:-1]: unquote(value) for part, value in zip(parts, asked) if part[0] == "{"}
            return found, values, is_row
    return None


@cache
def parent_of(child: Fact, parameter: str) -> Fact | None:
    """Return the list whose rows fill a parameter of a path."""
    known = PARENTS.get((child.product, parameter))
    if known is not None:
        return facts()[known]
    at = child.segments.index(f"{{{parameter}}}")
    above = _unnamed(child.segments[:at])
    siblings = (f for f in facts().values() if f.product == child.product and f.envelope != "single")
    return next((other for other in siblings if _unnamed(other.segments) == above), None)


def _unnamed(segments: tuple[str, ...]) -> list[str]:
    return [re.sub(r"\{\w+\}", "{}", part) for part in segments]


def value_type(properties: Any, name: str) -> str:
    """Return the format of a property, or its type if it has none."""
    return str(properties[name].get("format") or properties[name].get("type") or "")
