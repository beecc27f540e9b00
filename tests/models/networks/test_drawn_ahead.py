"""Dropout that is drawn ahead has the bits of torch's own, whatever the network asks for."""

import os
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from quant_pipeline.common.cores import on_one_core
from quant_pipeline.models.networks.cube import Block
from quant_pipeline.models.networks.drawn_ahead import DrawnDropout, _Ahead, drawn_ahead

SIZES = [3, 5, 5, 5, 2, 5, 5, 3]
"""Sessions of each block: some of a shape that is known, some of none."""


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)


def block_of(sessions):
    table = np.ones((sessions, 4), dtype=np.float32)
    return Block(np.ones((sessions, 4, 2), dtype=np.float32), table, table > 0, 0, slice(None))


def plain(network, values, step):
    return network(values)


def transposed(network, values, step):
    return network[1](network[0](values).transpose(0, 2)).transpose(0, 2)


def fewer_at_times(network, values, step):
    return network[0](values) if step % 3 == 2 else network(values)


def others_at_times(network, values, step):
    return network(values[: 1 + step % 2])


def more_at_times(network, values, step):
    return network(network(values)) if step % 3 == 2 else network(values)


def another_draw(network, values, step):
    return network(values + torch.rand(1))


def another_draw_at_times(network, values, step):
    return network(values + torch.rand(1) if step % 3 == 2 else values)


def seeded_anew(network, values, step):
    torch.manual_seed(1)
    return network(values)


def drawn_for_each_of_many(network, values, step):
    return torch.vmap(network, randomness="different")(values)


def computed_once_more(network, values, step):
    values.requires_grad_()
    checkpoint(lambda given: network(given * 1), values, use_reentrant=False).square().sum().backward()
    return values.grad


def learn(network, forward):
    torch.manual_seed(1)
    found = []
    with drawn_ahead(network, map(block_of, SIZES)) as blocks:
        for step, block in enumerate(blocks):
            found.append(forward(network, torch.from_numpy(block.inputs).clone(), step))
    return [*found, torch.rand(3)]


@pytest.mark.parametrize(
    "dropouts",
    [
        (nn.Dropout(0.3), nn.Dropout(0.6)),
        (nn.Dropout(0.3, inplace=True), nn.Dropout(1.0)),
        (nn.Dropout(0.0), nn.Dropout(0.5)),
    ],
    ids=["both", "in place, and all", "one of them"],
)
@pytest.mark.parametrize(
    "forward",
    [
        plain,
        transposed,
        fewer_at_times,
        others_at_times,
        more_at_times,
        another_draw,
        another_draw_at_times,
        seeded_anew,
        drawn_for_each_of_many,
        computed_once_more,
    ],
)
def test_what_is_left_out_is_what_torch_leaves_out(dropouts, forward):
    network = nn.Sequential(*dropouts)
    with on_one_core():
        expected = learn(network, forward)
    found = learn(network, forward)
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_blocks_of_a_known_shape_are_drawn_in_another_thread(monkeypatch):
    network, threads = nn.Sequential(nn.Dropout(0.5)), []
    made = torch.Tensor.bernoulli_

    def noted(self, part, *, generator):
        threads.append(threading.current_thread())
        return made(self, part, generator=generator)

    monkeypatch.setattr(torch.Tensor, "bernoulli_", noted)
    learn(network, plain)
    assert len(threads) == len(SIZES) - len(set(SIZES))
    assert len(set(threads)) == 1
    assert threading.current_thread() not in threads


def test_torch_draws_where_something_else_was_foreseen(monkeypatch):
    network, taken = nn.Sequential(nn.Dropout(0.5)), []
    take = _Ahead.take

    def noted(self, draw):
        taken.append(take(self, draw))
        return taken[-1]

    monkeypatch.setattr(_Ahead, "take", noted)
    learn(network, another_draw_at_times)
    assert [factors is not None for factors in taken] == [False] * len(SIZES)


def test_a_network_is_itself_again_after_a_failure():
    network = nn.Sequential(nn.Dropout(0.5))

    def fail(network, values, step):
        assert type(network[0]) is DrawnDropout
        if step == 3:
            raise ValueError("too many")
        return network(values)

    with pytest.raises(ValueError, match="too many"):
        learn(network, fail)
    assert type(network[0]) is nn.Dropout
    assert vars(network[0]).keys() == vars(nn.Dropout(0.5)).keys()
