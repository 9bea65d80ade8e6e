"""`run-sync`: one sync into a target, as a scheduler runs it. Nothing else is to be written around it."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import logging
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from tap_twilio import __version__
from tap_twilio.errors import TapError, TargetFailed
from tap_twilio.files import make_way, private, replace, state_in, writing_summary
from tap_twilio.log import SCREEN, on_terminal, passed_screen
from tap_twilio.run_sync.folder import Folder
from tap_twilio.run_sync.pipe import Outcome, Pipe
from tap_twilio.timestamps import machine_now, to_second

LOGGER = logging.getLogger("tap_twilio")
EPILOG = "What stands behind -- goes to the tap: --config config.json, for one. docs/production.md tells more."


def run(argv: list[str], hide: Callable[[str, str], None]) -> int:
    """The exit code of both ends: docs/production.md, "Exit codes". Raises TapError, Locked among them."""
    if importlib.util.find_spec("fcntl") is None:
        raise TapError("run-sync does not run on Windows: use WSL or a container, or pipe the tap into the target.")
    end = argv.index("--") if "--" in argv else len(argv)
    arguments, given = _parser().parse_args(argv[:end]), argv[end + 1 :]
    if any(word == "--state" or word.startswith("--state=") for word in given):
        raise TapError("run-sync gives the tap its state: leave --state out of what stands behind --.")
    tap = _command(arguments.tap, "--tap") if arguments.tap else _this_tap()
    target = _command(arguments.target, "--target")
    place = _place(arguments.state)
    summary = Path(arguments.summary_json) if arguments.summary_json else None
    with ExitStack() as stack:
        lock = stack.enter_context(place.alone())
        logs = stack.enter_context(_logs(arguments.logs))
        if summary:
            with writing_summary(summary):
                make_way(summary)
        last = place.last()
        state = ["--state", str(last)] if last else []
        began = time.monotonic()
        pipe = Pipe(place.keep, place.beat)
        outcome = pipe.run([*tap, *given, *state], target, lock, logs, _screen(arguments.logs))
        code = _exit_code(outcome)
        _tell(code, outcome, f"{time.monotonic() - began:.0f} s", str(place), arguments.logs, logs)
        if summary:
            _write_summary(summary, code, outcome, place.last())
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tap-twilio run-sync",
        description="Runs the tap into a target, and keeps the last STATE that the target confirmed.",
        epilog=EPILOG,
        usage="%(prog)s --target COMMAND --state PLACE [options] -- TAP'S ARGUMENTS",
        allow_abbrev=False,
    )
    parser.add_argument("--target", metavar="COMMAND", required=True, help="'target-postgres --config target.json'")
    parser.add_argument(
        "--state",
        metavar="PLACE",
        required=True,
        help="where the state and the lock are kept: a folder, or an address such as s3://bucket/twilio",
    )
    parser.add_argument(
        "--logs",
        metavar="FOLDER",
        help="append what both say to tap.log and target.log there, and say here only what a person must look at",
    )
    parser.add_argument("--summary-json", metavar="FILE", help="write how it went there, for programs")
    parser.add_argument("--tap", metavar="COMMAND", help="another tap in the place of this one")
    return parser


def _command(text: str, what: str) -> list[str]:
    """The words of a command, as a shell splits them; its program is there. Raises TapError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise TapError(f"{what} {text}: {error}. Quote it as for a shell.") from None
    if not words:
        raise TapError(f"{what} is empty: name a command, as in --target 'target-postgres --config target.json'.")
    if not shutil.which(words[0]):
        raise TapError(f"{what} {words[0]}: there is no such program. Give its path, or install it.")
    return words


def _this_tap() -> list[str]:
    """The tap that runs, as it was started."""
    script = Path(sys.argv[0])
    return [sys.executable, *(("-m", "tap_twilio") if script.name == "__main__.py" else (str(script),))]


def _place(where: str) -> Any:
    """A `Folder`, or what answers to the same calls elsewhere. Raises TapError."""
    if where.startswith("file://"):
        where = where.removeprefix("file://")
    if "://" not in where:
        return Folder(Path(where))
    try:
        remote = importlib.import_module("tap_twilio.run_sync.object_store")
    except ImportError:
        raise TapError(f"--state {where}: addresses need pip install 'exact-tap-twilio[state]'.") from None
    return remote.Remote(where)


@contextmanager
def _logs(where: str | None) -> Iterator[tuple[IO[bytes] | None, IO[bytes] | None]]:
    """Files for the stderr of tap and target, each run's part with a heading; None: this process's stderr."""
    if where is None:
        yield None, None
        return
    folder = Path(where)
    with ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            tap, target = (
                stack.enter_context(open(folder / name, "ab", buffering=0, opener=private))
                for name in ("tap.log", "target.log")
            )
            for file in (tap, target):
                _line(file, f"--- {to_second(machine_now())} tap-twilio {__version__} run-sync")
        except OSError as error:
            raise TapError(f"--logs {where}: cannot be written ({error.strerror}).") from None
        yield tap, target


def _screen(where: str | None) -> dict[str, int]:
    """Return where a person looks, for a tap whose stderr is a file: by the variable that names it to the tap."""
    if where is None:
        return {}
    descriptor = passed_screen() or (os.dup(sys.stderr.fileno()) if on_terminal() else None)
    return {} if descriptor is None else {SCREEN: descriptor}


def _exit_code(outcome: Outcome) -> int:
    if outcome.signals and (len(outcome.signals) > 1 or not outcome.target_exit):
        return 128 + outcome.signals[0]
    if outcome.target_exit or outcome.target_left or outcome.missing:
        return TargetFailed.exit_code
    return outcome.tap_exit


def _tell(
    code: int,
    outcome: Outcome,
    took: str,
    place: str,
    where: str | None,
    logs: tuple[IO[bytes] | None, IO[bytes] | None],
) -> None:
    """The closing line. With --logs it is said here only if there is something to do."""
    kept = "no STATE came, so the next sync begins where this one did"
    if outcome.states:
        kept = f"state kept {time.monotonic() - outcome.kept_at:.0f} s ago in {place}"
    early = ", before it had read all" if outcome.target_left else ""
    line = (
        f"tap-twilio ended with {outcome.tap_exit}, the target with {outcome.target_exit}{early}, after {took};"
        f" {outcome.rows} rows sent; {kept}"
    )
    if outcome.missing:
        LOGGER.error(
            "the target ended with 0 but never confirmed the last STATE: up to %d rows may be missing. "
            "The next sync goes on from the STATE that it confirmed",
            outcome.missing,
        )
    fine = code == 0 and outcome.states
    for file in filter(None, logs):
        _line(file, f"--- {to_second(machine_now())} {line}")
    if where is None or not fine:
        LOGGER.log(logging.INFO if fine else logging.WARNING, "%s", line)
    if where is not None and not fine:
        for name in ("tap.log", "target.log"):
            if said := _last_line(Path(where) / name):
                LOGGER.warning("%s ends with: %s", Path(where) / name, said)


def _last_line(path: Path) -> str:
    """What a process said last in this run; empty where it said nothing."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 10_000))
        lines = file.read().decode("utf-8", "replace").splitlines()
    said = [line for line in lines if line.strip()][:-1]
    return said[-1] if said and not said[-1].startswith("--- ") else ""


def _write_summary(path: Path, code: int, outcome: Outcome, state: Path | None) -> None:
    bookmarks = (state_in(state.read_bytes()) or {}).get("bookmarks", {}) if state else {}
    summary = {
        "exit_code": code,
        "tap_exit": outcome.tap_exit,
        "target_exit": outcome.target_exit,
        "rows": outcome.rows,
        "missing": outcome.missing,
        "states": outcome.states,
        "ended_at": to_second(machine_now()),
        "bookmarks": {stream: _bookmark(about) for stream, about in bookmarks.items()},
    }
    with writing_summary(path):
        replace(path, json.dumps(summary).encode() + b"\n")


def _bookmark(about: Any) -> Any:
    """Return a stream's bookmark; another tap's may be text alone."""
    return about.get("date_updated") if isinstance(about, dict) else about


def _line(file: IO[bytes], text: str) -> None:
    file.write(text.encode() + b"\n")
