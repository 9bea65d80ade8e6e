"""
Summarize a run by stream: in the closing table of the log, and as JSON for `--summary-json`.

run/sync.py calls `summarize` and `log_table` after the last STATE; commands/summary.py writes the JSON.
"""

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
from tap_twilio.timestamps import Timestamp

from .forecast import describe_next_sync, rescan_pages_per_list
from .stats import RunStats, StreamStats

LOGGER = logging.getLogger("tap_twilio")
FORMAT = 1  # of the JSON; raised when a member is removed or changes its meaning
HEADINGS = ("stream", "read", "emitted", "undated", "bookmark (UTC)", "complete")
WIDTH = 75  # of the table, so that its lines fit 80 columns after "INFO "
INACTIVE = ("closed", "suspended")
LOGGED_ELSEWHERE = {BLOCKED, *NOT_READ.values()}  # reasons that run/availability.py and run/versions.py log
Json = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class AccountSummary:
    """A stream in one account."""

    stream: str
    account: str
    stats: StreamStats
    undated: int = 0  # rows emitted although their date_updated did not change
    bookmark: Timestamp | None = None
    next_sync: str = ""
    error: str | None = None
    holds_bookmark: bool = False  # the bookmark of the stream cannot pass the bookmark of this account
    verdict: Verdict | None = None  # None if the stream is not selected

    def json(self) -> Json:
        return {"account_sid": self.account, **_fields([self]), "error": self.error}


@dataclass
class StreamSummary:
    """A stream in all of its accounts."""

    stream: str
    selected: bool = True  # False if the run read it only for the sake of selected streams
    accounts: list[AccountSummary] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """Return the line of the table as a sentence."""
        fields = _fields(self.accounts)
        next_sync = f"; the next sync {fields['next_sync']}" if fields["next_sync"] else ""
        return f"{self.stream}: {fields['rows_read']} rows read, {fields['rows_emitted']} emitted{next_sync}"

    def json(self) -> Json:
        return {
            "stream": self.stream,
            **_fields(self.accounts),
            "accounts": [account.json() for account in self.accounts],
        }

    def cells(self) -> tuple[str, ...]:
        fields = _fields(self.accounts)
        counts = map(str, map(fields.get, ("rows_read", "rows_emitted", "undated_changes")))
        bookmark = fields["bookmark"]
        complete = {True: "yes", False: "no", None: "-"}[fields["complete"]]
        unreadable = [
            account.verdict.why[0] for account in self.accounts if account.verdict and account.verdict.unreadable
        ]
        if fields["complete"] and unreadable:
            complete = f"yes, {len(unreadable)} {'closed' if set(unreadable) == {NOT_READ['closed']} else 'not read'}"
        return (self.stream, *counts, f"{bookmark[:10]} {bookmark[11:16]}" if bookmark else "-", complete)


def _fields(accounts: Sequence[AccountSummary]) -> Json:
    bookmarks = [account.bookmark for account in accounts if account.holds_bookmark]
    ages = [account.verdict for account in accounts if account.holds_bookmark and account.verdict]
    return {
        "pages": sum(account.stats.pages for account in accounts),
        "rows_read": sum(account.stats.read for account in accounts),
        "rows_emitted": sum(account.stats.emitted for account in accounts),
        "undated_changes": sum(account.undated for account in accounts),
        "requests": sum(account.stats.requests for account in accounts),
        "request_seconds": round(sum(account.stats.seconds for account in accounts), 3),
        "bookmark": min(filter(None, bookmarks)) if all(bookmarks) and bookmarks else None,
        "bookmark_age_seconds": _oldest(verdict.age_seconds for verdict in ages),
        "compared_age_seconds": _oldest(verdict.compared_age_seconds for verdict in ages),
        **_verdict([account.verdict for account in accounts if account.verdict]),
        "next_sync": _most_common(account.next_sync for account in accounts),
    }


def _oldest(ages: Iterable[int | None]) -> int | None:
    """Return the largest age; None if one is unknown."""
    known = list(ages)
    return None if None in known else max(filter(None, known), default=None)


def _verdict(verdicts: Sequence[Verdict]) -> Json:
    """
    Return whether all are complete, the reasons if not, and how many syncs are left.

    A closed or suspended account counts only if there is no other: nobody can read it, so it would never be complete.
    """
    verdicts = [verdict for verdict in verdicts if not verdict.unreadable] or verdicts
    left = [verdict.syncs_left for verdict in verdicts if not verdict.complete]
    return {
        "complete": all(verdict.complete for verdict in verdicts) if verdicts else None,
        "incomplete_because": list(dict.fromkeys(reason for verdict in verdicts for reason in verdict.why)),
        "syncs_left": None if None in left else max(filter(None, left), default=0),
    }


def _most_common(texts: Iterable[str]) -> str:
    """Return the most common texts; if there are several, each with its number of accounts."""
    counts = Counter(filter(None, texts))
    if len(counts) < 2:
        return next(iter(counts), "")
    return "; ".join(f"{text} ({count} account{'s' * (count > 1)})" for text, count in counts.most_common(3))


def summarize(
    selected: Iterable[str],
    readings: Sequence[PartitionRead],
    run_stats: RunStats,
    errors: Mapping[Key, str],
    not_read: Mapping[Key, str],
    state: State,
    now: Timestamp,
) -> list[StreamSummary]:
    """
    Return a summary of each selected stream, and of each stream that was read for the sake of one.

    `errors` and `not_read`: the error, or the reason, of each stream and account that was not read whole.
    """
    pages_per_list, summarized = rescan_pages_per_list(readings), set[Key]()
    streams = {name: StreamSummary(name) for name in selected}
    for reading in readings:
        for table in reading.tables:
            key = (table.name, table.account)
            summarized.add(key)
            account = AccountSummary(
                *key,
                run_stats.of_partition(key),
                table.undated,
                table.state.date_updated,
                describe_next_sync(reading, table, pages_per_list, not_read.get(key)),
                errors.get(key),
                not_read.get(key) not in (*INACTIVE, "unavailable"),
                verdict(state, *key, now),
            )
            streams[table.name].accounts.append(account)
    for key, reason in not_read.items():
        if reason in INACTIVE and key not in summarized and key[0] in streams:
            summarized.add(key)
            incomplete = Verdict(False, (NOT_READ[reason],), None)
            streams[key[0]].accounts.append(AccountSummary(*key, run_stats.of_partition(key), verdict=incomplete))
    for key in [key for key in list(run_stats.traffic) if key not in summarized]:
        account = AccountSummary(*key, run_stats.of_partition(key), error=errors.get(key))
        streams.setdefault(key[0], StreamSummary(key[0], selected=False)).accounts.append(account)
    return list(streams.values())


def log_table(streams: Sequence[StreamSummary]) -> None:
    """Log a table of the selected streams that returned rows or failed, and name the other selected streams."""
    selected = [stream for stream in streams if stream.selected]
    in_table = [
        stream
        for stream in selected
        if any(account.stats.read or account.stats.emitted or account.error for account in stream.accounts)
    ]
    cells = [HEADINGS, *(stream.cells() for stream in in_table)]
    for lines, stream in zip(_align(cells), [None, *in_table] if in_table else []):
        for line in lines[:-1]:
            LOGGER.info("%s", line, extra={"text_only": True})
        extra = about(stream.stream, stream.sentence, **_fields(stream.accounts)) if stream else {"text_only": True}
        LOGGER.info("%s", lines[-1], extra=extra)
    for stream in selected:
        incomplete = [
            account for account in stream.accounts if account.verdict and set(account.verdict.why) - LOGGED_ELSEWHERE
        ]
        if incomplete:
            LOGGER.info("%s", _describe_incomplete(stream, incomplete), extra=about(stream.stream))
    if empty := [stream.stream for stream in selected if stream not in in_table]:
        LOGGER.info("%d selected stream%s returned no rows: %s", len(empty), "s" * (len(empty) > 1), first_few(empty))


def _describe_incomplete(stream: StreamSummary, incomplete: Sequence[AccountSummary]) -> str:
    """Return why a stream is not complete, and in which accounts."""
    fields = _fields(incomplete)
    left = fields["syncs_left"]
    syncs = "" if left is None else f" ({left} sync{'s' * (left != 1)} left)"
    reasons = "; ".join(reason for reason in fields["incomplete_because"] if reason not in LOGGED_ELSEWHERE)
    accounts = first_few([account.account for account in incomplete])
    return f"{stream.stream}: not complete in {accounts}: {reasons}{syncs}"


def _align(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """
    Return the lines of each row, with numbers on the right of their column. A long name has a line of its own.

    >>> long = "sip_domain_auth_calls_credential_list_mappings"
    >>> rows = [HEADINGS, ("calls", "12", "7", "0", "-", "no"), (long, "7", "7", "0", "-", "yes")]
    >>> print("\\n".join(line for lines in _align(rows) for line in lines))
    stream  read  emitted  undated  bookmark (UTC)  complete
    calls     12        7        0  -               no
    sip_domain_auth_calls_credential_list_mappings
               7        7        0  -               yes
    """
    widths = [max(map(len, column)) for column in zip(*(row[1:] for row in rows))]
    room = WIDTH - sum(widths) - 2 * len(widths)
    first = max((len(row[0]) for row in rows if len(row[0]) <= room), default=0)
    table = []
    for name, *cells in rows:
        numbers = [cell.rjust(width) for cell, width in zip(cells[:-2], widths)]
        texts = [cell.ljust(width) for cell, width in zip(cells[-2:], widths[-2:])]
        line = "  ".join([(name if len(name) <= room else "").ljust(first), *numbers, *texts]).rstrip()
        table.append([line] if len(name) <= room else [name, line])
    return table


def totals(streams: Sequence[StreamSummary]) -> Json:
    """Return the totals over all streams."""
    fields = _fields([account for stream in streams for account in stream.accounts])
    return {
        name: value
        for name, value in fields.items()
        if name not in ("bookmark", "bookmark_age_seconds", "compared_age_seconds", "next_sync", "incomplete_because")
    }
