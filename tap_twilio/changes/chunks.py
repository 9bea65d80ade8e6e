"""
What was last written of a list, in little, so that what changed is known by what a row holds, not by its date.

A chunk is a run of rows in the order of a walk. It ends after a row whose hashed key ends in enough zero bits, so a row
that is added, moved or deleted disturbs only the chunk that it stands in. Its digest is five sums (sums.py), which tell
up to two rows that changed. A chunk in which more did is kept by parts of it, and a part by the hash of each row.

Why no row is left out: a digest is made of rows that were written before it, so a chunk that matches holds what was
written; and each chunk has one digest, the newest. What a digest covers is free: a lost or wrong one costs writes only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from tap_twilio.changes.fingerprint_codec import MOST, Fingerprint, Sums, pack, size_of, unpack
from tap_twilio.timestamps import END, Timestamp, timestamp_of

from .power_sums import DECODABLE, ZERO, end_key, is_root, minus, plus, power_sums, recurrence

SUBCHUNKS = 16  # of a chunk
LONGEST = 8  # times the mean length of a chunk, after which it ends anyway
SELDOM = 8  # only each so manyth chunk of the others ends one of the odd rows, which are few
FEW = 5  # rows whose hashes take no more than sums


class PendingRow(NamedTuple):
    """A row that waits for the end of its chunk."""

    key: int  # 64 bits of its key's hash
    content: int  # the hash of what is to be written
    record: Any  # the JSON to be written; or what a visit of the row needs (sinks.py)
    stamp: tuple[Timestamp, Timestamp]  # of its page
    dates: tuple[Any, Any, Any]  # when it changed, was listed, was created: lists.Dates
    assume_sent: bool = False  # whether it is taken as read where there is none


class Chunk(NamedTuple):
    """A chunk that ended: its rows, and those of them that no digest knows."""

    rows: list[PendingRow]
    changed: list[PendingRow]
    key: int
    unsliceable: bool
    keys: list[int]  # by which digests of it may be known
    new: bool  # whether none is


_key = itemgetter(0)
Chains = tuple[dict[int, PendingRow], dict[int, PendingRow]]  # rows that slices see, and the odd ones, by key


@dataclass
class SizeLimit:
    """How many bytes of the state the digests of all tables may take, and do."""

    limit: int
    used: int = 0

    @property
    def full(self) -> bool:
        return self.used >= self.limit


@dataclass
class FingerprintStore:
    """
    The digests of one table by the keys of their chunks.

    `new` holds those that were made since the open round began, `old` those of the last one that it has not met yet.
    With `evicts_oldest`, as children have it, what was met longest ago gives way, and its rows are written again:
    seldom is all of a child read, so there is no round by whose start they could be judged.
    """

    size_limit: SizeLimit
    old: dict[int, Fingerprint] = field(default_factory=dict)
    new: dict[int, Fingerprint] = field(default_factory=dict)
    evicts_oldest: bool = False
    is_dirty: bool = False  # whether it differs from what the state holds
    made: set[int] = field(default_factory=set)  # the keys of digests that this sync made
    waiting: dict[str, Chains] = field(default_factory=dict)  # of the lists that are walked, by name: what waits

    def __bool__(self) -> bool:
        return bool(self.old or self.new)

    def has(self, key: int) -> bool:
        return key in self.new or key in self.old

    def get(self, key: int) -> list[Fingerprint]:
        return [fingerprints[key] for fingerprints in (self.new, self.old) if key in fingerprints]

    @property
    def is_full(self) -> bool:
        """Whether there is no room for more. What a walk has not met yet gives way to what it meets, the last first."""
        return self.size_limit.full and not self.old and not self.evicts_oldest

    def set(self, key: int, fingerprint: Fingerprint) -> None:
        """In place of the one before: were both kept, a row that changes and changes back would look unchanged."""
        self.drop(key)
        if len(fingerprint) > MOST:
            return  # it does not fit, and rows without a digest are written again
        self.is_dirty = True
        self.new[key] = fingerprint
        self.made.add(key)
        self.size_limit.used += size_of(fingerprint)

    def keep(self, keys: Iterable[int]) -> None:
        """Rows were met, and hold what their digests say."""
        for key in keys:
            if key in self.old:
                self.new[key], self.is_dirty = self.old.pop(key), True

    def evict(self, before: int) -> None:
        """
        Make room, if more is used than `before`: else a full state would lose a digest with each that is made again.

        Children leave half of the room to the others.
        """
        limit = self.size_limit.limit // 2 if self.evicts_oldest else self.size_limit.limit
        evictable = self.old or self.new if self.evicts_oldest else self.old
        while self.size_limit.used >= limit and self.size_limit.used > before and evictable:
            self.drop(next(iter(evictable) if self.evicts_oldest else reversed(evictable)))
            evictable = self.old or self.new if self.evicts_oldest else self.old

    def drop(self, key: int) -> None:
        for fingerprints in (self.old, self.new):
            fingerprint = fingerprints.pop(key, None)
            if fingerprint is not None:
                self.is_dirty = True
                self.size_limit.used -= size_of(fingerprint)

    def others(self, mine: Sequence[dict[int, PendingRow]]) -> list[dict[int, PendingRow]]:
        """The rows that wait in other lists, where a row may have been before."""
        return [chain for chains in self.waiting.values() if chains is not mine for chain in chains]

    def rotate(self) -> None:
        """A round ended: what it did not meet is gone."""
        self.size_limit.used -= sum(map(size_of, self.old.values()))
        self.old, self.new, self.is_dirty = self.new, {}, True

    def clear(self) -> None:
        self.rotate()
        self.rotate()


class Chunks:
    """
    The rows of one walk, cut into chunks; in `changed` those that are to be written, until they are taken out of it.

    `cut` hands out each chunk as it ends, before its digest is stored; `take` stores it at once.

    Rows that slices do not see, or see elsewhere than a walk does, are `unsliceable`, and have chunks of their own: so
    slices can begin the digests. `name` tells apart lists whose rows go to one table. Rows created from `since` on
    were in no digest yet. What was `sent` in this sync is not written again. `moves`: a row may move from one list to
    another. Where there was no digest at all, the rows are `all_new`: they were written when they came, so none of
    them changed. With `gaps`, rows of the content 0 end chunks, and are in none.
    """

    def __init__(
        self,
        known: FingerprintStore,
        length: int,
        name: str = "",
        since: Timestamp = "",
        sent: frozenset[int] | set[int] = frozenset(),
        moves: bool = False,
        all_new: bool = False,
        gaps: bool = False,
    ) -> None:
        self._store, self._since, self._sent, self.all_new, self._gaps = known, since, sent, all_new, gaps
        self._end, self._subchunk_end = (
            length - 1,
            max(length // SUBCHUNKS, 1) - 1,
        )  # masks of the bits that are zero at an end
        self._unsliceable_end, self._longest = length * SELDOM - 1, length * LONGEST
        self._ends = [end_key(unsliceable, name) for unsliceable in (0, 1)]
        self._waiting: Chains = ({}, {})
        if moves:
            known.waiting[name] = self._waiting
        self._begun = [False, False]  # whether a chunk was closed
        self._unsliceable_alone = False  # whether only odd rows came since an odd chunk ended
        self._decoded: set[tuple[int, int]] = set()  # chunks and parts, by key and length, whose sums tell what changed
        self._sums: dict[tuple[int, int], Sums] = {}
        self.taken = 0  # how many of the rows given last it took
        self.pauses: set[int] = set()  # after how many of them nothing waited
        self.hurry = False  # whether the next end of a chunk ends that of the odd rows too
        self.changed: list[PendingRow] = []
        self.seen: set[int] = set()  # of these, those that differ from a digest

    @property
    def waiting(self) -> list[PendingRow]:
        return [*self._waiting[0].values(), *self._waiting[1].values()]

    @property
    def idle(self) -> bool:
        return not (self._waiting[0] or self._waiting[1])

    def take(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> None:
        """
        Take rows, as far as there is room for their digests. `unsliceable` are the indices of the odd ones.

        `taken` then says how many it took, and `pauses` after how many nothing waited.
        """
        for chunk in self.cut(rows, unsliceable):
            self._write(chunk)

    def cut(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> Iterator[Chunk]:
        """Take rows as `take` does. Yields each chunk that ends, to be stored before the next."""
        taken, self.taken, self.pauses = 0, 0, {0} if self.idle else set()
        if self.idle and self._store.is_full:
            self.pauses.update(range(len(rows) + 1))
            return
        others = [chain for chain in self._store.others(self._waiting) if chain]
        for at in self._marks(rows, unsliceable):
            row, is_unsliceable = rows[at], at in unsliceable
            self._wait(rows[taken:at], False, others)
            self._wait([row], is_unsliceable, others)
            self.taken = taken = at + 1
            if not row.key & self._end or len(self._waiting[is_unsliceable]) >= self._longest:
                yield from self._end_chunk(is_unsliceable, row.key)
                if self.idle:
                    self.pauses.add(taken)
                    if self._store.is_full:
                        self.pauses.update(range(taken, len(rows) + 1))
                        return
        self._wait(rows[taken:], False, others)
        self.taken = len(rows)

    def _marks(self, rows: Sequence[PendingRow], unsliceable: Collection[int]) -> Sequence[int]:
        """The indices of the rows that are odd or may end a chunk."""
        if max(map(len, self._waiting)) + len(rows) >= self._longest:
            return range(len(rows))
        end = self._end
        return [at for at, row in enumerate(rows) if not row[0] & end or at in unsliceable]

    def _wait(self, rows: Sequence[PendingRow], unsliceable: bool, others: list[dict[int, PendingRow]]) -> None:
        for chain in (self._waiting[not unsliceable], *others):
            if chain:  # an older copy that waits is not to be written after this one
                for row in rows:
                    chain.pop(row.key, None)
        self._waiting[unsliceable].update(zip(map(_key, rows), rows))
        if rows and not unsliceable:
            self._unsliceable_alone = False

    def forget(self, keys: Iterable[int]) -> None:
        """Rows are written past this reader: copies of them that wait are not to be written after them."""
        for key in keys:
            for chain in self._store.others(()):
                chain.pop(key, None)

    def _end_chunk(self, unsliceable: bool, key: int) -> Iterator[Chunk]:
        yield from self._close(unsliceable, key)
        # Nothing may wait where a later walk goes on, so each kind ends the other's chunk now and then.
        if not unsliceable and (self.hurry or self._store.size_limit.full or not key & self._unsliceable_end):
            yield from self._close(True, key)
        elif unsliceable and self._unsliceable_alone:
            yield from self._close(False, key ^ 2)  # a key of its own: the row ends the odd chunk as well
        self._unsliceable_alone = unsliceable

    def end(self) -> None:
        """The list ended."""
        for chunk in self.last():
            self._write(chunk)

    def last(self) -> Iterator[Chunk]:
        """The list ended: the chunks that are still open."""
        yield from self._close(False, self._ends[0])
        yield from self._close(True, self._ends[1])

    def _close(self, unsliceable: bool, key: int) -> Iterator[Chunk]:
        """Compare a chunk with what is known of it."""
        rows = list(self._waiting[unsliceable].values())
        if not rows:
            return
        self._waiting[unsliceable].clear()
        key ^= unsliceable
        self._decoded.clear()
        self._sums.clear()
        keys = [key, *(row.key ^ unsliceable for row in rows if not row.key & self._subchunk_end)]
        if self._gaps:
            rows = [row for row in rows if row.content]
        # Where no digest is known, what the rows were before is not known, so neither is what changes.
        new = not any(map(self._store.has, keys))
        changed = [row for row in rows if not row.assume_sent] if new else self._unknown(rows, key, unsliceable)
        if rows or not new:
            yield Chunk(rows, changed, key, unsliceable, keys, new)

    def _write(self, chunk: Chunk) -> None:
        if not self.all_new:
            changed = chunk.changed
            self.changed += [row for row in changed if row.content not in self._sent] if self._sent else changed
        self.store(chunk)

    def store(self, chunk: Chunk, without: Collection[int] = ()) -> None:
        """Put a chunk's digest in place of the one before. The rows `without`, by their keys, stay unknown."""
        _, changed, key, unsliceable, keys, new = chunk
        if not new and not changed and not without and key in self._store.made:
            self._store.keep(keys)  # read twice in this sync: that nothing changed since does not make them quiet
        else:
            used = self._store.size_limit.used
            for one in () if new else keys:
                self._store.drop(one)
            self._record(chunk, None if new else {row.key for row in changed}, without)
            self._store.evict(used)
        self._begun[unsliceable] = True

    def _unknown(self, rows: list[PendingRow], key: int, unsliceable: bool, subchunk: bool = False) -> list[PendingRow]:
        """The rows of a chunk, or of a part of one, that the digests do not know to be written."""
        left, fingerprints = rows, self._store.get(key)
        for fingerprint in fingerprints:
            if isinstance(fingerprint, frozenset):
                left = [row for row in left if row.content not in fingerprint]
            elif (decoded := self._decode(rows, key, fingerprint)) is not None and not (
                decoded and self._has_subchunks(rows, key, unsliceable)
            ):
                self._decoded.add((key, len(rows)))
                left = [row for row in left if row.key in decoded]
                break
        else:
            if left and not subchunk:
                subchunks = {
                    row.key
                    for some, end in self._subchunks(rows, key, unsliceable)
                    for row in self._unknown(some, end, unsliceable, True)
                }
                return [row for row in left if row.key in subchunks]
            if not fingerprints:
                return [row for row in left if not row.assume_sent]
        self.seen.update(row.key for row in left)
        return left

    def _has_subchunks(self, rows: list[PendingRow], key: int, unsliceable: bool) -> bool:
        """Whether a chunk is kept by parts: then the digest by its key is that of the last of them."""
        ends = (row.key ^ unsliceable for row in rows if not row.key & self._subchunk_end)
        return any(end != key and self._store.has(end) for end in ends)

    def _decode(self, rows: list[PendingRow], key: int, old: Sums) -> set[int] | None:
        """Which rows changed, or were in no digest yet; None where the sums cannot tell."""
        difference = minus(self._sum(rows, key), old)
        if difference == ZERO:
            return set()
        new = [row for row in rows if (timestamp_of(row.dates[2]) or END) >= self._since] if self._since else []
        for fresh in ([], new) if new else ([],):
            found = recurrence(minus(difference, power_sums(fresh)))
            if found:
                return {row.key for row in rows if is_root(found, row.key)}.union(row.key for row in fresh)
        return None

    def _record(self, chunk: Chunk, changed: set[int] | None, without: Collection[int]) -> None:
        """
        Sums where it is quiet, else by parts, where one is restless the hash of each row: a matter of thrift alone.

        The first chunk of a list is where most comes and goes, so it is kept by parts in any case. A part without some
        of its rows is restless: they will come to it.
        """
        known, rows, key, unsliceable = self._store, chunk.rows, chunk.key, chunk.unsliceable
        if len(rows) > FEW and self._begun[unsliceable] and not without and self._is_stable(rows, key, changed):
            known.set(key, self._sum(rows, key))
            return
        for some, end in self._subchunks(rows, key, unsliceable) if len(rows) > FEW else [(rows, key)]:
            done = [row for row in some if row.key not in without] if without else some
            if len(done) == len(some) > FEW and self._is_stable(some, end, changed):
                known.set(end, self._sum(some, end))
            elif done:
                known.set(end, frozenset(row.content for row in done))

    def _is_stable(self, rows: list[PendingRow], key: int, changed: set[int] | None) -> bool:
        changes = sum(row.key in changed for row in rows) if changed else 0
        return not changes or ((key, len(rows)) in self._decoded and changes <= DECODABLE)

    def _subchunks(self, rows: list[PendingRow], key: int, unsliceable: bool) -> Iterator[tuple[list[PendingRow], int]]:
        some: list[PendingRow] = []
        for row in rows:
            some.append(row)
            if not row.key & self._subchunk_end and row is not rows[-1]:
                yield some, row.key ^ unsliceable
                some = []
        yield some, key

    def _sum(self, rows: list[PendingRow], key: int) -> Sums:
        at = (key, len(rows))
        if at not in self._sums:
            self._sums[at] = power_sums(rows)
        return self._sums[at]


@dataclass
class PartialSums:
    """
    Rows that were read by date, as a walk will meet them: the sums up to the first end of a chunk and after the last.

    What is between is known already. `key` is that of the first end; None where the stretch has none.
    """

    key: int | None = None
    head: Sums = ZERO
    tail: Sums = ZERO

    def join(self, below: PartialSums, known: FingerprintStore) -> PartialSums:
        """This stretch and the one that follows it in the list."""
        if self.key is None:
            if below.key is None:
                return PartialSums(None, ZERO, plus(self.tail, below.tail))
            return PartialSums(below.key, plus(self.tail, below.head), below.tail)
        if below.key is None:
            return PartialSums(self.key, self.head, plus(self.tail, below.tail))
        if not known.size_limit.full:
            known.set(below.key, plus(self.tail, below.head))
        return PartialSums(self.key, self.head, below.tail)

    def text(self) -> str | None:
        return pack({**({} if self.key is None else {self.key: self.head}), -1 % 2**64: self.tail})

    @staticmethod
    def of(text: str | None) -> PartialSums:
        """From what `text` gave. Anything else counts as rows of which nothing is known."""
        found = [
            (key, fingerprint) for key, fingerprint in unpack(text or "").items() if isinstance(fingerprint, tuple)
        ]
        if len(found) == 1:
            return PartialSums(None, ZERO, found[0][1])
        return PartialSums(found[0][0], found[0][1], found[1][1]) if len(found) == 2 else PartialSums()


class SliceSums:
    """
    The rows of a slice, all of which are written: what `Chunks` is to a walk, and `partial_sums` is what it has read.
    """

    idle = all_new = True

    def __init__(self, known: FingerprintStore, length: int, partial_sums: PartialSums) -> None:
        self._store, self._end, self._read = known, length - 1, partial_sums
        self._open: list[tuple[int, int]] = []  # since the last end

    def add(self, rows: Iterable[tuple[int, int]]) -> None:
        """Add rows by the hashes of their keys and contents; without the odd ones."""
        for row in rows:
            self._open.append(row)
            if not row[0] & self._end:
                here = PartialSums(row[0], power_sums(self._open), ZERO)
                self._read, self._open = self._read.join(here, self._store), []

    def forget(self, keys: Iterable[int]) -> None:
        """Nothing waits."""

    @property
    def partial_sums(self) -> PartialSums:
        return self._read.join(PartialSums(None, ZERO, power_sums(self._open)), self._store)
