"""
Which streams a run reads: a catalog with those selected that STREAMS names.

The streams are those that `tap-twilio --discover` prints. STREAMS is `all`, or names with commas between them.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from demo.leash import Start

ALL = "all"

Catalog = dict[str, Any]


class ChoiceError(Exception):
    """One line: why no catalog could be made."""


def discovered(tap: Sequence[str | Path], start: Start) -> Catalog:
    """The catalog that the tap prints."""
    process = start([*tap, "--discover"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    printed, said = process.communicate()
    if process.returncode:
        last = said.strip().split("\n")[-1]
        raise ChoiceError(f"tap-twilio --discover failed: {last or process.returncode}")
    return dict(json.loads(printed))


def defaults(catalog: Catalog) -> frozenset[str]:
    """The names of the streams that are read unless a catalog says otherwise."""
    return frozenset(_name(entry) for entry in catalog["streams"] if _about(entry).get("selected-by-default"))


def choose(catalog: Catalog, streams: str) -> None:
    """Select in the catalog what `streams` names, and nothing else."""
    there = [_name(entry) for entry in catalog["streams"]]
    wanted = re.findall(r"[^\s,]+", streams)
    for name in wanted:
        if name not in (ALL, *there):
            raise ChoiceError(_unknown(name, there))
    for entry in catalog["streams"]:
        _about(entry)["selected"] = ALL in wanted or _name(entry) in wanted


def _unknown(name: str, there: Sequence[str]) -> str:
    near = get_close_matches(name, there, n=3)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    listed = "docs/streams.md lists them; STREAMS=all takes them all."
    return f"STREAMS names {name}, and there is no such stream: {meant}{listed}"


def _name(entry: Catalog) -> str:
    return str(entry["tap_stream_id"])


def _about(entry: Catalog) -> Catalog:
    """The metadata of the stream itself."""
    found: Catalog = next(item["metadata"] for item in entry["metadata"] if not item["breadcrumb"])
    return found
