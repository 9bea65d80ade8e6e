"""
The page loop: read a list page by page, and hand each page to a dispatcher. No other loop reads pages.

Every strategy calls it, and so do child streams. The loop is a generator: it yields a `Fetch` for each page, and the
effects of the consumers. The scheduler (run/scheduler.py) carries these out. Hooks say in what a read differs:

- `take` hands a page to the dispatcher.
- `may_read_page` asks the budget for one more page; the read stops at False.
- `prepare_page` returns the page to hand on, or None to give the read up: something else reads the rows.
- `after_page` keeps the checkpoint, and returns True to stop.
- `on_shift` returns the dispatcher of a new read from the top, or None to give the read up. Without it, PageShifted is
  raised, and the caller starts again.
- `on_refusal` notes that Twilio refused a page or failed to answer; the read is given up. Without it, the error is
  raised.

A read that stops closes its dispatcher, unless the caller goes on with it (`closes=False`). A dispatcher that was given
up or replaced is never closed: its pending rows are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

from tap_twilio.errors import BadAnswer, PageShifted, Refused, ServerFailed
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.tables.table import ReadMode
from tap_twilio.twilio.request import Page

from .dispatch import PageDispatcher
from .page_reader import PageReader

YesOrNo = Generator[Effect, Any, bool]
Refusal = Refused | ServerFailed


class Dispatcher(Protocol):
    """A receiver of the pages of one read: `PageDispatcher`, or `SliceRead` for a time slice."""

    page_reader: PageReader

    def end(self) -> Read: ...

    def leave(self) -> Read: ...


AnyDispatcher = TypeVar("AnyDispatcher", bound=Dispatcher)


def read_list(
    take: Callable[[AnyDispatcher, Page], Read],
    dispatcher: AnyDispatcher,
    *,
    may_read_page: Callable[[], YesOrNo] | None = None,
    prepare_page: Callable[[Page], Page | None] | None = None,
    after_page: Callable[[AnyDispatcher, Page], bool | None] | None = None,
    on_shift: Callable[[PageShifted], AnyDispatcher | None] | None = None,
    on_refusal: Callable[[Refusal], None] | None = None,
    closes: bool = True,
) -> Generator[Effect, Any, AnyDispatcher | None]:
    """Read pages until the list ends or a hook stops the read. Return the last dispatcher, or None if given up."""
    while not dispatcher.page_reader.ended:
        if may_read_page and not (yield from may_read_page()):
            break
        try:
            page = yield from dispatcher.page_reader.next_page()
        except PageShifted as shifted:
            if on_shift is None:
                raise
            if (restarted := on_shift(shifted)) is None:
                return None
            dispatcher = restarted
            continue
        except (Refused, ServerFailed) as refusal:
            if on_refusal is None:
                raise
            on_refusal(refusal)
            return None
        if (prepared := prepare_page(page) if prepare_page else page) is None:
            return None
        yield from take(dispatcher, prepared)
        if after_page and after_page(dispatcher, page):
            break
        del page, prepared  # no rows stay in memory while the next page is requested
    if closes:
        yield from close(dispatcher)
    return dispatcher


def close(dispatcher: Dispatcher) -> Read:
    """Flush the pending rows: all of them at the end of the list, else those that their dates show as changed."""
    yield from dispatcher.end() if dispatcher.page_reader.ended else dispatcher.leave()


def read_pages(page_reader: PageReader, take: Callable[[Page], None]) -> Read:
    """
    Read a list that has no consumers, and hand each page to `take`.

    Raises BadAnswer where the pages do not lead to an end, and Refused where Twilio says why.
    """

    def hand_on(page: Page) -> Page:
        take(page)
        return page

    try:
        dispatcher = PageDispatcher((), ReadMode.BACKFILL, page_reader, {})
        yield from read_list(PageDispatcher.take, dispatcher, prepare_page=hand_on)
    except PageShifted as shifted:
        if isinstance(shifted.__cause__, Refused):
            raise shifted.__cause__ from None
        raise BadAnswer(f"{page_reader.endpoint.path}: {shifted}; going on would leave rows out") from None
