"""Account and assets of the fake exchange as the API writes them."""

from __future__ import annotations

from typing import Any

from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange
from quant_pipeline.testing.fake_alpaca.records import Refused, asset_id, number


def account_json(exchange: FakeExchange) -> dict[str, Any]:
    """Write the account as the API does."""
    with exchange.lock:
        equity, power = exchange.equity(), exchange.buying_power()
        return {
            "id": exchange.account_id,
            "account_number": exchange.account_number,
            "status": "ACTIVE",
            "currency": "USD",
            "cash": number(exchange.cash),
            "portfolio_value": number(equity),
            "equity": number(equity),
            "last_equity": number(exchange.last_equity),
            "buying_power": number(power),
            "non_marginable_buying_power": number(power - exchange.unsettled),
            "multiplier": "1",
            "pattern_day_trader": exchange.is_day_trader,
            "daytrade_count": exchange.day_trades,
            "trading_blocked": exchange.blocked,
            "transfers_blocked": False,
            "account_blocked": exchange.blocked,
            "trade_suspended_by_user": exchange.suspended,
            "shorting_enabled": False,
            "created_at": "2020-01-02T00:00:00Z",
        }


def asset_json(exchange: FakeExchange, symbol: str) -> dict[str, Any]:
    """Write an asset as the API does.

    Raises
    ------
    Refused
        404 when there is none.
    """
    if symbol not in exchange.prices:
        raise Refused(404, 40410000, f"asset not found for {symbol}")
    tradable = symbol not in exchange.untradable
    return {
        "id": asset_id(symbol),
        "class": "us_equity",
        "exchange": "NASDAQ",
        "symbol": symbol,
        "name": symbol,
        "status": "active" if tradable else "inactive",
        "tradable": tradable,
        "marginable": True,
        "shortable": False,
        "easy_to_borrow": False,
        "fractionable": True,
    }
