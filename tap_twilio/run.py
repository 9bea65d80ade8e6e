"""Runs reads side by side: hands what they ask to the pool, and the pages back to them, until all are done.

All of this happens in one thread, so a read, what it emits and the state it moves never race with another's.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from .answers import read_page
from .client import Again, Answer
from .errors import PartitionError
from .pool import Pool
from .walk import Ask, Moment, Page, Read, moment

LOGGER = logging.getLogger("tap_twilio")
AGREE = timedelta(hours=1)  # how far apart two answers' Dates may be, beside the time that passed between them


class Clock:
    """
    Twilio's clock, as its answers show it: each `Date` is held against the others, by the time that passed here.

    It is settled once two answers agree, or one with this machine. From then on the earlier wins: a bookmark that is
    too early costs reading again, one that is too late loses changes. So a Date too far ahead is not believed, and one
    behind puts the clock back. `put_back` says that it happened: moments taken before may be too late.
    """

    def __init__(self, machine_counts: bool = False) -> None:
        self.now: Moment = ""
        self.settled = self.put_back = False
        self._least: timedelta | None = None  # of the answers believed, how far they are ahead of this machine
        self._seen = [timedelta(0)] if machine_counts else []  # before it was settled
        self._said = False

    def saw(self, date: Moment, received_at: Moment = "") -> None:
        ahead = moment(date) - (moment(received_at) if received_at else datetime.now(timezone.utc))
        if not self.settled:
            self._settle(date, ahead)
        elif self._least is None or ahead < self._least - AGREE:
            self._say(ahead)
            self.now, self._least, self.put_back = date, ahead, True
        elif ahead > self._least + AGREE:
            self._say(ahead)
        else:
            self.now, self._least = max(self.now, date), min(self._least, ahead)

    def _settle(self, date: Moment, ahead: timedelta) -> None:
        twins = [other for other in self._seen if abs(other - ahead) <= AGREE]
        self._seen.append(ahead)
        self.settled = bool(twins)
        if self.settled or self._least is None or ahead < self._least:
            self.now, self._least = date, min(ahead, *twins) if twins else ahead
        if self.settled and len(self._seen) > 2:
            self._say(next(other for other in self._seen if abs(other - ahead) > AGREE))

    def _say(self, ahead: timedelta) -> None:
        if not self._said and self._least is not None:
            self._said = True
            apart = timedelta(seconds=round(abs(ahead - self._least).total_seconds()))
            LOGGER.warning("two of Twilio's answers bear a Date %s apart: the one out of line is not believed", apart)


@dataclass
class Task:
    read: Read
    parent: Task | None = None
    done: Callable[[PartitionError | None], None] | None = None
    children: int = 0
    failed: PartitionError | None = None


class Runner:
    """
    Runs reads. `after_page` is called whenever rows may have been written.

    `stopping` ends the run between two pages.
    """

    def __init__(self, pool: Pool, clock: Clock, origin: Callable[[str], str]) -> None:
        self._pool, self.clock, self._origin = pool, clock, origin
        self._ready: deque[tuple[Task, Page | None, PartitionError | None]] = deque()
        self._open = 0
        self.pages = self.replaced = 0
        self.stopping = False
        self.after_page: Callable[[], None] = lambda: None

    def run(self, reads: Iterable[tuple[Read, Callable[[PartitionError | None], None]]]) -> None:
        """Run all of these, each begun when there is room for it, and call each one's `done` when it is."""
        coming: Iterator[tuple[Read, Callable[[PartitionError | None], None]]] = iter(reads)
        more = True
        while not self.stopping:
            while more and not self._ready and self._pool.idle > 0:
                read, done = next(coming, (None, None))
                more = read is not None
                if read is not None:
                    self._open += 1
                    self._ready.append((Task(read, done=done), None, None))
                    self._step()
            if not self._open and not more:
                return
            self._step()
            if self._open:
                self._await_page()

    def ask(self, ask: Ask) -> Page:
        """One page, now. Raises PartitionError."""
        pages: list[Page] = []
        errors: list[PartitionError | None] = []

        def read() -> Read:
            pages.append((yield ask))

        self.run([(read(), errors.append)])
        if errors and errors[0]:
            raise errors[0]
        if not pages:
            raise KeyboardInterrupt
        return pages[0]

    def _step(self) -> None:
        while self._ready:
            task, page, error = self._ready.popleft()
            try:
                effect = task.read.throw(error) if error else task.read.send(page)  # type: ignore[arg-type]
            except StopIteration:
                self._finish(task, None)
                continue
            except PartitionError as failed:
                self._finish(task, failed)
                continue
            if isinstance(effect, Ask):
                # A read that was begun goes before those that were not, since it holds a page and a place in the state.
                self._pool.submit(effect, task, first=page is not None)
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
            return
        parent.children -= 1
        parent.failed = parent.failed or failed
        if not parent.children:
            self._ready.append((parent, None, parent.failed))
            parent.failed = None

    def _await_page(self) -> None:
        found = self._pool.next()
        if found is None:
            return
        job, outcome = found
        task: Task = job.tag
        if isinstance(outcome, Answer):
            try:
                page, replaced = self._read(job.ask, outcome)
            except Again as again:
                failed = self._pool.again(job, again)
                if failed:
                    self._ready.append((task, None, failed))
                    self._step()
                return
            self.pages += 1
            self.replaced += replaced
            self._ready.append((task, page, None))
        else:
            self._ready.append((task, None, outcome))
        self._step()
        self.after_page()

    def _read(self, ask: Ask, answer: Answer) -> tuple[Page, int]:
        page, replaced = read_page(ask, answer, self._origin(ask.product), self.clock.now)
        if answer.date:
            self.clock.saw(answer.date, answer.received_at)
            if page.date > self.clock.now:
                page = replace(page, date=self.clock.now)  # it is not believed
        return page, replaced
