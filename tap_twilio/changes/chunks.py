"""
Find the rows that changed in a list that is read page by page, by fingerprints of what was written before.

`Table.take` (tables/table.py) hands each page of a list to `Chunks.take`, and emits the rows that are then in
`Chunks.changed`. A child stream does the same with the rows of its parent, to learn which parents it must visit
(extract/child_streams.py).

The list is cut into chunks, as rsync cuts files: a chunk ends after each row whose hashed key ends in enough zero bits.
So a row that is added, moved or deleted affects only its own chunk. Rows are pending until their chunk ends. Then
comparison.py finds the rows that changed, and makes the fingerprint that is stored (fingerprints.py): five sums, which
identify up to two changed rows (power_sums.py), or, where more rows change, one hash a row.

Unsliceable rows are those that no time slice of a backfill returns, or not at their place in the list: they lack a list
date or a creation date, or these dates are more than a day apart. They have chunks of their own, so that a backfill in
time slices can make the fingerprints of all other chunks (slice_sums.py). So a list has two chunks open at a time, one
for each kind of row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter

from tap_twilio.changes.comparison import Chunk
from tap_twilio.changes.fingerprints import FingerprintStore, PendingByKind, PendingRow
from tap_twilio.changes.hashes import last_chunk_key
from tap_twilio.timestamps import Timestamp

MAX_MEAN_LENGTH = 1024  # rows of a chunk
SUBCHUNKS = 16  # the subchunks of a chunk, on average
MAX_TIMES_MEAN = 8  # a chunk of this many times the mean length ends after any row
END_BOTH_EVERY = 8  # the open chunk of unsliceable rows, which are few, ends with every eighth other chunk, on average

_key = itemgetter(0)


def chunk_length(page_size: int) -> int:
    """Return a power of two, about a page, so that a checkpoint is seldom more than a page behind."""
    length = 2
    while length < min(page_size, MAX_MEAN_LENGTH):
        length *= 2
    return length


class Chunks:
    """
    Cuts the rows of one list into chunks. `changed` collects the rows to be written; the caller takes them out.

    `take` saves the fingerprint of each chunk that ends. `iter_chunks` yields each chunk instead, and its caller calls
    `save` after it has written the rows.

    - `list_name` distinguishes lists whose rows go to one table.
    - `since`: when the last sync began. Rows created later are probably new, which helps to identify the changed ones.
    - `sent`: hashes of records that this sync already wrote. Rows with such a content are not collected.
    - `rows_may_move`: a row may move from one of these lists to another.
    - `all_new`: the store was empty, and the caller writes every row as it comes.
    - `skips_empty`: a row with the content 0, such as a parent without children, has nothing to compare. No fingerprint
      includes it. It may still end a chunk, so that the chunks stay the same when it gets a content.
    """

    def __init__(
        self,
        store: FingerprintStore,
        length: int,
        list_name: str = "",
        since: Timestamp = "",
        sent: frozenset[int] | set[int] = frozenset(),
        rows_may_move: bool = False,
        all_new: bool = False,
        skips_empty: bool = False,
    ) -> None:
        self._store, self._since, self._sent, self.all_new, self._skips_empty = store, since, sent, all_new, skips_empty
        # A chunk ends after a row whose key has a zero in each of these bits; so do subchunks, and both open chunks.
        self._mask, self._subchunk_mask = length - 1, max(length // SUBCHUNKS, 1) - 1
        self._both_mask, self._max_length = length * END_BOTH_EVERY - 1, length * MAX_TIMES_MEAN
        self._last_keys = [last_chunk_key(unsliceable, list_name) for unsliceable in (0, 1)]
        self._pending: PendingByKind = ({}, {})
        if rows_may_move:
            store.pending[list_name] = self._pending
        self._has_saved = [False, False]  # whether a chunk of sliceable rows was saved, and one of unsliceable rows
        self._only_unsliceable = False  # whether only unsliceable rows came since a chunk of such rows ended
        self.taken = 0  # how many of the rows given last were taken
        self.safe_points: set[int] = set()  # after how many of these rows no row was pending
        self.end_both_next = False  # whether the next chunk that ends also ends the open chunk of unsliceable rows
        self.changed: list[PendingRow] = []
        self.fingerprinted: set[int] = set()  # the hashed keys of changed rows that had a fingerprint before

    @property
    def pending(self) -> list[PendingRow]:
        return [*self._pending[0].values(), *self._pending[1].values()]

    @property
    def is_idle(self) -> bool:
        """Return whether no row is pending."""
        return not (self._pending[0] or self._pending[1])

    # -- rows

    def take(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> None:
        """
        Take rows until the store is full. `unsliceable` are the indices of such rows.

        Set `taken` to the number of rows that were taken, and `safe_points` to the numbers of rows after which a later
        read can resume.
        """
        for chunk in self.iter_chunks(rows, unsliceable):
            self._collect_and_save(chunk)

    def iter_chunks(self, rows: Sequence[PendingRow], unsliceable: Collection[int] = ()) -> Iterator[Chunk]:
        """Take rows as `take` does. Yield each chunk that ends; the caller must save it before it asks for the next."""
        taken, self.taken, self.safe_points = 0, 0, {0} if self.is_idle else set()
        if self.is_idle and self._store.is_full:
            self.safe_points.update(range(len(rows) + 1))
            return
        elsewhere = [pending for pending in self._store.pending_elsewhere(self._pending) if pending]
        for at in self._possible_ends(rows, unsliceable):
            row, is_unsliceable = rows[at], at in unsliceable
            self._add(rows[taken:at], False, elsewhere)
            self._add([row], is_unsliceable, elsewhere)
            self.taken = taken = at + 1
            if not row.key & self._mask or len(self._pending[is_unsliceable]) >= self._max_length:
                yield from self._end_chunks(is_unsliceable, row.key)
                if self.is_idle:
                    self.safe_points.add(taken)
                    if self._store.is_full:
                        self.safe_points.update(range(taken, len(rows) + 1))
                        return
        self._add(rows[taken:], False, elsewhere)
        self.taken = len(rows)

    def _possible_ends(self, rows: Sequence[PendingRow], unsliceable: Collection[int]) -> Sequence[int]:
        """Return the indices of the rows that are unsliceable or may end a chunk."""
        if max(map(len, self._pending)) + len(rows) >= self._max_length:
            return range(len(rows))
        mask = self._mask
        return [at for at, row in enumerate(rows) if not row[0] & mask or at in unsliceable]

    def _add(self, rows: Sequence[PendingRow], unsliceable: bool, elsewhere: list[dict[int, PendingRow]]) -> None:
        """Add pending rows. Drop their older copies, in other lists too: these must not be written after them."""
        for pending in (self._pending[not unsliceable], *elsewhere):
            if pending:
                for row in rows:
                    pending.pop(row.key, None)
        self._pending[unsliceable].update(zip(map(_key, rows), rows))
        if rows and not unsliceable:
            self._only_unsliceable = False

    def forget(self, keys: Iterable[int]) -> None:
        """Drop pending copies of rows that the caller writes itself: they must not be written afterwards."""
        for key in keys:
            for pending in self._store.pending_elsewhere(()):
                pending.pop(key, None)

    # -- chunks

    def _end_chunks(self, unsliceable: bool, key: int) -> Iterator[Chunk]:
        """Yield the chunk that ends, and at times the other: a read can resume only where no row is pending."""
        yield from self._compare_pending(unsliceable, key)
        if not unsliceable and (self.end_both_next or self._store.size_limit.full or not key & self._both_mask):
            yield from self._compare_pending(True, key)
        elif unsliceable and self._only_unsliceable:
            # Fingerprints of different kinds must not share a key. `key` is for chunks of sliceable rows, `key ^ 1` for
            # those of unsliceable rows, and `key ^ 2` for a chunk of sliceable rows that an unsliceable row ends.
            yield from self._compare_pending(False, key ^ 2)
        self._only_unsliceable = unsliceable

    def end(self) -> None:
        """End the list: compare and save the chunks that are still open."""
        for chunk in self.iter_last_chunks():
            self._collect_and_save(chunk)

    def iter_last_chunks(self) -> Iterator[Chunk]:
        """End the list: yield the chunks that are still open."""
        yield from self._compare_pending(False, self._last_keys[0])
        yield from self._compare_pending(True, self._last_keys[1])

    def _compare_pending(self, unsliceable: bool, key: int) -> Iterator[Chunk]:
        """Compare the pending rows with the fingerprints that are stored under their keys."""
        rows = list(self._pending[unsliceable].values())
        if not rows:
            return
        self._pending[unsliceable].clear()
        key ^= unsliceable
        keys = [key, *(row.key ^ unsliceable for row in rows if not row.key & self._subchunk_mask)]
        if self._skips_empty:
            rows = [row for row in rows if row.content]
        chunk = Chunk(rows, key, unsliceable, keys, self._store.find(keys), self._subchunk_mask, self._since)
        self.fingerprinted |= chunk.fingerprinted
        if rows or not chunk.is_new:
            yield chunk

    def _collect_and_save(self, chunk: Chunk) -> None:
        if not self.all_new:
            self.changed += [row for row in chunk.changed if row.content not in self._sent]
        self.save(chunk)

    def save(self, chunk: Chunk, without: Collection[int] = ()) -> None:
        """Replace a chunk's fingerprints. The new ones leave out the rows whose keys are in `without`."""
        store = self._store
        if not chunk.is_new and not chunk.changed and not without and chunk.key in store.made:
            store.confirm(chunk.keys)  # a second read in the same sync does not show whether the rows change often
        else:
            used = store.size_limit.used
            for key in () if chunk.is_new else chunk.keys:
                store.drop(key)
            for key, fingerprint in chunk.fingerprints(not self._has_saved[chunk.unsliceable], without):
                store.set(key, fingerprint)
            store.evict(used)
        self._has_saved[chunk.unsliceable] = True
