"""The training loop of all networks."""

from __future__ import annotations

import copy
import logging

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import load, save
from torch import nn

from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.networks.gru import GRUScorer
from quant_pipeline.models.networks.sequences import Windows
from quant_pipeline.models.spec import GRUHyper

logger = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
SCORING_BATCH = 4096


class FittedNetwork:
    """A network, kept as safetensors."""

    def __init__(self, network: nn.Module, hyper: GRUHyper, curve: pd.DataFrame) -> None:
        self._network = network
        self._hyper = hyper
        self.curve = curve
        self.importance = importance_table([], [])

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; a row without a whole window behind it is NaN."""
        return _score(self._network, Windows(samples, self._hyper.window), self._hyper.threads)

    def weights(self) -> dict[str, bytes]:
        """Return the parameters of the network as safetensors."""
        return {WEIGHTS: save(dict(self._network.state_dict()))}


def fit_network(train: Samples, valid: Samples, hyper: GRUHyper, seed: int) -> FittedNetwork:
    """Train a network by mean squared error and keep the epoch with the best validation rank IC.

    Parameters
    ----------
    train, valid
        Samples of the two segments.
    hyper
        Hyper-parameters.
    seed
        Same seed and number of threads, same network, bit for bit.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(hyper.threads)
    torch.use_deterministic_algorithms(mode=True)
    network = _network(train.features.shape[1], hyper)
    optimiser = torch.optim.Adam(network.parameters(), lr=hyper.learning_rate)
    windows, valid_windows = Windows(train, hyper.window), Windows(valid, hyper.window)
    usable = np.flatnonzero(windows.complete)
    shuffle = np.random.default_rng(seed)
    best, best_score, waited, rows = copy.deepcopy(network.state_dict()), -np.inf, 0, []
    for epoch in range(1, hyper.epochs + 1):
        loss = _train_epoch(network, optimiser, windows, train.labels, shuffle.permutation(usable), hyper)
        rank_ic = _validation_rank_ic(network, valid, valid_windows, hyper.threads)
        rows += [(epoch, "train_l2", loss), (epoch, "valid_rank_ic", rank_ic)]
        logger.info("epoch %d of %d: training loss %.4f, validation rank IC %+.4f", epoch, hyper.epochs, loss, rank_ic)
        if rank_ic > best_score:
            best, best_score, waited = copy.deepcopy(network.state_dict()), rank_ic, 0
        else:
            waited += 1
            if waited == hyper.patience:
                break
    network.load_state_dict(best)
    return FittedNetwork(network, hyper, learning_curve(rows))


def load_network(weights: dict[str, bytes], n_factors: int, hyper: GRUHyper) -> FittedNetwork:
    """Make the network again from its weights."""
    network = _network(n_factors, hyper)
    network.load_state_dict(load(weights[WEIGHTS]))
    return FittedNetwork(network, hyper, learning_curve([]))


def _network(n_factors: int, hyper: GRUHyper) -> nn.Module:
    return GRUScorer(n_factors, hyper.hidden, hyper.layers, hyper.dropout)


def _train_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    windows: Windows,
    labels: npt.NDArray[np.float32],
    order: npt.NDArray[np.int64],
    hyper: GRUHyper,
) -> float:
    network.train()
    total = 0.0
    for start in range(0, len(order), hyper.batch_size):
        rows = order[start : start + hyper.batch_size]
        score = network(torch.from_numpy(windows.gather(rows)))
        loss = nn.functional.mse_loss(score, torch.from_numpy(labels[rows]))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), hyper.gradient_norm)
        optimiser.step()
        total += float(loss.detach()) * len(rows)
    return total / max(len(order), 1)


def _score(network: nn.Module, windows: Windows, threads: int) -> npt.NDArray[np.float64]:
    torch.set_num_threads(threads)
    network.eval()
    scores = np.full(len(windows.complete), np.nan)
    usable = np.flatnonzero(windows.complete)
    with torch.inference_mode():
        for start in range(0, len(usable), SCORING_BATCH):
            rows = usable[start : start + SCORING_BATCH]
            batch = windows.gather(rows)
            # A batch of fixed size: matrix kernels round differently for other numbers of rows.
            padded = np.zeros((SCORING_BATCH, *batch.shape[1:]), dtype=np.float32)
            padded[: len(rows)] = batch
            scores[rows] = network(torch.from_numpy(padded)).numpy()[: len(rows)]
    return scores


def _validation_rank_ic(network: nn.Module, valid: Samples, windows: Windows, threads: int) -> float:
    index = valid.features.index[valid.rows]
    scores = pd.Series(_score(network, windows, threads), index=index)
    coefficients = information_coefficients(scores, pd.Series(valid.labels, index=index))
    return float(coefficients["rank_ic"].mean())
