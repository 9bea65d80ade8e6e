"""Singer messages to stdout: what is written is written whole and in order, or nothing follows.

The only place that writes there. Messages are singer-python's, but its own writer is not used: it goes through the
buffer of `sys.stdout`, which may hold half a line when the tap is stopped.

Each call is one write, so a STATE never overtakes the records that it covers. After a write that failed or was
interrupted no other is made, since its line would follow half of another.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import Any

import orjson

from tap_twilio.errors import OutputFailed, TapError, TargetGone
from tap_twilio.files import fits

from .compat import ActivateVersionMessage, Message, SchemaMessage, StateMessage


class Output:
    """Writes to a file descriptor, past `sys.stdout` and its buffer, which would fail once more at exit."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._whole = True  # whether all that was begun is written
        self.changed = False  # whether the warehouse changes by what came since the last STATE

    def schema(
        self,
        stream: str,
        schema: dict[str, Any],
        key_properties: Sequence[str],
        bookmark_properties: Sequence[str] = (),
    ) -> None:
        """`bookmark_properties` are left out where there are none: some targets take an empty list for a mistake."""
        self._message(SchemaMessage(stream, schema, list(key_properties), list(bookmark_properties)))

    def document(self, text: str) -> None:
        """What is no message: the catalog."""
        self._write(text.encode())

    def records(self, data: bytes) -> None:
        """Whole RECORD lines, as `records.record_lines` makes them."""
        self.changed = self.changed or bool(data)
        self._write(data)

    def activate_version(self, stream: str, version: int) -> None:
        self.changed = True
        self._message(ActivateVersionMessage(stream, version))

    def state(self, value: dict[str, Any]) -> None:
        """Raises TapError for one that `--state` would refuse."""
        line = _line(StateMessage(value))
        if not fits(line):
            raise TapError(
                "The state is larger than the tap can read again. Cut it by account with tap-twilio state split, and "
                "sync the pieces side by side; or lower state_kilobytes. The last STATE line holds."
            )
        self.changed = False
        self._write(line)

    def _message(self, message: Message) -> None:
        self._write(_line(message))

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


def _line(message: Message) -> bytes:
    return orjson.dumps(message.asdict(), option=orjson.OPT_APPEND_NEWLINE)
