"""
The page loop: read an endpoint page by page, and hand each page to a dispatcher. Hooks say in what a read differs.

- `take` hands a page to the dispatcher.
- `may_read_page` asks the budget for one more page; the read stops at False.
- `prepare_page` returns the page to hand on, or None to give the read up: something else reads the rows.
- `after_page` keeps the checkpoint, and returns True to stop.
- `on_shift` returns the dispatcher of a new read from the top, or None to give the read up. Without it, PageShifted is
  raised, and the caller starts again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from tap_twilio.errors import PageShifted
from tap_twilio.tables.effects import Effect, Read
from tap_twilio.twilio.request import Page

from .dispatch import PageDispatcher

YesOrNo = Generator[Effect, Any, bool]


def read_list(
    take: Callable[[PageDispatcher, Page], Read],
    dispatcher: PageDispatcher,
    *,
    may_read_page: Callable[[], YesOrNo] | None = None,
    prepare_page: Callable[[Page], Page | None] | None = None,
    after_page: Callable[[PageDispatcher, Page], bool | None] | None = None,
    on_shift: Callable[[PageShifted], PageDispatcher | None] | None = None,
    closes: bool = True,
) -> Generator[Effect, Any, PageDispatcher | None]:
    """
    Read pages until the endpoint ends or a hook stops the read, then close the dispatcher.

    Return the dispatcher that was used last, or None if the read was given up. A dispatcher that was given up or
    replaced is never closed: its pending rows are read again. Neither is one that the caller goes on with (`closes`).
    """
    while not dispatcher.page_reader.ended:
        if may_read_page and not (yield from may_read_page()):
            break
        try:
            page = yield from dispatcher.page_reader.next_page()
        except PageShifted as shifted:
            restarted = _restart(shifted, on_shift)
            if restarted is None:
                return None
            dispatcher = restarted
            continue
        prepared = prepare_page(page) if prepare_page else page
        if prepared is None:
            return None
        yield from take(dispatcher, prepared)
        if after_page and after_page(dispatcher, page):
            break
        del page, prepared  # no rows stay in memory while the next page is requested
    if closes:
        yield from close(dispatcher)
    return dispatcher


def close(dispatcher: PageDispatcher) -> Read:
    """Flush the pending rows: all of them at the end of the list, else those that their dates show as changed."""
    yield from dispatcher.end() if dispatcher.page_reader.ended else dispatcher.leave()


def _restart(
    shifted: PageShifted, on_shift: Callable[[PageShifted], PageDispatcher | None] | None
) -> PageDispatcher | None:
    if on_shift is None:
        raise shifted
    return on_shift(shifted)
