"""Singer messages to stdout: what is written is written whole and in order, or nothing follows.

The only place that writes there. Each call is one write, so a STATE never overtakes the records that it covers;
after a write that failed or was interrupted, no other is made, since its line would follow half of another.
"""

from __future__ import annotations

import json
import logging
import os
import select
from collections.abc import Sequence
from typing import Any

import orjson

from tap_twilio.errors import TapError

LOGGER = logging.getLogger("tap_twilio")


class TargetGone(Exception):
    """The target closed its end: it has said why, so the tap ends at once and without a word."""

    exit_code = 1


class OutputFailed(TapError):
    """Stdout takes no more: a full disk, a closed file."""


class Output:
    """Writes to a file descriptor, past `sys.stdout` and its buffer, which would fail once more at exit."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._whole = True  # whether all that was begun is written

    def schema(
        self,
        stream: str,
        schema: dict[str, Any],
        key_properties: Sequence[str],
        bookmark_properties: Sequence[str] = (),
    ) -> None:
        message = {"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": list(key_properties)}
        if bookmark_properties:
            message["bookmark_properties"] = list(bookmark_properties)
        self._message(message)

    def document(self, text: str) -> None:
        """What is no message: the catalog."""
        self._write(text.encode())

    def records(self, data: bytes) -> None:
        """Whole RECORD lines, as `records.record_lines` makes them."""
        self._write(data)

    def activate_version(self, stream: str, version: int) -> None:
        self._message({"type": "ACTIVATE_VERSION", "stream": stream, "version": version})

    def state(self, value: dict[str, Any]) -> None:
        self._message({"type": "STATE", "value": value})

    def metric_rows(self, stream: str, count: int) -> None:
        """How many rows of a stream a run emitted, in the form of singer-python's metrics."""
        _metric("counter", "record_count", count, endpoint=stream)

    def metric_requests(self, seconds: float, requests: int, retries: int) -> None:
        """How long all requests took, likewise."""
        _metric("timer", "http_request_duration", round(seconds, 3), requests=requests, retries=retries)

    def _message(self, message: dict[str, Any]) -> None:
        self._write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))

    def _write(self, data: bytes) -> None:
        if not self._whole:
            raise OutputFailed("stdout: an earlier write was cut short, so nothing more is written.")
        self._whole = False
        rest = memoryview(data)
        try:
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:  # the other end set the pipe to non-blocking
                    select.select([], [self._fd], [])
        except BrokenPipeError:
            raise TargetGone("The target closed its end of the pipe.") from None
        except OSError as error:
            raise OutputFailed(
                f"stdout: {error.strerror}. Nothing more is written;"
                " mend that, then run again from the last STATE that the target wrote."
            ) from None
        self._whole = True


def _metric(kind: str, metric: str, value: float, **tags: object) -> None:
    """A line in the form of singer-python's metrics, which loggers of Singer taps look for."""
    LOGGER.info("METRIC: %s", json.dumps({"type": kind, "metric": metric, "value": value, "tags": tags}))
