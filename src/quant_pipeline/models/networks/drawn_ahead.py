"""Dropout of a network that a second core draws while the step before is computed.

Numbers of torch's generator come one after the other, and take up to three tenths of a step. What a step draws depends
on the shape of its block; so it can be drawn before it is asked for, in the same order, with the same bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn

from quant_pipeline.common.cores import usable_cores
from quant_pipeline.models.networks.cube import Block


class Draw(NamedTuple):
    """What is drawn for the values of a dropout.

    Attributes
    ----------
    shape, strides, kind
        Of the values; strides as torch chooses them for numbers beside the values.
    part
        Part of them that is left out.
    """

    shape: torch.Size
    strides: tuple[int, ...]
    kind: torch.dtype
    part: float

    def make(self) -> torch.Tensor:
        """Draw the factors as `torch.nn.functional.dropout` does: none, or what the part that stays is enlarged by."""
        factors = torch.empty_strided(self.shape, self.strides, dtype=self.kind)
        return factors.bernoulli_(1 - self.part).div_(1 - self.part)


class DrawnDropout(nn.Dropout):
    """Dropout that asks for its factors, instead of drawing them itself.

    Attributes
    ----------
    factors
        What it asks.
    """

    factors: Callable[[Draw], torch.Tensor]

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Leave values out, and enlarge the others by as much, while the network learns."""
        if not self.training or self.p in {0, 1} or values.numel() == 0:
            return super().forward(values)
        strides = torch.empty_like(values).stride()
        factors = self.factors(Draw(values.shape, strides, values.dtype, self.p))
        return values.mul_(factors) if self.inplace else values * factors


@contextmanager
def drawn_ahead(network: nn.Module, blocks: Iterable[Block]) -> Iterator[Iterator[Block]]:
    """Draw the dropout of the next block while a network learns from one, where there is a second core.

    Parameters
    ----------
    network
        On the CPU; `torch.nn.Dropout` is all that it draws from, and it is called once for each block. Nothing is drawn
        ahead for one that is seen to move the generator otherwise, as where it computes its activations once more.
    blocks
        What it learns from.

    Yields
    ------
    Iterator
        Over the blocks, of which it takes one ahead.
    """
    dropouts = [module for module in network.modules() if type(module) is nn.Dropout]
    if usable_cores() == 1 or not any(0 < module.p < 1 for module in dropouts):
        yield iter(blocks)
        return
    with ThreadPoolExecutor(1) as beside:
        ahead = _Ahead(beside)
        for module in dropouts:
            module.__class__ = DrawnDropout
            assert isinstance(module, DrawnDropout)
            module.factors = ahead.take
        try:
            yield ahead.over(blocks)
        finally:
            for module in dropouts:
                del module.factors
                module.__class__ = nn.Dropout
            ahead.give_back()


class _Coming(NamedTuple):
    step: int
    draw: Draw
    made: Future[tuple[torch.Tensor, torch.Tensor]]
    """State of the generator before, and the factors."""


class _Ahead:
    """Draws of the steps to come."""

    def __init__(self, beside: ThreadPoolExecutor) -> None:
        self._beside = beside
        self._known: dict[tuple[int, ...], list[Draw]] = {}
        self._asked: list[Draw] = []
        self._state = torch.empty(0)
        """Of the generator after the last draw of a step for which nothing was drawn ahead."""
        self._moves_alone = True
        self._coming: deque[_Coming] = deque()
        self._step = 0

    def over(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield blocks, and draw for each while the one before it is at work."""
        before: Block | None = None
        for block in blocks:
            if before is not None:
                yield from self._learned_from(before, block)
            before = block
        if before is not None:
            yield from self._learned_from(before, None)

    def _learned_from(self, block: Block, following: Block | None) -> Iterator[Block]:
        self._asked, self._state = [], torch.get_rng_state()
        are_drawn = bool(self._coming)
        if are_drawn:
            self._draw_for(following)
        yield block
        self._known[block.inputs.shape] = self._asked
        if self._coming and self._coming[0].step == self._step:
            self.give_back()  # The network drew less than for the last block of this shape.
        if not are_drawn:
            self._look_who_moves()
            self._draw_for(following)
        self._step += 1

    def _draw_for(self, following: Block | None) -> None:
        draws = self._known.get(following.inputs.shape, []) if following is not None and self._moves_alone else []
        self._coming += [_Coming(self._step + 1, draw, self._beside.submit(_make, draw)) for draw in draws]

    def take(self, draw: Draw) -> torch.Tensor:
        """Return the factors that the generator has next."""
        self._asked.append(draw)
        if self._coming and (self._coming[0].step, self._coming[0].draw) != (self._step, draw):
            self.give_back()
        if self._coming:
            return self._coming.popleft().made.result()[1]
        self._look_who_moves()
        factors = draw.make()
        self._state = torch.get_rng_state()
        return factors

    def _look_who_moves(self) -> None:
        self._moves_alone = self._moves_alone and torch.equal(torch.get_rng_state(), self._state)

    def give_back(self) -> None:
        """Forget what was drawn and not taken, and set the generator back to before it."""
        made = [coming.made for coming in self._coming if not coming.made.cancel()]
        self._coming.clear()
        if made:
            states = [each.result()[0] for each in made]
            torch.set_rng_state(states[0])


def _make(draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
    state = torch.get_rng_state()
    return state, draw.make()
