"""Which factors the scores of a network come from, by integrated gradients (Sundararajan, Taly, Yan, 2017)."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from quant_pipeline.models.fitted import Samples, importance_table
from quant_pipeline.models.networks.blocks import looks_across, score_block
from quant_pipeline.models.networks.copies import map_with_copies
from quant_pipeline.models.networks.cube import SessionCube

logger = logging.getLogger(__name__)

MOST_WINDOWS = 512
MOST_WHOLE_SESSIONS = 32
"""Rows explained of a network that looks across instruments: each takes all instruments of its session."""
FEWEST_STEPS, MOST_STEPS = 16, 4096
MOST_POINTS = 2**16
"""Steps times rows of one try: so much at most is computed for rows that do not add up yet."""
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 0.02, 0.002
"""What the parts of a row may miss of the change of its score."""


def integrate_gradients(
    network: nn.Module, windows: torch.Tensor, steps: int, explained: int | slice = slice(None)
) -> torch.Tensor:
    """Attribute the scores of windows to what they hold.

    Parameters
    ----------
    network
        A network that `NetworkHyper.make_scorer` made, in evaluation mode.
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
    network: nn.Module, cube: SessionCube, sessions: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> torch.Tensor:
    """Attribute the score of each row, in its own session, to the factors.

    Steps are doubled for the rows whose parts do not add up yet.

    Parameters
    ----------
    network
        A network that `NetworkHyper.make_scorer` made, in evaluation mode.
    cube
        The data.
    sessions, columns
        Places of rows of the cube; each has a whole window.

    Returns
    -------
    torch.Tensor
        ``(rows, factors)``. Those of a row add up to its score less that of a session of zeros, within 2 % and 0.002;
        NaN where they do not after the most steps. Where the network looks across instruments, a factor's part is that
        of its values of all instruments.
    """
    if not looks_across(network):
        windows = torch.from_numpy(cube.windows(sessions, columns))
        return _refine(
            lambda rows, steps: integrate_gradients(network, windows[:, rows], steps).sum(dim=0),
            _changes(network, windows),
            windows.shape[2],
        )
    return torch.cat([_attribute_in_session(network, cube, *index) for index in zip(sessions, columns, strict=True)])


def _attribute_in_session(network: nn.Module, cube: SessionCube, session: np.int64, column: np.int64) -> torch.Tensor:
    there = np.flatnonzero(cube.scored[session])
    windows = torch.from_numpy(cube.windows(np.full(len(there), session), there))
    own = int(np.searchsorted(there, column))
    return _refine(
        lambda _, steps: integrate_gradients(network, windows, steps, own).sum(dim=(0, 1))[None],
        _changes(network, windows)[own : own + 1],
        windows.shape[2],
    )


def _changes(network: nn.Module, windows: torch.Tensor) -> torch.Tensor:
    everyone = torch.ones((1, windows.shape[1]), dtype=torch.bool)
    with torch.no_grad():
        scores, zero = (score_block(network, block, everyone)[0] for block in (windows, torch.zeros_like(windows)))
    return scores - zero


def _refine(
    attribute: Callable[[torch.Tensor, int], torch.Tensor], changes: torch.Tensor, factors: int
) -> torch.Tensor:
    attribution = torch.full((len(changes), factors), torch.nan)
    left, steps = torch.nonzero(torch.isfinite(changes))[:, 0], FEWEST_STEPS
    while len(left) and steps <= MOST_STEPS and steps * len(left) <= MOST_POINTS:
        found, wanted = attribute(left, steps), changes[left]
        missed = (found.sum(dim=1) - wanted).abs()
        good = missed <= RELATIVE_TOLERANCE * wanted.abs() + ABSOLUTE_TOLERANCE
        attribution[left[good]] = found[good]
        left, steps = left[~good], 2 * steps
    return attribution


def network_importance(network: nn.Module, samples: Samples, window: int, threads: int = 1) -> pd.DataFrame:
    """Rank the factors by the mean absolute attribution of the newest rows.

    Parameters
    ----------
    network
        The trained network.
    samples
        Rows to explain; the newest that have a whole window are.
    window
        Sessions of a window.
    threads
        Into so many parts rows are divided; each is computed on one core.

    Returns
    -------
    pandas.DataFrame
        As `importance_table` makes it; without rows where no row has a window, or parts do not add up to scores.
    """
    cube = SessionCube(samples.features, samples.rows, window)
    sessions, columns = cube.locate(samples.rows)
    usable = np.flatnonzero(cube.complete[sessions, columns])[-MOST_WINDOWS:]
    factors = samples.factors
    if len(usable) == 0:
        return importance_table([], [])
    if looks_across(network) and len(usable) > MOST_WHOLE_SESSIONS:
        usable = np.random.default_rng(0).choice(usable, MOST_WHOLE_SESSIONS, replace=False)
    network.eval()

    def attribute(own: nn.Module, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        return attribute_rows(own, cube, sessions[rows], columns[rows])

    parts = np.array_split(usable, min(threads, len(usable)))
    attribution = torch.cat(map_with_copies(attribute, network, parts))
    missed = int(attribution.isnan().any(dim=1).sum())
    if missed:
        logger.warning(
            "no importance: the parts of %d of %d rows do not add up to their scores, however many steps are taken",
            missed,
            len(attribution),
        )
        return importance_table([], [])
    return importance_table(factors, attribution.abs().mean(dim=0).numpy())
