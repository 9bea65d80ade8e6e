"""The page loop: on each way out, it closes just the dispatcher whose pending rows no other read shows again."""

from __future__ import annotations

import pytest

from tap_twilio.errors import PageShifted, Refused
from tap_twilio.extract.read_list import read_list


class FakeReader:
    """Three pages. Twilio may answer one of them with an error, or its rows have shifted."""

    def __init__(self, shifts_at=None, error=None):
        self.pages, self.ended, self.shifts_at = 0, False, shifts_at
        self.error = error or PageShifted("rows moved")

    def next_page(self):
        if self.pages == self.shifts_at:
            raise self.error
        self.pages += 1
        self.ended = self.pages == 3
        return self.pages
        yield


class FakeDispatcher:
    def __init__(self, shifts_at=None, error=None):
        self.page_reader, self.calls = FakeReader(shifts_at, error), []

    def take(self, page):
        self.calls.append(page)
        yield from ()

    def end(self):
        self.calls.append("end")
        yield from ()

    def leave(self):
        self.calls.append("leave")
        yield from ()


def run(dispatcher, **hooks):
    """Return what the loop returns. The fakes yield no effect, so the first step is the last."""
    with pytest.raises(StopIteration) as stopped:
        next(read_list(FakeDispatcher.take, dispatcher, **hooks))
    return stopped.value.value


def may_read_two_pages(dispatcher):
    def may_read_page():
        return dispatcher.page_reader.pages < 2
        yield

    return may_read_page


def test_a_list_that_ends_is_ended_once():
    dispatcher = FakeDispatcher()
    assert run(dispatcher) is dispatcher
    assert dispatcher.calls == [1, 2, 3, "end"]


def test_a_read_that_stops_before_the_end_is_left_once():
    by_page, by_budget = FakeDispatcher(), FakeDispatcher()
    assert run(by_page, after_page=lambda dispatcher, page: page == 2) is by_page
    assert run(by_budget, may_read_page=may_read_two_pages(by_budget)) is by_budget
    assert by_page.calls == by_budget.calls == [1, 2, "leave"]


def test_a_read_that_stops_at_the_last_page_is_ended():
    dispatcher = FakeDispatcher()
    run(dispatcher, after_page=lambda dispatcher, page: page == 3)
    assert dispatcher.calls == [1, 2, 3, "end"]


def test_a_read_that_is_given_up_closes_nothing():
    long, shifted = FakeDispatcher(), FakeDispatcher(shifts_at=1)
    assert run(long, prepare_page=lambda page: page if page == 1 else None) is None
    assert run(shifted, on_shift=lambda error: None) is None
    assert long.calls == shifted.calls == [1]


def test_a_read_that_starts_again_closes_the_last_dispatcher_only():
    first, second = FakeDispatcher(shifts_at=2), FakeDispatcher()
    assert run(first, on_shift=lambda error: second) is second
    assert first.calls == [1, 2]
    assert second.calls == [1, 2, 3, "end"]


def test_without_a_rule_for_it_a_shift_is_raised_and_closes_nothing():
    dispatcher = FakeDispatcher(shifts_at=2)
    with pytest.raises(PageShifted):
        next(read_list(FakeDispatcher.take, dispatcher))
    assert dispatcher.calls == [1, 2]


def test_a_refused_page_gives_the_read_up_or_is_raised():
    refusal = Refused(400, None, "too far back", "")
    noted: list[Refused] = []
    noticed, raised = FakeDispatcher(shifts_at=2, error=refusal), FakeDispatcher(shifts_at=2, error=refusal)
    assert run(noticed, on_refusal=noted.append) is None
    with pytest.raises(Refused):
        next(read_list(FakeDispatcher.take, raised))
    assert noted == [refusal]
    assert noticed.calls == raised.calls == [1, 2]


def test_a_dispatcher_that_the_caller_goes_on_with_stays_open():
    dispatcher = FakeDispatcher()
    assert run(dispatcher, closes=False) is dispatcher
    assert dispatcher.calls == [1, 2, 3]


def test_consumers_get_the_prepared_page_and_the_hook_after_it_gets_the_page_of_twilio():
    dispatcher, pages = FakeDispatcher(), []
    run(dispatcher, prepare_page=lambda page: 10 * page, after_page=lambda dispatcher, page: pages.append(page))
    assert dispatcher.calls == [10, 20, 30, "end"]
    assert pages == [1, 2, 3]
