"""
Every command that the pages show is run: the tap is the real one, over the sandbox; target, pip and Meltano are
stand-ins.

docs/targets.md and docs/meltano.md are left out: what they show is run by what made the one, and by test_meltano.py.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Twilio
from testing.taps import ROOT, Tap

PAGES = (
    "README",
    *sorted(path.stem for path in (ROOT / "docs").glob("*.md") if path.stem not in ("targets", "meltano")),
)
INSTALLABLE = {".", "meltanolabs-target-postgres", "meltanolabs-target-snowflake"}

PIP = '#!/bin/sh\nshift\necho "$@" | tr " " "\\n" >>"$HOME/installed"\n'
VENV = f"""#!/bin/sh
test "$1 $2" = "-m venv" || exit 9
mkdir -p "$3/bin"
cat >"$3/bin/pip" <<'EOF'
{PIP}EOF
chmod +x "$3/bin/pip"
"""
TAP = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tap_twilio "$@"\n'
# Repeats the states, as a target does once rows are loaded, and keeps the lines.
TARGET = """#!/bin/sh
test "$1 $2" = "--config target.json" || exit 9
tee -a "$HOME/loaded" | sed -n 's/^{"type":"STATE","value":\\(.*\\)}$/\\1/p'
"""
FIRST_SYNC = (
    "tap-twilio run-sync --target 'target/bin/target-postgres --config target.json' --state . -- --config config.json"
)


def text(page: str) -> str:
    path = ROOT / ("README.md" if page == "README" else f"docs/{page}.md")
    return path.read_text("utf-8")


def blocks(page: str) -> list[str]:
    """What a page shows to be typed into a shell."""
    return re.findall(r"(?ms)^```sh\n(.+?)^```$", text(page))


@pytest.fixture
def twilio() -> Twilio:
    twilio = Twilio(seed=3, start="2026-01-01").at("2026-01-05T00:00:00Z")
    twilio.messages(3)
    return twilio


@pytest.fixture
def home(tap_of: Callable[..., Tap], twilio: Twilio, tmp_path: Path) -> Path:
    """A home whose `twilio` is laid out as the pages have it, with a config that leads to a sandbox."""
    tap = tap_of(twilio)
    for name, content in (
        ("bin/pipx", PIP),
        ("bin/python3", VENV),
        ("bin/tap-twilio", TAP),
        ("bin/meltano", "#!/bin/sh\n"),  # test_meltano.py runs the real one
        ("twilio/tap-twilio/meltano/tap-twilio.yml", "pip_url: exact-tap-twilio\n"),
        ("twilio/tap/bin/tap-twilio", TAP),
        ("twilio/target/bin/target-postgres", TARGET),
        ("twilio/target-snowflake/bin/target-snowflake", TARGET),
        ("twilio/config.json", json.dumps(tap.settings)),
        ("twilio/target.json", "{}"),
        ("twilio/catalog.json", json.dumps(tap.select("messages").catalog)),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
        path.chmod(0o600 if name.endswith(".json") else 0o700)
    return tmp_path


def shell(home: Path, script: str) -> subprocess.CompletedProcess[str]:
    env = Tap.environment({"HOME": str(home), "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"})
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=home / "twilio",
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page) and page not in ("upgrading", "refresh")])
def test_the_blocks_of_a_page_run_one_after_the_other(home: Path, page: str) -> None:
    """Each ends well; where the target was fed, the rows came and a state is left from which the next run goes on."""
    if page == "production":  # whoever reads it has loaded something already
        assert shell(home, FIRST_SYNC).returncode == 0
    for block in blocks(page):
        done = shell(home, block)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    if (home / "loaded").exists():
        assert (home / "loaded").read_text("utf-8").count('"stream":"messages","record"') == 3
        assert json.loads((home / "twilio/state.json").read_text("utf-8"))["bookmarks"]["messages"]
    if (home / "installed").exists():
        assert set((home / "installed").read_text("utf-8").split()) <= INSTALLABLE


def test_a_state_of_an_earlier_version_is_refused_until_it_is_moved_aside(home: Path) -> None:
    """As docs/upgrading.md shows it: then every row is written once more."""
    assert shell(home, FIRST_SYNC).returncode == 0
    earlier = {"bookmarks": {"messages": {"date_updated": "2026-01-04T18:00:00Z", "partitions": []}}}
    (home / "twilio/state.json").write_text(json.dumps(earlier), "utf-8")

    refused = shell(home, FIRST_SYNC)
    (block,) = blocks("upgrading")
    done = shell(home, block)

    assert refused.returncode == 1
    message = "The state has another format than exact-tap-twilio 1"
    assert message in refused.stderr
    assert message in text("upgrading")
    assert done.returncode == 0, done.stderr
    assert (home / "loaded").read_text("utf-8").count('"stream":"messages","record"') == 6


def test_the_commands_between_the_lines_run_too(home: Path) -> None:
    """Such as `tap-twilio --streams`."""
    named = {command for page in PAGES for command in re.findall(r"`((?:tap/bin/)?tap-twilio --[^`]+)`", text(page))}
    assert len(named) > 3
    for command in sorted(named):
        done = shell(home, command)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_make_knows_every_target_that_is_named() -> None:
    """What they do is tested elsewhere."""
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8")))
    named = {name for page in PAGES for name in re.findall(r"(?:`|\$ )make ([a-z-]+)", text(page))}
    assert {"sync", "test"} <= named <= targets
