"""Fills of another engine beside ours, by literal values."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.other_engines.agreement import EQUAL, NOTHING, UNEXPLAINED, compare_fills
from quant_pipeline.backtest.other_engines.folder import write_exchange
from quant_pipeline.backtest.other_engines.verdicts import Executed, Verdict
from quant_pipeline.backtest.other_engines.wording import describe
from tests.helpers.handed_over import CASH, DAYS, HALTED

NAN = float("nan")
SAME = [(50, 10.102), (20, 20.104), (0, NAN), (50, 10.4979)]
AT_MARKET = [(50, 10.1), (20, 20.1), (0, NAN), (50, 10.5)]


def executed(fills, messages=("", "", "", ""), prices="with_costs", fees=(0.0, 0.0, 0.0, 0.02), nav=None):
    table = pd.DataFrame(
        {"order": range(len(fills)), "quantity": [q for q, _ in fills], "price": [p for _, p in fills], "fee": fees}
    ).assign(message=list(messages))
    verdict = Verdict(
        version=1,
        fingerprint="",
        engine="Other",
        engine_version="1",
        licence="MIT",
        python="3",
        prices=prices,
        seconds=0,
    )
    return Executed("other", verdict, table, nav)


@pytest.fixture
def compare(finished, tmp_path):
    write_exchange(tmp_path, finished)
    return lambda *words, **options: compare_fills(tmp_path, executed(*words, **options))


def causes(agreement):
    return agreement.orders["cause"].tolist()


def test_equal_fills_are_counted_among_those_that_no_rule_has_cut(compare):
    found = compare(SAME)
    assert causes(found) == [EQUAL, EQUAL, NOTHING, EQUAL]
    assert (found.fills, found.equal_fills, found.unexplained) == (2, 2, 0)
    assert found.fee_difference == 0.0


def test_prices_before_the_spread_are_compared_with_the_market(compare):
    found = compare(AT_MARKET, prices="before_costs")
    assert causes(found) == [EQUAL, EQUAL, NOTHING, EQUAL]
    assert np.isnan(found.fee_difference)
    assert compare(AT_MARKET).unexplained == 3


def test_what_a_rule_of_ours_has_cut_is_explained_where_the_other_executes_all(compare):
    fills = [(50, 10.102), (25, 20.104), (20, 19.0), (50, 10.4979)]
    found = compare(fills)
    assert causes(found) == [EQUAL, f"only here: {CASH}", f"only here: {HALTED}", EQUAL]
    assert found.failures == ()


def test_a_part_of_what_was_asked_for_is_no_rule_of_ours(compare):
    found = compare([(50, 10.102), (22, 20.104), (19, 19.0), (50, 10.4979)])
    assert causes(found)[1:3] == [UNEXPLAINED, UNEXPLAINED]
    assert found.failures == ("2 orders differ for no known reason",)


def test_a_refusal_is_explained_by_its_words_alone(compare):
    nothing = [(0, NAN), (20, 20.104), (0, NAN), (50, 10.4979)]
    assert causes(compare(nothing))[0] == UNEXPLAINED
    found = compare(nothing, messages=("no margin", "", "", ""))
    assert causes(found)[0] == "only there: no margin"
    assert (found.fills, found.equal_fills, found.unexplained) == (2, 1, 0)
    assert found.failures == ("1 of 2 market-on-open fills are not equal",)


def test_an_engine_that_refuses_every_order_confirms_nothing_whatever_it_says(compare):
    found = compare([(0, NAN)] * 4, messages=["not today"] * 4)
    assert found.unexplained == 0
    assert found.failures == ("2 of 2 market-on-open fills are not equal",)
    assert "  FAILS: 2 of 2 market-on-open fills are not equal" in describe(found)


def test_a_backtest_without_a_fill_confirms_nothing(finished, tmp_path):
    halted = finished.trades["status"] == "expired"
    write_exchange(tmp_path, replace(finished, trades=finished.trades[halted].reset_index(drop=True)))
    found = compare_fills(tmp_path, executed([(0, NAN)], messages=[""], fees=[0.0]))
    assert found.failures == ("no order executed in full here: nothing is compared",)
    assert "quantity: 0 of 0" in "\n".join(describe(found))


def test_prices_differ_from_half_a_tick_on(compare):
    assert compare([(50, 10.10204), *SAME[1:]]).unexplained == 0
    assert compare([(50, 10.10206), *SAME[1:]]).unexplained == 1


def test_fees_and_values_are_compared_too(compare):
    nav = pd.DataFrame({"date": DAYS, "nav": [1000.0, 1020.8, 1031.03], "cash": 0.0})
    found = compare(SAME, fees=(0.0, 0.0, 0.0, 0.05), nav=nav)
    assert found.fee_difference == pytest.approx(0.03)
    assert found.nav_difference == pytest.approx(0.001)
    assert found.nav_sessions == 3
    # From the first fill that differs on, the accounts hold different things.
    found = compare([*SAME[:3], (50, 10.6)], nav=nav)
    assert (found.nav_sessions, found.nav_difference) == (2, 0.0)
    assert found.orders["cause"].tolist()[-1] == UNEXPLAINED


def test_the_words_name_engine_licence_share_and_causes(compare):
    said = "\n".join(describe(compare([(50, 10.102), (25, 20.104), (0, NAN), (50, 10.5)])))
    assert "Other 1 (MIT), Python 3" in said
    assert "equal in price (with the spread) and quantity: 1 of 2 (50.00%)" in said
    assert f"1  only here: {CASH}" in said
    assert "1  unexplained" in said
