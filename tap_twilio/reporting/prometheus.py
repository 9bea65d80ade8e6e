"""
Metrics of a run in the text format of Prometheus, for node_exporter's textfile collector.

commands/summary.py writes them to the file of `--metrics-file`, from the document of `--summary-json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tap_twilio.timestamps import to_datetime

Json = dict[str, Any]
# Name -> its help, and its value in the document of the run.
OF_RUN: dict[str, tuple[str, Callable[[Json], Any]]] = {
    "exit_code": ("The exit code of the last sync.", lambda run: run["exit_code"]),
    "end_timestamp_seconds": ("When the last sync ended.", lambda run: to_datetime(run["ended_at"]).timestamp()),
    "duration_seconds": ("How long the last sync took.", lambda run: run["seconds"]),
    "failures": ("Streams of accounts that the last sync could not read.", lambda run: len(run["failures"])),
}
# The same, in the document of each stream. A value of None is left out.
OF_STREAM: dict[str, tuple[str, Callable[[Json], Any]]] = {
    "stream_rows_read": ("Rows that Twilio returned in the last sync.", lambda stream: stream["rows_read"]),
    "stream_rows_emitted": ("Rows that the last sync wrote.", lambda stream: stream["rows_emitted"]),
    "stream_requests": ("Requests of the last sync.", lambda stream: stream["requests"]),
    "stream_failures": (
        "Accounts in which the last sync could not read the stream.",
        lambda stream: sum(account["error"] is not None for account in stream["accounts"]),
    ),
    "stream_complete": (
        "Whether the stream was complete at the end of the last sync.",
        lambda stream: None if stream["complete"] is None else int(stream["complete"]),
    ),
    "stream_bookmark_age_seconds": (
        "The age of the oldest bookmark at the end of the last sync.",
        lambda stream: stream["bookmark_age_seconds"],
    ),
    "stream_compared_age_seconds": (
        "The time within which each row was compared with Twilio, at the end of the last sync.",
        lambda stream: stream["compared_age_seconds"],
    ),
}


def exposition(document: Json, sync: str) -> str:
    """Return the metrics of a run. The label `sync` keeps the files of several taps apart."""
    return "".join(f"{line}\n" for line in _lines(document, sync))


def _lines(document: Json, sync: str) -> Iterator[str]:
    label = sync.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    for name, (description, value) in OF_RUN.items():
        yield from _heading(name, description)
        yield f'tap_twilio_{name}{{sync="{label}"}} {value(document)}'
    for name, (description, value) in OF_STREAM.items():
        yield from _heading(name, description)
        for stream in document["streams"]:
            if (number := value(stream)) is not None:
                yield f'tap_twilio_{name}{{sync="{label}",stream="{stream["stream"]}"}} {number}'


def _heading(name: str, description: str) -> Iterator[str]:
    yield f"# HELP tap_twilio_{name} {description}"
    yield f"# TYPE tap_twilio_{name} gauge"
