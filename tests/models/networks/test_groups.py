"""Networks that are computed by groups of instruments: the same as the whole, and the same on any number of cores."""

import copy
import os
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from quant_pipeline.common.cores import on_one_core
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.algorithms.networks import GATsHyper, GRUHyper, MLPHyper, TabNetHyper, TCNHyper, TRAHyper
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.networks.blocks import JoinsInstruments, LearnsFromWhatItRead, score_block
from quant_pipeline.models.networks.groups import GroupDropout, InstrumentGroups, can_be_divided
from quant_pipeline.models.networks.losses import LOSSES
from quant_pipeline.models.networks.scoring import SCORING_BATCH, FittedNetwork
from quant_pipeline.models.networks.training import NetworkTraining, fit_network
from quant_pipeline.models.randomness import seeded
from tests.helpers.divided_networks import DIVIDED, FACTORS, INSTRUMENTS, SESSIONS, block_of


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)


def labels_of(instruments=INSTRUMENTS):
    labels = torch.randn(SESSIONS, instruments, generator=torch.Generator().manual_seed(4))
    labels[1, 2] = labels[3, 0] = torch.nan
    return labels


def whole_loss(network, block, present, labels, of_scores):
    if isinstance(network, LearnsFromWhatItRead):
        return network.loss(block, labels, of_scores)
    return of_scores(score_block(network, block, present), labels)


def loss_of_groups(groups, network, block, present, labels, of_scores):
    if isinstance(network, LearnsFromWhatItRead):
        return groups.learn(block, lambda read: network.loss_of_read(read, labels, of_scores))
    return groups.learn(block, lambda scores: of_scores(scores, labels), present)


@pytest.mark.parametrize("loss", ["mse", "icir", "rank_ic"])
@pytest.mark.parametrize("name", DIVIDED)
def test_scores_loss_and_gradients_of_groups_are_those_of_the_whole(name, loss):
    hyper = DIVIDED[name]
    torch.manual_seed(2)
    network = hyper.make_scorer(FACTORS)
    block, labels = block_of(window=hyper.panel_window), labels_of()
    if isinstance(network, JoinsInstruments):
        # Sums over all instruments, of which some are nothing but rounding.
        network, block, labels = network.double(), block.double(), labels.double()
    groups = InstrumentGroups(network, 3, seed=1)
    present = torch.ones(SESSIONS, INSTRUMENTS, dtype=torch.bool)
    present[2, :3] = present[4] = False
    given = present if isinstance(network, JoinsInstruments) else None
    expected = score_block(network, block, present)
    expected_loss = whole_loss(network, block, present, labels, LOSSES[loss])
    expected_loss.backward()
    gradients = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    with groups.in_threads(learning=True):
        found = loss_of_groups(groups, network, block, given, labels, LOSSES[loss])
    torch.testing.assert_close(found, expected_loss.detach())
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)
    with groups.in_threads(learning=False):
        torch.testing.assert_close(groups.score(block, given), expected.detach(), rtol=1e-5, atol=1e-6)


def test_groups_learn_with_the_values_that_the_network_has_now():
    torch.manual_seed(2)
    network = DIVIDED["gru"].make_scorer(FACTORS)
    groups = InstrumentGroups(network, 2, seed=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
    network.load_state_dict({name: value + 0.1 for name, value in network.state_dict().items()})
    block = block_of(window=4)
    with groups.in_threads(learning=False):
        torch.testing.assert_close(groups.score(block), network(block).detach())


def test_a_block_of_fewer_instruments_than_groups_has_gradients_of_its_own_alone():
    torch.manual_seed(2)
    network = DIVIDED["gru"].make_scorer(FACTORS)
    groups = InstrumentGroups(network, 4, seed=1)
    with groups.in_threads(learning=True):
        groups.learn(block_of(window=4), lambda scores: scores.square().sum())
        groups.learn(block_of(1, window=4), lambda scores: scores.square().sum())
    found = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    network(block_of(1, window=4)).square().sum().backward()
    for parameter, gradient in zip(network.parameters(), found, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize(
    "hyper",
    [
        GRUHyper(window=3, hidden=8, epochs=2, dropout=0.3, threads=2),
        MLPHyper(hidden=[8], epochs=2, dropout=0.3, threads=3, loss="icir"),
        GATsHyper(window=3, hidden=8, epochs=2, dropout=0.3, threads=2),
        TRAHyper(window=3, hidden=8, epochs=2, dropout=0.3, threads=2),
        TCNHyper(channels=8, kernel=2, levels=2, epochs=2, dropout=0.3, batch_sessions=4),
        GATsHyper(window=3, hidden=8, epochs=2, dropout=0.3, batch_sessions=4),
    ],
    ids=["gru", "mlp", "gats", "tra", "tcn of one thread", "gats of one thread"],
)
def test_one_core_and_two_train_the_same_network(hyper, samples, later_rows):
    def train(cores):
        with on_one_core() if cores == 1 else nullcontext():
            fitted = fit_network(samples["train"], samples["valid"], hyper, seed=5)
            return fitted.weights(), fitted.curve, fitted.importance, fitted.predict(later_rows)

    one, two = train(1), train(2)
    assert one[0] == two[0]
    pd.testing.assert_frame_equal(one[1], two[1], check_exact=True)
    pd.testing.assert_frame_equal(one[2], two[2], check_exact=True)
    np.testing.assert_array_equal(one[3], two[3])


@pytest.mark.parametrize("hyper", [GRUHyper(window=3, hidden=8), GATsHyper(window=3, hidden=8)], ids=["gru", "gats"])
def test_scores_have_the_same_bits_on_one_core_and_on_two(hyper, features):
    rows = np.arange(2 * SCORING_BATCH + 100)
    everyone = Samples(features, rows, np.empty(0, dtype="float32"))
    with seeded(1):
        network = hyper.make_scorer(features.shape[1])
    fitted = FittedNetwork(network, hyper, learning_curve([]), importance_table([], []))
    with on_one_core():
        expected = fitted.predict(everyone)
    np.testing.assert_array_equal(fitted.predict(everyone), expected)
    assert np.isfinite(expected).sum() > 2 * SCORING_BATCH


def test_what_is_dropped_depends_on_the_seed_and_is_another_part_in_every_group():
    """Two groups of equal instruments would have equal gradients without dropout of their own."""
    torch.manual_seed(2)
    network = GRUHyper(window=4, hidden=8, dropout=0.5).make_scorer(FACTORS)
    same = block_of(4, window=4).repeat(1, 2, 1)

    def scores_of(seed):
        found = []
        groups = InstrumentGroups(network, 2, seed)
        with groups.in_threads(learning=True):
            groups.learn(same, lambda scores: found.append(scores.detach()) or scores.sum())
        return found[0]

    before = torch.get_rng_state()
    first = scores_of(1)
    assert torch.equal(first, scores_of(1))
    assert not torch.equal(first, scores_of(2))
    assert not torch.equal(first[:, :4], first[:, 4:])
    assert torch.equal(torch.get_rng_state(), before)


def group_dropout(part, *, inplace=False):
    dropout = GroupDropout(part, inplace)
    dropout.generator = np.random.default_rng(1)
    return dropout


def test_dropout_in_place_changes_what_it_is_given():
    values = torch.ones(10, 10)
    found = group_dropout(0.5, inplace=True)(values)
    assert found is values
    assert set(values.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("inplace", [True, False])
def test_dropout_of_everything_leaves_nothing(inplace):
    assert not group_dropout(1.0, inplace=inplace)(torch.ones(10, 10)).any()


def test_dropout_keeps_the_kind_of_number():
    assert group_dropout(0.5)(torch.ones(3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_dropout_leaves_out_a_part_and_enlarges_the_rest():
    dropout = group_dropout(0.2)
    values = torch.ones(100, 1000, requires_grad=True)
    found = dropout(values)
    assert set(found.detach().unique().tolist()) == {0.0, 1.25}
    assert (found == 0).float().mean() == pytest.approx(0.2, abs=0.005)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())
    assert dropout.eval()(values) is values


GHOSTLY = {
    "rows": TabNetHyper(window=2, decision=4, attention=4, ghost_rows=8, sparsity=0.1),
    "folded": TabNetHyper(row_sessions=3, window=3, decision=4, attention=4, ghost_rows=8, sparsity=0.1),
    "one ghost": TabNetHyper(decision=4, attention=4, ghost_rows=100),
}


@pytest.mark.parametrize("name", GHOSTLY)
def test_groups_of_ghosts_learn_and_remember_what_the_whole_does(name):
    hyper = GHOSTLY[name]
    torch.manual_seed(2)
    whole = hyper.make_scorer(FACTORS).double()
    network = copy.deepcopy(whole)
    groups = InstrumentGroups(network, 3, seed=1)
    block, labels = block_of(window=hyper.panel_window).double(), labels_of().double()
    for _ in range(2):  # What is remembered of the first block is taken along.
        whole.zero_grad()
        network.zero_grad()
        expected = whole.loss(block, labels, LOSSES["mse"])
        expected.backward()
        with groups.in_threads(learning=True):
            found = groups.learn_by_ghosts(network, block, labels, LOSSES["mse"])
        torch.testing.assert_close(found, expected.detach())
        for own, one in zip(network.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(own.grad, one.grad)
    torch.testing.assert_close(network.state_dict(), whole.state_dict())
    whole.eval()
    with groups.in_threads(learning=False):
        torch.testing.assert_close(groups.score(block), whole(block).detach())


def test_one_core_and_two_train_the_same_network_of_ghosts(samples):
    hyper = TabNetHyper(decision=4, attention=4, ghost_rows=50, dropout=0.3, threads=2)

    def train(cores):
        with seeded(5), on_one_core() if cores == 1 else nullcontext():
            training = NetworkTraining(samples["train"], samples["valid"], hyper, seed=5)
            return [training.run_epoch(), training.validation_rank_ic()], training.weights()

    one, two = train(1), train(2)
    assert one[0] == two[0]
    assert all(torch.equal(value, two[1][name]) for name, value in one[1].items())


def test_the_networks_of_this_project_are_divided():
    hypers = [*DIVIDED.values(), *GHOSTLY.values()]
    assert all(can_be_divided(hyper.make_scorer(FACTORS)) for hyper in hypers)


def test_a_block_of_fewer_instruments_than_sessions_is_joined_by_more_groups_than_read_it():
    torch.manual_seed(2)
    network = DIVIDED["gats"].make_scorer(FACTORS)
    groups, block = InstrumentGroups(network, 4, seed=1), block_of(1, window=4)
    everyone = torch.ones(SESSIONS, 1, dtype=torch.bool)
    with groups.in_threads(learning=True):
        groups.learn(block, lambda scores: scores.square().sum(), everyone)
    found = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    network(block, everyone).square().sum().backward()
    for parameter, gradient in zip(network.parameters(), found, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


class Stating(nn.Module):
    """States that it may be divided, whatever its part does."""

    reads_instruments_alone = True

    def __init__(self, part):
        super().__init__()
        self.part = part


@pytest.mark.parametrize(
    ("part", "divided"),
    [
        (nn.Dropout(0.5), True),
        (nn.GRU(3, 3, 2), True),
        (nn.GRU(3, 3, 2, dropout=0.1), False),
        (nn.MultiheadAttention(4, 2, dropout=0.1), False),
        (nn.Dropout1d(0.5), False),
        (nn.Sequential(nn.Linear(3, 3), nn.AlphaDropout(0.5)), False),
        (nn.RReLU(), False),
        (nn.BatchNorm1d(3), False),
        (type("OwnDropout", (nn.Dropout,), {})(0.5), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_part_that_draws_from_what_threads_share_or_looks_across_keeps_a_network_whole(part, divided):
    assert can_be_divided(Stating(part)) == divided


class Refusing(nn.Module):
    """Scores nothing that is too large."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, block):
        if (block > 90).any():
            raise ValueError(f"{int(block.max())} is too large")
        return self.slope * block[..., 0]


@pytest.mark.parametrize("place", range(4))
def test_what_fails_in_a_group_is_raised_and_the_threads_end(place):
    block = block_of(4)
    block[2, place] = 100 + place
    groups = InstrumentGroups(Refusing(), 2, seed=1)
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match=f"{100 + place} is too large"), groups.in_threads(learning=True):
        groups.learn(block, torch.sum)
    assert torch.get_num_threads() == before


def test_an_exploding_loss_of_groups_names_the_remedy(samples):
    hyper = MLPHyper(hidden=[8], learning_rate=1e30, gradient_norm=1e30, threads=2)
    with pytest.raises(ModelError, match="lower its learning_rate"):
        fit_network(samples["train"], samples["valid"], hyper, seed=1)


@pytest.mark.parametrize("hyper", [GRUHyper(window=3, hidden=8, threads=3), GATsHyper(window=3, hidden=8, threads=3)])
def test_threads_of_torch_are_those_of_before_when_a_network_was_trained(hyper, samples, later_rows):
    before = torch.get_num_threads()
    with seeded(1):
        training = NetworkTraining(samples["train"], samples["valid"], hyper, seed=1)
        assert np.isfinite(training.run_epoch())
        assert np.isfinite(training.validation_rank_ic())
    assert torch.get_num_threads() == before
