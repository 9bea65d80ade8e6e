"""singer-tools' own check of a tap, over every stream: its `singer-check-tap`, in an environment of its own."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Twilio
from tap_twilio.streams import STREAMS
from testing.taps import ROOT, Run, Tap

MADE = ".venv-singer-tools/singer-tools.stamp"


@pytest.fixture(scope="module")
def check() -> Callable[[Run, Path], dict[str, int]]:
    """Has singer-check-tap read what a run printed; the number of records and of schemas of each stream that it saw."""
    made = subprocess.run(["make", "-s", MADE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr

    def check(run: Run, folder: Path) -> dict[str, int]:
        command = ROOT / ".venv-singer-tools/bin/singer-check-tap"
        done = subprocess.run([command], cwd=folder, input=b"".join(run.lines), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        said = done.stdout.decode()
        assert "The output is valid." in said
        return {name: int(records) for name, records in re.findall(r"(?m)^\| (\w+) +\| (\d+) +\| 1 +\|$", said)}

    return check


@pytest.mark.long
@pytest.mark.timeout(600)
def test_singer_check_tap_passes_over_every_stream(
    check: Callable[[Run, Path], dict[str, int]], tap_of: Callable[..., Tap], tmp_path: Path
) -> None:
    """A first sync, and the next one from its state: each record fits its schema, which comes first and once."""
    tap, names = tap_of(Twilio.demo()), {stream.name for stream in STREAMS}
    tap.select(*names, opted_in=True)
    tap.settings["base_url"] += "/{product}"

    run = tap.start().wait(240)
    assert run.exit_code == 0, run.log[-2000:]
    first = check(run, tmp_path)
    tap.state = run.states[-1]
    tap.twilio.advance(24)
    run = tap.start().wait(240)
    assert run.exit_code == 0, run.log[-2000:]
    second = check(run, tmp_path)

    assert first.keys() == names
    empty = {name for name, records in first.items() if not records}
    assert not empty, empty
    assert second.keys() == names
    assert 0 < sum(second.values()) < sum(first.values())
