"""
Find which one or two rows of a chunk changed, from five numbers that are stored for the chunk.

A hash for each row would need too much room in the state: a list can have millions of rows. One sum of the hashes of a
thousand rows needs little, but only shows that something changed, so a thousand rows would be written again. Five sums
need little, and also show which row changed. An example, in which x is the hash of a row's key, and h the hash of its
record:

    row             x   h before   h now
    A               2      10        10
    B               3      20        27    it changed
    C               5      30        30
    D               7      40        40
                        before       now   difference
    sum of h              100        107      7
    sum of h * x          510        531     21
    sum of h * x * x     2930       2993     63

The rows that did not change cancel out. Each difference is the one before it times 3, so the row with x = 3 changed.

Call the five differences d0 to d4. If two rows changed, each of them follows from the two before it, such as
d2 = a * d1 + b * d0. Four differences give a and b, and both x solve x * x = a * x + b. The fifth difference is a
check. Changes of three rows never pass it; changes of more rows pass it once in 2^48 chunks. If the check fails,
comparison.py compares the subchunks, and then row by row.

All sums are modulo a prime, so that they can be divided exactly. (Literature calls the five differences the syndromes
of a Reed-Solomon code, and the polynomial with both x as its roots the error locator.)

comparison.py calls `locate` and `is_located`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tap_twilio.changes.fingerprint_codec import Sums

PRIME = 2**48 - 59
ZERO: Sums = (0, 0, 0, 0, 0)
MAX_IDENTIFIED = 2  # changed rows that five sums identify

Locator = tuple[int, int]  # a and b, where x * x = a * x + b for each changed row


def power_sums(rows: Sequence[Sequence[Any]]) -> Sums:
    """Return the sums of h, h * x, …, h * x^4 over rows, which begin with the hashes of their key and their record."""
    xs, h = [1 + row[0] % (PRIME - 1) for row in rows], [row[1] for row in rows]
    hx = [term * x % PRIME for term, x in zip(h, xs)]
    hx2 = [term * x % PRIME for term, x in zip(hx, xs)]
    hx3 = [term * x % PRIME for term, x in zip(hx2, xs)]
    hx4 = [term * x for term, x in zip(hx3, xs)]
    return (sum(h) % PRIME, sum(hx) % PRIME, sum(hx2) % PRIME, sum(hx3) % PRIME, sum(hx4) % PRIME)


def plus(first: Sums, second: Sums) -> Sums:
    """Return the sums of two groups of rows together."""
    return tuple((x + y) % PRIME for x, y in zip(first, second))  # type: ignore[return-value]


def minus(new: Sums, old: Sums) -> Sums:
    """Return the difference of sums. Rows that are in both cancel out."""
    return tuple((x - y) % PRIME for x, y in zip(new, old))  # type: ignore[return-value]


def locate(difference: Sums) -> Locator | None:
    """
    Return a test for the keys of the rows that make up a difference of sums, to be passed to `is_located`.

    Returns None if more than two rows make up the difference.

    >>> locator = locate(minus(power_sums([(5, 70), (6, 80), (8, 90)]), power_sums([(5, 71), (6, 80), (8, 92)])))
    >>> [is_located(locator, key) for key in (5, 6, 8)]
    [True, False, True]
    """
    d0, d1, d2, d3, d4 = difference
    determinant = d1 * d1 - d0 * d2
    if determinant % PRIME:
        inverse = pow(determinant, -1, PRIME)
        a, b = (d1 * d2 - d0 * d3) * inverse % PRIME, (d1 * d3 - d2 * d2) * inverse % PRIME
    else:  # one row changed, or none: each difference is the one before it times a
        a, b = d1 * pow(d0, -1, PRIME) % PRIME if d0 else 0, 0
    fits = all((a * y + b * x - z) % PRIME == 0 for x, y, z in ((d0, d1, d2), (d1, d2, d3), (d2, d3, d4)))
    return (a, b) if fits else None


def is_located(locator: Locator, key: int) -> bool:
    """Return whether the row with this key is one of those that were located."""
    (a, b), x = locator, 1 + key % (PRIME - 1)
    return (x * x - a * x - b) % PRIME == 0
