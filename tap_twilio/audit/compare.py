"""
Compare both sides of one stream: first the sums of buckets, then the rows of those that differ. Pure computation.

audit.py calls it with what twilio_side.py and warehouse.py return.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .spool import Bucket, Seen, Sums

MISSING, CHANGED, EXTRA, DUPLICATE, ALTERED = "missing", "changed", "extra", "duplicate", "altered by the target"


@dataclass
class Suspicions:
    """Rows that differ at first sight, by key: what Twilio has, and what the warehouse has."""

    missing: dict[str, Seen] = field(default_factory=dict)
    changed: dict[str, tuple[Seen, Seen]] = field(default_factory=dict)
    only_in_warehouse: dict[str, Seen] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)  # how many rows of a key are too many
    due: int = 0  # rows that are too young to be called wrong

    @property
    def keys(self) -> list[str]:
        """Return the keys to look at again at Twilio."""
        return [*self.missing, *self.changed]


@dataclass(frozen=True)
class Difference:
    """A row that differs, for certain."""

    stream: str
    key: str
    what: str
    properties: tuple[str, ...] = ()
    values: tuple[tuple[str | None, str | None], ...] = ()  # at Twilio and in the warehouse, of each property


def differing(
    twilio: Mapping[Bucket, Sums], warehouse: Mapping[Bucket, Sums], in_scope: Callable[[Bucket], bool]
) -> list[Bucket]:
    """
    Return the buckets whose sums differ.

    >>> differing({("AC", "1"): Sums(1, 5, 6)}, {("AC", "1"): Sums(1, 5, 7), ("AC", "2"): Sums()}, lambda bucket: True)
    [('AC', '1')]
    """
    buckets = sorted({*twilio, *warehouse})
    return [
        bucket for bucket in buckets if in_scope(bucket) and twilio.get(bucket, Sums()) != warehouse.get(bucket, Sums())
    ]


def suspect(
    twilio: Mapping[str, Seen],
    warehouse: Iterable[tuple[str, Any, str, str, str]],
    is_young: Callable[[str], bool],
    found: Suspicions,
) -> None:
    """Add the rows that differ to `found`. A row that is young on either side counts as due."""
    rows: dict[str, Seen] = {}
    for key, content, changed, account, day in warehouse:
        if key in rows:
            found.duplicates[key] = found.duplicates.get(key, 0) + 1
            if key in twilio and twilio[key].content != int(content):
                continue  # the row that equals Twilio's counts
        rows[key] = Seen(int(content), changed or "", account, day)
    for key, here in twilio.items():
        there = rows.get(key)
        if there is not None and there.content == here.content:
            continue
        if is_young(here.changed) or (there is not None and is_young(there.changed)):
            found.due += 1
        elif there is None:
            found.missing[key] = here
        else:
            found.changed[key] = (here, there)
    for key in rows.keys() - twilio.keys():
        if is_young(rows[key].changed):
            found.due += 1
        else:
            found.only_in_warehouse[key] = rows[key]


def changed_properties(
    names: Iterable[str], twilio: Iterable[str | None], warehouse: Iterable[str | None]
) -> tuple[tuple[str, ...], tuple[tuple[str | None, str | None], ...]]:
    """
    Return the properties that differ, and their values.

    >>> changed_properties(["sid", "body"], ["SM1", "a"], ["SM1", None])
    (('body',), (('a', None),))
    """
    pairs = [(name, (here, there)) for name, here, there in zip(names, twilio, warehouse) if here != there]
    return tuple(name for name, _ in pairs), tuple(values for _, values in pairs)


def is_altered(values: Collection[tuple[str | None, str | None]]) -> bool:
    """
    Return whether a target explains all differences: it stores empty text as null.

    >>> is_altered([("", None)]), is_altered([("a", None)])
    (True, False)
    """
    return bool(values) and all(here == "" and there is None for here, there in values)
