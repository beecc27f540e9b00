"""A network that is computed by groups of instruments, each group in a thread of its own.

The products of a small network are too small to be divided among cores, its instruments are not. What is computed
depends on the number of groups, never on the cores that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
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
    LearnsInGhosts,
    LearnsItsOwnWay,
    reads_instruments_alone,
)
from quant_pipeline.models.networks.copies import can_be_copied, sharing_copy, threads_of_torch
from quant_pipeline.models.networks.losses import Loss

Result = TypeVar("Result")


def can_be_divided(network: nn.Module) -> bool:
    """Return whether groups of instruments learn what the whole network would.

    It states so, has two parts of which the first one does, or ghosts; a copy can stand for it, and it has no part of
    torch that is known to look across instruments without ghosts, or to draw from what all threads share. What it does
    while it learns is seen by `trial.why_undivided`.
    """
    has_ghosts = isinstance(network, LearnsInGhosts)
    if isinstance(network, LearnsItsOwnWay):
        is_cut = has_ghosts or isinstance(network, LearnsFromWhatItRead)
    else:
        is_cut = reads_instruments_alone(network) or isinstance(network, JoinsInstruments)
    looks_across = not has_ghosts and any(isinstance(module, _BatchNorm) for module in network.modules())
    return is_cut and not looks_across and can_be_copied(network) and not any(map(_draws, network.modules()))


def _draws(module: nn.Module) -> bool:
    if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
        return module.dropout > 0
    return isinstance(module, _DropoutNd | nn.RReLU) and type(module) is not nn.Dropout


class InstrumentGroups:
    """A network cut by instruments: neighbouring instruments of a block are a group, all groups about as large.

    Each group has a copy of the network that shares its parameters and draws its dropout from a generator of its own.
    The groups score, the loss of all scores is computed once, each group computes the gradient of its own scores, and
    the gradients are added in the order of the groups. Of a network of two parts the first one is computed so; the
    second one is cut by sessions, or its loss computed once. A network of ghosts learns by groups of these instead.

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
        for group in self._groups:
            if isinstance(group.network, LearnsInGhosts):
                group.network.note_statistics()
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
        self._forget_gradients()
        read = torch.cat(self._by_instruments(_Group.begin, block), dim=1)
        if present is None:
            loss, gradient = _slope(of_scores, read)
        else:
            scores = torch.cat(self._by_sessions(_Group.begin_joining, read, present))
            loss, of_joined = _slope(of_scores, scores)
            gradient = torch.cat(self._by_sessions(_Group.finish_joining, of_joined))
        self._by_instruments(_Group.finish, gradient)
        self._add_gradients()
        return loss

    def learn_by_ghosts(
        self, network: LearnsInGhosts, block: torch.Tensor, labels: torch.Tensor, of_scores: Loss
    ) -> torch.Tensor:
        """Compute the gradients of the parameters of the network by groups of ghosts, and return the loss.

        Parameters
        ----------
        network
            The network.
        block, labels, of_scores
            As for `LearnsItsOwnWay.loss`.
        """
        self._forget_gradients()
        rows = network.begin_rows(block, labels)
        cuts = _cuts(network.ghosts_of(len(rows)), len(self._groups))
        read = torch.cat(self._by_rows(_Group.begin_joining, cuts, rows.detach()))
        loss, gradient = _slope(lambda read: network.loss_of_rows(read, labels, of_scores), read)
        rows.backward(torch.cat(self._by_rows(_Group.finish_joining, cuts, gradient)))
        network.take_statistics([group.network for group in self._groups])
        self._add_gradients()
        return loss

    def _forget_gradients(self) -> None:
        for network in (self._network, *(group.network for group in self._groups)):
            network.zero_grad()

    def _add_gradients(self) -> None:
        """Add the gradients of the groups, in their order, to those of what the network has computed itself."""
        copies = (group.network.parameters() for group in self._groups)
        for own, *shares in zip(self._network.parameters(), *copies, strict=True):
            own.grad = _added([each.grad for each in (own, *shares) if each.grad is not None])

    def _by_instruments(self, compute: Callable[[_Group, torch.Tensor], Result], table: torch.Tensor) -> list[Result]:
        """Call a function for every group and the columns of its instruments."""
        cuts = _cuts([1] * table.shape[1], len(self._groups))
        return self._each(lambda group, cut: compute(group, table[:, cut]), cuts)

    def _by_sessions(self, compute: Callable[..., Result], *tables: torch.Tensor) -> list[Result]:
        """Call a function for every group and the rows of its sessions."""
        return self._by_rows(compute, _cuts([1] * len(tables[0]), len(self._groups)), *tables)

    def _by_rows(self, compute: Callable[..., Result], cuts: list[slice], *tables: torch.Tensor) -> list[Result]:
        return self._each(lambda group, cut: compute(group, *(table[cut] for table in tables)), cuts)

    def _each(self, compute: Callable[[_Group, slice], Result], cuts: list[slice]) -> list[Result]:
        def compute_group(number: int) -> Result:
            with threads_of_torch(1):
                return compute(self._groups[number], cuts[number])

        return self._threads.map(compute_group, len(cuts))


def _cuts(sizes: Sequence[int], groups: int) -> list[slice]:
    """Cut pieces of some sizes, one after the other, into groups of about as many; none is empty."""
    borders, count = [0, *accumulate(sizes)], min(groups, len(sizes))
    marks = [borders[len(sizes) * number // count] for number in range(count + 1)]
    return [slice(first, end) for first, end in pairwise(marks)]


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
        draw_from(self.network, np.random.default_rng(seed))
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

    def begin_joining(self, read: torch.Tensor, *present: torch.Tensor) -> torch.Tensor:
        """Return scores of what was read without their history, which `finish_joining` needs."""
        self._given = read.detach().requires_grad_()
        self._joined = self._join(self._given, *present)
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

    def _join(self, read: torch.Tensor, *present: torch.Tensor) -> torch.Tensor:
        if isinstance(self.network, LearnsInGhosts):
            return self.network.read_rows(read)
        assert isinstance(self.network, JoinsInstruments)
        return self.network.join_instruments(read, *present)


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


def draw_from(network: nn.Module, generator: np.random.Generator) -> None:
    """Let the dropout of a network draw from a generator."""
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
