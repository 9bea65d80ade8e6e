"""
Timestamps of simulated time, as whole seconds since 1970 in UTC, and Twilio's formats of them.

The sandbox counts in such integers; text appears only on the wire and in what tests hand in.
"""

import calendar
import time
from datetime import date, datetime, timezone
from email.utils import parsedate_tz
from functools import lru_cache

MINUTE, HOUR, DAY = 60, 3600, 86400
UTC = timezone.utc
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def timestamp(value: "str | datetime | date | int | float") -> int:
    """
    Return the seconds of ISO 8601, RFC 2822, a datetime, a date (its midnight) or a number. Without a zone: UTC.

    >>> timestamp("2010-08-31T20:36:28Z") == timestamp("Tue, 31 Aug 2010 20:36:28 +0000")
    True
    """
    if isinstance(value, (int, float)):
        return int(value)
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, date):
        return calendar.timegm(value.timetuple())
    if value[:1].isalpha():
        parts = parsedate_tz(value)
        if parts is None:
            raise ValueError(f"Not a date: {value!r}")
        return calendar.timegm((*parts[:6], 0, 0, 0)) - (parts[9] or 0)
    return timestamp(datetime.fromisoformat(value.replace("Z", "+00:00")))


@lru_cache(maxsize=1)
def _times_of_day() -> tuple[str, ...]:
    return tuple(f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(DAY))


@lru_cache(maxsize=10_000)
def _day(day: int) -> str:
    t = time.gmtime(day * DAY)
    return f"{DAYS[t.tm_wday]}, {t.tm_mday:02} {MONTHS[t.tm_mon - 1]} {t.tm_year} "


def rfc2822(at: "int | None") -> "str | None":
    """
    Format a timestamp as classic resources do.

    >>> rfc2822(1283286988)
    'Tue, 31 Aug 2010 20:36:28 +0000'
    """
    return None if at is None else _day(at // DAY) + _times_of_day()[at % DAY] + " +0000"


def http_date(at: int) -> str:
    """
    Format a timestamp as the `Date` header.

    >>> http_date(1283286988)
    'Tue, 31 Aug 2010 20:36:28 GMT'
    """
    return _day(at // DAY) + _times_of_day()[at % DAY] + " GMT"


def iso8601(at: "int | None") -> "str | None":
    """
    Format a timestamp as newer resources do.

    >>> iso8601(1283286988)
    '2010-08-31T20:36:28Z'
    """
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
