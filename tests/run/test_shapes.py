"""`--check --shapes FILE`: what the file says of an account's answers, and that it holds nothing of the account."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Twilio
from tap_twilio.errors import BadAnswer, Refused
from tap_twilio.run.shapes import (
    ABSENT,
    KINDS,
    SHOWN_NAME,
    TEXTS,
    TOKEN_PREFIXES,
    CheckedPage,
    as_text,
    shapes_of,
)
from tap_twilio.singer.catalog import load_schema
from tap_twilio.streams import BY_NAME
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Page
from testing.taps import Tap

MakeTap = Callable[..., Tap]
SECRET = "Ana Owl"
NOW = "2026-03-01T00:00:00.000000Z"


def shape(stream: str, rows: list[dict[str, Any]], next_uri: str | None = None) -> dict[str, Any]:
    """The file's entry of a stream whose first page has these rows."""
    endpoint = ListEndpoint(BY_NAME[stream], "AC0", 50)
    checked = CheckedPage(endpoint, endpoint.first_page(), Page(rows, next_uri, NOW))
    found: dict[str, Any] = json.loads(as_text(shapes_of([checked], NOW)))["streams"][stream]
    return found


# What it says ---------------------------------------------------------------------------------------------------------


def message(**properties: Any) -> dict[str, Any]:
    return {name: None for name in load_schema("messages")["properties"] if name != "received_at"} | properties


def test_the_file_says_how_many_rows_have_which_form_of_each_property() -> None:
    """Nulls, empty texts and absent properties are forms too. An unknown property is named apart."""
    first = message(sid="SM2", price="-0.00750", date_sent="Sun, 01 Mar 2026 00:00:00 +0000", beta=True, error_code=3)
    second = message(sid="SM1", price=None, date_sent="2026-02-28T00:00:00Z", to="")
    del second["body"]
    found = shape("messages", [first, second])
    properties = found["properties"]

    assert (found["status"], found["rows"]) == (200, 2)
    assert properties["price"] == {"null": 1, "number as text": 1}
    assert properties["date_sent"] == {"ISO 8601": 1, "RFC 2822": 1}
    assert properties["to"] == {"empty": 1, "null": 1}
    assert properties["body"] == {"absent": 1, "null": 1}
    assert properties["error_code"] == {"integer": 1, "null": 1}
    assert found["unknown_properties"] == {"beta": {"absent": 1, "boolean": 1}}
    assert found["order"] == {"sid": "descending", "date_sent": "descending"}
    assert found["next_page"] is None
    assert found["contradictions"] == []


@pytest.mark.parametrize(
    ("properties", "contradiction"),
    [
        ({"price": {"amount": 1}}, "the schema does not expect the form 'object' of price"),
        ({"date_sent": "yesterday"}, "the schema does not expect the form 'text' of date_sent"),
        ({"num_media": "many"}, "the schema does not expect the form 'text' of num_media"),
    ],
)
def test_a_value_that_a_sync_would_refuse_is_a_contradiction(properties: dict[str, Any], contradiction: str) -> None:
    """The same code decides that converts the rows of a sync."""
    assert shape("messages", [message(sid="SM1", **properties)])["contradictions"] == [contradiction]


def test_an_order_that_lookbacks_do_not_assume_is_a_contradiction() -> None:
    """The newest rows come first, by list date, creation or change. The list of a child is always read whole."""
    days = [f"2026-02-0{day}T00:00:00Z" for day in (1, 2, 3)]
    upwards = [message(sid=day, date_sent=day, date_created=day, date_updated=days[0]) for day in days]
    unsorted = [upwards[1], upwards[0], upwards[2]]
    by_creation = [message(sid=f"SM{n}", date_sent=days[0], date_created=day) for n, day in enumerate(days[::-1])]
    by_change = [{**row, "date_updated": day} for row, day in zip(upwards, days[::-1])]
    found = [shape("messages", rows) for rows in (upwards, unsorted, by_creation, by_change)]

    assert [one["contradictions"] for one in found] == [*[["the newest rows are not first"]] * 2, [], []]
    assert found[1]["order"] == {"sid": "not sorted", "date_created": "not sorted", "date_sent": "not sorted"}
    assert found[2]["order"] == {"sid": "ascending", "date_created": "descending"}
    assert shape("message_media", [{"sid": day, "date_created": day} for day in days])["contradictions"] == []


@pytest.mark.parametrize(
    ("token", "form", "is_expected"),
    [
        ("PASM1", "PA and the key of the last row", True),
        ("PTeyJrZXkiOiAiU00xIn0", "PT and the key of the last row in base64", True),
        ("APNTA=", "AP and a number in base64", False),
        ("50", "a number", False),
        ("x-y-z", "text", True),
    ],
)
def test_the_form_of_a_page_token_is_told(token: str, form: str, is_expected: bool) -> None:
    """A list whose tokens count rows is read in another way than messages are."""
    address = f"/2010-04-01/Accounts/AC0/Messages.json?To=1&PageToken={token}&Page=1&PageSize=20"
    found = shape("messages", [message(sid="SM1")], address)

    assert found["next_page"] == {
        "parameters": ["another", "PageToken", "Page", "PageSize"],
        "page_size": "another",
        "page_token": form,
    }
    assert (found["contradictions"] == []) == is_expected


def test_more_rows_than_requested_are_a_contradiction() -> None:
    """The tap then could not tell a full page from the last one."""
    rows = [message(sid=f"SM{index}") for index in range(51)]
    assert shape("messages", rows)["contradictions"] == ["the page has more rows than requested"]


# What it does not hold ------------------------------------------------------------------------------------------------

STREAMS = ("messages", "calls", "usage_records", "conversations", "verify_services", "alerts", "account_balance")
FORMS = {*TEXTS, *(form for _, form in KINDS), "null", "empty array", ABSENT}
FORMS |= {f"array of {items}" for items in ("text", "objects", "other values")}
TOKEN_FORMS = {"none", "text", "a number", "a number in base64", "the key of the last row"}
TOKEN_FORMS |= {"the key of the last row in base64"}
WORDS = FORMS | TOKEN_FORMS | {f"{prefix} and {form}" for prefix in TOKEN_PREFIXES for form in TOKEN_FORMS}
WORDS |= {"status", "code", "error", "rows", "properties", "unknown_properties", "unknown_properties_not_named"}
WORDS |= {"order", "ascending", "descending", "not sorted", "contradictions", "next_page", "parameters", "page_size"}
WORDS |= {"page_token", "as requested", "another", "not named", "Page", "PageSize", "PageToken", "BadAnswer"}
CONTRADICTIONS = {"the newest rows are not first", "the page has more rows than requested"}
CONTRADICTIONS |= {"the page token counts rows or pages, and names no row"}


def secrets(characters: str) -> st.SearchStrategy[str]:
    """Text that holds the secret, or digits of a phone number, among other characters."""
    return st.builds(
        lambda before, secret, after: f"{before}{secret}{after}",
        st.text(characters, max_size=3),
        st.sampled_from([SECRET, "+14155550123", "AC" + "7" * 32]),
        st.text(max_size=3),
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(10**6)
    | st.decimals(10**6, 10**9).map(Decimal)
    | st.sampled_from(["", "2025-07-16T01:02:03Z", "Wed, 16 Jul 2025 01:02:03 +0000", "2025-07-16", "-77.77"])
    | secrets("ab_"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(secrets("ab_"), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted({name for stream in STREAMS for name in load_schema(stream)["properties"]})


def leaves(value: Any) -> Iterator[Any]:
    """Yield all names and values of the file, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


@given(
    st.sampled_from(STREAMS),
    st.lists(st.dictionaries(st.sampled_from(NAMES) | secrets("ab_"), VALUES, max_size=12), max_size=6),
    st.none() | st.builds("/2010-04-01/{}.json?{}={}&PageToken={}&PageSize={}".format, *[secrets("ab_")] * 5),
)
def test_nothing_of_an_account_reaches_the_file(stream: str, rows: list[Any], next_uri: str | None) -> None:
    """Secrets in each value, in each name, in nested objects and in the next page's address; every word is ours."""
    found = shape(stream, rows, next_uri)
    known = load_schema(stream)["properties"].keys() | BY_NAME[stream].hidden
    unexpected = {f"the schema does not expect the form {form!r} of {name}" for form in FORMS for name in known}

    assert found["properties"].keys() <= known
    others = set()
    for leaf in leaves({**found, "unknown_properties": list(found["unknown_properties"].values())}):
        if isinstance(leaf, int):
            assert leaf <= max(len(rows) * 12, 200)
        elif leaf is not None and leaf not in WORDS | CONTRADICTIONS | unexpected | known:
            others.add(leaf)
    assert others == set()
    assert all(name in NAMES for name in found["unknown_properties"])  # plain names, of other streams here
    assert SECRET not in json.dumps(found)


def test_an_unknown_property_is_named_only_if_its_name_is_plain_and_at_the_top() -> None:
    """Names with digits, capitals or spaces may be people's data, and so may all names in an object."""
    row = {"sid": "SM1", "beta": {"ana_owl": 1}, SECRET: 1, "owl7": 1, "a" * 41: 1, "+14155550123": 1}
    found = shape("messages", [row])

    assert found["unknown_properties"] == {"beta": {"object": 1}}
    assert found["unknown_properties_not_named"] == 4
    assert "owl" not in json.dumps(found).lower()
    assert SHOWN_NAME.fullmatch("beta")


def test_an_error_is_told_by_its_status_alone() -> None:
    """The text of a refusal may quote the account, and the code of a gateway may be anything."""
    endpoint = ListEndpoint(BY_NAME["messages"], "AC0", 50)
    errors = [
        Refused(404, 20404, SECRET, SECRET),
        Refused(403, 14155550123, SECRET, SECRET),
        BadAnswer(SECRET),
    ]
    found = [shapes_of([CheckedPage(endpoint, endpoint.first_page(), error=error)], NOW) for error in errors]

    assert [one["streams"]["messages"] for one in found] == [
        {"status": 404, "code": 20404},
        {"status": 403, "code": None},
        {"error": "BadAnswer"},
    ]


# The command ----------------------------------------------------------------------------------------------------------


def test_check_writes_the_file_and_says_what_is_unexpected(tap_of: MakeTap, tmp_path: Path) -> None:
    """For the selected streams; a stream without a page has none in the file."""
    twilio = Twilio(seed=3, start="2026-01-01").at("2026-01-05T00:00:00Z")
    twilio.messages(60, body=SECRET, since="2026-01-02", until="2026-01-04")
    (newest,) = twilio.messages(1, body={SECRET: SECRET})
    twilio.rows[newest].data["account_note"] = SECRET
    twilio.absent_products = {"studio": 404}
    tap = tap_of(twilio)
    tap.settings["base_url"] += "/{product}"
    tap.catalog = None
    file = tmp_path / "shapes.json"
    run = tap.run("--check", "--shapes", str(file), "--select", "messages,message_media,studio_flows")
    text = file.read_text("utf-8")
    shapes = json.loads(text)

    assert run.exit_code == 0, run.log
    assert SECRET not in text and twilio.main not in text
    assert (shapes["format"], shapes["month"], shapes["streams"].keys()) == (1, "2026-01", {"messages", "studio_flows"})
    messages = shapes["streams"]["messages"]
    assert messages["rows"] == 50
    assert messages["properties"]["body"] == {"object": 1, "text": 49}
    assert messages["unknown_properties"] == {"account_note": {"absent": 49, "text": 1}}
    assert messages["order"]["date_created"] == "descending"
    assert messages["next_page"]["page_token"] == "PA and the key of the last row"
    assert shapes["streams"]["studio_flows"] == {"status": 404, "code": 20404}
    lines = b"".join(run.lines).decode().splitlines()
    assert [line for line in lines if "unexpected" in line] == [
        "unexpected: messages: the schema does not expect the form 'object' of body"
    ]


def test_a_file_that_cannot_be_written_is_told_before_a_request(tap_of: MakeTap, tmp_path: Path) -> None:
    """So nobody waits for a check whose result is lost. Without --check, the option is refused."""
    tap = tap_of(Twilio(start="2026-01-01"))
    for arguments, error in (
        (["--check", "--shapes", str(tmp_path / "none" / "shapes.json")], "cannot be written"),
        (["--shapes", str(tmp_path / "shapes.json")], "--shapes needs --check"),
    ):
        run = tap.run(*arguments)
        assert (run.exit_code, run.lines, tap.server.requests) == (1, [], [])
        assert error in run.log
