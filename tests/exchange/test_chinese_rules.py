"""Rules of mainland China by date, each against the day on which it came into force."""

import datetime as dt
import re
from collections import ChainMap

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from quant_pipeline.common.exceptions import ConfigurationError, MarketDataError
from quant_pipeline.exchange.chinese_rules import special_treatment_limits
from quant_pipeline.exchange.costs import buy_fee, cost_terms, sell_fee
from quant_pipeline.exchange.dated_rules import PriceLimit
from quant_pipeline.exchange.listings import Listings, free_sessions
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.quotes import limit_prices
from quant_pipeline.exchange.rules import CostRules, MarketRules

RULES, COSTS = MarketRules.preset("CN"), CostRules.preset("CN")


def limit_on(day, instrument, rules=RULES):
    """Limit in force on a day; the last of those that match counts."""
    return rules.at(pd.Timestamp(day)).price_limits_of(instrument)[-1].limit


@pytest.mark.parametrize(
    ("instrument", "day", "limit"),
    [
        ("600000.SH", "2024-01-02", 0.1),
        ("sz.000001", "2024-01-02", 0.1),
        ("002594.SZ", "2024-01-02", 0.1),
        ("001979.XSHE", "2024-01-02", 0.1),
        ("600000.SH", "1996-12-16", 0.1),
        ("600000.SH", "1996-12-13", None),
        ("300750.SZ", "2020-08-21", 0.1),
        ("300750.SZ", "2020-08-24", 0.2),
        ("SZ302132", "2025-02-17", 0.2),
        ("688001.SH", "2019-07-22", 0.2),
        ("sh688001", "2024-01-02", 0.2),
        ("689009.XSHG", "2024-01-02", 0.2),
        ("830799.BJ", "2021-11-15", 0.3),
        ("bj920002", "2024-06-03", 0.3),
    ],
)
def test_price_limits_are_those_of_board_and_day(instrument, day, limit):
    assert limit_on(day, instrument) == limit


def test_a_board_has_no_limit_before_it_began():
    with pytest.raises(MarketDataError, match="no prefix of 688001"):
        limit_on("2019-07-19", "688001.SH")


@pytest.mark.parametrize("instrument", ["AAPL", "510300.SH", "SH000300"])
def test_an_unrecognised_code_gets_no_default_limit(instrument):
    with pytest.raises(MarketDataError, match=instrument):
        RULES.price_limits_of(instrument)


@pytest.mark.parametrize(
    ("day", "buy", "sell"),
    [
        # Commission 25.00 of 100,000, with stamp duty and transfer fee of the day.
        ("1997-05-12", 527.0, 527.0),
        ("1998-06-12", 427.0, 427.0),
        ("2001-11-16", 227.0, 227.0),
        ("2005-01-24", 127.0, 127.0),
        ("2007-05-29", 127.0, 127.0),
        ("2007-05-30", 327.0, 327.0),
        ("2008-04-24", 127.0, 127.0),
        ("2008-09-18", 127.0, 127.0),
        ("2008-09-19", 27.0, 127.0),
        ("2022-04-28", 27.0, 127.0),
        ("2022-04-29", 26.0, 126.0),
        ("2023-08-25", 26.0, 126.0),
        ("2023-08-28", 26.0, 76.0),
    ],
)
def test_fees_of_a_hundred_thousand_are_those_of_the_day(day, buy, sell):
    terms = cost_terms(COSTS.at(pd.Timestamp(day)))
    assert buy_fee(10_000, 100_000, terms) / 10_000 == buy
    assert sell_fee(10_000, 100_000, terms) / 10_000 == sell


def test_taxes_before_the_first_known_ones_are_unknown():
    with pytest.raises(MarketDataError, match="begins on 1997-05-12, the session is 1997-05-09"):
        COSTS.at(pd.Timestamp("1997-05-09"))


def test_special_treatment_narrows_the_limit_on_the_main_boards_only_while_it_lasts():
    periods = pd.DataFrame(
        {
            "instrument": ["600518.SH", "300104.SZ", "sz000007"],
            "since": ["2019-05-21", "2020-06-01", "2024-05-06"],
            "until": ["2022-06-09", "2020-07-21", None],
        }
    )
    rules = RULES.model_copy(update={"price_limits": RULES.price_limits + special_treatment_limits(periods)})
    days = ["2019-05-20", "2019-05-21", "2022-06-08", "2022-06-09"]
    assert [limit_on(day, "SH600518", rules) for day in days] == [0.1, 0.05, 0.05, 0.1]
    assert limit_on("2020-06-02", "SZ300104", rules) == 0.1
    assert limit_on("2026-01-05", "000007.XSHE", rules) == 0.05


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"instrument": ["600518.SH"], "since": ["2019-05-21"]}, "'until'"),
     ({"instrument": ["600518.SH"], "since": [None], "until": [None]}, "a first day in `since`")],
)  # fmt: skip
def test_a_table_of_special_treatment_that_lacks_something_is_refused(columns, message):
    with pytest.raises(ConfigurationError, match=message):
        special_treatment_limits(pd.DataFrame(columns))


@pytest.mark.parametrize(
    ("since", "until", "day_after"),
    [
        ("2019-05-21", "2022-06-09", "2022-06-09"),
        ("20190521", "20220609", "2022-06-09"),
        # tushare's days, read out of CSV as whole numbers or, beside a missing one, as numbers with a point.
        (20190521, 20220609.0, "2022-06-09"),
        (pd.Timestamp("2019-05-21"), None, "2026-07-06"),
        (dt.date(2019, 5, 21), float("nan"), "2026-07-06"),
    ],
)
def test_days_of_special_treatment_are_read_by_their_digits(since, until, day_after):
    (limit,) = special_treatment_limits(
        pd.DataFrame({"instrument": ["600518.SH"], "since": [since], "until": [until]}, dtype=object)
    )
    assert (limit.since, limit.until) == (dt.date(2019, 5, 21), dt.date.fromisoformat(day_after))


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("05/06/2019", None, "has '05/06/2019' for a day"),
        (43606, None, "has 43606 for a day"),
        ("2019-13-01", None, "has '2019-13-01' for a day"),
        ("2019-05-21", "", "has '' for a day"),
        ("2019-05-21", "2018-01-01", "ends on 2018-01-01, before it begins on 2019-05-21"),
    ],
)
def test_a_day_of_special_treatment_that_cannot_be_read_is_refused(since, until, message):
    periods = pd.DataFrame({"instrument": ["600518.SH"], "since": [since], "until": [until]}, dtype=object)
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        special_treatment_limits(periods)


@pytest.mark.parametrize("prefix", ["600518.SH", "sh600518", "sh.600518", "600518", "SH61", "SH6005180", "SZ399", "S"])
@pytest.mark.parametrize("key", ["special_limits", "price_limits", "lots"])
def test_a_prefix_that_no_code_begins_with_is_refused_and_not_ignored(key, prefix):
    row = {"fewest": 200, "step": 1} if key == "lots" else {"limit": 0.05}
    with pytest.raises(ValidationError, match=f"begins with the prefix '{re.escape(prefix)}' of {key}"):
        MarketRules.model_validate(RULES.model_dump() | {key: [{"prefix": prefix} | row]})


@pytest.mark.parametrize("prefix", ["", "SH6", "SH600518", "SZ00", "SZ302", "BJ92"])
def test_a_prefix_of_codes_is_taken(prefix):
    given = [{"prefix": prefix, "limit": 0.05}]
    assert MarketRules.model_validate(RULES.model_dump() | {"special_limits": given}).special_limits[0].prefix == prefix


@pytest.mark.parametrize(("block", "rules"), [("market_rules", MarketRules), ("cost_rules", CostRules)])
def test_the_blocks_of_the_guide_are_the_presets(project_path, block, rules):
    page = (project_path / "docs/guides/china.md").read_text()
    (text,) = re.findall(r"```yaml\n(market_rules:.*?)```", page, flags=re.DOTALL)
    base = yaml.safe_load((project_path / "conf/base/parameters_strategy.yml").read_text())
    assert rules.model_validate(dict(ChainMap(yaml.safe_load(text)[block], base[block]))) == rules.preset("CN")


def test_limits_refer_to_the_ex_price_in_whole_cents():
    """A close of 10.00 less a dividend of 0.123 is published as 9.88: 10.868 and 8.892, not 10.8647 and 8.8893."""
    lowest, highest = limit_prices(np.array([98_770, 0]), np.array([1_000, 1_000]), RULES)
    assert (lowest[0], highest[0]) == (88_900, 108_700)
    assert (lowest[1], highest[1]) == (0, np.iinfo(np.int64).max)


def test_a_purchase_on_an_ex_date_goes_up_to_the_limit_that_the_exchange_publishes():
    days = pd.bdate_range("2024-06-03", periods=3)
    rows = [(days[0], 10.0, 10.0, 10.0), (days[1], 10.86, 10.86, 10.5), (days[2], 10.87, 10.87, 10.5)]
    bars = pd.DataFrame(rows, columns=["date", "open", "high", "close"])
    bars = bars.assign(instrument="600000.SH", low=bars[["open", "close"]].min(axis=1), volume=1e6)
    dividend = pd.DataFrame({"date": [days[1]], "instrument": "600000.SH", "kind": "cash_dividend", "value": [0.123]})
    market = TradingMarket.from_bars(bars, dividend, days, RULES)
    assert market.arrays.buy_blocked[:, 0].tolist() == [False, False, False]
    at_limit = TradingMarket.from_bars(bars.assign(open=[10.0, 10.87, 10.87], high=10.87), dividend, days, RULES)
    assert at_limit.arrays.buy_blocked[:, 0].tolist() == [False, True, False]


def test_special_treatment_takes_no_free_session_from_a_listing_on_the_board_for_technology():
    days = pd.DatetimeIndex(pd.bdate_range("2024-03-01", periods=8))
    listings = Listings(days, pd.Series({"688001.SH": days[1]}))
    special = PriceLimit(prefix="SH688001", limit=0.05)
    for rules in (RULES, RULES.model_copy(update={"special_limits": (special,)})):
        free = free_sessions(pd.Index(["688001.SH"]), days, listings, rules)[:, 0]
        assert free.tolist() == [False, True, True, True, True, True, False, False]
