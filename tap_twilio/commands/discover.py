"""`--discover`: prints the catalog of all streams."""

from __future__ import annotations

import argparse
import json

from tap_twilio.singer.catalog import discover
from tap_twilio.singer.mask import Mask
from tap_twilio.singer.options import SchemaOptions
from tap_twilio.singer.output import Output
from tap_twilio.singer.selection import build_catalog


def run(arguments: argparse.Namespace) -> int:
    """
    Print the catalog. A config can change the types in its schemas, and `--select` selects streams in it.

    Raises TapError, TargetGone, OutputFailed.
    """
    options = SchemaOptions()
    if arguments.config:
        from tap_twilio.settings import schema_options

        values = schema_options(arguments.config)
        options = SchemaOptions(**{**values, "mask": Mask(values.get("mask", {}))})
    catalog = discover(options=options) if arguments.select is None else build_catalog(arguments.select, options)
    Output().document(json.dumps(catalog, indent=2) + "\n")
    return 0
