"""A small panel with one planted relation: labels follow the factor ``signal``, and two factors are noise."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.models.bundle import BundleFacts
from quant_pipeline.models.spec import ModelSpec

N_SESSIONS, N_INSTRUMENTS = 160, 20
FACTORS = ["signal", "noise_a", "noise_b"]


class PlantedPanel(NamedTuple):
    """What a model is trained and measured on.

    Attributes
    ----------
    features
        Panel ``(datetime, instrument) × FACTORS``, float32.
    labels
        ``0.01 (signal + noise / 2)`` of every row.
    members
        ``date``, ``instrument``: every instrument in every session.
    segments
        ``train``, ``valid`` and ``test`` sessions with gaps between them.
    """

    features: pd.DataFrame
    labels: pd.Series
    members: pd.DataFrame
    segments: dict[str, pd.DatetimeIndex]

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """All sessions."""
        return pd.DatetimeIndex(self.features.index.levels[0])

    def is_in(self, segment: str) -> pd.Series:
        """Return which rows belong to a segment."""
        days = self.features.index.get_level_values("datetime")
        return pd.Series(days.isin(self.segments[segment]), index=self.features.index)


@cache
def planted_panel() -> PlantedPanel:
    """Return the panel; every call returns the same one, which is not to be changed."""
    days = pd.bdate_range("2020-01-06", periods=N_SESSIONS, unit="ns")
    names = pd.array([f"I{number:02d}" for number in range(N_INSTRUMENTS)], dtype="str")
    index = pd.MultiIndex.from_product([days, names], names=["datetime", "instrument"])
    values = np.random.default_rng(11).normal(size=(len(index), len(FACTORS))).astype("float32")
    features = pd.DataFrame(values, index=index, columns=FACTORS)
    noise = np.random.default_rng(12).normal(size=len(features))
    labels = (0.01 * (features["signal"].astype("float64") + 0.5 * noise)).rename("label")
    members = index.to_frame(index=False).rename(columns={"datetime": "date"})
    segments = {"train": days[:100], "valid": days[104:130], "test": days[134:]}
    return PlantedPanel(features, labels, members, segments)


def planted_facts(algorithm: str, **hyper: object) -> BundleFacts:
    """Return what a bundle of an algorithm that is trained on the panel says about itself."""
    entry = {"algorithm": algorithm, "features": "planted", "factors": FACTORS, "hyper": hyper}
    segments = planted_panel().segments
    window = {name: [f"{segments[name][end]:%Y-%m-%d}" for end in (0, -1)] for name in ("train", "valid")}
    expressions = {name: f"${name}" for name in FACTORS}
    return BundleFacts(
        ModelSpec.model_validate(entry), expressions, "Ref($open,-2)/Ref($open,-1)-1", window, calendar="XNYS"
    )
