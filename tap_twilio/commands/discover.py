"""`--discover`: the catalog of all streams."""

from __future__ import annotations

import json

from tap_twilio.singer.catalog import discover
from tap_twilio.singer.output import Output


def run() -> int:
    """Print the catalog. Raises TargetGone, OutputFailed."""
    Output().document(json.dumps(discover(), indent=2) + "\n")
    return 0
