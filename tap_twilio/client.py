"""How Twilio is asked: one request at a time here, many at once in `Pool`.

`Client.get` makes one attempt and says what came of it. `Pool` keeps attempts going, within `concurrency` and within
what each account bears, and asks again what is worth asking again. Reading the answer is answers.py's business, which
may send a request back to the pool: a body that cannot be read is asked for again, never guessed at.
"""

from __future__ import annotations

import heapq
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import backoff
import requests
from urllib3.exceptions import HTTPError

from .config import Settings
from .errors import BadAnswer, PartitionError, Refused, TapError, Unreachable
from .walk import Ask, Moment, text

LOGGER = logging.getLogger("tap_twilio")
CONNECT_S = 10
CHUNK = 1 << 16
RETRIED = (408, 429, 500, 502, 503, 504)
BAD_ANSWERS = 10  # how often a body that cannot be read is asked for again
QUIET_S = 5  # after so long without a 429, an account's concurrency rises by one
# The edge in front of each region (docs, Global Infrastructure; product.REGION.twilio.com ended in April 2026).
EDGES = {"au1": "sydney", "ie1": "dublin", "jp1": "tokyo"}


@dataclass(frozen=True)
class Answer:
    """A 200: its body, Twilio's clock (the `Date` header) and ours."""

    body: bytes
    date: Moment | None
    received_at: Moment


class Again(Exception):
    """An attempt failed in a way that may pass. `wait_s`: how long Twilio asks to wait, where it says so."""

    def __init__(
        self, reason: str, wait_s: float | None = None, throttled: bool = False, bad_answer: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait_s, self.throttled, self.bad_answer = wait_s, throttled, bad_answer


class Client:
    """One attempt at a request, over a session (a connection kept alive) for each thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._local = threading.local()

    def origin(self, product: str) -> str:
        """
        Where a product is asked: base_url, or https://{product}[.{edge}.{region}].twilio.com.

        Raises TapError for a region whose edge is not known (docs, Global Infrastructure, edge locations).
        """
        settings = self._settings
        if settings.base_url:
            return settings.base_url
        region = settings.region or ("us1" if settings.edge else None)
        if region in (None, "us1") and not settings.edge:
            return f"https://{product}.twilio.com"
        edge = settings.edge or EDGES.get(region or "")
        if not edge:
            raise TapError(f"Setting edge is missing: which edge serves region {region}? Twilio's console says.")
        return f"https://{product}.{edge}.{region}.twilio.com"

    def get(self, ask: Ask) -> Answer:
        """
        The answer to one request. Raises Again for what may pass, Refused for what does not.

        A page may take `request_timeout` in all, so that one that trickles is cut as well. Redirects are not followed:
        Twilio sends none, and credentials go to no other host.
        """
        deadline = time.monotonic() + self._settings.request_timeout
        try:
            with self._session().get(
                self.origin(ask.product) + ask.uri,
                timeout=(CONNECT_S, self._settings.request_timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._body(response, deadline)
                received_at = text(datetime.now(timezone.utc))
        except (requests.RequestException, HTTPError, OSError) as error:
            raise Again(_network(error)) from None
        if response.status_code == 200:
            return Answer(body, _date(response.headers.get("Date")), received_at)
        raise _failure(response, body, ask)

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = self._local.session = requests.Session()
            session.auth = (self._settings.user, self._settings.password)
            session.headers["User-Agent"] = self._settings.user_agent
            session.headers["Accept"] = "application/json"
        found: requests.Session = self._local.session
        return found

    @staticmethod
    def _body(response: requests.Response, deadline: float) -> bytes:
        chunks = []
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            chunks.append(chunk)
            if time.monotonic() > deadline:
                raise Again("the answer came too slowly")
        left: int | None = getattr(response.raw, "length_remaining", None)
        if left:
            raise Again("the answer was cut off")
        return b"".join(chunks)


def _network(error: Exception) -> str:
    """What happened, without the url or the header that requests puts into its messages."""
    if isinstance(error, requests.exceptions.SSLError):
        return "the TLS certificate is not trusted (a company's CA goes into REQUESTS_CA_BUNDLE)"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy did not answer"
    if isinstance(error, (requests.exceptions.Timeout, TimeoutError)):
        return "no answer in time"
    return f"the connection failed ({type(error).__name__})"


def _failure(response: requests.Response, body: bytes, ask: Ask) -> Exception:
    status, where = response.status_code, ask.uri.split("?")[0]
    code, message = _error_body(body)
    if status in RETRIED:
        reason = f"HTTP {status}" + (f", code {code}" if code else "")
        return Again(reason, _retry_after(response.headers.get("Retry-After")), throttled=status == 429)
    if 300 <= status < 400:
        return Again(f"a redirect (HTTP {status}), which Twilio does not send", bad_answer=True)
    return Refused(status, code, message, where)


def _error_body(body: bytes) -> tuple[int | None, str]:
    """Twilio's {"code": 20404, "message": "…", …}; a gateway may answer HTML or nothing."""
    from .records import parse

    try:
        error, _ = parse(body)
        return int(error["code"]), " ".join(str(error["message"]).split())[:200]
    except (ValueError, TypeError, KeyError, LookupError):
        return None, "no explanation"


def _retry_after(value: str | None) -> float | None:
    """
    >>> _retry_after("7"), _retry_after("soon"), _retry_after("Wed, 21 Oct 2015 07:28:00 GMT")
    (7.0, None, 0.0)
    """
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        date = _date(value)
    if date is None:
        return None
    return max(0.0, (datetime.fromisoformat(date[:-1] + "+00:00") - datetime.now(timezone.utc)).total_seconds())


def _date(value: str | None) -> Moment | None:
    try:
        return text(parsedate_to_datetime(value)) if value else None
    except (ValueError, TypeError):
        return None


@dataclass
class Job:
    """A request under way: how often it failed, since when, and how long to wait next."""

    ask: Ask
    tag: Any
    started: float = 0
    failing_since: float | None = None
    bad_answers: int = 0
    waits: Generator[float, Any, None] = field(default_factory=lambda: backoff.expo(factor=0.5, max_value=60))

    def __post_init__(self) -> None:
        next(self.waits)  # backoff's generators give nothing at first


@dataclass
class Share:
    """How many requests an account bears at once: halved by a burst of 429, and one more after each quiet period."""

    limit: int
    waiting: deque[Job] = field(default_factory=deque)
    running: int = 0
    changed: float = 0.0

    def throttled(self, started: float, now: float) -> bool:
        """Several 429 of one burst halve once: those of requests that started before the last halving do not count."""
        if started < self.changed:
            return False
        self.limit = max(1, min(self.limit, self.running + 1) // 2)
        self.changed = now
        return True


class Pool:
    """Requests side by side: never more than `concurrency`, and of an account never more than its share.

    Used from one thread: `submit`, then `next` for whatever answer comes first. Answers wait in memory, so there are
    never more of them than `concurrency`: a slow reader slows the pool, and memory stays flat.
    """

    def __init__(self, client: Client, concurrency: int, retry_s: float) -> None:
        self._client, self._concurrency, self._retry_s = client, concurrency, retry_s
        self._todo: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Job, Answer | Exception] | None] = queue.SimpleQueue()
        self._shares: dict[str, Share] = {}
        self._ready: deque[str] = deque()  # accounts with requests waiting, in turn
        self._later: list[tuple[float, int, Job]] = []
        self._threads: list[threading.Thread] = []
        self._running = self._count = self.requests = self.retries = self.throttled = 0
        self.spent_s = 0.0  # on all requests together

    @property
    def idle(self) -> int:
        """How many more requests could run now."""
        return self._concurrency - self._running - sum(len(self._shares[account].waiting) for account in self._ready)

    def submit(self, ask: Ask, tag: Any) -> None:
        self._enqueue(Job(ask, tag))

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
                done = self._done.get(timeout=max(0.0, self._later[0][0] - time.monotonic()) if self._later else None)
            except queue.Empty:
                continue
            if done is None:
                return None
            job, outcome = done
            self._running -= 1
            self._shares[job.ask.account].running -= 1
            self.spent_s += time.monotonic() - job.started
            if isinstance(outcome, Again):
                failed = self.again(job, outcome)
                if failed:
                    return job, failed
            elif isinstance(outcome, (Answer, PartitionError)):
                return job, outcome
            else:
                raise outcome

    def again(self, job: Job, again: Again) -> PartitionError | None:
        """Ask again, later; or, when that has gone on for too long, the error to end with."""
        now = time.monotonic()
        job.failing_since = job.failing_since or now
        job.bad_answers += again.bad_answer
        share = self._shares[job.ask.account]
        if again.throttled:
            self.throttled += 1
            if share.throttled(job.started, now):
                LOGGER.info("%s: too many requests at once; going on with %d", job.ask.account, share.limit)
        where = job.ask.uri.split("?")[0]
        if job.bad_answers >= BAD_ANSWERS:
            return BadAnswer(f"{where}: {again}, {job.bad_answers} times; taking it would lose rows.")
        wait = backoff.full_jitter(next(job.waits))
        if again.wait_s is not None:
            wait += again.wait_s
        if now + wait - job.failing_since > self._retry_s:
            return Unreachable(f"{where}: {again}, for {(now - job.failing_since) / 60:.0f} minutes of trying again.")
        self.retries += 1
        self._count += 1
        heapq.heappush(self._later, (now + wait, self._count, job))
        return None

    def wake(self) -> None:
        """Make `next` return; may be called from a signal handler."""
        self._done.put(None)

    def close(self) -> None:
        """Let idle threads end; those that wait for Twilio are daemons, and nothing waits for them."""
        for _ in self._threads:
            self._todo.put(None)

    def _enqueue(self, job: Job, first: bool = False) -> None:
        share = self._shares.setdefault(job.ask.account, Share(self._concurrency))
        if not share.waiting:
            self._ready.append(job.ask.account)
        share.waiting.appendleft(job) if first else share.waiting.append(job)

    def _dispatch(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._enqueue(heapq.heappop(self._later)[2], first=True)
        for _ in range(len(self._ready)):
            account = self._ready.popleft()
            share = self._shares[account]
            if share.limit < self._concurrency and now - share.changed > QUIET_S:
                share.limit, share.changed = share.limit + 1, now
            while share.waiting and share.running < share.limit and self._running < self._concurrency:
                self._start(share, share.waiting.popleft(), now)
            if share.waiting:
                self._ready.append(account)

    def _start(self, share: Share, job: Job, now: float) -> None:
        share.running += 1
        self._running += 1
        self.requests += 1
        job.started = now
        if len(self._threads) < self._running:
            thread = threading.Thread(target=self._work, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._todo.put(job)

    def _work(self) -> None:
        while (job := self._todo.get()) is not None:
            try:
                outcome: Answer | Exception = self._client.get(job.ask)
            except Exception as error:  # the main thread decides, and raises what it does not know
                outcome = error
            self._done.put((job, outcome))
