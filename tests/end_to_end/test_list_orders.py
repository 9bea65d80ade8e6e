"""Lists in unknown orders, which change between two pages: the whole tap skips no row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

import sandbox.server
from sandbox import Twilio
from sandbox.messages import Answer, Question
from testing.taps import DAY, Tap

TapOf = Callable[..., Tap]
NUMBERS = "incoming_phone_numbers"


class Between:
    """A script of faults that calls a function once, just before the answer to a request."""

    def __init__(self, twilio: Twilio, path: str, happens: Callable[[], Any]) -> None:
        self._path, self._happens, self.rng, self.done = path, happens, twilio.script.rng, False

    def next(self, uri: str, rates: Any, is_page: bool) -> str:
        if not self.done and re.search(self._path, uri):
            self.done = True
            self._happens()
        return ""


def between(twilio: Twilio, path: str, happens: Callable[[], Any]) -> Between:
    twilio.script = Between(twilio, path, happens)  # type: ignore[assignment]  # as good as a Faults
    return twilio.script  # type: ignore[return-value]


def listed(twilio: Twilio, stream: str) -> list[str]:
    return [item.handle for item in twilio.generic.of(stream, None, now=True)]


def changed(twilio: Twilio, sid: str) -> datetime:
    return parsedate_to_datetime(twilio.generic.items[sid].data["date_updated"])


def account(order: str, **switches: Any) -> Twilio:
    return Twilio(start="2025-01-01", order=order, **switches).at("2026-01-01T09:00:00Z")


@pytest.mark.parametrize("full_table", [False, True])
@pytest.mark.parametrize("order", ["updated_ascending", "updated", "sid"])
def test_a_number_that_is_edited_while_it_is_the_one_that_the_token_names(
    tap_of: TapOf, order: str, full_table: bool
) -> None:
    """The next page follows its new position, at the end or at the top; no number is missing, and none is dropped."""
    twilio = account(order)
    twilio.add(NUMBERS, n=60, since="2025-03-01", until="2025-12-30")
    tap = tap_of(twilio, page_size=10).select(NUMBERS, full_table=[NUMBERS] if full_table else ())
    for _ in range(2):
        twilio.advance(hours=3, busy=0)
        by_change = sorted(listed(twilio, NUMBERS), key=lambda sid: changed(twilio, sid))
        ninth = {"updated_ascending": by_change[9], "updated": by_change[-10], "sid": sorted(by_change)[9]}[order]
        edit = between(twilio, r"/IncomingPhoneNumbers.*&Page=1\b", lambda: twilio.change(ninth))  # noqa: B023
        tap.sync()

        assert edit.done
        assert set(tap.tables.rows[NUMBERS]) == set(listed(twilio, NUMBERS))


@pytest.mark.parametrize("full_table", [False, True])
def test_a_number_that_is_edited_before_it_is_read_is_in_the_first_sync(tap_of: TapOf, full_table: bool) -> None:
    """The newest changes come first, so the number moves to a page that was read already."""
    twilio = account("updated")
    for row, sid in enumerate(twilio.add(NUMBERS, n=60, since="2025-03-01", until="2025-12-30")):
        twilio.generic.items[sid].data["friendly_name"] = f"number {row * 7 % 60}"  # in no order of names
    tap = tap_of(twilio, page_size=10).select(NUMBERS, full_table=[NUMBERS] if full_table else ())
    late = min(listed(twilio, NUMBERS), key=lambda sid: changed(twilio, sid))
    edit = between(twilio, r"/IncomingPhoneNumbers.*&Page=2\b", lambda: twilio.change(late))
    tap.sync()

    assert edit.done
    assert set(tap.tables.rows[NUMBERS]) == set(listed(twilio, NUMBERS))
    if not full_table:
        pages = [request for request in tap.requests if request.path.endswith("IncomingPhoneNumbers.json")]
        assert len(pages) == 6 + 2 + 2  # two second looks of two pages each


def test_numbers_bought_after_a_start_date_come_after_older_ones_that_were_edited_in_bulk(tap_of: TapOf) -> None:
    """The first pages look sorted by creation and hold old rows only; the tap still reads the list to its end."""
    twilio = account("updated_ascending")
    old = twilio.add(NUMBERS, n=120, since="2025-01-01", until="2025-06-01")
    new = twilio.add(NUMBERS, n=5, since="2025-12-20", until="2025-12-30")
    for minute, sid in enumerate(reversed(old)):
        twilio.at(f"2025-12-01T{minute // 60:02}:{minute % 60:02}:00Z").change(sid)
    twilio.at("2026-01-01T09:00:00Z")
    for sid in new:
        twilio.change(sid)
    tap = tap_of(twilio, page_size=10, start_date="2025-12-10").select(NUMBERS)
    tap.sync()

    assert set(tap.tables.rows[NUMBERS]) == set(new)


@pytest.mark.parametrize(
    ("stream", "parent", "full_table"),
    [
        ("authorized_connect_apps", None, False),
        ("authorized_connect_apps", None, True),
        ("messaging_service_phone_numbers", "messaging_services", False),
    ],
)
def test_a_deleted_row_hides_no_other_row_where_tokens_count_rows(
    tap_of: TapOf, stream: str, parent: str | None, full_table: bool
) -> None:
    """The first row of the next page arrives, in a list of the account and in a child list."""
    twilio = account("created", tokens="offset")
    parent_row = twilio.add(parent)[0] if parent else None
    rows = twilio.add(stream, parent=parent_row, n=30, since="2025-03-01", until="2025-12-30")
    selected = [stream, *([parent] if parent else [])]
    tap = tap_of(twilio, page_size=10).select(*selected, full_table=selected if full_table else ())
    tap.settings["base_url"] += "/{product}"
    gone = (rows[3], rows[-4])  # in either order, one of them is on the first page
    deletion = between(twilio, r"&Page=1\b", lambda: [*map(twilio.delete, gone)])
    run = tap.run()

    assert run.exit_code == 0, run.log
    assert deletion.done
    key = "connect_app_sid" if parent is None else "sid"
    left = {row[key] for row in twilio.present(stream)}
    assert len(left) == 28
    assert left <= {record[key] for record in run.records(stream)}


@pytest.mark.parametrize("order", ["created", "first", "last"])
def test_a_lookback_ends_although_every_page_holds_a_row_that_was_never_sent(tap_of: TapOf, order: str) -> None:
    """Of 40 pages, the lookback reads those of 15 days, and no page for undated rows."""
    twilio = account(order)
    year = {"since": twilio.now - 360 * DAY, "until": twilio.now - 2 * DAY}
    twilio.messages(1960, **year)
    twilio.messages(40, status="canceled", **year)
    tap = tap_of(twilio, page_size=50, rescan_pages=1).select("messages")
    tap.sync()
    for _ in range(2):
        twilio.advance(hours=3, busy=0)
        tap.sync()
        assert len(tap.pages("messages")) <= 15  # with the pages that a rescan reads until it can stop


@pytest.mark.parametrize(("path", "exits"), [("/Accounts.json", 1), ("/Messages.json", 3)])
def test_the_refusal_of_a_second_page_is_logged(
    tap_of: TapOf, monkeypatch: pytest.MonkeyPatch, path: str, exits: int
) -> None:
    """The log has Twilio's answer, for a list that is read once and for a list that is read again."""
    original = sandbox.server.answer
    refusal = Answer(400, json.dumps({"code": 70002, "message": "No such page", "status": 400}).encode())

    def answer(twilio: Twilio, question: Question, fault: str = "") -> Answer:
        if not question.path.endswith(path):
            return original(twilio, question, fault)
        if "PageToken" in question.query:
            return refusal
        first = original(twilio, question, fault)
        following = f"{question.path}?PageSize=50&Page=1&PageToken=PA1"
        return replace(first, body=json.dumps({**json.loads(first.body), "next_page_uri": following}).encode())

    monkeypatch.setattr(sandbox.server, "answer", answer)
    twilio = account("created")
    twilio.messages(30, since="2025-03-01", until="2025-12-30")
    run = tap_of(twilio).select("messages").run()

    assert run.exit_code == exits, run.log
    assert "HTTP 400, code 70002: No such page" in run.log


def test_a_first_sync_of_a_long_list_brings_the_newest_days_first(tap_of: TapOf) -> None:
    """And says so. After a kill that follows, the next sync brings the older rows; until then there is no bookmark."""
    twilio = Twilio(start="2025-03-01T00:00:00Z").at("2026-04-01T09:00:00Z")
    twilio.bulk("messages", 3000, twilio.now - 365 * DAY, twilio.now)
    tap = tap_of(twilio, page_size=20, state_seconds=0).select("messages")
    line = f"messages {twilio.main}: the rows since 2026-03-31 are written, older ones follow"

    run = tap.run()
    dates = [record["date_sent"] for record in run.records("messages") if record["date_sent"]]
    newest = [date for date in dates if date >= "2026-03-31"]
    assert line in run.said
    assert len(newest) > 5 and sorted(dates[: len(newest)]) == sorted(newest)

    tap.state = next(state for state in run.states if _has_newest_days(state))
    assert not tap.state["bookmarks"]["messages"]["date_updated"]
    later = tap.run()
    assert line not in later.said
    read_first = {row["sid"] for row in run.records("messages") if (row["date_sent"] or "") >= "2026-03-31"}
    assert read_first.isdisjoint(later.sids("messages"))
    assert {*later.sids("messages")} | read_first == {row["sid"] for row in twilio.present("messages")}


def _has_newest_days(state: Any) -> bool:
    """Return whether the state's backfill has read the newest days, and has older time slices left."""
    ((_, partition),) = state["bookmarks"]["messages"]["partitions"]
    time_slices = partition["backfill"]["time_slices"] or ()
    return bool(time_slices) and all(time_slice["until"] < "2026-03-31T00:00:01" for time_slice in time_slices)
