"""
`python -m benchmarks.feedback [CALLS]`: how many requests call_feedback takes, by source.

One account with so many calls (100,000) in the last 30 days, of which one in 200 is rated at both sources; a first
sync, and one twelve hours later. Prints a line of Markdown for each source, which no machine's speed changes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from sandbox import Server, Twilio, serve

CATALOG = Path(__file__).resolve().parent.parent / "catalog.json"
SOURCES: dict[str, dict[str, Any]] = {
    "feedback": {},
    "feedback, no backfill": {"call_feedback_source": "feedback", "feedback_backfill": False},
    "insights": {},
    "auto": {},
}


def sync(server: Server, folder: Path, settings: dict[str, Any]) -> tuple[Counter[str], int]:
    """The requests of one run by kind, and the ratings it emitted; its state stays in the folder."""
    config, catalog, state = folder / "config.json", folder / "catalog.json", folder / "state.json"
    account = {"account_sid": server.twilio.main, "auth_token": server.twilio.auth_token, "base_url": server.url}
    config.write_text(json.dumps({**account, **settings}))
    config.chmod(0o600)
    streams = json.loads(CATALOG.read_text())
    for entry in streams["streams"]:
        entry["metadata"][0]["metadata"]["selected"] = entry["tap_stream_id"] == "call_feedback"
        assert entry["metadata"][0]["breadcrumb"] == []
    catalog.write_text(json.dumps(streams))
    command = [sys.executable, "-m", "tap_twilio", "--config", str(config), "--catalog", str(catalog)]
    command += ["--state", str(state)] if state.exists() else []
    server.reset()
    done = subprocess.run(command, capture_output=True, check=True, cwd=CATALOG.parent)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    state.write_text(json.dumps([line for line in lines if line["type"] == "STATE"][-1]["value"]))
    kinds: Counter[str] = Counter()
    for request in server.requests:
        part = request.path.rsplit("/", 1)[1].split("?")[0].removesuffix(".json")
        kinds[{"Calls": "pages of calls", "Summaries": "lists of insights"}.get(part, part)] += 1
    return kinds, sum(line["type"] == "RECORD" for line in lines)


def main(calls: int) -> None:
    print(f"{calls:,} calls in 30 days, {calls // 200} of them rated\n")
    print("| `call_feedback_source` | first sync | a sync twelve hours later |\n|---|---|---|")
    for name, settings in SOURCES.items():
        twilio = Twilio(seed=1)
        twilio.at("2026-04-01T09:00:00Z")
        twilio.bulk("calls", calls, "2026-03-02T10:00:00Z", "2026-04-01T08:00:00Z")
        ended = [row["sid"] for row in twilio.present("calls") if row["status"] == "completed"]
        for sid in ended[:: max(1, len(ended) * 200 // calls)]:
            twilio.feedback(sid, 3)
            twilio.annotate(sid, call_score=3)
        cells = []
        with serve(twilio) as server, tempfile.TemporaryDirectory() as folder:
            for _ in range(2):
                kinds, ratings = sync(server, Path(folder), {"call_feedback_source": name, **settings})
                counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common() if "AC" not in kind)
                cells.append(f"{sum(kinds.values()):,}: {counts}; {ratings:,} ratings emitted")
                twilio.at("2026-04-01T21:00:00Z")
        print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
