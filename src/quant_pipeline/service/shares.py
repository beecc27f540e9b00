"""Places that holders of tokens share: none of them takes what the others are entitled to."""

from __future__ import annotations

from collections import Counter

import anyio


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


class Turns:
    """A number of places for which askers wait, of which no holder takes more than its share.

    Parameters
    ----------
    places
        How many there are.
    holders
        How many holders share them.
    """

    def __init__(self, places: int, holders: int = 0) -> None:
        self.share = Shares(places).share(holders)
        self._all = anyio.CapacityLimiter(places)
        self._own: dict[str, anyio.CapacityLimiter] = {}

    @property
    def places(self) -> int:
        """How many places there are."""
        return int(self._all.total_tokens)

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._all.borrowed_tokens

    async def take(self, holder: str, asker: object) -> None:
        """Wait for a place for an asker of a holder: first among its own, then among all."""
        own = self._own.setdefault(holder, anyio.CapacityLimiter(self.share))
        await own.acquire_on_behalf_of(asker)
        has_place = False
        try:
            await self._all.acquire_on_behalf_of(asker)
            has_place = True
        finally:
            if not has_place:
                own.release_on_behalf_of(asker)

    def give_back(self, holder: str, asker: object) -> None:
        """Give a place back that was taken."""
        self._all.release_on_behalf_of(asker)
        self._own[holder].release_on_behalf_of(asker)
