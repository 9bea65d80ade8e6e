"""
Decide by the dates of a row whether it is written.

`Table.date_rule` (tables/table.py) makes a rule for each kind of read. It decides where the state has no room for
fingerprints, where a read stops in a chunk, and after a bookmark of another tap was imported.
"""

from __future__ import annotations

from dataclasses import dataclass

from tap_twilio.timestamps import BEGINNING, END, Timestamp, timestamp_or_none
from tap_twilio.twilio.endpoint import DateTriple

NO_DATES: DateTriple = (None, None, None)


@dataclass(frozen=True)
class DateRule:
    """Selects the rows that changed since a date, and the rows that a table must resend (tables/bookmarks.py)."""

    since: Timestamp = BEGINNING  # BEGINNING: every row
    resend_listed_before: Timestamp = BEGINNING  # BEGINNING: none; else rows without a list date are resent too
    resend_created_before: Timestamp = BEGINNING  # BEGINNING: none

    def is_due(self, dates: DateTriple) -> bool:
        return self.sees_change(dates) or self.must_resend(dates)

    def sees_change(self, dates: DateTriple) -> bool:
        """Return whether a row's date says that it changed. A row without a date counts as changed."""
        changed, _, _ = dates
        return not self.since or (timestamp_or_none(changed) or END) >= self.since

    def must_resend(self, dates: DateTriple) -> bool:
        """Return whether a row is due even if it did not change."""
        _, listed, created = dates
        if self.resend_listed_before and (timestamp_or_none(listed) or BEGINNING) < self.resend_listed_before:
            return True
        return (
            bool(self.resend_created_before) and (timestamp_or_none(created) or BEGINNING) < self.resend_created_before
        )


@dataclass(frozen=True)
class DateRange(DateRule):
    """
    Select the rows of a range of dates. A row counts by its list date; a row without one counts by its creation.

    `missed_before`: time slices returned the rows with a list date from then on, so these are not selected.
    """

    range_since: Timestamp = BEGINNING
    range_until: Timestamp = END  # not included
    missed_before: Timestamp = END

    def is_due(self, dates: DateTriple) -> bool:
        _, listed, created = map(timestamp_or_none, dates)
        if listed and listed >= self.missed_before:
            return False
        return self.range_since <= (listed or created or BEGINNING) < self.range_until
