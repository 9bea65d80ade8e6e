"""The second source of a child: a list that is asked for one score at a time (streams/model.py, `Scores`)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tap_twilio.errors import NotAvailable, Refused
from tap_twilio.log import about
from tap_twilio.streams.model import Scores, Stream
from tap_twilio.tables.effects import Read
from tap_twilio.timestamps import DAY, Timestamp, later
from tap_twilio.twilio.endpoint import ListEndpoint, path_of
from tap_twilio.twilio.request import Fetch, Page, Row

from .page_reader import PageReader, read_pages

LOGGER = logging.getLogger("tap_twilio")
SPAN = 40 * DAY  # more than the days in which a score can be given, so that they are one query
Found = dict[str, tuple[Page, Row]]  # by the parent's key


@dataclass
class SecondSource:
    """The scores of one account. `off` holds the accounts that turned out not to have the product."""

    stream: Stream
    account: str
    main: str
    page_size: int
    alone: bool  # whether there is no other source, so that its absence is a failure
    off: set[str]
    answered: bool = False  # whether it ever did, so that it is there

    @property
    def scores(self) -> Scores:
        assert self.stream.second
        return self.stream.second

    @property
    def is_off(self) -> bool:
        """Whether the account turned out not to have it."""
        return self.account in self.off

    def find(self, since: Timestamp, until: Timestamp, found: Found) -> Read:
        """All that was scored of what began in that time: one list a score. A score that changes is found twice."""
        while since < until and self.account not in self.off:
            upper = min(until, later(since, SPAN))
            try:
                yield [self._list(score, since, upper, found) for score in self.scores.scores]
            except Refused as refused:
                self._absent(refused)
                return
            since = upper

    def record(self, page: Page, key: str, row: Row) -> Any:
        """A generator that returns the child's row for a scored one, asking for what its list left out."""
        scores = self.scores
        held: Any = row.get(scores.holds)
        names = set(scores.columns.values())
        if not isinstance(held, dict) or not names - {"quality_issues"} <= set(held):
            held = yield from self._one(key, {scores.score: row["score"]})
        filled = {name: held.get(source) for name, source in scores.columns.items()}
        filled[self._scored_as] = filled[self._scored_as] or row["score"]
        return {"account_sid": self.account, **filled, scores.source: scores.names[1]}

    @property
    def _scored_as(self) -> str:
        return next(name for name, source in self.scores.columns.items() if source == self.scores.score)

    def _one(self, key: str, otherwise: Mapping[str, Any]) -> Any:
        stream = self.scores.stream
        uri = path_of(stream.product, self.scores.one, {stream.key[0]: key})
        try:
            found: Page = yield Fetch(self.account, uri, None, stream.product.host, has=(), stream=self.stream.name)
        except Refused as refused:
            if not refused.says_absent:
                raise
            return otherwise
        return found.rows[0]

    def _list(self, score: int, since: Timestamp, until: Timestamp, found: Found) -> Read:
        query = {self.scores.parameter: str(score)}
        if self.account != self.main:
            query[self.scores.subaccount] = self.account
        endpoint = ListEndpoint(self.scores.stream, self.account, self.page_size, query, counted_for=self.stream.name)

        def take(page: Page) -> None:
            self.answered = True
            found.update({endpoint.id_of(row): (page, {**row, "score": score}) for row in page.rows})

        yield from read_pages(PageReader(endpoint, endpoint.top(since, until)), take)

    def _absent(self, refused: Refused) -> None:
        if not refused.says_absent or self.answered:
            raise refused
        names, called = self.scores.names, self.scores.called
        if self.alone:
            raise NotAvailable(
                f"call_feedback_source is {names[1]}, but this account has no {called} "
                f"(HTTP {refused.status}, code {refused.code}): use auto or {names[0]}"
            ) from None
        self.off.add(self.account)
        LOGGER.info(
            "%s %s: this account has no %s (HTTP %d), so that source is left out",
            self.stream.name,
            self.account,
            called,
            refused.status,
            extra=about(self.stream.name),
        )
