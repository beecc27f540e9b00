"""Account and shadow on two instruments: what differs has its cause and its amount, and nothing else differs."""

from dataclasses import replace
from decimal import Decimal

import pytest

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.events import Event, EventKind, Order
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.shadow.causes import DecidedAgain
from quant_pipeline.trading.shadow.shortfall import PARTS, shortfall_table
from tests.helpers.four_days import DAYS, actions_table, bars_table, book, entries, plan, statement
from tests.helpers.shadow_sessions import BUY_30, COSTS, by_statements, causes, compare, simulated


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


def test_session_that_was_never_planned_is_unfilled_and_no_change_of_code():
    events = simulated(up_to=DAYS[1])
    again = DecidedAgain((Order("", "AAA", "buy", 30, "9.9000", "best"),), same_inputs=True)
    found = compare(events, DAYS[1], again=again)
    assert causes(found) == {"unfilled": Decimal("-0.30")}
    assert found.differences[0].detail == "no plan was recorded: buy 30 instead of 0"


def test_fractions_of_shares_split_and_are_paid_as_the_whole_ones():
    actions = actions_table((DAYS[2], "AAA", "split", 2.0), (DAYS[2], "AAA", "cash_dividend", 0.37))
    events = by_statements(
        "2024-12-31,fill,AAA,buy,10.5,10.00,0,-105", "2025-01-02,split,AAA,,10.5,,,",
        "2025-01-02,dividend,AAA,,,,,7.77", orders=(),
    )  # fmt: skip
    found = compare(events, DAYS[2], actions=actions, is_simulated=False)
    assert (found.differences, found.shadow) == ((), found.account)
    # Half a share alone is as much a holding.
    half = by_statements(
        "2024-12-31,fill,AAA,buy,0.5,10.00,0,-5", "2025-01-02,split,AAA,,0.5,,,", "2025-01-02,dividend,AAA,,,,,0.37",
        orders=(),
    )  # fmt: skip
    assert compare(half, DAYS[2], actions=actions, is_simulated=False).differences == ()


def test_sale_of_everything_sells_the_fraction_too():
    sale = Event(
        DAYS[1], EventKind.PLAN_RECORDED, "flatten",
        {"deal_session": f"{DAYS[2]:%Y-%m-%d}", "revision": 0, "orders": [
            Order("all", "AAA", "sell", Decimal("10.5"), "10.0000", "everything").facts]},
    )  # fmt: skip
    events = by_statements(
        "2024-12-31,fill,AAA,buy,10.5,10.00,0,-105", "2025-01-02,fill,AAA,sell,10.5,11.00,0,115.50", orders=()
    )
    place = next(i for i, event in enumerate(events) if event.session == DAYS[2])
    rising = bars_table()
    rising.loc[(rising["instrument"] == "AAA") & (rising["date"] == DAYS[2]), ["high", "close"]] = 11.5
    found = compare(
        (*events[:place], sale, *events[place:]), DAYS[2], bars=rising, costs=CostRules(), is_simulated=False
    )
    # The books close at 11.00, the market as it is known now at 11.50; nothing is held, so that nothing differs.
    assert found.replay.fills["AAA", "sell"].quantity == Decimal("10.5")
    assert causes(found) == {}


def test_fee_of_a_statement_is_no_cash_to_buy_with():
    events = simulated((DAYS[0], DAYS[1], ("AAA", "buy", 99, 9.9, "best")), up_to=DAYS[0])
    rows = entries(statement("2024-12-31,fee,,,,,,-100", "2024-12-31,transfer,BBB,,3,20,,"))
    exchange = Exchange(bars_table(), actions_table(), DAYS[:2], MarketRules(), COSTS)
    events = (*events, *book_sessions(events, "sim", 1000.0, exchange, rows))
    (fill,) = (event for event in events if event.kind is EventKind.FILL)
    assert fill.payload["quantity"] == "89"
    found = compare(events, DAYS[1])
    assert found.replay.fills["AAA", "buy"].quantity == 89
    assert causes(found) == {"fees": 100}


def test_shares_that_are_brought_in_on_an_ex_date_are_paid_to_the_shadow_too():
    actions = actions_table((DAYS[1], "BBB", "cash_dividend", 0.5))
    events = simulated(up_to=DAYS[0])
    exchange = Exchange(bars_table(), actions, DAYS[:2], MarketRules(), COSTS)
    rows = entries(statement("2024-12-31,transfer,BBB,,30,20,,"))
    events = (*events, *book_sessions(events, "sim", 1000.0, exchange, rows))
    assert any(event.kind is EventKind.CASH_DIVIDEND for event in events)
    assert compare(events, DAYS[1], actions=actions).differences == ()


def test_reason_of_a_partial_fill_is_not_lost_where_the_order_was_split():
    actions = actions_table((DAYS[1], "AAA", "split", 2.0))
    # 15 before the split are 30 after it, of which 25 were executed.
    order = ("AAA", "buy", 15, 20.0, "best")
    events = list(by_statements("2024-12-31,fill,AAA,buy,25,10.00,0.25,-250.25", orders=(order,)))
    name = next(e for e in events if e.kind is EventKind.PLAN_RECORDED).payload["orders"][0]["client_order_id"]
    place = next(i for i, event in enumerate(events) if event.kind is EventKind.FILL)
    ended = {"client_order_id": name, "status": "expired", "message": "the day is over"}
    events.insert(place + 1, Event(DAYS[1], EventKind.ORDER_ENDED, "end", ended))
    found = compare(events, DAYS[1], actions=actions, is_simulated=False)
    assert causes(found)["unfilled"] == Decimal("-0.05")
    assert found.differences[0].detail == "buy 25 of 30: expired: the day is over"
    (row,) = shortfall_table([found], bars_table(), actions).to_dict("records")
    assert (row["requested"], row["executed"], row["reason"]) == (30, 25, "expired: the day is over")


def test_cash_that_nothing_explains_stays_unexplained():
    events = by_statements("2024-12-31,fill,AAA,buy,30,10.00,0.30,-300.30")
    kept = [event for event in events if event.session < DAYS[2]]
    odd = Event(DAYS[2], EventKind.OTHER_CASH, "odd", {"instrument": "", "amount": "-3", "message": "MYST"})
    close = Event(DAYS[2], EventKind.SESSION_CLOSED, "close", {"net_asset_value": "1026.7", "cash": "696.70"})
    found = compare((*kept, odd, close), DAYS[2], is_simulated=False)
    assert causes(found) == {"unexplained": 3}
    assert found.differences[0].detail == "MYST"


@pytest.mark.parametrize(
    ("row", "expected"),
    [((), {"unexplained": 5}), (("2024-12-30,fill,BBB,buy,1,20.00,0,-20",), {"valuation": 5})],
)
def test_value_beyond_cash_that_no_holding_can_have_is_unexplained(row, expected):
    events = [event for event in by_statements(*row, orders=()) if event.session < DAYS[2]]
    closing = events.pop()
    stated = {**closing.payload, "net_asset_value": str(Decimal(closing.payload["net_asset_value"]) - 5)}
    found = compare([*events, replace(closing, payload=stated)], DAYS[1], is_simulated=False)
    assert causes(found) == expected


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
