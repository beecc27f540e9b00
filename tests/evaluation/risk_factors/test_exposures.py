"""Exposures from bars: literal values, no future in them, and the parts of a portfolio that follow from them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from statsmodels.api import OLS, add_constant

from quant_pipeline.evaluation.risk_factors.attribution import NOT_MODELLED, PARTS, RiskModel
from quant_pipeline.evaluation.risk_factors.exposures import HISTORY, STYLES, measure_exposures
from quant_pipeline.evaluation.risk_factors.loadings import measure_loadings
from quant_pipeline.evaluation.risk_factors.regression import MARKET, estimate_factors

SESSIONS = pd.bdate_range("2020-01-01", periods=HISTORY + 180)
NAMES = [f"I{number:02d}" for number in range(40)]


def market(seed=5):
    """Forty instruments in four sectors that move with a market, and drift at speeds of their own."""
    random = np.random.default_rng(seed)
    common = random.normal(0.0003, 0.01, (len(SESSIONS), 1))
    drift = random.normal(0, 0.001, (1, len(NAMES)))
    returns = common * random.uniform(0.5, 1.5, (1, len(NAMES))) + drift + random.normal(0, 0.01, (len(SESSIONS), 40))
    close = pd.DataFrame(100 * np.exp(returns.cumsum(axis=0)), SESSIONS, NAMES)
    volume = pd.DataFrame(random.uniform(1e4, 1e6, (1, 40)) * random.uniform(0.5, 2, close.shape), SESSIONS, NAMES)
    long = close.stack().rename("close").to_frame().join(volume.stack().rename("volume"))
    return long.rename_axis(["date", "instrument"]).reset_index().astype({"instrument": "str"})


@pytest.fixture(scope="module")
def tables():
    bars = market()
    instruments = pd.DataFrame({"instrument": NAMES, "sector": ["A", "B", "C", "D"] * 10}).astype("str")
    return bars, bars[["date", "instrument"]], instruments


@pytest.fixture(scope="module")
def model(tables):
    exposures = measure_exposures(*tables, SESSIONS)
    return RiskModel(exposures, estimate_factors(exposures))


def test_styles_are_what_their_table_says(tables, model):
    bars, row = tables[0], 400
    close = bars.pivot(index="date", columns="instrument", values="close")
    value = (bars["close"] * bars["volume"]).groupby([bars["date"], bars["instrument"]]).sum().unstack()
    returns = close.pct_change()
    mean = returns.mean(axis=1)
    window = slice(row - 251, row + 1)
    beta = [np.cov(returns.iloc[window, i], mean.iloc[window], ddof=0)[0, 1] for i in range(40)]
    raw = {
        "beta": pd.Series(beta, close.columns),
        "momentum": np.log(close.iloc[row - 21] / close.iloc[row - 252]),
        "reversal": -np.log(close.iloc[row] / close.iloc[row - 21]),
        "size": np.log(value.iloc[window].mean()),
        "liquidity": np.log(value.iloc[row - 20 : row + 1].mean() / value.iloc[window].mean()),
    }
    for name, values in raw.items():
        found = pd.Series(model.exposures.styles[row, :, STYLES.index(name)], close.columns)
        assert values.corr(found, method="spearman") == pytest.approx(1)
        assert found.mean() == pytest.approx(0, abs=0.05)
        assert np.abs(found).max() <= 3


def test_nothing_after_a_session_changes_its_exposures_or_factors(tables, model):
    bars, members, instruments = tables
    poisoned = bars.copy()
    later = poisoned["date"] > SESSIONS[400]
    poisoned.loc[later, ["close", "volume"]] = np.random.default_rng(1).uniform(1, 9, (int(later.sum()), 2))
    exposures = measure_exposures(poisoned, members, instruments, SESSIONS)
    np.testing.assert_array_equal(exposures.styles[:401], model.exposures.styles[:401])
    factors = estimate_factors(exposures)
    for session in SESSIONS[HISTORY:401]:
        np.testing.assert_array_equal(factors.fits[session].values, model.factors.fits[session].values)
    assert not np.array_equal(factors.fits[SESSIONS[402]].values, model.factors.fits[SESSIONS[402]].values)


def test_no_session_is_explained_before_histories_are_long_enough(model):
    first = min(model.factors.fits)
    assert SESSIONS[200] < first <= SESSIONS[HISTORY]
    assert model.attribute(SESSIONS[100], pd.Series({"I00": 5.0}))[NOT_MODELLED] == pytest.approx(
        5 * model.exposures.returns[100, 0]
    )


def test_parts_of_holdings_sum_to_what_they_earned(model):
    values = pd.Series({"I03": 1_000.0, "I07": 2_500.0, "I20": 40.0, "ZZ": 70.0})
    for session in SESSIONS[HISTORY + 1 :: 20]:
        parts = model.attribute(session, values)
        row = SESSIONS.get_loc(session)
        earned = 1_000 * model.exposures.returns[row, 3] + 2_500 * model.exposures.returns[row, 7]
        earned += 40 * model.exposures.returns[row, 20]
        assert tuple(parts) == PARTS
        assert sum(parts.values()) == pytest.approx(earned, abs=1e-9)


def test_what_has_no_exposures_is_not_modelled(model):
    styles = model.exposures.styles.copy()
    styles[:, 3] = np.nan
    partly = RiskModel(replace(model.exposures, styles=styles), model.factors)
    parts = partly.attribute(SESSIONS[350], pd.Series({"I03": 100.0}))
    assert parts[NOT_MODELLED] == pytest.approx(100 * model.exposures.returns[350, 3])
    assert sum(abs(parts[name]) for name in PARTS if name != NOT_MODELLED) == 0


def test_exposures_of_a_portfolio_are_weighted_means(model):
    found = model.exposure_of(SESSIONS[350], pd.Series({"I00": 30.0, "I01": 60.0}), base=100.0)
    assert found[MARKET] == pytest.approx(0.9)
    assert (found["sector: A"], found["sector: B"]) == (pytest.approx(0.3), pytest.approx(0.6))
    momentum = model.exposures.styles[350, :2, STYLES.index("momentum")]
    assert found["momentum"] == pytest.approx(0.3 * momentum[0] + 0.6 * momentum[1])


@pytest.fixture(scope="module")
def styles(model):
    table = model.factors.table().pivot(index="date", columns="factor", values="value")
    return table[[MARKET, *STYLES]]


def test_planted_portfolio_of_momentum_and_noise_is_recovered(styles):
    noise = np.random.default_rng(11).normal(0, 0.002, len(styles))
    found = measure_loadings(0.7 * styles["momentum"] + noise, styles, least=60).set_index("factor")
    momentum = found.loc["momentum"]
    assert abs(momentum["loading"] - 0.7) < 2 * momentum["error"]
    assert momentum["lower"] < 0.7 < momentum["upper"]
    assert momentum["lower"] > 0
    assert momentum["contribution"] == pytest.approx(momentum["loading"] * styles["momentum"].mean() * 252)
    others = found.drop(["momentum"])
    assert ((others["lower"] < 0) & (others["upper"] > 0)).all()


def test_noise_owes_nothing_to_any_factor_within_its_band(styles):
    noise = pd.Series(np.random.default_rng(12).normal(0, 0.01, len(styles)), styles.index)
    found = measure_loadings(noise, styles, least=60, confidence=0.99)
    assert ((found["lower"] < 0) & (found["upper"] > 0)).all()


def test_return_without_risk_is_no_factor_and_taken_off_the_returns(styles):
    risk_free = pd.Series(np.linspace(0.0001, 0.0003, len(styles)), styles.index)
    noise = np.random.default_rng(13).normal(0, 0.002, len(styles))
    factors = styles[[MARKET]].assign(RF=risk_free)
    found = measure_loadings(risk_free + 0.9 * styles[MARKET] + noise, factors, least=60).set_index("factor")
    assert list(found.index) == ["alpha", MARKET]
    oracle = OLS(0.9 * styles[MARKET] + noise, add_constant(styles[MARKET])).fit()
    assert found.loc["alpha", "loading"] == pytest.approx(oracle.params["const"] * 252)
    assert found.loc[MARKET, "loading"] == pytest.approx(oracle.params[MARKET])
    without = factors.assign(RF=risk_free.where(risk_free.index != risk_free.index[0]))
    assert measure_loadings(risk_free + noise, without, least=len(styles)) is None


def test_fewer_sessions_than_the_least_conclude_nothing(styles):
    assert measure_loadings(styles["momentum"].iloc[:59], styles, least=60) is None
    assert measure_loadings(styles["momentum"].iloc[:31], styles, least=10) is None
    assert measure_loadings(styles["momentum"].iloc[:40], styles, least=10) is not None
