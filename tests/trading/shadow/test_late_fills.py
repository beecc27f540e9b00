"""Fills that come late, or are corrected or taken back: of which session they are, and what they change there."""

from dataclasses import replace
from decimal import Decimal

import pytest

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.bookkeeping import book_days, closing_event
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.shadow.shortfall import shortfall_table
from tests.helpers.four_days import DAYS, actions_table, bars_table, entries, plan, statement
from tests.helpers.shadow_sessions import by_statements, causes, compare


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
