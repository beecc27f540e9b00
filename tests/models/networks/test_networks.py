"""Networks alone: what a score may depend on, and that every weight learns."""

import numpy as np
import pytest
import torch

from quant_pipeline.exceptions import ModelError
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.hyper import ALSTMHyper, GRUHyper, LSTMHyper, MLPHyper, TCNHyper
from quant_pipeline.models.networks.build import build_network
from quant_pipeline.models.networks.training import NetworkTraining, fit_network

FACTORS, SESSIONS, INSTRUMENTS = 3, 6, 5
SMALL = {
    "mlp": MLPHyper(window=2, hidden=[8]),
    "gru": GRUHyper(window=7, hidden=8),
    "lstm": LSTMHyper(window=7, hidden=8, layers=2),
    "alstm": ALSTMHyper(window=7, hidden=8),
    "alstm of lstm": ALSTMHyper(window=7, hidden=8, unit="lstm"),
    "tcn": TCNHyper(channels=8, kernel=2, levels=2),
}
WITH_STATE = {"gru", "lstm", "alstm", "alstm of lstm"}


@pytest.fixture(params=SMALL)
def name(request):
    return request.param


@pytest.fixture
def network(name):
    torch.manual_seed(2)
    return build_network(FACTORS, SMALL[name]).eval()


def block_for(hyper, sessions=SESSIONS):
    random = np.random.default_rng(8)
    return torch.tensor(random.normal(size=(hyper.window - 1 + sessions, INSTRUMENTS, FACTORS)), dtype=torch.float32)


def test_a_block_gives_one_score_per_session_and_instrument(name, network):
    assert network(block_for(SMALL[name])).shape == (SESSIONS, INSTRUMENTS)


def test_a_session_scores_in_a_block_as_its_window_does_alone(name, network):
    hyper, block = SMALL[name], block_for(SMALL[name])
    scores = network(block)
    # State that flows through a block has seen more than the window from the second session on.
    for session in range(1 if name in WITH_STATE else SESSIONS):
        alone = network(block[session : session + hyper.window])[0]
        torch.testing.assert_close(scores[session], alone, rtol=0, atol=1e-6)


def test_a_score_depends_on_no_later_session_and_on_no_other_instrument(name, network):
    block = block_for(SMALL[name])
    scores = network(block)
    later, other = block.clone(), block.clone()
    later[-1] += 100
    torch.testing.assert_close(network(later)[:-1], scores[:-1], rtol=0, atol=1e-6)
    other[:, 0] += 100
    torch.testing.assert_close(network(other)[:, 1:], scores[:, 1:], rtol=0, atol=1e-6)


def test_a_score_depends_on_the_first_session_of_its_window(name, network):
    block = block_for(SMALL[name], sessions=1)
    changed = block.clone()
    changed[0] += 1
    assert ((network(changed) - network(block)).abs() > 1e-7).all()


def test_gradients_reach_every_weight_and_are_finite(name, network):
    network.train()
    network(block_for(SMALL[name])).square().sum().backward()
    for parameter, weight in network.named_parameters():
        assert torch.isfinite(weight.grad).all(), parameter
        assert weight.grad.abs().sum() > 0, parameter


@pytest.fixture(scope="module")
def samples(features, labels, segments):
    ranked = (labels.groupby("datetime").rank(pct=True) - 0.5).to_numpy(dtype="float32")
    days = features.index.get_level_values("datetime")
    rows = {name: np.flatnonzero(days.isin(segments[name])) for name in ("train", "valid")}
    return {name: Samples(features, places, ranked[places]) for name, places in rows.items()}


@pytest.mark.parametrize("loss", ["mse", "ic", "icir", "rank_ic"])
def test_every_loss_finds_the_planted_relation(loss, samples):
    hyper = MLPHyper(hidden=[8], loss=loss, epochs=3, learning_rate=0.02, batch_sessions=10, schedule="cosine")
    curve = fit_network(samples["train"], samples["valid"], hyper, seed=1).curve
    assert curve.loc[curve["metric"] == "valid_rank_ic", "value"].max() > 0.8


def test_the_loss_falls_from_epoch_to_epoch(samples):
    hyper = GRUHyper(window=3, hidden=8, dropout=0.0, learning_rate=0.01)
    training = NetworkTraining(samples["train"], samples["valid"], hyper, seed=1)
    losses = [training.run_epoch() for _ in range(4)]
    assert losses == sorted(losses, reverse=True)


def test_a_window_longer_than_the_history_names_the_remedy(samples):
    with pytest.raises(ModelError, match="choose a shorter window"):
        fit_network(samples["train"], samples["valid"], GRUHyper(window=150), seed=1)


def test_an_exploding_loss_names_the_remedy(samples):
    hyper = MLPHyper(hidden=[8], learning_rate=1e30, gradient_norm=1e30)
    with pytest.raises(ModelError, match="lower its learning_rate"):
        fit_network(samples["train"], samples["valid"], hyper, seed=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="an accelerator is at hand")
def test_a_missing_accelerator_names_the_remedy(samples):
    with pytest.raises(ModelError, match="use auto or cpu"):
        fit_network(samples["train"], samples["valid"], GRUHyper(device="cuda"), seed=1)
