"""A temporal convolutional network (Bai, Kolter, Koltun, 2018)."""

from __future__ import annotations

import torch
from torch import nn


class TemporalBlock(nn.Module):
    """Two dilated causal convolutions beside a shortcut.

    Parameters
    ----------
    entering, channels
        Channels in and out.
    kernel, dilation, dropout
        Of both convolutions. Nothing is padded: the output is ``2 (kernel - 1) dilation`` steps shorter.
    """

    def __init__(self, entering: int, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.shortening = 2 * (kernel - 1) * dilation
        self.convolutions = nn.Sequential(
            nn.Conv1d(entering, channels, kernel, dilation=dilation),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(channels, channels, kernel, dilation=dilation),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.shortcut = nn.Identity() if entering == channels else nn.Conv1d(entering, channels, 1)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Map ``(instruments, channels, steps)`` to fewer steps."""
        return torch.relu(self.convolutions(series) + self.shortcut(series[..., self.shortening :]))


class ConvolutionalScorer(nn.Module):
    """Blocks with dilation 1, 2, 4, …; a score reads exactly the window, in a block as alone.

    Parameters
    ----------
    factors
        Number of factors per session.
    channels, kernel, levels, dropout
        Size of the network.
    """

    reads_instruments_alone = True

    def __init__(self, factors: int, channels: int, kernel: int, levels: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                TemporalBlock(factors if level == 0 else channels, channels, kernel, 2**level, dropout)
                for level in range(levels)
            )
        )
        self.head = nn.Linear(channels, 1)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``."""
        series = self.blocks(block.permute(1, 2, 0))
        return self.head(series.permute(2, 0, 1)).squeeze(-1)
