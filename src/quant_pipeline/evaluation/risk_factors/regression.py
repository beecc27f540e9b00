"""Returns of factors: one weighted regression across the instruments of every session.

``return of a session = market + sector + sum of exposure × style + rest``, with the exposures at the close before, so
that nothing explains itself. Sectors are relative to the market: their returns, weighted as in the regression, sum to
zero (Heston and Rouwenhorst, "Does Industrial Structure Explain the Benefits of International Diversification?",
Journal of Financial Economics 36, 1994).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.evaluation.risk_factors.exposures import STYLES, Exposures

Floats = npt.NDArray[np.float64]

MARKET = "market"
SECTOR = "sector: "
LEAST_PER_FACTOR = 2
"""Instruments that a regression needs for each factor; with fewer a session is not explained."""
MOST_CONDITION = 1e8
"""Condition number of the weighted design from which factors are too alike."""

FACTOR_COLUMNS = {"date": "datetime64[ns]", "factor": "str", "value": "float64", "error": "float64", "t": "float64"}
FIT_COLUMNS = {"date": "datetime64[ns]", "instruments": "int64", "r_squared": "float64", "condition": "float64"}


@dataclass(frozen=True)
class SessionFit:
    """Factors of one session.

    Attributes
    ----------
    names, values, errors
        Market, sectors, styles; standard errors by the residuals of the regression.
    rest
        What is left of the return of each instrument of the design.
    r_squared
        Weighted part of the variance that is explained.
    condition
        Condition number of the weighted design.
    """

    names: tuple[str, ...]
    values: Floats
    errors: Floats
    rest: Floats
    r_squared: float
    condition: float


def fit_session(returns: Floats, styles: Floats, sectors: npt.NDArray[np.str_], weights: Floats) -> SessionFit | None:
    """Estimate the returns of market, sectors and styles in one session.

    Parameters
    ----------
    returns
        By instrument.
    styles
        Instruments × `STYLES`, at the close before.
    sectors
        By instrument.
    weights
        By instrument, positive.

    Returns
    -------
    SessionFit or None
        None where there are too few instruments, or factors are too alike.
    """
    names, places = np.unique(sectors, return_inverse=True)
    unknowns = len(names) + styles.shape[1]
    if len(returns) < LEAST_PER_FACTOR * unknowns:
        return None
    share = np.bincount(places, weights=weights) / weights.sum()
    dummies = np.eye(len(names))[places]
    # The last sector is what the others leave: its return is minus their weighted sum.
    free = dummies[:, :-1] - dummies[:, -1:] * (share[:-1] / share[-1])
    design = np.column_stack([np.ones(len(returns)), free, styles])
    root = np.sqrt(weights)
    weighted = design * root[:, None]
    varies = np.append(np.ones(1 + len(names) - 1, dtype=bool), styles.std(axis=0) > 0)
    condition = float(np.linalg.cond(weighted[:, varies]))
    if not condition < MOST_CONDITION:
        return None
    inverse = np.linalg.inv(weighted[:, varies].T @ weighted[:, varies])
    known = inverse @ weighted[:, varies].T @ (root * returns)
    solved, covariance = np.zeros(design.shape[1]), np.zeros((design.shape[1], design.shape[1]))
    solved[varies] = known
    rest = returns - design @ solved
    left = len(returns) - varies.sum()
    covariance[np.ix_(varies, varies)] = inverse * (weights @ rest**2) / left
    # Market, all sectors, styles out of what was solved for.
    out = np.zeros((1 + len(names) + styles.shape[1], design.shape[1]))
    out[0, 0] = 1.0
    out[1 : len(names), 1 : len(names)] = np.eye(len(names) - 1)
    out[len(names), 1 : len(names)] = -share[:-1] / share[-1]
    out[1 + len(names) :, len(names) :] = np.eye(styles.shape[1])
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", out, covariance, out), 0.0))
    centred = returns - np.average(returns, weights=weights)
    total = weights @ centred**2
    explained = 1.0 - float(weights @ rest**2 / total) if total > 0 else np.nan
    labels = (MARKET, *(f"{SECTOR}{name}" for name in names), *STYLES)
    return SessionFit(labels, out @ solved, errors, rest, explained, condition)


@dataclass(frozen=True)
class FactorReturns:
    """Factors of many sessions.

    Attributes
    ----------
    fits
        By session; those that could not be fitted are not there.
    """

    fits: dict[pd.Timestamp, SessionFit]

    def table(self) -> pd.DataFrame:
        """List ``date``, ``factor``, ``value``, ``error``, ``t``."""
        rows = [
            (session, name, value, error, value / error if error > 0 else np.nan)
            for session, fit in self.fits.items()
            for name, value, error in zip(fit.names, fit.values, fit.errors, strict=True)
        ]
        return pd.DataFrame(rows, columns=list(FACTOR_COLUMNS)).astype(FACTOR_COLUMNS)

    def quality(self) -> pd.DataFrame:
        """List ``date``, ``instruments``, ``r_squared``, ``condition`` of every session."""
        rows = [(session, len(fit.rest), fit.r_squared, fit.condition) for session, fit in self.fits.items()]
        return pd.DataFrame(rows, columns=list(FIT_COLUMNS)).astype(FIT_COLUMNS)


def estimate_factors(exposures: Exposures) -> FactorReturns:
    """Estimate the factors of every session but the first, each from the exposures at the close before."""
    sectors = exposures.sectors.fillna("unknown").to_numpy(dtype=str)
    fits = {}
    for row in range(1, len(exposures.sessions)):
        returns = exposures.returns[row]
        used = exposures.members[row - 1] & np.isfinite(returns)
        used &= np.isfinite(exposures.styles[row - 1]).all(axis=1) & (exposures.weights[row - 1] > 0)
        fit = fit_session(
            returns[used], exposures.styles[row - 1][used], sectors[used], exposures.weights[row - 1][used]
        )
        if fit is not None:
            fits[exposures.sessions[row]] = fit
    return FactorReturns(fits)
