"""The log: one line a record, on stderr, as text or as JSON, without what nobody else may read."""

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
FEW = 5  # of many alike, such as accounts, that the log names
SHORTEST_SECRET_CHARS = 8  # anything shorter is no secret of Twilio's, and would be found in every word
# A query, with an address before it or without one, in anybody's message: page tokens, phone numbers.
QUERY = re.compile(r'(/[^\s"?]*)\?[^\s"]*|[?&][\w.<>%+-]+=[^\s"]*')
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")  # of JSON
SPACE = re.compile(r"[^\S ]+")  # what ends a line, and tabs
TEXT, JSON = FORMS = ("text", "json")
METRIC = "METRIC: %s"  # what singer-python logs a metric with
# Names the descriptor that a person looks at, while stderr is a file: run-sync passes it on to the tap.
SCREEN = "TAP_TWILIO_SCREEN"
SCREEN_COLUMNS, SCREEN_LINES = 80, 4  # of a warning on that screen; the file has all of it


class OneLine(logging.Formatter):
    """
    A line a record, without tracebacks, which quote code and values, queries, and the secrets that it is told.

    A record may have these attributes (`extra=about(…)` sets them): `stream_name`; `fields`, more for JSON; `title`,
    the message of JSON where the text has columns; `text_only`.
    """

    def __init__(self, form: str = TEXT, timed: bool = False) -> None:
        """`timed`: whether a line of text begins with the time, in UTC; one of JSON has it always."""
        super().__init__()
        self.form, self.timed = form, timed
        self.secrets: tuple[str, ...] = ()
        self.screen: TextIO | None = None  # where a person looks: stderr, or what run-sync passes on

    def hide(self, user: str, password: str) -> None:
        """Whoever logs it: the secret as it is, as the Authorization header has it, and as URLs and JSON spell both."""
        if len(password) >= SHORTEST_SECRET_CHARS:
            self.secrets += (password, base64.b64encode(f"{user}:{password}".encode()).decode())

    def clean(self, text: str) -> str:
        """A text on one line, without secrets and queries, and as long as a line may be."""
        line = SPACE.sub(" ", text).strip()
        for secret in self.secrets:
            line = line.replace(secret, "***")
        plain = _plain(line).replace("+", " ") if "%" in line or "\\" in line or "+" in line else ""
        for secret in self.secrets if plain else ():
            if secret.replace("+", " ") in plain:
                line = re.sub("".join(map(_spellings, secret)), "***", line)
        line = QUERY.sub(lambda found: f"{found[1] or ''}?***", line)
        return "".join(c if c.isprintable() else "\ufffd" for c in line)[:LONGEST_LINE_CHARS]

    def format(self, record: logging.LogRecord) -> str:
        message = _message(record)
        if self.form == JSON:
            return self._json(record, getattr(record, "title", None) or message)
        at = datetime.fromtimestamp(record.created, timezone.utc)
        time = f"{at:%Y-%m-%dT%H:%M:%SZ} " if self.timed else ""
        return self.clean(f"{time}{record.levelname} {message}")

    def _json(self, record: logging.LogRecord, message: str) -> str:
        """The members are those of the Singer SDK's structured log; Meltano takes a line for one if it has them all."""
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
        """The same for each text in a value of JSON."""
        if isinstance(value, dict):
            return {name: self.clean_all(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.clean_all(item) for item in value]
        return self.clean(value) if isinstance(value, str) else value


def _plain(line: str) -> str:
    """Return a line without the escapes of JSON and of URLs; what was quoted twice is plain, too."""
    line = ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], line)
    for _ in range(3):
        line = unquote(line)
    return line


def _spellings(character: str) -> str:
    """Return a pattern for a character: as it is, in percent form, that quoted again, and as in JSON."""
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    forms = [rf"\\?{re.escape(character)}", f"(?i:{percent})", rf"(?i:\\u{ord(character):04x})"]
    return f"(?:{'|'.join(forms + [re.escape('+')] * (character == ' '))})"


class ForScreen(logging.Formatter):
    """A warning for a person who does not look at the log: without its time, and not longer than a few lines."""

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
    except Exception:  # a message and its arguments that do not match: not worth ending for
        return str(record.msg)


def listed(found: Collection[str]) -> str:
    """
    The first few, and how many others there are.

    >>> listed(["a", "b"]), listed("abcdefg")
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(found) - FEW} more" if len(found) > FEW else ""
    return ", ".join(list(found)[:FEW]) + more


def about(stream: str | None = None, title: str | None = None, **fields: Any) -> dict[str, Any]:
    """What a record is about, as `extra` of a logger's methods. `fields` are for JSON."""
    return {"stream_name": stream, "title": title, "fields": fields}


def begin_log(form: str | None = None, screen: int | None = None) -> OneLine:
    """
    Send everything that is logged to stderr, at the level in LOGLEVEL. Returns who is to be told secrets.

    `form` is "text" or "json"; None: as the environment says. `screen` is a descriptor that shows warnings, too.
    """
    found, warning = (form, None) if form else _form()
    handler, line = logging.StreamHandler(), OneLine(found or TEXT, timed=not on_terminal())
    handler.setFormatter(line)
    if line.form == JSON:
        handler.addFilter(lambda record: not getattr(record, "text_only", False))
    elif on_terminal():
        handler.addFilter(lambda record: record.msg != METRIC)  # which programs read, and people do not
    handlers: list[logging.Handler] = [handler]
    if on_terminal():
        line.screen = sys.stderr
    elif screen is not None:
        line.screen = open(screen, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115  # stays open
        handlers.append(_on_screen(line))
    logging.basicConfig(handlers=handlers, level=logging.INFO)
    logging.raiseExceptions = False  # a stderr that takes no more is not told so
    level = os.environ.get("LOGLEVEL") or "INFO"
    try:
        logging.getLogger().setLevel(int(level) if level.isdecimal() else level.upper())
    except ValueError:
        LOGGER.warning("LOGLEVEL is not DEBUG, INFO, WARNING, ERROR or CRITICAL: INFO it is")
    if warning:
        LOGGER.warning(warning)
    return line


def on_terminal() -> bool:
    """Whether a person sees stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def passed_screen() -> int | None:
    """Return the descriptor of the screen that was passed on to this process; None where none was."""
    with suppress(OSError, ValueError):
        descriptor = int(os.environ.get(SCREEN, ""))
        os.fstat(descriptor)
        return descriptor if descriptor > 2 else None
    return None


def _on_screen(line: OneLine) -> logging.Handler:
    """Return the handler that shows warnings on the screen that was passed on."""
    handler = logging.StreamHandler(line.screen)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(ForScreen(line))
    return handler


def _form() -> tuple[str, str | None]:
    """The form that the environment asks for, and what to warn of."""
    named = os.environ.get("TAP_TWILIO_LOG_FORMAT", "").strip().lower()
    if named in FORMS:
        return named, None
    if named:
        return TEXT, "TAP_TWILIO_LOG_FORMAT is not text or json: text it is"
    # Meltano says so in the configuration of a log that it writes for the Singer SDK's taps.
    with suppress(OSError, ValueError):
        if "StructuredFormatter" in Path(os.environ.get("SINGER_SDK_LOG_CONFIG") or os.devnull).read_text("utf-8"):
            return JSON, None
    return TEXT, None


def _metric(args: Any) -> dict[str, Any] | None:
    """A metric of singer-python's; the Singer SDK calls its tag `stream` where singer-python has `endpoint`."""
    try:
        metric: dict[str, Any] = json.loads(*args)
        stream = metric["tags"].get("endpoint")
    except (TypeError, ValueError, LookupError, AttributeError):
        return None
    return {**metric, "tags": {**metric["tags"], "stream": stream}} if stream else metric
