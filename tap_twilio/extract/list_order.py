"""
Learn from the pages of a list which orders the list cannot have.

No number of pages proves an order, but one page refutes it: Twilio reads the rows of a page at one time. Where these
rows neither fall nor rise along a property, the list is not sorted by that property, so a change of the property moves
no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tap_twilio.timestamps import timestamp_or_none
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Row

CHANGED = "date_updated"
DATES = (CHANGED, "end_time")  # each change of a row may set these
NAMES = ("friendly_name", "unique_name")  # a user may change these


class Sorting:
    """The orders along one property that no page has refuted so far."""

    def __init__(self) -> None:
        self.falls = self.rises = True
        self.null_above = self.null_below = False  # a row without the property was seen above, below a row with it

    def see(self, values: Sequence[Any]) -> None:
        """Learn from the values of a page, None for a row without the property."""
        present = [value for value in values if value is not None]
        self.falls = self.falls and present == sorted(present, reverse=True)
        self.rises = self.rises and present == sorted(present)
        steps = {(value is None, next_value is None) for value, next_value in zip(values, values[1:])}
        self.null_above |= (True, False) in steps
        self.null_below |= (False, True) in steps

    @property
    def is_refuted(self) -> bool:
        """Return whether the list is not sorted by the property."""
        return not self.falls and not self.rises

    @property
    def mixes_nulls(self) -> bool:
        """Return whether rows without the property stand between rows with it."""
        return self.null_above and self.null_below


class Order:
    """The orders that one list may still have, among those in which a change would move a row."""

    def __init__(self, endpoint: ListEndpoint) -> None:
        self.endpoint = endpoint
        self._sortings: dict[str, Sorting] | None = None  # the possible ones, by property; None before the first row
        self._by_list_date = Sorting()

    def see(self, rows: list[Row]) -> None:
        """Learn from a page."""
        if self._sortings != {} and rows:
            self._see_changes(rows)
        if self.endpoint.stream.filter_hides_rows and not self._list_date_is_refuted:
            self._by_list_date.see([timestamp_or_none(self.endpoint.list_date(row)) for row in rows])

    def _see_changes(self, rows: list[Row]) -> None:
        if self._sortings is None:
            self._sortings = {CHANGED: Sorting(), **{name: Sorting() for name in DATES + NAMES if name in rows[0]}}
        for name, sorting in self._sortings.items():
            sort_value = _casefolded if name in NAMES else timestamp_or_none
            sorting.see([sort_value(row.get(name)) for row in rows])
        self._sortings = {name: sorting for name, sorting in self._sortings.items() if not sorting.is_refuted}

    @property
    def may_move_down(self) -> bool:
        """Return whether a change may move a row down."""
        if self._sortings is None:
            return True
        return any(sorting.rises or name in NAMES for name, sorting in self._sortings.items())

    @property
    def may_rise(self) -> bool:
        """Return whether a change may move a row up, from the pages not read yet to the pages already read."""
        possible = (self._sortings or {}).items()
        only_moves_down = possible and all(
            not (sorting.falls or sorting.null_above or sorting.null_below or name in NAMES)
            for name, sorting in possible
        )
        return not self.stays and not only_moves_down

    def follows(self, row: Row, next_row: Row) -> bool:
        """
        Return whether the next row shows, in each possible order by date, that the row above it has not moved up.

        Had the row moved to the top, the next row would be one of those that changed last.
        """
        for name in self._sortings or ():
            date, next_date = timestamp_or_none(row.get(name)), timestamp_or_none(next_row.get(name))
            if (date or "") < (next_date or "") or (date is None and name == CHANGED):
                return False
        return True

    @property
    def stays(self) -> bool:
        """Return whether no change moves a row."""
        return self._sortings == {} and (not self.endpoint.stream.filter_hides_rows or self._list_date_is_refuted)

    @property
    def _list_date_is_refuted(self) -> bool:
        return self._by_list_date.is_refuted or self._by_list_date.mixes_nulls


def _casefolded(value: Any) -> str | None:
    return value.casefold() if isinstance(value, str) and value else None
