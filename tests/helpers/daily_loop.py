"""The daily loop, one session at a time with tables and Decimal: an oracle of the array engine, to the last tick."""

from dataclasses import replace
from decimal import Decimal

import pandas as pd

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.weight_multipliers import preferences
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import to_ticks
from quant_pipeline.exchange.quotes import action_terms, reference_price
from quant_pipeline.exchange.session import (
    Carry,
    apply_corporate_actions,
    apply_fills,
    execute_orders,
    reference_closes,
)
from quant_pipeline.exchange.tables import positions_table
from quant_pipeline.strategy.rebalance import rebalance
from quant_pipeline.strategy.schedule import decision_flags
from tests.helpers.engine_cases import GROUPS


def last_known_close(bars: pd.DataFrame, actions: pd.DataFrame, known: dict[str, float], session: pd.Timestamp):
    """Closes after the session as the daily loop knows them, in whole ticks."""
    of_session = actions[actions["date"] == session]
    for kind in ("split", "cash_dividend"):
        for row in of_session[of_session["kind"] == kind].itertuples():
            if row.instrument in known:
                known[row.instrument] = reference_price(known[row.instrument], kind, *action_terms(*row[2:5]))
    today = bars[bars["date"] == session]
    known.update(zip(today["instrument"], to_ticks(today["close"]).tolist(), strict=True))


def replay(bars, actions, sessions, scores, rules, market_rules, costs, cash):
    positions, cash, pending = positions_table([], [], []), Decimal(cash), None
    known: dict[str, int] = {}
    flags = decision_flags(sessions, rules.schedule)
    values, fills_of = [], []
    days = sessions.to_series().diff().dt.days.fillna(0)
    for decides, session in zip(flags, sessions, strict=True):
        today = actions[actions["date"] == session]
        previous = pd.Series(known, dtype="float64") / 10_000
        carry = Carry(market_rules.cash_interest_rate * days[session] / 365, market_rules.dividend_tax_rate)
        outcome = apply_corporate_actions(positions, cash, today, previous, pending, market_rules, carry)
        positions, cash, pending = outcome.positions, outcome.cash, outcome.pending_orders
        session_bars = bars[bars["date"] == session].set_index("instrument")
        if market_rules.price_limits:
            session_bars["previous_close"] = reference_closes(previous, today).reindex(session_bars.index)
        if pending is not None and len(pending):
            fills = execute_orders(pending, positions, cash, session_bars, market_rules.at(session), costs.at(session))
            positions, cash = apply_fills(positions, cash, fills)
            fills_of.append(fills.assign(date=session))
        positions["sessions_held"] += 1
        last_known_close(bars, actions, known, session)
        prices = pd.Series(known, dtype="float64") / 10_000
        held = positions["quantity"] * prices.reindex(positions.index).map(lambda price: Decimal(str(price)))
        values.append(cash + sum(held, Decimal(0)))
        todays_scores = scores.xs(session, level="datetime")
        pending = None
        if decides and todays_scores.abs().lt(float("inf")).any():
            tradable = session_bars["volume"] > 0
            preferred = None
            if rules.method == "target_weights":
                known_market = TradingMarket.from_bars(bars, actions, sessions[sessions <= session], market_rules)
                preferred = pd.Series(preferences(known_market, rules)[-1], index=known_market.instruments)
            todays_costs = costs.at(session)
            pending = rebalance(
                todays_scores, positions, prices, tradable, cash, rules, market_rules, todays_costs, preferred, GROUPS
            )
    return values, pd.concat(fills_of, ignore_index=True)


def assert_replay_equals(bars, actions, sessions, scores, rules, market_rules, costs, cash):
    market = replace(TradingMarket.from_bars(bars, actions, sessions, market_rules), classification=GROUPS)
    result = run_backtest(scores, market, rules, costs, cash)
    values, fills = replay(bars, actions, sessions, scores, rules, market_rules, costs, cash)
    assert [Decimal(str(value)) for value in result.nav] == values
    columns = ["date", "instrument", "side", "quantity", "requested", "price", "fee", "status", "message"]
    expected = fills[fills["requested"] > 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(result.trades[columns], expected[columns], check_exact=True, check_dtype=False)
    assert result.nav.nunique() > 45
    assert all(Decimal(str(value)) % Decimal("0.01") == 0 for value in result.cash)
