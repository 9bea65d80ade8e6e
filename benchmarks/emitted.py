"""
Count the rows that a sync writes for each that changed, over a simulated message list, by three rules:

- content: what a row holds decides. This is the tap.
- dates: `date_updated` decides, as it did before. This is the tap without fingerprints (`state_kilobytes: 0`).
- days: every sync writes all rows of the last three days. Nothing is read for it: it is reckoned.

A message has five dated changes of its status in its first hour, and within a day a price, which leaves `date_updated`
alone. A sync comes every three hours and takes no time, so that what changed between two is known. The tap's own code
reads the list, in this process, as for the property tests of the plan (testing/histories.py):

    python -m benchmarks.emitted
    python -m benchmarks.emitted --year
    python -m benchmarks.emitted --messages 3000 --past 30 --days 4 --unsent 0.02 --order last

It ends with 1 where the rule of content leaves a row wrong.
"""

from __future__ import annotations

import argparse
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from heapq import heappop, heappush
from random import Random
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from tap_twilio.extract.partition_read import Bounds
from tap_twilio.tables.effects import Emit, Read
from tap_twilio.timestamps import from_datetime
from tap_twilio.twilio.request import Fetch, Page
from testing.histories import ACCOUNT, DAY, HOUR, START, Pages, Tap, TwilioList, as_json, drive

SYNCS = 8  # a day
CHANGES = 5  # of a message's status
SPAN = 3 * DAY  # what the rule of days writes
SWEEP = 500  # pages: the default of rescan_pages
SIZES = ((300, 60, 10), (3_000, 30, 4), (30_000, 20, 1))  # messages a day, days of the past, days that are counted
YEAR = (3_000, 365, 1)
RULES = {"content": "by content", "dates": "by date_updated", "days": "all rows of three days"}
ORDERS = (
    "created",
    "first",
    "last",
)  # where messages stand that were never sent: where created, or before or after all

Json = dict[str, Any]
Row = dict[str, Any]


# The list -------------------------------------------------------------------------------------------------------------


class Life(TwilioList):
    """Messages that come at even intervals and change; each row is kept as Twilio writes it."""

    def __init__(self, messages: int, past: int, unsent: float, order: str) -> None:
        super().__init__(Random(1), "messages", order, "taken", timedelta(0))
        self.step, self.unsent = DAY / messages, unsent
        self.born = START - past * DAY  # when the next message comes
        self.all: list[Row] = []  # these three the oldest first
        self.sent: list[Row] = []
        self.never_sent: list[Row] = []
        self.sent_at: list[datetime] = []
        self.events: list[tuple[datetime, str, str]] = []
        self._lists: dict[tuple[str, ...], tuple[list[Row], dict[str, int]]] = {}
        for day in range(past):
            self.pass_until(START - (past - 1 - day) * DAY)

    def pass_until(self, until: datetime) -> tuple[set[str], set[str]]:
        """Returns which rows came or changed, and which of them got their price."""
        changed, priced = set(), set()
        while self.born <= until:
            changed.add(self._come(self.born))
            self.born += self.step
        while self.events and self.events[0][0] <= until:
            at, sid, what = heappop(self.events)
            self._change(self.rows[sid], at, what)
            changed.add(sid)
            if what == "price":
                priced.add(sid)
        self.now = until
        self._lists.clear()
        return changed, priced

    def _come(self, at: datetime) -> str:
        sid, created = f"R{len(self.all):07d}", format_datetime(at)
        sent = self.rng.random() >= self.unsent
        row = {
            "sid": sid,
            "date_created": created,
            "date_updated": created,
            "date_sent": created if sent else None,
            "status": 0,
            "price": None,
        }
        self.rows[sid] = row
        self.all.append(row)
        (self.sent if sent else self.never_sent).append(row)
        if sent:
            self.sent_at.append(at)
        for _ in range(CHANGES):
            heappush(self.events, (at + HOUR * self.rng.random(), sid, "status"))
        heappush(self.events, (at + DAY * self.rng.random(), sid, "price"))
        return sid

    def _change(self, row: Row, at: datetime, what: str) -> None:
        if what == "price":
            row["price"] = "-0.00790"
        else:
            row["status"] += 1
            row["date_updated"] = format_datetime(at)

    def wire(self, row: Row) -> Row:
        return row

    def answer(self, ask: Fetch) -> Page:
        """As that of TwilioList, which sorts all rows for each page: too long for lists of this length."""
        path, query = urlsplit(ask.uri).path, dict(parse_qsl(urlsplit(ask.uri).query))
        if not ask.rows_property:
            return Page([self.rows[path.rsplit("/", 1)[1].removesuffix(".json")]], None, from_datetime(self.now))
        rows, places = self._list(query)
        at = places[query["PageToken"]] + 1 if "PageToken" in query else 0
        page = rows[at : at + int(query["PageSize"])]
        following = None
        if at + len(page) < len(rows):
            token = {**query, "PageToken": page[-1]["sid"]}
            following = f"{path}?{'&'.join(f'{name}={value}' for name, value in token.items())}"
        return Page(page, following, from_datetime(self.now))

    def _list(self, query: dict[str, str]) -> tuple[list[Row], dict[str, int]]:
        """The rows that a query lists, the first one first, and where each stands. A filter hides what was not sent."""
        assert self.stream.filter
        asked = tuple(query[name] for name in (self.stream.filter.after, self.stream.filter.before) if name in query)
        if asked not in self._lists:
            if asked:
                low, high = (datetime.fromisoformat(at.removesuffix("Z")).replace(tzinfo=timezone.utc) for at in asked)
                rows = self.sent[bisect_left(self.sent_at, low) : bisect_right(self.sent_at, high)]
            elif self.order == "created":
                rows = self.all[:]
            else:
                rows = self.sent + self.never_sent if self.order == "first" else self.never_sent + self.sent
            rows.reverse()
            self._lists[asked] = rows, {row["sid"]: place for place, row in enumerate(rows)}
        return self._lists[asked]


# The rules ------------------------------------------------------------------------------------------------------------


class Rule(Protocol):
    """A rule that decides which rows a sync writes."""

    @property
    def state_bytes(self) -> int: ...

    def write(self) -> int:
        """One sync: how many rows it wrote."""

    def lost(self, priced: set[str]) -> int:
        """Return how many of these prices the warehouse lacks."""


class Still(Pages):
    """Answers what is asked in turn; nothing happens meanwhile."""

    def next_page(self) -> tuple[Any, Page]:
        ask, tag = self.waiting.pop(0)
        return tag, self.twilio.answer(ask)


class ByTap(Tap):
    """The tap's rule with its default settings, except the size limit of fingerprints."""

    def __init__(self, life: Life, size_limit: int) -> None:
        super().__init__(life)
        self.size_limit = size_limit
        self.records: dict[str, bytes] = {}  # the warehouse
        self.count = 0

    @property
    def state_bytes(self) -> int:
        return len(json.dumps(self.written, separators=(",", ":")))

    def write(self) -> int:
        before, default = self.count, Bounds()  # the tests have others
        done = self.sync(SWEEP, page_size=default.page_size, short_pages=default.short_pages, lateness=default.lateness)
        assert done, "a sync failed"
        return self.count - before

    def emit(self, emit: Emit) -> None:
        self.count += len(emit.records)
        for record in emit.records:
            self.records[json.loads(record)["sid"]] = record

    def run(self, read: Read, chatter: float, lives: int | None) -> None:
        drive([read], Still(self.twilio, chatter, lives), self.emit)
        self.table.save_fingerprints()
        self.written = json.loads(json.dumps(self.kept.dump({self.twilio.stream.name: [ACCOUNT]})))

    def lost(self, priced: set[str]) -> int:
        return sum(json.loads(self.records.get(sid, b"{}")).get("price") is None for sid in priced)

    def wrong(self, since: str = "") -> Json:
        """Rows that the warehouse lacks or has in another state."""
        return {sid: row for sid, row in self.twilio.rows.items() if self.records.get(sid) != as_json(row)}


class ByDays:
    """All rows of the last days, in every sync. No price comes later than that."""

    state_bytes = 0

    def __init__(self, life: Life) -> None:
        self.life = life

    def write(self) -> int:
        return round(SPAN / self.life.step)

    def lost(self, priced: set[str]) -> int:
        return 0


# What is measured -----------------------------------------------------------------------------------------------------


@dataclass
class Days:
    """Some days of a life: what changed, and what each rule wrote of it."""

    changed: int = 0
    priced: set[str] = field(default_factory=set)
    emitted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RULES, 0))
    state_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RULES, 0))  # the most

    def ratio(self, rule: str) -> float:
        return self.emitted[rule] / self.changed


def live(life: Life, rules: dict[str, Rule], days: int) -> Days:
    """So many days with a sync every three hours."""
    found = Days()
    for _ in range(days * SYNCS):
        changed, priced = life.pass_until(life.now + DAY / SYNCS)
        found.changed += len(changed)
        found.priced |= priced
        for name, rule in rules.items():
            found.emitted[name] += rule.write()
            found.state_bytes[name] = max(found.state_bytes[name], rule.state_bytes)
    return found


def settle(life: Life, tap: ByTap, others: list[Rule]) -> int:
    """
    Return the number of wrong rows after the last change.

    Rows that no lookback sees, such as messages that were never sent, wait for a rescan, perhaps the next one.
    """
    for _ in range(2 + 2 * len(life.all) // (SWEEP * Bounds().page_size)):
        if not tap.wrong():
            break
        for rule in (tap, *others):
            rule.write()
    return len(tap.wrong())


def measure(messages: int, past: int, days: int, unsent: float = 0, order: str = "created") -> Json:
    """The first sync is not counted, and the first day apart: rounds first have to meet what slices wrote."""
    life = Life(messages, past, unsent, order)
    content, dates = ByTap(life, Tap(life).size_limit), ByTap(life, 0)
    rules: dict[str, Rule] = {"content": content, "dates": dates, "days": ByDays(life)}
    for rule in rules.values():
        rule.write()
    first, then = live(life, rules, 1), live(life, rules, days)
    wrong = settle(life, content, [dates])
    return {
        "past_days": past,
        "days": days,
        "changed": then.changed,
        "prices": len(then.priced),
        "wrong": wrong,
        "rules": {
            name: {
                "ratio": then.ratio(name),
                "first_day": first.ratio(name),
                "lost": rule.lost(then.priced) / len(then.priced),
                "state_bytes": then.state_bytes[name],
            }
            for name, rule in rules.items()
        },
    }


def emitted(*sizes: tuple[int, int, int], unsent: float = 0, order: str = "created") -> Json:
    """By messages a day. Ends the process where a row is wrong, since such figures are worth nothing."""
    found = {}
    for size in sizes or SIZES:
        found[str(size[0])] = it = measure(*size, unsent, order)
        print(size[0], it, flush=True)
    if wrong := sum(it["wrong"] for it in found.values()):
        raise SystemExit(f"{wrong} rows are wrong in the end.")
    return found


# What is said of it ---------------------------------------------------------------------------------------------------


def table(found: Json) -> Iterator[tuple[str, ...]]:
    """For each size and rule: rows emitted for each that changed, also on the first day, prices lost, and the state."""
    for n, it in found.items():
        for name, rule in it["rules"].items():
            yield (
                f"{int(n):,}",
                RULES[name],
                f"{rule['ratio']:.2f}",
                f"{rule['first_day']:.2f}",
                f"{rule['lost']:.1%}".replace("%", " %"),
                f"{rule['state_bytes'] / 1000:.1f} kB" if rule["state_bytes"] else "",
            )


def show(found: Json) -> None:
    print("| messages a day | rule | emitted ÷ changed | on the first day | prices lost | state |")
    print("|---|---|---|---|---|---|")
    for line in table(found):
        print("| " + " | ".join(line) + " |")


def plot(found: Json, pyplot: Any) -> None:
    """A line for each rule, against the messages a day."""
    sizes = sorted(map(int, found))
    for name, label in RULES.items():
        rules = [found[str(n)]["rules"][name] for n in sizes]
        lost = sum(rule["lost"] for rule in rules) / len(rules)
        losing = f"{lost:.0%} of the prices lost".replace("%", " %")
        pyplot.plot(sizes, [rule["ratio"] for rule in rules], marker="o", label=f"{label}: {losing}")
    pyplot.xscale("log")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emitted", description="Rows emitted / rows changed.")
    parser.add_argument("--year", action="store_true", help="3,000 messages a day with a year of past: takes long")
    parser.add_argument("--messages", type=int, help="a day; without it, three sizes are measured")
    parser.add_argument("--past", type=int, default=30, help="days before the first sync, with --messages")
    parser.add_argument("--days", type=int, default=4, help="how many are counted, with --messages")
    parser.add_argument("--unsent", type=float, default=0, help="the part of messages that were never sent")
    parser.add_argument("--order", choices=ORDERS, default="created", help="where those stand in the list")
    asked = parser.parse_args()
    sizes = [YEAR] if asked.year else [*SIZES]
    if asked.messages:
        sizes = [(asked.messages, asked.past, asked.days)]
    show(emitted(*sizes, unsent=asked.unsent, order=asked.order))


if __name__ == "__main__":
    main()
