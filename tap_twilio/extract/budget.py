"""What a sync may ask for: pages of older history and whose turn it is, and lists below rows of traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Key = tuple[str, str]


@dataclass
class Budget:
    """
    The pages that one sync may read for rounds, over all partitions.

    Each partition has an even share, at least one page as far as there are any: `order` is the order, the least
    recently swept first. What one leaves over, when it ends, goes to whoever asks.
    """

    left: int
    order: Sequence[Key] = ()
    _claims: dict[Key, int] = field(default_factory=dict)  # pages that are kept for those that have not ended

    def __post_init__(self) -> None:
        share, rest = divmod(self.left, max(1, len(self.order)))
        self._claims = {key: share + (number < rest) for number, key in enumerate(self.order)}

    def take(self, key: Key) -> bool:
        """Whether there is a page for this partition now."""
        claim = self._claims.get(key, 0)
        if claim <= 0 and self.left <= sum(self._claims.values()):
            return False
        self._claims[key] = max(0, claim - 1)
        self.left -= 1
        return self.left >= 0

    def may_come(self, key: Key) -> bool:
        """Whether others may leave a page over."""
        return any(claim for other, claim in self._claims.items() if other != key)

    def end(self, key: Key) -> None:
        """This partition needs no more: its share goes to the others."""
        self._claims.pop(key, None)


@dataclass
class ChildRequests:
    """How many more rows of traffic one sync may ask, in one account, for what is below them."""

    left: int
    exhausted: bool = False  # whether a row was not asked

    def take(self) -> bool:
        self.left -= 1
        self.exhausted = self.exhausted or self.left < 0
        return self.left >= 0
