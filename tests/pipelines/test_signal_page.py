"""The page of a signal says what it is, what it knows and what it earned, and is drawn at two widths."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.signals import read_signal
from quant_pipeline.pipelines.backtest.figures import compose_equity_curve
from quant_pipeline.pipelines.signal_evaluation.page import compose_signal_page
from quant_pipeline.pipelines.signal_evaluation.parameters import SignalEvaluationParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from tests.helpers.browser import require_drawn

PERFORMANCE = {
    "annualised_return": 0.12,
    "annualised_volatility": 0.2,
    "sharpe": 0.6,
    "maximum_drawdown": -0.1,
    "annualised_excess_return": -0.03,
    "information_ratio": -0.2,
    "annualised_turnover": 48.2,
    "win_rate": 0.5,
}


@pytest.fixture(scope="module")
def nav():
    days = pd.bdate_range("2024-01-01", periods=40)
    curve = 100_000 * np.cumprod(1 + np.random.default_rng(1).normal(0, 0.01, (2, 40)), axis=1)
    return pd.DataFrame({"date": days, "nav": curve[0], "benchmark": curve[1]})


def compose(nav, **evaluated):
    rows = [(1, 0.01, 0.1, 0.02, 0.15, 2.5, 39), (5, 0.0, 0.0, -0.01, -0.05, -0.3, 35)]
    columns = ["horizon", "ic", "icir", "rank_ic", "rank_icir", "rank_ic_t", "sessions"]
    given = {"signal_information": pd.DataFrame(rows, columns=columns), "signal_nav": nav}
    rules = {"market_rules": MarketRules(), "account": AccountParameters(name="sim", initial_cash=100_000)}
    evaluation = SignalEvaluationParameters(signal="rsi", **evaluated)
    settings = {"signals": {"rsi": {"window": 21}}, "signal_evaluation": evaluation}
    return compose_signal_page(**given, signal_performance=PERFORMANCE, **settings, **rules)


@pytest.fixture(scope="module")
def page(nav):
    return compose(nav)


def test_it_names_parameters_and_the_whole_expression(page):
    expression = read_signal("rsi", {"window": 21}).formula
    assert "window 21" in page
    assert f"<pre>{expression}</pre>" in page


def test_its_first_sentence_says_what_it_knows_and_what_it_earned(page):
    assert "its rank IC over 1 session was +0.0200 (t = 2.50)" in page
    assert "it returned 12.0% a year after costs, \N{MINUS SIGN}3.0% against the benchmark." in page


def test_it_says_by_which_rules_it_was_made(page, nav):
    assert "By the rules of the account it returned" in page
    assert "After costs, by the rules of the account<" in page
    other = compose(nav, folder="rsi/rhythm=weekly__strategy.topk=20")
    assert "By the rules of the account with rhythm=weekly, strategy.topk=20 it returned" in other
    assert "After costs, by the rules of the account with rhythm=weekly, strategy.topk=20<" in other


def test_measures_that_could_be_misread_are_defined_and_no_others(page):
    assert "48.2 \N{MULTIPLICATION SIGN}" in page
    for expected in ("compound the returns", "above the risk-free rate", "times a year of 252", "not annualised"):
        assert expected in page, expected
    assert "Sortino" not in page


def test_it_is_drawn_in_a_browser_at_two_widths(page, tmp_path):
    require_drawn(page, tmp_path / "signal.html")


@pytest.mark.slow
def test_the_equity_curve_of_a_backtest_is_drawn_at_two_widths(nav, tmp_path):
    require_drawn(compose_equity_curve(nav, "all_icir", "sim", "USD"), tmp_path / "equity_curve.html")
