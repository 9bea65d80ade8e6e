"""
The scheduler: runs many reads at once on one thread, and handles what they yield.

A read (extract/) is a generator without I/O of its own (sans-I/O). It yields effects (tables/effects.py): a Fetch, for
which the scheduler sends the page back; an Emit, whose records go to run/sync.py; other reads to run; or a Wait. No two
reads race for stdout or the state, because one thread runs all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tap_twilio.errors import PartitionError
from tap_twilio.tables.effects import Effect, Emit, Read, Wait
from tap_twilio.twilio.request import Fetch, Page

Done = Callable[["PartitionError | None"], None]  # called when a read ended, with the error that ended it


class Pages(Protocol):
    """The source of pages: twilio.retry_pool.Pool, or a list in a test."""

    @property
    def idle(self) -> int:
        """Return how many more requests could run now."""

    def submit(self, fetch: Fetch, tag: Any, first: bool = False) -> None:
        """Send a request; with `first`, before all requests that wait."""

    def next_page(self) -> tuple[Any, Page | PartitionError] | None:
        """Return the tag of the next answer, and its page or error; None after the source was woken."""


@dataclass
class Task:
    """A read in progress."""

    read: Read
    parent: Task | None = None  # the task whose read yielded this one
    done: Done | None = None
    children: int = 0  # reads that this one yielded and that still run
    child_error: PartitionError | None = None  # the first error of such a read
    has_page: bool = False  # whether the read got a page already


class Scheduler:
    """
    Runs reads. `emit` writes records, and may raise a PartitionError. `after_page` is called after each page.

    `stopping` ends the run between two pages.
    """

    def __init__(self, pages: Pages, emit: Callable[[Emit], None]) -> None:
        self._pages, self._emit = pages, emit
        self._ready: deque[tuple[Task, Any, PartitionError | None]] = deque()  # a task, and what its read gets next
        self._waiting: list[Task] = []  # their reads yielded a Wait
        self._running_reads = 0  # without their children
        self._running_requests = 0
        self.stopping = False
        self.after_page: Callable[[], None] = lambda: None

    def run(self, reads: Iterable[tuple[Read, Done]]) -> None:
        """Run all reads. Begin each when a request slot is free, and call its `done` at its end."""
        upcoming: Iterator[tuple[Read, Done]] = iter(reads)
        has_more = True
        while not self.stopping:
            while has_more and not self._ready and self._pages.idle > 0:
                begun = next(upcoming, None)
                has_more = begun is not None
                if begun:
                    self._running_reads += 1
                    self._ready.append((Task(begun[0], done=begun[1]), None, None))
                    self._run_ready()
            if not self._running_reads and not has_more:
                return
            self._run_ready()
            if self._running_requests:
                self._take_page()
            elif not has_more:
                self._resume_waiting(None)

    def fetch(self, fetch: Fetch) -> Page:
        """Request one page, and return it. Raises what `finish` does."""
        pages: list[Page] = []

        def read() -> Read:
            pages.append((yield fetch))

        self.finish(read())
        return pages[0]

    def finish(self, read: Read) -> None:
        """Run one read to its end. Raises PartitionError; KeyboardInterrupt if the run was stopped meanwhile."""
        ends: list[PartitionError | None] = []
        self.run([(read, ends.append)])
        if not ends:
            raise KeyboardInterrupt
        if ends[0]:
            raise ends[0]

    def _run_ready(self) -> None:
        """Run each ready task to its next effect, until all tasks wait for a page or for another read."""
        while self._ready:
            task, value, error = self._ready.popleft()
            try:
                effect = task.read.throw(error) if error else task.read.send(value)
            except StopIteration:
                self._end(task, None)
            except PartitionError as failure:
                self._end(task, failure)
            else:
                self._handle(task, effect)

    def _handle(self, task: Task, effect: Effect) -> None:
        if isinstance(effect, Fetch):
            # A read with a page goes first, since it holds that page in memory and a checkpoint in the state.
            self._running_requests += 1
            self._pages.submit(effect, task, first=task.has_page)
        elif isinstance(effect, Emit):
            try:
                self._emit(effect)
            except PartitionError as failure:
                self._ready.appendleft((task, None, failure))
            else:
                self._ready.appendleft((task, None, None))
        elif isinstance(effect, Wait):
            self._waiting.append(task)
        elif effect:
            task.children = len(effect)
            self._ready.extend((Task(read, task), None, None) for read in effect)
        else:  # no read to run
            self._ready.append((task, None, None))

    def _end(self, task: Task, error: PartitionError | None) -> None:
        parent = task.parent
        if parent is None:
            self._running_reads -= 1
            if task.done:
                task.done(error)
            self._resume_waiting(True)
            return
        parent.children -= 1
        parent.child_error = parent.child_error or error
        if not parent.children:
            self._ready.append((parent, None, parent.child_error))
            parent.child_error = None

    def _resume_waiting(self, value: bool | None) -> None:
        """Resume waiting reads: with True after another read ended, with None when no other read is running."""
        waiting, self._waiting = self._waiting, []
        self._ready.extend((task, value, None) for task in waiting)

    def _take_page(self) -> None:
        """Wait for the next page, and resume the read that requested it."""
        answer = self._pages.next_page()
        if answer is None:
            return
        self._running_requests -= 1
        task, page = answer
        if isinstance(page, Page):
            task.has_page = True
            self._ready.append((task, page, None))
        else:
            self._ready.append((task, None, page))
        self._run_ready()
        self.after_page()
