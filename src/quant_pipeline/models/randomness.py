"""Randomness of a fit that no other fit of the process can disturb."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch, numpy and Python's own generator within a block, one block of the process at a time.

    Dropout and new weights of torch, and models of Qlib, draw from generators that all threads share. Fits in threads
    would take numbers from each other and restart each other's series, so they wait for each other here. The state of
    the generators before the block is restored after it.

    Parameters
    ----------
    seed
        Same seed, same numbers.
    """
    with _ONE_AT_A_TIME, torch.random.fork_rng():
        before = np.random.get_state(), random.getstate()
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before[0])
            random.setstate(before[1])
