"""
Facts: what the documents say of a list, without their prose. The sandbox is made from them.

A fact is the name of a property, its type, format, pattern and values; the parameters of a query; the members of an
envelope; and the rows that Twilio published as examples.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .documents import Documents, Json, Operation

KEPT = ("type", "format", "pattern", "nullable", "enum")
PAGING = ("PageSize", "Page", "PageToken")


def value_facts(operation: Operation, schema: Json) -> Json:
    """Return the possible values; for an array also those of its items."""
    schema = operation.resolve(schema)
    facts = {name: schema[name] for name in KEPT if name in schema}
    if "items" in schema:
        items = value_facts(operation, schema["items"])
        facts |= {"items": items} if items else {}
    return facts


def envelope_of(answer: Json) -> tuple[str, str]:
    """Return the envelope and the name of the rows: classic, meta, none (a list without a next page) or single."""
    properties = answer.get("properties", {})
    arrays = [name for name, schema in properties.items() if schema.get("type") == "array"]
    if "meta" in properties:
        kind = "meta"
    elif "next_page_uri" in properties:
        kind = "classic"
    elif len(arrays) == 1 and set(properties) <= {arrays[0], "uri", "url"}:
        kind = "none"
    else:
        return "single", ""
    (rows,) = arrays
    return kind, rows


def envelope_in_use(operation: Operation) -> tuple[str, str]:
    """Return the envelope of a list; none if its published examples name no next page, whatever the schema says."""
    kind, rows = envelope_of(operation.answer())
    examples = list(operation.examples())
    if kind == "classic" and examples and not any("next_page_uri" in body for body in examples):
        kind = "none"
    return kind, rows


def row_schema(operation: Operation) -> Json:
    """Return the schema of one row."""
    answer = operation.answer()
    _, rows = envelope_of(answer)
    return operation.resolve(answer["properties"][rows]["items"]) if rows else answer


def published(operation: Operation, one: Operation | None) -> list[Any]:
    """Return the rows that Twilio published, each once: those of the list, and single ones of the same form."""
    _, rows = envelope_of(operation.answer())
    found: list[Any] = []
    for body in operation.examples():
        found += body.get(rows, []) if rows else [body]
    if one is not None and one.answer().get("properties", {}).keys() == row_schema(operation)["properties"].keys():
        found += one.examples()
    return [row for i, row in enumerate(found) if row not in found[:i]]


def list_facts(documents: Documents, name: str, operation: Operation, singles: Collection[str] = ()) -> Json:
    """Return the sandbox's facts of a list or a single resource; `singles` are paths with a line of their own."""
    envelope, rows = envelope_in_use(operation)
    one = documents.one_of(operation) if rows else None
    if one is not None and one.path in singles:  # what is there is a resource of its own: a country's prices
        one = None
    query = {p["name"]: p["schema"] for p in operation.parameters("query")}
    properties = row_schema(operation).get("properties", {})
    return {
        "name": name,
        "product": operation.product,
        "version": operation.version,
        "operation": operation.id,
        "path": operation.path,
        "one": one and one.path,
        "envelope": envelope,
        "rows": rows,
        "page_size": query.get("PageSize", {}).get("maximum"),
        "path_parameters": {p["name"]: value_facts(operation, p["schema"]) for p in operation.parameters("path")},
        "query": {n: value_facts(operation, s) for n, s in sorted(query.items()) if n not in PAGING},
        "properties": {n: value_facts(operation, s) for n, s in properties.items()},
        "published": published(operation, one),
    }
