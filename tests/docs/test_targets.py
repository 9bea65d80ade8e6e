"""What docs/targets.md says is what `make targets` saw; and of the targets, the quickest is tried here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from targets import page, trial
from targets.declared import BY_NAME, TARGETS, Destination
from targets.environments import Refusal, made

CELLS = {*page.RUNS, *page.VALUES}


def test_the_page_says_what_was_seen() -> None:
    """It is made of docs/targets.json, and was made anew when that changed."""
    assert page.PAGE.read_text("utf-8") == page.rendered(page.load())


def test_each_target_was_tried_as_it_is_declared() -> None:
    """With the version that is pinned; each cell is filled, or the target says why it did not come so far."""
    seen = page.load()
    assert seen.keys() - set(page.MEASURED) == BY_NAME.keys()
    for target in TARGETS:
        cells = seen[target.name]
        assert cells["version"] == trial.version_of(target), target.name
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", cells["seen"])
        if cells["loads"].startswith(("yes", "loses")):
            assert cells.keys() >= CELLS, target.name
        else:
            assert re.match("no: .|not tried: .", cells["loads"]), target.name


@pytest.mark.long
def test_a_target_does_what_the_page_says(tmp_path: Path) -> None:
    """Seen once more: every cell but the date. The others are tried by `make targets` only."""
    target = BY_NAME["target-jsonl"]
    try:
        made(target)
    except Refusal as refusal:
        pytest.skip(str(refusal))
    seen = page.load()[target.name]
    cells = trial.tried(target, Destination(tmp_path / "trial", "twilio", "", 0))
    assert cells == {name: cell for name, cell in seen.items() if name not in ("version", "Python", "seen")}
