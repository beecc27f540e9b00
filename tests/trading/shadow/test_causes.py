"""Account and shadow on two instruments: what differs has its cause and its amount, and nothing else differs."""

from dataclasses import replace
from decimal import Decimal

import pytest

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.bookkeeping import book_days, closing_event
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


def test_fill_of_an_order_of_an_earlier_session_is_late_and_counts_as_it_was_corrected():
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
    assert causes(found) == {"delay": Decimal("-15")}
    assert found.differences[0].detail == "buy 30 at 10.5, of an order of an earlier session"


def booked_late(*lines, orders=(("AAA", "buy", 5, 10.0, "more"),)):
    """Book rows of a statement when the second session, for which 30 AAA were planned, is closed; plan the third."""
    kept = [event for event in by_statements() if event.session < DAYS[2]]
    kept = plan(kept, DAYS[1], DAYS[2], *orders)
    market = TradingMarket.from_bars(bars_table(), actions_table(), DAYS, MarketRules())
    return (*kept, *book_days(kept, "mine", 0, market, entries(statement(*lines, name="late.csv"))))


def test_late_row_of_a_statement_is_of_the_order_of_its_own_session_and_not_of_todays():
    events = booked_late("2024-12-31,fill,AAA,buy,30,10.00,0.30,-300.30")
    first, second = (compare(events, day, is_simulated=False) for day in DAYS[1:3])
    assert causes(second)["delay"] == Decimal("300.30") - 30 * 11
    assert set(causes(second)) == {"delay", "unfilled"}
    table = shortfall_table([first, second], bars_table(), actions_table(), events)
    assert table[["requested", "executed", "fees", "reason"]].to_numpy().tolist() == [[30, 30, 0.3, ""], [5, 0, 0, ""]]
    assert table["price"].tolist()[0] == 10.0
    as_closed = shortfall_table([first, second], bars_table(), actions_table())
    assert as_closed["executed"].tolist() == [0, 0]


def test_late_row_that_no_plan_of_its_session_explains_is_the_operators_and_no_order_of_today():
    events = booked_late("2024-12-31,fill,BBB,buy,5,20.00,0,-100", orders=(("BBB", "buy", 5, 20.0, "best"),))
    found = compare(events, DAYS[2], is_simulated=False)
    assert [fill.event.payload["instrument"] for fill in found.orders.strangers] == ["BBB"]
    assert found.orders.outcomes["BBB", "buy"].executed == 0


def test_late_fill_of_a_holiday_is_of_the_session_after_it():
    kept = [event for event in booked_late() if event.session < DAYS[3]]
    facts = {"instrument": "AAA", "side": "buy", "quantity": "5", "price": "11", "fee": "0", "effective": "2025-01-01"}
    known = [*kept, Event(DAYS[3], EventKind.FILL, "fill:late", facts)]
    market = TradingMarket.from_bars(bars_table(), actions_table(), DAYS, MarketRules())
    events = [*known, closing_event(fold(known), market, DAYS[3])]
    assert causes(compare(events, DAYS[3], is_simulated=False)) == {"delay": Decimal(-5)}
    third = compare(events, DAYS[2], is_simulated=False)
    assert shortfall_table([third], bars_table(), actions_table(), events)["executed"].tolist() == [5]


def test_session_that_was_never_planned_is_unfilled_and_no_change_of_code():
    events = simulated(up_to=DAYS[1])
    again = DecidedAgain((Order("", "AAA", "buy", 30, "9.9000", "best"),), same_inputs=True)
    found = compare(events, DAYS[1], again=again)
    assert causes(found) == {"unfilled": Decimal("-0.30")}
    assert found.differences[0].detail == "no plan was recorded: buy 30 instead of 0"


def test_late_fill_is_a_revision_only_where_its_own_instrument_was_corrected():
    events = [e for e in by_statements("2024-12-31,fill,BBB,buy,5,20.00,0,-100") if e.session < DAYS[2]]
    bought = next(event for event in events if event.kind is EventKind.FILL)
    facts = {"instrument": "AAA", "side": "buy", "quantity": "30", "price": "10", "fee": "0", "effective": "2024-12-31"}
    late = Event(DAYS[2], EventKind.FILL, "fill:late", facts)
    correction = Event(DAYS[2], EventKind.TRADE_CORRECTION, "fixed", {"fill": bought.key, "price": "19"})
    market = TradingMarket.from_bars(bars_table(), actions_table(), DAYS, MarketRules())
    known = [*events, late, correction]
    closing = closing_event(fold(known), market, DAYS[2])
    found = compare([*known, closing], DAYS[2], is_simulated=False)
    assert causes(found) == {"delay": Decimal(-30), "data_revisions": Decimal(-5)}
    # A fill that is taken back and booked again is a revision of it.
    again = replace(late, key="fill:again", session=DAYS[3], payload={**facts, "price": "10.5"})
    undone = Event(DAYS[3], EventKind.EVENT_CANCELLED, "undone", {"events": ["fill:late"]})
    known = [*known, closing, undone, again]
    found = compare([*known, closing_event(fold(known), market, DAYS[3])], DAYS[3], is_simulated=False)
    assert causes(found) == {"data_revisions": Decimal(15)}


AMENDED = {
    # The fill was 30 at 10.00 with a fee of .30, as the shadow's: facts, causes; shares, price, impact.
    "a price": ({"price": "10.05"}, {"impact": Decimal("1.50")}, (30, 10.05, 1.5)),
    "a quantity": (
        {"quantity": "20"},
        {"unfilled": Decimal("-0.10"), "fees": Decimal("0.10")},
        (20, 10.0, 0.0),
    ),
    "a fee": ({"fee": "0.75"}, {"fees": Decimal("0.45")}, (30, 10.0, 0.0)),
    "stated cash": ({"cash": "-301.00"}, {"fees": Decimal("0.70")}, (30, 10.0, 0.0)),
}


def amended(facts, session, kind=EventKind.TRADE_CORRECTION):
    """Amend the fill of the second session in one of the sessions, and close that with the cash that follows."""
    events = by_statements("2024-12-31,fill,AAA,buy,30,10.00,0.30,-300.30")
    fill = next(event for event in events if event.kind is EventKind.FILL)
    kept = [event for event in events if event.session <= session and event.key != f"close:{session:%Y-%m-%d}"]
    event = Event(session, kind, "amended", {"fill": fill.key, **facts})
    state = fold([*kept, event])
    market = TradingMarket.from_bars(bars_table(), actions_table(), DAYS, MarketRules())
    return [*kept, event, closing_event(state, market, session)]


@pytest.mark.parametrize("case", AMENDED)
def test_fill_counts_as_it_was_corrected_in_its_session(case):
    facts, expected, row = AMENDED[case]
    events = amended(facts, DAYS[1])
    found = compare(events, DAYS[1], is_simulated=False)
    assert causes(found) == expected
    (measured,) = shortfall_table([found], bars_table(), actions_table(), events).to_dict("records")
    assert (measured["executed"], measured["price"], measured["impact"]) == pytest.approx(row)
    assert measured["shortfall"] == pytest.approx(30 * (10 - 9.9) - float(found.account), abs=1e-9)


def test_fill_that_was_busted_in_its_session_has_not_executed():
    events = amended({}, DAYS[1], EventKind.TRADE_BUST)
    found = compare(events, DAYS[1], is_simulated=False)
    assert causes(found) == {"unfilled": Decimal("-0.30")}
    assert found.differences[0].detail == "buy 0 of 30: busted: the broker took the fill back"
    (row,) = shortfall_table([found], bars_table(), actions_table(), events).to_dict("records")
    assert (row["executed"], row["opportunity"]) == (0, pytest.approx(3.0))


def test_correction_of_a_later_session_changes_what_the_order_has_cost_and_not_what_its_session_was():
    events = amended({"price": "10.05"}, DAYS[2])
    first, second = (compare(events, day, is_simulated=False) for day in DAYS[1:3])
    assert causes(first) == {}
    assert causes(second) == {"data_revisions": Decimal("1.50")}
    (row,) = shortfall_table([first], bars_table(), actions_table(), events).to_dict("records")
    assert (row["price"], row["delay"], row["impact"]) == (10.05, pytest.approx(3), pytest.approx(1.5))
    (as_booked,) = shortfall_table([first], bars_table(), actions_table()).to_dict("records")
    assert (as_booked["price"], as_booked["impact"]) == (10.0, 0)
    busted = amended({}, DAYS[2], EventKind.TRADE_BUST)
    (row,) = shortfall_table([first], bars_table(), actions_table(), busted).to_dict("records")
    assert (row["executed"], row["fees"], row["opportunity"]) == (0, 0, pytest.approx(3))


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
