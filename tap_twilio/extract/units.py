"""Days, months and years: the shortest dates that a filter can name, and the periods of which rows are sums."""

from __future__ import annotations

from datetime import timedelta

from tap_twilio.timestamps import SECOND, Timestamp, earlier, from_datetime, later, start_of_day, to_datetime

ATTEMPTS = 3  # requests for dates that Twilio fails to answer, before a part of them is requested
IN_A_ROW = 3  # days that fail or are empty, before all older days are assumed to be the same
LONGER = {"month": timedelta(days=32), "year": timedelta(days=367)}  # than any such period, shorter than two


def first_of(at: Timestamp, period: str) -> Timestamp:
    """
    Return the start of the month, of the year, or of the day that a timestamp lies in.

    >>> first_of("2026-03-14T15:09:26.000000Z", "month"), first_of("2026-03-14T15:09:26.000000Z", "")
    ('2026-03-01T00:00:00.000000Z', '2026-03-14T00:00:00.000000Z')
    """
    return {"month": f"{at[:7]}-01T00:00:00.000000Z", "year": f"{at[:4]}-01-01T00:00:00.000000Z"}.get(
        period, start_of_day(at)
    )


def ceiling(at: Timestamp, period: str) -> Timestamp:
    """
    Return the first start of a period that is not before a timestamp.

    >>> ceiling("2026-03-01T00:00:00.000000Z", "month"), ceiling("2026-03-14T15:09:26.000000Z", "year")
    ('2026-03-01T00:00:00.000000Z', '2027-01-01T00:00:00.000000Z')
    """
    start = first_of(at, period)
    return at if at == start else first_of(later(start, LONGER.get(period, timedelta(days=1))), period)


def split_at_midnight(since: Timestamp, until: Timestamp) -> list[tuple[Timestamp, Timestamp]]:
    """
    Return the older and the newer half of some days, split at a midnight; nothing for a single day.

    >>> [name_of(*half) for half in split_at_midnight("2026-03-14T15:09:26.000000Z", "2026-03-17T00:00:00.000000Z")]
    ['2026-03-14 to 2026-03-15', '2026-03-16']
    """
    start, end = to_datetime(since), to_datetime(until)
    middle = ceiling(from_datetime(start + (end - start) / 2), "")
    return [(since, middle), (middle, until)] if middle < until else []


def name_of(since: Timestamp, until: Timestamp) -> str:
    """
    Name the days from `since` to `until`, which is excluded.

    >>> name_of("2016-01-01T00:00:00.000000Z", "2025-01-01T00:00:00.000000Z")
    '2016-01-01 to 2024-12-31'
    """
    first, last = since[:10], earlier(until, SECOND)[:10]
    return first if first == last else f"{first} to {last}"
