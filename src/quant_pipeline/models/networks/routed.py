"""A recurrent network with several heads and a router between them (TRA; Lin et al., 2021)."""

from __future__ import annotations

import torch
from torch import nn

from quant_pipeline.models.networks.losses import Loss
from quant_pipeline.models.networks.recurrent import UNITS

SINKHORN_ROUNDS = 3
SHARPNESS = 10.0
"""Slope of the assignment in the errors, per standard deviation of the errors."""


class RoutedScorer(nn.Module):
    """Heads for different trading patterns, weighed by a router that reads the state.

    The router of the paper may also read the past errors of each head. Ours does not: they are known only when labels
    are realised, and a score here needs nothing but its window.

    Parameters
    ----------
    factors, window, unit, hidden, layers, dropout
        As for `RecurrentScorer`.
    patterns
        Number of heads.
    transport
        Weight of the term that teaches the router.
    """

    def __init__(
        self,
        factors: int,
        window: int,
        unit: str,
        hidden: int,
        layers: int,
        dropout: float,
        patterns: int,
        transport: float,
    ) -> None:
        super().__init__()
        self.window, self.transport = window, transport
        self.recurrent = UNITS[unit](factors, hidden, layers)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(hidden, patterns)
        self.router = nn.Linear(hidden, patterns)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``."""
        return _mix(*self._route(block))

    def read_instruments(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block to the scores of all heads, and the logarithms of their shares beside them."""
        return torch.cat(self._route(block), dim=-1)

    def join_instruments(self, read: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Weigh the heads; other instruments change nothing."""
        return _mix(*read.chunk(2, dim=-1))

    def loss(self, block: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the loss of the scores and of the router.

        The router learns the assignment of labels to heads that has small errors while all heads get equally many: an
        optimal transport, found by a few rounds of Sinkhorn's scaling (Cuturi, 2013).
        """
        return self._loss_of(self._route(block), labels, of_scores)

    def loss_of_read(self, read: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the same loss from what `read_instruments` returns."""
        scores, log_shares = read.chunk(2, dim=-1)
        return self._loss_of((scores, log_shares), labels, of_scores)

    def _loss_of(
        self, routed: tuple[torch.Tensor, torch.Tensor], labels: torch.Tensor, of_scores: Loss
    ) -> torch.Tensor:
        scores, log_shares = routed
        known = torch.isfinite(labels)
        errors = (scores[known].detach() - labels[known][:, None]).square()
        assignment = assign_equally(-SHARPNESS * errors / (errors.std() + 1e-6))
        routing = -(assignment * log_shares[known]).sum(dim=-1).mean()
        return of_scores(_mix(scores, log_shares), labels) + self.transport * routing

    def _route(self, block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = self.dropout(self.recurrent(block)[0][self.window - 1 :])
        return self.heads(states), torch.log_softmax(self.router(states), dim=-1)


def _mix(scores: torch.Tensor, log_shares: torch.Tensor) -> torch.Tensor:
    return (scores * log_shares.exp()).sum(dim=-1)


def assign_equally(preference: torch.Tensor) -> torch.Tensor:
    """Assign rows to columns: every row adds up to one, every column to about the same.

    Parameters
    ----------
    preference
        Logarithms, ``(rows, columns)``; more is better.
    """
    logits = preference
    for _ in range(SINKHORN_ROUNDS):
        logits = logits - torch.logsumexp(logits, dim=0, keepdim=True)
        logits = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    return logits.exp()
