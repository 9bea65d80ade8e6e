"""
Twilio's answers: from a request to status, headers and body, without any socket.

It knows the paths and the six hand-written lists; `generic_api` answers all others.
"""

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from . import insights
from .access import Reader, authenticate, credentials, may_read
from .catalog import Fact, facts, find, products
from .generic import HANDMADE
from .generic_api import answer_generic, check_present
from .lists import LISTINGS, Key, ListEndpoint, Refused, order_of, read_spans
from .messages import Answer, Question, error, gateway
from .paging import classic_envelope, list_page, validated
from .rows import API, Json, Row, to_json
from .timestamps import DAY

if TYPE_CHECKING:
    from .twilio import Twilio

LIST_OF = {listing.path: stream for stream, listing in LISTINGS.items()}
ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")
ONE = re.compile(rf"{API}/(?P<account>\w+)(?:/(?P<path>\w+)(?:/(?P<sid>\w+)(?P<feedback>/Feedback)?)?)?\.json")
PER_ACCOUNT = frozenset({"messages", "calls", "conferences", "transcriptions", "addresses"})


def split_product(path: str) -> tuple[str, str]:
    """
    Return the product that a path begins with, if any, and the rest. At Twilio, a product is a host's first label.

    >>> split_product("/studio/v2/Flows"), split_product("/v1/Voice/Summaries")
    (('studio', '/v2/Flows'), ('', '/v1/Voice/Summaries'))
    """
    first, slash, rest = path[1:].partition("/")
    return (first, slash + rest) if first in products() and slash else ("", path)


def host_of(path: str) -> str:
    """Return the product of a path that names none."""
    return "api" if path.startswith("/2010-04-01/") else "insights"


def kind_of(path: str, product: str = "") -> str:
    """Return the kind of resource that a path names: `messages`, `messages/one`, `feedback`, `recordings`, …"""
    kind = _handmade_kind(path) if product in ("", host_of(path)) else "other"
    found = generic_at(path, product) if kind == "other" else None
    return kind if found is None else found[0].name + ("/one" if found[2] else "")


def generic_at(path: str, product: str) -> tuple[Fact, Json, bool] | None:
    """Return the generated list that a path names, the path's values, and whether it asks for one row."""
    found = find(product or host_of(path), path)
    return None if found is None or found[0].name in HANDMADE else found


def _handmade_kind(path: str) -> str:
    if path in ("/v1/Voice/Summaries", "/v1/Voice/Summaries/"):
        return "call_summaries"
    if path.startswith("/v1/Voice/") and path.endswith("/Annotation"):
        return "annotation"
    if path == f"{API}.json":
        return "accounts"
    match = ONE.fullmatch(path)
    if match is None:
        return "other"
    if match["path"] is None:
        return "accounts/one"
    if match["feedback"]:
        return "feedback" if match["path"] == "Calls" else "other"
    stream = LIST_OF.get(match["path"])
    if stream not in PER_ACCOUNT:
        return "other"
    return stream if match["sid"] is None else f"{stream}/one"


def is_page(path: str, product: str = "") -> bool:
    """Return whether a path names a list."""
    kind = kind_of(path, product)
    return kind in LISTINGS or (kind in facts() and facts()[kind].envelope != "single")


def account_of(question: Question) -> str:
    """Return the account whose concurrency limit a request counts towards."""
    found = ACCOUNT.search(question.path) or ACCOUNT.search(question.parameters().get("Subaccount", ""))
    return found.group() if found else credentials(question.authorization)[0]


def answer(twilio: "Twilio", question: Question, fault: str = "") -> Answer:
    """Answer a request as Twilio would, or with the given fault."""
    with twilio.lock:
        try:
            return _answer(twilio, question, fault)
        except Refused as refusal:
            return error(refusal.status, refusal.code, refusal.message) if refusal.code else gateway(refusal.status)


def _answer(twilio: "Twilio", question: Question, fault: str) -> Answer:
    reader = authenticate(twilio, question.authorization)
    kind, path = kind_of(question.path, question.product), question.path
    check_present(twilio, question.product or host_of(path), path, account_of(question))
    if kind == "other":
        raise Refused(404, 20404, f"The requested resource {path} was not found")
    if question.method != "GET":
        raise Refused(405, 20004, "Method not allowed")
    if kind.partition("/")[0] in facts() and (found := generic_at(path, question.product)) is not None:
        return answer_generic(twilio, question, reader, found, fault)
    if kind == "call_summaries":
        return insights.summaries(twilio, question, reader, fault)
    if kind == "annotation":
        return insights.annotation(twilio, question, reader)
    if kind == "accounts":
        return _accounts(twilio, question, reader, fault)
    match = ONE.fullmatch(path)
    assert match is not None
    account = match["account"]
    if kind == "accounts/one":
        if reader.kind == "standard":
            raise Refused(401, 20003, "Authenticate")
        may_read(twilio, reader, account, closed_too=True)
        return _one(twilio.rows.get(account), "accounts", account, path)
    may_read(twilio, reader, account)
    if kind == "feedback":
        call, row = twilio.rows.get(match["sid"]), twilio.feedbacks.get(match["sid"])
        listed = call is not None and call.deleted is None and call.account == account
        return _one(row if listed else None, "call_feedback", account, path)
    stream = kind.partition("/")[0]
    if match["sid"]:
        return _one(twilio.rows.get(match["sid"]), stream, account, path)
    return _list(twilio, question, stream, account, fault)


def _accounts(twilio: "Twilio", question: Question, reader: Reader, fault: str) -> Answer:
    if reader.kind == "standard":
        raise Refused(401, 20003, "Authenticate")
    rows, key, query = select(twilio, question, "accounts", "")
    if reader.account != twilio.main:
        rows = [row for row in rows if row.sid == reader.account]
    if twilio.accounts_listed != "all":
        rows = [row for row in rows if row.sid != twilio.main and twilio.accounts_listed == "others"]
    return page_of(twilio, question, LISTINGS["accounts"], query, rows, key, fault)


def _list(twilio: "Twilio", question: Question, stream: str, account: str, fault: str) -> Answer:
    rows, key, query = select(twilio, question, stream, account)
    return page_of(twilio, question, LISTINGS[stream], query, rows, key, fault)


def _one(row: Row | None, stream: str, account: str, path: str) -> Answer:
    if row is None or row.stream != stream or row.deleted is not None or row.account != account:
        raise Refused(404, 20404, f"The requested resource {path} was not found")
    return Answer(200, row.text().encode())


def select(twilio: "Twilio", question: Question, stream: str, account: str) -> tuple[list[Row], Key, dict[str, str]]:
    """Return the rows that pass the request's filters, in order, their sort key, and the query."""
    listing = LISTINGS[stream]
    query = validated(question, stream)
    nulls = not twilio.api_filter_hides_null
    spans = read_spans(listing, query, twilio.inclusive, twilio.less_than_date_means, nulls)
    days = twilio.reach_days if stream == "messages" else twilio.reaches.get(stream)
    if days is not None:
        reach = twilio.clock - int(days * DAY)
        if any(span.since is not None and span.since < reach for span in spans):
            raise Refused(400, 20004, f"The date cannot be more than {days:g} days in the past")
        spans = [replace(span, since=reach) if span.since is None else span for span in spans]
    equals = {prop: query[name] for name, prop in listing.equals.items() if query.get(name)}
    if stream == "conferences" and "status" not in equals and twilio.conference_default != "all":
        equals["status"] = twilio.conference_default
    rows, key = twilio.table(stream, account).view(order_of(stream, twilio.order), spans, equals)
    return rows, key, query


def page_of(
    twilio: "Twilio",
    question: Question,
    listing: ListEndpoint,
    query: dict[str, str],
    rows: list[Row],
    key: Key,
    fault: str,
) -> Answer:
    """Return a page in the classic envelope."""
    page = list_page(twilio, question, query, rows, key, LIST_OF[listing.path], fault)
    envelope = classic_envelope(question, page, fault)
    if fault == "keyless":
        return Answer(200, to_json(envelope).encode(), rows=len(page.rows))
    content = ",".join([row.text() for row in page.rows])
    return Answer(200, f'{{"{listing.key}":[{content}],{json.dumps(envelope)[1:]}'.encode(), rows=len(page.rows))
