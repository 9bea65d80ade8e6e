"""What a run did, stream by stream: as the table at the end of the log, and as JSON for `--summary-json`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tap_twilio.extract.partition_read import PartitionRead
from tap_twilio.log import about, listed
from tap_twilio.state.describe import BLOCKED, NOT_READ, Verdict, verdict
from tap_twilio.state.model import State
from tap_twilio.tables.table import Table
from tap_twilio.timestamps import Timestamp, to_second

from .closing_lines import comes_next, share_of_budget
from .stats import RunStats, StreamStats

LOGGER = logging.getLogger("tap_twilio")
FORMAT = 1  # of the JSON; it grows when a member is taken away or changes its meaning
HEADINGS = ("stream", "read", "emitted", "silent", "requests", "seconds", "bookmark", "complete", "next sync")
INACTIVE = ("closed", "suspended")
SAID = {BLOCKED, *NOT_READ.values()}  # reasons that have lines of their own
Json = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class AccountSummary:
    """A stream in one account."""

    stream: str
    account: str
    figures: StreamStats
    undated: int = 0  # rows emitted that changed although their date says nothing
    bookmark: Timestamp | None = None
    next: str = ""
    error: str | None = None
    dated: bool = False  # whether the stream's bookmark waits for this one's
    verdict: Verdict | None = None  # None for what is not selected

    def json(self) -> Json:
        return {"account_sid": self.account, **_members([self]), "error": self.error}


@dataclass
class FullRead:
    """A stream in all of its accounts."""

    stream: str
    parts: list[AccountSummary] = field(default_factory=list)

    @property
    def said(self) -> str:
        """The line of the table as a sentence."""
        it = _members(self.parts)
        comes = f"; the next sync {it['next_sync']}" if it["next_sync"] else ""
        return f"{self.stream}: {it['rows_read']} rows read, {it['rows_emitted']} emitted{comes}"

    def json(self) -> Json:
        return {"stream": self.stream, **_members(self.parts), "accounts": [part.json() for part in self.parts]}

    def cells(self) -> tuple[str, ...]:
        it = _members(self.parts)
        counts = (it["rows_read"], it["rows_emitted"], it["silent_changes"], it["requests"])
        bookmark = to_second(it["bookmark"]) if it["bookmark"] else "-"
        complete = {True: "yes", False: "no", None: "-"}[it["complete"]]
        return (self.stream, *map(str, counts), f"{it['request_seconds']:.1f}", bookmark, complete, it["next_sync"])


def _members(parts: Sequence[AccountSummary]) -> Json:
    bookmarks = [part.bookmark for part in parts if part.dated]
    return {
        "pages": sum(part.figures.pages for part in parts),
        "rows_read": sum(part.figures.read for part in parts),
        "rows_emitted": sum(part.figures.emitted for part in parts),
        "silent_changes": sum(part.undated for part in parts),
        "requests": sum(part.figures.requests for part in parts),
        "request_seconds": round(sum(part.figures.seconds for part in parts), 3),
        "bookmark": min(filter(None, bookmarks)) if all(bookmarks) and bookmarks else None,
        **_verdict([part.verdict for part in parts if part.verdict]),
        "next_sync": _said(part.next for part in parts),
    }


def _verdict(verdicts: Sequence[Verdict]) -> Json:
    """The members that say whether the warehouse holds all, why not, and how many syncs are left."""
    left = [one.syncs_left for one in verdicts if not one.complete]
    return {
        "complete": all(one.complete for one in verdicts) if verdicts else None,
        "incomplete_because": list(dict.fromkeys(why for one in verdicts for why in one.why)),
        "syncs_left": None if None in left else max(filter(None, left), default=0),
    }


def _said(nexts: Iterable[str]) -> str:
    """What most accounts' next syncs do, and how many others."""
    counts = Counter(filter(None, nexts))
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
) -> list[FullRead]:
    """
    Each selected stream, and those that were read for its sake or for the accounts.

    `errors`: of the parts that failed. `unread`: why a part was not read. `state` tells what is complete.
    """
    share = share_of_budget(readings)
    found = {name: FullRead(name) for name in selected}
    seen: set[Key] = set()
    for reading, table in ((one, table) for one in readings for table in one.tables):
        key = (table.name, table.account)
        why = unread.get(key)
        seen.add(key)
        inactive = why in INACTIVE
        text = "" if inactive else comes_next(reading, table, share, why)
        dated = not inactive and why != "unavailable"
        judged = verdict(state, *key)
        found[table.name].parts.append(_part(table, counts, text, errors.get(key), dated, judged))
    for key, why in unread.items():
        if why in INACTIVE and key not in seen and key[0] in found:
            seen.add(key)
            found[key[0]].parts.append(
                AccountSummary(*key, counts.of(key), verdict=Verdict(False, (NOT_READ[why],), None))
            )
    for name, account in [key for key in list(counts.traffic) if key not in seen]:
        part = AccountSummary(name, account, counts.of((name, account)), error=errors.get((name, account)))
        found.setdefault(name, FullRead(name)).parts.append(part)
    return list(found.values())


def _part(
    table: Table, counts: RunStats, comes: str, error: str | None, dated: bool, judged: Verdict
) -> AccountSummary:
    figures = counts.of((table.name, table.account))
    return AccountSummary(
        table.name, table.account, figures, table.undated, table.state.date_updated, comes, error, dated, judged
    )


def log_table(streams: Sequence[FullRead]) -> None:
    """The table, a line a stream, in columns; those that were not asked, or answered no row, are counted only."""
    shown = [
        one for one in streams if any(part.figures.read or part.figures.emitted or part.error for part in one.parts)
    ]
    cells = [HEADINGS, *(one.cells() for one in shown)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    for row, one in zip(cells, [None, *shown] if shown else []):
        extra = about(one.stream, one.said, **_members(one.parts)) if one else {"text_only": True}
        LOGGER.info("%s", _aligned(row, widths), extra=extra)
    for one in streams:
        lacking = [part for part in one.parts if part.verdict and set(part.verdict.why) - SAID]
        if lacking:
            LOGGER.info("%s", _incomplete(one, lacking), extra=about(one.stream))
    if len(shown) < len(streams):
        others = len(streams) - len(shown)
        LOGGER.info("and %d stream%s of which nothing was read", others, "s" * (others > 1))


def _incomplete(one: FullRead, lacking: Sequence[AccountSummary]) -> str:
    """The line that says what the warehouse lacks of a stream."""
    it = _members(lacking)
    left = it["syncs_left"]
    syncs = "" if left is None else f" ({left} sync{'s' * (left != 1)} left)"
    because = "; ".join(why for why in it["incomplete_because"] if why not in SAID)
    where = listed([part.account for part in lacking])
    return f"{one.stream}: not complete in {where}: {because}{syncs}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Numbers to the right, text to the left.

    >>> _aligned(("calls", "7", "7", "0", "3", "0.1", "-", "yes", "soon"), (8, 4, 7, 7, 8, 7, 8, 8, 9))
    'calls        7        7        0         3      0.1  -         yes       soon'
    """
    last = len(widths) - 3
    cells = (
        cell.rjust(width) if 0 < n < last else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths))
    )
    return "  ".join(cells).rstrip()


def totals(streams: Sequence[FullRead]) -> Json:
    """Over all streams."""
    found = _members([part for one in streams for part in one.parts])
    return {name: value for name, value in found.items() if name not in ("bookmark", "next_sync", "incomplete_because")}
