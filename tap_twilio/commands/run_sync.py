"""
`run-sync`: runs one sync into a target, with a lock, a saved state and logs, as a scheduler needs it.

run_sync/ has its parts: pipe.py runs the two processes; folder.py and object_store.py save the state.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tap_twilio import __version__
from tap_twilio.errors import TapError, TargetFailed
from tap_twilio.files import open_private, parse_state, prepare_output_file, write_atomically, writing
from tap_twilio.log import SCREEN, OneLine, on_terminal, passed_screen
from tap_twilio.run_sync.float_warning import FloatWarning
from tap_twilio.run_sync.folder import Folder
from tap_twilio.run_sync.pipe import Outcome, Pipe
from tap_twilio.timestamps import machine_now, to_second

from . import ArgumentParser

LOGGER = logging.getLogger("tap_twilio")
Logs = tuple[IO[bytes] | None, IO[bytes] | None]  # of tap and target
AUDITED_DAYS = "--days 3 --sample 5"
EXAMPLE = "tap-twilio run-sync --target 'target-postgres --config target.json' --state . -- --config config.json"
EPILOG = """\
TAP_ARGS are passed to the tap, as in this example:
  tap-twilio run-sync --target 'target-postgres --config target.json' \\
      --state . -- --config config.json

docs/production.md has the exit codes, and describes the logs and the state.
"""
# A line that names an error: an exception at its beginning, as in a traceback, or the level of a log line.
ERROR_LINE = re.compile(
    r"((\w+\.)*\w*(Error|Exception)|(\w+\.)+[A-Z]\w*): |([^\s\[].{,80}[\s|\[])?(ERROR|CRITICAL)[\s|\]:]"
)


def run(argv: list[str], log: OneLine) -> int:
    """Run tap and target, and return an exit code (docs/production.md). Raises TapError, AlreadyRunning."""
    if importlib.util.find_spec("fcntl") is None:
        raise TapError("run-sync does not run on Windows: use WSL or a container, or pipe the tap into the target.")
    end = argv.index("--") if "--" in argv else len(argv)
    parser = _parser()
    arguments, unknown = parser.parse_known_args(argv[:end])
    if unknown:
        parser.error(f"unknown arguments: {' '.join(unknown)}. Put the tap's arguments after --, as in: {EXAMPLE}")
    tap_arguments = argv[end + 1 :]
    if "--" not in argv and not arguments.tap:
        parser.error(f"pass the tap's --config after --, as in: {EXAMPLE}")
    if any(word == "--state" or word.startswith("--state=") for word in tap_arguments):
        raise TapError("run-sync passes the state to the tap: put --state before --, not after it.")
    tap = _split_command(arguments.tap, "--tap") if arguments.tap else _this_tap()
    target = _split_command(arguments.target, "--target")
    store = _open_store(arguments.state)
    summary = Path(arguments.summary_json) if arguments.summary_json else None
    with ExitStack() as stack:
        lock = stack.enter_context(store.hold_lock())
        logs = stack.enter_context(_open_logs(arguments.logs))
        if summary:
            with writing("--summary-json", summary):
                prepare_output_file(summary)
        last_state = store.load()
        state = ["--state", str(last_state)] if last_state else []
        began = time.monotonic()
        # With a state, the columns have their types already.
        look = (lambda lines: None) if state else FloatWarning(target).look
        pipe = Pipe(store.save, store.renew_lock, look)
        outcome = pipe.run([*tap, *tap_arguments, *state], target, lock, logs, _pass_screen(arguments.logs))
        code = _exit_code(outcome)
        _log_end(code, outcome, f"{time.monotonic() - began:.0f} s", str(store), arguments.logs, logs)
        if summary:
            _write_summary(summary, code, outcome, store.load())
    if arguments.audit is not None and code in (0, 3):
        code = _audit(arguments.audit, tap_arguments, target, store.load(), code, summary)
    return code


def _audit(
    options: str, tap_arguments: list[str], target: list[str], state: Path | None, code: int, summary: Path | None
) -> int:
    """Audit some days after a sync, and return the exit code. The lock was given back: other syncs may run."""
    if "--config" not in target:
        raise TapError("--audit: the target's command names no --config. Run tap-twilio audit --url yourself.")
    target_config = target[target.index("--config") + 1]
    command = [
        *_this_tap(),
        "audit",
        *_without_refresh(tap_arguments),
        "--target-config",
        target_config,
        *shlex.split(options),
    ]
    command += ["--format", "json", *(["--state", str(state)] if state else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603  # our own command
    verdict = {"exit_code": done.returncode}
    with suppress(ValueError):
        verdict |= json.loads(done.stdout)
    result = {0: ": all that it compared is equal", 6: ": rows differ; tap-twilio audit names them"}
    level = logging.WARNING if done.returncode else logging.INFO
    LOGGER.log(level, "the audit ended with %d%s", done.returncode, result.get(done.returncode, ""))
    if summary:
        with writing("--summary-json", summary):
            written = {**json.loads(summary.read_bytes()), "audit": verdict}
            write_atomically(summary, json.dumps(written).encode() + b"\n")
    return code or done.returncode


def _without_refresh(tap_arguments: list[str]) -> list[str]:
    """Return the tap's arguments without `--refresh`, which an audit does not take."""
    kept, words = [], iter(tap_arguments)
    for word in words:
        if word == "--refresh":
            next(words, None)
        elif not word.startswith("--refresh="):
            kept.append(word)
    return kept


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog="tap-twilio run-sync",
        description="Runs the tap into a target, and saves the last STATE that the target confirmed.",
        epilog=EPILOG,
        usage="%(prog)s --target COMMAND --state FOLDER [options] -- TAP_ARGS",
    )
    parser.add_argument(
        "--target", metavar="COMMAND", required=True, help="the target, such as 'target-postgres --config target.json'"
    )
    parser.add_argument(
        "--state",
        metavar="FOLDER",
        required=True,
        help="folder of the state and the lock, or an address such as s3://bucket/twilio",
    )
    parser.add_argument(
        "--logs",
        metavar="FOLDER",
        help="append both logs to tap.log and target.log there, and print only problems here",
    )
    parser.add_argument("--summary-json", metavar="FILE", help="write a summary of the run to this file, as JSON")
    parser.add_argument(
        "--audit",
        nargs="?",
        const=AUDITED_DAYS,
        metavar="OPTIONS",
        help=f"after the sync, compare some days with Twilio ({AUDITED_DAYS}), by the target's own config",
    )
    parser.add_argument("--tap", metavar="COMMAND", help="run another tap instead of this one")
    return parser


def _split_command(text: str, option: str) -> list[str]:
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
    """Return the command that started this process, without its arguments."""
    script = Path(sys.argv[0])
    return [sys.executable, *(("-m", "tap_twilio") if script.name == "__main__.py" else (str(script),))]


def _open_store(location: str) -> Any:
    """Return a `Folder`, or an `ObjectStore`, which has the same methods. Raises TapError."""
    if location.startswith("file://"):
        location = location.removeprefix("file://")
    if "://" not in location:
        return Folder(Path(location))
    try:
        object_store = importlib.import_module("tap_twilio.run_sync.object_store")
    except ImportError:
        raise TapError(f"--state {location}: addresses need pip install 'exact-tap-twilio[state]'.") from None
    return object_store.ObjectStore(location)


@contextmanager
def _open_logs(logs: str | None) -> Iterator[Logs]:
    """Open the log files in the folder `logs`, and write a heading for this run. Without a folder, yield None twice."""
    if logs is None:
        yield None, None  # tap and target write to the stderr of this process
        return
    folder = Path(logs)
    with ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            tap, target = (
                stack.enter_context(open(folder / name, "ab", buffering=0, opener=open_private))
                for name in ("tap.log", "target.log")
            )
            for file in (tap, target):
                _write_line(file, f"--- {to_second(machine_now())} tap-twilio {__version__} run-sync")
        except OSError as error:
            raise TapError(f"--logs {logs}: cannot be written ({error.strerror}).") from None
        yield tap, target


def _pass_screen(logs: str | None) -> dict[str, int]:
    """Return the environment variable that names the screen to the tap, if the tap's stderr is a file."""
    if logs is None:
        return {}
    descriptor = passed_screen() or (os.dup(sys.stderr.fileno()) if on_terminal() else None)
    return {} if descriptor is None else {SCREEN: descriptor}


def _exit_code(outcome: Outcome) -> int:
    """Return 128 + N if a signal stopped the run, 4 if the target failed, and else the tap's exit code."""
    if outcome.signals and (len(outcome.signals) > 1 or not outcome.target_exit):
        return 128 + outcome.signals[0]
    if outcome.target_exit or outcome.target_left_early or outcome.missing:
        return TargetFailed.exit_code
    return outcome.tap_exit


def _log_end(
    code: int,
    outcome: Outcome,
    duration: str,
    location: str,
    folder: str | None,
    logs: Logs,
) -> None:
    """Log the closing line. With --logs, print it only if the user must act."""
    saved = "no STATE was confirmed, so the next sync begins where this one did"
    if outcome.states:
        saved = f"state saved {time.monotonic() - outcome.saved_at:.0f} s ago in {location}"
    early = ", before it had read everything" if outcome.target_left_early else ""
    line = (
        f"tap-twilio ended with {outcome.tap_exit}, the target with {outcome.target_exit}{early}, after {duration};"
        f" {outcome.rows} rows sent; {saved}"
    )
    if outcome.missing:
        LOGGER.error(
            "the target ended with 0 but never confirmed the last STATE: up to %d rows may be missing. "
            "The next sync continues from the last confirmed STATE",
            outcome.missing,
        )
    is_good = code == 0 and outcome.states
    for file in filter(None, logs):
        _write_line(file, f"--- {to_second(machine_now())} {line}")
    if folder is None or not is_good:
        LOGGER.log(logging.INFO if is_good else logging.WARNING, "%s", line)
    if folder is not None and not is_good:
        for name in ("tap.log", "target.log"):
            if error_line := _error_line(
                Path(folder) / name, or_last_line=name == "target.log" or not outcome.target_exit
            ):
                LOGGER.warning("%s says: %s", Path(folder) / name, error_line)


def _error_line(path: Path, or_last_line: bool) -> str:
    """Return the last line of this run in a log that names an error, or else its last line if asked; empty if none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 100_000))
        lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    lines.pop()  # our closing line
    heading = max((number for number, line in enumerate(lines) if line.startswith("--- ")), default=-1)
    run = lines[heading + 1 :]
    return next((line for line in reversed(run) if ERROR_LINE.match(line)), run[-1] if run and or_last_line else "")


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
    with writing("--summary-json", path):
        write_atomically(path, json.dumps(summary).encode() + b"\n")


def _bookmark(part: Any) -> Any:
    """Return a stream's bookmark; other taps may write it as a text."""
    return part.get("date_updated") if isinstance(part, dict) else part


def _write_line(file: IO[bytes], text: str) -> None:
    file.write(text.encode() + b"\n")
