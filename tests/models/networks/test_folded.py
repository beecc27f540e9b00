"""Rows that hold sixty sessions: a network scores them as the window that they are."""

import numpy as np
import pandas as pd
import pytest
import torch

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.alpha360 import EXPRESSIONS
from quant_pipeline.models.algorithms.networks import GATsHyper, GRUHyper, TCNHyper, TRAHyper
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.networks.blocks import LearnsItsOwnWay, looks_across, score_block
from quant_pipeline.models.networks.folded import fold, unfold_rows
from quant_pipeline.models.networks.losses import negative_correlation
from quant_pipeline.models.networks.training import fit_network
from quant_pipeline.models.spec import ModelSpec

DAYS, INSTRUMENTS, SESSIONS, FIELDS = 3, 4, 7, 2


@pytest.fixture
def block():
    return torch.randn(DAYS, INSTRUMENTS, FIELDS * SESSIONS, generator=torch.Generator().manual_seed(1))


def test_the_columns_of_alpha360_become_sixty_sessions_of_six_fields():
    names = list(EXPRESSIONS)
    places = torch.arange(len(names)).view(1, 1, -1)
    windows = unfold_rows(places, 60, 60)
    assert windows.shape == (60, 1, 1, 6)
    read = [[names[int(place)] for place in windows[session, 0, 0]] for session in (0, 58, 59)]
    assert read == [
        [f"{field}{age}" for field in ("CLOSE", "OPEN", "HIGH", "LOW", "VWAP", "VOLUME")] for age in (59, 1, 0)
    ]
    newest = unfold_rows(places, 60, 2)
    assert torch.equal(newest, windows[-2:])


@pytest.mark.parametrize("hyper", [GRUHyper(window=5, hidden=4), TCNHyper(kernel=2, levels=1, channels=4)])
def test_a_row_scores_as_its_newest_sessions_do_as_a_window(hyper, block):
    network = hyper.make_network(FIELDS).eval()
    scores = fold(network, SESSIONS, hyper.window)(block)
    assert scores.shape == (DAYS, INSTRUMENTS)
    for day in range(DAYS):
        for instrument in range(INSTRUMENTS):
            window = block[day, instrument].view(FIELDS, SESSIONS).T[-hyper.window :, None]
            torch.testing.assert_close(scores[day, instrument], network(window)[0, 0], rtol=0, atol=1e-6)


def test_attention_across_instruments_stays_within_the_day(block):
    network = fold(GATsHyper(window=7, hidden=4).make_network(FIELDS).eval(), SESSIONS, 7)
    present = torch.tensor([[True] * 4, [True, True, False, True], [True] * 4])
    assert looks_across(network)
    scores = score_block(network, block, present)
    other = block.clone()
    other[0] += 1
    torch.testing.assert_close(score_block(network, other, present)[1:], scores[1:])
    other = block.clone()
    other[1, 2] += 1  # It is not there, so none looks at it.
    torch.testing.assert_close(score_block(network, other, present)[1, [0, 1, 3]], scores[1, [0, 1, 3]])


def test_a_loss_by_session_still_sees_one_session_per_row(block):
    network = fold(TRAHyper(window=7, hidden=4, transport=0.0).make_network(FIELDS).eval(), SESSIONS, 7)
    labels = torch.randn(DAYS, INSTRUMENTS, generator=torch.Generator().manual_seed(2))
    assert isinstance(network, LearnsItsOwnWay)
    expected = negative_correlation(network(block), labels)
    torch.testing.assert_close(network.loss(block, labels, negative_correlation), expected)
    assert not isinstance(fold(GRUHyper(window=7).make_network(FIELDS), SESSIONS, 7), LearnsItsOwnWay)


def test_what_the_oldest_sessions_of_a_row_say_is_learned():
    days = pd.date_range("2024-01-01", periods=60, name="datetime")
    index = pd.MultiIndex.from_product(
        [days, [f"I{number:02}" for number in range(10)]], names=["datetime", "instrument"]
    )
    columns = [f"{field}{age}" for field in ("A", "B") for age in (3, 2, 1, 0)]
    panel = pd.DataFrame(np.random.default_rng(1).normal(size=(len(index), 8)).astype("float32"), index, columns)
    labels = panel["B3"].to_numpy()
    train, valid = (Samples(panel, rows, labels[rows]) for rows in np.split(np.arange(len(panel)), [400]))
    hyper = GRUHyper(row_sessions=4, window=4, hidden=8, epochs=6, learning_rate=0.03, batch_sessions=5)
    model = fit_network(train, valid, hyper, seed=1)
    assert model.window == 1
    assert np.corrcoef(model.predict(valid), valid.labels)[0, 1] > 0.8
    assert model.importance["factor"].iloc[0] == "B3"


def test_rows_that_do_not_fit_name_the_remedy():
    with pytest.raises(ModelError, match=r"158 factors are no whole number of fields of 60 sessions.*alpha360"):
        GRUHyper(row_sessions=60, window=60).make_scorer(158)
    with pytest.raises(ModelError, match="the window of the network is 29 sessions, and a row holds 20"):
        TCNHyper(row_sessions=20).make_scorer(40)


def test_a_score_of_a_folded_model_needs_one_row_and_others_keep_their_identity():
    entry = {"algorithm": "gru", "features": "alpha360", "hyper": {"row_sessions": 60, "window": 60}}
    folded = ModelSpec.model_validate(entry)
    assert (folded.window, folded.factors) == (1, None)
    assert ModelSpec.model_validate(folded.as_stored()) == folded
    plain = ModelSpec.model_validate({"algorithm": "gru", "features": "alpha158"})
    assert plain.window == 20
    # Bundles of the time before the key were hashed without it.
    assert "row_sessions" not in plain.as_stored()["hyper"]
