"""
Hand the pages of a list to its consumers: the stream's own table, and the streams of its children.

A list is read once for all of its consumers. The page loop (read_list.py) calls `PageDispatcher.take` with each page,
and `end` or `leave` after the last one. `take` hands the page to `Table.take` (tables/table.py), which emits rows, and
to `ChildStream.take` and `CallFeedback.take` in this folder, which read the children of rows. Each consumer finds the
rows that changed by its own fingerprints, and each fails alone.

A method that returns a `Read` is a generator that yields its effects to the scheduler (tables/effects.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from tap_twilio.changes.chunks import Chunks
from tap_twilio.changes.slice_sums import SliceSums
from tap_twilio.errors import PartitionError
from tap_twilio.tables.effects import Read
from tap_twilio.tables.table import ChangeDetector, ReadMode, SafePoints, Table
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page, Row

from .budget import VisitLimit
from .page_reader import PageReader

BATCH = 100  # how many lists of children a consumer reads at the same time
MAX_RESTARTS = 3  # how often a sync starts the read of a list over, after rows moved between two pages


class Consumer(Protocol):
    """A consumer of a list's rows."""

    failed: PartitionError | None  # the first error; a consumer that failed gets no more pages

    @property
    def name(self) -> str: ...

    @property
    def tables(self) -> list[Table]: ...

    def fail(self, error: PartitionError) -> None: ...

    def change_detector(self, mode: ReadMode, endpoint: ListEndpoint, name: str = "") -> Chunks | None:
        """Return the detector of a list's changed rows; None if no fingerprints decide."""

    def slice_sums(self, mode: ReadMode, sums: str | None) -> SliceSums | None:
        """Return the detector for a time slice of a backfill. `sums`: the partial sums of an earlier sync, as text."""


class ChildConsumer(Consumer, Protocol):
    """A consumer that reads the children of a list's rows: `ChildStream` or `CallFeedback`."""

    def take(self, dispatcher: PageDispatcher, page: Page) -> Read:
        """Read the children of rows on a page. Return the page's safe points (see PageDispatcher)."""

    def end(self, dispatcher: PageDispatcher, detector: Chunks) -> Read:
        """Read the children of pending rows: the list ended."""

    def leave(self, dispatcher: PageDispatcher, detector: Chunks) -> Read:
        """Leave pending rows to a later read: this read stops before the end of the list."""

    def counts_visit(self, endpoint: ListEndpoint, row: Row) -> bool:
        """Return whether a refresh visits a row, and `max_child_requests` limits such visits."""


class PageDispatcher:
    """
    Hands the pages of one read to the consumers.

    A row is pending until its chunk ends (changes/chunks.py). A safe point is a number of rows of a page after which no
    row is pending, so that a later read may resume there without a loss. `checkpoint` is the last safe point of all
    consumers, which may be on an earlier page than the last. `detectors` holds, by the name of each consumer, what
    finds the changed rows for it; a consumer without a detector decides by dates.
    """

    def __init__(
        self,
        consumers: Sequence[Table | ChildConsumer],
        mode: ReadMode,
        page_reader: PageReader,
        detectors: Mapping[str, ChangeDetector | None],
    ) -> None:
        self.consumers, self.mode, self.page_reader, self.detectors = consumers, mode, page_reader, detectors
        self.checkpoint = page_reader.start
        self.has_advanced = False  # the checkpoint moved, so a read that stops here made progress
        self.has_unread_children = False  # some children of the rows are left to later syncs
        self.on_failure: Callable[[], None] = lambda: None
        self.visit_limit: VisitLimit | None = None  # of a refresh

    @staticmethod
    def of(consumers: Sequence[Table | ChildConsumer], mode: ReadMode, page_reader: PageReader) -> PageDispatcher:
        """Return a dispatcher with a detector for each consumer that has not failed."""
        detectors = {
            consumer.name: consumer.change_detector(mode, page_reader.endpoint)
            for consumer in consumers
            if not consumer.failed
        }
        return PageDispatcher(consumers, mode, page_reader, detectors)

    def take(self, page: Page) -> Read:
        """Hand a page to each consumer that has not failed. Once all have failed, raise the first one's error."""
        page = self._within_limit(self._without_resumed_rows(page))
        safe_points = set(range(len(page.rows) + 1))
        for consumer in self._unfailed():
            try:
                consumer_safe_points = yield from self._hand_to(consumer, page)
                safe_points = safe_points if consumer_safe_points is None else safe_points & consumer_safe_points
            except PartitionError as error:
                consumer.fail(error)
        self._report_failures()
        self._move_checkpoint(page.rows, max(safe_points, default=0))

    def _hand_to(self, consumer: Table | ChildConsumer, page: Page) -> Read:
        """Hand a page to one consumer, and return the page's safe points."""
        safe_points: SafePoints
        if isinstance(consumer, Table):
            safe_points = yield from consumer.take(
                self.mode, self.page_reader.endpoint, page, self.detectors.get(consumer.name)
            )
        else:
            safe_points = yield from consumer.take(self, page)
        return safe_points

    def may_stop(self) -> bool:
        """Return whether the checkpoint moved, so that the read may stop. If not, let the open chunks end soon."""
        for detector in self.detectors.values():
            if isinstance(detector, Chunks):
                detector.end_both_next = True
        return self.has_advanced

    def end(self) -> Read:
        """Compare the pending rows: the list ended, or the time slice did."""
        yield from self._stop(ended=True)

    def leave(self) -> Read:
        """Leave the pending rows to a later read: this read stops before the end of the list."""
        yield from self._stop(ended=False)

    def _stop(self, ended: bool) -> Read:
        for consumer in self._unfailed():
            detector = self.detectors.get(consumer.name)
            if isinstance(detector, Chunks):
                try:
                    if isinstance(consumer, Table):
                        yield from consumer.end(self.mode, detector) if ended else consumer.leave(self.mode, detector)
                    else:
                        yield from consumer.end(self, detector) if ended else consumer.leave(self, detector)
                except PartitionError as error:
                    consumer.fail(error)
        self._report_failures()

    def _unfailed(self) -> Iterable[Table | ChildConsumer]:
        return (consumer for consumer in self.consumers if consumer.failed is None)

    def _without_resumed_rows(self, page: Page) -> Page:
        """Return a page without the rows down to the checkpoint, which an earlier sync took."""
        after = self.page_reader.resume_after if self.page_reader.pages == 1 else None
        ids = self.page_reader.endpoint.ids(page.rows) if after else []
        return replace(page, rows=page.rows[ids.index(after) + 1 :]) if after in ids else page

    def _within_limit(self, page: Page) -> Page:
        """Return the first rows of a page: those for which the limit of a refresh has visits left."""
        if self.visit_limit is None:
            return page
        children = [consumer for consumer in self._unfailed() if not isinstance(consumer, Table)]
        for index, row in enumerate(page.rows if children else ()):
            visits = sum(child.counts_visit(self.page_reader.endpoint, row) for child in children)
            if not self.visit_limit.allows(visits):
                self.has_unread_children = True
                return replace(page, rows=page.rows[:index])
        return page

    def _move_checkpoint(self, rows: Sequence[Row], done: int) -> None:
        """Move the checkpoint down past the first `done` rows of a page."""
        if done:
            self.has_advanced = True
            self.checkpoint = self.page_reader.checkpoint(rows, rows[done - 1])

    def _report_failures(self) -> None:
        failures = [consumer.failed for consumer in self.consumers if consumer.failed]
        if failures:
            self.on_failure()
        if failures and len(failures) == len(self.consumers):
            raise failures[0]
