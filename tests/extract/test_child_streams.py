"""Test a list and its children over random histories: each table becomes equal to Twilio, also if others fail."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from tap_twilio.errors import Refused, Unreachable
from tap_twilio.tables.effects import Emit
from tap_twilio.timestamps import from_datetime as text
from tap_twilio.twilio.request import Fetch, Page
from testing.family_tap import FamilyTap
from testing.histories import (
    DAY,
    FEW,
    HOUR,
    START,
    Pages,
    TwilioList,
    live,
    rfc2822,
)

SEEDS = st.integers(0, 10**9)
TABLES = ("studio_flows", "studio_executions", "studio_execution_steps")


class Family(TwilioList):
    """Studio flows with executions, which get steps while active. Executions come and change without their flow."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, "studio_flows", "created", "taken", timedelta(0))
        self.children: dict[str, dict[str, dict[str, Any]]] = {}  # the children of each row
        self.trouble = 0.0  # the share of requests for children that fail
        self.undated_share = 0.5  # the share of the changes of children that leave date_updated as it was

    def _add_child(self, parent: str, **more: Any) -> dict[str, Any]:
        self.count += 1
        row = {"sid": f"R{self.count:05d}", "date_created": self.now, "date_updated": self.now, "value": 0, **more}
        self.children.setdefault(parent, {})[row["sid"]] = row
        return row

    def executions(self) -> list[dict[str, Any]]:
        return [row for flow in self.rows for row in self.children.get(flow, {}).values()]

    def happen(self) -> None:
        """
        Change a flow; begin, change or end an execution; or add a step to an active one.

        Executions and the steps of active executions may change without a new date, since each sync reads them. So may
        the steps of an execution that ends, since the next sync reads them once more.
        """
        chance, active = self.rng.random(), [row for row in self.executions() if row["status"] == "active"]
        if chance < 0.3 or not self.rows:
            return super().happen()
        if chance < 0.5 or not active:
            flow = self.rng.choice(list(self.rows))
            self._add_child(flow, status="active", flow_sid=flow)
            return None
        execution = self.rng.choice(active)
        if chance < 0.7:
            self._change(self.rng.choice(self.executions()))
        elif chance < 0.8:
            self._change_step(execution)
        elif chance < 0.9:
            self._add_child(execution["sid"], execution_sid=execution["sid"])
        else:
            self._change_step(execution)
            self._add_child(execution["sid"], execution_sid=execution["sid"])
            execution.update(status="ended", date_updated=self.now)
        return None

    def _change(self, row: dict[str, Any]) -> None:
        row["value"] += 1
        if self.rng.random() >= self.undated_share:
            row["date_updated"] = self.now

    def _change_step(self, execution: dict[str, Any]) -> None:
        if steps := list(self.children.get(execution["sid"], {}).values()):
            self._change(self.rng.choice(steps))

    def answer(self, ask: Fetch) -> Page:
        parts = urlsplit(ask.uri).path.split("/")[2:]  # Flows, its SID, Executions, its SID, Steps
        if len(parts) == 1 or (len(parts) == 2 and not ask.rows_property):
            return super().answer(ask)
        if self.rng.random() < self.trouble:
            raise Unreachable("HTTP 500, for 15 minutes")
        parents = self.rows if len(parts) == 3 else self.children.get(parts[1], {})
        if parts[-2] not in parents or parts[1] not in self.rows:
            raise Refused(404, 20404, "not found", ask.uri)
        rows = self.children.get(parts[-2], {}).values()
        return Page([self.row(row) for row in rows], None, text(self.now))

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "date_created": rfc2822(row["date_created"]), "date_updated": rfc2822(row["date_updated"])}

    def truth(self) -> dict[str, dict[str, Any]]:
        executions = self.executions()
        steps = [step for execution in executions for step in self.children.get(execution["sid"], {}).values()]
        return {
            "studio_flows": {sid: self.wire(row) for sid, row in self.rows.items()},
            "studio_executions": {row["sid"]: self.row(row) for row in executions},
            "studio_execution_steps": {row["sid"]: self.row(row) for row in steps},
        }


class Tap(FamilyTap):
    """The tap, and the warehouse that it loads."""

    twilio: Family

    def __init__(self, twilio: Family) -> None:
        super().__init__(twilio)
        self.warehouse: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
        self.emitted: list[str] = []

    def sync(
        self,
        selected: tuple[str, ...] = TABLES,
        budget: int = 10**6,
        lives: int | None = None,
        chatter: float = 0.2,
        requests: int = 5000,
        **bounds: Any,
    ) -> bool:
        """Run a sync. Return whether it succeeded for every table."""
        self.emitted = []
        pages = Pages(self.twilio, chatter, lives)
        bounds = {"page_size": 3, "short_pages": 3, **bounds}
        return self.run(selected, pages, {"max_child_requests": requests}, bounds, budget)

    def take(self, emit: Emit) -> None:
        for row in map(json.loads, emit.records):
            self.warehouse[emit.table.name][row["sid"]] = row
            self.emitted.append(row["sid"])

    def wrong(self, tables: tuple[str, ...] = TABLES) -> dict[str, Any]:
        truth = self.twilio.truth()
        return {
            sid: (table, row, self.warehouse[table].get(sid))
            for table in tables
            for sid, row in truth[table].items()
            if self.warehouse[table].get(sid) != row
        }


def family(seed: int) -> tuple[Family, Tap]:
    twilio = Family(random.Random(seed))
    for _ in range(twilio.rng.randrange(0, 12)):
        twilio.add(START - 300 * DAY * twilio.rng.random())
    for _ in range(20):
        twilio.happen()
    return twilio, Tap(twilio)


def some_tables(rng: random.Random) -> tuple[str, ...]:
    return rng.choice((TABLES, TABLES, TABLES[:1], TABLES[1:], TABLES[2:], TABLES[1:2], TABLES[::2]))


@FEW
@given(SEEDS)
def test_every_table_is_right_in_the_end_whatever_was_selected_killed_or_failed(seed: int) -> None:
    """Children fail, or are selected late or without their parent; runs are killed; parents are deleted."""
    twilio, tap = family(seed)
    rng = twilio.rng
    for _ in range(rng.randrange(2, 12)):
        live(twilio)
        twilio.trouble = rng.choice((0, 0, 0.1, 0.5, 1))
        lives = rng.randrange(0, 40) if rng.random() < 0.3 else None
        tap.sync(some_tables(rng), rng.randrange(1, 6), lives, lookback=rng.choice((0, 1, 15)) * DAY)
    twilio.trouble = 0
    for _ in range(25):
        twilio.now += 3 * HOUR
        assert tap.sync(budget=3, chatter=0)
    assert not tap.wrong()


@FEW
@given(SEEDS)
def test_rows_that_a_sync_may_not_visit_are_visited_later(seed: int) -> None:
    """A small request limit loses no row, in any order of the list, with kills and failures."""
    twilio, tap = family(seed)
    rng = twilio.rng
    for _ in range(rng.randrange(2, 9)):
        live(twilio)
        twilio.trouble = rng.choice((0, 0, 0.3))
        lives = rng.randrange(0, 40) if rng.random() < 0.3 else None
        tap.sync(some_tables(rng), rng.randrange(1, 6), lives, requests=rng.choice((1, 2, 5)))
    twilio.trouble = 0
    for _ in range(40):
        twilio.now += 3 * HOUR
        assert tap.sync(budget=3, chatter=0, requests=2)
    assert not tap.wrong()


@FEW
@given(SEEDS)
def test_within_the_budget_every_table_is_right_after_a_sync_that_ended_well(seed: int) -> None:
    """Also a table whose parent is not selected."""
    twilio, tap = family(seed)
    rng = twilio.rng
    for _ in range(rng.randrange(2, 9)):
        live(twilio)
        twilio.trouble = rng.choice((0, 0, 0.3))
        selected = some_tables(rng)
        if tap.sync(selected, lives=rng.randrange(0, 60) if rng.random() < 0.3 else None, chatter=0):
            assert not tap.wrong(selected)


@FEW
@given(SEEDS)
def test_a_table_that_fails_costs_the_others_nothing(seed: int) -> None:
    """All requests for children fail: the parent's table is right, and a later sync emits the children."""
    twilio, tap = family(seed)
    twilio.trouble = 1
    for _ in range(3):
        live(twilio)
        tap.sync(chatter=0)
        assert not tap.wrong(TABLES[:1])
    twilio.trouble = 0
    twilio.now += HOUR
    assert tap.sync(chatter=0)
    assert not tap.wrong()


@FEW
@given(SEEDS)
def test_a_sync_in_which_nothing_changed_emits_nothing(seed: int) -> None:
    """Open rows are visited again, and their unchanged children are not emitted."""
    twilio, tap = family(seed)
    twilio.without_date_updated = False
    for _ in range(3):
        twilio.now += DAY
        assert tap.sync(chatter=0)
    assert tap.emitted == []


@FEW
@given(SEEDS)
def test_children_that_change_without_a_date_are_written_alone(seed: int) -> None:
    """An execution, steps of active executions, and an execution that ends."""
    twilio, tap = family(seed)
    for _ in range(3):
        twilio.now += DAY
        assert tap.sync(chatter=0)
    rng, active = twilio.rng, [row for row in twilio.executions() if row["status"] == "active"]
    steps = [step for row in active for step in twilio.children.get(row["sid"], {}).values()]
    changed = rng.sample(twilio.executions(), min(1, len(twilio.executions()))) + rng.sample(steps, min(2, len(steps)))
    for row in changed:
        row["value"] += 1
    if active and rng.random() < 0.5:
        ended = rng.choice(active)
        ended.update(status="ended", date_updated=twilio.now)
        changed.append(ended)
    twilio.now += HOUR
    assert tap.sync(chatter=0)
    assert sorted(tap.emitted) == sorted({row["sid"] for row in changed})
    assert not tap.wrong()
