import pandas as pd
import pytest
from pydantic import ValidationError

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.exchange.dated_rules import PriceLimit
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.rules import StrategyRules


def test_chinese_boards_have_their_own_limits():
    rules = MarketRules.preset("CN")
    assert rules.lot == 100
    assert not rules.sell_same_session
    today = rules.at(pd.Timestamp("2024-06-03"))
    boards = {"SH600000": 0.1, "SZ300750": 0.2, "SH688981": 0.2, "BJ430047": 0.3}
    assert {name: today.price_limits_of(name)[-1].limit for name in boards} == boards


def test_us_market_has_no_limits_and_trades_single_shares_at_the_open():
    rules = MarketRules.preset("US")
    assert rules.price_limits_of("AAPL") == ()
    assert rules.lot == 1
    assert rules.deal_price == "open"


def test_longest_prefix_wins_whatever_the_order():
    limits = (
        PriceLimit(prefix="SH688", limit=0.2),
        PriceLimit(prefix="", limit=0.05),
        PriceLimit(prefix="SH", limit=0.1),
    )
    assert [limit.limit for limit in MarketRules(price_limits=limits).price_limits_of("SH688001")] == [0.05, 0.1, 0.2]


def test_an_instrument_that_no_price_limit_is_written_for_is_refused():
    with pytest.raises(MarketDataError, match="no prefix of AAPL"):
        MarketRules(price_limits=(PriceLimit(prefix="SH", limit=0.1),)).price_limits_of("AAPL")


def test_a_limit_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValidationError, match="ends on 2020-01-01, before it begins on 2021-01-01"):
        PriceLimit(prefix="SH", limit=0.1, since="2021-01-01", until="2020-01-01")


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"sell_tax_rate": 0.001}, "either buy_tax_rate and sell_tax_rate or tax_changes"),
        ({"tax_changes": [{"since": "2020-01-01", "buy": 0, "sell": 0}] * 2}, "2020-01-01 twice"),
    ],
)
def test_taxes_that_contradict_each_other_are_refused(update, message):
    with pytest.raises(ValidationError, match=message):
        CostRules.model_validate(CostRules.preset("CN").model_dump() | update)


def test_misspelt_key_is_refused():
    with pytest.raises(ValidationError, match="top_k"):
        StrategyRules(top_k=3)


def test_dropping_more_than_is_held_is_refused():
    with pytest.raises(ValidationError, match="n_drop 4 must not exceed topk 3"):
        StrategyRules(topk=3, n_drop=4)


def test_risk_degree_is_counted_in_basis_points():
    with pytest.raises(ValidationError, match="whole multiple"):
        StrategyRules(risk_degree=0.123456)


def test_impact_needs_volume():
    assert CostRules(root_impact=0.1).needs_volume
    assert not CostRules.preset("CN").needs_volume


def test_n_drop_matters_only_to_topk_drop():
    assert StrategyRules(method="buffer_zone", topk=2).n_drop == 5


def test_an_unknown_method_is_refused():
    with pytest.raises(ValidationError):
        StrategyRules(method="martingale")
