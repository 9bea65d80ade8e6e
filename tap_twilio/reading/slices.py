"""Date-filtered reads of spans, side by side: quick, but they see dated rows only, so they are never a round's pages."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from tap_twilio.errors import BadAnswer, Refused
from tap_twilio.moments import BEGINNING, SECOND, Moment, format_moment, later, moment_of, parse_moment
from tap_twilio.singer.state import Backfill, Slice
from tap_twilio.twilio.request import Page

from .effects import Read
from .lists import Listing, pages_to
from .reading import Reading
from .sinks import RESTARTS, How
from .walk import Moved, Walk

CUTS = 32  # the parts that a span is cut into at most, each of which may be cut again
BEYOND_REACH = 20004  # Twilio's code for a filter that asks for longer ago than the list answers: time has passed


def read_slices(
    reading: Reading, listing: Listing, slices: list[Slice], how: How, backfill: Backfill | None = None
) -> Read:
    """Read dated rows side by side. `slices` is what is left to read: each one leaves it when it is done."""
    yield [_read(reading, listing, slices, one, how, backfill) for one in slices]


def _read(
    reading: Reading, listing: Listing, slices: list[Slice], one: Slice, how: How, backfill: Backfill | None
) -> Read:
    restarts = 0
    walk = _open(reading, listing, one, backfill)
    while walk and not walk.ended:
        try:
            page = yield from walk.turn()
        except (Moved, Refused) as error:
            if isinstance(error, Refused) and error.code != BEYOND_REACH:
                raise
            one.place = None
            restarts += 1
            if restarts > RESTARTS:
                raise reading.unfinished() from None
            walk = _open(reading, listing, one, backfill)
            continue
        page, dates = _inside(reading, listing, one, page)
        parts = _recut(reading, listing, one, walk, page, dates)
        if not parts or walk.order.by_list_date:
            yield from reading.take(how, listing, page)
        parts = parts or _halved(listing, one, walk)
        if parts:
            at = next(index for index, other in enumerate(slices) if other is one)
            slices[at : at + 1] = parts
            del page, dates, walk  # the parts may take long
            yield [_read(reading, listing, slices, part, how, backfill) for part in parts]
            return
        one.place = None if listing.stream.filter and listing.stream.filter.most_rows else walk.place
        del page, dates  # a read holds no rows while it waits for more
    slices[:] = [other for other in slices if other is not one]


def _open(reading: Reading, listing: Listing, one: Slice, backfill: Backfill | None) -> Walk | None:
    """A slice's walk; None when the filter no longer reaches any of it. What it does not reach is owed."""
    since = max(one.since, reading.reach)
    if since > one.since and backfill:
        backfill.owed = max(backfill.owed or BEGINNING, min(since, one.until))
    return Walk(listing, listing.top(since, one.until), one.place, thorough=True) if since < one.until else None


def _inside(reading: Reading, listing: Listing, one: Slice, page: Page) -> tuple[Page, list[Moment]]:
    """The rows of a slice, with their list dates: filters may also list undated rows, and those a unit outside."""
    dates = [moment_of(listing.listed(row)) or BEGINNING for row in page.rows]
    reading.slices_overlap |= BEGINNING in dates
    inside = [(row, date) for row, date in zip(page.rows, dates) if one.since <= date < one.until]
    return replace(page, rows=[row for row, _ in inside]), [date for _, date in inside]


def _recut(
    reading: Reading, listing: Listing, one: Slice, walk: Walk, page: Page, dates: list[Moment]
) -> list[Slice] | None:
    """
    The parts of a slice that turned out long, to be read side by side; None to read on.

    If rows come newest first by their list date, only what is below this page is cut. Otherwise the parts hold the
    whole slice again. That pays after the first page, or when at least four times as much is left as was read.
    """
    if reading.slices_overlap or not page.next:
        return None
    left = pages_to(dates, one.since)
    in_order = walk.order.by_list_date
    again = 0 if in_order or (walk.pages == 1 and not walk.resumed) else walk.pages
    if left < 1.5 * reading.slice_pages or left < 4 * again or (again and walk.resumed):
        return None
    until = min(one.until, later(min(dates, default=one.until), SECOND)) if in_order else one.until
    parts = cut(reading, listing, one.since, until, left)
    return parts if len(parts) > 1 else None


def _halved(listing: Listing, one: Slice, walk: Walk) -> list[Slice] | None:
    """Both halves of a slice that ended where a query lists no more rows, whether or not there are any."""
    filter_ = listing.stream.filter
    if not walk.ended or filter_ is None or filter_.most_rows is None or walk.rows < filter_.most_rows:
        return None
    since, until = parse_moment(one.since), parse_moment(one.until)
    if until - since < 2 * filter_.unit:
        raise BadAnswer(f"{listing.path}: one {filter_.unit} has more rows than Twilio lists in a query")
    middle = format_moment(since + (until - since) / 2)
    return [Slice(middle, one.until), Slice(one.since, middle)]


def cut(reading: Reading, listing: Listing, since: Moment, until: Moment, pages: float) -> list[Slice]:
    """A span in even parts, newest first, of some `slice_pages` each if `pages` are spread evenly over it."""
    assert listing.stream.filter
    reading.slice_pages = max(reading.slice_pages, pages / CUTS)  # else all parts of a very long list were cut again
    start, end = parse_moment(since), parse_moment(until)
    finest = (end - start) / listing.stream.filter.unit
    parts = max(1, int(min(ceil(pages / reading.slice_pages), CUTS, finest)))
    cuts = [format_moment(start + (end - start) * index / parts) for index in range(parts + 1)]
    return [Slice(low, high) for low, high in zip(cuts, cuts[1:]) if low < high][::-1]
