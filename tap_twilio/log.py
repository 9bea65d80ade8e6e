"""The log: one line a record, on stderr, without what nobody else may read."""

from __future__ import annotations

import base64
import logging
import os
import re

LOGGER = logging.getLogger("tap_twilio")
LONGEST_LINE_CHARS = 2000
SHORTEST_SECRET_CHARS = 8  # anything shorter is no secret of Twilio's, and would be found in every word
QUERY = re.compile(r'(/[^\s"?]*)\?[^\s"]*')  # of an address, in anybody's message: page tokens, phone numbers


class OneLine(logging.Formatter):
    """A line a record, without tracebacks, which quote code and values, queries, and the secrets that it is told."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(message)s")
        self.secrets: tuple[str, ...] = ()

    def hide(self, user: str, password: str) -> None:
        """Whoever logs it: the secret as it is, and as the Authorization header has it."""
        if len(password) >= SHORTEST_SECRET_CHARS:
            self.secrets += (password, base64.b64encode(f"{user}:{password}".encode()).decode())

    def format(self, record: logging.LogRecord) -> str:
        try:
            line = " ".join(f"{record.levelname} {record.getMessage()}".split())
        except Exception:  # a message and its arguments that do not match: not worth ending for
            line = f"{record.levelname} {record.msg}"
        for secret in self.secrets:
            line = line.replace(secret, "***")
        line = QUERY.sub(r"\1?***", line)
        return "".join(c if c.isprintable() else "\ufffd" for c in line)[:LONGEST_LINE_CHARS]


def begin_log() -> OneLine:
    """Send everything that is logged to stderr, at the level in LOGLEVEL. Returns who is to be told secrets."""
    handler, line = logging.StreamHandler(), OneLine()
    handler.setFormatter(line)
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.raiseExceptions = False  # a stderr that takes no more is not told so
    level = os.environ.get("LOGLEVEL") or "INFO"
    try:
        logging.getLogger().setLevel(int(level) if level.isdecimal() else level.upper())
    except ValueError:
        LOGGER.warning("LOGLEVEL is not DEBUG, INFO, WARNING, ERROR or CRITICAL: INFO it is")
    return line
