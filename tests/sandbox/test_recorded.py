"""The sandbox answers as live accounts were answered: recordings in public repositories, 2014-2026."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from sandbox import Twilio
from sandbox.catalog import fact
from sandbox.samples import add_usage
from sandbox.timestamps import HOUR, timestamp
from testing.served import Api, demonstration, serving

api = pytest.fixture(serving)
demo = pytest.fixture(scope="module")(demonstration)


def of(demo: Api, stream: str, **wanted: Any) -> list[dict[str, Any]]:
    """Return the rows with these values, at least one."""
    rows = [row for row in demo.twilio.present(stream) if wanted.items() <= row.items()]
    assert rows
    return rows


def test_a_failed_message_has_a_date_sent_and_a_code_without_a_text(demo: Api) -> None:
    """It costs 0.001 or has no price."""
    failed = of(demo, "messages", status="failed")
    assert all(row["date_sent"] and row["error_code"] and row["error_message"] is None for row in failed)
    assert {row["price"] for row in failed} == {"-0.00100", None}
    assert of(demo, "messages", status="undelivered")[0]["error_message"]


def test_an_mms_that_stays_sent_is_updated_two_hours_later(demo: Api) -> None:
    """Its status does not change."""
    late = [timestamp(row["date_updated"]) - timestamp(row["date_sent"]) for row in of(demo, "messages", status="sent")]
    assert [seconds for seconds in late if 6581 <= seconds <= 7708]


def test_a_call_that_nobody_answered_has_all_its_dates(demo: Api) -> None:
    """It lasted 0 seconds. Only a failed one has a price; all dates of a call canceled at once are equal."""
    for status, has_price in (("busy", False), ("no-answer", False), ("failed", True), ("canceled", False)):
        rows = of(demo, "calls", status=status)
        assert all(row["start_time"] and row["end_time"] and row["duration"] == "0" for row in rows)
        assert {row["price"] is not None for row in rows} == {has_price}
    twilio = Twilio()
    twilio.calls(1, status="canceled")
    (call,) = twilio.present("calls")
    assert len({call[name] for name in ("date_created", "start_time", "end_time", "date_updated")}) == 1


ORDERS: dict[str, Callable[[dict[str, Any]], Any] | None] = {
    "calls": lambda row: -timestamp(row["date_created"]),
    "messages": lambda row: -timestamp(row["date_sent"]),
    "conferences": lambda row: -timestamp(row["date_created"]),
    "recordings": lambda row: -timestamp(row["date_created"]),
    "keys": lambda row: -timestamp(row["date_created"]),
    "applications": lambda row: -timestamp(row["date_updated"]),
    "incoming_phone_numbers": lambda row: timestamp(row["date_updated"]),
    "outgoing_caller_ids": lambda row: timestamp(row["date_created"]),
    "usage_triggers": lambda row: timestamp(row["date_created"]),
    "addresses": lambda row: row["sid"],
    "default_conversations": None,
    "verify_services": None,
}


@pytest.mark.parametrize("name", ORDERS)
def test_each_list_has_the_order_that_was_recorded(api: Any, name: str) -> None:
    """By creation or by change, either way, by SID, or by no date."""
    it = api(Twilio(start="2026-01-01").at("2026-04-01"))
    sids = it.twilio.add(name, n=20, since="2026-01-02", until="2026-03-01")
    for sid in sids[5:8]:
        it.twilio.at(it.twilio.clock + HOUR).change(sid)
    query = {"Status": "completed"} if name == "conferences" else {}
    rows = it.rows(name, PageSize=7, **query)
    assert sorted(row["sid"] for row in rows) == sorted(sids)
    key = ORDERS[name]
    if key is not None:
        assert rows == sorted(rows, key=key)
    else:
        for date in ("date_created", "date_updated"):
            dates = [row[date] for row in rows]
            assert dates not in (sorted(dates), sorted(dates, reverse=True))


@pytest.mark.long
def test_usage_lists_hundreds_of_categories_most_of_them_zero(api: Any) -> None:
    """A total has no count, units may be null or empty, and each row says when it was asked for."""
    it = api(Twilio(start="2026-04-01T09:00:00Z", usage_categories=517))
    add_usage(it.twilio, it.twilio.main)
    day = {"StartDate": "2026-03-20", "EndDate": "2026-03-20"}
    rows = it.rows("usage_records", PageSize=1000, **day)
    assert len(rows) == len({row["category"] for row in rows}) == 517
    assert sum(row["count"] == "0" for row in rows) > 500
    units = {row["category"]: (row["count_unit"], row["usage_unit"]) for row in rows}
    assert units["mms"] == ("messages", "segments")
    assert {units[name] for name in ("totalprice", "sms", "sms-messages-features")} == {
        ("", "usd"), ("messages", ""), (None, None),
    }  # fmt: skip
    assert [row["count"] for row in rows if row["category"] == "totalprice"] == [None]
    assert {row["as_of"] for row in rows} == {"2026-04-01T09:00:00+00:00"}
    it.twilio.advance(hours=1)
    assert {row["as_of"] for row in it.rows("usage_records", **day)} == {"2026-04-01T10:00:00+00:00"}


@pytest.mark.parametrize(
    ("name", "after", "before"), [("recordings", "PARE", "PBRE"), ("usage_records", "APMg==", "APMA==")]
)
def test_a_token_names_the_row_before_the_page_or_the_number_of_the_page(
    api: Any, name: str, after: str, before: str
) -> None:
    """`PB` and the first row of the page lead back; usage has the number in base64."""
    it = api(Twilio(start="2026-04-01"))
    it.twilio.add(name, n=7)
    _, second, *_ = it.pages(it.path(name), PageSize=2)
    tokens = [dict(parse_qsl(urlsplit(second[to]).query))["PageToken"] for to in ("next_page_uri", "previous_page_uri")]
    assert [token[: len(form)] for token, form in zip(tokens, (after, before))] == [after, before]
    first = it.get(f"/api{second['previous_page_uri']}").json()
    assert [row["uri"] for row in first[name]] == [row["uri"] for row in it.rows(name)[:2]]


def test_the_parameters_of_the_next_page_change_their_order(api: Any) -> None:
    """Filters stand around those of paging."""
    it = api(Twilio(start="2026-04-01"))
    it.twilio.add("usage_records", n=7)
    query = {"StartDate": "2026-01-01", "EndDate": "2026-04-01", "PageSize": 2}
    pages = it.pages(it.path("usage_records"), **query)
    asked = [[name for name, _ in parse_qsl(urlsplit(page["next_page_uri"] or "").query)] for page in pages]
    assert asked[0] == ["StartDate", "PageSize", "PageToken", "Page", "EndDate"]
    assert asked[1] == ["StartDate", "PageSize", "Page", "PageToken", "EndDate"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dependent_phone_numbers", {"voice_application_sid": "", "trunk_sid": "", "emergency_address_sid": ""}),
        ("incoming_phone_numbers", {"voice_application_sid": "", "sms_application_sid": ""}),
        ("usage_triggers", {"recurring": ""}),
        ("available_phone_numbers_local", {"capabilities": {"MMS": True, "SMS": True, "voice": True}, "lata": None}),
        ("verify_services", {"mailer_sid": None}),
    ],
)
def test_values_that_the_documents_do_not_have(name: str, expected: dict[str, Any]) -> None:
    """Empty text for a SID, names in upper case, nulls, and a property of no document."""
    twilio = Twilio()
    (handle,) = twilio.add(name)
    assert expected.items() <= twilio.generic.items[handle].data.items()
    assert expected.keys() <= fact(name).properties.keys()


def test_a_completed_conference_lists_no_participants(api: Any) -> None:
    """They are listed as long as it goes on."""
    it = api(Twilio())
    (room,) = it.twilio.conferences(1, status="in-progress")
    it.twilio.add("conference_participants", parent=room)
    place = {"ConferenceSid": room}
    assert len(it.rows("conference_participants", place)) == 1
    it.twilio.change(room, status="completed")
    assert it.rows("conference_participants", place) == []


def test_the_name_of_a_caller_is_empty_outbound_and_null_inbound() -> None:
    """And each call has an annotation, null."""
    twilio = Twilio()
    twilio.calls(40)
    found = {(row["direction"] == "inbound", row["caller_name"], row["annotation"]) for row in twilio.present("calls")}
    assert found == {(True, None, None), (False, "", None)}
