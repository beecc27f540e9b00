"""Which lots a sale takes, and what corporate actions leave of them: literal shares, costs and profit."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.lot_tables import closed_lots_table, open_lots_table
from tests.helpers.four_days import DAYS


def opened(lot_method="fifo"):
    facts = {"account": "mine", "cash": "10000", "lot_method": lot_method}
    return Event(DAYS[0], EventKind.ACCOUNT_OPENED, "open", facts)


def deal(key, side, quantity, price, day=0, fee="0", **more):
    facts = {"instrument": "AAA", "side": side, "quantity": str(quantity), "price": str(price), "fee": fee, **more}
    return Event(DAYS[day], EventKind.FILL, key, facts)


def event(kind, day=3, instrument="AAA", **facts):
    return Event(DAYS[day], kind, f"{kind}:{day}", {"instrument": instrument, **facts})


BOUGHT = (deal("one", "buy", 10, 20), deal("two", "buy", 10, 30, day=1), deal("three", "buy", 10, 25, day=2))


def lots(state, instrument="AAA"):
    return [(lot.identity, lot.quantity, lot.cost) for lot in state.positions[instrument].lots]


@pytest.mark.parametrize(
    ("method", "chosen", "profit", "left"),
    [
        ("fifo", {}, 15 * 40 - 200 - 150, [("two", 5, 150), ("three", 10, 250)]),
        ("hifo", {}, 15 * 40 - 300 - 125, [("one", 10, 200), ("three", 5, 125)]),
        (
            "fifo",
            {"lots": [["three", "10"], ["one", "5"]]},
            15 * 40 - 250 - 100,
            [("one", 5, 100), ("two", 10, 300)],
        ),
    ],
)
def test_a_sale_takes_its_lots_by_method_or_by_choice(method, chosen, profit, left):
    state = fold([opened(method), *BOUGHT, deal("sale", "sell", 15, 40, day=3, **chosen)])
    assert state.realised == profit
    assert lots(state) == left


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([["nobody", "5"]], "5 shares of lot 'nobody' were chosen, but it holds 0"),
        ([["one", "11"]], "the chosen lots hold 11 shares, the sale 5"),
        ([["one", "3"], ["two", "-1"], ["three", "3"]], "-1 shares of lot 'two' were chosen"),
    ],
)
def test_a_choice_of_lots_that_cannot_be_is_an_error(chosen, message):
    with pytest.raises(AccountError, match=message):
        fold([opened(), *BOUGHT, deal("sale", "sell", 5, 40, day=3, lots=chosen)])


def test_a_lot_that_is_named_twice_gives_its_shares_once():
    chosen = [["one", "6"], ["one", "4"], ["two", "2"]]
    state = fold([opened(), *BOUGHT, deal("sale", "sell", 12, 40, day=3, lots=chosen)])
    assert lots(state) == [("two", 8, 240), ("three", 10, 250)]
    with pytest.raises(AccountError, match="6 shares of lot 'one' were chosen, but it holds 4"):
        fold([opened(), *BOUGHT, deal("sale", "sell", 12, 40, day=3, lots=[["one", "6"], ["one", "6"]])])


def test_a_busted_purchase_never_happened():
    events = [opened(), *BOUGHT, Event(DAYS[3], EventKind.TRADE_BUST, "bust", {"fill": "one"})]
    state = fold(events)
    assert lots(state) == [("two", 10, 300), ("three", 10, 250)]
    assert state.cash == 10000 - 550
    # Before the day of the bust the account still has it.
    assert fold(events, up_to=DAYS[2]).cash == 10000 - 750


def test_a_busted_sale_gives_the_shares_back_to_their_lots():
    sale = deal("sale", "sell", 15, 40, day=2)
    state = fold([opened(), *BOUGHT, sale, Event(DAYS[3], EventKind.TRADE_BUST, "bust", {"fill": "sale"})])
    assert lots(state) == [("one", 10, 200), ("two", 10, 300), ("three", 10, 250)]
    assert state.realised == 0
    assert state.closed_lots == []


def test_a_correction_after_a_sale_changes_the_profit_of_the_sale():
    sale = deal("sale", "sell", 10, 40, day=2)
    facts = {"fill": "one", "quantity": "10", "price": "22", "fee": "1"}
    state = fold([opened(), *BOUGHT, sale, Event(DAYS[3], EventKind.TRADE_CORRECTION, "better", facts)])
    assert state.realised == 400 - 221
    assert state.fees == 1
    assert state.discrepancy == 0


def test_a_bust_of_shares_that_were_sold_on_is_an_error():
    sale = deal("sale", "sell", 30, 40, day=2)
    with pytest.raises(AccountError, match="sells 30 AAA but holds 20"):
        fold([opened(), *BOUGHT, sale, Event(DAYS[3], EventKind.TRADE_BUST, "bust", {"fill": "one"})])


def test_a_correction_of_an_unknown_fill_is_an_error():
    with pytest.raises(AccountError, match="corrects the fill ghost, which the ledger does not have"):
        fold([opened(), Event(DAYS[3], EventKind.TRADE_BUST, "bust", {"fill": "ghost"})])


def test_a_split_scales_every_lot_and_keeps_its_cost():
    state = fold([opened(), *BOUGHT, event(EventKind.SPLIT, quantity_change="90")])
    assert lots(state) == [("one", 40, 200), ("two", 40, 300), ("three", 40, 250)]


def test_a_spin_off_takes_its_part_of_every_lot_and_the_day_of_purchase():
    facts = {"new_instrument": "BBB", "quantity": "6", "cost_fraction": "0.2", "amount": "7.5"}
    state = fold([opened(), *BOUGHT, event(EventKind.SPIN_OFF, **facts)])
    assert lots(state) == [("one", 10, 160), ("two", 10, 240), ("three", 10, 200)]
    assert lots(state, "BBB") == [("one", 2, 40), ("two", 2, 60), ("three", 2, 50)]
    assert [lot.session for lot in state.positions["BBB"].lots] == list(DAYS[:3])
    assert state.realised == Decimal("7.5")


def test_a_merger_for_shares_keeps_cost_and_days():
    state = fold([opened(), *BOUGHT, event(EventKind.MERGER, new_instrument="BBB", quantity_after="15")])
    assert "AAA" not in state.positions
    assert lots(state, "BBB") == [("one", 5, 200), ("two", 5, 300), ("three", 5, 250)]


def test_a_merger_for_cash_realises_everything():
    state = fold([opened(), *BOUGHT, event(EventKind.MERGER, amount="900")])
    assert state.positions == {}
    assert state.realised == 150
    assert {lot.reason for lot in state.closed_lots} == {"merger"}


@pytest.mark.parametrize(("cash", "cost", "profit"), [("300", 450, 0), ("800", 0, 50)])
def test_a_merger_for_both_gives_back_the_cost_before_it_is_profit(cash, cost, profit):
    facts = {"new_instrument": "BBB", "quantity_after": "15", "amount": cash}
    state = fold([opened(), *BOUGHT, event(EventKind.MERGER, **facts)])
    assert state.positions["BBB"].cost == cost
    assert state.realised == profit


def test_shares_that_cost_nothing_can_be_spun_off_from():
    merged = event(EventKind.MERGER, new_instrument="BBB", quantity_after="15", amount="800")
    facts = {"instrument": "BBB", "new_instrument": "CCC", "quantity": "3", "cost_fraction": "0.5"}
    state = fold([opened(), *BOUGHT, merged, event(EventKind.SPIN_OFF, **facts)])
    assert state.positions["CCC"].cost == 0
    assert state.positions["CCC"].quantity == 3


def test_a_symbol_change_carries_lots_and_sessions_over():
    closed = [Event(d, EventKind.SESSION_CLOSED, f"c{d}", {"cash": "9250", "net_asset_value": "1"}) for d in DAYS[2:3]]
    state = fold([opened(), *BOUGHT, *closed, event(EventKind.SYMBOL_CHANGE, new_instrument="META")])
    assert [identity for identity, _, _ in lots(state, "META")] == ["one", "two", "three"]
    assert state.positions["META"].sessions_held == 1


def test_cash_in_lieu_takes_the_fraction_it_pays_for():
    state = fold([opened(), *BOUGHT, event(EventKind.CASH_IN_LIEU, quantity="0.5", amount="15")])
    assert lots(state)[0] == ("one", Decimal("9.5"), 190)
    assert state.realised == 5
    assert fold([opened(), *BOUGHT, event(EventKind.CASH_IN_LIEU, amount="15")]).realised == 15


@pytest.mark.parametrize("kind", [EventKind.SPLIT, EventKind.MERGER, EventKind.SYMBOL_CHANGE, EventKind.SPIN_OFF])
def test_a_corporate_action_of_what_is_not_held_is_an_error(kind):
    with pytest.raises(AccountError, match="is about ZZZ, which is not held"):
        fold([opened(), event(kind, instrument="ZZZ")])


@pytest.mark.parametrize(
    ("kind", "facts", "message"),
    [
        (EventKind.SPLIT, {"quantity_change": "-31"}, "leaves -1 shares"),
        (EventKind.SPIN_OFF, {"new_instrument": "B", "quantity": "1", "cost_fraction": "1"}, "from 0 to below 1"),
    ],
)
def test_an_impossible_corporate_action_is_an_error(kind, facts, message):
    with pytest.raises(AccountError, match=message):
        fold([opened(), *BOUGHT, event(kind, **facts)])


def test_tables_tell_profit_lot_by_lot():
    state = fold([opened(), *BOUGHT, deal("sale", "sell", 15, 40, day=3, fee="1.50")])
    held = open_lots_table(state, {"AAA": Decimal(35)})
    assert held[["lot", "quantity", "unrealised_profit"]].to_numpy().tolist() == [["two", 5, 25], ["three", 10, 100]]
    sold = closed_lots_table(state)
    assert sold[["lot", "quantity", "proceeds", "realised_profit"]].to_numpy().tolist() == [
        ["one", 10, 399, 199],
        ["two", 5, 199.5, 49.5],
    ]
    assert sold["days_held"].tolist() == [4, 3]
    assert sold["realised_profit"].sum() == float(state.realised)


def test_tables_of_an_empty_account_have_their_columns_and_types():
    state = fold([opened()])
    assert open_lots_table(state, {}).dtypes["opened"] == "datetime64[ns]"
    assert closed_lots_table(state).empty


def test_the_state_before_is_not_touched_by_what_comes_later():
    early = fold([opened(), *BOUGHT])
    before = lots(early)
    fold([opened(), *BOUGHT, event(EventKind.SPLIT, quantity_change="90")])
    assert lots(early) == before
    assert pd.Timestamp("2024-12-30") == early.positions["AAA"].lots[0].session
