"""Networks alone: what a score may depend on, and that every weight learns."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.models.algorithms.networks import (
    ALSTMHyper,
    GATsHyper,
    GRUHyper,
    LocalformerHyper,
    LSTMHyper,
    MLPHyper,
    SFMHyper,
    TabNetHyper,
    TCNHyper,
    TRAHyper,
    TransformerHyper,
)
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.networks.blocks import looks_across, score_block
from quant_pipeline.models.networks.copies import can_be_copied
from quant_pipeline.models.networks.cube import SessionCube
from quant_pipeline.models.networks.importance import attribute_rows, integrate_gradients, network_importance
from quant_pipeline.models.networks.routed import assign_equally
from quant_pipeline.models.networks.scoring import FittedNetwork
from quant_pipeline.models.networks.training import NetworkTraining, fit_network
from quant_pipeline.models.randomness import seeded

FACTORS, SESSIONS, INSTRUMENTS = 3, 6, 5
SMALL = {
    "mlp": MLPHyper(window=2, hidden=[8]),
    "gru": GRUHyper(window=7, hidden=8),
    "lstm": LSTMHyper(window=7, hidden=8, layers=2),
    "alstm": ALSTMHyper(window=7, hidden=8),
    "alstm of lstm": ALSTMHyper(window=7, hidden=8, unit="lstm"),
    "tcn": TCNHyper(channels=8, kernel=2, levels=2),
    "transformer": TransformerHyper(hidden=8, heads=2, layers=2, span=3, feedforward=16),
    "localformer": LocalformerHyper(hidden=8, heads=2, layers=1, span=3, kernel=2, feedforward=16),
    "gats": GATsHyper(window=7, hidden=8),
    "tra": TRAHyper(window=7, hidden=8),
    "tabnet": TabNetHyper(window=2, decision=4, attention=4, relaxation=2.0),
    "sfm": SFMHyper(window=7, hidden=8, frequencies=3),
}
WITH_STATE = {"gru", "lstm", "alstm", "alstm of lstm", "gats", "tra", "sfm"}


@pytest.fixture(params=SMALL)
def name(request):
    return request.param


@pytest.fixture
def network(name):
    torch.manual_seed(2)
    return SMALL[name].make_network(FACTORS).eval()


@pytest.fixture
def score(name, network):
    def everyone_is_there(block):
        sessions = len(block) - SMALL[name].window + 1
        return score_block(network, block, torch.ones((sessions, block.shape[1]), dtype=torch.bool))

    return everyone_is_there


def block_for(hyper, sessions=SESSIONS):
    random = np.random.default_rng(8)
    return torch.tensor(random.normal(size=(hyper.window - 1 + sessions, INSTRUMENTS, FACTORS)), dtype=torch.float32)


def test_a_block_gives_one_score_per_session_and_instrument(name, score):
    assert score(block_for(SMALL[name])).shape == (SESSIONS, INSTRUMENTS)


def test_every_network_is_computed_by_several_threads(network):
    assert can_be_copied(network)


def test_a_session_scores_in_a_block_as_its_window_does_alone(name, score):
    hyper, block = SMALL[name], block_for(SMALL[name])
    scores = score(block)
    # State that flows through a block has seen more than the window from the second session on.
    for session in range(1 if name in WITH_STATE else SESSIONS):
        alone = score(block[session : session + hyper.window])[0]
        torch.testing.assert_close(scores[session], alone, rtol=0, atol=1e-6)


def test_a_score_depends_on_no_later_session(name, score):
    block = block_for(SMALL[name])
    later = block.clone()
    later[-1] += 100
    torch.testing.assert_close(score(later)[:-1], score(block)[:-1], rtol=0, atol=1e-6)


def test_only_a_network_that_says_so_looks_at_other_instruments(name, network, score):
    block = block_for(SMALL[name])
    other = block.clone()
    other[:, 0] += 1
    unchanged = torch.allclose(score(other)[:, 1:], score(block)[:, 1:], rtol=0, atol=1e-6)
    assert unchanged != looks_across(network)


def test_a_score_depends_on_the_first_session_of_its_window(name, score):
    block = block_for(SMALL[name], sessions=1)
    changed = block.clone()
    changed[0] += 1
    assert ((score(changed) - score(block)).abs() > 1e-7).all()


def test_gradients_reach_every_weight_and_are_finite(name, network, score):
    network.train()
    score(block_for(SMALL[name])).square().sum().backward()
    for parameter, weight in network.named_parameters():
        assert torch.isfinite(weight.grad).all(), parameter
        assert weight.grad.abs().sum() > 0, parameter


def test_integrated_gradients_add_up_to_the_score(name, network, score):
    windows = block_for(SMALL[name], sessions=1)
    difference = (score(windows) - score(torch.zeros_like(windows))).sum()
    attributions = integrate_gradients(network, windows, steps=60)
    assert attributions.shape == windows.shape
    torch.testing.assert_close(attributions.sum(), difference, rtol=0.02, atol=1e-3)


def test_the_attribution_of_each_row_adds_up_to_its_own_score_in_its_own_session(name, network, score):
    days = pd.date_range("2024-01-01", periods=14, name="datetime")
    index = pd.MultiIndex.from_product([days, list("ABCDE")], names=["datetime", "instrument"])
    panel = pd.DataFrame(np.random.default_rng(5).normal(size=(len(index), FACTORS)), index=index)
    # C is away on the thirteenth day, and so has no whole window on it or after it.
    panel = panel.drop((days[12], "C"))
    rows = np.arange(len(panel))
    cube = SessionCube(panel, rows, SMALL[name].window)
    # The last row of the twelfth day, and A and E of the last, C not being there.
    sessions, columns = np.array([11, 13, 13]), np.array([4, 0, 4])
    attribution = attribute_rows(network, cube, sessions, columns)
    assert attribution.shape == (3, FACTORS)
    for place, (session, column) in enumerate(zip(sessions, columns, strict=True)):
        there = np.flatnonzero(cube.complete[session])
        windows = torch.from_numpy(cube.windows(np.full(len(there), session), there))
        own = there.tolist().index(column)
        with torch.no_grad():
            change = (score(windows) - score(torch.zeros_like(windows)))[0, own]
        torch.testing.assert_close(attribution[place].sum(), change, rtol=0.02, atol=2e-3)


@pytest.mark.parametrize("hyper", [TransformerHyper(), LocalformerHyper(), TCNHyper(), GRUHyper(), MLPHyper()])
def test_parts_add_up_for_trained_networks_of_the_usual_size(hyper):
    """With 16 steps, one in eight rows of a trained TCN and three in four of a Transformer miss the tolerance."""
    with seeded(0):
        network = hyper.make_network(FACTORS).train()
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        for _ in range(15):
            block = torch.randn(hyper.window + 7, 24, FACTORS).clamp(-3, 3)
            newest = block[hyper.window - 1 :]
            target = newest[..., 0] * newest[..., 1] + 0.5 * newest[..., 2].abs()
            optimiser.zero_grad()
            (network(block) - target).square().mean().backward()
            optimiser.step()
    days = pd.date_range("2024-01-01", periods=hyper.window + 2, name="datetime")
    index = pd.MultiIndex.from_product([days, list("ABCDEFGH")], names=["datetime", "instrument"])
    panel = pd.DataFrame(np.random.default_rng(5).normal(size=(len(index), FACTORS)), index=index)
    cube = SessionCube(panel, np.arange(len(panel)), hyper.window)
    sessions, columns = np.repeat([len(days) - 2, len(days) - 1], 8), np.tile(np.arange(8), 2)
    attribution = attribute_rows(network.eval(), cube, sessions, columns)
    windows = torch.from_numpy(cube.windows(sessions, columns))
    with torch.no_grad():
        change = (network(windows) - network(torch.zeros_like(windows)))[0]
    torch.testing.assert_close(attribution.sum(dim=1), change, rtol=0.02, atol=2e-3)


def test_attention_sees_the_same_instruments_in_training_in_scoring_and_in_the_importance():
    """Five of eight are members, others each day; those that are none have factors too, and no say."""
    days = pd.date_range("2024-01-01", periods=40, name="datetime")
    index = pd.MultiIndex.from_product([days, list("ABCDEFGH")], names=["datetime", "instrument"])
    random = np.random.default_rng(5)
    panel = pd.DataFrame(random.normal(size=(len(index), FACTORS)), index=index)
    member = random.permuted(np.tile(np.arange(8) < 5, (40, 1)), axis=1).ravel()
    rows = np.flatnonzero(member)
    train, valid = (
        Samples(panel, part, random.normal(size=len(part)).astype("float32")) for part in np.split(rows, [100])
    )
    hyper = SMALL["gats"]
    with seeded(0):
        training = NetworkTraining(train, valid, hyper, seed=0)
        network = hyper.make_network(FACTORS)
        network.load_state_dict(training.weights())
        in_training = training.validation_rank_ic()
    fitted = FittedNetwork(network, hyper, learning_curve([]), importance_table([], []))
    scores = pd.Series(fitted.predict(valid), index=panel.index[valid.rows])
    labels = pd.Series(valid.labels, index=scores.index)
    assert in_training == pytest.approx(information_coefficients(scores, labels)["rank_ic"].mean(), abs=1e-12)

    cube = SessionCube(panel, valid.rows, hyper.window)
    sessions, columns = (places[-5:] for places in cube.locate(valid.rows))
    baseline = Samples(panel * 0.0, valid.rows, np.empty(0, dtype="float32"))
    changes = (fitted.predict(valid) - fitted.predict(baseline))[-5:]
    parts = attribute_rows(network, cube, sessions, columns).sum(dim=1).numpy()
    np.testing.assert_allclose(parts, changes, rtol=0.02, atol=2e-3)


class Leap(torch.nn.Module):
    """A score with a leap: its gradient is zero wherever there is one, so no parts can add up to it."""

    def forward(self, block):
        return torch.where(block[..., 0] > 0.5, 1.0, 0.0) + 0.0 * block.sum(dim=-1)


def test_parts_that_never_add_up_are_no_importance(caplog):
    days = pd.date_range("2024-01-01", periods=3, name="datetime")
    index = pd.MultiIndex.from_product([days, ["A", "B"]], names=["datetime", "instrument"])
    panel = pd.DataFrame({"leaps": [0.0, 1.0] * 3, "nothing": 0.5}, index=index)
    samples = Samples(panel, np.arange(6), np.zeros(6))
    assert network_importance(Leap(), samples, window=1).empty
    assert "the parts of 3 of 6 rows do not add up to their scores" in caplog.text


def test_an_instrument_that_is_not_there_is_not_looked_at():
    torch.manual_seed(2)
    network, block = SMALL["gats"].make_network(FACTORS).eval(), block_for(SMALL["gats"])
    present = torch.ones((SESSIONS, INSTRUMENTS), dtype=torch.bool)
    present[:, 0] = False
    without = network(block[:, 1:], present[:, 1:])
    torch.testing.assert_close(network(block, present)[:, 1:], without, rtol=0, atol=1e-6)
    present[2] = False
    assert torch.isfinite(network(block, present)).all()


def test_labels_are_assigned_to_heads_in_equal_parts():
    preference = torch.tensor([[3.0, 0.0], [3.0, 0.0], [3.0, 1.0], [3.0, 2.9]])
    assignment = assign_equally(preference)
    torch.testing.assert_close(assignment.sum(dim=1), torch.ones(4))
    assert assignment.sum(dim=0).tolist() == pytest.approx([2, 2], abs=0.1)
    assert assignment[3, 1] > assignment[2, 1] > assignment[0, 1]


def test_the_window_of_some_networks_follows_from_their_size():
    assert TCNHyper(kernel=5, levels=2).window == 25
    assert TransformerHyper(layers=3, span=5).window == 13
    assert LocalformerHyper(layers=2, span=5, kernel=3).window == 13
    with pytest.raises(ValueError, match="it is 25; leave it out"):
        TCNHyper(kernel=5, levels=2, window=20)
    with pytest.raises(ValueError, match="must divide hidden"):
        TransformerHyper(hidden=9, heads=2)
    with pytest.raises(ValueError, match="kernel"):
        TCNHyper(kernel="wide")


@pytest.mark.parametrize("loss", ["mse", "ic", "icir", "rank_ic"])
def test_every_loss_finds_the_planted_relation(loss, samples):
    hyper = MLPHyper(hidden=[8], loss=loss, epochs=3, learning_rate=0.02, batch_sessions=10, schedule="cosine")
    curve = fit_network(samples["train"], samples["valid"], hyper, seed=1).curve
    assert curve.loc[curve["metric"] == "valid_rank_ic", "value"].max() > 0.8


def test_the_loss_falls_from_epoch_to_epoch(samples):
    hyper = GRUHyper(window=3, hidden=8, dropout=0.0, learning_rate=0.01)
    with seeded(1):
        training = NetworkTraining(samples["train"], samples["valid"], hyper, seed=1)
        losses = [training.run_epoch() for _ in range(4)]
    assert losses == sorted(losses, reverse=True)


def test_a_window_longer_than_the_history_names_the_remedy(samples):
    with pytest.raises(ModelError, match="choose a shorter window"):
        fit_network(samples["train"], samples["valid"], GRUHyper(window=150), seed=1)


def test_a_network_that_validation_cannot_judge_is_not_kept(samples):
    """Without a single score to compare, the best epoch would be the weights before the first one."""
    valid = samples["valid"]
    lonely = replace(valid, rows=valid.rows[:1], labels=valid.labels[:1])
    with pytest.raises(ModelError, match="no epoch has a validation rank IC"):
        fit_network(samples["train"], lonely, MLPHyper(hidden=[8], epochs=2), seed=1)


def test_an_exploding_loss_names_the_remedy(samples):
    hyper = MLPHyper(hidden=[8], learning_rate=1e30, gradient_norm=1e30)
    with pytest.raises(ModelError, match="lower its learning_rate"):
        fit_network(samples["train"], samples["valid"], hyper, seed=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="an accelerator is at hand")
def test_a_missing_accelerator_names_the_remedy(samples):
    with pytest.raises(ModelError, match="use auto or cpu"):
        fit_network(samples["train"], samples["valid"], GRUHyper(device="cuda"), seed=1)
