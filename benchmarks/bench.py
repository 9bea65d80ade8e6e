"""
`python -m benchmarks.bench [PART …]`: what a sync costs, as whole processes, side by side with the floor.

Each process is a child that is waited for with its own resource usage; the simulated Twilio runs in this process, so
its work counts for neither. What was measured goes into .bench/results.json, from which the table and the plots are
made: parts can be run one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import emitted
from sandbox import Server, Twilio, serve

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / ".bench"
LISTED = ("addresses", "calls", "conferences", "transcriptions", "messages")
MIX = {"messages": 0.4, "calls": 0.4, "conferences": 0.1, "transcriptions": 0.05, "addresses": 0.05}
NOW, YEAR = "2026-04-01T09:00:00Z", 365
UNSET = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")  # as a user runs it: buffered, with bytecode

Json = dict[str, Any]


@dataclass(frozen=True)
class Cost:
    """The cost of a process, as the kernel counts it (timed.py)."""

    cpu_s: float
    wall_s: float
    peak_mib: float


# One process ----------------------------------------------------------------------------------------------------------


def run(command: list[str], stdin: str = "", stdout: Path | None = None) -> Cost:
    """Run it to its end; its output goes to /dev/null, or to a file."""
    env = {name: value for name, value in os.environ.items() if name not in UNSET and not name.startswith("TWILIO_")}
    timed = [sys.executable, str(HERE / "timed.py"), str(stdout or os.devnull), *command]
    done = subprocess.run(timed, input=stdin, capture_output=True, text=True, cwd=HERE.parent, env=env, check=True)
    said = json.loads(done.stdout)
    if said["exit_code"]:
        raise SystemExit(f"{command[:4]} ended with {said['exit_code']}:\n{done.stderr[-2000:]}")
    return Cost(**said["cost"])


def in_turn(times: int, *runs: Callable[[], Cost]) -> list[Cost]:
    """The medians of several runs of each, A B A B …, so that a machine that slows down slows all of them."""
    for one in runs:
        one()  # not counted: it fills the caches
    found = [[one() for one in runs] for _ in range(times)]
    return [Cost(*(median(asdict(cost)[name] for cost in costs) for name in asdict(costs[0]))) for costs in zip(*found)]


class Bench:
    """A simulated Twilio that is served, and what reads it: the tap, or the floor."""

    def __init__(self, server: Server) -> None:
        self.server, self.twilio = server, server.twilio

    def tap(self, *streams: str, state: Json | None = None, out: Path | None = None, **settings: Any) -> Cost:
        config = {
            "account_sid": self.twilio.main,
            "auth_token": self.twilio.auth_token,
            "base_url": self.server.url,
            **settings,
        }
        catalog = json.loads((HERE.parent / "catalog.json").read_text())
        for entry in catalog["streams"]:
            about = next(item["metadata"] for item in entry["metadata"] if not item["breadcrumb"])
            about["selected"] = entry["tap_stream_id"] in (streams or LISTED)
        command = [sys.executable, "-m", "tap_twilio"]
        for name, value in {"config": config, "catalog": catalog, "state": state}.items():
            if value is not None:
                command += [f"--{name}", str(_private(f"{name}.json", json.dumps(value)))]
        return run(command, stdout=out)

    def tap_and_state(self, *streams: str, state: Json | None = None, **settings: Any) -> tuple[Cost, Json, int]:
        """With the last STATE, and how many records were emitted."""
        out, last, records = _private("out", ""), b"", 0
        cost = self.tap(*streams, state=state, out=out, **settings)
        for line in out.open("rb"):
            last = line if line.startswith(b'{"type":"STATE"') else last
            records += line.startswith(b'{"type":"RECORD"')
        return cost, json.loads(last)["value"], records

    def floor(self, uris: list[str] | None = None) -> Cost:
        command = [sys.executable, str(HERE / "floor.py"), self.server.url, self.twilio.main, self.twilio.auth_token]
        return run(command, "\n".join(uris or self.tops()))

    def tops(self) -> list[str]:
        """The first pages that a first sync asks for, the accounts' included."""
        folder = f"/2010-04-01/Accounts/{self.twilio.main}"
        lists = ["Addresses.json?", "Calls.json?", "Transcriptions.json?", "Messages.json?"]
        lists += [f"Conferences.json?Status={status}&" for status in ("init", "in-progress", "completed")]
        return ["/2010-04-01/Accounts.json?PageSize=1000", *(f"{folder}/{path}PageSize=1000" for path in lists)]


def _private(name: str, text: str) -> Path:
    WORK.mkdir(exist_ok=True)
    path = WORK / name
    path.touch(0o600)
    path.write_text(text)
    return path


@contextmanager
def bench(skew: bool = False, latency: tuple[float, float] = (0, 0), accounts: int = 1, **rows: int) -> Iterator[Bench]:
    """A year of so many rows, all in the main account; it ends two days ago, so that nothing is fresh."""
    twilio = Twilio(0, start="2025-03-01T00:00:00Z", accounts=accounts, latency=latency).at(NOW)
    for stream, n in rows.items():
        twilio.bulk(stream, n, twilio.now - timedelta(days=YEAR), twilio.now - timedelta(days=2), skew=skew)
    with serve(twilio) as server:
        yield Bench(server)


def mixed(n: int) -> dict[str, int]:
    return {stream: round(n * part) for stream, part in MIX.items()}


# What is measured -----------------------------------------------------------------------------------------------------


def start() -> Json:
    """Measure the cost before anything is read."""
    command = [sys.executable, "-m", "tap_twilio"]
    version, discover = in_turn(9, lambda: run([*command, "--version"]), lambda: run([*command, "--discover"]))
    return {"version": asdict(version), "discover": asdict(discover)}


def rows(*sizes: int, times: int = 5) -> Json:
    """First syncs of the five listed streams, of several sizes; no latency."""
    found = {}
    for n in sizes or (40_000, 400_000, 1_000_000):
        with bench(**mixed(n)) as it:
            tap, floor = in_turn(times if n < 100_000 else 3 if n < 1_000_000 else 1, it.tap, it.floor)
            found[str(n)] = {"tap": asdict(tap), "floor": asdict(floor)}
            print(n, found[str(n)], flush=True)
    return found


def long_list(skew: bool = False, n: int = 200_000, workers: tuple[int, ...] = (1, 2, 4, 8)) -> Json:
    """One long list of one account; a page of n rows takes 500 ms + n x 1 ms."""
    found = {}
    with bench(skew, (0.5, 0.001), messages=n) as it:
        for concurrency in workers:
            it.server.reset()
            cost = it.tap("messages", concurrency=concurrency)
            asked = [request for request in it.server.requests if request.kind == "messages"]
            # Each slice begins with a page that no token names.
            slices = sum("DateSent" in one.query and "PageToken" not in one.query for one in asked)
            found[str(concurrency)] = {
                "tap": asdict(cost), "requests": len(asked), "slices": slices, "pages": -(-n // 1000)
            }  # fmt: skip
            print(skew, concurrency, found[str(concurrency)], flush=True)
    return found


def latent() -> Json:
    """20,000 records over five streams, each page taking 150 ms."""
    with bench(latency=(0.15, 0), **mixed(20_000)) as it:
        tap, floor = in_turn(3, it.tap, it.floor)
    return {"tap": asdict(tap), "floor": asdict(floor)}


def unchanged() -> Json:
    """A sync in which nothing changed: 20,000 messages, 20,000 calls of which 100 in the last 30 days."""
    six, feedback = (*LISTED, "call_feedback"), {"call_feedback_source": "feedback", "feedback_backfill": False}
    with bench(messages=20_000) as it:
        now = it.twilio.now
        it.twilio.bulk("calls", 19_900, now - timedelta(days=YEAR), now - timedelta(days=31))
        it.twilio.bulk("calls", 100, now - timedelta(days=29), now - timedelta(days=2))
        state = None
        for _ in range(2):  # the first reads all, the second asks for the feedback of calls that were never asked
            _, state, _ = it.tap_and_state(*six, state=state, **feedback)
            it.twilio.advance(hours=1, busy=0)
        it.server.reset()
        _, _, records = it.tap_and_state(*six, state=state, **feedback)
        asked = [f"{request.path}?{request.query}".rstrip("?") for request in it.server.requests]
        uris = it.tops() + [uri for uri in asked if uri.endswith("/Feedback.json")]
        it.server.reset()
        it.floor(uris)
        floor_asked = len(it.server.requests)
        tap, floor = in_turn(5, lambda: it.tap(*six, state=state, **feedback), lambda: it.floor(uris))
        return {
            "tap": asdict(tap),
            "floor": asdict(floor),
            "requests": len(asked),
            "floor_requests": floor_asked,
            "feedback": len(uris) - len(it.tops()),
            "records": records,
        }


def accounts() -> Json:
    """Many subaccounts, the rows all in one of them."""
    found = {}
    for n in (10, 100, 1_000):
        with bench(accounts=n, **mixed(5_000)) as it:
            first, state, _ = it.tap_and_state()
            requests = len(it.server.requests)
            it.server.reset()
            again, state, _ = it.tap_and_state(state=state)
            found[str(n)] = {
                "first": asdict(first), "first_requests": requests, "again": asdict(again),
                "again_requests": len(it.server.requests), "state_bytes": len(json.dumps(state, separators=(",", ":"))),
            }  # fmt: skip
            print(n, found[str(n)], flush=True)
    return found


def idle() -> Json:
    """Many subaccounts with nothing in them, and every stream selected: a first sync, and one after it."""
    found: Json = {}
    streams = [entry["tap_stream_id"] for entry in json.loads((HERE.parent / "catalog.json").read_text())["streams"]]
    for n in (100, 1_000):
        with bench(accounts=n) as it:
            found[str(n)], state = {"streams": len(streams)}, None
            for which in ("first", "again"):
                it.server.reset()
                cost, state, _ = it.tap_and_state(*streams, state=state, base_url=f"{it.server.url}/{{product}}")
                requests, state_bytes = len(it.server.requests), len(json.dumps(state, separators=(",", ":")))
                found[str(n)][which] = {"tap": asdict(cost), "requests": requests, "state_bytes": state_bytes}
            print(n, found[str(n)], flush=True)
    return found


PARTS: dict[str, Callable[[], Json]] = {
    "start": start,
    "rows": rows,
    "latent": latent,
    "unchanged": unchanged,
    "accounts": accounts,
    "idle": idle,
    "even": long_list,
    "skewed": lambda: long_list(skew=True),
    "emitted": emitted.emitted,
}


# What is said of it ---------------------------------------------------------------------------------------------------


def table(found: Json) -> Iterator[tuple[str, str, str]]:
    """Return a table of measurements, goals and results."""
    if "rows" in found:
        sizes = sorted(map(int, found["rows"]))
        cost = {n: found["rows"][str(n)] for n in sizes}
        for n in sizes:
            tap, floor = cost[n]["tap"], cost[n]["floor"]
            yield (
                f"CPU of a first sync of {n:,} records",
                "≤ 1.7 x floor" if n == 40_000 else "",
                f"{tap['cpu_s'] / floor['cpu_s']:.2f} x ({tap['cpu_s']:.2f} s, floor {floor['cpu_s']:.2f} s)",
            )
        slopes = {n: {who: _slope(cost, who, m, n) for who in ("tap", "floor")} for m, n in zip(sizes, sizes[1:])}
        for n, slope in slopes.items():
            yield (
                f"CPU a record up to {n:,}, without start-up",
                "≤ 2.0 x floor's",
                f"{slope['tap'] / slope['floor']:.2f} x ({slope['tap']:.1f} µs, floor {slope['floor']:.1f} µs)",
            )
        if len(slopes) > 1:
            before, after = list(slopes.values())[-2:]
            yield f"its growth to {sizes[-1]:,}", "≤ 1.1 x", f"{after['tap'] / before['tap']:.2f} x"
        peaks = ", ".join(f"{cost[n]['tap']['peak_mib']:.0f} MiB at {n:,}" for n in sizes)
        yield "peak memory", "≤ 110 MiB, the same within 20 %", peaks
    for part, reach in (("even", "≥ 6 x"), ("skewed", "≥ 4 x")):
        if part in found:
            one, most = found[part]["1"]["tap"]["wall_s"], found[part]["8"]
            yield (
                f"wall of a long list, rows {part}, 8 workers against 1",
                reach,
                f"{one / most['tap']['wall_s']:.1f} x ({one:.0f} s, {most['tap']['wall_s']:.1f} s)",
            )
            yield (
                f"its pages in excess, rows {part}",
                "≤ one a slice",
                f"{most['requests'] - most['pages']} of {most['requests']}, {most['slices']} slices",
            )
    if "latent" in found:
        tap, floor = found["latent"]["tap"]["wall_s"], found["latent"]["floor"]["wall_s"]
        yield (
            "wall, 150 ms a page, 20,000 records",
            "≤ 0.6 x floor",
            f"{tap / floor:.2f} x ({tap:.1f} s, floor {floor:.1f} s)",
        )
    if "unchanged" in found:
        it = found["unchanged"]
        tap, floor = it["tap"]["cpu_s"], it["floor"]["cpu_s"]
        yield "CPU where nothing changed", "≤ 1.5 x floor", f"{tap / floor:.2f} x ({tap:.2f} s, floor {floor:.2f} s)"
        yield (
            "its requests",
            "pages + 100 + Accounts",
            f"{it['requests']} (floor {it['floor_requests']}), {it['feedback']} of them for feedback; "
            f"{it['records']} records",
        )
    for name, reach in (("version", "≤ 0.15 s"), ("discover", "≤ 0.35 s")):
        if "start" in found:
            yield f"CPU of --{name}", reach, f"{found['start'][name]['cpu_s']:.2f} s"
    for n, it in found.get("accounts", {}).items():
        yield (
            f"{int(n):,} subaccounts",
            "linear",
            f"{it['first_requests'] / int(n):.2f} requests an account, {it['again_requests'] / int(n):.2f} when "
            f"nothing changed; state {it['state_bytes'] / int(n):.0f} bytes an account; "
            f"{it['again']['cpu_s']:.1f} s CPU, {it['again']['peak_mib']:.0f} MiB",
        )
    for n, it in found.get("idle", {}).items():
        yield (
            f"{int(n):,} subaccounts with nothing in them, {it['streams']} streams",
            "linear, state ≤ 2 MB",
            "; ".join(
                f"{it[which]['requests']:,} requests, {it[which]['tap']['cpu_s']:.0f} s CPU, "
                f"{it[which]['tap']['peak_mib']:.0f} MiB, state {it[which]['state_bytes'] / 1000:.0f} kB"
                for which in ("first", "again")
            ),
        )


def _slope(cost: Json, who: str, low: int, high: int) -> float:
    return float((cost[high][who]["cpu_s"] - cost[low][who]["cpu_s"]) / (high - low) * 1e6)


def plot(found: Json) -> None:
    """workers.svg, rows.svg and emitted.svg, from what was measured so far."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tap-twilio"  # the same figures make the same file
    from matplotlib import pyplot

    def save(name: str, x: str, y: str) -> None:
        pyplot.xlabel(x)
        pyplot.ylabel(y)
        pyplot.ylim(bottom=0)
        pyplot.legend()
        pyplot.savefig(HERE / name, metadata={"Date": None}, bbox_inches="tight")
        pyplot.close()

    long = {part: found[part] for part in ("even", "skewed") if part in found}
    if long:
        pyplot.figure(figsize=(6, 4))
        for part, by_workers in long.items():
            workers = sorted(map(int, by_workers))
            pyplot.plot(
                workers, [by_workers[str(n)]["tap"]["wall_s"] for n in workers], marker="o", label=f"rows {part}"
            )
        one = by_workers["1"]["tap"]["wall_s"]
        pyplot.plot(workers, [one / n for n in workers], linestyle=":", color="grey", label="ideal")
        pyplot.xticks(workers)
        save("workers.svg", "workers (concurrency)", "seconds for a list of 200,000 rows")
    if len(found.get("rows", {})) > 1:
        pyplot.figure(figsize=(6, 4))
        sizes = sorted(map(int, found["rows"]))
        for who in ("tap", "floor"):
            pyplot.plot(sizes, [found["rows"][str(n)][who]["cpu_s"] / n * 1e6 for n in sizes], marker="o", label=who)
        pyplot.xscale("log")
        save("rows.svg", "records in a first sync", "CPU a record in µs, start-up included")
    if "emitted" in found:
        pyplot.figure(figsize=(6, 4))
        emitted.plot(found["emitted"], pyplot)
        save("emitted.svg", "messages a day", "rows emitted for each that changed")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"of {', '.join(PARTS)}; all")
    chosen = parser.parse_args().parts or list(PARTS)
    for part in chosen:
        found = PARTS[part]()
        results = WORK / "results.json"
        WORK.mkdir(exist_ok=True)
        known = json.loads(results.read_text()) if results.exists() else {}
        results.write_text(json.dumps({**known, part: found}, indent=1) + "\n")
    known = json.loads((WORK / "results.json").read_text())
    plot(known)
    print("| what | reach | measured |\n|---|---|---|")
    for line in table(known):
        print("| " + " | ".join(line) + " |")
    if "emitted" in known:
        emitted.show(known["emitted"])


if __name__ == "__main__":
    main()
