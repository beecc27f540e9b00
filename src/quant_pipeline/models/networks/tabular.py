"""A network that chooses the factors it reads, row by row and step by step (TabNet; Arik, Pfister, 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.autograd.function import FunctionCtx
from torch.nn.functional import batch_norm

from quant_pipeline.models.networks.losses import Loss

MOMENTUM = 0.1
SMALL = 1e-10


class TabularSize(NamedTuple):
    """Size of a `TabularScorer`.

    Attributes
    ----------
    decision, attention
        Width of what a step decides, and of what it hands to the choice of the next step.
    steps
        Choices of factors after each other.
    shared, own
        Layers of a step whose weights all steps share, and layers of its own.
    relaxation
        1 lets a factor be chosen in one step only; the more, the oftener.
    ghost_rows
        Rows that are normalised together while learning, at least.
    """

    decision: int
    attention: int
    steps: int
    shared: int
    own: int
    relaxation: float
    ghost_rows: int

    @property
    def width(self) -> int:
        """Width of the layers."""
        return self.decision + self.attention


class TabularScorer(nn.Module):
    """Sum what several steps decide, each from the factors that it chooses.

    While learning, rows are normalised among those that have labels. A score is normalised by what was seen then, so
    that it depends on its own window only.

    Parameters
    ----------
    factors
        Number of factors per session.
    window
        Sessions whose factors are read side by side.
    size
        Size of the network.
    dropout
        Acts on the sum of the decisions.
    sparsity
        Weight of the entropy of the choices in the loss.
    """

    def __init__(self, factors: int, window: int, size: TabularSize, dropout: float, sparsity: float) -> None:
        super().__init__()
        self.window, self.size, self.sparsity = window, size, sparsity
        columns = factors * window
        self.entry = nn.BatchNorm1d(columns, momentum=MOMENTUM)
        shared = [
            nn.Linear(columns if layer == 0 else size.width, 2 * size.width, bias=False) for layer in range(size.shared)
        ]
        self.shared = nn.ModuleList(shared)
        self.first = FeatureTransformer(columns, size)
        self.choices = nn.ModuleList(AttentiveTransformer(columns, size) for _ in range(size.steps))
        self.transformers = nn.ModuleList(FeatureTransformer(columns, size) for _ in range(size.steps))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(size.decision, 1)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``."""
        rows = self._side_by_side(block)
        return self.score_rows(rows.flatten(0, 1))[0].unflatten(0, rows.shape[:2])

    def loss(self, block: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the loss of the scores and of the entropy of the choices, from the rows that have labels."""
        scores, masks = self._choose(self.begin_rows(block, labels))
        return self._loss_of(scores, _entropy(masks).mean(), labels, of_scores)

    def begin_rows(self, block: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the rows with labels, ``(rows, columns)``, normalised among each other."""
        return _normalise(self.entry, self._side_by_side(block)[torch.isfinite(labels)])

    def ghosts_of(self, rows: int) -> list[int]:
        """Return the rows of each part that is normalised alone."""
        return ghost_sizes(rows, self.size.ghost_rows)

    def read_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Map rows of whole ghosts to their scores, and the entropy of their choices beside them."""
        scores, masks = self._choose(rows)
        return torch.stack([scores, _entropy(masks).mean(dim=0)], dim=-1)

    def loss_of_rows(self, read: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the loss of a block from what `read_rows` returns."""
        scores, entropy = read.unbind(dim=-1)
        return self._loss_of(scores, entropy.mean(), labels, of_scores)

    def _loss_of(
        self, scores: torch.Tensor, entropy: torch.Tensor, labels: torch.Tensor, of_scores: Loss
    ) -> torch.Tensor:
        laid_out = torch.zeros_like(labels).masked_scatter(torch.isfinite(labels), scores.to(labels.dtype))
        return of_scores(laid_out, labels) + self.sparsity * entropy

    def note_statistics(self) -> None:
        """Let the ghosts note their means and variances; see `take_statistics`."""
        for norm in self._ghosts():
            norm.noted = []

    def take_statistics(self, copies: Sequence[nn.Module]) -> None:
        """Take into the running statistics what copies have noted, as if one network had seen all their ghosts."""
        noting = [copy._ghosts() for copy in copies if isinstance(copy, TabularScorer)]
        for own, *others in zip(self._ghosts(), *noting, strict=True):
            own.take([each for other in others for each in other.noted or ()])
            for other in others:
                other.noted = []

    def _ghosts(self) -> list[GhostNorm]:
        return [module for module in self.modules() if isinstance(module, GhostNorm)]

    def score_rows(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map rows ``(rows, columns)`` to scores and to what each step chose, ``(steps, rows, columns)``.

        The parts that a step gives to the columns of a row are not negative and add up to one.
        """
        return self._choose(_normalise(self.entry, rows))

    def _choose(self, normalised: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        attention = self.first(normalised, self.shared)[:, self.size.decision :]
        left = torch.ones_like(normalised)
        decided, masks = normalised.new_zeros((len(normalised), self.size.decision)), []
        for choose, transform in zip(self.choices, self.transformers, strict=True):
            mask = choose(attention, left)
            left = left * (self.size.relaxation - mask)
            seen = transform(mask * normalised, self.shared)
            decided = decided + torch.relu(seen[:, : self.size.decision])
            attention = seen[:, self.size.decision :]
            masks.append(mask)
        return self.head(self.dropout(decided)).squeeze(-1), torch.stack(masks)

    def _side_by_side(self, block: torch.Tensor) -> torch.Tensor:
        return block.unfold(0, self.window, 1).flatten(start_dim=-2) if self.window > 1 else block


class AttentiveTransformer(nn.Module):
    """Choose the factors of a step from what the step before hands over and from what is left to choose."""

    def __init__(self, columns: int, size: TabularSize) -> None:
        super().__init__()
        self.linear = nn.Linear(size.attention, columns, bias=False)
        self.norm = GhostNorm(columns, size.ghost_rows)

    def forward(self, attention: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
        """Return the parts of the columns, ``(rows, columns)``."""
        return sparsemax(self.norm(self.linear(attention)) * left)


class FeatureTransformer(nn.Module):
    """Gated layers, shared ones first, each beside a shortcut."""

    def __init__(self, columns: int, size: TabularSize) -> None:
        super().__init__()
        own = [
            nn.Linear(columns if layer + size.shared == 0 else size.width, 2 * size.width, bias=False)
            for layer in range(size.own)
        ]
        self.own = nn.ModuleList(own)
        self.norms = nn.ModuleList(GhostNorm(2 * size.width, size.ghost_rows) for _ in range(size.shared + size.own))

    def forward(self, rows: torch.Tensor, shared: nn.ModuleList) -> torch.Tensor:
        """Map ``(rows, columns)`` to ``(rows, width)``."""
        values = None
        for linear, norm in zip([*shared, *self.own], self.norms, strict=True):
            gated = nn.functional.glu(norm(linear(rows if values is None else values)), dim=-1)
            # Halved variance: the sum of two would grow from layer to layer.
            values = gated if values is None else (values + gated) * math.sqrt(0.5)
        assert values is not None
        return values


class GhostNorm(nn.Module):
    """Batch normalisation of parts of a batch (Hoffer, Hubara, Soudry, 2017).

    Parameters
    ----------
    columns
        Columns to normalise.
    rows
        Fewest rows of a part, unless there are fewer in all.

    Attributes
    ----------
    noted
        Mean and variance of each part since they were taken; None where the running ones take them at once.
    """

    noted: list[tuple[torch.Tensor, torch.Tensor]] | None

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.rows, self.noted = rows, None
        self.norm = nn.BatchNorm1d(columns, momentum=MOMENTUM)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Map ``(rows, columns)`` to the same shape."""
        if not self.training:
            return self.norm(values)
        # Not by `tensor_split`, which makes a gradient as large as all rows for every part.
        parts = values.split(ghost_sizes(len(values), self.rows))
        return torch.cat([self._normalise(part) for part in parts])

    def _normalise(self, part: torch.Tensor) -> torch.Tensor:
        if self.noted is None or len(part) == 1:
            return _normalise(self.norm, part)
        mean, variance = part.new_zeros(2, part.shape[1])
        self.noted.append((mean, variance))
        weight, bias = self.norm.weight, self.norm.bias
        # All of the new ones, and nothing of those before.
        return batch_norm(part, mean, variance, weight, bias, training=True, momentum=1.0, eps=self.norm.eps)

    def take(self, noted: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Take means and variances of parts into the running ones, the last part last."""
        if not noted:
            return
        stays = (1 - MOMENTUM) ** torch.arange(len(noted), -1, -1, dtype=torch.float64)
        weights = torch.cat([stays[:1], MOMENTUM * stays[1:]]).to(noted[0][0].dtype)
        for running, seen in zip(
            (self.norm.running_mean, self.norm.running_var), zip(*noted, strict=True), strict=True
        ):
            assert running is not None
            running.copy_(weights @ torch.stack([running, *seen]))
        assert self.norm.num_batches_tracked is not None
        self.norm.num_batches_tracked.add_(len(noted))


def ghost_sizes(rows: int, least: int) -> list[int]:
    """Return the rows of each part, all about as large and none smaller than the least, unless there are fewer rows."""
    count = max(rows // least, 1)
    smaller, larger = rows // count, rows % count
    return [smaller + 1] * larger + [smaller] * (count - larger)


def _entropy(masks: torch.Tensor) -> torch.Tensor:
    return -(masks * torch.log(masks + SMALL)).sum(dim=-1)


def _normalise(norm: nn.BatchNorm1d, values: torch.Tensor) -> torch.Tensor:
    """Normalise among the rows while learning; a single row has no deviation, and takes what was seen before."""
    if norm.training and len(values) > 1:
        return norm(values)
    return batch_norm(values, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps)


class Sparse(NamedTuple):
    """What `sparsemax` finds.

    Attributes
    ----------
    parts
        The nearest point of the simplex.
    support, least
        How many logits have a part, and the least of them, along an axis of one.
    """

    parts: torch.Tensor
    support: torch.Tensor
    least: torch.Tensor


def sparsemax(logits: torch.Tensor) -> torch.Tensor:
    """Return the nearest point of the simplex, ``max(logits - tau, 0)`` along the last axis (Martins, Astudillo, 2016).

    Unlike those of softmax, its parts may be exactly zero.
    """
    if logits.device.type != "cpu" or torch.compiler.is_compiling():
        return sparsemax_of_sorted(logits, torch.sort(logits, dim=-1, descending=True).values).parts
    parts: torch.Tensor = _SortedByNumPy.apply(logits)  # type: ignore[no-untyped-call]
    return parts


def sparsemax_of_sorted(logits: torch.Tensor, descending: torch.Tensor) -> Sparse:
    """Return what `sparsemax` finds, given the logits in descending order as well."""
    excess = descending.cumsum(dim=-1) - 1
    counts = torch.arange(1, logits.shape[-1] + 1, device=logits.device, dtype=logits.dtype)
    support = (counts * descending > excess).sum(dim=-1, keepdim=True)
    threshold = excess.gather(-1, support - 1) / support
    return Sparse(torch.relu(logits - threshold), support, descending.gather(-1, support - 1))


class _SortedByNumPy(torch.autograd.Function):
    """`sparsemax` on the CPU: NumPy sorts rows many times as fast as torch, but hands no gradient on.

    Values have the bits that the operations of torch give, and so have gradients, unless rounding counts some of equal
    logits to those with a part and others not: all of them are here.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: torch.Tensor) -> torch.Tensor:
        descending = torch.from_numpy(np.sort(logits.detach().numpy(), axis=-1)).flip(-1)
        found = sparsemax_of_sorted(logits, descending)
        ctx.save_for_backward(found.parts, found.support, logits >= found.least)
        return found.parts

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        """Take the mean gradient of the logits that have a part from each of them."""
        parts, support, has_part = ctx.saved_tensors
        gradient = torch.where(parts > 0, gradient, 0.0)
        mean = gradient.sum(dim=-1, keepdim=True) / support
        return torch.where(has_part, gradient - mean, gradient)
