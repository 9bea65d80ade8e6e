"""
List the calls that were rated in Voice Insights: the scores, which are one of the two sources of call feedback.

call_feedback.py calls `CallScores.read` once a sync, and `rating_of` for each call that the list shows. The list can be
filtered by one score at a time, so calls without a rating cost no request (streams/model.py, `ScoreList`). Both methods
are generators that yield requests to the scheduler (tables/effects.py).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tap_twilio.errors import NotAvailable, Refused
from tap_twilio.log import about
from tap_twilio.streams.model import ScoreList, Stream
from tap_twilio.tables.effects import Read
from tap_twilio.timestamps import DAY, Timestamp, later
from tap_twilio.twilio.endpoint import ListEndpoint, path_of
from tap_twilio.twilio.request import Fetch, Page, Row

from .page_reader import PageReader
from .read_list import read_pages

LOGGER = logging.getLogger("tap_twilio")
SCORE_SLICE = 40 * DAY  # longer than a call can be scored after its start, so that a usual sync needs one query a score
ScoredCalls = dict[str, tuple[Page, Row]]  # by the SIDs of the calls


@dataclass
class CallScores:
    """Reads the scored calls of one account."""

    stream: Stream
    account: str
    main_account: str
    page_size: int
    is_only_source: bool
    unavailable_in: set[str]  # the accounts that do not have the product; all accounts of a run share the set
    has_answered: bool = False  # this list answered once, so the account has the product

    @property
    def declaration(self) -> ScoreList:
        assert self.stream.score_list
        return self.stream.score_list

    @property
    def is_unavailable(self) -> bool:
        """Return whether the account does not have the product."""
        return self.account in self.unavailable_in

    def read(self, since: Timestamp, until: Timestamp, scored: ScoredCalls) -> Read:
        """Read all scores of the calls that started between two dates into `scored`."""
        while since < until and not self.is_unavailable:
            upper = min(until, later(since, SCORE_SLICE))
            try:
                yield [self._read_score(score, since, upper, scored) for score in self.declaration.scores]
            except Refused as refused:
                self._note_unavailable(refused)
                return
            since = upper

    def rating_of(self, page: Page, sid: str, row: Row) -> Any:
        """Return the rating of a scored call, as a row of call feedback. Request what the list left out."""
        declaration = self.declaration
        rating: Any = row.get(declaration.rating_member)
        names = set(declaration.columns.values())
        if not isinstance(rating, dict) or not names - {"quality_issues"} <= set(rating):
            rating = yield from self._request_rating(sid, {declaration.score_column: row["score"]})
        values = {name: rating.get(source) for name, source in declaration.columns.items()}
        score = next(name for name, source in declaration.columns.items() if source == declaration.score_column)
        values[score] = values[score] or row["score"]
        return {"account_sid": self.account, **values, declaration.source_column: declaration.source_names[1]}

    def _request_rating(self, sid: str, default: Mapping[str, Any]) -> Any:
        stream = self.declaration.stream
        uri = path_of(stream.product, self.declaration.item_path, {stream.key[0]: sid})
        try:
            page: Page = yield Fetch(self.account, uri, None, stream.product.host, required=(), stream=self.stream.name)
        except Refused as refused:
            if not refused.says_absent:
                raise
            return default
        return page.rows[0]

    def _read_score(self, score: int, since: Timestamp, until: Timestamp, scored: ScoredCalls) -> Read:
        """Read the calls with one score."""
        declaration = self.declaration
        query = {declaration.score_param: str(score)}
        if self.account != self.main_account:
            query[declaration.subaccount_param] = self.account
        endpoint = ListEndpoint(declaration.stream, self.account, self.page_size, query, counted_for=self.stream.name)

        def take(page: Page) -> None:
            self.has_answered = True
            scored.update({endpoint.id_of(row): (page, {**row, "score": score}) for row in page.rows})

        yield from read_pages(PageReader(endpoint, endpoint.first_page(since, until)), take)

    def _note_unavailable(self, refused: Refused) -> None:
        """Note that the account lacks the product. Raise a refusal that cannot mean this."""
        if not refused.says_absent or self.has_answered:
            raise refused
        names, product = self.declaration.source_names, self.declaration.product_name
        if self.is_only_source:
            raise NotAvailable(
                f"call_feedback_source is {names[1]}, but this account has no {product} "
                f"(HTTP {refused.status}, code {refused.code}): use auto or {names[0]}"
            ) from None
        self.unavailable_in.add(self.account)
        LOGGER.info(
            "%s %s: this account has no %s (HTTP %d), so that source is skipped",
            self.stream.name,
            self.account,
            product,
            refused.status,
            extra=about(self.stream.name),
        )
