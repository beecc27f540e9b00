"""Networks of a user from training to loading: the same whatever they are made of, on any number of cores."""

import logging
import threading
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from quant_pipeline.common.cores import map_on_cores, on_one_core
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.algorithms.network_record import NetworkHyper
from quant_pipeline.models.algorithms.networks import MLPHyper
from quant_pipeline.models.fitted import importance_table, learning_curve
from quant_pipeline.models.networks.copies import map_with_copies
from quant_pipeline.models.networks.scoring import FittedNetwork, load_network
from quant_pipeline.models.networks.training import NetworkTraining, fit_network
from quant_pipeline.models.randomness import seeded
from quant_pipeline.testing.algorithm_contract import generator_states

FACTORS = 3


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1}, raising=False)


class Alone(nn.Module):
    """Base of networks that may be divided."""

    reads_instruments_alone = True

    def __init__(self, factors):
        super().__init__()
        self.slope = nn.Linear(factors, 1)

    def forward(self, block):
        return self.slope(block)[..., 0]


class Hooked(Alone):
    """Keeps by a hook what it needs, and does not have it before."""

    def __init__(self, factors):
        super().__init__(factors)
        self.gate = nn.Linear(factors, 1)
        self.gate.register_forward_hook(lambda module, inputs, output, own=self: setattr(own, "kept", output))

    def forward(self, block):
        self.gate(block)
        return (self.slope(block) + self.kept)[..., 0]


class Frozen(Alone):
    """One of its weights learns nothing."""

    def __init__(self, factors):
        super().__init__(factors)
        self.slope.weight.data[0, 0] = 0
        self.slope.weight.register_hook(lambda gradient: gradient * torch.tensor([0.0] + [1.0] * (factors - 1)))


class Listed(Alone):
    """Knows its weights by a list."""

    def __init__(self, factors):
        super().__init__(factors)
        self.weights = [self.slope.weight, self.slope.bias]

    def forward(self, block):
        return nn.functional.linear(block, *self.weights)[..., 0]


class Stopped(Alone):
    """Uses its weights once more, without a gradient."""

    def __init__(self, factors):
        super().__init__(factors)
        self.still = self.slope.weight.detach()

    def forward(self, block):
        return (self.slope(block) + block @ self.still.T)[..., 0]


class Tied(Alone):
    def __init__(self, factors):
        super().__init__(factors)
        self.again = nn.Linear(factors, 1)
        self.again.weight = self.slope.weight

    def forward(self, block):
        return (self.slope(block) + self.again(torch.tanh(block)))[..., 0]


class Logging(Alone):
    def __init__(self, factors):
        super().__init__(factors)
        self.log = logging.Logger("own")


def hyper_of(kind, **settings):
    class OwnHyper(NetworkHyper):
        window: int = 1
        epochs: int = 2
        learning_rate: float = 0.05
        threads: int = 2

        def make_network(self, factors):
            return kind(factors)

    return OwnHyper(**settings)


@pytest.mark.parametrize("kind", [Hooked, Frozen, Listed, Stopped, Tied, Logging])
def test_a_network_scores_after_loading_as_before_on_any_cores(kind, samples, later_rows):
    hyper = hyper_of(kind)

    def fitted_on(cores):
        with on_one_core() if cores == 1 else nullcontext():
            fitted = fit_network(samples["train"], samples["valid"], hyper, seed=1)
            return fitted.weights(), fitted.predict(later_rows), fitted.importance

    (weights, scores, importance), (of_one, scores_of_one, importance_of_one) = fitted_on(2), fitted_on(1)
    assert weights == of_one
    np.testing.assert_array_equal(scores, scores_of_one)
    pd.testing.assert_frame_equal(importance, importance_of_one, check_exact=True)
    loaded = load_network(weights, FACTORS, hyper)
    np.testing.assert_array_equal(loaded.predict(later_rows), scores)
    assert loaded.weights() == weights
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("kind", [Frozen, Stopped])
def test_a_network_that_is_not_divided_learns_the_same_with_two_threads(kind, samples):
    one, two, again = (
        fit_network(samples["train"], samples["valid"], hyper_of(kind, threads=threads), seed=1)
        for threads in (1, 2, 2)
    )
    assert two.weights() == again.weights()
    # Threads of torch may add up a gradient in two parts, which depends on the processor.
    for name, value in one.network.state_dict().items():
        torch.testing.assert_close(two.network.state_dict()[name], value, rtol=1e-5, atol=1e-7)
    assert (two.network.slope.weight[0, 0] == 0) == (kind is Frozen)


@pytest.fixture
def busy():
    """A fit in another thread, which holds the random generators of the process until the test ends it."""
    begun, ended = threading.Event(), threading.Event()

    def fit():
        with seeded(1):
            begun.set()
            ended.wait(timeout=60)

    thread = threading.Thread(target=fit)
    thread.start()
    begun.wait(timeout=60)
    yield ended
    ended.set()
    thread.join()


def made_of(kind):
    with torch.random.fork_rng():
        return FittedNetwork(kind(FACTORS), hyper_of(kind), learning_curve([]), importance_table([], []))


def test_loading_does_not_wait_for_a_fit_and_takes_nothing_from_it(later_rows, busy):
    fitted = made_of(Alone)
    before = generator_states()
    loaded = load_network(fitted.weights(), FACTORS, hyper_of(Alone))
    assert generator_states() == before
    assert not busy.is_set()
    np.testing.assert_array_equal(loaded.predict(later_rows), fitted.predict(later_rows))


class Masked(Alone):
    """Has numbers that are not stored."""

    def __init__(self, factors):
        super().__init__(factors)
        self.mask = [torch.ones(factors) / 2]

    def forward(self, block):
        return super().forward(block * self.mask[0])


@pytest.mark.parametrize("kind", [Alone, Masked, Listed, Stopped])
def test_networks_are_loaded_in_threads_of_a_seeded_block(kind, later_rows):
    fitted = made_of(kind)

    def load(_):
        return load_network(fitted.weights(), FACTORS, hyper_of(kind)).predict(later_rows)

    found = []

    def load_some():
        with seeded(1):
            found.extend(map_on_cores(load, range(3)))

    thread = threading.Thread(target=load_some, daemon=True)
    thread.start()
    thread.join(timeout=60)
    np.testing.assert_array_equal(found, [fitted.predict(later_rows)] * 3)


@pytest.mark.parametrize("kind", [Masked, Listed, Stopped])
def test_a_network_that_needs_its_own_tensors_waits_for_a_fit_and_scores_as_before(kind, later_rows, busy):
    fitted = made_of(kind)
    made = []

    def make(factors):
        made.append(torch.get_default_device().type)
        busy.set()
        return kind(factors)

    loaded = load_network(fitted.weights(), FACTORS, hyper_of(make))
    assert made == ["meta", "cpu"]
    np.testing.assert_array_equal(loaded.predict(later_rows), fitted.predict(later_rows))


@pytest.mark.parametrize("cores", [1, 2])
def test_a_lower_precision_of_the_caller_changes_no_score_and_no_training(cores, samples, later_rows):
    hyper = hyper_of(lambda factors: MLPHyper(hidden=[64]).make_network(factors), epochs=1)

    def train():
        fitted = fit_network(samples["train"], samples["valid"], hyper, seed=1)
        return fitted.weights(), fitted.curve, fitted.predict(later_rows)

    expected = train()
    with on_one_core() if cores == 1 else nullcontext(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = train()
        parts = map_with_copies(lambda network, item: network(item).dtype, nn.Linear(3, 3), [torch.ones(3)] * 3)
    assert found[0] == expected[0]
    pd.testing.assert_frame_equal(found[1], expected[1], check_exact=True)
    np.testing.assert_array_equal(found[2], expected[2])
    assert set(parts) == {torch.float32}


class Remembering(Alone):
    def get_extra_state(self):
        return {"seen": 3}

    def set_extra_state(self, state):
        self.seen = state


class Sparse(Alone):
    def __init__(self, factors):
        super().__init__(factors)
        self.register_buffer("mask", torch.eye(factors).to_sparse())


@pytest.mark.parametrize(("kind", "name"), [(Remembering, "_extra_state"), (Sparse, "mask")])
def test_what_cannot_be_stored_is_refused_before_training(kind, name, samples):
    with pytest.raises(ModelError, match=f"cannot be stored: {name} of its `state_dict`"), seeded(1):
        NetworkTraining(samples["train"], samples["valid"], hyper_of(kind), seed=1)
