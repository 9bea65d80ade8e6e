"""`--summary-json` and `--metrics-file`: write a summary of the run, as JSON and for Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tap_twilio import __version__
from tap_twilio.files import check_writable, prepare_output_file, write_atomically, writing
from tap_twilio.reporting.prometheus import exposition
from tap_twilio.reporting.summary import FORMAT, totals
from tap_twilio.run.sync import Sync
from tap_twilio.timestamps import machine_now


class SummaryFiles:
    """
    The files that are written when the run ends, well or not.

    The JSON of an earlier run is deleted first. Its metrics stay until then, since Prometheus may read them any time.
    """

    def __init__(self, path: str | None, metrics: str | None, clean: Callable[[Any], Any]) -> None:
        """`clean` removes secrets from a value. Raises TapError if a file cannot be written."""
        self._path, self._metrics = Path(path) if path else None, Path(metrics) if metrics else None
        self._clean = clean
        self._began, self._began_s = machine_now(), time.monotonic()
        self.sync: Sync | None = None  # set once the arguments are read
        if self._path is not None:
            with writing("--summary-json", self._path):
                prepare_output_file(self._path)
        if self._metrics is not None:
            with writing("--metrics-file", self._metrics):
                check_writable(self._metrics)

    def write(self, exit_code: int, error: str | None = None) -> None:
        """Write the files. Raises TapError if that fails."""
        if not self._path and not self._metrics:
            return
        document = self._clean(self._document(exit_code, error))
        if self._metrics:
            with writing("--metrics-file", self._metrics):
                write_atomically(self._metrics, exposition(document, self._metrics.stem).encode())
        if self._path:
            with writing("--summary-json", self._path):
                write_atomically(self._path, json.dumps(document, indent=1).encode() + b"\n")

    def _document(self, exit_code: int, error: str | None) -> dict[str, Any]:
        sync = self.sync
        streams = sync.summarize() if sync else []
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
            "accounts": len(sync.accounts) if sync else 0,
            "totals": totals(streams),
            "streams": [stream.json() for stream in streams],
        }
