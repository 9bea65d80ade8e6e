"""Write the data dictionary, a page for each product, from declarations and schemas. `tools.page` calls it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

from tap_twilio.singer.catalog import load_schema
from tap_twilio.streams import BY_NAME, PRODUCTS, STREAMS
from tap_twilio.streams.model import AllParents, LogWindow, OpenParents, RecentParents, Rescan, Stream
from tap_twilio.timestamps import DAY

MODULES = {product: import_module(f"tap_twilio.streams.{product}") for product in PRODUCTS}
PRODUCT_OF: dict[str, str] = {stream.name: product for product, module in MODULES.items() for stream in module.STREAMS}
# A docstring begins with the name of the product and a colon.
TITLES = {product: (module.__doc__ or "").partition(":")[0] for product, module in MODULES.items()}
TYPES = {"date-time": "timestamp", "date": "date", "json": "JSON"}
# These columns have the SID prefix of conversation_users, but hold users of Twilio's console.
NO_JOIN = {("studio_flows", "author_sid"), ("studio_flow_revisions", "author_sid")}

Join = tuple[tuple[str, ...], str, tuple[str, ...]]  # columns, another stream, and the equal columns of that stream


def columns(stream: Stream) -> dict[str, dict[str, Any]]:
    """Return the columns of a stream with their JSON Schemas."""
    found: dict[str, dict[str, Any]] = load_schema(stream.name)["properties"]
    return found


def prefixes(column: dict[str, Any]) -> set[str]:
    """
    Return the prefixes of a column's SIDs, as its description has them.

    >>> sorted(prefixes({"description": "SID (SM… or MM…) of the message."}))
    ['MM', 'SM']
    """
    found = re.match(r"SID \((.+?)\)", column["description"])
    return set(re.findall(r"([A-Z]{2})…", found[1])) if found else set()


@cache
def sids() -> list[tuple[Stream, set[str]]]:
    """Return the streams whose key is a SID of their own, with the prefixes of it."""
    found = (stream for stream in STREAMS if stream.key == ("sid",) and "sid" not in stream.derived)
    return [(stream, prefixes(columns(stream)["sid"])) for stream in found]


def referenced(stream: Stream, name: str, wanted: set[str]) -> Stream | None:
    """Return the stream whose SIDs a column has: by prefix, if need be also by the column's name or the product."""
    found = [other for other, prefixes in sids() if prefixes & wanted]
    if len(found) > 1:
        found = [other for other in found if other.name.endswith(f"{name.removesuffix('_sid')}s")] or found
    if len(found) > 1:
        found = [other for other in found if other.product.host == stream.product.host] or found
    return found[0] if len(found) == 1 and (stream.name, name) not in NO_JOIN else None


@cache
def joins(stream_name: str) -> list[Join]:
    """Return how a stream joins its parent, and the streams whose SIDs its columns have."""
    stream, found = BY_NAME[stream_name], list[Join]()
    there, done = columns(stream), {"account_sid"}
    if stream.parent:
        column_of = {source: name for name, source in stream.derived.items()}
        param_of = {source: param for param, source in stream.parent.path_params.items()} | {
            "account_sid": "account_sid"
        }
        keys = BY_NAME[stream.parent.stream].key
        names = [column_of.get(param_of[key], param_of[key]) for key in keys if key in param_of]
        if len(names) == len(keys) and there.keys() >= set(names):
            found.append((tuple(names), stream.parent.stream, keys))
            done |= set(names)
    for name in (name for name in there if re.search("_sid(_|$)", name) and name not in done):
        if other := referenced(stream, name, prefixes(there[name])):
            found.append(((name,), other.name, ("sid",)))
    return found


def named(names: Iterable[str]) -> str:
    """Return names as code."""
    return ", ".join(f"`{name}`" for name in names)


def link(name: str, page: str) -> str:
    """Return a link to a stream's section from the page of a product."""
    return f"[{name}]({'' if PRODUCT_OF[name] == page else f'{PRODUCT_OF[name]}.md'}#{name})"


def replication(stream: Stream) -> str:
    """Return how changed rows are found."""
    often = "; once a day, for all accounts" if stream.scope == "global" else ""
    if isinstance(stream.read_strategy, LogWindow):
        days = stream.read_strategy.lookback // DAY
        return f"log; each sync rereads the last {'day' if days == 1 else f'{days} days'}{often}"
    if isinstance(stream.read_strategy, Rescan):
        return f"by `{stream.replication_key}` and by content{often}"
    return f"by content; each sync reads the whole list{often}"


def visited(stream: Stream) -> str:
    """Return the rows of the parent whose lists are read."""
    parent = stream.parent
    assert parent
    names = {AllParents: "all rows", OpenParents: "open and changed rows", RecentParents: "recent rows"}
    text = names.get(type(parent.visit), "changed rows")
    if where := parent.where:
        values = " or ".join(f"`{str(value).lower()}`" for value in where.one_of)
        above = f"above {where.above}" if where.above is not None else f"with `{where.has_member}`"
        text += f" with `{where.column}` {values or above}"
    return text + (f" of the last {parent.max_age // DAY} days" if parent.max_age else "")


def type_of(column: dict[str, Any]) -> str:
    """Return the type of a column in words."""
    types = column["type"] if isinstance(column["type"], list) else [column["type"]]
    (name,) = set(types) - {"null"}
    return TYPES.get(column.get("format", ""), f"array of {column['items']['type']}s" if name == "array" else name)


def section(stream: Stream, page: str) -> Iterator[str]:
    """Yield the lines of a stream's section."""
    yield f"\n## {stream.name}\n\n{load_schema(stream.name)['description']}\n"
    yield f"- **Key**: {named(stream.key)}"
    yield f"- **Replication**: {replication(stream)}"
    product = stream.product
    yield f"- **Endpoint**: `{product.host}.twilio.com{product.root}/{stream.path}{product.suffix}`"
    if stream.parent:
        yield f"- **Parent**: {link(stream.parent.stream, page)}, {visited(stream)}"
    if stream.cost:
        yield f"- **Cost**: {stream.cost}"
    if found := [f"{named(names)} = {link(other, page)} {named(keys)}" for names, other, keys in joins(stream.name)]:
        yield f"- **Joins**: {'; '.join(found)}"
    users = ((other.name, names) for other in STREAMS for names, to, _ in joins(other.name) if to == stream.name)
    if found := [f"{link(other, page)} {named(names)}" for other, names in users]:
        yield f"- **Joined by**: {'; '.join(found)}"
    yield "\n| column | type | description |\n|---|---|---|"
    for name, column in columns(stream).items():
        yield f"| `{name}` | {type_of(column)} | {column['description'].replace('|', chr(92) + '|')} |"


def product_page(product: str) -> str:
    """Return the page of a product."""
    streams: tuple[Stream, ...] = MODULES[product].STREAMS
    lines = [line for stream in streams for line in section(stream, product)]
    return "\n".join([f"# {TITLES[product]}\n\n[How to read this page](index.md).", *lines, ""])
