"""
Arguments in, exit code out; the only place that prints an error.

Each command is imported when it is asked for: `--version` needs neither HTTP nor singer-python.
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
from .errors import TapError, TargetGone
from .log import FORMS, OneLine, begin_log, passed_screen

LOGGER = logging.getLogger("tap_twilio")
# Commands with arguments of their own: the first argument -> a module in commands/, with `run(argv, hide)`.
COMMANDS = {"run-sync": "run_sync", "state": "state"}


def main(argv: list[str] | None = None) -> None:
    """The `tap-twilio` command. Exit codes: docs/production.md, "Exit codes"."""
    gc.set_threshold(100_000, 20, 100)  # neither modules nor pages make circles: to look for some is mostly in vain
    argv = sys.argv[1:] if argv is None else argv
    command = COMMANDS.get(argv[0]) if argv else None
    arguments = None if command else _parser().parse_args(argv)
    log = begin_log(arguments.log_format, passed_screen()) if arguments else begin_log()
    try:
        _occupy_descriptors()
        if arguments is None:
            code = import_module(f"{__package__}.commands.{command}").run(argv[1:], log.hide)
        else:
            code = _run(arguments, log)
    except TapError as error:
        LOGGER.critical("%s", error)
        code = error.exit_code
    except TargetGone as gone:
        code = gone.exit_code
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # not an error of the user's: named, without a traceback that could hold a secret
        LOGGER.critical("An error of the tap's own (%s at %s): please report it.", type(error).__name__, _place(error))
        code = 1
    with suppress(OSError, AttributeError):  # closed, or a full disk
        sys.stderr.flush()
    os._exit(code)  # threads that still wait for Twilio do not hold the process


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tap-twilio",
        description="Emits Twilio's collections as Singer messages, exactly.",
        epilog=f"With arguments of their own: {', '.join(f'tap-twilio {name} --help' for name in COMMANDS)}.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", metavar="FILE", action="append", help="the settings, as in sample_config.json; ENV: TAP_TWILIO_…"
    )
    parser.add_argument("--discover", action="store_true", help="print the catalog of streams, and end")
    parser.add_argument("--catalog", "--properties", metavar="FILE", help="which streams and properties to read")
    parser.add_argument("--select", metavar="STREAMS", help="in place of a catalog: calls,messages.!body,studio_*")
    parser.add_argument("--streams", action="store_true", help="print what can be selected, and end")
    parser.add_argument(
        "--check", "--test", action="store_true", help="ask for a page of each selected stream, and end"
    )
    parser.add_argument("--accounts-json", action="store_true", help="print which accounts a sync would read, and end")
    parser.add_argument("--about", action="store_true", help="print what the tap is and can be set to, and end")
    parser.add_argument("--state", metavar="FILE", help="where the last run ended: the last STATE's value")
    parser.add_argument("--log-format", choices=FORMS, help="of the log, on stderr; or TAP_TWILIO_LOG_FORMAT; text")
    parser.add_argument("--summary-json", metavar="FILE", help="write what the sync did there, when it has ended")
    parser.add_argument("--version", action="version", version=f"tap-twilio {__version__}")
    return parser


def _run(arguments: argparse.Namespace, log: OneLine) -> int:
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


def _occupy_descriptors() -> None:
    """
    Where stdin or stderr is closed, open something in its place: else a connection to Twilio would get its number.

    Raises TapError for a closed stdout: nobody could tell it from a connection.
    """
    if sys.stdout is None:
        raise TapError("stdout is closed: pipe the tap into a target, or into a file.")
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _place(error: Exception) -> str:
    """The file and line where an error was raised."""
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    return f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else "?"
