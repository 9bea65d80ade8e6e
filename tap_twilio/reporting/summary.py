"""The summary of a run by stream: the table at the end of the log, and JSON for `--summary-json`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.log import about, first_few
from tap_twilio.state.describe import BLOCKED, NOT_READ, Verdict, verdict
from tap_twilio.state.store import State
from tap_twilio.tables.table import Table
from tap_twilio.timestamps import Timestamp, to_second

from .closing_lines import next_sync, share_of_budget
from .stats import RunStats, StreamStats

LOGGER = logging.getLogger("tap_twilio")
FORMAT = 1  # of the JSON; raised when a member is removed or changes its meaning
HEADINGS = ("stream", "read", "emitted", "undated", "requests", "seconds", "bookmark", "complete", "next sync")
INACTIVE = ("closed", "suspended")
LOGGED_ELSEWHERE = {BLOCKED, *NOT_READ.values()}  # reasons that have lines of their own
Json = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class AccountSummary:
    """A stream in one account."""

    stream: str
    account: str
    stats: StreamStats
    undated: int = 0  # rows emitted because of an undated change: date_updated did not move
    bookmark: Timestamp | None = None
    next: str = ""
    error: str | None = None
    dated: bool = False  # the bookmark of the stream waits for this account's
    verdict: Verdict | None = None  # None if the stream is not selected

    def json(self) -> Json:
        return {"account_sid": self.account, **_members([self]), "error": self.error}


@dataclass
class StreamSummary:
    """A stream in all of its accounts."""

    stream: str
    parts: list[AccountSummary] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """Return the line of the table as a sentence."""
        members = _members(self.parts)
        then = f"; the next sync {members['next_sync']}" if members["next_sync"] else ""
        return f"{self.stream}: {members['rows_read']} rows read, {members['rows_emitted']} emitted{then}"

    def json(self) -> Json:
        return {"stream": self.stream, **_members(self.parts), "accounts": [part.json() for part in self.parts]}

    def cells(self) -> tuple[str, ...]:
        members = _members(self.parts)
        counts = map(str, map(members.get, ("rows_read", "rows_emitted", "undated_changes", "requests")))
        seconds = f"{members['request_seconds']:.1f}"
        bookmark = to_second(members["bookmark"]) if members["bookmark"] else "-"
        complete = {True: "yes", False: "no", None: "-"}[members["complete"]]
        return (self.stream, *counts, seconds, bookmark, complete, members["next_sync"])


def _members(parts: Sequence[AccountSummary]) -> Json:
    bookmarks = [part.bookmark for part in parts if part.dated]
    return {
        "pages": sum(part.stats.pages for part in parts),
        "rows_read": sum(part.stats.read for part in parts),
        "rows_emitted": sum(part.stats.emitted for part in parts),
        "undated_changes": sum(part.undated for part in parts),
        "requests": sum(part.stats.requests for part in parts),
        "request_seconds": round(sum(part.stats.seconds for part in parts), 3),
        "bookmark": min(filter(None, bookmarks)) if all(bookmarks) and bookmarks else None,
        **_verdict([part.verdict for part in parts if part.verdict]),
        "next_sync": _most_common(part.next for part in parts),
    }


def _verdict(verdicts: Sequence[Verdict]) -> Json:
    """Return the members on completeness: yes or no, the reasons, and how many syncs are left."""
    left = [verdict.syncs_left for verdict in verdicts if not verdict.complete]
    return {
        "complete": all(verdict.complete for verdict in verdicts) if verdicts else None,
        "incomplete_because": list(dict.fromkeys(reason for verdict in verdicts for reason in verdict.why)),
        "syncs_left": None if None in left else max(filter(None, left), default=0),
    }


def _most_common(texts: Iterable[str]) -> str:
    """Return what the next sync does in most accounts, with the numbers of accounts if they differ."""
    counts = Counter(filter(None, texts))
    if len(counts) < 2:
        return next(iter(counts), "")
    return "; ".join(f"{text} ({count} account{'s' * (count > 1)})" for text, count in counts.most_common(3))


def summarise(
    selected: Iterable[str],
    readings: Sequence[PartitionRead],
    counts: RunStats,
    errors: Mapping[Key, str],
    unread: Mapping[Key, str],
    state: State,
) -> list[StreamSummary]:
    """
    Return a summary of each selected stream, and of each stream that was read along with them.

    `errors` and `unread` hold the error, or the reason, of each stream and account that was not read whole.
    """
    share = share_of_budget(readings)
    streams = {name: StreamSummary(name) for name in selected}
    seen: set[Key] = set()
    pairs = ((reading, table) for reading in readings for table in reading.tables)
    for reading, table in pairs:
        key = (table.name, table.account)
        reason = unread.get(key)
        seen.add(key)
        inactive = reason in INACTIVE
        then = "" if inactive else next_sync(reading, table, share, reason)
        dated = not inactive and reason != "unavailable"
        summary = _account_summary(table, counts, then, errors.get(key), dated, verdict(state, *key))
        streams[table.name].parts.append(summary)
    for key, reason in unread.items():
        if reason in INACTIVE and key not in seen and key[0] in streams:
            seen.add(key)
            incomplete = Verdict(False, (NOT_READ[reason],), None)
            streams[key[0]].parts.append(AccountSummary(*key, counts.of(key), verdict=incomplete))
    for name, account in [key for key in list(counts.traffic) if key not in seen]:
        part = AccountSummary(name, account, counts.of((name, account)), error=errors.get((name, account)))
        streams.setdefault(name, StreamSummary(name)).parts.append(part)
    return list(streams.values())


def _account_summary(
    table: Table, counts: RunStats, then: str, error: str | None, dated: bool, verdict: Verdict
) -> AccountSummary:
    stats = counts.of((table.name, table.account))
    return AccountSummary(
        table.name, table.account, stats, table.undated, table.state.date_updated, then, error, dated, verdict
    )


def log_table(streams: Sequence[StreamSummary]) -> None:
    """Log the table, with a line for each stream that returned rows or failed, and the number of the others."""
    shown = [
        stream
        for stream in streams
        if any(part.stats.read or part.stats.emitted or part.error for part in stream.parts)
    ]
    cells = [HEADINGS, *(stream.cells() for stream in shown)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    for row, stream in zip(cells, [None, *shown] if shown else []):
        extra = about(stream.stream, stream.sentence, **_members(stream.parts)) if stream else {"text_only": True}
        LOGGER.info("%s", _aligned(row, widths), extra=extra)
    for summary in streams:
        lacking = [part for part in summary.parts if part.verdict and set(part.verdict.why) - LOGGED_ELSEWHERE]
        if lacking:
            LOGGER.info("%s", _incomplete(summary, lacking), extra=about(summary.stream))
    if empty := [stream.stream for stream in streams if stream not in shown]:
        LOGGER.info("%d stream%s returned no rows: %s", len(empty), "s" * (len(empty) > 1), first_few(empty))


def _incomplete(stream: StreamSummary, lacking: Sequence[AccountSummary]) -> str:
    """Return the line that says why a stream is not complete, and where."""
    members = _members(lacking)
    left = members["syncs_left"]
    syncs = "" if left is None else f" ({left} sync{'s' * (left != 1)} left)"
    because = "; ".join(reason for reason in members["incomplete_because"] if reason not in LOGGED_ELSEWHERE)
    where = first_few([part.account for part in lacking])
    return f"{stream.stream}: not complete in {where}: {because}{syncs}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row with its numbers to the right and its text to the left.

    >>> _aligned(("calls", "7", "7", "0", "3", "0.1", "-", "yes", "soon"), (8, 4, 7, 7, 8, 7, 8, 8, 9))
    'calls        7        7        0         3      0.1  -         yes       soon'
    """
    last = len(widths) - 3
    cells = (
        cell.rjust(width) if 0 < n < last else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths))
    )
    return "  ".join(cells).rstrip()


def totals(streams: Sequence[StreamSummary]) -> Json:
    """Return the totals over all streams."""
    members = _members([part for stream in streams for part in stream.parts])
    return {
        name: value for name, value in members.items() if name not in ("bookmark", "next_sync", "incomplete_because")
    }
