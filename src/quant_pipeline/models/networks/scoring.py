"""A trained network and how it scores: window by window, so that a score depends on its own window only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import load, save
from torch import nn

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.listing import first_of
from quant_pipeline.models.algorithms.network_record import NetworkHyper
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.networks.blocks import looks_across, score_block
from quant_pipeline.models.networks.copies import map_with_copies
from quant_pipeline.models.networks.cube import SessionCube
from quant_pipeline.models.networks.known_state import known_numbers
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
        """Return the parameters and buffers of the network as safetensors; see `stored_weights`."""
        return {WEIGHTS: stored_weights(self.network)}


def stored_weights(network: nn.Module) -> bytes:
    """Return what ``state_dict`` of a network returns as safetensors.

    Raises
    ------
    ModelError
        When that is anything but tensors.
    """
    stored = network.state_dict()
    others = [name for name, value in stored.items() if not _is_dense(value)]
    if others:
        raise ModelError(
            f"the network cannot be stored: {first_of(others)} of its `state_dict` is no tensor that safetensors can "
            "hold; keep such values in dense parameters and buffers, or in attributes that `make_network` sets"
        )
    # Each for itself: safetensors refuses those that share memory, as tied weights do.
    return save({name: value.clone(memory_format=torch.contiguous_format) for name, value in stored.items()})


def _is_dense(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.layout is torch.strided


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
    network = _make_with_weights(load(weights[WEIGHTS]), hyper, n_factors)
    return FittedNetwork(network, hyper, learning_curve([]), importance_table([], []))


def _make_with_weights(weights: dict[str, torch.Tensor], hyper: NetworkHyper, n_factors: int) -> nn.Module:
    makers = type(hyper).make_network, type(hyper).make_scorer
    if all(maker.__module__.partition(".")[0] == __name__.partition(".")[0] for maker in makers):
        # These have no other tensors than those that are stored, and each has one name.
        return _make_around(weights, hyper, n_factors)
    # Networks of a user may make others: a mask, or numbers that are read from a tensor. They draw weights from
    # generators that a fit in another thread holds, for minutes; few of them have to wait for it.
    with seeded(0, wait=False) as is_alone:
        if is_alone:
            return _make_and_write(weights, hyper, n_factors)
    network = _make_around_if_it_fits(weights, hyper, n_factors)
    if network is not None:
        return network
    with seeded(0):
        return _make_and_write(weights, hyper, n_factors)


def _make_and_write(weights: dict[str, torch.Tensor], hyper: NetworkHyper, n_factors: int) -> nn.Module:
    network = hyper.make_scorer(n_factors)
    # Into the tensors that it has made, to which more than their names may refer: a list, or a part of them.
    network.load_state_dict(weights)
    return network


def _make_around(weights: dict[str, torch.Tensor], hyper: NetworkHyper, n_factors: int) -> nn.Module:
    """Make a network on no device, which draws nothing, and put the weights in the place of its tensors."""
    with torch.device("meta"):
        network = hyper.make_scorer(n_factors)
    network.load_state_dict(weights, assign=True)
    return network


def _make_around_if_it_fits(weights: dict[str, torch.Tensor], hyper: NetworkHyper, n_factors: int) -> nn.Module | None:
    try:
        network = _make_around(weights, hyper, n_factors)
    except Exception:  # noqa: BLE001 - whatever it is, what cannot be made on no device is made on one
        return None
    numbers = known_numbers(network)
    if numbers is None or any(isinstance(each, torch.Tensor) and each.is_meta for each in numbers):
        return None
    return network
