"""Run requests concurrently, within `concurrency` and each account's rate limit, and retry those that fail."""

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
BAD_ANSWERS = 10  # attempts at a request whose responses are JSON, but no page
SLACK_S = 2  # seconds after its timeout when an attempt is abandoned
REASONS_LOGGED = 50  # the log names each reason once, and so many of them


@dataclass
class Job:
    """A submitted request, with its failures and the waits between its attempts."""

    fetch: Fetch
    tag: Any
    started: float = 0
    failing_since: float | None = None
    bad_answers: int = 0
    server_failures: int = 0
    warned: bool = False
    waits: Iterator[float] = field(default_factory=lambda: _waits())


def _waits() -> Iterator[float]:
    """Yield the seconds to wait before each further attempt."""
    longest = backoff.expo(factor=0.5, max_value=60)
    next(longest)  # backoff's generators yield nothing at first
    for seconds in longest:
        yield backoff.full_jitter(seconds)


class Pool:
    """
    Runs requests in threads: `concurrency` of them at most, and of each account as many as its rate limit allows.

    One thread calls it: `submit`, then `next_page` for whichever response comes first. Responses wait in memory, and
    are never more than `concurrency`: a slow reader slows the pool, and memory stays flat.
    """

    def __init__(self, client: Client, clock: Clock, concurrency: int, retry_s: float, timeout_s: float) -> None:
        self._client, self._clock, self._concurrency = client, clock, concurrency
        self._retry_s, self._timeout_s = retry_s, timeout_s
        self._todo: queue.SimpleQueue[tuple[int, Job] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, Answer | Exception] | None] = queue.SimpleQueue()
        self._limits: dict[str, ConcurrencyLimit] = {}
        self._ready: deque[str] = deque()  # accounts with waiting requests, in turn
        self._later: list[tuple[float, int, Job]] = []  # a heap of retries, by when they are due
        self._running: dict[int, Job] = {}  # by the attempt's number, so the oldest is first
        self._threads: list[threading.Thread] = []
        self._stuck = 0  # threads whose attempt was abandoned
        self._logged: set[str] = set()
        self._count = self.requests = self.retries = self.throttled = self.pages = 0
        self.spent_s = 0.0  # the sum of all requests' durations
        self.traffic: defaultdict[tuple[str, str], RequestStats] = defaultdict(RequestStats)  # by stream and account

    @property
    def idle(self) -> int:
        """Return how many more requests could run now."""
        return (
            self._concurrency - len(self._running) - sum(len(self._limits[account].waiting) for account in self._ready)
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
            if not self._running and not self._later:
                raise LookupError("no request is queued or running")
            try:
                done = self._done.get(timeout=self._next_due())
            except queue.Empty:
                done = self._abandon_overdue()
                if done is None:
                    continue
            if done is None:
                return None
            number, outcome = done
            job = self._running.pop(number, None)
            if job is None:  # it was abandoned
                self._stuck -= 1
                continue
            self._limits[job.fetch.account].running -= 1
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
        if job.bad_answers >= BAD_ANSWERS:
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
        heapq.heappush(self._later, (now + wait, self._count, job))
        return None

    def _log(self, job: Job, retry: Retry, failing_s: float) -> None:
        """Log each reason once, and once for each request that it persists: a bad day fills a few lines only."""
        if failing_s > MINUTE_S and not job.warned:
            job.warned = True
            left = duration(self._retry_s - failing_s)
            LOGGER.warning("%s: %s, for %s; retrying for %s more", job.fetch.path, retry, duration(failing_s), left)
        elif not retry.throttled and str(retry) not in self._logged and len(self._logged) < REASONS_LOGGED:
            self._logged.add(str(retry))
            LOGGER.info("%s: %s; retrying, further retries are not logged", job.fetch.path, retry)

    def _next_due(self) -> float | None:
        """Return the seconds until a retry is due or an attempt overdue; None if there is neither."""
        oldest = next(iter(self._running.values()), None)
        times = [self._later[0][0]] if self._later else []
        times += [oldest.started + self._timeout_s + SLACK_S] if oldest else []
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _abandon_overdue(self) -> tuple[int, Retry] | None:
        """
        Abandon and return the oldest attempt, if its time is over; its thread runs on.

        A socket's timeout starts anew with each byte and each address. So a header that trickles, or a name that is
        not resolved, outlasts it.
        """
        number, job = next(iter(self._running.items()), (0, None))
        if job is None or time.monotonic() < job.started + self._timeout_s + SLACK_S:
            return None
        self._stuck += 1
        return number, Retry("no answer in time")

    def wake(self) -> None:
        """Make `next_page` and `next` return None; a signal handler may call this."""
        self._done.put(None)

    def close(self) -> None:
        """End idle threads. Those that wait for Twilio are daemons: the process does not wait for them."""
        for _ in self._threads:
            self._todo.put(None)

    def _enqueue(self, job: Job, first: bool = False) -> None:
        limit = self._limits.setdefault(job.fetch.account, ConcurrencyLimit(self._concurrency))
        if not limit.waiting:
            self._ready.append(job.fetch.account)
        limit.waiting.appendleft(job) if first else limit.waiting.append(job)

    def _dispatch(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._enqueue(heapq.heappop(self._later)[2], first=True)
        for _ in range(len(self._ready)):
            account = self._ready.popleft()
            limit = self._limits[account]
            if limit.recovered(self._concurrency, now):
                LOGGER.info("%s: the tap continues with %d requests at once", account, limit.limit)
            while limit.waiting and limit.running < limit.limit and len(self._running) < self._concurrency:
                self._start(limit, limit.waiting.popleft(), now)
            if limit.waiting:
                self._ready.append(account)

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
        self._todo.put((self.requests, job))

    def _work(self) -> None:
        while (todo := self._todo.get()) is not None:
            number, job = todo
            self._done.put((number, self._attempt(job)))  # no local variable, which would keep the response in memory

    def _attempt(self, job: Job) -> Answer | Exception:
        try:
            return self._client.get(job.fetch)
        except Exception as error:  # the main thread handles it
            return error
