"""Which factors the scores of a network come from, by integrated gradients (Sundararajan, Taly, Yan, 2017)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from quant_pipeline.models.fitted import Samples, importance_table
from quant_pipeline.models.networks.blocks import looks_across, score_block
from quant_pipeline.models.networks.cube import SessionCube

MOST_WINDOWS = 512
MOST_WHOLE_SESSIONS = 32
"""Rows explained of a network that looks across instruments: each takes all instruments of its session."""
STEPS = 16


def integrate_gradients(
    network: nn.Module, windows: torch.Tensor, steps: int = STEPS, explained: int | slice = slice(None)
) -> torch.Tensor:
    """Attribute the scores of windows to what they hold.

    Parameters
    ----------
    network
        A network that `NetworkHyper.make_network` made, in evaluation mode.
    windows
        ``(window, rows, factors)``; rows of one session where the network looks across instruments.
    steps
        Points on the way at which the gradient is taken.
    explained
        Rows whose scores are attributed.

    Returns
    -------
    torch.Tensor
        Attributions in the shape of the windows: the gradient, averaged on the way from zero (a window of medians) to
        the window, times the window. They add up to the explained scores less those of zero, up to the steps taken;
        so do those of a row alone, unless the network looks across instruments.
    """
    everyone = torch.ones((1, windows.shape[1]), dtype=torch.bool)
    total = torch.zeros_like(windows)
    for step in range(steps):
        point = (windows * ((step + 0.5) / steps)).requires_grad_()
        (gradient,) = torch.autograd.grad(score_block(network, point, everyone)[0, explained].sum(), point)
        total += gradient
    return total / steps * windows


def attribute_rows(
    network: nn.Module,
    cube: SessionCube,
    sessions: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    steps: int = STEPS,
) -> torch.Tensor:
    """Attribute the score of each row, in its own session, to the factors.

    Parameters
    ----------
    network
        A network that `NetworkHyper.make_network` made, in evaluation mode.
    cube
        The data.
    sessions, columns
        Places of the rows in the cube; each has a whole window.
    steps
        As for `integrate_gradients`.

    Returns
    -------
    torch.Tensor
        ``(rows, factors)``. Those of a row add up to its score less that of a session of zeros, up to the steps taken.
        Where the network looks across instruments, a factor's part is that of its values of all instruments.
    """
    if not looks_across(network):
        return integrate_gradients(network, torch.from_numpy(cube.windows(sessions, columns)), steps).sum(dim=0)
    rows = []
    for session, column in zip(sessions, columns, strict=True):
        there = np.flatnonzero(cube.complete[session])
        windows = torch.from_numpy(cube.windows(np.full(len(there), session), there))
        own = int(np.searchsorted(there, column))
        rows.append(integrate_gradients(network, windows, steps, own).sum(dim=(0, 1)))
    return torch.stack(rows)


def network_importance(network: nn.Module, samples: Samples, window: int) -> pd.DataFrame:
    """Rank the factors by the mean absolute attribution of the newest rows.

    Parameters
    ----------
    network
        The trained network.
    samples
        Rows to explain; the newest that have a whole window are.
    window
        Sessions of a window.
    """
    cube = SessionCube(samples.features, samples.rows, window)
    sessions, columns = cube.locate(samples.rows)
    usable = np.flatnonzero(cube.complete[sessions, columns])[-MOST_WINDOWS:]
    factors = list(samples.features.columns)
    if len(usable) == 0:
        return importance_table([], [])
    if looks_across(network) and len(usable) > MOST_WHOLE_SESSIONS:
        usable = np.random.default_rng(0).choice(usable, MOST_WHOLE_SESSIONS, replace=False)
    attribution = attribute_rows(network.eval(), cube, sessions[usable], columns[usable])
    return importance_table(factors, attribution.abs().mean(dim=0).numpy())
