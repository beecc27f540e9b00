import pickle

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.weight_multipliers import daily_returns
from quant_pipeline.common.exceptions import MarketDataError, StrategyError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import Schedule
from tests.helpers.random_market import random_market

FREE = CostRules()
SESSIONS = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"])
HOLD_ONE = StrategyRules(topk=1, n_drop=1, risk_degree=1.0)


def market_of(
    opens: dict[str, list[float]], closes: dict[str, list[float]], actions=(), rules: MarketRules | None = None
) -> TradingMarket:
    """Market of a few sessions; None is a halt."""
    rows = [
        (SESSIONS[t], name, opens[name][t], max(opens[name][t], close), min(opens[name][t], close), close, 1000.0)
        for name in opens
        for t, close in enumerate(closes[name])
        if close is not None
    ]
    bars = pd.DataFrame(rows, columns=["date", "instrument", "open", "high", "low", "close", "volume"])
    table = pd.DataFrame(list(actions), columns=["date", "instrument", "kind", "value"])
    sessions = SESSIONS[: len(next(iter(opens.values())))]
    return TradingMarket.from_bars(bars, table, sessions, rules or MarketRules())


def scores_of(**by_instrument: list[float]) -> pd.Series:
    return long(pd.DataFrame(by_instrument, index=SESSIONS[: len(next(iter(by_instrument.values())))]))


def long(frame: pd.DataFrame) -> pd.Series:
    index = pd.MultiIndex.from_product([frame.index, frame.columns], names=["datetime", "instrument"])
    return pd.Series(frame.to_numpy().ravel(), index=index, name="score")


def test_three_days_by_hand():
    # Decided at the close of day 1; 1,000 buys 100 A at the open of day 2 (10.00). At the close of day 2 B is better:
    # A is sold at the open of day 3 for 12.00, fee 0.12, and B bought at 20.00: sized at day 2's closes
    # (100 × 11.50 - fee 0.12 → 1,149.88 / 19.00, fee 0.1 % reserved → 60 shares).
    market = market_of(
        {"A": [9.0, 10.0, 12.0], "B": [18.0, 19.0, 20.0]}, {"A": [10.0, 11.5, 12.5], "B": [18.5, 19.0, 21.0]}
    )
    costs = CostRules(buy_rate=0.001, sell_rate=0.0001)
    result = run_backtest(scores_of(A=[1.0, 0.0, 0.0], B=[0.0, 1.0, 1.0]), market, HOLD_ONE, costs, 1_001)
    # Day 2: 100 A cost 1,000.00 + 1.00; cash 0. Day 3: sale 1,200.00 - 0.12, buy 60 × 20.00 = 1,200.00 + 1.20 does not
    # fit into 1,199.88, so 59 B cost 1,180.00 + 1.18; cash 18.70; value 18.70 + 59 × 21.00.
    assert result.nav.tolist() == [1_001.0, 1_150.0, 1_257.70]
    assert result.cash.tolist() == [1_001.0, 0.0, 18.70]
    assert result.fees.tolist() == [0.0, 1.0, 1.30]
    assert result.trades[
        ["decided", "date", "side", "instrument", "quantity", "price", "fee", "status"]
    ].to_numpy().tolist() == [
        [SESSIONS[0], SESSIONS[1], "buy", "A", 100, 10.0, 1.0, "filled"],
        [SESSIONS[1], SESSIONS[2], "sell", "A", 100, 12.0, 0.12, "filled"],
        [SESSIONS[1], SESSIONS[2], "buy", "B", 59, 20.0, 1.18, "partially_filled"],
    ]
    assert result.turnover.tolist() == [0.0, 1_000 / 1_001, 2_380 / 1_150]
    assert result.positions[["date", "instrument", "quantity", "value"]].to_numpy().tolist() == [
        [SESSIONS[1], "A", 100, 1_150.0],
        [SESSIONS[2], "B", 59, 1_239.0],
    ]


def test_buy_and_hold_follows_the_price():
    market = market_of({"A": [10.0, 10.0, 11.0, 12.0, 13.0]}, {"A": [10.0, 10.5, 11.5, 12.5, 9.0]})
    result = pickle.loads(pickle.dumps(run_backtest(scores_of(A=[1.0] * 5), market, HOLD_ONE, FREE, 1_000)))
    assert result.nav.tolist() == [1_000.0, 1_050.0, 1_150.0, 1_250.0, 900.0]
    assert len(result.trades) == 1
    np.testing.assert_allclose(result.returns, [0.05, 1_150 / 1_050 - 1, 1_250 / 1_150 - 1, 0.72 - 1])


def test_split_and_dividend_leave_the_value_unharmed():
    actions = [(SESSIONS[2], "A", "split", 4.0), (SESSIONS[3], "A", "cash_dividend", 0.25)]
    market = market_of({"A": [100.0, 100.0, 25.0, 24.75]}, {"A": [100.0, 100.0, 25.0, 24.75]}, actions)
    result = run_backtest(scores_of(A=[1.0, 1.0, 1.0, 1.0]), market, HOLD_ONE, FREE, 1_000)
    assert result.nav.tolist() == [1_000.0] * 4
    assert result.corporate_actions[["date", "kind", "quantity_after", "amount"]].to_numpy().tolist() == [
        [SESSIONS[2], "split", 40, 0.0],
        [SESSIONS[3], "cash_dividend", 40, 10.0],
    ]


def test_halted_holding_keeps_its_last_close_and_its_order_expires():
    market = market_of(
        {"A": [10.0, 10.0, 10.0, 8.0, 8.0], "B": [5.0] * 5}, {"A": [10.0, 11.0, None, None, 9.0], "B": [5.0] * 5}
    )
    scores = scores_of(A=[1.0, 0.0, 0.0, 0.0, 0.0], B=[0.5, 0.9, 0.9, 0.9, 0.9])
    result = run_backtest(scores, market, HOLD_ONE, FREE, 1_000)
    assert result.nav.tolist() == [1_000.0, 1_100.0, 1_100.0, 1_100.0, 900.0]
    # The sale decided before the halt expires, the buy it was to pay for finds no cash; nothing is
    # decided while it is halted.
    assert result.trades[["date", "side", "status"]].to_numpy().tolist() == [
        [SESSIONS[1], "buy", "filled"],
        [SESSIONS[2], "sell", "expired"],
        [SESSIONS[2], "buy", "rejected"],
    ]


def test_split_during_a_halt_rescales_the_last_close():
    actions = [(SESSIONS[2], "A", "split", 2.0)]
    market = market_of({"A": [10.0, 10.0, 5.0, 5.0]}, {"A": [10.0, 11.0, None, 5.0]}, actions)
    result = run_backtest(scores_of(A=[1.0] * 4), market, HOLD_ONE, FREE, 1_000)
    assert result.nav.tolist() == [1_000.0, 1_100.0, 1_100.0, 1_000.0]


@pytest.mark.parametrize(
    ("actions", "reopens_at"),
    [
        ([(2, "cash_dividend", 5.0)], 45.0),
        ([(2, "cash_dividend", 5.0), (3, "cash_dividend", 20.0)], 25.0),
        ([(2, "cash_dividend", 5.0), (3, "split", 3.0)], 15.0),
        ([(2, "split", 5.0), (3, "cash_dividend", 2.5)], 7.5),
        ([(3, "cash_dividend", 1.0), (3, "split", 2.0)], 24.0),
        ([(2, "cash_dividend", 0.0125)], 49.9875),
        ([(2, "split", 0.1), (3, "cash_dividend", 30.0)], 470.0),
    ],
)
def test_what_is_paid_during_a_halt_counts_once_from_the_first_day_on(actions, reopens_at):
    """100 shares at 50: their value does not move while they are halted over ex-dates, nor when they trade again."""
    rows = [(SESSIONS[t], "A", kind, value) for t, kind, value in actions]
    opens, closes = [50.0, 50.0, 0.0, 0.0, reopens_at], [50.0, 50.0, None, None, reopens_at]
    market = market_of({"A": opens}, {"A": closes}, rows)
    result = run_backtest(scores_of(A=[1.0, 1.0, np.nan, np.nan, np.nan]), market, HOLD_ONE, FREE, 5_000)
    assert result.nav.tolist() == [5_000.0] * 5
    # Sizing by volatility looks at these returns.
    assert daily_returns(market.arrays)[1:, 0].tolist() == [0.0] * 4


def test_a_dividend_above_the_last_close_leaves_a_price_not_the_absence_of_one():
    market = market_of({"A": [10.0] * 3}, {"A": [10.0, 10.0, None]}, [(SESSIONS[2], "A", "cash_dividend", 12.0)])
    assert market.arrays.mark[:, 0].tolist() == [100_000, 100_000, 1]


def test_a_dividend_before_the_first_bar_makes_no_price():
    market = market_of({"A": [10.0] * 3}, {"A": [None, None, 10.0]}, [(SESSIONS[1], "A", "cash_dividend", 1.0)])
    assert market.arrays.mark[:, 0].tolist() == [0, 0, 100_000]


def test_delisted_holding_becomes_cash_and_is_replaced():
    actions = [(SESSIONS[3], "A", "delisting", 2.0)]
    market = market_of(
        {"A": [10.0, 10.0, 10.0, 0.0, 0.0], "B": [5.0] * 5},
        {"A": [10.0, 10.0, 9.0, None, None], "B": [5.0] * 5},
        actions,
    )
    scores = scores_of(A=[1.0, 1.0, 1.0, 1.0, 1.0], B=[0.5] * 5)
    result = run_backtest(scores, market, HOLD_ONE, FREE, 1_000)
    assert result.nav.tolist() == [1_000.0, 1_000.0, 900.0, 200.0, 200.0]
    assert result.trades[["date", "side", "instrument", "quantity"]].to_numpy().tolist() == [
        [SESSIONS[1], "buy", "A", 100],
        [SESSIONS[4], "buy", "B", 40],
    ]


def test_session_without_scores_decides_nothing():
    market = market_of({"A": [10.0] * 5, "B": [10.0] * 5}, {"A": [10.0] * 5, "B": [10.0] * 5})
    nan = np.nan
    result = run_backtest(
        scores_of(A=[1.0, nan, 0.0, nan, nan], B=[0.0, nan, 1.0, nan, nan]), market, HOLD_ONE, FREE, 100
    )
    assert list(result.trades["date"]) == [SESSIONS[1], SESSIONS[3], SESSIONS[3]]


def test_weekly_schedule_decides_on_its_weekday_only():
    market = market_of({"A": [10.0] * 5}, {"A": [10.0] * 5})
    weekly = HOLD_ONE.model_copy(update={"schedule": Schedule(frequency="weekly", phase=4)})
    result = run_backtest(scores_of(A=[1.0] * 5), market, weekly, FREE, 100)
    assert list(result.trades["decided"]) == [pd.Timestamp("2024-01-05")]


def test_deal_price_close_executes_at_the_close_of_the_next_session():
    market = market_of({"A": [1.0, 2.0, 3.0]}, {"A": [4.0, 5.0, 6.0]}, rules=MarketRules(deal_price="close"))
    result = run_backtest(scores_of(A=[1.0] * 3), market, HOLD_ONE, FREE, 100)
    assert result.trades["price"].tolist() == [5.0]


def test_chinese_limit_up_open_cannot_be_bought():
    rules = MarketRules.preset("CN")
    market = market_of({"SH600000": [10.0, 11.0, 11.5]}, {"SH600000": [10.0, 11.0, 11.5]}, rules=rules)
    result = run_backtest(scores_of(SH600000=[1.0, 1.0, 1.0]), market, HOLD_ONE, FREE, 10_000)
    assert result.trades[["status", "quantity"]].to_numpy().tolist() == [["rejected", 0], ["partially_filled", 800]]


def test_limits_refer_to_the_price_after_a_split():
    rules = MarketRules.preset("CN")
    actions = [(SESSIONS[1], "SH600000", "split", 2.0)]
    market = market_of({"SH600000": [10.0, 5.0, 5.0]}, {"SH600000": [10.0, 5.0, 5.0]}, actions, rules)
    result = run_backtest(scores_of(SH600000=[1.0] * 3), market, HOLD_ONE, FREE, 10_000)
    assert result.trades.loc[0, "status"] == "filled"


@pytest.mark.parametrize("deal_price", ["open", "close"])
def test_oracle_of_the_next_execution_earns_and_the_oracle_of_the_return_before_it_does_not(deal_price):
    rng = np.random.default_rng(5)
    n_sessions, names = 250, [f"I{n:02d}" for n in range(30)]
    sessions = pd.bdate_range("2021-01-01", periods=n_sessions)
    deal = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (n_sessions, len(names))), axis=0))
    index = pd.MultiIndex.from_product([sessions, names], names=["date", "instrument"])
    bars = pd.DataFrame({column: deal.ravel() for column in ("open", "high", "low", "close")}, index=index)
    bars = bars.assign(volume=1e6).reset_index()
    market = TradingMarket.from_bars(bars, no_actions(), sessions, MarketRules(deal_price=deal_price))
    prices = pd.DataFrame(deal, index=sessions, columns=names)
    rules = StrategyRules(topk=5, n_drop=5, risk_degree=1.0)

    def growth(returns: pd.DataFrame) -> float:
        return run_backtest(long(returns), market, rules, FREE, 1_000_000).nav.iloc[-1] / 1_000_000

    after_the_deal = prices.shift(-2) / prices.shift(-1) - 1
    up_to_the_deal = prices.shift(-1) / prices - 1
    assert growth(after_the_deal) > 100
    assert 0.5 < growth(up_to_the_deal) < 2


def no_actions() -> pd.DataFrame:
    return pd.DataFrame({"date": pd.DatetimeIndex([]), "instrument": pd.Series(dtype="str"), "kind": [], "value": []})


def test_poisoned_future_changes_nothing_before_it():
    bars, actions, sessions, scores = random_market(3)
    rules = StrategyRules(topk=6, n_drop=2)
    clean = run_backtest(
        scores, TradingMarket.from_bars(bars, actions, sessions, MarketRules()), rules, CostRules.preset("US"), 100_000
    )
    cut = sessions[150]
    rng = np.random.default_rng(9)
    after = bars["date"] > cut
    poisoned = bars.copy()
    poisoned.loc[after, ["open", "high", "low", "close"]] *= rng.uniform(0.1, 10, (after.sum(), 1))
    late_actions = actions["date"] > cut
    poisoned_actions = actions.assign(value=actions["value"].where(~late_actions, 3.0))
    late_scores = scores.index.get_level_values(0) > cut
    poisoned_scores = scores.where(~late_scores, rng.normal(size=len(scores)))
    market = TradingMarket.from_bars(poisoned, poisoned_actions, sessions, MarketRules())
    dirty = run_backtest(poisoned_scores, market, rules, CostRules.preset("US"), 100_000)
    pd.testing.assert_series_equal(clean.nav[:cut], dirty.nav[:cut], check_exact=True)
    before = clean.trades["date"] <= cut
    pd.testing.assert_frame_equal(clean.trades[before], dirty.trades[dirty.trades["date"] <= cut], check_exact=True)
    assert clean.nav.iloc[-1] != dirty.nav.iloc[-1]


def test_cash_and_positions_add_up_to_the_net_asset_value_every_day():
    bars, actions, sessions, scores = random_market(4)
    market = TradingMarket.from_bars(bars, actions, sessions, MarketRules(max_participation=0.2))
    result = run_backtest(scores, market, StrategyRules(topk=8, n_drop=3), CostRules.preset("US"), 1_000_000)
    invested = result.positions.groupby("date")["value"].sum().reindex(sessions, fill_value=0.0)
    np.testing.assert_allclose(result.cash + invested, result.nav, rtol=0, atol=1e-6)
    assert (result.cash >= 0).all()
    assert set(result.corporate_actions["kind"]) == {"split", "cash_dividend", "delisting"}
    assert "partially_filled" in set(result.trades["status"])


def test_more_corporate_actions_than_room_was_made_for_are_all_in_the_table():
    sessions, names = pd.bdate_range("2020-01-01", periods=420), [f"I{number}" for number in range(10)]
    cells = pd.MultiIndex.from_product([sessions, names], names=["date", "instrument"]).to_frame(index=False)
    bars = cells.assign(open=10.0, high=10.0, low=10.0, close=10.0, volume=1e6)
    actions = cells.assign(kind="cash_dividend", value=0.01)
    market = TradingMarket.from_bars(bars, actions, sessions, MarketRules())
    scores = pd.Series(np.arange(len(cells)) % 10, index=pd.MultiIndex.from_frame(cells), dtype="float64")
    result = run_backtest(scores, market, StrategyRules(topk=10, n_drop=1), FREE, 100_000)
    # Bought in the second session, held from the third on.
    held = cells[cells["date"] >= sessions[2]]
    assert len(held) > 4096
    pd.testing.assert_frame_equal(
        result.corporate_actions[["date", "instrument"]].sort_values(["date", "instrument"], ignore_index=True),
        held.reset_index(drop=True),
        check_dtype=False,
    )


def test_score_of_an_unknown_instrument_is_named():
    market = market_of({"A": [10.0] * 3}, {"A": [10.0] * 3})
    with pytest.raises(StrategyError, match="ZZZ has scores but no bars"):
        run_backtest(scores_of(A=[1.0] * 3, ZZZ=[1.0] * 3), market, HOLD_ONE, FREE)


def test_score_on_a_day_that_is_no_session_is_named():
    market = market_of({"A": [10.0] * 5}, {"A": [10.0] * 5})
    index = pd.MultiIndex.from_tuples([(pd.Timestamp("2024-01-06"), "A")])
    with pytest.raises(StrategyError, match="2024-01-06"):
        run_backtest(pd.Series([1.0], index=index), market, HOLD_ONE, FREE)


def test_scores_without_a_date_or_of_other_sessions_are_not_used():
    market = market_of({"A": [10.0] * 3, "B": [10.0] * 3}, {"A": [10.0] * 3, "B": [10.0] * 3})
    days = [pd.NaT, SESSIONS[2], pd.Timestamp("2019-01-02"), SESSIONS[0], SESSIONS[0]]
    index = pd.MultiIndex.from_arrays([days, ["A", "B", "ZZZ", "B", "A"]])
    found = market.score_matrix(pd.Series([1.0, 2.0, 3.0, np.inf, -4.0], index=index))
    np.testing.assert_array_equal(found, [[-4.0, np.nan], [np.nan] * 2, [np.nan, 2.0]])


def test_score_without_an_instrument_is_named():
    market = market_of({"A": [10.0] * 3}, {"A": [10.0] * 3})
    index = pd.MultiIndex.from_arrays([[SESSIONS[0]] * 2, ["A", None]])
    with pytest.raises(StrategyError, match="Instrument None has scores but no bars"):
        market.score_matrix(pd.Series([1.0, 2.0], index=index))


def test_doubled_score_is_refused():
    market = market_of({"A": [10.0] * 3}, {"A": [10.0] * 3})
    index = pd.MultiIndex.from_tuples([(SESSIONS[0], "A"), (SESSIONS[0], "A")])
    with pytest.raises(StrategyError, match="twice"):
        run_backtest(pd.Series([1.0, 2.0], index=index), market, HOLD_ONE, FREE)


def test_scores_without_a_session_in_the_market_are_an_error():
    market = market_of({"A": [10.0] * 3}, {"A": [10.0] * 3})
    index = pd.MultiIndex.from_tuples([(pd.Timestamp("2019-01-02"), "A")])
    with pytest.raises(StrategyError, match="No session between 2024-01-02 and 2024-01-04"):
        run_backtest(pd.Series([1.0], index=index), market, HOLD_ONE, FREE)


def test_bar_on_a_day_that_is_no_session_is_named():
    bars, actions, sessions, _ = random_market(1, 60, 3)
    with pytest.raises(MarketDataError, match="no session"):
        TradingMarket.from_bars(bars, actions, sessions.delete(30), MarketRules())


def test_doubled_bar_is_named():
    bars, actions, sessions, _ = random_market(1, 60, 3)
    with pytest.raises(MarketDataError, match="two bars"):
        TradingMarket.from_bars(pd.concat([bars, bars.iloc[:1]]), actions, sessions, MarketRules())
