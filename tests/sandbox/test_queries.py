"""Queries of the lists that the sandbox serves from facts: what is refused, what is filtered, how pages follow."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox import Twilio
from sandbox.catalog import fact
from testing.served import Api, demonstration, serving

OCTOBER = "2026-10-01T09:00:00Z"
api = pytest.fixture(serving)
demo = pytest.fixture(scope="module")(demonstration)


# Queries


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("recordings", {"Surprise": "1"}),
        ("recordings", {"IncludeSoftDeleted": "perhaps"}),
        ("recordings", {"DateCreated__gt": "soon"}),
        ("usage_records", {"StartDate": "2026-03-01T00:00:00Z"}),
        ("usage_records", {"EndDate": "2026-02-30"}),
        ("default_conversations", {"State": "asleep"}),
        ("default_conversations", {"PageSize": "0"}),
        ("default_conversations", {"PageSize": "many"}),
        ("default_conversations", {"Page": "2"}),
        ("default_conversations", {"PageToken": "PTnothing"}),
        ("alerts", {"StartDate": "yesterday"}),
    ],
)
def test_a_query_that_a_list_does_not_take_is_refused(demo: Api, name: str, query: dict[str, Any]) -> None:
    """An unknown parameter, a value out of its enumeration, a moment for a day, what is no boolean: 400, code 20001."""
    assert demo.status(name, **query) == (400, 20001)


def test_lists_made_by_hand_judge_the_values_that_they_know(demo: Api) -> None:
    """And refuse parameters that they do not know."""
    assert demo.status("calls", Status="asleep") == (400, 20001)
    assert demo.status("addresses", EmergencyEnabled="perhaps") == (400, 20001)
    assert demo.get("/insights/v1/Voice/Summaries", SortBy="length").json()["code"] == 20001
    assert demo.status("calls", Surprise="1") == (400, 20001)


def test_a_parameter_of_a_propertys_name_filters_on_it(demo: Api) -> None:
    """By equality, with any case of letters for booleans."""
    alerts = demo.rows("alerts", LogLevel="warning")
    assert len(alerts) == 1
    active = demo.rows("default_conversations", State="active")
    assert [row["state"] for row in active] == ["active"]
    call = demo.twilio.present("recordings", demo.twilio.main)[0]["call_sid"]
    assert [row["call_sid"] for row in demo.rows("recordings", CallSid=call)] == [call]


def test_date_filters_compare_what_their_lists_say(api: Any) -> None:
    """Alerts include both ends, executions only the first; recordings take < and >, usage takes days."""
    it = api(Twilio(start=OCTOBER))
    days = {"since": "2026-09-21T09:00:00Z", "until": OCTOBER}
    it.twilio.add("alerts", n=11, **days)
    (flow,) = it.twilio.add("studio_flows")
    it.twilio.add("studio_executions", parent=flow, n=11, **days)
    it.twilio.add("recordings", n=11, **days)
    it.twilio.add("usage_records", n=11, category="sms", **days)
    since, until = "2026-09-23T09:00:00Z", "2026-09-25T09:00:00Z"
    assert len(it.rows("alerts", StartDate=since, EndDate=until)) == 3
    assert len(it.rows("studio_executions", {"FlowSid": flow}, DateCreatedFrom=since, DateCreatedTo=until)) == 2
    assert len(it.rows("recordings", DateCreated__gt=since, DateCreated__lt=until)) == 3
    assert len(it.rows("recordings", DateCreated="2026-09-23")) == 1
    assert len(it.rows("recordings", DateCreated__gt="2026-09-23", DateCreated__lt="2026-09-25")) == 3
    assert len(it.rows("usage_records", StartDate="2026-09-23", EndDate="2026-09-25")) == 3
    assert len(it.rows("usage_records", StartDate="-2days")) == 3


@pytest.mark.long
def test_alerts_go_back_thirty_days_and_no_query_yields_more_than_ten_thousand(api: Any) -> None:
    """What is beyond is not listed, without a word."""
    it = api(Twilio(start=OCTOBER))
    it.twilio.add("alerts", n=10_050, since="2026-09-20T00:00:00Z")
    it.twilio.add("alerts", created="2026-08-30T00:00:00Z")
    assert len(it.twilio.present("alerts")) == 10_050
    rows = it.rows("alerts", PageSize=1000)
    assert len(rows) == 10_000
    assert rows[0]["date_generated"] == OCTOBER
    assert len(it.rows("alerts", PageSize=1000, EndDate="2026-09-21")) < 2_000


def test_usage_of_the_main_account_counts_that_of_its_subaccounts(api: Any) -> None:
    """Unless asked otherwise; a subaccount's is its own."""
    it = api(Twilio(start=OCTOBER, accounts=2))
    main, sub = (row["sid"] for row in it.twilio.present("accounts"))
    about: dict[str, Any] = {"category": "sms", "usage": "2", "price": "0.015"}
    it.twilio.add("usage_records", main, count="2", **about)
    it.twilio.add("usage_records", sub, count="5", **about)
    it.twilio.add("usage_records", sub, category="calls", count="1")
    both = {row["category"]: row for row in it.rows("usage_records")}
    assert {name: row["count"] for name, row in both.items()} == {"sms": "7", "calls": "1"}
    assert (both["sms"]["price"], both["calls"]["account_sid"]) == ("0.030", main)
    assert [row["count"] for row in it.rows("usage_records", IncludeSubaccounts="false")] == ["2"]
    own = it.get(it.path("usage_records", account=sub)).json()["usage_records"]
    assert sorted(row["count"] for row in own) == ["1", "5"]


# Pages and tokens


def test_the_next_page_is_at_twilios_host_or_at_the_one_that_was_asked(api: Any) -> None:
    """Absolute in the newer envelope, as `page_host` says; in the classic one it has neither host nor prefix."""
    it = api(Twilio(start=OCTOBER))
    for name in ("alerts", "recordings", "calls"):
        it.twilio.add(name, n=3, created="2026-09-30T00:00:00Z")
    it.twilio.at("2026-09-30T09:00:00Z")
    summaries = {"StartTime": "30d", "PageSize": 2, "ProcessingState": "all"}
    for host, product in (("twilio", r"https://(\w+)\.twilio\.com"), ("here", rf"{it.server.url}/?(\w+)?")):
        it.twilio.page_host = host
        url = it.get("/monitor/v1/Alerts", PageSize=2).json()["meta"]["next_page_url"]
        named = re.match(product + r"/v1/Alerts\?PageSize=2&PageToken=", url)
        assert named and named.group(1) == "monitor"
        for path in ("/insights/v1/Voice/Summaries", "/v1/Voice/Summaries"):
            url = it.get(path, **summaries).json()["meta"]["next_page_url"]
            named = re.match(product + r"/v1/Voice/Summaries\?", url)
            assert named and named.group(1) == ("insights" if host == "twilio" or "insights" in path else None)
        page = it.get(it.path("recordings"), PageSize=2).json()
        assert page["next_page_uri"].startswith(f"/2010-04-01/Accounts/{it.twilio.main}/Recordings.json?PageSize=2&")


def test_hosts_are_told_apart_by_the_first_segment(demo: Api) -> None:
    """Without it, a path is api's or insights'; the log of requests knows which product was asked for what."""
    demo.server.reset()
    paths = (
        f"/2010-04-01/Accounts/{demo.twilio.main}/Recordings.json",
        "/v1/Voice/Summaries",
        "/v1/Alerts",
        "/studio/v1/Alerts",
    )
    assert [demo.get(path).status_code for path in (*paths, "/monitor/v1/Alerts")] == [200, 200, 404, 404, 200]
    kinds = [(request.product, request.kind) for request in demo.server.requests]
    assert kinds == [
        ("", "recordings"), ("", "call_summaries"), ("", "other"), ("studio", "other"), ("monitor", "alerts"),
    ]  # fmt: skip


TOKENS = {
    "incoming_phone_numbers": r"PAPN[0-9a-f]{32}",
    "messaging_services": r"PTMG[0-9a-f]{32}",
    "default_conversation_messages": r"PT\d+",
    "usage_records": r"APMQ==",
    "pricing_voice_countries": r"DN[A-Z]{2}",
}


@pytest.mark.parametrize("name", TOKENS)
def test_what_a_page_token_names(api: Any, name: str) -> None:
    """A SID in some lists, an index, an offset or a country in others."""
    it = api(Twilio(start=OCTOBER))
    (first, *_) = it.twilio.add(name, n=5)
    place = dict(zip(fact(name).parameters, it.twilio.generic.items[first].parents))
    page = it.get(it.path(name, place), PageSize=2).json()
    following = page.get("next_page_uri") or page["meta"]["next_page_url"]
    assert re.fullmatch(TOKENS[name], parse_qs(urlsplit(following).query)["PageToken"][0])


def test_a_row_deleted_above_shifts_offsets_and_nothing_else(api: Any) -> None:
    """The next page of usage skips a row then; that of phone numbers does not."""
    it = api(Twilio(start=OCTOBER))
    skipped = {}
    for name in ("usage_records", "incoming_phone_numbers", "studio_flows"):
        handles = it.twilio.add(name, n=6)
        rows = it.rows(name)
        pages = it.pages(it.path(name), PageSize=2)
        seen = list(next(pages)[fact(name).rows])
        moves = {"as_of": None}  # the time of the request
        gone = next(h for h in handles if it.twilio.generic.items[h].data | moves == rows[0] | moves)
        it.twilio.delete(gone)
        for page in pages:
            seen += page[fact(name).rows]
        skipped[name] = len(rows) - len(seen)
    assert skipped == {"usage_records": 1, "incoming_phone_numbers": 0, "studio_flows": 0}


@pytest.mark.parametrize(("switch", "expected"), [("taken", (200, 2)), ("refused", (400, 0)), ("empty", (200, 0))])
def test_a_token_of_a_deleted_row(api: Any, switch: str, expected: tuple[int, int]) -> None:
    """As `deleted_token` says, in both envelopes."""
    it = api(Twilio(start=OCTOBER, deleted_token=switch))
    for name in ("incoming_phone_numbers", "studio_flows"):
        it.twilio.add(name, n=4)
        page = it.get(it.path(name), PageSize=2).json()
        following = page.get("next_page_uri") or page["meta"]["next_page_url"]
        it.twilio.delete(page[fact(name).rows][-1]["sid"])
        answer = it.get(f"/api{following}" if following.startswith("/") else following)
        assert (answer.status_code, len(answer.json().get(fact(name).rows, []))) == expected


def test_pages_lead_back_as_well(api: Any) -> None:
    """`previous_page_url` leads to the rows before."""
    it = api(Twilio(start=OCTOBER))
    it.twilio.add("studio_flows", n=5)
    first = it.get("/studio/v2/Flows", PageSize=2).json()
    second = it.get(first["meta"]["next_page_url"]).json()
    assert it.get(second["meta"]["previous_page_url"]).json()["flows"] == first["flows"]
    assert first["meta"]["previous_page_url"] is None


def test_a_page_is_never_larger_than_the_lists_largest(api: Any) -> None:
    """It is cut, or refused if the switch says so."""
    it = api(Twilio(start=OCTOBER))
    it.twilio.add("default_conversations", n=120)
    assert it.get("/conversations/v1/Conversations", PageSize=1000).json()["meta"]["page_size"] == 100
    assert len(it.rows("default_conversations", PageSize=1000)) == 120
    it.twilio.large_pages = "refused"
    assert it.status("default_conversations", PageSize=101) == (400, 20001)
    assert it.status("default_conversations", PageSize=100)[0] == 200


def test_conversation_messages_come_by_index_either_way(api: Any) -> None:
    """Ascending unless asked; a message that arrives while paging comes at the end."""
    it = api(Twilio(start=OCTOBER))
    (talk,) = it.twilio.add("default_conversations")
    it.twilio.add("default_conversation_messages", parent=talk, n=5)
    values = {"ConversationSid": talk}
    assert [row["index"] for row in it.rows("default_conversation_messages", values, PageSize=2)] == [0, 1, 2, 3, 4]
    assert [row["index"] for row in it.rows("default_conversation_messages", values, PageSize=2, Order="desc")] == [
        4,
        3,
        2,
        1,
        0,
    ]


def test_faults_of_pages_come_in_every_envelope(api: Any) -> None:
    """Itself as the next page, another host, no rows."""
    it = api(Twilio(start=OCTOBER))
    it.twilio.add("studio_flows", n=3)
    bodies = []
    for kind in ("duplicate", "foreign", "keyless"):
        it.twilio.fail_next(kind, path_contains="/studio/v2")
        bodies.append(it.get("/studio/v2/Flows", PageSize=2).json())
    assert bodies[0]["meta"]["next_page_url"] == bodies[0]["meta"]["url"]
    assert urlsplit(bodies[1]["meta"]["next_page_url"]).hostname == "localhost"
    assert list(bodies[2]) == ["meta"]
