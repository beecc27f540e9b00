"""Dropout of a network that a second core draws while the step before is computed.

Numbers of torch's generator come one after the other, and take up to three tenths of a step. What a step draws depends
on the shape of its block; so it can be foreseen, and drawn by a generator of its own that begins where torch's will be.
What was drawn is taken where torch's generator is found there, which is then moved on; else torch draws.
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

    def make(self, generator: torch.Generator) -> torch.Tensor:
        """Draw the factors as `torch.nn.functional.dropout` does: none, or what the part that stays is enlarged by."""
        factors = torch.empty_strided(self.shape, self.strides, dtype=self.kind)
        return factors.bernoulli_(1 - self.part, generator=generator).div_(1 - self.part)


class DrawnDropout(nn.Dropout):
    """Dropout that asks for its factors before it draws them itself.

    Attributes
    ----------
    factors
        What it asks; None where it is to draw.
    """

    factors: Callable[[Draw], torch.Tensor | None]

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Leave values out, and enlarge the others by as much, while the network learns."""
        if not self.training or self.p in {0, 1} or values.numel() == 0 or _is_transformed():
            return super().forward(values)
        strides = torch.empty_like(values).stride()
        factors = self.factors(Draw(values.shape, strides, values.dtype, self.p))
        if factors is None:
            return super().forward(values)
        return values.mul_(factors) if self.inplace else values * factors


def _is_transformed() -> bool:
    """Return whether `torch.vmap` or the like calls: it says itself what is drawn for how many values."""
    return torch._C._functorch.maybe_current_level() is not None


@contextmanager
def drawn_ahead(network: nn.Module, blocks: Iterable[Block]) -> Iterator[Iterator[Block]]:
    """Draw the dropout of the next block while a network learns from one, where there is a second core.

    It has the bits that torch draws, whatever else the network draws. Once it has drawn otherwise than foreseen,
    nothing is drawn ahead any more.

    Parameters
    ----------
    network
        On the CPU; it is called once for each block.
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
        try:
            for module in dropouts:
                module.__class__ = DrawnDropout
                assert isinstance(module, DrawnDropout)
                module.factors = ahead.take
            yield ahead.over(blocks)
        finally:
            for module in dropouts:
                module.__class__ = nn.Dropout
                vars(module).pop("factors", None)
            ahead.stop()


class _Made(NamedTuple):
    before: torch.Tensor
    """State of the generator before the factors were drawn."""
    factors: torch.Tensor
    after: torch.Tensor


class _Coming(NamedTuple):
    draw: Draw
    made: Future[_Made]


class _Ahead:
    """Draws of the steps to come."""

    def __init__(self, beside: ThreadPoolExecutor) -> None:
        self._beside = beside
        self._generator = torch.Generator()
        self._known: dict[tuple[int, ...], list[Draw]] = {}
        self._asked: list[Draw] = []
        self._coming: deque[_Coming] = deque()
        """Of the step at work."""
        self._next: deque[_Coming] = deque()
        self._foresees = True

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
        self._asked, self._coming, self._next = [], self._next, deque()
        are_drawn = bool(self._coming)
        if are_drawn:
            self._draw_for(following)
        yield block
        self._known[block.inputs.shape] = self._asked
        if self._coming:
            self.stop()  # The network drew less than for the last block of this shape.
        if not are_drawn:
            self._generator.set_state(torch.get_rng_state())
            self._draw_for(following)

    def _draw_for(self, following: Block | None) -> None:
        draws = self._known.get(following.inputs.shape, []) if following is not None and self._foresees else []
        self._next.extend(_Coming(draw, self._beside.submit(self._make, draw)) for draw in draws)

    def _make(self, draw: Draw) -> _Made:
        before = self._generator.get_state()
        return _Made(before, draw.make(self._generator), self._generator.get_state())

    def take(self, draw: Draw) -> torch.Tensor | None:
        """Return the factors that torch's generator has next, and move it on; None where they were not foreseen."""
        self._asked.append(draw)
        if not self._coming:
            return None
        coming = self._coming.popleft()
        if coming.draw == draw:
            made = coming.made.result()
            if torch.equal(made.before, torch.get_rng_state()):
                torch.set_rng_state(made.after)
                return made.factors
        self.stop()
        return None

    def stop(self) -> None:
        """Draw nothing ahead any more."""
        self._foresees = False
        for coming in (*self._coming, *self._next):
            coming.made.cancel()
        self._coming.clear()
        self._next.clear()
