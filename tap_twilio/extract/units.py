"""The spans that a filter can ask for at least: days, and the months and years that rows are sums of."""

from __future__ import annotations

from datetime import timedelta

from tap_twilio.timestamps import SECOND, Timestamp, day_of, earlier, format_timestamp, later, parse_timestamp

ATTEMPTS = 3  # at a span that Twilio fails to answer, before a part of it is asked for
IN_A_ROW = 3  # single days that fail, or that hold nothing, before that is said of all older ones
LONGER = {"month": timedelta(days=32), "year": timedelta(days=367)}  # than any such period, and shorter than two


def first_of(at: Timestamp, period: str) -> Timestamp:
    """
    Return where the month or the year begins that a moment lies in; else the day.

    >>> first_of("2026-03-14T15:09:26.000000Z", "month"), first_of("2026-03-14T15:09:26.000000Z", "")
    ('2026-03-01T00:00:00.000000Z', '2026-03-14T00:00:00.000000Z')
    """
    return {"month": f"{at[:7]}-01T00:00:00.000000Z", "year": f"{at[:4]}-01-01T00:00:00.000000Z"}.get(
        period, day_of(at)
    )


def ceiling(at: Timestamp, period: str) -> Timestamp:
    """
    Return the first start of a period that is not before a moment.

    >>> ceiling("2026-03-01T00:00:00.000000Z", "month"), ceiling("2026-03-14T15:09:26.000000Z", "year")
    ('2026-03-01T00:00:00.000000Z', '2027-01-01T00:00:00.000000Z')
    """
    first = first_of(at, period)
    return at if at == first else first_of(later(first, LONGER.get(period, timedelta(days=1))), period)


def days_of(since: Timestamp, until: Timestamp) -> list[tuple[Timestamp, Timestamp]]:
    """
    Part a span at a midnight near its middle, the older part first. Return nothing for a span of one day.

    >>> [name_of(*part) for part in days_of("2026-03-14T15:09:26.000000Z", "2026-03-17T00:00:00.000000Z")]
    ['2026-03-14 to 2026-03-15', '2026-03-16']
    """
    start, end = parse_timestamp(since), parse_timestamp(until)
    middle = ceiling(format_timestamp(start + (end - start) / 2), "")
    return [(since, middle), (middle, until)] if middle < until else []


def name_of(since: Timestamp, until: Timestamp) -> str:
    """
    Name the days of a span, whose end is excluded.

    >>> name_of("2016-01-01T00:00:00.000000Z", "2025-01-01T00:00:00.000000Z")
    '2016-01-01 to 2024-12-31'
    """
    first, last = since[:10], earlier(until, SECOND)[:10]
    return first if first == last else f"{first} to {last}"
