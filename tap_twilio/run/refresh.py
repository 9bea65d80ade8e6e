"""
Parse `--refresh`, and note in the state which rows are to be written again.

run/sync.py calls `note` before the first STATE; extract/refresh.py then reads what the state holds.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tap_twilio.errors import TapError
from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.extract.periods import round_up_to_period, start_of_period
from tap_twilio.log import about
from tap_twilio.singer.catalog import Selected, load_schema
from tap_twilio.state.describe import selected_by
from tap_twilio.state.model import OpenRefresh
from tap_twilio.streams import BY_NAME, Stream
from tap_twilio.timestamps import BEGINNING, DAY, END, Timestamp, is_day, later, parse_date

LOGGER = logging.getLogger("tap_twilio")
WRITE_DAYS = "Write the first and the last, as 2026-03-01..2026-03-07, or one day."
FORMS = "write a stream (calls), days of one (messages:2026-03-01..2026-03-07), or an account (AC…)"


@dataclass(frozen=True)
class Refresh:
    """One `--refresh`: a stream in all accounts, or all streams in an account."""

    text: str
    stream: str | None = None
    account: str | None = None
    since: Timestamp = BEGINNING
    until: Timestamp = END  # not included
    dated_by: str | None = None  # the stream whose rows the dates select, if there are dates

    def open(self, partition_read: PartitionRead) -> OpenRefresh | None:
        """Return what a list has to read for it; None if nothing was written of these rows yet."""
        streams = [table.name for table in partition_read.tables if self.stream in (None, table.name)]
        read = [table.name for table in partition_read.tables if table.state.was_read]
        read += [name for opened in partition_read.state.reads for name in opened.streams]
        streams = [name for name in streams if name in read]
        if not streams or self.account not in (None, partition_read.account):
            return None
        return OpenRefresh(partition_read.began, streams, since=self.since, until=self.until, dated_by=self.dated_by)


def parse(texts: Iterable[str], selected: Sequence[Selected]) -> list[Refresh]:
    """Return what `--refresh` names. Raises TapError."""
    names = {choice.stream.name for choice in selected}
    return [_parse(text.strip(), names) for text in dict.fromkeys(texts)]


def _parse(text: str, selected: Collection[str]) -> Refresh:
    name, colon, days = text.partition(":")
    if name.startswith("AC"):
        if colon:
            raise TapError(f"--refresh {text}: an account takes no days. Name a stream with them, or only the account.")
        return Refresh(text, account=name)
    if name not in BY_NAME:
        raise TapError(f"--refresh {text[:60]}: there is no such stream; {FORMS}. --streams prints all streams.")
    if name not in selected:
        raise TapError(f"--refresh {text}: {name} is not selected. Select it, in the catalog or with --select.")
    if not colon:
        return Refresh(text, name)
    since, until = _parse_days(text, days)
    dated_by = _dated_by(BY_NAME[name])
    if dated_by is None:
        raise TapError(f"--refresh {text}: the rows of {name} have no date. Leave the days out.")
    window = dated_by.log_window
    if window and window.period:
        since, until = start_of_period(since, window.period), round_up_to_period(until, window.period)
    return Refresh(text, name, None, since, until, dated_by.name)


def _parse_days(text: str, days: str) -> tuple[Timestamp, Timestamp]:
    """Return the start of the first day, and the end of the last."""
    first, dots, last = days.partition("..")
    last = last if dots else first
    if dots and not (first and last):
        raise TapError(f"--refresh {text}: has no {'last' if first else 'first'} day. {WRITE_DAYS}")
    for day in (first, last):
        if not is_day(day):
            raise TapError(f"--refresh {text[:60]}: {day[:20]!r} is not a day. {WRITE_DAYS}")
    if last < first:
        raise TapError(f"--refresh {text}: the last day is before the first.")
    return parse_date(first), later(parse_date(last), DAY)


def _dated_by(stream: Stream) -> Stream | None:
    """
    Return the stream whose dates select the rows of a stream: itself, or one above it; None if none has dates.

    If children are read when a row above them changed, or while it is recent, its dates select them: the recordings of
    the calls of a week. Other children are selected by their own dates: the messages of a week in all conversations.
    """
    parent = stream.parent
    is_read_with_parent = parent is not None and (parent.visits_changed or parent.visits_by_age)
    if not is_read_with_parent and (stream.filter or "date_created" in load_schema(stream.name)["properties"]):
        return stream
    return _dated_by(BY_NAME[parent.stream]) if parent else None


def check_accounts(refreshes: Iterable[Refresh], accounts: Collection[str]) -> None:
    """Raise TapError if a refresh names an account that the sync does not read."""
    for refresh in refreshes:
        if refresh.account and refresh.account not in accounts:
            raise TapError(
                f"--refresh {refresh.text}: is not an account that this sync reads; --accounts-json prints them."
            )


def note(refreshes: Sequence[Refresh], partition_reads: Iterable[PartitionRead]) -> None:
    """Note in the state what `refreshes` name, in place of what is left of equal ones. Log all that is to be done."""
    left: dict[tuple[str, str], int] = {}  # the accounts, by streams and days
    for partition_read in partition_reads:
        state = partition_read.state
        for new in filter(None, (refresh.open(partition_read) for refresh in refreshes)):
            others = [other for other in state.refreshes or () if _key(other) != _key(new)]
            state.refreshes = [*others, new]
        for opened in state.refreshes or ():
            key = (", ".join(opened.streams), selected_by(opened))
            left[key] = left.get(key, 0) + 1
    for (streams, rows), accounts in left.items():
        message = "%s: %s are written again, in %d account%s (--refresh)"
        LOGGER.info(message, streams, rows, accounts, "s" * (accounts > 1), extra=about(streams.split(", ")[0]))
    if refreshes and not left:
        LOGGER.info("--refresh: nothing of it was written yet, so that this sync writes all of it anyway")


def _key(refresh: OpenRefresh) -> tuple[object, ...]:
    return (sorted(refresh.streams), refresh.since, refresh.until, refresh.dated_by)
