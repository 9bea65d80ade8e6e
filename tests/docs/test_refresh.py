"""The recipes of docs/refresh.md run as written, and load what the page says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox import Twilio

from .test_commands import FIRST_SYNC, blocks, home, shell, twilio

PLACEHOLDER = "AC0123456789abcdef0123456789abcdef"


def load(home: Path, script: str) -> dict[str, dict[str, Any]]:
    """Run a recipe, and return the messages that the target got, by key."""
    (home / "loaded").unlink(missing_ok=True)
    done = shell(home, script)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (home / "loaded").read_text("utf-8").splitlines()]
    return {line["record"]["sid"]: line["record"] for line in lines if line["type"] == "RECORD"}


def test_each_recipe_loads_what_it_says(twilio: Twilio, home: Path) -> None:
    week, stream, account, backfill, rest = blocks("refresh")
    sids = [*twilio.messages(2, created="2026-03-01T00:00:00Z"), *twilio.messages(2, created="2026-03-07T23:59:59Z")]
    old = twilio.messages(1, created="2025-11-01T12:00:00Z")
    others = twilio.messages(3, created="2026-03-08T00:00:00Z") + [row["sid"] for row in twilio.present("messages")][:3]
    twilio.at("2026-04-01T00:00:00Z")
    everything = {row["sid"] for row in twilio.present("messages")}
    assert load(home, FIRST_SYNC).keys() == everything == {*sids, *old, *others}
    assert load(home, FIRST_SYNC).keys() == set()

    assert load(home, week).keys() == set(sids)
    assert load(home, stream).keys() == everything
    assert load(home, account.replace(PLACEHOLDER, twilio.main)).keys() == everything
    (home / "twilio/state.json").unlink()
    assert load(home, backfill).keys() == set(old)
    assert load(home, rest).keys() == everything - set(old)


__all__ = ["home", "twilio"]
