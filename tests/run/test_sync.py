"""What a user gets: accounts, streams, properties, credentials and state, through a real process and real HTTP."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from sandbox import Twilio
from tap_twilio.errors import TapError
from tap_twilio.settings import Settings
from tap_twilio.state.store import FORMAT
from tap_twilio.twilio.client import Client
from tap_twilio.twilio.credentials import Credentials
from testing.taps import LISTED, ROOT, SIX, Tap, expected, kept, properties

MakeTap = Callable[..., Tap]


def test_the_first_sync_holds_every_row_of_every_account_and_the_next_what_became_of_them(tap_of: MakeTap) -> None:
    """All tables equal Twilio after the first sync and after each later one; SCHEMA and STATE are as Singer says."""
    tap = tap_of(Twilio.demo(seed=5))
    first = tap.sync()
    assert tap.wrong() == {}
    assert tap.wrong(rows=tap.twilio.truth) == {}
    assert [message["stream"] for message in first.messages("SCHEMA")] == list(LISTED)
    for message in first.messages("SCHEMA"):
        assert message["key_properties"] == ["sid"]
        assert message["bookmark_properties"] == ["date_updated"]
        assert message["schema"]["properties"] == properties(message["stream"])
    tap.twilio.advance(3)
    second = tap.sync()
    assert tap.wrong() == {}
    tap.twilio.advance(30)
    tap.sync()
    assert tap.wrong() == {}

    assert 0 < len(second.sids()) < 100
    for stream in LISTED:  # what did not change comes only along with many neighbours that did
        known = {row["sid"]: {**row, "received_at": None} for row in first.records(stream)}
        rows = [{**row, "received_at": None} for row in second.records(stream)]
        assert len([row for row in rows if known.get(row["sid"]) == row]) <= len(rows) / 2
    assert Counter(second.sids()).most_common(1)[0][1] == 1


def test_messages_that_changed_since_come_alone(tap_of: MakeTap) -> None:
    """The second of two syncs a day apart emits the three rows that changed, and no other."""
    twilio = Twilio()
    old = twilio.messages(200, since="2025-06-01", until="2025-12-30")
    tap = tap_of(twilio, page_size=50)
    assert sorted(tap.sync().sids()) == sorted(old)
    changed = [old[0], old[77], old[199]]
    twilio.at("2026-01-02")
    for sid in changed:
        twilio.change(sid, status="read")
    twilio.at("2026-01-02T07:00:00Z")
    assert sorted(tap.sync().sids()) == sorted(changed)
    twilio.at("2026-01-03")
    assert tap.sync().sids() == []
    assert tap.wrong() == {}


def test_rows_that_no_filter_and_no_date_shows(tap_of: MakeTap) -> None:
    """Conferences of every status, messages never sent, calls never started, rows without date_updated."""
    twilio = Twilio()
    for status in ("init", "in-progress", "completed"):
        twilio.conferences(7, status=status, since="2025-06-01", until="2025-12-30")
    for status in ("queued", "scheduled", "canceled", "failed", "accepted"):
        twilio.messages(7, status=status, since="2025-01-01", until="2025-12-30")
    for status in ("queued", "ringing", "canceled"):
        twilio.calls(7, status=status, since="2025-01-01", until="2025-12-30")
    twilio.null_date_updated = 1.0
    twilio.messages(9, since="2025-01-01", until="2025-12-30")
    tap = tap_of(twilio, page_size=5)
    assert len(tap.sync().sids()) == 21 + 35 + 21 + 9
    assert tap.wrong(rows=twilio.truth) == {}
    twilio.at("2026-01-02")
    for stream, status in (("conferences", "completed"), ("messages", "canceled"), ("calls", "canceled")):
        for row in twilio.present(stream)[:7]:
            twilio.change(row["sid"], status=status)
    tap.sync()
    assert tap.wrong(rows=twilio.truth) == {}


def test_history_beyond_the_reach_of_filters_comes_with_the_first_round(tap_of: MakeTap) -> None:
    """Messages sent more than 400 days ago, which Twilio's filter refuses, are there after the sync that follows."""
    twilio = Twilio(start="2023-01-01")
    main = twilio.main
    twilio.at("2026-01-01")
    twilio.messages(300, since="2023-02-01", until="2025-12-30")
    twilio.messages(5, status="canceled", since="2023-02-01", until="2025-12-30")
    tap = tap_of(twilio, page_size=2).select("messages")
    tap.sync()
    assert any("DateSent" in page for page in tap.pages())
    twilio.at("2026-01-01T03:00:00Z")
    tap.sync()
    assert tap.wrong(["messages"]) == {}
    assert "resend_listed_before" not in kept(tap.state, "messages")[main]


def test_state_covers_what_was_written_before_it(tap_of: MakeTap) -> None:
    """Cut the output anywhere: the tables of what is left, and runs from the last STATE in it, end up right."""
    twilio = Twilio(seed=3, accounts=2, start="2025-11-01")
    twilio.advance(20 * 24)
    tap = tap_of(twilio, page_size=10, state_seconds=0)
    run = tap.run()
    assert len(run.states) > 50
    rng = random.Random(5)
    states = [index for index, line in enumerate(run.lines) if line.startswith(b'{"type":"STATE"')]
    for cut in [rng.choice(states) + 1, *rng.sample(range(len(run.lines)), 3)]:
        resumed = Tap(tap.server, tap.folder / str(cut), **tap.settings)
        resumed.keep(run.lines[:cut])
        resumed.sync()
        resumed.sync()  # what a list read by date owes comes with the round after it
        assert resumed.wrong() == {}, cut


def test_bookmarks_are_kept_for_each_account(tap_of: MakeTap) -> None:
    """Each partition has its own date_updated, the start of the sync less lateness; the stream's is their oldest."""
    twilio = Twilio(accounts=3)
    tap = tap_of(twilio)
    state = tap.sync().states[-1]
    for stream in LISTED:
        accounts = kept(state, stream)
        assert set(accounts) == {row["sid"] for row in twilio.truth("accounts")}
        assert {part["date_updated"] for part in accounts.values()} == {"2025-12-31T18:00:00.000000Z"}
        assert state["bookmarks"][stream]["date_updated"] == "2025-12-31T18:00:00.000000Z"


# Accounts and credentials


@pytest.mark.parametrize("chosen", ["true", "false", "list", "text"])
def test_subaccounts_says_which_accounts_are_read(tap_of: MakeTap, chosen: str) -> None:
    """True: all; false: the main one; a list or a SID: these and no other, not even the main one."""
    twilio = Twilio(accounts=3)
    main, one, other = (row["sid"] for row in twilio.truth("accounts"))
    rows = {account: set(twilio.messages(3, account) + twilio.addresses(2, account)) for account in (main, one, other)}
    wanted = {"true": [main, one, other], "false": [main], "list": [other], "text": [other]}[chosen]
    tap = tap_of(twilio, subaccounts={"true": True, "false": False, "list": [other], "text": other}[chosen])
    assert set(tap.sync().sids()) == set().union(*(rows[account] for account in wanted))
    asked = {request.account for request in tap.requests if request.kind in LISTED}
    assert asked == set(wanted)


def test_suspended_accounts_are_read_and_closed_ones_skipped(tap_of: MakeTap) -> None:
    """A suspended account is read on; a closed one is left out with a line, its bookmark kept, and exit code 0."""
    twilio = Twilio(accounts=3)
    _, suspended, closed = (row["sid"] for row in twilio.truth("accounts"))
    for account in (suspended, closed):
        twilio.messages(5, account, created="2025-12-01")
    tap = tap_of(twilio)
    tap.sync()
    before = kept(tap.state, "messages")[closed]
    twilio.at("2026-01-02").change(suspended, status="suspended")
    late = twilio.messages(1, suspended)
    twilio.close(closed)
    run = tap.sync()
    assert run.sids("messages") == late
    told = {"not_read": "closed", "syncs_left": None}
    assert kept(tap.state, "messages")[closed] | told == before | told
    assert f"closed accounts are not read, and their bookmarks are kept: {closed}" in run.said
    assert closed not in {request.account for request in tap.requests}
    assert not any("backfill" in line or "failed" in line for line in run.said)
    assert tap.wrong(rows=twilio.truth) == {}

    twilio.at("2026-01-03").change(closed, status="active")
    twilio.messages(2, closed)
    tap.sync()
    assert tap.wrong(rows=twilio.truth) == {}


@pytest.mark.parametrize("status", [(401, 20005), (403, 20005), (404, 20404)])
def test_an_account_closed_before_its_first_sync_is_left_out(tap_of: MakeTap, status: tuple[int, int]) -> None:
    """However Twilio would refuse it: exit code 0, one line, no request, and nothing that sounds like work to do."""
    twilio = Twilio(accounts=2, closed_answer=status)
    closed = twilio.truth("accounts")[1]["sid"]
    twilio.close(closed)
    twilio.messages(3)
    tap = tap_of(twilio)
    run = tap.sync()
    assert sum("closed accounts are not read" in line for line in run.said) == 1
    assert closed not in {request.account for request in tap.requests}
    assert not any("backfill" in line for line in run.said)


def test_api_keys_read_their_own_account(tap_of: MakeTap) -> None:
    """With subaccounts false a Main and a Standard key are as good as the token."""
    twilio = Twilio(accounts=2)
    mine = twilio.messages(3)
    for kind in ("main", "standard"):
        sid, secret = twilio.add_key(kind=kind)
        tap = tap_of(twilio, auth_token=None, api_key_sid=sid, api_key_secret=secret, subaccounts=False)
        assert sorted(tap.sync().sids()) == sorted(mine)


@pytest.mark.parametrize("kind", ["main", "standard"])
def test_an_api_key_that_cannot_read_subaccounts_is_told_both_ways_out(tap_of: MakeTap, kind: str) -> None:
    """One line: set subaccounts, or use the auth_token. Nothing is written."""
    twilio = Twilio(accounts=2)
    sid, secret = twilio.add_key(kind=kind)
    run = tap_of(twilio, auth_token=None, api_key_sid=sid, api_key_secret=secret).run()
    assert run.exit_code == 1
    assert run.lines == []
    (line,) = run.said
    assert "subaccounts to false" in line
    assert "auth_token" in line
    assert secret not in run.log


def test_a_main_key_of_an_account_without_subaccounts_needs_no_setting(tap_of: MakeTap) -> None:
    """The default, subaccounts true, then works with a key."""
    twilio = Twilio()
    mine = twilio.messages(3)
    sid, secret = twilio.add_key(kind="main")
    tap = tap_of(twilio, auth_token=None, api_key_sid=sid, api_key_secret=secret)
    assert sorted(tap.sync().sids()) == sorted(mine)


def test_settings_that_the_file_leaves_out_come_from_twilios_environment_variables(tap_of: MakeTap) -> None:
    """An account and its token, or an account and a key; what the file says wins."""
    twilio = Twilio()
    mine = twilio.addresses(2)
    tap = tap_of(twilio, account_sid=None, auth_token=None, subaccounts=False)
    token = {"TWILIO_ACCOUNT_SID": twilio.main, "TWILIO_AUTH_TOKEN": twilio.auth_token}
    assert sorted(tap.run(env=token).sids()) == sorted(mine)
    sid, secret = twilio.add_key()
    key = {"TWILIO_ACCOUNT_SID": twilio.main, "TWILIO_API_KEY": sid, "TWILIO_API_SECRET": secret}
    assert sorted(tap.run(env=key).sids()) == sorted(mine)
    wrong = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "wrong"}
    told = tap.run(env=wrong, account_sid=twilio.main, auth_token=twilio.auth_token)
    assert sorted(told.sids()) == sorted(mine)


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({}, "api.twilio.com"),
        ({"region": "us1"}, "api.twilio.com"),
        ({"region": "ie1"}, "api.dublin.ie1.twilio.com"),
        ({"region": "au1"}, "api.sydney.au1.twilio.com"),
        ({"region": "au1", "edge": "singapore"}, "api.singapore.au1.twilio.com"),
        ({"edge": "frankfurt"}, "api.frankfurt.us1.twilio.com"),
    ],
)
def test_region_and_edge_name_the_host(settings: dict[str, str], host: str) -> None:
    """product.edge.region.twilio.com; without either, Twilio's plain host; base_url goes before both."""
    one = Settings("AC" + "0" * 32, "AC", "token", **settings)
    nobody = Credentials("AC", "AC", "x")
    assert Client(one, nobody).origin("api") == f"https://{host}"
    assert Client(one, nobody).origin("insights") == f"https://{host.replace('api.', 'insights.')}"
    assert Client(replace(one, base_url="http://127.0.0.1:1"), nobody).origin("api") == "http://127.0.0.1:1"


def test_a_region_whose_edge_is_unknown_asks_for_it() -> None:
    """One that opened after this version: the setting that is missing is named."""
    with pytest.raises(TapError, match="Setting edge is missing"):
        Client(Settings("AC" + "0" * 32, "AC", "token", region="xx1"), Credentials("AC", "AC", "x")).origin("api")


def test_no_token_of_any_account_leaves_the_tap(tap_of: MakeTap) -> None:
    """Twilio lists accounts with their auth_token; it is in no record, no state and no log, whatever goes wrong."""
    twilio = Twilio.demo(seed=2)
    twilio.fail_next("error200", 1).fail_next("503", 2, "Messages")
    tap = tap_of(twilio)
    run = tap.sync(env={"LOGLEVEL": "DEBUG"})
    tokens = [row["auth_token"] for row in twilio.truth("accounts")]
    assert len(tokens) == 5
    assert not any(token in run.log or token.encode() in b"".join(run.lines) for token in tokens)


# Streams and properties


def test_without_a_catalog_all_streams_are_read(tap_of: MakeTap) -> None:
    """The six, as selected by default."""
    twilio = Twilio.demo()
    tap = tap_of(twilio)
    tap.catalog = None
    run = tap.sync()
    assert [message["stream"] for message in run.messages("SCHEMA")] == list(SIX)
    assert tap.wrong() == {}


def test_the_older_name_of_the_catalog_argument_works(tap_of: MakeTap) -> None:
    """--properties is --catalog."""
    twilio = Twilio()
    twilio.messages(2)
    mine = twilio.addresses(2)
    tap = tap_of(twilio).select("addresses")
    path = tap.folder / "properties.json"
    path.write_text(json.dumps(tap.catalog))
    assert sorted(tap.run("--properties", str(path)).sids()) == sorted(mine)


def test_what_is_not_selected_is_neither_in_schema_nor_in_record(tap_of: MakeTap) -> None:
    """Dates that the plan needs may be left out as well: the tables are right all the same."""
    twilio = Twilio()
    twilio.messages(300, since="2025-01-01", until="2025-12-30")
    twilio.messages(5, status="canceled", since="2025-01-01", until="2025-12-30")
    out = ["body", "date_sent", "date_created", "subresource_uris", "received_at"]
    tap = tap_of(twilio, page_size=5).select("messages", without=[*out, "sid", "date_updated"])
    first = tap.sync()
    kept = properties("messages").keys() - set(out)  # keys and the replication key stay, selected or not
    assert first.messages("SCHEMA")[0]["schema"]["properties"].keys() == kept
    assert all(record.keys() == kept for record in first.records("messages"))
    assert {request.kind for request in tap.requests} <= {"accounts", "accounts/one", "messages", "messages/one"}
    twilio.at("2026-01-03").change(tap.twilio.present("messages")[0]["sid"], status="read")
    tap.sync()
    held = tap.tables.rows["messages"]
    should = {row["sid"]: expected("messages", row) for row in twilio.truth("messages")}
    assert held == {sid: {name: record[name] for name in kept} for sid, record in should.items()}


def test_prices_are_exact(tap_of: MakeTap) -> None:
    """To the last digit, strings and numbers alike."""
    twilio = Twilio()
    prices = ["-0.00750", "-1234567890.123456789012345", "0.1", "-0.30000000000000004", "12"]
    sids = twilio.messages(5, price=lambda row: prices[row])
    (number,) = twilio.transcriptions(1, price=-0.1)
    tap = tap_of(twilio)
    tap.sync()
    held = tap.tables.rows["messages"]
    assert [held[sid]["price"] for sid in sids] == [Decimal(price) for price in prices]
    assert tap.tables.rows["transcriptions"][number]["price"] == Decimal("-0.1")


def test_discovery_needs_nothing_and_prints_the_catalog_of_this_repository(tap_of: MakeTap) -> None:
    """No config, no network."""
    tap = tap_of(Twilio())
    run = tap.start(command=[*tap.command()[:3], "--discover"]).wait()
    assert run.exit_code == 0
    assert json.loads(b"".join(run.lines)) == json.loads((ROOT / "catalog.json").read_text("utf-8"))
    assert tap.requests == []


# State from elsewhere


@pytest.mark.parametrize("form", ["2025-11-01T00:00:00Z", {"date_updated": "2025-11-01T00:00:00Z"}])
def test_a_bookmark_of_another_tap_says_where_emitting_starts(tap_of: MakeTap, form: object) -> None:
    """As singer-io's tap or a hand writes it; the log advises a fresh start, for that tap lost rows."""
    twilio = Twilio()
    twilio.messages(300, since="2025-01-01", until="2025-12-30")
    tap = tap_of(twilio, page_size=50).select("messages")
    tap.state = {"bookmarks": {"messages": form}}
    run = tap.sync()
    since = "2025-10-31T18:00:00.000000Z"
    all_rows = [expected("messages", row) for row in twilio.truth("messages")]
    assert sorted(run.sids()) == sorted(row["sid"] for row in all_rows if row["date_updated"] >= since)
    assert sum("To be exact, leave --state out" in line for line in run.said) == 1
    oldest = min(all_rows, key=lambda row: row["date_created"])["sid"]
    twilio.at("2026-01-05").change(oldest, status="read")
    again = tap.sync()
    assert again.sids() == [oldest]
    assert not any("for exactness" in line for line in again.said)


def test_what_state_says_of_other_streams_is_passed_on(tap_of: MakeTap) -> None:
    """A stream that the tap does not know, one that is not selected now, and keys beside the bookmarks."""
    twilio = Twilio()
    tap = tap_of(twilio)
    tap.sync()
    tap.state["bookmarks"]["faxes"] = {"anything": [1, 2]}
    tap.state["other"] = {"kept": True}
    calls = tap.state["bookmarks"]["calls"]
    tap.select("messages")
    tap.sync()
    assert tap.state["bookmarks"]["faxes"] == {"anything": [1, 2]}
    assert tap.state["other"] == {"kept": True}
    assert tap.state["bookmarks"]["calls"] == calls


@pytest.mark.parametrize(
    "state",
    [
        [],
        "{",
        {"bookmarks": 3},
        {"bookmarks": {"messages": 7}},
        {"bookmarks": {"messages": {"accounts": []}}},
        {"bookmarks": {"messages": {"date_updated": "2026-01-01T00:00:00Z", "accounts": {}}}},
        {"bookmarks": {"messages": "yesterday"}},
        {"bookmarks": {"messages": {"accounts": {"AC": {"date_updated": "soon"}}}}},
        {"format": FORMAT, "bookmarks": {"messages": {"partitions": {}}}},
        {"format": FORMAT, "bookmarks": {"messages": {"partitions": [["AC"]]}}},
        {"format": FORMAT, "bookmarks": {"messages": {"partitions": [["AC", {}]]}}},
        {"format": FORMAT, "bookmarks": {"messages": {"partitions": [[["AC"], {"date_updated": "soon"}]]}}},
        {"format": FORMAT, "bookmarks": {"messages": {"partitions": [[["AC"], {"rescan": {"list_index": 0}}]]}}},
    ],
)
def test_a_malformed_state_is_refused_before_any_request(tap_of: MakeTap, state: object) -> None:
    """In one line that says what to do."""
    tap = tap_of(Twilio())
    tap.state = state
    run = tap.run()
    assert run.exit_code == 1
    assert run.lines == []
    assert len(run.said) == 1
    assert "state" in run.said[0]
    assert tap.requests == []


def test_a_state_message_as_the_target_never_unwrapped_it_is_read(tap_of: MakeTap) -> None:
    """Some keep the whole STATE line."""
    twilio = Twilio()
    twilio.messages(3, created="2025-06-01")
    tap = tap_of(twilio)
    tap.sync()
    tap.state = {"type": "STATE", "value": tap.state}
    twilio.at("2026-01-02")
    assert tap.sync().sids() == []
