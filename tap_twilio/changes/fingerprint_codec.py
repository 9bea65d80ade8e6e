"""
Convert fingerprints to text for the state, and back. Their order stays: the oldest come first (fingerprints.py).

A fingerprint takes its key, a count of numbers, and these numbers, all big-endian; the whole is base64.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping

Sums = tuple[int, int, int, int, int]  # five power sums over the rows of a chunk (power_sums.py)
Hashes = frozenset[int]  # one for each row of a subchunk
Fingerprint = Sums | Hashes

KEY, COUNT, NUMBER = 8, 2, 6  # bytes
_SUMS_FOLLOW = 2 ** (8 * COUNT) - 1  # in place of a count
MAX_HASHES = _SUMS_FOLLOW - 1  # of one fingerprint
_SUMS = 5  # of one fingerprint


def size_in_state(fingerprint: Fingerprint) -> int:
    """Return how many bytes of text a fingerprint takes."""
    return (KEY + COUNT + NUMBER * len(fingerprint)) * 4 // 3


def pack(fingerprints: Mapping[int, Fingerprint]) -> str | None:
    """
    Return fingerprints by their keys as text; None where there are none.

    >>> pack({7: frozenset([1])}), unpack("AAAAAAAAAAcAAQAAAAAAAQ==")
    ('AAAAAAAAAAcAAQAAAAAAAQ==', {7: frozenset({1})})
    """
    parts = []
    for key, fingerprint in fingerprints.items():
        count = _SUMS_FOLLOW if isinstance(fingerprint, tuple) else len(fingerprint)
        parts += [key.to_bytes(KEY, "big"), count.to_bytes(COUNT, "big")]
        parts += [number.to_bytes(NUMBER, "big") for number in fingerprint]
    return b64encode(b"".join(parts)).decode() or None


def unpack(text: str) -> dict[int, Fingerprint]:
    """Return the fingerprints that were packed. Raises ValueError for a text that `pack` did not make."""
    data, at = b64decode(text, validate=True), 0
    fingerprints: dict[int, Fingerprint] = {}
    while at < len(data):
        key = int.from_bytes(data[at : at + KEY], "big")
        count = int.from_bytes(data[at + KEY : at + KEY + COUNT], "big")
        at += KEY + COUNT
        has_sums = count == _SUMS_FOLLOW
        end = at + NUMBER * (_SUMS if has_sums else count)
        if end > len(data):
            raise ValueError("cut short")
        numbers = [int.from_bytes(data[start : start + NUMBER], "big") for start in range(at, end, NUMBER)]
        fingerprints[key] = (
            (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]) if has_sums else frozenset(numbers)
        )
        at = end
    return fingerprints
