import pytest
from pydantic import ValidationError

from quant_pipeline.strategy.rules import CostRules, MarketRules, PriceLimit, StrategyRules


def test_chinese_boards_have_their_own_limits():
    rules = MarketRules.preset("CN")
    assert rules.lot == 100
    assert rules.price_limit_of("SH600000") == 0.1
    assert rules.price_limit_of("SZ300750") == 0.2
    assert rules.price_limit_of("SH688981") == 0.2
    assert rules.price_limit_of("BJ430047") == 0.3
    assert not rules.sell_same_session


def test_us_market_has_no_limits_and_deals_single_shares_at_the_open():
    rules = MarketRules.preset("US")
    assert rules.price_limit_of("AAPL") is None
    assert rules.lot == 1
    assert rules.deal_price == "open"


def test_longest_prefix_wins_whatever_the_order():
    limits = (
        PriceLimit(prefix="SH688", limit=0.2),
        PriceLimit(prefix="", limit=0.05),
        PriceLimit(prefix="SH", limit=0.1),
    )
    assert MarketRules(price_limits=limits).price_limit_of("SH688001") == 0.2


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
