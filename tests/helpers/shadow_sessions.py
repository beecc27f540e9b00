"""Accounts of two instruments over four days beside their shadow: booked by the simulated exchange or by statements."""

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.ledger.bookkeeping import book_days
from quant_pipeline.trading.ledger.session_effects import walk_effects
from quant_pipeline.trading.shadow.causes import compare_session
from tests.helpers.four_days import DAYS, actions_table, bars_table, book, entries, plan, statement

COSTS = CostRules(buy_rate=0.001, sell_rate=0.001)
BUY_30 = ("AAA", "buy", 30, 9.9, "best")


def compare(events, day, bars=None, actions=None, costs=COSTS, is_simulated=True, again=None):
    """Compare one session with the market as it is known now."""
    bars = bars_table() if bars is None else bars
    actions = actions_table() if actions is None else actions
    exchange = Exchange(bars, actions, DAYS, MarketRules(), costs)
    market = TradingMarket.from_bars(bars, actions, DAYS, MarketRules())
    (effects,) = walk_effects(events, market, day, day)
    found = compare_session(effects, events, exchange, is_simulated, again)
    # Whatever differs, the causes sum to the difference.
    assert sum(found.by_cause().values()) == found.difference
    return found


def causes(found):
    return {cause: amount for cause, amount in found.by_cause().items() if amount}


def simulated(*plans, actions=None, up_to=DAYS[-1]):
    """Book an account of the simulated exchange, day by day."""
    actions, events = actions_table() if actions is None else actions, ()
    for day in DAYS[up_to >= DAYS]:
        events = book(events, bars_table(), actions, (MarketRules(), COSTS), day)
        for decided, executes, *orders in plans:
            if decided == day:
                events = plan(events, decided, executes, *orders)
    return events


def by_statements(*lines, orders=(BUY_30,)):
    """Keep an account by statements, with a plan for the second session."""
    market = TradingMarket.from_bars(bars_table(), actions_table(), DAYS, MarketRules())
    booked = book_days((), "mine", 0, market, entries(statement("2024-12-30,deposit,,,,,,1000", *lines)))
    first = [event for event in booked if event.session == DAYS[0]]
    (recorded,) = plan(first, DAYS[0], DAYS[1], *orders)[len(first) :]
    return (*first, recorded, *booked[len(first) :])
