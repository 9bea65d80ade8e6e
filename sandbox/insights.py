"""
Voice Insights: call summaries, with the newer envelope, and annotations.

Of the many filters of Summaries, those on carriers, countries, trust and branding are taken and have no effect.
"""

import re
from typing import TYPE_CHECKING

from .access import Reader, may_read
from .lists import Refused, by_dated, by_ended
from .messages import Answer, Question
from .paging import list_page, meta_envelope, validated
from .people import REGIONS, country_of
from .rows import Json, Row, to_json
from .timestamps import DAY, HOUR, MINUTE, iso8601, timestamp

if TYPE_CHECKING:
    from .twilio import Twilio

STATES = {"in-progress": "answered", "failed": "fail", "no-answer": "noanswer", "queued": "undialed"}
DIRECTIONS = {"outbound-api": "outbound_api", "outbound-dial": "outbound_dial"}
HOST = "https://insights.twilio.com"
UNITS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


def _available(twilio: "Twilio") -> None:
    if not twilio.insights_available:
        status = twilio.insights_refusal
        code, message = {
            401: (20003, "Authenticate"),
            403: (20403, "Voice Insights Advanced Features are not enabled for this account"),
            404: (20404, "The requested resource was not found"),
        }[status]
        raise Refused(status, code, message)


def _moment(twilio: "Twilio", name: str, text: str) -> int:
    """Parse ISO 8601, or an age: 30m, 4h, 3d, 1w."""
    ago = re.fullmatch(r"(\d+)([mhdw])", text)
    if ago:
        return twilio.clock - int(ago[1]) * UNITS[ago[2]]
    try:
        return timestamp(text.replace(" ", "+"))
    except ValueError:
        raise Refused(400, 20001, f"Parameter '{name}' is not valid") from None


def summary(twilio: "Twilio", call: Row) -> Json:
    """Return the summary of a call: `partial` until half an hour after its end."""
    data, state = call.data, processing_state(twilio, call)
    duration = int(data["duration"] or 0) if data["duration"] is not None else None
    countries = {end: country_of(data[end]) for end in ("from", "to")}
    region = REGIONS[countries["from" if data["direction"] == "inbound" else "to"]]
    return {
        "account_sid": call.account,
        "call_sid": call.sid,
        "answered_by": data["answered_by"] or "unknown",
        "call_type": "carrier",
        "call_state": STATES.get(data["status"], data["status"]),
        "processing_state": state,
        "created_time": iso8601(call.created),
        "start_time": iso8601(call.dated),
        "end_time": iso8601(call.ended),
        "duration": duration,
        "connect_duration": duration if data["status"] == "completed" else None,
        "from": {"caller": data["from"], "country_code": countries["from"], "number_prefix": data["from"][:5]},
        "to": {"callee": data["to"], "country_code": countries["to"], "number_prefix": data["to"][:5]},
        "carrier_edge": {"properties": {"media_region": region}} if state == "complete" else None,
        "client_edge": None,
        "sdk_edge": None,
        "sip_edge": None,
        "tags": [],
        "url": f"{HOST}/v1/Voice/{call.sid}/Summary",
        "attributes": {"conference_participant": False},
        "properties": {"direction": DIRECTIONS.get(data["direction"], data["direction"]), "queue_time": 0},
        "trust": {"verified_caller": {"verified": False}},
        "annotation": _annotation_in_summary(twilio, call.sid),
    }


def _annotation_in_summary(twilio: "Twilio", sid: str) -> Json | None:
    given = twilio.annotations.get(sid)
    if given is None or twilio.summary_annotation == "none":
        return None
    if twilio.summary_annotation == "part":
        return {name: given[name] for name in ("call_score", "quality_issues")}
    return dict(given)


def processing_state(twilio: "Twilio", call: Row) -> str:
    """Return whether a call's summary is `complete` by now, or `partial`."""
    return "complete" if call.ended is not None and twilio.clock >= call.ended + 30 * MINUTE else "partial"


def _wanted(twilio: "Twilio", call: Row, query: dict[str, str]) -> bool:
    """Return whether a call's summary passes the filters other than its time."""
    asked = query.get("ProcessingState") or twilio.processing_default
    if asked != "all" and processing_state(twilio, call) != {"completed": "complete"}.get(asked, "partial"):
        return False
    note = twilio.annotations.get(call.sid, {})
    for name, prop in (
        ("CallScoreAnnotation", "call_score"),
        ("AnsweredByAnnotation", "answered_by"),
        ("ConnectivityIssueAnnotation", "connectivity_issue"),
        ("SpamAnnotation", "spam"),
    ):
        if query.get(name) and str(note.get(prop)).lower() != query[name].lower():
            return False
    if query.get("QualityIssueAnnotation") and query["QualityIssueAnnotation"] not in note.get("quality_issues", ()):
        return False
    if not any(query.get(name) for name in ("From", "To", "CallState", "CallType", "Direction", "AnsweredBy")):
        return True
    whole = summary(twilio, call)
    found = {
        "From": whole["from"]["caller"],
        "To": whole["to"]["callee"],
        "CallState": whole["call_state"],
        "CallType": whole["call_type"],
        "Direction": whole["properties"]["direction"],
        "AnsweredBy": whole["answered_by"],
    }
    return all(query.get(name) in (None, "", value) for name, value in found.items())


def summaries(twilio: "Twilio", question: Question, reader: Reader, fault: str) -> Answer:
    """Return a page of call summaries: of one account, between two times; by default the last four hours."""
    _available(twilio)
    query = validated(question, "call_summaries")
    account = query.get("Subaccount") or reader.account
    may_read(twilio, reader, account)
    since = _moment(twilio, "StartTime", query.get("StartTime") or "4h")
    until = _moment(twilio, "EndTime", query.get("EndTime") or "0m")
    calls = [call for call in _candidates(twilio, account, query, since, until) if _wanted(twilio, call, query)]
    key = by_dated
    if query.get("SortBy") == "end_time":
        key, calls = by_ended, sorted(calls, key=by_ended)
    page = list_page(twilio, question, query, calls, key, "calls", fault)
    body: Json = {"meta": meta_envelope(twilio, question, page, "call_summaries", fault)}
    if fault != "keyless":
        body["call_summaries"] = [summary(twilio, call) for call in page.rows]
    return Answer(200, to_json(body).encode(), rows=len(page.rows))


def _candidates(twilio: "Twilio", account: str, query: dict[str, str], since: int, until: int) -> list[Row]:
    """Return the account's calls begun between two times, newest first; only annotated ones if a filter says so."""
    if not any(name.endswith("Annotation") and value for name, value in query.items()):
        return twilio.table("calls", account).between(since, until)
    calls = [twilio.rows[sid] for sid in twilio.annotations if sid in twilio.rows]
    begun = [c for c in calls if c.account == account and c.deleted is None and since <= (c.dated or 0) <= until]
    return sorted(begun, key=by_dated)


def annotation(twilio: "Twilio", question: Question, reader: Reader) -> Answer:
    """Return the annotation of one call; 404 if it has none."""
    _available(twilio)
    sid = question.path.split("/")[3]
    call, given = twilio.streams["calls"].get(sid), twilio.annotations.get(sid)
    if call is None or call.deleted is not None or given is None:
        raise Refused(404, 20404, f"The requested resource {question.path} was not found")
    may_read(twilio, reader, call.account)
    return Answer(200, to_json(given | {"url": f"{HOST}{question.path}"}).encode())
