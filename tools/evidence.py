"""
Derive what each stream was compared with: `tap_twilio/evidence.json`.

`python -m tools.evidence` writes the file from `evidence/`, which holds what users reported, from
`sandbox/recorded.json`, and from `sandbox/facts/`. Discovery and docs/streams.md show it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox.catalog import RECORDED, facts
from tap_twilio.streams import STREAMS

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "tap_twilio" / "evidence.json"
REPORTS = ROOT / "evidence"
# The grades, the best first.
GRADES = {
    "live": "a user sent the [forms of the rows](../evidence/README.md) that an account lists there",
    "recorded": "public repositories have such rows of live accounts, some from another list of the same rows",
    "published example": "Twilio's OpenAPI documents have an example of a row",
    "documents only": "Twilio's documents describe the rows, without an example",
}


def reports() -> dict[str, dict[str, Any]]:
    """Return the files that users sent, by name. Each is an output of `--check --shapes`."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(REPORTS.glob("*.json"))}


def derive(shapes: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Return the streams of each grade. `shapes` are the reports."""
    live = {name for report in shapes.values() for name, shape in report["streams"].items() if shape.get("rows")}
    published = {name for name, fact in facts().items() if fact.published}
    grades: dict[str, list[str]] = {grade: [] for grade in GRADES}
    for stream in STREAMS:
        holds = dict(zip(GRADES, (stream.name in live, stream.name in RECORDED, stream.name in published, True)))
        grades[next(grade for grade, is_held in holds.items() if is_held)].append(stream.name)
    return grades


def as_text(grades: dict[str, list[str]]) -> str:
    """Return the file's text, a grade a line."""
    return "{\n" + ",\n".join(f"{json.dumps(grade)}: {json.dumps(names)}" for grade, names in grades.items()) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(as_text(derive(reports())), encoding="utf-8")
