"""
Read Twilio's OpenAPI documents: find an operation, and resolve what its schemas refer to.

The documents: https://github.com/twilio/twilio-oai (spec/json). They stay outside the project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One GET of one document."""

    product: str  # the host's first label: "api", "studio", "flex-api"
    path: str
    document: Json

    @property
    def get(self) -> Json:
        """Return the operation itself."""
        return dict(self.document["paths"][self.path]["get"])

    @property
    def id(self) -> str:
        """Return the operationId, which several documents may share."""
        return str(self.get["operationId"])

    @property
    def version(self) -> str:
        """Return the first segment of the path: "2010-04-01", "v1"."""
        return self.path.split("/")[1]

    def parameters(self, where: str) -> Iterator[Json]:
        """Return the parameters in the path or in the query, those of the path item included."""
        item = self.document["paths"][self.path]
        for parameter in [*item.get("parameters", ()), *item["get"].get("parameters", ())]:
            parameter = self.resolve(parameter)
            if parameter["in"] == where:
                yield parameter

    def answer(self) -> Json:
        """Return the schema of a good answer."""
        return self.resolve(self._content()["schema"])

    def examples(self) -> Iterator[Json]:
        """Return the published bodies of good answers."""
        for example in map(self.resolve, self._content().get("examples", {}).values()):
            if isinstance(example.get("value"), dict):
                yield example["value"]

    def _content(self) -> Json:
        (content,) = self.get["responses"]["200"]["content"].values()
        return dict(content)

    def resolve(self, schema: Json) -> Json:
        """
        Return a schema without $ref, allOf, oneOf and anyOf at its top.

        A property of any of the alternatives counts, and is nullable if one of them says so.
        """
        if "$ref" in schema:
            target: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
            return self.resolve(schema)
        merged = {name: value for name, value in schema.items() if name not in ("allOf", "oneOf", "anyOf")}
        for part in [*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())]:
            part = self.resolve(part)
            properties = {**merged.get("properties", {}), **part.get("properties", {})}
            merged = {**part, **merged} | ({"properties": properties} if properties else {})
        return merged


class Documents:
    """All the documents of a folder."""

    def __init__(self, folder: Path) -> None:
        self.operations: dict[tuple[str, str], Operation] = {}
        for path in sorted(folder.glob("*.json")):
            document = json.loads(path.read_text(encoding="utf-8"))
            for name, item in document.get("paths", {}).items():
                if "get" in item:
                    host = (item.get("servers") or document["servers"])[0]["url"]
                    product = host.removeprefix("https://").partition(".")[0]
                    self.operations[product, name] = Operation(product, name, document)
        if not self.operations:
            raise SystemExit(f"{folder} holds no OpenAPI documents")

    def operation(self, product: str, path: str) -> Operation:
        """Return the GET of a path; exit if there is none."""
        try:
            return self.operations[product, path]
        except KeyError:
            raise SystemExit(f"The documents have no GET {path} of {product}") from None

    def one_of(self, operation: Operation) -> Operation | None:
        """Return the GET of one row of a list, if there is one: the list's path and one more parameter."""
        stem, dot, suffix = operation.path.partition(".json")
        for (product, path), other in self.operations.items():
            is_below = path.startswith(f"{stem}/{{") and path.count("/") == stem.count("/") + 1
            if product == operation.product and is_below and path.endswith(f"}}{dot}{suffix}"):
                return other
        return None
