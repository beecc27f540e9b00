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
from quant_pipeline.models.networks.cube import SessionCube

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
        self._hyper = hyper
        self.curve = curve
        self.importance = importance

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; a row without a whole window behind it is NaN.

        A network that looks across instruments sees those of the rows.
        """
        torch.set_num_threads(self._hyper.threads)
        scores = np.full(len(samples.rows), np.nan)
        cube = SessionCube(samples.features, samples.rows, self._hyper.panel_window)
        sessions, columns = cube.locate(samples.rows)
        usable = np.flatnonzero(cube.complete[sessions, columns])
        with torch.inference_mode():
            if looks_across(self.network):
                self._score_sessions(cube, sessions, columns, usable, scores)
            else:
                self._score_windows(cube, sessions, columns, usable, scores)
        return scores

    def _score_windows(
        self, cube: SessionCube, sessions: Places, columns: Places, usable: Places, scores: npt.NDArray[np.float64]
    ) -> None:
        # A batch of fixed size: matrix kernels round differently for other numbers of rows.
        padded = np.zeros((cube.window, SCORING_BATCH, cube.values.shape[2]), dtype=np.float32)
        for start in range(0, len(usable), SCORING_BATCH):
            rows = usable[start : start + SCORING_BATCH]
            padded[:, : len(rows)] = cube.windows(sessions[rows], columns[rows])
            scores[rows] = self.network(torch.from_numpy(padded))[0, : len(rows)].numpy()

    def _score_sessions(
        self, cube: SessionCube, sessions: Places, columns: Places, usable: Places, scores: npt.NDArray[np.float64]
    ) -> None:
        for session in np.unique(sessions[usable]):
            rows = usable[sessions[usable] == session]
            windows = torch.from_numpy(cube.windows(sessions[rows], columns[rows]))
            everyone = torch.ones((1, len(rows)), dtype=torch.bool)
            scores[rows] = score_block(self.network, windows, everyone)[0].numpy()

    def weights(self) -> dict[str, bytes]:
        """Return the parameters of the network as safetensors."""
        return {WEIGHTS: save({name: value.contiguous() for name, value in self.network.state_dict().items()})}


def load_network(weights: dict[str, bytes], n_factors: int, hyper: NetworkHyper) -> FittedNetwork:
    """Make the network again from its weights."""
    # On no device, so that no weights are drawn, which the loaded ones would replace.
    with torch.device("meta"):
        network = hyper.make_scorer(n_factors)
    network.load_state_dict(load(weights[WEIGHTS]), assign=True)
    return FittedNetwork(network, hyper, learning_curve([]), importance_table([], []))
