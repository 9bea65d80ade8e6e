"""What pip installs: a wheel built from the tree works away from the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tap_twilio import __version__

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "tap_twilio", "schemas")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of what ships, so that nothing of the tree can help it."""
    tree, built = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree)
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        built,
    ]
    done = subprocess.run([*pip, tree], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(built.glob("*.whl"))


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


def test_a_wheel_holds_every_schema_and_nothing_that_is_not_the_tap(wheel: Path) -> None:
    """The schemas ship as tap_twilio.schemas; sandbox, demo and tests stay behind."""
    files = zipfile.ZipFile(wheel).namelist()

    assert {path.name for path in (ROOT / "schemas").glob("*.json")} == {
        Path(name).name for name in files if name.endswith(".json")
    }
    assert {name.split("/")[0] for name in files} == {"tap_twilio", f"exact_tap_twilio-{__version__}.dist-info"}


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
        "setup.py": r'python_requires=">=(3\.\d+)"',
        "pyproject.toml": r'python_version = "(3\.\d+)"',
        "demo/venv.sh": r"tap-twilio needs (3\.\d+) or later",
    }

    for name, pattern in floors.items():
        assert re.findall(pattern, (ROOT / name).read_text("utf-8")) == ["3.10"], name
    assert 'target-version = "py310"' in (ROOT / "pyproject.toml").read_text("utf-8")
