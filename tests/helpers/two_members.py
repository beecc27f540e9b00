"""Scores and labels of two members of a combination."""

import numpy as np
import pandas as pd

from quant_pipeline.pipelines.ensemble.parameters import Combination

DAYS = pd.bdate_range("2024-01-02", periods=40, unit="ns")
LONG = pd.bdate_range("2023-01-02", periods=200, unit="ns")
NAMES = ["A", "B", "C", "D"]
CHAMPIONS = {"early": "EARLY", "late": "LATE"}
LABELS = {"early": "Ref($open, -2)/Ref($open, -1)-1", "late": "Ref($open, -6)/Ref($open, -1)-1"}
DYNAMIC = Combination(models=["early", "late"], member_weights="dynamic", window=40, refresh=10)


def scores(values, days=DAYS):
    """Return scores of the four instruments, one row of values per session."""
    index = pd.MultiIndex.from_product([days[: len(values)], NAMES], names=["datetime", "instrument"])
    return pd.Series(np.asarray(values, dtype=float).ravel(), index=index)


def informed(days, skill, seed):
    """Return labels of random instruments and scores of two models, each informed in one half of the days."""
    random = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([days, [f"I{n:02d}" for n in range(20)]], names=["datetime", "instrument"])
    labels = pd.Series(random.normal(size=len(index)), index=index)
    first_half = np.repeat(np.arange(len(days)) < len(days) // 2, 20)
    early, late = (
        np.where(half, skill * labels, 0.0) + random.normal(size=len(index)) for half in (first_half, ~first_half)
    )
    return labels, {"early": pd.Series(early, index=index), "late": pd.Series(late, index=index)}
