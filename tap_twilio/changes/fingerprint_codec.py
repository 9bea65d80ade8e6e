"""Convert fingerprints to text for the state, and back (fingerprints.py). Their order stays: the oldest come first."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping

Sums = tuple[int, int, int, int, int]  # five power sums over the rows of a chunk (power_sums.py)
Hashes = frozenset[int]  # one for each row of a subchunk
Fingerprint = Sums | Hashes

KEY, COUNT, NUMBER = 8, 2, 6  # bytes
MAX_HASHES = 2 ** (8 * COUNT) - 2  # of one fingerprint
_SUMS = MAX_HASHES + 1  # in place of a count: sums follow
_WIDTH = 5


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
        count = _SUMS if isinstance(fingerprint, tuple) else len(fingerprint)
        parts += [key.to_bytes(KEY, "big"), count.to_bytes(COUNT, "big")]
        parts += [number.to_bytes(NUMBER, "big") for number in fingerprint]
    return b64encode(b"".join(parts)).decode() or None


def unpack(text: str) -> dict[int, Fingerprint]:
    """Return the fingerprints that were packed. Raises ValueError for a text that `pack` did not make."""
    data, at = b64decode(text, validate=True), 0
    fingerprints: dict[int, Fingerprint] = {}
    while at < len(data):
        key, count = (int.from_bytes(data[at : at + KEY], "big"), data[at + KEY : at + KEY + COUNT])
        at += KEY + COUNT
        summed = int.from_bytes(count, "big") == _SUMS
        end = at + NUMBER * (_WIDTH if summed else int.from_bytes(count, "big"))
        if end > len(data):
            raise ValueError("cut short")
        numbers = [int.from_bytes(data[start : start + NUMBER], "big") for start in range(at, end, NUMBER)]
        fingerprints[key] = (
            (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]) if summed else frozenset(numbers)
        )
        at = end
    return fingerprints
