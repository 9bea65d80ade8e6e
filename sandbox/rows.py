"""
Rows: one resource each, exactly in Twilio's JSON, with the timestamps by which lists sort and filter.

This module decides what a row looks like, `lists` its position, `simulation` when it changes.
"""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from .timestamps import MINUTE, rfc2822, timestamp

Json = dict[str, Any]
Template = Callable[[str, "str | None", "str | None", "str | None", "str | None", str], str]
SLOTS = ("sid", "created", "dated", "ended", "updated", "tail")

API = "/2010-04-01/Accounts"
STREAMS = ("messages", "calls", "conferences", "transcriptions", "addresses", "accounts")

# Which of a row's slots a date property fills; `dated` is what a message or call is listed by.
DATES: dict[str, dict[str, str]] = {
    "messages": {"date_created": "created", "date_sent": "dated", "date_updated": "updated"},
    "calls": {"date_created": "created", "start_time": "dated", "end_time": "ended", "date_updated": "updated"},
    **{
        stream: {"date_created": "created", "date_updated": "updated"}
        for stream in ("conferences", "transcriptions", "addresses", "accounts", "call_feedback")
    },
}

# Failed messages have a date_sent; calls that nobody answered, and canceled ones, have all dates and a duration of 0
# (recorded from live accounts, public repositories, 2023-2026).
SENT = {"sent", "delivered", "undelivered", "received", "read", "partially_delivered", "failed"}
DIALED = {"in-progress", "completed", "busy", "failed", "no-answer", "canceled"}
ENDED = DIALED - {"in-progress"}

# Text as people send it: other scripts, marks of direction, joined emoji, and what databases stumble over.
ODD_TEXTS = (
    "مرحبا \u200fبالعالم\u200e",  # noqa: RUF001 - foreign letters are the point
    "\u202bשלום\u202c, 你好, здравствуйте",  # noqa: RUF001 - as above
    "👩‍👩‍👧‍👦 family plan \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    'line one\nline two\r\n\ttabbed "quoted" back\\slash / slash',
    "bell \u0007 and start \u0001 of heading \u001b[31m",
    "NUL \u0000 inside",
    "half an emoji: \ud83d",
    "separators \u2028 and \u2029, \ufeffBOM, \u00a0nbsp",
    "",
    "e\u0301 is not \u00e9",
    '{"looks": "like json"}',
    "<b>markup</b> &amp; more, 100%",
)
TEXTS = (
    "Your code is 481516.",
    "Your order has shipped and should arrive on Thursday.",
    "Reminder: your appointment is tomorrow at 09:30. Reply C to confirm.",
    "Thanks!",
    "Yes please",
    "STOP",
    "Hi, this is Ana from the front desk. We found your umbrella.",
    "Ihr Paket liegt in der Filiale bereit. Grüße!",
    "Votre rendez-vous est confirmé pour demain à 14 h.",
)
NAMES = ("Owl Dental", "Blue Door Books", "Harbour Clinic", "Nord & Söhne", "Casa Azul", "Standup", "Support line")
ERRORS = {30003: "Unreachable destination handset", 30005: "Unknown destination handset", 30007: "Message filtered"}
FAILED_PRICE = "-0.00100"  # of a message; its error_code comes without an error_message (53 of 53 recorded, 2026)
CITIES = (("San Francisco", "CA", "94105", "US"), ("Berlin", "", "10115", "DE"), ("São Paulo", "SP", "01310-100", "BR"))


class Row:
    """
    One resource. `data` is its JSON; a row made in bulk has a template in its place and builds it when asked.

    `created`, `dated`, `ended` and `updated` are timestamps, `shown` that from which lists show it, `deleted`
    the one at which it was deleted; `mute` rows never tell when they were updated.
    """

    __slots__ = (
        "_data", "_text", "account", "created", "dated", "deleted", "ended", "mute", "shown", "sid", "stream",
        "template", "updated",
    )  # fmt: skip

    def __init__(self, stream: str, account: str, sid: str) -> None:
        self.stream, self.account, self.sid = stream, account, sid
        self.created = 0
        self.dated: int | None = None
        self.ended: int | None = None
        self.updated: int | None = None
        self.shown = 0
        self.deleted: int | None = None
        self.mute = False
        self.template: Template | None = None
        self._data: Json | None = None
        self._text: str | None = None

    def text(self) -> str:
        """Return the row's JSON as sent."""
        if self.template is not None:
            created, dated, ended = rfc2822(self.created), rfc2822(self.dated), rfc2822(self.ended)
            return self.template(self.sid, created, dated, ended, rfc2822(self.updated), self.sid[2:9])
        if self._text is None:
            self._text = to_json(self._data)
        return self._text

    @property
    def data(self) -> Json:
        """Return the row's JSON as a dict: for reading only; `update` changes it."""
        if self.template is not None:
            return dict(json.loads(self.text()))
        assert self._data is not None
        return self._data

    def update(self, properties: Json) -> None:
        """Set properties; dates may be seconds, ISO 8601 or RFC 2822."""
        data, dates = dict(self.data) if self.template is not None or self._data is not None else {}, DATES[self.stream]
        self.template = self._text = None
        for name, value in properties.items():
            if name in dates:
                at = None if value is None else timestamp(value)
                setattr(self, dates[name], at)
                value = rfc2822(at)
            data[name] = value
        self._data = data


def to_json(value: Any) -> str:
    """
    Return JSON as Twilio writes it: UTF-8, with escapes for what UTF-8 cannot express.

    >>> to_json({"a": "é\\ud83d"}) == '{"a":"\\\\u00e9\\\\ud83d"}' and to_json({"a": "é"}) == '{"a":"é"}'
    True
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def new_sid(rng: Random, prefix: str) -> str:
    """Return a SID that no other row has."""
    return f"{prefix}{rng.getrandbits(128):032x}"


def phone(rng: Random) -> str:
    """Return a number that nobody has."""
    return f"+1{rng.choice(('415', '202', '646', '312'))}555{rng.randrange(10_000):04}"


def formatted(number: str) -> str:
    """
    Return a number in the form of `to_formatted`.

    >>> formatted("+14155550123")
    '(415) 555-0123'
    """
    return f"({number[2:5]}) {number[5:8]}-{number[8:12]}" if number[:2] == "+1" and len(number) == 12 else number


def some_text(rng: Random, odd: float = 0.0) -> str:
    """Return the text of a message; with the chance `odd`, one that tests a parser."""
    return rng.choice(ODD_TEXTS if rng.random() < odd else TEXTS)


def message(rng: Random, account: str, created: int, now: int, status: str, given: Json) -> Json:
    """Return a message of this status; it was sent some seconds after its creation, but never later than `now`."""
    inbound = status in ("received", "receiving")
    sid = given.get("sid") or new_sid(rng, "SM" if given.get("num_media", "0") == "0" else "MM")
    at_once = inbound or status == "failed"
    sent = min(created + (0 if at_once else rng.randrange(1, 90)), now) if status in SENT else None
    moved = created if sent is None or at_once else min(sent + rng.randrange(20), now)
    error = rng.choice(list(ERRORS)) if status in ("failed", "undelivered") else None
    uri = f"{API}/{account}/Messages/{sid}"
    return {
        "body": rng.choice(TEXTS),
        "num_segments": "1",
        "direction": "inbound" if inbound else "outbound-api",
        "from": phone(rng),
        "to": phone(rng),
        "date_updated": moved,
        "price": None if sent is None else FAILED_PRICE if status == "failed" else "-0.00750",
        "error_message": ERRORS[error] if error and status != "failed" else None,
        "uri": f"{uri}.json",
        "account_sid": account,
        "num_media": "0",
        "status": status,
        "messaging_service_sid": new_sid(rng, "MG") if status == "scheduled" else None,
        "sid": sid,
        "date_sent": sent,
        "date_created": created,
        "error_code": error,
        "price_unit": "USD",
        "api_version": "2010-04-01",
        "subresource_uris": {"media": f"{uri}/Media.json", "feedback": f"{uri}/Feedback.json"},
    }


CALL_PARTS = (
    "Notifications", "Recordings", "Payments", "Events", "Siprec", "Streams", "Transcriptions",
    "UserDefinedMessageSubscriptions", "UserDefinedMessages",
)  # fmt: skip


def snake(name: str) -> str:
    """
    Return a name in snake case.

    >>> snake("UserDefinedMessages")
    'user_defined_messages'
    """
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def call(rng: Random, account: str, created: int, now: int, status: str, given: Json) -> Json:
    """Return a call. If queued or ringing, it has no `start_time`; if running, no `end_time`."""
    sid = given.get("sid") or new_sid(rng, "CA")
    start = created if status == "canceled" else min(created + rng.randrange(1, 20), now) if status in DIALED else None
    lasted = rng.randrange(5, 900) if status == "completed" else 0
    end = min(start + lasted, now) if start is not None and status in ENDED else None
    to, from_ = given.get("to") or phone(rng), given.get("from") or phone(rng)
    direction = given.get("direction") or rng.choice(("inbound", "outbound-api", "outbound-dial"))
    uri = f"{API}/{account}/Calls/{sid}"
    return {
        "sid": sid,
        "date_created": created,
        "date_updated": next(at for at in (end, start, created) if at is not None),
        "parent_call_sid": None,
        "account_sid": account,
        "to": to,
        "to_formatted": formatted(to),
        "from": from_,
        "from_formatted": formatted(from_),
        "phone_number_sid": rng.choice((new_sid(rng, "PN"), "")),
        "status": status,
        "start_time": start,
        "end_time": end,
        "duration": str(end - start) if end is not None and start is not None else None,
        "price": {"completed": "-0.01300", "failed": "0.00000"}.get(status),
        "price_unit": "USD",
        "direction": direction,
        "answered_by": rng.choice((None, None, "human", "machine_start")),
        "api_version": "2010-04-01",
        "forwarded_from": "",
        "group_sid": None,
        "caller_name": None if direction == "inbound" else "",  # recorded (live account, 2026)
        "queue_time": "0",
        "trunk_sid": "",
        "annotation": None,
        "uri": f"{uri}.json",
        "subresource_uris": {snake(part): f"{uri}/{part}.json" for part in CALL_PARTS},
    }


def conference(rng: Random, account: str, created: int, now: int, status: str, given: Json) -> Json:
    """Return a conference of this status; only a completed one has the way it ended."""
    sid, over = given.get("sid") or new_sid(rng, "CF"), status == "completed"
    uri = f"{API}/{account}/Conferences/{sid}"
    return {
        "account_sid": account,
        "date_created": created,
        "date_updated": min(created + rng.randrange(2, 3000), now) if over else created,
        "api_version": "2010-04-01",
        "friendly_name": rng.choice(NAMES),
        "region": rng.choice(("us1", "us1", "ie1")),
        "sid": sid,
        "status": status,
        "uri": f"{uri}.json",
        "subresource_uris": {"participants": f"{uri}/Participants.json", "recordings": f"{uri}/Recordings.json"},
        "reason_conference_ended": "last-participant-left" if over else None,
        "call_sid_ending_conference": new_sid(rng, "CA") if over else None,
    }


def transcription(rng: Random, account: str, created: int, now: int, status: str, given: Json) -> Json:
    """Return a transcription of this status."""
    sid = given.get("sid") or new_sid(rng, "TR")
    return {
        "account_sid": account,
        "api_version": "2010-04-01" if status == "completed" else "2008-08-01",  # both recorded, 2026 and 2021
        "date_created": created,
        "date_updated": created if status == "in-progress" else min(created + rng.randrange(5, 600), now),
        "duration": str(rng.randrange(1, 120)),
        "price": "-0.05000" if status == "completed" else None,
        "price_unit": "USD",
        "recording_sid": new_sid(rng, "RE"),
        "sid": sid,
        "status": status,
        "transcription_text": {"completed": rng.choice(TEXTS), "failed": "(blank)"}.get(status),
        "type": "fast",
        "uri": f"{API}/{account}/Transcriptions/{sid}.json",
    }


def address(rng: Random, account: str, created: int, now: int, status: str, given: Json) -> Json:
    """Return an address; it has no status, so that is not used."""
    sid = given.get("sid") or new_sid(rng, "AD")
    city, region, code, country = rng.choice(CITIES)
    return {
        "account_sid": account,
        "city": city,
        "customer_name": rng.choice(NAMES),
        "date_created": created,
        "date_updated": created,
        "friendly_name": rng.choice((*NAMES, "", None)),
        "iso_country": country,
        "postal_code": code,
        "region": region,
        "sid": sid,
        "street": f"{rng.randrange(1, 999)} Example Street",
        "uri": f"{API}/{account}/Addresses/{sid}.json",
        "emergency_enabled": rng.random() < 0.2,
        "validated": rng.random() < 0.5,
        "verified": rng.random() < 0.5,
        "street_secondary": rng.choice((None, "", "Floor 3")),
    }


ACCOUNT_PARTS = (
    "AvailablePhoneNumbers", "Calls", "Conferences", "IncomingPhoneNumbers", "Notifications", "OutgoingCallerIds",
    "Recordings", "Transcriptions", "Addresses", "SigningKeys", "ConnectApps", "SIP", "AuthorizedConnectApps",
    "Usage", "Keys", "Applications", "SMS/ShortCodes", "Queues", "Messages", "Balance",
)  # fmt: skip


def account_row(rng: Random, owner: str, created: int, now: int, status: str, given: Json) -> Json:
    """Return an account; `owner` is empty for the main one, which owns itself. Twilio does list its token."""
    sid = given.get("sid") or new_sid(rng, "AC")
    parts = {snake(p.replace("SMS/", "").replace("SIP", "Sip")): f"{API}/{sid}/{p}.json" for p in ACCOUNT_PARTS}
    return {
        "auth_token": f"{rng.getrandbits(128):032x}",
        "date_created": created,
        "date_updated": created,
        "friendly_name": rng.choice(NAMES),
        "owner_account_sid": owner or sid,
        "sid": sid,
        "status": status,
        "subresource_uris": parts,
        "type": "Full",
        "uri": f"{API}/{sid}.json",
    }


PREFIXES = {"messages": "SM", "calls": "CA", "conferences": "CF", "transcriptions": "TR", "addresses": "AD"}
MAKERS = {
    "messages": message,
    "calls": call,
    "conferences": conference,
    "transcriptions": transcription,
    "addresses": address,
    "accounts": account_row,
}


def brought_by_status(row: Row, given: Json, now: int) -> Json:
    """Return what Twilio itself sets when a row takes a status: the status's dates and duration."""
    status, brought = given.get("status"), Json()
    if row.stream == "messages" and status in SENT and row.dated is None:
        brought["date_sent"] = now
    if row.stream == "calls" and status in DIALED and row.dated is None:
        brought["start_time"] = now
    if row.stream == "calls" and status in ENDED and row.ended is None:
        start = row.dated if row.dated is not None else now
        brought |= {"end_time": now, "duration": str(max(0, now - start)) if status == "completed" else "0"}
    if row.stream == "conferences" and status == "completed" and row.data["reason_conference_ended"] is None:
        brought["reason_conference_ended"] = "last-participant-left"
    return {name: value for name, value in brought.items() if name not in given}


def template(row: Json) -> Template:
    """
    Return a function that writes a row's JSON with another SID, other dates and another tail, at @sid@ and so on.

    Compiled, since a page of a benchmark is a thousand of them: a third of the time of `%`.
    """
    parts = re.split(f"@({'|'.join(SLOTS)})@", to_json(row))
    code = ", ".join(part if i % 2 else repr(part) for i, part in enumerate(parts))
    made: Template = eval(f"lambda {', '.join(SLOTS)}: ''.join(({code}))")
    return made


def templates(stream: str, account: str, rng: Random, variants: int = 64) -> list[tuple[str, str, Template]]:
    """Return typical rows for bulk: (status, prefix of the SID, template). About 2 % are undated."""
    statuses = {
        "messages": ["delivered"] * 40 + ["sent"] * 4 + ["received"] * 14 + ["undelivered"] * 3 + ["read", "canceled"],
        "calls": ["completed"] * 54 + ["busy"] * 3 + ["no-answer"] * 4 + ["failed", "canceled"],
        "conferences": ["completed"],
        "transcriptions": ["completed"] * 60 + ["failed"] * 3,
        "addresses": [""],
    }[stream]
    made, long_ago = [], 1_000_000_000
    for i in range(variants):
        status = statuses[i % len(statuses)]
        row = MAKERS[stream](rng, account, long_ago, long_ago + 60 * MINUTE, status, {"sid": "@sid@"})
        if stream == "messages":
            row["body"] = f"{TEXTS[i % len(TEXTS)]} @tail@" if i % 16 else ODD_TEXTS[0]
        for name, slot in DATES[stream].items():
            row[name] = None if row[name] is None else f"@{slot}@"
        made.append((status, PREFIXES[stream], template(row)))
    return made
