"""The sync command: reads config, catalog and state, and runs `run/sync.py`. `--check` and others use `create_sync`."""

from __future__ import annotations

import argparse
import gc
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tap_twilio.errors import Error, TapError
from tap_twilio.files import read_json
from tap_twilio.log import OneLine
from tap_twilio.reporting.progress import show_progress
from tap_twilio.run.refresh import parse
from tap_twilio.run.sync import Sync
from tap_twilio.settings import Settings, load
from tap_twilio.signals import on_signals
from tap_twilio.singer.catalog import Selected, selected_streams
from tap_twilio.singer.mask import Mask
from tap_twilio.singer.options import SchemaOptions
from tap_twilio.singer.output import Output
from tap_twilio.singer.selection import build_catalog
from tap_twilio.state.store import State

from .summary import SummaryFiles

LOGGER = logging.getLogger("tap_twilio")


def run(arguments: argparse.Namespace, log: OneLine) -> int:
    """
    Run a sync, and write the files that summarize it, also if the sync fails.

    Raises TapError, TargetGone, OutputFailed.
    """
    summary = SummaryFiles(arguments.summary_json, arguments.metrics_file, log.clean_all)
    try:
        code = _run(arguments, log, summary)
    except BaseException as error:
        code = 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)
        message = str(error) if isinstance(error, Error) else f"internal error: {type(error).__name__}"
        with suppress(TapError):  # report the first error only
            summary.write(code, message)
        raise
    summary.write(code)
    return code


def _run(arguments: argparse.Namespace, log: OneLine, summary: SummaryFiles) -> int:
    sync = summary.sync = create_sync(arguments, log.hide)
    gc.freeze()  # modules and settings live as long as the process
    signals = on_signals(sync.stop, summary.write)
    with show_progress(sync.stats, log) as end_progress:
        sync.end_progress = end_progress
        try:
            code = sync.run()
        except KeyboardInterrupt:  # stopped before the first read
            code = 130
    return 128 + signals[0] if signals else code


def create_sync(arguments: argparse.Namespace, hide: Callable[[str, str], None]) -> Sync:
    """Create a sync from the arguments, without sending a request. Raises TapError."""
    settings, selected = read_selection(arguments, hide)
    state = State(read_json(arguments.state, "--state") if arguments.state else None)
    return Sync(settings, selected, state, Output(), hide, parse(arguments.refresh or (), selected))


def read_selection(arguments: argparse.Namespace, hide: Callable[[str, str], None]) -> tuple[Settings, list[Selected]]:
    """
    Return the settings of --config, and the streams of --catalog or --select in the form that the settings ask for.

    Hides each secret of the settings from the log. Raises TapError.
    """
    if not arguments.config:
        raise TapError("No settings: pass --config config.json (sample_config.json is an example).")
    settings, warnings = load(arguments.config)
    for user, password in [(settings.user, settings.password), *settings.credentials.values()]:
        hide(user, password)
    for warning in warnings:
        LOGGER.warning("%s", warning)
    hide("", settings.mask_key or "")
    mask = Mask(settings.mask or {}, settings.mask_key or "")
    options = SchemaOptions(settings.decimals, settings.unknown_properties, mask)
    selected = selected_streams(_catalog(arguments, options), options)
    if not selected:
        raise TapError(
            'No stream is selected: set "selected": true for a stream in the catalog, or name streams, as in '
            "--select calls,messages. --streams prints all of them."
        )
    return settings, selected


def _catalog(arguments: argparse.Namespace, options: SchemaOptions) -> Any:
    """Return the catalog of --catalog or --select; None without either."""
    if arguments.catalog and arguments.select:
        raise TapError("--catalog and --select are both given: leave one of them out.")
    if arguments.select is not None:
        return build_catalog(arguments.select, options)
    return read_json(arguments.catalog, "--catalog") if arguments.catalog else None
