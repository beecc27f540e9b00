"""A trained network and how it scores: window by window, so that a score depends on its own window only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import load, save
from torch import nn

from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.hyper import NetworkHyper
from quant_pipeline.models.networks.build import build_network
from quant_pipeline.models.networks.cube import SessionCube

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
    """

    def __init__(self, network: nn.Module, hyper: NetworkHyper, curve: pd.DataFrame) -> None:
        self._network = network.eval()
        self._hyper = hyper
        self.curve = curve
        self.importance = importance_table([], [])

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; a row without a whole window behind it is NaN."""
        torch.set_num_threads(self._hyper.threads)
        scores = np.full(len(samples.rows), np.nan)
        cube = SessionCube(samples.features, samples.rows, self._hyper.window)
        sessions, columns = cube.locate(samples.rows)
        usable = np.flatnonzero(cube.complete[sessions, columns])
        # A batch of fixed size: matrix kernels round differently for other numbers of rows.
        padded = np.zeros((self._hyper.window, SCORING_BATCH, samples.features.shape[1]), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(usable), SCORING_BATCH):
                rows = usable[start : start + SCORING_BATCH]
                padded[:, : len(rows)] = cube.windows(sessions[rows], columns[rows])
                scores[rows] = self._network(torch.from_numpy(padded))[0, : len(rows)].numpy()
        return scores

    def weights(self) -> dict[str, bytes]:
        """Return the parameters of the network as safetensors."""
        return {WEIGHTS: save({name: value.contiguous() for name, value in self._network.state_dict().items()})}


def load_network(weights: dict[str, bytes], n_factors: int, hyper: NetworkHyper) -> FittedNetwork:
    """Make the network again from its weights."""
    network = build_network(n_factors, hyper)
    network.load_state_dict(load(weights[WEIGHTS]))
    return FittedNetwork(network, hyper, learning_curve([]))
