"""Scores of a panel by a fitted model behind its processors; nothing is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.listing import first_of
from quant_pipeline.factors.feature_sets import TRADED
from quant_pipeline.factors.processors import Arrays, ProcessorChain
from quant_pipeline.models.fitted import FittedModel, Samples
from quant_pipeline.models.fitting import score_rows
from quant_pipeline.models.panels import FeaturePanel, Features, PanelView, as_panel, blocks_of, rows_of_windows
from quant_pipeline.models.processed import ProcessedPanel

if TYPE_CHECKING:
    from quant_pipeline.models.bundle import BundleFacts

Rows = npt.NDArray[np.int64]

SCORED_AT_ONCE: Final = 2**27
"""Values of features that are scored together; 512 MiB in single precision."""


def score_panel(
    facts: BundleFacts, model: FittedModel, states: list[Arrays], features: Features, rows: Rows | None = None
) -> pd.Series:
    """Score block after block of sessions, each with the sessions that its windows need.

    Parameters
    ----------
    facts, model, states
        Of the bundle: what it says about itself, the fitted algorithm, and the learned state of every processor.
    features, rows
        As for `ModelBundle.predict`.
    """
    panel = as_panel(features)
    rows = np.arange(len(panel.index)) if rows is None else rows
    parts = [
        score_rows(facts.spec, model, scored_samples(facts, states, panel, part)) for part in _parts(facts, panel, rows)
    ]
    return pd.Series(np.concatenate(parts), index=panel.index[rows], name="score")


def _parts(facts: BundleFacts, panel: FeaturePanel, rows: Rows) -> Iterator[Rows]:
    """Cut rows where the sessions of a block end; rows that are not in their order stay together."""
    if len(rows) == 0 or (np.diff(rows) <= 0).any():
        yield rows
        return
    needed = rows_of_windows(panel, rows, 1)
    for block in blocks_of(PanelView(panel, columns=facts.columns), needed, SCORED_AT_ONCE):
        part = rows[slice(*np.searchsorted(rows, [block.start, block.stop]))]
        if len(part):
            yield part


def scored_samples(facts: BundleFacts, states: list[Arrays], features: Features, rows: Rows | None = None) -> Samples:
    """Return what a model reads to score rows: the features behind its processors; arguments as of `score_panel`.

    Raises
    ------
    ModelError
        When a factor of the bundle is missing.
    """
    panel = as_panel(features)
    missing = sorted(set(facts.columns) - set(panel.columns))
    if missing == [TRADED]:
        raise ModelError(
            f"{facts.spec.title} compares the instruments that trade, but the features do not say which do (column "
            f"{TRADED}). Compute the features again, and train the model again where it is older than this column."
        )
    if missing:
        raise ModelError(f"{facts.spec.title} needs factors that the features do not have: {first_of(missing)}")
    indices = np.arange(len(panel.index)) if rows is None else rows
    needed = rows_of_windows(panel, indices, facts.spec.window)
    processed = ProcessedPanel(PanelView(panel, needed, facts.columns), ProcessorChain(facts.spec.processors, states))
    return Samples(processed, indices - needed.start, np.empty(0, dtype=np.float32))
