"""A panel with one planted relation, and hyper-parameters that suit it."""

import numpy as np
import pytest

from quant_pipeline.models.fitted import Samples
from quant_pipeline.testing.planted_panel import planted_facts, planted_panel
from tests.helpers.small_hyper import HYPER


@pytest.fixture(scope="session")
def days():
    return planted_panel().sessions


@pytest.fixture(scope="session")
def features():
    return planted_panel().features


@pytest.fixture(scope="session")
def labels():
    return planted_panel().labels


@pytest.fixture(scope="session")
def members():
    return planted_panel().members


@pytest.fixture(scope="session")
def segments():
    return planted_panel().segments


@pytest.fixture(scope="session")
def make_facts():
    def make(algorithm, **hyper):
        return planted_facts(algorithm, **{**HYPER[algorithm], **hyper})

    return make


@pytest.fixture(scope="session")
def samples(features, labels, segments):
    """Both segments as algorithms take them, with labels ranked within the session."""
    ranked = (labels.groupby("datetime").rank(pct=True) - 0.5).to_numpy(dtype="float32")
    days = features.index.get_level_values("datetime")
    rows = {name: np.flatnonzero(days.isin(segments[name])) for name in ("train", "valid")}
    return {name: Samples(features, places, ranked[places]) for name, places in rows.items()}


@pytest.fixture(scope="session")
def later_rows(features, segments):
    rows = np.flatnonzero(features.index.get_level_values("datetime").isin(segments["test"]))
    return Samples(features, rows, np.empty(0, dtype="float32"))
