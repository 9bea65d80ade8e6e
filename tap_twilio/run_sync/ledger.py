"""
Decide which STATE to save, from the lines that the tap wrote and the STATEs that the target printed.

pipe.py shows the ledger every line that it copies to the target, and every line that the target prints.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from tap_twilio.files import parse_state

STATE = (b'{"type":"STATE"', b'{"type": "STATE"')
ROW = (b'{"type":"RECORD"', b'{"type": "RECORD"')
CHANGE = (*ROW, b'{"type":"ACTIVATE_VERSION"', b'{"type": "ACTIVATE_VERSION"')


@dataclass(frozen=True)
class Written:
    """A STATE that the tap wrote. `changes`: how many lines before it change the warehouse."""

    value: Any
    text: bytes
    changes: int


class Ledger:
    """
    Counts the tap's lines in one thread, and matches the STATEs that the target prints with them in another.

    Targets serialize a STATE again, so values are compared, not bytes. Some targets add members to it. Some targets
    skip a STATE that follows another STATE without a row between them. Such a STATE counts as confirmed, since the
    target has confirmed every row before it.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.last: Written | None = None  # the last STATE that the tap wrote
        self._changes = self._confirmed = 0  # changes that the tap wrote, and changes that the target confirmed
        self._unconfirmed: deque[tuple[bytes, int]] = deque()  # hash and changes of each unconfirmed STATE
        self._printed: Any = None  # the last STATE that the target printed

    def count(self, lines: bytes) -> None:
        """Count whole lines from the tap, before the target receives them."""
        starts = b"\n" + lines
        self.rows += _count(starts, ROW)
        if not _count(starts, STATE):
            self._changes += _count(starts, CHANGE)
            return
        for line in lines.splitlines():
            self._changes += line.startswith(CHANGE)
            if line.startswith(STATE) and (value := parse_state(line)) is not None:
                self._unconfirmed.append((_hash(value), self._changes))
                self.last = Written(value, json.dumps(value).encode(), self._changes)

    def state_to_save(self, line: bytes) -> bytes | None:
        """Take a line from the target, and return the STATE to save now; None if the line is no STATE."""
        value = parse_state(line)
        if value is None:
            return None
        self._printed, printed = value, _hash(value)
        if any(written == printed for written, _ in list(self._unconfirmed)):
            while self._unconfirmed:
                written, self._confirmed = self._unconfirmed.popleft()
                if written == printed:
                    break
        elif self.last and _holds(value, self.last.value):  # the target added members
            self._confirmed = self.last.changes
        return self.confirmed_state or json.dumps(value).encode()

    @property
    def confirmed_state(self) -> bytes | None:
        """Return the last STATE of the tap if the target confirmed every row before it; else None."""
        last = self.last
        return last.text if last and last.changes <= self._confirmed else None

    @property
    def missing(self) -> int:
        """Return how many changes before the last STATE of the tap are not confirmed."""
        last = self.last
        return 0 if not last or _holds(self._printed, last.value) else max(0, last.changes - self._confirmed)


def _count(text: bytes, starts: tuple[bytes, ...]) -> int:
    return sum(text.count(b"\n" + start) for start in starts)


def _hash(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


def _holds(value: Any, wanted: Any) -> bool:
    """
    Return whether a value equals the wanted one, apart from added members.

    >>> _holds({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}), _holds({"a": {}}, {"a": {"b": 1}})
    (True, False)
    """
    if isinstance(value, dict) and isinstance(wanted, dict):
        return all(name in value and _holds(value[name], item) for name, item in wanted.items())
    return bool(value == wanted)
