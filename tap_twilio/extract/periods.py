"""
Cut ranges of dates at days, months and years, and name the days for messages.

The shortest range of some date filters is a day, and the rows of some lists are sums over a day, a month or a year.
time_slices.py, log_window.py and child_log.py call these functions.
"""

from __future__ import annotations

from datetime import timedelta

from tap_twilio.timestamps import SECOND, Timestamp, earlier, from_datetime, later, start_of_day, to_datetime

ATTEMPTS = 3  # for a range of dates that Twilio fails to answer, before its parts are requested
MAX_DAYS_IN_A_ROW = 3  # days that fail or are empty, before all older days are assumed to be the same
INTO_THE_NEXT = {"month": timedelta(days=32), "year": timedelta(days=367)}  # from any period's start


def start_of_period(at: Timestamp, period: str) -> Timestamp:
    """
    Return the start of the month, of the year, or of the day that a timestamp lies in.

    >>> start_of_period("2026-03-14T15:09:26.000000Z", "month"), start_of_period("2026-03-14T15:09:26.000000Z", "")
    ('2026-03-01T00:00:00.000000Z', '2026-03-14T00:00:00.000000Z')
    """
    return {"month": f"{at[:7]}-01T00:00:00.000000Z", "year": f"{at[:4]}-01-01T00:00:00.000000Z"}.get(
        period, start_of_day(at)
    )


def round_up_to_period(at: Timestamp, period: str) -> Timestamp:
    """
    Return the first start of a period that is not before a timestamp.

    >>> round_up_to_period("2026-03-01T00:00:00.000000Z", "month")
    '2026-03-01T00:00:00.000000Z'
    >>> round_up_to_period("2026-03-14T15:09:26.000000Z", "year")
    '2027-01-01T00:00:00.000000Z'
    """
    start = start_of_period(at, period)
    return at if at == start else start_of_period(later(start, INTO_THE_NEXT.get(period, timedelta(days=1))), period)


def split_at_midnight(since: Timestamp, until: Timestamp) -> list[tuple[Timestamp, Timestamp]]:
    """
    Return the older and the newer half of some days, split at a midnight; nothing for a single day.

    >>> [name_days(*half) for half in split_at_midnight("2026-03-14T15:09:26.000000Z", "2026-03-17T00:00:00.000000Z")]
    ['2026-03-14 to 2026-03-15', '2026-03-16']
    """
    start, end = to_datetime(since), to_datetime(until)
    middle = round_up_to_period(from_datetime(start + (end - start) / 2), "")
    return [(since, middle), (middle, until)] if middle < until else []


def name_days(since: Timestamp, until: Timestamp) -> str:
    """
    Name the days from `since` to `until`, which is excluded.

    >>> name_days("2016-01-01T00:00:00.000000Z", "2025-01-01T00:00:00.000000Z")
    '2016-01-01 to 2024-12-31'
    """
    first, last = since[:10], earlier(until, SECOND)[:10]
    return first if first == last else f"{first} to {last}"
