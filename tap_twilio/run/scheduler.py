"""
The scheduler: runs reads side by side, and handles their effects (requests, records, child reads).

Reads are generators without I/O of their own (sans-I/O). One thread runs all of them, so no two reads race for stdout
or the state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tap_twilio.errors import PartitionError
from tap_twilio.tables.effects import Effect, Emit, Read, Wait
from tap_twilio.twilio.request import Fetch, Page

Done = Callable[["PartitionError | None"], None]


class Pages(Protocol):
    """The source of pages: twilio.retry_pool.Pool, or a list in a test."""

    @property
    def idle(self) -> int:
        """Return how many more requests could run now."""

    def submit(self, fetch: Fetch, tag: Any, first: bool = False) -> None:
        """Send a request; with `first`, before all that wait."""

    def next_page(self) -> tuple[Any, Page | PartitionError] | None:
        """Return the tag of the next answer, and its page or error; None when woken."""


@dataclass
class Task:
    read: Read
    parent: Task | None = None
    done: Done | None = None
    children: int = 0
    failed: PartitionError | None = None
    begun: bool = False  # it got a page


class Scheduler:
    """
    Runs reads. `emit` writes records, and may raise a PartitionError. `after_page` is called after each page.

    `stopping` ends the run between two pages.
    """

    def __init__(self, pages: Pages, emit: Callable[[Emit], None]) -> None:
        self._pages, self._emit = pages, emit
        self._ready: deque[tuple[Task, Any, PartitionError | None]] = deque()
        self._paused: list[Task] = []
        self._open = 0
        self._waiting = 0  # requests in progress
        self.stopping = False
        self.after_page: Callable[[], None] = lambda: None

    def run(self, reads: Iterable[tuple[Read, Done]]) -> None:
        """Run all reads. Begin each when a request slot is free, and call its `done` at its end."""
        upcoming: Iterator[tuple[Read, Done]] = iter(reads)
        more = True
        while not self.stopping:
            while more and not self._ready and self._pages.idle > 0:
                begun = next(upcoming, None)
                more = begun is not None
                if begun:
                    self._open += 1
                    self._ready.append((Task(begun[0], done=begun[1]), None, None))
                    self._step()
            if not self._open and not more:
                return
            self._step()
            if self._waiting:
                self._await_page()
            elif not more:
                self._wake(None)

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

    def _step(self) -> None:
        while self._ready:
            task, value, error = self._ready.popleft()
            try:
                effect = task.read.throw(error) if error else task.read.send(value)
            except StopIteration:
                self._finish(task, None)
            except PartitionError as failed:
                self._finish(task, failed)
            else:
                self._handle(task, effect)

    def _handle(self, task: Task, effect: Effect) -> None:
        if isinstance(effect, Fetch):
            # A read that has begun goes first, since it holds a page in memory and a checkpoint in the state.
            self._waiting += 1
            self._pages.submit(effect, task, first=task.begun)
        elif isinstance(effect, Emit):
            try:
                self._emit(effect)
            except PartitionError as failed:
                self._ready.appendleft((task, None, failed))
            else:
                self._ready.appendleft((task, None, None))
        elif isinstance(effect, Wait):
            self._paused.append(task)
        elif effect:
            task.children = len(effect)
            self._ready.extend((Task(read, task), None, None) for read in effect)
        else:
            self._ready.append((task, None, None))

    def _finish(self, task: Task, failed: PartitionError | None) -> None:
        parent = task.parent
        if parent is None:
            self._open -= 1
            if task.done:
                task.done(failed)
            self._wake(True)
            return
        parent.children -= 1
        parent.failed = parent.failed or failed
        if not parent.children:
            self._ready.append((parent, None, parent.failed))
            parent.failed = None

    def _wake(self, value: bool | None) -> None:
        """Resume waiting reads: with True after another read ended, with None when no other read is running."""
        paused, self._paused = self._paused, []
        self._ready.extend((task, value, None) for task in paused)

    def _await_page(self) -> None:
        answer = self._pages.next_page()
        if answer is None:
            return
        self._waiting -= 1
        task, page = answer
        if isinstance(page, Page):
            task.begun = True
            self._ready.append((task, page, None))
        else:
            self._ready.append((task, None, page))
        self._step()
        self.after_page()
