"""
The warehouse equals the list in the end, while the list changes, time passes, and syncs with small budgets are killed.

Hypothesis draws each step, so a failing history shrinks to the steps that matter.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tap_twilio.state.model import OpenRefresh
from tap_twilio.timestamps import from_datetime as text
from testing.histories import DAY, FEW, HOUR, ORDERS, START, TwilioList

from .test_child_streams import TABLES, Family
from .test_child_streams import Tap as FamilyTap
from .test_refresh import RefreshTap

budgets, lives = st.integers(1, 6), st.none() | st.integers(0, 20)
pauses = st.sampled_from([timedelta(seconds=1), HOUR, 3 * HOUR, DAY, 9 * DAY])
seeds = st.integers(0, 99)  # for the order of answers, and for the changes between them


class ChangingTwilio(RuleBasedStateMachine):
    """What happens at Twilio between the syncs, whatever the tap reads."""

    twilio: TwilioList

    @rule(seed=seeds)
    def happen(self, seed: int) -> None:
        self.twilio.rng.seed(seed)
        self.twilio.happen()

    @rule(pause=pauses)
    def wait(self, pause: timedelta) -> None:
        self.twilio.now += pause


class OneList(ChangingTwilio):
    """One list without children."""

    @initialize(
        stream=st.sampled_from(["messages", "calls", "conferences", "addresses"]),
        order=st.sampled_from(ORDERS),
        token=st.sampled_from(["taken", "refused", "empty"]),
        late=st.sampled_from([0, 5]),
        rows=st.integers(0, 30),
    )
    def begin(self, stream: str, order: str, token: str, late: int, rows: int) -> None:
        self.twilio = TwilioList(random.Random(rows), stream, order, token, late * HOUR)
        for number in range(rows):
            self.twilio.add(START - timedelta(days=20 * number + 1))
        self.tap = RefreshTap(self.twilio)

    @rule(budget=budgets, lives=lives, seed=seeds, lookback=st.sampled_from([0, 1, 15, 60]))
    def sync(self, budget: int, lives: int | None, seed: int, lookback: int) -> None:
        self.twilio.rng.seed(seed)
        self.tap.sync(budget=budget, lives=lives, lookback=lookback * DAY)

    @rule(lives=lives, days=st.sampled_from([0, 3, 60]))
    def sync_with_end_date(self, lives: int | None, days: int) -> None:
        self.tap.sync(lives=lives, end_date=text(self.twilio.now - days * DAY))

    @rule(days=st.sampled_from([None, (0, 2), (15, 90), (0, 700)]))
    def refresh(self, days: tuple[int, int] | None) -> None:
        """Have the next sync write some rows again."""
        now = self.twilio.now
        self.tap.request(days and (now - days[1] * DAY, now - days[0] * DAY))

    def teardown(self) -> None:
        if not hasattr(self, "tap"):
            return
        self.twilio.now += DAY
        for _ in range(25):
            self.tap.sync(budget=5, chatter=0)
            self.twilio.now += 3 * HOUR
        assert not self.tap.wrong()
        assert not self.tap.state.refreshes


class OneFamily(ChangingTwilio):
    """A list, its children and their children."""

    twilio: Family

    @initialize(rows=st.integers(0, 6))
    def begin(self, rows: int) -> None:
        self.twilio = Family(random.Random(rows))
        for number in range(rows):
            self.twilio.add(START - timedelta(days=20 * number + 1))
        self.tap = FamilyTap(self.twilio)

    @rule(
        tables=st.lists(st.sampled_from(TABLES), min_size=1, unique=True),
        budget=budgets,
        lives=lives,
        seed=seeds,
        trouble=st.sampled_from([0, 0.3, 1]),
    )
    def sync(self, tables: list[str], budget: int, lives: int | None, seed: int, trouble: float) -> None:
        self.twilio.rng.seed(seed)
        self.twilio.trouble = trouble
        self.tap.sync(tuple(tables), budget, lives)

    @rule(tables=st.lists(st.sampled_from(TABLES), min_size=1, unique=True))
    def refresh(self, tables: list[str]) -> None:
        self.tap.refresh = OpenRefresh(text(self.twilio.now), tables)

    def teardown(self) -> None:
        if not hasattr(self, "tap"):
            return
        self.twilio.trouble = 0
        for _ in range(25):
            self.twilio.now += 3 * HOUR
            assert self.tap.sync(budget=3, chatter=0)
        assert not self.tap.wrong()


def bounded(machine: type[RuleBasedStateMachine]) -> Any:
    case = machine.TestCase
    case.settings = FEW
    return case


TestOneList = bounded(OneList)
TestOneFamily = bounded(OneFamily)
