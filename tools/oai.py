"""
Derive from Twilio's OpenAPI documents what the project knows of Twilio's lists. A person runs it, never the tap.

    python -m tools.oai facts DOCUMENTS                  # writes sandbox/facts/, a file a product
    python -m tools.oai propose LIST... --documents DOCUMENTS   # prints a schema and a declaration for each

DOCUMENTS is a folder of the OpenAPI documents (https://github.com/twilio/twilio-oai, spec/json). Which lists there are
stands in tools/lists.txt: to add one, add a line there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .documents import Documents, Json
from .facts import list_facts
from .propose import propose

HERE = Path(__file__).resolve().parent
LISTS = HERE / "lists.txt"
FACTS = HERE.parent / "sandbox" / "facts"


@dataclass(frozen=True)
class Listed:
    """A line of lists.txt."""

    name: str
    product: str
    path: str


def listed(path: Path = LISTS) -> list[Listed]:
    """The lists that the project knows by name."""
    lines = [line.partition("#")[0].split() for line in path.read_text(encoding="utf-8").splitlines()]
    return [Listed(*line) for line in lines if line]


def all_facts(documents: Documents) -> dict[str, list[Json]]:
    """The facts of all lists, by product."""
    found: dict[str, list[Json]] = defaultdict(list)
    for one in listed():
        operation = documents.operation(one.product, one.path)
        singles = [other.path for other in listed() if other.product == one.product]
        found[one.product].append(list_facts(documents, one.name, operation, singles))
    return dict(sorted(found.items()))


def as_text(facts: list[Json]) -> str:
    """The facts of a product as JSON, a list a line."""
    lines = [json.dumps(fact, ensure_ascii=False, separators=(",", ":")) for fact in facts]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def write_facts(documents: Documents) -> None:
    """Write sandbox/facts/, and remove what is no longer derived."""
    found = all_facts(documents)
    for path in FACTS.glob("*.json"):
        if path.stem not in found:
            path.unlink()
    for product, facts in found.items():
        (FACTS / f"{product}.json").write_text(as_text(facts), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.oai", description=(__doc__ or "").strip().split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    facts = commands.add_parser("facts", help="write sandbox/facts/")
    facts.add_argument("documents", type=Path)
    proposal = commands.add_parser("propose", help="print a schema and a declaration")
    proposal.add_argument("lists", nargs="+", metavar="LIST", help="its name in lists.txt, or product/operationId")
    proposal.add_argument("--documents", type=Path, required=True)
    options = parser.parse_args(argv)
    documents = Documents(options.documents)
    if options.command == "facts":
        write_facts(documents)
        return 0
    for wanted in options.lists:
        found = [
            (one.name, operation)
            for one in listed()
            for operation in [documents.operation(one.product, one.path)]
            if wanted in (one.name, operation.id, f"{one.product}/{operation.id}")
        ]
        if not found:
            sys.exit(f"tools/lists.txt has no list {wanted!r}: add its line first")
        for name, operation in found:
            print(propose(list_facts(documents, name, operation), listed()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
