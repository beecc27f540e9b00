"""Randomness of a fit that no other fit of the process can disturb."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch

_ONE_AT_A_TIME = threading.RLock()
_within: ContextVar[threading.RLock | None] = ContextVar("_within", default=None)
"""Within a block its parts take turns among themselves: those in threads that it waits for could not wait for it."""


@contextmanager
def seeded(seed: int, *, wait: bool = True) -> Iterator[bool]:
    """Seed torch, numpy and Python's own generator within a block, one block of the process at a time.

    Dropout and new weights of torch, and models of Qlib, draw from generators that all threads share. Fits in threads
    would take numbers from each other and restart each other's series, so they wait for each other here. The state of
    the generators before the block is restored after it.

    Parameters
    ----------
    seed
        Same seed, same numbers.
    wait
        Whether to wait for another block. A block that did not wait seeds nothing, and leaves the generators alone.

    Yields
    ------
    bool
        Whether it is the turn of this block.
    """
    turns = _within.get() or _ONE_AT_A_TIME
    if not turns.acquire(blocking=wait):
        yield False
        return
    try:
        with _series(seed):
            yield True
    finally:
        turns.release()


@contextmanager
def _series(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        before = np.random.get_state(), random.getstate()
        own = _within.set(threading.RLock())
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            _within.reset(own)
            np.random.set_state(before[0])
            random.setstate(before[1])
