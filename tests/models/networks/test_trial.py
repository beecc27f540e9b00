"""A network that groups of instruments would teach something else is computed whole, however it is made."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from quant_pipeline.models.algorithms.network_record import NetworkHyper
from quant_pipeline.models.algorithms.networks import TabNetHyper
from quant_pipeline.models.networks.cube import Block
from quant_pipeline.models.networks.groups import can_be_divided
from quant_pipeline.models.networks.training import NetworkTraining, fit_network
from quant_pipeline.models.networks.trial import why_undivided
from quant_pipeline.models.randomness import seeded
from tests.helpers.divided_networks import DIVIDED, FACTORS, block_of


class Layered(nn.Module):
    """Layers with dropout, and a head; the first ones may be computed again for their gradients."""

    reads_instruments_alone = True

    def __init__(self, factors, again=None, part=None):
        super().__init__()
        self.again = again
        self.layers = nn.Sequential(nn.Linear(factors, 8), part or nn.Tanh(), nn.Dropout(0.4), nn.Linear(8, 8))
        self.head = nn.Linear(8, 1)

    def forward(self, block):
        if self.again is None or not self.training:
            read = self.layers(block)
        else:
            given = block.requires_grad_() if self.again else block
            read = checkpoint(self.layers, given, use_reentrant=self.again)
        return self.head(read)[..., 0]


class FunctionalDropout(Layered):
    """Draws from torch's own generator."""

    def forward(self, block):
        return nn.functional.dropout(super().forward(block), 0.5, self.training)


class Counting(Layered):
    """Puts another tensor in the place of a buffer."""

    def __init__(self, factors):
        super().__init__(factors)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, block):
        self.seen = self.seen + block.mean().detach()
        return super().forward(block) + self.seen


class Noting(nn.Module):
    """Notes the deviation of what it was given, and computes with it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("deviation", torch.ones(()))

    def forward(self, values):
        if self.training:
            self.deviation.lerp_(values.detach().std(), 0.1)
        return values / self.deviation


def as_block(values, window=1):
    shape = (len(values) - window + 1, values.shape[1])
    return Block(values.numpy(), np.zeros(shape, np.float32), np.ones(shape, bool), 0, slice(None))


AGAIN, DRAWS, WRITES = "computes its dropout again", "draws from the generator", "writes into its buffers"
NETWORKS = {
    "plain": (lambda: Layered(FACTORS), None),
    "checkpoint": (lambda: Layered(FACTORS, again=False), AGAIN),
    "reentrant checkpoint": (lambda: Layered(FACTORS, again=True), AGAIN),
    "functional dropout": (lambda: FunctionalDropout(FACTORS), DRAWS),
    "fractional pooling": (lambda: Layered(FACTORS, part=nn.FractionalMaxPool2d(1, output_size=(2, 8))), DRAWS),
    "own norm": (lambda: Layered(FACTORS, part=Noting()), WRITES),
    "replaced buffer": (lambda: Counting(FACTORS), WRITES),
    "spectral norm": (lambda: _spectral(Layered(FACTORS)), WRITES),
}


def _spectral(network):
    nn.utils.parametrizations.spectral_norm(network.head)
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_network_does_while_it_learns_is_seen_before_it_is_divided(name):
    make, reason = NETWORKS[name]
    torch.manual_seed(2)
    network, block = make(), as_block(block_of(8))
    before, drawn = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    assert can_be_divided(network)
    found = why_undivided(network, block)
    assert found is None if reason is None else found.startswith(reason)
    assert torch.equal(torch.get_rng_state(), drawn)
    for each, value in network.state_dict().items():
        torch.testing.assert_close(value, before[each], rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("hyper", [*DIVIDED.values(), TabNetHyper()], ids=[*DIVIDED, "tabnet"])
def test_networks_of_this_project_are_divided(hyper):
    hyper = hyper.model_copy(update={"dropout": 0.2})
    torch.manual_seed(2)
    network = hyper.make_scorer(FACTORS)
    assert why_undivided(network, as_block(block_of(window=hyper.panel_window), hyper.panel_window)) is None


class LayeredHyper(NetworkHyper):
    window: int = 1
    dropout: float = 0.4
    again: bool | None = None

    def make_network(self, factors):
        return Layered(factors, self.again)


@pytest.mark.parametrize("again", [False, True])
def test_gradients_are_those_of_the_dropout_that_was_drawn(again, samples):
    plain, checked = (
        fit_network(samples["train"], samples["valid"], LayeredHyper(again=each, epochs=2, threads=threads), seed=1)
        for each, threads in ((None, 1), (again, 2))
    )
    for name, value in plain.network.state_dict().items():
        torch.testing.assert_close(checked.network.state_dict()[name], value)


def test_a_network_that_only_draws_dropout_is_divided(samples):
    with seeded(1):
        training = NetworkTraining(samples["train"], samples["valid"], LayeredHyper(threads=2), seed=1)
    assert training._groups is not None
