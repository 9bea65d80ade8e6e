"""
Timestamps: dates as text in one form, `YYYY-MM-DDTHH:MM:SS.ffffffZ` in UTC, so that text order is time order.

    parse_date_time    a text with date, time and zone -> Timestamp; ValueError if malformed
    parse_date         the same, and a plain day as its start: for settings and states
    timestamp_or_none  a value of a row -> Timestamp; None if missing or malformed; fast
    to_datetime, from_datetime  Timestamp <-> datetime

Texts may have either of Twilio's forms: RFC 2822 (classic API) and ISO 8601 (the other products).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

Timestamp = str
BEGINNING: Timestamp = ""  # before every timestamp
END: Timestamp = "~"  # after every timestamp
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60
CACHE_SIZE = 20_000  # entries of each cache of converted strings: 3 MB at most

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RFC_2822 = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?([0-9]{1,2}) ([A-Z][a-z]{2}) ([0-9]{4})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) (?:([+-])([0-9]{2})([0-9]{2})|GMT|UTC?|Z)"
)
_ISO_8601 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r"(?:([+-])([0-9]{2}):?([0-9]{2})|[Zz])"
)
_DAY_ALONE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_date_time(text: str) -> Timestamp:
    """
    Return a text with date, time and zone as a Timestamp, cut to microseconds.

    Raises: ValueError if it is neither RFC 2822 nor ISO 8601, has no zone, or is no date of the calendar.

    >>> parse_date_time("Tue, 31 Aug 2010 20:36:28 +0000"), parse_date_time("2026-03-01T09:00:00.5+01:00")
    ('2010-08-31T20:36:28.000000Z', '2026-03-01T08:00:00.500000Z')
    """
    if match := _RFC_2822.fullmatch(text):
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
        month, fraction = _MONTHS.index(month) + 1, ""  # ValueError, if there is no such month
    elif match := _ISO_8601.fullmatch(text):
        year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    else:
        raise ValueError("not a date with a time and a zone")
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    microsecond = int((fraction or "").ljust(6, "0")[:6])
    try:
        at = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), microsecond, zone)
        return from_datetime(at)
    except OverflowError:
        raise ValueError("a date outside the calendar") from None


class Cache(dict[str, Any]):
    """A bounded cache of converted strings. A subclass raises ValueError or TypeError if it cannot convert one."""

    def keep(self, text: str, value: Any) -> Any:
        if len(self) >= CACHE_SIZE:
            self.clear()
        self[text] = value
        return value


# Most dates occur once, but their parts often. So `timestamp_or_none` looks up three parts of a date in these tables:
# of RFC 2822 `Tue, 31 Aug 2010 `, `20:36:` and `28 +0000`; of ISO 8601 `2010-08-31T`, `20:36:` and `28Z`.
MINUTES = {f"{hour:02}:{minute:02}:": f"{hour:02}:{minute:02}:" for hour in range(24) for minute in range(60)}
SECONDS = {f"{second:02} +0000": f"{second:02}.000000Z" for second in range(60)}


class _Days(Cache):
    def __missing__(self, text: str) -> str:
        return self.keep(text, parse_date_time(f"{text}00:00:00 +0000")[:11])  # type: ignore[no-any-return]


class _IsoDays(Cache):
    def __missing__(self, text: str) -> str:
        return self.keep(text, parse_date_time(f"{text}00:00:00Z")[:11])  # type: ignore[no-any-return]


class _IsoSeconds(Cache):
    """A cache of seconds in UTC, with or without a fraction. Another zone changes the whole date."""

    def __missing__(self, text: str) -> str:
        if not text.endswith(("Z", "+00:00")):
            raise ValueError("another zone, or no seconds")
        return self.keep(text, parse_date_time(f"2000-01-01T00:00:{text}")[17:])  # type: ignore[no-any-return]


class _Dates(Cache):
    """A cache of `parse_date_time`; "" becomes None."""

    def __missing__(self, text: str) -> Timestamp | None:
        return self.keep(text, parse_date_time(text) if text else None)  # type: ignore[no-any-return]


DAYS, ISO_DAYS, ISO_SECONDS, DATES = _Days(), _IsoDays(), _IsoSeconds(), _Dates()


def timestamp_or_none(value: object) -> Timestamp | None:
    """Return a value of a row as a Timestamp, a plain day as its start; None if it is missing or malformed."""
    if not value or not isinstance(value, str):
        return None
    try:
        if value[25:] == " +0000":
            return f"{DAYS[value[:17]]}{MINUTES[value[17:23]]}{SECONDS[value[23:]]}"
        if value[10:11] == "T" and value[11:17] in MINUTES and value[-1] == "Z":
            return f"{ISO_DAYS[value[:11]]}{value[11:17]}{ISO_SECONDS[value[17:]]}"
        return DATES[_with_time(value)]  # type: ignore[no-any-return]
    except (ValueError, LookupError):
        return None


def parse_date(text: str) -> Timestamp:
    """
    Return a text with date, time and zone as a Timestamp, a plain day as its start. Raises ValueError.

    >>> parse_date("2026-01-31"), parse_date("2026-01-31T12:00:00+01:00")
    ('2026-01-31T00:00:00.000000Z', '2026-01-31T11:00:00.000000Z')
    """
    return parse_date_time(_with_time(text))


def _with_time(text: str) -> str:
    """Return a plain day with the time of its start; any other text as it is."""
    return f"{text}T00:00:00Z" if _DAY_ALONE.fullmatch(text) else text


def is_day(text: str) -> bool:
    """
    Return whether a text is a plain day of the calendar.

    >>> is_day("2026-01-31"), is_day("2026-02-31")
    (True, False)
    """
    return bool(_DAY_ALONE.fullmatch(text)) and timestamp_or_none(text) is not None


def to_datetime(text: Timestamp) -> datetime:
    """
    Return a Timestamp as a datetime.

    >>> to_datetime("2026-03-01T00:00:00.000000Z")
    datetime.datetime(2026, 3, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)  # strptime takes four times as long


def from_datetime(at: datetime) -> Timestamp:
    """
    Return a datetime as a Timestamp.

    >>> from_datetime(to_datetime("2026-03-01T00:00:00.000000Z"))
    '2026-03-01T00:00:00.000000Z'
    """
    return at.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def machine_now() -> Timestamp:
    """Return the time of this machine's clock."""
    return from_datetime(datetime.now(timezone.utc))


def to_second(at: Timestamp) -> str:
    """
    Return a timestamp without the fraction of its second, for people to read.

    >>> to_second("2026-03-01T09:30:00.123456Z")
    '2026-03-01T09:30:00Z'
    """
    return f"{at[:19]}Z"


def duration(seconds: float) -> str:
    """
    Return a time span in words, roughly: from an hour on, in its two largest units.

    >>> duration(7.4), duration(900), duration(20_000), duration(90_000)
    ('7 s', '15 min', '5 h 33 min', '1 d 1 h')
    """
    whole = round(seconds)
    if whole < 2 * MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"


def earlier(at: Timestamp, by: timedelta) -> Timestamp:
    """
    Return a timestamp `by` a duration earlier, or the first one of Python's calendar.

    >>> earlier("2026-03-01T00:00:00.000000Z", DAY), earlier("0001-01-01T00:00:00.000000Z", DAY)
    ('2026-02-28T00:00:00.000000Z', '0001-01-01T00:00:00.000000Z')
    """
    try:
        return from_datetime(to_datetime(at) - by)
    except OverflowError:
        return "0001-01-01T00:00:00.000000Z"


def later(at: Timestamp, by: timedelta) -> Timestamp:
    """
    Return a timestamp `by` a duration later, or the last one of Python's calendar.

    >>> later("2026-02-28T00:00:00.000000Z", DAY), later("9999-12-31T00:00:00.000000Z", 2 * DAY)
    ('2026-03-01T00:00:00.000000Z', '9999-12-31T23:59:59.999999Z')
    """
    try:
        return from_datetime(to_datetime(at) + by)
    except OverflowError:
        return "9999-12-31T23:59:59.999999Z"


def start_of_day(at: Timestamp) -> Timestamp:
    """
    Return the start of a timestamp's day.

    >>> start_of_day("2026-03-01T09:30:00.000000Z")
    '2026-03-01T00:00:00.000000Z'
    """
    return f"{at[:10]}T00:00:00.000000Z"


def round_up_to_day(at: Timestamp) -> Timestamp:
    """
    Return the start of the next day, or the timestamp itself if its day starts in the same second.

    >>> round_up_to_day("2026-03-01T09:30:00.000000Z"), round_up_to_day("2026-03-01T00:00:00.000000Z")
    ('2026-03-02T00:00:00.000000Z', '2026-03-01T00:00:00.000000Z')
    """
    return start_of_day(later(at, DAY - SECOND))
