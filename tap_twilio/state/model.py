"""
Define the state as dataclasses. store.py reads and writes them as JSON.

A `Partition` is one stream in one account. Only tables/bookmarks.py assigns the dates that decide what is emitted.
The list date of a row is the date that Twilio's filter compares, such as `date_sent`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tap_twilio.timestamps import BEGINNING, END

from .codec import Address, Count, Date, DateAndKey, DateOrEnd, FingerprintText, KeyAndDate

NO_VERSION = 0  # versions are milliseconds since 1970


@dataclass
class Checkpoint:
    """
    The page at which the next read resumes, and some of its rows as [key, list date].

    The read resumes after the last of these rows. `marks` has a hash of each row's content, or its dates. If a mark
    differs in the next read, the row changed, and may have moved in the list (extract/page_reader.py).
    """

    page: Address
    rows: list[KeyAndDate]
    marks: list[str] = field(default_factory=list)


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
    streams: list[str] = field(default_factory=list)  # those that it reads: the stream itself, and child streams
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

    began: Date  # began, streams, list_index and checkpoint as in OpenBackfill
    streams: list[str] = field(default_factory=list)
    list_index: Count = 0
    pages: Count = 0  # those read so far
    checkpoint: Checkpoint | None = None


@dataclass
class FullTableRead:
    """The last FULL_TABLE read, finished or not."""

    version: Count  # NO_VERSION: no complete version has the rows that this read wrote
    began: Date
    streams: list[str] = field(default_factory=list)  # the child streams that it also reads
    list_index: Count = 0
    checkpoint: Checkpoint | None = None
    done: bool = False
    end_date: DateOrEnd = END  # rows created from then on were left out

    @property
    def is_complete(self) -> bool:
        return self.done and self.version != NO_VERSION

    def invalidate(self) -> None:
        """Take the rows out of their version, so that no sync resumes or activates it. The warehouse may have them."""
        self.version, self.checkpoint, self.done = NO_VERSION, None, True


@dataclass
class FeedbackProgress:
    """The progress of a child that needs one request per parent row, within a limit (extract/call_feedback.py)."""

    began: Date | None = None  # the start of the open cycle, which requests each recent parent once
    cursor: DateAndKey | None = None  # the recent parent that the cycle requested last
    misses: Count = 0  # consecutive requests without a result
    scores_pending: bool = False  # whether the scores of Voice Insights must still be read from their beginning
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
    deferred_before: Date | None = None  # becomes resend_listed_before: the open read leaves parents to later syncs
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
    # The start of the last read of the whole list, less lateness_hours; null during the backfill.
    finished_at: Date | None = None
    rescanned_at: Date | None = None  # when a rescan last read pages
    pages: Count | None = None  # the last rescan's pages, if it took several syncs
    empty_at: Date | None = None  # when a subaccount's list was last empty or unavailable (empty_recheck_hours)
    unread: list[TimeSlice] | None = None  # days of a log for which Twilio failed to answer; each sync requests them
    backfill: OpenBackfill | None = None
    rescan: OpenRescan | None = None
    full: FullTableRead | None = None
    refreshes: list[OpenRefresh] | None = None
    # what the last sync left to do
    not_read: str | None = None  # why it did not read the partition whole: a reason of run/availability.py
    # The list date from which on, back into the past, the state has no room for fingerprints: dates decide.
    by_date_from: Date | None = None
    syncs_left: Count | None = None  # an estimate: the syncs until nothing is left to do

    @property
    def reads(self) -> list[OpenBackfill | OpenRescan | FullTableRead]:
        """Return the unfinished reads, and the last FULL_TABLE read, even if it is finished."""
        return [read for read in (self.backfill, self.rescan, self.full) if read]

    @property
    def has_reads(self) -> bool:
        """Return whether the partition holds the progress of a read, or time slices to read again."""
        return bool(self.reads or self.unread or self.refreshes)

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


# A placeholder. The state was split by accounts into shards (shards.py), and another shard holds this partition. The
# warehouse may have its rows, which the date says (`was_read`).
ELSEWHERE = Partition(date_updated="0001-01-01T00:00:00.000000Z")


@dataclass
class StreamState:
    """The state of one stream."""

    version: Count | None = None  # of the last FULL_TABLE read
    content_hash: str | None = None  # of all rows of the version, if one sync read them all (run/versions.py)
    written_at: Date | None = None  # when these rows were last written
    blocked: bool = False  # whether rows of older versions stay, since an account was not read whole
    selections: dict[str, list[str]] = field(default_factory=dict)  # lists of properties, by Partition.selection
    partitions: dict[str, Partition] = field(default_factory=dict)  # by account
    imported: str | None = None  # another tap's bookmark, if the state has nothing else of the stream
