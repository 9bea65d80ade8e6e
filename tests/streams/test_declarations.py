"""A contradictory declaration raises an error that says what to write."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tap_twilio.errors import DeclarationError
from tap_twilio.streams import BY_NAME, PRODUCTS, STREAMS, check
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

CHILD: dict[str, Any] = {"path": "Flows/{flow_sid}/Executions", "parent": FLOWS}
LOG: dict[str, Any] = {"read_strategy": LogWindow(timedelta(days=2))}
UNDATED = Filter("A", "B", "date_sent")
CAPPED = Filter("A", "B", "date_sent", nullable=False, max_rows=9)
SHORT = Filter("A", "B", "date_sent", nullable=False, max_range=timedelta(days=90))

CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "the path has flow_sid: add them to path_params": {"path": "Flows/{flow_sid}/Executions"},
    "path_params has flow_sid: write them in braces": {"parent": FLOWS},
    'derived has the source flow_sid: write "account_sid"': {"derived": {"flow_sid": "flow_sid"}},
    "a LogWindow needs a date filter": LOG,
    "a LogWindow misses rows whose date is null": {**LOG, "filter": UNDATED},
    "max_rows of a filter needs read_strategy=LogWindow": {"filter": CAPPED},
    "max_range of a filter needs read_strategy=LogWindow": {"filter": SHORT},
    "the filter of a child cannot have max_range": {**CHILD, **LOG, "filter": SHORT},
    "a child cannot have query_variants": {**CHILD, "query_variants": {"Status": ("active",)}},
    "query_variants takes only one parameter": {"query_variants": {"Status": ("a",), "Type": ("b",)}},
    "rows=None cannot have a filter": {"rows": None, "filter": DATED, "read_strategy": FullRead()},
    "a list with has_next_page=False cannot have a filter": {"has_next_page": False, "filter": DATED},
    "sid is in the key: remove it from hidden": {"hidden": frozenset({"sid"})},
    "sid is in the key: remove it from hidden and deselected_by_default": {"deselected_by_default": frozenset({"sid"})},
    "a property of the key is in not_compared": {"not_compared": frozenset({"sid"})},
    "the key is empty: name the properties": {"key": ()},
    "the scope is world: write one of account, main, global": {"scope": "world"},
    "RecentParents needs rows=None": {**CHILD, "parent": Parent("studio_flows", {"flow_sid": "sid"}, RecentParents())},
    "a score_list needs a parent with RecentParents": {"score_list": BY_NAME["call_feedback"].score_list},
}


@pytest.mark.parametrize("problem", CONTRADICTIONS)
def test_a_contradictory_declaration_is_refused(problem: str) -> None:
    """The error names the stream, the problem, and what to write."""
    with pytest.raises(DeclarationError, match=re.escape(f"Stream one: {problem}")):
        Stream(**{"name": "one", "product": PRODUCT, "path": "Flows", "rows": "flows", **CONTRADICTIONS[problem]})


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
