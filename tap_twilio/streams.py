"""What is read: one declaration a stream, one schema each in `schemas/`, and nothing else.

To add a stream, add a `Stream` here and its schema there; everything else follows from the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Filter:
    """How a list can be asked by date. A row whose `column` is null may not be listed then."""

    param: str  # sent as `param>` and `param<`
    column: str  # the property that it compares
    unit: timedelta = SECOND  # the finest bound that the list takes
    nullable: bool = True  # whether `column` can be null
    reach: timedelta | None = None  # how far back it answers


@dataclass(frozen=True)
class Stream:
    """One Twilio collection: one table, one `schemas/<name>.json`."""

    name: str
    path: str  # under /2010-04-01/Accounts/{account_sid}/; of a stream with a parent, under the parent's row
    rows: str  # the envelope's member that holds the rows
    key: tuple[str, ...] = ("sid",)
    replication_key: str = "date_updated"
    filter: Filter | None = None  # None: the list can only be walked
    statuses: tuple[str, ...] = ()  # one list for each; () is one list
    parent: str | None = None  # asked once for each row of this stream, since Twilio has no list

    @property
    def filter_hides_rows(self) -> bool:
        """Whether slices miss rows, which a backfill by date then owes to the rounds."""
        return self.filter is not None and self.filter.nullable


def _declare(*streams: Stream) -> tuple[Stream, ...]:
    """These streams. sync.py reads one child of each account, so a second one would switch the first off unnoticed."""
    children = [stream.name for stream in streams if stream.parent]
    if len(children) > 1:
        raise ValueError(f"only one stream can have a parent so far, not all of {', '.join(children)}")
    return streams


# Paths, filters and nullability: OpenAPI twilio_api_v2010, operations List*; the rest is said at its line.
STREAMS = _declare(
    Stream("addresses", "Addresses.json", "addresses"),
    Stream("calls", "Calls.json", "calls", filter=Filter("StartTime", "start_time")),
    Stream(
        "conferences",
        "Conferences.json",
        "conferences",
        filter=Filter("DateCreated", "date_created", unit=DAY, nullable=False),
        # Without Status, Twilio lists only those in progress (changelog, conference-list-endpoint).
        statuses=("init", "in-progress", "completed"),
    ),
    Stream("transcriptions", "Transcriptions.json", "transcriptions"),
    # Further back than 400 days, a filtered read is refused with code 20004 (docs, Message resource).
    Stream("messages", "Messages.json", "messages", filter=Filter("DateSent", "date_sent", reach=400 * DAY)),
    # The classic subresource has no list and left the OpenAPI document in 2023 (docs, Call Feedback resource).
    Stream("call_feedback", "Calls/{sid}/Feedback.json", "", parent="calls"),
)
