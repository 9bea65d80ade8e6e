"""
Write Singer messages to stdout. Nothing else writes there; run/sync.py calls it.

singer-python's writer is not used: it writes to the buffer of `sys.stdout`, which may hold half a line when the tap is
stopped. Here each call writes its lines immediately, so a STATE never overtakes the records that it covers. After a
failed or interrupted write nothing more is written, because it would follow half a line.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from typing import Any

import orjson

from tap_twilio.errors import OutputFailed, TapError, TargetGone
from tap_twilio.files import fits_in_memory

from .compat import ActivateVersionMessage, Message, SchemaMessage, StateMessage


class Output:
    """Writes to a file descriptor, and not to `sys.stdout`, whose buffer would fail again at exit."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._whole = True  # False after an incomplete write
        self.changed = False  # whether lines since the last STATE change the warehouse
        self._written_s, self._write_began = 0.0, 0.0

    @property
    def write_s(self) -> float:
        """Return the seconds spent in writes so far. A write takes long if the target reads slowly."""
        began = self._write_began
        return self._written_s + (time.monotonic() - began if began else 0.0)

    def schema(
        self,
        stream: str,
        schema: dict[str, Any],
        key_properties: Sequence[str],
        bookmark_properties: Sequence[str] = (),
    ) -> None:
        """Write a SCHEMA. Without `bookmark_properties` it has no such member: some targets refuse an empty list."""
        self._message(SchemaMessage(stream, schema, list(key_properties), list(bookmark_properties)))

    def document(self, text: str) -> None:
        """Write a text that is not a message, such as the catalog."""
        self._write(text.encode())

    def records(self, data: bytes) -> None:
        """Write whole RECORD lines, as `Recorder.lines` makes them."""
        self.changed = self.changed or bool(data)
        self._write(data)

    def activate_version(self, stream: str, version: int) -> None:
        self.changed = True
        self._message(ActivateVersionMessage(stream, version))

    def state(self, value: dict[str, Any]) -> None:
        """Write a STATE. Raises TapError if it is too large for `--state`."""
        line = _line(StateMessage(value))
        if not fits_in_memory(line):
            raise TapError(
                "The state is larger than the tap can read again. Split it by account with tap-twilio state split, and "
                "sync the shards concurrently; or lower state_kilobytes. The last STATE line is still valid."
            )
        self.changed = False
        self._write(line)

    def _message(self, message: Message) -> None:
        self._write(_line(message))

    def _write(self, data: bytes) -> None:
        if not self._whole:
            raise OutputFailed("stdout: an earlier write was cut short, so nothing more is written.")
        self._whole = False
        self._write_began = time.monotonic()
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
                " fix that, then run again from the last STATE that the target wrote."
            ) from None
        self._written_s, self._write_began = self.write_s, 0.0
        self._whole = True


def _line(message: Message) -> bytes:
    return orjson.dumps(message.asdict(), option=orjson.OPT_APPEND_NEWLINE)
