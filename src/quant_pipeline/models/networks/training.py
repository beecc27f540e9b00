"""The training loop of all networks."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.progress import track
from quant_pipeline.evaluation.information_coefficient import rank_information_coefficients
from quant_pipeline.models.algorithms.network_record import NetworkHyper
from quant_pipeline.models.fitted import Samples, learning_curve
from quant_pipeline.models.networks.blocks import (
    JoinsInstruments,
    LearnsFromWhatItRead,
    LearnsInGhosts,
    LearnsItsOwnWay,
    score_block,
)
from quant_pipeline.models.networks.copies import threads_of_torch
from quant_pipeline.models.networks.cube import Block, SessionCube
from quant_pipeline.models.networks.groups import InstrumentGroups, can_be_divided
from quant_pipeline.models.networks.importance import network_importance
from quant_pipeline.models.networks.losses import LOSSES
from quant_pipeline.models.networks.scoring import FittedNetwork, stored_weights
from quant_pipeline.models.networks.trial import why_undivided
from quant_pipeline.models.randomness import seeded

logger = logging.getLogger(__name__)


def fit_network(
    train: Samples, valid: Samples, hyper: NetworkHyper, seed: int, previous: FittedNetwork | None = None
) -> FittedNetwork:
    """Train a network and keep the epoch with the best validation rank IC.

    Parameters
    ----------
    train, valid
        Samples of the two segments, on the same panel.
    hyper
        Hyper-parameters.
    seed
        Same seed and number of threads, same network, bit for bit, on however many cores, also when others are trained
        in threads of the same process: they wait for each other.
    previous
        Network whose weights are the start instead of new ones.

    Raises
    ------
    ModelError
        When no row has a whole window behind it, the loss is no longer a number, or no epoch has a validation rank IC.
    """
    with seeded(seed):
        return _fit(NetworkTraining(train, valid, hyper, seed), valid, hyper, previous)


def _fit(
    training: NetworkTraining, valid: Samples, hyper: NetworkHyper, previous: FittedNetwork | None
) -> FittedNetwork:
    if previous is not None:
        training.start_from(previous)
    best, best_score, waited, rows = training.weights(), -np.inf, 0, []
    for epoch in range(1, hyper.epochs + 1):
        loss = training.run_epoch(f"epoch {epoch} of {hyper.epochs}")
        rank_ic = training.validation_rank_ic()
        rows += [(epoch, f"train_{hyper.loss}", loss), (epoch, "valid_rank_ic", rank_ic)]
        logger.info("epoch %d of %d: training loss %.4f, validation rank IC %+.4f", epoch, hyper.epochs, loss, rank_ic)
        if rank_ic > best_score:
            best, best_score, waited = training.weights(), rank_ic, 0
        else:
            waited += 1
            if waited == hyper.patience:
                break
    if best_score == -np.inf:
        raise ModelError(
            f"no epoch has a validation rank IC: no row of the validation segment has {hyper.panel_window} sessions "
            "behind it, or all of a session score alike; choose a shorter window, another segment or another "
            "learning_rate"
        )
    network = hyper.make_scorer(len(valid.factors))
    network.load_state_dict(best)
    importance = network_importance(network, valid, hyper.panel_window, hyper.threads)
    return FittedNetwork(network, hyper, learning_curve(rows), importance)


class NetworkTraining:
    """A network while it is trained: its data as one cube, its optimiser, and its randomness.

    Parameters
    ----------
    train, valid, hyper
        As for `fit_network`.
    seed
        Of the order of the blocks, and of the dropout of groups of instruments. New weights, and dropout without
        groups, draw from torch's generator: make and run it within `seeded`.
    """

    def __init__(self, train: Samples, valid: Samples, hyper: NetworkHyper, seed: int) -> None:
        self._device = _choose_device(hyper)
        torch.use_deterministic_algorithms(mode=True, warn_only=self._device.type != "cpu")
        # It would write into all memory before a result is written there.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        self._hyper, self._valid = hyper, valid
        self._cube = SessionCube(train.features, np.concatenate([train.rows, valid.rows]), hyper.panel_window)
        self._labels, self._valid_labels = self._cube.labels(train), self._cube.labels(valid)
        if not np.isfinite(self._labels).any():
            raise ModelError(
                f"no row to learn from has {hyper.panel_window} sessions behind it; choose a shorter window"
            )
        self._network = hyper.make_scorer(len(train.factors)).to(self._device)
        stored_weights(self._network)  # What cannot be stored is refused before it learns for hours.
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=hyper.learning_rate, weight_decay=hyper.weight_decay
        )
        self._groups = InstrumentGroups(self._network, hyper.threads, seed) if self._is_divided() else None
        self._shuffle = np.random.default_rng(seed)
        self._epochs_done = 0

    def _is_divided(self) -> bool:
        if self._hyper.threads == 1 or self._device.type != "cpu" or not can_be_divided(self._network):
            return False
        reason = why_undivided(self._network, next(self._cube.blocks(self._labels, self._hyper.batch_sessions)))
        if reason is not None:
            logger.info("the network %s, so that it is computed whole and not by groups of instruments", reason)
        return reason is None

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the parameters of the network, on the CPU."""
        return {name: copy.deepcopy(value).cpu() for name, value in self._network.state_dict().items()}

    def start_from(self, fitted: FittedNetwork) -> None:
        """Take over the weights of a network of the same shape."""
        self._network.load_state_dict(fitted.network.state_dict())

    def run_epoch(self, description: str = "epoch") -> float:
        """Learn from every label once and return the mean loss."""
        self._set_learning_rate()
        total, count = 0.0, 0
        blocks = self._cube.blocks(self._labels, self._hyper.batch_sessions, self._shuffle)
        steps = -(-len(self._labels) // self._hyper.batch_sessions)
        with self._in_threads(learning=True):
            for block in track(blocks, description, total=steps):
                loss = self._step(block)
                if not np.isfinite(loss):
                    raise ModelError(f"the loss of the network became {loss}; lower its learning_rate")
                total, count = total + loss, count + 1
        self._epochs_done += 1
        return total / count

    @contextmanager
    def _in_threads(self, *, learning: bool) -> Iterator[None]:
        self._network.train(learning)
        groups = self._groups
        threads = threads_of_torch(self._hyper.threads) if groups is None else groups.in_threads(learning=learning)
        # `hyper.precision` says how precisely is computed, and not what the caller has chosen for its own thread.
        with threads, torch.autocast(self._device.type, enabled=False):
            yield

    def _step(self, block: Block) -> float:
        self._optimiser.zero_grad()
        loss = self._learn(block)
        nn.utils.clip_grad_norm_(self._network.parameters(), self._hyper.gradient_norm)
        self._optimiser.step()
        return float(loss)

    def _learn(self, block: Block) -> torch.Tensor:
        """Compute the gradients of the parameters, and return the loss."""
        if self._groups is not None:
            return self._learn_in_groups(self._groups, block)
        loss = self._loss(block)
        loss.backward()
        return loss.detach()

    def _learn_in_groups(self, groups: InstrumentGroups, block: Block) -> torch.Tensor:
        network, inputs, labels = self._network, self._tensor(block.inputs), self._tensor(block.labels)
        of_scores = LOSSES[self._hyper.loss]
        if isinstance(network, LearnsInGhosts):
            return groups.learn_by_ghosts(network, inputs, labels, of_scores)
        if isinstance(network, LearnsFromWhatItRead):
            return groups.learn(inputs, lambda read: network.loss_of_read(read, labels, of_scores))
        return groups.learn(inputs, lambda scores: of_scores(scores.float(), labels), self._present(block))

    def _loss(self, block: Block) -> torch.Tensor:
        labels = self._tensor(block.labels)
        with self._mixed_precision():
            if isinstance(self._network, LearnsItsOwnWay):
                return self._network.loss(self._tensor(block.inputs), labels, LOSSES[self._hyper.loss])
            scores = self._score(block)
        return LOSSES[self._hyper.loss](scores.float(), labels)

    def _score(self, block: Block) -> torch.Tensor:
        if self._groups is not None:
            return self._groups.score(self._tensor(block.inputs), self._present(block))
        return score_block(self._network, self._tensor(block.inputs), self._tensor(block.present))

    def _present(self, block: Block) -> torch.Tensor | None:
        return self._tensor(block.present) if isinstance(self._network, JoinsInstruments) else None

    def _tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)

    def _mixed_precision(self) -> torch.autocast:
        match self._hyper.precision:
            case "mixed":
                mixed = self._device.type != "cpu"
            case "full":
                mixed = False
            case unknown:
                assert_never(unknown)
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=mixed)

    def _set_learning_rate(self) -> None:
        factor = _share_of_learning_rate(self._hyper, self._epochs_done)
        for group in self._optimiser.param_groups:
            group["lr"] = self._hyper.learning_rate * factor

    def validation_rank_ic(self) -> float:
        """Return the mean rank IC over the validation segment, scored in blocks as in training."""
        scores = np.full(self._valid_labels.shape, np.nan, dtype=np.float32)
        with torch.inference_mode(), self._in_threads(learning=False):
            for block in self._cube.blocks(self._valid_labels, self._hyper.batch_sessions):
                given = self._score(block).float().cpu().numpy()
                scores[block.first : block.first + len(given), block.columns] = given
        index = self._valid.index
        scored = pd.Series(scores[self._cube.locate(self._valid.rows)], index=index)
        return float(rank_information_coefficients(scored, pd.Series(self._valid.labels, index=index)).mean())


def _share_of_learning_rate(hyper: NetworkHyper, epochs_done: int) -> float:
    match hyper.schedule:
        case "cosine":
            return float(0.5 * (1 + np.cos(np.pi * epochs_done / hyper.epochs)))
        case "constant":
            return 1.0
        case unknown:
            assert_never(unknown)


def _choose_device(hyper: NetworkHyper) -> torch.device:
    available = torch.cuda.is_available()
    match hyper.device:
        case "cpu":
            return torch.device("cpu")
        case "auto":
            return torch.device("cuda" if available else "cpu")
        case "cuda":
            if not available:
                raise ModelError("hyper.device is cuda, but torch finds no accelerator; use auto or cpu")
            return torch.device("cuda")
        case unknown:
            assert_never(unknown)
