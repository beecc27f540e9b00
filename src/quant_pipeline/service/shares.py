"""Places that holders of tokens share: none of them takes what the others are entitled to."""

from __future__ import annotations

from collections import Counter


class Shares:
    """A number of places, of which each holder may have the same share.

    It belongs to one event loop, and is asked from there alone.

    Parameters
    ----------
    places
        How many there are.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._taken: Counter[str] = Counter()

    def share(self, holders: int) -> int:
        """Return how many places each of a number of holders may have; at least one."""
        return max(1, self.places // max(1, holders))

    def take(self, holder: str, holders: int) -> bool:
        """Take a place for a holder, one of ``holders``; return whether there was one for it."""
        if self._taken.total() >= self.places or self._taken[holder] >= self.share(holders):
            return False
        self._taken[holder] += 1
        return True

    def give_back(self, holder: str) -> None:
        """Give a place back that was taken."""
        self._taken[holder] -= 1
        self._taken += Counter()
