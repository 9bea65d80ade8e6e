"""
Learn from the pages of a list which orders the list cannot have, and so which changes cannot move a row.

No number of pages proves an order, but one page can refute it, since Twilio reads the rows of a page at one time. If
the rows of a page neither ascend nor descend by a property, then the list is not sorted by that property, and a change
of the property moves no row.

Twilio does not document the orders of its lists. extract/page_reader.py requests a row again less often if its change
cannot move it, and extract/moved_rows.py reads less of a list again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tap_twilio.timestamps import timestamp_or_none
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Row

DATE_UPDATED = "date_updated"
DATES = (DATE_UPDATED, "end_time")  # Twilio may set these at each change of a row
NAMES = ("friendly_name", "unique_name")  # a user may change these


class PropertyOrder:
    """How a list may be sorted by one property, as far as its pages show."""

    def __init__(self) -> None:
        self.may_descend = self.may_ascend = True
        self.null_above = self.null_below = False  # a row without the property was seen above, below a row with it

    def learn_from(self, values: Sequence[Any]) -> None:
        """Learn from the values of one page. None stands for a row without the property."""
        present = [value for value in values if value is not None]
        self.may_descend = self.may_descend and present == sorted(present, reverse=True)
        self.may_ascend = self.may_ascend and present == sorted(present)
        steps = {(value is None, next_value is None) for value, next_value in zip(values, values[1:])}
        self.null_above |= (True, False) in steps
        self.null_below |= (False, True) in steps

    @property
    def is_refuted(self) -> bool:
        """Return whether the list is not sorted by the property."""
        return not self.may_descend and not self.may_ascend

    @property
    def mixes_nulls(self) -> bool:
        """Return whether rows without the property stand between rows with it."""
        return self.null_above and self.null_below


class PossibleOrders:
    """The sort orders of one list that are still possible, and in which a change of a row may move it."""

    def __init__(self, endpoint: ListEndpoint) -> None:
        self.endpoint = endpoint
        self._by_property: dict[str, PropertyOrder] | None = None  # without the refuted ones; None before the first row
        self._by_list_date = PropertyOrder()

    def learn_from(self, rows: list[Row]) -> None:
        """Learn from a page."""
        if rows and not self._all_refuted:
            self._learn_from_changes(rows)
        if self.endpoint.stream.filter_hides_rows and not self._list_date_is_refuted:
            self._by_list_date.learn_from([timestamp_or_none(self.endpoint.list_date(row)) for row in rows])

    def _learn_from_changes(self, rows: list[Row]) -> None:
        if self._by_property is None:
            names = [DATE_UPDATED, *(name for name in DATES + NAMES if name in rows[0])]
            self._by_property = {name: PropertyOrder() for name in names}
        for name, order in self._by_property.items():
            sort_value = _casefolded if name in NAMES else timestamp_or_none
            order.learn_from([sort_value(row.get(name)) for row in rows])
        self._by_property = {name: order for name, order in self._by_property.items() if not order.is_refuted}

    @property
    def rows_may_move_down(self) -> bool:
        """Return whether a change may move a row down: towards the last page."""
        if self._by_property is None:
            return True
        return any(order.may_ascend or name in NAMES for name, order in self._by_property.items())

    @property
    def rows_may_move_up(self) -> bool:
        """Return whether a change may move a row up: from an unread page to a page that was read."""
        # A later date moves a row only down if the dates ascend, and no row without the date was seen.
        only_ascends = self._by_property and all(
            not (order.may_descend or order.null_above or order.null_below or name in NAMES)
            for name, order in self._by_property.items()
        )
        return not self.rows_never_move and not only_ascends

    def shows_unmoved(self, row: Row, next_row: Row) -> bool:
        """
        Return whether the next row shows that the row above it has not moved up, in each possible order by date.

        If the row had moved to the top, the next row would be one that changed later.
        """
        for name in DATES:
            if name in (self._by_property or ()):
                date, next_date = timestamp_or_none(row.get(name)), timestamp_or_none(next_row.get(name))
                if (date or "") < (next_date or "") or (date is None and name == DATE_UPDATED):
                    return False
        return True

    @property
    def rows_never_move(self) -> bool:
        """Return whether no change moves a row."""
        return self._all_refuted and (not self.endpoint.stream.filter_hides_rows or self._list_date_is_refuted)

    @property
    def _all_refuted(self) -> bool:
        return self._by_property == {}

    @property
    def _list_date_is_refuted(self) -> bool:
        return self._by_list_date.is_refuted or self._by_list_date.mixes_nulls


def _casefolded(value: Any) -> str | None:
    return value.casefold() if isinstance(value, str) and value else None
