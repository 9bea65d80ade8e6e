"""
Access control: HTTP Basic with an account's own token or an API key.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .lists import Refused

if TYPE_CHECKING:
    from .twilio import Twilio


@dataclass(frozen=True)
class Reader:
    """Whose credentials came with a request: an account's own token or a key of it."""

    account: str
    kind: str  # "token", "main" or "standard"


def credentials(authorization: str) -> tuple[str, str]:
    """Return user and password of HTTP Basic; empty if there are none."""
    try:
        text = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    user, _, password = text.partition(":")
    return user, password


def authenticate(twilio: "Twilio", authorization: str) -> Reader:
    user, password = credentials(authorization)
    if twilio.test_credentials and user:
        raise Refused(403, 20008, "Resource not accessible with Test Account Credentials")
    if user in twilio.keys and twilio.keys[user][2] == password:
        return Reader(twilio.keys[user][0], twilio.keys[user][1])
    row = twilio.streams["accounts"].get(user)
    if row is None or row.deleted is not None or row.data["auth_token"] != password:
        raise Refused(401, 20003, "Authenticate")
    return Reader(user, "token")


def may_read(twilio: "Twilio", reader: Reader, account: str, closed_too: bool = False) -> None:
    """Refuse unless allowed: the main account's token reads all, others their own account; none reads a closed one."""
    row = twilio.streams["accounts"].get(account)
    allowed = reader.account == account or (reader.kind == "token" and reader.account == twilio.main)
    if row is None or row.deleted is not None or not allowed:
        raise Refused(401, 20003, "Authenticate")
    if row.data["status"] == "closed" and not closed_too:
        raise Refused(*twilio.closed_answer, "Account not active")
    if row.data["status"] == "suspended" and twilio.suspended_answer[0] and not closed_too:
        raise Refused(*twilio.suspended_answer, "Account not active")
