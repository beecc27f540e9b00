"""Execution summed up: groups of orders, excursions, and slippage that was planted."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls

from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.pipelines.analysis.execution import (
    AROUND,
    group_shortfall,
    group_surroundings,
    measure_excursions,
    propose_slippage,
)
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.trading.shadow.shortfall import PARTS, SHORTFALL_COLUMNS

DAYS = pd.bdate_range("2025-01-02", periods=40)
RULES = AnalysisParameters(min_orders=100, min_sessions=20)


def orders(number=400, half_spread=0.0003, root_impact=0.02, seed=1):
    """Orders of forty sessions whose fills pay a spread and the root of their share of the volume, and noise."""
    random = np.random.default_rng(seed)
    side = random.choice(["buy", "sell"], number)
    sign = np.where(side == "buy", 1, -1)
    share = random.uniform(0.0001, 0.02, number)
    market = random.uniform(20, 200, number)
    cost = half_spread + root_impact * np.sqrt(share) + random.normal(0, 0.0002, number)
    executed = np.full(number, 100.0)
    table = {
        "date": random.choice(DAYS, number),
        "side": side,
        "requested": executed,
        "executed": executed,
        "decision_price": market,
        "market_price": market,
        "price": market * (1 + sign * cost),
        "delay": random.normal(0, 30, number),
        "impact": executed * market * cost,
        "opportunity": 0.0,
        "fees": 1.0,
        "decided_value": executed * market,
        "share_of_volume": share,
        "at": [f"2025-01-02T{hour}:30:00+00:00" for hour in random.choice([15, 19], number)],
    }
    frame = pd.DataFrame(table).reindex(columns=list(SHORTFALL_COLUMNS))
    frame[["client_order_id", "instrument", "reason"]] = ""
    frame["shortfall"] = frame[[*PARTS]].sum(axis=1)
    return frame.astype(SHORTFALL_COLUMNS).sort_values("date", ignore_index=True)


def test_groups_sum_to_the_whole_and_large_ones_have_bands():
    table = orders()
    found = group_shortfall(table, "XNYS", RULES).set_index("of")
    whole = found.loc["all orders"]
    assert whole["orders"] == 400
    assert whole[[*PARTS]].tolist() == pytest.approx(table[[*PARTS]].sum().tolist(), abs=1e-9)
    assert whole["shortfall_bps"] == pytest.approx(table["shortfall"].sum() / table["decided_value"].sum() * 1e4)
    assert whole["lower"] < whole["shortfall_bps"] < whole["upper"]
    # 15:30 and 19:30 in London are 10:30 and 14:30 in New York.
    assert list(found.index[1:]) == ["buys", "sales", "small", "middle", "large", "10:00", "14:00"]
    for group in ("side", "size", "hour"):
        rows = found[found["group"] == group]
        assert rows["shortfall"].sum() == pytest.approx(whole["shortfall"], abs=1e-9)
    few = group_shortfall(table.head(99), "XNYS", RULES)
    assert few[["lower", "upper"]].isna().all().all()
    assert np.isfinite(few["shortfall_bps"]).all()
    assert group_shortfall(table.head(0), "XNYS", RULES).empty


def test_extremes_of_the_session_count_against_and_with_the_side_of_an_order():
    # Adjusted prices are half of those traded: the session went from 80 to 120.
    bars = pd.DataFrame({"date": DAYS, "instrument": "AAA", "high": 60.0, "low": 40.0, "close": 50.0})
    table = orders().assign(instrument="AAA", price=100.0, close=100.0, executed=1.0, share_of_volume=0.01)
    nothing = table.head(1).assign(executed=0.0)
    found = group_surroundings(pd.concat([table, nothing], ignore_index=True), bars, "XNYS", RULES).set_index("of")
    assert found.loc["buys", [*AROUND]].tolist() == pytest.approx([0.01, -0.2, 0.2])
    dear = table.assign(price=110.0)
    found = group_surroundings(dear, bars, "XNYS", RULES).set_index("of")
    assert found.loc["buys", ["adverse", "favourable"]].tolist() == pytest.approx([80 / 110 - 1, 120 / 110 - 1])
    assert found.loc["sales", ["adverse", "favourable"]].tolist() == pytest.approx([1 - 120 / 110, 1 - 80 / 110])
    assert list(found.index) == ["all orders", "buys", "sales", "small", "middle", "large", "10:00", "14:00"]
    whole = found.loc["all orders"]
    assert whole["orders"] == 400
    assert whole["adverse_lower"] < whole["adverse"] < whole["adverse_upper"]
    assert found.loc["small", ["adverse_lower", "adverse_upper"]].notna().all()
    few = group_surroundings(dear.head(99), bars, "XNYS", RULES)
    assert few[["adverse_lower", "share_of_volume_upper"]].isna().all().all()
    assert group_surroundings(dear.head(0), bars, "XNYS", RULES).empty
    # Without a bar of the session nothing is known of its extremes.
    assert group_surroundings(dear, bars.head(0), "XNYS", RULES)["adverse"].isna().all()


def test_planted_slippage_is_recovered_within_its_band():
    found = propose_slippage(orders(), CostRules(half_spread=0.0001), RULES).set_index("parameter")
    for name, true in (("half_spread", 0.0003), ("root_impact", 0.02)):
        assert found.loc[name, "lower"] < true < found.loc[name, "upper"]
        assert found.loc[name, "proposed"] == pytest.approx(true, rel=0.2)
    assert found.loc["half_spread", "present"] == 0.0001
    assert found["orders"].tolist() == [400, 400]


def test_slippage_of_equal_shares_of_volume_is_a_spread_beside_the_present_impact():
    table = orders(half_spread=0.0004, root_impact=0.0)
    table["share_of_volume"] = 0.0001
    table["price"] = table["market_price"] * (1 + np.where(table["side"] == "buy", 1, -1) * 0.0006)
    found = propose_slippage(table, CostRules(root_impact=0.02), RULES)
    assert found["parameter"].tolist() == ["half_spread"]
    assert found["proposed"].item() == pytest.approx(0.0004)


def test_gains_are_no_slippage_and_few_orders_or_sessions_propose_nothing():
    table = orders(half_spread=-0.001, root_impact=0.0)
    assert propose_slippage(table, CostRules(), RULES).set_index("parameter").loc["half_spread", "proposed"] == 0
    assert propose_slippage(orders(99), CostRules(), RULES).empty
    assert propose_slippage(orders().assign(executed=0.0), CostRules(), RULES).empty
    in_few = orders()[lambda table: table["date"].isin(DAYS[:19])]
    assert len(in_few) >= RULES.min_orders
    assert propose_slippage(in_few, CostRules(), RULES).empty
    assert group_shortfall(in_few, "XNYS", RULES)[["lower", "upper"]].isna().all().all()


def test_what_is_left_of_an_estimate_below_zero_is_estimated_again():
    table = orders(half_spread=-0.001, root_impact=0.02)
    found = propose_slippage(table, CostRules(), RULES).set_index("parameter")
    cost = np.where(table["side"] == "buy", 1, -1) * (table["price"] / table["market_price"] - 1)
    root, value = np.sqrt(table["share_of_volume"]), table["executed"] * table["market_price"]
    alone = (value * root * cost).sum() / (value * root**2).sum()
    assert found["proposed"].tolist() == [0.0, pytest.approx(alone)]
    # Together with a negative spread the impact came out at what was planted; alone it has to be less.
    assert alone < 0.015
    assert found.loc["root_impact", "lower"] < alone < found.loc["root_impact", "upper"] < 0.02
    assert found.loc["half_spread", "upper"] < 0


def test_slippage_of_scipys_bounded_least_squares_is_the_same():
    for half_spread, root_impact in ((-0.001, 0.02), (0.002, -0.01), (-0.001, -0.01), (0.0003, 0.02)):
        table = orders(half_spread=half_spread, root_impact=root_impact)
        cost = np.where(table["side"] == "buy", 1, -1) * (table["price"] / table["market_price"] - 1)
        scale = np.sqrt(table["executed"] * table["market_price"])
        design = np.column_stack([np.ones(len(table)), np.sqrt(table["share_of_volume"])])
        oracle = nnls(design * scale.to_numpy()[:, None], (cost * scale).to_numpy())[0]
        found = propose_slippage(table, CostRules(), RULES)
        assert found["proposed"].tolist() == pytest.approx(oracle.tolist(), abs=1e-12)


def test_excursions_are_lowest_low_and_highest_high_while_a_lot_was_held():
    bars = pd.DataFrame(
        {
            "date": DAYS[:4],
            "instrument": "AAA",
            "open": [10.0, 10.0, 11.0, 12.0],
            "high": [10.0, 12.0, 13.0, 20.0],
            "low": [9.0, 9.5, 8.0, 1.0],
        }
    )
    lots = pd.DataFrame(
        [("AAA", DAYS[1], DAYS[2], 100.0, 15.0), ("ZZZ", DAYS[1], DAYS[2], 100.0, 1.0)],
        columns=["instrument", "opened", "closed", "cost", "realised_profit"],
    )
    (row,) = measure_excursions(lots, bars).to_dict("records")
    assert (row["sessions"], row["return"], row["realised_profit"]) == (2, 0.15, 15.0)
    assert (row["worst"], row["best"]) == (pytest.approx(-0.2), pytest.approx(0.3))
