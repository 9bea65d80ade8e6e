"""Arguments in, exit code out; the only place that prints an error.

Each command imports what it needs when it needs it: `--version` and `--discover` are asked for far more often than
anybody notices, and pay for no HTTP.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from . import __version__
from .errors import TapError

LOGGER = logging.getLogger("tap_twilio")
STOP_WITHIN_S = 5  # after a signal; a target that reads nothing any more does not hold the tap longer


def main(argv: list[str] | None = None) -> None:
    """The `tap-twilio` command. Exit codes: README, "Exit codes"."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        stream=sys.stderr, level=os.environ.get("LOGLEVEL", "INFO").upper(), format="%(levelname)s %(message)s"
    )
    try:
        code = _discover() if arguments.discover else _sync(arguments)
    except TapError as error:
        LOGGER.critical("%s", " ".join(str(error).split()))
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # not an error of the user's: named, without a traceback that could hold a secret
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        at = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else "?"
        LOGGER.critical("An error of the tap's own (%s at %s): please report it.", type(error).__name__, at)
        code = 1
    sys.stderr.flush()
    os._exit(code)  # threads that still wait for Twilio do not hold the process


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

    print(json.dumps(discover(), indent=2))
    sys.stdout.flush()
    return 0


def _sync(arguments: argparse.Namespace) -> int:
    from . import catalog, config
    from .output import Output, TargetGone
    from .state import State
    from .sync import Sync

    if not arguments.config:
        raise TapError("Setting file missing: give --config config.json (sample_config.json shows what it holds).")
    settings, warnings = config.load(arguments.config)
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
    except TargetGone:
        return TargetGone.exit_code
    return 128 + stopped[0] if stopped else code


def _on_signals(sync: Any) -> list[int]:
    """SIGTERM and SIGINT end the run between two pages, with a last STATE; the signals seen are in the list returned."""
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
