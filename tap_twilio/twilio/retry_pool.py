"""Requests side by side: within `concurrency`, within what each account bears, and again where that may help."""

from __future__ import annotations

import heapq
import logging
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import backoff

from tap_twilio.errors import BadAnswer, PartitionError, Retry, ServerFailed, Unreachable
from tap_twilio.timestamps import MINUTE_S, duration

from .client import Answer, Client
from .rate_limit import ConcurrencyLimit
from .request import Fetch, Page, RequestStats, where
from .response import read_page
from .server_clock import Clock

LOGGER = logging.getLogger("tap_twilio")
BAD_ANSWERS = 10  # how often a body that is JSON, but no page, is asked for again
SLACK_S = 2  # a request that its own timeouts did not end in time is left behind after so much more
REASONS_SAID = 50  # what goes wrong is said once for each reason, and for so many of them


@dataclass
class Job:
    """A request under way: how often it failed, since when, and how long to wait next."""

    fetch: Fetch
    tag: Any
    started: float = 0
    failing_since: float | None = None
    bad_answers: int = 0
    server_failures: int = 0
    warned: bool = False
    waits: Iterator[float] = field(default_factory=lambda: _waits())


def _waits() -> Iterator[float]:
    """How many seconds to wait before each further attempt."""
    longest = backoff.expo(factor=0.5, max_value=60)
    next(longest)  # backoff's generators give nothing at first
    for seconds in longest:
        yield backoff.full_jitter(seconds)


class Pool:
    """Requests side by side: never more than `concurrency`, and of an account never more than its share.

    Used from one thread: `submit`, then `next` for whatever answer comes first. Answers wait in memory, so there are
    never more of them than `concurrency`: a slow reader slows the pool, and memory stays flat.
    """

    def __init__(self, client: Client, clock: Clock, concurrency: int, retry_s: float, timeout_s: float) -> None:
        self._client, self._clock, self._concurrency = client, clock, concurrency
        self._retry_s, self._timeout_s = retry_s, timeout_s
        self._todo: queue.SimpleQueue[tuple[int, Job] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, Answer | Exception] | None] = queue.SimpleQueue()
        self._shares: dict[str, ConcurrencyLimit] = {}
        self._ready: deque[str] = deque()  # accounts with requests waiting, in turn
        self._later: list[tuple[float, int, Job]] = []
        self._running: dict[int, Job] = {}  # by number of the attempt, so the oldest is first
        self._threads: list[threading.Thread] = []
        self._stuck = 0  # threads whose request was left behind
        self._said: set[str] = set()
        self._count = self.requests = self.retries = self.throttled = self.pages = 0
        self.spent_s = 0.0  # on all requests together
        self.traffic: defaultdict[tuple[str, str], RequestStats] = defaultdict(RequestStats)  # by stream and account

    @property
    def idle(self) -> int:
        """How many more requests could run now."""
        return (
            self._concurrency - len(self._running) - sum(len(self._shares[account].waiting) for account in self._ready)
        )

    def submit(self, fetch: Fetch, tag: Any, first: bool = False) -> None:
        """`first`: before all that waits in its account."""
        self._enqueue(Job(fetch, tag), first)

    def next_page(self) -> tuple[Any, Page | PartitionError] | None:
        """
        The next page with its tag, or the error that a request ended with; None when `wake` was called.

        A body that cannot be read is asked for again, never guessed at. Raises LookupError when nothing is under way.
        """
        while True:
            found = self.next()
            if found is None:
                return None
            job, outcome = found
            if not isinstance(outcome, Answer):
                return job.tag, outcome
            try:
                page = read_page(job.fetch, outcome, self._client.origin(job.fetch.host), self._clock)
            except Retry as retry:
                failed = self.retry_later(job, retry)
                if failed:
                    return job.tag, failed
                continue
            self.pages += 1
            traffic = self.traffic[job.fetch.stream, job.fetch.account]
            traffic.pages += 1
            traffic.rows += len(page.rows)
            return job.tag, page

    def next(self) -> tuple[Job, Answer | PartitionError] | None:
        """
        The next answer, or the error that a request ended with; None when `wake` was called.

        Raises LookupError when nothing is under way.
        """
        while True:
            self._dispatch()
            if not self._running and not self._later:
                raise LookupError("nothing is under way")
            try:
                done = self._done.get(timeout=self._patience())
            except queue.Empty:
                done = self._overdue()
                if done is None:
                    continue
            if done is None:
                return None
            number, outcome = done
            job = self._running.pop(number, None)
            if job is None:  # left behind long ago
                self._stuck -= 1
                continue
            self._shares[job.fetch.account].running -= 1
            self._count_answer(job)
            if isinstance(outcome, Retry):
                failed = self.retry_later(job, outcome)
                if failed:
                    return job, failed
            elif isinstance(outcome, (Answer, PartitionError)):
                return job, outcome
            else:
                raise outcome

    def _count_answer(self, job: Job) -> None:
        traffic, now = self.traffic[job.fetch.stream, job.fetch.account], time.monotonic()
        self.spent_s += now - job.started
        traffic.seconds += now - job.started
        traffic.last_s = now

    def retry_later(self, job: Job, retry: Retry) -> PartitionError | None:
        """Ask again, later; or, when that has gone on for too long, the error to end with."""
        now = time.monotonic()
        job.failing_since = job.failing_since or now
        job.bad_answers += retry.bad_answer
        job.server_failures += retry.server_failed
        share = self._shares[job.fetch.account]
        if retry.throttled:
            self.throttled += 1
            if share.throttled(job.started, now):
                LOGGER.info("%s: too many requests at once; going on with %d", job.fetch.account, share.limit)
        asked, failing_s = where(job.fetch), now - job.failing_since
        if job.bad_answers >= BAD_ANSWERS:
            return BadAnswer(f"{asked}: {retry}, {job.bad_answers} times; taking it would lose rows")
        if job.fetch.attempts and job.server_failures >= job.fetch.attempts:
            return ServerFailed(f"{asked}: {retry}, {job.server_failures} times")
        wait = next(job.waits)
        if retry.wait_s is not None:
            wait += retry.wait_s
        if failing_s + wait > self._retry_s:
            asks = f"; Twilio asks to wait {retry.wait_s:.0f} s" if retry.wait_s else ""
            kind = ServerFailed if retry.server_failed else Unreachable
            return kind(f"{asked}: {retry}, for {duration(failing_s)} of asking again (retry_minutes){asks}")
        self._say(job, retry, failing_s)
        self.retries += 1
        self._count += 1
        heapq.heappush(self._later, (now + wait, self._count, job))
        return None

    def _say(self, job: Job, retry: Retry, failing_s: float) -> None:
        """Each reason once, and once a request that it goes on: a bad day is a few lines, not one a request."""
        if failing_s > MINUTE_S and not job.warned:
            job.warned = True
            left = duration(self._retry_s - failing_s)
            LOGGER.warning("%s: %s, for %s; asking for %s more", where(job.fetch), retry, duration(failing_s), left)
        elif not retry.throttled and str(retry) not in self._said and len(self._said) < REASONS_SAID:
            self._said.add(str(retry))
            LOGGER.info("%s: %s; asking again (said once)", where(job.fetch), retry)

    def _patience(self) -> float | None:
        """Seconds until a request is to be asked again, or is overdue; None: not before something comes."""
        oldest = next(iter(self._running.values()), None)
        times = [self._later[0][0]] if self._later else []
        times += [oldest.started + self._timeout_s + SLACK_S] if oldest else []
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _overdue(self) -> tuple[int, Retry] | None:
        """
        The oldest attempt, if it should have ended by now: its thread is left behind.

        The timeouts of a socket count from byte to byte and from address to address, so a head that trickles, or
        a name that is not resolved, outlasts them.
        """
        number, job = next(iter(self._running.items()), (0, None))
        if job is None or time.monotonic() < job.started + self._timeout_s + SLACK_S:
            return None
        self._stuck += 1
        return number, Retry("no answer in time")

    def wake(self) -> None:
        """Make `next` return; may be called from a signal handler."""
        self._done.put(None)

    def close(self) -> None:
        """Let idle threads end; those that wait for Twilio are daemons, and nothing waits for them."""
        for _ in self._threads:
            self._todo.put(None)

    def _enqueue(self, job: Job, first: bool = False) -> None:
        share = self._shares.setdefault(job.fetch.account, ConcurrencyLimit(self._concurrency))
        if not share.waiting:
            self._ready.append(job.fetch.account)
        share.waiting.appendleft(job) if first else share.waiting.append(job)

    def _dispatch(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._enqueue(heapq.heappop(self._later)[2], first=True)
        for _ in range(len(self._ready)):
            account = self._ready.popleft()
            share = self._shares[account]
            if share.recovered(self._concurrency, now):
                LOGGER.info("%s: going on with %d requests at once", account, share.limit)
            while share.waiting and share.running < share.limit and len(self._running) < self._concurrency:
                self._start(share, share.waiting.popleft(), now)
            if share.waiting:
                self._ready.append(account)

    def _start(self, share: ConcurrencyLimit, job: Job, now: float) -> None:
        share.start()
        self.requests += 1
        self._running[self.requests] = job
        job.started = now
        traffic = self.traffic[job.fetch.stream, job.fetch.account]
        traffic.requests += 1
        traffic.first_s = traffic.first_s or now
        if len(self._threads) - self._stuck < len(self._running):
            thread = threading.Thread(target=self._work, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._todo.put((self.requests, job))

    def _work(self) -> None:
        while (todo := self._todo.get()) is not None:
            number, job = todo
            self._done.put((number, self._attempt(job)))  # and not held here while the next is asked for

    def _attempt(self, job: Job) -> Answer | Exception:
        try:
            return self._client.get(job.fetch)
        except Exception as error:  # the main thread decides, and raises what it does not know
            return error
