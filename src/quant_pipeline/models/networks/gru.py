"""A gated recurrent unit that reads a window of factors (Cho et al., 2014)."""

from __future__ import annotations

import torch
from torch import nn


class GRUScorer(nn.Module):
    """Score the last step of a sequence.

    Parameters
    ----------
    factors
        Number of factors per step.
    hidden, layers, dropout
        Size of the recurrent unit; dropout acts on its last output.
    """

    def __init__(self, factors: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.recurrent = nn.GRU(factors, hidden, layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Map windows ``(rows, steps, factors)`` to scores ``(rows,)``."""
        states, _ = self.recurrent(windows)
        return self.head(self.dropout(states[:, -1])).squeeze(-1)
