"""What `kedro account show` draws, of events that are written down here."""

import io
from decimal import Decimal

import pandas as pd
import pytest
from rich.console import Console

from quant_pipeline.cli.account_picture import AccountView, draw_account
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.account_orders import AccountOrders

FRIDAY, MONDAY = pd.Timestamp("2025-01-03"), pd.Timestamp("2025-01-06")
CARRIED = {"BTC/USD": ("0.5", "-40000"), "SHORTED": ("-10", "500"), "AAA250117C00050000": ("2", "-600")}
EVENTS = (
    Event(FRIDAY, EventKind.ACCOUNT_OPENED, "open", {"account": "mine", "cash": "50000"}),
    *(
        Event(FRIDAY, EventKind.FOREIGN_MOVED, f"foreign:{n}", {"instrument": n, "quantity": q, "amount": cash})
        for n, (q, cash) in CARRIED.items()
    ),
)


def close(**values):
    foreign = {name: {"quantity": CARRIED[name][0], "value": value} for name, value in values.items()}
    facts = {"net_asset_value": "50750", "cash": "9900", "foreign": foreign}
    return Event(FRIDAY, EventKind.SESSION_CLOSED, "close:2025-01-03", facts)


def drawn(*events):
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(draw_account(AccountView("mine", fold(events), AccountOrders.of(events), events, {})))
    return " ".join(console.export_text().split())


def test_coins_shorts_and_options_are_listed_with_what_their_broker_says_of_them():
    stated = close(**{"BTC/USD": "41000", "SHORTED": "-450", "AAA250117C00050000": "300"})
    picture = drawn(*EVENTS, stated)
    assert "Carried, never traded instrument quantity value at the broker" in picture
    for row in ("AAA250117C00050000 2 300.00", "BTC/USD 0.5 41,000.00", "SHORTED -10 -450.00"):
        assert row in picture
    # 9,900 of cash, 41,000 of coins, 300 of options, less 450 that the short owes.
    assert "50,750.00" in picture
    assert "unknown value" not in picture


def test_what_its_broker_does_not_value_is_named_and_not_counted():
    picture = drawn(*EVENTS, close(**{"BTC/USD": "41000", "SHORTED": None}))
    assert "net asset value without 2 of unknown value" in picture
    assert "50,900.00" in picture
    assert "SHORTED -10 not known yet" in picture


def test_what_was_bought_since_the_close_counts_at_its_price():
    facts = {"instrument": "BTC/USD", "quantity": "0.5", "amount": "-42000"}
    state = fold([*EVENTS, close(**{"BTC/USD": "41000"}), Event(MONDAY, EventKind.FOREIGN_MOVED, "foreign:n", facts)])
    assert state.foreign_values["BTC/USD"] == 82_000


@pytest.mark.parametrize("value", ["0", None])
def test_a_close_without_a_value_states_no_price(value):
    state = fold([*EVENTS, close(**{"BTC/USD": value})])
    assert state.foreign_values["BTC/USD"] == (None if value is None else Decimal(0))
