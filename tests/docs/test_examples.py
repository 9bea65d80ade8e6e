"""The examples: their commands are run over the sandbox, and linters that know their formats find nothing to say."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sandbox import Twilio
from testing.taps import Tap
from tests.test_package import build

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
LINTERS = ROOT / ".venv-examples" / "bin"
LOGROTATE = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin:/bin")
STORING = Path(__file__).parents[2] / "testing" / "storing_target.py"

CRONTAB = (EXAMPLES / "crontab").read_text("utf-8")
SERVICE = (EXAMPLES / "systemd/tap-twilio.service").read_text("utf-8")
TIMER = (EXAMPLES / "systemd/tap-twilio.timer").read_text("utf-8")
DOCKERFILE = (EXAMPLES / "docker/Dockerfile").read_text("utf-8")
CRONJOB = (EXAMPLES / "kubernetes/cronjob.yaml").read_text("utf-8")
OPERATE = (ROOT / "docs/production.md").read_text("utf-8")
WORKFLOW = (EXAMPLES / "github-actions/twilio.yml").read_text("utf-8")


def cron_line() -> str:
    """The one line of the crontab that runs something, without its five fields."""
    (line,) = re.findall(r"(?m)^(?:[\d*/,-]+ ){5}(.+)$", CRONTAB)
    return str(line)


class Home:
    """A home as docs/getting-started.md lays it out: `twilio`, with settings and commands in their environments."""

    def __init__(self, tap: Tap, folder: Path) -> None:
        self.tap, self.folder, self.twilio = tap, folder, folder / "twilio"
        self.settings = {**tap.settings, "page_size": 100}
        self.file("config.json", json.dumps(self.settings))
        self.file("target.json", "{}")
        # As of any command in an environment, what counts is argv[0].
        self.file("tap/bin/tap-twilio", f"#!{sys.executable}\nfrom tap_twilio.cli import main\nmain()\n")
        storing = shlex.join([sys.executable, str(STORING), str(self.folder / "rows.db")])
        self.file("target/bin/target-postgres", f"#!/bin/sh\n[ $# = 2 ] || exit 9\nexec {storing}\n")

    def file(self, name: str, text: str) -> None:
        path = self.twilio / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o700)

    def run(self, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """As cron does: by sh, from the home, with next to no environment."""
        return subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=self.folder,
            env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def variables(self) -> dict[str, str]:
        """The settings as `--config ENV` takes them."""
        return {f"TAP_TWILIO_{name.upper()}": str(value) for name, value in self.settings.items()}

    @property
    def rows(self) -> int:
        with closing(sqlite3.connect(self.folder / "rows.db")) as database:
            (found,) = database.execute("select count(*) from rows").fetchone()
        return int(found)


@pytest.fixture
def home(tap_of: Callable[..., Tap], tmp_path: Path) -> Home:
    """Over forty messages; its name has a space in it."""
    twilio = Twilio(start="2025-01-01").at("2026-01-01")
    twilio.messages(40, since="2025-03-01", until="2025-12-30")
    return Home(tap_of(twilio), tmp_path / "a home")


def test_the_line_of_the_crontab_syncs_and_prints_nothing(home: Home) -> None:
    """README and docs/production.md show it, too. The second run continues from the state of the first."""
    (shown,) = re.findall(r"(?ms)^```crontab\n(.+?)\n```$", OPERATE)
    assert CRONTAB.endswith(f"{shown}\n")
    assert shown.endswith(cron_line())
    assert "%" not in shown  # cron takes it for the end of the line

    for _ in range(2):
        done = home.run(cron_line())
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert home.rows == 40
    assert (home.twilio / "state.json").exists()
    assert "; 40 rows sent" in (home.twilio / "tap.log").read_text()
    assert "; 0 rows sent" in (home.twilio / "tap.log").read_text()


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
def test_the_checks_for_a_monitor_print_only_what_is_late(home: Home) -> None:
    """docs/production.md has them: the age of `run.json`, and the age of each bookmark."""
    home.run(cron_line())
    (shown,) = re.findall(r"(?ms)^<!-- tests/docs/test_examples.py runs these lines -->\n```shell\n(.+?)^```$", OPERATE)
    file_check, bookmark_check = (f'cd "$HOME/twilio" && {line}' for line in shown.splitlines())
    assert home.run(file_check).stdout == ""
    late = home.run(bookmark_check)
    assert late.stderr == ""
    assert '["messages","AC' in late.stdout  # the sandbox's time is the past

    summary = home.twilio / "run.json"
    os.utime(summary, (summary.stat().st_mtime - 7 * 3600,) * 2)
    assert home.run(file_check).stdout == "run.json\n"
    state = home.twilio / "state.json"
    document = json.loads(state.read_text())
    for _, partition in document["bookmarks"]["messages"]["partitions"]:
        partition["not_read"] = "closed"
    state.write_text(json.dumps(document))
    assert '"messages"' not in home.run(bookmark_check).stdout


@pytest.mark.skipif(not LOGROTATE, reason="logrotate is not installed")
def test_logrotate_moves_the_logs_and_the_next_sync_begins_new_ones(home: Home, tmp_path: Path) -> None:
    """With docs/production.md's file, in this home."""
    (shown,) = re.findall(r"(?ms)^```logrotate\n(.+?)\n```$", OPERATE)
    logs = [home.twilio / "tap.log", home.twilio / "target.log"]
    for log in logs:
        shown = shown.replace(f"/home/etl/twilio/{log.name}", f'"{log}"')
    file = tmp_path / "logrotate.conf"
    file.write_text(re.sub("(?m)^ +su .+\n", "", shown) + "\n")
    file.chmod(0o600)

    home.run(cron_line())
    command = [str(LOGROTATE), "--force", "--state", str(tmp_path / "status"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not any(log.exists() for log in logs)
    assert (home.twilio / "tap.log.1.gz").exists()
    home.run(cron_line())

    assert "; 0 rows sent" in logs[0].read_text()


def test_the_service_syncs(home: Home) -> None:
    """Its command, with what systemd puts in the place of its specifiers."""
    unit = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#", delimiters="=")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(SERVICE.replace("\\\n", ""))
    line = unit["Service"]["ExecStart"].replace("/opt/twilio", ".").replace("%d", ".").replace("%S", "state")

    done = home.run(f"cd twilio && exec {line}")

    assert done.returncode == 0, done.stderr
    assert home.rows == 40
    assert unit["Service"]["KillMode"] == "mixed"
    assert (home.twilio / "state/twilio/state.json").exists()
    timer = configparser.ConfigParser(interpolation=None, comment_prefixes="#", delimiters="=")
    timer.read_string(TIMER)
    assert timer["Timer"]["OnCalendar"] == "*-*-* 00/3:17:00"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_finds_nothing_wrong_with_service_and_timer(tmp_path: Path) -> None:
    """But that our command is not where the example has it."""
    for name, text in (("tap-twilio.service", SERVICE), ("tap-twilio.timer", TIMER)):
        (tmp_path / name).write_text(text.replace("/opt/twilio/tap/bin/tap-twilio", "/bin/true"))
    units = [tmp_path / "tap-twilio.service", tmp_path / "tap-twilio.timer"]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def container() -> tuple[list[str], list[str]]:
    """The words that the image runs: its entry point, and its own arguments."""
    (entry,), (words,) = (re.findall(rf"(?m)^{name} (\[.+\])$", DOCKERFILE) for name in ("ENTRYPOINT", "CMD"))
    return json.loads(entry), json.loads(words)


def here(home: Home, words: list[str]) -> str:
    """A command of the image's, with this home's paths."""
    line = shlex.join(words).replace("/opt/target", "target").replace("/opt/tap", "tap")
    return f"cd twilio && exec {line.replace('/var/lib/twilio', 'state').replace('/etc/twilio', '.')}"


def test_what_the_image_runs_syncs(home: Home) -> None:
    """With settings from the environment, as a container has them."""
    entry, words = container()
    done = home.run(here(home, entry + words), **home.variables())

    assert done.returncode == 0, done.stderr
    assert home.rows == 40


def test_the_image_is_made_of_what_ships(tmp_path: Path) -> None:
    """The tap can be built from what it copies, and it runs as no root."""
    for name in (name for line in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", DOCKERFILE) for name in line.split()):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    with zipfile.ZipFile(build("wheel", tmp_path, tmp_path / "made")) as wheel:
        assert {"tap_twilio/cli.py", "tap_twilio/schemas/messages.json"} <= set(wheel.namelist())
    assert re.findall(r"(?m)^USER (.+)$", DOCKERFILE) == ["10001"]
    assert "meltanolabs-target-postgres==" in DOCKERFILE
    (pinned,) = re.findall(r"meltanolabs-target-postgres==[\d.]+", (ROOT / "demo/requirements.txt").read_text())
    assert pinned in DOCKERFILE
    assert pinned in WORKFLOW


def test_what_the_pod_runs_syncs(home: Home) -> None:
    """The image's entry point with the arguments of the CronJob."""
    (listed,) = re.findall(r"(?m)^ +args:\n((?: +- .+\n)+)", CRONJOB)
    words = [line.strip().removeprefix("- ") for line in listed.splitlines()]
    done = home.run(here(home, container()[0] + words), **home.variables())

    assert done.returncode == 0, done.stderr
    assert home.rows == 40


def test_the_last_step_of_the_workflow_syncs(home: Home) -> None:
    """With a folder in the place of the bucket."""
    (step,) = re.findall(r"(?m)^ +(tap/bin/tap-twilio .+)$", WORKFLOW)
    done = home.run(f"cd twilio && {step}", STATE="state", **home.variables())

    assert done.returncode == 0, done.stderr
    assert home.rows == 40


def test_the_page_about_dagster_holds_python() -> None:
    """It compiles."""
    (code,) = re.findall(r"(?ms)^```python\n(.+?)^```$", (EXAMPLES / "dagster.md").read_text("utf-8"))
    compile(code, "dagster.md", "exec")


@pytest.mark.parametrize(
    "words",
    [
        ["hadolint", EXAMPLES / "docker/Dockerfile"],
        ["zizmor", "--offline", "--quiet", "--pedantic", EXAMPLES / "github-actions/twilio.yml"],
        ["kubernetes-validate", "--quiet", "-k", "1.33", "--strict", EXAMPLES / "kubernetes/cronjob.yaml"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.skipif(not LINTERS.exists(), reason="make test-examples makes .venv-examples")
def test_the_linters_find_nothing(words: list[Any]) -> None:
    """Each knows one format."""
    done = subprocess.run([LINTERS / words[0], *words[1:]], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
