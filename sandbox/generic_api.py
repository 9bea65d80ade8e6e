"""
Answers of a generated list: the rows that pass a query, in order, split into pages, in an envelope.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .access import Reader, may_read
from .catalog import Fact, value_type
from .filters import (
    HIDDEN,
    KEPT,
    MOST_ROWS,
    PERIOD,
    PERIODS,
    SUMMED,
    SUMS,
    UNLESS_ASKED,
    UNTIL_ENDED,
    WINDOWS,
    DateRange,
    inner,
)
from .generic import Item, Parents, Query, Shelf
from .lists import DATE, PAGING, Refused
from .messages import Answer, Question
from .page_tokens import Position, backwards, order, position, token_after, token_before
from .paging import classic_envelope, meta_envelope, page_size, pages
from .rows import Json, snake, to_json
from .shapes import as_written, is_date
from .timestamps import DAY, iso8601, timestamp
from .validation import AGO, refuse, validate

if TYPE_CHECKING:
    from .twilio import Twilio

Passes = Callable[[Json], bool]
ABSENT = {401: (20003, "Authenticate"), 403: (20403, "Forbidden"), 404: (20404, "The requested resource was not found")}
REFUSALS = {
    400: (20001, "The period is not valid"),
    404: (20404, "The requested resource was not found"),
    500: (20500, "An internal server error has occurred"),
}


def check_present(twilio: "Twilio", product: str, path: str, account: str) -> None:
    """Refuse if the account has not got the product, or as a switch says."""
    status = twilio.absent_products.get(product)
    if status is not None:
        raise Refused(status, *ABSENT.get(status, ABSENT[404]))
    for name in (product + path, f"{product}/{account}", product):
        if name in twilio.refused_products:
            status, code = twilio.refused_products[name]
            raise Refused(status, code, "Refused")


def answer_generic(
    twilio: "Twilio", question: Question, reader: Reader, found: tuple[Fact, Json, bool], fault: str
) -> Answer:
    """Answer with a page of a list, one of its rows, or a single resource."""
    fact, values, is_row = found
    # A product's host knows no account but that of the credentials: it reads its rows, whatever was meant.
    account = values.get("AccountSid", reader.account)
    may_read(twilio, reader, account)
    parents = tuple(values[name] for name in fact.parameters)
    missing = Refused(404, 20404, f"The requested resource {question.path} was not found")
    if not twilio.generic.exists(fact, account, parents):
        raise missing
    if is_row:
        (name,) = values.keys() - {*fact.parameters, "AccountSid"}
        item = twilio.generic.find(fact, account, parents, values[name])
        if item is None:
            raise missing
        return Answer(200, to_json(item.data).encode())
    query = validate(fact.query, question.query)
    _check_sums(twilio, fact, query)
    _check_reach(twilio, fact, query)
    if fact.name in SUMMED:
        _check_usage(twilio, fact, account, query)
    if fact.envelope == "single":
        rows = twilio.generic.shelf(fact, account, parents)
        if not rows:
            raise missing
        return Answer(200, to_json(rows[-1].data).encode())
    items = rows_of(twilio, fact, account, parents, query)
    if fact.envelope == "none":
        body = {} if fault == "keyless" else {fact.rows: [item.data for item in items]}
        return Answer(200, to_json(body | {"uri": question.path}).encode(), rows=len(items))
    shelf = twilio.generic.everything(fact, account, parents)
    return _page(twilio, question, fact, items, shelf, query, fault)


def _check_sums(twilio: "Twilio", fact: Fact, query: Query) -> None:
    """Refuse to sum otherwise than the sandbox does, and the bounds that Twilio refuses."""
    sums = SUMS.get(fact.name)
    for name, value in sums.asked.items() if sums else ():
        if query.get(name, [""])[-1] != value:
            raise refuse(name, f"is beyond this sandbox: it keeps the sums of {value} only")
    if sums is None or sums.longest is None:
        return
    (window,) = WINDOWS[fact.name]
    low, high = _bound(twilio, window.since, query, True), _bound(twilio, window.until, query, False)
    if any(at is not None and at % DAY for at in (low, high)):
        raise Refused(400, 83601, "Request StartTime and/or EndTime must be aligned to UTC day boundaries")
    if low is not None and (high or twilio.clock) - low > sums.longest:
        raise Refused(400, 83603, "The maximum allowed query period is 31 days for group by sim queries")
    if low is not None and low < twilio.clock - twilio.clock % DAY - KEPT[fact.name].seconds:
        raise Refused(400, 83605, "StartTime parameter is too far in the past")


def _check_reach(twilio: "Twilio", fact: Fact, query: Query) -> None:
    """Refuse a filter that begins longer ago than the list answers."""
    days = twilio.reaches.get(fact.name)
    names = [name for name in fact.query if name[-1] == ">"] + [window.since for window in WINDOWS.get(fact.name, ())]
    bounds = [_bound(twilio, name, query, True) for name in names]
    if days is not None and any(at is not None and at < twilio.clock - int(days * DAY) for at in bounds):
        raise Refused(400, 20004, f"The date cannot be more than {days:g} days in the past")


def _check_usage(twilio: "Twilio", fact: Fact, account: str, query: Query) -> None:
    """Refuse the spans that the switches say."""
    low, high = _bound(twilio, PERIOD.since, query, True), _bound(twilio, PERIOD.until, query, False)
    if low is None:
        return
    high = twilio.clock if high is None else high
    refused = Refused(twilio.usage_refusal, *REFUSALS[twilio.usage_refusal])
    if twilio.usage_days and high - low > twilio.usage_days * DAY:
        raise refused
    born = twilio.rows[account].created
    if twilio.usage_since_creation and low < born - born % DAY:
        raise refused
    for day, status in twilio.usage_bad_days.items():
        if low <= timestamp(day) <= high:
            raise Refused(status, *REFUSALS[status])


# Which rows


def rows_of(twilio: "Twilio", fact: Fact, account: str, parents: Parents, query: Query) -> list[Item]:
    """Return the rows that pass a query, in the list's order; cached until a row changes."""
    asked = tuple((name, *values) for name, values in sorted(query.items()) if name not in PAGING)
    means = (twilio.order, twilio.clock, twilio.inclusive, twilio.less_than_date_means, len(twilio.gone))
    if fact.name in SUMMED or fact.name in UNTIL_ENDED:  # they depend on what is kept elsewhere
        return _rows_of(twilio, fact, account, parents, query)
    views, key = twilio.generic.views, (fact.name, account, parents, asked, means)
    if key not in views:
        if len(views) >= 64:
            views.clear()
        views[key] = _rows_of(twilio, fact, account, parents, query)
    return views[key]


def _rows_of(twilio: "Twilio", fact: Fact, account: str, parents: Parents, query: Query) -> list[Item]:
    items = twilio.generic.shelf(fact, account, parents)
    if fact.name in UNLESS_ASKED:
        name, value = UNLESS_ASKED[fact.name]
        query = {name: [value]} | query
    with_subaccounts = query.get("IncludeSubaccounts", ["true"])[-1].lower() == "true"
    if fact.name in SUMMED and account == twilio.main and with_subaccounts:
        items = _summed(twilio, fact, items)
    if fact.name in PERIODS:
        low, high = _bound(twilio, PERIOD.since, query, True), _bound(twilio, PERIOD.until, query, False)
        items = [part for item in items for part in _part(item, low, high)]
    hidden, status = HIDDEN.get(fact.name, ("", ""))
    if hidden and query.get(hidden, ["false"])[-1].lower() != "true":
        items = [item for item in items if item.data["status"] != status]
    for passes in [*_equal(fact, query), *_between(twilio, fact, query)]:
        items = [item for item in items if passes(item.data)]
    if fact.name in SUMMED:
        asked = {"as_of": str(iso8601(twilio.clock)).replace("Z", "+00:00")}
        items = [replace(item, data=item.data | asked) for item in items]
    items = sorted(items, key=order(fact, twilio.order), reverse=backwards(query))
    return items[: MOST_ROWS.get(fact.name)]


def _equal(fact: Fact, query: Query) -> list[Passes]:
    """Return the filters on a property of the parameter's name: `LogLevel` for `log_level`."""
    passes: list[Passes] = []
    for name, values in query.items():
        prop = snake(name) if name not in fact.properties else name
        if prop in fact.properties and name not in PAGING and not is_date(value_type(fact.query, name)):
            passes.append(_is_one_of(prop, {value.lower() for value in values}))
    return passes


def _is_one_of(prop: str, wanted: set[str]) -> Passes:
    def passes(data: Json) -> bool:
        return data.get(prop) is not None and str(data[prop]).lower() in wanted

    return passes


def _between(twilio: "Twilio", fact: Fact, query: Query) -> list[Passes]:
    """Return the filters on dates. Rows without the date do not pass."""
    passes: list[Passes] = []
    windows, replacements = list(WINDOWS.get(fact.name, ())), set[str]()
    windows += [DateRange(name, name[:-1] + "<", snake(name[:-1])) for name in fact.query if name[-1] == ">"]
    for window in windows:
        exact = window.since.removesuffix(">")
        replacements |= {window.since, window.until, exact}
        if exact != window.since and exact in query:
            low, high = _bound(twilio, exact, query, True), _bound(twilio, exact, query, False)
            passes.append(_holds(window, low, high, True))
        low, high = _bound(twilio, window.since, query, True), _bound(twilio, window.until, query, False)
        if low is None and high is None and window.default is not None:
            low = twilio.clock - window.default
        if (low is not None or high is not None) and fact.name not in PERIODS:
            passes.append(_holds(window, low, high, window.with_end and twilio.inclusive))
    for name in set(query) - replacements:
        if name in fact.query and is_date(value_type(fact.query, name)):
            raise refuse(name, "is beyond this sandbox: say in filters.py which property it compares")
    return passes


def _holds(window: DateRange, low: int | None, high: int | None, with_end: bool) -> Passes:
    def passes(data: Json) -> bool:
        since, until = inner(data, window.column), inner(data, window.until_column or window.column)
        if not since or not until:
            return False
        return (low is None or timestamp(since) >= low) and (
            high is None or (timestamp(until) <= high if with_end else timestamp(until) < high)
        )

    return passes


def _bound(twilio: "Twilio", name: str, query: Query, is_lower: bool) -> int | None:
    """Return a bound as a timestamp; a bare date as the upper bound means its end."""
    if name not in query:
        return None
    value = query[name][-1]
    if AGO.fullmatch(value):
        return twilio.clock - twilio.clock % DAY + int(value.removesuffix("days")) * DAY
    try:
        at = timestamp(value.replace(" ", "+"))
    except ValueError:  # a parameter of no format, which nobody validated
        raise refuse(name) from None
    ends = DATE.fullmatch(value) and not is_lower and (name[-1] != "<" or twilio.less_than_date_means == "end")
    return at + DAY - 1 if ends else at


def _summed(twilio: "Twilio", fact: Fact, own: list[Item]) -> list[Item]:
    """Sum the usage of the main account and its subaccounts, one row for each category and period."""
    sums = {_period(item): item for item in own}
    for item in twilio.generic.of(fact.name, None, now=True):
        if item.account != twilio.main:
            known = sums.get(_period(item))
            sums[_period(item)] = item if known is None else replace(known, data=_sum(known.data, item.data))
    return [replace(item, data=item.data | {"account_sid": twilio.main}) for item in sums.values()]


def _part(item: Item, low: int | None, high: int | None) -> list[Item]:
    """Return a period's row for the days between two bounds: an even share of the usage, if it has any of them."""
    first, last = timestamp(item.data["start_date"]), timestamp(item.data["end_date"])
    since = max(first, first if low is None else low - low % DAY)
    until = min(last, last if high is None else high - high % DAY)
    if since > until:
        return []
    if (since, until) == (first, last):
        return [item]
    share = Decimal(until - since + DAY) / (last - first + DAY)
    shares = {
        name: str(round(Decimal(str(item.data[name])) * share, 5))
        for name in ("count", "usage", "price")
        if item.data.get(name) is not None
    }
    days = as_written(item.fact, {"start_date": since, "end_date": until})
    return [replace(item, data=item.data | shares | days)]


def _period(item: Item) -> tuple[Any, ...]:
    return tuple(item.data.get(name) for name in ("category", "start_date", "end_date"))


def _sum(one: Json, other: Json) -> Json:
    added = {}
    for name in ("count", "usage", "price"):
        if one.get(name) is not None and other.get(name) is not None:
            added[name] = str(Decimal(str(one[name])) + Decimal(str(other[name])))
    return one | added


# Pages


def _page(
    twilio: "Twilio", question: Question, fact: Fact, items: list[Item], shelf: Shelf, query: Query, fault: str
) -> Answer:
    size = page_size(twilio, query.get("PageSize", [None])[-1], fact.page_size or 1000)
    token, number = query.get("PageToken", [""])[-1], query.get("Page", ["0"])[-1]
    if not number.isdigit():
        raise refuse("Page")
    if int(number) and not token:
        raise Refused(400, 20001, "Page cannot be asked for without its PageToken")
    parents = position(twilio, fact, items, shelf, query, token, size) if token else Position(0)
    start = max(0, parents.at - size) if parents.backwards else parents.at
    page = items[start : start + size]
    more = bool(page) and start + size < len(items)
    list_page = pages(
        question,
        [(name, value) for name, value in question.pairs() if name not in PAGING],
        rows=page,
        number=int(number),
        size=size,
        token=token,
        after=token_after(fact, page[-1], int(number) + 1, start + len(page), twilio.tokens) if more else "",
        before=token_before(fact, page[0], int(number) - 1) if int(number) and page else "",
    )
    if fact.envelope == "classic":
        envelope = classic_envelope(question, list_page, fault)
    else:
        envelope = {"meta": meta_envelope(twilio, question, list_page, fact.rows, fault)}
    rows = {} if fault == "keyless" else {fact.rows: [item.data for item in page]}
    return Answer(200, to_json(rows | envelope).encode(), rows=len(page))
