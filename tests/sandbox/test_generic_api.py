"""The lists that the sandbox serves from facts: who may read them, what hangs below what, and how rows change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox import Twilio
from sandbox.timestamps import timestamp
from testing.served import serving

OCTOBER = "2026-10-01T09:00:00Z"
api = pytest.fixture(serving)


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


def test_what_stands_in_a_path_can_be_any_text(api: Any) -> None:
    """Identities are: they are escaped in addresses, and found again."""
    it = api(Twilio(start=OCTOBER))
    (entity,) = it.twilio.add("verify_entities", identity="ana b/ö@x")
    (factor,) = it.twilio.add("verify_factors", parent=entity)
    (row,) = it.twilio.present("verify_entities")
    assert row["url"].endswith("/Entities/ana%20b%2F%C3%B6%40x")
    path = row["url"].replace("https://verify.twilio.com", "/verify")
    assert it.get(path).json() == row
    assert [one["sid"] for one in it.get(path + "/Factors").json()["factors"]] == [factor]


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
        return bool(timestamp(row["date_updated"]) == twilio.clock)

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
        if row != after[sid] and timestamp(after[sid]["date_updated"]) <= start
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
