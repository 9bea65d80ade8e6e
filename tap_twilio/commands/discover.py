"""`--discover`: the catalog of all streams."""

from __future__ import annotations

import argparse
import json

from tap_twilio.singer.catalog import discover
from tap_twilio.singer.options import Forms
from tap_twilio.singer.output import Output
from tap_twilio.singer.selection import chosen


def run(arguments: argparse.Namespace) -> int:
    """
    Print the catalog, its schemas in the form that a config asks for, where one is given; with what `--select` takes.

    Raises TapError, TargetGone, OutputFailed.
    """
    asked = Forms()
    if arguments.config:
        from tap_twilio.settings import forms

        asked = Forms(**forms(arguments.config))
    catalog = discover(forms=asked) if arguments.select is None else chosen(arguments.select, asked)
    Output().document(json.dumps(catalog, indent=2) + "\n")
    return 0
