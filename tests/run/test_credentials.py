"""Which credentials each request carries, where accounts have keys of their own; and which accounts are left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Twilio
from testing.taps import SIX, Tap

MakeTap = Callable[..., Tap]
STREAMS = (*SIX, "messaging_services")
HINT = "Check the account's key in credentials and its rights; if the account is closed, take it out there."


def accounts_of(twilio: Twilio) -> list[str]:
    return [row["sid"] for row in twilio.truth("accounts")]


def keys(twilio: Twilio, *accounts: str) -> dict[str, dict[str, str]]:
    """Add a key to each account that can read this account only; return them as the setting `credentials`."""
    made = {account: twilio.add_key(account, "standard") for account in accounts}
    return {account: {"api_key_sid": sid, "api_key_secret": secret} for account, (sid, secret) in made.items()}


def some_rows(accounts: int) -> tuple[Twilio, dict[str, set[str]]]:
    """Some messages, rated calls and messaging services in each account; the keys of all rows, by account."""
    twilio = Twilio(seed=8, start="2026-01-01", accounts=accounts).at("2026-01-05T00:00:00Z")
    rows = {}
    for account in accounts_of(twilio):
        calls = twilio.calls(3, account)
        twilio.feedback(calls[0], 4, [])
        rows[account] = {*twilio.messages(5, account), *calls, *twilio.add("messaging_services", account, n=2)}
    return twilio, rows


def tap_with(tap_of: MakeTap, twilio: Twilio, **settings: Any) -> Tap:
    tap = tap_of(twilio, **settings).select(*STREAMS)
    tap.settings["base_url"] += "/{product}"
    return tap


def test_accounts_are_read_with_their_own_keys_and_no_auth_token(tap_of: MakeTap) -> None:
    """On all hosts. The accounts with a key are all accounts; no secret is in the output, even if all is logged."""
    twilio, rows = some_rows(4)
    _, one, two, _ = accounts_of(twilio)
    credentials = keys(twilio, one, two)
    tap = tap_with(tap_of, twilio, account_sid=None, auth_token=None, credentials=credentials)
    run = tap.sync(env={"LOGLEVEL": "DEBUG"})

    assert set(run.sids()) == rows[one] | rows[two]
    assert len(run.records("call_feedback")) == 2
    assert {request.account for request in tap.requests} == {one, two}
    assert not any("Subaccount=" in request.query for request in tap.requests)  # which only a main account may name
    for key in credentials.values():
        assert key["api_key_secret"] not in run.log + b"".join(run.lines).decode()
    assert tap.sync().sids() == []


def test_credentials_come_from_the_environment_as_json(tap_of: MakeTap) -> None:
    """And Twilio's own variables, which have another account's token, do not count beside them."""
    twilio, rows = some_rows(3)
    main, one, _ = accounts_of(twilio)
    tap = tap_with(tap_of, twilio)
    environment = {
        "TAP_TWILIO_CREDENTIALS": json.dumps(keys(twilio, one)),
        "TAP_TWILIO_BASE_URL": tap.settings["base_url"],
        "TWILIO_ACCOUNT_SID": main,
        "TWILIO_AUTH_TOKEN": twilio.auth_token,
    }
    command = tap.command()
    command[command.index("--config") + 1] = "ENV"
    run = tap.start(command=command, env=environment).wait()
    assert run.exit_code == 0, run.log
    assert set(run.sids()) == rows[one]


@pytest.mark.parametrize("main_key", [False, True], ids=["token", "key"])
def test_one_account_may_have_its_own_key_beside_the_main_credentials(tap_of: MakeTap, main_key: bool) -> None:
    """Its key is sent, and no other credentials: a wrong one is a failure of that account alone, with the way out."""
    twilio, rows = some_rows(2)
    main, one = accounts_of(twilio)
    credentials = keys(twilio, one)
    tap = tap_with(tap_of, twilio, credentials=credentials)
    if main_key:
        tap.settings.update(auth_token=None, **keys(twilio, main)[main])
    right = credentials[one]["api_key_secret"]
    credentials[one]["api_key_secret"] = "f" * 32
    run = tap.sync(exits=3)
    assert set(run.sids()) == rows[main]
    assert HINT in run.log and "f" * 32 not in run.log

    credentials[one]["api_key_secret"] = right
    assert set(tap.sync().sids()) == rows[one]


def test_an_account_whose_key_is_not_listed_is_read_too(tap_of: MakeTap) -> None:
    """As one of another organization: the main account's token does not list it, but the settings name it."""
    twilio, rows = some_rows(2)
    main, one = accounts_of(twilio)
    tap = tap_with(tap_of, twilio, credentials=keys(twilio, main), account_sid=one)
    tap.settings["auth_token"] = twilio.rows[one].data["auth_token"]
    assert set(tap.sync().sids()) == rows[main] | rows[one]


def test_a_closed_account_with_a_key_is_a_failure_with_the_way_out(tap_of: MakeTap) -> None:
    """Its key is refused like a wrong one; the other account's rows come."""
    twilio, rows = some_rows(3)
    twilio.closed_answer = (401, 20003)
    _, one, closed = accounts_of(twilio)
    twilio.close(closed)
    tap = tap_with(tap_of, twilio, account_sid=None, auth_token=None, credentials=keys(twilio, one, closed))
    run = tap.sync(exits=3)
    assert set(run.sids()) == rows[one]
    assert HINT in run.log and closed in run.log


@pytest.mark.parametrize("own_keys", [False, True], ids=["token", "keys"])
def test_subaccounts_may_leave_accounts_out(tap_of: MakeTap, own_keys: bool) -> None:
    """One as text, several as a list, also the main one; nothing of them is requested."""
    twilio, rows = some_rows(3)
    main, one, two = accounts_of(twilio)
    tap = tap_with(tap_of, twilio)
    if own_keys:
        tap.settings.update(account_sid=None, auth_token=None, credentials=keys(twilio, main, one, two))
    for left_out in ({one}, {main, two}):
        named = [f"!{sid}" for sid in left_out]
        tap.state = None
        run = tap.sync(subaccounts=named if len(named) > 1 else named[0])
        wanted = {main, one, two} - left_out
        assert set(run.sids()) == set().union(*(rows[account] for account in wanted))
        assert {request.account for request in tap.requests if "/Messages" in request.path} == wanted
        found = json.loads(b"".join(tap.run("--accounts-json", subaccounts=named).lines))
        assert {account["sid"] for account in found if account["chosen"]} == wanted
        assert len(found) == 3

    run = tap.run(subaccounts=[f"!{sid}" for sid in (main, one, two)])
    assert run.exit_code == 1 and "Setting subaccounts leaves out every account" in run.log


def test_an_account_to_leave_out_that_is_not_there_is_named(tap_of: MakeTap) -> None:
    """It may be a typing error, and the account that was meant is read."""
    tap = tap_with(tap_of, some_rows(2)[0])
    run = tap.sync(subaccounts=["!AC" + "f" * 32])
    assert f"subaccounts leaves out accounts that are not there: AC{'f' * 32}" in run.said
