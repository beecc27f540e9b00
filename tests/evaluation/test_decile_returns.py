"""What deciles have earned, by hand."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.evaluation.decile_returns import (
    decile_returns,
    deciles,
    deciles_by_session,
    round_trip_cost,
)
from quant_pipeline.exchange.rules import CostRules

DAYS = pd.bdate_range("2024-01-02", periods=30, unit="ns")
NAMES = [f"N{i:02}" for i in range(20)]
INDEX = pd.MultiIndex.from_product([DAYS, NAMES], names=["datetime", "instrument"])


def panel(values):
    return pd.Series(np.asarray(values, dtype=float).ravel(), index=INDEX)


def test_a_return_that_rises_with_the_score_is_found_in_each_decile():
    scores = panel(np.tile(np.arange(20.0), (30, 1)))
    labels = panel(np.tile(np.arange(20.0) / 100, (30, 1)))
    found = decile_returns(scores, labels, 1, 0.001).set_index("decile")
    assert found["net_return"].tolist() == pytest.approx([(4 * i + 1) / 200 - 0.001 for i in range(10)])
    assert found["cases"].tolist() == [60] * 10
    assert found["sessions"].tolist() == [30] * 10
    # Nothing varies between the sessions, so the band has no width.
    assert found["lower"].tolist() == pytest.approx(found["net_return"].tolist())


def test_what_is_not_realised_is_no_case_and_too_few_sessions_have_no_band():
    scores = panel(np.tile(np.arange(20.0), (30, 1)))
    labels = panel(np.full((30, 20), 0.01))
    labels.loc[DAYS[19:]] = np.nan
    found = decile_returns(scores, labels, 1, 0.0)
    assert found["sessions"].tolist() == [19] * 10
    assert found["net_return"].tolist() == pytest.approx([0.01] * 10)
    assert found[["lower", "upper"]].isna().all(axis=None)


def test_the_band_is_that_of_the_mean_over_sessions():
    noise = np.random.default_rng(3).normal(0.0, 0.02, (30, 20))
    found = decile_returns(panel(np.tile(np.arange(20.0), (30, 1))), panel(noise), 1, 0.0)
    best = noise[:, 18:].mean(axis=1)
    row = found.iloc[-1]
    assert row["net_return"] == pytest.approx(best.mean())
    assert row["lower"] < best.mean() < row["upper"]
    # Newey-West and Student's law: within a factor of two of the band of independent sessions.
    plain = 2 * 1.96 * best.std(ddof=1) / np.sqrt(30)
    assert 0.5 * plain < row["upper"] - row["lower"] < 2 * plain


def test_a_round_trip_pays_commission_tax_and_spread_twice():
    rules = CostRules(buy_rate=0.0003, sell_rate=0.0002, sell_tax_rate=0.001, half_spread=0.0005)
    assert round_trip_cost(rules, DAYS[0]) == pytest.approx(0.0025)
    chinese = CostRules.preset("CN")
    assert round_trip_cost(chinese, pd.Timestamp("2024-01-02")) == pytest.approx(0.00025 * 2 + 0.0005 + 0.00002 + 0.001)


def test_deciles_of_twenty_scores_are_pairs():
    assert deciles(pd.Series(range(20), dtype="float64")).astype(int).tolist() == [1 + i // 2 for i in range(20)]


def test_the_decile_of_one_score_is_in_the_middle():
    assert deciles(pd.Series([7.0])).tolist() == [5.0]


def test_deciles_of_a_panel_are_those_of_each_session_alone():
    scores = panel(np.random.default_rng(5).integers(0, 9, (30, 20)))
    scores.loc[DAYS[3], NAMES[:17]] = np.nan
    scores.loc[DAYS[4]] = np.nan
    alone = pd.concat([deciles(scores.loc[[day]]) for day in DAYS])
    pd.testing.assert_series_equal(deciles_by_session(scores), alone, check_names=False)
    assert deciles_by_session(scores).loc[DAYS[4]].isna().all()
