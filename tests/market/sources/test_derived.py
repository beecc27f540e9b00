"""The mean of all instruments earns what an account earns that holds them all."""

import pandas as pd
import pytest

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.benchmark import net_total_return
from quant_pipeline.market.data import MarketData
from quant_pipeline.market.delistings import EndedBars
from quant_pipeline.market.sources.derived import list_instruments, mean_benchmark
from quant_pipeline.market.universe import UniverseParameters
from quant_pipeline.pipelines.ingestion.nodes import read_market
from tests.helpers.few_bars import DAYS, actions, bars


def market_of(*tables):
    return pd.concat(tables, ignore_index=True)


LIVING = bars([10.0] * 5, "BBB")


def level(table, *acted):
    return mean_benchmark(table, actions(*acted))["total_return_close"].tolist()


def test_a_bankruptcy_falls_in_the_session_in_which_it_pays():
    table = market_of(bars([50.0, 50.0]), LIVING)
    assert level(table, (DAYS[3], "AAA", "delisting", 0.0)) == pytest.approx([100.0, 100.0, 100.0, 50.0, 50.0])
    assert level(table, (DAYS[2], "AAA", "delisting", 60.0)) == pytest.approx([100.0, 100.0, 110.0, 110.0, 110.0])
    assert level(table) == [100.0] * 5


def test_splits_and_dividends_before_the_end_count_and_the_dividends_are_taxed():
    acted = actions(
        (DAYS[1], "AAA", "split", 2.0),
        (DAYS[2], "AAA", "cash_dividend", 5.0),
        (DAYS[3], "AAA", "delisting", 40.0),
    )
    benchmark = mean_benchmark(market_of(bars([100.0, 50.0]), LIVING), acted)
    # 45 for 50, a mean of -5 %; dividends of 10 % of it, a mean of 5 %.
    assert benchmark["total_return_close"].tolist() == pytest.approx([100.0, 100.0, 100.0, 95.0, 95.0])
    assert benchmark["dividend_return"].tolist() == pytest.approx([0.0, 0.0, 0.0, 0.05, 0.0])
    assert net_total_return(benchmark, 0.2).tolist() == pytest.approx([100.0, 100.0, 100.0, 94.0, 94.0])


def test_a_name_that_is_listed_again_begins_anew():
    life = bars([50.0, 50.0, 200.0, 220.0]).assign(date=DAYS[[0, 1, 3, 4]])
    table = market_of(life, LIVING)
    assert level(table, (DAYS[2], "AAA", "delisting", 40.0)) == pytest.approx([100.0, 100.0, 90.0, 90.0, 94.5])
    # The end on the session of the first new bar counts instead of that bar.
    assert level(table, (DAYS[3], "AAA", "delisting", 40.0)) == pytest.approx([100.0, 100.0, 100.0, 90.0, 94.5])


def test_an_end_between_two_sessions_counts_in_the_later_and_one_after_the_last_bar_not_yet():
    weekend = pd.Timestamp("2020-01-11")
    days = pd.DatetimeIndex(["2020-01-09", "2020-01-10", "2020-01-13"])
    table = market_of(bars([50.0, 50.0], days=days), bars([10.0] * 3, "BBB", days))
    assert level(table, (weekend, "AAA", "delisting", 0.0)) == pytest.approx([100.0, 100.0, 50.0])
    assert level(table, (pd.Timestamp("2020-01-14"), "AAA", "delisting", 0.0)) == [100.0] * 3


def test_the_mean_knows_the_delistings_of_the_rule_and_another_benchmark_stays():
    table = market_of(bars([50.0, 50.0]), LIVING)
    known = actions()
    own = mean_benchmark(table, known)
    rules = UniverseParameters(), EndedBars(after_sessions=2, recovery=0.0), MarketRules(), f"{DAYS[4]:%Y-%m-%d}"
    mean = read_market(MarketData(table, known, list_instruments(table), None, DAYS[4]), *rules)["benchmark"]
    assert mean["total_return_close"].tolist() == pytest.approx([100.0, 100.0, 100.0, 50.0, 50.0])
    assert read_market(MarketData(table, known, list_instruments(table), own, DAYS[4]), *rules)["benchmark"] is own


def test_bars_in_another_order_make_the_same_market():
    table = market_of(bars([100.0, 50.0, 52.0]), bars([10.0, 10.5, 11.0, 10.0, 9.0], "BBB"))
    acted = actions((DAYS[1], "AAA", "split", 2.0))
    index = mean_benchmark(table, acted)

    def stored(rows):
        market = MarketData(rows, acted, list_instruments(table), None, DAYS[4])
        return read_market(market, UniverseParameters(), EndedBars(), MarketRules(), f"{DAYS[4]:%Y-%m-%d}")

    for rows in (table.sort_values("date", kind="stable"), table.iloc[::-1], table.iloc[[3, 0, 4, 1, 2, 5, 7, 6]]):
        pd.testing.assert_frame_equal(mean_benchmark(rows, acted), index)
        pd.testing.assert_frame_equal(stored(rows)["bars"], table)
