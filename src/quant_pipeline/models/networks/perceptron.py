"""A multi-layer perceptron over the factors of one session, or of a short window."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


class PerceptronScorer(nn.Module):
    """Fully connected layers with layer normalisation (Ba et al., 2016).

    Parameters
    ----------
    factors
        Number of factors per session.
    window
        Sessions whose factors are read side by side.
    hidden, dropout
        Width of each layer; dropout acts after each.
    """

    reads_instruments_alone = True

    def __init__(self, factors: int, window: int, hidden: list[int], dropout: float) -> None:
        super().__init__()
        self.window = window
        widths = [factors * window, *hidden]
        layers: list[nn.Module] = []
        for width, following in pairwise(widths):
            layers += [nn.Linear(width, following), nn.LayerNorm(following), nn.SiLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``."""
        if self.window > 1:
            block = block.unfold(0, self.window, 1).flatten(start_dim=-2)
        return self.layers(block).squeeze(-1)
