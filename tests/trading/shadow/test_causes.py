"""Account and shadow on two instruments: what differs has its cause and its amount, and nothing else differs."""

from dataclasses import replace
from decimal import Decimal

import pytest

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.ledger.bookkeeping import book_days
from quant_pipeline.trading.ledger.events import Event, EventKind, Order
from quant_pipeline.trading.ledger.session_effects import walk_effects
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.shadow.causes import DecidedAgain, compare_session
from quant_pipeline.trading.shadow.shortfall import PARTS, shortfall_table
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


def test_nothing_differs_from_the_simulated_exchange_with_split_dividend_and_delisting():
    actions = actions_table((DAYS[2], "AAA", "split", 2.0), (DAYS[3], "AAA", "cash_dividend", 0.25))
    events = simulated(
        (DAYS[0], DAYS[1], BUY_30), (DAYS[2], DAYS[3], ("AAA", "sell", 10, 11.0, "out")), actions=actions
    )
    for day in DAYS:
        found = compare(events, day, actions=actions)
        assert found.differences == ()
        assert found.shadow == found.account


def test_nothing_differs_where_shares_times_price_is_no_whole_cent():
    costs, events = CostRules(buy_rate=0.001, sell_rate=0.001, half_spread=0.00037), ()
    for day in DAYS[:2]:
        events = book(events, bars_table(), actions_table(), (MarketRules(), costs), day)
        if day == DAYS[0]:
            events = plan(events, DAYS[0], DAYS[1], ("AAA", "buy", 33, 9.9, "best"))
    (fill,) = (event for event in events if event.kind is EventKind.FILL)
    assert Decimal(fill.payload["price"]) * 33 != -Decimal(fill.payload["cash"])
    found = compare(events, DAYS[1], costs=costs)
    assert (found.difference, found.differences) == (0, ())


def test_bars_that_were_revised_since_and_rules_that_were_changed_are_told_apart():
    events = simulated((DAYS[0], DAYS[1], BUY_30))
    dearer = bars_table()
    of_day = (dearer["instrument"] == "AAA") & (dearer["date"] == DAYS[1])
    dearer.loc[of_day, "open"] = 10.25
    assert causes(compare(events, DAYS[1], bars=dearer)) == {
        "data_revisions": Decimal("-7.5"),  # the shadow pays 30 times .25 more
        "code_changes": Decimal("-0.01"),  # and its fee is of that value
    }
    assert causes(compare(events, DAYS[1], costs=CostRules())) == {"code_changes": Decimal("0.30")}


def test_account_by_statements_pays_other_prices_and_fees_and_trades_by_hand():
    events = by_statements(
        "2024-12-31,fill,AAA,buy,10,10.05,0.20,-100.70",
        "2024-12-31,fill,AAA,buy,10,10.10,0.20,-101.20",
        "2024-12-31,fill,BBB,buy,5,19.90,1,-100.50",
        "2024-12-31,fee,,,,,,-0.75",
    )
    found = compare(events, DAYS[1], is_simulated=False)
    # By the backtest: 30 at 10.00 for .30; done are 20 of them, whose part of the fee is .20.
    assert causes(found) == {
        "impact": Decimal("1.50"),
        "unfilled": Decimal("-0.10"),
        "fees": Decimal("0.20") + Decimal("0.75"),
        "operator_actions": -(5 * Decimal("0.10") - 1),
    }
    assert found.account == -Decimal("1.90") + Decimal("-0.50") - Decimal("0.75")


def test_unfilled_order_costs_what_its_shares_would_have_earned_by_the_close():
    events = by_statements(orders=(BUY_30,))
    rising = bars_table()
    rising.loc[(rising["instrument"] == "AAA") & (rising["date"] == DAYS[1]), ["high", "close"]] = 10.5
    found = compare(events, DAYS[1], bars=rising, is_simulated=False)
    assert causes(found) == {"unfilled": 30 * Decimal("0.5") - Decimal("0.30")}
    assert found.differences[0].detail == "buy 0 of 30: it was never sent"


def test_what_the_operator_has_halted_is_the_operators():
    events = simulated((DAYS[0], DAYS[1], BUY_30), up_to=DAYS[0])
    halted = trading_state_event(DAYS[0], 0, TradingState.HALTED, "PERSON", "lunch")
    events = book((*events, halted), bars_table(), actions_table(), (MarketRules(), COSTS), DAYS[1])
    found = compare(events, DAYS[1])
    assert causes(found) == {"operator_actions": Decimal("-0.30")}
    assert found.differences[0].detail == "buy 0 of 30: denied: TRADING_HALTED: the account is halted"


def test_plan_that_was_replaced_is_the_operators_and_a_decision_that_changed_is_not():
    events = simulated(
        (
            DAYS[0],
            DAYS[1],
            BUY_30,
        ),
        up_to=DAYS[0],
    )
    events = plan(events, DAYS[0], DAYS[1], ("BBB", "buy", 10, 20.0, "rather"))
    events = book(events, bars_table(), actions_table(), (MarketRules(), COSTS), DAYS[1])
    found = compare(events, DAYS[1])
    assert causes(found) == {"operator_actions": Decimal("-0.30") - Decimal("-0.20")}
    order = Order("", "AAA", "buy", 60, "9.9000", "best")
    again = DecidedAgain((order,), same_inputs=False)
    assert causes(compare(events, DAYS[1], again=again)) == {
        "operator_actions": Decimal("-0.10"),
        "data_revisions": Decimal("-0.30"),
    }
    again = again._replace(same_inputs=True)
    assert causes(compare(events, DAYS[1], again=again))["code_changes"] == Decimal("-0.30")


def test_dividend_paid_later_than_its_ex_date_is_a_corporate_action_of_both_sessions():
    actions = actions_table((DAYS[2], "AAA", "cash_dividend", 0.5))
    events = by_statements("2024-12-31,fill,AAA,buy,30,10.00,0.30,-300.30", "2025-01-03,dividend,AAA,,,,,15")
    ex, paid = (causes(compare(events, day, actions=actions, is_simulated=False)) for day in DAYS[2:])
    assert ex == {"corporate_actions": Decimal("15")}
    assert paid == {"corporate_actions": Decimal("-15")}


def test_fill_of_an_order_of_an_earlier_session_is_late_and_its_correction_a_revision():
    events = by_statements()
    name = next(e for e in events if e.kind is EventKind.PLAN_RECORDED).payload["orders"][0]["client_order_id"]
    facts = {"client_order_id": name, "instrument": "AAA", "side": "buy", "quantity": "30", "price": "10", "fee": "0"}
    fill = Event(DAYS[2], EventKind.FILL, "fill:late", facts)
    kept = [event for event in events if event.session < DAYS[2]]
    close = Event(DAYS[2], EventKind.SESSION_CLOSED, "close", {"net_asset_value": "1030", "cash": "700.00"})
    found = compare((*kept, fill, close), DAYS[2], is_simulated=False)
    assert causes(found) == {"delay": Decimal("-30")}
    correction = Event(DAYS[2], EventKind.TRADE_CORRECTION, "fixed", {"fill": "fill:late", "price": "10.5"})
    close = replace(close, payload={"net_asset_value": "1015", "cash": "685.00"})
    found = compare((*kept, fill, correction, close), DAYS[2], is_simulated=False)
    assert causes(found) == {"data_revisions": Decimal("-15")}


def test_cash_that_nothing_explains_stays_unexplained():
    events = by_statements("2024-12-31,fill,AAA,buy,30,10.00,0.30,-300.30")
    kept = [event for event in events if event.session < DAYS[2]]
    odd = Event(DAYS[2], EventKind.OTHER_CASH, "odd", {"instrument": "", "amount": "-3", "message": "MYST"})
    close = Event(DAYS[2], EventKind.SESSION_CLOSED, "close", {"net_asset_value": "1026.7", "cash": "696.70"})
    found = compare((*kept, odd, close), DAYS[2], is_simulated=False)
    assert causes(found) == {"unexplained": 3}
    assert found.differences[0].detail == "MYST"


def test_implementation_shortfall_sums_to_the_paper_portfolio_less_the_account():
    events = by_statements(
        "2024-12-31,fill,AAA,buy,20,10.05,0.20,-201.20", orders=(BUY_30, ("BBB", "buy", 5, 19.0, "second"))
    )
    events = list(events)
    place = next(i for i, event in enumerate(events) if event.kind is EventKind.FILL)
    name = next(e for e in events if e.kind is EventKind.PLAN_RECORDED).payload["orders"][0]["client_order_id"]
    sent = {"client_order_id": name, "at": "2024-12-31T14:31:00+00:00", "last_trade": "10.02"}
    events.insert(place, Event(DAYS[1], EventKind.ORDER_SUBMITTING, "sent", sent))
    found = compare(events, DAYS[1], is_simulated=False)
    table = shortfall_table([found], bars_table(), actions_table()).set_index("instrument")
    bought = table.loc["AAA"]
    assert bought[[*PARTS]].round(6).tolist() == [20 * 0.12, 20 * 0.03, 10 * 0.10, 0.20]
    assert bought[["decision_price", "arrival_price", "market_price", "price"]].tolist() == [9.9, 10.02, 10, 10.05]
    assert bought["share_of_volume"] == 0.02
    missed = table.loc["BBB"]
    assert missed[[*PARTS]].tolist() == [0, 0, 5 * 1.0, 0]
    assert missed["reason"] == ""
    paper = 30 * (10 - 9.9) + 5 * (20 - 19)
    assert table["shortfall"].sum() == pytest.approx(paper - float(found.account), abs=1e-9)
    # The delay against the backtest is that of the order on its way; the rest of the price is impact.
    assert causes(found)["delay"] == Decimal("0.40")
    assert causes(found)["impact"] == Decimal("0.60")


def test_price_of_a_decision_goes_ex_with_the_split_of_its_session():
    actions = actions_table((DAYS[1], "AAA", "split", 2.0))
    events = simulated((DAYS[0], DAYS[1], ("AAA", "buy", 15, 20.0, "best")), actions=actions)
    found = compare(events, DAYS[1], actions=actions)
    (row,) = shortfall_table([found], bars_table(), actions).to_dict("records")
    assert (row["requested"], row["decision_price"], row["delay"]) == (30, 10, 0)
