"""What to read this time, and by which bound to emit: the pure heart of the tap.

A read is a generator. It yields an `Ask` and is sent the `Page` that answers it, or yields a list of reads, which run
side by side and are done when it goes on. It hands rows to `emit` before it moves the place in the state past them, so
the state may be written between any two yields. It knows no HTTP and no clock but Twilio's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from typing import Any

from .errors import Refused, Unfinished
from .streams import DAY, SECOND, Stream
from .walk import Ask, Listing, Moment, Moved, Page, Read, Row, Walk, back, changes_rise, moment, text, when

EVER: Moment = ""
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SLICE_PAGES = 4  # how long a slice is meant to be; longer ones leave workers idle at the end, shorter ones cost probes
CUTS = 32  # the parts that a span is cut into at most, each of which may be cut again
BEYOND_REACH = 20004  # Twilio's code for a filter that asks for longer ago than the list answers: time has passed
EMPTY_HEAD = 10  # pages without a row after which a look-back leaves the rest to the round
RESTARTS = 3  # how often a sync starts again a walk whose place moved


@dataclass
class Budget:
    """The pages of older history that one sync may still read, over all partitions."""

    left: int

    @property
    def spent(self) -> bool:
        return self.left <= 0

    def take(self) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        return True

    def release(self) -> None:
        """A partition's read ended; what was kept for it is for the others."""


class Share(Budget):
    """A partition's part of a budget: the pages kept for it, then those of the budget that are kept for none."""

    def __init__(self, common: Budget) -> None:
        super().__init__(0)
        self._common = common

    @property
    def spent(self) -> bool:
        return self.left <= 0 and self._common.spent

    def keep(self, pages: int) -> None:
        self._common.left -= pages
        self.left += pages

    def take(self) -> bool:
        return super().take() or self._common.take()

    def release(self) -> None:
        self.keep(-self.left)


def allot(budget: Budget, shares: list[tuple[Share, int]]) -> None:
    """
    Keep a part of the budget for each of these, given in turn, with the pages that it can use at most.

    A list whose look-back is long asks late, and would get nothing if the first to ask got all. The parts are even, but
    for those that need less; where there are fewer pages than lists, the first in turn get one each.
    """
    while shares and budget.left > 0:
        each = max(1, budget.left // len(shares))
        for share, most in shares:
            share.keep(min(each, most - share.left, budget.left))
        shares = [(share, most) for share, most in shares if share.left < most]


@dataclass(frozen=True)
class Bounds:
    """What the settings say about reading, in the units that the plan reckons in."""

    start_date: Moment | None = None
    lookback: timedelta = 15 * DAY
    lookback_emits_all: bool = False
    margin: timedelta = 6 * HOUR
    page_size: int = 1000
    short_pages: int = 30  # a stretch of this many pages at most is walked, not sliced


@dataclass
class Partition:
    """One stream in one account: its lists, its state, and how they are read.

    `state` is the partition's part of the Singer state, changed in place:
      date_updated  the bookmark: every change before it is in the warehouse; absent until the backfill is complete
      looked_back   the start of the last look-back, less the margin
      backfill      {began, list, place | slices: [{from, to, place}], owed, followed}, while it is open
      round         {began, list, place, pages}, while it is open
      owed          rows undated or dated before this were not seen by the backfill: rounds emit them
      start_date    what was asked for last; "": everything
      refill        rounds emit all rows created before this ("~": all rows), until one has finished
      swept, pages  when a round last read here, and how many pages the last whole one had
      full          {version, began, list, place, done}: the FULL_TABLE read
    """

    stream: Stream
    account: str
    state: dict[str, Any]
    emit: Callable[[Page, list[Row]], None]
    now: Callable[[], Moment]
    budget: Budget
    bounds: Bounds = field(default_factory=Bounds)
    created: Moment | None = None  # of the account
    follow: Callable[[str, Listing, Page, bool], Read] | None = None  # what else is asked about a page's rows
    restarts: int = 0
    swept_pages: int = 0  # in this sync, of the budget
    swept_whole: bool = False  # in this sync: all history was read again
    known: dict[str, Moment] = field(default_factory=dict)  # the bookmarks that this sync began with
    begun: bool = False  # in this sync: the round that is read; one more is not
    cut_short: bool = False  # by the budget
    slice_pages: float = SLICE_PAGES  # how long a slice is meant to be: what is longer by half is cut again
    slices_overlap: bool = False  # seen: filters list undated rows too, so that each further slice lists them again

    @property
    def lists(self) -> list[Listing]:
        statuses = self.stream.statuses or (None,)
        return [Listing(self.stream, self.account, status, self.bounds.page_size) for status in statuses]

    def adopt(self, properties_added: bool = False) -> str | None:
        """
        Hold the state against what is asked for now, before anything is read; returns what to say of it in the log.

        A state from the future is not believed: the only case in which a bookmark goes back. A property that was
        added, or an earlier `start_date`, is owed by a round that begins afterwards.
        """
        state, start_date = self.state, self.bounds.start_date or EVER
        known = [state.get("date_updated"), state.get("looked_back"), state.get("backfill", {}).get("began")]
        if max(filter(None, known), default=EVER) > back(self.now(), -HOUR):
            state.clear()
            state["start_date"] = start_date
            return "its state is from the future and not believed: everything is read again"
        self.known = {name: state[name] for name in ("date_updated", "looked_back") if name in state}
        covered = state.get("start_date", start_date)
        state["start_date"] = start_date
        owed = max("~" if properties_added else EVER, covered if start_date < covered else EVER)
        if not owed or not known:
            return None
        state["refill"] = max(owed, state.get("refill", EVER))
        state.pop("round", None)
        state.pop("full", None)
        return "properties were added" if properties_added else "start_date is earlier than before"

    def hold_back(self) -> None:
        """Twilio's clock was put back: no moment that this sync took is later than it, whatever it showed then."""
        now = self.now()
        for opened in (self.state, self.state.get("calls", {})):
            for name in ("round", "backfill", "full", "window"):
                if name in opened:
                    opened[name]["began"] = min(opened[name]["began"], now)
        for name in ("date_updated", "looked_back"):
            if name in self.state:
                least = max(self.known.get(name, EVER), back(now, self.bounds.margin))
                self.state[name] = min(self.state[name], least)

    def sync(self) -> Read:
        """Backfill what was never read; else the look-back, then rounds within the budget."""
        if "date_updated" not in self.state:
            resumed = "backfill" in self.state
            yield from self.backfill()
            if not resumed:
                return
        yield from self.refresh()

    def refresh(self, reach: Moment = "~", beside: Callable[[bool], Read] | None = None) -> Read:
        """
        The look-back, and rounds. Where a round begins, the look-back's pages are its first.

        `reach`: as of look_back. `beside`: what to run beside the rounds; told whether the look-back got that far.
        """
        began = self.now()
        round_ = self.state.get("round")
        if round_ and not round_["list"] and "place" not in round_:
            del self.state["round"]  # nothing of it was read
        begins = "round" not in self.state
        walks = yield from self.look_back(began, begins, reach)
        if begins:
            self._begin_round(self._since(began))
        rounds = self.rounds(walks if begins else None)
        yield [rounds, beside(None not in walks)] if beside else [rounds]

    # -- the look-back

    def look_back(
        self, began: Moment, begins: bool = False, reach: Moment = "~"
    ) -> Generator[Ask | list[Read], Page, list[Walk | None]]:
        """
        Read the head of each list, and emit what changed since the last look-back.

        `begins`: a round begins with these pages. `reach`: read down to this moment at least.
        Returns the walks to go on with, None for a list whose pages cannot be a round's.
        """
        edge = min(back(self.state["looked_back"], self.bounds.lookback), reach)
        since = min(self.state["looked_back"], self.state["date_updated"]) if begins else self.state["looked_back"]
        walks: list[Walk | None] = []
        for listing in self.lists:
            walks.append(
                (yield from self._head(listing, edge, EVER if self.bounds.lookback_emits_all else since, begins))
            )
        self.state["looked_back"] = max(self.state["looked_back"], back(self._since(began), self.bounds.margin))
        return walks

    def _head(
        self, listing: Listing, edge: Moment, since: Moment, begins: bool
    ) -> Generator[Ask | list[Read], Page, Walk | None]:
        walk = Walk(listing)
        while not walk.ended:
            try:
                page = yield from walk.turn()
            except Moved:
                if not self._may_restart():
                    return None  # the round reads it
                walk = Walk(listing)
                continue
            yield from self._take("head", page, listing, since, begins, first=walk.pages == 1)
            if _all_older(listing, page, edge) or walk.empty == EMPTY_HEAD:
                break
            # What follows a page needs every row of the list, so that it is never sliced, which hides some.
            if walk.pages == 1 and page.next and listing.stream.filter and not self.follow:
                pages = self._pages(listing, page, edge)
                if pages > self.bounds.short_pages:
                    slices = self._cut(listing, edge, back(self.now(), -SECOND), pages)
                    yield from self._slices(listing, slices, since, None)
                    return None
        return walk

    # -- rounds

    def rounds(self, walks: list[Walk | None] | None) -> Read:
        """Go on with the open round; when it ends with budget left, with one more, but never more than one whole."""
        self.begun |= walks is not None
        while (yield from self._round(walks)):
            self._finish_round()
            self.swept_whole |= self.begun
            if self.begun or self.budget.spent:
                return
            self.begun, walks = True, None
            self._begin_round(self.now())

    def _begin_round(self, began: Moment) -> None:
        self.state["round"] = {"began": began, "list": 0, "pages": 0}

    def _round(self, walks: list[Walk | None] | None) -> Generator[Ask | list[Read], Page, bool]:
        """Whether the round ended. Where its place moved, it starts again from the top of its first list."""
        while True:
            try:
                return (yield from self._walk_on(walks))
            except Moved:
                walks = None
                self._begin_round(self.now())
                if not self._may_restart():
                    raise self._unfinished() from None

    def _walk_on(self, walks: list[Walk | None] | None) -> Generator[Ask | list[Read], Page, bool]:
        round_ = self.state["round"]
        for index in range(round_["list"], len(self.lists)):
            listing = self.lists[index]
            walk = walks[index] if walks else None
            if walk:
                round_["pages"] += walk.pages
                round_["place"] = walk.place
            else:
                walk = Walk(listing, place=round_.get("place"))
            round_["list"] = index
            while not walk.ended:
                self.cut_short = not self.budget.take()
                if self.cut_short:
                    return False
                self.swept_pages += 1
                self.state["swept"] = self.now()
                page = yield from walk.turn()
                if "place" in round_ and walk.pages == 1:  # the page of the place, again: not counted
                    yield from self._take("round", page, listing, self.state["date_updated"], of_round=True)
                    if walk.ended:
                        break
                    page = yield from walk.turn()
                yield from self._take("round", page, listing, self.state["date_updated"], of_round=True)
                round_["place"] = walk.place
                round_["pages"] += 1
                if walk.past(self.bounds.start_date, page):
                    break
                del page
            round_["list"] = index + 1
            round_.pop("place", None)
        return True

    def _finish_round(self) -> None:
        round_ = self.state.pop("round")
        self.state["date_updated"] = max(
            self.state["date_updated"], back(self._since(round_["began"]), self.bounds.margin)
        )
        self.state["pages"] = round_["pages"]
        self.state.pop("owed", None)
        self.state.pop("refill", None)

    # -- the backfill

    def backfill(self) -> Read:
        """The first read: a short list is walked whole, a long one that can be filtered is read in slices."""
        backfill = self.state.setdefault("backfill", {"began": self.now(), "list": 0, "followed": True})
        if not self.follow:
            backfill.pop("followed", None)
        while backfill["list"] < len(self.lists):
            listing = self.lists[backfill["list"]]
            if "slices" not in backfill:
                yield from self._walk_all(listing, backfill)
            if "slices" in backfill:
                yield from self._slices(listing, backfill["slices"], EVER, backfill)
                del backfill["slices"]
            backfill.pop("place", None)
            backfill["list"] += 1
        del self.state["backfill"]
        bookmark = back(self._since(backfill["began"]), self.bounds.margin)
        for name in ("date_updated", "looked_back"):
            self.state[name] = max(self.state.get(name, EVER), bookmark)
        if "owed" in backfill:
            self.state["owed"] = backfill["owed"]

    def _walk_all(self, listing: Listing, backfill: dict[str, Any]) -> Read:
        """Walk a list to its end; or, when it turns out long, leave the slices to read in `backfill`."""
        walk = Walk(listing, place=backfill.get("place"))
        judged = "place" in backfill or not listing.stream.filter or self.follow is not None
        while not walk.ended:
            try:
                page = yield from walk.turn()
            except Moved:
                backfill.pop("place", None)
                if self._may_restart():
                    walk = Walk(listing)
                    continue
                if not listing.stream.filter:
                    raise self._unfinished() from None
                return self._begin_slices(listing, backfill, CUTS)
            if not judged and page.next:
                pages = self._pages(listing, page, self._oldest(listing))
                if pages > self.bounds.short_pages:
                    return self._begin_slices(listing, backfill, pages)
            judged = judged or bool(page.rows)
            yield from self._take("backfill", page, listing, EVER, first=walk.pages == 1)
            backfill["place"] = walk.place
            if walk.past(self.bounds.start_date, page):
                return None
            del page  # a read holds no rows while it waits for more
        return None

    def _begin_slices(self, listing: Listing, backfill: dict[str, Any], pages: float) -> None:
        since = self._oldest(listing)
        backfill["slices"] = self._cut(listing, since, back(backfill["began"], -SECOND), pages)
        backfill["owed"] = max(since, backfill.get("owed", EVER))

    def _oldest(self, listing: Listing) -> Moment:
        """Where slices begin: at `start_date`, else when the account was created, else as far as the filter reaches."""
        since = self.bounds.start_date or (self.created and back(self.created, DAY)) or back(self.now(), 3650 * DAY)
        return max(since, self._reach(listing))

    def _reach(self, listing: Listing) -> Moment:
        """How far back the filter answers, for as long as a slice may take."""
        reach = listing.stream.filter and listing.stream.filter.reach
        return back(self.now(), reach - DAY) if reach else EVER

    # -- slices

    def _slices(
        self, listing: Listing, slices: list[dict[str, Any]], since: Moment, backfill: dict[str, Any] | None
    ) -> Read:
        """Read dated rows side by side. `slices` is what is left to read: each one leaves it when it is done."""
        yield [self._slice(listing, slices, one, since, backfill) for one in slices]

    def _slice(
        self,
        listing: Listing,
        slices: list[dict[str, Any]],
        one: dict[str, Any],
        since: Moment,
        backfill: dict[str, Any] | None,
    ) -> Read:
        restarts = 0
        walk = self._open(listing, one, backfill)
        while walk and not walk.ended:
            try:
                page = yield from walk.turn()
            except (Moved, Refused) as error:
                if isinstance(error, Refused) and error.code != BEYOND_REACH:
                    raise
                one.pop("place", None)
                restarts += 1
                if restarts > RESTARTS:
                    raise self._unfinished() from None
                walk = self._open(listing, one, backfill)
                continue
            column, low, high = listing.column, one["from"], one["to"]
            dates = [when(row.get(column)) or EVER for row in page.rows]
            walk.follow_order(page.rows, dates)
            # Filters may also list the undated rows, and those a unit outside: they are none of this slice's.
            self.slices_overlap |= EVER in dates
            inside = [(row, date) for row, date in zip(page.rows, dates) if low <= date < high]
            page = replace(page, rows=[row for row, _ in inside])
            parts = self._recut(listing, one, walk, page, [date for _, date in inside])
            if not parts or walk.by_list_date:
                yield from self._take("backfill" if backfill else "head", page, listing, since)
            if parts:
                at = next(index for index, other in enumerate(slices) if other is one)
                slices[at : at + 1] = parts
                del page, inside, dates, walk  # the parts may take long
                yield [self._slice(listing, slices, part, since, backfill) for part in parts]
                return
            one["place"] = walk.place
            del page, inside  # a read holds no rows while it waits for more
        slices[:] = [other for other in slices if other is not one]

    def _open(self, listing: Listing, one: dict[str, Any], backfill: dict[str, Any] | None) -> Walk | None:
        """A slice's walk; None when the filter no longer reaches any of it. What it does not reach is owed."""
        since = max(one["from"], self._reach(listing))
        if since > one["from"] and backfill:
            backfill["owed"] = max(backfill["owed"], min(since, one["to"]))
        return Walk(listing, listing.top(since, one["to"]), one.get("place")) if since < one["to"] else None

    def _recut(
        self, listing: Listing, one: dict[str, Any], walk: Walk, page: Page, dates: list[Moment]
    ) -> list[dict[str, Any]] | None:
        """
        The parts of a slice that turned out long, to be read side by side; None to read on.

        In order of list date what was read stays read; in any other, the rest cannot be told by date, and the parts
        hold the whole slice again: worth it after the first page, and later only for a much longer rest.
        """
        if self.slices_overlap or not page.next:
            return None
        left = _pages(dates, one["from"])
        again = 0 if walk.by_list_date or walk.pages == 1 and not walk.resumed else walk.pages
        if left < 1.5 * self.slice_pages or left < 4 * again or (again and walk.resumed):
            return None
        until = one["to"]
        if walk.by_list_date:
            until = min(until, back(min(dates, default=until), -SECOND))
        parts = self._cut(listing, one["from"], until, left)
        return parts if len(parts) > 1 else None

    def _cut(self, listing: Listing, since: Moment, until: Moment, pages: float) -> list[dict[str, Any]]:
        """A span in even parts, newest first, of some `slice_pages` each if `pages` are spread evenly over it."""
        assert listing.stream.filter
        self.slice_pages = max(self.slice_pages, pages / CUTS)  # else all parts of a very long list were cut again
        start, end = moment(since), moment(until)
        finest = (end - start) / listing.stream.filter.unit
        parts = max(1, int(min(ceil(pages / self.slice_pages), CUTS, finest)))
        cuts = [text(start + (end - start) * index / parts) for index in range(parts + 1)]
        return [{"from": low, "to": high} for low, high in zip(cuts, cuts[1:]) if low < high][::-1]

    def pages_left(self, listing: Listing, page: Page) -> float:
        """How many pages follow the first one, by its density."""
        return self._pages(listing, page, self._oldest(listing))

    def _pages(self, listing: Listing, page: Page, since: Moment) -> float:
        """How many pages lie between this one and `since`, should rows stand there as densely as here."""
        return _pages(
            [date for row in page.rows if (date := when(listing.listed(row)) or when(row.get("date_created")))], since
        )

    # -- FULL_TABLE

    def read_full(self, version: int) -> Read:
        """
        Read every row into one version of the table: walks only, one list strictly after the other.

        Rows move up while a list is read, so at the end its head is read again, down to where the read began.
        """
        full = self.state.get("full", {})
        while full.get("version") != version or not full.get("done"):
            if full.get("version") != version:
                full = {"version": version, "began": self.now(), "list": 0}
            try:
                yield from self._walk_full(full)
            except Moved:
                full = {"version": version, "began": self.now(), "list": 0}
                if not self._may_restart():
                    raise self._unfinished() from None

    def _walk_full(self, full: dict[str, Any]) -> Read:
        # What was emitted of the heads, so that the second look emits only what changed. After a kill it emits all.
        emitted: dict[str, int] = {}
        moving = self.lists  # those of which rows may have moved up while they were read,
        once: list[Listing] = []  # and of these, where each row does so once at most: not in order of change
        edge = back(full["began"], self.bounds.margin)
        for index, listing in enumerate(self.lists):
            if index < full["list"]:
                continue
            walk, heading = Walk(listing, place=full.get("place")), True
            while not walk.ended:
                page = yield from walk.turn()
                yield from self._take("full", page, listing, EVER)
                if listing not in once and changes_rise(page.rows):
                    once.append(listing)
                if heading:
                    emitted.update((row["sid"], _content(row)) for row in page.rows)
                    heading = not _settled(listing, page, edge)
                full.update(list=index, place=walk.place)
                self.state["full"] = full  # not before: until a page came, what an earlier version read is known
                if walk.past(self.bounds.start_date, page):
                    break
            full["list"] = index + 1
            full.pop("place", None)
            if walk.pages == 1 and walk.ended and not walk.resumed:
                moving = [other for other in moving if other != listing]  # one page shows one moment
        edge = back(self._since(full["began"]), self.bounds.margin)
        for listing in moving:
            yield from self._read_head_again(listing, edge, emitted, once=listing in once)
        full["done"] = True

    def _read_head_again(self, listing: Listing, edge: Moment, emitted: dict[str, int], once: bool) -> Read:
        """
        Emit what moved up since `edge`. Where a row may move up more than `once`, it may do so during this read as
        well: that is repeated until one page shows all of the head at once, or the list moves too fast for it.
        """
        for _ in range(1 if once else 1 + RESTARTS):
            walk, began = Walk(listing), self.now()
            while not walk.ended:
                page = yield from walk.turn()
                rows = [row for row in page.rows if emitted.get(row["sid"]) != _content(row)]
                emitted.update((row["sid"], _content(row)) for row in rows)
                yield from self._take("full", replace(page, rows=rows), listing, EVER)
                if _settled(listing, page, edge):
                    break
            if walk.pages == 1:
                return
            edge = back(began, MINUTE)

    # -- what all of these share

    def _take(
        self, kind: str, page: Page, listing: Listing, since: Moment, of_round: bool = False, first: bool = False
    ) -> Read:
        """Emit a page's rows that may have changed since then; of a round, also those that it owes."""
        start_date = self.bounds.start_date or EVER
        owed = self.state.get("owed", EVER) if of_round else EVER
        refill = self.state.get("refill", EVER) if of_round else EVER
        rows = page.rows
        if start_date:
            rows = [row for row in rows if (when(row.get("date_created")) or "~") >= start_date]
        if since:
            rows = [
                row
                for row in rows
                if (when(row.get("date_updated")) or "~") >= since
                or (owed and (when(listing.listed(row)) or EVER) < owed)
                or (refill and (when(row.get("date_created")) or EVER) < refill)
            ]
        if rows:
            self.emit(page, rows)
        if self.follow:
            yield from self.follow(kind, listing, page, first)

    def _since(self, began: Moment) -> Moment:
        """When something began, should the clock have been put back since."""
        return min(began, self.now())

    def _may_restart(self) -> bool:
        self.restarts += 1
        return self.restarts <= RESTARTS

    def _unfinished(self) -> Unfinished:
        return Unfinished(f"{self.stream.name} {self.account}: the list moved under every walk; the next sync goes on.")


def _all_older(listing: Listing, page: Page, edge: Moment) -> bool:
    """Whether every row of a page is dated, and before `edge`: where the head of a list ends. No row says nothing."""
    return bool(page.rows) and all(newest is not None and newest < edge for newest in map(listing.newest, page.rows))


def _settled(listing: Listing, page: Page, edge: Moment) -> bool:
    """Whether no row that moved up since `edge` stands below a page; in a list in order of change, or in any other."""
    return _all_older(listing, page, edge) and all((when(row.get("date_updated")) or "~") < edge for row in page.rows)


def _content(row: Row) -> int:
    return hash(repr(row))


def _pages(dates: list[Moment], since: Moment) -> float:
    """How many pages lie between one that shows these dates and `since`, should rows stand there as densely."""
    if not dates or min(dates) <= since:
        return 0
    spread = max(moment(max(dates)) - moment(min(dates)), SECOND)
    return (moment(min(dates)) - moment(since)) / spread
