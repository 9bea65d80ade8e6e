"""Twilio's own client reads the lists that the sandbox serves from facts, page by page, through real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twilio.rest import Client

from sandbox.catalog import fact
from testing.served import Api, Rewriting, demonstration

demo = pytest.fixture(scope="module")(demonstration)


@pytest.fixture(scope="module")
def client(demo: Api) -> Iterator[Client]:
    """The official client, with the demo's credentials."""
    http = Rewriting(demo.server.url)
    yield Client(demo.twilio.main, demo.twilio.auth_token, http_client=http)
    http.session.close()


LISTS: dict[str, Callable[[Client], Any]] = {
    "incoming_phone_numbers": lambda c: c.incoming_phone_numbers,
    "outgoing_caller_ids": lambda c: c.outgoing_caller_ids,
    "messaging_services": lambda c: c.messaging.v1.services,
    "alerts": lambda c: c.monitor.v1.alerts,
    "default_conversations": lambda c: c.conversations.v1.conversations,
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
    assert {(r.category, str(r.start_date), r.count) for r in own} == {
        (r["category"], r["start_date"], r["count"]) for r in there
    }
    assert len(own) == len(there)
    assert {(r.category, str(r.start_date)): int(r.count or 0) for r in both} == {
        (r.category, str(r.start_date)): sum(
            int(row["count"] or 0)
            for row in demo.twilio.present("usage_records")
            if (row["category"], row["start_date"]) == (r.category, str(r.start_date))
        )
        for r in own
    }


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
        read["default_conversation_messages"] += [(talk.sid, row.sid) for row in rows]
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
    "default_conversation_messages": ("conversation_sid", "sid"),
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
