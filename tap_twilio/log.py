"""
The log: one line a record, on stderr, as text or JSON, without secrets.

cli.py calls `begin_log`. All other modules log through `logging`, with `extra=about(stream)`.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import sys
import textwrap
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

LOGGER = logging.getLogger("tap_twilio")
LONGEST_LINE_CHARS = 2000
FEW = 5  # a line names at most so many items, such as accounts
SHORTEST_SECRET_CHARS = 8  # a shorter text is no secret of Twilio's, and is part of many words
# The query of a URL holds page tokens and phone numbers. It may follow an address, or stand alone.
QUERY = re.compile(r'(/[^\s"?]*)\?[^\s"]*|[?&][\w.<>%+-]+=[^\s"]*')
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")  # of JSON
SPACE = re.compile(r"[^\S ]+")  # line ends and tabs
TEXT, JSON = LOG_FORMATS = ("text", "json")
METRIC = "METRIC: %s"  # singer-python's message for a metric
# run-sync sets this variable to the screen's file descriptor, since the stderr of its tap is a file.
SCREEN = "TAP_TWILIO_SCREEN"
SCREEN_COLUMNS, SCREEN_LINES = 80, 4  # a longer warning is cut there; the file has the whole text


class OneLine(logging.Formatter):
    """
    Formats a record as one line, without secrets, queries, and tracebacks (which quote code and values).

    A record may have these attributes (`extra=about(…)` sets them): `stream_name`; `fields`, more members for JSON;
    `title`, the JSON message if the text has columns; `text_only`.
    """

    def __init__(self, form: str = TEXT, timed: bool = False) -> None:
        """`timed`: lines of text begin with the time, in UTC; JSON always has it."""
        super().__init__()
        self.form, self.timed = form, timed
        self.secrets: tuple[str, ...] = ()
        self.screen: TextIO | None = None  # a terminal: stderr, or the one that run-sync passes on

    def hide(self, user: str, password: str) -> None:
        """Remove a secret from all lines: itself and its Authorization header, also as URLs and JSON encode them."""
        if len(password) >= SHORTEST_SECRET_CHARS:
            self.secrets += (password, base64.b64encode(f"{user}:{password}".encode()).decode())

    def clean(self, text: str) -> str:
        """Return a text on one line, without secrets and queries, cut to the maximum length."""
        line = SPACE.sub(" ", text).strip()
        for secret in self.secrets:
            line = line.replace(secret, "***")
        plain = unescaped(line).replace("+", " ") if "%" in line or "\\" in line or "+" in line else ""
        for secret in self.secrets if plain else ():
            if secret.replace("+", " ") in plain:
                line = re.sub("".join(map(spellings, secret)), "***", line)
        line = QUERY.sub(lambda match: f"{match[1] or ''}?***", line)
        return "".join(c if c.isprintable() else "\ufffd" for c in line)[:LONGEST_LINE_CHARS]

    def format(self, record: logging.LogRecord) -> str:
        message = _message(record)
        if self.form == JSON:
            return self._json(record, getattr(record, "title", None) or message)
        at = datetime.fromtimestamp(record.created, timezone.utc)
        time = f"{at:%Y-%m-%dT%H:%M:%SZ} " if self.timed else ""
        return self.clean(f"{time}{record.levelname} {message}")

    def _json(self, record: logging.LogRecord, message: str) -> str:
        """Return a record as a line of the Singer SDK's structured log; Meltano recognizes it by its members."""
        line = {
            "level": record.levelname.lower(),
            "pid": record.process,
            "logger_name": record.name,
            "ts": record.created,
            "thread_name": record.threadName,
            "app_name": "tap-twilio",
            "stream_name": getattr(record, "stream_name", None),
            "message": self.clean(message),
            "extra": self.clean_all(getattr(record, "fields", {})),
        }
        if record.msg == METRIC and (metric := _metric(record.args)):
            line |= {"message": "METRIC", "metric_info": metric, "stream_name": metric["tags"].get("stream")}
        return json.dumps(line, separators=(",", ":"), default=str)

    def clean_all(self, value: Any) -> Any:
        """Clean each text in a JSON value."""
        if isinstance(value, dict):
            return {name: self.clean_all(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.clean_all(item) for item in value]
        return self.clean(value) if isinstance(value, str) else value


def unescaped(line: str) -> str:
    """Return a line without the escapes of JSON and URLs, even nested ones."""
    line = ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], line)
    for _ in range(3):
        line = unquote(line)
    return line


def spellings(character: str) -> str:
    """Return a pattern for a character: itself, percent-encoded once or several times, or escaped as in JSON."""
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    forms = [rf"\\?{re.escape(character)}", f"(?i:{percent})", rf"(?i:\\u{ord(character):04x})"]
    return f"(?:{'|'.join(forms + [re.escape('+')] * (character == ' '))})"


class ForScreen(logging.Formatter):
    """Formats a warning for the screen: without the time, and a few lines at most."""

    def __init__(self, line: OneLine) -> None:
        super().__init__()
        self._line = line

    def format(self, record: logging.LogRecord) -> str:
        text = self._line.clean(f"{record.levelname} {_message(record)}")
        return textwrap.fill(
            text,
            SCREEN_COLUMNS,
            initial_indent="  ",
            subsequent_indent="    ",
            max_lines=SCREEN_LINES,
            placeholder=" …",
        )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # the message does not match its arguments
        return str(record.msg)


def first_few(items: Collection[str]) -> str:
    """
    Return the first items of a list, and the number of the others.

    >>> first_few(["a", "b"]), first_few("abcdefg")
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(items) - FEW} more" if len(items) > FEW else ""
    return ", ".join(list(items)[:FEW]) + more


def about(stream: str | None = None, title: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return the `extra` of a log call: the stream of the record, and its `title` and more `fields` for JSON."""
    return {"stream_name": stream, "title": title, "fields": fields}


def begin_log(form: str | None = None, screen: int | None = None) -> OneLine:
    """
    Send the log to stderr, at the level in LOGLEVEL. Return the formatter, whose `hide` must get each secret.

    `form` is "text" or "json"; None: the environment decides. Warnings also go to the file descriptor `screen`.
    """
    chosen, warning = (form, None) if form else _form()
    handler, line = logging.StreamHandler(), OneLine(chosen or TEXT, timed=not on_terminal())
    handler.setFormatter(line)
    if line.form == JSON:
        handler.addFilter(lambda record: not getattr(record, "text_only", False))
    elif on_terminal():
        handler.addFilter(lambda record: record.msg != METRIC)  # metrics are for programs
    handlers: list[logging.Handler] = [handler]
    if on_terminal():
        line.screen = sys.stderr
    elif screen is not None:
        line.screen = open(screen, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115  # stays open
        handlers.append(_on_screen(line))
    logging.basicConfig(handlers=handlers, level=logging.INFO)
    logging.raiseExceptions = False  # else a closed stderr causes a report on stderr
    level = os.environ.get("LOGLEVEL") or "INFO"
    try:
        logging.getLogger().setLevel(int(level) if level.isdecimal() else level.upper())
    except ValueError:
        LOGGER.warning("LOGLEVEL is not DEBUG, INFO, WARNING, ERROR or CRITICAL: the tap uses INFO")
    if warning:
        LOGGER.warning(warning)
    return line


def on_terminal() -> bool:
    """Return whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def passed_screen() -> int | None:
    """Return the descriptor of the screen that run-sync passed to this process; None without one."""
    with suppress(OSError, ValueError):
        descriptor = int(os.environ.get(SCREEN, ""))
        os.fstat(descriptor)
        return descriptor if descriptor > 2 else None
    return None


def _on_screen(line: OneLine) -> logging.Handler:
    """Return the handler that shows warnings on that screen."""
    handler = logging.StreamHandler(line.screen)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(ForScreen(line))
    return handler


def _form() -> tuple[str, str | None]:
    """Return the form that the environment chooses, and a warning."""
    named = os.environ.get("TAP_TWILIO_LOG_FORMAT", "").strip().lower()
    if named in LOG_FORMATS:
        return named, None
    if named:
        return TEXT, "TAP_TWILIO_LOG_FORMAT is not text or json: the tap uses text"
    # Meltano writes this log configuration for the Singer SDK's taps.
    with suppress(OSError, ValueError):
        if "StructuredFormatter" in Path(os.environ.get("SINGER_SDK_LOG_CONFIG") or os.devnull).read_text("utf-8"):
            return JSON, None
    return TEXT, None


def _metric(args: Any) -> dict[str, Any] | None:
    """Return a metric with the Singer SDK's tag `stream`, in addition to singer-python's tag `endpoint`."""
    try:
        metric: dict[str, Any] = json.loads(*args)
        stream = metric["tags"].get("endpoint")
    except (TypeError, ValueError, LookupError, AttributeError):
        return None
    return {**metric, "tags": {**metric["tags"], "stream": stream}} if stream else metric
