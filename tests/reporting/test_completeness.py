"""Whether the warehouse holds all that Twilio lists is said by the tap: in the table, in the summary, in the state."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox import Twilio
from testing.taps import COMMAND, HOUR, ROOT, Json, Tap, kept

MakeTap = Callable[..., Tap]
Said = dict[tuple[str, str], tuple[bool, list[str], int | None]]
PAST = {"created": "2025-12-01"}


def verdicts(tap: Tap, folder: Path, code: int = 0, **settings: Any) -> Said:
    """Sync, and return by stream and account what the summary says; the state says the same."""
    file = folder / "summary.json"
    run = tap.run("--summary-json", str(file), **settings)
    assert run.exit_code == code, run.log
    tap.state = run.states[-1]
    streams = json.loads(file.read_text())["streams"]
    found: Said = {}
    for stream in streams:
        for part in stream["accounts"]:
            said = (part["complete"], part["incomplete_because"], part["syncs_left"])
            found[stream["stream"], part["account_sid"]] = said
    for line in shown(tap.state, folder):
        complete, because, left = found[line["stream"], line["account"]]
        if complete is not None:  # else it was read for the sake of others
            assert (line["complete"], line["syncs_left"]) == (complete, left)
            assert [one["says"] for one in line["open"]] == because
    return found


def shown(state: Json, folder: Path) -> list[Json]:
    """Return what `state show --format json` prints."""
    (folder / "state.json").write_text(json.dumps(state))
    command = [*COMMAND, "state", "show", str(folder / "state.json"), "--format", "json"]
    lines: list[Json] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return lines


def test_what_one_sync_reads_whole_is_complete(tap_of: MakeTap, tmp_path: Path) -> None:
    """Also where the account does not have the product, and where a list is empty."""
    twilio = Twilio(absent_products={"studio": 404}).at("2026-01-01")
    twilio.messages(20, **PAST)
    tap = tap_of(twilio).select("messages", "addresses", "studio_flows")
    said = verdicts(tap, tmp_path)

    assert {stream: it for (stream, _), it in said.items() if it[0] is not None} == dict.fromkeys(
        ("messages", "addresses", "studio_flows"), (True, [], 0)
    )


def test_a_list_longer_than_a_sync_rereads_is_not_complete_and_says_for_how_many_syncs(
    tap_of: MakeTap, tmp_path: Path
) -> None:
    """Its reason is named, and the count of syncs falls; with pages enough it is complete."""
    twilio = Twilio().at("2026-01-01")
    for day in range(1, 31):
        twilio.at(f"2025-11-{day:02}").messages(20)
    twilio.at("2026-01-01")
    tap = tap_of(twilio, page_size=5, lookback_days=1).select("messages")
    key = ("messages", twilio.main)
    lefts = []
    for _ in range(9):
        complete, because, left = verdicts(tap, tmp_path, rescan_pages=30)[key]
        lefts.append(left)
        twilio.at(twilio.now + 3 * HOUR)
    assert not complete and "longer than one sync rescans" in because[0]
    assert {1, 2, 3} & set(lefts)
    run = tap.run(rescan_pages=30)
    assert any(line.startswith(f"messages: not complete in {twilio.main}: the list is longer") for line in run.said)
    for _ in range(2):
        said = verdicts(tap, tmp_path, rescan_pages=1000)
    assert said[key] == (True, [], 0)


def test_a_closed_account_is_not_complete_and_the_sync_ends_well(tap_of: MakeTap, tmp_path: Path) -> None:
    """Its bookmark keeps its value; the reason says that nobody can read it."""
    twilio = Twilio(accounts=2).at("2026-01-01")
    main, other = (row["sid"] for row in twilio.truth("accounts"))
    twilio.messages(3, other)
    tap = tap_of(twilio).select("messages")
    assert verdicts(tap, tmp_path)["messages", other] == (True, [], 0)
    twilio.close(other)
    said = verdicts(tap, tmp_path)

    assert said["messages", other] == (False, ["closed, not read"], None)
    assert said["messages", main] == (True, [], 0)

    file = tmp_path / "summary.json"
    twilio.messages(1, main)
    run = tap.run("--summary-json", str(file))
    (stream,) = (one for one in json.loads(file.read_text())["streams"] if one["stream"] == "messages")
    assert (stream["complete"], stream["incomplete_because"], stream["syncs_left"]) == (True, [], 0)
    assert any(line.startswith("messages ") and line.endswith("  yes, 1 closed") for line in run.said)


def test_state_show_has_the_status_of_accounts_that_nobody_can_read(tap_of: MakeTap, tmp_path: Path) -> None:
    """An alarm on ages leaves them out by one member of the JSON, also if a backfill was not complete."""
    twilio = Twilio(accounts=3).at("2026-01-01")
    main, closed, suspended = (row["sid"] for row in twilio.truth("accounts"))
    for account in (main, closed, suspended):
        twilio.addresses(20, account)
    tap = tap_of(twilio, page_size=5, concurrency=1, state_seconds=0).select("addresses")
    run = tap.sync()
    tap.state = next(state for state in run.states if kept(state, "addresses").get(closed, {}).get("backfill"))
    twilio.close(closed)
    twilio.change(suspended, status="suspended")
    twilio.suspended_answer = (401, 20005)
    tap.sync()

    lines = {line["account"]: line for line in shown(tap.state, tmp_path)}
    assert lines[closed]["account_status"] == "closed" and lines[closed]["age_seconds"] is None
    assert [work["says"] for work in lines[closed]["open"]] == ["closed, not read"]
    assert lines[suspended]["account_status"] == "suspended"
    assert lines[main]["account_status"] is None and lines[main]["age_seconds"] is not None


def test_what_twilio_refuses_is_not_complete(tap_of: MakeTap, tmp_path: Path) -> None:
    """The exit code is 3, and the verdict names it."""
    twilio = Twilio().at("2026-01-01")
    twilio.refused_products = {"studio": [403, 70051]}
    tap = tap_of(twilio).select("studio_flows", "addresses")
    tap.settings["base_url"] += "/{product}"
    said = verdicts(tap, tmp_path, code=3)

    complete, because, left = said["studio_flows", twilio.main]
    assert (complete, because[0], left) == (False, "Twilio refused it", None)
    assert said["addresses", twilio.main] == (True, [], 0)


def test_children_that_were_put_off_are_not_complete_until_they_are_read(tap_of: MakeTap, tmp_path: Path) -> None:
    """`max_child_requests` bounds a sync; the last of the syncs that follow is complete."""
    twilio = Twilio().at("2026-01-01")
    twilio.messages(6, num_media="1", **PAST)
    tap = tap_of(twilio).select("message_media")
    key = ("message_media", twilio.main)
    found = []
    for _ in range(4):
        found.append(verdicts(tap, tmp_path, max_child_requests=3)[key][0])
        twilio.at(twilio.now + 3 * HOUR)

    assert found[0] is False and found[-1] is True
