"""Histories of a Twilio list, and a driver that runs reads over them: for the property tests of the plan.

Everything happens in this process and in simulated time, so that thousands of histories run in seconds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tap_twilio.errors import PartitionError, Refused, Unfinished
from tap_twilio.plan import Bounds, Budget, Partition
from tap_twilio.records import iso
from tap_twilio.streams import STREAMS
from tap_twilio.walk import Ask, Page, text

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 6, 1, tzinfo=timezone.utc)
ACCOUNT = "AC" + "0" * 32
STREAM = {stream.name: stream for stream in STREAMS}


class Killed(Exception):
    """The process died here."""


@cache
def rfc2822(at: datetime | None) -> str | None:
    return at and at.strftime("%a, %d %b %Y %H:%M:%S +0000")


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
        self.asked: list[Ask] = []
        self.named = ""
        self.hides_null = rng.random() < 0.8
        self.inclusive = rng.random() < 0.5
        self.without_date_updated = rng.random() < 0.1
        self.hollow = rng.choice((0, 0, 0, 1, 3))  # pages without a row after each third row that a token names

    @property
    def column(self) -> str:
        return self.stream.filter.column if self.stream.filter else "date_created"

    def add(self, created: datetime | None = None) -> None:
        self.count += 1
        born = created or self.now
        row = {"sid": f"R{self.count:05d}", "date_created": born, "date_updated": born, "value": 0, "shown": born}
        if created is None and self.late:
            row["shown"] = born + self.late * self.rng.random()
        if self.column != "date_created":
            row[self.column] = born + self.rng.choice((0, 0, 1, 60, 86400 * 30)) * timedelta(seconds=1)
            if self.rng.random() < 0.3 or row[self.column] > self.now:
                row[self.column] = None
        if self.stream.statuses:
            row["status"] = self.stream.statuses[0]
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
        row["value"] += 1
        row["date_updated"] = self.now
        if row.get(self.column) is None and self.rng.random() < 0.4:
            row[self.column] = self.now
        if self.stream.statuses and self.rng.random() < 0.5:
            steps = self.stream.statuses
            row["status"] = steps[min(steps.index(row["status"]) + 1, len(steps) - 1)]
        return None

    def position(self, row: dict[str, Any]) -> tuple[Any, ...]:
        if self.order == "updated":
            return (0, -row["date_updated"].timestamp(), row["sid"])
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

    def answer(self, ask: Ask) -> Page:
        self.asked.append(ask)
        path, query = urlsplit(ask.uri).path, dict(parse_qsl(urlsplit(ask.uri).query))
        if not ask.rows:
            row = self.rows.get(path.rsplit("/", 1)[1].removesuffix(".json"))
            if row is None:
                raise Refused(404, 20404, "not found", path)
            return Page([self.wire(row)], None, text(self.now))
        rows = [row for row in self.rows.values() if row["shown"] <= self.now]
        if self.stream.statuses:
            rows = [row for row in rows if row["status"] == query["Status"]]
        if self.stream.filter:
            rows = self.filtered(rows, query)
        rows.sort(key=self.position)
        if "PageToken" in query:
            named = query["PageToken"][2:]
            row = self.rows.get(named)
            number = int(query.get("Page", "0"))
            if number < self.hollow and int(named[1:]) % 3 == 0:
                token = {**query, "Page": str(number + 1)}
                return Page([], f"{path}?{'&'.join(f'{k}={v}' for k, v in token.items())}", text(self.now))
            if row and self.stream.statuses and row["status"] != query["Status"] and self.deleted_token == "empty":
                return Page([], None, text(self.now))
            if row is None:
                if self.deleted_token == "refused":
                    raise Refused(400, 20001, "bad token", path)
                if self.deleted_token == "empty":
                    return Page([], None, text(self.now))
                row = self.gone[named]
            rows = [other for other in rows if self.position(other) > self.position(row)]
        size = int(query["PageSize"])
        page = rows[:size]
        following = None
        if len(rows) > size:
            self.named = page[-1]["sid"]
            token = {**query, "PageToken": f"PA{page[-1]['sid']}", "Page": "0"}
            following = f"{path}?{'&'.join(f'{k}={v}' for k, v in token.items())}"
        return Page([self.wire(row) for row in page], following, text(self.now))

    def filtered(self, rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        assert self.stream.filter
        since, until = query.get(f"{self.stream.filter.param}>"), query.get(f"{self.stream.filter.param}<")
        if not since or not until:
            return rows
        low, high = (datetime.fromisoformat(at.replace("Z", "")).replace(tzinfo=timezone.utc) for at in (since, until))
        if self.stream.filter.reach and low < self.now - self.stream.filter.reach:
            raise Refused(400, 20004, "too far back", "")
        column, null = self.column, not self.hides_null
        if not self.inclusive:
            low, high = low + timedelta(microseconds=1), high - timedelta(microseconds=1)
        return [row for row in rows if (low <= row[column] <= high if row[column] else null)]


def drive(read: Any, twilio: TwilioList, chatter: float = 0, lives: int | None = None) -> None:
    """Run a read and those it starts, in any order that the seed gives; `lives` answers on, the process dies."""
    rng, events = twilio.rng, 0
    tasks: list[dict[str, Any]] = [{"gen": read, "send": None, "parent": None, "children": 0, "error": None}]
    while tasks:
        task = tasks.pop(rng.randrange(len(tasks)))
        try:
            if task["error"] is not None:
                effect = task["gen"].throw(task["error"])
            else:
                effect = task["gen"].send(task["send"])
        except StopIteration:
            error = None
        except PartitionError as failed:
            error = failed
        else:
            task["error"] = task["send"] = None
            if isinstance(effect, Ask):
                if lives is not None:
                    lives -= 1
                    if lives < 0:
                        raise Killed
                while events < 60 and rng.random() < chatter:
                    twilio.happen()
                    events += 1
                if events < 60 and rng.random() < 0.3:
                    twilio.now += timedelta(seconds=rng.choice((1, 60, 3600)))
                try:
                    task["send"] = twilio.answer(effect)
                except Refused as refused:
                    task["error"] = refused
                tasks.append(task)
            elif effect:
                task["children"] = len(effect)
                tasks += [{"gen": g, "send": None, "parent": task, "children": 0, "error": None} for g in effect]
            else:
                tasks.append(task)
            continue
        parent = task["parent"]
        if parent is None:
            if error:
                raise error
            continue
        parent["children"] -= 1
        parent["error"] = parent["error"] or error
        if not parent["children"]:
            tasks.append(parent)


class Tap:
    """A partition of the tap over a list, with the warehouse that its rows make."""

    def __init__(self, twilio: TwilioList) -> None:
        self.twilio = twilio
        self.state: dict[str, Any] = {}
        self.warehouse: dict[str, dict[str, Any]] = {}
        self.emitted: list[str] = []
        self.versions: dict[str, int] = {}
        self.version = 0

    def partition(self, budget: int, **bounds: Any) -> Partition:
        # As after a kill: what is left is what was written.
        self.state = json.loads(json.dumps(self.state))
        bounds = {"page_size": 3, "short_pages": 4, "margin": self.twilio.late + HOUR, **bounds}
        return Partition(
            self.twilio.stream,
            ACCOUNT,
            self.state,
            self.emit,
            lambda: text(self.twilio.now),
            Budget(budget),
            Bounds(**bounds),
            created=text(START - 700 * DAY),
        )

    def emit(self, page: Page, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self.warehouse[row["sid"]] = row
            self.versions[row["sid"]] = self.version
            self.emitted.append(row["sid"])

    def sync(
        self, budget: int = 10**6, chatter: float = 0.3, lives: int | None = None, added: bool = False, **bounds: Any
    ) -> bool:
        """Whether the sync ended well."""
        self.emitted = []
        partition = self.partition(budget, **bounds)
        partition.adopt(added)
        before = self.state.get("date_updated", "")
        with suppress(Killed, Unfinished):
            drive(partition.sync(), self.twilio, chatter, lives)
            assert self.state["date_updated"] >= before, "a bookmark went back"
            return True
        assert self.state.get("date_updated", "") >= before, "a bookmark went back"
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
        rng.choice(("created", "first", "last", "updated")),
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


def sent_before(tap: Tap, moment: datetime) -> dict[str, dict[str, Any]]:
    return {
        s: dict(r)
        for s, r in tap.twilio.rows.items()
        if r["shown"] <= moment and r["date_updated"] < moment - tap.twilio.late
    }


__all__ = ["ACCOUNT", "DAY", "HOUR", "START", "Tap", "TwilioList", "drive", "histories", "iso", "live", "sent_before"]
