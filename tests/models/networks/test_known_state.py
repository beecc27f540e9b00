"""What a network may hold so that a copy can stand for it: what is known, and nothing else."""

import logging
import random
import threading
import weakref
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property, partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from quant_pipeline.models.algorithms.networks import MLPHyper
from quant_pipeline.models.networks.copies import can_be_copied, sharing_copy
from quant_pipeline.models.networks.known_state import known_numbers

SEEN = {}


class Kind(Enum):
    WIDE = "wide"


class Size(NamedTuple):
    width: int
    kind: type


@dataclass
class Settings:
    names: list = field(default_factory=list)
    width: int = 3


class Helper:
    def __init__(self, network):
        self.network = network


class Changing:
    seen = SEEN


class Own(nn.Module):
    def __init__(self, factors=2):
        super().__init__()
        self.slope, self.out = nn.Linear(factors, factors), nn.Linear(factors, 1)

    def forward(self, block):
        return self.out(self.slope(block))[..., 0]


def own_with(**attributes):
    network = Own()
    for name, value in attributes.items():
        object.__setattr__(network, name, value(network) if type(value) is type(own_with) else value)
    return network


def holding(value):
    return lambda network: value


KNOWN = {
    "numbers": {"a": 1, "b": 2.5, "c": "x", "d": (1, None), "e": np.float32(2), "f": torch.float32, "g": range(3)},
    "tables": {"a": [1, {"x": {2}}], "b": {("y", 3): [b"z"]}},
    "array": {"a": np.arange(3.0)},
    "tensor": {"a": torch.ones(3), "b": [torch.zeros(2), torch.zeros(2)], "device": torch.device("cpu")},
    "records": {"a": Settings(["x"]), "b": Size(3, nn.ReLU), "c": Kind.WIDE, "d": MLPHyper(hidden=[8])},
    "function": {"a": holding(torch.tanh), "b": holding(nn.functional.relu), "c": holding(own_with)},
    "method": {"a": lambda network: network.forward},
    "parts": {"a": lambda network: [network.slope, network.out], "b": lambda network: {"x": network.slope.weight}},
    "itself": {"a": Helper, "b": lambda network: [network]},
}
UNKNOWN = {
    "logger": {"a": logging.Logger("own")},
    "generator": {"a": np.random.default_rng(1), "b": random.Random(1)},
    "generator of torch": {"a": torch.Generator()},
    "lock": {"a": threading.Lock()},
    "file": {"a": logging.StreamHandler().stream},
    "reference": {"a": weakref.ref},
    "proxy": {"a": lambda network: [weakref.proxy(network)]},
    "reference to a weight": {"a": lambda network: weakref.ref(network.slope.weight)},
    "default": {"a": lambda network: lambda block, own=network: own},
    "named default": {"a": lambda network: lambda block, *, own=network: own},
    "closure": {"a": lambda network: lambda block: network},
    "nested closure": {"a": lambda network: (lambda inner: lambda: inner())(lambda: network)},
    "partial": {"a": lambda network: partial(print, network)},
    "method of a table": {"a": holding([].append)},
    "class of another language": {"a": holding(partial)},
    "changing class": {"a": Changing()},
    "module that is no part": {"a": nn.Dropout(0.5)},
    "learning elsewhere": {"a": nn.Parameter(torch.ones(2))},
    "history": {"a": lambda network: network.slope.weight * 2},
    "part of a weight": {"a": lambda network: network.slope.weight.detach()[0]},
    "array of a weight": {"a": lambda network: network.slope.weight.detach().numpy()},
    "objects": {"a": np.array([Own], dtype=object)},
    "on no device": {"a": torch.device("meta")},
    "sparse": {"a": torch.ones(2).to_sparse()},
    "list of a kind of its own": {"a": type("Names", (list,), {})()},
}


@pytest.mark.parametrize("attributes", KNOWN.values(), ids=KNOWN)
def test_settings_and_parts_of_a_network_are_known_and_a_copy_has_its_own(attributes):
    network = own_with(**attributes)
    assert can_be_copied(network)
    block = torch.ones(1, 2)
    assert torch.equal(sharing_copy(network)(block), network(block))


@pytest.mark.parametrize("attributes", UNKNOWN.values(), ids=UNKNOWN)
def test_what_may_reach_past_a_copy_is_not_known(attributes):
    assert not can_be_copied(own_with(**attributes))


HOOKS = {
    "forward": lambda network, hook: network.slope.register_forward_hook(hook),
    "before": lambda network, hook: network.register_forward_pre_hook(hook),
    "backward": lambda network, hook: network.slope.register_full_backward_hook(hook),
    "before backward": lambda network, hook: network.slope.register_full_backward_pre_hook(hook),
    "state": lambda network, hook: network.register_state_dict_post_hook(hook),
    "loading": lambda network, hook: network.register_load_state_dict_post_hook(hook),
    "gradient": lambda network, hook: network.slope.weight.register_hook(hook),
    "added gradient": lambda network, hook: network.slope.weight.register_post_accumulate_grad_hook(hook),
    "all modules": lambda network, hook: nn.modules.module.register_module_forward_hook(hook),
}


@pytest.mark.parametrize("register", HOOKS.values(), ids=HOOKS)
def test_a_network_with_a_hook_is_not_known_until_it_is_removed(register):
    network = Own()
    handle = register(network, lambda *given: None)
    try:
        assert not can_be_copied(network)
    finally:
        handle.remove()
    assert can_be_copied(network)


@pytest.mark.parametrize(
    "attributes",
    [
        {"seen": SEEN},
        {"scale": torch.ones(2)},
        {"look": cache(len)},
        {"look": cached_property(len)},
        {"__slots__": ("seen",)},
        {"__deepcopy__": lambda self, known: self},
        {"__getstate__": vars},
        {"look": lambda self, seen=SEEN: seen},
        {"look": staticmethod(lambda seen=SEEN: seen)},
        {"look": property(lambda self, seen=SEEN: seen)},
        {"__call__": lambda self, block, seen=SEEN: seen},
        {"helper": Changing},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
def test_a_class_that_holds_what_can_change_is_not_known(attributes):
    assert not can_be_copied(type("Changeable", (Own,), attributes)())


def test_functions_of_a_class_may_know_constants_and_their_class():
    width, names = 3, ("a", Kind.WIDE)

    class Derived(Own):
        looks_across = False

        def forward(self, block):
            assert (width, names[1]) == (3, Kind.WIDE)
            return super().forward(block)

        @property
        def width(self):
            return width

        @classmethod
        def made(cls):
            return cls()

    assert can_be_copied(Derived.made())


def test_tied_weights_are_one_and_views_of_one_memory_are_not():
    tied, cut = Own(), Own()
    tied.again = nn.Linear(2, 2)
    tied.again.weight = tied.slope.weight
    cut.slope.weight = nn.Parameter(cut.slope.weight.data)
    assert can_be_copied(tied)
    assert can_be_copied(cut)
    cut.first = nn.Parameter(cut.slope.weight.data[0])
    assert not can_be_copied(cut)


def test_numbers_of_a_network_are_all_of_its_tensors_and_arrays():
    network = own_with(array=np.ones(2), mask=[torch.ones(1)])
    network.register_buffer("buffer", torch.zeros(2))
    assert len(known_numbers(network)) == 4 + 3
