"""Rows that hold several sessions side by side, as those of Alpha360 do, for networks that read one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.networks.blocks import (
    JoinsInstruments,
    LearnsFromWhatItRead,
    LearnsInGhosts,
    LearnsItsOwnWay,
    looks_across,
    reads_instruments_alone,
    score_block,
)
from quant_pipeline.models.networks.losses import Loss


def unfold_rows(block: torch.Tensor, sessions: int, window: int) -> torch.Tensor:
    """Lay the sessions that rows hold out as a window.

    Parameters
    ----------
    block
        ``(days, instruments, fields × sessions)``; the sessions of a field stand side by side, the oldest first.
    sessions
        Sessions that a row holds.
    window
        How many of them to take, the newest.

    Returns
    -------
    torch.Tensor
        ``(window, days, instruments, fields)``, the oldest session first.
    """
    return block.unflatten(-1, (-1, sessions))[..., sessions - window :].permute(3, 0, 1, 2)


class FoldedScorer(nn.Module):
    """A network that reads a row as its window; a score depends on the factors of its own session only.

    Parameters
    ----------
    network
        Network for windows, as `NetworkHyper.make_network` makes it for the number of fields.
    sessions
        Sessions that a row holds.
    window
        Window of the network.
    """

    def __init__(self, network: nn.Module, sessions: int, window: int) -> None:
        super().__init__()
        self.network, self.sessions, self.window = network, sessions, window
        self.looks_across = looks_across(network)
        self.reads_instruments_alone = reads_instruments_alone(network)

    def forward(self, block: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """Map a block ``(days, instruments, fields × sessions)`` to scores ``(days, instruments)``."""
        windows = unfold_rows(block, self.sessions, self.window)
        if present is None:
            return self.network(windows.flatten(1, 2))[0].unflatten(0, block.shape[:2])
        # Attention looks at the instruments of one session, so days cannot stand side by side.
        scores = [score_block(self.network, windows[:, day], present[day : day + 1]) for day in range(len(block))]
        return torch.cat(scores)


class FoldedJoiner(FoldedScorer):
    """A folded network of two parts."""

    def read_instruments(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(days, instruments, fields × sessions)`` to ``(days, instruments, width)``."""
        assert isinstance(self.network, JoinsInstruments)
        windows = unfold_rows(block, self.sessions, self.window).flatten(1, 2)
        return self.network.read_instruments(windows)[0].unflatten(0, block.shape[:2])

    def join_instruments(self, read: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Map what was read to scores ``(days, instruments)``."""
        assert isinstance(self.network, JoinsInstruments)
        return self.network.join_instruments(read, present)


class FoldedLearner(FoldedScorer):
    """A folded network that adds something of its own to the loss of its scores."""

    def loss(self, block: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the loss of a block; `of_scores` still sees one session per row."""
        assert isinstance(self.network, LearnsItsOwnWay)
        days = labels.shape
        windows = unfold_rows(block, self.sessions, self.window).flatten(1, 2)
        return self.network.loss(
            windows, labels.reshape(1, -1), lambda scores, known: of_scores(scores.view(days), known.view(days))
        )


class FoldedGhostLearner(FoldedLearner):
    """A folded network that may be computed by ghosts while it learns."""

    def begin_rows(self, block: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the rows with labels, ``(rows, columns)``, after what looks at all of them."""
        windows = unfold_rows(block, self.sessions, self.window).flatten(1, 2)
        return self._ghostly.begin_rows(windows, labels.reshape(1, -1))

    def ghosts_of(self, rows: int) -> list[int]:
        """Return how many rows each ghost has."""
        return self._ghostly.ghosts_of(rows)

    def read_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Map rows of whole ghosts to ``(rows, width)``."""
        return self._ghostly.read_rows(rows)

    def loss_of_rows(self, read: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the loss of a block from what was read of its rows."""
        return self._ghostly.loss_of_rows(read, labels, of_scores)

    def note_statistics(self) -> None:
        """Note what is seen of each ghost from now on."""
        self._ghostly.note_statistics()

    def take_statistics(self, copies: Sequence[nn.Module]) -> None:
        """Take into the buffers what copies have noted, in their order."""
        self._ghostly.take_statistics([copy.network for copy in copies if isinstance(copy, FoldedScorer)])

    @property
    def _ghostly(self) -> LearnsInGhosts:
        assert isinstance(self.network, LearnsInGhosts)
        return self.network


class FoldedJoiningLearner(FoldedLearner, FoldedJoiner):
    """A folded network of two parts that learns from what the first one read."""

    def loss_of_read(self, read: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the loss of a block from what was read of it."""
        assert isinstance(self.network, LearnsFromWhatItRead)
        return self.network.loss_of_read(read, labels, of_scores)


def fold(network: nn.Module, sessions: int, window: int) -> FoldedScorer:
    """Let a network for windows read rows that hold several sessions.

    Raises
    ------
    ModelError
        When the rows hold fewer sessions than the window of the network.
    """
    if window > sessions:
        raise ModelError(
            f"the window of the network is {window} sessions, and a row holds {sessions} (`hyper.row_sessions`); "
            "choose a smaller network or a shorter window"
        )
    return _kind_of(network)(network, sessions, window)


def _kind_of(network: nn.Module) -> type[FoldedScorer]:
    match network:
        case LearnsFromWhatItRead():
            return FoldedJoiningLearner
        case LearnsInGhosts():
            return FoldedGhostLearner
        case LearnsItsOwnWay():
            return FoldedLearner
        case JoinsInstruments():
            return FoldedJoiner
    return FoldedScorer
