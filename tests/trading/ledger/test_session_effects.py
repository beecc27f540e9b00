"""Sessions taken apart event by event: every part exact, their sum the change that the ledger closed with."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.trading.ledger.bookkeeping import book_days
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.session_effects import walk_effects
from tests.helpers.four_days import BUY, DAYS, DEPOSIT, actions_table, bars_table, entries, statement


def parts_of(*lines, actions=(), more=()):
    """Book statements by hand and take every session apart."""
    market = TradingMarket.from_bars(bars_table(), actions_table(*actions), DAYS, MarketRules())
    events = (*book_days((), "mine", 0, market, entries(statement(*lines))), *more)
    return {effects.session: effects for effects in walk_effects(events, market, DAYS[0], DAYS[-1])}


def assert_whole(effects):
    parts = [*effects.held.values(), *(effect.profit for effect in effects.effects)]
    assert effects.after - effects.before == effects.flow + sum(parts) + effects.foreign + effects.valuation
    assert effects.valuation == effects.foreign == 0


def test_hand_computed_account_with_split_dividend_partial_fills_and_cash_flows():
    found = parts_of(
        DEPOSIT,
        BUY,  # 30 AAA at 10, fee .35
        "2025-01-02,split,AAA,,30,,,",
        "2025-01-02,dividend,AAA,,,,,12.50",
        "2025-01-02,fill,AAA,sell,10,5.40,0.10,53.90",
        "2025-01-02,fill,AAA,sell,5,5.60,0.05,27.95",
        "2025-01-03,withdrawal,,,,,,-100",
        "2025-01-03,fee,,,,,,-1.25",
        actions=[(DAYS[2], "AAA", "split", 2.0)],
    )
    for effects in found.values():
        assert_whole(effects)
    first, bought, third, last = found.values()
    assert (first.flow, first.profit) == (1000, 0)
    assert [effect.profit for effect in bought.effects] == [Decimal("-0.35")]
    # 30 shares at 10 become 60 at 11: the close falls by nothing, the 30 new shares are worth 330.
    assert third.held == {"AAA": 30 * Decimal(1)}
    by_kind = {effect.event.kind: effect.profit for effect in third.effects if effect.event.kind != EventKind.FILL}
    assert by_kind == {EventKind.SPLIT: 30 * Decimal(11), EventKind.CASH_DIVIDEND: Decimal("12.50")}
    sold = [effect.profit for effect in third.of_kinds(EventKind.FILL)]
    assert sold == [Decimal("53.90") - 110, Decimal("27.95") - 55]
    assert (last.flow, last.held) == (-100, {"AAA": Decimal(45)})
    assert last.profit == 45 - Decimal("1.25")


def test_correction_and_bust_of_an_earlier_session_count_when_they_come():
    market = TradingMarket.from_bars(bars_table(), actions_table(), DAYS, MarketRules())
    events = book_days((), "mine", 0, market, entries(statement(DEPOSIT, BUY)))
    fill = next(event for event in events if event.kind is EventKind.FILL)
    before = [event for event in events if event.session <= DAYS[1]]
    bust = Event(DAYS[2], EventKind.TRADE_BUST, f"bust:{fill.key}", {"fill": fill.key})
    close = Event(DAYS[2], EventKind.SESSION_CLOSED, "close:2025-01-02", {"net_asset_value": "1000", "cash": "1000.00"})
    found = {e.session: e for e in walk_effects((*before, bust, close), market, DAYS[2], DAYS[2])}
    effects = found[DAYS[2]]
    assert_whole(effects)
    (undone,) = effects.effects
    assert undone.shares == {"AAA": -30}
    assert undone.profit == Decimal("300.35") - 30 * 11
    assert effects.held == {"AAA": Decimal(30)}
    assert effects.profit == Decimal("0.35")


def test_closes_that_the_market_has_revised_since_are_shown_as_valuation():
    market = TradingMarket.from_bars(bars_table(), actions_table(), DAYS, MarketRules())
    events = book_days((), "mine", 0, market, entries(statement(DEPOSIT, BUY)))
    revised = bars_table()
    revised.loc[(revised["instrument"] == "AAA") & (revised["date"] == DAYS[2]), ["high", "close"]] = 11.5
    now = TradingMarket.from_bars(revised, actions_table(), DAYS, MarketRules())
    found = {effects.session: effects.valuation for effects in walk_effects(events, now, DAYS[0], DAYS[-1])}
    assert found == {DAYS[0]: 0, DAYS[1]: 0, DAYS[2]: -15, DAYS[3]: 15}


@pytest.mark.parametrize("first", [0, 2])
def test_only_the_sessions_asked_for_are_taken_apart(first):
    market = TradingMarket.from_bars(bars_table(), actions_table(), DAYS, MarketRules())
    events = book_days((), "mine", 0, market, entries(statement(DEPOSIT, BUY)))
    walked = [effects.session for effects in walk_effects(events, market, DAYS[first], DAYS[2])]
    assert pd.DatetimeIndex(walked).equals(DAYS[first:3])
