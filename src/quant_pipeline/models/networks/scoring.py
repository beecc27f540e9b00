"""A trained network and how it scores: window by window, so that a score depends on its own window only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import load, save
from torch import nn

from quant_pipeline.models.algorithms.network_record import NetworkHyper
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.networks.blocks import looks_across, score_block
from quant_pipeline.models.networks.copies import map_with_copies
from quant_pipeline.models.networks.cube import SessionCube
from quant_pipeline.models.randomness import seeded

Places = npt.NDArray[np.int64]

WEIGHTS = "model.safetensors"
SCORING_BATCH = 1024


class FittedNetwork:
    """A network, kept as safetensors.

    Parameters
    ----------
    network, hyper
        The trained network, and what it was made from.
    curve
        What was seen while learning.
    importance
        Which factors the scores come from.
    """

    def __init__(self, network: nn.Module, hyper: NetworkHyper, curve: pd.DataFrame, importance: pd.DataFrame) -> None:
        self.network = network.eval()
        self.window = hyper.panel_window
        self.curve = curve
        self.importance = importance

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; a row without a whole window behind it is NaN.

        A network that looks across instruments sees those of the rows. Batches, or sessions where it looks across, are
        computed on all cores, each by one of them, so that scores have the same bits on any number.
        """
        scores = np.full(len(samples.rows), np.nan)
        cube = SessionCube(samples.features, samples.rows, self.window)
        sessions, columns = cube.locate(samples.rows)
        usable = np.flatnonzero(cube.complete[sessions, columns])
        if looks_across(self.network):
            score, parts = _score_session, _sessions_of(usable, sessions)
        else:
            score, parts = (
                _score_windows,
                [usable[start : start + SCORING_BATCH] for start in range(0, len(usable), SCORING_BATCH)],
            )

        def score_part(network: nn.Module, rows: Places) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                return score(network, cube.windows(sessions[rows], columns[rows])).numpy()

        for rows, given in zip(parts, map_with_copies(score_part, self.network, parts), strict=True):
            scores[rows] = given
        return scores

    def weights(self) -> dict[str, bytes]:
        """Return the parameters of the network as safetensors."""
        return {WEIGHTS: save({name: value.contiguous() for name, value in self.network.state_dict().items()})}


def _score_windows(network: nn.Module, windows: npt.NDArray[np.float32]) -> torch.Tensor:
    # A batch of fixed size: matrix kernels round differently for other numbers of rows.
    rows = windows.shape[1]
    batch = np.pad(windows, ((0, 0), (0, SCORING_BATCH - rows), (0, 0))) if rows < SCORING_BATCH else windows
    scores: torch.Tensor = network(torch.from_numpy(batch))
    return scores[0, :rows]


def _score_session(network: nn.Module, windows: npt.NDArray[np.float32]) -> torch.Tensor:
    everyone = torch.ones((1, windows.shape[1]), dtype=torch.bool)
    return score_block(network, torch.from_numpy(windows), everyone)[0]


def _sessions_of(usable: Places, sessions: Places) -> list[Places]:
    return [usable[sessions[usable] == session] for session in np.unique(sessions[usable])]


def load_network(weights: dict[str, bytes], n_factors: int, hyper: NetworkHyper) -> FittedNetwork:
    """Make the network again from its weights."""
    network = _make_for_weights(hyper, n_factors)
    network.load_state_dict(load(weights[WEIGHTS]), assign=True)
    return FittedNetwork(network, hyper, learning_curve([]), importance_table([], []))


def _make_for_weights(hyper: NetworkHyper, n_factors: int) -> nn.Module:
    if type(hyper).make_network.__module__.partition(".")[0] == __name__.partition(".")[0]:
        # These have no other tensors than those that are stored. On no device, no weights are drawn.
        with torch.device("meta"):
            return hyper.make_scorer(n_factors)
    # Networks of a user may make others: a mask, or numbers that are read from a tensor.
    with seeded(0):
        return hyper.make_scorer(n_factors)
