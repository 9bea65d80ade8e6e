"""Print the result of an audit: as a table, as JSON, and its rows as CSV. commands/audit.py calls it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tap_twilio import __version__
from tap_twilio.log import first_few
from tap_twilio.timestamps import to_second

from .audit import Report, StreamReport
from .canonical import SEPARATOR
from .compare import ALTERED, CHANGED, DUPLICATE, EXTRA, MISSING

HEADINGS = (
    "stream", "accounts", "days", "Twilio", "warehouse", "missing", "changed", "extra", "kept", "due", "not compared"
)  # fmt: skip
FORMAT = 1  # of the JSON


def lines(report: Report) -> Iterator[str]:
    """Yield the lines of the table, and the sentences below it."""
    rows = [HEADINGS, *(_cells(stream) for stream in report.streams)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        cells = (
            cell.ljust(width) if n in (0, 10) else cell.rjust(width) for n, (cell, width) in enumerate(zip(row, widths))
        )
        yield "  ".join(cells).rstrip()
    for stream in report.streams:
        yield from _remarks(stream)
    yield from _proof(report)
    differing = [stream for stream in report.streams if stream.differs]
    verdict = f"{len(differing)} differ{'s' if len(differing) == 1 else ''}" if differing else _equal(report)
    count = len(report.streams)
    yield (
        f"{count} stream{'s' * (count != 1)} compared, {verdict}. {report.requests:,} requests."
        f" Checksum {report.checksum}; tap-twilio {__version__}, {to_second(report.ended_at)}"
    )


def _cells(stream: StreamReport) -> tuple[str, ...]:
    numbers = (
        stream.twilio,
        stream.warehouse,
        stream.count(MISSING),
        stream.count(CHANGED),
        stream.count(EXTRA) + stream.count(DUPLICATE),
        stream.kept,
        stream.due,
    )
    left_out = first_few([f"{name} ({why})" for name, why in stream.not_compared.items()])
    return (stream.stream, str(stream.accounts), str(stream.days), *(f"{number:,}" for number in numbers), left_out)


def _remarks(stream: StreamReport) -> Iterator[str]:
    properties = Counter(name for one in stream.differences if one.what == CHANGED for name in one.properties)
    if properties:
        yield f"{stream.stream}: differs in {', '.join(f'{name} ({n})' for name, n in properties.most_common())}"
    if duplicates := stream.count(DUPLICATE):
        yield f"{stream.stream}: {duplicates} of the extra rows are rows that the table has more than once"
    if altered := [one for one in stream.differences if one.what == ALTERED]:
        names = sorted({name for one in altered for name in one.properties})
        yield f"{stream.stream}: this target alters {', '.join(names)} in {len(altered)} rows (empty text to null)"
    if stream.buckets:
        buckets = first_few([f"{account} {day}".strip() for account, day in stream.buckets])
        yield f"{stream.stream}: {len(stream.buckets)} buckets differ: {buckets}; --url names the rows"
    if stream.due:
        yield f"{stream.stream}: {stream.due} rows are due with the next sync, and not counted as wrong"
    for text in [*stream.notes, *dict.fromkeys(stream.incomplete)]:
        yield f"{stream.stream}: not compared: {text}"


def _proof(report: Report) -> Iterator[str]:
    """
    Say what a sample proves.

    If every day of n drawn is equal, a share p of differing days would have been missed with probability (1 - p)^n.
    """
    if report.sampled is None:
        return
    _, of, seed = report.sampled
    days = [stream for stream in report.streams if stream.days]
    equal = min((stream.equal_days for stream in days if stream.equal_days == stream.days), default=0)
    if equal:
        share = 1 - 0.05 ** (1 / equal)
        yield (
            f"{equal} of {of} days at random were equal (--seed {seed}): with 95 % confidence fewer than"
            f" {_percent(share)} of days differ"
        )


def _percent(share: float) -> str:
    """
    Return a share, rounded up.

    >>> _percent(1 - 0.05 ** (1 / 99)), _percent(0.45)
    ('3 %', '45 %')
    """
    whole = -int(-100 * share // 1)
    return f"{whole} %"


def _equal(report: Report) -> str:
    left_out = sorted({name for stream in report.streams for name in stream.not_compared})
    return "all equal" + (f" but for {first_few(left_out)}, not compared" if left_out else "")


def as_json(report: Report) -> dict[str, Any]:
    """Return the report without any value of a row."""
    return {
        "format": FORMAT,
        "version": __version__,
        "ended_at": report.ended_at,
        "equal": not any(stream.differs for stream in report.streams),
        "exit_code": report.exit_code,
        "requests": report.requests,
        "checksum": report.checksum,
        "sampled": report.sampled and dict(zip(("days", "of", "seed"), report.sampled)),
        "streams": [
            {
                "stream": stream.stream,
                "accounts": stream.accounts,
                "days": stream.days,
                "equal_days": stream.equal_days,
                "twilio": stream.twilio,
                "warehouse": stream.warehouse,
                **{what.split()[0]: stream.count(what) for what in (MISSING, CHANGED, EXTRA, DUPLICATE, ALTERED)},
                "kept": stream.kept,
                "due": stream.due,
                "not_compared": stream.not_compared,
                "differing_buckets": stream.buckets,
                "notes": stream.notes,
                "incomplete": list(dict.fromkeys(stream.incomplete)),
            }
            for stream in report.streams
        ],
    }


def as_csv(report: Report, with_values: bool) -> str:
    """Return a line for each row that differs: the key, what differs, the properties; values only on demand."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stream", "key", "what", "properties", *(["twilio", "warehouse"] if with_values else [])])
    for stream in report.streams:
        for one in stream.differences:
            values = [[pair[side] for pair in one.values] for side in (0, 1)] if with_values else []
            key = one.key.replace(SEPARATOR, " ")
            writer.writerow([one.stream, key, one.what, " ".join(one.properties), *values])
    return text.getvalue()
