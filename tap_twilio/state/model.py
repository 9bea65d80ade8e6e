"""
Define the state as dataclasses. store.py reads and writes them as JSON.

A `Partition` is one stream in one account. Only tables/bookmarks.py assigns the dates that decide what is emitted.
The list date of a row is the date that Twilio's filter compares, such as `date_sent`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tap_twilio.timestamps import BEGINNING, END

from .codec import Address, Count, Date, DateAndKey, DateOrEnd, FingerprintText, KeyAndDate


@dataclass
class Checkpoint:
    """
    The page at which the next read resumes, and some of its rows as [key, list date].

    The read resumes after the last of these rows. The mark of a row is a hash of its content, or its dates: if the mark
    differs in the next read, the row may have moved (extract/page_reader.py).
    """

    page: Address
    rows: list[KeyAndDate]
    marks: list[str] = field(default_factory=list)  # one for each row


@dataclass
class TimeSlice:
    """A range of list dates that is still to be read, the second bound excluded."""

    since: Date
    until: Date
    checkpoint: Checkpoint | None = None
    # By consumer, the partial sums of the rows before the checkpoint's page (changes/slice_sums.py).
    partial_sums: dict[str, FingerprintText] = field(default_factory=dict)
    failed: bool = False  # whether Twilio answered each request of an earlier sync with HTTP 500, 502 or 504


@dataclass
class ReadRange:
    """A range of list dates that time slices have read, the second bound excluded."""

    since: Date
    until: Date
    partial_sums: dict[str, FingerprintText] = field(default_factory=dict)  # of the rows, by consumer


@dataclass
class OpenBackfill:
    """An unfinished backfill."""

    began: Date  # the start of the first sync that read it
    streams: list[str] = field(default_factory=list)  # whose rows it reads: the stream itself, and child streams
    list_index: Count = 0  # of the list that is being read, in PartitionRead.endpoints
    checkpoint: Checkpoint | None = None
    time_slices: list[TimeSlice] | None = None  # those still to be read; None: the list is read page by page
    resend_listed_before: Date | None = None  # the time slices miss rows without a date, and rows dated before this
    read_ranges: list[ReadRange] = field(default_factory=list)


@dataclass
class OpenRefresh(OpenBackfill):
    """
    Rows that --refresh names and that are not written again yet: those of `streams`, whatever the state knows of them.

    The dates select rows of the stream `dated_by`, and with them all rows below; without this stream, they select all.
    """

    since: DateOrEnd = BEGINNING
    until: DateOrEnd = END  # not included
    dated_by: str | None = None


@dataclass
class OpenRescan:
    """An unfinished rescan."""

    began: Date
    streams: list[str] = field(default_factory=list)
    list_index: Count = 0
    pages: Count = 0
    checkpoint: Checkpoint | None = None


@dataclass
class FullTableRead:
    """The last FULL_TABLE read, finished or not."""

    version: Count
    began: Date
    streams: list[str] = field(default_factory=list)  # the child streams that it also reads
    list_index: Count = 0
    checkpoint: Checkpoint | None = None
    done: bool = False
    end_date: DateOrEnd = END  # rows created from then on were left out


@dataclass
class FeedbackProgress:
    """The progress of a child that needs one request per parent row, within a limit (extract/call_feedback.py)."""

    began: Date | None = None  # the start of the open cycle, which requests each recent parent once
    cursor: DateAndKey | None = None  # the recent parent that the cycle requested last
    misses: Count = 0  # consecutive requests without a result
    scores_pending: bool = False  # whether the scores must still be read from their beginning
    scores_answered: bool = False  # whether Voice Insights ever answered
    # The start of the last read for calls that began long after their creation, less lateness_hours.
    late_starts_done_at: Date | None = None


@dataclass
class Partition:
    """The state of one stream in one account: of its table, of its parents, and of the list that its rows come from."""

    # the table
    date_updated: Date | None = None  # the bookmark: the warehouse has every earlier change
    lookback_done_at: Date | None = None  # the start of the last lookback, less lateness_hours
    start_date: DateOrEnd | None = None  # the last sync's setting; "": everything
    selection: str | None = None  # the name, in StreamState.selections, of the last sync's properties
    resend_listed_before: Date | None = None  # rescans emit rows without a list date, or dated before this
    deferred_before: Date | None = None  # resend_listed_before after the open read: it leaves parents to later syncs
    resend_created_before: DateOrEnd | None = None  # rescans emit rows created before this
    feedback_progress: FeedbackProgress | None = None
    imported_bookmark: Date | None = None  # another tap's: older rows without a fingerprint count as sent
    fingerprints: FingerprintText | None = None  # of the rows written (changes/chunks.py)
    rescan_fingerprints: FingerprintText | None = None  # those made since the open rescan began
    # the parents of a child
    visited: FingerprintText | None = None  # of the parents visited (extract/child_streams.py)
    rescan_visited: FingerprintText | None = None  # those made since the open rescan began
    visited_for: str | None = None  # the streams that these visits read
    unconfirmed: FingerprintText | None = None  # of parents whose last response counts only once it is repeated
    # the list
    # The start of the last finished rescan, less lateness_hours; null during the backfill.
    finished_at: Date | None = None
    rescanned_at: Date | None = None  # when a rescan last read pages
    pages: Count | None = None  # the last rescan's pages, if it took several syncs
    empty_at: Date | None = None  # when a subaccount's list was last empty or unavailable (empty_recheck_hours)
    unread: list[TimeSlice] | None = None  # parts of a log that Twilio failed to answer; each sync requests them
    backfill: OpenBackfill | None = None
    rescan: OpenRescan | None = None
    full: FullTableRead | None = None
    refreshes: list[OpenRefresh] | None = None
    # what the last sync left to do
    not_read: str | None = None  # a reason of availability.py
    # These rows and older ones have no fingerprints, for lack of room: their dates are compared.
    by_date_from: Date | None = None
    syncs_left: Count | None = None  # an estimate for the open work

    @property
    def opened(self) -> list[OpenBackfill | OpenRescan | FullTableRead]:
        """Return the unfinished reads."""
        return [read for read in (self.backfill, self.rescan, self.full) if read]

    @property
    def is_open(self) -> bool:
        """Return whether a read is unfinished. Each such read has a progress of its own, so accounts share no entry."""
        return bool(self.opened or self.unread or self.refreshes)

    @property
    def was_read(self) -> bool:
        """Return whether the warehouse may have rows of this partition."""
        full, backfill = self.full, self.backfill
        return (
            self.date_updated is not None
            or (full is not None and (full.done or full.list_index > 0 or full.checkpoint is not None))
            or (
                backfill is not None
                and (backfill.list_index > 0 or bool(backfill.checkpoint or backfill.time_slices is not None))
            )
        )


# A placeholder: another shard of the state holds the partition, so the warehouse may have its rows (shards.py).
ELSEWHERE = Partition(date_updated="0001-01-01T00:00:00.000000Z")


@dataclass
class StreamState:
    """The state of one stream."""

    version: Count | None = None  # of the last FULL_TABLE read
    content_hash: str | None = None  # of all rows, if one sync read them all (run/versions.py)
    written_at: Date | None = None  # when these rows were last written
    blocked: bool = False  # whether rows of older versions stay, since an account was not read whole
    selections: dict[str, list[str]] = field(default_factory=dict)
    partitions: dict[str, Partition] = field(default_factory=dict)  # by account
    imported: str | None = None  # another tap's bookmark, if the state has nothing else of the stream
