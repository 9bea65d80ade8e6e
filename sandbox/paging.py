"""
Pages: sizes, numbers and tokens of a request, and the addresses that lead from page to page.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from .lists import PAGING, Key, Refused, page_after, page_before
from .rows import Row
from .talk import Question

if TYPE_CHECKING:
    from .twilio import Twilio

TOP = "P0"  # a token that names no row: what follows it is the top of the list


@dataclass(frozen=True)
class Turn:
    """A page and where it leads: its rows, its number and size, and the addresses of it and its neighbours."""

    rows: list[Row]
    number: int
    size: int
    here: str
    first: str
    following: str | None
    before: str | None


def turn(
    twilio: "Twilio",
    question: Question,
    query: dict[str, str],
    rows: list[Row],
    key: Key,
    stream: str,
    fault: str = "",
) -> Turn:
    """The page that a request asks for, out of the rows that pass its filters; a hollow one leaves them to the next."""
    page, more, number, size = _cut(twilio, query, rows, key, stream)
    hollow = fault == "hollow"
    token = (query.get("PageToken") or TOP) if hollow else f"PA{page[-1].sid}" if more else ""
    page = [] if hollow else page

    def address(number: int, token: str = "") -> str:
        kept = [(name, value) for name, value in query.items() if name not in PAGING]
        paging = [("PageSize", str(size)), ("Page", str(number)), *([("PageToken", token)] if token else [])]
        return f"{question.path}?{urlencode(kept + paging, quote_via=quote, safe='')}"

    return Turn(
        rows=page,
        number=number,
        size=size,
        here=address(number, query.get("PageToken", "")),
        first=address(0),
        following=address(number + 1, token) if token else None,
        before=address(number - 1, f"PB{page[0].sid}") if number and page else None,
    )


def note_unknown(twilio: "Twilio", question: Question, known: frozenset[str]) -> dict[str, str]:
    """The parameters that the list knows; Twilio ignores the others, and tests want to hear of them."""
    query = question.parameters()
    twilio.unknown_parameters += [(question.path, name) for name in query if name not in known]
    return {name: value for name, value in query.items() if name in known}


def page_size(query: dict[str, str]) -> int:
    """50 unless asked; more than 1,000 is 1,000."""
    text = query.get("PageSize", "50")
    if not text.isdigit() or int(text) < 1:
        raise Refused(400, 20001, "Parameter 'PageSize' is not valid")
    return min(int(text), 1000)


def _cut(
    twilio: "Twilio", query: dict[str, str], rows: list[Row], key: Key, stream: str
) -> tuple[list[Row], bool, int, int]:
    """The page that a request asks for: its rows, whether more follow, its number and size."""
    size, token, number = page_size(query), query.get("PageToken", ""), query.get("Page", "0")
    if not number.isdigit():
        raise Refused(400, 20001, "Parameter 'Page' is not valid")
    if token in ("", TOP):
        if int(number) and not token:
            raise Refused(400, 20001, "Page cannot be asked for without its PageToken")
        return *page_after(rows, key, None, size, twilio.clock), int(number), size
    place = twilio.rows.get(token[2:])
    if token[:2] not in ("PA", "PB") or place is None or place.stream != stream:
        raise Refused(400, 20001, "Parameter 'PageToken' is not valid")
    if place.deleted is not None and twilio.deleted_token != "taken":
        if twilio.deleted_token == "refused":
            raise Refused(400, 20001, "Parameter 'PageToken' is not valid")
        return [], False, int(number), size
    if token[:2] == "PB":
        return page_before(rows, key, place, size, twilio.clock), True, int(number), size
    return *page_after(rows, key, place, size, twilio.clock), int(number), size
