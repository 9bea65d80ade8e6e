"""
Differences between this tap and other connectors for Twilio, by columns: the tables of docs/moving*.md.

`python -m tools.moving` writes them anew, between the comments that name them. The other side stands in
`tools/others.json`: names of tables and columns, and JSON types where they are known. `python -m tools.moving FOLDER`
derives singer-io's part of it from a clone of its repository.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tap_twilio.singer.catalog import load_schema
from tap_twilio.streams import BY_NAME

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "docs" / "moving.md", ROOT / "docs" / "moving-others.md")
FACTS = ROOT / "tools" / "others.json"
Json = dict[str, Any]

# Their names of what is here another stream, and what is said of tables that are none here.
AIRBYTE = {
    "executions": "studio_executions",
    "flows": "studio_flows",
    "roles": "conversation_roles",
    "services": "conversation_services",
    "step": "studio_execution_steps",
    "users": "conversation_users",
}
FIVETRAN = {
    "ACCOUNT_HISTORY": "accounts",
    "ADDRESS": "addresses",
    "COACHED_CALL": "conference_participant_summaries",
    "CONFERENCE_PARTICIPANT_EXTENDED": "conference_participant_summaries",
    "EXECUTION": "studio_executions",
    "EXECUTION_STEP": "studio_execution_steps",
    "FLOW_HISTORY": "studio_flow_revisions",
    "PARTICIPANT": "conversation_participants",
    "ROLE": "conversation_roles",
    "ROLE_PERMISSION": "conversation_roles",
    "SERVICE": "conversation_services",
    "VERIFICATION_ATTEMPT": "verify_attempts",
    "VERIFICATION_SERVICE": "verify_services",
    "CONVERSATION_USER": "conversation_users",
}
RENAMED = {
    "id": "sid",
    "created_at": "date_created",
    "updated_at": "date_updated",
    "outgoing_caller_id": "phone_number_sid",
    "version": "revision",  # of a flow
    "permission": "permissions",
    "role_id": "sid",
    "capabilities_mms": "capabilities",
    "capabilities_sms": "capabilities",
    "capabilities_voice": "capabilities",
}


def kinds(schema: Json) -> str:
    """Return a property's JSON types except null, with dates apart: `string`, `date-time`, `integer or string`."""
    if "anyOf" in schema:
        found = {kind for one in schema["anyOf"] for kind in kinds(one).split(" or ")}
    else:
        types = schema.get("type") or []
        found = {types} if isinstance(types, str) else set(types)
        if schema.get("format") == "date-time":
            found = {"date-time" if kind == "string" else kind for kind in found}
    return " or ".join(sorted(found - {"null", ""}))


def ours(stream: str) -> dict[str, str]:
    """Return a stream's columns here, with their types."""
    return {name: kinds(about) for name, about in load_schema(stream)["properties"].items()}


def theirs(name: str) -> Json:
    """Return the known facts of a connector."""
    known: Json = json.loads(FACTS.read_text("utf-8"))[name]
    return known


# The tables -----------------------------------------------------------------------------------------------------------


def code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def differences(stream: str, columns: dict[str, str]) -> list[str]:
    """Return the columns that are gone here, that are new, and that have another type, as table cells."""
    here = ours(stream)
    types = [
        f"`{name}`: {kind} → {here[name]}" for name, kind in columns.items() if name in here and here[name] != kind
    ]
    new = [name for name in here if name not in columns and name != "received_at"]
    return [code([name for name in columns if name not in here]), code(new), ", ".join(types)]


def singer_io() -> Iterator[str]:
    streams = theirs("singer-io")
    yield "| stream | key here, where it is another | gone | new | another type |"
    yield "|---|---|---|---|---|"
    same = []
    for name, about in streams.items():
        found = differences(name, about["columns"])
        key = list(BY_NAME[name].key)
        other_key = code(key) if key != about["key"] else ""
        if any((other_key, *found)):
            yield f"| `{name}` | {' | '.join([other_key, *found])} |"
        else:
            same.append(name)
    yield ""
    yield f"The same in all columns: {code(same)}."


def airbyte() -> Iterator[str]:
    yield "| Airbyte's stream | here | gone | new | another type |"
    yield "|---|---|---|---|---|"
    for name, columns in theirs("airbyte").items():
        stream = AIRBYTE.get(name, name)
        yield f"| `{name}` | `{stream}` | {' | '.join(differences(stream, columns))} |"


def plural(table: str) -> str:
    name = table.lower()
    return FIVETRAN.get(table, f"{name}s" if f"{name}s" in BY_NAME else name)


def fivetran() -> Iterator[str]:
    yield "| Fivetran's table | here | columns that have another name here | none here |"
    yield "|---|---|---|---|"
    for table, columns in theirs("fivetran").items():
        stream = plural(table)
        here = ours(stream)
        names = {column: renamed(column, here) for column in columns if not column.startswith("_fivetran")}
        pairs = [f"`{column}` → `{name}`" for column, name in names.items() if name and name != column]
        gone = [column for column, name in names.items() if not name]
        columns_text = ", ".join(pairs) if columns else "not compared"
        yield f"| `{table}` | `{stream}` | {columns_text} | {code(gone)} |"


def renamed(column: str, here: dict[str, str]) -> str | None:
    """Return the name here of one of Fivetran's columns."""
    for name in (column, RENAMED.get(column, ""), re.sub("_id$", "_sid", column)):
        if name in here:
            return name
    return None


def segment() -> Iterator[str]:
    yield "| collection | here | of Segment's properties missing here | columns that are new |"
    yield "|---|---|---|---|"
    for name, columns in theirs("segment").items():
        here = ours(name)
        new = [column for column in here if column not in columns]
        yield f"| `{name}` | `{name}` | {code([c for c in columns if c not in here]) or 'none'} | {code(new)} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "singer-io": singer_io,
    "airbyte": airbyte,
    "fivetran": fivetran,
    "segment": segment,
}


def page(text: str) -> str:
    """Return a page with its tables generated again."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: made by python -m tools.moving -->\n", f"<!-- end of {name} -->"
        if begin not in text:
            continue
        before, rest = text.split(begin)
        after = rest.split(end)[1]
        text = f"{before}{begin}\n" + "\n".join(line.rstrip() for line in table()) + f"\n\n{end}{after}"
    return text


# singer-io's part of the facts ------------------------------------------------------------------------------------


def derived(folder: Path) -> Json:
    """Return streams, keys, bookmarks and columns of singer-io's tap, from a clone of its repository."""
    tree = ast.parse((folder / "tap_twilio" / "streams.py").read_text("utf-8"))
    assigned = next(node for node in tree.body if isinstance(node, ast.Assign))
    found: Json = {}

    def take(streams: Json) -> None:
        for name, about in streams.items():
            schema = json.loads((folder / "tap_twilio" / "schemas" / f"{name}.json").read_text("utf-8"))
            found[name] = {
                "key": about["key_properties"],
                "method": about["replication_method"],
                "bookmark": next(iter(about.get("replication_keys", [])), None),
                "columns": {column: kinds(of) for column, of in schema["properties"].items()},
            }
            take(about.get("children", {}))

    take(ast.literal_eval(assigned.value))
    return dict(sorted(found.items()))


def main() -> None:
    if len(sys.argv) > 1:
        known = json.loads(FACTS.read_text("utf-8")) if FACTS.exists() else {}
        known["singer-io"] = derived(Path(sys.argv[1]))
        FACTS.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    else:
        for path in PAGES:
            path.write_text(page(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
