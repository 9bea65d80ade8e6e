"""
A soak: hundreds of syncs in a row in one process, against a simulated Twilio that fails, three hours apart.

A user's cron starts a process for each sync, which hides what a sync leaves behind. Here one process makes them all, so
that a leak of memory, of descriptors or of threads, and a state that grows, add up until they show in the figures:

    python -m benchmarks.soak --syncs 500

The sandbox runs in this process, and the syncs in a child, whose figures are printed. At the end the rows that all
syncs wrote must be those that Twilio lists. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from sandbox import Server, Twilio, serve
from testing.taps import LISTED, Tables, expected

HOURS = 3
REPORTS = 10
KINDS = ("429", "500", "503", "reset", "cut", "hang", "trickle", "broken", "error200", "redirect", "duplicate")
# What still counts as flat, over hundreds of syncs: the threads of requests that hang on after one of them, with their
# sockets, and the fingerprints of the rows that came meanwhile.
SLACK = {"rss_kib": 4096, "descriptors": 8, "threads": 8, "state_bytes": 2000}


def main() -> None:
    parser = argparse.ArgumentParser(description="Many syncs in a row against a faulty sandbox.")
    parser.add_argument("--syncs", type=int, default=500)
    parser.add_argument("--rate", type=float, default=0.05, help="the part of all answers that fail")
    parser.add_argument("--worker", nargs=2, metavar=("CONFIG", "OUT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(*asked.worker, syncs=asked.syncs)
        return
    twilio = Twilio.demo(seed=11, hang_seconds=2, trickle_seconds=0.2)
    twilio.faults = {kind: asked.rate / len(KINDS) for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder, serve(twilio) as server:
        sys.exit(soak(server, Path(folder), asked.syncs))


def soak(server: Server, folder: Path, syncs: int) -> int:
    config, out = folder / "config.json", folder / "out"
    config.touch(0o600)
    config.write_text(
        json.dumps(
            {
                "account_sid": server.twilio.main,
                "auth_token": server.twilio.auth_token,
                "base_url": server.url,
                "page_size": 200,
                "request_timeout": 1,
            }
        )
    )
    command = [sys.executable, "-m", "benchmarks.soak", "--syncs", str(syncs), "--worker", str(config), str(out)]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        points = [json.loads(line) for line in process.stdout if _show(json.loads(line), syncs)]
    missing = wrong(server.twilio, out)
    figures_ = {name: _second_and_last_quarter([point[name] for point in points]) for name in SLACK}
    faults = sum(bool(request.fault) for request in server.requests)
    print(f"{len(points)} syncs in {time.monotonic() - began:.0f} s; {faults} of {len(server.requests)} answers failed")
    for name, (second, last) in figures_.items():
        print(f"{name}: {second} in the second quarter, {last} in the last")
    print(f"exit codes: {sorted({point['exit_code'] for point in points})}; rows wrong at the end: {missing}")
    well = process.returncode == 0 and len(points) == syncs and not missing
    return 0 if well and all(last - second <= SLACK[name] for name, (second, last) in figures_.items()) else 1


def _show(point: dict[str, Any], syncs: int) -> bool:
    if point["sync"] == 1 or point["sync"] % max(1, syncs // REPORTS) == 0:
        print(json.dumps(point), flush=True)
    return True


def _second_and_last_quarter(values: list[int]) -> tuple[int, int]:
    """Their medians: in the first quarter, caches fill."""
    quarter = max(1, len(values) // 4)
    parts = values[quarter : 2 * quarter] or values, values[-quarter:]
    second, last = (sorted(part)[len(part) // 2] for part in parts)
    return second, last


def wrong(twilio: Twilio, out: Path) -> int:
    """Return how many of Twilio's rows are missing or different in the output."""
    tables = Tables()
    with out.open("rb") as lines:
        schemas: dict[str, bytes] = {}
        for line in lines:
            if line.startswith(b'{"type":"SCHEMA"'):
                stream = json.loads(line)["stream"]
                if stream in schemas:
                    continue  # each sync says them again; all of them are one load here
                schemas[stream] = line
            tables.rows or tables.load(schemas.values())
            if line.startswith(b'{"type":"RECORD"'):
                message = json.loads(line)
                tables.rows.setdefault(message["stream"], {})[message["record"]["sid"]] = message["record"]
    count = 0
    for stream in LISTED:
        for row in twilio.present(stream):
            held = tables.rows[stream].get(row["sid"], {})
            should = expected(stream, row)
            # Prices came through floats here, which is this check's doing; exactness has tests of its own.
            count += any(held.get(name) != value for name, value in should.items() if name != "price")
    return count


def work(config: str, out: str, syncs: int) -> None:
    """In the child: sync after sync, as cli.py makes one, and a line of figures for each."""
    from tap_twilio.run.sync import Sync
    from tap_twilio.settings import load
    from tap_twilio.singer.catalog import discover, selected_streams
    from tap_twilio.singer.output import Output
    from tap_twilio.state.store import State

    logging.disable()
    settings, _ = load([config], {})
    catalog = discover()
    catalog["streams"] = [one for one in catalog["streams"] if one["tap_stream_id"] in LISTED]
    state: Any = None
    for number in range(1, syncs + 1):
        target = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        sync = Sync(settings, selected_streams(catalog), State(state), Output(target))
        began = time.monotonic()
        code = sync.run()
        os.close(target)
        state = json.loads(json.dumps(sync.state.dump(sync._dated)))
        point = {"sync": number, "exit_code": code, "seconds": round(time.monotonic() - began, 2), **figures(state)}
        print(json.dumps(point), flush=True)
        del sync
        if number < syncs:
            urlopen(Request(f"{settings.base_url}/sandbox/advance?hours={HOURS}", method="POST")).close()


def figures(state: Any) -> dict[str, int]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss_kib": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "state_bytes": len(json.dumps(state)),
    }


if __name__ == "__main__":
    main()
