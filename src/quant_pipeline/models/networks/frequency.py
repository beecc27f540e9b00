"""A recurrent network whose memory is kept by frequency (SFM; Zhang, Aggarwal, Qi, 2017)."""

from __future__ import annotations

import math

import torch
from torch import nn

SMALL = 1e-8
"""Added to squared amplitudes: the root of zero has no slope."""


class FrequencyScorer(nn.Module):
    r"""Score from a state frequency memory.

    The memory of a session ``t`` is a complex matrix of states and frequencies,

    .. math:: S_t = F_t \circ S_{t-1} + (i_t \circ \tilde c_t) [e^{j \omega_1 t}, …, e^{j \omega_K t}],

    with evenly spaced frequencies :math:`\omega_k = 2 \pi k / K`. What is forgotten is the outer product of a gate of
    states and a gate of frequencies. Amplitudes are combined over frequencies to
    :math:`c_t = \tanh(|S_t| u_a + b_a)`, and the output is :math:`h_t = o_t \circ c_t`.

    Amplitudes do not depend on where the count of sessions begins.

    Parameters
    ----------
    factors
        Number of factors per session.
    window
        Sessions before the first score.
    hidden
        States of the memory.
    frequencies
        Frequencies that each state is kept at.
    dropout
        Acts on the last output.
    """

    reads_instruments_alone = True

    def __init__(self, factors: int, window: int, hidden: int, frequencies: int, dropout: float) -> None:
        super().__init__()
        self.window, self.hidden, self.frequencies = window, hidden, frequencies
        self.parts = [hidden, hidden, hidden, hidden, frequencies]
        self.from_input = nn.Linear(factors, sum(self.parts))
        self.from_output = nn.Linear(hidden, sum(self.parts), bias=False)
        self.from_memory = nn.Linear(hidden, hidden, bias=False)
        self.combination = nn.Parameter(torch.randn(frequencies) / math.sqrt(frequencies))
        self.combination_bias = nn.Parameter(torch.zeros(hidden))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, 1)
        with torch.no_grad():
            # Gates of forgetting begin open, so that gradients reach the first sessions.
            self.from_input.bias[-hidden - frequencies :] = 1.0

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``."""
        return self.head(self.dropout(self.outputs(block)[self.window - 1 :])).squeeze(-1)

    def outputs(self, block: torch.Tensor) -> torch.Tensor:
        """Map ``(steps, instruments, factors)`` to the outputs of all steps, ``(steps, instruments, hidden)``."""
        output = block.new_zeros((block.shape[1], self.hidden))
        real = imaginary = block.new_zeros((block.shape[1], self.hidden, self.frequencies))
        turns = 2 * math.pi / self.frequencies * torch.arange(self.frequencies, device=block.device)
        outputs = []
        # Cut once: the gradient of every single cut would be as large as all steps.
        for step, entering in enumerate(self.from_input(block).unbind()):
            gates = (entering + self.from_output(output)).split(self.parts, dim=-1)
            written = (torch.sigmoid(gates[0]) * torch.tanh(gates[1]))[:, :, None]
            kept = torch.sigmoid(gates[3])[:, :, None] * torch.sigmoid(gates[4])[:, None, :]
            angles = turns * step
            real = kept * real + written * torch.cos(angles)
            imaginary = kept * imaginary + written * torch.sin(angles)
            amplitudes = torch.sqrt(real.square() + imaginary.square() + SMALL)
            read = torch.tanh(amplitudes @ self.combination + self.combination_bias)
            output = torch.sigmoid(gates[2] + self.from_memory(read)) * read
            outputs.append(output)
        return torch.stack(outputs)
