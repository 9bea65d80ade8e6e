"""
A request, an answer, and the form of Twilio's errors.
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from .rows import to_json


@dataclass
class Question:
    """
    A request: who asks for what. `origin` is where absolute addresses point, `elsewhere` another host.

    `product` is the first label of the host that is asked; empty if the path did not say.
    """

    method: str
    path: str
    query: str
    authorization: str = ""
    origin: str = "https://api.twilio.com"
    elsewhere: str = "https://elsewhere.example"
    product: str = ""

    def pairs(self) -> list[tuple[str, str]]:
        """Return the query's parameters, decoded, in order."""
        return parse_qsl(self.query, keep_blank_values=True)

    def parameters(self) -> dict[str, str]:
        """Return the query's parameters, decoded."""
        return dict(self.pairs())


@dataclass
class Answer:
    """An answer; `rows` is the number of a page's rows, `at` the time for which it is true."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    at: int = 0
    content_type: str = "application/json;charset=utf-8"


def error(status: int, code: int, message: str) -> Answer:
    """Return an error in Twilio's form."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more, "status": status}
    return Answer(status, to_json(body).encode())


def gateway(status: int) -> Answer:
    """Return an error of a gateway in front of Twilio."""
    return Answer(status, b"<html><body>Access denied</body></html>", content_type="text/html")
