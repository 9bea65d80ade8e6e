"""Histories of a Twilio list, and a driver that runs reads over them: for the property tests of the plan.

Everything happens in this process and in simulated time, so that thousands of histories run in seconds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hypothesis import settings

from tap_twilio.changes.fingerprints import SizeLimit
from tap_twilio.errors import Incomplete, PartitionError, Refused
from tap_twilio.extract import strategy
from tap_twilio.extract.budget import Budget
from tap_twilio.extract.partition_read import Bounds, PartitionRead
from tap_twilio.run.scheduler import Scheduler
from tap_twilio.state.model import Partition
from tap_twilio.state.store import State
from tap_twilio.streams import STREAMS
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.tables.table import Table
from tap_twilio.timestamps import from_datetime as text
from tap_twilio.twilio.request import Fetch, Page

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 6, 1, tzinfo=timezone.utc)
ACCOUNT = "AC" + "0" * 32
FEW = settings(max_examples=settings().max_examples // 4)  # a whole history costs more than a value
STREAM = {stream.name: stream for stream in STREAMS}


ORDERS = ("created", "created_ascending", "first", "last", "updated", "updated_ascending", "sid")


class Killed(Exception):
    """The process died here."""


def as_json(row: dict[str, Any]) -> bytes:
    """The record of a row: all of it."""
    return json.dumps(row).encode()


def all_as_json(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """The records of rows."""
    return map(as_json, rows)


@cache
def rfc2822(at: datetime | None) -> str | None:
    return at.strftime("%a, %d %b %Y %H:%M:%S +0000") if at else None


class TwilioList:
    """One Twilio collection: rows appear (some late), change, are sent, move between statuses, are deleted."""

    def __init__(self, rng: random.Random, stream: str, order: str, deleted_token: str, late: timedelta) -> None:
        self.rng, self.stream, self.order, self.deleted_token, self.late = (
            rng,
            STREAM[stream],
            order,
            deleted_token,
            late,
        )
        self.now = START
        self.rows: dict[str, dict[str, Any]] = {}
        self.gone: dict[str, dict[str, Any]] = {}
        self.count = 0
        self.requests: list[Fetch] = []
        self.named = ""
        self.hides_null = rng.random() < 0.8
        self.inclusive = rng.random() < 0.5
        self.without_date_updated = rng.random() < 0.1
        self.prices = 10**6  # how many a row can have before one comes back
        self.undated = 0.5  # which part of the changes leaves date_updated alone
        self.hollow = rng.choice((0, 0, 0, 1, 3))  # pages without a row after each third row that a token names

    @property
    def statuses(self) -> tuple[str, ...]:
        return next(iter(self.stream.query_variants.values()), ())

    @property
    def column(self) -> str:
        return self.stream.filter.column if self.stream.filter else "date_created"

    def add(self, created: datetime | None = None) -> None:
        self.count += 1
        born = created or self.now
        row: dict[str, Any] = {"sid": f"R{self.count:05d}", "value": 0, "price": 0}
        row["date_created"] = row["date_updated"] = row["shown"] = born
        if created is None and self.late:
            row["shown"] = born + self.late * self.rng.random()
        if self.order == "name":
            row["friendly_name"] = f"{row['value']:05}"
        if self.column != "date_created":
            row[self.column] = born + self.rng.choice((0, 0, 1, 60, 86400 * 30)) * timedelta(seconds=1)
            if self.rng.random() < 0.3 or row[self.column] > self.now:
                row[self.column] = None
        if self.statuses:
            row["status"] = self.statuses[0]
        self.rows[row["sid"]] = row

    def happen(self) -> None:
        """Something: a row is added, deleted, sent, moved on, changed."""
        listed = [row for row in self.rows.values() if row["shown"] <= self.now]
        if self.rng.random() < 0.35 or not listed:
            return self.add()
        row = self.rng.choice(listed)
        if self.rng.random() < 0.3:  # the row that a page token names, more often than chance would
            row = self.rows.get(self.named, row)
        if self.rng.random() < 0.1:
            self.gone[row["sid"]] = self.rows.pop(row["sid"])
            return None
        if self.rng.random() < self.undated:
            row["price"] = (row["price"] + 1) % self.prices
            return None
        row["value"] += 1 if self.order != "name" else self.rng.randrange(1, 9)
        if self.order == "name":
            row["friendly_name"] = f"{row['value']:05}"
        row["date_updated"] = self.now
        if row.get(self.column) is None and self.rng.random() < 0.4:
            row[self.column] = self.now
        if self.statuses and self.rng.random() < 0.5:
            steps = self.statuses
            row["status"] = steps[min(steps.index(row["status"]) + 1, len(steps) - 1)]
        return None

    def position(self, row: dict[str, Any]) -> tuple[Any, ...]:
        if self.order == "sid":
            return (row["sid"][::-1],)
        if self.order == "name":
            return (f"{row['value']:05}", row["sid"])
        if self.order in ("updated", "updated_ascending"):
            turned = -1 if self.order == "updated" else 1
            return (0, turned * row["date_updated"].timestamp(), row["sid"])
        if self.order == "created_ascending":
            return (0, row["date_created"].timestamp(), row["sid"])
        if self.order == "created" or self.column == "date_created":
            return (0, -row["date_created"].timestamp(), row["sid"])
        at = row[self.column]
        return (int((at is None) != (self.order == "first")), -(at or row["date_created"]).timestamp(), row["sid"])

    def wire(self, row: dict[str, Any]) -> dict[str, Any]:
        out = {
            name: rfc2822(value) if isinstance(value, datetime) else value
            for name, value in row.items()
            if name != "shown"
        }
        if self.without_date_updated:
            out["date_updated"] = None
        return out

    def answer(self, ask: Fetch) -> Page:
        self.requests.append(ask)
        path, query = urlsplit(ask.uri).path, dict(parse_qsl(urlsplit(ask.uri).query))
        if not ask.rows_property:
            row = self.rows.get(path.rsplit("/", 1)[1].removesuffix(".json"))
            if row is None:
                raise Refused(404, 20404, "not found", path)
            return Page([self.wire(row)], None, text(self.now))
        rows = [row for row in self.rows.values() if row["shown"] <= self.now]
        if self.statuses:
            rows = [row for row in rows if row["status"] == query["Status"]]
        if self.stream.filter:
            rows = self.filtered(rows, query)
        rows.sort(key=self.position)
        size = int(query["PageSize"])
        if not self.stream.tokens_name_rows:
            at = int(query.get("Page", "0"))
            self.named = self.rng.choice([*rows[: (at + 1) * size], {"sid": ""}])["sid"]
            token = {**query, "Page": str(at + 1), "PageToken": f"AP{at + 1}"}
            following = (
                f"{path}?{'&'.join(f'{k}={v}' for k, v in token.items())}" if len(rows) > (at + 1) * size else None
            )
            return Page([self.wire(row) for row in rows[at * size : (at + 1) * size]], following, text(self.now))
        if "PageToken" in query:
            named = query["PageToken"][2:]
            row = self.rows.get(named)
            number = int(query.get("Page", "0"))
            if number < self.hollow and int(named[1:]) % 3 == 0:
                token = {**query, "Page": str(number + 1)}
                return Page([], f"{path}?{'&'.join(f'{k}={v}' for k, v in token.items())}", text(self.now))
            if row and self.statuses and row["status"] != query["Status"] and self.deleted_token == "empty":
                return Page([], None, text(self.now))
            if row is None:
                if self.deleted_token == "refused":
                    raise Refused(400, 20001, "bad token", path)
                if self.deleted_token == "empty":
                    return Page([], None, text(self.now))
                row = self.gone[named]
            rows = [other for other in rows if self.position(other) > self.position(row)]
        page = rows[:size]
        following = None
        if len(rows) > size:
            self.named = page[-1]["sid"]
            token = {**query, "PageToken": f"PA{page[-1]['sid']}", "Page": "0"}
            following = f"{path}?{'&'.join(f'{k}={v}' for k, v in token.items())}"
        return Page([self.wire(row) for row in page], following, text(self.now))

    def filtered(self, rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        assert self.stream.filter
        since, until = query.get(self.stream.filter.after), query.get(self.stream.filter.before)
        if not since or not until:
            return rows
        low, high = (datetime.fromisoformat(at.replace("Z", "")).replace(tzinfo=timezone.utc) for at in (since, until))
        if self.stream.filter.max_age and low < self.now - self.stream.filter.max_age:
            raise Refused(400, 20004, "too far back", "")
        column, null = self.column, not self.hides_null
        if not self.inclusive:
            low, high = low + timedelta(microseconds=1), high - timedelta(microseconds=1)
        return [row for row in rows if (low <= row[column] <= high if row[column] else null)]


class Pages:
    """Answers what the scheduler asks, in any order that chance gives; things happen meanwhile, and it may die."""

    def __init__(
        self, twilio: TwilioList, chatter: float, lives: int | None, before: Callable[[], None] = lambda: None
    ) -> None:
        self.twilio, self.chatter, self.lives, self.before = twilio, chatter, lives, before
        self.events = 0
        self.waiting: list[tuple[Fetch, Any]] = []

    @property
    def idle(self) -> int:
        return 3 - len(self.waiting)

    def submit(self, ask: Fetch, tag: Any, first: bool = False) -> None:
        self.waiting.append((ask, tag))

    def next_page(self) -> tuple[Any, Page | PartitionError]:
        self.before()
        rng, twilio = self.twilio.rng, self.twilio
        ask, tag = self.waiting.pop(rng.randrange(len(self.waiting)))
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                raise Killed
        while self.events < 60 and rng.random() < self.chatter:
            twilio.happen()
            self.events += 1
        if self.events < 60 and rng.random() < 0.3:
            twilio.now += timedelta(seconds=rng.choice((1, 60, 3600)))
        try:
            return tag, twilio.answer(ask)
        except PartitionError as failed:
            return tag, failed


def drive(reads: list[Read], pages: Pages, emit: Callable[[Emit], None]) -> None:
    """Run reads by the tap's own scheduler. Raises what the first of them failed with."""
    errors: list[PartitionError | None] = []
    Scheduler(pages, emit).run((read, errors.append) for read in reads)
    for error in errors:
        if error:
            raise error


class Tap:
    """A list of the tap's, with the warehouse that its rows make."""

    def __init__(self, twilio: TwilioList) -> None:
        self.twilio = twilio
        self.written: Any = None  # the state, as the last STATE held it
        self.warehouse: dict[str, dict[str, Any]] = {}
        self.emitted: list[str] = []
        self.versions: dict[str, int] = {}
        self.version = 0
        self.left_out: tuple[str, ...] = ()  # properties that are not selected
        self.size_limit = 10**6  # bytes of digests
        self.states: list[tuple[Any, dict[str, Any]]] | None = (
            None  # each that could be written, and the warehouse then
        )

    @property
    def state(self) -> Partition:
        return State(json.loads(json.dumps(self.written))).partition(self.twilio.stream.name, ACCOUNT)

    def reading(self, budget: int, **bounds: Any) -> PartitionRead:
        """As after a kill: what is left is what was written."""
        name = self.twilio.stream.name
        self.kept = State(json.loads(json.dumps(self.written)))
        state = self.kept.partition(name, ACCOUNT)
        bounds = {"page_size": 3, "short_pages": 4, "lateness": self.twilio.late + HOUR, **bounds}
        given = Bounds(**bounds)
        self.table = Table(
            self.twilio.stream,
            ACCOUNT,
            state,
            state,
            lambda rows: all_as_json({n: value for n, value in row.items() if n not in self.left_out} for row in rows),
            SizeLimit(self.size_limit),
            given.start_date,
            given.lateness,
            given.page_size,
            end_date=given.end_date,
        )
        return PartitionRead(
            self.twilio.stream,
            ACCOUNT,
            state,
            [self.table],
            text(self.twilio.now),
            lambda: text(self.twilio.now),
            Budget(budget, [(name, ACCOUNT)]),
            given,
            created=text(START - 700 * DAY),
        )

    def emit(self, emit: Emit) -> None:
        for row in map(json.loads, emit.records):
            self.warehouse[row["sid"]] = {**self.warehouse.get(row["sid"], {}), **row}
            self.versions[row["sid"]] = self.version
            self.emitted.append(row["sid"])

    def run(self, read: Read, chatter: float, lives: int | None) -> None:
        """Run a read; whatever becomes of it, the state is what was written last: before the answer that it died at."""
        try:
            note = self._note if self.states is not None else lambda: None
            drive([read], Pages(self.twilio, chatter, lives, note), self.emit)
        finally:
            self.written = self._dump()

    def _note(self) -> None:
        assert self.states is not None
        self.states.append((self._dump(), dict(self.warehouse)))

    def _dump(self) -> Any:
        self.table.save_fingerprints()
        return json.loads(json.dumps(self.kept.dump({self.twilio.stream.name: [ACCOUNT]})))

    def sync(
        self, budget: int = 10**6, chatter: float = 0.3, lives: int | None = None, added: bool = False, **bounds: Any
    ) -> bool:
        """Whether the sync ended well."""
        self.emitted = []
        reading = self.reading(budget, **bounds)
        reading.reconcile([self.twilio.stream.name] if added else [])
        before = reading.state.date_updated or ""
        with suppress(Killed, Incomplete):
            self.run(strategy.sync(reading), chatter, lives)
            assert (self.state.date_updated or "") >= before, "a bookmark went back"
            return True
        assert (self.state.date_updated or "") >= before, "a bookmark went back"
        return False

    def wrong(self, since: str = "") -> dict[str, Any]:
        """Rows listed now that the warehouse lacks or has in another state; of those created from `since` on."""
        return {
            sid: (self.twilio.wire(row), self.warehouse.get(sid))
            for sid, row in self.twilio.rows.items()
            if row["shown"] <= self.twilio.now
            and text(row["date_created"]) >= since
            and self.warehouse.get(sid) != self.twilio.wire(row)
        }


def histories(seed: int, stream: str) -> Iterator[Any]:
    """A list with some past, and a tap that has not read it yet."""
    rng = random.Random(seed)
    twilio = TwilioList(
        rng,
        stream,
        rng.choice(ORDERS),
        rng.choice(("taken", "refused", "empty")),
        rng.choice((0, 5)) * HOUR,
    )
    past = rng.choice((30, 300, 690)) * DAY
    for _ in range(rng.randrange(0, 60)):
        twilio.add(START - past * rng.random())
    yield twilio
    yield Tap(twilio)


def live(twilio: TwilioList) -> None:
    """Some hours or days pass, in which things happen."""
    for _ in range(twilio.rng.randrange(0, 8)):
        twilio.happen()
        twilio.now += twilio.rng.choice((1, 60, 3600, 7200)) * timedelta(seconds=1)
    twilio.now += twilio.rng.choice((HOUR, 3 * HOUR, DAY, 9 * DAY))


def sent_before(tap: Tap, timestamp: datetime) -> dict[str, dict[str, Any]]:
    return {
        s: dict(r)
        for s, r in tap.twilio.rows.items()
        if r["shown"] <= timestamp and r["date_updated"] < timestamp - tap.twilio.late
    }


__all__ = [
    "ACCOUNT",
    "DAY",
    "FEW",
    "HOUR",
    "ORDERS",
    "START",
    "Pages",
    "Tap",
    "TwilioList",
    "drive",
    "histories",
    "live",
    "sent_before",
]
