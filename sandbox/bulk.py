"""
Many finished rows at once, for benchmarks: each is a template and some timestamps until it is requested.
"""

import gc
from random import Random
from typing import TYPE_CHECKING

from .rows import Row, templates
from .timestamps import DAY

if TYPE_CHECKING:
    from .twilio import Twilio


def load(twilio: "Twilio", stream: str, n: int, start: int, end: int, account: str, skew: bool) -> None:
    """Add them to a stream; see `Twilio.bulk`."""
    rng, kinds = Random(f"bulk {twilio.seed} {stream} {account} {n}"), templates(stream, account, twilio.rng)
    timestamps = spread(rng, n, start, end - start, skew)
    rows, enabled = [], gc.isenabled()
    gc.disable()
    try:
        for created in sorted(timestamps, reverse=True):
            status, prefix, template = kinds[int(rng.random() * len(kinds))]
            row = Row(stream, account, f"{prefix}{rng.getrandbits(128):032x}")
            row.template, row.created, row.shown = template, created, created
            row.updated = created + 60
            if stream == "calls" or (stream == "messages" and status != "canceled"):
                row.dated = created + int(rng.random() * 60)
                row.ended = row.updated = row.dated + int(rng.random() * 60)
            rows.append(row)
        for row in rows:
            twilio.rows[row.sid] = twilio.streams[stream][row.sid] = row
        twilio.table(stream, account).load(rows)
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def spread(rng: Random, n: int, start: int, length: int, skew: bool) -> list[int]:
    """Draw timestamps over a period; with `skew`, the month in its middle gets ten times as many as any other."""
    months = max(1, length // (30 * DAY))
    middle, timestamps = months // 2, []
    for _ in range(n):
        part = rng.random()
        if skew and months > 1:
            other = rng.randrange(months - 1)
            month = middle if rng.random() < 10 / (months + 9) else other + (other >= middle)
            part = (month + part) / months
        timestamps.append(start + int(part * length))
    return timestamps
