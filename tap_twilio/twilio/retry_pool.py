"""
Runs requests concurrently, within `concurrency` and each account's rate limit, and retries those that fail.

run/scheduler.py submits each Fetch, and takes the pages. Worker threads call client.py; response.py reads the pages on
the main thread.
"""

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

from .client import Client
from .rate_limit import ConcurrencyLimit
from .request import Fetch, Page, RequestStats
from .response import Answer, read_page
from .server_clock import Clock

LOGGER = logging.getLogger("tap_twilio")
MAX_BAD_ANSWERS = 10  # responses to one request that are JSON, but no page
OVERDUE_S = 2  # after its timeout, the pool abandons an attempt
MAX_REASONS_LOGGED = 50  # the log names each reason once


@dataclass
class Job:
    """A submitted request, its failed attempts, and the waits between its attempts."""

    fetch: Fetch
    tag: Any  # the caller's, returned with the page
    started: float = 0  # the last attempt, by time.monotonic()
    failing_since: float | None = None  # the first failure
    bad_answers: int = 0
    server_failures: int = 0
    warned: bool = False
    waits: Iterator[float] = field(default_factory=lambda: _waits())


def _waits() -> Iterator[float]:
    """Yield the seconds to wait before each further attempt."""
    max_waits = backoff.expo(factor=0.5, max_value=60)
    next(max_waits)  # backoff's generators yield nothing at first
    for max_wait in max_waits:
        yield backoff.full_jitter(max_wait)


class Pool:
    """
    Runs requests in threads: at most `concurrency` at once, and for each account as many as its rate limit allows.

    One thread calls it: `submit`, then `next_page` for the response that comes first. At most `concurrency` responses
    wait in memory, so a slow caller slows the pool.
    """

    def __init__(self, client: Client, clock: Clock, concurrency: int, retry_s: float, timeout_s: float) -> None:
        self._client, self._clock, self._concurrency = client, clock, concurrency
        self._retry_s, self._timeout_s = retry_s, timeout_s
        self._attempts: queue.SimpleQueue[tuple[int, Job] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[int, Answer | Exception] | None] = queue.SimpleQueue()
        self._limits: dict[str, ConcurrencyLimit] = {}
        self._accounts: deque[str] = deque()  # those with waiting requests, in turn
        self._retries: list[tuple[float, int, Job]] = []  # a heap, by when they are due
        self._running: dict[int, Job] = {}  # by the attempt's number, so the oldest is first
        self._threads: list[threading.Thread] = []
        self._stuck = 0  # threads that still wait for an abandoned attempt
        self._logged: set[str] = set()
        self._count = self.requests = self.retries = self.throttled = self.pages = 0
        self.spent_s = 0.0  # the sum of the durations of all attempts
        self.traffic: defaultdict[tuple[str, str], RequestStats] = defaultdict(RequestStats)  # by stream and account

    @property
    def idle(self) -> int:
        """Return how many more requests could run now."""
        return (
            self._concurrency
            - len(self._running)
            - sum(len(self._limits[account].waiting) for account in self._accounts)
        )

    def submit(self, fetch: Fetch, tag: Any, first: bool = False) -> None:
        """Queue a request; with `first`, before the account's other requests."""
        self._enqueue(Job(fetch, tag), first)

    def next_page(self) -> tuple[Any, Page | PartitionError] | None:
        """
        Return the next page, or the error that ended a request, with its tag; None after `wake`.

        A response that is no page is requested again. Raises LookupError if no request is queued or running.
        """
        while True:
            finished = self.next()
            if finished is None:
                return None
            job, outcome = finished
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
        Return the next response, or the error that ended a request; None after `wake`.

        Raises LookupError if no request is queued or running.
        """
        while True:
            self._dispatch()
            if not self._running and not self._retries:
                raise LookupError("no request is queued or running")
            try:
                ended = self._outcomes.get(timeout=self._seconds_to_next_event())
            except queue.Empty:
                ended = self._abandon_overdue()
                if ended is None:
                    continue
            if ended is None:
                return None
            number, outcome = ended
            job = self._running.pop(number, None)
            if job is None:  # an abandoned attempt
                self._stuck -= 1
                continue
            self._limits[job.fetch.account].running -= 1
            self._count_duration(job)
            if isinstance(outcome, Retry):
                failed = self.retry_later(job, outcome)
                if failed:
                    return job, failed
            elif isinstance(outcome, (Answer, PartitionError)):
                return job, outcome
            else:
                raise outcome

    def _count_duration(self, job: Job) -> None:
        traffic, now = self.traffic[job.fetch.stream, job.fetch.account], time.monotonic()
        self.spent_s += now - job.started
        traffic.seconds += now - job.started
        traffic.last_s = now

    def retry_later(self, job: Job, retry: Retry) -> PartitionError | None:
        """Schedule a retry; or, once the request has failed for too long, return the error that ends it."""
        now = time.monotonic()
        job.failing_since = job.failing_since or now
        job.bad_answers += retry.bad_answer
        job.server_failures += retry.server_failed
        limit = self._limits[job.fetch.account]
        if retry.throttled:
            self.throttled += 1
            if limit.throttled(job.started, now):
                account = job.fetch.account
                LOGGER.info("%s: too many requests at once; the tap continues with %d", account, limit.limit)
        path, failing_s = job.fetch.path, now - job.failing_since
        if job.bad_answers >= MAX_BAD_ANSWERS:
            return BadAnswer(f"{path}: {retry}, {job.bad_answers} times; accepting it could lose rows")
        if job.fetch.max_server_failures and job.server_failures >= job.fetch.max_server_failures:
            return ServerFailed(f"{path}: {retry}, {job.server_failures} times")
        wait = next(job.waits)
        if retry.wait_s is not None:
            wait += retry.wait_s
        if failing_s + wait > self._retry_s:
            demand = f"; Twilio asks to wait {retry.wait_s:.0f} s" if retry.wait_s else ""
            kind = ServerFailed if retry.server_failed else Unreachable
            return kind(f"{path}: {retry}; gave up after {duration(failing_s)} of retries (retry_minutes){demand}")
        self._log(job, retry, failing_s)
        self.retries += 1
        self._count += 1
        heapq.heappush(self._retries, (now + wait, self._count, job))
        return None

    def _log(self, job: Job, retry: Retry, failing_s: float) -> None:
        """Log each reason once, and each request that fails for more than a minute once: a bad day is a few lines."""
        if failing_s > MINUTE_S and not job.warned:
            job.warned = True
            left = duration(self._retry_s - failing_s)
            LOGGER.warning("%s: %s, for %s; retrying for %s more", job.fetch.path, retry, duration(failing_s), left)
        elif not retry.throttled and str(retry) not in self._logged and len(self._logged) < MAX_REASONS_LOGGED:
            self._logged.add(str(retry))
            LOGGER.info("%s: %s; retrying, further retries are not logged", job.fetch.path, retry)

    def _seconds_to_next_event(self) -> float | None:
        """Return the seconds until a retry is due or an attempt is overdue; None without either."""
        oldest = next(iter(self._running.values()), None)
        times = [self._retries[0][0]] if self._retries else []
        times += [oldest.started + self._timeout_s + OVERDUE_S] if oldest else []
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _abandon_overdue(self) -> tuple[int, Retry] | None:
        """
        Abandon the oldest attempt if it is overdue, and return it as failed; its thread runs on.

        A socket's timeout starts anew with each byte and each address, and does not cover the look-up of a name. So an
        attempt can outlast its timeout.
        """
        number, job = next(iter(self._running.items()), (0, None))
        if job is None or time.monotonic() < job.started + self._timeout_s + OVERDUE_S:
            return None
        self._stuck += 1
        return number, Retry("no answer in time")

    def wake(self) -> None:
        """Make `next_page` and `next` return None; a signal handler may call this."""
        self._outcomes.put(None)

    def close(self) -> None:
        """End the idle threads. Threads that wait for Twilio are daemons: the process does not wait for them."""
        for _ in self._threads:
            self._attempts.put(None)

    def _enqueue(self, job: Job, first: bool = False) -> None:
        limit = self._limits.setdefault(job.fetch.account, ConcurrencyLimit(self._concurrency))
        if not limit.waiting:
            self._accounts.append(job.fetch.account)
        limit.waiting.appendleft(job) if first else limit.waiting.append(job)

    def _dispatch(self) -> None:
        now = time.monotonic()
        while self._retries and self._retries[0][0] <= now:
            self._enqueue(heapq.heappop(self._retries)[2], first=True)
        for _ in range(len(self._accounts)):
            account = self._accounts.popleft()
            limit = self._limits[account]
            if limit.recovered(self._concurrency, now):
                LOGGER.info("%s: the tap continues with %d requests at once", account, limit.limit)
            while limit.waiting and limit.running < limit.limit and len(self._running) < self._concurrency:
                self._start(limit, limit.waiting.popleft(), now)
            if limit.waiting:
                self._accounts.append(account)

    def _start(self, limit: ConcurrencyLimit, job: Job, now: float) -> None:
        limit.start()
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
        self._attempts.put((self.requests, job))

    def _work(self) -> None:
        while (todo := self._attempts.get()) is not None:
            number, job = todo
            self._outcomes.put((number, self._attempt(job)))  # a local variable would keep the response in memory

    def _attempt(self, job: Job) -> Answer | Exception:
        try:
            return self._client.get(job.fetch)
        except Exception as error:  # the main thread handles it
            return error
