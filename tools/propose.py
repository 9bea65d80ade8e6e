"""
Propose a schema and a declaration for a list: a beginning that a person reads, corrects and describes.

Descriptions are of our own words (wording.py), or placeholders: nothing is copied from the documents.
"""

from __future__ import annotations

import json
import re
from importlib import import_module

from tap_twilio.streams import PRODUCTS
from tap_twilio.streams.model import Product

from .documents import Json
from .wording import described

DATES = ("date-time", "date-time-rfc-2822")
NUMBERS = {"price", "balance", "usage", "count", "base_price", "current_price"}
INTEGERS = {"duration", "queue_time"}
DROPPED = {"links", "subresource_uris"}  # addresses that follow from the SID
RECEIVED_AT = "When the tap received the answer that held this row, UTC."
STARTS = (("StartDate", "EndDate"), ("StartTime", "EndTime"), ("Start", "End"))

# Keys of lists of which Twilio gives no row by itself.
GUESSES = (("category", "start_date", "end_date"), ("call_sid",), ("iso_country",), ("index",))


def snake(name: str) -> str:
    """
    Return a name in the form of a property.

    >>> snake("FlowSid"), snake("IsoCountry")
    ('flow_sid', 'iso_country')
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def schema_of(fact: Json) -> Json:
    """Return a JSON Schema of a row, in the style of schemas/."""
    keys = key_of(fact)
    added = [snake(name) for name in fact["path_parameters"] if snake(name) in keys]
    properties: Json = {name: {"type": "string"} for name in added if name not in fact["properties"]}
    taken = {name: facts for name, facts in fact["properties"].items() if name not in DROPPED}
    properties |= {name: property_schema(name, facts) for name, facts in taken.items()}
    for name in keys:
        if name in properties:
            kind = properties[name]["type"]
            properties[name]["type"] = kind[1] if isinstance(kind, list) else kind
    properties["received_at"] = {"type": ["null", "string"], "format": "date-time"}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "description": f"{words(fact['name'])}.",
        "type": "object",
        "properties": {n: p | {"description": description(n, p, fact)} for n, p in properties.items()},
    }


def property_schema(name: str, facts: Json) -> Json:
    """Return the type of a column: numbers that Twilio writes as text are numbers, dates are date-time."""
    kind, form = facts.get("type"), facts.get("format")
    if form in DATES:
        return {"type": ["null", "string"], "format": "date-time"}
    if form == "date":
        return {"type": ["null", "string"], "format": "date"}
    if kind is None:  # it may be anything, and Twilio says no more
        return {"type": ["null", "string"], "format": "json"}
    if name in NUMBERS:
        kind = "number"
    elif kind == "string" and (name in INTEGERS or name.startswith("num_")):
        kind = "integer"
    if kind == "array":
        return {"type": ["null", "array"], "items": {"type": facts.get("items", {}).get("type", "object")}}
    return {"type": ["null", kind]}


def words(name: str) -> str:
    """
    Return a name as words.

    >>> words("studio_flows")
    'Studio flows'
    """
    return name.replace("_", " ").capitalize()


def description(name: str, schema: Json, fact: Json) -> str:
    """Return the description of wording.py, or the name and a question mark until a person writes one."""
    one = fact["name"].rpartition("_")[2]
    row = one.removesuffix("ies") + "y" if one.endswith("ies") else one.removesuffix("s")
    facts = fact["properties"].get(name, {})
    texts = described(name, row, facts.get("pattern", ""))
    if name == "received_at":
        return RECEIVED_AT
    if facts.get("enum") and name not in ("status_callback_method", "webhook_method"):
        texts = f"{(texts or words(name)).rstrip('.')}: {', '.join(map(str, facts['enum']))}."
    return texts or f"{words(name)}{', UTC' if schema.get('format') == 'date-time' else ''}?"


# The declaration


def key_of(fact: Json) -> tuple[str, ...]:
    """Return the key: the property by which Twilio finds a row, with its parents' unless it is unique by itself."""
    properties, parents = fact["properties"], parameters(fact)
    account = ("account_sid",) if "{AccountSid}" in fact["path"] or "account_sid" in properties else ()
    last = snake((fact["one"] or "").removesuffix(".json").rpartition("/")[2].strip("{}"))
    if "sid" in properties and last in ("", "sid"):
        return ("sid",)
    if last and last not in properties and "sid" in properties:
        return ("sid",)
    guess = next((names for names in GUESSES if not last and set(names) <= set(properties)), ())
    found = (*account, *(snake(p) for p in parents), *([last] if last else guess))
    return tuple(dict.fromkeys(found)) or ("?",)


def parameters(fact: Json) -> list[str]:
    """Return the path's parameters except the account."""
    return [name for name in re.findall(r"\{(\w+)\}", fact["path"]) if name != "AccountSid"]


def filters_of(fact: Json) -> list[tuple[str, str, str]]:
    """Return pairs of parameters that bound a date, and the property that they seem to compare."""
    query, found = fact["query"], []
    for name in query:
        if name.endswith(">"):
            found.append((name, name[:-1] + "<", snake(name[:-1])))
        for since, until in (("From", "To"), ("After", "Before")):
            if name != since and name.endswith(since) and name.removesuffix(since) + until in query:
                found.append((name, name.removesuffix(since) + until, snake(name.removesuffix(since))))
    dated = [name for name, facts in fact["properties"].items() if facts.get("format") in (*DATES, "date")]
    guesses = ("date_generated", "event_date", "start_time", "start_date", "date_created")
    guess = next((name for name in guesses if name in dated), "?")
    found.sort(key=lambda pair: pair[2].startswith("end"))
    return found + [(since, until, guess) for since, until in STARTS if since in query and until in query]


def path_of(fact: Json) -> str:
    """Return the path of a declaration: without the version and the account, parents in snake case."""
    path = fact["path"].removeprefix(f"/{fact['version']}/").removeprefix("Accounts/{AccountSid}/")
    return re.sub(r"\{(\w+)\}", lambda found: f"{{{snake(found[1])}}}", path.removesuffix(".json"))


def parent_of(fact: Json, lists: dict[tuple[str, str], str]) -> str:
    """Return the parent's stream, and the properties that fill the path."""
    names = parameters(fact)
    above = fact["path"][: fact["path"].index(f"/{{{names[-1]}}}")]
    shape = re.sub(r"\{\w+\}", "{}", above)
    stream = lists.get((fact["product"], shape), "?")
    fills = {snake(name): snake(name) for name in names[:-1]}
    fills[snake(names[-1])] = "sid" if names[-1].endswith("Sid") else snake(names[-1])
    pairs = ", ".join(f'"{name}": "{prop}"' for name, prop in fills.items())
    return f'Parent("{stream}", {{{pairs}}})'


def product_of(fact: Json) -> str:
    """Return the product's name in its module, or an expression that creates it."""
    account = "/Accounts/{account_sid}" if "/Accounts/{AccountSid}/" in fact["path"] else ""
    place = (fact["product"], f"/{fact['version']}{account}")
    for module in PRODUCTS:
        for name, one in vars(import_module(f"tap_twilio.streams.{module}")).items():
            if isinstance(one, Product) and (one.host, one.root) == place:
                return name
    return 'Product("{}", "{}")'.format(*place)


def declaration(fact: Json, lists: dict[tuple[str, str], str]) -> str:
    """Return a `Stream` as Python, without defaults."""
    rows = f'"{fact["rows"]}"' if fact["rows"] else None
    parts = [f'"{fact["name"]}"', product_of(fact), f'"{path_of(fact)}"', f"{rows}"]
    dated = [pair for pair in filters_of(fact) if pair[2] in fact["properties"]]
    bounds = dated[0] if dated and rows else None
    if key_of(fact) != ("sid",):
        parts.append(f"key={key_of(fact)!r}".replace("'", '"'))
    if "date_updated" not in fact["properties"]:
        parts.append("read_strategy=LogWindow(lookback=2 * DAY)" if bounds else "read_strategy=FullRead()")
    if bounds:
        unit = ", unit=DAY" if fact["query"][bounds[0]].get("format") == "date" else ""
        always = "" if "date_updated" in fact["properties"] else ", nullable=False"
        parts.append(f'filter=Filter("{bounds[0]}", "{bounds[1]}", "{bounds[2]}"{unit}{always})')
    if parameters(fact):
        parts.append(f"parent={parent_of(fact, lists)}")
    if missing := [name for name in key_of(fact) if name not in {*fact["properties"], "?"}]:
        parts.append("derived={" + ", ".join(f'"{name}": "{name}"' for name in missing) + "}")
    if (fact["page_size"] or 1000) < 1000:
        parts.append(f"page_size={fact['page_size']}")
    if fact["one"] is None:
        parts.append("has_item_endpoint=False")
    if "auth_token" in fact["properties"]:
        parts.append('hidden=frozenset({"auth_token"})')
    return f"Stream({', '.join(parts)}),"


def notes(fact: Json) -> list[str]:
    """Return what a person has to decide."""
    texts = [f"envelope: {fact['envelope']}"]
    enums = [f"{name}={'|'.join(map(str, facts['enum']))}" for name, facts in fact["query"].items() if "enum" in facts]
    others = sorted(set(fact["query"]) - {name for pair in filters_of(fact) for name in pair[:2]})
    texts += [f"query: {', '.join(others)}"] if others else []
    texts += [f"values: {'; '.join(enums)}"] if enums else []
    if set(key_of(fact)) <= {"?", "account_sid", *map(snake, parameters(fact))}:
        texts.append("key: the documents do not say which properties identify a row")
    if "account_sid" not in fact["properties"]:
        texts.append('the row has no account_sid: add derived={"account_sid": "account_sid"}, or scope="global"')
    return [f"# {line}" for line in texts]


def propose(fact: Json, lists: dict[tuple[str, str], str]) -> str:
    """Return the schema and the declaration of a list; `lists` maps product and path to the names of all."""
    schema = json.dumps(schema_of(fact), indent=2, ensure_ascii=False)
    return "\n".join([f"# schemas/{fact['name']}.json", schema, "", *notes(fact), declaration(fact, lists), ""])
