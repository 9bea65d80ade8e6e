"""
The orders that a list cannot have, as its pages show it. No number of pages proves an order; one page refutes it.

The rows of one page are one moment's. Where they neither fall nor rise along a property, the list is not sorted by it,
so a row that changes there stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tap_twilio.timestamps import timestamp_of
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Row

CHANGED = "date_updated"
DATES = (CHANGED, "end_time")  # which a change moves
NAMES = ("friendly_name", "unique_name")  # which a change may be of


class Sorting:
    """The orders along one property that no page has refuted so far."""

    def __init__(self) -> None:
        self.falls = self.rises = True
        self.null_above = self.null_below = False  # seen above, and below, a row that has it

    def see(self, values: Sequence[Any]) -> None:
        """Learn from a page: None for a row that lacks the property."""
        known = [value for value in values if value is not None]
        self.falls = self.falls and known == sorted(known, reverse=True)
        self.rises = self.rises and known == sorted(known)
        steps = {(one is None, other is None) for one, other in zip(values, values[1:])}
        self.null_above |= (True, False) in steps
        self.null_below |= (False, True) in steps

    @property
    def refuted(self) -> bool:
        """Whether the rows that have it are in no order of it."""
        return not self.falls and not self.rises

    @property
    def scattered(self) -> bool:
        """Whether those that lack it stand neither all above nor all below the others."""
        return self.null_above and self.null_below


class Order:
    """What the pages of one walk refute of the orders in which a change would move a row."""

    def __init__(self, endpoint: ListEndpoint) -> None:
        self.endpoint = endpoint
        self._changes: dict[str, Sorting] | None = None  # by property, as far as they are not refuted; None: no row yet
        self._listed = Sorting()

    def see(self, rows: list[Row]) -> None:
        """Learn from a page."""
        if self._changes != {} and rows:
            self._see_changes(rows)
        if self.endpoint.stream.filter_hides_rows and not self._listed.refuted and not self._listed.scattered:
            self._listed.see([timestamp_of(self.endpoint.listed(row)) for row in rows])

    def _see_changes(self, rows: list[Row]) -> None:
        if self._changes is None:
            self._changes = {CHANGED: Sorting(), **{name: Sorting() for name in DATES + NAMES if name in rows[0]}}
        for name, sorting in self._changes.items():
            read = _casefolded if name in NAMES else timestamp_of
            sorting.see([read(row.get(name)) for row in rows])
        self._changes = {name: sorting for name, sorting in self._changes.items() if not sorting.refuted}

    @property
    def may_move_down(self) -> bool:
        """Whether a change may move a row down, below rows that it stood above."""
        return self._changes is None or any(one.rises or name in NAMES for name, one in self._changes.items())

    @property
    def may_rise(self) -> bool:
        """Whether a change may move a row up, past a read: not where a row stays, nor where it can only sink."""
        left = (self._changes or {}).items()
        consumers = all(not (one.falls or one.null_above or one.null_below or name in NAMES) for name, one in left)
        return not self.stays and not (left and consumers)

    def follows(self, above: Row, below: Row) -> bool:
        """
        Whether a row may stand below another one that did not rise, in each order in which a change lets it rise.

        Below a row that rose stand those that changed last.
        """
        for name in self._changes or ():
            one, other = timestamp_of(above.get(name)), timestamp_of(below.get(name))
            if (one or "") < (other or "") or (one is None and name == CHANGED):
                return False
        return True

    @property
    def stays(self) -> bool:
        """Whether a row stays where it is, whatever of it changes."""
        listed_stays = not self.endpoint.stream.filter_hides_rows or self._listed.refuted or self._listed.scattered
        return self._changes == {} and listed_stays


def _casefolded(value: Any) -> str | None:
    return value.casefold() if isinstance(value, str) and value else None
