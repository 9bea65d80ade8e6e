"""`--about` and `--streams`: print the tap's capabilities, settings and streams."""

from __future__ import annotations

import json
from typing import Any

from tap_twilio import __version__
from tap_twilio.settings import SCHEMA
from tap_twilio.singer.catalog import load_schema
from tap_twilio.singer.output import Output
from tap_twilio.streams import STREAMS

# The keys are those of the Singer SDK's taps.
ABOUT: dict[str, Any] = {
    "name": "tap-twilio",
    "description": "Singer tap that keeps a warehouse equal to a Twilio account",
    "version": __version__,
    "supported_python_versions": ["3.10", "3.11", "3.12", "3.13", "3.14"],
    "capabilities": ["catalog", "discover", "state", "about", "test", "activate-version", "structured-logging"],
    "settings": SCHEMA,
}


def about() -> int:
    """Print capabilities and settings as JSON. Raises TargetGone, OutputFailed."""
    Output().document(json.dumps(ABOUT, indent=2) + "\n")
    return 0


def streams() -> int:
    """Print each stream's name, a mark if it is on by default, and its description. Raises TargetGone, OutputFailed."""
    width = max(len(stream.name) for stream in STREAMS)
    lines = []
    for stream in STREAMS:
        default = "default" if stream.selected_by_default else ""
        lines.append(f"{stream.name:{width}}  {default:7}  {load_schema(stream.name)['description']}\n")
    Output().document("".join(lines))
    return 0
