"""
Find the rows that changed in a list that is read page by page, by fingerprints of what was written before.

A chunk is a run of rows in the order of the list. It ends after a row whose hashed key ends in enough zero bits, so a
row that is added, moved or deleted affects only its own chunk. The fingerprint of a chunk is five sums
(power_sums.py), which identify up to two changed rows. If more rows change, the chunk is stored in subchunks, and a
subchunk with many changes as one hash for each row (comparison.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter

from tap_twilio.changes.comparison import Chunk
from tap_twilio.changes.fingerprints import FingerprintStore, PendingChains, PendingRow
from tap_twilio.changes.power_sums import last_chunk_key
from tap_twilio.timestamps import Timestamp

SUBCHUNKS = 16  # of a chunk, on average
MAX_LENGTH = 8  # times the mean length of a chunk, after which it ends anyway
FLUSH_EVERY = 8  # normal chunks, on average: then the chunk of unsliceable rows, which are few, ends too
LONGEST_CHUNK = 1024  # rows, on average

_key = itemgetter(0)


def chunk_length(page_size: int) -> int:
    """Return a power of two, about a page, so that a checkpoint is seldom more than a page behind."""
    length = 2
    while length < min(page_size, LONGEST_CHUNK):
        length *= 2
    return length


class Chunks:
    """
    Cut the rows of one list into chunks. `changed` collects the rows to be written, until they are taken out.

    `cut` yields each chunk that ends, before its fingerprint is stored; `take` stores it at once.

    - Unsliceable rows have chunks of their own, so that time slices can make the fingerprints of all other rows.
    - `name` distinguishes lists whose rows go to one table; `moves`: a row may move from one of them to another.
    - Rows created from `since` on are in no fingerprint yet; rows `sent` in this sync are not sent again.
    - `all_new`: no fingerprint existed, and every row was written when it came.
    - `gaps`: rows with the content 0 may end a chunk, and belong to none.
    """

    def __init__(
        self,
        store: FingerprintStore,
        length: int,
        name: str = "",
        since: Timestamp = "",
        sent: frozenset[int] | set[int] = frozenset(),
        moves: bool = False,
        all_new: bool = False,
        gaps: bool = False,
    ) -> None:
        self._store, self._since, self._sent, self.all_new, self._gaps = store, since, sent, all_new, gaps
        # Masks of the bits that are zero at an end.
        self._end, self._subchunk_end = length - 1, max(length // SUBCHUNKS, 1) - 1
        self._flush_end, self._longest = length * FLUSH_EVERY - 1, length * MAX_LENGTH
        self._last_keys = [last_chunk_key(unsliceable, name) for unsliceable in (0, 1)]
        self._waiting: PendingChains = ({}, {})
        if moves:
            store.waiting[name] = self._waiting
        self._begun = [False, False]  # whether a chunk was stored, by unsliceable
        self._only_unsliceable = False  # whether only unsliceable rows came since a chunk of such rows ended
        self.taken = 0  # how many of the rows given last were taken
        self.pauses: set[int] = set()  # after how many of them no row was pending
        self.flush_soon = False  # whether the next end of a chunk also ends that of the unsliceable rows
        self.changed: list[PendingRow] = []
        self.seen: set[int] = set()  # the keys of changed rows that differ from a fingerprint

    @property
    def waiting(self) -> list[PendingRow]:
        return [*self._waiting[0].values(), *self._waiting[1].values()]

    @property
    def idle(self) -> bool:
        return not (self._waiting[0] or self._waiting[1])

    # -- rows

    def take(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> None:
        """
        Take rows until the store is full. `unsliceable` are the indices of such rows.

        Sets `taken` to how many rows it took, and `pauses` to after how many of them no row was pending.
        """
        for chunk in self.cut(rows, unsliceable):
            self._finish(chunk)

    def cut(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> Iterator[Chunk]:
        """Take rows as `take` does. Yields each chunk that ends, to be stored before the next."""
        taken, self.taken, self.pauses = 0, 0, {0} if self.idle else set()
        if self.idle and self._store.is_full:
            self.pauses.update(range(len(rows) + 1))
            return
        others = [chain for chain in self._store.others(self._waiting) if chain]
        for at in self._possible_ends(rows, unsliceable):
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

    def _possible_ends(self, rows: Sequence[PendingRow], unsliceable: Collection[int]) -> Sequence[int]:
        """Return the indices of the rows that are unsliceable or may end a chunk."""
        if max(map(len, self._waiting)) + len(rows) >= self._longest:
            return range(len(rows))
        end = self._end
        return [at for at, row in enumerate(rows) if not row[0] & end or at in unsliceable]

    def _wait(self, rows: Sequence[PendingRow], unsliceable: bool, others: list[dict[int, PendingRow]]) -> None:
        for chain in (self._waiting[not unsliceable], *others):
            if chain:  # an older copy that is pending must not be written after this one
                for row in rows:
                    chain.pop(row.key, None)
        self._waiting[unsliceable].update(zip(map(_key, rows), rows))
        if rows and not unsliceable:
            self._only_unsliceable = False

    def forget(self, keys: Iterable[int]) -> None:
        """Drop pending copies of rows that are written past this reader: they must not be written afterwards."""
        for key in keys:
            for chain in self._store.others(()):
                chain.pop(key, None)

    # -- chunks

    def _end_chunk(self, unsliceable: bool, key: int) -> Iterator[Chunk]:
        yield from self._close(unsliceable, key)
        # A read can resume only where no row is pending, so both kinds of chunks are flushed together at times.
        if not unsliceable and (self.flush_soon or self._store.size_limit.full or not key & self._flush_end):
            yield from self._close(True, key)
        elif unsliceable and self._only_unsliceable:
            yield from self._close(False, key ^ 2)  # a key of its own: the row also ends the unsliceable chunk
        self._only_unsliceable = unsliceable

    def end(self) -> None:
        """End the list: store the chunks that are still open."""
        for chunk in self.last():
            self._finish(chunk)

    def last(self) -> Iterator[Chunk]:
        """End the list: yield the chunks that are still open."""
        yield from self._close(False, self._last_keys[0])
        yield from self._close(True, self._last_keys[1])

    def _close(self, unsliceable: bool, key: int) -> Iterator[Chunk]:
        """Compare the pending rows with the fingerprints that are stored under their keys."""
        rows = list(self._waiting[unsliceable].values())
        if not rows:
            return
        self._waiting[unsliceable].clear()
        key ^= unsliceable
        keys = [key, *(row.key ^ unsliceable for row in rows if not row.key & self._subchunk_end)]
        if self._gaps:
            rows = [row for row in rows if row.content]
        chunk = Chunk(rows, key, unsliceable, keys, self._store.find(keys), self._subchunk_end, self._since)
        self.seen |= chunk.seen
        if rows or not chunk.is_new:
            yield chunk

    def _finish(self, chunk: Chunk) -> None:
        if not self.all_new:
            self.changed += [row for row in chunk.changed if row.content not in self._sent]
        self.store(chunk)

    def store(self, chunk: Chunk, without: Collection[int] = ()) -> None:
        """Replace a chunk's fingerprints. The rows `without`, by their keys, stay unknown."""
        store = self._store
        if not chunk.is_new and not chunk.changed and not without and chunk.key in store.made:
            store.keep(chunk.keys)  # a second read in one sync says nothing about stability
        else:
            used = store.size_limit.used
            for key in () if chunk.is_new else chunk.keys:
                store.drop(key)
            for key, fingerprint in chunk.fingerprints(not self._begun[chunk.unsliceable], without):
                store.set(key, fingerprint)
            store.evict(used)
        self._begun[chunk.unsliceable] = True
