"""`--check`: what it says of each selected stream, and the code that it ends with."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from sandbox import Twilio
from testing.taps import Run, Tap

MakeTap = Callable[..., Tap]


@pytest.fixture
def tap(tap_of: MakeTap) -> Tap:
    twilio = Twilio(seed=3, start="2026-01-01").at("2026-01-05T00:00:00Z")
    twilio.messages(3)
    (flow,) = twilio.add("studio_flows")
    twilio.add("studio_executions", parent=flow, n=2)
    tap = tap_of(twilio)
    tap.settings["base_url"] += "/{product}"
    tap.catalog = None
    return tap


def told(run: Run) -> dict[str, tuple[str, str, str]]:
    """By stream: ok or failed, rows, and what is said. Nothing of it is a Singer message."""
    lines = b"".join(run.lines).decode().splitlines()[1:]
    cells = [line.split(None, 4) for line in lines]
    return {name: (state, rows, said[0] if said else "") for name, state, rows, _, *said in cells}


def test_a_page_of_each_selected_stream_is_tried(tap: Tap) -> None:
    """Of a child below a row of its parent, whether that is selected or not; where there is none, that is said."""
    selected = "messages,calls,message_media,queue_members,studio_executions,studio_execution_steps"
    run = tap.run("--check", "--select", selected)
    assert run.exit_code == 0, run.log
    assert told(run) == {
        "calls": ("ok", "0", ""),
        "messages": ("ok", "3", ""),
        "message_media": ("ok", "0", "no row on the first page of messages has children to read"),
        "queue_members": ("ok", "0", "no parent row on the first page of queues"),
        "studio_executions": ("ok", "2", ""),
        "studio_execution_steps": ("ok", "0", ""),
    }


def test_without_a_selection_the_six_are_tried(tap: Tap) -> None:
    """`--test` is another name for it; calls without feedback are no failure."""
    run = tap.run("--test")
    assert run.exit_code == 0, run.log
    assert list(told(run)) == ["addresses", "calls", "conferences", "transcriptions", "messages", "call_feedback"]


def test_a_stream_that_cannot_be_read_fails_with_the_reason_and_the_others_are_tried(tap: Tap) -> None:
    """A product that the account lacks is no failure: a sync leaves it out."""
    tap.twilio.fail_next("keyless", 1000, "/Messages")
    tap.twilio.absent_products = {"studio": 404}
    run = tap.run("--check", "--select", "calls,messages,studio_flows", retry_minutes=0)
    found = told(run)
    assert run.exit_code == 1
    assert [found[name][0] for name in ("calls", "messages", "studio_flows")] == ["ok", "failed", "ok"]
    assert "no rows in 'messages'" in found["messages"][2]
    assert found["studio_flows"][2] == "the account does not have the product (HTTP 404, code 20404)"


@pytest.mark.parametrize("was_read", [False, True])
def test_a_base_url_without_product_is_said_where_a_product_is_not_found(tap: Tap, was_read: bool) -> None:
    """
    In --check and in the log of a sync.

    It is a failure only if the product was read before; then the log gives no advice about rights.
    """
    says = "base_url has no {product}, so requests for studio.twilio.com went to the same address as the api's"
    tap.select("calls", "studio_flows")
    if was_read:
        tap.sync()
    tap.settings["base_url"] = tap.settings["base_url"].removesuffix("/{product}")
    check = tap.run("--check")
    assert (check.exit_code, told(check)["calls"]) == (int(was_read), ("ok", "0", ""))
    assert told(check)["studio_flows"][2].startswith(says)
    sync = tap.run()
    assert sync.exit_code == (3 if was_read else 0)
    assert says in sync.log and "right to read" not in sync.log


@pytest.mark.long
def test_a_network_that_is_dead_ends_the_check_in_seconds(tap: Tap) -> None:
    """Not after retry_minutes, a quarter of an hour by default; the host and the cause are in the first line."""
    hosts = {"https://api.nowhere.invalid": "name not found", "https://127.0.0.1:9": "connection refused"}
    started = {url: tap.start("--check", base_url=url) for url in hosts}
    for url, cause in hosts.items():
        run = started[url].wait()
        first, last = run.said[0], run.said[-1]
        assert run.exit_code == 1
        assert f"cannot connect to {url.removeprefix('https://')} ({cause}); retrying" in first
        assert re.search(r"gave up after \d+ s of retries \(--check\); nothing was read", last)


def test_wrong_credentials_are_one_line(tap: Tap) -> None:
    """As in a sync, and nothing is tried."""
    run = tap.run("--check", auth_token="f" * 32)
    assert (run.exit_code, run.lines) == (1, [])
    assert "Twilio refused the credentials" in run.log and run.log.count("\n") == 1
