"""What a state says, in words: for each stream and account its bookmark, what is open, and how far the round is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tap_twilio.streams import BY_NAME, Stream, top_of
from tap_twilio.timestamps import BEGINNING, END, Timestamp, parse_timestamp

from .model import ELSEWHERE, Backfill, FeedbackProgress, OpenRescan, Partition, State

ALL_OF_TIME = "9000"  # a date from here on stands for all
BLOCKED = "FULL_TABLE: an account was not read whole, so deleted rows stay"
NOT_READ = {  # by the words of availability.py
    "closed": "closed, not read",
    "suspended": "suspended, not read",
    "refused": "Twilio refused it",
    "failed": "the last sync failed",
    "tokenless": "only the subaccount's auth_token reads it, and there is none",
    "recently_empty": "it was empty a short time ago, and was not read again (empty_recheck_hours)",
}


@dataclass(frozen=True)
class OpenWork:
    """Something that the next syncs have to do. `what` is its name in the state, `says` what it means."""

    what: str
    says: str


@dataclass(frozen=True)
class Verdict:
    """
    Whether the warehouse holds all that Twilio lists of a stream in an account.

    `why` not, a sentence each; `syncs_left` until it does, None where that is not known.
    """

    complete: bool
    why: tuple[str, ...] = ()
    syncs_left: int | None = 0


@dataclass(frozen=True)
class RescanProgress:
    """How far the open round is. `pages_before`: how many pages the last one had, where it took several syncs."""

    began: Timestamp
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

    `account` is None where a bookmark of another tap's stands for all accounts. `fingerprint_bytes`: what they take of
    the state. `elsewhere`: another piece of the state holds it.
    """

    stream: str
    account: str | None
    bookmark: Timestamp | None
    read_whole: Timestamp | None
    age_seconds: int | None
    open: list[OpenWork]
    rescan: RescanProgress | None
    fingerprint_bytes: int
    complete: bool
    syncs_left: int | None
    elsewhere: bool = False

    def document(self) -> dict[str, Any]:
        return asdict(self)


def lines(state: State, now: Timestamp) -> Iterator[Line]:
    """A line for each partition, in the order of the state. Raises TapError for a malformed one."""
    for name in state.names:
        stream = state.stream(name)
        if stream.imported is not None:
            said = OpenWork("imported_bookmark", "a bookmark of another tap's: older rows are taken as read")
            yield Line(name, None, stream.imported, None, _age(stream.imported, now), [said], None, 0, False, None)
        for account, part in sorted(stream.partitions.items()):
            elsewhere = part == ELSEWHERE
            opened = [] if elsewhere else list(_opened(BY_NAME[name], part, _root(state, name, account)))
            opened += [OpenWork("blocked", BLOCKED)] * (stream.blocked and not elsewhere)
            bookmark = None if elsewhere else part.date_updated
            read_whole = part.full.began if part.full and part.full.done and part.full.version else None
            yield Line(
                name,
                account,
                bookmark,
                read_whole,
                _age(read_whole or bookmark, now),
                opened,
                _rescan_progress(BY_NAME[name], part),
                len(part.fingerprints or "") + len(part.rescan_fingerprints or ""),
                not opened,
                part.syncs_left if opened else 0,
                elsewhere,
            )


def verdict(state: State, name: str, account: str) -> Verdict:
    """Return the verdict over a stream in an account, as the state has it."""
    part = state.stream(name).partitions.get(account, Partition())
    opened = [one.says for one in _opened(BY_NAME[name], part, _root(state, name, account))]
    opened += [BLOCKED] * state.stream(name).blocked
    return Verdict(not opened, tuple(opened), part.syncs_left if opened else 0)


def _root(state: State, name: str, account: str) -> Partition:
    """Return what is kept of the list at the top, from which a stream's rows come."""
    return state.peek(top_of(BY_NAME[name]).name).partitions.get(account, Partition())


def _age(at: Timestamp | None, now: Timestamp) -> int | None:
    return int((parse_timestamp(now) - parse_timestamp(at)).total_seconds()) if at else None


def _rescan_progress(stream: Stream, part: Partition) -> RescanProgress | None:
    opened: OpenRescan | None = part.rescan
    if opened is None:
        return None
    many = len(stream.values)
    return RescanProgress(opened.began, opened.pages, part.pages, min(opened.at + 1, many), many)


def _opened(stream: Stream, part: Partition, root: Partition) -> Iterator[OpenWork]:
    """Yield what the last sync left to the next ones. `root` is the list's part, of which the stream's rows come."""
    above = stream.parent.stream if stream.parent else ""
    if part.not_read == "unavailable":
        return  # there is nothing to read
    if part.not_read:
        yield OpenWork("not_read", NOT_READ.get(part.not_read, part.not_read))
    if part.not_read in ("closed", "suspended"):
        return
    yield from _opened_above(stream, part, root)
    if part.backfill:
        yield OpenWork(
            "backfill", f"the backfill of {_day(part.backfill.began)} is not complete: {_left(stream, part.backfill)}"
        )
    elif not (part.was_read or part.finished or part.full or part.not_read):
        yield OpenWork("backfill", "it was not read whole yet")
    if part.full and not part.full.version:
        yield OpenWork("full", "FULL_TABLE: it could not be read, so deleted rows of the stream stay")
    elif part.full and not part.full.done:
        yield OpenWork(
            "full", f"FULL_TABLE version {part.full.version}, begun {_day(part.full.began)}, is not complete"
        )
    yield from _opened_rows(part, above)


def _opened_rows(part: Partition, above: str) -> Iterator[OpenWork]:
    """Yield which rows the next syncs send again, or visit."""
    if part.resend_listed_before is not None:
        rows = f"rows of {above}" if above else "rows"
        what = "are still to be asked for what is below them" if above else "come with the round"
        yield OpenWork("resend_listed_before", f"{rows} {_before(part.resend_listed_before)} {what}")
    if part.deferred_before is not None:
        yield OpenWork(
            "deferred_before",
            f"rows of {above or 'the parent'} {_before(part.deferred_before)} were not asked: "
            "max_child_requests were spent",
        )
    if part.resend_created_before is not None:
        since = (
            "all rows"
            if part.resend_created_before == END
            else f"rows created before {_day(part.resend_created_before)}"
        )
        yield OpenWork(
            "resend_created_before", f"{since} come with the round: properties were added, or start_date moved back"
        )
    if part.feedback_progress:
        yield from _asked(part.feedback_progress, above)
    if part.imported_bookmark:
        yield OpenWork(
            "imported_bookmark", "the bookmark came from another tap: older rows are taken as read until a round ends"
        )


def _opened_above(stream: Stream, part: Partition, root: Partition) -> Iterator[OpenWork]:
    """Yield what is left to read of the list, and what the state cannot tell of it."""
    if part is not root and root.backfill:
        yield OpenWork("backfill", f"the first read of {top_of(stream).name} is not complete")
    if root.rescan or root.pages:
        yield OpenWork(
            "rescan", "the list is longer than one sync reads again (rescan_pages), so old changes come later"
        )
    if root.unread:
        yield OpenWork("unread", "Twilio failed to answer for some days; each sync asks for them again")
    if part.by_date_from:
        back = _day(part.by_date_from)
        yield OpenWork(
            "by_date", f"the state has no room for digests (state_kilobytes): dates judge rows from {back} back"
        )


def _left(stream: Stream, opened: Backfill) -> str:
    many = len(stream.values)
    lists = f"list {min(opened.at + 1, many)} of {many}, " if many > 1 else ""
    if opened.time_slices is None:
        return f"{lists}{'walked in part' if opened.checkpoint else 'from its first page'}"
    oldest, newest = min(one.since for one in opened.time_slices), max(one.until for one in opened.time_slices)
    return f"{lists}{len(opened.time_slices)} slices left, between {_day(oldest)} and {_day(newest)}"


def _asked(asked: FeedbackProgress, above: str) -> Iterator[OpenWork]:
    if asked.began:
        down_to = f", down to {_day(asked.cursor[0])}" if asked.cursor else ""
        yield OpenWork(
            "feedback_progress",
            f"the rows of {above} of the last days are asked in part, since {_day(asked.began)}{down_to}",
        )
    if asked.second_source_pending:
        yield OpenWork("second_source_pending", "the second source is to be asked for all time")


def _before(date: Timestamp) -> str:
    if date == BEGINNING:
        return "without a date"
    return "of any date" if date >= ALL_OF_TIME else f"without a date, or dated before {_day(date)},"


def _day(at: Timestamp) -> str:
    return at[:10]
