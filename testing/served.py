"""Clients of a running sandbox, which put the product before the path: a plain one, and Twilio's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import requests
from twilio.http.http_client import TwilioHttpClient

from sandbox import Server, Twilio, serve
from sandbox.catalog import fact


class Api:
    """A plain HTTP client of one running sandbox, which puts the product before the path."""

    def __init__(self, server: Server, session: requests.Session) -> None:
        self.server, self.twilio, self.session = server, server.twilio, session
        session.auth = (self.twilio.main, self.twilio.auth_token)

    def get(self, path: str, auth: Any = None, **query: Any) -> requests.Response:
        """`X__gt` in the query is `X>`; an address of Twilio's is asked here."""
        params = {name.replace("__gt", ">").replace("__lt", "<"): value for name, value in query.items()}
        path = re.sub(r"^https://([a-z-]+)\.twilio\.com", r"/\1", path)
        url = path if path.startswith("http") else self.server.url + path
        return self.session.get(url, params=params, auth=auth, timeout=10)

    def path(self, name: str, values: dict[str, Any] | None = None, account: str = "") -> str:
        """Return the path of a list, or of a list below a parent."""
        one = fact(name)
        filled = one.fill(one.path, {"AccountSid": account or self.twilio.main} | (values or {}))
        return f"/{one.product}{filled}"

    def pages(self, path: str, auth: Any = None, **query: Any) -> Iterator[dict[str, Any]]:
        """The bodies of all pages."""
        product, seen = path.split("/")[1], set[str]()
        answer = self.get(path, auth, **query)
        while True:
            assert answer.status_code == 200, answer.text
            yield answer.json()
            following = answer.json().get("next_page_uri") or answer.json().get("meta", {}).get("next_page_url")
            if not following:
                return
            assert following not in seen, "the pages go round"
            seen.add(following)
            answer = self.get(f"/{product}{following}" if following.startswith("/") else following, auth)

    def rows(self, name: str, values: dict[str, Any] | None = None, auth: Any = None, **query: Any) -> list[Any]:
        """All rows of a list."""
        rows: list[Any] = []
        for page in self.pages(self.path(name, values), auth, **query):
            rows += page[fact(name).rows]
        return rows

    def status(
        self, name: str, values: dict[str, Any] | None = None, auth: Any = None, **query: Any
    ) -> tuple[int, int]:
        """HTTP status and code of a refusal."""
        answer = self.get(self.path(name, values), auth, **query)
        return answer.status_code, answer.json().get("code", 0)


class Rewriting(TwilioHttpClient):
    """Twilio's own HTTP client: the first label of the host becomes the first segment of the path."""

    def __init__(self, url: str) -> None:
        super().__init__(pool_connections=True, timeout=5)
        self.url = url

    def request(self, method: str, uri: str, *args: Any, **kwargs: Any) -> Any:
        parts = urlsplit(uri)
        product = f"/{parts.netloc.partition('.')[0]}" if parts.netloc.endswith(".twilio.com") else ""
        url = f"{self.url}{product}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return super().request(method, url, *args, **kwargs)


def serving() -> Iterator[Callable[[Twilio], Api]]:
    """A fixture: serves a simulated Twilio until the test ends."""
    with ExitStack() as stack:

        def start(twilio: Twilio) -> Api:
            server = stack.enter_context(serve(twilio))
            return Api(server, stack.enter_context(requests.Session()))

        yield start


def demonstration() -> Iterator[Api]:
    """A fixture: the demo, for tests that only read it."""
    with serve(Twilio.demo(seed=7)) as server, requests.Session() as session:
        yield Api(server, session)
