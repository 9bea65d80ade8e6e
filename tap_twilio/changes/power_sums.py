"""
Tell from five numbers whether rows of a chunk changed, and which: power sums.

S_k = Σ h·x^k modulo a prime, k from 0 to 4, where h is the hash of a row's content and x that of its key:

1. Equal sums: nothing changed. Else the difference of new and old sums is Σ e·x^k over the changed rows alone.
2. n terms of that form obey a linear recurrence of length n, whose characteristic polynomial has their x as roots.
3. The shortest recurrence (Berlekamp and Massey) of 2·n numbers is that one. So four sums identify up to two rows.
4. The fifth sum checks it: three changes never agree with it, and more do by chance once in 2^48 chunks.
5. Where it does not agree, the rows are compared by subchunks, or one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from xxhash import xxh3_64_intdigest

from tap_twilio.changes.fingerprint_codec import Sums
from tap_twilio.singer.records import compared

PRIME = 2**48 - 59
ZERO: Sums = (0, 0, 0, 0, 0)
DECODABLE = 2  # how many changed rows the sums can identify
SID = 34  # the length of a SID: two letters and 32 digits


def hashed(data: bytes) -> int:
    """Return 64 bits."""
    return xxh3_64_intdigest(data)


def hash_keys(ids: Sequence[str]) -> list[int]:
    """Return 64 bits for each row's key. The digits of a SID are random already."""
    try:
        return [int(key[-16:], 16) if len(key) == SID else hashed(key.encode()) for key in ids]
    except ValueError:
        return [hashed(key.encode()) for key in ids] if len(ids) == 1 else [hash_keys([key])[0] for key in ids]


def hash_contents(records: Iterable[bytes]) -> list[int]:
    """Return a hash of the content of each row, never 0."""
    return [1 + xxh3_64_intdigest(compared(record)) % (PRIME - 1) for record in records]


def last_chunk_key(unsliceable: int, name: str) -> int:
    """Return the key of a list's last chunk."""
    return hashed(f"{unsliceable} {name}".encode())


def power_sums(rows: Sequence[Sequence[Any]]) -> Sums:
    """Return the sums of rows as (key, content, …)."""
    xs, a = [1 + row[0] % (PRIME - 1) for row in rows], [row[1] for row in rows]
    b = [h * x % PRIME for h, x in zip(a, xs)]
    c = [h * x % PRIME for h, x in zip(b, xs)]
    d = [h * x % PRIME for h, x in zip(c, xs)]
    e = [h * x for h, x in zip(d, xs)]
    return (sum(a) % PRIME, sum(b) % PRIME, sum(c) % PRIME, sum(d) % PRIME, sum(e) % PRIME)


def plus(one: Sums, other: Sums) -> Sums:
    return tuple((x + y) % PRIME for x, y in zip(one, other))  # type: ignore[return-value]


def minus(one: Sums, other: Sums) -> Sums:
    return tuple((x - y) % PRIME for x, y in zip(one, other))  # type: ignore[return-value]


def recurrence(sums: Sums) -> list[int] | None:
    """
    Return the polynomial whose roots are the x of the rows that make these sums; None if there are too many rows.

    >>> rows = [(5, 70), (8, 90)]
    >>> polynomial = recurrence(power_sums(rows))
    >>> [is_root(polynomial, key) for key in (5, 6, 8)]
    [True, False, True]
    """
    now, before = [1], [1]
    length, gap, last = 0, 1, 1
    for n in range(len(sums)):
        error = sum(now[i] * sums[n - i] for i in range(min(len(now), n + 1))) % PRIME
        if error:
            factor = error * pow(last, -1, PRIME)
            shifted = [0] * gap + before
            width = max(len(now), len(shifted))
            padded = now + [0] * (width - len(now))
            shifted += [0] * (width - len(shifted))
            longer = [(x - factor * y) % PRIME for x, y in zip(padded, shifted)]
            if 2 * length <= n:
                length, before, last, gap = n + 1 - length, now, error, 0
            now = longer
        gap += 1
    if length > DECODABLE:
        return None
    return now + [0] * (length + 1 - len(now)) if len(now) <= length + 1 else None


def is_root(polynomial: list[int], key: int) -> bool:
    x, value = 1 + key % (PRIME - 1), 0
    for coefficient in polynomial:
        value = (value * x + coefficient) % PRIME
    return value == 0
