"""Tables of an evaluation: what scores of factors come to, with how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.evaluation import standard_errors as statistics
from quant_pipeline.evaluation.factor_scores import FactorScores, ScoringParameters
from quant_pipeline.evaluation.performance import ROUNDING

Floats = npt.NDArray[np.float64]


def tabulate_decay(scores: FactorScores, parameters: ScoringParameters) -> pd.DataFrame:
    """Tabulate every factor at every horizon.

    Parameters
    ----------
    scores
        As returned by `score_factors`.
    parameters
        Confidence, resamples and seed of the bands.

    Returns
    -------
    pandas.DataFrame
        ``factor``, ``horizon``, ``sessions``; ``ic`` and ``rank_ic``: means, with ``…_lower`` and ``…_upper`` from
        Newey-West errors, ``…_resampled_lower`` and ``…_resampled_upper`` from the block bootstrap, and ``…_t``
        against zero; ``icir`` and ``rank_icir``: mean over standard deviation, not
        annualised, with bands from the block bootstrap; ``positive_share`` of the sessions with a positive rank IC;
        ``spread``: mean return of the highest quantile less that of the lowest over the horizon, with ``spread_t``.
    """
    parts = []
    for index, horizon in enumerate(scores.horizons):
        part: dict[str, object] = {"factor": list(scores.factors), "horizon": horizon}
        part["sessions"] = np.isfinite(scores.rank_ic[:, :, index]).sum(axis=1)
        for name, ratio_name, series in (
            ("ic", "icir", scores.ic[:, :, index].T),
            ("rank_ic", "rank_icir", scores.rank_ic[:, :, index].T),
        ):
            part |= _judge(name, ratio_name, series, horizon, parameters)
        rank_ic = scores.rank_ic[:, :, index]
        part["positive_share"] = _ratio((rank_ic > 0).sum(axis=1), np.isfinite(rank_ic).sum(axis=1))
        spread = scores.spread[:, :, index].T
        part["spread"] = statistics.means_of_known(spread)
        part["spread_t"] = _ratio(statistics.means_of_known(spread), statistics.newey_west_errors(spread, horizon))
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True).astype({"factor": "str"})


def summarise_factors(
    decay: pd.DataFrame, scores: FactorScores, correlations: pd.DataFrame, sources: Mapping[str, str]
) -> pd.DataFrame:
    """Summarise every factor in one row, at the first horizon.

    Parameters
    ----------
    decay, scores, correlations
        As returned by `tabulate_decay`, `score_factors` and `tabulate_correlations`.
    sources
        Factor to its expression or file.

    Returns
    -------
    pandas.DataFrame
        The columns of `decay`; ``p_value`` of the mean rank IC and ``false_discovery_rate``, which counts that many
        factors were tried at once; ``monotonicity``: Spearman's coefficient between number and mean return of the
        quantiles; ``best_horizon``: the one with the largest absolute rank IC by t, missing where no t is known;
        ``autocorrelation``, ``replaced``, ``coverage``: means over sessions; ``nearest_known`` with
        ``correlation_with_known``; ``source``. Strongest first: by absolute t of the rank IC.
    """
    summary = decay[decay["horizon"] == scores.horizons[0]].set_index("factor").loc[list(scores.factors)]
    freedom = statistics.degrees_of_freedom(summary["sessions"], len(scores.sessions), scores.horizons[0])
    summary["p_value"] = statistics.two_sided_p_values(summary["rank_ic_t"].to_numpy(), freedom)
    summary["false_discovery_rate"] = statistics.false_discovery_rates(summary["p_value"].to_numpy())
    summary["monotonicity"] = [_monotonicity(returns[0]) for returns in scores.quantile_returns]
    by_strength = decay.assign(strength=decay["rank_ic_t"].abs().fillna(-1.0))
    strongest = by_strength.loc[by_strength.groupby("factor", sort=False)["strength"].idxmax()]
    summary["best_horizon"] = strongest[strongest["strength"] >= 0].set_index("factor")["horizon"]
    for name in ("autocorrelation", "replaced", "coverage"):
        summary[name] = statistics.means_of_known(getattr(scores, name).T)
    known = correlations[correlations["is_known"] & correlations["correlation"].notna()]
    nearest = known.loc[known.groupby("factor", sort=False)["correlation"].agg(lambda values: values.abs().idxmax())]
    nearest = nearest.set_index("factor")
    summary["nearest_known"] = nearest["other"]
    summary["correlation_with_known"] = nearest["correlation"]
    summary["source"] = pd.Series(dict(sources))
    order = summary["rank_ic_t"].abs().sort_values(ascending=False, kind="stable", na_position="last").index
    return summary.loc[order].reset_index()


def tabulate_quantiles(scores: FactorScores) -> pd.DataFrame:
    """Tabulate ``mean_return`` and ``excess_return`` (over the session's mean) of every factor, horizon, quantile."""
    quantiles = scores.quantile_returns.shape[2]
    index = pd.MultiIndex.from_product(
        [scores.factors, scores.horizons, range(1, quantiles + 1)], names=["factor", "horizon", "quantile"]
    )
    table = pd.DataFrame(
        {"mean_return": scores.quantile_returns.ravel(), "excess_return": scores.quantile_excess.ravel()}, index=index
    )
    return table.reset_index().astype({"factor": "str"})


def tabulate_sessions(scores: FactorScores) -> pd.DataFrame:
    """Tabulate what every factor did in every session at the first horizon, float32."""
    index = pd.MultiIndex.from_product([scores.factors, scores.sessions], names=["factor", "date"])
    columns = {
        "ic": scores.ic[:, :, 0],
        "rank_ic": scores.rank_ic[:, :, 0],
        "spread": scores.spread[:, :, 0],
        "autocorrelation": scores.autocorrelation,
        "replaced": scores.replaced,
        "coverage": scores.coverage,
    }
    table = pd.DataFrame({name: values.ravel().astype("float32") for name, values in columns.items()}, index=index)
    return table.reset_index().astype({"factor": "str"})


def tabulate_correlations(matrix: pd.DataFrame, evaluated: list[str], known: list[str]) -> pd.DataFrame:
    """Turn a matrix of correlations into rows.

    Parameters
    ----------
    matrix
        As returned by `correlate_factors`, of evaluated and known factors.
    evaluated, known
        Names; a factor may be both.

    Returns
    -------
    pandas.DataFrame
        ``factor`` (an evaluated one), ``other``, ``correlation``, ``is_known`` (whether the other is a known factor).
    """
    named = matrix.loc[evaluated].rename_axis(index="factor", columns="other")
    long = named.melt(ignore_index=False, value_name="correlation").reset_index()
    long = long[long["factor"] != long["other"]].reset_index(drop=True)
    return long.assign(is_known=long["other"].isin(known)).astype({"factor": "str", "other": "str"})


def _judge(
    name: str, ratio_name: str, series: Floats, horizon: int, parameters: ScoringParameters
) -> dict[str, Floats]:
    mean, deviation = statistics.means_of_known(series), _deviations(series)
    error = statistics.newey_west_errors(series, horizon)
    freedom = statistics.degrees_of_freedom(np.isfinite(series).sum(axis=0), len(series), horizon)
    bands = statistics.student_bands(mean, error, parameters.confidence, freedom)
    resampled = statistics.bootstrap_bands(
        series, horizon, parameters.confidence, parameters.resamples, parameters.seed
    )
    return {
        name: mean,
        f"{name}_lower": bands.lower,
        f"{name}_upper": bands.upper,
        f"{name}_t": _ratio(mean, error),
        f"{name}_resampled_lower": resampled.mean.lower,
        f"{name}_resampled_upper": resampled.mean.upper,
        ratio_name: _ratio(mean, deviation),
        f"{ratio_name}_lower": resampled.ratio.lower,
        f"{ratio_name}_upper": resampled.ratio.upper,
    }


def _deviations(series: Floats) -> Floats:
    known = np.isfinite(series)
    gaps = np.where(known, series - statistics.means_of_known(series), 0.0)
    varies = np.abs(gaps).max(axis=0, initial=0.0) > ROUNDING * np.abs(np.where(known, series, 0.0)).max(
        axis=0, initial=0.0
    )
    return np.where(varies, np.sqrt(_ratio((gaps * gaps).sum(axis=0), known.sum(axis=0) - 1)), np.nan)


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) > 0)


def _monotonicity(returns: Floats) -> float:
    known = pd.Series(returns).dropna()
    return float(known.corr(pd.Series(known.index, index=known.index), method="spearman")) if len(known) > 2 else np.nan
