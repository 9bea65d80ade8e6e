"""Hash what tells rows apart, their keys, and what tells whether a row changed, its record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xxhash import xxh3_64_intdigest

from tap_twilio.changes.power_sums import PRIME
from tap_twilio.singer.records import compared

SID_LENGTH = 34  # two letters and 32 hexadecimal digits


def hash_bytes(data: bytes) -> int:
    """Return 64 bits."""
    return xxh3_64_intdigest(data)


def hash_keys(ids: Sequence[str]) -> list[int]:
    """Return 64 bits for each key. The digits of a SID are random already."""
    try:
        return [int(key[-16:], 16) if len(key) == SID_LENGTH else hash_bytes(key.encode()) for key in ids]
    except ValueError:
        return [hash_bytes(key.encode()) for key in ids] if len(ids) == 1 else [hash_keys([key])[0] for key in ids]


def hash_contents(records: Iterable[bytes]) -> list[int]:
    """Return a number from 1 to PRIME - 1 for each record, without its volatile properties."""
    return [1 + xxh3_64_intdigest(compared(record)) % (PRIME - 1) for record in records]


def last_chunk_key(unsliceable: int, list_name: str) -> int:
    """Return the key of a list's last chunk, which no row ends."""
    return hash_bytes(f"{unsliceable} {list_name}".encode())
