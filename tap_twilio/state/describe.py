"""
Describe each partition of a state: its bookmark, the work that is left to the next syncs, and its rescan's progress.

`state show` prints it (commands/state.py); `--summary-json` and the closing table take their verdict on completeness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tap_twilio.streams import BY_NAME, Stream, top_of
from tap_twilio.timestamps import BEGINNING, END, SECOND, Timestamp, earlier, to_datetime

from .model import ELSEWHERE, NO_VERSION, FeedbackProgress, OpenBackfill, OpenRefresh, OpenRescan, Partition
from .store import State

ALL_OF_TIME = "9000"  # a later date means every date: END, or VISIT_ALL (tables/bookmarks.py)
BLOCKED = "FULL_TABLE: an account was not read whole, so deleted rows stay"
UNREADABLE = ("closed", "suspended")  # statuses of accounts, which are reasons of availability.py too
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
    """Work for the next syncs. `what` is its name in the state; `says` explains it."""

    what: str
    says: str


@dataclass(frozen=True)
class Verdict:
    """
    A stream in an account is complete if the warehouse has every row that Twilio lists.

    `why`: the reasons if it is not, a sentence each. `syncs_left`: syncs until it is complete; None if unknown.
    `age_seconds`: the bookmark's. `compared_age_seconds`: as in `Line`.
    """

    complete: bool
    why: tuple[str, ...] = ()
    syncs_left: int | None = 0
    age_seconds: int | None = None
    compared_age_seconds: int | None = None

    @property
    def unreadable(self) -> bool:
        """Return whether nobody can read the account, because it is closed or suspended."""
        return bool({NOT_READ[status] for status in UNREADABLE} & set(self.why))


@dataclass(frozen=True)
class RescanProgress:
    """The progress of an unfinished rescan. `pages_before`: the last rescan's pages, if it took several syncs."""

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
    A line of `state show`, for one partition.

    - `account`: None for the bookmark of another tap, which names no account.
    - `full_table_began`: the start of its last complete FULL_TABLE read.
    - `age_seconds`: the age of the bookmark or of that start, whichever is later.
    - `compared_age_seconds`: each row of the list (of a child: each row of its parents) was compared with Twilio within
      this time.
    - `fingerprint_bytes`: the size of its fingerprints in the state.
    - `account_status`: "closed" or "suspended" if that is why the last sync did not read the partition. Its age then
      grows without end, or stays None.
    - `elsewhere`: the state was split, and another shard of it holds the partition (shards.py).
    """

    stream: str
    account: str | None
    bookmark: Timestamp | None
    full_table_began: Timestamp | None
    age_seconds: int | None
    compared_age_seconds: int | None
    open: list[OpenWork]
    rescan: RescanProgress | None
    fingerprint_bytes: int
    complete: bool
    syncs_left: int | None
    account_status: str | None = None
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
            yield Line(
                name, None, stream.imported, None, _age(stream.imported, now), None, [work], None, 0, False, None
            )
        for account, partition in sorted(stream.partitions.items()):
            elsewhere = partition == ELSEWHERE
            open_work: list[OpenWork] = []
            if not elsewhere:
                open_work += _open_work(BY_NAME[name], partition, _list_state(state, name, account))
            if stream.blocked and not elsewhere:
                open_work.append(OpenWork("blocked", BLOCKED))
            bookmark = None if elsewhere else partition.date_updated
            yield Line(
                name,
                account,
                bookmark,
                _full_table_began(partition),
                _age(_latest(_full_table_began(partition), bookmark), now),
                None if elsewhere else _compared_age(state, name, account, now),
                open_work,
                _rescan_progress(BY_NAME[name], partition),
                len(partition.fingerprints or "") + len(partition.rescan_fingerprints or ""),
                not open_work,
                partition.syncs_left if open_work else 0,
                partition.not_read if partition.not_read in UNREADABLE else None,
                elsewhere,
            )


def verdict(state: State, name: str, account: str, now: Timestamp) -> Verdict:
    """Return whether a stream is complete in an account, by the state, and how old it is."""
    partition = state.stream(name).partitions.get(account, Partition())
    why = [work.says for work in _open_work(BY_NAME[name], partition, _list_state(state, name, account))]
    if state.stream(name).blocked:
        why.append(BLOCKED)
    return Verdict(
        complete=not why,
        why=tuple(why),
        syncs_left=partition.syncs_left if why else 0,
        age_seconds=_age(partition.date_updated, now),
        compared_age_seconds=_compared_age(state, name, account, now),
    )


def _list_state(state: State, name: str, account: str) -> Partition:
    """Return the partition of the stream's top parent, or its own: the list that its rows come from."""
    return state.peek(top_of(BY_NAME[name]).name).partitions.get(account, Partition())


def _compared_age(state: State, name: str, account: str, now: Timestamp) -> int | None:
    """Return the time within which each row of the stream's list was compared; None until it was read whole."""
    list_state = _list_state(state, name, account)
    return _age(_latest(_full_table_began(list_state), list_state.finished_at), now)


def _full_table_began(partition: Partition) -> Timestamp | None:
    return partition.full.began if partition.full and partition.full.is_complete else None


def _latest(*dates: Timestamp | None) -> Timestamp | None:
    return max(filter(None, dates), default=None)


def _age(at: Timestamp | None, now: Timestamp) -> int | None:
    return int((to_datetime(now) - to_datetime(at)).total_seconds()) if at else None


def _rescan_progress(stream: Stream, partition: Partition) -> RescanProgress | None:
    rescan: OpenRescan | None = partition.rescan
    if rescan is None:
        return None
    lists = len(stream.variants)
    return RescanProgress(rescan.began, rescan.pages, partition.pages, min(rescan.list_index + 1, lists), lists)


def _open_work(stream: Stream, partition: Partition, list_state: Partition) -> Iterator[OpenWork]:
    """Yield the work that the last sync left to the next ones. `list_state`: of the list that is read."""
    if partition.not_read == "unavailable":
        return  # there is nothing to read
    if partition.not_read:
        yield OpenWork("not_read", NOT_READ.get(partition.not_read, partition.not_read))
    if partition.not_read in UNREADABLE:
        return
    yield from _list_work(stream, partition, list_state)
    if partition.backfill:
        left = _left(stream, partition.backfill)
        yield OpenWork("backfill", f"the backfill of {_day(partition.backfill.began)} is not complete: {left}")
    elif not (partition.was_read or partition.finished_at or partition.full or partition.not_read):
        yield OpenWork("backfill", "no read of it is complete yet")
    full = partition.full
    if full and not full.done:
        yield OpenWork("full", f"FULL_TABLE version {full.version}, begun {_day(full.began)}, is not complete")
    elif full and full.version == NO_VERSION and not (partition.backfill or partition.not_read):
        yield OpenWork("full", "its last read is not complete")
    yield from _row_work(partition, stream.parent.stream if stream.parent else "")


def _row_work(partition: Partition, parent: str) -> Iterator[OpenWork]:
    """Yield the rows that the next syncs send again, and the parents that they visit."""
    if partition.resend_listed_before is not None:
        rows = f"children of {parent}" if parent else "rows"
        when = "come with the next visits" if parent else "come with the rescan"
        yield OpenWork("resend_listed_before", f"{rows} {_before(partition.resend_listed_before)} {when}")
    if partition.deferred_before is not None:
        yield OpenWork(
            "deferred_before",
            f"rows of {parent or 'the parent'} {_before(partition.deferred_before)} were not visited: "
            "max_child_requests was reached",
        )
    if partition.resend_created_before is not None:
        rows = (
            "all rows"
            if partition.resend_created_before == END
            else f"rows created before {_day(partition.resend_created_before)}"
        )
        yield OpenWork(
            "resend_created_before", f"{rows} come with the rescan: properties were added, or start_date moved back"
        )
    if partition.feedback_progress:
        yield from _feedback_work(partition.feedback_progress, parent)
    if partition.imported_bookmark:
        yield OpenWork(
            "imported_bookmark", "the bookmark came from another tap: older rows count as loaded until a rescan ends"
        )


def _list_work(stream: Stream, partition: Partition, list_state: Partition) -> Iterator[OpenWork]:
    """Yield the work that is left in the list, and the rows that have no fingerprints."""
    if partition is not list_state and list_state.backfill:
        yield OpenWork("backfill", f"the backfill of {top_of(stream).name} is not complete")
    # `pages` is set if the last rescan took several syncs, so the next one will too.
    if list_state.rescan or list_state.pages:
        yield OpenWork(
            "rescan", "the list is longer than one sync rescans (rescan_pages), so changes of old rows come later"
        )
    for refresh in list_state.refreshes or ():
        if stream.name in refresh.streams:
            yield OpenWork("refreshes", f"{selected_by(refresh)} are still to be written again (--refresh)")
    if list_state.unread:
        yield OpenWork("unread", "Twilio failed to answer for some days; each sync requests them again")
    if partition.by_date_from:
        newest = _day(partition.by_date_from)
        reason = "the state has no room for fingerprints (state_kilobytes)"
        yield OpenWork("by_date", f"{reason}: rows from {newest} and before are compared by their dates")


def selected_by(refresh: OpenRefresh) -> str:
    """Name the rows of a refresh."""
    if refresh.dated_by is None:
        return "all rows"
    return f"rows of {_day(refresh.since)} to {_day(earlier(refresh.until, SECOND))}"


def _left(stream: Stream, backfill: OpenBackfill) -> str:
    total = len(stream.variants)
    lists = f"list {min(backfill.list_index + 1, total)} of {total}, " if total > 1 else ""
    if backfill.time_slices is None:
        return f"{lists}{'read in part' if backfill.checkpoint else 'from its first page'}"
    oldest = min(time_slice.since for time_slice in backfill.time_slices)
    newest = max(time_slice.until for time_slice in backfill.time_slices)
    return f"{lists}{len(backfill.time_slices)} time slices left, between {_day(oldest)} and {_day(newest)}"


def _feedback_work(progress: FeedbackProgress, parent: str) -> Iterator[OpenWork]:
    if progress.began:
        down_to = f", down to {_day(progress.cursor[0])}" if progress.cursor else ""
        yield OpenWork(
            "feedback_progress",
            f"recent rows of {parent} are visited in part, since {_day(progress.began)}{down_to}",
        )
    if progress.scores_pending:
        yield OpenWork("scores_pending", "the scores of Voice Insights must still be read from their beginning")


def _before(date: Timestamp) -> str:
    if date == BEGINNING:
        return "without a date"
    return "of any date" if date >= ALL_OF_TIME else f"without a date, or dated before {_day(date)},"


def _day(at: Timestamp) -> str:
    return at[:10]
