"""What a network minimises: squared errors of single labels, or by session IC, ICIR or rank IC."""

from __future__ import annotations

from collections.abc import Callable

import torch

SMALL = 1e-6
SHARPNESS = 10.0
"""Slope of the smoothed ranks, per standard deviation of the scores of a session."""

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def mean_squared_error(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean of the squared errors where there is a label; both are ``(sessions, instruments)``."""
    known = torch.isfinite(labels)
    errors = torch.where(known, scores - torch.nan_to_num(labels), 0.0)
    return errors.square().sum() / known.sum()


def negative_correlation(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over the sessions of the negative correlation of scores and labels."""
    return -_correlations(scores, labels).mean()


def negative_correlation_ratio(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Negative mean of the correlations of the sessions over their standard deviation (the ICIR)."""
    correlations = _correlations(scores, labels)
    return -correlations.mean() / (correlations.std(correction=0) + 0.1)


def negative_rank_correlation(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Negative correlation of labels and smoothed ranks of the scores.

    The rank of a score is the sum over all others of a logistic step in their difference (Qin, Liu, Li, 2010). It
    needs ``sessions × instruments²`` numbers of memory.
    """
    known = torch.isfinite(labels)
    centred, variance = _centred(scores, known)
    scaled = centred / torch.sqrt(variance + SMALL)[:, None]
    steps = torch.sigmoid(SHARPNESS * (scaled[:, :, None] - scaled[:, None, :]))
    ranks = (steps * known[:, None, :]).sum(dim=-1)
    return -_correlations(ranks, labels).mean()


LOSSES: dict[str, Loss] = {
    "mse": mean_squared_error,
    "ic": negative_correlation,
    "icir": negative_correlation_ratio,
    "rank_ic": negative_rank_correlation,
}


def _correlations(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Correlation within every session that has at least two labels."""
    known = torch.isfinite(labels)
    some = known.sum(dim=1) > 1
    scores, labels, known = scores[some], torch.nan_to_num(labels[some]), known[some]
    score, score_variance = _centred(scores, known)
    label, label_variance = _centred(labels, known)
    covariance = (score * label).sum(dim=1) / known.sum(dim=1)
    return covariance / torch.sqrt((score_variance + SMALL) * (label_variance + SMALL))


def _centred(values: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    count = known.sum(dim=1, keepdim=True).clamp(min=1)
    mean = torch.where(known, values, 0.0).sum(dim=1, keepdim=True) / count
    centred = torch.where(known, values - mean, 0.0)
    return centred, centred.square().sum(dim=1) / count.squeeze(1)
