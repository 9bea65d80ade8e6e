"""`run-sync`: one sync into a target, with lock, state and logs, as a scheduler runs it."""

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
from tap_twilio.files import open_private, parse_state, prepare_output_file, write_atomically, writing_summary
from tap_twilio.log import SCREEN, on_terminal, passed_screen
from tap_twilio.run_sync.folder import Folder
from tap_twilio.run_sync.pipe import Outcome, Pipe
from tap_twilio.timestamps import machine_now, to_second

LOGGER = logging.getLogger("tap_twilio")
EPILOG = "Arguments after -- are passed to the tap, e.g. --config config.json. See docs/production.md."


def run(argv: list[str], hide: Callable[[str, str], None]) -> int:
    """Run tap and target, and return the exit code of both (docs/production.md). Raises TapError, AlreadyRunning."""
    if importlib.util.find_spec("fcntl") is None:
        raise TapError("run-sync does not run on Windows: use WSL or a container, or pipe the tap into the target.")
    end = argv.index("--") if "--" in argv else len(argv)
    arguments, given = _parser().parse_args(argv[:end]), argv[end + 1 :]
    if any(word == "--state" or word.startswith("--state=") for word in given):
        raise TapError("run-sync passes the state to the tap: put --state before --, not after it.")
    tap = _command(arguments.tap, "--tap") if arguments.tap else _this_tap()
    target = _command(arguments.target, "--target")
    store = _state_store(arguments.state)
    summary = Path(arguments.summary_json) if arguments.summary_json else None
    with ExitStack() as stack:
        lock = stack.enter_context(store.alone())
        logs = stack.enter_context(_logs(arguments.logs))
        if summary:
            with writing_summary(summary):
                prepare_output_file(summary)
        last = store.last()
        state = ["--state", str(last)] if last else []
        began = time.monotonic()
        pipe = Pipe(store.keep, store.beat)
        outcome = pipe.run([*tap, *given, *state], target, lock, logs, _screen(arguments.logs))
        code = _exit_code(outcome)
        _log_end(code, outcome, f"{time.monotonic() - began:.0f} s", str(store), arguments.logs, logs)
        if summary:
            _write_summary(summary, code, outcome, store.last())
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
        help="folder of the state and the lock, or an address such as s3://bucket/twilio",
    )
    parser.add_argument(
        "--logs",
        metavar="FOLDER",
        help="append both logs to tap.log and target.log there, and print only problems here",
    )
    parser.add_argument("--summary-json", metavar="FILE", help="write a summary of the run to this file, as JSON")
    parser.add_argument("--tap", metavar="COMMAND", help="run another tap instead of this one")
    return parser


def _command(text: str, option: str) -> list[str]:
    """Split a command as a shell does, and return its words. Raises TapError if there is no such program."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise TapError(f"{option} {text}: {error}. Quote it as for a shell.") from None
    if not words:
        raise TapError(f"{option} is empty: name a command, as in --target 'target-postgres --config target.json'.")
    if not shutil.which(words[0]):
        raise TapError(f"{option} {words[0]}: there is no such program. Give its path, or install it.")
    return words


def _this_tap() -> list[str]:
    """Return the command of this tap, as it was started."""
    script = Path(sys.argv[0])
    return [sys.executable, *(("-m", "tap_twilio") if script.name == "__main__.py" else (str(script),))]


def _state_store(where: str) -> Any:
    """Return a `Folder`, or an object store with the same methods. Raises TapError."""
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
    """Open the log files of tap and target, and write a heading for this run; None: the stderr of this process."""
    if where is None:
        yield None, None
        return
    folder = Path(where)
    with ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            tap, target = (
                stack.enter_context(open(folder / name, "ab", buffering=0, opener=open_private))
                for name in ("tap.log", "target.log")
            )
            for file in (tap, target):
                _line(file, f"--- {to_second(machine_now())} tap-twilio {__version__} run-sync")
        except OSError as error:
            raise TapError(f"--logs {where}: cannot be written ({error.strerror}).") from None
        yield tap, target


def _screen(where: str | None) -> dict[str, int]:
    """Return the environment variable that tells the tap its screen, if its stderr is a file."""
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


def _log_end(
    code: int,
    outcome: Outcome,
    took: str,
    place: str,
    where: str | None,
    logs: tuple[IO[bytes] | None, IO[bytes] | None],
) -> None:
    """Log the closing line. With --logs, it comes to stderr only if there is something to do."""
    kept = "no STATE was confirmed, so the next sync begins where this one did"
    if outcome.states:
        kept = f"state saved {time.monotonic() - outcome.kept_at:.0f} s ago in {place}"
    early = ", before it had read everything" if outcome.target_left else ""
    line = (
        f"tap-twilio ended with {outcome.tap_exit}, the target with {outcome.target_exit}{early}, after {took};"
        f" {outcome.rows} rows sent; {kept}"
    )
    if outcome.missing:
        LOGGER.error(
            "the target ended with 0 but never confirmed the last STATE: up to %d rows may be missing. "
            "The next sync continues from the last confirmed STATE",
            outcome.missing,
        )
    fine = code == 0 and outcome.states
    for file in filter(None, logs):
        _line(file, f"--- {to_second(machine_now())} {line}")
    if where is None or not fine:
        LOGGER.log(logging.INFO if fine else logging.WARNING, "%s", line)
    if where is not None and not fine:
        for name in ("tap.log", "target.log"):
            if last := _last_line(Path(where) / name):
                LOGGER.warning("%s ends with: %s", Path(where) / name, last)


def _last_line(path: Path) -> str:
    """Return the last line that a process logged in this run; empty if it logged nothing."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 10_000))
        lines = file.read().decode("utf-8", "replace").splitlines()
    logged = [line for line in lines if line.strip()][:-1]
    return logged[-1] if logged and not logged[-1].startswith("--- ") else ""


def _write_summary(path: Path, code: int, outcome: Outcome, state: Path | None) -> None:
    bookmarks = (parse_state(state.read_bytes()) or {}).get("bookmarks", {}) if state else {}
    summary = {
        "exit_code": code,
        "tap_exit": outcome.tap_exit,
        "target_exit": outcome.target_exit,
        "rows": outcome.rows,
        "missing": outcome.missing,
        "states": outcome.states,
        "ended_at": to_second(machine_now()),
        "bookmarks": {stream: _bookmark(part) for stream, part in bookmarks.items()},
    }
    with writing_summary(path):
        write_atomically(path, json.dumps(summary).encode() + b"\n")


def _bookmark(part: Any) -> Any:
    """Return a stream's bookmark; another tap's may be text alone."""
    return part.get("date_updated") if isinstance(part, dict) else part


def _line(file: IO[bytes], text: str) -> None:
    file.write(text.encode() + b"\n")
