"""Records whose amounts are not in dollars: they move no cash of the books and wait for the operator."""

import pytest


def record(kind, number, **facts):
    return {"activity_type": kind, "id": f"20250106000000{number:03d}::r{number}", "date": "2025-01-06", **facts}


def fill(symbol, **more):
    facts = {"type": "fill", "side": "buy", "qty": "0.1", "price": "60000", "order_id": "o1", "symbol": symbol}
    return record("FILL", 1, transaction_time="2025-01-06T15:00:00Z", **facts, **more)


@pytest.mark.parametrize(("symbol", "coin"), [("ETH/BTC", "BTC"), ("BTC/USDC", "USDC"), ("BTCUSDT", "USDT")])
def test_coins_that_are_paid_in_other_coins_wait_and_the_dividend_after_them_is_booked(account, symbol, coin):
    account.read(fill(symbol), record("DIV", 2, symbol="KO", net_amount="5"))
    assert (account.state.cash, account.codes()) == (10_005, ["UNREADABLE_ACTIVITY"])
    (row,) = account.state.quarantine.values()
    assert f"is paid in {coin}, not in USD" in row.payload["problem"]


@pytest.mark.parametrize("kind", ["DIV", "CSD", "FEE", "WORMHOLE"])
def test_amounts_in_another_currency_move_no_dollars_and_wait(account, kind):
    account.read(record(kind, 1, symbol="SAP", net_amount="50", currency="EUR"))
    (row,) = account.state.quarantine.values()
    assert (account.cash(), row.payload["problem"]) == (10_000, "its currency is 'EUR', not USD")


def test_a_trade_in_another_currency_moves_nothing_and_waits(account):
    account.read(fill("SAP", currency="EUR"))
    assert (account.state.cash, account.state.positions, account.codes()) == (10_000, {}, ["UNREADABLE_ACTIVITY"])


def test_what_names_the_currency_of_the_account_is_booked(account):
    account.read(record("DIV", 1, symbol="KO", net_amount="5", currency="USD"))
    assert (account.state.cash, account.codes()) == (10_005, [])
