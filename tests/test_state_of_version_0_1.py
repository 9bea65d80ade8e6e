"""
States of version 0.1: a sync goes on from what that version left open, and arrives at the same warehouse.

The states are those of interrupted runs of today, written down as version 0.1 wrote them: absent keys for none, an
object for each account, and `call_feedback` with a reading of the calls of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Twilio
from tests.sampled import long
from tests.taps import LISTED, Json, Tap, kept

MakeTap = Callable[..., Tap]
NEW = ("finished", "asked", "empty")
OPENED = ("backfill", "round", "full")
CUTS = pytest.mark.parametrize("cut", [0.5, *long(0, 1)])  # at the first state that has something open, or the last


def as_version_0_1(state: Json) -> Json:
    """The same state, as version 0.1 would have written it."""
    bookmarks: Json = {}
    for stream, part in state["bookmarks"].items():
        about = {name: value for name, value in part.items() if name != "partitions" and value is not None}
        accounts = {account: _partition(one) for account, one in kept(state, stream).items()}
        bookmarks[stream] = {**about, "accounts": accounts}
    for account, one in kept(state, "call_feedback").items() if "call_feedback" in bookmarks else ():
        part = bookmarks["call_feedback"]["accounts"][account]
        asked = one.get("asked") or {}
        if asked.get("began"):
            part["window"] = {"began": asked["began"], "cursor": asked["cursor"]}
        if asked.get("unasked"):
            part["unasked"] = True
        calls = kept(state, "calls")[account]
        if "start_date" not in calls:  # it is not selected
            alone = _partition(calls)
            if "finished" in calls:
                alone |= {"date_updated": calls["finished"], "looked_back": calls["finished"]}
            part["calls"] = alone
    if not any("selection" in part for part in bookmarks.get("calls", {}).get("accounts", {}).values()):
        bookmarks.pop("calls", None)
    return {"bookmarks": bookmarks}


def _partition(part: Json) -> Json:
    old = {name: value for name, value in part.items() if name not in NEW}
    for name in OPENED:
        if name in old:
            followed = {"calls", "call_feedback"} <= set(old[name]["tables"]) or "calls" not in old[name]["tables"]
            old[name] = _opened(old[name])
            if name == "backfill" and followed:
                old[name]["followed"] = True
    return old


def _opened(opened: Json) -> Json:
    names = {"at": "list", "since": "from", "until": "to"}
    old = {names.get(name, name): value for name, value in opened.items() if value is not None and name != "tables"}
    if "place" in old:
        old["place"] = {**old["place"], "rows": dict(old["place"]["rows"])}
    if "slices" in old:
        old["slices"] = [_opened(one) for one in old["slices"]]
    if old.get("done") is False:
        del old["done"]
    return old


def holds(state: Json, stream: str, *place: str) -> bool:
    """Whether a state has something open at such a place, in any account."""
    for part in kept(state, stream).values():
        value: Any = part
        for name in place:
            value = value.get(name) if isinstance(value, dict) else None
        if value:
            return True
    return False


def goes_on(tap: Tap, cut: float, streams: tuple[str, ...], stream: str, *place: str, **settings: Any) -> None:
    """Cut a run's output within what is open; go on from there as a state of version 0.1."""
    run = tap.run(**settings)
    ends = [number + 1 for number, line in enumerate(run.lines) if line.startswith(b'{"type":"STATE"')]
    states = [(end, state) for end, state in zip(ends, run.states) if stream in state["bookmarks"]]
    found = [end for end, state in states if holds(state, stream, *place)]
    assert found, f"no state of {stream} with {place}"
    tap.keep(run.lines[: found[int(cut * (len(found) - 1))]])
    tap.state = as_version_0_1(tap.state)
    for _ in range(3):
        tap.sync()
    assert tap.wrong(streams) == {}
    assert "accounts" not in tap.state["bookmarks"][stream]


def a_life() -> Twilio:
    twilio = Twilio(seed=11, accounts=2, start="2025-11-01")
    for account in twilio.truth("accounts"):
        twilio.addresses(23, account["sid"], since="2025-11-01", until="2025-12-01")
    return twilio.advance(30 * 24)


@CUTS
@pytest.mark.parametrize(
    ("streams", "place"),
    [
        (("messages",), ("backfill", "slices")),
        (("addresses",), ("backfill", "place")),
        (("conferences",), ("full", "place")),
        (("calls", "call_feedback"), ("backfill", "place")),
    ],
    ids=lambda value: "-".join(value),
)
def test_an_open_backfill_of_version_0_1_goes_on(
    tap_of: MakeTap, streams: tuple[str, ...], place: tuple[str, ...], cut: float
) -> None:
    """With slices, with a place, of one version of a table, and with the calls' feedback beside it."""
    full = streams if "full" in place else ()
    tap = tap_of(a_life(), page_size=5, state_seconds=0, call_feedback_source="feedback")
    goes_on(tap.select(*streams, full_table=full), cut, streams, streams[0], *place)


@CUTS
@pytest.mark.parametrize("stream", LISTED)
def test_an_open_round_of_version_0_1_goes_on(tap_of: MakeTap, stream: str, cut: float) -> None:
    """With its place, and what it owes."""
    twilio = a_life()
    tap = tap_of(twilio, page_size=5, state_seconds=0, sweep_pages=4, lookback_days=1).select(stream)
    tap.sync()
    twilio.advance(30)
    for row in twilio.present(stream)[::7]:
        twilio.change(row["sid"], **{"friendly_name": "x"} if "friendly_name" in row else {})
    tap.settings.pop("sweep_pages")
    goes_on(tap, cut, (stream,), stream, "round", "place", sweep_pages=4)


def rated() -> Twilio:
    """Calls of half a year and a few of the last days, all of them rated."""
    twilio = Twilio(seed=12, start="2025-05-01").at("2026-01-01")
    calls = twilio.calls(120, since="2025-05-01", until="2025-11-20")
    calls += twilio.calls(30, since="2025-12-10", until="2025-12-30")
    for call in calls:
        twilio.feedback(call, 3)
    return twilio


def window(twilio: Twilio) -> list[str]:
    """The calls of the last days."""
    return [row["sid"] for row in twilio.present("calls") if " Dec 2025 " in row["start_time"]]


@CUTS
@pytest.mark.parametrize("place", [("backfill", "place"), ("round", "place")], ids="-".join)
def test_call_feedback_of_version_0_1_goes_on_alone(tap_of: MakeTap, place: tuple[str, ...], cut: float) -> None:
    """It kept its own reading of the calls, and how far it got through the window that is open."""
    twilio = rated()
    tap = tap_of(twilio, page_size=5, state_seconds=0, lookback_days=1, call_feedback_source="feedback")
    tap.select("call_feedback")
    if place[0] == "round":
        tap.sync()
        twilio.at("2026-01-03")
        for call in window(twilio)[::2]:
            twilio.feedback(call, 5)
    goes_on(tap, cut, ("call_feedback",), "calls", *place, sweep_pages=2, feedback_requests=10)


def test_call_feedback_of_version_0_1_still_owes_a_window_that_it_never_asked_whole(tap_of: MakeTap) -> None:
    """Without its backfill it emits every rating of the window once, however old the rating is."""
    twilio = rated()
    tap = tap_of(twilio, call_feedback_source="feedback", feedback_backfill=False).select("call_feedback")
    tap.sync(feedback_requests=10)
    assert len(tap.tables.rows["call_feedback"]) == 10
    assert len(window(twilio)) == 30
    tap.state = as_version_0_1(tap.state)
    (part,) = tap.state["bookmarks"]["call_feedback"]["accounts"].values()
    assert part["unasked"] and part["window"]["cursor"]
    twilio.at("2026-01-02")
    tap.sync()
    assert tap.tables.rows["call_feedback"].keys() >= set(window(twilio))
