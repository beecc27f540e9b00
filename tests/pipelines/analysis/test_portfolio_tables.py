"""The portfolio by hand: measures, round trips, concentration, how long a sale of everything takes."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.analysis.bands import mean_with_band, rate_with_band, ratio_with_band
from quant_pipeline.pipelines.analysis.nodes import analyse_portfolio
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.pipelines.analysis.portfolio import (
    group_round_trips,
    measure_concentration,
    measure_exit,
    measure_portfolio,
)

DAYS = pd.bdate_range("2024-01-01", periods=120)
RULES = AnalysisParameters(min_sessions=60, min_round_trips=3)


def amounts(returns):
    days = DAYS[: len(returns) + 1]
    nav = 1000 * np.cumprod([1.0, *(1 + np.asarray(returns))])
    return pd.DataFrame({"date": days, "nav": nav, "return": [0.0, *returns]})


def test_measures_are_those_of_the_returns_and_have_bands_from_enough_sessions_on():
    returns = np.random.default_rng(2).normal(0.001, 0.01, 119)
    table = amounts(returns)
    benchmark, turnover = pd.Series(np.arange(100.0, 220.0), DAYS), pd.Series(0.1, DAYS)
    found = measure_portfolio(table, benchmark, turnover, 0.0, RULES).set_index("measure")
    assert found.loc["total_return", "value"] == pytest.approx(np.prod(1 + returns) - 1)
    assert found.loc["benchmark_total_return", "value"] == pytest.approx(1.19)
    for measure in ("annualised_return", "sharpe", "information_ratio", "win_rate"):
        row = found.loc[measure]
        assert row["lower"] < row["value"] < row["upper"]
    few = measure_portfolio(amounts(returns[:59]), benchmark, turnover, 0.0, RULES)
    assert few[["lower", "upper"]].isna().all().all()
    assert measure_portfolio(amounts(returns[:1]), benchmark, turnover, 0.0, RULES).empty


def test_account_without_a_whole_benchmark_is_measured_alone():
    found = measure_portfolio(amounts([0.01, -0.01, 0.02]), pd.Series(dtype=float), pd.Series(dtype=float), 0.0, RULES)
    assert "beta" not in set(found["measure"])


def lots_of(held, profits):
    """Lots of 100 that were sold on one day, each of an instrument of its own."""
    days = pd.to_timedelta(held, unit="D")
    return pd.DataFrame(
        {"instrument": [f"N{place}" for place in range(len(held))], "opened": DAYS[100] - days, "closed": DAYS[100],
         "cost": 100.0, "realised_profit": profits}
    )  # fmt: skip


def test_round_trips_by_the_time_they_were_held():
    lots = lots_of([1, 3, 4, 5, 90], [5.0, -2.0, 1.0, 3.0, 7.0])
    found = group_round_trips(lots, RULES).set_index("held")
    assert found["round_trips"].to_dict() == {"all": 5, "up to a day": 1, "up to 5 days": 3, "more than 60 days": 1}
    assert found.loc["all", "hit_rate"] == 0.8
    lower, upper = proportion_confint(4, 5, method="wilson")
    assert found.loc["all", ["lower", "upper"]].tolist() == pytest.approx([lower, upper])
    assert found.loc["up to a day", ["lower", "upper"]].isna().all()
    assert found.loc["up to 5 days", "mean_return"] == pytest.approx(0.02 / 3)
    assert found.loc["more than 60 days", "profit"] == 7
    # All ended in one session: nothing says how much their mean varies.
    assert found[["mean_lower", "mean_upper"]].isna().all().all()
    assert group_round_trips(lots.head(0), RULES)["round_trips"].tolist() == [0]


def test_order_of_thirty_fills_that_was_sold_at_once_is_one_round_trip():
    fills = pd.DataFrame(
        {"instrument": "A", "opened": DAYS[0], "closed": DAYS[3], "cost": 10.0, "realised_profit": [1.0] * 29 + [-5.0]}
    )
    found = group_round_trips(pd.concat([fills, fills.head(1).assign(closed=DAYS[9])]), RULES).set_index("held")
    assert found["round_trips"].to_dict() == {"all": 2, "up to 5 days": 1, "up to 20 days": 1}
    assert found.loc["up to 5 days", "mean_return"] == pytest.approx(24 / 300)
    assert np.isnan(found.loc["all", "lower"])


def test_mean_return_of_round_trips_has_the_band_of_sessions_that_are_alike():
    random = np.random.default_rng(4)
    lots = pd.DataFrame(
        {"instrument": [f"N{place}" for place in range(40)], "opened": DAYS[0], "closed": DAYS[1:41],
         "cost": 100.0, "realised_profit": random.normal(1, 2, 40)}
    )  # fmt: skip
    alone = group_round_trips(lots, RULES).iloc[0]
    wanted = mean_with_band(lots["realised_profit"] / 100, 2, RULES.confidence)
    assert alone[["mean_return", "mean_lower", "mean_upper"]].tolist() == pytest.approx(wanted[:3])
    # Four times the same trips of each session are no more evidence.
    four = pd.concat([lots.assign(instrument=lots["instrument"] + name) for name in "abcd"])
    alike = group_round_trips(four, RULES).iloc[0]
    assert alike["round_trips"] == 160
    assert alike[["mean_lower", "mean_upper"]].tolist() == pytest.approx(alone[["mean_lower", "mean_upper"]].tolist())


def test_four_equal_holdings_are_as_spread_as_four():
    held = pd.DataFrame({"date": DAYS[0], "instrument": list("ABCD"), "market_value": 100.0})
    (row,) = measure_concentration(held, pd.DataFrame({"date": [DAYS[0]], "nav": [500.0]})).to_dict("records")
    assert (row["holdings"], row["effective_holdings"]) == (4, 4)
    assert (row["largest"], row["five_largest"], row["invested"]) == (0.2, 0.8, 0.8)


def test_session_in_which_nothing_is_held_is_a_row_of_its_own():
    held = pd.DataFrame({"date": DAYS[0], "instrument": list("AB"), "market_value": 100.0})
    amounts = pd.DataFrame({"date": DAYS[:2], "nav": [400.0, 410.0]})
    found = measure_concentration(held, amounts)
    assert found[["holdings", "largest", "invested"]].to_numpy().tolist() == [[2, 0.25, 0.5], [0, 0.0, 0.0]]
    assert found["effective_holdings"].isna().tolist() == [False, True]


def test_account_that_has_sold_everything_has_nothing_to_exit():
    held = pd.DataFrame({"date": DAYS[:1], "instrument": ["A"], "quantity": [10], "market_value": [100.0]})
    lots = lots_of([1], [5.0])
    trades = pd.DataFrame({"date": DAYS[:2], "quantity": 10, "price": [10.0, 10.5]})
    bars = pd.DataFrame({"date": DAYS[:2], "instrument": "A", "volume": 1000.0})
    benchmark = pd.DataFrame({"date": DAYS[:2], "close": [100.0, 101.0], "total_return_close": [100.0, 101.0]})
    *_, concentration, exits = analyse_portfolio(
        daily_amounts=pd.DataFrame({"date": DAYS[:2], "nav": [400.0, 405.0], "return": [0.0, 0.0125]}),
        holding_log=held.astype({"instrument": "str"}), closed_lots=lots, trade_log=trades, benchmark=benchmark,
        bars=bars, market_rules=MarketRules(), analysis=RULES, as_of=f"{DAYS[1]:%Y-%m-%d}",
    )  # fmt: skip
    assert concentration["holdings"].tolist() == [1, 0]
    assert exits.empty


def test_selling_everything_takes_what_the_median_volume_allows():
    volumes = {"A": [1000.0] * 20, "B": [100.0, 90.0] * 10, "C": [0.0] * 20}
    bars = pd.DataFrame(
        [(day, name, volume) for name, of in volumes.items() for day, volume in zip(DAYS[:20], of, strict=True)],
        columns=["date", "instrument", "volume"],
    )
    held = pd.DataFrame({"instrument": ["A", "B", "C"], "quantity": [100, 96, 1], "market_value": [50.0, 30.0, 20.0]})
    found = measure_exit(held, bars, 200.0, RULES).set_index("instrument")
    assert found["sessions_to_exit"].to_dict() == {"C": np.inf, "B": 11, "A": 1}
    assert found.loc["A", "weight"] == 0.25
    assert measure_exit(held.head(0).astype({"instrument": "str"}), bars, 200.0, RULES).empty


def test_bands_cover_what_they_should_and_need_their_cases():
    random = np.random.default_rng(5)
    covered = sum(
        band.lower < 0.5 < band.upper
        for band in (mean_with_band(random.normal(0.5, 1, 250), 60, 0.95) for _ in range(200))
    )
    assert 180 <= covered <= 198
    assert np.isnan(mean_with_band([1.0, 2.0], 3, 0.95).lower)
    assert mean_with_band([np.nan], 3, 0.95).cases == 0
    parts, wholes = random.normal(2, 1, 250), random.uniform(50, 150, 250)
    band = ratio_with_band(parts, wholes, 60, 0.95)
    assert band.value == pytest.approx(parts.sum() / wholes.sum())
    assert band.lower < 0.02 < band.upper
    assert np.isnan(ratio_with_band([1.0], [0.0], 1, 0.95).value)
    assert np.isnan(rate_with_band(0, 0, 1, 0.95).value)
