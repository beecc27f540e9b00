"""Recurrent networks: GRU, LSTM, ALSTM. State flows through a block, so one pass over it scores all of its sessions."""

from __future__ import annotations

import torch
from torch import nn

UNITS: dict[str, type[nn.GRU | nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentScorer(nn.Module):
    """Score from the state of a gated recurrent unit (Cho et al., 2014) or an LSTM (Hochreiter, Schmidhuber, 1997).

    Parameters
    ----------
    factors
        Number of factors per session.
    window
        Sessions before the first score.
    unit
        ``gru`` or ``lstm``.
    hidden, layers, dropout
        Size of the recurrent unit; dropout acts on its last output.
    """

    reads_instruments_alone = True

    def __init__(self, factors: int, window: int, unit: str, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.window = window
        self.recurrent = UNITS[unit](factors, hidden, layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, 1)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``."""
        states, _ = self.recurrent(block)
        return self.head(self.dropout(states[self.window - 1 :])).squeeze(-1)


class AttentiveRecurrentScorer(nn.Module):
    """A recurrent network that also weighs the states of its whole window (ALSTM; Qin et al., 2017).

    Parameters
    ----------
    factors, window, unit, hidden, layers, dropout
        As for `RecurrentScorer`; dropout acts within the attention.
    """

    reads_instruments_alone = True

    def __init__(self, factors: int, window: int, unit: str, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.window = window
        self.entry = nn.Sequential(nn.Linear(factors, hidden), nn.Tanh())
        self.recurrent = UNITS[unit](hidden, hidden, layers)
        half = max(hidden // 2, 1)
        self.attention = nn.Sequential(
            nn.Linear(hidden, half), nn.Dropout(dropout), nn.Tanh(), nn.Linear(half, 1, bias=False)
        )
        self.head = nn.Linear(2 * hidden, 1)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``."""
        states, _ = self.recurrent(self.entry(block))
        steps = torch.arange(len(block), device=block.device)
        age = steps[self.window - 1 :, None] - steps
        outside = (age < 0) | (age >= self.window)
        energy = self.attention(states).squeeze(-1).T[:, None, :].masked_fill(outside, -torch.inf)
        # (instruments, sessions, steps) @ (instruments, steps, hidden)
        read = torch.softmax(energy, dim=-1) @ states.transpose(0, 1)
        return self.head(torch.cat([states[self.window - 1 :], read.transpose(0, 1)], dim=-1)).squeeze(-1)
