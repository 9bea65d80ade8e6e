"""An environment of its own for each target: a Python of this machine that fits, and the pinned version."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .declared import ROOT, Target


class Refusal(Exception):
    """One line: why a target cannot be tried here."""


def made(target: Target) -> None:
    """Make the environment, unless it is there as declared. Raises Refusal."""
    stamp, wanted = target.environment / "made", " ".join([target.package, *target.extra])
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    python = target.interpreter()
    if python is None:
        raise Refusal(f"no Python of {', '.join(target.pythons)} is on PATH")
    print(f"Installing {wanted} with {python} ...", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", target.environment], check=True, cwd=ROOT)
    command: list[str | Path] = [
        target.python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    done = subprocess.run([*command, target.package, *target.extra], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refusal(f"it does not install: {_why(done.stderr)}")
    stamp.write_text(wanted)


def _why(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if "rror" in line and "subprocess-exited" not in line]
    return (lines or output.splitlines() or ["pip says nothing"])[0][:160]
