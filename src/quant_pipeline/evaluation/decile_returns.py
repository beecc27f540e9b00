"""What the deciles of scores out of sample have earned."""

import numpy as np
import pandas as pd

from quant_pipeline.evaluation.standard_errors import (
    degrees_of_freedom,
    means_of_known,
    newey_west_errors,
    student_bands,
)
from quant_pipeline.exchange.rules import CostRules

DECILES = 10
CONFIDENCE = 0.95
"""Share of the cases in which a band covers the true mean."""
HISTORY_COLUMNS = ["decile", "net_return", "lower", "upper", "sessions", "cases"]


def deciles(scores: pd.Series) -> pd.Series:
    """Return the decile of each score: 1 the lowest, 10 the highest.

    Fewer than ten scores leave deciles empty; equal scores share one. A missing score has none.
    """
    return _deciles_of_ranks(scores.rank(), scores.count())


def deciles_by_session(scores: pd.Series) -> pd.Series:
    """Return the decile of each score of a panel among those of its session, as `deciles` does for one of them."""
    by_session = scores.groupby(level="datetime")
    return _deciles_of_ranks(by_session.rank(), by_session.transform("count"))


def _deciles_of_ranks(ranks: pd.Series, count: pd.Series | int) -> pd.Series:
    return np.ceil((ranks - 0.5) / count * DECILES).clip(1, DECILES)


def round_trip_cost(rules: CostRules, session: pd.Timestamp) -> float:
    """Return what buying and selling again costs, as a fraction of the value.

    Commissions and taxes by value and the spread of one session. Fees per share, the smallest commission and the impact
    of size depend on the order and are left out.
    """
    costs = rules.at(session)
    return costs.buy_rate + costs.sell_rate + costs.buy_tax_rate + costs.sell_tax_rate + 2 * costs.half_spread


def decile_returns(scores: pd.Series, labels: pd.Series, horizon: int, cost: float) -> pd.DataFrame:
    """Measure what each decile of the scores has earned over the horizon of the labels, after costs.

    Parameters
    ----------
    scores
        Panel ``(datetime, instrument)`` of scores out of sample.
    labels
        Panel of what a position bought by that decision has earned; missing where it is not realised.
    horizon
        Horizon of the labels, in sessions.
    cost
        Subtracted from every return: one round trip.

    Returns
    -------
    pandas.DataFrame
        One row per decile: ``decile`` (1 the lowest scores); ``net_return``, the mean over sessions of the mean return
        of the decile; ``lower`` and ``upper``, its band by Newey-West errors, missing below the smallest sample;
        ``sessions`` and ``cases``, how many sessions and instruments it is the mean of.
    """
    known = pd.DataFrame({"score": scores, "label": labels.reindex(scores.index)})
    known["decile"] = deciles_by_session(known["score"])
    known = known.dropna()
    groups = known.groupby([known.index.get_level_values("datetime"), "decile"])["label"]
    by_session = groups.mean().unstack("decile").reindex(columns=np.arange(1.0, DECILES + 1)) - cost
    returns = by_session.to_numpy(dtype=float)
    sessions = np.isfinite(returns).sum(axis=0)
    means, errors = means_of_known(returns), newey_west_errors(returns, horizon)
    band = student_bands(means, errors, CONFIDENCE, degrees_of_freedom(sessions, len(returns), horizon))
    cases = known["decile"].value_counts().reindex(by_session.columns).fillna(0).astype("int64")
    return pd.DataFrame(
        {
            "decile": by_session.columns.astype("int64"),
            "net_return": means,
            "lower": band.lower,
            "upper": band.upper,
            "sessions": sessions,
            "cases": cases.to_numpy(),
        }
    )[HISTORY_COLUMNS]
