"""
The sandbox serves every list of Twilio's OpenAPI documents, from the facts in `sandbox/facts`.

Twilio's own client reads them, rows are as the facts have them, and queries are judged. All through real sockets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from sandbox import Server, Twilio, serve
from sandbox.catalog import Fact, fact, facts
from sandbox.generic import HANDMADE
from sandbox.moments import moment

GENERIC = [one for name, one in facts().items() if name not in HANDMADE]
DAY = 86400
OCTOBER = "2026-10-01T09:00:00Z"


class Api:
    """A plain HTTP client of one running sandbox, which puts the product before the path."""

    def __init__(self, server: Server, session: requests.Session) -> None:
        self.server, self.twilio, self.session = server, server.twilio, session
        session.auth = (self.twilio.main, self.twilio.auth_token)

    def get(self, path: str, auth: Any = None, **query: Any) -> requests.Response:
        """`X__gt` in the query is `X>`; a path that begins with http is an address as given."""
        params = {name.replace("__gt", ">").replace("__lt", "<"): value for name, value in query.items()}
        url = path if path.startswith("http") else self.server.url + path
        return self.session.get(url, params=params, auth=auth, timeout=10)

    def path(self, name: str, values: dict[str, Any] | None = None, account: str = "") -> str:
        """Of a list, or of a list below a parent."""
        one = fact(name)
        filled = one.fill(one.path, {"AccountSid": account or self.twilio.main} | (values or {}))
        return f"/{one.product}{filled}"

    def pages(self, path: str, auth: Any = None, **query: Any) -> Iterator[dict[str, Any]]:
        """The bodies of all pages."""
        product = path.split("/")[1]
        answer = self.get(path, auth, **query)
        while True:
            assert answer.status_code == 200, answer.text
            yield answer.json()
            following = answer.json().get("next_page_uri") or answer.json().get("meta", {}).get("next_page_url")
            if not following:
                return
            answer = self.get(f"/{product}{following}" if following.startswith("/") else following, auth)

    def rows(self, name: str, values: dict[str, Any] | None = None, auth: Any = None, **query: Any) -> list[Any]:
        """All rows of a list."""
        rows: list[Any] = []
        for page in self.pages(self.path(name, values), auth, **query):
            rows += page[fact(name).rows]
        return rows

    def status(
        self, name: str, values: dict[str, Any] | None = None, auth: Any = None, **query: Any
    ) -> tuple[int, int]:
        """HTTP status and code of a refusal."""
        answer = self.get(self.path(name, values), auth, **query)
        return answer.status_code, answer.json().get("code", 0)


@pytest.fixture
def api() -> Iterator[Callable[[Twilio], Api]]:
    """Serves a simulated Twilio until the test ends."""
    with ExitStack() as stack:

        def start(twilio: Twilio) -> Api:
            server = stack.enter_context(serve(twilio))
            return Api(server, stack.enter_context(requests.Session()))

        yield start


@pytest.fixture(scope="module")
def demo() -> Iterator[Api]:
    """The demo, for tests that only read it."""
    with serve(Twilio.demo(seed=7)) as server, requests.Session() as session:
        yield Api(server, session)


class Rewriting(TwilioHttpClient):
    """Twilio's own HTTP client: the first label of the host becomes the first segment of the path."""

    def __init__(self, url: str) -> None:
        super().__init__(pool_connections=True, timeout=5)
        self.url = url

    def request(self, method: str, uri: str, *args: Any, **kwargs: Any) -> Any:
        parts = urlsplit(uri)
        product = f"/{parts.netloc.partition('.')[0]}" if parts.netloc.endswith(".twilio.com") else ""
        url = f"{self.url}{product}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return super().request(method, url, *args, **kwargs)


@pytest.fixture(scope="module")
def client(demo: Api) -> Iterator[Client]:
    """The official client, with the demo's credentials."""
    http = Rewriting(demo.server.url)
    yield Client(demo.twilio.main, demo.twilio.auth_token, http_client=http)
    http.session.close()


def place_of(one: Fact, values: dict[str, Any]) -> dict[str, Any]:
    """Path values under the names of parameters."""
    return {name: values[re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()] for name in one.parameters}


# Twilio's own client

LISTS: dict[str, Callable[[Client], Any]] = {
    "incoming_phone_numbers": lambda c: c.incoming_phone_numbers,
    "outgoing_caller_ids": lambda c: c.outgoing_caller_ids,
    "messaging_services": lambda c: c.messaging.v1.services,
    "alerts": lambda c: c.monitor.v1.alerts,
    "conversations": lambda c: c.conversations.v1.conversations,
    "studio_flows": lambda c: c.studio.v2.flows,
    "pricing_voice_countries": lambda c: c.pricing.v2.voice.countries,
    "pricing_voice_countries_v1": lambda c: c.pricing.v1.voice.countries,
}


@pytest.mark.parametrize("name", LISTS)
def test_the_official_client_pages_through_a_list(demo: Api, client: Client, name: str) -> None:
    """Each row once, the same that are there; what is a date to Twilio's client is one."""
    read = list(LISTS[name](client).stream(page_size=2))
    there = demo.twilio.present(name, demo.twilio.main)
    key = fact(name).key
    assert len(read) >= 1
    assert sorted(getattr(row, key) for row in read) == sorted(row[key] for row in there)
    assert all(row.date_created.tzinfo for row in read if hasattr(row, "date_created"))


def test_the_official_client_reads_usage_page_by_page(demo: Api, client: Client) -> None:
    """Days between two dates, the main account's alone and with those of its subaccounts."""
    bounds: dict[str, Any] = {"start_date": "2026-03-30", "end_date": "2026-03-31", "page_size": 2}
    own = client.usage.records.daily.list(include_subaccounts=False, **bounds)
    both = client.usage.records.daily.list(**bounds)
    there = [
        r
        for r in demo.twilio.present("usage_records", demo.twilio.main)
        if "2026-03-30" <= r["start_date"] <= "2026-03-31"
    ]
    assert sorted((r.category, str(r.start_date), r.count) for r in own) == sorted(
        (r["category"], r["start_date"], r["count"]) for r in there
    )
    assert [int(r.count) for r in both] == [2 * int(r.count) for r in own]


def test_the_official_client_reads_recordings_with_and_without_the_deleted(demo: Api, client: Client) -> None:
    """Deleted ones are listed for those who ask."""
    there = demo.twilio.present("recordings", demo.twilio.main)
    kept = [r.sid for r in client.recordings.stream(page_size=3)]
    everything = [r.sid for r in client.recordings.stream(include_soft_deleted=True, page_size=3)]
    assert sorted(everything) == sorted(r["sid"] for r in there)
    assert sorted(kept) == sorted(r["sid"] for r in there if r["status"] != "deleted")
    assert 0 < len(kept) < len(everything)


def test_the_official_client_reads_what_lies_below_other_rows(demo: Api, client: Client) -> None:
    """Participants of conferences, media of messages, messages of conversations, executions and their steps."""
    present = {name: demo.twilio.present_at(name, demo.twilio.main) for name in BELOW}
    read: dict[str, list[tuple[str, ...]]] = {name: [] for name in BELOW}
    for conference in client.conferences.stream(status="in-progress"):
        rows = client.conferences(conference.sid).participants.stream(page_size=1)
        read["conference_participants"] += [(conference.sid, row.call_sid) for row in rows]
    for message in client.messages.stream():
        if message.num_media != "0":
            rows = client.messages(message.sid).media.stream(page_size=1)
            read["message_media"] += [(message.sid, row.sid) for row in rows]
    for talk in client.conversations.v1.conversations.stream():
        rows = client.conversations.v1.conversations(talk.sid).messages.stream(page_size=2)
        read["conversation_messages"] += [(talk.sid, row.sid) for row in rows]
    for flow in client.studio.v2.flows.stream():
        for run in client.studio.v2.flows(flow.sid).executions.stream(page_size=3):
            read["studio_executions"].append((flow.sid, run.sid))
            steps = client.studio.v2.flows(flow.sid).executions(run.sid).steps.stream(page_size=2)
            read["studio_execution_steps"] += [(flow.sid, run.sid, step.sid) for step in steps]
    for name, names in BELOW.items():
        there = [tuple((values | row)[n] for n in names) for values, row in present[name]]
        assert len(there) >= 1
        assert sorted(read[name]) == sorted(there), name


BELOW = {
    "conference_participants": ("conference_sid", "call_sid"),
    "message_media": ("message_sid", "sid"),
    "conversation_messages": ("conversation_sid", "sid"),
    "studio_executions": ("flow_sid", "sid"),
    "studio_execution_steps": ("flow_sid", "execution_sid", "sid"),
}


def test_the_official_client_reads_what_has_no_pages(demo: Api, client: Client) -> None:
    """The balance, the countries that sell numbers, and the prices of one country."""
    assert client.balance.fetch().balance == demo.twilio.present("account_balance", demo.twilio.main)[0]["balance"]
    countries = [row.country_code for row in client.available_phone_numbers.list()]
    assert sorted(countries) == sorted(
        row["country_code"] for row in demo.twilio.present("available_phone_number_countries", demo.twilio.main)
    )
    prices = client.pricing.v2.voice.countries("DE").fetch()
    assert (prices.country, prices.iso_country) == ("Germany", "DE")
    assert prices.outbound_prefix_prices


# The OpenAPI documents

TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "number": (int, float)}
FORMATS = {
    "date-time-rfc-2822": r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "date": r"\d{4}-\d\d-\d\d",
}
# Where the published rows are not as the documents say: numbers as text, and what is null, empty or of another kind.
NUMBERS_AS_TEXT = {"price", "latitude", "longitude", "match_probability", "predicted_probability", "data_total_billed"}
NULL_ALL_THE_SAME = {"reason_conference_ended", "identity_status", "inbound_resource_status", "reset_status"}
OF_ANOTHER_KIND = {
    "trunk_sid", "sms_application_sid", "voice_application_sid", "plugin_version_sid", "brand_vetting_sid", "codec",
}  # fmt: skip
LATER_ADDED = {"edge", "privacy_policy_url", "terms_and_conditions_url"}


def misfits(one: Fact, row: dict[str, Any]) -> list[str]:
    """What in a row is not as the facts have it."""
    wrong = sorted(set(row) ^ set(one.properties))
    for name, facts_of in one.properties.items():
        value, kind = row.get(name), facts_of.get("type")
        if value is None or name in wrong:
            fits = name in wrong or facts_of.get("nullable", False)
        else:
            fits = isinstance(value, TYPES.get(kind, object)) and value in facts_of.get("enum", [value])
            pattern = facts_of.get("pattern") or FORMATS.get(facts_of.get("format", ""))
            fits = fits and (pattern is None or re.fullmatch(pattern, str(value)) is not None)
        wrong += [] if fits else [name]
    return wrong


@pytest.mark.parametrize("one", facts().values(), ids=lambda one: one.name)
def test_what_twilio_published_is_as_the_facts_have_it(one: Fact) -> None:
    """Each list has a published row; where one strays from the documents, it does so in one of the known ways."""
    known = NUMBERS_AS_TEXT | NULL_ALL_THE_SAME | OF_ANOTHER_KIND | LATER_ADDED
    assert len(one.published) >= 1
    assert {name for row in one.published for name in misfits(one, row)} <= known


@pytest.mark.parametrize("product", sorted({one.product for one in GENERIC}))
def test_rows_that_are_made_are_like_those_published(product: str) -> None:
    """They have the same properties, dates of the sandbox's clock, and keys and SIDs that no other row has."""
    twilio = Twilio(start=OCTOBER)
    known = NUMBERS_AS_TEXT | NULL_ALL_THE_SAME | OF_ANOTHER_KIND | LATER_ADDED
    for one in (one for one in GENERIC if one.product == product):
        handles = twilio.add(one.name, n=3)
        rows = [twilio.generic.items[handle].data for handle in handles]
        assert {name for row in rows for name in misfits(one, row)} <= known, one.name
        assert all(moment(row["date_created"]) == twilio.clock for row in rows if row.get("date_created")), one.name
        assert all(row.get("account_sid", twilio.main) == twilio.main for row in rows if not one.of_everybody)
        if one.key and one.name != "us_app_to_person":  # Twilio gives all of those one SID
            assert len({row[one.key] for row in rows}) == 3, one.name


ALL_TIME = {
    "serverless_logs": {"StartDate": "2000-01-01T00:00:00Z"},
    "taskrouter_events": {"StartDate": "2000-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("product", sorted({one.product for one in GENERIC}))
def test_every_list_is_served_page_by_page_in_its_envelope(api: Any, product: str) -> None:
    """Two rows a page, made and published ones, each once, and the same as by themselves."""
    it = api(Twilio(start="2016-01-01"))
    for one in (one for one in GENERIC if one.product == product):
        (first, *_) = it.twilio.add(one.name, n=3)
        item = it.twilio.generic.items[first]
        place = dict(zip(one.parameters, item.place))
        if one.envelope == "single":
            assert it.get(it.path(one.name, place)).json() == it.twilio.present(one.name)[-1]
            continue
        it.twilio.add_published(one.name, parent=place or None)
        fixed = {"IncludeSoftDeleted": "true"} if "IncludeSoftDeleted" in one.query else {}
        pages = list(it.pages(it.path(one.name, place), PageSize=2, **fixed, **ALL_TIME.get(one.name, {})))
        rows = [row for page in pages for row in page[one.rows]]
        there = [row for values, row in it.twilio.present_at(one.name) if values == item.path_values]
        assert sorted(map(repr, rows)) == sorted(map(repr, there)), one.name
        assert len(pages) == (1 if one.envelope == "none" else -(-len(there) // 2)), one.name
        if one.envelope == "meta":
            assert {page["meta"]["key"] for page in pages} == {one.rows}
        if one.one and one.name != "us_app_to_person":
            last = one.one.removesuffix(".json").rpartition("/")[2][1:-1]
            for row in rows:
                values = {"AccountSid": it.twilio.main, **place, last: quote(str(row[one.key]), safe="")}
                assert it.get(f"/{product}{one.fill(one.one, values)}").json() == row, one.name


@pytest.mark.parametrize("product", sorted({one.product for one in GENERIC}))
def test_what_twilio_published_comes_out_as_it_went_in(api: Any, product: str) -> None:
    """Every value but the account, the parents, and a key that is there already."""
    it = api(Twilio(start="2015-08-10"))  # within the thirty days of the published alert
    for one in (one for one in GENERIC if one.product == product and one.envelope != "single"):
        handles = it.twilio.add_published(one.name)
        place = dict(zip(one.parameters, it.twilio.generic.items[handles[0]].place))
        fixed = {"IncludeSoftDeleted": "true"} if "IncludeSoftDeleted" in one.query else {}
        listed = {repr(r) for r in it.rows(one.name, place, **fixed, **ALL_TIME.get(one.name, {}))}
        own = {"account_sid", "parent_sid", "index", one.key, *(one.property_of(p) for p in one.parameters)}
        own |= {re.sub(r"(?<!^)(?=[A-Z])", "_", p).lower() for p in one.parameters}
        for handle, published in zip(handles, one.published):
            row = it.twilio.generic.items[handle].data
            assert repr(row) in listed
            assert {n: v for n, v in row.items() if n not in own} == {
                n: v for n, v in published.items() if n not in own
            }


# Queries


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("recordings", {"Surprise": "1"}),
        ("recordings", {"IncludeSoftDeleted": "perhaps"}),
        ("recordings", {"DateCreated__gt": "soon"}),
        ("usage_records", {"StartDate": "2026-03-01T00:00:00Z"}),
        ("usage_records", {"EndDate": "2026-02-30"}),
        ("conversations", {"State": "asleep"}),
        ("conversations", {"PageSize": "0"}),
        ("conversations", {"PageSize": "many"}),
        ("conversations", {"Page": "2"}),
        ("conversations", {"PageToken": "PTnothing"}),
        ("alerts", {"StartDate": "yesterday"}),
    ],
)
def test_a_query_that_a_list_does_not_take_is_refused(demo: Api, name: str, query: dict[str, Any]) -> None:
    """An unknown parameter, a value out of its enumeration, a moment for a day, what is no boolean: 400, code 20001."""
    assert demo.status(name, **query) == (400, 20001)


def test_lists_made_by_hand_judge_the_values_that_they_know(demo: Api) -> None:
    """Unknown parameters are ignored there, and noted."""
    assert demo.status("calls", Status="asleep") == (400, 20001)
    assert demo.status("addresses", EmergencyEnabled="perhaps") == (400, 20001)
    assert demo.get("/insights/v1/Voice/Summaries", SortBy="length").json()["code"] == 20001
    assert demo.status("calls", Surprise="1")[0] == 200


def test_a_parameter_of_a_propertys_name_filters_on_it(demo: Api) -> None:
    """By equality, with any case of letters for booleans."""
    alerts = demo.rows("alerts", LogLevel="warning")
    assert len(alerts) == 1
    active = demo.rows("conversations", State="active")
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


def test_the_next_page_is_at_the_host_and_prefix_that_were_asked(demo: Api) -> None:
    """Absolute in the newer envelope; in the classic one it has neither host nor prefix, as at Twilio."""
    page = demo.get("/monitor/v1/Alerts", PageSize=2).json()
    assert page["meta"]["next_page_url"].startswith(f"{demo.server.url}/monitor/v1/Alerts?PageSize=2&Page=1&PageToken=")
    page = demo.get(demo.path("recordings"), PageSize=2).json()
    assert page["next_page_uri"].startswith(
        f"/2010-04-01/Accounts/{demo.twilio.main}/Recordings.json?PageSize=2&Page=1"
    )
    prefixed = demo.get("/insights/v1/Voice/Summaries", StartTime="30d", PageSize=2).json()["meta"]
    assert prefixed["next_page_url"].startswith(f"{demo.server.url}/insights/v1/Voice/Summaries?")
    plain = demo.get("/v1/Voice/Summaries", StartTime="30d", PageSize=2).json()["meta"]
    assert plain["next_page_url"].startswith(f"{demo.server.url}/v1/Voice/Summaries?")


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
    "conversation_messages": r"PT\d+",
    "usage_records": r"APMg==",
    "pricing_voice_countries": r"DN[A-Z]{2}",
}


@pytest.mark.parametrize("name", TOKENS)
def test_what_a_page_token_names(api: Any, name: str) -> None:
    """A SID in some lists, an index, an offset or a country in others."""
    it = api(Twilio(start=OCTOBER))
    (first, *_) = it.twilio.add(name, n=5)
    place = dict(zip(fact(name).parameters, it.twilio.generic.items[first].place))
    page = it.get(it.path(name, place), PageSize=2).json()
    following = page.get("next_page_uri") or page["meta"]["next_page_url"]
    assert re.fullmatch(TOKENS[name], requests.utils.unquote(following.rpartition("PageToken=")[2]))


def test_a_row_deleted_above_shifts_offsets_and_nothing_else(api: Any) -> None:
    """The next page of usage skips a row then; that of phone numbers does not."""
    it = api(Twilio(start=OCTOBER))
    skipped = {}
    for name in ("usage_records", "incoming_phone_numbers", "studio_flows"):
        handles = it.twilio.add(name, n=6)
        rows = it.rows(name)
        pages = it.pages(it.path(name), PageSize=2)
        seen = list(next(pages)[fact(name).rows])
        gone = next(h for h in handles if it.twilio.generic.items[h].data == rows[0])
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
    it.twilio.add("conversations", n=120)
    assert it.get("/conversations/v1/Conversations", PageSize=1000).json()["meta"]["page_size"] == 100
    assert len(it.rows("conversations", PageSize=1000)) == 120
    it.twilio.large_pages = "refused"
    assert it.status("conversations", PageSize=101) == (400, 20001)
    assert it.status("conversations", PageSize=100)[0] == 200


def test_conversation_messages_come_by_index_either_way(api: Any) -> None:
    """Ascending unless asked; a message that arrives while paging comes at the end."""
    it = api(Twilio(start=OCTOBER))
    (talk,) = it.twilio.add("conversations")
    it.twilio.add("conversation_messages", parent=talk, n=5)
    values = {"ConversationSid": talk}
    assert [row["index"] for row in it.rows("conversation_messages", values, PageSize=2)] == [0, 1, 2, 3, 4]
    assert [row["index"] for row in it.rows("conversation_messages", values, PageSize=2, Order="desc")] == [
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


# Who may read what


def test_a_products_host_reads_the_account_of_the_credentials(api: Any) -> None:
    """The main token sees the main account's rows there, and nothing says so; subaccounts have tokens of their own."""
    it = api(Twilio(start=OCTOBER, accounts=2))
    main, sub = it.twilio.present("accounts")
    own, other = (it.twilio.add("studio_flows", account["sid"])[0] for account in (main, sub))
    as_sub = (sub["sid"], sub["auth_token"])
    assert [row["sid"] for row in it.rows("studio_flows")] == [own]
    assert [row["sid"] for row in it.rows("studio_flows", auth=as_sub)] == [other]
    assert [row["sid"] for row in it.rows("studio_flows", auth=it.twilio.add_key(sub["sid"]))] == [other]
    assert it.get(f"/studio/v2/Flows/{other}").json()["code"] == 20404
    assert it.get("/studio/v2/Flows", auth=("AC0", "x")).json()["code"] == 20003
    it.twilio.close(sub["sid"])
    assert it.get("/studio/v2/Flows", auth=as_sub).json()["code"] == 20005
    assert [row["sid"] for row in it.twilio.present("studio_flows")] == [own]


def test_below_the_api_host_the_main_token_reads_all_accounts(api: Any) -> None:
    """And a subaccount's token its own."""
    it = api(Twilio(start=OCTOBER, accounts=2))
    sub = it.twilio.present("accounts")[1]
    (number,) = it.twilio.add("incoming_phone_numbers", sub["sid"])
    path = it.path("incoming_phone_numbers", account=sub["sid"])
    for auth in (None, (sub["sid"], sub["auth_token"])):
        assert [row["sid"] for row in it.get(path, auth).json()["incoming_phone_numbers"]] == [number]
    assert it.status("incoming_phone_numbers", auth=(sub["sid"], sub["auth_token"])) == (401, 20003)


def test_what_everybody_sees_is_the_same_for_all(api: Any) -> None:
    """Prices do not belong to an account."""
    it = api(Twilio(start=OCTOBER, accounts=2))
    sub = it.twilio.present("accounts")[1]
    it.twilio.add("pricing_voice_countries", n=3)
    as_sub = (sub["sid"], sub["auth_token"])
    assert it.rows("pricing_voice_countries") == it.rows("pricing_voice_countries", auth=as_sub)
    assert it.twilio.present_at("pricing_voice_countries")[0][0] == {}


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_product_that_the_account_has_not_got(api: Any, status: int) -> None:
    """Refuses each request, and only that product's."""
    it = api(Twilio(start=OCTOBER, absent_products={"studio": status}))
    assert [it.get(path).status_code for path in ("/studio/v2/Flows", "/monitor/v1/Alerts")] == [status, 200]
    it.twilio.switch("absent_products", '{"insights": 404}')
    assert [it.get(path).status_code for path in ("/studio/v2/Flows", "/v1/Voice/Summaries")] == [200, 404]


# Parents


def test_below_a_parent_that_is_not_there_nothing_is(api: Any) -> None:
    """404, code 20404: of no such parent, of another account's, and of one deleted, at any distance."""
    it = api(Twilio(start=OCTOBER, accounts=2))
    sub = it.twilio.present("accounts")[1]["sid"]
    (flow,), (others,) = it.twilio.add("studio_flows"), it.twilio.add("studio_flows", sub)
    (run,) = it.twilio.add("studio_executions", parent=flow)
    (step,) = it.twilio.add("studio_execution_steps", parent=run)
    below = {"FlowSid": flow, "ExecutionSid": run}
    assert [row["sid"] for row in it.rows("studio_execution_steps", below)] == [step]
    assert it.twilio.present_at("studio_execution_steps")[0][0] == {
        "account_sid": it.twilio.main, "flow_sid": flow, "execution_sid": run,
    }  # fmt: skip
    assert it.status("studio_executions", {"FlowSid": others}) == (404, 20404)
    assert it.status("studio_execution_steps", below | {"ExecutionSid": "FN0"}) == (404, 20404)
    it.twilio.delete(flow)
    assert it.status("studio_execution_steps", below) == (404, 20404)
    assert (it.twilio.present("studio_execution_steps"), len(it.twilio.truth("studio_execution_steps"))) == ([], 1)


def test_media_hang_below_messages_made_by_hand(api: Any) -> None:
    """Listed with the message, and gone with it."""
    it = api(Twilio(start=OCTOBER))
    (message,) = it.twilio.messages(1, num_media="2")
    media = it.twilio.add("message_media", parent=message, n=2)
    rows = it.rows("message_media", {"MessageSid": message})
    assert sorted(row["sid"] for row in rows) == sorted(media)
    assert {row["parent_sid"] for row in rows} == {message}
    it.twilio.delete(message)
    assert it.status("message_media", {"MessageSid": message}) == (404, 20404)


def test_participants_are_listed_while_their_conference_goes_on(api: Any) -> None:
    """Afterwards the list is empty."""
    it = api(Twilio(start=OCTOBER))
    (conference,) = it.twilio.conferences(1, status="in-progress")
    it.twilio.add("conference_participants", parent=conference, n=2)
    values = {"ConferenceSid": conference}
    assert len(it.rows("conference_participants", values)) == len(it.twilio.present("conference_participants")) == 2
    it.twilio.change(conference, status="completed")
    assert it.rows("conference_participants", values) == it.twilio.present("conference_participants") == []
    assert len(it.twilio.truth("conference_participants")) == 2


def test_a_parent_is_found_or_made(api: Any) -> None:
    """So that a test that needs none says nothing of it."""
    twilio = Twilio(start=OCTOBER)
    twilio.add("studio_execution_steps", n=2)
    assert [len(twilio.present(name)) for name in ("studio_flows", "studio_executions")] == [1, 1]
    twilio.add("studio_executions", parent={"flow_sid": twilio.present("studio_flows")[0]["sid"]})
    assert len(twilio.present("studio_executions")) == 2
    with pytest.raises(ValueError, match="want FlowSid"):
        twilio.add("studio_executions", parent={"sid": "FW0"})
    with pytest.raises(ValueError, match="studio_flows have no colour"):
        twilio.add("studio_flows", colour="red")
    with pytest.raises(ValueError, match="no list of Twilio"):
        twilio.add("gremlins")


# Changes


def test_a_change_is_dated_unless_it_is_silent(api: Any) -> None:
    """In the form that the list writes dates in; a soft-deleted recording is gone after 40 days."""
    it = api(Twilio(start=OCTOBER))
    (flow,), (recording,) = it.twilio.add("studio_flows"), it.twilio.add("recordings")
    it.twilio.at("2026-10-02T10:00:00Z")
    it.twilio.change(flow, friendly_name="New", silently=True)
    it.twilio.change(recording, status="deleted")
    assert it.rows("studio_flows")[0]["date_updated"] == OCTOBER
    it.twilio.change(flow, friendly_name="Newer")
    assert it.rows("studio_flows")[0]["date_updated"] == "2026-10-02T10:00:00Z"
    (row,) = it.rows("recordings", IncludeSoftDeleted="true")
    assert row["date_updated"] == "Fri, 02 Oct 2026 10:00:00 +0000"
    it.twilio.at("2026-11-20T10:00:00Z")
    assert it.rows("recordings", IncludeSoftDeleted="true") == it.twilio.present("recordings") == []


@pytest.mark.parametrize("silent", [False, True])
def test_prices_and_redactions_leave_date_updated_alone_if_the_switch_says_so(silent: bool) -> None:
    """No other change does, and a status that comes with the price tells."""
    twilio = Twilio(start=OCTOBER, silent_changes=silent)
    (message,), (call,) = twilio.messages(1), twilio.calls(1, price=None)
    (recording,) = twilio.add("recordings", price=None)
    before = twilio.now

    def moved(handle: str, **properties: Any) -> bool:
        twilio.advance(1).change(handle, **properties)
        rows = [*twilio.truth("messages"), *twilio.truth("calls"), *twilio.truth("recordings")]
        (row,) = [row for row in rows if row["sid"] == handle]
        return bool(moment(row["date_updated"]) == twilio.clock)

    assert [moved(message, body=""), moved(call, price="-0.01"), moved(recording, price="-0.0025")] == [not silent] * 3
    assert moved(message, body="", num_media="0") is not silent
    assert [moved(message, body="Hello"), moved(call, price="-1", status="busy")] == [True, True]
    assert moved(call, price="-2", silently=True) is False
    assert twilio.now - before == timedelta(hours=7)


def test_life_fills_in_prices_silently_if_the_switch_says_so() -> None:
    """Some rows change then without a new date, and only in their price or body."""
    twilio = Twilio.demo(seed=5, silent_changes=True)
    start = twilio.clock
    before = {row["sid"]: row for name in ("messages", "calls") for row in twilio.present(name)}
    twilio.advance(hours=24 * 7, busy=4)
    after = {row["sid"]: row for name in ("messages", "calls") for row in twilio.truth(name)}
    silent = [
        {name for name in row if row[name] != after[sid][name]}
        for sid, row in before.items()
        if row != after[sid] and moment(after[sid]["date_updated"]) <= start
    ]
    assert {"price"} in silent
    assert {"body"} in silent
    assert all(names <= {"price", "body", "num_media"} for names in silent)


def test_rows_come_late_and_keep_silent_as_the_switches_say() -> None:
    """`late_hours` and `null_date_updated` are for every list."""
    twilio = Twilio(start=OCTOBER, late_hours=6, null_date_updated=0.5)
    handles = twilio.add("studio_flows", n=60)
    twilio.at("2026-10-01T12:00:00Z")
    assert 0 < len(twilio.present("studio_flows")) < 60
    twilio.at("2026-10-01T16:00:00Z")
    assert len(twilio.present("studio_flows")) == 60
    silent = [h for h in handles if twilio.generic.items[h].data["date_updated"] is None]
    assert 15 < len(silent) < 45
    twilio.change(silent[0], friendly_name="New")
    assert twilio.generic.items[silent[0]].data["date_updated"] is None


def test_one_seed_is_one_history() -> None:
    """The same calls lead to the same rows, and lists of facts draw nothing from those made by hand."""
    first, second = (Twilio.demo(seed=1) for _ in range(2))
    names = ("recordings", "alerts", "conversation_messages", "usage_records")
    assert [first.truth(name) for name in names] == [second.truth(name) for name in names]
    first.add("studio_flows", n=10)
    assert first.messages(1) == second.messages(1)


def test_lists_made_by_hand_are_added_to_by_name_too() -> None:
    """With the status that their own methods give; summaries come with calls."""
    twilio = Twilio(start=OCTOBER)
    (message,), (account,) = twilio.add("messages"), twilio.add("accounts")
    assert twilio.present("messages")[0]["status"] == "delivered"
    assert account in [row["sid"] for row in twilio.present("accounts")]
    (call,) = twilio.add("call_summaries")
    assert [row["call_sid"] for row in twilio.present("call_summaries")] == [call]
    assert message != call


# Tools


def test_the_facts_are_those_of_the_documents() -> None:
    """`sandbox/facts` is what `python -m tools.oai facts` writes, to the byte."""
    folder = os.environ.get("TWILIO_OAI")
    if not folder:
        pytest.skip("TWILIO_OAI does not say where Twilio's OpenAPI documents are")
    from tools.documents import Documents
    from tools.oai import FACTS, all_facts, as_text

    derived = {product: as_text(found) for product, found in all_facts(Documents(Path(folder))).items()}
    assert {path.stem: path.read_text(encoding="utf-8") for path in FACTS.glob("*.json")} == derived


def test_every_list_that_has_a_name_has_facts() -> None:
    """`tools/lists.txt` and `sandbox/facts` name the same lists."""
    from tools.oai import listed

    assert {(one.name, one.product, one.path) for one in listed()} == {
        (one.name, one.product, one.path) for one in facts().values()
    }


def test_a_list_is_proposed_as_a_schema_and_a_declaration() -> None:
    """Types of columns, the key, the parent, the filter; descriptions are placeholders."""
    from dataclasses import asdict

    from tools.oai import by_shape
    from tools.propose import declaration, schema_of

    flows = asdict(fact("studio_executions"))
    assert declaration(flows, by_shape()) == (
        'Stream("studio_executions", STUDIO_V2, "Flows/{flow_sid}/Executions", "executions",'
        ' filter=Filter("DateCreatedFrom", "DateCreatedTo", "date_created"),'
        ' parent=Parent("studio_flows", {"flow_sid": "sid"})),'
    )
    people = asdict(fact("conference_participants"))
    assert 'key=("account_sid", "conference_sid", "call_sid")' in declaration(people, by_shape())
    properties = schema_of(asdict(fact("recordings")))["properties"]
    assert properties["sid"]["type"] == "string"
    assert properties["price"]["type"] == ["null", "number"]
    assert properties["date_created"] == {
        "type": ["null", "string"], "format": "date-time", "description": "Date created, UTC.",
    }  # fmt: skip
