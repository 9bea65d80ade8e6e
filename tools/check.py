"""
Compare the declarations and the schemas with Twilio's OpenAPI documents.

A contradiction is what a declaration or a schema says and the documents do not. That a list has no declaration yet is
none, and neither is a property that a schema leaves out, or that only recorded rows have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.catalog import RECORDED
from tap_twilio.singer.catalog import load_schema
from tap_twilio.streams.model import Condition, Filter, OpenParents, Product, ScoreList, Stream
from tap_twilio.timestamps import DAY

from .documents import Documents, Json, Operation
from .facts import envelope_in_use, envelope_of, row_schema
from .left_out import LEFT_OUT, UNDOCUMENTED

ADDED = {"received_at"}  # to every row, by the tap
NEVER_TAKEN = {"links", "subresource_uris"}  # addresses that follow from the SID

ListKey = tuple[str, str]  # a product, and a path whose parameters have no names


@dataclass
class Outcome:
    """The result of a check."""

    streams: int
    contradictions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    undeclared: list[ListKey] = field(default_factory=list)
    left_out: int = 0


def check(
    documents: Documents,
    streams: Sequence[Stream],
    schemas: Mapping[str, Json] | None = None,
    left_out: Mapping[ListKey, str] = LEFT_OUT,
) -> Outcome:
    """Compare the streams with the documents. `schemas` by stream; None: those of the tap."""
    there = Index(documents)
    outcome = Outcome(len(streams))
    for stream in streams:
        schema = load_schema(stream.name) if schemas is None else schemas[stream.name]
        stream_check = StreamCheck(stream, there, {other.name: other for other in streams}, schema)
        outcome.contradictions += [f"{stream.name}: {what}" for what in stream_check.contradictions()]
        outcome.notes += [f"{stream.name}: {what}" for what in stream_check.notes()]
    declared = {stream_key(stream.product, stream.path) for stream in streams}
    skipped = {list_key(*one) for one in left_out}
    for product, path in left_out:
        if list_key(product, path) not in there.by_key:
            outcome.notes.append(f"{product} {path}: left out, and the documents have no such list")
        if list_key(product, path) in declared:
            outcome.contradictions.append(f"{product} {path}: left out, and a stream reads it")
    lists = {one: list_key(*one) for one, operation in documents.operations.items() if is_list(operation)}
    outcome.undeclared = sorted(one for one, at in lists.items() if at not in declared | skipped)
    outcome.left_out = sum(at in skipped for at in lists.values())
    return outcome


def text(outcome: Outcome) -> str:
    """Return an outcome as readable text."""
    parts = [f"not declared: {product} {path}" for product, path in outcome.undeclared]
    parts += [f"note: {note}" for note in outcome.notes]
    parts += [f"CONTRADICTION {what}" for what in outcome.contradictions]
    parts.append(
        f"{outcome.streams} streams are declared, {outcome.left_out} lists are left out,"
        f" {len(outcome.undeclared)} are not declared; {len(outcome.contradictions)} contradictions."
    )
    return "\n".join(parts)


# Finding lists


def list_key(product: str, path: str) -> ListKey:
    """
    Return a path without its suffix and the names of its parameters.

    >>> list_key("api", "/2010-04-01/Accounts/{AccountSid}/Calls.json")
    ('api', '/2010-04-01/Accounts/{}/Calls')
    """
    return product, re.sub(r"\{\w+\}", "{}", path.removesuffix(".json"))


def stream_key(product: Product, path: str) -> ListKey:
    """Return the list that a declaration reads."""
    return list_key(product.host, f"{product.root}/{path}")


def is_list(operation: Operation) -> bool:
    """Return whether an operation answers with rows. Some redirect, or describe no answer."""
    try:
        return envelope_of(operation.answer())[0] != "single"
    except (KeyError, ValueError):
        return False


class Index:
    """The documents' operations by list."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self.by_key = {list_key(*name): operation for name, operation in documents.operations.items()}

    def find(self, product: Product, path: str) -> Operation | None:
        """Return the operation that a declaration reads; None if the documents lack the path, or its suffix differs."""
        found = self.by_key.get(stream_key(product, path))
        return found if found and found.path.endswith(".json") == (product.suffix == ".json") else None

    def row(self, stream: Stream) -> Json:
        """Return the properties of a stream's rows; empty if the documents do not have the stream."""
        found = self.find(stream.product, stream.path)
        return dict(row_schema(found).get("properties", {})) if found else {}


def values_of(operation: Operation, schema: Json) -> Sequence[Any]:
    """Return the values that the documents give for a parameter or a property; empty if they give none."""
    schema = operation.resolve(schema)
    return ("true", "false") if schema.get("type") == "boolean" else tuple(schema.get("enum", ()))


# One stream


@dataclass
class StreamCheck:
    """A stream, compared with the documents."""

    stream: Stream
    there: Index
    streams: Mapping[str, Stream]
    schema: Json

    def contradictions(self) -> Iterator[str]:
        """Yield everything in the declaration and the schema that the documents contradict."""
        stream = self.stream
        found = self.there.find(stream.product, stream.path)
        if found is not None:
            yield from self._envelope(found)
            yield from self._row(self.there.row(stream))
            yield from self._query(found)
        elif stream.name not in UNDOCUMENTED:
            yield f"there is no GET {stream.product.host} {stream.product.root}/{stream.path}{stream.product.suffix}"
        yield from self._parent()
        if stream.score_list:
            yield from scores(stream.score_list, self.there)

    def notes(self) -> Iterator[str]:
        """Yield everything in the documents that the schema lacks."""
        more = self.there.row(self.stream).keys() - self.schema["properties"].keys()
        for name in sorted(more - self.stream.hidden - NEVER_TAKEN):
            yield f"its schema does not have {name}"

    def _envelope(self, found: Operation) -> Iterator[str]:
        stream, (kind, rows) = self.stream, envelope_in_use(found)
        if (stream.rows or "") != rows:
            yield f"its rows are in {rows or 'no list: it is a single resource'}, not in {stream.rows}"
        if kind != "single" and stream.has_next_page == (kind == "none"):
            yield "it names no next page" if stream.has_next_page else "it names a next page"
        most = next((p["schema"].get("maximum") for p in found.parameters("query") if p["name"] == "PageSize"), None)
        if most is not None and stream.max_page_size > most:
            yield f"a page has {most} rows at most, not {stream.max_page_size}"
        if stream.rows and stream.has_item_endpoint and self.there.documents.one_of(found) is None:
            yield "Twilio cannot be asked for one of its rows"

    def _row(self, row: Json) -> Iterator[str]:
        """Check properties: of the key, of the dates, hidden ones, and the schema's."""
        stream = self.stream
        added = {*stream.derived, *ADDED}
        yield from missing("the key's", stream.key, {*row, *added})
        yield from missing("the replication key's", [stream.replication_key] if stream.replication_key else [], row)
        yield from missing("the filter's", [stream.filter.column] if stream.filter else [], {*row, *added})
        yield from missing("the hidden", stream.hidden, row)
        recorded = RECORDED.get(stream.name, {}).get("properties", {})
        yield from missing("the schema's", self.schema["properties"], {*row, *added, *recorded})
        for name in sorted(row.keys() & stream.derived.keys()):
            yield f"it adds {name}, which its rows have"

    def _query(self, found: Operation) -> Iterator[str]:
        stream = self.stream
        if stream.filter:
            yield from filter_parameters(stream.filter, found)
        sent = [(name, value) for name, value in stream.query.items()]
        sent += [(name, value) for name, values in stream.query_variants.items() for value in values]
        yield from query_parameters(sent, found)

    def _parent(self) -> Iterator[str]:
        """Check what comes from the parent's row: the path's values, and the conditions."""
        parent = self.stream.parent
        if parent is None:
            return
        above = self.streams[parent.stream]
        found, row = self.there.find(above.product, above.path), self.there.row(above)
        if found is None:
            return  # said of the parent
        yield from missing(f"of {above.name}, the path's", parent.path_params.values(), {*row, *above.derived})
        conditions = [parent.where, parent.visit.open_if if isinstance(parent.visit, OpenParents) else None]
        for has in filter(None, conditions):
            yield from condition(has, above.name, found, row)


def missing(whose: str, names: Iterable[str], there: Iterable[str]) -> Iterator[str]:
    """Yield the names that do not exist."""
    for name in sorted(set(names) - set(there)):
        yield f"there is no property {name} ({whose})"


def condition(has: Condition, name: str, found: Operation, row: Json) -> Iterator[str]:
    """Check a condition on a parent's row."""
    yield from missing(f"of {name}, the condition's", [has.column], row)
    known = values_of(found, row.get(has.column, {}))
    for value in has.one_of:
        if known and value not in known:
            yield f"{has.column} of {name} is never {value}"


def filter_parameters(filter_: Filter, found: Operation) -> Iterator[str]:
    """Check the two parameters of a filter, and whether they take whole days."""
    query = {parameter["name"]: found.resolve(parameter["schema"]) for parameter in found.parameters("query")}
    for name in (filter_.after, filter_.before):
        if name not in query:
            yield f"there is no parameter {name} (the filter's)"
        elif query[name].get("format") == "date" and filter_.unit != DAY:
            yield f"{name} takes days, and the filter's unit is none"


def query_parameters(sent: Iterable[tuple[str, str]], found: Operation) -> Iterator[str]:
    """Check the parameters that are sent, with their values."""
    query = {parameter["name"]: parameter["schema"] for parameter in found.parameters("query")}
    for name, value in sent:
        if name not in query:
            yield f"there is no parameter {name}"
        elif (known := values_of(found, query[name])) and value not in known:
            yield f"{name} is never {value}"


def scores(second: ScoreList, there: Index) -> Iterator[str]:
    """Check a second source: its list's parameters, and the path of one row."""
    product, path = second.stream.product, second.stream.path
    found, one = (there.find(product, path) for path in (path, second.item_path))
    if found is None or one is None:
        yield f"there is no GET {product.host} {product.root}/{second.item_path if found else path}"
        return
    yield from missing(f"of {path}", [second.rating_member], row_schema(found)["properties"])
    query = {parameter["name"] for parameter in found.parameters("query")}
    yield from (
        f"there is no parameter {name}" for name in (second.score_param, second.subaccount_param) if name not in query
    )
    yield from missing(
        f"of {second.item_path}", [second.score_column, *second.columns.values()], row_schema(one)["properties"]
    )
