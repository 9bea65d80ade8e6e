"""`--summary-json`: what a run did, in a file for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tap_twilio import __version__
from tap_twilio.files import make_way, replace, writing_summary
from tap_twilio.reporting.summary import FORMAT, totals
from tap_twilio.run.sync import Sync
from tap_twilio.timestamps import machine_now


class SummaryFile:
    """Written once, when the run has ended in whatever way; until then there is no such file, whole or in part."""

    def __init__(self, path: str | None, clean: Callable[[Any], Any]) -> None:
        """`clean` takes secrets out of a value. Raises TapError where the file cannot be written."""
        self._path, self._clean = Path(path) if path else None, clean
        self._began, self._began_s = machine_now(), time.monotonic()
        self.sync: Sync | None = None  # what it is about, as far as the run came
        if self._path is not None:
            with writing_summary(self._path):
                make_way(self._path)

    def write(self, exit_code: int, error: str | None = None) -> None:
        """Raises TapError where that fails."""
        if self._path is None:
            return
        found = self._clean(self._document(exit_code, error))
        with writing_summary(self._path):
            replace(self._path, json.dumps(found, indent=1).encode() + b"\n")

    def _document(self, exit_code: int, error: str | None) -> dict[str, Any]:
        sync = self.sync
        streams = sync.summarise() if sync else []
        return {
            "format": FORMAT,
            "tap": "tap-twilio",
            "version": __version__,
            "began_at": self._began,
            "ended_at": machine_now(),
            "seconds": round(time.monotonic() - self._began_s, 3),
            "exit_code": exit_code,
            "stopped": exit_code > 128,
            "error": error,
            "failures": [f"{name} {sid}: {why}" for (name, sid), why in sync.failed.items()] if sync else [],
            "accounts": len(sync.accounts.chosen) if sync else 0,
            "totals": totals(streams),
            "streams": [one.json() for one in streams],
        }
