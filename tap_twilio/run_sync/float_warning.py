"""Warns if the target is one that stores JSON numbers as floats, and the tap sends decimal numbers as such."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tap_twilio.files import parse_json

LOGGER = logging.getLogger("tap_twilio")
STORE_FLOATS = ("target-snowflake", "target-bigquery", "target-duckdb")
SCHEMA = (b'{"type":"SCHEMA"', b'{"type": "SCHEMA"')


class FloatWarning:
    """Logs one warning for a target, when the first SCHEMA with decimal numbers passes."""

    def __init__(self, target: Sequence[str]) -> None:
        names = [Path(word).name for word in target]
        self._target = next((name for name in names if name in STORE_FLOATS), None)

    def look(self, lines: bytes) -> None:
        """Look at lines from the tap, and warn if they announce what this target stores as floats."""
        if self._target is None or not any(start in lines for start in SCHEMA):
            return
        for line in lines.splitlines():
            if line.startswith(SCHEMA) and (names := _numbers(line)):
                LOGGER.warning(
                    "%s stores numbers such as %s as floats, whose sums are not exact: set decimals to singer in the "
                    "tap's config before the first load (docs/targets.md)",
                    self._target,
                    names[0],
                )
                self._target = None
                return


def _numbers(line: bytes) -> list[str]:
    """Return the properties that hold decimal numbers in a SCHEMA line; none if it cannot be read."""
    try:
        message: Any = parse_json(line)
        properties = message["schema"]["properties"].items()
        return [f"{message['stream']}.{name}" for name, about in properties if "number" in about.get("type", ())]
    except (ValueError, LookupError, AttributeError, TypeError):
        return []
