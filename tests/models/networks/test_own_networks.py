"""Networks of a user: what they keep in themselves, what they are made of, and what cannot be copied."""

import os
import threading
import weakref
from contextlib import nullcontext
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from quant_pipeline.common.cores import on_one_core
from quant_pipeline.models.algorithms.network_record import NetworkHyper
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.networks.copies import can_be_copied, map_with_copies
from quant_pipeline.models.networks.groups import GroupDropout, InstrumentGroups
from quant_pipeline.models.networks.importance import network_importance
from quant_pipeline.models.networks.scoring import SCORING_BATCH, FittedNetwork, load_network
from quant_pipeline.models.networks.training import NetworkTraining
from quant_pipeline.models.randomness import seeded
from quant_pipeline.testing.algorithm_contract import generator_states

FACTORS = 3


class Meeting:
    """Where the first two threads that compute wait for each other, each one once."""

    def __init__(self, threads):
        self._threads, self._barrier, self._here = threads, threading.Barrier(max(threads, 1)), threading.local()

    def wait(self):
        if self._threads > 1 and not hasattr(self._here, "was"):
            self._here.was = True
            self._barrier.wait(timeout=60)


meeting = Meeting(1)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)


@pytest.fixture
def on_cores(monkeypatch):
    """Compute something on so many cores, whose threads meet between keeping and using."""

    def compute(cores, function):
        monkeypatch.setattr(f"{__name__}.meeting", Meeting(cores))
        with on_one_core() if cores == 1 else nullcontext():
            return function()

    return compute


class Gated(nn.Module):
    """Keeps its gate, as many networks keep their attention for a look at it."""

    def __init__(self, factors):
        super().__init__()
        self.enter, self.gate_of, self.out = nn.Linear(factors, 8), nn.Linear(factors, 8), nn.Linear(8, 1)

    def forward(self, block, present=None):
        self.gate = torch.sigmoid(self.gate_of(block))
        meeting.wait()
        return self.out(self.enter(block) * self.gate)[..., 0]


class GatedAcross(Gated):
    looks_across = True


class Counting(Gated):
    """Scores depend on how often it was called."""

    def __init__(self, factors):
        super().__init__(factors)
        self.register_buffer("calls", torch.zeros(()))
        self.called = 0

    def forward(self, block, present=None):
        self.calls += 1
        self.called += 1
        return super().forward(block) + self.calls + self.called


class Hooked(Gated):
    """Keeps its gate by a hook that knows the network, so that a copy would not have the gate."""

    def __init__(self, factors):
        super().__init__(factors)
        self.gate_of.register_forward_hook(lambda module, inputs, output: setattr(self, "kept", output))

    def forward(self, block, present=None):
        self.gate_of(block)
        return self.out(self.enter(block) * torch.sigmoid(self.kept))[..., 0]


class Locked(Gated):
    def __init__(self, factors):
        super().__init__(factors)
        self.lock = threading.Lock()

    def forward(self, block, present=None):
        return self.out(self.enter(block) * torch.sigmoid(self.gate_of(block)))[..., 0]


class KnownToItsPart(Hooked):
    def __init__(self, factors):
        super().__init__(factors)
        self.gate_of._forward_hooks.clear()
        self.enter.whole = weakref.ref(self)

    def forward(self, block, present=None):
        self.enter.whole().kept = self.gate_of(block)
        return self.out(self.enter(block) * torch.sigmoid(self.kept))[..., 0]


def hyper_of(kind, **settings):
    class OwnHyper(NetworkHyper):
        window: int = 1

        def make_network(self, factors):
            return kind(factors)

    return OwnHyper(**settings)


def fitted_of(kind):
    hyper = hyper_of(kind)
    with seeded(1):
        return FittedNetwork(hyper.make_scorer(FACTORS), hyper, learning_curve([]), importance_table([], []))


@pytest.fixture(scope="module")
def everyone():
    index = pd.MultiIndex.from_product(
        [pd.date_range("2020-01-01", periods=3 * SCORING_BATCH // 200), [f"I{number:03d}" for number in range(200)]],
        names=["datetime", "instrument"],
    )
    values = np.random.default_rng(0).standard_normal((len(index), FACTORS)).astype("float32")
    table = pd.DataFrame(values, index=index, columns=list("abc"))
    return Samples(table, np.arange(len(table)), np.zeros(len(table), dtype="float32"))


@pytest.mark.parametrize("kind", [Gated, GatedAcross, Counting])
def test_what_a_network_keeps_in_itself_reaches_no_other_thread(kind, everyone, on_cores):
    fitted = fitted_of(kind)
    one, two = (on_cores(cores, lambda: fitted.predict(everyone)) for cores in (1, 2))
    np.testing.assert_array_equal(two, one)
    assert np.isfinite(one).all()


@pytest.mark.parametrize("kind", [Gated, GatedAcross])
def test_importance_of_a_network_that_keeps_something_is_the_same_on_any_cores(kind, everyone, on_cores):
    network = fitted_of(kind).network
    one, two = (on_cores(cores, lambda: network_importance(network, everyone, 1, threads=4)) for cores in (1, 2))
    pd.testing.assert_frame_equal(two, one, check_exact=True)
    assert len(one) == FACTORS


def hooked_by(make_hook):
    class HookedNetwork(Hooked):
        def __init__(self, factors):
            super().__init__(factors)
            self.gate_of._forward_hooks.clear()
            self.gate_of.register_forward_hook(make_hook(self))

    return HookedNetwork


def keep_in(name, network, module, inputs, output):
    setattr(network, name, output)


class HookedByProxy(Hooked):
    def __init__(self, factors):
        super().__init__(factors)
        self.gate_of._forward_hooks.clear()
        object.__setattr__(self.gate_of, "whole", weakref.proxy(self))
        self.gate_of.register_forward_hook(lambda module, inputs, output: setattr(module.whole, "kept", output))


HOOKED = {
    "closure": Hooked,
    "proxy": HookedByProxy,
    "default": hooked_by(lambda own: lambda module, inputs, output, whole=own: setattr(whole, "kept", output)),
    "partial": hooked_by(lambda own: partial(keep_in, "kept", own)),
}


@pytest.mark.parametrize("kind", [*HOOKED.values(), Locked, KnownToItsPart], ids=[*HOOKED, "lock", "reference"])
def test_a_network_that_cannot_be_copied_scores_itself(kind, everyone):
    fitted, copied = fitted_of(kind), fitted_of(Gated)
    assert can_be_copied(copied.network)
    assert not can_be_copied(fitted.network)
    np.testing.assert_array_equal(fitted.predict(everyone), copied.predict(everyone))


def test_a_network_that_was_called_beside_still_scores(everyone):
    fitted = fitted_of(Gated)
    before = fitted.predict(everyone)
    fitted.network(torch.ones(1, 2, FACTORS))
    np.testing.assert_array_equal(fitted.predict(everyone), before)


def test_a_network_that_cannot_be_copied_learns_undivided(samples):
    class Alone(Locked):
        reads_instruments_alone = True

    with seeded(1):
        training = NetworkTraining(samples["train"], samples["valid"], hyper_of(Alone, threads=2), seed=1)
        assert np.isfinite(training.run_epoch())


def test_new_threads_have_as_many_threads_of_torch_as_before(on_cores):
    def of_a_new_thread():
        found = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        return found[0]

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for _ in range(10):
            on_cores(2, lambda: map_with_copies(lambda network, item: meeting.wait(), nn.Linear(1, 1), range(8)))
            assert (torch.get_num_threads(), of_a_new_thread()) == (3, 3)
    finally:
        torch.set_num_threads(before)


class OneDropout(nn.Module):
    """One dropout under two names, and in a part that has two names itself."""

    def __init__(self):
        super().__init__()
        self.first = self.second = nn.Dropout(0.5)
        self.part = self.again = nn.Sequential(nn.Linear(FACTORS, FACTORS), nn.Dropout(0.5), self.first)

    def forward(self, block):
        return self.second(self.again(self.first(self.part(block)))).sum(dim=-1)


def test_one_dropout_under_two_names_gives_the_same_losses_on_any_cores():
    def losses(cores):
        torch.manual_seed(cores)
        with seeded(1):
            network, block = OneDropout(), torch.randn(5, 40, FACTORS)
        with on_one_core() if cores == 1 else nullcontext():
            groups = InstrumentGroups(network, 2, seed=1)
            with groups.in_threads(learning=True):
                return [float(groups.learn(block, lambda scores: scores.square().sum())) for _ in range(3)]

    assert losses(1) == losses(2)


def test_one_dropout_under_two_names_is_replaced_by_one():
    network = InstrumentGroups(OneDropout(), 2, seed=1)._groups[0].network
    assert {type(module) for module in network.modules()} == {OneDropout, nn.Sequential, nn.Linear, GroupDropout}
    assert network.first is network.second is network.part[2]


class Scaled(nn.Module):
    """Multiplies with numbers that are not stored among its weights."""

    def __init__(self, factors, scale):
        super().__init__()
        self.slope, self.how = nn.Linear(factors, 1), scale
        match scale:
            case "buffer":
                self.register_buffer("scale", torch.full((factors,), 2.0), persistent=False)
            case "tensor":
                self.scale = torch.full((factors,), 2.0)
            case "list":
                self.scales = [torch.full((factors,), 2.0)]
            case "number":
                self.scale = float(torch.tensor(4.0).sqrt())
            case "array":
                self.scale = float(torch.full((factors,), 2.0).numpy().max())

    def forward(self, block):
        return self.slope(block * (self.scales[0] if self.how == "list" else self.scale))[..., 0]


@pytest.mark.parametrize("scale", ["buffer", "tensor", "list", "number", "array"])
def test_a_network_with_numbers_beside_its_weights_scores_after_loading_as_before(scale, everyone):
    fitted = fitted_of(lambda factors: Scaled(factors, scale))
    before = generator_states()
    loaded = load_network(fitted.weights(), FACTORS, hyper_of(lambda factors: Scaled(factors, scale)))
    assert generator_states() == before
    np.testing.assert_array_equal(loaded.predict(everyone), fitted.predict(everyone))
