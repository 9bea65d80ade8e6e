"""A stream whose replication method changes: what the other method left in the state is neither shown nor resumed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

from sandbox import Twilio
from testing.taps import COMMAND, DAY, HOUR, ROOT, Json, Tap, kept

MakeTap = Callable[..., Tap]
PAST = {"created": "2025-12-01"}


def tap_with(tap_of: MakeTap, stream: str, accounts: int = 1, **settings: Any) -> Tap:
    """Return a tap that reads one stream FULL_TABLE."""
    tap = tap_of(Twilio(accounts=accounts).at("2026-01-01"), **settings)
    tap.settings["base_url"] += "/{product}"
    return tap.select(stream, full_table=[stream])


def line_of(tap: Tap, account: str) -> Json:
    """Return what `state show --format json` prints of an account's partition."""
    path = tap.folder / "shown.json"
    path.write_text(json.dumps(tap.state))
    command = [*COMMAND, "state", "show", str(path), "--format", "json"]
    lines = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    (line,) = (line for line in lines if line["account"] == account)
    found: Json = line
    return found


def test_after_a_switch_to_incremental_the_ages_are_those_of_the_new_reads(tap_of: MakeTap) -> None:
    """The list is reread by every sync, so `compared` does not grow; the bookmark has an age again."""
    tap = tap_with(tap_of, "addresses")
    tap.twilio.addresses(3, **PAST)
    tap.sync()
    tap.select("addresses")
    summary = tap.folder / "summary.json"
    for _ in range(2):
        tap.twilio.at(tap.twilio.now + DAY)
        tap.sync("--summary-json", str(summary))
        (stream,) = (one for one in json.loads(summary.read_text())["streams"] if one["stream"] == "addresses")
        assert stream["bookmark_age_seconds"] == stream["compared_age_seconds"] == 6 * 3600
    line = line_of(tap, tap.twilio.main)
    assert line["full_table_began"] is None and line["age_seconds"] == line["compared_age_seconds"] is not None


def test_a_child_whose_parent_was_full_table_once_has_the_age_of_the_parents_last_rescan(tap_of: MakeTap) -> None:
    """The parent is no longer selected, so its old FULL_TABLE read stays in the state."""
    tap = tap_with(tap_of, "messages")
    tap.twilio.messages(3, num_media="1", **PAST)
    tap.sync()
    tap.select("message_media")
    tap.twilio.at(tap.twilio.now + 2 * DAY)
    summary = tap.folder / "summary.json"
    tap.sync("--summary-json", str(summary))
    (stream,) = (one for one in json.loads(summary.read_text())["streams"] if one["stream"] == "message_media")
    assert stream["compared_age_seconds"] == 6 * 3600


def test_a_failed_incremental_read_is_not_shown_as_full_table(tap_of: MakeTap) -> None:
    """`state show` has the refusal and the open backfill as its only reasons."""
    tap = tap_with(tap_of, "studio_flows")
    tap.twilio.add("studio_flows", n=2)
    tap.sync()
    tap.select("studio_flows").twilio.refused_products = {"studio": [403, 70051]}
    tap.sync(exits=3)
    line = line_of(tap, tap.twilio.main)
    assert [work["what"] for work in line["open"]] == ["not_read", "backfill"]
    assert line["full_table_began"] is None
    tap.twilio.refused_products = {}
    tap.sync()
    assert line_of(tap, tap.twilio.main)["complete"]


def test_rows_of_an_account_that_closes_after_a_switch_stay(tap_of: MakeTap) -> None:
    """FULL_TABLE, then a refused INCREMENTAL read, then FULL_TABLE again without the account."""
    tap = tap_with(tap_of, "addresses", accounts=2)
    main, other = (row["sid"] for row in tap.twilio.truth("accounts"))
    rows = {*tap.twilio.addresses(2, main, **PAST), *tap.twilio.addresses(2, other, **PAST)}
    tap.sync()
    tap.select("addresses").twilio.refused_products = {f"api/{other}": [403, 70051]}
    tap.sync(exits=3)
    tap.twilio.close(other)
    tap.select("addresses", full_table=["addresses"])
    tap.sync()
    assert tap.tables.rows["addresses"].keys() == rows


def test_a_stream_of_all_accounts_is_read_once_a_day_after_a_switch(tap_of: MakeTap) -> None:
    """A FULL_TABLE read in the state is no work that is left."""
    tap = tap_with(tap_of, "pricing_voice_countries")
    tap.twilio.add("pricing_voice_countries", n=2)
    tap.state = tap.run().states[-1]
    tap.select("pricing_voice_countries")
    counts = []
    for _ in range(3):
        run = tap.run()
        assert run.exit_code == 0, run.log
        tap.state = run.states[-1]
        counts.append(sum("/Voice/Countries" in request.path for request in tap.requests))
        tap.twilio.at(tap.twilio.now + HOUR)
    assert counts[0] > 0 and counts[1:] == [0, 0]


def test_incremental_streams_are_not_held_up_by_an_account_that_full_table_could_not_read(tap_of: MakeTap) -> None:
    """`state show` said so once for FULL_TABLE; the INCREMENTAL stream is complete."""
    tap = tap_with(tap_of, "studio_flows", accounts=2)
    main, other = (row["sid"] for row in tap.twilio.truth("accounts"))
    for account in (main, other):
        tap.twilio.add("studio_flows", account, n=2)
    tap.twilio.refused_products = {f"studio/{other}": [403, 70051]}
    tap.sync(exits=3)
    assert "deleted rows stay" in line_of(tap, main)["open"][0]["says"]
    tap.twilio.refused_products = {}
    tap.select("studio_flows").sync()
    for account in (main, other):
        assert line_of(tap, account)["open"] == []
        assert "full" not in kept(tap.state, "studio_flows")[account]


def test_a_version_that_was_interrupted_before_incremental_syncs_is_not_resumed(tap_of: MakeTap) -> None:
    """Its rows that an INCREMENTAL sync wrote again have no version: to activate it would drop them."""
    tap = tap_with(tap_of, "addresses", page_size=5, concurrency=1, state_seconds=0)
    rows = tap.twilio.addresses(30, **PAST)
    lines = tap.run().lines
    at = next(
        at
        for at, line in enumerate(lines)
        if line.startswith(b'{"type":"STATE"')
        and kept(json.loads(line)["value"], "addresses")[tap.twilio.main].get("full", {}).get("checkpoint")
    )
    tap.keep(lines[: at + 1])
    tap.select("addresses").sync()
    lines = tap.select("addresses", full_table=["addresses"]).run().lines
    first = next(at for at, line in enumerate(lines) if b'"type":"ACTIVATE_VERSION"' in line)
    tap.keep(lines[: first + 1])
    assert tap.tables.rows["addresses"].keys() == set(rows)


def test_after_a_switch_to_full_table_no_incremental_work_is_left(tap_of: MakeTap) -> None:
    """A rescan of several syncs was open; a FULL_TABLE read has every row, so the stream is complete."""
    tap = tap_with(tap_of, "addresses", page_size=5, rescan_pages=1, lookback_days=1)
    tap.twilio.addresses(60, **PAST)
    tap.select("addresses").sync()
    tap.twilio.at(tap.twilio.now + DAY)
    tap.sync()
    assert [work["what"] for work in line_of(tap, tap.twilio.main)["open"]] == ["rescan"]
    tap.select("addresses", full_table=["addresses"]).sync()
    line = line_of(tap, tap.twilio.main)
    assert line["open"] == [] and line["rescan"] is None and line["syncs_left"] == 0
