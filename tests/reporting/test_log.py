"""The log: ours alone, whatever singer-python would make of it."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest

from tap_twilio.log import LONGEST_LINE_CHARS, SHORTEST_SECRET_CHARS, OneLine

PROGRAM = """
import logging, sys
if {first}: import tap_twilio.singer.compat
from tap_twilio.log import OneLine, begin_log
line = begin_log()
import tap_twilio.singer.catalog, tap_twilio.reporting.log_lines
from tap_twilio.run.sync import Sync
(handler,) = logging.getLogger().handlers
assert handler.formatter is line, handler
line.hide("user", "a-password")
logging.getLogger("singer").warning("with\\na-password")
tap_twilio.reporting.log_lines.log_metrics([("messages", 2)], 1.5, 3, 0)
"""


def said(first: bool, level: str) -> subprocess.CompletedProcess[str]:
    """What a process logs that imports singer-python before the log begins, or afterwards."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)],
        env={**os.environ, "LOGLEVEL": level},
        capture_output=True,
        text=True,
        check=False,
    )


def test_singer_python_leaves_the_log_to_the_tap() -> None:
    """Whenever it is imported: one handler with our formatter, the level that LOGLEVEL names, nothing on stdout."""
    for first in (True, False):
        assert said(first, "WARNING").stderr[21:] == "WARNING with ***\n"
        done = said(first, "INFO")
        assert (done.returncode, done.stdout) == (0, "")
        assert [line[21:] for line in done.stderr.splitlines()] == [
            "WARNING with ***",
            'INFO METRIC: {"type": "counter", "metric": "record_count", "value": 2, "tags": {"endpoint": "messages"}}',
            'INFO METRIC: {"type": "timer", "metric": "http_request_duration", "value": 1.5, '
            '"tags": {"requests": 3, "retries": 0}}',
        ]


def line_of(message: object, *secrets: str) -> str:
    formatter = OneLine()
    for secret in secrets:
        formatter.hide("AC1", secret)
    return formatter.format(logging.LogRecord("any", logging.INFO, "", 0, message, None, None))


def test_a_record_is_one_line_however_long() -> None:
    """Line breaks become spaces, what no terminal shows becomes U+FFFD, and what is too long is cut."""
    assert line_of("one\ntwo\x1b") == "INFO one two\ufffd"
    assert len(line_of("x" * 10 * LONGEST_LINE_CHARS)) == LONGEST_LINE_CHARS


def test_secrets_are_hidden_and_words_are_not() -> None:
    """A secret is hidden as it is and as the Authorization header has it; one that is no secret hides nothing."""
    assert line_of("a-password QUMxOmEtcGFzc3dvcmQ=", "a-password") == "INFO *** ***"
    short = "s" * (SHORTEST_SECRET_CHARS - 1)
    assert line_of(f"says {short}", short) == f"INFO says {short}"


@pytest.mark.parametrize("secret", ['Tok3n/with+odd=chars &"more" \\ \u00e9', "0123456789abcdef0123456789abcdef"])
def test_a_secret_is_hidden_however_it_is_spelled(secret: str) -> None:
    """As URLs write it, all of it or what must be, once or twice; as JSON writes it; as the header has it, in a URL."""
    header = base64.b64encode(f"AC1:{secret}".encode()).decode()
    every = "".join(f"%{byte:02x}" for byte in secret.encode())
    spelled = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), quote(quote(secret)), every]
    spelled += [every.upper().replace("%", "%25"), quote(secret, safe="").lower() if secret.islower() else header]
    spelled += [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], header, quote(header, safe="")]
    for text in spelled:
        assert line_of(f"a {text} b", secret) == "INFO a *** b"


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("of ?To=+15551234567 is wrong", "of ?*** is wrong"),
        ("(?To=%2B15551234567&From=x)", "(?***"),
        ('"?DateSent>=2026-01-01"', '"?***"'),
        ("To=1 and &From=+15551234567", "To=1 and ?***"),
        ("GET /a/b.json?PageToken=PA1 failed", "GET /a/b.json?*** failed"),
        ("https://api.twilio.com?To=+1555", "https://api.twilio.com?***"),
        ("is that so? Yes, a=b", "is that so? Yes, a=b"),
    ],
)
def test_a_query_is_hidden_with_an_address_or_without(said: str, logged: str) -> None:
    """Twilio's errors may quote one; what stands around it stays."""
    assert line_of(said) == f"INFO {logged}"
