"""How the window of a length is put together from shorter blocks.

The pieces of a window depend on its length alone, not on what else is computed: a factor has the same bits in every
set.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

_USUAL = frozenset((5, 10, 20, 30, 60, 120, 250))
_SEARCHED = 260
"""Longest window for which the shortest chain is searched; longer ones are halved."""


@cache
def pieces(length: int) -> tuple[int, int]:
    """Lengths of the newest and the older block that make up a window of at least two bars."""
    if length > _SEARCHED:
        return (length // 2, length // 2) if length % 2 == 0 else (length - 1, 1)
    candidates = [(a, length - a) for a in range((length + 1) // 2, length) if length - a in lengths_of(a)]
    return min(candidates, key=lambda pair: _cost(pair[0], length))


def _cost(newest: int, length: int) -> tuple[int, int, int]:
    blocks = lengths_of(newest) | {length}
    return len(blocks), -len(blocks & _USUAL), -newest


@cache
def lengths_of(length: int) -> frozenset[int]:
    """Lengths of all blocks of which a window is made, itself included."""
    if length == 1:
        return frozenset((1,))
    newest, older = pieces(length)
    return lengths_of(newest) | lengths_of(older) | {length}


def addition_chain(windows: Iterable[int]) -> list[tuple[int, int, int]]:
    """Rows ``(length, newest, older)`` in the order in which they can be merged."""
    blocks = frozenset().union(*(lengths_of(window) for window in windows))
    return [(length, *pieces(length)) for length in sorted(blocks - {1})]


def covering_chain(windows: Iterable[int]) -> list[tuple[int, int]]:
    """Rows ``(length, block)`` for measures whose blocks may overlap: two blocks cover the window."""
    have, rows = [1], []
    for window in sorted(set(windows) - {1}):
        while 2 * max(have) < window:
            rows.append((2 * max(have), max(have)))
            have.append(2 * max(have))
        rows.append((window, min(block for block in have if 2 * block >= window)))
        have.append(window)
    return list(dict.fromkeys(rows))


def merging_network(a: int, b: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Return comparators that merge sorted wires ``0…a-1`` and ``a…a+b-1``, and then the wires in order of rank.

    Batcher's odd-even merge on the next power of two; places that no value fills are infinitely large and drop out.
    """
    size = 1
    while size < max(a, b):
        size *= 2
    wires: list[int | None] = [*range(a), *[None] * (size - a), *range(a, a + b), *[None] * (size - b)]
    comparators: list[tuple[int, int]] = []

    def exchange(i: int, j: int) -> None:
        low, high = wires[i], wires[j]
        if low is None:
            wires[i], wires[j] = high, None
        elif high is not None:
            comparators.append((low, high))

    def merge(first: int, count: int, step: int) -> None:
        if 2 * step >= count:
            exchange(first, first + step)
            return
        merge(first, count, 2 * step)
        merge(first + step, count, 2 * step)
        for i in range(first + step, first + count - step, 2 * step):
            exchange(i, i + step)

    merge(0, 2 * size, 1)
    return comparators, [wire for wire in wires if wire is not None]


def prune(comparators: list[tuple[int, int]], wanted: set[int]) -> list[tuple[int, int]]:
    """Keep the comparators that the wanted wires depend on."""
    alive, kept = set(wanted), []
    for low, high in reversed(comparators):
        if low in alive or high in alive:
            kept.append((low, high))
            alive |= {low, high}
    return kept[::-1]
