"""A recurrent network whose instruments look at each other (GATs; Veličković et al., 2018)."""

from __future__ import annotations

import torch
from torch import nn

from quant_pipeline.models.networks.recurrent import UNITS


class GraphAttentionScorer(nn.Module):
    """Score from the own state and from the states of all instruments of the session, weighed by attention.

    Parameters
    ----------
    factors, window, unit, hidden, layers, dropout
        As for `RecurrentScorer`; dropout acts before the head.
    """

    looks_across = True

    def __init__(self, factors: int, window: int, unit: str, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.window = window
        self.recurrent = UNITS[unit](factors, hidden, layers)
        self.message = nn.Linear(hidden, hidden)
        self.looks = nn.Linear(hidden, 1, bias=False)
        self.is_seen = nn.Linear(hidden, 1, bias=False)
        self.mixing = nn.Sequential(nn.Linear(hidden, hidden), nn.LeakyReLU(), nn.Dropout(dropout))
        self.head = nn.Linear(hidden, 1)

    def forward(self, block: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``.

        ``present``, ``(sessions, instruments)``, marks the instruments that others may attend to. Memory grows with
        ``sessions × instruments²``.
        """
        return self.join_instruments(self.read_instruments(block), present)

    def read_instruments(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block to the states of its sessions, ``(sessions, instruments, hidden)``."""
        states: torch.Tensor = self.recurrent(block)[0][self.window - 1 :]
        return states

    def join_instruments(self, read: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Let the instruments of each session attend to each other, and return scores."""
        messages = self.message(read)
        energy = self.looks(messages) + self.is_seen(messages).transpose(1, 2)
        energy = nn.functional.leaky_relu(energy, 0.2).masked_fill(~present[:, None, :], -torch.inf)
        # A session without anyone to look at would divide by zero; nothing is learned from it.
        energy = torch.where(present.any(dim=1)[:, None, None], energy, 0.0)
        seen = torch.softmax(energy, dim=-1) @ messages
        return self.head(self.mixing(seen + read)).squeeze(-1)
