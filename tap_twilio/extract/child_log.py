"""
Read a log below a parent row, such as the events of a TaskRouter workspace, through the log's date filter.

child_streams.py calls `ChildLogReader.read` for each parent row that it visits. Each visit reads the log from some days
before its bookmark on. `read` is a generator that yields effects to the scheduler (tables/effects.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

from tap_twilio.errors import Refused, ServerFailed
from tap_twilio.log import about
from tap_twilio.streams.model import Stream
from tap_twilio.tables.effects import Effect
from tap_twilio.timestamps import (
    BEGINNING,
    DAY,
    SECOND,
    Timestamp,
    earlier,
    later,
    round_up_to_day,
    start_of_day,
    timestamp_or_none,
)
from tap_twilio.twilio.endpoint import ListEndpoint, halves
from tap_twilio.twilio.request import Fetch, Page

from .dispatch import PageDispatcher
from .periods import ATTEMPTS, MAX_DAYS_IN_A_ROW, name_days, split_at_midnight

LOGGER = logging.getLogger("tap_twilio")
LONGEST_LOG = 3650 * DAY  # how far back to read a log if the declaration of its filter does not say
DateRange = tuple[Timestamp, Timestamp]
# Read a list from its first request on, and change each page before its rows are handed on.
ReadList = Callable[[Fetch, Callable[[Page], Page]], Generator[Effect, Any, PageDispatcher]]


@dataclass
class ChildLogReader:
    """What one sync learns about a log of one account."""

    stream: Stream
    account: str
    now: Callable[[], Timestamp]
    refused_before: Timestamp = BEGINNING  # Twilio refuses filters on earlier dates
    error: ServerFailed | None = None  # names the days that Twilio did not answer

    def since(self, bookmark: Timestamp, start_date: Timestamp) -> Timestamp:
        """Return the date from which to read a log that has this bookmark, or none."""
        window = self.stream.log_window
        assert window
        # Whole days, so that all syncs of a day compare the same rows.
        since = start_of_day(earlier(bookmark, window.lookback)) if bookmark else earlier(self.now(), LONGEST_LOG)
        since = max(since, start_date)
        reach = self.stream.filter and self.stream.filter.max_age
        if not reach:
            return since
        oldest = earlier(self.now(), reach - DAY)  # less a day, for the time that the read takes
        return max(since, round_up_to_day(oldest) if bookmark else oldest)

    def read(self, endpoint: ListEndpoint, since: Timestamp, read_list: ReadList) -> Generator[Effect, Any, bool]:
        """
        Read a log from a date on. Return whether all of it, and all below it, was read.

        A range with as many rows as Twilio lists in a query is halved. A range that Twilio refuses or does not answer
        is split down to single days, and the newest is read first. A refused day is the end of the log, if Twilio
        answered a newer range. A day without an answer is left to the next sync, and the older days are read.
        """
        ranges: list[DateRange] = [(since, later(self.now(), SECOND))]
        is_complete, has_answered, unanswered_in_a_row = True, False, 0
        unanswered: list[DateRange] = []
        while ranges:
            since, until = ranges.pop()
            since = max(since, self.refused_before)
            if since >= until:
                continue
            parts = split_at_midnight(since, until)
            try:
                attempts = ATTEMPTS if parts or self.error else None
                first = replace(endpoint.first_page(since, until), max_server_failures=attempts)
                dispatcher = yield from read_list(first, _rows_between(endpoint, since, until))
            except (Refused, ServerFailed) as error:
                if isinstance(error, Refused) and (error.status != 400 or not (parts or has_answered)):
                    raise
                if parts:
                    ranges += parts
                elif isinstance(error, Refused):
                    self._end_at(until)
                else:
                    unanswered.append((since, until))
                    unanswered_in_a_row += 1
                    gives_up = unanswered_in_a_row == MAX_DAYS_IN_A_ROW
                    self._leave_days(endpoint, error, [*ranges, *unanswered] if gives_up else unanswered)
                    ranges = [] if gives_up else ranges
                continue
            has_answered, unanswered_in_a_row = True, 0
            is_complete = is_complete and not dispatcher.has_unvisited
            ranges += halves(endpoint, dispatcher.page_reader.rows, since, until)
        return is_complete and not unanswered

    def _end_at(self, date: Timestamp) -> None:
        """Note the earliest date that Twilio's filter accepts."""
        self.refused_before = max(self.refused_before, date)
        message = "%s %s: Twilio answers no filter on dates before %s; older rows cannot be read"
        LOGGER.warning(message, self.stream.name, self.account, self.refused_before, extra=about(self.stream.name))

    def _leave_days(self, endpoint: ListEndpoint, error: ServerFailed, days: list[DateRange]) -> None:
        """Leave days to the next sync. The error that names them is raised after everything else was read."""
        named = ", ".join(name_days(*day) for day in sorted(days, reverse=True)[:MAX_DAYS_IN_A_ROW])
        more = f" and {len(days) - MAX_DAYS_IN_A_ROW} more spans" if len(days) > MAX_DAYS_IN_A_ROW else ""
        self.error = ServerFailed(f"{error}: {endpoint.path}: {named}{more} could not be read, all other days were")


def _rows_between(endpoint: ListEndpoint, since: Timestamp, until: Timestamp) -> Callable[[Page], Page]:
    """Return a function that drops rows outside of the dates: a filter may list a unit more."""

    def keep(page: Page) -> Page:
        rows = [row for row in page.rows if since <= (timestamp_or_none(endpoint.list_date(row)) or since) < until]
        return replace(page, rows=rows)

    return keep
