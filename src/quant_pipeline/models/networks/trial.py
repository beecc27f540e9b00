"""A first look at how a network learns: what it states of itself cannot be read from its class alone.

A network that computes its dropout a second time for its gradients (`torch.utils.checkpoint`) would draw other numbers
then, one that draws from torch's own generator would share it with other threads, and one that writes into its buffers
would write into those of the others. None of them says so, and each learns something else in groups.
"""

from __future__ import annotations

import copy
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn

from quant_pipeline.models.networks.blocks import JoinsInstruments, LearnsFromWhatItRead, LearnsInGhosts
from quant_pipeline.models.networks.cube import Block
from quant_pipeline.models.networks.groups import GroupDropout, draw_from

INSTRUMENTS = 2


def why_undivided(network: nn.Module, block: Block) -> str | None:
    """Let a copy of a network learn from a few instruments, and say why groups of them would learn something else.

    Parameters
    ----------
    network
        On the CPU, one that `can_be_divided`; it and torch's generator stay as they are.
    block
        The first one that it will learn from.

    Returns
    -------
    str or None
        What it does; None where groups learn what the whole network does.
    """
    tried = copy.deepcopy(network).train()
    draw_from(tried, np.random.default_rng(0))
    inputs, labels, present = (
        torch.from_numpy(np.ascontiguousarray(table[:, :INSTRUMENTS]))
        for table in (block.inputs, block.labels, block.present)
    )
    with torch.random.fork_rng(devices=[]):
        if isinstance(tried, LearnsInGhosts):
            rows = tried.begin_rows(inputs, torch.nan_to_num(labels)).detach()
            tried.note_statistics()
        drawn, kept = torch.get_rng_state(), _written(tried)
        if isinstance(tried, LearnsInGhosts):
            read = tried.read_rows(rows)
        elif isinstance(tried, JoinsInstruments):
            read = tried.read_instruments(inputs)
            if not isinstance(tried, LearnsFromWhatItRead):
                read = tried.join_instruments(read, present)
        else:
            read = tried(inputs)
        if not torch.equal(drawn, torch.get_rng_state()):
            return "draws from the generator of torch while it learns"
        if _written(tried) != kept:
            return "writes into its buffers while it learns"
        return _why_backward(tried, read) if read.requires_grad else None


def _written(network: nn.Module) -> list[tuple[int, int]]:
    """Return what changes with each writing into a buffer, or in the place of one."""
    return [(id(buffer), buffer._version) for buffer in network.buffers()]


class _DrawnAgainError(Exception):
    """Dropout is computed for gradients."""


class _Spent:
    """Takes the place of a generator from which everything has been drawn."""

    def random(self, *_: Any, **__: Any) -> NoReturn:
        raise _DrawnAgainError


def _why_backward(network: nn.Module, read: torch.Tensor) -> str | None:
    for module in network.modules():
        if isinstance(module, GroupDropout):
            module.generator = _Spent()  # type: ignore[assignment]
    try:
        read.sum().backward()
    except _DrawnAgainError:
        return "computes its dropout again for its gradients"
    return None
