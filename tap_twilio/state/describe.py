"""Describe a state in words: each stream's bookmark in each account, its open work, and the progress of its rescan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tap_twilio.streams import BY_NAME, Stream, top_of
from tap_twilio.timestamps import BEGINNING, END, Timestamp, to_datetime

from .model import ELSEWHERE, Backfill, FeedbackProgress, OpenRescan, Partition
from .store import State

ALL_OF_TIME = "9000"  # a date from here on means every date
BLOCKED = "FULL_TABLE: an account was not read whole, so deleted rows stay"
NOT_READ = {  # by the reasons of availability.py
    "closed": "closed, not read",
    "suspended": "suspended, not read",
    "refused": "Twilio refused it",
    "failed": "the last sync failed",
    "tokenless": "only the subaccount's auth_token reads it, and there is none",
    "recently_empty": "it was empty a short time ago, and was not read again (empty_recheck_hours)",
}


@dataclass(frozen=True)
class OpenWork:
    """Work for the next syncs. `what` is its name in the state, `says` explains it."""

    what: str
    says: str


@dataclass(frozen=True)
class Verdict:
    """
    The completeness of a stream in an account: whether the warehouse has every row that Twilio lists.

    `why`: the reasons if not, a sentence each. `syncs_left`: the syncs until it is complete; None if unknown.
    """

    complete: bool
    why: tuple[str, ...] = ()
    syncs_left: int | None = 0


@dataclass(frozen=True)
class RescanProgress:
    """The progress of the open rescan. `pages_before`: the last rescan's pages, if it took several syncs."""

    began: Timestamp
    pages: int
    pages_before: int | None
    list_number: int
    lists: int

    @property
    def says(self) -> str:
        total = f" of about {self.pages_before}" if self.pages_before else ""
        lists = f", list {self.list_number} of {self.lists}" if self.lists > 1 else ""
        return f"{self.pages} pages{total}{lists}"


@dataclass(frozen=True)
class Line:
    """
    One partition. `age_seconds`: of its bookmark, or of its last FULL_TABLE read, which began at `read_whole`.

    `account` is None if another tap's bookmark stands for all accounts. `fingerprint_bytes`: the size of its
    fingerprints in the state. `elsewhere`: another shard of the state holds the partition.
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
        """Return the line as `state show --format json` prints it."""
        return asdict(self)


def lines(state: State, now: Timestamp) -> Iterator[Line]:
    """Yield a line for each partition, in the order of the state. Raises TapError for a malformed one."""
    for name in state.names:
        stream = state.stream(name)
        if stream.imported is not None:
            work = OpenWork("imported_bookmark", "the bookmark came from another tap: older rows count as loaded")
            yield Line(name, None, stream.imported, None, _age(stream.imported, now), [work], None, 0, False, None)
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
    """Return whether a stream is complete in an account, by the state."""
    part = state.stream(name).partitions.get(account, Partition())
    opened = [work.says for work in _opened(BY_NAME[name], part, _root(state, name, account))]
    opened += [BLOCKED] * state.stream(name).blocked
    return Verdict(not opened, tuple(opened), part.syncs_left if opened else 0)


def _root(state: State, name: str, account: str) -> Partition:
    """Return the partition of the top stream, whose list leads to this stream's rows."""
    return state.peek(top_of(BY_NAME[name]).name).partitions.get(account, Partition())


def _age(at: Timestamp | None, now: Timestamp) -> int | None:
    return int((to_datetime(now) - to_datetime(at)).total_seconds()) if at else None


def _rescan_progress(stream: Stream, part: Partition) -> RescanProgress | None:
    rescan: OpenRescan | None = part.rescan
    if rescan is None:
        return None
    lists = len(stream.queries)
    return RescanProgress(rescan.began, rescan.pages, part.pages, min(rescan.at + 1, lists), lists)


def _opened(stream: Stream, part: Partition, root: Partition) -> Iterator[OpenWork]:
    """Yield the work that the last sync left to the next ones. `root` is the top stream's partition."""
    parent = stream.parent.stream if stream.parent else ""
    if part.not_read == "unavailable":
        return  # there is nothing to read
    if part.not_read:
        yield OpenWork("not_read", NOT_READ.get(part.not_read, part.not_read))
    if part.not_read in ("closed", "suspended"):
        return
    yield from _list_work(stream, part, root)
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
    yield from _row_work(part, parent)


def _row_work(part: Partition, parent: str) -> Iterator[OpenWork]:
    """Yield the rows that the next syncs send again, and the parents that they visit."""
    if part.resend_listed_before is not None:
        rows = f"children of {parent}" if parent else "rows"
        when = "come with the next visits" if parent else "come with the rescan"
        yield OpenWork("resend_listed_before", f"{rows} {_before(part.resend_listed_before)} {when}")
    if part.deferred_before is not None:
        yield OpenWork(
            "deferred_before",
            f"rows of {parent or 'the parent'} {_before(part.deferred_before)} were not visited: "
            "max_child_requests was reached",
        )
    if part.resend_created_before is not None:
        rows = (
            "all rows"
            if part.resend_created_before == END
            else f"rows created before {_day(part.resend_created_before)}"
        )
        yield OpenWork(
            "resend_created_before", f"{rows} come with the rescan: properties were added, or start_date moved back"
        )
    if part.feedback_progress:
        yield from _feedback_work(part.feedback_progress, parent)
    if part.imported_bookmark:
        yield OpenWork(
            "imported_bookmark", "the bookmark came from another tap: older rows count as loaded until a rescan ends"
        )


def _list_work(stream: Stream, part: Partition, root: Partition) -> Iterator[OpenWork]:
    """Yield the work on the list, and the rows without fingerprints."""
    if part is not root and root.backfill:
        yield OpenWork("backfill", f"the first read of {top_of(stream).name} is not complete")
    if root.rescan or root.pages:
        yield OpenWork(
            "rescan", "the list is longer than one sync rescans (rescan_pages), so changes of old rows come later"
        )
    if root.unread:
        yield OpenWork("unread", "Twilio failed to answer for some days; each sync requests them again")
    if part.by_date_from:
        back = _day(part.by_date_from)
        reason = "the state has no room for fingerprints (state_kilobytes)"
        yield OpenWork("by_date", f"{reason}: dates tell changes of rows from {back} back")


def _left(stream: Stream, opened: Backfill) -> str:
    total = len(stream.queries)
    lists = f"list {min(opened.at + 1, total)} of {total}, " if total > 1 else ""
    if opened.time_slices is None:
        return f"{lists}{'read in part' if opened.checkpoint else 'from its first page'}"
    oldest = min(time_slice.since for time_slice in opened.time_slices)
    newest = max(time_slice.until for time_slice in opened.time_slices)
    return f"{lists}{len(opened.time_slices)} time slices left, between {_day(oldest)} and {_day(newest)}"


def _feedback_work(progress: FeedbackProgress, parent: str) -> Iterator[OpenWork]:
    if progress.began:
        down_to = f", down to {_day(progress.cursor[0])}" if progress.cursor else ""
        yield OpenWork(
            "feedback_progress",
            f"recent rows of {parent} are visited in part, since {_day(progress.began)}{down_to}",
        )
    if progress.second_source_pending:
        yield OpenWork("second_source_pending", "the second source is still to be read from its beginning")


def _before(date: Timestamp) -> str:
    if date == BEGINNING:
        return "without a date"
    return "of any date" if date >= ALL_OF_TIME else f"without a date, or dated before {_day(date)},"


def _day(at: Timestamp) -> str:
    return at[:10]
