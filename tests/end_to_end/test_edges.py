"""The edges of a sync: proxies before Twilio, clocks, hosts that are not there, files and answers without measure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sandbox.server
from sandbox import Twilio
from sandbox.messages import Answer
from tap_twilio.changes.fingerprint_codec import pack
from tap_twilio.state.store import FORMAT
from testing.sampled import long
from testing.taps import ROOT, Run, Tap, kept, whole_lines

MakeTap = Callable[..., Tap]
Rewrite = Callable[[Callable[[bytes], bytes], str], None]
MEBIBYTES = 1 << 10  # in the kilobytes of getrusage


@pytest.fixture
def rewrite(monkeypatch: pytest.MonkeyPatch) -> Rewrite:
    """Lets a function change the bytes of every answer whose path holds a word."""
    original = sandbox.server.answer

    def install(change: Callable[[bytes], bytes], word: str) -> None:
        def answer(twilio: Any, question: Any, fault: str = "") -> Answer:
            reply = original(twilio, question, fault)
            reply.body = change(reply.body) if word in question.path else reply.body
            return reply

        monkeypatch.setattr(sandbox.server, "answer", answer)

    return install


# In front of Twilio ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["twilio.com", "dublin.ie1.twilio.com", *long("ie1.twilio.com", "twilio.com:443")])
def test_a_list_of_several_pages_is_read_through_a_plain_forwarding_proxy(
    tap_of: MakeTap, rewrite: Rewrite, host: str
) -> None:
    """Twilio names its own host in next_page_url; every page is asked of the proxy."""
    rewrite(lambda body: re.sub(rb"https://(\w+)\.twilio\.com", rb"https://\1." + host.encode(), body), "Flows")
    twilio = Twilio(seed=0)
    flows = twilio.add("studio_flows", n=7)
    tap = tap_of(twilio, page_size=3).select("studio_flows")
    tap.settings["base_url"] += "/{product}"
    run = tap.sync()

    assert sorted(run.sids("studio_flows")) == sorted(flows)
    assert "another host" not in run.log


@pytest.mark.parametrize("host", ["monitor.twilio.com", "studio.twilio.com.evil.example", "studio.a.b.c.twilio.com"])
def test_a_next_page_elsewhere_is_an_error(tap_of: MakeTap, rewrite: Rewrite, host: str) -> None:
    """Also at another product of Twilio's: nobody knows what it would list."""
    rewrite(lambda body: re.sub(rb"https://studio\.twilio\.com", b"https://" + host.encode(), body), "Flows")
    twilio = Twilio(seed=0)
    twilio.add("studio_flows", n=7)
    tap = tap_of(twilio, page_size=3).select("studio_flows")
    tap.settings["base_url"] += "/{product}"
    run = tap.sync(exits=3, retry_minutes=0.01)

    assert "next page is on another host" in run.log


# Clocks and hosts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("years", [9999.3, *long(9002, 1975)])
def test_a_date_that_is_no_time_makes_no_state_that_is_refused(tap_of: MakeTap, years: float) -> None:
    """Every answer bears it, as from a proxy whose clock broke; the next sync goes on from the state."""
    twilio = Twilio(seed=0)
    rows = twilio.addresses(3)
    tap = tap_of(twilio).select("addresses")
    twilio.misdated_hours = (years - 2026) * 8766.0
    twilio.fail_next("misdated", 10_000)
    first = tap.sync()
    twilio.misdated_hours = 0
    second = tap.sync()

    assert sorted(first.sids()) == sorted(rows)
    assert "2020" < kept(tap.state, "addresses")[twilio.main]["date_updated"] < "2200", second.log


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({"base_url": "https://studio.nowhere.invalid"}, "cannot connect to studio.nowhere.invalid (name not found)"),
        ({"base_url": "https://127.0.0.1:9"}, "cannot connect to 127.0.0.1:9 (connection refused)"),
        ({"edge": "nowhere", "base_url": None}, "cannot connect to api.nowhere.us1.twilio.com (name not found)"),
    ],
    ids=range(3),
)
def test_the_first_line_names_a_host_that_is_not_there(tap_of: MakeTap, where: dict[str, Any], says: str) -> None:
    """And why it cannot be reached: nobody waits a quarter of an hour for a word that was misspelt."""
    run = tap_of(Twilio(seed=0)).run(**where, retry_minutes=0.02)

    assert run.exit_code == 1
    assert says in run.said[0]


def test_the_first_line_names_a_proxy_and_a_port_that_does_not_speak_tls(tap_of: MakeTap) -> None:
    """The proxy without its password; a port of plain HTTP is no question of certificates."""
    tap = tap_of(Twilio(seed=0))
    plain = tap.settings["base_url"].removeprefix("http://")
    proxied = tap.run(
        env={"HTTPS_PROXY": "http://me:a-password@127.0.0.1:9"}, base_url="https://x.test", retry_minutes=0
    )
    wrong = tap.run(base_url=f"https://{plain}", retry_minutes=0)

    assert "cannot connect to x.test (the proxy 127.0.0.1:9 refused, or did not answer)" in proxied.said[0]
    assert "a-password" not in proxied.log
    assert f"cannot connect to {plain} (TLS handshake failed)" in wrong.said[0]


# Without measure ------------------------------------------------------------------------------------------------------

MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def measured(tap: Tap, *arguments: str, **settings: Any) -> tuple[Run, int]:
    """A run of the tap, and the most memory that it held, in MiB."""
    command = [sys.executable, "-c", MEASURED, *tap.command(*arguments, **settings)]
    done = subprocess.run(command, env=tap.environment(), capture_output=True, check=False)
    log, _, kilobytes = done.stderr.decode().rstrip().rpartition("\n")
    return Run(done.returncode, whole_lines(done.stdout), log), int(kilobytes) // MEBIBYTES


ROW = '{"sid":"SM%s","status":"sent","date_updated":"Thu, 01 Jan 2026 00:00:00 +0000"},' % ("0" * 32)
BODIES = {
    "{},": ("{}," * 20_000_000, False),
    "text": (f'"{"x" * 1000}",' * 60_000, False),
    "rows": (ROW * 240_000, False),
    "few rows": (ROW.replace("sent", "x" * 20_000) * 1_000, True),
    "nul": ('{"sid":"\\u0000"},' * 450_000, False),
    "accents": (ROW.replace("sent", "\N{GRINNING FACE}" * 5_000) * 1_000, True),
}


@pytest.mark.parametrize("kind", ["{},", "few rows", *long("text", "rows", "nul", "accents")])
def test_an_answer_beyond_measure_does_not_fill_the_memory(tap_of: MakeTap, rewrite: Rewrite, kind: str) -> None:
    """Sixty megabytes of nothing come as 57 KB: refused, or read with less than 300 MiB. A large page is read."""
    rows, is_page = BODIES[kind]
    body = f'{{"messages":[{rows[:-1]}],"next_page_uri":null}}'.encode()
    rewrite(lambda _: body, "Messages.json")
    run, mebibytes = measured(tap_of(Twilio(seed=0)).select("messages"), retry_minutes=0.01)

    assert mebibytes < 300
    assert run.exit_code == (0 if is_page else 3), run.log
    assert is_page or "Messages.json: the answer is" in run.log or "has no rows" in run.log


def fingerprints(megabytes: int) -> str:
    """Of so many rows as take that much of a state."""
    hashes = [frozenset(range(at, at + 1000)) for at in range(0, megabytes * 125_000, 1000)]
    return pack(dict(enumerate(hashes))) or ""


@pytest.mark.parametrize("kind", ["objects", "a hundred megabytes", *long("fingerprints", "numbers", "text")])
def test_a_state_beyond_measure_does_not_fill_the_memory(tap_of: MakeTap, kind: str) -> None:
    """It is refused in one line, or read with less than 300 MiB."""
    tap = tap_of(Twilio(seed=0)).select("messages")
    part = {"partitions": [[[tap.twilio.main], {"fingerprints": fingerprints(20)}]]} if kind == "fingerprints" else {}
    tap.state = {
        "objects": lambda: json.dumps({"bookmarks": {"other": [{}] * 6_000_000}}, separators=(",", ":")),
        "numbers": lambda: json.dumps({"bookmarks": {"other": [1.5] * 900_000}}),
        "text": lambda: json.dumps({"bookmarks": {"other": ["\N{GRINNING FACE}"] * 900_000}}, ensure_ascii=False),
        "a hundred megabytes": lambda: json.dumps({"bookmarks": {"other": ["x" * 1000] * 100_000}}),
        "fingerprints": lambda: json.dumps({"format": FORMAT, "bookmarks": {"messages": part}}),
    }[kind]()
    run, mebibytes = measured(tap)

    assert mebibytes < 300
    refused = run.exit_code == 1 and "is larger than any that the tap writes" in run.log and run.log.count("\n") == 0
    assert refused if kind in ("objects", "a hundred megabytes") else run.exit_code == 0, run.log[-500:]


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["singer_state", "a message in it", "a message"])
def test_a_state_as_meltano_keeps_it_is_taken(tap_of: MakeTap, form: str) -> None:
    """It was silently empty: everything was read again."""
    twilio = Twilio(seed=0)
    twilio.addresses(3)
    tap = tap_of(twilio).select("addresses")
    tap.sync()
    message = {"type": "STATE", "value": tap.state}
    tap.state = {"singer_state": tap.state, "a message in it": message, "a message": message}[form]
    if form != "a message":
        tap.state = {"singer_state": tap.state}

    assert tap.run().sids() == []
    tap.state = {"singer_state": {}}
    assert len(tap.run().sids()) == 3


def test_states_that_were_split_are_nobody_elses_to_read(tap_of: MakeTap, tmp_path: Path) -> None:
    """They tell of accounts; run-sync's own is as private."""
    tap = tap_of(Twilio(seed=0)).select("addresses")
    tap.sync()
    (tmp_path / "state.json").write_text(json.dumps(tap.state))
    command = [sys.executable, "-m", "tap_twilio", "state", "split", "state.json", "--into", "pieces"]
    subprocess.run(
        command, cwd=tmp_path, check=True, capture_output=True, env=tap.environment({"PYTHONPATH": str(ROOT)})
    )
    pieces = list((tmp_path / "pieces").iterdir())

    assert [path.stat().st_mode & 0o077 for path in [tmp_path / "pieces", *pieces]] == [0, 0]


# STATE lines ----------------------------------------------------------------------------------------------------------


def test_a_sync_in_which_no_row_changes_writes_one_state(tap_of: MakeTap) -> None:
    """A target that prints the first of several STATEs alone gets the last; with rows, they come as they did."""
    twilio = Twilio(seed=0)
    twilio.addresses(30)
    tap = tap_of(twilio, page_size=3, state_seconds=0.001).select("addresses")
    assert len(tap.sync().states) > 3
    assert len(tap.sync().states) == 1
    assert len(tap.run(state_seconds=0).states) > 3  # one after every page
