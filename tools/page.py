"""`python -m tools.page >docs/streams.md`: every stream, and every list that is none, from the declarations."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tap_twilio.singer.catalog import load_schema
from tap_twilio.streams import STREAMS
from tap_twilio.streams.model import AllParents, LogWindow, OpenParents, RecentParents, Rescan, Stream
from tap_twilio.timestamps import DAY

from .left_out import LEFT_OUT

HEAD = """# Streams

What `tap-twilio --discover` lists, made by `python -m tools.page` from the declarations. Those in **bold** are selected
by default, the others where the catalog [selects](settings.md#choose-streams-and-properties) them.

- **date_updated**: changes are found by the date and by content. **whole**: each sync reads the list and compares what
  its rows hold. **window**: each sync reads the last days again. **once a day**: the same for all accounts.
- A stream with a parent is read below the rows of its parent, whether that is selected or not.
- Under `FULL_TABLE`, which a stream with a parent or a window cannot have, deleted rows leave the warehouse.

## What a table holds

Each table has all of Twilio's properties under their own names, and `received_at`: when the tap received the row.
Every record has all selected columns, in the schema's order; what Twilio leaves out is null, and so are empty strings
where a number or a date belongs. Dates are UTC. Prices are JSON numbers of exactly the value that Twilio gave; what
becomes of them is the target's doing: meltanolabs-target-postgres keeps them exact (without `use_copy`), most others
make floats of them, for which there is `decimals: text` ([what targets do, tried](targets.md)). Types
and a description of every property: [catalog.json](../catalog.json), which is what discovery prints.

A filter never decides which rows arrive: it hides messages that were never sent and calls that never started. It
only makes the first read of a long list quicker, and [How exactness works](exactness.md) tells how the hidden
rows come all the same.
"""
LEFT = """
## Lists that are no stream

The other lists of Twilio's OpenAPI documents, and why.

| product | path | why |
|---|---|---|
"""


def read_method(stream: Stream) -> str:
    """Return how a stream is read, in a word or two."""
    if isinstance(stream.reads, LogWindow):
        return f"window, {stream.reads.again // DAY} days"
    read = "date_updated" if isinstance(stream.reads, Rescan) else "whole"
    return f"{read}, once a day" if stream.scope == "twilio" else read


def parent_and_visit(stream: Stream) -> str:
    """Return the parent, and which of its rows are visited."""
    parent = stream.parent
    if parent is None:
        return ""
    which = "changed ones"
    if isinstance(parent.visit, AllParents):
        which = "all"
    elif isinstance(parent.visit, OpenParents):
        which = "open and changed ones"
    elif isinstance(parent.visit, RecentParents):
        which = "recent ones"
    if parent.where:
        has = parent.where
        if has.among:
            condition = f"{has.column} {' or '.join(str(value).lower() for value in has.among)}"
        else:
            condition = (
                f"{has.column} above {has.above}" if has.above is not None else f"{has.column} has {has.holding}"
            )
        which += f", {condition}"
    if parent.within:
        which += f", of {parent.within // DAY} days"
    return f"{parent.stream}: {which}"


def lines(streams: list[Stream]) -> Iterator[str]:
    yield "| stream | a row is | path | key | read | parent | cost |"
    yield "|---|---|---|---|---|---|---|"
    for stream in streams:
        name = f"**{stream.name}**" if stream.default else stream.name
        what = load_schema(stream.name)["description"]
        key = ", ".join(stream.key)
        read, parent = read_method(stream), parent_and_visit(stream)
        yield f"| {name} | {what} | `{stream.path}` | {key} | {read} | {parent} | {stream.cost} |"


def page() -> str:
    """Return the text of docs/streams.md."""
    products: dict[str, list[Stream]] = {}
    for stream in STREAMS:
        root = stream.product.root.removesuffix("/Accounts/{account_sid}")
        products.setdefault(f"{stream.product.host}.twilio.com{root}", []).append(stream)
    parts = [HEAD]
    for product, streams in products.items():
        parts.append(f"\n## {product}\n\n" + "\n".join(lines(streams)) + "\n")
    left_out = [f"| {product} | `{path}` | {why} |" for (product, path), why in LEFT_OUT.items()]
    return "".join(parts) + LEFT + "\n".join(left_out) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
