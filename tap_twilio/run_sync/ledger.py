"""What the tap wrote, held against the STATEs that the target confirmed: which STATE is to be kept."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from tap_twilio.files import state_in

STATE = (b'{"type":"STATE"', b'{"type": "STATE"')
ROW = (b'{"type":"RECORD"', b'{"type": "RECORD"')
CHANGE = (*ROW, b'{"type":"ACTIVATE_VERSION"', b'{"type": "ACTIVATE_VERSION"')


@dataclass(frozen=True)
class Written:
    """A STATE that the tap wrote, after so many lines that change the warehouse."""

    value: Any
    text: bytes
    changes: int


class Ledger:
    """
    Counts the tap's lines, one thread, and judges the target's STATEs, another.

    Targets print a STATE anew, so that values count and not bytes; some add members to it; some print the first of
    several STATEs between which no row came, or none. Such a STATE needs no word of the target's: all that it covers
    is confirmed.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.last: Written | None = None  # what the tap wrote last
        self._changes = self._confirmed = 0  # lines that the tap wrote; those that are stored
        self._before: deque[tuple[bytes, int]] = deque()  # what stands for each STATE not yet confirmed
        self._printed: Any = None  # by the target, last

    def wrote(self, lines: bytes) -> None:
        """Count whole lines of the tap's, before the target has them."""
        starts = b"\n" + lines
        self.rows += _count(starts, ROW)
        if not _count(starts, STATE):
            self._changes += _count(starts, CHANGE)
            return
        for line in lines.splitlines():
            self._changes += line.startswith(CHANGE)
            if line.startswith(STATE) and (value := state_in(line)) is not None:
                self._before.append((_digest(value), self._changes))
                self.last = Written(value, json.dumps(value).encode(), self._changes)

    def confirm(self, line: bytes) -> bytes | None:
        """Return the STATE to keep for a line of the target's; None where it is none."""
        value = state_in(line)
        if value is None:
            return None
        self._printed, digest = value, _digest(value)
        if any(one == digest for one, _ in list(self._before)):
            while self._before:
                one, self._confirmed = self._before.popleft()
                if one == digest:
                    break
        elif self.last and _holds(value, self.last.value):  # with members of the target's own
            self._confirmed = self.last.changes
        return self.settled or json.dumps(value).encode()

    @property
    def settled(self) -> bytes | None:
        """The tap's last STATE, where every row that it covers is stored; else None."""
        last = self.last
        return last.text if last and last.changes <= self._confirmed else None

    @property
    def missing(self) -> int:
        """How many of the tap's lines its last STATE covers and the target confirmed none of."""
        last = self.last
        return 0 if not last or _holds(self._printed, last.value) else max(0, last.changes - self._confirmed)


def _count(text: bytes, starts: tuple[bytes, ...]) -> int:
    return sum(text.count(b"\n" + start) for start in starts)


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


def _holds(value: Any, wanted: Any) -> bool:
    """
    Return whether a value is the wanted one, but for members that were added to it.

    >>> _holds({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}), _holds({"a": {}}, {"a": {"b": 1}})
    (True, False)
    """
    if isinstance(value, dict) and isinstance(wanted, dict):
        return all(name in value and _holds(value[name], item) for name, item in wanted.items())
    return bool(value == wanted)
