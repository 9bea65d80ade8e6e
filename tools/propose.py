"""Stub."""

from __future__ import annotations

from .documents import Json


def propose(fact: Json, lists: list[Json]) -> str:
    return ""
