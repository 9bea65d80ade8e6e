"""Arguments in, exit code out; the only place that prints an error.

Each command imports what it needs when it needs it: `--version` and `--discover` are asked for far more often than
anybody notices, and pay for no HTTP.
"""

from __future__ import annotations

import argparse
import base64
import logging
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import __version__
from .errors import TapError
from .output import Output, TargetGone

LOGGER = logging.getLogger("tap_twilio")
STOP_WITHIN_S = 5  # after a signal; a target that reads nothing any more does not hold the tap longer
LONGEST = 2000  # characters of a line in the log
QUERY = re.compile(r'(/[^\s"?]*)\?[^\s"]*')  # of an address, in anybody's message: page tokens, phone numbers
NOT_TO_HIDE = 8  # characters: anything shorter is no secret of Twilio's, and would be found in every word


class OneLine(logging.Formatter):
    """A line a record, without tracebacks, which quote code and values, queries, and the secrets that it is told."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(message)s")
        self.secrets: tuple[str, ...] = ()

    def hide(self, user: str, password: str) -> None:
        """Whoever logs it: the secret as it is, and as the Authorization header has it."""
        if len(password) >= NOT_TO_HIDE:
            self.secrets = (password, base64.b64encode(f"{user}:{password}".encode()).decode())

    def format(self, record: logging.LogRecord) -> str:
        try:
            line = " ".join(f"{record.levelname} {record.getMessage()}".split())
        except Exception:  # a message and its arguments that do not match: not worth ending for
            line = f"{record.levelname} {record.msg}"
        for secret in self.secrets:
            line = line.replace(secret, "***")
        line = QUERY.sub(r"\1?***", line)
        return "".join(c if c.isprintable() else "\ufffd" for c in line)[:LONGEST]


def main(argv: list[str] | None = None) -> None:
    """The `tap-twilio` command. Exit codes: README, "Exit codes"."""
    arguments = _parser().parse_args(argv)
    log = _log()
    try:
        _occupy_descriptors()
        code = _discover() if arguments.discover else _sync(arguments, log)
    except TapError as error:
        LOGGER.critical("%s", error)
        code = error.exit_code
    except TargetGone as gone:
        code = gone.exit_code
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # not an error of the user's: named, without a traceback that could hold a secret
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        at = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else "?"
        LOGGER.critical("An error of the tap's own (%s at %s): please report it.", type(error).__name__, at)
        code = 1
    with suppress(OSError, AttributeError):  # closed, or a full disk
        sys.stderr.flush()
    os._exit(code)  # threads that still wait for Twilio do not hold the process


def _log() -> OneLine:
    """Everything that is logged goes to stderr, at the level in LOGLEVEL."""
    handler, line = logging.StreamHandler(), OneLine()
    handler.setFormatter(line)
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.raiseExceptions = False  # a stderr that takes no more is not told so
    level = os.environ.get("LOGLEVEL") or "INFO"
    try:
        logging.getLogger().setLevel(int(level) if level.isdecimal() else level.upper())
    except ValueError:
        LOGGER.warning("LOGLEVEL is not DEBUG, INFO, WARNING, ERROR or CRITICAL: INFO it is")
    return line


def _occupy_descriptors() -> None:
    """
    Where stdin or stderr is closed, something stands in: else a connection to Twilio would get its number.

    Raises TapError for a closed stdout, which could be told from a connection by nobody either.
    """
    if sys.stdout is None:
        raise TapError("stdout is closed: pipe the tap into a target, or into a file.")
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tap-twilio", description="Emits Twilio's collections as Singer messages, exactly.", allow_abbrev=False
    )
    parser.add_argument("--config", metavar="FILE", help="the settings, as in sample_config.json")
    parser.add_argument("--discover", action="store_true", help="print the catalog of streams, and end")
    parser.add_argument("--catalog", "--properties", metavar="FILE", help="which streams and properties to read")
    parser.add_argument("--state", metavar="FILE", help="where the last run ended: the last STATE's value")
    parser.add_argument("--version", action="version", version=f"tap-twilio {__version__}")
    return parser


def _discover() -> int:
    import json

    from .catalog import discover

    Output().document(json.dumps(discover(), indent=2) + "\n")
    return 0


def _sync(arguments: argparse.Namespace, log: OneLine) -> int:
    from . import catalog, config
    from .state import State
    from .sync import Sync

    if not arguments.config:
        raise TapError("Setting file missing: give --config config.json (sample_config.json shows what it holds).")
    settings, warnings = config.load(arguments.config)
    log.hide(settings.user, settings.password)
    for warning in warnings:
        LOGGER.warning("%s", warning)
    selected = catalog.selected_streams(catalog.read_catalog(arguments.catalog) if arguments.catalog else None)
    state = State(config.read_json(arguments.state, "--state") if arguments.state else None)
    if not selected:
        LOGGER.warning("no stream is selected: nothing to do")
    sync = Sync(settings, selected, state, Output())
    stopped = _on_signals(sync)
    try:
        code = sync.run()
    except KeyboardInterrupt:  # stopped before there was anything to end
        code = 130
    return 128 + stopped[0] if stopped else code


def _on_signals(sync: Any) -> list[int]:
    """SIGTERM and SIGINT end the run between two pages, with a last STATE; returns the signals seen, as a list."""
    seen: list[int] = []

    def stop(number: int, frame: object) -> None:
        if seen:
            os._exit(128 + number)
        seen.append(number)
        sync.stop()
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
            signal.setitimer(signal.ITIMER_REAL, STOP_WITHIN_S)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return seen
