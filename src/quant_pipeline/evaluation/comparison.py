"""Whether one score is better than another, judged on the same sessions: a paired test, and the gate of promotion."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy
from pydantic import Field

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.evaluation.standard_errors import degrees_of_freedom, newey_west_t, smallest_sample


class PromotionGate(Parameters):
    """What a candidate has to show before it replaces the champion.

    Attributes
    ----------
    min_difference
        Mean rank IC by which the candidate has to be better.
    significance
        Largest one-sided p-value of the paired test.
    """

    min_difference: float = 0.0
    significance: float = Field(default=0.05, gt=0, lt=1)


def paired_rank_ic_test(
    candidate: pd.Series, champion: pd.Series, labels: pd.Series, horizon: int
) -> dict[str, float | int]:
    """Test whether a candidate ranks instruments better than the champion: paired, by session.

    The mean of the daily differences in rank IC is divided by a standard error that allows for heteroscedasticity and
    for correlation between sessions (Newey and West, Econometrica 55, 1987), because labels of a horizon above one
    overlap.

    Parameters
    ----------
    candidate, champion
        Out-of-sample scores, indexed ``(datetime, instrument)``; rows that only one of them has are left out.
    labels
        Realised returns; they are known `label_lag` sessions later, so this is a verdict on the past.
    horizon
        Horizon of the label, in sessions.

    Returns
    -------
    dict
        ``sessions``, ``sessions_needed`` (below it nothing is concluded), ``candidate`` and ``champion`` (mean rank
        IC), ``difference``, ``t`` and ``p_value`` (one-sided: how likely so large a difference is when the candidate
        is not better, by Student's law). With fewer sessions than needed, or two equal scores, ``t`` is 0 and
        ``p_value`` 1.
    """
    both = candidate.index.intersection(champion.index)
    series = {
        name: information_coefficients(scores.loc[both], labels)["rank_ic"]
        for name, scores in (("candidate", candidate), ("champion", champion))
    }
    paired = pd.DataFrame(series).dropna()
    difference = (paired["candidate"] - paired["champion"]).to_numpy()
    t = float(np.nan_to_num(newey_west_t(difference, horizon)))
    freedom = degrees_of_freedom(len(paired), len(paired), horizon)
    return {
        "sessions": len(paired),
        "sessions_needed": smallest_sample(horizon),
        "candidate": float(paired["candidate"].mean()),
        "champion": float(paired["champion"].mean()),
        "difference": float(difference.mean()) if len(difference) else 0.0,
        "t": t,
        "p_value": float(scipy.stats.t.sf(t, freedom)) if t else 1.0,
    }


def refusal(test: dict[str, float | int], gate: PromotionGate) -> str | None:
    """Say why a tested candidate may not become champion; None when it may."""
    if test["sessions"] < test["sessions_needed"]:
        return (
            f"{test['sessions']} sessions with scores of both prove nothing, {test['sessions_needed']} are needed "
            "(20, or ten horizons of the label); let the test segment begin earlier (`split.test`)"
        )
    if test["difference"] > gate.min_difference and test["p_value"] <= gate.significance:
        return None
    return f"`promotion_gate` asks for a difference above {gate.min_difference} with p at most {gate.significance}"
