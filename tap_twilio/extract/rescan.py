"""
The rescan: read an endpoint again from top to bottom, within the page budget, over as many syncs as that takes.

The rescan finds the changes that the lookback cannot find: those of old rows, and those that no date shows. Once the
backfill has ended, extract/strategy.py calls `read_changes` in each sync. `read_changes` is a generator: the page loop
(extract/read_list.py) yields its effects to the scheduler.
"""

from __future__ import annotations

from tap_twilio.errors import PageShifted
from tap_twilio.state.model import OpenRescan
from tap_twilio.tables import bookmarks
from tap_twilio.tables.effects import Read, Wait
from tap_twilio.tables.table import ReadMode
from tap_twilio.twilio.request import Page

from .dispatch import PageDispatcher
from .lookback import Dispatchers, look_back
from .page_reader import PageReader
from .partition_read import PartitionRead
from .read_list import YesOrNo, read_list


def read_changes(reading: PartitionRead) -> Read:
    """Read the newest pages, the lookback. Then go on with the open rescan, or begin one with the lookback's pages."""
    state = reading.state
    if state.rescan and not state.rescan.list_index and not state.rescan.checkpoint:
        state.rescan = None  # it has read nothing yet
    begins_rescan = state.rescan is None
    for feedback in reading.feedback_consumers:
        feedback.update_recent_since()
    feedback_since = min(
        (feedback.lookback_since for feedback in reading.feedback_consumers if feedback.lookback_since), default=None
    )
    dispatchers, is_complete = yield from look_back(reading, begins_rescan=begins_rescan, feedback_since=feedback_since)
    if begins_rescan:
        _begin(reading)
    yield [_rescan(reading, dispatchers if begins_rescan else None), reading.read_feedback(saw_all=is_complete)]


def _begin(reading: PartitionRead) -> None:
    reading.state.rescan = OpenRescan(reading.as_of, reading.included_tables())


def _rescan(reading: PartitionRead, dispatchers: Dispatchers | None) -> Read:
    """
    Go on with the open rescan. If an earlier sync began it, and it ends, run another one from top to bottom.

    `dispatchers` are those of the lookback, if the rescan begins with its pages; None if an earlier sync began it.
    """
    began_now = dispatchers is not None
    while (yield from _read_rest(reading, dispatchers)):
        _finish(reading, in_one_sync=began_now)
        if began_now:
            return
        began_now, dispatchers = True, None
        _begin(reading)


def _finish(reading: PartitionRead, *, in_one_sync: bool) -> None:
    ended = reading.state.rescan
    assert ended
    reading.finish_rescan(ended.streams, ended.began)
    reading.state.pages = None if in_one_sync else ended.pages  # only a rescan of several syncs needs a forecast
    reading.state.rescan = None
    reading.rescanned_whole |= in_one_sync


def _read_rest(reading: PartitionRead, dispatchers: Dispatchers | None) -> YesOrNo:
    """Read what the rescan has not read, and return whether it ended. When pages shifted, begin a new rescan."""
    while True:
        try:
            return (yield from _read_endpoints(reading, dispatchers))
        except PageShifted as shifted:
            dispatchers = None
            _begin(reading)
            if not reading.may_restart():
                raise reading.incomplete(shifted) from None


def _read_endpoints(reading: PartitionRead, dispatchers: Dispatchers | None) -> YesOrNo:
    """Read one endpoint after the other, and return False when the budget ends first."""
    rescan, endpoints = reading.state.rescan, reading.endpoints
    assert rescan
    for index in range(rescan.list_index, len(endpoints)):
        dispatcher = dispatchers[index] if dispatchers else None
        if dispatcher:
            rescan.pages += dispatcher.page_reader.pages
            dispatcher.mode = ReadMode.RESCAN
        else:
            page_reader = PageReader(endpoints[index], checkpoint=rescan.checkpoint)
            dispatcher = reading.dispatcher(ReadMode.RESCAN, page_reader)
        rescan.list_index, rescan.checkpoint = index, dispatcher.checkpoint
        yield from _read_within_budget(reading, rescan, dispatcher)
        if not dispatcher.page_reader.ended:
            for unused in (dispatchers or ())[index + 1 :]:
                if unused:
                    yield from unused.leave()
            return False
        rescan.list_index, rescan.checkpoint = index + 1, None
    return True


def _read_within_budget(reading: PartitionRead, rescan: OpenRescan, dispatcher: PageDispatcher) -> Read:
    page_reader, is_counted = dispatcher.page_reader, True

    def may_read_page() -> YesOrNo:
        nonlocal is_counted
        is_page_of_checkpoint = page_reader.is_resumed and page_reader.pages == 0  # an earlier sync counted it
        is_counted = not is_page_of_checkpoint and not page_reader.empty_in_a_row
        return not is_counted or (yield from _budget_allows_page(reading, dispatcher))

    def keep_checkpoint(dispatcher: PageDispatcher, page: Page) -> None:
        rescan.checkpoint = dispatcher.checkpoint
        rescan.pages += is_counted

    yield from read_list(reading.take, dispatcher, may_read_page=may_read_page, after_page=keep_checkpoint)


def _budget_allows_page(reading: PartitionRead, dispatcher: PageDispatcher) -> YesOrNo:
    """Take a page from the budget, and count it as a page of a rescan. Return whether there was one."""
    if not (yield from budget_allows_page(reading, dispatcher)):
        return False
    reading.rescan_pages_read += 1
    bookmarks.note_rescan(reading.state, reading.began)
    return True


def budget_allows_page(reading: PartitionRead, dispatcher: PageDispatcher) -> YesOrNo:
    """
    Return whether the rescan may read one more page. If the budget has one, take it.

    An endpoint whose page tokens name no rows has no checkpoints, so one sync reads it whole. A read whose checkpoint
    did not move in this sync reads some pages more than its budget, until it has a checkpoint at which to stop.
    """
    while reading.stream.tokens_name_rows and not reading.budget.take(reading.key):
        if reading.budget.may_grow(reading.key) and (yield Wait()) is not None:
            continue  # another read ended, and may have left some of its budget
        if dispatcher.may_stop():
            return False
        break
    return True
