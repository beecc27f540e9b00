"""How a series of returns moves with factors: one regression over sessions, with Newey-West errors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_pipeline.evaluation.risk_factors.published import RISK_FREE
from quant_pipeline.evaluation.standard_errors import newey_west_lags
from quant_pipeline.market.clock import SESSIONS_PER_YEAR

LOADING_COLUMNS = ["factor", "loading", "error", "lower", "upper", "t", "contribution", "sessions", "r_squared"]
ALPHA = "alpha"


def measure_loadings(
    returns: pd.Series, factors: pd.DataFrame, least: int, confidence: float = 0.95
) -> pd.DataFrame | None:
    """Regress returns on factors.

    Parameters
    ----------
    returns
        By session.
    factors
        Sessions × factors; a session with a missing factor is left out. A column `RISK_FREE` is no factor: the returns
        beyond it are regressed.
    least
        Sessions below which nothing is concluded.
    confidence
        Of the bands.

    Returns
    -------
    pandas.DataFrame or None
        ``factor`` (``alpha`` first, a year of it), ``loading``, ``error`` (Newey-West), ``lower``, ``upper``, ``t``,
        ``contribution`` (loading times the factor's mean return, a year of it), ``sessions``, ``r_squared``. None with
        fewer sessions, or more factors than a quarter of them.
    """
    from statsmodels.regression.linear_model import OLS

    joined = factors.join(returns.rename("_return"), how="inner").dropna()
    if RISK_FREE in factors.columns:
        joined = joined.assign(_return=joined["_return"] - joined[RISK_FREE])
    names = [name for name in factors.columns if name != RISK_FREE]
    sessions = len(joined)
    if sessions < max(least, 4 * (len(names) + 1)):
        return None
    design = joined[names]
    varies = design.std() > 0
    design = design.loc[:, varies]
    explained = np.column_stack([np.ones(sessions), design.to_numpy()])
    lags = newey_west_lags(sessions, 1)
    fitted = OLS(joined["_return"].to_numpy(), explained).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}, use_t=True
    )
    bands = fitted.conf_int(alpha=1 - confidence)
    scale = np.append(float(SESSIONS_PER_YEAR), np.ones(design.shape[1]))
    means = np.append(1.0, design.mean().to_numpy()) * SESSIONS_PER_YEAR
    return pd.DataFrame(
        {
            "factor": [ALPHA, *design.columns],
            "loading": fitted.params * scale,
            "error": fitted.bse * scale,
            "lower": bands[:, 0] * scale,
            "upper": bands[:, 1] * scale,
            "t": fitted.tvalues,
            "contribution": fitted.params * means,
            "sessions": sessions,
            "r_squared": float(fitted.rsquared),
        }
    )[LOADING_COLUMNS]
