"""What the models have known lately: rank IC and its stability, what each adds to the fusion, how alike they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from quant_pipeline.evaluation.drift import DriftParameters, judge_index, population_stability_index
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.evaluation.performance import sample_deviation
from quant_pipeline.evaluation.similarity import correlate_scores
from quant_pipeline.evaluation.standard_errors import newey_west_errors
from quant_pipeline.pipelines.analysis.bands import mean_with_band
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.pipelines.ensemble.fusion import fuse, normalise
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters

MODEL_COLUMNS = [
    "model", "sessions", "rank_ic", "lower", "upper", "rank_icir", "long_rank_ic", "long_lower", "long_upper",
    "score_psi", "stability", "cusum", "cusum_p", "turned",
]  # fmt: skip
LEFT_OUT_COLUMNS = ["model", "with_all", "without", "adds", "lower", "upper", "sessions"]
ALIKE_COLUMNS = ["quarter", "one", "other", "correlation"]


def measure_models(
    predictions: Mapping[str, pd.DataFrame],
    labels: pd.Series,
    top: int,
    horizon: int,
    drift: DriftParameters,
    parameters: AnalysisParameters,
) -> pd.DataFrame:
    """Measure every model out of sample on the account's label.

    Parameters
    ----------
    predictions
        By model: panel with ``score`` and ``segment``.
    labels
        Panel of what a decision has earned.
    top
        Instruments that the strategy holds: the long-only rank IC is among as many of the highest scores.
    horizon
        Of the labels.
    drift, parameters
        Thresholds of stability; minimum of sessions, confidence.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``sessions``, ``rank_ic`` with its band, ``rank_icir``, ``long_rank_ic`` with its band, ``score_psi``
        (newest scores against validation) with its verdict ``stability``, ``cusum``: the largest cumulated deviation of
        the rank IC from its mean with its p-value, and ``turned``, the session where it was largest.
    """
    rows = []
    for model, table in predictions.items():
        test = _newest(table[table["segment"] == "test"]["score"], parameters.sessions)
        rank_ic = information_coefficients(test, labels)["rank_ic"].dropna()
        ranks = test.groupby(level="datetime").rank(ascending=False, method="first")
        long = information_coefficients(test[ranks <= top], labels)["rank_ic"].dropna()
        band = mean_with_band(rank_ic, parameters.min_sessions, parameters.confidence, horizon)
        of_top = mean_with_band(long, parameters.min_sessions, parameters.confidence, horizon)
        deviation = sample_deviation(rank_ic)
        moved, p_value, turned = cusum(rank_ic, horizon, parameters.min_sessions)
        recent = _newest(test, drift.recent_sessions)
        validation = table[table["segment"] == "valid"]["score"]
        index = population_stability_index(validation.to_numpy(), recent.to_numpy(), drift.bins)
        icir = band.value / deviation if deviation > 0 else np.nan
        rows.append(
            (model, band.cases, *band[:3], icir, *of_top[:3], index, judge_index(index, drift), moved, p_value, turned)
        )
    return pd.DataFrame(rows, columns=MODEL_COLUMNS)


def cusum(rank_ic: pd.Series, horizon: int, least: int) -> tuple[float, float, pd.Timestamp]:
    """Test whether a series has kept its mean: the largest cumulated deviation, over its long-run error.

    The statistic follows the law of the largest Brownian bridge where the mean does not change (Ploberger and Kraemer,
    "The CUSUM Test with OLS Residuals", Econometrica 60, 1992).

    Returns
    -------
    tuple
        Statistic, p-value, and the session at which the deviation was largest; missing with fewer sessions than the
        least.
    """
    values = rank_ic.to_numpy(dtype=np.float64)
    error = float(newey_west_errors(values[:, None], horizon)[0]) if len(values) else np.nan
    if len(values) < least or not error > 0:
        return np.nan, np.nan, pd.NaT
    # The error of the mean is the long-run deviation over the root of the sessions.
    path = np.abs(np.cumsum(values - values.mean())) / (error * len(values))
    place = int(path.argmax())
    return float(path[place]), float(stats.kstwobign.sf(path[place])), rank_ic.index[place]


def leave_one_out(
    predictions: Mapping[str, pd.DataFrame],
    labels: pd.Series,
    ensemble: EnsembleParameters,
    weights: pd.DataFrame,
    horizon: int,
    parameters: AnalysisParameters,
) -> pd.DataFrame:
    """Compare the fusion of the default combination with what is left of it without each of its members.

    Parameters
    ----------
    predictions, labels, horizon, parameters
        As for `measure_models`.
    ensemble
        Members and normalisation of the default combination.
    weights
        ``combination``, ``model``, ``weight``: newest weights, which are taken for all sessions.

    Returns
    -------
    pandas.DataFrame
        ``model``, mean rank IC ``with_all`` members and ``without`` it, what it ``adds`` with its band (paired by
        session), ``sessions``. Empty for a combination of one.
    """
    members = list(ensemble.combinations[ensemble.default].models)
    if len(members) < 2 or not set(members) <= predictions.keys():
        return pd.DataFrame(columns=LEFT_OUT_COLUMNS)
    scores = {
        name: _newest(predictions[name][predictions[name]["segment"] == "test"]["score"], parameters.sessions)
        for name in members
    }
    own = weights[weights["combination"] == ensemble.default].set_index("model")["weight"].reindex(members)
    known = own.fillna(own.mean() if own.notna().any() else 1.0)
    common = scores[members[0]].index
    for table in scores.values():
        common = common.intersection(table.index)
    scores = {name: table.loc[common] for name, table in scores.items()}
    whole = _rank_ic(scores, known, ensemble.normalisation, labels)
    rows = []
    for left_out in members:
        rest = {name: table for name, table in scores.items() if name != left_out}
        without = _rank_ic(rest, known.drop(left_out), ensemble.normalisation, labels)
        pairs = pd.concat([whole, without], axis=1, keys=["all", "rest"]).dropna()
        adds = mean_with_band(pairs["all"] - pairs["rest"], parameters.min_sessions, parameters.confidence, horizon)
        rows.append((left_out, pairs["all"].mean(), pairs["rest"].mean(), *adds[:3], adds.cases))
    return pd.DataFrame(rows, columns=LEFT_OUT_COLUMNS)


def follow_correlations(predictions: Mapping[str, pd.DataFrame], parameters: AnalysisParameters) -> pd.DataFrame:
    """Correlate the ranks of every pair of models, quarter by quarter: ``quarter``, ``one``, ``other``, value."""
    tables = {
        name: normalise(_newest(table[table["segment"] == "test"]["score"], parameters.sessions), "rank")
        for name, table in predictions.items()
    }
    if len(tables) < 2:
        return pd.DataFrame(columns=ALIKE_COLUMNS)
    panel = pd.concat(tables, axis=1).dropna().sort_index()
    quarters = panel.index.get_level_values("datetime").to_period("Q").astype(str)
    rows = []
    for quarter, part in panel.groupby(quarters):
        matrix = correlate_scores(part)
        names = list(matrix.columns)
        rows += [
            (quarter, one, other, matrix.loc[one, other])
            for place, one in enumerate(names)
            for other in names[place + 1 :]
        ]
    return pd.DataFrame(rows, columns=ALIKE_COLUMNS)


def _rank_ic(scores: dict[str, pd.Series], weights: pd.Series, normalisation: str, labels: pd.Series) -> pd.Series:
    return information_coefficients(fuse(scores, weights, normalisation), labels)["rank_ic"]


def _newest(scores: pd.Series, sessions: int) -> pd.Series:
    days = scores.index.get_level_values("datetime")
    kept = days.unique().sort_values()[-sessions:]
    return scores[days.isin(kept)]
