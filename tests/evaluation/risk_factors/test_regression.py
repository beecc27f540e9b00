"""The regression across instruments against statsmodels, and what it does not explain."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import WLS

from quant_pipeline.evaluation.risk_factors.exposures import STYLES
from quant_pipeline.evaluation.risk_factors.regression import MARKET, fit_session


@pytest.fixture
def session():
    random = np.random.default_rng(3)
    styles = random.normal(size=(60, len(STYLES)))
    sectors = random.choice(["Energy", "Health", "Tech"], size=60)
    weights = random.uniform(1, 5, size=60)
    returns = 0.01 + styles @ np.linspace(-0.01, 0.01, len(STYLES)) + random.normal(0, 0.02, 60)
    return returns, styles, sectors, weights


def test_factors_errors_and_rest_equal_weighted_least_squares_of_statsmodels(session):
    returns, styles, sectors, weights = session
    fit = fit_session(*session)
    dummies = pd.get_dummies(pd.Series(sectors)).astype(float)
    oracle = WLS(returns, np.column_stack([dummies, styles]), weights=weights).fit()
    found = dict(zip(fit.names, fit.values, strict=True))
    in_sectors = [found[MARKET] + found[f"sector: {name}"] for name in dummies.columns]
    np.testing.assert_allclose(in_sectors, oracle.params[:3], rtol=0, atol=1e-12)
    np.testing.assert_allclose(fit.values[-len(STYLES) :], oracle.params[3:], rtol=0, atol=1e-12)
    np.testing.assert_allclose(fit.errors[-len(STYLES) :], oracle.bse[3:], rtol=1e-9)
    np.testing.assert_allclose(fit.rest, oracle.resid, rtol=0, atol=1e-12)
    # The market is the mean over sectors by weight: a linear combination of the oracle's coefficients.
    share = np.array([weights[sectors == name].sum() for name in dummies.columns]) / weights.sum()
    assert found[MARKET] == pytest.approx(share @ oracle.params[:3], abs=1e-12)
    error = np.sqrt(share @ oracle.cov_params()[:3, :3] @ share)
    assert fit.errors[0] == pytest.approx(error, rel=1e-9)
    centred = returns - np.average(returns, weights=weights)
    assert fit.r_squared == pytest.approx(1 - weights @ oracle.resid**2 / (weights @ centred**2))
    assert share @ [found[f"sector: {name}"] for name in dummies.columns] == pytest.approx(0, abs=1e-15)


def test_style_in_which_nothing_differs_has_no_return(session):
    returns, styles, sectors, weights = session
    styles[:, 2] = 0.0
    fit = fit_session(returns, styles, sectors, weights)
    assert dict(zip(fit.names, fit.values, strict=True))[STYLES[2]] == 0
    assert np.isfinite(fit.values).all()


def test_fewer_instruments_than_factors_need_are_not_explained(session):
    returns, styles, sectors, weights = session
    assert fit_session(returns[:17], styles[:17], sectors[:17], weights[:17]) is None
    assert fit_session(returns[:18], styles[:18], sectors[:18], weights[:18]) is not None


def test_styles_that_are_too_alike_are_not_explained(session):
    returns, styles, sectors, weights = session
    styles[:, 1] = styles[:, 0] * 2
    assert fit_session(returns, styles, sectors, weights) is None
