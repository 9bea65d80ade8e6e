"""What Meltano reads is what the tap has; and, with a real Meltano, that all of it works, over the sandbox."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.sync import sqlalchemy_url
from sandbox import Server, Twilio, serve
from tap_twilio.settings import SCHEMA
from tap_twilio.streams import STREAMS
from testing.taps import LISTED
from testing.warehouse import TARGET, Warehouse
from tests.end_to_end.test_end_to_end import differences
from tools import meltano

ROOT = Path(__file__).resolve().parents[2]
HUB: dict[str, Any] = json.loads((ROOT / "tests/facts/meltano_hub.json").read_text("utf-8"))
COMMAND = ROOT / ".venv-meltano/bin/meltano"
TEXTS = {  # of each list, a property that holds text
    "addresses": "friendly_name",
    "calls": "caller_name",
    "conferences": "friendly_name",
    "transcriptions": "transcription_text",
    "messages": "body",
}
PYTHON_OF = {"string": str, "array": list, "object": dict, "boolean": bool, "null": type(None)}

# Without a network but for the package registry, without telemetry, and without what could stand in for a setting.
QUIET = {
    "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
    "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
    "NO_COLOR": "1",
}


def test_what_meltano_reads_is_made_from_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m tools.meltano` brings it up to date."""
    assert meltano.main(["--check"]) == 0, capsys.readouterr().out


def test_a_file_that_is_out_of_date_is_named_and_then_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` ends with 1 until the files are written."""
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    monkeypatch.setattr(meltano, "ROOT", tmp_path)
    (tmp_path / "meltano.yml").write_text("default_environment: prod\n")

    assert meltano.main(["--check"]) == 1
    assert capsys.readouterr().out.count("is out of date: python -m tools.meltano") == 2
    assert meltano.main([]) == 0
    assert meltano.main(["--check"]) == 0


def is_a(value: Any, types: str | list[str]) -> bool:
    return isinstance(value, tuple(PYTHON_OF[one] for one in ([types] if isinstance(types, str) else types)))


def test_the_definition_has_the_form_of_the_hub() -> None:
    """The Hub's keys with their types, all that it wants, and of what it enumerates only that."""
    definition = yaml.safe_load((ROOT / meltano.DEFINITION).read_text("utf-8"))

    assert definition.keys() <= HUB["keys"].keys()
    assert all(is_a(value, HUB["keys"][name]) for name, value in definition.items())
    assert set(HUB["required"]) <= definition.keys()
    for name, values in HUB["values"].items():
        said = definition[name]
        assert set([said] if isinstance(said, str) else said) <= set(values), name
    assert all(re.search(HUB["python_version"], one) for one in definition["supported_python_versions"])
    for setting in definition["settings"]:
        assert setting.keys() <= HUB["setting_keys"].keys()
        assert set(HUB["setting_required"]) <= setting.keys()
        assert setting["kind"] in HUB["setting_kinds"]
    for value in (one["value"] for setting in definition["settings"] for one in setting.get("options", ())):
        assert isinstance(value, str)


def test_the_definition_says_of_each_setting_what_the_tap_does() -> None:
    """All settings in order, secrets hidden; either kind of credentials is enough; only what the tap can do."""
    definition = yaml.safe_load((ROOT / meltano.DEFINITION).read_text("utf-8"))
    settings = {setting["name"]: setting for setting in definition["settings"]}
    about = json.loads(subprocess.check_output([sys.executable, "-m", "tap_twilio", "--about"], cwd=ROOT))

    assert list(settings) == list(SCHEMA["properties"])
    assert {name for name, one in settings.items() if one.get("sensitive")} == {
        "auth_token",
        "api_key_secret",
        "mask_key",
        "credentials",
    }
    assert definition["settings_group_validation"] == meltano.CREDENTIALS
    assert {name for group in meltano.CREDENTIALS for name in group} <= settings.keys()
    assert definition["capabilities"] == sorted(about["capabilities"])
    assert definition["select"] == [f"{stream.name}.*" for stream in STREAMS if stream.selected_by_default]


def test_the_page_selects_what_the_tap_reads_by_itself() -> None:
    """Meltano drops both parts of a definition that it adds by --from-ref, so the page has them to copy."""
    page = (ROOT / "docs/meltano.md").read_text("utf-8")
    (block,) = re.findall(r"(?ms)^<!-- tests/docs/test_meltano.py .+?-->\n```yaml\n(.+?)^```$", page)
    plugin = meltano.plugin()

    assert yaml.safe_load(block) == {"select": plugin["select"], "metadata": plugin["metadata"]}


# A real Meltano -------------------------------------------------------------------------------------------------------


class Project:
    """A folder with a meltano.yml, and the sandbox and the Postgres that its plugins are told of."""

    def __init__(self, folder: Path, server: Server, warehouse: Warehouse, schema: str) -> None:
        self.folder, self.server, self.warehouse, self.schema = folder, server, warehouse, schema
        kept = {
            name: value for name, value in os.environ.items() if not re.match("TWILIO_|TAP_|MELTANO_|TARGET_", name)
        }
        self.env = {
            **kept,
            **QUIET,
            "TAP_TWILIO_ACCOUNT_SID": server.twilio.main,
            "TAP_TWILIO_AUTH_TOKEN": server.twilio.auth_token,
            "TAP_TWILIO_BASE_URL": server.url,
            "TARGET_POSTGRES_SQLALCHEMY_URL": sqlalchemy_url(warehouse.url),
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": schema,
        }

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, exits: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """A command of Meltano's, to its end."""
        process = self.start(*arguments, **env)
        out, err = process.communicate(timeout=600)
        assert process.returncode == exits, out[-2000:] + err[-4000:]
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def sync(self, *arguments: str) -> str:
        """A run of the tap into the target. Returns the log."""
        self.server.reset()
        return self.run("run", *arguments, "tap-twilio", "target-postgres").stderr

    def lost(self) -> list[str]:
        """What of the rows that Twilio lists is not in the tables as it is there. Rows deleted since may stay."""
        found = differences(self.warehouse, self.schema, self.server.twilio.present)
        return [line for line in found if not line.endswith("should not be there")]

    def state(self) -> str:
        """What Meltano keeps of the last run, as text."""
        return self.run("state", "get", "dev:tap-twilio-to-target-postgres").stdout


@pytest.fixture(scope="module")
def command() -> Path:
    """Meltano, in the environment that make creates for it."""
    made = subprocess.run(
        ["make", "-s", ".venv-meltano/meltano.stamp"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"Meltano cannot be installed: {(made.stdout + made.stderr).strip().splitlines()[-1]}")
    return COMMAND


def clone_into(folder: Path) -> None:
    """Make a folder look like a clone of this repository. What an installation writes stays out of this one."""
    folder.mkdir(exist_ok=True)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "tap_twilio", "schemas", "meltano"):
        (folder / name).symlink_to(ROOT / name)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(Twilio(31, accounts=2, start="2025-11-01").advance(24 * 20).begin()) as server:
        yield server


@pytest.fixture(scope="module")
def project(command: Path, server: Server, warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A new project, to which the tap is added as docs/meltano.md shows it; the target is that of the tests."""
    project = Project(tmp_path_factory.mktemp("project"), server, warehouse, "meltano")
    (project.folder / "meltano.yml").write_text("default_environment: dev\nenvironments:\n- name: dev\n")
    target = {
        "name": "target-postgres",
        "namespace": "target_postgres",
        "executable": str(TARGET / "target-postgres"),
        "settings": meltano.TARGET_SETTINGS,
    }
    (project.folder / "target.yml").write_text(yaml.safe_dump(target))
    clone_into(project.folder / "tap-twilio")
    (install, *_) = re.findall(r"(?ms)^```sh\n(.+?)^```$", (ROOT / "docs/meltano.md").read_text("utf-8"))
    env = {**project.env, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-ec", install], cwd=project.folder, env=env, check=True, capture_output=True)
    project.run("add", "target-postgres", "--from-ref", "target.yml")
    for stream in LISTED:
        project.run("select", "tap-twilio", stream, "*")
    return project


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_two_runs_load_what_twilio_has_and_the_second_goes_on_from_the_first(project: Project) -> None:
    """The second asks for less, and what changed meanwhile arrives; Meltano keeps the state of the latest."""
    project.sync()
    assert project.lost() == []
    first = project.state()
    project.server.twilio.advance(9, busy=3)

    log = project.sync()

    assert project.lost() == []
    assert "No state was found" not in log
    assert first != project.state()
    assert "chmod" not in log


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("who", "exits"), [("tap-twilio", 1), ("meltano", 143)])
def test_a_full_refresh_that_was_stopped_loses_no_row(project: Project, who: str, exits: int) -> None:
    """
    SIGTERM ends it midway, and the next run brings all that Twilio has.

    A tap that is stopped leaves a last STATE, which Meltano merges into the state of before, whose keys it never
    removes; or it loses that one, as it may when the target had not stored all.
    """
    project.env |= {"TAP_TWILIO_PAGE_SIZE": "20", "TAP_TWILIO_STATE_SECONDS": "0"}
    project.sync()
    for stream in LISTED:  # changed since, and read by the refresh or not
        for row in project.server.twilio.present(stream)[::7]:
            project.server.twilio.change(row["sid"], silently=True, **{TEXTS[stream]: f"until {who}"})
    project.server.twilio.advance(9, busy=3)
    project.server.reset()
    process = project.start("run", "--full-refresh", "tap-twilio", "target-postgres")
    while len(project.server.requests) < 30 and process.poll() is None:
        time.sleep(0.01)
    if who == "meltano":
        process.send_signal(signal.SIGTERM)
    else:
        subprocess.run(["pkill", "-TERM", "-P", str(process.pid), "-f", who], check=True)
    _, log = process.communicate(timeout=120)
    assert process.returncode == exits, log[-3000:]
    assert project.lost() != []

    project.sync()

    assert project.lost() == []


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_meltano_selects_configures_tests_and_asks_the_tap(project: Project) -> None:
    """`select`, `config`, `config test`, `invoke --check` and `--about`; a job of both, on a schedule."""
    project.run("select", "--exclude", "tap-twilio", "messages", "body")
    selected = project.run("select", "tap-twilio", "--list").stdout
    assert "] messages.to\n" in selected
    assert "] messages.body\n" not in selected
    assert "] alerts.sid\n" not in selected

    project.run("config", "set", "tap-twilio", "lookback_days", "7.5")
    project.run("config", "set", "tap-twilio", "start_date", "2025-11-02")
    config = json.loads(project.run("config", "print", "tap-twilio").stdout)
    assert project.server.twilio.auth_token not in json.dumps(config)
    assert (config["lookback_days"], config["start_date"]) == ("7.5", "2025-11-02")
    assert "is valid" in project.run("config", "test", "tap-twilio").stdout

    table = project.run("invoke", "tap-twilio", "--check").stdout
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [[stream, "ok"] for stream in LISTED]
    assert json.loads(project.run("invoke", "tap-twilio", "--about").stdout)["name"] == "tap-twilio"

    project.run("job", "add", "twilio", "--tasks", "tap-twilio target-postgres")
    project.run("schedule", "add", "often", "--job", "twilio", "--interval", "17 */3 * * *")
    assert "twilio" in project.run("schedule", "list").stdout


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_meltano_says_why_a_config_is_wrong(project: Project) -> None:
    """The tap's last line reaches the user of `config test`."""
    done = project.run("config", "test", "tap-twilio", exits=1, TAP_TWILIO_AUTH_TOKEN="0" * 32)

    assert "auth_token" in done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("command")
def test_the_project_of_this_checkout_runs(server: Server, warehouse: Warehouse, tmp_path: Path) -> None:
    """Its meltano.yml, unchanged: both plugins are installed, and its schedule loads the tables of the six streams."""
    clone_into(tmp_path)
    (tmp_path / "meltano.yml").write_bytes((ROOT / "meltano.yml").read_bytes())
    project = Project(tmp_path, server, warehouse, "checkout")
    project.env["MELTANO_STATE_BACKEND_URI"] = (tmp_path / "states").as_uri()

    project.run("install")
    project.run("schedule", "run", "every-three-hours")

    assert project.lost() == []
    assert json.loads(project.state())["singer_state"]["bookmarks"]["messages"]
    assert list((tmp_path / "states").iterdir())
    assert (tmp_path / "meltano.yml").read_bytes() == (ROOT / "meltano.yml").read_bytes()
    tables = warehouse.query("select table_name from information_schema.tables where table_schema = 'checkout'")
    assert {row["table_name"] for row in tables} == {stream.name for stream in STREAMS if stream.selected_by_default}
