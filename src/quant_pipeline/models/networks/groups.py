"""A network that is computed by groups of instruments, each group in a thread of its own.

The products of a small network are too small to be divided among cores, its instruments are not. What is computed
depends on the number of groups, never on the cores that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from quant_pipeline.common.cores import KeptThreads
from quant_pipeline.models.networks.blocks import (
    JoinsInstruments,
    LearnsFromWhatItRead,
    LearnsItsOwnWay,
    reads_instruments_alone,
)
from quant_pipeline.models.networks.copies import can_be_copied, sharing_copy, threads_of_torch

Result = TypeVar("Result")


def can_be_divided(network: nn.Module) -> bool:
    """Return whether groups of instruments learn what the whole network would.

    It states so, or has two parts of which the first one does, a copy can stand for it, and it has no part of torch
    that is known to look across instruments, or to draw from what all threads share.
    """
    if isinstance(network, LearnsItsOwnWay):
        is_cut = isinstance(network, LearnsFromWhatItRead)
    else:
        is_cut = reads_instruments_alone(network) or isinstance(network, JoinsInstruments)
    return is_cut and can_be_copied(network) and not any(map(_needs_whole, network.modules()))


def _needs_whole(module: nn.Module) -> bool:
    if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
        return module.dropout > 0
    draws = isinstance(module, _DropoutNd | nn.RReLU) and type(module) is not nn.Dropout
    return draws or isinstance(module, _BatchNorm)


class InstrumentGroups:
    """A network cut by instruments: neighbouring instruments of a block are a group, all groups about as large.

    Each group has a copy of the network that shares its parameters and draws its dropout from a generator of its own.
    The groups score, the loss of all scores is computed once, each group computes the gradient of its own scores, and
    the gradients are added in the order of the groups. Of a network of two parts the first one is computed so; the
    second one is cut by sessions, or its loss computed once.

    Parameters
    ----------
    network
        On the CPU, one that `can_be_divided`. It takes the gradients; `torch.nn.Dropout` is all that it draws from.
    count
        Groups of a block; as many as it has instruments where those are fewer.
    seed
        Of the generators of the groups.
    """

    def __init__(self, network: nn.Module, count: int, seed: int) -> None:
        self._network = network
        self._groups = [_Group(network, each) for each in np.random.SeedSequence(seed).spawn(count)]
        self._threads = KeptThreads(1)

    @contextmanager
    def in_threads(self, *, learning: bool) -> Iterator[None]:
        """Keep the threads of the groups for a block, in which the network learns or scores."""
        for group in self._groups:
            group.network.train(learning)
        with threads_of_torch(1), KeptThreads(len(self._groups)) as self._threads:
            yield

    def score(self, block: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to scores ``(sessions, instruments)``.

        Parameters
        ----------
        block
            The factors.
        present
            Who is present, ``(sessions, instruments)``, for a network that joins instruments.
        """
        read = torch.cat(self._by_instruments(_Group.score, block), dim=1)
        return read if present is None else torch.cat(self._by_sessions(_Group.score_read, read, present))

    def learn(
        self,
        block: torch.Tensor,
        of_scores: Callable[[torch.Tensor], torch.Tensor],
        present: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the gradients of the parameters of the network, and return the loss.

        Parameters
        ----------
        block, present
            As for `score`. Without `present` the loss is that of what was read.
        of_scores
            Loss of the scores of all instruments, or of what was read of them.
        """
        for group in self._groups:
            group.network.zero_grad()
        read = torch.cat(self._by_instruments(_Group.begin, block), dim=1)
        if present is None:
            loss, gradient = _slope(of_scores, read)
        else:
            scores = torch.cat(self._by_sessions(_Group.begin_joining, read, present))
            loss, of_joined = _slope(of_scores, scores)
            gradient = torch.cat(self._by_sessions(_Group.finish_joining, of_joined))
        self._by_instruments(_Group.finish, gradient)
        parameters = (group.network.parameters() for group in self._groups)
        for parameter, *shares in zip(self._network.parameters(), *parameters, strict=True):
            parameter.grad = _added([share.grad for share in shares if share.grad is not None])
        return loss

    def _by_instruments(self, compute: Callable[[_Group, torch.Tensor], Result], table: torch.Tensor) -> list[Result]:
        """Call a function for every group and the columns of its instruments."""
        return self._each(lambda group, cut: compute(group, table[:, cut]), table.shape[1])

    def _by_sessions(self, compute: Callable[..., Result], *tables: torch.Tensor) -> list[Result]:
        """Call a function for every group and the rows of its sessions."""
        return self._each(lambda group, cut: compute(group, *(table[cut] for table in tables)), len(tables[0]))

    def _each(self, compute: Callable[[_Group, slice], Result], length: int) -> list[Result]:
        count = min(len(self._groups), length)

        def compute_group(number: int) -> Result:
            first, end = (length * border // count for border in (number, number + 1))
            with threads_of_torch(1):
                return compute(self._groups[number], slice(first, end))

        return self._threads.map(compute_group, count)


def _slope(function: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a function of some values, and its gradient."""
    found = function(values.requires_grad_())
    found.backward()
    assert values.grad is not None
    return found.detach(), values.grad


class _Group:
    """The copy of a network that one group computes with."""

    def __init__(self, network: nn.Module, seed: np.random.SeedSequence) -> None:
        self.network = sharing_copy(network, with_buffers=True)
        _draw_from(self.network, np.random.default_rng(seed))
        self._read: Callable[[torch.Tensor], torch.Tensor] = (
            self.network.read_instruments if isinstance(self.network, JoinsInstruments) else self.network
        )
        self._scores = self._given = self._joined = torch.empty(0)

    def score(self, block: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self._read(block.contiguous())

    def score_read(self, read: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self._join(read, present)

    def begin(self, block: torch.Tensor) -> torch.Tensor:
        """Return scores without their history, which `finish` needs."""
        self._scores = self._read(block.contiguous())
        return self._scores.detach()

    def begin_joining(self, read: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Return scores of what was read without their history, which `finish_joining` needs."""
        self._given = read.detach().requires_grad_()
        self._joined = self._join(self._given, present)
        return self._joined.detach()

    def finish_joining(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient of what was read, given that of the scores, and keep those of the parameters."""
        given, joined = self._given, self._joined
        self._given = self._joined = torch.empty(0)
        joined.backward(gradient)
        assert given.grad is not None
        return given.grad

    def finish(self, gradient: torch.Tensor) -> None:
        """Add to the gradients of the parameters, given that of what `begin` returned."""
        scores, self._scores = self._scores, torch.empty(0)
        scores.backward(gradient)

    def _join(self, read: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.network, JoinsInstruments)
        return self.network.join_instruments(read, present)


class GroupDropout(nn.Dropout):
    """Dropout that draws from a generator of its own: torch's is shared by all threads.

    Attributes
    ----------
    generator
        What it draws from.
    """

    generator: np.random.Generator

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Leave values out, and enlarge the others by as much, while the network learns."""
        if not self.training or self.p == 0:
            return values
        kept = self.generator.random(tuple(values.shape), dtype=np.float32) >= self.p
        factors = torch.from_numpy(kept * np.float32(1 / (1 - self.p) if self.p < 1 else 0)).to(values.dtype)
        return values.mul_(factors) if self.inplace else values * factors


def _draw_from(network: nn.Module, generator: np.random.Generator) -> None:
    for module in network.modules():
        if type(module) is nn.Dropout:
            # It stays the same object: the network may know it by several names.
            module.__class__ = GroupDropout
            assert isinstance(module, GroupDropout)
            module.generator = generator


def _added(gradients: list[torch.Tensor]) -> torch.Tensor | None:
    if not gradients:
        return None
    total = gradients[0]
    for gradient in gradients[1:]:
        total += gradient
    return total
