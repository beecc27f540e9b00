"""How every network is called: on blocks of consecutive sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from quant_pipeline.models.networks.losses import Loss


@runtime_checkable
class LearnsItsOwnWay(Protocol):
    """A network that adds something of its own to the loss of its scores, such as the router of a `RoutedScorer`."""

    def loss(self, block: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the loss of a block, given the loss of scores."""
        ...


@runtime_checkable
class JoinsInstruments(Protocol):
    """A network of two parts: the first reads each instrument alone, the second makes scores of what was read of all.

    Also while it learns, neither part normalises among instruments or sessions, keeps anything of a block, or draws
    from anything but `torch.nn.Dropout`: the first one may be computed in parts by instruments, the second one by
    sessions, at the same time.
    """

    def read_instruments(self, block: torch.Tensor) -> torch.Tensor:
        """Map a block ``(window - 1 + sessions, instruments, factors)`` to ``(sessions, instruments, width)``."""
        ...

    def join_instruments(self, read: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Map what was read, and who is present, to scores ``(sessions, instruments)``; each session is alone."""
        ...


@runtime_checkable
class LearnsFromWhatItRead(LearnsItsOwnWay, JoinsInstruments, Protocol):
    """A network of two parts whose own loss needs no more of a block than what the first part read."""

    def loss_of_read(self, read: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the loss of a block from what was read of it."""
        ...


@runtime_checkable
class LearnsInGhosts(LearnsItsOwnWay, Protocol):
    """A network that normalises among parts of its rows, its ghosts, while it learns: these may be computed apart.

    Once it has learned, it reads each instrument alone.
    """

    def begin_rows(self, block: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the rows with labels, ``(rows, columns)``, after what looks at all of them."""
        ...

    def ghosts_of(self, rows: int) -> list[int]:
        """Return how many rows each ghost has; several in a row, as rows of their own, are cut into the same ghosts."""
        ...

    def read_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Map rows of whole ghosts to ``(rows, width)``."""
        ...

    def loss_of_rows(self, read: torch.Tensor, labels: torch.Tensor, of_scores: Loss) -> torch.Tensor:
        """Return the loss of a block from what was read of its rows."""
        ...

    def note_statistics(self) -> None:
        """Note what is seen of each ghost from now on, instead of taking it into buffers that other copies share."""
        ...

    def take_statistics(self, copies: Sequence[nn.Module]) -> None:
        """Take into the buffers what copies have noted, in their order."""
        ...


def score_block(network: nn.Module, block: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Score a block; only a network that looks across instruments takes which are present.

    Parameters
    ----------
    network
        One that `NetworkHyper.make_scorer` made.
    block
        ``(window - 1 + sessions, instruments, factors)``.
    present
        Whether an instrument has a whole window behind it, ``(sessions, instruments)``.
    """
    return network(block, present) if looks_across(network) else network(block)


def looks_across(network: nn.Module) -> bool:
    """Return whether the score of an instrument depends on the others of its session, as a network of this kind states.

    Such a network has an attribute `looks_across` that is true, and takes `present` beside the block.
    """
    return bool(getattr(network, "looks_across", False))


def reads_instruments_alone(network: nn.Module) -> bool:
    """Return whether each instrument of a block is computed without the others, as a network of this kind states.

    Such a network has an attribute `reads_instruments_alone` that is true. Also while it learns, it then neither
    normalises among instruments nor keeps anything of a block, draws from nothing but `torch.nn.Dropout`, and adds
    nothing to the loss of its scores: blocks may be computed in parts, at the same time.
    """
    return bool(getattr(network, "reads_instruments_alone", False)) and not isinstance(network, LearnsItsOwnWay)
