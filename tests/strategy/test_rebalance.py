from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.rebalance import rebalance, score_ranks
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.properties import examples

FREE = CostRules()
NO_LIMITS = MarketRules()


def holding(sessions_held: int = 10, **quantities: int) -> pd.DataFrame:
    index = pd.Index(list(quantities), dtype="str")
    return pd.DataFrame({"quantity": list(quantities.values()), "sessions_held": sessions_held}, index=index)


def decide(
    scores: dict[str, float],
    positions: pd.DataFrame | None = None,
    cash: float | Decimal = 0,
    halted: tuple[str, ...] = (),
    price: float = 10.0,
    costs: CostRules = FREE,
    market: MarketRules = NO_LIMITS,
    **rules,
) -> pd.DataFrame:
    positions = holding() if positions is None else positions
    names = sorted({*scores, *positions.index})
    prices = pd.Series(price, index=names)
    tradable = pd.Series([name not in halted for name in names], index=names)
    series = pd.Series(scores, dtype="float64")
    strategy = StrategyRules(**{"topk": 3, "n_drop": 1, "risk_degree": 1.0, **rules})
    return rebalance(series, positions, prices, tradable, cash, strategy, market, costs)


def sides(orders: pd.DataFrame) -> list[tuple[str, str, int]]:
    return list(orders[["side", "instrument", "quantity"]].itertuples(index=False, name=None))


def test_empty_account_buys_the_best_three_in_equal_parts():
    orders = decide({"A": 0.1, "B": 0.4, "C": 0.3, "D": 0.2}, cash=3_000)
    assert sides(orders) == [("buy", "B", 100), ("buy", "C", 100), ("buy", "D", 100)]
    assert orders["reason"].iloc[0] == "bought: rank 1 of 4, score 0.4, among the best 3"


def test_weakest_holding_makes_room_for_a_better_candidate():
    orders = decide({"A": 0.1, "B": 0.4, "C": 0.3, "D": 0.2}, holding(A=10, B=10, C=10))
    assert sides(orders) == [("sell", "A", 10), ("buy", "D", 10), ("hold", "B", 10), ("hold", "C", 10)]
    assert orders["reason"].iloc[0] == "sold: rank 4 of 4, score 0.1, among the 1 weakest of holdings and candidates"


def test_nothing_is_sold_for_a_candidate_that_ranks_below():
    orders = decide({"A": 0.1, "B": 0.4, "C": 0.3, "D": 0.05}, holding(A=10, B=10, C=10))
    assert sides(orders) == [("hold", "A", 10), ("hold", "B", 10), ("hold", "C", 10)]


def test_n_drop_of_zero_sells_nothing():
    orders = decide({"A": 0.1, "B": 0.2, "C": 0.3, "D": 0.9}, holding(A=10, B=10, C=10), n_drop=0)
    assert set(orders["side"]) == {"hold"}


def test_n_drop_of_zero_still_fills_free_places():
    orders = decide({"A": 0.1, "B": 0.2, "C": 0.3, "D": 0.9}, holding(A=10, B=10), cash=100, n_drop=0)
    assert sides(orders)[0] == ("buy", "D", 10)


def test_young_holding_is_kept_and_says_so():
    orders = decide({"A": 0.1, "B": 0.4, "C": 0.3, "D": 0.2}, holding(2, A=10, B=10, C=10), hold_threshold=3)
    assert set(orders["side"]) == {"hold"}
    assert orders["reason"].iloc[0].endswith("but not held for 3 sessions yet")


def test_halted_weakest_holding_is_kept_and_uses_up_the_drop():
    orders = decide({"A": 0.1, "B": 0.4, "C": 0.3, "D": 0.9}, holding(A=10, B=10, C=10), halted=("A",))
    assert set(orders["side"]) == {"hold"}
    assert orders["reason"].iloc[0].endswith("but it cannot trade")


def test_orphan_is_sold_beyond_n_drop_and_replaced():
    orders = decide({"B": 0.4, "C": 0.1, "D": 0.2, "E": 0.3}, holding(A=10, B=10, C=10))
    assert sides(orders) == [
        ("sell", "A", 10),
        ("sell", "C", 10),
        ("buy", "E", 10),
        ("buy", "D", 10),
        ("hold", "B", 10),
    ]
    assert orders["reason"].iloc[0] == "sold: it has no score"


def test_orphans_are_kept_when_the_rules_say_so():
    orders = decide({"B": 0.4, "C": 0.3}, holding(A=10, B=10, C=10), sell_orphans=False)
    assert sides(orders) == [("hold", "A", 10), ("hold", "B", 10), ("hold", "C", 10)]
    assert orders["reason"].iloc[0] == "held: it has no score, and orphans are kept"


def test_halted_orphan_waits_and_blocks_its_place():
    orders = decide({"B": 0.4, "C": 0.3, "D": 0.2}, holding(A=10, B=10, C=10), cash=1_000, halted=("A",), n_drop=0)
    assert set(orders["side"]) == {"hold"}


def test_halted_candidate_is_passed_over():
    orders = decide({"A": 0.9, "B": 0.8}, cash=1_000, halted=("A",), topk=1)
    assert sides(orders) == [("buy", "B", 100)]
    assert "the best that is not held and tradable" in orders["reason"].iloc[0]


def test_candidate_without_a_price_is_passed_over():
    scores = pd.Series({"A": 0.9, "B": 0.8})
    orders = rebalance(
        scores,
        holding(),
        pd.Series({"A": np.nan, "B": 10.0}),
        pd.Series({"A": True, "B": True}),
        100,
        StrategyRules(topk=1, n_drop=0, risk_degree=1.0),
        NO_LIMITS,
        FREE,
    )
    assert sides(orders) == [("buy", "B", 10)]


def test_equal_scores_rank_by_instrument_code():
    orders = decide(dict.fromkeys("DCBA", 0.5), cash=300)
    assert list(orders["instrument"]) == ["A", "B", "C"]
    held = decide(dict.fromkeys("ABCD", 0.5), holding(B=1, C=1, D=1))
    assert sides(held)[:2] == [("sell", "D", 1), ("buy", "A", 1)]


def test_infinite_score_counts_as_no_score():
    orders = decide({"A": np.inf, "B": 0.1}, cash=100, topk=1)
    assert sides(orders) == [("buy", "B", 10)]


def test_buy_reserves_its_fee():
    orders = decide({"A": 1.0}, cash=1_000, topk=1, costs=CostRules(buy_rate=0.01))
    assert sides(orders) == [("buy", "A", 99)]


def test_proceeds_of_the_sale_are_counted_net_of_its_fee():
    orders = decide({"A": 0.1, "B": 0.9}, holding(A=100), topk=1, costs=CostRules(sell_rate=0.05))
    assert sides(orders) == [("sell", "A", 100), ("buy", "B", 95)]


def test_cash_hoard_is_not_bet_on_one_free_place():
    orders = decide({"A": 0.1, "B": 0.2, "C": 0.3}, holding(A=10, B=10), cash=10_000)
    assert sides(orders)[0] == ("buy", "C", 340)


def test_budget_below_one_lot_is_explained():
    orders = decide({"A": 1.0}, cash=999, topk=1, market=MarketRules(lot=100))
    assert sides(orders) == [("hold", "A", 0)]
    assert "does not pay for one lot of 100" in orders["reason"].iloc[0]


def test_weakest_holding_is_not_sold_when_nothing_can_replace_it():
    orders = decide({"A": 0.1, "B": 0.2, "C": 0.3, "D": 0.9}, holding(A=10, B=10, C=10), halted=("D",))
    assert set(orders["side"]) == {"hold"}


def test_shrinking_topk_sells_no_more_than_n_drop_per_decision():
    orders = decide({"A": 0.1, "B": 0.2, "C": 0.3}, holding(A=10, B=10, C=10), topk=1)
    assert sides(orders) == [("sell", "A", 10), ("hold", "B", 10), ("hold", "C", 10)]


def test_position_order_does_not_matter():
    scores = {"A": 0.1, "B": 0.2, "C": 0.3, "D": 0.9, "E": 0.8}
    forward = decide(scores, holding(A=1, B=2, C=3), n_drop=2, cash=50)
    backward = decide(scores, holding(A=1, B=2, C=3).iloc[::-1], n_drop=2, cash=50)
    pd.testing.assert_frame_equal(forward, backward)


def test_no_score_at_all_is_an_error():
    with pytest.raises(StrategyError, match="Run the prediction"):
        decide({"A": np.nan}, cash=100)


def test_holding_without_price_is_named():
    with pytest.raises(StrategyError, match="holding ZZZ has no price"):
        rebalance(
            pd.Series({"A": 1.0}),
            holding(ZZZ=5),
            pd.Series({"A": 10.0}),
            pd.Series({"A": True}),
            100,
            StrategyRules(topk=1, n_drop=0),
            NO_LIMITS,
            FREE,
        )


@pytest.mark.parametrize("quantity", [0, -3, 1.5])
def test_position_that_is_no_whole_number_of_shares_is_named(quantity):
    with pytest.raises(StrategyError, match="position of A"):
        decide({"A": 1.0}, holding(A=quantity))


def test_duplicate_instrument_is_named():
    with pytest.raises(StrategyError, match="'A' more than once"):
        decide({"B": 1.0}, pd.concat([holding(A=1), holding(A=2)]))


def test_ranks_skip_missing_scores():
    np.testing.assert_array_equal(score_ranks(np.array([0.5, np.nan, 0.9, 0.5])), [2, 0, 1, 3])


def plain_topk_drop(scores, held, tradable, topk, n_drop):
    """The rule in words, with sorted lists: the oracle of the kernel."""
    rank = {name: (-score, name) for name, score in scores.items()}
    orphans = sorted(name for name in held if name not in scores and name in tradable)
    ranked = sorted((name for name in held if name in scores), key=rank.__getitem__)
    free = topk - len(held) + len(orphans)
    candidates = sorted((name for name in scores if name not in held and name in tradable), key=rank.__getitem__)
    candidates = candidates[: max(free + n_drop, 0)]
    union = sorted(ranked + candidates, key=rank.__getitem__)
    weakest = union[max(len(union) - n_drop, 0) :]
    dropped = [name for name in reversed(weakest) if name in held and name in tradable]
    dropped = dropped[: max(len(candidates) - free, 0)]
    buys = candidates[: max(free + len(dropped), 0)]
    return orphans + dropped, buys


@settings(max_examples=examples(200))
@given(
    scores=st.dictionaries(st.sampled_from("ABCDEFGHIJKLMNOP"), st.integers(0, 5), min_size=1),
    held=st.sets(st.sampled_from("ABCDEFGHIJKLMNOP"), max_size=8),
    halted=st.sets(st.sampled_from("ABCDEFGHIJKLMNOP"), max_size=4),
    topk=st.integers(1, 8),
    n_drop=st.integers(0, 4),
)
def test_kernel_equals_the_rule_in_plain_python(scores, held, halted, topk, n_drop):
    n_drop = min(n_drop, topk)
    positions = holding(**dict.fromkeys(sorted(held), 100))
    orders = decide(
        {name: float(score) for name, score in scores.items()},
        positions,
        cash=1_000_000,
        halted=tuple(halted),
        topk=topk,
        n_drop=n_drop,
    )
    sells, buys = plain_topk_drop(scores, held, set("ABCDEFGHIJKLMNOP") - halted, topk, n_drop)
    assert list(orders.loc[orders["side"] == "sell", "instrument"]) == sells
    assert list(orders.loc[orders["side"] == "buy", "instrument"]) == buys


@settings(max_examples=examples(50))
@given(
    scores=st.dictionaries(st.sampled_from("ABCDEFGH"), st.floats(-1, 1), min_size=2),
    cash=st.integers(0, 100_000),
    rate=st.integers(0, 300),
)
def test_buys_and_their_fees_never_exceed_the_cash(scores, cash, rate):
    costs = CostRules(buy_rate=rate / 10_000, min_commission=1.0)
    orders = decide(scores, cash=cash, costs=costs, topk=4)
    bought = orders.loc[orders["side"] == "buy"]
    value = bought["quantity"] * 10.0
    fees = np.maximum(value * rate / 10_000, 1.0).where(value > 0, 0.0)
    assert (value + fees).sum() <= cash + 0.01 * len(bought)
