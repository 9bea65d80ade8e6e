"""What the documents say is what the code does: tables, links and examples, and the script that cron runs."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap_twilio import __version__, errors
from tap_twilio.settings import SCHEMA
from tap_twilio.singer.catalog import Selected, discover, selected_streams
from tap_twilio.streams import STREAMS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/exactness.md", "docs/pii.md", "examples/dbt/README.md")

Cells = list[str]


# Tables ---------------------------------------------------------------------------------------------------------------


def table(marker: str) -> list[Cells]:
    """The rows of README's table that follows a comment, without its two lines of heading."""
    lines = README[README.index(f"<!-- {marker}:") :].split("\n\n")[0].splitlines()[3:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code(value: Any) -> str:
    """A value as a table shows it; nothing where there is none."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "" if value is None else f"`{text.replace(__version__, 'VERSION')}`"


def test_the_readme_lists_every_setting_as_it_is() -> None:
    """Name, default, environment variable and meaning of each setting, in order, and no other."""
    assert table("settings") == [
        [code(name), code(about.get("default")), code(about.get("env")), about["description"]]
        for name, about in SCHEMA["properties"].items()
    ]


def test_the_readme_lists_every_stream_as_it_is() -> None:
    """Table, key, list, filter and bookmark of each stream that is on by default; the others by product, in order."""
    rows, six = table("streams"), [stream for stream in STREAMS if stream.default]

    products: dict[str, list[str]] = {}
    for stream in STREAMS:
        if not stream.default:
            products.setdefault(stream.product.host, []).append(code(stream.name))
    assert [(product, names.split(", ")) for product, names in table("products")] == list(products.items())
    assert [row[0] for row in rows] == [code(stream.name) for stream in six]
    for (_, key, path, filtered, bookmark), stream in zip(rows, six):
        assert tuple(re.findall("`(.+?)`", key)) == stream.key
        assert f"/{re.sub('{.*?}', '{sid}', stream.path)}`" in path
        assert {value for values in stream.each.values() for value in values} <= set(re.findall("`(.+?)`", path))
        if stream.filter:
            assert code(stream.filter.after.rstrip(">")) in filtered
        elif not stream.parent:
            assert filtered.startswith("none")
        if stream.filter and stream.filter.reach:
            assert f"{stream.filter.reach.days} days" in filtered
        assert bookmark == (code(stream.changed) if stream.changed else "none")


def test_the_readme_lists_every_exit_code() -> None:
    """Each number that the command can end with: those of the errors, of argparse, of a run and of the signals."""
    codes = [number for row in table("exit codes") for number in row[0].split(", ")]
    failures = {error.exit_code for error in vars(errors).values() if hasattr(error, "exit_code")}
    stopped = {128 + signal.SIGINT, 128 + signal.SIGTERM}

    assert codes == [str(code) for code in sorted({0, 2, 3} | failures | stopped)]


# Links and examples ---------------------------------------------------------------------------------------------------


def headings(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    """To a file that is there, and to a heading that the file has."""
    page = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        assert not anchor or anchor in headings(target), link


def choice(example: str) -> dict[str, Selected]:
    """What is selected when the messages of a new catalog have this metadata in place of their own."""
    item = json.loads(example)
    catalog = discover()
    (entry,) = (entry for entry in catalog["streams"] if entry["tap_stream_id"] == "messages")
    entry["metadata"] = [one for one in entry["metadata"] if one["breadcrumb"] != item["breadcrumb"]] + [item]
    return {one.stream.name: one for one in selected_streams(catalog)}


def test_the_catalog_examples_do_what_the_readme_says() -> None:
    """They leave out a stream, leave out a property, and read a stream as a full table, in this order."""
    stream_out, property_out, full = re.findall(r'(?m)^\{"breadcrumb.+\}$', README)

    assert choice(stream_out).keys() == {stream.name for stream in STREAMS if stream.default} - {"messages"}
    assert "body" not in choice(property_out)["messages"].properties
    assert "date_sent" in choice(property_out)["messages"].properties
    assert choice(full)["messages"].full_table


def test_the_sample_config_holds_settings_that_exist() -> None:
    """And so does every example of a config in the README."""
    samples = [json.loads(text) for text in re.findall(r"(?ms)^```json\n(\{\n.+?\n\})$", README)]
    configs = [sample for sample in samples if "account_sid" in sample]
    configs.append(json.loads((ROOT / "sample_config.json").read_text("utf-8")))

    assert len(configs) == 3
    for config in configs:
        assert config.keys() <= SCHEMA["properties"].keys()


# The script that cron runs --------------------------------------------------------------------------------------------

# The state of a run is the number of runs so far.
TAP = """#!/bin/sh
echo "$@" >>calls
test -e quiet || echo '{"type": "STATE", "value": {"run": '$(wc -l <calls)', "of": "first half"}}'
test -e quiet || echo '{"type": "STATE", "value": {"run": '$(wc -l <calls)'}}'
echo 'INFO the tap says' >&2
exit $(cat tap-exit)
"""
TARGET = """#!/bin/sh
sed -n 's/^{"type": "STATE", "value": \\(.*\\)}$/\\1/p'
echo 'INFO the target says' >&2
exit $(cat target-exit)
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as README lays it out, its name with a space, with a tap and a target that end as they are told."""
    folder = tmp_path / "a folder"
    (script,) = re.findall(r"(?ms)^<!-- tests/test_docs.py runs this script -->\n```bash\n(.+?)^```$", README)
    for name, text in (
        ("tap-twilio.sh", script),
        ("tap/bin/tap-twilio", TAP),
        ("target/bin/target-postgres", TARGET),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755)
    return folder


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs the script as cron does: from elsewhere, with next to no environment."""
    if not shutil.which("flock") or not shutil.which("bash"):
        pytest.skip("the script needs flock and bash")

    def run(tap: int = 0, target: int = 0) -> subprocess.CompletedProcess[str]:
        (folder / "tap-exit").write_text(str(tap))
        (folder / "target-exit").write_text(str(target))
        return subprocess.run(
            [folder / "tap-twilio.sh"],
            cwd="/",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    return run


def state(folder: Path) -> Any:
    return json.loads((folder / "state.json").read_text("utf-8"))


def given(folder: Path) -> list[str]:
    """The arguments of each run of the tap."""
    return (folder / "calls").read_text("utf-8").splitlines()


def test_the_first_run_needs_no_state_and_the_next_goes_on_from_its_last_line(folder: Path, run: Run) -> None:
    """Nothing is printed when all is well, since cron would mail it."""
    for _ in range(2):
        done = run()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    assert given(folder) == ["--config config.json", "--config config.json --state state.json"]
    assert state(folder) == {"run": 2}


def test_a_target_that_fails_leaves_the_state_as_it_was(folder: Path, run: Run) -> None:
    """Even though it printed one; the script ends as the target did and says where to look."""
    assert run(tap=1, target=9).returncode == 9
    assert not (folder / "state.json").exists()
    run()
    done = run(target=9)

    assert done.returncode == 9
    assert "the target with 9" in done.stderr
    assert "INFO the target says" in done.stderr
    assert state(folder) == {"run": 2}
    assert run().returncode == 0
    assert given(folder)[-1].endswith("--state state.json")
    assert state(folder) == {"run": 4}


@pytest.mark.parametrize("ended", [1, 3, 143])
def test_what_a_well_ended_target_confirmed_is_kept_however_the_tap_ended(folder: Path, run: Run, ended: int) -> None:
    """The script then ends as the tap did, so that cron's mail and monitoring see it."""
    done = run(tap=ended)

    assert done.returncode == ended
    assert f"tap-twilio ended with {ended}" in done.stderr
    assert state(folder) == {"run": 1}


def test_a_run_without_state_keeps_the_one_that_was(folder: Path, run: Run) -> None:
    """As when the tap refuses its settings before it reads anything."""
    run()
    (folder / "quiet").touch()

    assert run(tap=1).returncode == 1
    assert state(folder) == {"run": 1}


def test_two_runs_never_overlap(folder: Path, run: Run) -> None:
    """While one holds the lock, the next does nothing, and says so."""
    with (folder / "sync.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run()

    assert done.returncode == 0
    assert "still runs" in done.stderr
    assert not (folder / "calls").exists()
    assert run().returncode == 0
    assert len(given(folder)) == 1
