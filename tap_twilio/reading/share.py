"""How much of a list's first read is done, by the time that it covers. Looks at the state only, from any thread."""

from __future__ import annotations

from datetime import timedelta

from tap_twilio.moments import Moment, moment_of, parse_moment
from tap_twilio.singer.state import Backfill, Place

from .reading import Reading


def first_read_share(reading: Reading) -> float | None:
    """From 0 to 1; None where no first read is under way. Lists come newest first, else it is a guess."""
    opened, finished = reading.state.backfill, reading.state.finished
    if finished is not None:
        return None if opened else 1.0
    if opened is None:
        return None
    since = min([reading.oldest, *(one.since for one in list(opened.slices or ()))])
    whole = parse_moment(opened.began) - parse_moment(since)
    if whole <= timedelta(0):
        return None
    share = 1 - min(1.0, max(0.0, _left(opened, since, whole) / whole))
    return (opened.at + share) / max(1, len(reading.lists))


def _left(opened: Backfill, since: Moment, whole: timedelta) -> timedelta:
    """The time that is left to read of the list that is read now."""
    if opened.slices is None:
        return _until(opened.place, since) if opened.place else whole
    parts = list(opened.slices)  # another thread takes some out
    left = (_until(one.place, one.since) if one.place else _between(one.since, one.until) for one in parts)
    return sum(left, timedelta(0))


def _until(place: Place | None, since: Moment) -> timedelta:
    """From a place's last dated row back to `since`."""
    dates = [moment_of(date) for _, date in place.rows if date] if place else []
    return _between(since, dates[-1] or since) if dates else timedelta(0)


def _between(since: Moment, until: Moment) -> timedelta:
    return max(timedelta(0), parse_moment(until) - parse_moment(since))
