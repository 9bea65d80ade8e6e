"""What the pages of a walk show of their list's order: proven by all that was seen, or not known.

Agreement counts over all pages. Two rows contradict an order only within one page, since rows move between pages.
"""

from __future__ import annotations

from collections.abc import Sequence

from tap_twilio.moments import BEGINNING, END, Moment, moment_of
from tap_twilio.twilio.request import Row

from .lists import Listing

ORDERS = CREATION, LIST_DATE = ("creation", "list date")


class Order:
    """
    The order of one list, as far as one walk shows it.

    With `thorough` every page is looked at; else only until the list is seen to be in order of creation.
    """

    def __init__(self, listing: Listing, thorough: bool, agreed: Sequence[str] = ORDERS) -> None:
        self._listing, self._thorough = listing, thorough
        # All that was seen agrees with it, also by the walk that this one goes on with.
        self._by_creation = not thorough or CREATION in agreed
        self._by_list_date = LIST_DATE in agreed  # likewise, of the dated rows
        self._not_by_change = False  # a page contradicts the order of date_updated
        self._undated_above_dated = self._dated_above_undated = False
        self._last_created = self._last_listed = END

    def see(self, rows: list[Row]) -> None:
        """Learn from a page."""
        mixed = self._see_undated(rows)
        if not self._thorough and (not mixed or self.by_creation):
            return  # dates are worth reading only where they may tell something
        if self._by_creation:
            created = [moment_of(row.get("date_created")) or BEGINNING for row in rows]
            self._by_creation = _falls([self._last_created, *created])
            self._last_created = created[-1] if created else self._last_created
        if self._thorough and self._by_list_date:
            self._see_list_dates(rows)
        if not self._not_by_change:
            self._not_by_change = not _falls([date for row in rows if (date := moment_of(row.get("date_updated")))])

    def _see_undated(self, rows: list[Row]) -> bool:
        """Whether undated rows stand among dated ones, so that neither stand all at one end."""
        if not self._listing.stream.filter_hides_rows:
            return True
        column = self._listing.column
        dated = [bool(row.get(column)) for row in rows]
        steps = set(zip(dated, dated[1:]))
        self._undated_above_dated |= (False, True) in steps
        self._dated_above_undated |= (True, False) in steps
        return self._undated_above_dated and self._dated_above_undated

    def _see_list_dates(self, rows: list[Row]) -> None:
        dates = [date for row in rows if (date := moment_of(self._listing.listed(row)))]
        self._by_list_date = _falls([self._last_listed, *dates])
        self._last_listed = dates[-1] if dates else self._last_listed

    @property
    def agreed(self) -> list[str]:
        """The orders that all rows so far agree with, for a place; none where not every page was looked at."""
        known = {CREATION: self._by_creation, LIST_DATE: self._by_list_date}
        return [order for order, agrees in known.items() if agrees and self._thorough]

    @property
    def by_creation(self) -> bool:
        """Whether the list is in order of creation, so that no row of it ever moves."""
        scattered = self._undated_above_dated and self._dated_above_undated
        return self._by_creation and self._not_by_change and (scattered or not self._listing.stream.filter_hides_rows)

    def past(self, start_date: Moment | None, rows: list[Row]) -> bool:
        """Whether every row below these was created before `start_date`."""
        if not start_date or not rows or not self._not_by_change:
            return False
        if self.by_creation:
            return all((moment_of(row.get("date_created")) or END) < start_date for row in rows)
        if not self._by_list_date or not self._undated_above_dated or self._dated_above_undated:
            return False
        return all((newest := self._listing.newest(row)) is not None and newest < start_date for row in rows)


def _falls(dates: list[Moment]) -> bool:
    return dates == sorted(dates, reverse=True)
