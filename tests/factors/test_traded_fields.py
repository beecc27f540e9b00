"""Prices and volumes as traded, restored from adjusted bars: what was equal when it was traded stays a tie."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.factors.engine import compile_factors, compute_factors
from quant_pipeline.factors.plan_file import load_plan, save_plan
from quant_pipeline.factors.streaming import FactorStream
from quant_pipeline.market.price_adjustment import adjust_bars

SESSIONS = pd.bdate_range("2024-01-02", periods=40)
NAMES = [f"N{number}" for number in range(8)]


@pytest.fixture(scope="module")
def adjusted():
    """Eight instruments that trade at the same prices and volumes, each with dividends of its own."""
    random = np.random.default_rng(11)
    prices = np.round(20 * np.exp(np.cumsum(random.normal(0, 0.02, len(SESSIONS)))), 2)
    volume = random.integers(1_000, 9_000_000, len(SESSIONS)).astype(float)
    bars = pd.concat(
        [
            pd.DataFrame({"date": SESSIONS, "instrument": name, "volume": volume}).assign(
                **dict.fromkeys(("open", "high", "low", "close"), prices)
            )
            for name in NAMES
        ],
        ignore_index=True,
    )
    dividends = [
        (SESSIONS[day], name, "cash_dividend", 0.01 + 0.07 * index + 0.003 * day)
        for index, name in enumerate(NAMES)
        for day in range(2 + index, len(SESSIONS), 9)
    ]
    actions = pd.DataFrame(dividends, columns=["date", "instrument", "kind", "value"])
    return adjust_bars(bars, actions)


@pytest.mark.parametrize(
    "expression", ["$open/$factor", "$close/$factor", "$volume*$factor", "$factor*$volume", "Ref($close/$factor, 3)"]
)
def test_equal_traded_values_stay_ties_after_adjustment(adjusted, expression):
    texts = {"value": expression, "rank": f"CSRank({expression})"}
    panel = compute_factors(adjusted, texts, SESSIONS).dropna()
    assert panel["value"].groupby(level="datetime").nunique().eq(1).all()
    # All eight share the ranks 1 to 8: the mean rank is 4.5 of 8.
    assert panel["rank"].eq(0.5625).all()
    assert len(panel) >= 8 * 37


def test_a_traded_price_is_the_number_that_was_traded(adjusted):
    panel = compute_factors(adjusted, {"price": "$close/$factor"}, SESSIONS)["price"].unstack()
    traded = (adjusted["close"] / adjusted["factor"]).round(2).to_numpy().reshape(len(NAMES), -1).T
    np.testing.assert_array_equal(panel.to_numpy(), traded.astype("float32"))


def test_other_quotients_are_those_of_float32_as_in_qlib(adjusted):
    panel = compute_factors(adjusted, {"ratio": "$close/$open", "level": "($close+$open)/$factor"}, SESSIONS)
    wide = {name: adjusted[name].to_numpy("float32").reshape(len(NAMES), -1).T for name in ("open", "close", "factor")}
    np.testing.assert_array_equal(panel["ratio"].unstack().to_numpy(), wide["close"] / wide["open"])
    level = (wide["close"] + wide["open"]) / wide["factor"]
    np.testing.assert_array_equal(panel["level"].unstack().to_numpy(), level)


def test_research_the_newest_session_and_a_stream_from_a_kept_plan_give_the_same_bits(adjusted, tmp_path):
    texts = {"rank": "CSRank($open/$factor)", "mean": "Mean($volume*$factor, 5)/($close/$factor)"}
    history = compute_factors(adjusted, texts, SESSIONS)
    newest = compute_factors(adjusted, texts, SESSIONS, start=SESSIONS[-1])
    pd.testing.assert_frame_equal(newest, history.loc[SESSIONS[-1:]], check_exact=True)
    save_plan(compile_factors(texts), tmp_path / "plan.npz")
    stream = FactorStream(load_plan(tmp_path / "plan.npz"))
    for session, bars in adjusted.groupby("date"):
        row = stream.update(session, bars)
    np.testing.assert_array_equal(row.to_numpy(), newest.to_numpy())


def test_bars_without_a_factor_are_refused_by_the_name_of_the_column(adjusted):
    plan = compile_factors({"price": "$close/$factor"})
    with pytest.raises(FactorError, match=r"no column \['factor'\]"):
        plan.panel(adjusted.drop(columns="factor"), SESSIONS, None, None)
