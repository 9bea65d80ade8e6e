"""
Faults: nothing lost, nothing leaked, whatever the network and Twilio do.

From the wire up: one attempt against a socket that misbehaves, the pool that asks again, the guards that read answers,
and whole runs against a simulated Twilio with a bad day, whose tables must hold the truth in the end.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import sandbox.server
from sandbox import Twilio
from sandbox.messages import Answer as Reply
from tap_twilio.errors import BadAnswer, PartitionError, Refused, Retry, Unreachable
from tap_twilio.settings import Settings
from tap_twilio.twilio import client as client_module
from tap_twilio.twilio import response as response_module
from tap_twilio.twilio import retry_pool as pool_module
from tap_twilio.twilio.client import Client
from tap_twilio.twilio.credentials import Credentials
from tap_twilio.twilio.rate_limit import MAX_QUIET_S, ConcurrencyLimit
from tap_twilio.twilio.request import Fetch
from tap_twilio.twilio.response import Answer, read_page
from tap_twilio.twilio.retry_pool import Pool
from tap_twilio.twilio.server_clock import Clock
from testing.sampled import long
from testing.taps import Started, Tap

AC = "AC" + "0" * 32
SECRET = "a-secret-that-nobody-may-see"
HEADER = base64.b64encode(f"{AC}:{SECRET}".encode()).decode()
ASK = Fetch(AC, "/page?PageToken=PAsecret", "messages")
NOW = "2026-03-01T09:00:00.000000Z"
PAGE = json.dumps({"messages": [{"sid": f"SM{i}"} for i in range(500)], "next_page_uri": None}).encode()
ZIPPED = gzip.compress(PAGE)


# One attempt ----------------------------------------------------------------------------------------------------------


def head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


@contextmanager
def wire(*pieces: bytes | float, reset: bool = False) -> Iterator[str]:
    """A server that says this to each request, pausing where there is a number of seconds, and hangs up."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for piece in pieces:
                if isinstance(piece, bytes):
                    connection.sendall(piece)
                else:
                    over.wait(piece)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)


def client_of(url: str, **settings: Any) -> Client:
    return Client(Settings(AC, AC, SECRET, base_url=url, **settings), Credentials(AC, AC, SECRET))


def trickle(data: bytes) -> list[bytes | float]:
    return [piece for byte in data for piece in (bytes([byte]), 0.1)]


WHOLE = {
    "length": (head("200 OK", f"Content-Length: {len(PAGE)}"), PAGE),
    "chunked": (head("200 OK", "Transfer-Encoding: chunked"), b"%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE)),
    "gzip": (head("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(ZIPPED)}"), ZIPPED),
    "until closed": (head("200 OK", "Connection: close"), PAGE),
    "no date": (head("200 OK", "Date: soon", f"Content-Length: {len(PAGE)}"), PAGE),
    "far date": (head("200 OK", "Date: Fri, 31 Dec 9999 23:59:59 -0100", f"Content-Length: {len(PAGE)}"), PAGE),
}
CUT = {
    "nothing": (),
    "no http": (b"SSH-2.0-OpenSSH\r\n",),
    "head": (b"HTTP/1.1 200 OK\r\nContent-Le",),
    "length": (head("200 OK", f"Content-Length: {len(PAGE)}"), PAGE[:-5]),
    "gzip with length": (head("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(ZIPPED)}"), ZIPPED[:-9]),
    "chunk": (head("200 OK", "Transfer-Encoding: chunked"), b"%x\r\n%b" % (len(PAGE), PAGE[:-5])),
    "after a chunk": (head("200 OK", "Transfer-Encoding: chunked"), b"%x\r\n%b\r\n" % (len(PAGE), PAGE)),
    "gzip that is none": (head("200 OK", "Content-Encoding: gzip", "Content-Length: 9"), b"{'a': 'b'"),
    "408": (head("408 Request Timeout", "Content-Length: 0"),),
    "500 html": (head("500 Oops", "Content-Type: text/html", "Content-Length: 13"), b"<html></html>"),
    "502 nothing": (head("502 Bad Gateway", "Connection: close"),),
    "529": (head("529 Overloaded", "Content-Length: 0"),),
    "204": (head("204 No Content"),),
    "302": (head("302 Found", "Location: http://localhost:1/", "Content-Length: 0"),),
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_is_taken_however_it_is_framed(answer: tuple[bytes, ...]) -> None:
    """With a length, in chunks, compressed, or until the connection ends; whatever the Date says."""
    with wire(*answer) as url:
        assert client_of(url).get(ASK).decompress() == PAGE


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_what_may_pass_is_asked_again(answer: tuple[bytes, ...]) -> None:
    """Half answers of any kind, gateways' pages and redirects: no rows are taken from them, and no secret is named."""
    with wire(*answer) as url, pytest.raises(Retry) as error:
        read_page(ASK, client_of(url).get(ASK), url, Clock())

    assert not [word for word in (SECRET, HEADER, "PAsecret", url) if word in str(error.value)]


def test_a_reset_and_a_closed_port_are_asked_again() -> None:
    """The kernel's own refusals."""
    with wire(b"H", reset=True) as url, pytest.raises(Retry):
        client_of(url).get(ASK)
    with pytest.raises(Retry):
        client_of(url).get(ASK)


def test_a_gzip_cut_without_a_length_is_no_page() -> None:
    """Nothing on the wire tells that it was cut; what is left of it is no JSON."""
    cut = ZIPPED[: len(ZIPPED) // 2]
    with wire(head("200 OK", "Content-Encoding: gzip", "Connection: close"), cut) as url, pytest.raises(Retry):
        read_page(ASK, client_of(url).get(ASK), url, Clock())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410])
def test_a_refusal_is_final_and_says_why(status: int) -> None:
    """Asking again would not help; Twilio's code and words are kept, on one line and without control characters."""
    body = json.dumps({"code": 20003, "message": "Auth\nenticate \x1b[31m", "status": status}).encode()
    with wire(head(f"{status} No", f"Content-Length: {len(body)}"), body) as url, pytest.raises(Refused) as error:
        client_of(url).get(ASK)

    assert (error.value.status, error.value.code, error.value.where) == (status, 20003, "/page")
    assert str(error.value).isprintable()


def test_a_refusal_without_an_explanation() -> None:
    """HTML, or JSON of another shape, in place of Twilio's error."""
    for body in (b"<html>", b"", b"[]", b'{"code": null, "message": 1}', b'{"code": 1e999, "message": "x"}'):
        with wire(head("404 No", f"Content-Length: {len(body)}"), body) as url, pytest.raises(Refused) as error:
            client_of(url).get(ASK)
        assert error.value.code is None


def test_retry_after_is_heard_in_seconds_and_as_a_date() -> None:
    """RFC 9110 has both."""
    soon = datetime.now(timezone.utc) + timedelta(seconds=100)
    for value, low, high in (("7", 7, 7), (f"{soon:%a, %d %b %Y %H:%M:%S} GMT", 90, 100), ("?", None, None)):
        answer = head("429 Slow down", f"Retry-After: {value}", "Content-Length: 0")
        with wire(answer) as url, pytest.raises(Retry) as error:
            client_of(url).get(ASK)
        assert error.value.throttled
        assert low is None and error.value.wait_s is None or (low or 0) <= (error.value.wait_s or 0) <= (high or 0)


def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it fills the memory as it comes, or as a few kilobytes that unpack to much more, at once or in parts."""
    for module in (client_module, response_module):
        monkeypatch.setattr(module, "MAX_JSON_BYTES", 1 << 20)
    endless = wire(head("200 OK", "Connection: close"), *[b" " * 70_000] * 100)
    with endless as url, pytest.raises(Retry, match="larger than any page"):
        client_of(url).get(ASK)
    for bomb in (gzip.compress(b" " * (8 << 20)), gzip.compress(b" " * (1 << 19)) * 16):
        with pytest.raises(Retry, match="larger than any page"):
            Answer(bomb, NOW, NOW, "gzip").decompress()


HANGS: dict[str, list[bytes | float]] = {
    "hang": [60.0],
    "head": trickle(head("200 OK", "X: " + "x" * 600)),
    "body": [head("200 OK", f"Content-Length: {len(PAGE)}"), *trickle(PAGE)],
    "gzip": [head("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(ZIPPED)}"), *trickle(ZIPPED)],
    "late hang": [head("200 OK", f"Content-Length: {len(PAGE)}"), 0.9, b"{", 60.0],
}


def test_nothing_holds_a_request_for_longer_than_request_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang, and a head, a body or a compressed body that trickles so that no socket's timeout ever ends it."""
    monkeypatch.setattr(pool_module, "OVERDUE_S", 0.2)
    with ExitStack() as stack:
        pools = []
        for pieces in HANGS.values():  # concurrently
            url = stack.enter_context(wire(*pieces))
            pools.append(Pool(client_of(url, request_timeout=1), Clock(), 1, 0, 1))
            pools[-1].submit(ASK, "tag")
        for pool in pools:
            found = pool.next_outcome()
            pool.close()
            assert found and isinstance(found[1], Unreachable)
            assert re.search(r"no answer from 127\.0\.0\.1:\d+ \(timed out\)|came too slowly", str(found[1]))


# The environment ------------------------------------------------------------------------------------------------------


def prepared(base_url: str | None) -> tuple[Any, Any]:
    """A request and its connection's settings, as the session makes them."""
    session = Client(Settings(AC, AC, SECRET, base_url=base_url), Credentials(AC, AC, SECRET))._session()
    url = f"{base_url or 'https://api.twilio.com'}/page"
    return (
        session.prepare_request(requests.Request("GET", url)).headers,
        session.merge_environment_settings(url, {}, True, None, None),
    )


def test_a_company_network_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proxies and the CA file of the environment are used; ~/.netrc never takes the place of the settings."""
    (tmp_path / "netrc").write_text("default login someone password else\n")
    (tmp_path / "ca.pem").write_text("")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    headers, connection = prepared(None)

    assert headers["Authorization"] == f"Basic {HEADER}"
    assert connection["proxies"]["https"] == "http://proxy.example.com:3128"
    assert connection["verify"] == str(tmp_path / "ca.pem")


def test_tls_is_always_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no setting against it, and an empty variable is none either."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONHTTPSVERIFY"):
        monkeypatch.setenv(name, "")

    assert prepared(None)[1]["verify"] is True


def test_plain_http_never_leaves_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would get the credentials in the clear."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.com:3128")

    assert not prepared("http://127.0.0.1:8080")[1]["proxies"]


# Asking again ---------------------------------------------------------------------------------------------------------


class Script:
    """A client whose attempts end as told, one after the other; the last one for ever."""

    def __init__(self, *outcomes: Answer | Exception) -> None:
        self.outcomes = list(outcomes)

    def get(self, ask: Fetch) -> Answer:
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def asked(*outcomes: Answer | Exception, retry_s: float = 60) -> tuple[Answer | PartitionError, Pool]:
    pool = Pool(Script(*outcomes), Clock(), 2, retry_s, 60)
    pool.submit(ASK, "tag")
    found = pool.next_outcome()
    pool.close()
    assert found
    return found[1], pool


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backoff.full_jitter", lambda wait: 0.0)


@pytest.mark.usefixtures("no_waiting")
def test_a_request_is_asked_again_until_it_is_answered() -> None:
    """Not for a fixed count."""
    outcome, pool = asked(*[Retry("HTTP 503")] * 200, Answer(b"{}", NOW, NOW))

    assert isinstance(outcome, Answer) and (pool.requests, pool.retries) == (201, 200)


@pytest.mark.usefixtures("no_waiting")
def test_without_progress_for_retry_minutes_it_is_given_up() -> None:
    """The error says what was seen, where, for how long, and nothing of the token."""
    outcome, _ = asked(Retry("HTTP 503"), retry_s=0.2)

    assert isinstance(outcome, Unreachable)
    assert re.fullmatch(r"/page: HTTP 503; gave up after \d s of retries \(retry_minutes\)", str(outcome))


def test_the_first_attempt_counts_for_a_user_who_waits() -> None:
    """A first attempt that takes longer than the limit of --check is the last one, and the message names that limit."""
    with wire(60.0) as url:
        pool = Pool(client_of(url, request_timeout=1), Clock(), 1, 900, 60)
        pool.hurry("--check", 0.5, 60)
        pool.submit(ASK, "tag")
        found = pool.next_outcome()
        pool.close()

    assert found and re.search(r"\(timed out\); gave up after 1 s of retries \(--check\)$", str(found[1]))
    assert pool.requests == 1


def test_a_wait_longer_than_retry_minutes_is_not_waited() -> None:
    """Twilio asks for an hour: the next sync comes before that."""
    outcome, pool = asked(Retry("HTTP 429", wait_s=3600, throttled=True))

    assert isinstance(outcome, Unreachable) and "Twilio asks to wait 3600 s" in str(outcome)
    assert pool.requests == 1


@pytest.mark.usefixtures("no_waiting")
def test_an_answer_that_stays_wrong_is_an_error() -> None:
    """JSON that is no page is asked for ten times."""
    outcome, pool = asked(Retry("a redirect", bad_answer=True))

    assert isinstance(outcome, BadAnswer) and pool.requests == 10


@pytest.mark.usefixtures("no_waiting")
def test_each_reason_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A bad day is a few lines, not one for each request."""
    caplog.set_level("INFO")
    asked(*[Retry("HTTP 503"), Retry("HTTP 502")] * 20, Answer(b"{}", NOW, NOW))

    assert len(caplog.messages) == 2


# Throttling -----------------------------------------------------------------------------------------------------------


def test_a_burst_halves_once() -> None:
    """Requests that started before the halving tell nothing new when they are refused as well."""
    share = ConcurrencyLimit(8, running=8, peak=8, changed=1.0)
    assert [share.throttled(started=2.0, now=3.0 + i) for i in range(5)] == [True, False, False, False, False]
    assert share.limit == 4


@given(limit=st.integers(1, 12), page_s=st.sampled_from([0.05, 0.15, 1.0]))
def test_a_share_settles_at_the_limit(limit: int, page_s: float) -> None:
    """Over five minutes of requests one after another: under 4 % are refused, and little of the limit lies idle."""
    share, now, refused, done, changes = ConcurrencyLimit(12), 0.0, 0, 0, 0
    while now < 300:
        running = share.limit
        for index in range(running):
            share.running, share.peak = running - 1 - index, max(share.peak, running)
            if index >= limit:
                refused += 1
                changes += share.throttled(now, now + page_s)
        done += min(limit, running)
        now += page_s
        changes += share.recovered(12, now)

    assert refused < 0.04 * done + 15
    assert done > 0.8 * limit * 300 / page_s
    assert changes < 100


def test_a_limit_that_rises_is_found() -> None:
    """What was refused for an hour is tried again within five minutes, and then the rest follows quickly."""
    share = ConcurrencyLimit(8, refused=4, quiet_s=MAX_QUIET_S, changed=0.0)
    share.limit = 3
    times = [now for now in range(400) if share.recovered(8, float(now))]

    assert share.limit == 8 and times[0] == 301 and times[-1] < 320


@pytest.mark.long
def test_a_limited_account_is_read_whole(tap_of: Callable[..., Tap]) -> None:
    """Twilio bears three requests at once: few are refused, each change is one line, and nothing is lost."""
    twilio = Twilio(seed=3, limit=3, latency=(0.02, 0.0))
    twilio.bulk("messages", 4000, "2025-01-01T00:00:00Z", "2025-12-01T00:00:00Z")
    tap = tap_of(twilio, page_size=20, start_date="2024-12-31").select("messages")
    run = tap.sync()

    assert not tap.wrong(("messages",), but=lambda row: row["date_sent"] is None)
    refused = sum(request.status == 429 for request in tap.requests)
    changes = [line for line in run.said if "at once" in line]
    assert 0 < refused < 0.15 * len(tap.requests)
    assert 0 < len(changes) < 20
    assert "continues with 4" in changes[0] and twilio.main in changes[0]


# Reading answers ------------------------------------------------------------------------------------------------------

ROWS = [{"sid": "SM1"}]
ORIGIN = "https://api.twilio.com"


def page(**body: Any) -> Any:
    return read_page(ASK, Answer(json.dumps(body).encode(), NOW, NOW), ORIGIN, Clock())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"messages": ROWS, "next_page_uri": ASK.uri}, "names itself"),
        ({"messages": ROWS, "next_page_uri": "https://evil.example.com/page"}, "another host"),
        ({"messages": ROWS, "next_page_uri": "http://api.twilio.com/page"}, "another host"),
        ({"messages": ROWS, "next_page_uri": "https://api.twilio.com.evil.com/page"}, "another host"),
        ({"messages": ROWS, "next_page_uri": "https://api.twilio.com@evil.com/page"}, "another host"),
        ({"messages": ROWS, "next_page_uri": "//evil.com/page"}, "another host"),
        ({"messages": ROWS, "next_page_uri": "https://api.twilio.com//evil.com/page"}, "another host"),
        ({"messages": ROWS, "next_page_uri": "http://[::1"}, "another host"),
        ({"messages": ROWS, "next_page_uri": "page"}, "another host"),
        ({"messages": ROWS, "next_page_uri": 7}, "not an address"),
        ({"messages": ROWS}, "whether a page follows"),
        ({"messages": ROWS, "meta": {}}, "whether a page follows"),
        ({"next_page_uri": None}, "no rows in 'messages'"),
        ({"messages": {}, "next_page_uri": None}, "no rows in 'messages'"),
        ({"messages": [1], "next_page_uri": None}, "no rows in 'messages'"),
        ({"messages": [{"sid": None}], "next_page_uri": None}, "no rows in 'messages'"),
        ({"code": 20500, "message": "An internal server error", "status": 500}, "no rows in 'messages'"),
    ],
    ids=range(17),
)
def test_an_answer_that_is_no_page_is_never_taken_for_one(body: dict[str, Any], says: str) -> None:
    """Answers that would lose rows, repeat pages without an end, or carry credentials elsewhere."""
    with pytest.raises(Retry, match=says) as error:
        page(**body)

    assert error.value.bad_answer


def test_both_envelopes_are_read() -> None:
    """The classic one, and the newer one with addresses in full."""
    assert page(messages=ROWS, next_page_uri="/next?x=1").next_uri == "/next?x=1"
    assert page(messages=ROWS, next_page_uri=None).next_uri is None
    assert page(messages=ROWS, meta={"next_page_url": f"{ORIGIN}/next"}).next_uri == "/next"


# Whole runs -----------------------------------------------------------------------------------------------------------

Edit = Callable[[str, dict[str, Any]], Any]


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Edit], None]:
    """Lets a function change what the sandbox answers: path and body in, body out."""
    original = sandbox.server.answer

    def install(change: Edit) -> None:
        def answer(twilio: Any, question: Any, fault: str = "") -> Reply:
            reply = original(twilio, question, fault)
            if reply.status == 200:
                reply.body = json.dumps(change(question.path, json.loads(reply.body))).encode()
            return reply

        monkeypatch.setattr(sandbox.server, "answer", answer)

    return install


KINDS = (
    *("429", "500", "502", "503", "504", "reset", "cut", "hang", "trickle"),
    *("broken", "error200", "redirect", "duplicate", "foreign", "keyless"),
)


def bad_day(rows: int, rate: float) -> Twilio:
    """A simulated Twilio that fails so many of its answers, in every way that it knows."""
    twilio = Twilio(seed=5, accounts=2, hang_seconds=3, trickle_seconds=0.2)
    span = ("2026-01-02T00:00:00Z", "2026-02-20T00:00:00Z")
    for stream, part in (("messages", 0.6), ("calls", 0.2), ("conferences", 0.1), ("transcriptions", 0.1)):
        twilio.bulk(stream, int(rows * part), *span)
    twilio.addresses(20)
    twilio.at("2026-03-01T00:00:00Z")
    twilio.faults = {kind: rate / len(KINDS) for kind in KINDS}
    return twilio


def never_dated(row: dict[str, Any]) -> bool:
    """Rows that time slices miss: of a long list, they come with the first rescan after its backfill."""
    return not row.get("date_sent", "-") or not row.get("start_time", "-")


def test_every_kind_of_fault(tap_of: Callable[..., Tap]) -> None:
    """Each kind hits two pages, and the run still ends well, with every row and no credentials elsewhere."""
    twilio = bad_day(600, 0)
    for index, kind in enumerate(KINDS):
        for account in twilio.present("accounts"):
            folder = ("Messages", "Calls", "Conferences", "Transcriptions", "Addresses")[index % 5]
            twilio.fail_next(kind, 1, f"{account['sid']}/{folder}.json")
    tap = tap_of(twilio, page_size=10, request_timeout=1)
    run = tap.sync()

    assert tap.wrong(but=never_dated) == {}
    assert {request.fault for request in tap.requests} == {"", *KINDS}
    assert not [request for request in tap.requests if request.host.startswith("localhost")]
    assert len(run.said) < 40


@pytest.mark.parametrize("rate", [0.3, *long(0.1)])
def test_a_first_sync_on_a_bad_day(tap_of: Callable[..., Tap], rate: float) -> None:
    """Up to three answers of ten fail, and the tables hold every row that Twilio lists, as it is."""
    tap = tap_of(bad_day(1500, rate), page_size=50, request_timeout=1)
    tap.sync()

    assert tap.wrong() == {}


@pytest.mark.long
@pytest.mark.parametrize("rate", [0.05, 0.15, 0.3])
def test_a_first_sync_of_20_000_rows_on_a_bad_day(tap_of: Callable[..., Tap], rate: float) -> None:
    """The same at length, and once more after a week in which rows changed: then no row is missing."""
    tap = tap_of(bad_day(20_000, rate), page_size=100, request_timeout=1)
    run = tap.start().wait(timeout_s=550)
    assert run.exit_code == 0, run.log[-2000:]
    tap.keep(run.lines)
    assert tap.wrong(but=never_dated) == {}

    tap.twilio.advance(hours=7 * 24)
    run = tap.start().wait(timeout_s=550)
    tap.keep(run.lines)
    assert (run.exit_code, tap.wrong()) == (0, {})


def test_a_partition_that_fails_leaves_the_others_alone(tap_of: Callable[..., Tap]) -> None:
    """Calls are down for longer than retry_minutes: exit code 3, all the rest is there, and the next sync has them."""
    twilio = bad_day(600, 0)
    twilio.fail_next("503", 10_000, f"{twilio.main}/Calls.json")
    tap = tap_of(twilio, page_size=100, retry_minutes=0.03)
    run = tap.sync(exits=3)

    assert tap.wrong(("messages", "conferences", "transcriptions", "addresses")) == {}
    (line,) = [line for line in run.said if line.startswith("failed: ")]
    assert f"calls {twilio.main}: /2010-04-01/Accounts/{twilio.main}/Calls.json: HTTP 503; gave up after " in line
    assert "the rows read so far are kept. The next sync continues there." in run.log
    twilio.script.scripted.clear()
    tap.sync()
    assert tap.wrong() == {}


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_within_a_run_fails_its_partition_at_once(
    tap_of: Callable[..., Tap], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Asked once, said in one line; exit code 3."""
    original = sandbox.server.answer
    refusal = Reply(status, json.dumps({"code": 20003, "message": "No", "status": status}).encode())
    monkeypatch.setattr(
        sandbox.server, "answer", lambda t, q, f="": refusal if "Transcriptions" in q.path else original(t, q, f)
    )
    tap = tap_of(bad_day(100, 0), subaccounts=False)
    run = tap.sync(exits=3)

    assert len(tap.pages("transcriptions")) == 1
    assert f"HTTP {status}, code 20003: No" in run.log and "Give these credentials the right to read it" in run.log


def test_pages_of_accounts_that_repeat_without_end_are_an_error(
    tap_of: Callable[..., Tap], edit: Callable[[Edit], None]
) -> None:
    """Breaking off there would leave accounts out without a word. The last page says the same however often asked."""
    pages = itertools.chain([1, 2], itertools.repeat(1))

    def circle(path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "next_page_uri": f"/2010-04-01/Accounts.json?PageSize={next(pages)}"}

    edit(circle)
    run = tap_of(Twilio(seed=0)).run()

    assert run.exit_code == 1 and run.log.count("\n") == 1
    assert "repeat without end" in run.log and "nothing was read" in run.log


@pytest.mark.long
def test_accounts_whose_pages_stay_empty_are_an_error(tap_of: Callable[..., Tap]) -> None:
    """A list that goes on for a thousand pages without a row may have no end: nothing is read, and one line says so."""
    twilio = Twilio(seed=0).fail_next("hollow", 10**6, "Accounts.json")
    run = tap_of(twilio).run()

    assert run.exit_code == 1 and run.log.count("\n") == 1
    assert "Accounts.json: 1000 pages in a row without a row; nothing was read." in run.log


@pytest.mark.long
def test_ratings_whose_pages_stay_empty_are_an_error(tap_of: Callable[..., Tap]) -> None:
    """Likewise, and it costs the calls nothing."""
    twilio = Twilio(seed=0)
    calls = twilio.calls(3)
    twilio.fail_next("hollow", 10**6, "CallScoreAnnotation=2")
    tap = tap_of(twilio).select("calls", "call_feedback")
    run = tap.sync(exits=3)

    (line,) = [line for line in run.said if line.startswith("failed: ")]
    assert line.startswith(f"failed: call_feedback {twilio.main}: ") and "1000 pages in a row without a row" in line
    assert tap.tables.rows["calls"].keys() == set(calls)


def test_an_empty_last_page_is_the_end_of_a_list(tap_of: Callable[..., Tap], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where page tokens are positions it tells of no row, and none is asked for to make sure."""
    original = sandbox.server.answer

    def end_late(twilio: Any, question: Any, fault: str = "") -> Reply:
        reply = original(twilio, replace(question, query=question.query.replace("&Late=1", "")), fault)
        body = json.loads(reply.body)
        name = next((name for name in ("accounts", "call_summaries") if name in body), None)
        if name is None:
            return reply
        where, key = (body["meta"], "next_page_url") if "meta" in body else (body, "next_page_uri")
        if "Late=" in question.query:
            body[name], where[key] = [], None
        elif where[key] is None:
            where[key] = f"{question.origin}{question.path}?{question.query}&Late=1"
        reply.body = json.dumps(body).encode()
        return reply

    monkeypatch.setattr(sandbox.server, "answer", end_late)
    twilio = Twilio(seed=0, accounts=2)
    calls = twilio.calls(3)
    for call in calls:
        twilio.annotate(call, call_score=2)
    tap = tap_of(twilio).select("accounts", "calls", "call_feedback", "call_summaries")
    run = tap.run()

    found = [len(run.records(name)) for name in ("accounts", "call_feedback", "call_summaries")]
    assert (run.exit_code, found) == (0, [2, 3, 3])
    assert not [one for one in tap.requests if re.search(r"Accounts/\w+\.json", one.path)]


def test_an_account_whose_sid_is_none_is_an_error(tap_of: Callable[..., Tap], edit: Callable[[Edit], None]) -> None:
    """It would become part of the addresses that are asked."""

    def spoil(path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "accounts": [{**row, "sid": "AC1/../../x?"} for row in body.get("accounts", [])]}

    edit(spoil)
    tap = tap_of(Twilio(seed=0))
    run = tap.run()

    assert run.exit_code == 1 and "no account SID; nothing was read" in run.log
    assert len(tap.requests) == 1


def test_pages_without_end_are_an_error(tap_of: Callable[..., Tap], edit: Callable[[Edit], None]) -> None:
    """Each page names another, with the same rows on all of them: the partition fails, and the run ends."""
    pages = iter(range(10**6))

    def endless(path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "next_page_uri": f"{path}?x={next(pages)}"} if "Addresses.json" in path else body

    edit(endless)
    tap = tap_of(bad_day(50, 0), subaccounts=False)
    run = tap.start().wait(timeout_s=20)

    assert run.exit_code == 3 and len(tap.pages("addresses")) < 1000
    assert run.sids("messages")


# Schema drift ---------------------------------------------------------------------------------------------------------


def test_an_unknown_property_is_dropped_and_named_once(
    tap_of: Callable[..., Tap], edit: Callable[[Edit], None]
) -> None:
    """A property that Twilio adds: nothing fails, and the log says which it is and how many rows had it."""

    def grow(path: str, body: dict[str, Any]) -> dict[str, Any]:
        for row in body.get("messages", []):
            row["mood"] = "good"
        return body

    edit(grow)
    twilio = Twilio(seed=0)
    twilio.messages(120)
    tap = tap_of(twilio, page_size=50)
    run = tap.sync()

    assert tap.wrong() == {}
    assert [line for line in run.said if "mood" in line] == [
        "messages: properties not in the schema, dropped: mood (120 rows)"
    ]


def drifted(edit: Callable[[Edit], None]) -> Twilio:
    def change(path: str, body: dict[str, Any]) -> dict[str, Any]:
        for row in body.get("messages", []):
            row["status"] = "a status of next year"
            row["num_segments"] = "many"
        return body

    edit(change)
    twilio = Twilio(seed=0)
    twilio.messages(3)
    twilio.calls(3)
    return twilio


def test_a_value_of_the_wrong_type_fails_its_partition(
    tap_of: Callable[..., Tap], edit: Callable[[Edit], None]
) -> None:
    """The line names stream, sid and property, and what to do; calls arrive."""
    twilio = drifted(edit)
    tap = tap_of(twilio)
    run = tap.sync(exits=3)
    (line,) = [line for line in run.said if line.startswith("failed: ")]

    assert "num_segments should be a whole number" in line and "on_invalid" in line
    assert any(f"messages {row['sid']}: num_segments" in line for row in twilio.present("messages"))
    assert not run.sids("messages") and len(run.sids("calls")) == 3


def test_on_invalid_null_writes_null_and_counts(tap_of: Callable[..., Tap], edit: Callable[[Edit], None]) -> None:
    """The rows arrive without the value; a new status passes as it is."""
    run = tap_of(drifted(edit), on_invalid="null").sync()

    assert [(row["num_segments"], row["status"]) for row in run.records("messages")] == [
        (None, "a status of next year")
    ] * 3
    assert "messages: values that do not fit, written as null: num_segments (3 values)" in run.said


# Secrets --------------------------------------------------------------------------------------------------------------


def test_no_secret_is_ever_printed(tap_of: Callable[..., Tap], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Not at level DEBUG, with urllib3 logging each request, on a day of faults and redirects, and not when Twilio itself
    repeats them in an error: neither our credentials nor any account's auth_token, on stdout, stderr or in the state.
    """
    twilio = bad_day(200, 0.3)
    tokens = [row["auth_token"] for row in twilio.present("accounts")]
    header = base64.b64encode(f"{twilio.main}:{twilio.auth_token}".encode()).decode()
    original = sandbox.server.answer
    echo = {"code": 20001, "message": f"No: {twilio.auth_token} Basic {header}", "status": 400}
    monkeypatch.setattr(
        sandbox.server,
        "answer",
        lambda t, q, f="": Reply(400, json.dumps(echo).encode()) if "Addresses" in q.path else original(t, q, f),
    )
    tap = tap_of(twilio, page_size=20, request_timeout=1)
    run = tap.sync(env={"LOGLEVEL": "DEBUG"}, exits=3)
    printed = run.log + b"".join(run.lines).decode()

    assert len(set(tokens)) == 2 and twilio.auth_token in tokens
    assert "DEBUG Starting new HTTP connection" in run.log and "***" in run.log
    assert not [secret for secret in (*tokens, header, "Authorization") if secret in printed]
    assert "Traceback" not in run.log
    assert not [request for request in tap.requests if request.host.startswith("localhost")]


def test_a_key_secret_is_not_printed_either(tap_of: Callable[..., Tap]) -> None:
    """The same with an API key, for a refusal at the start."""
    twilio = Twilio(seed=0)
    sid, secret = twilio.add_key(kind="main")
    run = tap_of(twilio).run(auth_token=None, api_key_sid=sid, api_key_secret=secret, env={"LOGLEVEL": "DEBUG"})

    assert run.exit_code == 0 and run.log.count("DEBUG") > 3
    assert secret not in run.log and base64.b64encode(f"{sid}:{secret}".encode()).decode() not in run.log


def test_no_query_of_an_address_is_ever_logged(tap_of: Callable[..., Tap], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Page tokens, and the numbers that lists can be asked for: not at level DEBUG, by any library, on a day of faults,
    and not when Twilio repeats an address in an error.
    """
    twilio = bad_day(300, 0.1)
    original = sandbox.server.answer
    echo = {"code": 20001, "message": "See https://x.example.com/y?To=%2B14155550100&A", "status": 400}
    monkeypatch.setattr(
        sandbox.server,
        "answer",
        lambda t, q, f="": Reply(400, json.dumps(echo).encode()) if "Addresses" in q.path else original(t, q, f),
    )
    tap = tap_of(twilio, page_size=10, request_timeout=1)
    run = tap.sync(env={"LOGLEVEL": "DEBUG"}, exits=3)
    queries = {request.query for request in tap.requests if request.query}

    assert len(queries) > 20
    assert f"/2010-04-01/Accounts/{twilio.main}/Messages.json" in run.log
    assert not [query for query in queries if query in run.log]
    assert not [word for word in ("PageSize", "PageToken", "4155550100") if word in run.log]


# The log --------------------------------------------------------------------------------------------------------------


def test_metrics_are_in_singers_form(tap_of: Callable[..., Tap]) -> None:
    """Record counts by stream, and the time spent on requests, as singer-python logs them."""
    twilio = Twilio(seed=0)
    twilio.messages(7)
    run = tap_of(twilio).select("messages").run()
    points = [json.loads(line.partition("METRIC: ")[2]) for line in run.log.splitlines() if "METRIC: " in line]

    assert {"type": "counter", "metric": "record_count", "value": 7, "tags": {"endpoint": "messages"}} in points
    (timer,) = [point for point in points if point["type"] == "timer"]
    assert timer["metric"] == "http_request_duration" and timer["value"] > 0


# Kills ----------------------------------------------------------------------------------------------------------------


def _has_printed(started: Started, length: int) -> bool:
    return len(started.printed()) >= length


def kill_and_resume(tap: Tap, kills: int, seed: int) -> None:
    """Kill syncs at random times; each goes on from the last STATE of the one before. At the end all is equal."""
    rng = random.Random(seed)
    for index in range(kills):
        started, length = tap.start(), int(10 ** rng.uniform(2, 6.3))
        started.wait_for(partial(_has_printed, started, length))
        started.process.kill()
        tap.keep(started.wait().lines)
        if index % 3 == 2:
            tap.twilio.advance(hours=rng.choice([1, 5, 30]))
    tap.sync()
    assert tap.wrong(but=never_dated) == {}  # they come with the rescan of the next sync, if this one was the first
    tap.twilio.advance(hours=30)
    tap.sync()
    assert tap.wrong() == {}


@pytest.mark.long
def test_killed_at_any_time_it_goes_on(tap_of: Callable[..., Tap]) -> None:
    """Five kills at random times, with a STATE after every page."""
    kill_and_resume(tap_of(bad_day(1500, 0.05), page_size=20, state_seconds=0, request_timeout=1), 5, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_killed_fifty_times_it_goes_on(tap_of: Callable[..., Tap], seed: int) -> None:
    """Fifty kills across a first sync and later ones."""
    kill_and_resume(tap_of(bad_day(6000, 0.02), page_size=20, state_seconds=0, request_timeout=1), 50, seed)
