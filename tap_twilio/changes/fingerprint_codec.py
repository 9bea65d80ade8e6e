"""Digests as the state holds them: bytes as text, in the order in which they were made."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping

Sums = tuple[int, int, int, int, int]  # five power sums over the rows of a chunk (changes/chunks.py)
Hashes = frozenset[int]  # what each row of a part holds, one by one
Fingerprint = Sums | Hashes

KEY, COUNT, NUMBER = 8, 2, 6  # bytes
MOST = 2 ** (8 * COUNT) - 2  # the most hashes of one digest
_SUMS = MOST + 1  # the count that says that sums follow
_WIDTH = 5


def size_of(fingerprint: Fingerprint) -> int:
    """How many bytes it takes, as text."""
    return (KEY + COUNT + NUMBER * len(fingerprint)) * 4 // 3


def pack(fingerprints: Mapping[int, Fingerprint]) -> str | None:
    """
    Digests by their keys as text; None where there are none.

    >>> pack({7: frozenset([1])}), unpack("AAAAAAAAAAcAAQAAAAAAAQ==")
    ('AAAAAAAAAAcAAQAAAAAAAQ==', {7: frozenset({1})})
    """
    parts = []
    for key, fingerprint in fingerprints.items():
        count = _SUMS if isinstance(fingerprint, tuple) else len(fingerprint)
        parts += [key.to_bytes(KEY, "big"), count.to_bytes(COUNT, "big")]
        parts += [number.to_bytes(NUMBER, "big") for number in fingerprint]
    return b64encode(b"".join(parts)).decode() or None


def unpack(text: str) -> dict[int, Fingerprint]:
    """The same digests again. Raises ValueError for a text that `pack` did not make."""
    data, at = b64decode(text, validate=True), 0
    found: dict[int, Fingerprint] = {}
    while at < len(data):
        key, count = (int.from_bytes(data[at : at + KEY], "big"), data[at + KEY : at + KEY + COUNT])
        at += KEY + COUNT
        summed = int.from_bytes(count, "big") == _SUMS
        end = at + NUMBER * (_WIDTH if summed else int.from_bytes(count, "big"))
        if end > len(data):
            raise ValueError("cut short")
        numbers = [int.from_bytes(data[one : one + NUMBER], "big") for one in range(at, end, NUMBER)]
        found[key] = (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]) if summed else frozenset(numbers)
        at = end
    return found
