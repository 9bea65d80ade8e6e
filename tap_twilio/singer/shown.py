"""What a state says, in words: for each stream and account its bookmark, what is open, and how far the round is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tap_twilio.moments import BEGINNING, END, Moment, parse_moment
from tap_twilio.streams import BY_NAME, Stream

from .state import ELSEWHERE, Asked, Backfill, Partition, Round, State

ALL_OF_TIME = "9000"  # a date from here on stands for all


@dataclass(frozen=True)
class Open:
    """Something that the next syncs have to do. `what` is its name in the state, `says` what it means."""

    what: str
    says: str


@dataclass(frozen=True)
class Walked:
    """How far the open round is. `pages_before`: how many pages the last one had, where it took several syncs."""

    began: Moment
    pages: int
    pages_before: int | None
    list_number: int
    lists: int

    @property
    def says(self) -> str:
        of = f" of about {self.pages_before}" if self.pages_before else ""
        lists = f", list {self.list_number} of {self.lists}" if self.lists > 1 else ""
        return f"{self.pages} pages{of}{lists}"


@dataclass(frozen=True)
class Line:
    """
    One partition. `age_seconds` is that of its bookmark, or of its last FULL_TABLE read, which began at `read_whole`.

    `account` is None where a bookmark of another tap's stands for all accounts. `digests_bytes`: what they take of the
    state. `elsewhere`: another piece of the state holds it.
    """

    stream: str
    account: str | None
    bookmark: Moment | None
    read_whole: Moment | None
    age_seconds: int | None
    open: list[Open]
    round: Walked | None
    digests_bytes: int
    elsewhere: bool = False

    def document(self) -> dict[str, Any]:
        return asdict(self)


def lines(state: State, now: Moment) -> Iterator[Line]:
    """A line for each partition, in the order of the state. Raises TapError for a malformed one."""
    for name in state.names:
        stream = state.stream(name)
        if stream.foreign is not None:
            said = Open("taken_over", "a bookmark of another tap's: older rows are taken as read")
            yield Line(name, None, stream.foreign, None, _age(stream.foreign, now), [said], None, 0)
        for account, part in sorted(stream.partitions.items()):
            elsewhere = part == ELSEWHERE
            bookmark = None if elsewhere else part.date_updated
            read_whole = part.full.began if part.full and part.full.done and part.full.version else None
            yield Line(
                name,
                account,
                bookmark,
                read_whole,
                _age(read_whole or bookmark, now),
                [] if elsewhere else list(_opened(BY_NAME[name], part)),
                _walked(BY_NAME[name], part),
                len(part.digests or "") + len(part.round_digests or ""),
                elsewhere,
            )


def _age(at: Moment | None, now: Moment) -> int | None:
    return int((parse_moment(now) - parse_moment(at)).total_seconds()) if at else None


def _walked(stream: Stream, part: Partition) -> Walked | None:
    opened: Round | None = part.round
    if opened is None:
        return None
    many = len(stream.values)
    return Walked(opened.began, opened.pages, part.pages, min(opened.at + 1, many), many)


def _opened(stream: Stream, part: Partition) -> Iterator[Open]:
    """What the next syncs have to do beside the round."""
    above = stream.parent.stream if stream.parent else ""
    if part.backfill:
        yield Open(
            "backfill", f"the backfill of {_day(part.backfill.began)} is not complete: {_left(stream, part.backfill)}"
        )
    elif not (part.was_read or part.finished or part.full):
        yield Open("backfill", "it was not read whole yet")
    if part.full and not part.full.version:
        yield Open("full", "FULL_TABLE: it could not be read, so deleted rows of the stream stay")
    elif part.full and not part.full.done:
        yield Open("full", f"FULL_TABLE version {part.full.version}, begun {_day(part.full.began)}, is not complete")
    if part.owed is not None:
        rows = f"rows of {above}" if above else "rows"
        what = "are still to be asked for what is below them" if above else "come with the round"
        yield Open("owed", f"{rows} {_before(part.owed)} {what}")
    if part.put_off is not None:
        yield Open(
            "put_off",
            f"rows of {above or 'the parent'} {_before(part.put_off)} were not asked: child_requests were spent",
        )
    if part.refill is not None:
        since = "all rows" if part.refill == END else f"rows created before {_day(part.refill)}"
        yield Open("refill", f"{since} come with the round: properties were added, or start_date moved back")
    if part.asked:
        yield from _asked(part.asked, above)
    if part.taken_over:
        yield Open("taken_over", "the bookmark came from another tap: older rows are taken as read until a round ends")


def _left(stream: Stream, opened: Backfill) -> str:
    many = len(stream.values)
    lists = f"list {min(opened.at + 1, many)} of {many}, " if many > 1 else ""
    if opened.slices is None:
        return f"{lists}{'walked in part' if opened.place else 'from its first page'}"
    oldest, newest = min(one.since for one in opened.slices), max(one.until for one in opened.slices)
    return f"{lists}{len(opened.slices)} slices left, between {_day(oldest)} and {_day(newest)}"


def _asked(asked: Asked, above: str) -> Iterator[Open]:
    if asked.began:
        down_to = f", down to {_day(asked.cursor[0])}" if asked.cursor else ""
        yield Open(
            "asked", f"the rows of {above} of the last days are asked in part, since {_day(asked.began)}{down_to}"
        )
    if asked.second_owed:
        yield Open("second_owed", "the second source is to be asked for all time")


def _before(date: Moment) -> str:
    if date == BEGINNING:
        return "without a date"
    return "of any date" if date >= ALL_OF_TIME else f"without a date, or dated before {_day(date)},"


def _day(at: Moment) -> str:
    return at[:10]
