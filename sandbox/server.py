"""
The sandbox on a socket: HTTP/1.1 with keep-alive on the loopback address, and its faults.

Beside Twilio's paths, `/sandbox/…` steers and observes it; that needs no credentials.
"""

import gzip
import json
import math
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .api import account_of, answer, is_page, kind_of, split_product
from .faults import STATUSES
from .messages import Answer, Question, error
from .rows import to_json
from .timestamps import HOUR, http_date
from .twilio import Twilio

GATEWAY = "<html><head><title>{0} {1}</title></head><body><center><h1>{0} {1}</h1></center></body></html>"


@dataclass
class Request:
    """One request, in the order of arrival; `status` is 0 while, or if, it was never answered."""

    method: str
    path: str
    query: str
    host: str
    account: str
    authorized: bool  # whether credentials came with it
    status: int = 0
    fault: str = ""
    product: str = ""  # what stood before the path, as the host's first label does at Twilio

    @property
    def kind(self) -> str:
        """Return the kind of resource that was requested."""
        return kind_of(self.path, self.product)


class Server(ThreadingHTTPServer):
    """A running sandbox: `url`, `requests`, and the connections open now."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, twilio: Twilio, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.twilio = twilio
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.elsewhere = f"http://localhost:{self.server_address[1]}"  # another host's name, to see who follows there
        self.requests: list[Request] = []
        self.max_connections = 0
        self.stopping = Event()
        self.on_advance: Any = None  # called with the hours of each advance that was asked for over HTTP
        self._connections: set[socket.socket] = set()
        self._busy: Counter[str] = Counter()
        self._lock = Lock()

    def connected(self, connection: socket.socket) -> None:
        """Count a connection."""
        with self._lock:
            self._connections.add(connection)
            self.max_connections = max(self.max_connections, len(self._connections))

    def disconnected(self, connection: socket.socket) -> None:
        """Count a connection that ended."""
        with self._lock:
            self._connections.discard(connection)

    def enter(self, account: str) -> int:
        """Count a request of an account as running; return how many are."""
        with self._lock:
            self._busy[account] += 1
            return self._busy[account]

    def leave(self, account: str) -> None:
        """Count a request as done."""
        with self._lock:
            self._busy[account] -= 1

    def reset(self) -> None:
        """Forget the requests seen so far."""
        with self._lock:
            self.requests = []
            self.max_connections = len(self._connections)

    def counts(self) -> dict[str, Any]:
        """Return the number of requests by kind and status, and the most connections at once."""
        seen = list(self.requests)
        return {
            "total": len(seen),
            "by_kind": dict(Counter(r.kind for r in seen)),
            "by_status": {str(status): n for status, n in Counter(r.status for r in seen).items()},
            "max_connections": self.max_connections,
        }

    def stop(self) -> None:
        """Stop serving, and end the connections that clients keep open."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that hangs up."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0

    def setup(self) -> None:
        """Begin a connection."""
        super().setup()
        self.server.connected(self.connection)

    def finish(self) -> None:
        """End a connection."""
        self.server.disconnected(self.connection)
        super().finish()

    def log_message(self, *args: Any) -> None:
        """Say nothing: `requests` remembers."""

    def do_GET(self) -> None:
        """Answer as Twilio does, or as the control."""
        length = self.headers.get("Content-Length", "0")
        if length.isdigit() and int(length):
            self.rfile.read(int(length))
        parts = urlsplit(self.path)
        if parts.path.startswith("/sandbox/"):
            self._send(control(self.server, self.command, parts.path, parts.query))
            return
        authorization, server = self.headers.get("Authorization", ""), self.server
        product, path = split_product(parts.path)
        origin, elsewhere = (f"{url}/{product}" if product else url for url in (server.url, server.elsewhere))
        question = Question(self.command, path, parts.query, authorization, origin, elsewhere, product)
        self._twilio(question)

    do_POST = do_DELETE = do_PUT = do_GET

    def _twilio(self, question: Question) -> None:
        twilio, account, began = self.server.twilio, account_of(question), perf_counter()
        account = twilio.keys[account][0] if account in twilio.keys else account
        host = self.headers.get("Host", "")
        seen = Request(question.method, question.path, question.query, host, account, bool(question.authorization))
        seen.product = question.product
        self.server.requests.append(seen)
        count = self.server.enter(account)
        try:
            with twilio.lock:
                paged = is_page(question.path, question.product)
                uri = f"{f'/{question.product}' if question.product else ''}{question.path}?{question.query}"
                seen.fault = twilio.script.next(uri, twilio.faults, paged)
            if seen.fault == "hang":
                self.server.stopping.wait(twilio.hang_seconds)
            if seen.fault in ("hang", "reset"):
                self._reset()
                return
            reply = self._reply(question, seen.fault, count)
            pause = twilio.latency[0] + twilio.latency[1] * reply.rows if paged else 0
            if pause:
                self.server.stopping.wait(pause)
        finally:
            self.server.leave(account)
        seen.status = reply.status
        reply.headers["Twilio-Concurrent-Requests"] = str(count)
        reply.headers["Twilio-Request-Id"] = f"RQ{id(seen):032x}"
        reply.headers["Twilio-Request-Duration"] = f"{perf_counter() - began:.3f}"
        self._send(reply, seen.fault)

    def _reply(self, question: Question, fault: str, count: int) -> Answer:
        """Return the answer, or that of a limit or a fault."""
        twilio = self.server.twilio
        if fault == "429" or (twilio.limit and count > twilio.limit):
            reply = error(429, 20429, "Too Many Requests")
            if twilio.retry_after:
                reply.headers["Retry-After"] = str(math.ceil(twilio.retry_after))
            return reply
        if fault in STATUSES:
            status = STATUSES[fault]
            body = b"" if twilio.script.rng.random() < 0.5 else GATEWAY.format(status, responses[status]).encode()
            return Answer(status, body, content_type="text/html")
        if fault == "error200":
            return Answer(200, error(500, 20500, "An internal server error has occurred").body)
        if fault == "redirect":
            position = f"{self.server.elsewhere}{self.path}"
            return Answer(302, b"", {"Location": position}, content_type="text/html")
        with twilio.lock:
            reply = answer(twilio, question, fault)
            reply.at = twilio.clock
        if fault == "misdated":
            reply.at += int(twilio.misdated_hours * HOUR)
        if fault == "broken":
            reply.body = reply.body[: len(reply.body) * 2 // 3]
        return reply

    def _send(self, reply: Answer, fault: str = "") -> None:
        """Send head and body in one piece, unless a fault requires otherwise."""
        body, twilio = reply.body, self.server.twilio
        headers = {
            "Date": http_date(reply.at or twilio.clock),
            "Content-Type": reply.content_type,
            "Vary": "Accept-Encoding",
            **reply.headers,
        }
        if twilio.gzip and len(body) > 500 and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body) + (1000 if fault == "cut" else 0))
        if fault in ("cut", "trickle"):
            self.close_connection = True
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        if fault == "cut":
            self.connection.sendall(head + body[: len(body) // 2])
        elif fault == "trickle":
            self.connection.sendall(head)
            for i in range(len(body)):
                if self.server.stopping.wait(twilio.trickle_seconds):
                    return
                self.connection.sendall(body[i : i + 1])
        else:
            self.connection.sendall(head + body)

    def _reset(self) -> None:
        """End the connection with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def control(server: Server, method: str, path: str, query: str) -> Answer:
    """Steer and observe: advance, switch, requests, requests/reset, truth/{stream}, present/{stream}, clock, fail."""
    asked, twilio, what = dict(parse_qsl(query)), server.twilio, path.removeprefix("/sandbox/")
    try:
        if method == "POST" and what == "advance":
            hours = float(asked.pop("hours", "1"))
            twilio.advance(hours)
            if server.on_advance:
                server.on_advance(hours)
        elif method == "POST" and what == "switch":
            for name, value in asked.items():
                twilio.switch(name, value)
        elif method == "POST" and what == "fail":
            twilio.fail_next(asked["kind"], int(asked.get("times", "1")), asked.get("path_contains", ""))
        elif method == "POST" and what == "requests/reset":
            server.reset()
        elif what == "requests":
            return Answer(200, json.dumps(server.counts()).encode())
        elif what.startswith(("truth/", "present/")):
            kind, _, stream = what.partition("/")
            return Answer(200, to_json(getattr(twilio, kind)(stream)).encode())
        elif what != "clock":
            return Answer(404, b'{"error": "no such control"}')
    except (ValueError, KeyError) as mistake:
        return Answer(400, json.dumps({"error": str(mistake)}).encode())
    return Answer(200, json.dumps({"now": twilio.now.isoformat().replace("+00:00", "Z")}).encode())


@contextmanager
def serve(twilio: Twilio, port: int = 0) -> Iterator[Server]:
    """
    Serve a simulated Twilio on 127.0.0.1 until the block ends; port 0 takes a free one.

    Raises: OSError if the port is taken.
    """
    server = Server(twilio, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
