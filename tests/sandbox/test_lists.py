"""Twilio's own client pages through every list that the sandbox serves and that it knows, through real sockets."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from twilio.rest import Client

from sandbox import Twilio, serve
from sandbox.catalog import Fact, facts
from sandbox.rows import snake
from testing.served import Rewriting

ACCOUNT = "/2010-04-01/Accounts/{AccountSid}/"
LISTS = [fact for fact in facts().values() if fact.envelope != "single"]
PRODUCTS = {fact.product: [one for one in LISTS if one.product == fact.product] for fact in LISTS}
# Lists that the client cannot page through: it has none of them, or a row's list is found under no row.
LACKS = {
    "accounts",  # it asks for the accounts elsewhere
    "call_insights_events",
    "call_insights_metrics",
    "event_schema_versions",
    "phone_number_reports_inbound",
    "phone_number_reports_outbound",
    "signing_keys",
}
# Lists that show a part of their rows unless a parameter asks for more: tests of their own read them.
PARTS = {
    *("call_summaries", "conferences", "recordings", "serverless_logs", "taskrouter_events", "video_rooms"),
    *("supersim_usage_records", "wireless_sim_usage_records", "wireless_usage_records"),
}


@pytest.fixture(scope="module")
def twilio() -> Twilio:
    """The demo, and some rows in each list that has none there."""
    found = Twilio.demo(seed=7)
    for fact in LISTS:
        if not found.present_at(fact.name, found.main):
            found.add(fact.name, found.main, n=3)
    return found


@pytest.fixture(scope="module")
def client(twilio: Twilio) -> Iterator[Client]:
    with serve(twilio) as server:
        http = Rewriting(server.url)
        yield Client(twilio.main, twilio.auth_token, http_client=http)
        http.session.close()


def found_at(node: Any, uri: str, depth: int = 3) -> Any:
    """The list at an address, among the properties of a client's object, and of the lists among these."""
    names = [name for name in dir(type(node)) if isinstance(inspect.getattr_static(type(node), name), property)]
    lists = [one for one in (getattr(node, name) for name in names) if type(one).__name__.endswith("List")]
    for one in lists:
        if getattr(one, "_uri", "").removesuffix(".json") == uri:
            return one
    below = (
        found_at(one, uri, depth - 1)
        for one in lists
        if depth and uri.startswith(getattr(one, "_uri", "").removesuffix(".json"))
    )
    return next(filter(None, below), None)


def list_of(client: Client, fact: Fact, values: dict[str, str]) -> Any:
    """The client's object for a list, reached as a user of it would: product, version, and a row after the other."""
    product = getattr(client, fact.product.replace("-", "_"))
    in_account = fact.product == "api"
    node = product.v2010.account if in_account else getattr(product, fact.version)
    path = fact.path.removeprefix(ACCOUNT) if in_account else fact.path.removeprefix(f"/{fact.version}/")
    uri, words = f"/Accounts/{client.account_sid}" if in_account else "", ""
    for word in path.removesuffix(".json").split("/"):
        if word.startswith("{"):
            value = values[word]
            node = found_at(node, uri + words)(value)
            uri, words = f"{uri}{words}/{value}", ""
        else:
            words += f"/{word}"
    return found_at(node, uri + words)


@pytest.mark.long
@pytest.mark.parametrize("product", PRODUCTS)
def test_the_official_client_pages_through_each_list(twilio: Twilio, client: Client, product: str) -> None:
    """Below one row, where a list has parents: each row once, and no other."""
    read = {}
    there = {}
    for fact in PRODUCTS[product]:
        if fact.name in LACKS | PARTS:
            continue
        rows = twilio.present_at(fact.name, twilio.main)
        place = rows[0][0]
        values = {f"{{{name}}}": place[snake(name)] for name in fact.parameters}
        key = fact.key or next(name for name in rows[0][1] if name not in ("from", "links"))
        pages = list_of(client, fact, values).stream(page_size=2)
        read[fact.name] = sorted(str(getattr(row, key)) for row in pages)
        there[fact.name] = sorted(str(row[key]) for where, row in rows if where == place)
    assert all(there.values())
    assert read == there
