"""`--metrics-file`: what Prometheus reads of a run, however it ended; and the example's alerts on it."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sandbox import Twilio
from testing.taps import ROOT, Tap

MakeTap = Callable[..., Tap]
LINE = re.compile(r'tap_twilio_(\w+)\{sync="twilio"(?:,stream="(\w+)")?\} (-?[\d.]+)')


@pytest.fixture
def tap(tap_of: MakeTap) -> Tap:
    twilio = Twilio(start="2025-12-01").at("2026-01-01")
    twilio.messages(40, since="2025-12-02", until="2025-12-30")
    twilio.calls(10, since="2025-12-02", until="2025-12-30")
    return tap_of(twilio).select("messages", "calls")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "twilio.prom"


def metrics(file: Path) -> dict[tuple[str, str], float]:
    """Return the value of each metric, by name and stream. Each line must be one, or the heading of one."""
    found: dict[tuple[str, str], float] = {}
    headings: list[str] = []
    text = file.read_text()
    assert text.endswith("\n")
    for line in text.splitlines():
        if heading := re.fullmatch(r"# (?:HELP|TYPE) tap_twilio_(\w+) .+", line):
            headings.append(heading[1])
            continue
        match = LINE.fullmatch(line)
        assert match, line
        assert headings[-2:] == [match[1]] * 2
        found[match[1], match[2] or ""] = float(match[3])
    assert len(headings) == 2 * len(set(headings))
    return found


def test_a_good_run_is_counted_by_stream(tap: Tap, file: Path) -> None:
    """Rows, requests, failures, ages, exit code and completeness, as the summary has them."""
    summary = file.with_suffix(".json")
    before = time.time()
    tap.sync("--metrics-file", str(file), "--summary-json", str(summary))
    found, streams = metrics(file), {one["stream"]: one for one in json.loads(summary.read_text())["streams"]}

    assert found["exit_code", ""] == found["failures", ""] == 0
    assert before - 1 <= found["end_timestamp_seconds", ""] <= time.time()
    assert (found["stream_rows_emitted", "messages"], found["stream_rows_read", "calls"]) == (40, 10)
    for name in ("messages", "calls"):
        assert found["stream_requests", name] == streams[name]["requests"] > 0
        assert found["stream_failures", name] == 0
        assert found["stream_complete", name] == streams[name]["complete"]
        assert found["stream_bookmark_age_seconds", name] == streams[name]["bookmark_age_seconds"] == 6 * 3600
    assert {one.name for one in file.parent.iterdir() if one.is_file()} == {file.name, summary.name}


def test_ages_grow_where_the_next_syncs_must_go_on(tap: Tap, file: Path) -> None:
    """`state show` says the same of the bookmark; rows are compared later where rescans take several syncs."""
    tap.settings.update(page_size=5, rescan_pages=1, lookback_days=1)
    tap.sync()
    for _ in range(2):
        tap.twilio.advance(24, busy=0)
        tap.sync("--metrics-file", str(file))
    found = metrics(file)
    assert found["stream_compared_age_seconds", "messages"] >= 2 * 86400
    assert found["stream_complete", "messages"] == 0


def test_a_stream_that_fails_is_counted(tap: Tap, file: Path) -> None:
    """What is not known is left out: a first read that failed has no age."""
    tap.twilio.fail_next("keyless", 1000, "/Calls")
    tap.sync("--metrics-file", str(file), exits=3, retry_minutes=0)
    found = metrics(file)

    assert (found["exit_code", ""], found["failures", ""]) == (3, 1)
    assert (found["stream_failures", "calls"], found["stream_failures", "messages"]) == (1, 0)
    assert ("stream_bookmark_age_seconds", "calls") not in found


def test_metrics_are_written_however_the_run_ends(tap: Tap, file: Path) -> None:
    """The last run's stay until then: Prometheus reads at any time."""
    tap.sync("--metrics-file", str(file))
    for arguments, settings in (((), {"auth_token": "f" * 32}), ((), {"page_size": 0})):
        tap.run("--metrics-file", str(file), *arguments, **settings)
        assert metrics(file)["exit_code", ""] == 1
    tap.state = None
    tap.twilio.latency = (0.02, 0.0)
    started = tap.start("--metrics-file", str(file), page_size=1).wait_for(lambda: len(tap.server.requests) > 5)
    assert metrics(file)["exit_code", ""] == 1
    started.process.send_signal(signal.SIGTERM)
    assert started.wait().exit_code == metrics(file)["exit_code", ""] == 143


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_requested(tap: Tap, tmp_path: Path) -> None:
    run = tap.run("--metrics-file", str(tmp_path / "nowhere" / "twilio.prom"))
    assert run.exit_code == 1 and not tap.requests
    assert "--metrics-file" in run.log and "No such file or directory" in run.log


def test_the_examples_alerts_use_metrics_that_there_are(tap: Tap, file: Path) -> None:
    """And the page on production names them."""
    tap.sync("--metrics-file", str(file))
    known = {f"tap_twilio_{name}" for name, _ in metrics(file)}
    rules = yaml.safe_load((ROOT / "examples/prometheus/tap-twilio.rules.yml").read_text())["groups"][0]["rules"]
    used = {name for rule in rules for name in re.findall(r"tap_twilio_\w+", rule["expr"])}
    assert len(rules) == 3 and used <= known
    assert used == set(re.findall(r"`(tap_twilio_\w+)`", (ROOT / "docs/production.md").read_text()))
