"""The tap's read of one list and its children, in this process and over a simulated list: for the property tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from tap_twilio.errors import PartitionError
from tap_twilio.extract import strategy
from tap_twilio.extract.budget import Budget
from tap_twilio.extract.partition_read import Bounds, PartitionRead
from tap_twilio.run.accounts import Account
from tap_twilio.run.plan import RunPlan
from tap_twilio.settings import Settings
from tap_twilio.state.model import OpenRefresh
from tap_twilio.state.store import State
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.timestamps import from_datetime as text
from testing.histories import ACCOUNT, DAY, HOUR, START, Killed, Pages, TwilioList, all_as_json, drive


class FamilyTap:
    """The tap, whose syncs go on from the state of the last one. Tests say in `take` what becomes of the rows."""

    def __init__(self, twilio: TwilioList) -> None:
        self.twilio = twilio
        self.written: Any = None  # the state, as the last STATE held it
        self.state: State
        self.reading: PartitionRead
        self.refresh: OpenRefresh | None = None  # what the next sync gets as `--refresh`

    def take(self, emit: Emit) -> None:
        raise NotImplementedError

    def run(
        self,
        selected: Collection[str],
        pages: Pages,
        settings: dict[str, Any],
        bounds: dict[str, Any],
        budget: int = 10**6,
        state_bytes: int = 10**6,
        read: Callable[[PartitionRead], Read] = strategy.sync,
    ) -> bool:
        """Run a sync of the selected streams. Return whether it succeeded for every table."""
        self.state, stream = State(json.loads(json.dumps(self.written))), self.twilio.stream
        plan = RunPlan(
            Settings(ACCOUNT, ACCOUNT, "secret", **settings),
            self.state,
            frozenset(selected),
            self._now(),
            self._now,
            dict.fromkeys(selected, all_as_json),
        )
        plan.bounds, plan.size_limit.limit = Bounds(lateness=HOUR, **bounds), state_bytes
        account = Account(ACCOUNT, "active", text(START - 400 * DAY))
        self.reading = plan.partition_read(stream, account, Budget(budget, [(stream.name, ACCOUNT)]))
        self.reading.reconcile()
        if self.refresh:
            self.reading.state.refreshes, self.refresh = [self.refresh], None
        try:
            with suppress(Killed, PartitionError):
                drive([read(self.reading)], pages, self.take)
                return not any(table.failed for table in self.reading.tables)
            return False
        finally:
            self.written = self.dump(selected)

    def dump(self, selected: Collection[str]) -> Any:
        """Return the state that a STATE would hold now."""
        self.reading.save_fingerprints()
        return json.loads(json.dumps(self.state.dump({name: [ACCOUNT] for name in selected})))

    def _now(self) -> str:
        return text(self.twilio.now)
