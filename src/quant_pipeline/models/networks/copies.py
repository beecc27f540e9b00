"""Copies of a network that share its parameters, so that several threads compute with it at the same time.

A network may keep in itself what it computes, such as the weights of its attention. Threads that called the same one
would read what another of them has just kept there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

from quant_pipeline.common.cores import map_on_cores
from quant_pipeline.models.networks.known_state import known_numbers, share_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """Let the operations that the calling thread calls use so many threads for the length of a block.

    Threads that begin within the block start with as many. Where several of them have such a block of their own, the
    thread that waits for them has one around them: torch has one number for new threads, and the last block that
    ends sets it.
    """
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


def sharing_copy(network: nn.Module, *, with_buffers: bool = False) -> nn.Module:
    """Copy a network; the copy has parameters of its own, with gradients of their own, that share the values.

    Parameters
    ----------
    network
        On any device; see `can_be_copied`.
    with_buffers
        Whether buffers are shared as well.
    """
    shared: dict[int, Any] = {id(each): nn.Parameter(each.data, each.requires_grad) for each in network.parameters()}
    if with_buffers:
        shared |= {id(each): each.detach() for each in network.buffers()}
    return copy.deepcopy(network, shared)


def can_be_copied(network: nn.Module) -> bool:
    """Return whether a copy of a network is whole, and computes without the network.

    It is where everything that the network holds is known, see `known_numbers`, and lies in memory of its own.
    """
    numbers = known_numbers(network)
    return numbers is not None and not share_memory(numbers)


def map_with_copies(
    function: Callable[[nn.Module, Item], Result], network: nn.Module, items: Sequence[Item]
) -> list[Result]:
    """Call a function for every item, on all cores that there are, each time with a copy of a network of its own.

    Results have the same bits on any number of cores, whatever the network keeps in itself.

    Parameters
    ----------
    function
        Takes a copy of the network and an item. Operations of torch use one thread within it, and full precision.
    network
        On the CPU. One that cannot be copied is called itself, for one item after the other.
    items
        What the function is called with.

    Returns
    -------
    list
        In the order of the items.
    """

    def call(item: Item) -> Result:
        with threads_of_torch(1):
            return function(sharing_copy(network), item)

    # Neither the threads of torch nor a lower precision that the caller has chosen would hold in other threads.
    with threads_of_torch(1), torch.autocast("cpu", enabled=False):
        if can_be_copied(network):
            return map_on_cores(call, items)
        return [function(network, item) for item in items]
