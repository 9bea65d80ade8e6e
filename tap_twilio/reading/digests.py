"""
What was last written of a list, in little, so that what changed is known by what a row holds, not by its date.

A chunk is a run of rows in the order of a walk. It ends after a row whose hashed key ends in enough zero bits, so a row
that is added, moved or deleted disturbs only the chunk that it stands in. Its digest is five power sums, S_k = Σ h·x^k
modulo a prime, where h stands for what a row holds and x for its key:

1. Equal sums: nothing changed. Else the difference of new and old sums is Σ e·x^k, and rows that did not change have
   no part in it, whatever they are.
2. n terms of that form obey a linear recurrence of length n, whose characteristic polynomial has their x as roots.
3. The shortest recurrence (Berlekamp and Massey) of 2·n numbers is that one. So four sums tell up to two rows.
4. The fifth sum checks it: more than two changes agree with it by chance once in 2^48 chunks. Where it does not agree,
   nothing is told, and the parts of the chunk are looked at.
5. A part in which more changed than sums can tell keeps the hash of each row instead.

Why no row is left out: a digest is made of rows that were written before it, so a chunk that matches holds what was
written; and each chunk has one digest, the newest. What a digest covers is free. A lost or wrong one costs writes only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from tap_twilio.moments import END, Moment, moment_of
from tap_twilio.singer.packed import MOST, Digest, Sums, pack, size_of, unpack

PRIME = 2**48 - 59
ZERO: Sums = (0, 0, 0, 0, 0)
TOLD = 2  # how many rows the sums can tell
PARTS = 16  # of a chunk
LONGEST = 8  # times the mean length of a chunk, after which it ends anyway
CUTS = (
    8  # rows that slices do not see have chunks of so many times the length, or memory and state would grow with them
)
FEW = 5  # rows whose hashes take no more than sums


class Held(NamedTuple):
    """A row that waits for the end of its chunk."""

    key: int  # 64 bits of its key's hash
    content: int  # the hash of what is to be written
    record: bytes
    stamp: tuple[Moment, Moment]  # of its page
    dates: tuple[Any, Any, Any]  # when it changed, was listed, was created: lists.Dates
    trusted: bool = False  # whether it is taken as read where there is none


def hashed(data: bytes) -> int:
    """64 bits."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def content_of(record: bytes) -> int:
    """What stands for the content of a row, never 0."""
    return 1 + hashed(record) % (PRIME - 1)


def end_key(odd: int, name: str) -> int:
    """The key of a list's last chunk."""
    return hashed(f"{odd} {name}".encode()) >> 32


def power_sums(rows: Iterable[Sequence[Any]]) -> Sums:
    """Of rows as (key, content, …)."""
    a = b = c = d = e = 0
    for row in rows:
        x, h = 1 + row[0] % (PRIME - 1), row[1]
        a += h
        h = h * x % PRIME
        b += h
        h = h * x % PRIME
        c += h
        h = h * x % PRIME
        d += h
        e += h * x % PRIME
    return (a % PRIME, b % PRIME, c % PRIME, d % PRIME, e % PRIME)


def plus(one: Sums, other: Sums) -> Sums:
    return tuple((x + y) % PRIME for x, y in zip(one, other))  # type: ignore[return-value]


def minus(one: Sums, other: Sums) -> Sums:
    return tuple((x - y) % PRIME for x, y in zip(one, other))  # type: ignore[return-value]


def recurrence(sums: Sums) -> list[int] | None:
    """
    The polynomial whose roots are the x of the rows that make these sums; None where they are more than can be told.

    >>> rows = [(5, 70), (8, 90)]
    >>> found = recurrence(power_sums(rows))
    >>> [is_root(found, key) for key in (5, 6, 8)]
    [True, False, True]
    """
    now, before = [1], [1]
    length, gap, last = 0, 1, 1
    for n in range(len(sums)):
        error = sum(now[i] * sums[n - i] for i in range(min(len(now), n + 1))) % PRIME
        if error:
            factor = error * pow(last, -1, PRIME)
            shifted = [0] * gap + before
            width = max(len(now), len(shifted))
            padded = now + [0] * (width - len(now))
            shifted += [0] * (width - len(shifted))
            longer = [(x - factor * y) % PRIME for x, y in zip(padded, shifted)]
            if 2 * length <= n:
                length, before, last, gap = n + 1 - length, now, error, 0
            now = longer
        gap += 1
    if length > TOLD:
        return None
    return now + [0] * (length + 1 - len(now)) if len(now) <= length + 1 else None


def is_root(polynomial: list[int], key: int) -> bool:
    x, value = 1 + key % (PRIME - 1), 0
    for coefficient in polynomial:
        value = (value * x + coefficient) % PRIME
    return value == 0


@dataclass
class Room:
    """How many bytes of the state the digests of all tables may take, and do."""

    limit: int
    used: int = 0

    @property
    def full(self) -> bool:
        return self.used >= self.limit


@dataclass
class Known:
    """
    The digests of one table by the keys of their chunks.

    `new` holds those that were made since the open round began, `old` those of the last one that it has not met yet.
    With `forgets`, the oldest go where there is no room, since those rows are read only when something changed.
    """

    room: Room
    old: dict[int, Digest] = field(default_factory=dict)
    new: dict[int, Digest] = field(default_factory=dict)
    forgets: bool = False
    moved: bool = False  # whether it differs from what the state holds
    waits: dict[int, dict[int, Held]] = field(default_factory=dict)  # by key, among which rows a row waits

    def __bool__(self) -> bool:
        return bool(self.old or self.new)

    def get(self, key: int) -> list[Digest]:
        return [digests[key] for digests in (self.new, self.old) if key in digests]

    def set(self, key: int, digest: Digest) -> None:
        """In place of the one before, so that a content which comes back is a change."""
        self.drop(key)
        if len(digest) > MOST:
            return
        self.moved = True
        self.new[key] = digest
        self.room.used += size_of(digest)
        while self.forgets and self.room.full and self:
            self.drop(next(iter(self.old or self.new)))

    def drop(self, key: int) -> None:
        for digests in (self.old, self.new):
            digest = digests.pop(key, None)
            if digest is not None:
                self.moved = True
                self.room.used -= size_of(digest)

    def forget(self, key: int) -> None:
        """The row was read again: a copy that waits, in whatever list, is not to be written after the newer one."""
        if key in self.waits:
            self.waits.pop(key).pop(key, None)

    def turn(self) -> None:
        """A round ended: what it did not meet is gone."""
        self.room.used -= sum(map(size_of, self.old.values()))
        self.old, self.new, self.moved = self.new, {}, True

    def clear(self) -> None:
        self.turn()
        self.turn()


class Chunks:
    """
    The rows of one walk, cut into chunks; in `changed` those that are to be written, until they are taken out of it.

    Rows that slices do not see, or see elsewhere than a walk does, are `odd`, and have chunks of their own: so slices
    can begin the digests. `name` tells apart lists whose rows go to one table.
    """

    def __init__(
        self,
        known: Known,
        length: int,
        name: str = "",
        since: Moment = "",
        sent: frozenset[int] | set[int] = frozenset(),
    ) -> None:
        self._known, self._since, self._sent = known, since, sent
        self._end, self._part = length - 1, max(length // PARTS, 1) - 1  # masks of the bits that are zero at an end
        self._cut, self._longest = length * CUTS - 1, length * LONGEST
        self._ends = [end_key(odd, name) for odd in (0, 1)]
        self._waiting: tuple[dict[int, Held], dict[int, Held]] = ({}, {})
        self._begun = [False, False]  # whether a chunk was closed
        self._lull = False  # whether no row but odd ones came since the last end of an odd chunk
        self._told: set[tuple[int, int]] = set()  # chunks and parts, by key and length, whose sums tell what changed
        self._sums: dict[tuple[int, int], Sums] = {}
        self.hurry = False  # whether nothing is to wait after the next end
        self.changed: list[Held] = []
        self.seen: set[int] = set()  # of these, those that differ from a digest

    @property
    def waiting(self) -> list[Held]:
        return [*self._waiting[0].values(), *self._waiting[1].values()]

    @property
    def idle(self) -> bool:
        return not (self._waiting[0] or self._waiting[1])

    def add(self, row: Held, odd: bool) -> bool:
        """Whether nothing waits any more, so that a later walk may go on after this row."""
        self._known.forget(row.key)
        waiting = self._waiting[odd]
        waiting[row.key], self._known.waits[row.key] = row, waiting
        self._lull = self._lull and odd
        if row.key & self._end and len(waiting) < self._longest:
            return False
        self._close(odd, row.key >> 32)
        if not odd and (self.hurry or not row.key & self._cut):
            self._close(True, row.key >> 32)
        elif odd and self._lull:
            self._close(False, row.key >> 32 ^ 2)
        self._lull = odd
        return self.idle

    def end(self) -> None:
        """The list ended."""
        self._close(False, self._ends[0])
        self._close(True, self._ends[1])

    def _close(self, odd: bool, key: int) -> None:
        rows = list(self._waiting[odd].values())
        if not rows:
            return
        self._waiting[odd].clear()
        for row in rows:
            self._known.waits.pop(row.key, None)
        key ^= odd
        self._told.clear()
        self._sums.clear()
        changed = self._unknown(rows, key, odd) if self._known else [row for row in rows if not row.trusted]
        self.changed += [row for row in changed if row.content not in self._sent]
        self._record(rows, key, {row.key for row in changed}, odd, not self._begun[odd])
        self._begun[odd] = True

    def _unknown(self, rows: list[Held], key: int, odd: bool, part: bool = False) -> list[Held]:
        """The rows of a chunk, or of a part of one, that the digests do not know to be written."""
        left, digests = rows, self._known.get(key)
        for digest in digests:
            if isinstance(digest, frozenset):
                left = [row for row in left if row.content not in digest]
            elif (told := self._tell(rows, key, digest)) is not None:
                self._told.add((key, len(rows)))
                left = [row for row in left if row.key in told]
                break
        else:
            if left and not part:
                parts = {
                    row.key for some, end in self._parts(rows, key, odd) for row in self._unknown(some, end, odd, True)
                }
                return [row for row in left if row.key in parts]
            if not digests:
                return [row for row in left if not row.trusted]
        self.seen.update(row.key for row in left)
        return left

    def _tell(self, rows: list[Held], key: int, old: Sums) -> set[int] | None:
        """Which rows changed, or were in no digest yet; None where the sums cannot tell."""
        difference = minus(self._sum(rows, key), old)
        if difference == ZERO:
            return set()
        new = [row for row in rows if (moment_of(row.dates[2]) or END) >= self._since] if self._since else []
        for fresh in ([], new) if new else ([],):
            found = recurrence(minus(difference, power_sums(fresh)))
            if found:
                return {row.key for row in rows if is_root(found, row.key)}.union(row.key for row in fresh)
        return None

    def _record(self, rows: list[Held], key: int, changed: set[int], odd: bool, first: bool) -> None:
        """
        Sums where it is quiet, else by parts, where one is restless the hash of each row: a matter of thrift alone.

        The first chunk of a list is where most comes and goes, so it is kept by parts in any case.
        """
        known = self._known
        keys = [key, *((row.key >> 32) ^ odd for row in rows if not row.key & self._part)]
        new = not any(known.get(one) for one in keys)  # what it was before is not known, so neither is what changes
        for one in keys:
            known.drop(one)
        if len(rows) <= FEW:
            known.set(key, frozenset(row.content for row in rows))
            return
        if not first and (new or self._is_quiet(rows, key, changed)):
            known.set(key, self._sum(rows, key))
            return
        for some, end in self._parts(rows, key, odd):
            if len(some) > FEW and (new or self._is_quiet(some, end, changed)):
                known.set(end, self._sum(some, end))
            else:
                known.set(end, frozenset(row.content for row in some))

    def _is_quiet(self, rows: list[Held], key: int, changed: set[int]) -> bool:
        changes = sum(row.key in changed for row in rows) if changed else 0
        return not changes or ((key, len(rows)) in self._told and changes <= TOLD)

    def _parts(self, rows: list[Held], key: int, odd: bool) -> Iterator[tuple[list[Held], int]]:
        some: list[Held] = []
        for row in rows:
            some.append(row)
            if not row.key & self._part and row is not rows[-1]:
                yield some, (row.key >> 32) ^ odd
                some = []
        yield some, key

    def _sum(self, rows: list[Held], key: int) -> Sums:
        at = (key, len(rows))
        if at not in self._sums:
            self._sums[at] = power_sums(rows)
        return self._sums[at]


@dataclass
class Stretch:
    """
    Rows that were read by date, as a walk will meet them: the sums up to the first end of a chunk and after the last.

    What is between is known already. `key` is that of the first end; None where the stretch has none.
    """

    key: int | None = None
    head: Sums = ZERO
    tail: Sums = ZERO

    def join(self, below: Stretch, known: Known) -> Stretch:
        """This stretch and the one that follows it in the list."""
        if self.key is None:
            if below.key is None:
                return Stretch(None, ZERO, plus(self.tail, below.tail))
            return Stretch(below.key, plus(self.tail, below.head), below.tail)
        if below.key is None:
            return Stretch(self.key, self.head, plus(self.tail, below.tail))
        known.set(below.key, plus(self.tail, below.head))
        return Stretch(self.key, self.head, below.tail)

    def text(self) -> str | None:
        return pack({**({} if self.key is None else {self.key: self.head}), -1 % 2**32: self.tail})

    @staticmethod
    def of(text: str | None) -> Stretch:
        """From what `text` gave. Anything else counts as rows of which nothing is known."""
        found = [(key, digest) for key, digest in unpack(text or "").items() if isinstance(digest, tuple)]
        if len(found) == 1:
            return Stretch(None, ZERO, found[0][1])
        return Stretch(found[0][0], found[0][1], found[1][1]) if len(found) == 2 else Stretch()


class Tally:
    """The rows of a slice, all of which are written: what `Chunks` is to a walk, and `stretch` is what it has read."""

    idle = True
    waiting: tuple[Held, ...] = ()

    def __init__(self, known: Known, length: int, stretch: Stretch) -> None:
        self._known, self._end, self._read = known, length - 1, stretch
        self._open: list[tuple[int, int]] = []  # since the last end
        self.changed: list[Held] = []
        self.seen: set[int] = set()

    def add(self, row: Held, odd: bool) -> bool:
        self.changed.append(row)
        if not odd:
            self._open.append((row.key, row.content))
            if not row.key & self._end:
                here = Stretch(row.key >> 32, power_sums(self._open), ZERO)
                self._read, self._open = self._read.join(here, self._known), []
        return True

    def end(self) -> None:
        """Nothing waits."""

    @property
    def stretch(self) -> Stretch:
        return self._read.join(Stretch(None, ZERO, power_sums(self._open)), self._known)
