"""
A target that takes every line, ends with 0, and prints STATEs in a way of its own.

`odd_target.py DATABASE WAY`: "none" prints none; "first" the first one, "half" the last one before the 31st row, "anew"
each one with its members in another order, "added" each one with members of its own, "message" each one as the message
that it came in; anything else is printed as it is, after the last STATE. Of "half", no later row is stored.
"""

from __future__ import annotations

import json
import sys

from testing.storing_target import Rows


def main() -> None:
    """From stdin into the database; at the end, STATEs to stdout."""
    path, way = sys.argv[1:]
    rows, states = Rows(path), []
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "STATE":
            states.append((rows.count, message))
        elif message["type"] == "RECORD" and way != "none" and (way != "half" or rows.count < 30):
            rows.store(message)
    rows.database.commit()
    for line in printed(way, states):
        sys.stdout.write(line + "\n")


def printed(way: str, states: list[tuple[int, dict]]) -> list[str]:  # type: ignore[type-arg]
    """Return what to print."""
    values = [message["value"] for _, message in states]
    if way == "none":
        return []
    if way == "first":
        return [json.dumps(values[0])]
    if way == "half":
        return [json.dumps(next(message["value"] for stored, message in reversed(states) if stored < 30))]
    if way == "anew":
        return [json.dumps(dict(reversed(value.items())), indent=None, separators=(" , ", " : ")) for value in values]
    if way == "added":
        return [
            json.dumps({**value, "currently_syncing": None, "bookmarks": {**value["bookmarks"], "x": {}}})
            for value in values
        ]
    if way == "message":
        return [json.dumps(message) for _, message in states]
    return [json.dumps(values[-1]), "[" * int(way[1:]) if way.startswith("@") else way]


if __name__ == "__main__":
    main()
