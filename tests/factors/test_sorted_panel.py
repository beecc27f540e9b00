"""Panels sorted by session: every row in its place with its bits, whichever instruments are listed at the time."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.factors.grid import Grid
from quant_pipeline.factors.kernels.turning import SIDE
from quant_pipeline.factors.sorted_panel import _SIDE, sort_by_session

NAN_WITH_A_PAYLOAD = 0x7FA00001
"""A signalling one, which arithmetic would change."""


def grid_of(listed, rows, n_sessions):
    """Lay out instruments from their first session and number of rows; their fields are not used."""
    names = np.array([f"N{number:03d}" for number in range(len(listed))], dtype=object)
    first = np.append(0, np.cumsum(rows))
    sessions = pd.bdate_range("2024-01-01", periods=n_sessions)
    return Grid(
        names, sessions, first, np.array(listed), np.empty((0, first[-1]), np.float32), np.ones(first[-1], bool)
    )


def any_market(seed, instruments, n_sessions):
    """Half of the instruments have the whole history, the others a part of it."""
    random = np.random.default_rng(seed)
    listed, rows = np.zeros(instruments, np.int64), np.full(instruments, n_sessions)
    some = random.permutation(instruments)[: instruments // 2]
    listed[some] = random.integers(0, n_sessions, len(some))
    rows[some] = random.integers(1, n_sessions - listed[some] + 1)
    return listed, rows


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("listed", "rows", "n_sessions"),
    [
        (*any_market(1, 3 * SIDE + 5, 3 * SIDE + 5), 3 * SIDE + 5),
        (*any_market(2, 90, 2 * SIDE), 2 * SIDE),
        (np.zeros(SIDE, int), np.full(SIDE, SIDE), SIDE),
        (np.zeros(2 * SIDE, int), np.full(2 * SIDE, SIDE - 1), SIDE - 1),
        (np.array([0, 0, 20]), np.array([3, 5, 2]), 25),
        (np.array([4]), np.array([1]), 9),
    ],
    ids=["squares and rests", "whole sessions", "one square", "too few sessions", "sessions without rows", "one row"],
)
def test_every_row_comes_to_its_session_and_instrument_with_its_bits(listed, rows, n_sessions, threads):
    grid = grid_of(listed, rows, n_sessions)
    bits = np.random.default_rng(3).integers(0, 2**32, (5, grid.first[-1]), dtype=np.uint32)
    bits[2, ::3] = NAN_WITH_A_PAYLOAD
    owner = np.repeat(np.arange(len(rows)), rows)
    session = np.concatenate([np.arange(begin, begin + count) for begin, count in zip(listed, rows, strict=True)])
    order = np.lexsort((owner, session))

    panel = sort_by_session(bits.view(np.float32).copy(), grid.spans(), grid, tuple("abcde"), threads)

    np.testing.assert_array_equal(panel.to_numpy().T.view(np.uint32), bits[:, order])
    assert panel.index.is_monotonic_increasing
    assert list(panel.index) == list(zip(grid.sessions[session[order]], grid.instruments[owner[order]], strict=True))


def test_the_sessions_of_a_strip_are_those_of_the_kernel():
    assert _SIDE == SIDE
