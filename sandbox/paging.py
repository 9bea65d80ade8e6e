"""
Pages: sizes, numbers and tokens of a request, and the addresses that lead from page to page.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import quote, urlencode

from .catalog import fact
from .lists import PAGING, Key, Refused, page_after, page_before
from .messages import Question
from .rows import Json, Row
from .validation import refuse, validate

if TYPE_CHECKING:
    from .twilio import Twilio

TOP = "P0"  # a token that names no row: what follows it is the top of the list


Kind = TypeVar("Kind")


@dataclass(frozen=True)
class ListPage(Generic[Kind]):
    """A page and where it leads: its rows, its number and size, and the addresses of it and its neighbours."""

    rows: list[Kind]
    number: int
    size: int
    here: str
    first: str
    following: str | None
    before: str | None


def pages(
    question: Question,
    kept: list[tuple[str, str]],
    rows: list[Kind],
    number: int,
    size: int,
    token: str,
    after: str,
    before: str,
) -> ListPage[Kind]:
    """
    Return a page with the addresses of itself and its neighbours; `kept` are the query's filters.

    The order of the parameters is not always the same, and filters may stand around those of paging (recorded from
    live accounts, public repositories, 2016-2026).
    """

    def address(number: int, token: str = "") -> str:
        paging = [("PageToken", token)] if token else []
        paging.insert(number % 2 * len(paging), ("Page", str(number)))
        query = [*kept[:1], ("PageSize", str(size)), *paging, *kept[1:]]
        return f"{question.path}?{urlencode(query, quote_via=quote, safe='')}"

    return ListPage(
        rows=rows,
        number=number,
        size=size,
        here=address(number, token),
        first=address(0),
        following=address(number + 1, after) if after else None,
        before=address(number - 1, before) if before else None,
    )


def list_page(
    twilio: "Twilio",
    question: Question,
    query: dict[str, str],
    rows: list[Row],
    key: Key,
    stream: str,
    fault: str = "",
) -> ListPage[Row]:
    """Return the requested page of the rows that pass the filters; a hollow page leaves its rows to the next."""
    page, more, number, size = _cut(twilio, query, rows, key, stream)
    hollow = fault == "hollow"
    after = f"AP{(number + 1) * size}" if twilio.tokens == "offset" else f"PA{page[-1].sid}" if more else ""
    token = (query.get("PageToken") or TOP) if hollow else after if more else ""
    page = [] if hollow else page
    return pages(
        question,
        [(name, value) for name, value in query.items() if name not in PAGING],
        rows=page,
        number=number,
        size=size,
        token=query.get("PageToken", ""),
        after=token,
        before=f"PB{page[0].sid}" if number and page else "",
    )


def classic_envelope(question: Question, page: ListPage[Kind], fault: str = "") -> Json:
    """Return the members beside the rows of a classic list; their addresses have no host."""
    following = {"duplicate": page.here, "circle": page.first}.get(fault, page.following)
    if fault == "foreign":
        following = f"{question.elsewhere}{following or page.here}"
    return {
        "first_page_uri": page.first,
        "end": page.number * page.size + max(0, len(page.rows) - 1),
        "previous_page_uri": page.before,
        "uri": page.here,
        "page_size": page.size,
        "start": page.number * page.size,
        "next_page_uri": following,
        "page": page.number,
    }


def meta_envelope(twilio: "Twilio", question: Question, page: ListPage[Kind], key: str, fault: str = "") -> Json:
    """Return the member `meta` of a newer list; its addresses name a host, as the option `page_host` says."""
    own = question.origin if twilio.page_host == "here" else f"https://{question.product or 'insights'}.twilio.com"
    following, host = {"duplicate": page.here, "circle": page.first}.get(fault, page.following), own
    if fault == "foreign":
        host, following = question.elsewhere, following or page.here
    return {
        "page": page.number,
        "page_size": page.size,
        "first_page_url": own + page.first,
        "previous_page_url": page.before and own + page.before,
        "url": own + page.here,
        "next_page_url": following and host + following,
        "key": key,
    }


def validated(question: Question, stream: str) -> dict[str, str]:
    """Return the parameters of a request to a hand-written list, validated by its facts."""
    validate(fact(stream).query, question.query)
    return question.parameters()


def page_size(twilio: "Twilio", asked: str | None, largest: int = 1000) -> int:
    """Return the page size, 50 by default; the switch `large_pages` decides whether a larger one is cut or refused."""
    text = str(min(50, largest)) if asked is None else asked
    if not text.isdigit() or int(text) < 1:
        raise refuse("PageSize")
    if int(text) > largest and twilio.large_pages == "refused":
        raise refuse("PageSize", f"must be at most {largest}")
    return min(int(text), largest)


def _cut(
    twilio: "Twilio", query: dict[str, str], rows: list[Row], key: Key, stream: str
) -> tuple[list[Row], bool, int, int]:
    """Return the requested page's rows, whether more follow, its number and its size."""
    size, token, number = page_size(twilio, query.get("PageSize")), query.get("PageToken", ""), query.get("Page", "0")
    if not number.isdigit():
        raise Refused(400, 20001, "Parameter 'Page' is not valid")
    if token in ("", TOP):
        if int(number) and not token:
            raise Refused(400, 20001, "Page cannot be asked for without its PageToken")
        return *page_after(rows, key, None, size, twilio.clock), int(number), size
    if twilio.tokens == "offset" and token[:2] == "AP" and token[2:].isdigit():
        at, shown = int(token[2:]), [row for row in rows if row.shown <= twilio.clock]
        return shown[at : at + size], len(shown) > at + size, int(number), size
    token_row = twilio.rows.get(token[2:])
    if token[:2] not in ("PA", "PB") or token_row is None or token_row.stream != stream:
        raise Refused(400, 20001, "Parameter 'PageToken' is not valid")
    if token_row.deleted is not None and twilio.deleted_token != "taken":
        if twilio.deleted_token == "refused":
            raise Refused(400, 20001, "Parameter 'PageToken' is not valid")
        return [], False, int(number), size
    if token[:2] == "PB":
        return page_before(rows, key, token_row, size, twilio.clock), True, int(number), size
    return *page_after(rows, key, token_row, size, twilio.clock), int(number), size
