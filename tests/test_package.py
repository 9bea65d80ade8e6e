"""What pip installs: a wheel built from the sdist works away from the tree. And what GitHub does with the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tap_twilio import __version__
from testing.project import PROJECT, PYPROJECT, PYTHONS

ROOT = Path(__file__).resolve().parent.parent
SETUPTOOLS = "import sys; from setuptools import build_meta as b; print(b.build_{}(sys.argv[1]))"


def build(kind: str, tree: Path, into: Path) -> Path:
    """What setuptools makes of a tree, as pip and `build` ask for it, but without the network: an sdist or a wheel."""
    command: list[str | Path] = [sys.executable, "-c", SETUPTOOLS.format(kind), into]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return into / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    """The files of the tree that git knows or would add."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("which files belong to the tree is git's to say")
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {name for name in listed if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist built from a copy of the tree, without git, in which somebody has worked."""
    tree = tmp_path_factory.mktemp("tree") / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist"))
    for name in ("config.json", "state.json", ".env", "tests/.env", "tests/__pycache__/x.cpython-310.pyc"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("somebody's own")
    return build("sdist", tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist, so that nothing of the tree can help it."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(unpacked)
    return build("wheel", next(unpacked.iterdir()), tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's contents, to come before all else on the path."""
    site = tmp_path_factory.mktemp("site")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        site,
    ]
    done = subprocess.run([*pip, wheel], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return site


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command, from a folder that holds nothing."""
    elsewhere = installed / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, installed / "bin" / "tap-twilio", *arguments],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_sdist_is_the_tree_and_nothing_of_whoever_built_it(sdist: Path, tracked: set[str]) -> None:
    """The tests and what they need are in it, for those who package it; credentials, states and dot-files are not."""
    with tarfile.open(sdist) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in files if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}

    assert files - made == {name for name in tracked if not name.startswith(".") and "/." not in name}


def test_a_wheel_holds_every_schema_and_nothing_that_is_not_the_tap(wheel: Path) -> None:
    """The schemas ship as tap_twilio.schemas; sandbox, demo and tests stay behind."""
    files = zipfile.ZipFile(wheel).namelist()

    assert {path.name for path in (ROOT / "schemas").glob("*.json")} == {
        Path(name).name for name in files if name.endswith(".json") and name != "tap_twilio/evidence.json"
    }
    assert {name.split("/")[0] for name in files} == {"tap_twilio", f"exact_tap_twilio-{__version__}.dist-info"}


def test_a_wheel_holds_every_module_and_says_that_it_is_typed(wheel: Path) -> None:
    """mypy reads the annotations of a package that ships py.typed."""
    files = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("tap_twilio/")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "tap_twilio").rglob("*.py")}

    data = {"tap_twilio/py.typed", "tap_twilio/evidence.json"}
    assert {name for name in files if not name.startswith("tap_twilio/schemas/")} == modules | data


def test_an_installed_wheel_discovers_what_the_tree_does(installed: Path) -> None:
    """Discovery reads the schemas out of the wheel: away from the source, without a config and without a network."""
    done = run(installed, "--discover")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((ROOT / "catalog.json").read_text("utf-8"))


def test_an_installed_wheel_is_itself_what_runs(installed: Path) -> None:
    """The tests above would pass on the source tree as well, were it what Python imports."""
    where = "import tap_twilio, tap_twilio.schemas as s; print(tap_twilio.__file__, s.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", where],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert all(Path(path).is_relative_to(installed) for path in done.stdout.split())


def test_the_version_is_said_once_and_told_to_whoever_asks(installed: Path, wheel: Path) -> None:
    """`--version`, the wheel's name and the package agree."""
    done = run(installed, "--version")

    assert (done.returncode, done.stdout) == (0, f"tap-twilio {__version__}\n")
    assert wheel.name.startswith(f"exact_tap_twilio-{__version__}-")


def test_python_3_10_is_the_floor_everywhere() -> None:
    """pip, ruff, mypy and `make sync` refuse at the same version."""
    floors = {
        "pyproject.toml": r'requires-python = ">=(3\.\d+)"',
        "demo/venv.sh": r"tap-twilio needs (3\.\d+) or later",
    }

    for name, pattern in floors.items():
        assert re.findall(pattern, (ROOT / name).read_text("utf-8")) == ["3.10"], name
    assert PYPROJECT["tool"]["mypy"]["python_version"] == PYTHONS[0] == "3.10"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py310"


# GitHub ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workflows() -> dict[str, Any]:
    """Each workflow, by its file's name."""
    found = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")}
    if not found:
        pytest.skip("an sdist has no .github")
    return found


def test_every_python_that_is_promised_is_tested(workflows: dict[str, Any]) -> None:
    """The classifiers, and the matrix that runs `make test`."""
    job = workflows["test.yml"]["jobs"]["test"]

    assert job["strategy"]["matrix"]["python"] == PYTHONS
    assert job["steps"][-1] == {"run": "make test"}


def test_make_alone_lists_the_commands_and_says_how_long_the_tests_take() -> None:
    """In 80 columns."""
    lines = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()

    assert max(map(len, lines)) <= 80
    assert any(re.match(r"make test .+ about \d+ minutes$", line) for line in lines)
    assert any(line.startswith("make psql ") for line in lines)


def test_the_long_tests_run_each_night(workflows: dict[str, Any]) -> None:
    """On a schedule, with the Pythons beside it that `make test-long` tries besides."""
    nightly = workflows["nightly.yml"]
    setup, run = nightly["jobs"]["test-long"]["steps"][-2:]
    pythons = re.findall(r"(?m)^PYTHONS \?= (.+)$", (ROOT / "Makefile").read_text("utf-8"))[0].split()

    assert nightly[True]["schedule"]  # to YAML, `on` is true
    assert run == {"run": "make test-long"}
    assert set(pythons) < set(setup["with"]["python-version"].split())


def test_every_action_is_pinned_to_a_commit_and_says_its_version(workflows: dict[str, Any]) -> None:
    """A tag can be moved, a commit cannot; the version is for the reader and for Dependabot. One version an action."""
    pins: dict[str, set[str]] = {}
    for name in workflows:
        for line in (ROOT / ".github/workflows" / name).read_text("utf-8").splitlines():
            if "uses:" in line and "uses: $/" not in line:
                pin = re.fullmatch(r" +(?:- )?uses: ([\w./-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
                assert pin, f"{name}: {line}"
                pins.setdefault(pin[1], set()).add(pin[2])

    assert {action: len(versions) for action, versions in pins.items()} == dict.fromkeys(pins, 1)


def test_a_release_is_built_tested_and_published_without_a_password(workflows: dict[str, Any]) -> None:
    """Only the last job may ask for a token of PyPI's, and it runs nothing but two actions and one look at a name."""
    jobs = workflows["release.yml"]["jobs"]

    assert {name for name, job in jobs.items() if "id-token" in job["permissions"]} == {"publish"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert {jobs[name]["uses"] for name in jobs["publish"]["needs"]} == {
        "$/.github/workflows/test.yml",
        "$/.github/workflows/build.yml",
    }
    (look,) = (step["run"] for step in jobs["publish"]["steps"] if "run" in step)
    assert PROJECT["name"].replace("-", "_") in look
    assert not any("secrets" in (ROOT / ".github/workflows" / name).read_text("utf-8") for name in workflows)
