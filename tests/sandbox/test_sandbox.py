"""
The sandbox is true to Twilio: its official client reads every list, and rows, filters and envelopes are those of the
OpenAPI documents (`facts/openapi.json`). Each switch and each fault does what it says. All through real sockets.
"""

import doctest
import importlib
import json
import pkgutil
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from twilio.rest import Client

import sandbox
from sandbox import Server, Twilio, serve
from sandbox.faults import KINDS
from sandbox.lists import LISTINGS, PAGING
from sandbox.timestamps import timestamp
from testing.sampled import long
from testing.served import Rewriting

ROOT = Path(__file__).parents[2]
FACTS = json.loads((Path(__file__).parents[1] / "facts" / "openapi.json").read_text())
# Where recorded rows differ from the documents.
FACTS["calls"]["properties"]["annotation"] = {"type": "string", "nullable": True}
FACTS["transcriptions"]["properties"]["price"] = {"type": "string", "nullable": True}
CLASSIC = ("messages", "calls", "conferences", "transcriptions", "addresses")
DAY = timedelta(days=1)


class Api:
    """A plain HTTP client of one running sandbox."""

    def __init__(self, server: Server, session: requests.Session) -> None:
        self.server, self.twilio, self.session = server, server.twilio, session
        session.auth = (self.twilio.main, self.twilio.auth_token)

    def get(self, path: str, auth: Any = None, **query: Any) -> requests.Response:
        """Path below an account's own if it begins without a slash; `X__gt` in the query is `X>`."""
        path = path if path.startswith("/") else f"/2010-04-01/Accounts/{self.twilio.main}/{path}"
        params = {name.replace("__gt", ">").replace("__lt", "<"): value for name, value in query.items()}
        return self.session.get(self.server.url + path, params=params, auth=auth, timeout=5, allow_redirects=False)

    def rows(self, stream: str, account: str = "", **query: Any) -> list[dict[str, Any]]:
        """All rows of a list, page after page."""
        listing = LISTINGS[stream]
        answer = self.get(f"/2010-04-01/Accounts/{account or self.twilio.main}/{listing.path}.json", **query)
        found = []
        while True:
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page[listing.key]
            if page["next_page_uri"] is None:
                return found
            answer = self.get(page["next_page_uri"])

    def sids(self, stream: str, **query: Any) -> list[str]:
        """Their SIDs."""
        return [row["sid"] for row in self.rows(stream, **query)]


@pytest.fixture
def api() -> Iterator[Callable[[Twilio], Api]]:
    """Serves a simulated Twilio; all are stopped at the end."""
    running: list[Any] = []

    def start(twilio: Twilio) -> Api:
        context, session = serve(twilio), requests.Session()
        running.extend([session, context])
        return Api(context.__enter__(), session)

    yield start
    for one in reversed(running):
        if isinstance(one, requests.Session):
            one.close()
        else:
            one.__exit__(None, None, None)


@pytest.fixture(scope="module")
def demo() -> Iterator[Api]:
    """The demo, served once for all tests that only read it."""
    with serve(Twilio.demo(seed=7)) as server, requests.Session() as session:
        yield Api(server, session)


@pytest.fixture(scope="module")
def client(demo: Api) -> Iterator[Client]:
    """The official client, with the demo's credentials."""
    http = Rewriting(demo.server.url)
    yield Client(demo.twilio.main, demo.twilio.auth_token, http_client=http)
    http.session.close()


def test_the_examples_in_the_sandbox_hold() -> None:
    """Doctests, of every module."""
    names = [name for _, name, _ in pkgutil.iter_modules(sandbox.__path__) if name != "__main__"]
    results = [doctest.testmod(importlib.import_module(f"sandbox.{name}")) for name in names]
    assert sum(result.attempted for result in results) >= 5
    assert sum(result.failed for result in results) == 0


# Twilio's own client


@pytest.mark.parametrize("stream", ["messages", "calls", "transcriptions", "addresses"])
def test_the_official_client_reads_every_row_of_a_list(demo: Api, client: Client, stream: str) -> None:
    """Page by page, each row once, in every account that can be read."""
    for account in client.api.accounts.list(status="active"):
        read = list(getattr(client.api.accounts(account.sid), stream).stream(page_size=97))
        assert [row.sid for row in read] == [row.sid for row in {row.sid: row for row in read}.values()]
        assert {row.sid for row in read} == {row["sid"] for row in demo.twilio.present(stream, account.sid)}
        assert all(isinstance(row.date_created, datetime) for row in read)


def test_the_official_client_reads_conferences_status_by_status(demo: Api, client: Client) -> None:
    """Every conference has one of three statuses; without one, only those in progress are listed."""
    read = {
        s: [c.sid for c in client.conferences.stream(status=s, page_size=20)]
        for s in ("init", "in-progress", "completed")
    }
    present = demo.twilio.present("conferences", demo.twilio.main)
    assert sorted(sid for sids in read.values() for sid in sids) == sorted(row["sid"] for row in present)
    assert [c.sid for c in client.conferences.stream()] == read["in-progress"]


def test_the_official_client_reads_the_accounts(demo: Api, client: Client) -> None:
    """The main account and all its subaccounts, whatever their status."""
    read = client.api.accounts.list(page_size=2)
    assert {a.sid for a in read} == {row["sid"] for row in demo.twilio.present("accounts")}
    assert sorted(a.status for a in read) == ["active", "active", "active", "closed", "suspended"]
    assert client.api.accounts(demo.twilio.main).fetch().auth_token == demo.twilio.auth_token


def test_the_official_client_reads_summaries_and_annotations(demo: Api, client: Client) -> None:
    """Over pages of the newer envelope: five lists, one a score, hold every annotated call."""
    annotated = {a["call_sid"]: a for a in demo.twilio.truth("annotations", demo.twilio.main)}
    read = []
    for score in range(1, 6):
        read += client.insights.v1.call_summaries.list(
            start_time="2026-01-01T00:00:00Z",
            end_time="2026-04-01T09:00:00Z",
            call_score_annotation=str(score),
            page_size=2,
        )
    assert len(annotated) >= 5
    assert {s.call_sid: s.annotation for s in read} == annotated
    fetched = client.insights.v1.calls(read[0].call_sid).annotation().fetch()
    assert (fetched.call_score, fetched.comment) == (read[0].annotation["call_score"], read[0].annotation["comment"])


# The OpenAPI documents

TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "number": (int, float)}
FORMATS = {
    "date-time-rfc-2822": r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "currency": "[A-Z]{3}",
    "iso-country-code": "[A-Z]{2}",
}
# The documents do not call these nullable, yet they are; and Twilio writes "" for some that they give a pattern.
NULLABLE = {"reason_conference_ended"}
EMPTY = {"phone_number_sid", "trunk_sid"}


def misfits(row: dict[str, Any], properties: dict[str, Any]) -> list[str]:
    """What in a row the documents do not allow."""
    wrong = sorted(set(row) ^ set(properties))
    for name, fact in properties.items():
        value, pattern = row.get(name), fact.get("pattern") or FORMATS.get(fact.get("format", ""))
        if value is None:
            fits = fact.get("nullable", False) or name in NULLABLE
        else:
            fits = isinstance(value, TYPES.get(fact.get("type"), object)) and value in fact.get("enum", [value])
            fits = fits and not (fact.get("type") == "integer" and isinstance(value, bool))
            fits = fits and (
                pattern is None or re.fullmatch(pattern, value) is not None or (value == "" and name in EMPTY)
            )
        wrong += [] if fits else [f"{name}={value!r}"]
    return wrong


@pytest.mark.parametrize("stream", [*CLASSIC, "accounts"])
def test_every_row_is_as_the_openapi_documents_have_it(demo: Api, stream: str) -> None:
    """Exactly the properties, each of its type, format, pattern or enumeration."""
    rows = demo.twilio.truth(stream)
    assert len(rows) >= 5
    assert [m for row in rows for m in misfits(row, FACTS[stream]["properties"])] == []


@pytest.mark.parametrize("stream", CLASSIC)
def test_rows_in_bulk_are_like_all_others(stream: str) -> None:
    """They have the same properties and types, and are the same when asked for twice, and after a change."""
    twilio = Twilio(start="2025-01-01").at("2026-01-01")
    twilio.bulk(stream, 300, "2025-01-01", "2026-01-01")
    rows = twilio.present(stream)
    assert len(rows) == 300
    assert [m for row in rows for m in misfits(row, FACTS[stream]["properties"])] == []
    twilio.change(rows[0]["sid"], date_updated="2025-12-31T23:00:00Z")
    changed = twilio.present(stream)
    assert changed[0] == rows[0] | {"date_updated": "Wed, 31 Dec 2025 23:00:00 +0000"}
    assert changed[1:] == rows[1:]


def test_summaries_and_annotations_are_as_the_openapi_documents_have_them(demo: Api) -> None:
    """Summaries in the newer envelope, and an annotation by itself."""
    body = demo.get("/v1/Voice/Summaries", StartTime="90d", PageSize=1000, ProcessingState="all").json()
    facts = FACTS["call_summaries"]
    assert (sorted(body), sorted(body["meta"])) == (facts["envelope"], facts["meta"])
    summaries = body["call_summaries"]
    assert len(summaries) > 500
    assert [m for row in summaries for m in misfits(row, facts["properties"])] == []
    (one, *_) = [row["annotation"] for row in summaries if row["annotation"]]
    annotation = demo.get(f"/v1/Voice/{one['call_sid']}/Annotation").json()
    assert misfits(annotation, FACTS["annotation"]["properties"]) == []
    assert annotation == one | {"url": annotation["url"]}


@pytest.mark.parametrize("stream", [*CLASSIC, "accounts"])
def test_every_list_has_the_envelope_and_the_parameters_of_the_documents(demo: Api, stream: str) -> None:
    """No member more or less; a parameter that the documents do not know is refused, and only that."""
    path = f"/2010-04-01/Accounts/{demo.twilio.main}/{LISTINGS[stream].path}.json"
    path = "/2010-04-01/Accounts.json" if stream == "accounts" else path
    dates = {f"{name}{sign}" for name in LISTINGS[stream].dates for sign in ("", "<", ">")}
    assert sorted(PAGING | dates.union(LISTINGS[stream].equals)) == FACTS[stream]["parameters"]
    before = demo.get(path).json()
    assert sorted(before) == FACTS[stream]["envelope"]
    refused = demo.get(path, PageSize=7, Surprise="1")
    assert (refused.status_code, refused.json()["code"]) == (400, 20001) and "'Surprise'" in refused.text
    page = demo.get(path, PageSize=7).json()
    assert page[stream] == before[stream][:7]
    assert (page["page_size"], page["start"], page["page"]) == (7, 0, 0)


def test_summaries_take_the_parameters_of_the_documents(demo: Api) -> None:
    """All of them, and no other."""
    query = dict.fromkeys(FACTS["call_summaries"]["parameters"], "") | {"PageSize": "5", "Page": "0"}
    assert demo.get("/v1/Voice/Summaries", **query).status_code == 200
    assert demo.get("/v1/Voice/Summaries", **query, Other="1").status_code == 400


def test_the_demo_holds_what_breaks_readers(demo: Api) -> None:
    """Undated rows, missing prices, and text with NUL, half an emoji, control characters, marks of direction."""
    truth = {stream: demo.twilio.truth(stream) for stream in (*CLASSIC, "call_feedback")}
    assert 2_500 < len(truth["messages"]) < 3_500
    assert 1_200 < len(truth["calls"]) < 1_800
    assert 150 < len(truth["conferences"]) < 250
    assert 0.02 < len(truth["call_feedback"]) / len(truth["calls"]) < 0.08
    assert {m["status"] for m in truth["messages"]} >= {"scheduled", "canceled", "failed", "queued", "read", "received"}
    assert {c["status"] for c in truth["calls"]} >= {"queued", "in-progress", "canceled", "busy"}
    assert all((m["date_sent"] is None) == (m["status"] in SENDING) for m in truth["messages"])
    assert any(c["start_time"] is None for c in truth["calls"])
    assert any(c["end_time"] is None and c["start_time"] is not None for c in truth["calls"])
    bodies = "|".join(m["body"] for m in truth["messages"])
    assert all(mark in bodies for mark in ("\0", "\ud83d", "\u0001", "\u200f", "\r\n\ttabbed", "👩‍👩‍👧‍👦"))
    wire = b"".join(page.content for page in every_page(demo, "Messages"))
    assert all(escape in wire for escape in (rb"\u0000", rb"\ud83d", rb"\u0001", rb"\t", "你好".encode()))


SENDING = {"scheduled", "queued", "accepted", "sending", "canceled"}


def every_page(api: Api, path: str) -> Iterator[requests.Response]:
    """The raw pages of a list, over all accounts that can be read."""
    for account in [a["sid"] for a in api.twilio.present("accounts") if a["status"] != "closed"]:
        following = f"/2010-04-01/Accounts/{account}/{path}.json?PageSize=1000"
        while following:
            page = api.get(following)
            yield page
            following = page.json()["next_page_uri"]


# Pages and tokens


def test_the_date_header_is_the_clock_and_time_stands_still(api: Any) -> None:
    """Only `at` and `advance` move it."""
    it = api(Twilio(start="2010-08-31T20:36:28Z"))
    assert [it.get("Messages.json").headers["Date"] for _ in range(2)] == ["Tue, 31 Aug 2010 20:36:28 GMT"] * 2
    it.twilio.advance(hours=1.5)
    assert it.get("Messages.json").headers["Date"] == "Tue, 31 Aug 2010 22:06:28 GMT"
    it.twilio.at("2010-08-01")
    assert it.get("Messages.json").headers["Date"] == "Sun, 01 Aug 2010 00:00:00 GMT"


def test_pages_lead_forwards_and_back(api: Any) -> None:
    """The token names the page's last row; sizes beyond 1,000 are 1,000; `previous_page_uri` leads to the same rows."""
    it = api(Twilio())
    it.twilio.messages(1_201, since="2025-12-01", until="2026-01-01")
    first = it.get("Messages.json", PageSize=5_000).json()
    assert (first["page_size"], len(first["messages"]), first["previous_page_uri"]) == (1000, 1000, None)
    assert first["next_page_uri"].endswith(f"?PageSize=1000&PageToken=PA{first['messages'][-1]['sid']}&Page=1")
    second = it.get(first["next_page_uri"]).json()
    assert (len(second["messages"]), second["next_page_uri"], second["start"], second["end"]) == (201, None, 1000, 1200)
    assert it.get(second["previous_page_uri"]).json()["messages"] == first["messages"]
    assert it.get("Messages.json").json()["page_size"] == 50
    filtered = it.get("Messages.json", DateSent="2025-12-05", PageSize=1).json()
    assert "?DateSent=2025-12-05&PageSize=1&PageToken=PA" in filtered["next_page_uri"]
    it.twilio.addresses(4)
    last = it.get(it.get("Addresses.json", PageSize=2).json()["next_page_uri"]).json()
    assert (len(last["addresses"]), last["next_page_uri"]) == (2, None)


def test_nonsense_is_refused(api: Any) -> None:
    """A page without its token, a token of nothing, sizes and dates that are none: 400, with an error's body."""
    it = api(Twilio())
    for query in (
        {"Page": 1},
        {"PageToken": "PASM00000000000000000000000000000000"},
        {"PageSize": 0},
        {"PageSize": "x"},
        {"DateSent": "soon"},
    ):
        answer = it.get("Messages.json", **query)
        assert answer.status_code == 400
        assert sorted(answer.json()) == ["code", "message", "more_info", "status"]
    assert it.get("Conferences.json", DateCreated__gt="2026-01-01T00:00:00Z").status_code == 400


@pytest.mark.parametrize(("path", "status", "code"), [("Messages/SM0.json", 404, 20404), ("Nothing.json", 404, 20404)])
def test_what_is_not_there_is_not_found(demo: Api, path: str, status: int, code: int) -> None:
    """With Twilio's error body."""
    answer = demo.get(path)
    more = f"https://www.twilio.com/docs/errors/{code}"
    assert answer.status_code == status
    assert (answer.json()["code"], answer.json()["status"], answer.json()["more_info"]) == (code, status, more)


@pytest.mark.parametrize("stream", [*CLASSIC, "accounts"])
def test_a_row_can_be_read_by_itself(demo: Api, stream: str) -> None:
    """It is the row that the list shows."""
    row = demo.twilio.present(stream, demo.twilio.main)[0]
    assert demo.get(row["uri"]).json() == row


def test_a_token_is_resolved_by_where_its_row_stands_now(api: Any) -> None:
    """A row that moved to the end of the list takes the rest of the walk along: nothing follows it."""
    it = api(Twilio(order="first", start="2026-01-10"))
    waiting = it.twilio.messages(4, status="queued", since="2026-01-09T00:00:00Z", until="2026-01-09T03:00:00Z")
    it.twilio.messages(3, since="2026-01-01", until="2026-01-03")
    page = it.get("Messages.json", PageSize=2).json()
    assert [m["sid"] for m in page["messages"]] == [waiting[3], waiting[2]]
    it.twilio.change(waiting[2], status="delivered", date_sent="2025-12-01T00:00:00Z")
    assert it.get(page["next_page_uri"]).json()["messages"] == []


@pytest.mark.parametrize("switch", ["taken", "refused", "empty"])
def test_a_token_of_a_deleted_row(api: Any, switch: str) -> None:
    """Goes on from where the row stood, or is refused, or ends the list: as `deleted_token` says."""
    it = api(Twilio(deleted_token=switch))
    sids = it.twilio.calls(5, since="2025-12-01", until="2025-12-05")[::-1]
    following = it.get("Calls.json", PageSize=2).json()["next_page_uri"]
    it.twilio.delete(sids[1])
    answer = it.get(following)
    assert answer.status_code == (400 if switch == "refused" else 200)
    if switch != "refused":
        assert [c["sid"] for c in answer.json()["calls"]] == (sids[2:4] if switch == "taken" else [])


def test_a_row_that_arrives_while_paging_shifts_nothing(api: Any) -> None:
    """The token names a row, not an offset."""
    it = api(Twilio())
    sids = it.twilio.transcriptions(6, since="2025-12-01", until="2025-12-05")[::-1]
    page = it.get("Transcriptions.json", PageSize=3).json()
    it.twilio.transcriptions(2)
    assert [t["sid"] for t in it.get(page["next_page_uri"]).json()["transcriptions"]] == sids[3:]


# Switches


@pytest.mark.parametrize("order", ["created", "first", "last", "updated"])
def test_the_order_of_a_list(api: Any, order: str) -> None:
    """By creation, by date with the undated rows first or last, or by change; it can change at any time."""
    it = api(Twilio(order=order, start="2026-02-01"))
    (late,) = it.twilio.messages(1, created="2026-01-02", date_sent="2026-01-20")  # scheduled for long
    (soon,) = it.twilio.messages(1, created="2026-01-03")
    (never,) = it.twilio.messages(1, created="2026-01-04", status="canceled")
    it.twilio.change(late, body="edited", date_updated="2026-01-30")
    it.twilio.change(soon, body="edited")
    expected = {
        "created": [never, soon, late],
        "first": [never, late, soon],
        "last": [late, soon, never],
        "updated": [soon, late, never],
    }
    assert it.sids("messages", PageSize=1) == expected[order]
    for other, sids in expected.items():
        it.twilio.order = other
        assert it.sids("messages", PageSize=2) == sids


def test_a_late_row_is_listed_later(api: Any) -> None:
    """Up to `late_hours` after its creation, and counts as listed only then."""
    it = api(Twilio(late_hours=6))
    sids = set(it.twilio.messages(40))
    seen = []
    for hours in (0, 2, 4, 7):
        it.twilio.at(timestamp("2026-01-01") + hours * 3600)
        seen.append(set(it.sids("messages")))
        assert seen[-1] == {row["sid"] for row in it.twilio.present("messages")}
    assert len(seen[0]) < len(seen[1]) < len(seen[2]) < len(seen[3])
    assert seen[3] == sids
    it.twilio.messages(10)
    assert len(it.twilio.truth("messages")) < 50


def test_some_rows_never_tell_when_they_were_updated(api: Any) -> None:
    """The part that `null_date_updated` says, and they keep silent when they change."""
    it = api(Twilio(null_date_updated=0.3))
    it.twilio.messages(400)
    silent = [row["sid"] for row in it.rows("messages") if row["date_updated"] is None]
    assert 80 < len(silent) < 160
    it.twilio.change(silent[0], body="")
    assert it.get(f"Messages/{silent[0]}.json").json()["date_updated"] is None


def test_filters_hide_rows_without_the_date_or_not(api: Any) -> None:
    """As `api_filter_hides_null` says, for messages never sent, calls never dialed and calls not ended."""
    it = api(Twilio(start="2026-01-20"))
    (sent,), (never,) = it.twilio.messages(1), it.twilio.messages(1, status="scheduled")
    (running,), (queued,) = it.twilio.calls(1, status="in-progress"), it.twilio.calls(1, status="queued")
    for hides in (True, False):
        it.twilio.api_filter_hides_null = hides
        assert set(it.sids("messages", DateSent__gt="2026-01-19")) == ({sent} if hides else {sent, never})
        assert set(it.sids("calls", StartTime__gt="2026-01-19")) == ({running} if hides else {running, queued})
        assert set(it.sids("calls", EndTime__gt="2026-01-19")) == (set() if hides else {running, queued})


@pytest.mark.parametrize("order", ["created", "first", "last"])
def test_a_bare_date_and_both_ends_of_a_span(api: Any, order: str) -> None:
    """`<` with a date is midnight at its start or end; bounds belong to the span or do not."""
    it = api(Twilio(order=order, start="2026-02-01"))
    days = [f"2026-01-0{d}T00:00:00Z" for d in (1, 2, 3, 4)]
    sids = [it.twilio.messages(1, created=day, date_sent=day)[0] for day in days]

    def numbers(**query: str) -> list[int]:
        return sorted(sids.index(sid) + 1 for sid in it.sids("messages", PageSize=1, **query))

    it.twilio.less_than_date_means = "start"
    assert numbers(DateSent__lt="2026-01-03") == [1, 2, 3]
    it.twilio.less_than_date_means = "end"
    assert numbers(DateSent__lt="2026-01-02") == [1, 2, 3]
    assert numbers(DateSent__gt=days[1], DateSent__lt=days[2]) == [2, 3]
    assert numbers(DateSent="2026-01-02") == [2]
    assert numbers(DateSent=days[1]) == [2]
    it.twilio.inclusive = False
    assert numbers(DateSent__gt=days[1], DateSent__lt=days[2]) == []
    assert numbers(DateSent__gt=days[0], DateSent__lt=days[3]) == [2, 3]


def test_messages_answer_no_date_filter_beyond_400_days(api: Any) -> None:
    """400 with code 20004, for a lower bound or an exact date; without a filter all rows are listed."""
    it = api(Twilio(start="2026-02-10"))
    (old,), (new,) = it.twilio.messages(1, created="2024-01-01"), it.twilio.messages(1)
    within, beyond = ((it.twilio.now - days * DAY).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (400, 401))
    assert it.sids("messages", DateSent__gt=within) == [new]
    for name in ("DateSent", "DateSent__gt"):
        answer = it.get("Messages.json", **{name: beyond})
        assert (answer.status_code, answer.json()["code"]) == (400, 20004)
    assert it.sids("messages", DateSent__lt="2026-02-11") == [new]
    assert it.sids("messages") == [new, old]
    assert it.get("Calls.json", StartTime__gt=beyond).status_code == 200


def test_conferences_without_status_are_those_in_progress(api: Any) -> None:
    """Unless the switch says all; dates filter on creation and on change."""
    it = api(Twilio(start="2026-02-10"))
    made = {status: it.twilio.conferences(1, status=status)[0] for status in ("init", "in-progress", "completed")}
    assert it.sids("conferences") == [made["in-progress"]]
    it.twilio.at("2026-02-20").change(made["in-progress"], status="completed")
    assert it.sids("conferences") == []
    assert it.sids("conferences", Status="completed", DateUpdated__gt="2026-02-19") == [made["in-progress"]]
    it.twilio.conference_default = "all"
    assert set(it.sids("conferences")) == set(made.values())


def test_equality_filters(api: Any) -> None:
    """By property, as each list takes them."""
    it = api(Twilio())
    (a,), (b,) = it.twilio.messages(1, to="+14155550001"), it.twilio.messages(1, from_="+14155550001")
    assert (it.sids("messages", To="+14155550001"), it.sids("messages", From="+14155550001")) == ([a], [b])
    (busy,) = it.twilio.calls(1, status="busy")
    (child,) = it.twilio.calls(1, parent_call_sid=busy)
    assert (it.sids("calls", Status="busy"), it.sids("calls", ParentCallSid=busy)) == ([busy], [child])
    (home,) = it.twilio.addresses(1, iso_country="NZ", emergency_enabled=True)
    it.twilio.addresses(1, emergency_enabled=False)
    assert it.sids("addresses", IsoCountry="NZ") == it.sids("addresses", EmergencyEnabled="true") == [home]


def test_more_requests_at_once_than_the_limit_are_refused(api: Any) -> None:
    """429, code 20429, per account; every answer says how many were under way."""
    it = api(Twilio(accounts=2, limit=2, latency=(0.3, 0.0), retry_after=3))
    main, other = (row["sid"] for row in it.twilio.present("accounts"))
    with ThreadPoolExecutor(6) as pool:
        paths = [f"/2010-04-01/Accounts/{account}/Calls.json" for account in [main] * 4 + [other] * 2]
        auth = (it.twilio.main, it.twilio.auth_token)
        answers = list(pool.map(lambda path: requests.get(it.server.url + path, auth=auth, timeout=5), paths))
    refused = [a for a in answers if a.status_code == 429]
    assert len(refused) == 2
    assert {(a.json()["code"], a.headers["Retry-After"]) for a in refused} == {(20429, "3")}
    assert sorted(int(a.headers["Twilio-Concurrent-Requests"]) for a in answers) == [1, 1, 2, 2, 3, 4]
    assert it.server.max_connections == 6


def test_a_page_takes_the_time_that_latency_says(api: Any) -> None:
    """A base, and something a row."""
    it = api(Twilio(latency=(0.05, 0.01)))
    it.twilio.messages(10)
    assert it.get("Messages.json").elapsed >= timedelta(seconds=0.15)


def test_bodies_are_compressed_for_those_who_accept_it(api: Any) -> None:
    """And not with the switch off."""
    it = api(Twilio())
    it.twilio.messages(3)
    assert it.get("Messages.json").headers["Content-Encoding"] == "gzip"
    it.twilio.gzip = False
    assert "Content-Encoding" not in it.get("Messages.json").headers


def test_an_unknown_switch_or_a_wrong_value_is_refused() -> None:
    """By name, as an attribute, and as text."""
    with pytest.raises(TypeError, match="odrer"):
        Twilio(odrer="first")
    with pytest.raises(ValueError, match="order is one of"):
        Twilio().order = "oldest"
    for name, value in (("odrer", "first"), ("limit", "many"), ("latency", "[1]"), ("inclusive", "3")):
        with pytest.raises(ValueError, match=name):
            Twilio().switch(name, value)
    twilio = Twilio()
    for name, value in (("inclusive", "False"), ("latency", "[0, 1]"), ("late_hours", "2"), ("faults", '{"503": 0.1}')):
        twilio.switch(name, value)
    assert (twilio.inclusive, twilio.latency, twilio.late_hours, twilio.faults) == (False, (0, 1), 2.0, {"503": 0.1})


# Voice Insights and feedback


def test_feedback_is_asked_call_by_call(api: Any) -> None:
    """404 until there is some; its SID is the call's; a change keeps the date of creation."""
    it = api(Twilio())
    (call,) = it.twilio.calls(1)
    assert it.get(f"Calls/{call}/Feedback.json").json()["code"] == 20404
    it.twilio.feedback(call, 2, ["imperfect-audio"])
    it.twilio.advance(1).feedback(call, 4)
    feedback = it.get(f"Calls/{call}/Feedback.json").json()
    assert feedback == {
        "account_sid": it.twilio.main,
        "date_created": "Thu, 01 Jan 2026 00:00:00 +0000",
        "date_updated": "Thu, 01 Jan 2026 01:00:00 +0000",
        "issues": [],
        "quality_score": 4,
        "sid": call,
    }
    assert it.twilio.truth("call_feedback") == [feedback]


def test_summaries_are_of_the_last_four_hours_and_partial_at_first(api: Any) -> None:
    """Unless asked otherwise; whole half an hour after the call's end; subaccounts are asked by name."""
    it = api(Twilio(accounts=2))
    sub = it.twilio.present("accounts")[1]["sid"]
    (call,), (other,) = it.twilio.calls(1), it.twilio.calls(1, sub)

    def listed(**query: str) -> list[str]:
        return [s["call_sid"] for s in it.get("/v1/Voice/Summaries", **query).json()["call_summaries"]]

    assert (listed(), listed(ProcessingState="partial"), listed(ProcessingState="all")) == ([], [call], [call])
    it.twilio.at("2026-01-01T00:31:00Z")
    assert (listed(), listed(Subaccount=sub), listed(ProcessingState="partial")) == ([call], [other], [])
    it.twilio.at("2026-01-01T05:00:00Z")
    assert (listed(), listed(StartTime="2025-12-31T00:00:00Z"), listed(StartTime="1d", EndTime="6h")) == (
        [],
        [call],
        [],
    )


def test_a_summary_carries_the_annotation_or_part_of_it(api: Any) -> None:
    """As `summary_annotation` says; the filter by score works all the same, and after 30 days nobody annotates."""
    it = api(Twilio())
    (call, _) = it.twilio.calls(2)
    it.twilio.at("2026-01-20").annotate(call, call_score=3, quality_issues=["echo"], comment="hm")
    expected: dict[str, Any] = {"part": {"call_score": 3, "quality_issues": ["echo"]}, "none": None}
    for switch in ("whole", "part", "none"):
        it.twilio.summary_annotation = switch
        (one,) = it.get("/v1/Voice/Summaries", StartTime="30d", CallScoreAnnotation="3").json()["call_summaries"]
        assert one["annotation"] == expected.get(switch, it.twilio.truth("annotations")[0])
        assert it.get("/v1/Voice/Summaries", StartTime="30d", CallScoreAnnotation="4").json()["call_summaries"] == []
    with pytest.raises(ValueError, match="30 days"):
        it.twilio.at("2026-02-20").annotate(call, call_score=1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_account_without_insights(api: Any, status: int) -> None:
    """Is told so in one of three ways."""
    it = api(Twilio(insights_available=False, insights_refusal=status))
    answer = it.get("/v1/Voice/Summaries", StartTime="1d")
    assert (answer.status_code, answer.json()["status"]) == (status, status)


# Who may read what


def test_the_main_token_reads_all_and_others_their_own(api: Any) -> None:
    """A subaccount's token reads itself, a Main key its own account and the list, a Standard key no account at all."""
    it = api(Twilio(accounts=2))
    main, sub = (row["sid"] for row in it.twilio.present("accounts"))
    token = it.twilio.present("accounts")[1]["auth_token"]
    readers = {
        "main token": ((main, it.twilio.auth_token), [200, 200, 200, 200]),
        "sub token": ((sub, token), [200, 401, 401, 200]),
        "main key": (it.twilio.add_key(kind="main"), [200, 200, 200, 401]),
        "standard key": (it.twilio.add_key(kind="standard"), [401, 401, 200, 401]),
        "sub's key": (it.twilio.add_key(sub), [200, 401, 401, 200]),
        "wrong token": ((main, "x"), [401] * 4),
        "nobody": (("", ""), [401] * 4),
    }
    paths = (
        "/2010-04-01/Accounts.json",
        f"/2010-04-01/Accounts/{main}.json",
        f"/2010-04-01/Accounts/{main}/Calls.json",
        f"/2010-04-01/Accounts/{sub}/Calls.json",
    )
    for name, (auth, expected) in readers.items():
        answers = [it.get(path, auth=auth) for path in paths]
        assert [a.status_code for a in answers] == expected, name
        assert {a.json()["code"] for a in answers if a.status_code == 401} <= {20003}
    assert [a["sid"] for a in it.get(paths[0], auth=(sub, token)).json()["accounts"]] == [sub]


def test_test_credentials_read_nothing(api: Any) -> None:
    """403, code 20008."""
    answer = api(Twilio(test_credentials=True)).get("Calls.json")
    assert (answer.status_code, answer.json()["code"]) == (403, 20008)


def test_a_closed_account_is_listed_but_refuses_and_then_vanishes(api: Any) -> None:
    """What it listed before counts as listed; what comes later does not."""
    it = api(Twilio(accounts=2))
    sub = it.twilio.present("accounts")[1]["sid"]
    (sid,) = it.twilio.messages(1, sub)
    assert [row["sid"] for row in it.rows("messages", sub)] == [sid]
    it.twilio.at("2026-01-02").close(sub)
    answer = it.get(f"/2010-04-01/Accounts/{sub}/Messages.json")
    assert (answer.status_code, answer.json()["code"]) == (401, 20005)
    it.twilio.at("2026-01-03").messages(1, sub)
    assert [row["sid"] for row in it.twilio.truth("messages")] == [sid]
    assert it.twilio.present("messages") == []
    assert [a["status"] for a in it.get("/2010-04-01/Accounts.json").json()["accounts"]] == ["active", "closed"]
    it.twilio.remove_account(sub)
    assert len(it.get("/2010-04-01/Accounts.json").json()["accounts"]) == 1
    assert it.get(f"/2010-04-01/Accounts/{sub}/Messages.json").json()["code"] == 20003


# Faults


def test_every_fault_is_seen_by_a_plain_client_and_the_next_request_is_well(api: Any) -> None:
    """Each kind, as its name says, once; and the log of requests says which."""
    it = api(Twilio(hang_seconds=0.5, trickle_seconds=0.3))
    it.twilio.messages(3)
    well = it.get("Messages.json").json()
    seen = {}
    for kind in KINDS:
        it.twilio.fail_next(kind, path_contains="Messages")
        assert it.get("Calls.json").status_code == 200
        seen[kind] = outcome(it)
        assert it.get("Messages.json").json() == well
    assert [r.fault for r in it.server.requests if r.fault] == list(KINDS)
    assert seen == {
        **{str(status): status for status in (429, 500, 502, 503, 504)},
        "reset": "ConnectionError",
        "cut": "ChunkedEncodingError",
        "hang": "ReadTimeout",
        "trickle": "ConnectionError",
        "broken": "JSONDecodeError",
        "error200": "an error's body",
        "redirect": 302,
        "misdated": "another time",
        "duplicate": "itself next",
        "circle": "itself next",  # being the first
        "foreign": "another host next",
        "keyless": "no rows",
        "hollow": "no rows yet",
    }


def outcome(it: Api) -> Any:
    """What a request for messages came to."""
    path = f"/2010-04-01/Accounts/{it.twilio.main}/Messages.json"
    try:
        auth = (it.twilio.main, it.twilio.auth_token)
        answer = requests.get(it.server.url + path, auth=auth, timeout=0.2, allow_redirects=False)
        if answer.status_code != 200:
            return answer.status_code
        if timestamp(answer.headers["Date"]) != timestamp(it.twilio.now):
            return "another time"
        body = answer.json()
    except requests.exceptions.RequestException as failure:
        return type(failure).__name__
    if "code" in body:
        return "an error's body"
    if "messages" not in body:
        return "no rows"
    if not body["messages"] and body["next_page_uri"]:
        return "no rows yet"
    if body["next_page_uri"] == body["uri"]:
        return "itself next"
    return "another host next" if urlsplit(body["next_page_uri"] or "").hostname == "localhost" else "all well"


def test_faults_of_pages_concern_insights_as_well(api: Any) -> None:
    """In the newer envelope."""
    it = api(Twilio())
    it.twilio.fail_next("foreign").fail_next("duplicate").fail_next("keyless")
    metas = [it.get("/v1/Voice/Summaries", StartTime="1d").json() for _ in range(3)]
    assert urlsplit(metas[0]["meta"]["next_page_url"]).hostname == "localhost"
    assert metas[1]["meta"]["next_page_url"] == metas[1]["meta"]["url"]
    assert list(metas[2]) == ["meta"]


def test_random_faults_come_at_their_rates_and_the_same_for_one_seed(api: Any) -> None:
    """Drawn from the seed, in the order of the requests."""
    runs = []
    for _ in range(2):
        it = api(Twilio(seed=3, faults={"503": 0.2, "429": 0.1}))
        runs.append([it.get("Calls.json").status_code for _ in range(150)])
    assert runs[0] == runs[1]
    assert 15 <= runs[0].count(503) <= 45
    assert 5 <= runs[0].count(429) <= 28
    with pytest.raises(ValueError, match="There is no fault"):
        it.twilio.fail_next("gremlins")


# Life, and one seed one history


def everything(twilio: Twilio) -> str:
    """All rows, as one text."""
    streams = (*CLASSIC, "accounts", "call_feedback", "annotations")
    return json.dumps([twilio.truth(stream) + twilio.present(stream) for stream in streams])


@pytest.mark.long
def test_one_seed_is_one_history() -> None:
    """Another seed is another; advancing alike leads to the same rows."""
    first, second, other = (Twilio.demo(seed) for seed in (1, 1, 2))
    assert everything(first) == everything(second) != everything(other)
    for twilio in (first, second):
        twilio.advance(3).advance(24).at("2026-04-05").advance(1)
    assert everything(first) == everything(second)
    assert len({row["sid"] for row in first.truth("messages")} & {row["sid"] for row in other.truth("messages")}) == 0


def test_life_goes_on_and_dates_every_change() -> None:
    """In a week, rows come, change and go, old ones too; what changed has a new date, and only that."""
    twilio = Twilio.demo(seed=5)
    twilio.silent_changes = False
    start = twilio.clock
    before = {stream: {r["sid"]: r for r in twilio.present(stream)} for stream in (*CLASSIC, "call_feedback")}
    twilio.advance(hours=24 * 7, busy=4)
    for stream, rows in before.items():
        after = {r["sid"]: r for r in twilio.truth(stream)}
        new, changed = set(after) - set(rows), [s for s in rows if after[s] != rows[s]]
        assert len(new) >= 1
        assert all(start < timestamp(after[sid]["date_updated"]) <= twilio.clock for sid in [*new, *changed])
        assert all(timestamp(after[sid]["date_updated"]) <= start for sid in rows if sid not in changed)
    then = before["messages"]
    after = {r["sid"]: r for r in twilio.truth("messages")}
    assert len(after) > len(twilio.present("messages"))
    was_and_is = [(then[sid], row) for sid, row in after.items() if sid in then]
    month_ago = start - 30 * 86400
    assert any(
        was["body"] and not row["body"] and timestamp(row["date_created"]) < month_ago for was, row in was_and_is
    )
    assert any(was["price"] is None and row["price"] for was, row in was_and_is)
    assert any((was["status"], row["status"]) == ("scheduled", "canceled") for was, row in was_and_is)


def test_rows_made_by_hand() -> None:
    """Made now or over a span, with the dates of their status; changes are dated, truth keeps the deleted."""
    twilio = Twilio(start="2026-03-01T09:00:00Z")
    late, *_ = twilio.messages(3, status="sent", body=lambda i: f"no. {i}")
    spread = twilio.messages(3, since="2026-02-01", until="2026-02-03", status="queued")
    rows = {row["sid"]: row for row in twilio.truth("messages")}
    assert [row["body"] for row in rows.values()][:3] == ["no. 0", "no. 1", "no. 2"]
    assert rows[late]["date_sent"] == rows[late]["date_created"] == "Sun, 01 Mar 2026 09:00:00 +0000"
    assert [rows[sid]["date_created"][5:7] for sid in spread] == ["01", "02", "03"]
    assert {rows[sid]["date_sent"] for sid in spread} == {None}
    twilio.at("2026-03-05T18:00:00Z").change(spread[0], status="delivered")
    changed = {row["sid"]: row for row in twilio.truth("messages")}[spread[0]]
    assert changed["date_sent"] == changed["date_updated"] == "Thu, 05 Mar 2026 18:00:00 +0000"
    twilio.delete(late)
    assert (len(twilio.truth("messages")), len(twilio.present("messages"))) == (6, 5)
    with pytest.raises(ValueError, match="messages have no colour"):
        twilio.change(late, colour="red")


def test_a_skewed_history_has_one_month_of_ten() -> None:
    """Ten times the rows of each other."""
    twilio = Twilio(start="2025-01-01").at("2025-12-27")
    twilio.bulk("messages", 6_000, "2025-01-01", "2025-12-27", skew=True)
    months = [
        (timestamp(row["date_created"]) - timestamp("2025-01-01")) // (30 * 86400) for row in twilio.truth("messages")
    ]
    counts = sorted(months.count(month) for month in range(12))
    assert 7 < counts[-1] / (sum(counts[:-1]) / 11) < 13


# The process


class Process:
    """`python -m sandbox`, until the block ends."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "sandbox", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.url = next(iter(re.findall(r"http://[^\s/]+", self.line)), "")

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.communicate(timeout=10) == ("", "")
        assert self.process.returncode == 0

    def post(self, path: str) -> Any:
        """What a control answers."""
        return requests.post(self.url + path, timeout=10).json()

    def get(self, path: str) -> Any:
        """What can be observed."""
        return requests.get(self.url + path, timeout=10).json()


@pytest.mark.long
def test_a_later_start_replays_the_advances_of_the_clock_file(tmp_path: Path) -> None:
    """Those of the command line and those over HTTP; and the ready line says where and who."""
    clock = str(tmp_path / "clock.json")
    with Process("--seed", "7", "--clock", clock, "--advance", "3") as first:
        assert re.fullmatch(
            r"sandbox: base_url=http://127\.0\.0\.1:\d+/\{product\}  "
            r"account_sid=AC[0-9a-f]{32}  auth_token=[0-9a-f]{32}\n",
            first.line,
        )
        assert first.post("/sandbox/advance?hours=24") == {"now": "2026-04-02T12:00:00Z"}
        rows = first.get("/sandbox/truth/messages")
    with Process("--clock", clock) as second:
        assert second.get("/sandbox/clock") == {"now": "2026-04-02T12:00:00Z"}
        assert second.get("/sandbox/truth/messages") == rows
    command = [sys.executable, "-m", "sandbox", "--clock", clock, "--seed", "8"]
    wrong = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (1, "", 1)


@pytest.mark.long
@pytest.mark.parametrize("times", [2, *long(6)])
def test_a_signal_ends_the_sandbox_while_clients_connect(times: int) -> None:
    """Whichever of its threads the system hands the signal to; several times, since that is left to chance."""
    for _ in range(times):
        with Process() as it, socket.create_connection(("127.0.0.1", int(it.url.rpartition(":")[2]))):
            it.process.send_signal(signal.SIGTERM)
            assert it.process.wait(timeout=10) == 0


@pytest.mark.long
def test_hundreds_of_advances_are_replayed_in_no_time() -> None:
    """Two weeks of hours on top of the demo, in well under two seconds."""
    twilio = Twilio.demo(seed=1)
    began = datetime.now(timezone.utc)
    for _ in range(336):
        twilio.advance(1)
    assert datetime.now(timezone.utc) - began < timedelta(seconds=2)


def test_the_command_line_serves_a_large_history_and_sets_switches() -> None:
    """Spread over accounts and days; the control steers and observes."""
    with Process("--messages", "500", "--calls", "20", "--accounts", "2", "--days", "30", "--order", "first") as it:
        assert len(it.get("/sandbox/present/messages")) == 500
        assert len({row["account_sid"] for row in it.get("/sandbox/truth/calls")}) == 2
        sid, token = re.findall(r"_(?:sid|token)=(\w+)", it.line)
        url = f"{it.url}/2010-04-01/Accounts/{sid}/Messages.json"
        with requests.Session() as session:
            session.auth = (sid, token)
            assert session.get(url, timeout=5).json()["messages"][0]["date_sent"] is None
            assert it.post("/sandbox/switch?order=last")["now"]
            assert session.get(url, timeout=5).json()["messages"][0]["date_sent"]
            it.post("/sandbox/fail?kind=503&times=1")
            assert session.get(url, timeout=5).status_code == 503
        counts = it.get("/sandbox/requests")
        assert (counts["total"], counts["by_kind"], counts["by_status"]) == (3, {"messages": 3}, {"200": 2, "503": 1})
        assert counts["max_connections"] >= 1
        it.post("/sandbox/requests/reset")
        assert it.get("/sandbox/requests")["total"] == 0
        assert "There is no switch" in it.post("/sandbox/switch?odrer=last")["error"]


def test_a_busy_port_is_one_line_and_not_a_traceback() -> None:
    """Exit code 1, and a way out."""
    with serve(Twilio()) as server:
        port = server.url.rpartition(":")[2]
        command = [sys.executable, "-m", "sandbox", "--messages", "1", "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert port in done.stderr
    assert "--port" in done.stderr


def test_stopping_does_not_wait_for_hanging_requests() -> None:
    """Nor for connections that clients keep open."""
    with requests.Session() as session:
        with serve(Twilio().fail_next("hang", path_contains="Calls")) as server:
            session.get(server.url + "/sandbox/clock", timeout=5)
            url = f"{server.url}/2010-04-01/Accounts/{server.twilio.main}/Calls.json"
            failures: list[str] = []

            def ask() -> None:
                try:
                    requests.get(url, timeout=20)
                except requests.exceptions.ConnectionError as failure:
                    failures.append(type(failure).__name__)

            thread = threading.Thread(target=ask)
            thread.start()
            while not server.requests:
                thread.join(0.01)
        thread.join(5)
    assert failures == ["ConnectionError"]
