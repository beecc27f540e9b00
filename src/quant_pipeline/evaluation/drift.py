"""Whether data still look like those of training (population stability index) and scores still rank returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy
from pydantic import Field, PositiveFloat, PositiveInt

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.evaluation.standard_errors import newey_west_errors

SMALLEST_SHARE = 1e-4
"""Share given to an empty bin, so that its logarithm exists."""

DriftVerdict = Literal["stable", "moved", "drifted", "unknown"]


class DriftParameters(Parameters):
    """When something counts as drifted.

    Attributes
    ----------
    recent_sessions
        Newest sessions that are compared with the training window.
    bins
        Quantile bins of the population stability index.
    min_moved_psi, min_drifted_psi
        Values of the index from which a factor has moved, or drifted; 0.1 and 0.25 are the usual ones.
    rolling_sessions
        Sessions of the rolling mean of the rank IC.
    max_standard_errors
        Standard errors (Newey-West) of the difference between the two means, below the expected rank IC, at which the
        band ends.
    max_drifted_share
        Share of drifted factors, weighted by importance, from which retraining is advised.
    """

    renamed: ClassVar[Mapping[str, str]] = {
        "moved": "min_moved_psi",
        "drifted": "min_drifted_psi",
        "band": "max_standard_errors",
        "drifted_share": "max_drifted_share",
    }

    recent_sessions: PositiveInt = 63
    bins: int = Field(default=10, ge=2)
    min_moved_psi: PositiveFloat = 0.1
    min_drifted_psi: PositiveFloat = 0.25
    rolling_sessions: PositiveInt = 63
    max_standard_errors: PositiveFloat = 2.0
    max_drifted_share: float = Field(default=0.3, gt=0, le=1)


def population_stability_index(
    reference: npt.NDArray[np.floating], current: npt.NDArray[np.floating], bins: int
) -> float:
    """Measure how far a distribution has moved: the symmetric Kullback-Leibler divergence over quantile bins.

    ``sum((c - r) * ln(c / r))`` over bins with equal shares of the reference (Siddiqi, *Credit Risk Scorecards*, 2006).
    Missing values are left out; ties at a bin's edge fall together, so fewer bins may remain.

    Returns
    -------
    float
        0 when the shares are equal; NaN when a side has no values.
    """
    reference, current = reference[np.isfinite(reference)], current[np.isfinite(current)]
    if len(reference) == 0 or len(current) == 0:
        return float("nan")
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = [
        np.maximum(np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) / len(values), SMALLEST_SHARE)
        for values in (reference, current)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def compare_distributions(reference: pd.DataFrame, current: pd.DataFrame, parameters: DriftParameters) -> pd.DataFrame:
    """Compare every column of two panels.

    Parameters
    ----------
    reference, current
        The same columns; rows are observations, whatever their order.
    parameters
        Bins and thresholds.

    Returns
    -------
    pandas.DataFrame
        ``factor``, ``psi`` (population stability index), ``ks`` (Kolmogorov-Smirnov distance), ``ks_p``,
        ``missing_reference``, ``missing_current`` (shares), ``verdict``; most moved first. The p-value takes
        observations as independent, which factors of one instrument are not: read the distance.
    """
    rows = []
    for name in reference.columns:
        one, other = reference[name].to_numpy(), current[name].to_numpy()
        index = population_stability_index(one, other, parameters.bins)
        known = one[np.isfinite(one)], other[np.isfinite(other)]
        test = scipy.stats.ks_2samp(*known, method="asymp") if all(map(len, known)) else None
        rows.append(
            {
                "factor": name,
                "psi": index,
                "ks": float(test.statistic) if test else np.nan,
                "ks_p": float(test.pvalue) if test else np.nan,
                "missing_reference": 1 - len(known[0]) / max(len(one), 1),
                "missing_current": 1 - len(known[1]) / max(len(other), 1),
                "verdict": judge_index(index, parameters),
            }
        )
    columns = ["factor", "psi", "ks", "ks_p", "missing_reference", "missing_current", "verdict"]
    table = pd.DataFrame(rows, columns=columns).astype({"factor": "str", "verdict": "str"})
    return table.sort_values("psi", ascending=False, kind="stable", ignore_index=True)


def judge_index(index: float, parameters: DriftParameters) -> DriftVerdict:
    """Put a population stability index into words."""
    if not np.isfinite(index):
        return "unknown"
    if index >= parameters.min_drifted_psi:
        return "drifted"
    return "moved" if index >= parameters.min_moved_psi else "stable"


def rolling_rank_ic(rank_ic: pd.Series, promised: pd.Series, horizon: int, parameters: DriftParameters) -> pd.DataFrame:
    """Follow the rank IC of a model against the band that its validation promised.

    Parameters
    ----------
    rank_ic
        By session, of sessions whose label is realised.
    promised
        The same of the validation segment.
    horizon
        Horizon of the labels, in sessions: those above one overlap, and a mean over them is less sure.
    parameters
        Length of the mean, width of the band.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``rolling`` (mean of the last ``rolling_sessions``; NaN before there are as many), ``expected``
        (mean of `promised`), ``lower`` (the band's end: ``expected - band * error``), ``below``. The error is the
        Newey-West error of `promised`, times ``sqrt(sessions of promised / rolling_sessions + 1)``: that of a mean over
        the rolling sessions and, because the promise is itself a mean, its own. With fewer than 20 promised sessions,
        or ten horizons, there is no band.
    """
    length = parameters.rolling_sessions
    known = promised.dropna().to_numpy(dtype=np.float64)
    rolling = rank_ic.dropna().rolling(length, min_periods=length).mean()
    expected = float(known.mean()) if len(known) else np.nan
    error = float(newey_west_errors(known[:, None], horizon)[0]) * np.sqrt(len(known) / length + 1)
    lower = expected - parameters.max_standard_errors * error
    table = pd.DataFrame({"rolling": rolling, "expected": expected, "lower": lower, "below": rolling < lower})
    return table.rename_axis("date").reset_index()


def advise(
    drift: pd.DataFrame, importance: pd.DataFrame, score_psi: float, band: pd.DataFrame, parameters: DriftParameters
) -> list[str]:
    """Say why a model should be trained again.

    Parameters
    ----------
    drift
        As returned by `compare_distributions`.
    importance
        ``factor``, ``importance``; factors weigh by its size, equally when it is empty.
    score_psi
        Population stability index of the scores.
    band
        As returned by `rolling_rank_ic`.

    Returns
    -------
    list of str
        Reasons in words; empty when there is none.
    """
    weights = importance.set_index("factor")["importance"].abs().reindex(drift["factor"]).fillna(0.0).to_numpy()
    weights = weights if weights.sum() > 0 else np.ones(len(drift))
    share = float(weights[(drift["verdict"] == "drifted").to_numpy()].sum() / weights.sum())
    reasons = []
    if share >= parameters.max_drifted_share:
        reasons.append(f"factors with {share:.0%} of the importance have drifted")
    if judge_index(score_psi, parameters) == "drifted":
        reasons.append(f"the distribution of its scores has drifted (index {score_psi:.2f})")
    newest = band.dropna(subset="rolling").tail(1)
    if len(newest) and bool(newest["below"].iloc[0]):
        row = newest.iloc[0]
        reasons.append(
            f"its rank IC over {parameters.rolling_sessions} sessions is {row['rolling']:.3f}, below the band of its "
            f"validation, which ends at {row['lower']:.3f}"
        )
    return reasons
