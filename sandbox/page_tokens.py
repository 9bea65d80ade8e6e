"""
The order of generated lists, and their page tokens.

The forms of the tokens are those of the next pages in Twilio's published examples and in public code: `PA` and a SID
(classic), `PT` and a SID (messaging), `PT` and the index (conversation messages), `AP` and an offset in base64 (usage),
`DN` and a country (pricing). All others are opaque here, and hold the row's key.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .catalog import Fact, value_type
from .filters import SUMMED
from .generic import Item, Query, Shelf
from .shapes import CONSTANT, is_date
from .timestamps import timestamp
from .validation import refuse

if TYPE_CHECKING:
    from .twilio import Twilio


@dataclass(frozen=True)
class Position:
    """The beginning of a page; or, backwards, its end."""

    at: int
    backwards: bool = False


def has_index(fact: Fact) -> bool:
    """Return whether a list is sorted by an index, in either direction."""
    return "Order" in fact.query and "index" in fact.properties


def backwards(query: Query) -> bool:
    """Return whether a query reverses the list."""
    return query.get("Order", [""])[-1] == "desc"


def order(fact: Fact, switch: str = "created") -> Callable[[Item], Any]:
    """Return the sort key of a list: index, usage by day and category, others by the switch, undated by creation."""
    if fact.name in SUMMED:
        return lambda item: (-item.created, item.data["category"])
    if has_index(fact):
        return lambda item: (item.data["index"], item.handle)
    if switch == "sid":
        return lambda item: item.handle
    if switch.startswith("updated") and "date_updated" in fact.properties:
        turned = -1 if switch == "updated" else 1
        return lambda item: (turned * _changed(item), item.handle)
    if any(is_date(value_type(fact.properties, name)) for name in fact.properties):
        return lambda item: (-item.created, item.handle)
    return lambda item: item.number


def _changed(item: Item) -> int:
    value = item.data.get("date_updated")
    return timestamp(value) if value else item.created


def token_after(fact: Fact, last: Item, offset: int, switch: str = "row") -> str:
    """Return the token of the page that follows a row."""
    if fact.name in SUMMED or switch == "offset":
        return "AP" + base64.b64encode(str(offset).encode()).decode()
    if has_index(fact):
        return f"PT{last.data['index']}"
    if not last.value or fact.name in CONSTANT:
        return "PT" + _opaque(last)
    if fact.envelope == "classic":
        return f"PA{last.value}"
    if fact.product == "pricing":
        return f"DN{last.value}"
    return f"PT{last.value}" if fact.product == "messaging" and fact.key == "sid" else "PT" + _opaque(last)


def token_before(first: Item) -> str:
    """Return the token of the page that ends before a row."""
    return "PB" + _opaque(first)


def position(twilio: "Twilio", fact: Fact, items: list[Item], shelf: Shelf, query: Query, token: str) -> Position:
    """Return where the page of a token begins now. The switch `deleted_token` decides about a deleted row."""
    kind, rest = token[:2], token[2:]
    if kind == "AP" and (fact.name in SUMMED or twilio.tokens == "offset"):
        return Position(_offset(rest))
    if has_index(fact) and kind == "PT" and rest.isdigit():
        turned = backwards(query)
        passed = [i for i in items if (i.data["index"] >= int(rest) if turned else i.data["index"] <= int(rest))]
        return Position(len(passed))
    named = shelf.by_value.get(rest) or _clear(twilio, rest, shelf)
    if named is None:
        raise refuse("PageToken")
    if named.deleted is not None and twilio.deleted_token != "taken":
        if twilio.deleted_token == "refused":
            raise refuse("PageToken")
        return Position(len(items))
    key, turned = order(fact, twilio.order), backwards(query)
    before = [i for i in items if (key(i) > key(named) if turned else key(i) < key(named))]
    if kind == "PB":
        return Position(len(before), backwards=True)
    return Position(len(before) + (len(before) < len(items) and items[len(before)] is named))


def _offset(text: str) -> int:
    try:
        return int(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise refuse("PageToken") from None


def _opaque(item: Item) -> str:
    return base64.urlsafe_b64encode(json.dumps({"key": item.handle}).encode()).decode()


def _clear(twilio: "Twilio", text: str, shelf: Shelf) -> Item | None:
    """Return the row of this list that an opaque token names."""
    try:
        named = twilio.generic.items.get(json.loads(base64.urlsafe_b64decode(text))["key"])
        return named if named is not None and shelf.items and shelf.items[0].is_beside(named) else None
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
