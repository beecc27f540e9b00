import math

import pandas as pd
import pytest

from quant_pipeline.pipelines.backtest.figures import drawdown_table
from quant_pipeline.pipelines.reporting import measures


@pytest.fixture
def nav():
    """Doubled in January, lost a tenth in February; the benchmark never moved."""
    dates = pd.to_datetime(["2023-12-29", "2024-01-02", "2024-01-31", "2024-02-29"])
    return pd.DataFrame(
        {
            "date": dates,
            "nav": [100.0, 150.0, 200.0, 180.0],
            "cash": [100.0, 0.0, 0.0, 0.0],
            "benchmark": [100.0, 100.0, 100.0, 100.0],
            "turnover": [0.0, 0.9, 0.2, 0.1],
            "cost": [0.0, 3.0, 1.0, 0.5],
        }
    )


@pytest.fixture
def ic_series():
    dates = pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04"])
    values = {"fused": [0.1, 0.2, 0.3], "weak": [0.0, -0.1, 0.1], "strong": [0.2, 0.4, math.nan]}
    parts = [pd.DataFrame({"date": dates, "model": model, "ic": ic, "rank_ic": ic}) for model, ic in values.items()]
    return pd.concat(parts, ignore_index=True)


def test_drawdown_is_the_distance_to_the_highest_value_so_far(nav):
    assert drawdown_table(nav)["nav"].tolist() == pytest.approx([0, 0, 0, -0.1])


def test_months_and_years_compound(nav):
    table = measures.monthly_returns(nav)
    assert table.index.tolist() == [2024]
    year = table.loc[2024]
    assert year["Jan"] == pytest.approx(1.0)
    assert year["Feb"] == pytest.approx(-0.1)
    assert math.isnan(year["Mar"])
    assert year[["strategy", "benchmark", "excess"]].tolist() == pytest.approx([0.8, 0.0, 0.8])


def test_the_newest_year_stands_first(tables):
    assert measures.monthly_returns(tables["backtest_nav"]).index.tolist() == [2024, 2023, 2022]


def test_a_single_session_has_no_months(nav):
    assert measures.monthly_returns(nav.head(1)).empty


def test_costs_are_summed_by_year(nav):
    rows = measures.yearly_costs(nav).to_dict("records")
    assert [row["year"] for row in rows] == [2024, 2023]
    assert rows[0]["turnover"] == pytest.approx(1.2)
    assert rows[0]["cost"] == 4.5
    assert rows[0]["cost_share"] == pytest.approx(4.5 / ((150 + 200 + 180) / 3))
    assert rows[0]["sessions"] == 3


def test_cost_drag_is_what_the_costs_would_have_added(nav):
    compared = measures.compare_measures(nav, {"annualised_return": 0.5})
    gross, net = (1.53 * (200 + 1) / 150 * 180.5 / 200), 1.8
    assert compared.loc["cost_drag", "strategy"] == pytest.approx(gross ** (252 / 3) - net ** (252 / 3))


def test_the_benchmark_is_measured_as_the_strategy_is(nav):
    compared = measures.compare_measures(nav.assign(benchmark=nav["nav"]), {"maximum_drawdown": -0.1})
    assert compared.loc["maximum_drawdown"].tolist() == pytest.approx([-0.1, -0.1])
    assert compared.loc["total_return", "benchmark"] == pytest.approx(0.8)


def test_models_stand_by_rank_ic_and_the_fused_score_last(ic_series):
    table = measures.information_table(ic_series)
    assert table["model"].tolist() == ["strong", "weak", "fused"]
    assert table["rank_ic"].tolist() == pytest.approx([0.3, 0.0, 0.2])
    assert table["sessions"].tolist() == [2, 3, 3]
    assert table["rank_icir"].iloc[2] == pytest.approx(2.0)


def test_order_totals_count_and_value_every_side(tables):
    totals = measures.order_totals(tables["orders"])
    assert totals["sell"] == (2, pytest.approx(412 * 118.42 + 2_204 * 21.07))
    assert totals["buy"][0] == 2
    assert totals["hold"][0] == 1
    assert measures.order_totals(pd.DataFrame()) == {"sell": (0, 0.0), "buy": (0, 0.0), "hold": (0, 0.0)}


def test_outcomes_of_orders_are_counted_most_frequent_first():
    trades = pd.DataFrame({"status": ["expired", "filled", "filled"], "message": ["no bar", "", ""]})
    assert measures.order_outcomes(trades).to_dict("list") == {
        "status": ["filled", "expired"],
        "message": ["", "no bar"],
        "orders": [2, 1],
        "share": [pytest.approx(2 / 3), pytest.approx(1 / 3)],
    }


def test_errors_stand_before_warnings():
    findings = pd.DataFrame(
        {
            "instrument": ["A", "B", "A"],
            "date": pd.to_datetime(["2024-01-02", "2024-01-05", "2024-01-03"]),
            "check": ["gap", "gap", "duplicate"],
            "severity": ["warning", "warning", "error"],
        }
    )
    counted = measures.findings_by_check(findings)
    assert counted["check"].tolist() == ["duplicate", "gap"]
    assert counted["findings"].tolist() == [1, 2]
    assert counted["instruments"].tolist() == [1, 2]
    assert counted["last"].tolist() == list(pd.to_datetime(["2024-01-03", "2024-01-05"]))


def test_combinations_are_correlated_by_their_daily_returns_in_the_order_of_the_configuration():
    dates = pd.bdate_range("2024-01-02", periods=4)
    values = {"second": [100.0, 110.0, 99.0, 108.9], "first": [50.0, 55.0, 49.5, 54.45], "third": [100, 90, 99, 89.1]}
    nav = pd.concat(
        [pd.DataFrame({"date": dates, "combination": name, "nav": value}) for name, value in values.items()]
    )
    matrix = measures.correlation_of_combinations(nav)
    assert list(matrix.columns) == ["second", "first", "third"]
    assert matrix.loc["second", "first"] == pytest.approx(1.0)
    assert matrix.loc["second", "third"] == pytest.approx(-1.0)
