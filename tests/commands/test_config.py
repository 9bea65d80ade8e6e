"""Where settings come from: files, of which later ones decide, and the environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Twilio
from testing.taps import COMMAND, ROOT, Tap

Told = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def told(tap_of: Callable[..., Tap], tmp_path: Path) -> Told:
    """Runs `--check` of messages, with files of these settings; a text stands for itself."""
    twilio = Twilio(seed=3, start="2026-01-01").at("2026-01-05T00:00:00Z")
    twilio.messages(2)
    tap = tap_of(twilio)

    def run(*configs: Any, env: dict[str, str] | None = None, mode: int = 0o600) -> subprocess.CompletedProcess[str]:
        arguments = []
        for number, config in enumerate(configs):
            if not isinstance(config, str):
                path = tmp_path / f"{number}.json"
                path.write_text(json.dumps({name: tap.settings[name] for name in config["keep"]} | config["set"]))
                path.chmod(mode)
                config = str(path)
            arguments += ["--config", config]
        command = [*COMMAND, *arguments, "--check", "--select", "messages"]
        known = {f"TAP_TWILIO_{name.upper()}": str(tap.settings[name]) for name in NEEDED}
        given = {name: known.get(name, value) if value == "store" else value for name, value in (env or {}).items()}
        environ = Tap.environment() | given
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environ)

    return run


NEEDED = ("account_sid", "auth_token", "base_url")


def test_later_files_decide(told: Told) -> None:
    """Credentials in one and the rest in another; the last one wins."""
    done = told({"keep": NEEDED[:1], "set": {"auth_token": "f" * 32}}, {"keep": NEEDED[1:], "set": {"concurrency": 2}})
    assert done.returncode == 0, done.stderr
    wrong = told({"keep": NEEDED, "set": {}}, {"keep": (), "set": {"concurrency": 0}})
    assert wrong.returncode == 1
    assert "Setting concurrency must be at least 1" in wrong.stderr


def test_the_environment_may_hold_every_setting(told: Told) -> None:
    """Numbers and lists as text; what is no setting is not looked at."""
    env = {f"TAP_TWILIO_{name.upper()}": "store" for name in NEEDED}
    done = told(
        "ENV", env={**env, "TAP_TWILIO_CONCURRENCY": "2", "TAP_TWILIO_SUBACCOUNTS": "false", "TAP_TWILIO_X": "1"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    old = told("ENV", env={**env, "TAP_TWILIO_SWEEP_PAGES": "2"})
    assert (old.returncode, old.stderr.count("sweep_pages is called rescan_pages now")) == (0, 1)
    one = told("ENV", env={**env, "TAP_TWILIO_SUBACCOUNTS": f"AC{'f' * 32}"})
    assert (one.returncode, one.stdout) == (1, "") and f"AC{'f' * 32}" in one.stderr, "it is the only account"
    wrong = told("ENV", env={**env, "TAP_TWILIO_CONCURRENCY": "many"})
    assert "Setting concurrency must be of type integer" in wrong.stderr


def test_a_file_that_others_can_read_is_a_warning_unless_meltano_wrote_it(told: Told, tmp_path: Path) -> None:
    """The user could mend nothing there."""
    assert "others can read it: chmod 600" in told({"keep": NEEDED, "set": {}}, mode=0o644).stderr
    path = tmp_path / ".meltano" / "run" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text((tmp_path / "0.json").read_text())
    path.chmod(0o644)
    assert told(str(path)).stderr == ""
