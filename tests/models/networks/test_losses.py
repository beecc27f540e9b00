"""Losses against the correlations that scipy computes."""

import numpy as np
import pytest
import torch
from scipy import stats

from quant_pipeline.models.networks.losses import LOSSES


@pytest.fixture
def pairs():
    random = np.random.default_rng(4)
    labels = random.normal(size=(6, 40))
    scores = labels + random.normal(size=labels.shape)
    labels[:, ::7] = np.nan
    return torch.tensor(scores, requires_grad=True), torch.tensor(labels)


def of_sessions(pairs, measure):
    scores, labels = (values.detach().numpy() for values in pairs)
    known = np.isfinite(labels)
    return np.array([measure(s[k], y[k])[0] for s, y, k in zip(scores, labels, known, strict=True)])


def test_the_squared_error_counts_labels_only(pairs):
    scores, labels = (values.detach().numpy() for values in pairs)
    assert float(LOSSES["mse"](*pairs).detach()) == pytest.approx(np.nanmean((scores - labels) ** 2))


def test_the_correlation_is_that_of_scipy(pairs):
    expected = of_sessions(pairs, stats.pearsonr)
    assert float(LOSSES["ic"](*pairs).detach()) == pytest.approx(-expected.mean(), abs=1e-4)
    assert float(LOSSES["icir"](*pairs).detach()) == pytest.approx(-expected.mean() / (expected.std() + 0.1), abs=1e-3)


def test_the_smoothed_rank_correlation_is_near_the_exact_one(pairs):
    scores, labels = pairs
    known = torch.isfinite(labels)
    ranked = torch.full_like(labels, torch.nan)
    for session, there in enumerate(known):
        ranked[session, there] = torch.tensor(stats.rankdata(labels[session, there]))
    expected = of_sessions((scores, ranked), stats.spearmanr)
    assert float(LOSSES["rank_ic"](scores, ranked).detach()) == pytest.approx(-expected.mean(), abs=0.02)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_also_where_scores_are_equal_or_labels_are_missing(name, pairs):
    scores, labels = torch.zeros((4, 5), requires_grad=True), pairs[1][:4, :5].clone()
    labels[2] = torch.nan
    LOSSES[name](scores, labels.float()).backward()
    assert torch.isfinite(scores.grad).all()
    assert (scores.grad[2] == 0).all()
