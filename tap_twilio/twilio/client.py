"""
Sends one HTTP request to Twilio, and returns the response or raises the error of the attempt.

retry_pool.py calls `Client.get` from several threads at once, and retries failed attempts. response.py then reads the
page in the response.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError, LocationValueError, NameResolutionError, NewConnectionError
from urllib3.util import parse_url

from tap_twilio.errors import Refused, Retry, TapError
from tap_twilio.files import MAX_JSON_BYTES
from tap_twilio.settings import Settings
from tap_twilio.timestamps import Timestamp, machine_now, parse_date_time, to_datetime

from .credentials import Credentials
from .request import Fetch
from .response import TOO_LARGE, Answer, parse

LOGGER = logging.getLogger("tap_twilio")
CONNECT_TIMEOUT_S = 10
READ_BYTES = 1 << 16
MIN_DATE, MAX_DATE = "2000", "9000"  # an earlier or later Date counts as missing
RETRIED = (408, 425, 429)  # HTTP statuses, in addition to all from 500
# The edge in front of each region (docs, Global Infrastructure; product.REGION.twilio.com ended in April 2026).
EDGES = {"au1": "sydney", "ie1": "dublin", "jp1": "tokyo"}


class Client:
    """Sends requests, over one session (a connection kept alive) for each thread."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings, self._credentials = settings, credentials
        self._local = threading.local()
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # a wrong path would fail each request for retry_minutes
            if not Path(os.environ.get(name) or "/").exists():
                raise TapError(f"{name} names no file: set it to the company's CA certificates, or unset it.")

    def origin(self, host: str) -> str:
        """
        Return the address of a product: base_url, or https://{host}[.{edge}.{region}].twilio.com.

        Raises TapError for a region without a known edge (docs, Global Infrastructure, edge locations).
        """
        settings = self._settings
        if settings.base_url:
            return settings.base_url.replace("{product}", host)
        region = settings.region or ("us1" if settings.edge else None)
        if region in (None, "us1") and not settings.edge:
            return f"https://{host}.twilio.com"
        edge = settings.edge or EDGES.get(region or "")
        if not edge:
            raise TapError(f"Setting edge is missing: which edge serves region {region}? Twilio's console says.")
        return f"https://{host}.{edge}.{region}.twilio.com"

    def get(self, fetch: Fetch) -> Answer:
        """
        Return the response to one request. Raises Retry if a retry may help; else Refused or TapError.

        `request_timeout` limits the whole response, which may arrive byte by byte. The client follows no redirects:
        Twilio sends none, and credentials go to no other host.
        """
        deadline = time.monotonic() + self._settings.request_timeout
        origin = self.origin(fetch.host)
        try:
            with self._session().get(
                origin + fetch.uri,
                auth=self._credentials.for_request(fetch),
                timeout=(CONNECT_TIMEOUT_S, self._settings.request_timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._body(response, deadline)
                received_at = machine_now()
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _network(error, fetch, origin) from None
        date, encoding = _date(response.headers.get("Date")), response.headers.get("Content-Encoding")
        date = date if date and MIN_DATE < date < MAX_DATE else None
        answer = Answer(body, date, received_at, encoding)
        if response.status_code == 200:
            return answer
        raise _failure(response, answer, fetch)

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = self._local.session = requests.Session()
            session.auth = (self._settings.user, self._settings.password)  # else requests reads ~/.netrc
            # Plain http goes to this machine only, so no proxy from the environment may see it.
            session.trust_env = not (self._settings.base_url or "").startswith("http:")
            session.headers["User-Agent"] = self._settings.user_agent
            session.headers["Accept"] = "application/json"
            session.headers["Accept-Encoding"] = "gzip"
        session_of_thread: requests.Session = self._local.session
        return session_of_thread

    @staticmethod
    def _body(response: requests.Response, deadline: float) -> bytes:
        chunks, length = [], 0
        while chunk := response.raw.read1(READ_BYTES, decode_content=False):
            chunks.append(chunk)
            length += len(chunk)
            if time.monotonic() > deadline:
                raise Retry("the answer came too slowly")
            if length > MAX_JSON_BYTES:
                raise Retry(TOO_LARGE, bad_answer=True)
        missing: int | None = getattr(response.raw, "length_remaining", None)
        if missing:
            raise Retry("the answer was cut off")
        return b"".join(chunks)


def _network(error: Exception, fetch: Fetch, origin: str) -> Exception:
    """Return the error to raise, without the URL and the header that requests puts into its messages."""
    no_address = isinstance(error, (requests.exceptions.InvalidURL, LocationValueError))  # of the proxy or of Twilio
    if isinstance(error, (requests.exceptions.InvalidProxyURL, requests.exceptions.InvalidSchema)) or (
        no_address and _is_no_proxy(select_proxy(origin, get_environ_proxies(origin)))
    ):
        return TapError(
            "The proxy in the environment (HTTPS_PROXY, ALL_PROXY) cannot be used: write http://host:port; "
            "one that speaks SOCKS needs pip install 'requests[socks]'."
        )
    if no_address:
        return Refused(400, None, "this is no address", fetch.path)
    if isinstance(error, requests.exceptions.SSLError):
        return Retry("the TLS certificate is not trusted (a company's CA goes into REQUESTS_CA_BUNDLE)")
    if isinstance(error, requests.exceptions.ProxyError):
        return Retry("the proxy refused, or did not answer")
    host = parse_url(origin).netloc
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Retry(f"cannot connect to {host} (no answer in time)")
    if isinstance(error, (requests.exceptions.Timeout, TimeoutError)):
        return Retry(f"no answer in time from {host}")
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)  # of the connection that requests tried to make
    if isinstance(reason, NameResolutionError):
        return Retry(f"cannot connect to {host} (name not found)")
    if isinstance(reason, NewConnectionError):
        refused = isinstance(reason.__cause__, ConnectionRefusedError)
        return Retry(f"cannot connect to {host} ({'connection refused' if refused else 'no way there'})")
    return Retry(f"the connection to {host} failed ({type(error).__name__})")


def _is_no_proxy(proxy: str | None) -> bool:
    """Return whether a proxy is set to no usable address: another scheme, a port that is no number, no host."""
    if not proxy:
        return False
    try:
        address = proxy if "://" in proxy else f"http://{proxy}"
        HTTPAdapter().proxy_manager_for(address)
        (parse_url(address).host or "").encode("idna")
    except (ValueError, HTTPError, requests.RequestException):
        return True
    return False


def _failure(response: requests.Response, answer: Answer, fetch: Fetch) -> Exception:
    status = response.status_code
    code, message = _error_body(answer)
    if status in RETRIED or status >= 500:
        reason = f"HTTP {status}" + (f", code {code}" if code else "")
        wait_s = _retry_after(response.headers.get("Retry-After"))
        return Retry(reason, wait_s, throttled=status == 429, server_failed=status >= 500 and status != 503)
    if status < 400:
        what = "a redirect" if status >= 300 else "an answer"
        return Retry(f"{what} (HTTP {status}), which Twilio does not send", bad_answer=True)
    if code is None and "json" in response.headers.get("Content-Type", "") and not _is_whole(answer):
        return Retry(f"HTTP {status} with an error that is no JSON", bad_answer=True)
    return Refused(status, code, message, fetch.path)


def _is_whole(answer: Answer) -> bool:
    try:
        parse(answer.decompress())
    except (Retry, ValueError):
        return False
    return True


def _error_body(answer: Answer) -> tuple[int | None, str]:
    """Read Twilio's {"code": 20404, "message": "…", …}. A gateway may send HTML, or nothing."""
    try:
        error = parse(answer.decompress())
        code, message = int(error["code"]), str(error["message"])
    except (Retry, ValueError, TypeError, LookupError, ArithmeticError):
        return None, "no explanation"
    if not 0 <= code < 1_000_000:
        return None, "no explanation"
    return code, "".join(c if c.isprintable() else " " for c in message)[:200]


def _retry_after(value: str | None) -> float | None:
    """
    Return the seconds to wait.

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
    return max(0.0, (to_datetime(date) - datetime.now(timezone.utc)).total_seconds())


def _date(value: str | None) -> Timestamp | None:
    try:
        return parse_date_time(value) if value else None
    except ValueError:
        return None
