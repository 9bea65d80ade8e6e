"""States that version 0.1 wrote: an object for each account, absent keys for none, and names of its own."""

from __future__ import annotations

from collections.abc import Iterator

from tap_twilio.streams import Stream, children
from tap_twilio.streams.model import Recent

from .typed import Json, object_at


def partitions(stream: Stream, part: Json, where: str) -> Iterator[tuple[str, str, Json]]:
    """Of each account: its SID, its place in the state, and its partition with the names of today."""
    for account, value in object_at(part["accounts"], f"{where}.accounts").items():
        at = f"{where}.accounts.{account}"
        yield account, at, _partition(stream, object_at(value, at), at)


def _partition(stream: Stream, old: Json, where: str) -> Json:
    new = {**old, "finished": old.get("date_updated"), "asked": _asked(old, where)}
    for key in ("backfill", "round", "full"):
        if old.get(key) is not None:
            opened = object_at(old[key], f"{where}.{key}")
            needed = {"at": opened.get("list"), "tables": _served(stream, opened)}
            new[key] = {"pages": None, **_renamed(opened, f"{where}.{key}"), **needed}
    if old.get("date_updated") is not None:
        new.setdefault("looked_back", old["date_updated"])
    return new


def _served(stream: Stream, opened: Json) -> list[str]:
    """A child that was asked row by row had a part in a backfill only where that was marked as followed."""
    asked = [child.name for child in children(stream) if child.parent and isinstance(child.parent.asks, Recent)]
    return [stream.name, *(asked if opened.get("followed") else ())]


def _asked(old: Json, where: str) -> Json | None:
    """How far a child got that was asked row by row: it kept its own reading of the parent's list, if it was alone."""
    if not {"window", "unasked", "calls"} & set(old):
        return None
    window = object_at(old.get("window") or {}, f"{where}.window")
    alone = object_at(old.get("calls") or {}, f"{where}.calls")
    return {
        "began": window.get("began"),
        "cursor": window.get("cursor"),
        "unasked": bool(old.get("unasked")),
        "late": alone.get("date_updated"),
    }


def _renamed(old: Json, where: str) -> Json:
    """What is open, with the names of today."""
    new = dict(old)
    for before, name in (("list", "at"), ("from", "since"), ("to", "until")):
        if before in new:
            new[name] = new.pop(before)
    if new.get("place") is not None:
        place = object_at(new["place"], f"{where}.place")
        rows = object_at(place.get("rows"), f"{where}.place.rows")
        new["place"] = {**place, "rows": [[key, date] for key, date in rows.items()]}
    if isinstance(new.get("slices"), list):
        slices = [(one, f"{where}.slices[{number}]") for number, one in enumerate(new["slices"])]
        new["slices"] = [_renamed(object_at(one, at), at) for one, at in slices]
    return new
