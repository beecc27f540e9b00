"""Buffer zone and target weights on accounts small enough to decide by hand."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.rebalance import _preferences_of, rebalance
from quant_pipeline.strategy.rules import StrategyRules

NAMES = list("ABCDEF")
SCORES = pd.Series([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], index=NAMES)
PRICES = pd.Series(10.0, index=NAMES)
FREE = CostRules()
US = MarketRules()


def holding(quantities: dict[str, int], sessions: int = 5) -> pd.DataFrame:
    index = pd.Index(list(quantities), dtype="str", name="instrument")
    return pd.DataFrame({"quantity": list(quantities.values()), "sessions_held": sessions}, index=index)


def decide(rules, positions, cash, scores=SCORES, market=US, costs=FREE, halted="", preferences=None):
    tradable = pd.Series([name not in halted for name in NAMES], index=NAMES)
    orders = rebalance(scores, positions, PRICES, tradable, cash, rules, market, costs, preferences)
    return [tuple(row) for row in orders[["instrument", "side", "quantity"]].to_numpy().tolist()], orders


BUFFERED = StrategyRules(method="buffer_zone", topk=2, buffer=2, risk_degree=1.0)


def test_buffer_zone_keeps_a_holding_until_it_leaves_the_zone():
    # D ranks fourth, inside 2 + 2; E ranks fifth, outside. A takes its place with all the money there is.
    rows, orders = decide(BUFFERED, holding({"D": 100, "E": 100}), 0)
    assert rows == [("E", "sell", 100), ("A", "buy", 100), ("D", "hold", 100)]
    assert orders["reason"].tolist() == [
        "sold: rank 5 of 6, score 2, below the best 4 tradable",
        "bought: rank 1 of 6, score 6, among the best 2",
        "held: rank 4 of 6, score 3",
    ]


def test_buffer_zone_does_nothing_while_everything_is_inside():
    assert decide(BUFFERED, holding({"C": 10, "D": 10}), 5)[0] == [("C", "hold", 10), ("D", "hold", 10)]


def test_buffer_zone_fills_free_places_with_the_best():
    assert decide(BUFFERED, holding({"D": 50}), 500)[0] == [("A", "buy", 50), ("D", "hold", 50)]


def test_a_halted_holding_outside_the_zone_stays_and_keeps_its_place():
    rows, orders = decide(BUFFERED, holding({"D": 10, "F": 10}), 1000, halted="F")
    assert rows == [("D", "hold", 10), ("F", "hold", 10)]
    assert orders["reason"].iloc[1] == "held: rank 6 of 6, score 1, below the best 4 tradable, but it cannot trade"


def test_a_young_holding_outside_the_zone_stays():
    rules = BUFFERED.model_copy(update={"hold_threshold": 3})
    assert decide(rules, holding({"D": 10, "F": 10}, sessions=2), 0)[0] == [("D", "hold", 10), ("F", "hold", 10)]


def test_orphans_leave_and_can_be_kept():
    scores = SCORES.where(SCORES.index != "D")
    assert decide(BUFFERED, holding({"D": 10}), 0, scores)[0][0] == ("D", "sell", 10)
    kept = BUFFERED.model_copy(update={"sell_orphans": False})
    assert ("D", "hold", 10) in decide(kept, holding({"D": 10}), 0, scores)[0]


def test_more_holdings_than_places_lose_the_worst_ranked():
    rows, _ = decide(BUFFERED, holding({"A": 10, "B": 10, "C": 10}), 0)
    assert rows == [("C", "sell", 10), ("A", "hold", 10), ("B", "hold", 10)]


EQUAL = StrategyRules(method="target_weights", topk=2, risk_degree=1.0)


def test_equal_weights_sell_the_surplus_and_buy_what_is_missing():
    # 400 + 100 shares at 10 are worth 5,000: 250 each.
    rows, orders = decide(EQUAL, holding({"A": 400, "B": 100}), 0)
    assert rows == [("A", "sell", 150), ("B", "buy", 150)]
    assert orders["reason"].tolist() == [
        "sold down: rank 1 of 6, score 6, above its target weight",
        "bought more: rank 2 of 6, score 5, below its target weight",
    ]


def test_a_small_deviation_is_left_alone():
    rules = EQUAL.model_copy(update={"min_trade": 0.05})
    assert decide(rules, holding({"A": 255, "B": 245}), 0)[0] == [("A", "hold", 255), ("B", "hold", 245)]
    assert decide(rules, holding({"A": 300, "B": 200}), 0)[0] == [("A", "sell", 50), ("B", "buy", 50)]


def test_score_weights_are_in_proportion_to_the_scores():
    rules = EQUAL.model_copy(update={"position_weights": "score"})
    assert decide(rules, holding({}), 11_000)[0] == [("A", "buy", 600), ("B", "buy", 500)]


def test_a_score_below_zero_gets_nothing():
    rules = EQUAL.model_copy(update={"position_weights": "score"})
    rows, orders = decide(rules, holding({}), 1000, SCORES - 5.5)
    assert rows == [("A", "buy", 100), ("B", "hold", 0)]
    assert orders["reason"].iloc[1].endswith("but its target weight does not pay for one lot of 1")
    rows, orders = decide(rules, holding({"B": 10}), 0, SCORES - 5.5)
    assert rows[0] == ("B", "sell", 10)
    assert orders["reason"].iloc[0] == "sold down: rank 2 of 6, score -0.5, above its target weight"


def test_the_cap_leaves_the_rest_in_cash():
    rules = EQUAL.model_copy(update={"max_weight": 0.3})
    assert decide(rules, holding({}), 10_000)[0] == [("A", "buy", 300), ("B", "buy", 300)]


def test_inverse_volatility_gives_the_calm_one_more():
    rules = EQUAL.model_copy(update={"position_weights": "inverse_volatility"})
    preferences = pd.Series([1 / 0.03, 1 / 0.01, np.nan, 1.0, 1.0, 1.0], index=NAMES)
    rows, _ = decide(rules, holding({}), 10_000, preferences=preferences)
    assert rows == [("A", "buy", 250), ("B", "buy", 750)]
    with pytest.raises(StrategyError, match="preferences"):
        decide(rules, holding({}), 10_000)


def test_weights_reach_the_kernels_as_every_other_caller_gives_them():
    """An array that may only be read is another type, for which all kernels of the decision are compiled again."""
    rules = EQUAL.model_copy(update={"position_weights": "inverse_volatility"})
    given = _preferences_of(pd.Series(1.0, index=NAMES), pd.Index(NAMES), rules)
    assert given.flags.writeable


def test_what_cannot_trade_takes_its_value_out_of_the_targets():
    # F is halted: 2,000 of 10,000 are stuck in it, and so is one of the two places.
    assert decide(EQUAL, holding({"F": 200}), 8_000, halted="F")[0] == [("A", "buy", 800), ("F", "hold", 200)]


def test_buys_are_cut_to_the_cash_and_to_whole_lots_with_their_fees():
    # Half of 2,030 is 100 shares each, and 1,010 pay for 100 with the fee of 10; what 2,019 leave for B pays for 50.
    costs = CostRules(buy_rate=0.01)
    market = MarketRules(lot=50)
    assert decide(EQUAL, holding({}), 2_030, market=market, costs=costs)[0] == [("A", "buy", 100), ("B", "buy", 100)]
    assert decide(EQUAL, holding({}), 2_019, market=market, costs=costs)[0] == [("A", "buy", 100), ("B", "buy", 50)]


def test_a_young_holding_is_not_trimmed():
    rules = EQUAL.model_copy(update={"hold_threshold": 9})
    rows, _ = decide(rules, holding({"A": 400, "B": 100}), 1000)
    assert ("A", "hold", 400) in rows
