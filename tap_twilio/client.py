"""How Twilio is asked: one request at a time here, many at once in `Pool`.

`Client.get` makes one attempt and says what came of it. `Pool` keeps attempts going, within `concurrency` and within
what each account bears, and asks again what is worth asking again. Reading the answer is answers.py's business, which
may send a request back to the pool: a body that cannot be read is asked for again, never guessed at.
"""

from __future__ import annotations

import heapq
import logging
import os
import queue
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from .config import Settings
from .errors import BadAnswer, PartitionError, Refused, TapError, Unreachable
from .records import iso, parse
from .walk import Ask, Moment, moment, text

LOGGER = logging.getLogger("tap_twilio")
CONNECT_S = 10
CHUNK = 1 << 16
LONGEST = 64 << 20  # bytes of a body; a page of 1,000 rows has 2 MB or so, and one that never ends fills the memory
RETRIED = (408, 425, 429)  # and 500 and more
BAD_ANSWERS = 10  # how often a body that is JSON, but no page, is asked for again
SLACK_S = 2  # a request that its own timeouts did not end in time is left behind after so much more
MINUTE_S = 60
QUIET_S = 1  # after so long without a 429, an account's concurrency rises by one,
PROBE_S = 5  # to the level that was refused last after so long,
QUIETEST_S = 300  # and to one that was refused again and again after so long at most
REASONS_SAID = 50  # what goes wrong is said once for each reason, and for so many of them
# The edge in front of each region (docs, Global Infrastructure; product.REGION.twilio.com ended in April 2026).
EDGES = {"au1": "sydney", "ie1": "dublin", "jp1": "tokyo"}


@dataclass(frozen=True)
class Answer:
    """A 200: its body as it came, Twilio's clock (the `Date` header) and ours."""

    body: bytes
    date: Moment | None
    received_at: Moment
    encoding: str | None = None  # of the body

    def unpacked(self) -> bytes:
        """
        The body, unpacked by who parses it: one page in memory at full length, and not one for each thread.

        Raises Again for what is cut off, or no gzip.
        """
        if self.encoding in (None, "", "identity"):
            return self.body
        pieces, rest, left = [], self.body, LONGEST
        try:
            while rest:
                unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip, or what HTTP calls deflate
                pieces.append(unpack.decompress(rest, left))
                left -= len(pieces[-1])
                if unpack.unconsumed_tail or left <= 0:
                    raise Again("the answer is longer than any page", bad_answer=True)
                if not unpack.eof:
                    raise Again("the answer was cut off")
                rest = unpack.unused_data
        except zlib.error:
            raise Again("the answer cannot be unpacked") from None
        return b"".join(pieces)


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
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # else each request would fail for retry_minutes
            if not Path(os.environ.get(name) or "/").exists():
                raise TapError(f"{name} names no file: set it to the company's CA certificates, or unset it.")

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
        The answer to one request. Raises Again for what may pass, Refused and TapError for what does not.

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
            raise _network(error, ask) from None
        date, encoding = _date(response.headers.get("Date")), response.headers.get("Content-Encoding")
        answer = Answer(body, date, received_at, encoding)
        if response.status_code == 200:
            return answer
        raise _failure(response, answer, ask)

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = self._local.session = requests.Session()
            session.auth = (self._settings.user, self._settings.password)  # with it, ~/.netrc is not read
            # Plain http stays on this machine, so a proxy from the environment gets none of it.
            session.trust_env = not (self._settings.base_url or "").startswith("http:")
            session.headers["User-Agent"] = self._settings.user_agent
            session.headers["Accept"] = "application/json"
            session.headers["Accept-Encoding"] = "gzip"
        found: requests.Session = self._local.session
        return found

    @staticmethod
    def _body(response: requests.Response, deadline: float) -> bytes:
        chunks, length = [], 0
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            chunks.append(chunk)
            length += len(chunk)
            if time.monotonic() > deadline:
                raise Again("the answer came too slowly")
            if length > LONGEST:
                raise Again("the answer is longer than any page", bad_answer=True)
        left: int | None = getattr(response.raw, "length_remaining", None)
        if left:
            raise Again("the answer was cut off")
        return b"".join(chunks)


def _network(error: Exception, ask: Ask) -> Exception:
    """What happened, without the url or the header that requests puts into its messages."""
    if isinstance(error, (requests.exceptions.InvalidProxyURL, requests.exceptions.InvalidSchema)):
        return TapError(
            "The proxy in the environment (HTTPS_PROXY, ALL_PROXY) cannot be used: write http://host:port; "
            "one that speaks SOCKS needs pip install 'requests[socks]'."
        )
    if isinstance(error, requests.exceptions.InvalidURL):
        return Refused(400, None, "this is no address", _where(ask))
    if isinstance(error, requests.exceptions.SSLError):
        return Again("the TLS certificate is not trusted (a company's CA goes into REQUESTS_CA_BUNDLE)")
    if isinstance(error, requests.exceptions.ProxyError):
        return Again("the proxy refused, or did not answer")
    if isinstance(error, (requests.exceptions.Timeout, TimeoutError)):
        return Again("no answer in time")
    return Again(f"the connection failed ({type(error).__name__})")


def _failure(response: requests.Response, answer: Answer, ask: Ask) -> Exception:
    status = response.status_code
    code, message = _error_body(answer)
    if status in RETRIED or status >= 500:
        reason = f"HTTP {status}" + (f", code {code}" if code else "")
        return Again(reason, _retry_after(response.headers.get("Retry-After")), throttled=status == 429)
    if status < 400:
        what = "a redirect" if status >= 300 else "an answer"
        return Again(f"{what} (HTTP {status}), which Twilio does not send", bad_answer=True)
    return Refused(status, code, message, _where(ask))


def _where(ask: Ask) -> str:
    """A request, in a message: its path, since what is asked for by a token is nobody's to read."""
    return ascii(ask.uri.split("?")[0])[1:-1][:200]


def _error_body(answer: Answer) -> tuple[int | None, str]:
    """Twilio's {"code": 20404, "message": "…", …}; a gateway may answer HTML or nothing."""
    try:
        error, _ = parse(answer.unpacked())
        code, message = int(error["code"]), str(error["message"])
    except (Again, ValueError, TypeError, LookupError, ArithmeticError):
        return None, "no explanation"
    if not 0 <= code < 1_000_000:
        return None, "no explanation"
    return code, "".join(c if c.isprintable() else " " for c in message)[:200]


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
    return max(0.0, (moment(date) - datetime.now(timezone.utc)).total_seconds())


def _date(value: str | None) -> Moment | None:
    try:
        return iso(value) if value else None
    except ValueError:
        return None


@dataclass
class Job:
    """A request under way: how often it failed, since when, and how long to wait next."""

    ask: Ask
    tag: Any
    started: float = 0
    failing_since: float | None = None
    bad_answers: int = 0
    warned: bool = False
    waits: Iterator[float] = field(default_factory=lambda: _waits())


def _waits() -> Iterator[float]:
    """How many seconds to wait before each further attempt."""
    import backoff  # late: it imports asyncio, and most runs need neither

    longest = backoff.expo(factor=0.5, max_value=60)
    next(longest)  # backoff's generators give nothing at first
    for seconds in longest:
        yield backoff.full_jitter(seconds)


@dataclass
class Share:
    """
    How many requests an account bears at once: halved by a burst of 429, and one more after each quiet period.

    The quiet period before a level that was refused doubles each time that it is refused again, so that the share
    settles just under a limit that stays, and still finds out when the limit rises.
    """

    limit: int
    waiting: deque[Job] = field(default_factory=deque)
    running: int = 0
    peak: int = 0  # of `running` since the limit changed
    changed: float = 0.0
    refused: int = 0  # the level at which the last burst came
    quiet_s: float = PROBE_S  # how long to wait before that level

    def throttled(self, started: float, now: float) -> bool:
        """Several 429 of one burst halve once: those of requests that started before the last halving do not count."""
        if started < self.changed:
            return False
        level = max(1, min(self.limit, self.peak))
        self.quiet_s = min(2 * self.quiet_s, QUIETEST_S) if level == self.refused else PROBE_S
        self.refused = level
        self._change(max(1, level // 2), now)
        return True

    def recovered(self, most: int, now: float) -> bool:
        """Whether, after a quiet period, one more request may run."""
        if self.limit >= most or now - self.changed <= (self.quiet_s if self.limit + 1 == self.refused else QUIET_S):
            return False
        self._change(self.limit + 1, now)
        return True

    def start(self) -> None:
        self.running += 1
        self.peak = max(self.peak, self.running)

    def _change(self, limit: int, now: float) -> None:
        self.limit, self.changed, self.peak = limit, now, self.running


class Pool:
    """Requests side by side: never more than `concurrency`, and of an account never more than its share.

    Used from one thread: `submit`, then `next` for whatever answer comes first. Answers wait in memory, so there are
    never more of them than `concurrency`: a slow reader slows the pool, and memory stays flat.
    """

    def __init__(self, client: Client, concurrency: int, retry_s: float, timeout_s: float) -> None:
        self._client, self._concurrency = client, concurrency
        self._retry_s, self._timeout_s = retry_s, timeout_s
        self._todo: queue.SimpleQueue[tuple[int, Job] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, Answer | Exception] | None] = queue.SimpleQueue()
        self._shares: dict[str, Share] = {}
        self._ready: deque[str] = deque()  # accounts with requests waiting, in turn
        self._later: list[tuple[float, int, Job]] = []
        self._running: dict[int, Job] = {}  # by number of the attempt, so the oldest is first
        self._threads: list[threading.Thread] = []
        self._stuck = 0  # threads whose request was left behind
        self._said: set[str] = set()
        self._count = self.requests = self.retries = self.throttled = 0
        self.spent_s = 0.0  # on all requests together

    @property
    def idle(self) -> int:
        """How many more requests could run now."""
        return (
            self._concurrency - len(self._running) - sum(len(self._shares[account].waiting) for account in self._ready)
        )

    def submit(self, ask: Ask, tag: Any, first: bool = False) -> None:
        """`first`: before all that waits in its account."""
        self._enqueue(Job(ask, tag), first)

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
        where, failing_s = _where(job.ask), now - job.failing_since
        if job.bad_answers >= BAD_ANSWERS:
            return BadAnswer(f"{where}: {again}, {job.bad_answers} times; taking it would lose rows")
        wait = next(job.waits)
        if again.wait_s is not None:
            wait += again.wait_s
        if failing_s + wait > self._retry_s:
            asks = f"; Twilio asks to wait {again.wait_s:.0f} s" if again.wait_s else ""
            return Unreachable(f"{where}: {again}, for {_span(failing_s)} of asking again (retry_minutes){asks}")
        self._say(job, again, failing_s)
        self.retries += 1
        self._count += 1
        heapq.heappush(self._later, (now + wait, self._count, job))
        return None

    def _say(self, job: Job, again: Again, failing_s: float) -> None:
        """Each reason once, and once a request that it goes on: a bad day is a few lines, not one a request."""
        if failing_s > MINUTE_S and not job.warned:
            job.warned = True
            left = _span(self._retry_s - failing_s)
            LOGGER.warning("%s: %s, for %s; asking for %s more", _where(job.ask), again, _span(failing_s), left)
        elif not again.throttled and str(again) not in self._said and len(self._said) < REASONS_SAID:
            self._said.add(str(again))
            LOGGER.info("%s: %s; asking again (said once)", _where(job.ask), again)

    def _patience(self) -> float | None:
        """Seconds until a request is to be asked again, or is overdue; None: not before something comes."""
        oldest = next(iter(self._running.values()), None)
        times = [self._later[0][0]] if self._later else []
        times += [oldest.started + self._timeout_s + SLACK_S] if oldest else []
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _overdue(self) -> tuple[int, Again] | None:
        """
        The oldest attempt, if it should have ended by now: its thread is left behind.

        The timeouts of a socket count from byte to byte and from address to address, so a head that trickles, or
        a name that is not resolved, outlasts them.
        """
        number, job = next(iter(self._running.items()), (0, None))
        if job is None or time.monotonic() < job.started + self._timeout_s + SLACK_S:
            return None
        self._stuck += 1
        return number, Again("no answer in time")

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
            if share.recovered(self._concurrency, now):
                LOGGER.info("%s: going on with %d requests at once", account, share.limit)
            while share.waiting and share.running < share.limit and len(self._running) < self._concurrency:
                self._start(share, share.waiting.popleft(), now)
            if share.waiting:
                self._ready.append(account)

    def _start(self, share: Share, job: Job, now: float) -> None:
        share.start()
        self.requests += 1
        self._running[self.requests] = job
        job.started = now
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
            return self._client.get(job.ask)
        except Exception as error:  # the main thread decides, and raises what it does not know
            return error


def _span(seconds: float) -> str:
    """
    >>> _span(7.4), _span(900)
    ('7 s', '15 minutes')
    """
    return f"{seconds:.0f} s" if seconds < 2 * MINUTE_S else f"{seconds / MINUTE_S:.0f} minutes"
