"""Transformer and Localformer: layers attend to the sessions just before, so that a score reads exactly its window."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class SlidingAttention(nn.Module):
    """Attention of every step to the ``span`` steps up to it (Beltagy et al., 2020).

    How much a step counts also depends on how long ago it was, by one learned number per head (Raffel et al., 2020).
    The first ``span - 1`` steps have no whole past and are left out of the output.

    Parameters
    ----------
    hidden, heads, span
        Width, number of heads it is split into, and steps each one sees.
    """

    def __init__(self, hidden: int, heads: int, span: int) -> None:
        super().__init__()
        self.heads, self.span = heads, span
        self.query = nn.Linear(hidden, hidden)
        self.key_and_value = nn.Linear(hidden, 2 * hidden)
        self.exit = nn.Linear(hidden, hidden)
        self.age_bias = nn.Parameter(torch.zeros(heads, span))

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Map ``(instruments, steps, hidden)`` to ``(instruments, steps - span + 1, hidden)``."""
        query = self._split(self.query(series[:, self.span - 1 :]))
        key, value = (self._split(half) for half in self.key_and_value(series).chunk(2, dim=-1))
        read = scaled_dot_product_attention(query, key, value, attn_mask=self._bias(series.shape[1]))
        return self.exit(read.transpose(1, 2).flatten(start_dim=2))

    def _split(self, series: torch.Tensor) -> torch.Tensor:
        return series.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _bias(self, steps: int) -> torch.Tensor:
        step = torch.arange(steps, device=self.age_bias.device)
        age = step[self.span - 1 :, None] - step
        outside = (age < 0) | (age >= self.span)
        return self.age_bias[:, age.clamp(0, self.span - 1)].masked_fill(outside, -torch.inf)


class AttentiveLayer(nn.Module):
    """Attention and a feed-forward network, each beside a shortcut and after a normalisation (Xiong et al., 2020).

    Parameters
    ----------
    hidden, heads, span
        As for `SlidingAttention`.
    feedforward, dropout
        Width of the feed-forward network; dropout acts on both parts.
    kernel
        Steps of a causal convolution before the attention, which sees patterns of neighbouring sessions as the local
        branch of Qlib's Localformer does; 1 leaves it out.
    """

    def __init__(self, hidden: int, heads: int, span: int, feedforward: int, dropout: float, kernel: int) -> None:
        super().__init__()
        self.kernel, self.span = kernel, span
        if kernel > 1:
            self.local = nn.Conv1d(hidden, hidden, kernel)
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = SlidingAttention(hidden, heads, span)
        self.feedforward = nn.Sequential(
            nn.Linear(hidden, feedforward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feedforward, hidden)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Map ``(instruments, steps, hidden)`` to ``span + kernel - 2`` steps fewer."""
        if self.kernel > 1:
            series = series[:, self.kernel - 1 :] + self.local(series.transpose(1, 2)).transpose(1, 2)
        read = self.attention(self.attention_norm(series))
        series = series[:, self.span - 1 :] + self.dropout(read)
        return series + self.dropout(self.feedforward(self.feedforward_norm(series)))


class AttentiveScorer(nn.Module):
    """A stack of attentive layers; a score reads exactly the window, in a block as alone.

    Parameters
    ----------
    factors
        Number of factors per session.
    layers
        Number of layers.
    hidden, heads, span, feedforward, dropout, kernel
        As for `AttentiveLayer`.
    """

    reads_instruments_alone = True

    def __init__(
        self,
        factors: int,
        layers: int,
        hidden: int,
        heads: int,
        span: int,
        feedforward: int,
        dropout: float,
        kernel: int = 1,
    ) -> None:
        super().__init__()
        self.entry = nn.Linear(factors, hidden)
        self.layers = nn.Sequential(
            *(AttentiveLayer(hidden, heads, span, feedforward, dropout, kernel) for _ in range(layers))
        )
        self.head = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, 1))

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``."""
        series = self.layers(self.entry(block).transpose(0, 1).contiguous())
        return self.head(series).squeeze(-1).T
