"""A declaration that contradicts itself refuses to be written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tap_twilio.errors import DeclarationError
from tap_twilio.streams import PRODUCTS, STREAMS, check
from tap_twilio.streams.model import (
    AllParents,
    Condition,
    Filter,
    FullRead,
    LogWindow,
    Parent,
    Product,
    RecentParents,
    Stream,
)

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = Product("studio", "/v2")
DATED = Filter("After", "Before", "date_created", nullable=False)
FLOWS = Parent("studio_flows", {"flow_sid": "sid"}, AllParents())

CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "a brace that nothing fills": {"path": "Flows/{flow_sid}/Executions"},
    "a value for no brace": {"parent": FLOWS},
    "a property added from nowhere": {"derived": {"flow_sid": "flow_sid"}},
    "a window without a filter": {"read_strategy": LogWindow(timedelta(days=2))},
    "a window whose filter hides rows": {
        "read_strategy": LogWindow(timedelta(days=2)),
        "filter": Filter("A", "B", "date_sent"),
    },
    "a cap on what is not read by a window": {"filter": Filter("A", "B", "date_sent", nullable=False, max_rows=9)},
    "a child with one list for each value": {
        "path": "Flows/{flow_sid}/Executions",
        "parent": FLOWS,
        "query_variants": {"Status": ("active",)},
    },
    "a longest span of what is not read by a window": {
        "filter": Filter("A", "B", "date_sent", nullable=False, max_range=timedelta(days=90))
    },
    "a child with a longest span": {
        "path": "Flows/{flow_sid}/Executions",
        "parent": FLOWS,
        "read_strategy": LogWindow(timedelta(days=2)),
        "filter": Filter("A", "B", "date_sent", nullable=False, max_range=timedelta(days=90)),
    },
    "two parameters with one list for each value": {"query_variants": {"Status": ("a",), "Type": ("b",)}},
    "a single resource with a filter": {"rows": None, "filter": DATED, "read_strategy": FullRead()},
    "no next page, and a filter": {"has_next_page": False, "filter": DATED},
    "a hidden key": {"hidden": frozenset({"sid"})},
    "no key": {"key": ()},
    "an unknown scope": {"scope": "world"},
    "a key that must be selected by name": {"deselected_by_default": frozenset({"sid"})},
    "recent rows of a list": {
        "path": "Flows/{flow_sid}/Executions",
        "parent": Parent("studio_flows", {"flow_sid": "sid"}, RecentParents()),
    },
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_what_cannot_be_obeyed_cannot_be_declared(what: str) -> None:
    """The error names the stream."""
    with pytest.raises(DeclarationError, match="^Stream one: "):
        Stream(**{"name": "one", "product": PRODUCT, "path": "Flows", "rows": "flows", **CONTRADICTIONS[what]})


def test_a_condition_is_one_of_three() -> None:
    """Above a number, among some values, or with some member."""
    for wrong in ({}, {"above": 1, "one_of": ("a",)}, {"above": 1, "has_member": "a"}):
        with pytest.raises(DeclarationError):
            Condition("status", **wrong)


def test_a_filter_has_bounds_of_seconds_or_of_days() -> None:
    """No other is known how to be written."""
    with pytest.raises(DeclarationError):
        Filter("A", "B", "date_created", unit=timedelta(minutes=1))
    with pytest.raises(DeclarationError):
        Filter("A", "B", "date_created", midnights=True)


def test_streams_have_names_of_their_own_and_parents_that_exist() -> None:
    """Nor is a stream its own ancestor."""
    child = Stream("one", PRODUCT, "Flows/{sid}/Executions", "executions", parent=Parent("none", {"sid": "sid"}))
    loop = Stream("one", PRODUCT, "Flows/{sid}/Executions", "executions", parent=Parent("one", {"sid": "sid"}))
    flow = Stream("studio_flows", PRODUCT, "Flows", "flows")
    everybodys = Stream("one", PRODUCT, "Flows/{flow_sid}/Executions", "executions", parent=FLOWS, scope="global")
    for wrong in ((STREAMS[0], STREAMS[0]), (child,), (loop,), (flow, everybodys)):
        with pytest.raises(DeclarationError):
            check(wrong)


def test_every_product_of_the_folder_is_read() -> None:
    """A file that nobody names would be left out without a word."""
    there = {path.stem for path in (ROOT / "tap_twilio" / "streams").glob("*.py")} - {"__init__", "model"}
    assert there == set(PRODUCTS)
