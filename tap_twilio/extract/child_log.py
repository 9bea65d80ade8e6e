"""
Read a log below a parent row, such as the events of a TaskRouter workspace, through the log's date filter.

child_streams.py calls `ChildLogReader.read` for each parent row that it visits. Each visit reads the log from some days
before its bookmark on. `read` is a generator that yields effects to the scheduler (tables/effects.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

from tap_twilio.errors import Refused, ServerFailed
from tap_twilio.log import about
from tap_twilio.streams.model import Stream
from tap_twilio.tables.effects import Effect
from tap_twilio.timestamps import (
    BEGINNING,
    DAY,
    END,
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
MAX_NAMED = 3  # logs that an error names
DateRange = tuple[Timestamp, Timestamp]
# Read a list from its first request on, and change each page before its rows are handed on.
ReadList = Callable[[Fetch, Callable[[Page], Page]], Generator[Effect, Any, PageDispatcher]]


@dataclass
class ChildLogReader:
    """Reads the logs of all parent rows of one account, and remembers what Twilio refused and did not answer."""

    stream: Stream
    account: str
    now: Callable[[], Timestamp]
    end_date: Timestamp = END
    refused_before: Timestamp = BEGINNING  # Twilio refuses filters on earlier dates
    error: ServerFailed | None = None  # names the days that Twilio did not answer
    _unanswered: dict[str, str] = field(default_factory=dict)  # the same days, by the path of the log

    def since(self, bookmark: Timestamp, start_date: Timestamp) -> Timestamp:
        """Return the date from which to read a log that has this bookmark, or no bookmark."""
        window = self.stream.log_window
        assert window
        # Whole days, so that all syncs of a day compare the same rows.
        since = start_of_day(earlier(bookmark, window.lookback)) if bookmark else earlier(self.now(), LONGEST_LOG)
        since = max(since, start_date)
        max_age = self.stream.filter and self.stream.filter.max_age
        if not max_age:
            return since
        oldest = earlier(self.now(), max_age - DAY)  # a day of margin: the limit moves during the sync
        return max(since, round_up_to_day(oldest) if bookmark else oldest)

    def read(self, endpoint: ListEndpoint, since: Timestamp, read_list: ReadList) -> Generator[Effect, Any, bool]:
        """
        Read a log from a date on. Return whether the whole log, and the children of its rows, were read.

        A range with as many rows as Twilio's maximum per query is halved. A range that Twilio refuses or does not
        answer is split down to single days, and the newest is read first. A refused day is the end of the log, if
        Twilio answered a newer range. A day without an answer is left to the next sync, and the older days are read.
        """
        ranges: list[DateRange] = [(since, min(later(self.now(), SECOND), self.end_date))]
        is_complete, has_answered, unanswered_in_a_row = True, False, 0
        unanswered: list[DateRange] = []
        while ranges:
            start, end = ranges.pop()
            start = max(start, self.refused_before)
            if start >= end:
                continue
            parts = split_at_midnight(start, end)
            try:
                # Instead of more attempts, request the parts of a range. If a day has failed, others may fail as well.
                attempts = ATTEMPTS if parts or self.error else None
                first = replace(endpoint.first_page(start, end), max_server_failures=attempts)
                dispatcher = yield from read_list(first, _rows_between(endpoint, start, end))
            except (Refused, ServerFailed) as error:
                if isinstance(error, Refused) and (error.status != 400 or not (parts or has_answered)):
                    raise
                if parts:
                    ranges += parts
                elif isinstance(error, Refused):
                    self._note_refused_before(end)
                else:
                    unanswered.append((start, end))
                    unanswered_in_a_row += 1
                    gives_up = unanswered_in_a_row == MAX_DAYS_IN_A_ROW
                    self._leave_days(endpoint, error, [*ranges, *unanswered] if gives_up else unanswered)
                    ranges = [] if gives_up else ranges
                continue
            has_answered, unanswered_in_a_row = True, 0
            is_complete = is_complete and not dispatcher.has_unread_children
            ranges += halves(endpoint, dispatcher.page_reader.rows, start, end)
        return is_complete and not unanswered

    def _note_refused_before(self, date: Timestamp) -> None:
        """Note the earliest date that Twilio's filter accepts."""
        self.refused_before = max(self.refused_before, date)
        message = "%s %s: Twilio answers no filter on dates before %s; older rows cannot be read"
        LOGGER.warning(message, self.stream.name, self.account, self.refused_before, extra=about(self.stream.name))

    def _leave_days(self, endpoint: ListEndpoint, error: ServerFailed, days: list[DateRange]) -> None:
        """Leave days to the next sync. After all other reads, partition_read.py fails the stream with `error`."""
        named = ", ".join(name_days(*day) for day in sorted(days, reverse=True)[:MAX_DAYS_IN_A_ROW])
        more = f" and {len(days) - MAX_DAYS_IN_A_ROW} more spans" if len(days) > MAX_DAYS_IN_A_ROW else ""
        self._unanswered[endpoint.path] = f"{endpoint.path}: {named}{more}"
        logs = "; ".join([*self._unanswered.values()][:MAX_NAMED])
        count = len(self._unanswered) - MAX_NAMED
        logs += f" and {count} more lists" if count > 0 else ""
        self.error = ServerFailed(f"{error}: {logs} could not be read, all other days were")


def _rows_between(endpoint: ListEndpoint, since: Timestamp, until: Timestamp) -> Callable[[Page], Page]:
    """Return a function that drops rows outside of the dates: a filter may also list the second or day around them."""

    def keep(page: Page) -> Page:
        rows = [row for row in page.rows if since <= (timestamp_or_none(endpoint.list_date(row)) or since) < until]
        return replace(page, rows=rows)

    return keep
