"""Date-filtered reads of spans, side by side: quick, but blind to undated rows, so they are never a round's pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from tap_twilio.errors import Moved, Refused
from tap_twilio.moments import BEGINNING, DAY, SECOND, Moment, format_moment, later, parse_moment
from tap_twilio.singer.state import Backfill, Slice, Span
from tap_twilio.streams.model import Rounds, Window
from tap_twilio.twilio.request import Page

from .digests import Tally
from .effects import Read
from .lists import Listing, halves, pages_to
from .reading import Reading
from .sinks import RESTARTS, Feed
from .tables import How
from .walk import Walk

MIDNIGHT = "T00:00:00.000000Z"
CUTS = 32  # the parts that a span is cut into at most, each of which may be cut again
BEYOND_REACH = 20004  # Twilio's code for a filter that asks for longer ago than the list answers: time has passed


@dataclass
class Slices:
    """Dated rows of one list, read side by side. `left` is what is left to read: each slice leaves it when done."""

    reading: Reading
    listing: Listing
    left: list[Slice]
    how: How
    backfill: Backfill | None = None

    def read(self) -> Read:
        if not self.reading.state.finished and isinstance(self.listing.stream.reads, Window):
            # Nothing of it was asked yet, and it may turn out not to be there.
            yield from self._read(self.left[0])
        yield [self._read(one) for one in self.left]

    def _read(self, one: Slice) -> Read:
        reading, restarts = self.reading, 0
        feed = self._open(one)
        while feed and not feed.walk.ended:
            try:
                page = yield from feed.walk.turn()
            except (Moved, Refused) as error:
                if isinstance(error, Refused) and error.code != BEYOND_REACH:
                    raise
                one.place = one.read = None
                restarts += 1
                if restarts > RESTARTS:
                    raise reading.unfinished(error) from None
                feed = self._open(one)
                continue
            page, dates = _inside(reading, one, page, feed.walk.order.listed())
            parts = _recut(reading, self.listing, one, feed.walk, page, dates)
            in_order = _in_order(feed.walk)
            if parts and in_order:
                page = _above(page, dates, parts[0].until)
            if not parts or in_order:
                yield from reading.take(feed, page)
                self._keep(one, feed)
            if not parts and feed.walk.ended:
                parts = [Slice(*half) for half in halves(self.listing, feed.walk.rows, one.since, one.until)]
            if parts:
                if in_order:
                    self._finish(one, parts[0].until)
                at = next(index for index, other in enumerate(self.left) if other is one)
                self.left[at : at + 1] = parts
                del page, dates, feed  # the parts may take long
                yield [self._read(part) for part in parts]
                return
            del page, dates  # a read holds no rows while it waits for more
        if feed:
            yield from feed.end()
        self._finish(one, one.since)
        self.left[:] = [other for other in self.left if other is not one]

    def _open(self, one: Slice) -> Feed | None:
        """A slice's walk; None when the filter no longer reaches any of it. What it does not reach is owed."""
        since = max(one.since, self.reading.reach)
        if since > one.since and self.backfill:
            self.backfill.owed = max(self.backfill.owed or BEGINNING, min(since, one.until))
        if since >= one.until:
            return None
        walk = Walk(self.listing, self.listing.top(since, one.until), one.place, thorough=True)
        table, reader = self.reading.own, None
        if table and self.how is How.BACKFILL:
            reader = (
                table.tally(self.how, one.read) if self._counts else table.chunks(self.how, self.listing, _name(one))
            )
        return self.reading.feed_slice(self.how, walk, reader)

    @property
    def _counts(self) -> bool:
        """Whether slices begin the digests, which rounds go on with; those of a window have their own."""
        return isinstance(self.listing.stream.reads, Rounds)

    def _keep(self, one: Slice, feed: Feed) -> None:
        capped = self.listing.stream.filter and self.listing.stream.filter.most_rows
        one.place = None if capped else feed.place
        if isinstance(feed.reader, Tally):
            one.read = feed.reader.stretch.text()

    def _finish(self, one: Slice, since: Moment) -> None:
        """A slice was read down to `since`."""
        table = self.reading.own
        if not self.backfill or not table or not self._counts:
            return
        new, others = Span(since, one.until, one.read), []
        for other in self.backfill.spans:
            if other.until == new.since:
                new = Span(other.since, new.until, table.join(new.read, other.read))
            elif other.since == new.until:
                new = Span(new.since, other.until, table.join(other.read, new.read))
            else:
                others.append(other)
        self.backfill.spans = [*others, new]


def _inside(reading: Reading, one: Slice, page: Page, dates: list[Moment]) -> tuple[Page, list[Moment]]:
    """The rows of a slice, with their list dates: filters may also list undated rows, and those a unit outside."""
    reading.slices_overlap |= BEGINNING in dates
    inside = [(row, date) for row, date in zip(page.rows, dates) if one.since <= date < one.until]
    return replace(page, rows=[row for row, _ in inside]), [date for _, date in inside]


def _in_order(walk: Walk) -> bool:
    """Whether what is below a page can be cut, and the page need not be read again. A window is cut at days, or not."""
    return walk.order.by_list_date and not isinstance(walk.listing.stream.reads, Window)


def _name(one: Slice) -> str:
    """What tells the slices of a window apart, in every sync the same, though the first and last bounds move."""
    if parse_moment(one.until) - parse_moment(one.since) > DAY:
        return ""
    return one.since if one.since.endswith(MIDNIGHT) else f"until {one.until}"


def _above(page: Page, dates: list[Moment], until: Moment) -> Page:
    """The rows of a page that parts which end there do not read again."""
    return replace(page, rows=[row for row, date in zip(page.rows, dates) if date >= until])


def _recut(
    reading: Reading, listing: Listing, one: Slice, walk: Walk, page: Page, dates: list[Moment]
) -> list[Slice] | None:
    """
    The parts of a slice that turned out long, to be read side by side; None to read on.

    If rows come newest first by their list date, only what is below this page is cut. Otherwise the parts hold the
    whole slice again. That pays after the first page, or when at least four times as much is left as was read; a window
    is cut after the first page or not at all, and never where its rows are sums.
    """
    if reading.slices_overlap or not page.next or (walk.resumed and walk.pages == 1):  # which was read before
        return None
    left = pages_to(dates, one.since)
    in_order = _in_order(walk)
    again = 0 if in_order or (walk.pages == 1 and not walk.resumed) else walk.pages
    if isinstance(listing.stream.reads, Window) and (again or listing.stream.reads.sums):
        return None  # rows that are read in two ways have two digests, of which each sync would find one outdated
    if left < 1.5 * reading.slice_pages or left < 4 * again or (again and walk.resumed):
        return None
    until = min(one.until, later(min(dates, default=one.until), SECOND)) if in_order else one.until
    if in_order and dates and max(dates) < until:
        return None  # the page above may hold rows of that second too
    parts = cut(reading, listing, one.since, until, left)
    return parts if len(parts) > 1 else None


def cut(reading: Reading, listing: Listing, since: Moment, until: Moment, pages: float) -> list[Slice]:
    """A span in even parts, newest first, of some `slice_pages` each if `pages` are spread evenly over it."""
    assert listing.stream.filter
    reading.slice_pages = max(reading.slice_pages, pages / CUTS)  # else all parts of a very long list were cut again
    start, end = parse_moment(since), parse_moment(until)
    finest = (end - start) / listing.stream.filter.unit
    parts = max(1, int(min(ceil(pages / reading.slice_pages), CUTS, finest)))
    cuts = [format_moment(start + (end - start) * index / parts) for index in range(parts + 1)]
    if parts > 1 and isinstance(listing.stream.reads, Window):  # at days, so that each sync compares the same rows
        days = ceil((end - start) / DAY / CUTS)
        cuts = [
            since,
            *(
                format_moment(start.replace(hour=0, minute=0, second=0, microsecond=0) + number * days * DAY)
                for number in range(1, CUTS + 1)
            ),
            until,
        ]
        cuts = [at for at in cuts if at <= until]
    return [Slice(low, high) for low, high in zip(cuts, cuts[1:]) if low < high][::-1]
