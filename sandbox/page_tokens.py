"""
The order of generated lists, and their page tokens.

The forms of the tokens are those of the next pages in Twilio's published examples, in public code, and in recordings
from live accounts (2016-2026): `PA` and a SID (classic), `PB` and a SID (the page before), `PT` and a SID (messaging),
`PT` and the index (conversation messages), `AP` and the page's number in base64 (usage), `DN` and a country (pricing).
All others are opaque here, and hold the row's key.
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
from .lists import order_of
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


def order(fact: Fact, switch: str = "recorded") -> Callable[[Item], Any]:
    """Return the sort key of a list: index, usage by day and category, others by the switch, undated by creation."""
    switch = order_of(fact.name, switch)
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
        upwards = 1 if switch == "created_ascending" else -1
        return lambda item: (upwards * item.created, item.handle)
    return lambda item: item.number


def _changed(item: Item) -> int:
    value = item.data.get("date_updated")
    return timestamp(value) if value else item.created


def token_of_number(number: int) -> str:
    """Return the token that holds a number: of a page, or of a row."""
    return "AP" + base64.b64encode(str(number).encode()).decode()


def token_after(fact: Fact, last: Item, number: int, offset: int, switch: str = "row") -> str:
    """Return the token of the page that follows a row; `number` and `offset` are those of the page."""
    if fact.name in SUMMED or switch == "offset":
        return token_of_number(number if fact.name in SUMMED else offset)
    if has_index(fact):
        return f"PT{last.data['index']}"
    if not last.value or fact.name in CONSTANT:
        return "PT" + _opaque(last)
    if fact.envelope == "classic":
        return f"PA{last.value}"
    if fact.product == "pricing":
        return f"DN{last.value}"
    return f"PT{last.value}" if fact.product == "messaging" and fact.key == "sid" else "PT" + _opaque(last)


def token_before(fact: Fact, first: Item, number: int) -> str:
    """Return the token of the page of this number, which ends before a row."""
    if fact.name in SUMMED:
        return token_of_number(number)
    return "PB" + (first.value if fact.envelope == "classic" and first.value else _opaque(first))


def position(
    twilio: "Twilio", fact: Fact, items: list[Item], shelf: Shelf, query: Query, token: str, size: int
) -> Position:
    """Return where the page of a token begins now. The switch `deleted_token` decides about a deleted row."""
    kind, rest = token[:2], token[2:]
    if kind == "AP" and (fact.name in SUMMED or twilio.tokens == "offset"):
        return Position(_offset(rest) * (size if fact.name in SUMMED else 1))
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
