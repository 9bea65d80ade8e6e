"""
The plan of a run: create a PartitionRead for each list and account, with the consumers of its rows.

run/sync.py calls `RunPlan.partition_read` for each stream without a parent, and extract/strategy.py reads the list. A
consumer is the table of the list's own stream, or a child stream that has consumers itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tap_twilio.changes.fingerprints import SizeLimit
from tap_twilio.extract.budget import Budget, ChildRequests
from tap_twilio.extract.call_feedback import CallFeedback, CallFeedbackTable, FeedbackSettings
from tap_twilio.extract.call_scores import CallScores
from tap_twilio.extract.child_streams import ChildStream
from tap_twilio.extract.dispatch import ChildConsumer
from tap_twilio.extract.partition_read import TEN_YEARS, Bounds, PartitionRead
from tap_twilio.settings import Settings
from tap_twilio.state.model import Partition
from tap_twilio.state.store import State
from tap_twilio.streams import STREAMS, Stream, children
from tap_twilio.tables.table import Table
from tap_twilio.timestamps import BEGINNING, END, Timestamp, earlier
from tap_twilio.twilio.request import Row

from .accounts import Account


@dataclass
class RunPlan:
    """Creates the reads of a run. `selected` names the streams that have a table."""

    settings: Settings
    state: State
    selected: frozenset[str]
    began: Timestamp  # the sync's start
    now: Callable[[], Timestamp]  # Twilio's time
    records: Mapping[str, Callable[[Iterable[Row]], Iterable[bytes]]]  # by stream: turns rows into JSON records
    accounts_without_scores: set[str] = field(default_factory=set)  # Twilio has no call scores of them
    requests: dict[str, ChildRequests] = field(default_factory=dict)  # by account

    def __post_init__(self) -> None:
        settings = self.settings
        self.bounds = Bounds(
            settings.start_date or BEGINNING,
            timedelta(days=settings.lookback_days),
            timedelta(hours=settings.lateness_hours),
            settings.page_size,
            end_date=settings.end_date or END,
            max_child_requests=settings.max_child_requests,
        )
        # 900 bytes of each kilobyte: a tenth is left free, since the last chunk may exceed the limit.
        self.size_limit = SizeLimit(settings.state_kilobytes * 900)

    def top_streams(self) -> list[Stream]:
        """Return the top streams that are selected, or have a selected descendant."""
        return [stream for stream in STREAMS if stream.parent is None and self.names(stream)]

    def names(self, stream: Stream) -> list[str]:
        """Return the selected streams among a stream and its descendants."""
        own = [stream.name] if stream.name in self.selected else []
        return [*own, *(name for child in children(stream) for name in self.names(child))]

    def partition_read(self, stream: Stream, account: Account, budget: Budget) -> PartitionRead:
        """Return the read of a top stream in one account."""
        list_state = self.state.partition(stream.name, account.sid)
        consumers = self._consumers(stream, account, list_state)
        return PartitionRead(
            stream, account.sid, list_state, consumers, self.began, self.now, budget, self.bounds, account.created
        )

    def _consumers(self, stream: Stream, account: Account, list_state: Partition) -> list[Table | ChildConsumer]:
        consumers: list[Table | ChildConsumer] = []
        if stream.name in self.selected:
            consumers.append(self._table(Table, stream, account, list_state))
        for child in children(stream):
            if child.parent and child.parent.visits_by_age:
                if child.name in self.selected:
                    consumers.append(self._call_feedback(child, account, list_state))
            elif child_consumers := self._consumers(child, account, list_state):
                consumers.append(self._child_streams(child, stream, account, child_consumers))
        return consumers

    def _child_streams(
        self, child: Stream, parent: Stream, account: Account, consumers: list[Table | ChildConsumer]
    ) -> ChildStream:
        return ChildStream(
            child,
            account.sid,
            self.settings.page_size,
            consumers,
            self.now,
            self._requests(account),
            self.state.partition(child.name, account.sid),
            self.size_limit,
            min(self.bounds.page_size, parent.max_page_size),
            evicts_oldest=parent.parent is not None,
            end_date=self.bounds.end_date,
        )

    def _requests(self, account: Account) -> ChildRequests:
        return self.requests.setdefault(account.sid, ChildRequests(self.settings.max_child_requests))

    def _table(self, kind: type[Table], stream: Stream, account: Account, list_state: Partition) -> Table:
        state = self.state.partition(stream.name, account.sid)
        bounds = self.bounds
        return kind(
            stream,
            account.sid,
            state,
            list_state,
            self.records[stream.name],
            self.size_limit,
            bounds.start_date,
            bounds.lateness,
            min(bounds.page_size, stream.max_page_size),
            end_date=bounds.end_date,
        )

    def _call_feedback(self, stream: Stream, account: Account, list_state: Partition) -> CallFeedback:
        settings = self.settings
        table = self._table(CallFeedbackTable, stream, account, list_state)
        assert isinstance(table, CallFeedbackTable)
        uses_feedback_resource = settings.call_feedback_source in ("auto", "feedback")
        feedback_settings = FeedbackSettings(
            timedelta(days=settings.feedback_days),
            settings.feedback_requests,
            backfill=settings.feedback_backfill,
            uses_feedback_resource=uses_feedback_resource,
            uses_scores=settings.call_feedback_source in ("auto", "insights"),
        )
        scores = CallScores(
            stream,
            account.sid,
            account.sid if account.sid in settings.credentials else settings.account_sid,
            settings.page_size,
            is_only_source=not uses_feedback_resource,
            unavailable_in=self.accounts_without_scores,
        )
        oldest = self.bounds.start_date or account.created or earlier(self.began, TEN_YEARS)
        return CallFeedback(
            table,
            feedback_settings,
            scores if stream.score_list else None,
            min(self.began, self.bounds.end_date),
            self.bounds.lateness,
            oldest,
        )
