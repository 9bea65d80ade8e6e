"""
Derive from recorded bodies which forms the values of each stream's properties have: `sandbox/recorded.json`.

    python -m tools.recorded FOLDER [--skip TEXT...]

FOLDER holds files of JSON lines. A line has `kind` ("recorded", others are left out), `years` and `body`: an answer of
Twilio's, either a page or one row. `--skip` leaves out lines that hold a text, such as rows that somebody converted.
Only names of properties and forms of values are written, never a value.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.catalog import Fact, facts, find
from tap_twilio.streams import BY_NAME

FILE = Path(__file__).resolve().parents[1] / "sandbox" / "recorded.json"
# The forms of text, the first that matches counts.
TEXTS = {
    "empty": r"",
    "RFC 2822": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000",
    "ISO 8601": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "ISO 8601 with fractions": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
    "ISO 8601 with an offset": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d",
    "day": r"\d{4}-\d\d-\d\d",
    "integer as text": r"-?\d{1,9}",
    "number as text": r"-?\d+\.\d+",
    "text": r"(?s).*",
}
KINDS = {bool: "boolean", int: "integer", float: "number", dict: "object"}
# Members of an answer about one row, which no list shows: request and response of an alert, the seed of a new factor.
NOT_LISTED = {
    "alerts": {"request_headers", "request_variables", "response_body", "response_headers"},
    "verify_factors": {"binding"},
}
PROPERTY = re.compile(r"[a-z_0-9]{1,40}")  # other names may be people's data


def form_of(value: Any) -> str:
    """
    Return the form of a value.

    >>> [form_of(value) for value in (None, "", "2026-06-09", "-0.00750", 3, [], ["VP8"])]
    ['null', 'empty', 'day', 'number as text', 'integer', 'empty array', 'array of text']
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return next(form for form, pattern in TEXTS.items() if re.fullmatch(pattern, value))
    if isinstance(value, list):
        return f"array of {'objects' if isinstance(value[0], dict) else 'text'}" if value else "empty array"
    return KINDS[type(value)]


def streams_of(fact: Fact) -> list[str]:
    """Return the streams whose rows have the properties of a list: Twilio shows some rows at more than one path."""
    return [
        other.name
        for other in facts().values()
        if other.name in BY_NAME
        and (other.product, other.rows) == (fact.product, fact.rows)
        and other.properties.keys() >= fact.properties.keys()
    ]


def rows_of(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a body, each with the name of a stream. Its address says of which list it is."""
    meta = body.get("meta") or body
    parts = urlsplit(meta.get("url") or meta.get("uri") or "")
    found = find(parts.netloc.partition(".")[0] or "api", parts.path)
    if found:
        rows = [body] if found[2] else body.get(found[0].rows, [])
        yield from ((stream, row) for stream in streams_of(found[0]) for row in rows)


def recorded_lines(folder: Path, skip: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield the recorded lines of a folder that hold none of the texts to skip."""
    for path in sorted(folder.glob("*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if line["kind"] == "recorded" and isinstance(line["body"], dict) and not any(one in text for one in skip):
                yield line


def derive(lines: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return for each stream the number of its rows, the newest year, and the forms of each property."""
    rows: dict[str, int] = defaultdict(int)
    newest: dict[str, int] = defaultdict(int)
    forms: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for line in lines:
        for stream, row in rows_of(line["body"]):
            rows[stream] += 1
            newest[stream] = max([newest[stream], *map(int, re.findall(r"\d{4}", line["years"]))])
            for name, value in row.items():
                if PROPERTY.fullmatch(name) and name not in NOT_LISTED.get(stream, ()):
                    forms[stream][name].add(form_of(value))
    return {
        stream: {
            "rows": rows[stream],
            "newest": newest[stream] or None,
            "properties": {name: sorted(found) for name, found in sorted(forms[stream].items())},
        }
        for stream in sorted(rows)
    }


def as_text(facts: dict[str, Any]) -> str:
    """Return the facts as JSON, a stream a line."""
    return "{\n" + ",\n".join(f"{json.dumps(stream)}: {json.dumps(fact)}" for stream, fact in facts.items()) + "\n}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the facts. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.recorded")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--skip", nargs="*", default=(), metavar="TEXT")
    options = parser.parse_args(argv)
    FILE.write_text(as_text(derive(recorded_lines(options.folder, options.skip))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
