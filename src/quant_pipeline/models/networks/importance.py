"""Which factors the scores of a network come from, by integrated gradients (Sundararajan, Taly, Yan, 2017)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

from quant_pipeline.models.fitted import Samples, importance_table
from quant_pipeline.models.networks.build import score_block
from quant_pipeline.models.networks.cube import SessionCube

MOST_WINDOWS = 512
STEPS = 16


def integrate_gradients(network: nn.Module, windows: torch.Tensor, steps: int = STEPS) -> torch.Tensor:
    """Attribute the scores of windows to what they hold.

    Parameters
    ----------
    network
        A network that `build_network` made, in evaluation mode.
    windows
        ``(window, rows, factors)``.
    steps
        Points on the way at which the gradient is taken.

    Returns
    -------
    torch.Tensor
        Attributions in the shape of the windows: the gradient, averaged on the way from zero (a window of medians) to
        the window, times the window. Those of a row add up to its score less that of zero, up to the steps taken.
    """
    everyone = torch.ones((1, windows.shape[1]), dtype=torch.bool)
    total = torch.zeros_like(windows)
    for step in range(steps):
        point = (windows * ((step + 0.5) / steps)).requires_grad_()
        (gradient,) = torch.autograd.grad(score_block(network, point, everyone).sum(), point)
        total += gradient
    return total / steps * windows


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
    windows = torch.from_numpy(cube.windows(sessions[usable], columns[usable]))
    attribution = integrate_gradients(network.eval(), windows).sum(dim=0).abs().mean(dim=0)
    return importance_table(factors, attribution.numpy())
