"""
The rows of every generated list: made from facts, kept by list, account and parents.

`parents` are the values of a list's path after the account: a step's flow and execution. Rows below a deleted parent
are not listed. `generic_api` decides which rows a request sees, and how.
"""

import json
import math
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from .catalog import Fact, fact, parent_of, value_type
from .filters import CATEGORIES, DATED_BY, KEPT, MORE_CATEGORIES, PERIODS, SUMMED, SUMS, TOTALS, UNTIL_ENDED
from .rows import Json, new_sid, snake
from .shapes import CONSTANT, SID, adopted, as_written, is_date, new_row, some_value, unlike
from .timestamps import DAY, HOUR, iso8601, timestamp

if TYPE_CHECKING:
    from .twilio import Twilio

HANDMADE = frozenset(
    "messages calls conferences transcriptions addresses accounts call_summaries call_annotations".split()
)
Parents = tuple[str, ...]
Query = dict[str, list[str]]


@dataclass(eq=False)
class Item:
    """One row. `handle` is how tests name it: its SID if it has one of its own."""

    fact: Fact
    account: str  # empty if the list is everybody's
    parents: Parents
    handle: str
    number: int
    data: Json
    created: int
    shown: int = 0
    deleted: int | None = None
    mute: bool = False  # never tells when it was updated

    @property
    def value(self) -> str:
        """Return the value by which Twilio finds the row below its parents."""
        return str(self.data.get(self.fact.key, "")) if self.fact.key else ""

    def is_beside(self, other: "Item") -> bool:
        """Return whether both are rows of one list below the same parents."""
        return (self.fact, self.account, self.parents) == (other.fact, other.account, other.parents)

    @property
    def path_values(self) -> Json:
        """Return the values of the row's path, by property name: `flow_sid`, `account_sid`."""
        values = {snake(name): value for name, value in zip(self.fact.parameters, self.parents)}
        return ({"account_sid": self.account} if self.account else {}) | values


@dataclass
class Shelf:
    """The rows of one list in one place of one account."""

    items: list[Item] = field(default_factory=list)
    by_value: dict[str, Item] = field(default_factory=dict)


class Generic:
    """All those rows of one simulated Twilio."""

    def __init__(self, twilio: "Twilio") -> None:
        self.twilio = twilio
        self.rng = Random(f"generic {twilio.seed}")
        self.items: dict[str, Item] = {}  # by handle
        self.lists: dict[str, list[Item]] = defaultdict(list)
        self.shelves: dict[tuple[str, str, Parents], Shelf] = defaultdict(Shelf)
        self.counts: dict[str, int] = defaultdict(int)  # how many rows a list has had
        self.views: dict[Hashable, list[Item]] = {}  # what passed a query, until a row changes

    # Making and changing

    def add(
        self, name: str, account: str | None, parent: "str | Json | None", n: int, given: Json, published: bool = False
    ) -> list[str]:
        """Add rows to a list below a parent; see `Twilio.add`."""
        of, now = fact(name), self.twilio.clock
        account = "" if of.of_everybody else account or self.twilio.main
        parents = self._parents_for(of, account, parent)
        if published:
            return [self._publish(of, account, parents, row) for row in of.published]
        given = {key.rstrip("_"): value for key, value in given.items()}
        since, until = given.pop("since", None), given.pop("until", None)
        created = timestamp(given.pop("created", now))
        first = timestamp(since) if since is not None else created
        last = timestamp(until) if until is not None else (now if since is not None else created)
        made = []
        for i in range(n):
            own = {key: value(i) if callable(value) else value for key, value in given.items()}
            number = self.counts[of.name]
            if "index" in of.properties and "index" not in own:
                own["index"] = self._next_index(self.shelves[of.name, account, parents])
            at = first + (last - first) * i // max(1, n - 1)
            if of.name in SUMMED and "category" not in own:
                at, own["category"] = self._free_period(of, self.shelves[of.name, account, parents], at)
            if of.name in PERIODS:
                at, own = self._period(of, at, own)
            if of.name in CONSTANT and self.shelves[of.name, account, parents].items:
                own.setdefault(of.key, new_sid(self.rng, of.published[0][of.key][:2]))
            if of.name in SUMS and "period" not in own:
                own |= self._free_day(of, self.shelves[of.name, account, parents], at, own)
            data = new_row(of, self.rng, account, self._named(of, parents), at, number, own)
            made.append(self._keep(of, account, parents, data))
        return made

    def copy(self, handle: str, **given: str | None) -> str:
        """Add a row that is like another one, in its addresses too, but for some text: cheaper than a new one."""
        item = self.items[handle]
        text = json.dumps(item.data)
        for name, value in given.items():
            if value and item.data[name]:
                text = text.replace(f"={item.data[name]}", f"={value}")
        return self._keep(item.fact, item.account, item.parents, json.loads(text) | given)

    def _publish(self, of: Fact, account: str, parents: Parents, published: Json) -> str:
        """Add a published row; if another row has its key or its index, it gets a new one."""
        data, shelf = adopted(of, published, account, self._named(of, parents)), self.shelves[of.name, account, parents]
        key = str(data.get(of.key)) if of.key else ""
        if key and (key in shelf.by_value or (key in self.items and of.name not in CONSTANT)):
            data[of.key] = unlike(of, self.rng, data[of.key], self.counts[of.name])
        if data.get("index") in [item.data.get("index", ()) for item in shelf.items]:
            data["index"] = self._next_index(shelf)
        handle = self._keep(of, account, parents, data)
        item = self.items[handle]
        self.views.clear()
        item.shown = min(item.shown, self.twilio.clock)  # whatever it says of its creation, it is there
        return handle

    def _free_period(self, of: Fact, shelf: Shelf, at: int) -> tuple[int, str]:
        """Return a day, not after a timestamp, and a usage category that have no row together."""
        if of.name == TOTALS:
            known = {item.data["category"] for item in shelf.items}
            return at, next(category for category in (*CATEGORIES, *MORE_CATEGORIES) if category not in known)
        same = PERIODS.get(of.name)
        taken = {(item.data["category"], item.data["start_date"][:same]) for item in shelf.items}
        days = (at - back * DAY for back in range(366 * (len(taken) + 1)))
        return next((day, c) for day in days for c in CATEGORIES if (c, str(iso8601(day))[:10][:same]) not in taken)

    def _period(self, of: Fact, at: int, given: Json) -> tuple[int, Json]:
        """Return the start of a timestamp's period, and the given values with its first and last day so far."""
        same, first, last = PERIODS[of.name], at - at % DAY, at
        while str(iso8601(first - DAY))[:same] == str(iso8601(at))[:same]:
            first -= DAY
        while last + DAY <= self.twilio.clock and str(iso8601(last + DAY))[:same] == str(iso8601(at))[:same]:
            last += DAY
        return first, {"start_date": iso8601(first), "end_date": iso8601(last), **given}

    def _free_day(self, of: Fact, shelf: Shelf, at: int, given: Json) -> Json:
        """Return the period of a sum: a day, not after a timestamp, that has no sum yet; and whose sum it is."""
        sums = SUMS[of.name]
        own = {sums.by: given.get(sums.by) or new_sid(self.rng, sums.prefix)} if sums.by else {}
        taken = {
            (item.data["period"] or {}).get(sums.since) for item in shelf.items if own.items() <= item.data.items()
        }
        days = (at - at % DAY - back * DAY for back in range(len(taken) + 1))
        day = next(day for day in days if iso8601(day) not in taken)
        return own | {"period": {sums.since: iso8601(day), sums.until: iso8601(day + DAY)}}

    def _next_index(self, shelf: Shelf) -> int:
        return 1 + max((item.data["index"] for item in shelf.items), default=-1)

    def _keep(self, of: Fact, account: str, parents: Parents, data: Json) -> str:
        """Put a row on its shelf."""
        self.views.clear()
        shelf, number = self.shelves[of.name, account, parents], self.counts[of.name]
        key = str(data.get(of.key, "")) if of.key else ""
        is_sid = SID.fullmatch(key) is not None and key not in self.items and key not in self.twilio.rows
        handle = key if is_sid else f"{of.name}/{number}"
        item = Item(of, account, parents, handle, number, data, self._created(of, data))
        item.mute = "date_updated" in data and self.twilio.chance(handle) < self.twilio.null_date_updated
        if item.mute:
            data["date_updated"] = None
        item.shown = item.created + int(self.twilio.chance(handle[::-1]) * self.twilio.late_hours * HOUR)
        self.counts[of.name] += 1
        self.items[handle] = item
        self.lists[of.name].append(item)
        shelf.items.append(item)
        if item.value:
            shelf.by_value[item.value] = item
        return handle

    def _created(self, of: Fact, data: Json) -> int:
        """Return when a row was created, by its own dates."""
        named = (name for name in DATED_BY if name in of.properties)
        dates = (data.get(name) for name in named if is_date(value_type(of.properties, name)))  # else it is an offset
        return next((timestamp(date) for date in dates if date), self.twilio.clock)

    def change(self, handle: str, silently: bool, properties: Json) -> None:
        """Change a row now; see `Twilio.change`."""
        self.views.clear()
        item = self.items[handle]
        given = as_written(item.fact, {name.rstrip("_"): value for name, value in properties.items()})
        if "date_updated" in item.fact.properties and "date_updated" not in given and not silently:
            now = as_written(item.fact, {"date_updated": self.twilio.clock})
            given |= {"date_updated": None} if item.mute else now
        shelf = self.shelves[item.fact.name, item.account, item.parents]
        before = item.value
        item.data = item.data | given
        if item.value != before:
            shelf.by_value.pop(before, None)
            shelf.by_value[item.value] = item
        if set(given) & set(DATED_BY):
            item.created = self._created(item.fact, item.data)

    def delete(self, handle: str) -> None:
        """Delete a row: lists stop showing it, and whatever hangs below it."""
        self.views.clear()
        item = self.items[handle]
        if item.deleted is None:
            item.deleted = self.twilio.clock

    def begin(self) -> None:
        """Forget what was deleted before."""
        self.views.clear()
        for handle in [handle for handle, item in self.items.items() if item.deleted is not None]:
            item = self.items.pop(handle)
            shelf = self.shelves[item.fact.name, item.account, item.parents]
            self.lists[item.fact.name].remove(item)
            shelf.items.remove(item)
            if shelf.by_value.get(item.value) is item:
                del shelf.by_value[item.value]

    # Places

    def _named(self, of: Fact, parents: Parents) -> Json:
        return dict(zip(of.parameters, parents))

    def _parents_for(self, of: Fact, account: str, parent: "str | Json | None") -> Parents:
        """Return the path's values for a parent: a handle, values by name, or any parent that exists."""
        if not of.parameters:
            return ()
        if parent is None:
            parent = self._some_parent(of, account)
        if isinstance(parent, str):
            above, value = self._values_of(parent, of)
            return (*above, value)
        values = {snake(name): value for name, value in parent.items()}
        if missing := [name for name in of.parameters if snake(name) not in values]:
            raise ValueError(f"{of.name} want {', '.join(missing)} of a parent")
        return tuple(str(values[snake(name)]) for name in of.parameters)

    def _values_of(self, handle: str, of: Fact) -> tuple[Parents, str]:
        """Return the path's values of a parent, and the value by which its children name it."""
        item = self.items.get(handle)
        if item is None:
            return (), handle  # of a list made by hand: those have no parents
        return item.parents, str(item.data[item.fact.property_of(of.parameters[-1])])

    def _some_parent(self, of: Fact, account: str) -> "str | Json":
        """Return a parent that can have children now; create one if there is none."""
        above = parent_of(of, of.parameters[-1])
        if above is None:
            return {name: some_value(self.rng, name, facts) for name, facts in of.path_parameters.items()}
        if above.name in HANDMADE:
            stream = "calls" if above.name == "call_summaries" else above.name
            status: Json = {"status": "in-progress"} if of.name in UNTIL_ENDED else {}
            wanted = [r["sid"] for r in self.twilio.present(stream, account) if status.items() <= r.items()]
            return str(wanted[0] if wanted else self.twilio.add(stream, account, **status)[0])
        there = [item.handle for item in self.lists[above.name] if self.listed(item) and item.account in ("", account)]
        return there[0] if there else self.add(above.name, account, None, 1, {})[0]

    def exists(self, of: Fact, account: str, parents: Parents) -> bool:
        """Return whether all parents of a list exist."""
        for i, (parameter, value) in enumerate(zip(of.parameters, parents)):
            above = parent_of(of, parameter)
            if above is not None and not self._there(above, account, parents[:i], parameter, value):
                return False
        return True

    def _there(self, above: Fact, account: str, parents: Parents, parameter: str, value: str) -> bool:
        if above.name in HANDMADE:
            row = self.twilio.rows.get(value)
            stream = "calls" if above.name == "call_summaries" else above.name
            return row is not None and row.deleted is None and row.stream == stream and account in ("", row.account)
        if above.of_everybody:
            account = ""
        shelf, name = self.shelves[above.name, account, parents], above.property_of(parameter)
        if name == above.key:
            item = shelf.by_value.get(value)
            return item is not None and self.listed(item)
        return any(item.data[name] == value and self.listed(item) for item in shelf.items)

    def is_live(self, of: Fact, parents: Parents) -> bool:
        """Return whether the parent is still live, for lists that need that: participants of a conference."""
        if of.name not in UNTIL_ENDED:
            return True
        row = self.twilio.rows.get(parents[-1])
        return row is not None and row.data["status"] in UNTIL_ENDED[of.name]

    # What is there

    def listed(self, item: Item) -> bool:
        """Return whether a list shows the row now, at least for some parameter."""
        of, parents = item.fact, item.parents
        return self._is_shown(item) and self.exists(of, item.account, parents) and self.is_live(of, parents)

    def _is_shown(self, item: Item) -> bool:
        """Return whether the row's list shows it."""
        if item.deleted is not None or item.shown > self.twilio.clock or item.account in self.twilio.gone:
            return False
        kept = KEPT.get(item.fact.name)
        return kept is None or not kept.is_over(item.data, self.twilio.clock)

    def was_listed(self, item: Item) -> bool:
        """Return whether a list showed the row at some time."""
        ends = [self.twilio.latest, item.deleted, self.twilio.gone.get(item.account, math.inf)]
        return item.shown <= min(end for end in ends if end is not None)

    def of(self, name: str, account: str | None, now: bool) -> list[Item]:
        """Return the rows of a list, in one account or in all: those listed now, or at any time."""
        counts = self.listed if now else self.was_listed
        return [i for i in self.lists[fact(name).name] if account in (None, i.account) or not i.account if counts(i)]

    def shelf(self, of: Fact, account: str, parents: Parents) -> list[Item]:
        """Return the rows that one list shows now."""
        if not self.exists(of, account, parents) or not self.is_live(of, parents):
            return []
        return [item for item in self.everything(of, account, parents).items if self._is_shown(item)]

    def everything(self, of: Fact, account: str, parents: Parents) -> Shelf:
        """Return the rows that one list shows or showed."""
        return self.shelves.get((of.name, "" if of.of_everybody else account, parents), Shelf())

    def find(self, of: Fact, account: str, parents: Parents, value: str) -> Item | None:
        """Return one row by its key, if it is listed."""
        item = self.everything(of, account, parents).by_value.get(value)
        return item if item is not None and self.listed(item) else None


def is_generic(name: str) -> bool:
    """Return whether a list is generated from facts."""
    return name not in HANDMADE and name not in ("call_feedback", "annotations")
