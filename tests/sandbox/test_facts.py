"""Every list of Twilio's OpenAPI documents is served as the facts in `sandbox/facts` have it, through real sockets."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sandbox import Twilio
from sandbox.catalog import Fact, facts
from sandbox.generic import HANDMADE
from sandbox.shapes import RECORDED_VALUES
from sandbox.timestamps import timestamp
from testing.served import serving

GENERIC = [one for name, one in facts().items() if name not in HANDMADE]
OCTOBER = "2026-10-01T09:00:00Z"
api = pytest.fixture(serving)


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
ONLY_RECORDED = {"annotation", "api_key_sid", "mailer_sid", "subresource_uris"}  # of rows that accounts received


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


MOVES = {"as_of": None}  # the time of the request


@pytest.mark.parametrize("one", facts().values(), ids=lambda one: one.name)
def test_what_twilio_published_is_as_the_facts_have_it(one: Fact) -> None:
    """Each list has a published row; where one strays from the documents, it does so in one of the known ways."""
    known = NUMBERS_AS_TEXT | NULL_ALL_THE_SAME | OF_ANOTHER_KIND | LATER_ADDED | ONLY_RECORDED
    assert len(one.published) >= 1
    assert {name for row in one.published for name in misfits(one, row)} <= known


@pytest.mark.parametrize("product", sorted({one.product for one in GENERIC}))
def test_rows_that_are_made_are_like_those_published(product: str) -> None:
    """They have the same properties, dates of the sandbox's clock, and keys and SIDs that no other row has."""
    twilio = Twilio(start=OCTOBER)
    known = NUMBERS_AS_TEXT | NULL_ALL_THE_SAME | OF_ANOTHER_KIND | LATER_ADDED | ONLY_RECORDED
    for one in (one for one in GENERIC if one.product == product):
        handles = twilio.add(one.name, n=3)
        rows = [twilio.generic.items[handle].data for handle in handles]
        assert {name for row in rows for name in misfits(one, row)} <= known.union(RECORDED_VALUES.get(one.name, ())), (
            one.name
        )
        assert all(timestamp(row["date_created"]) == twilio.clock for row in rows if row.get("date_created")), one.name
        assert all(row.get("account_sid", twilio.main) == twilio.main for row in rows if not one.of_everybody)
        if one.key and one.name != "us_app_to_person":  # Twilio gives all of those one SID
            assert len({row[one.key] for row in rows}) == 3, one.name


# A request lists the rooms of one status, and the published summary of a room is older than Twilio keeps them.
IN_PARTS = {"video_rooms", "video_room_summaries"}
ALL_TIME = {
    "serverless_logs": {"StartDate": "2000-01-01T00:00:00Z"},
    "taskrouter_events": {"StartDate": "2000-01-01T00:00:00Z"},
    "supersim_usage_records": {"Granularity": "day", "Group": "sim"},
    "wireless_usage_records": {"Granularity": "daily"},
    "wireless_sim_usage_records": {"Granularity": "daily"},
}


@pytest.mark.parametrize("product", sorted({one.product for one in GENERIC}))
def test_every_list_is_served_page_by_page_in_its_envelope(api: Any, product: str) -> None:
    """Two rows a page, made and published ones, each once, and the same as by themselves."""
    it = api(Twilio(start="2016-01-01"))
    for one in (one for one in GENERIC if one.product == product and one.name not in IN_PARTS):
        (first, *_) = it.twilio.add(one.name, n=3)
        item = it.twilio.generic.items[first]
        place = dict(zip(one.parameters, item.parents))
        if one.envelope == "single":
            assert it.get(it.path(one.name, place)).json() == it.twilio.present(one.name)[-1]
            continue
        it.twilio.add_published(one.name, parent=place or None)
        fixed = {"IncludeSoftDeleted": "true"} if "IncludeSoftDeleted" in one.query else {}
        pages = list(it.pages(it.path(one.name, place), PageSize=2, **fixed, **ALL_TIME.get(one.name, {})))
        rows = [row for page in pages for row in page[one.rows]]
        there = [row for values, row in it.twilio.present_at(one.name) if values == item.path_values]
        now = {"as_of": rows[0]["as_of"]} if "as_of" in rows[0] else {}  # the time of the request
        there = [row | now for row in there]
        assert sorted(map(repr, rows)) == sorted(map(repr, there)), one.name
        assert len(pages) == (1 if one.envelope == "none" else -(-len(there) // 2)), one.name
        if one.envelope == "meta":
            assert {page["meta"]["key"] for page in pages} == {one.rows}
        if one.one and one.name != "us_app_to_person":
            last = one.one.removesuffix(".json").rpartition("/")[2][1:-1]
            for row in rows:
                values = {"AccountSid": it.twilio.main, **place, last: row[one.key]}
                assert it.get(f"/{product}{one.fill(one.one, values)}").json() == row, one.name


@pytest.mark.parametrize("product", sorted({one.product for one in GENERIC}))
def test_what_twilio_published_comes_out_as_it_went_in(api: Any, product: str) -> None:
    """Every value but the account, the parents, and a key that is there already."""
    # Within the thirty days of the published alert, and of TaskRouter's published event.
    it = api(Twilio(start="2015-02-08" if product == "taskrouter" else "2015-08-10"))
    for one in (one for one in GENERIC if one.product == product and one.envelope != "single"):
        if one.name in IN_PARTS:
            continue
        handles = it.twilio.add_published(one.name)
        place = dict(zip(one.parameters, it.twilio.generic.items[handles[0]].parents))
        fixed = {"IncludeSoftDeleted": "true"} if "IncludeSoftDeleted" in one.query else {}
        listed = [r | MOVES for r in it.rows(one.name, place, **fixed, **ALL_TIME.get(one.name, {}))]
        own = {"account_sid", "parent_sid", "index", one.key, *(one.property_of(p) for p in one.parameters)}
        own |= {re.sub(r"(?<!^)(?=[A-Z])", "_", p).lower() for p in one.parameters}
        for handle, published in zip(handles, one.published):
            row = it.twilio.generic.items[handle].data
            assert row | MOVES in listed
            assert {n: v for n, v in row.items() if n not in own} == {
                n: v for n, v in published.items() if n not in own
            }
