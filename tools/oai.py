"""
Derive from Twilio's OpenAPI documents what the project knows of Twilio's lists. A person runs it, never the tap.

    python -m tools.oai facts DOCUMENTS                  # writes sandbox/facts/, a file a product, and checksums
    python -m tools.oai propose LIST... --documents DOCUMENTS   # prints a schema and a declaration for each
    python -m tools.oai schemas LIST... --documents DOCUMENTS   # writes their schemas/, where there are none
    python -m tools.oai check DOCUMENTS                  # holds the declarations and the schemas against them

DOCUMENTS is a folder of the OpenAPI documents (https://github.com/twilio/twilio-oai, spec/json). Which lists there are
stands in tools/lists.txt: to add one, add a line there. Which of them no stream reads, and why: tools/left_out.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tap_twilio.streams import STREAMS

from .check import check, is_list, text
from .documents import Documents, Json
from .facts import list_facts
from .propose import propose, schema_of

HERE = Path(__file__).resolve().parent
LISTS = HERE / "lists.txt"
FACTS = HERE.parent / "sandbox" / "facts"
PUBLISHED = HERE / "published.txt"  # every list of the documents
CHECKSUMS = HERE / "facts.sha256"  # of all that is derived, as sha256sum writes and checks them
SCHEMAS = HERE.parent / "schemas"


@dataclass(frozen=True)
class Listed:
    """A line of lists.txt."""

    name: str
    product: str
    path: str


def listed(path: Path = LISTS) -> list[Listed]:
    """Return the lists that the project knows by name."""
    lines = [line.partition("#")[0].split() for line in path.read_text(encoding="utf-8").splitlines()]
    return [Listed(*line) for line in lines if line]


def by_shape() -> dict[tuple[str, str], str]:
    """Return the names of the lists by product and path, without the names of parameters and the suffix."""
    return {(one.product, re.sub(r"\{\w+\}", "{}", one.path.removesuffix(".json"))): one.name for one in listed()}


def facts_of(documents: Documents, one: Listed) -> Json:
    """Return the facts of one list."""
    singles = [other.path for other in listed() if other.product == one.product]
    return list_facts(documents, one.name, documents.operation(one.product, one.path), singles)


def all_facts(documents: Documents) -> dict[str, list[Json]]:
    """Return the facts of all lists, by product."""
    found: dict[str, list[Json]] = defaultdict(list)
    for one in listed():
        found[one.product].append(facts_of(documents, one))
    return dict(sorted(found.items()))


def as_text(facts: list[Json]) -> str:
    """Return the facts of a product as JSON, a list a line."""
    lines = [json.dumps(fact, ensure_ascii=False, separators=(",", ":")) for fact in facts]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def write_facts(documents: Documents) -> None:
    """Write published.txt, sandbox/facts/ and their checksums, and remove what is no longer derived."""
    places = sorted(one for one, operation in documents.operations.items() if is_list(operation))
    PUBLISHED.write_text("".join(f"{product} {path}\n" for product, path in places), encoding="utf-8")
    found = all_facts(documents)
    for path in FACTS.glob("*.json"):
        if path.stem not in found:
            path.unlink()
    for product, facts in found.items():
        (FACTS / f"{product}.json").write_text(as_text(facts), encoding="utf-8")
    CHECKSUMS.write_text(checksums(), encoding="utf-8")


def checksums() -> str:
    """Return a line for each derived file, by which a test sees a change that no document asked for."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(HERE.parent).as_posix()}\n"
        for path in [PUBLISHED, *sorted(FACTS.glob("*.json"))]
    )


def names_of(fact: Json) -> tuple[str, str, str]:
    """Return the names by which a person may ask for a list."""
    return fact["name"], fact["operation"], f"{fact['product']}/{fact['operation']}"


def asked_for(documents: Documents, lists: Sequence[str]) -> Iterator[Json]:
    """Yield the facts of each list; exit at a name that lists.txt does not have."""
    for wanted in lists:
        found = [fact for one in listed() for fact in [facts_of(documents, one)] if wanted in names_of(fact)]
        if not found:
            sys.exit(f"tools/lists.txt has no list {wanted!r}: add its line first")
        yield from found


def print_proposals(documents: Documents, lists: Sequence[str]) -> None:
    """Print a schema and a declaration for each list."""
    for fact in asked_for(documents, lists):
        print(propose(fact, by_shape()))


def write_schemas(documents: Documents, lists: Sequence[str]) -> None:
    """Write the schema of each list, where there is none. Descriptions that end with a question mark want a person."""
    for fact in asked_for(documents, lists):
        path = SCHEMAS / f"{fact['name']}.json"
        if not path.exists():
            path.write_text(json.dumps(schema_of(fact), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code: 1 if a check found a contradiction."""
    parser = argparse.ArgumentParser(prog="python -m tools.oai", description=(__doc__ or "").strip().split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    facts = commands.add_parser("facts", help="write sandbox/facts/")
    facts.add_argument("documents", type=Path)
    for command, what in {"propose": "print a schema and a declaration", "schemas": "write schemas/"}.items():
        proposal = commands.add_parser(command, help=what)
        proposal.add_argument("lists", nargs="+", metavar="LIST", help="its name in lists.txt, or product/operationId")
        proposal.add_argument("--documents", type=Path, required=True)
    checked = commands.add_parser("check", help="hold the declarations and the schemas against the documents")
    checked.add_argument("documents", type=Path)
    options = parser.parse_args(argv)
    documents = Documents(options.documents)
    if options.command == "facts":
        write_facts(documents)
    elif options.command == "propose":
        print_proposals(documents, options.lists)
    elif options.command == "schemas":
        write_schemas(documents, options.lists)
    else:
        outcome = check(documents, STREAMS)
        print(text(outcome))
        return 1 if outcome.contradictions else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
