"""The Singer state as dataclasses; store.py reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .codec import Address, Count, Date, Dated, Edge, FingerprintText, Seen


@dataclass
class Checkpoint:
    """
    Where a walk goes on: the address of the last page read, and some of its rows as [key, list date].

    The walk goes on after the last of these. A row has not moved if its mark is the same (extract/page_reader.py).
    """

    page: Address
    rows: list[Seen]
    marks: list[str] = field(default_factory=list)  # one for each row


@dataclass
class TimeSlice:
    """A span of a list's dates that is left to read, the second bound excluded."""

    since: Date
    until: Date
    checkpoint: Checkpoint | None = None
    read: dict[str, FingerprintText] = field(
        default_factory=dict
    )  # of the rows before the place's page, by who reads them
    failed: bool = False  # whether Twilio answered an earlier sync with errors of its own, each time it was asked


@dataclass
class ReadRange:
    """What slices have read of a list's dates, the second bound excluded."""

    since: Date
    until: Date
    read: dict[str, FingerprintText] = field(default_factory=dict)


@dataclass
class Backfill:
    """The first read of a list, while it is open."""

    began: Date  # the start of the first sync that read it
    tables: list[str] = field(default_factory=list)  # the streams that it serves
    at: Count = 0  # the number of the list that is read now
    checkpoint: Checkpoint | None = None
    time_slices: list[TimeSlice] | None = None  # None: the list is walked
    resend_listed_before: Date | None = None  # rows undated, or dated before this, are not seen by the slices
    read_ranges: list[ReadRange] = field(default_factory=list)  # what the slices have read


@dataclass
class OpenRescan:
    """One walk over the whole list, while it is open."""

    began: Date
    tables: list[str] = field(default_factory=list)
    at: Count = 0
    pages: Count = 0
    checkpoint: Checkpoint | None = None


@dataclass
class Full:
    """A FULL_TABLE read of one version."""

    version: Count
    began: Date
    tables: list[str] = field(default_factory=list)  # children that are read along
    at: Count = 0
    checkpoint: Checkpoint | None = None
    done: bool = False


@dataclass
class FeedbackProgress:
    """How far a child got that is asked row by row, within a budget (extract/call_feedback.py)."""

    began: Date | None = None  # of the round over its window that is open
    cursor: Dated | None = None  # rows of the window above it were asked
    unasked: bool = False  # no window was ever asked whole: all is emitted until one was
    misses: Count = 0  # requests in a row that found nothing
    second_source_pending: bool = False  # whether the second source is to be asked for all time
    second_answered: bool = False  # whether the second source ever answered
    late: Date | None = None  # the start of the last round that asked the rows that stand elsewhere, less the margin


@dataclass
class Partition:
    """What is kept of one stream in one account: of its table, and of the list that it is read from."""

    # the table
    date_updated: Date | None = None  # the bookmark: every change before it is in the warehouse
    lookback_done_at: Date | None = None  # the start of the last look-back, less the margin
    start_date: Edge | None = None  # what was asked for last; "": everything
    selection: str | None = None  # the name of the properties that were selected last
    resend_listed_before: Date | None = None  # rounds emit rows undated, or dated before this
    deferred_before: Date | None = None  # what will be owed: rows of the parent that were not asked since a read began
    resend_created_before: Edge | None = None  # rounds emit rows created before this
    feedback_progress: FeedbackProgress | None = None
    imported_bookmark: Date | None = (
        None  # another tap's bookmark: rows that are in no digest yet are taken as read by it
    )
    fingerprints: FingerprintText | None = None  # of what was written (changes/chunks.py)
    rescan_fingerprints: FingerprintText | None = None  # those that were made since the open round began
    # the rows of the parent, of a child
    visited: FingerprintText | None = None  # of those that were visited (extract/child_streams.py)
    rescan_visited: FingerprintText | None = None  # those that were made since the open round began
    visited_for: str | None = None  # the tables that this served
    unconfirmed: FingerprintText | None = None  # the rows of which an answer is not believed before it is repeated
    # the list
    finished: Date | None = None  # the start of the last finished round, less the margin; null until the backfill is
    rescanned_at: Date | None = None  # when a round last read here
    pages: Count | None = None  # how many pages the last round had, where it took several syncs
    empty: Date | None = None  # when a subaccount's list was last seen empty, or absent (empty_recheck_hours)
    unread: list[TimeSlice] | None = None  # spans of a log that Twilio failed to answer; each sync asks them again
    backfill: Backfill | None = None
    rescan: OpenRescan | None = None
    full: Full | None = None
    # what the last sync left out
    not_read: str | None = None  # why it was not read: a word of availability.py
    by_date_from: Date | None = None  # from this date back there was no room for digests, so dates told what changed
    syncs_left: Count | None = None  # how many syncs the open work takes, as far as that is known

    @property
    def opened(self) -> list[Backfill | OpenRescan | Full]:
        """The reads that are under way."""
        return [opened for opened in (self.backfill, self.rescan, self.full) if opened]

    @property
    def is_open(self) -> bool:
        """Whether a read is under way, so that it is like no other."""
        return bool(self.opened or self.unread)

    @property
    def was_read(self) -> bool:
        """Whether rows of it may be in the warehouse."""
        full, backfill = self.full, self.backfill
        return (
            self.date_updated is not None
            or (full is not None and (full.done or full.at > 0 or full.checkpoint is not None))
            or (
                backfill is not None
                and (backfill.at > 0 or bool(backfill.checkpoint or backfill.time_slices is not None))
            )
        )


# In place of a partition that another piece of the state holds (pieces.py): rows may be in the warehouse.
ELSEWHERE = Partition(date_updated="0001-01-01T00:00:00.000000Z")


@dataclass
class StreamState:
    """What is kept of one stream."""

    version: Count | None = None  # of the last FULL_TABLE read
    content: str | None = None  # what stands for its rows, where one sync read all of them (versions.py)
    written: Date | None = None  # when these rows were last written
    blocked: bool = False  # whether the version that they were written in was not activated
    selections: dict[str, list[str]] = field(default_factory=dict)
    partitions: dict[str, Partition] = field(default_factory=dict)  # by account
    imported: str | None = None  # a bookmark that another tap wrote, and all that is known
