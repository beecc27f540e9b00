"""Rough scores may only change the time: every order is that of Python's own sort on the exact averages."""

import numpy as np
import pytest

from quant_pipeline.exchange.account_arrays import new_accounts, open_slot
from quant_pipeline.strategy.fused_scores import FusedScores, rough_gap, score_table
from quant_pipeline.strategy.ranking import find_candidates, find_worst_slots, new_decision_buffers

N = 150
MEMBERS = np.array([0, 2, 3], dtype=np.uint32)


def ordinary(rng):
    return rng.normal(size=(4, N))


def tied(rng):
    return np.round(rng.normal(size=(4, N)))


def closer_than_single_precision(rng):
    return 1.0 + rng.normal(size=(4, N)) * 1e-12


def one_giant_among_dwarfs(rng):
    scores = rng.normal(size=(4, N))
    scores[0, 7] = 1e9
    return scores


def beyond_single_precision(rng):
    return rng.normal(size=(4, N)) * 1e200


def below_single_precision(rng):
    return rng.normal(size=(4, N)) * 1e-60


def full_of_gaps(rng):
    scores = rng.normal(size=(4, N))
    scores[rng.random((4, N)) < 0.4] = np.nan
    return scores


SCORES = [
    ordinary,
    tied,
    closer_than_single_precision,
    one_giant_among_dwarfs,
    beyond_single_precision,
    below_single_precision,
    full_of_gaps,
]


def fused_and_exact(scores) -> tuple[FusedScores, np.ndarray]:
    table = score_table(scores[:, np.newaxis])
    rough = np.zeros_like(table.rough[0, 0])
    exact = np.zeros(N)
    for member in MEMBERS:
        rough += table.rough[0, member]
        exact += scores[member]
    gap = np.float32(rough_gap(len(MEMBERS), table.largest[0]))
    return FusedScores(table.exact[0], MEMBERS, len(MEMBERS), 1 / len(MEMBERS), rough, gap), exact * (1 / len(MEMBERS))


@pytest.mark.parametrize("make", SCORES)
@pytest.mark.parametrize("wanted", [1, 6, N])
def test_candidates_are_the_best_by_exact_score_then_code(make, wanted):
    rng = np.random.default_rng(5)
    buffers = new_decision_buffers(N)
    for _ in range(12):  # Later rounds start from the guess the earlier ones left.
        fused, exact = fused_and_exact(make(rng))
        tradable = rng.random(N) < 0.9
        found = find_candidates(0, fused, tradable, wanted, buffers)
        ranked = sorted(np.flatnonzero(tradable & ~np.isnan(exact)), key=lambda j: (-exact[j], j))
        assert buffers.best[:found].tolist() == ranked[:wanted]


@pytest.mark.parametrize("make", SCORES)
@pytest.mark.parametrize("wanted", [1, 4, 30])
def test_weakest_holdings_are_the_last_by_exact_score_then_code(make, wanted):
    rng = np.random.default_rng(6)
    accounts = new_accounts(1, N, 0)
    held = rng.permutation(N)[:30]
    for instrument in held:
        open_slot(accounts, 0, int(instrument), 1, 1)
    buffers = new_decision_buffers(N)
    for _ in range(12):
        fused, exact = fused_and_exact(make(rng))
        buffers.slot_rough[:30] = fused.rough[held]
        found = find_worst_slots(accounts, 0, fused, wanted, buffers)
        ranked = sorted((j for j in held if not np.isnan(exact[j])), key=lambda j: (exact[j], -j))
        assert accounts.slot_instrument[0, buffers.worst[:found]].tolist() == ranked[:wanted]


def test_gap_of_a_single_score_is_the_rounding_of_single_precision():
    assert 2.0**-24 < rough_gap(1, 1.0) < 2.0**-19
    assert rough_gap(2, 1e30) == np.inf
