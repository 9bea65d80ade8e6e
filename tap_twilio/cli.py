"""
The command line: parses the arguments, runs one command of commands/, logs its error, and exits with its code.

A command is imported only when it runs, so that `--version` needs neither HTTP nor singer-python.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from . import __version__
from .commands import ArgumentParser
from .errors import AlreadyRunning, TapError, TargetGone
from .log import LOG_FORMATS, OneLine, begin_log, passed_screen

LOGGER = logging.getLogger("tap_twilio")
# Commands with arguments of their own: the first argument -> a module in commands/, with `run(argv, log)`.
COMMANDS = {"audit": "audit", "run-sync": "run_sync", "state": "state"}
# Words that are taken for a command -> the command to use.
MEANT = {"sync": "run-sync, or --config alone", "run": "run-sync", "check": "--check", "discover": "--discover"}
EPILOG = """\
other commands, with arguments of their own:
  tap-twilio run-sync --help    run the tap into a target, and save the state
  tap-twilio audit --help       compare a warehouse with Twilio
  tap-twilio state --help       show a state, split it, or merge its shards

examples:
  tap-twilio --config config.json --check
  tap-twilio --config config.json --select calls,messages > rows.jsonl
  tap-twilio run-sync --target 'target-postgres --config target.json' \\
      --state . -- --config config.json

settings: docs/settings.md, or the output of --about
exit codes (docs/production.md has what to do):
  0  everything was read
  1  nothing was read, or the sync was cut short; the log says why
  2  wrong arguments
  3  some streams of some accounts failed; the next sync continues there
  4  run-sync: the target failed
  5  run-sync: another sync is still running
  6  audit: rows differ
  130, 143  stopped by a signal; the next sync continues
"""


def main(argv: list[str] | None = None) -> None:
    """Run the `tap-twilio` command. Exit codes: docs/production.md, "Exit codes"."""
    gc.set_threshold(100_000, 20, 100)  # modules and pages hold no reference cycles
    argv = sys.argv[1:] if argv is None else argv
    command = COMMANDS.get(argv[0]) if argv else None
    arguments = None if command else _parse(argv)
    log = begin_log(arguments.log_format, passed_screen()) if arguments else begin_log()
    try:
        _open_standard_streams()
        if arguments is None:
            code = import_module(f"{__package__}.commands.{command}").run(argv[1:], log)
        else:
            code = _run(arguments, log)
    except AlreadyRunning as error:
        LOGGER.warning("%s", error)
        code = error.exit_code
    except TapError as error:
        LOGGER.critical("%s", error)
        code = error.exit_code
    except TargetGone as gone:
        code = gone.exit_code
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # logged without a traceback, which could hold a secret
        LOGGER.critical("Internal error (%s at %s): please report it.", type(error).__name__, _location(error))
        code = 1
    with suppress(OSError, AttributeError):  # stderr is closed, or the disk is full
        sys.stderr.flush()
    os._exit(code)  # do not wait for threads that wait for Twilio


def _parse(argv: list[str]) -> argparse.Namespace:
    """Parse the options. For a word that is no command, exit with the command that was probably meant."""
    parser = _parser()
    if argv and argv[0] in MEANT:
        parser.error(f"there is no command {argv[0]}: use {MEANT[argv[0]]}")
    return parser.parse_args(argv)


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog="tap-twilio",
        description="Reads Twilio's API, and writes Singer messages to stdout.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "--config", metavar="FILE", action="append", help="settings file; ENV: read TAP_TWILIO_* variables"
    )
    parser.add_argument("--discover", action="store_true", help="print the catalog and exit")
    parser.add_argument("--catalog", "--properties", metavar="FILE", help="catalog file, which selects streams")
    parser.add_argument("--select", metavar="STREAMS", help="select without a catalog: calls,messages.!body,studio_*")
    parser.add_argument(
        "--streams", action="store_true", help="print all streams, mark those that are on by default, and exit"
    )
    parser.add_argument("--check", "--test", action="store_true", help="read one page of each selected stream and exit")
    parser.add_argument(
        "--shapes", metavar="FILE", help="with --check: write the forms of the answers to this file, without values"
    )
    parser.add_argument(
        "--accounts-json", action="store_true", help="print all accounts, mark those that are read, and exit"
    )
    parser.add_argument("--about", action="store_true", help="print capabilities and settings as JSON and exit")
    parser.add_argument("--state", metavar="FILE", help="state file from the previous run")
    parser.add_argument(
        "--refresh",
        metavar="ROWS",
        action="append",
        help="write these rows again: calls, messages:2026-03-01..2026-03-07 or an account; may be repeated",
    )
    parser.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        help="format of the log on stderr (or TAP_TWILIO_LOG_FORMAT); default: text",
    )
    parser.add_argument("--summary-json", metavar="FILE", help="write a summary of the sync to this file, as JSON")
    parser.add_argument("--metrics-file", metavar="FILE", help="write metrics of the sync to this file, for Prometheus")
    parser.add_argument("--version", action="version", version=f"tap-twilio {__version__}")
    return parser


def _run(arguments: argparse.Namespace, log: OneLine) -> int:
    if arguments.shapes and not arguments.check:
        raise TapError("--shapes needs --check: it describes the pages that --check reads.")
    if arguments.refresh and (not_a_sync := _not_a_sync(arguments)):
        raise TapError(f"--refresh needs a sync, and --{not_a_sync} is none: leave one of them out.")
    if arguments.discover:
        from .commands import discover

        return discover.run(arguments)
    if arguments.about or arguments.streams:
        from .commands import about

        return about.about() if arguments.about else about.streams()
    if arguments.check:
        from .commands import check

        return check.run(arguments, log.hide)
    if arguments.accounts_json:
        from .commands import accounts

        return accounts.run(arguments, log.hide)
    from .commands import sync

    return sync.run(arguments, log)


def _not_a_sync(arguments: argparse.Namespace) -> str | None:
    """Return the option by which the tap does something else than a sync."""
    options = ("discover", "about", "streams", "check", "accounts_json")
    return next((name.replace("_", "-") for name in options if getattr(arguments, name)), None)


def _open_standard_streams() -> None:
    """
    Open /dev/null as stdin or stderr if it is closed. Otherwise a connection to Twilio would get its number.

    Raises TapError if stdout is closed.
    """
    if sys.stdout is None:
        raise TapError("stdout is closed: pipe the tap into a target or a file.")
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _location(error: Exception) -> str:
    """Return the file and the line that raised an error."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else "?"
