"""The REST paths of the trading and data APIs, each named by the request at which a fault can strike."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pandas as pd
from aiohttp import web

from quant_pipeline.testing.fake_alpaca.account_records import account_json, asset_json
from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange
from quant_pipeline.testing.fake_alpaca.market_stream import MarketStream
from quant_pipeline.testing.fake_alpaca.records import Refused, asset_id, instant
from quant_pipeline.testing.fake_alpaca.script import Request
from quant_pipeline.testing.fake_alpaca.tape import MarketTape

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LARGEST_LIST_OF_ORDERS = 500
SYMBOL = re.compile(r"[A-Z][A-Z.]*")
FOREVER = ("1970-01-01", "2029-12-31")


class TradingRoutes:
    """Answers of ``/v2``.

    Parameters
    ----------
    exchange
        Whose account.
    """

    def __init__(self, exchange: FakeExchange) -> None:
        self._exchange = exchange

    def table(self) -> list[tuple[str, str, Request, Handler]]:
        """List method, path, name and handler of every request."""
        return [
            ("POST", "/v2/orders", Request.SUBMIT, self.submit),
            ("GET", "/v2/orders", Request.ORDERS, self.orders),
            ("DELETE", "/v2/orders", Request.CANCEL, self.cancel_all),
            ("GET", "/v2/orders:by_client_order_id", Request.LOOKUP, self.by_client_id),
            ("GET", "/v2/orders/{order_id}", Request.LOOKUP, self.by_id),
            ("DELETE", "/v2/orders/{order_id}", Request.CANCEL, self.cancel),
            ("GET", "/v2/positions", Request.POSITIONS, self.positions),
            ("GET", "/v2/account", Request.ACCOUNT, self.account),
            ("GET", "/v2/account/activities", Request.ACTIVITIES, self.activities),
            ("GET", "/v2/account/configurations", Request.CONFIGURATION, self.configuration),
            ("PATCH", "/v2/account/configurations", Request.CONFIGURATION, self.configure),
            ("GET", "/v2/clock", Request.CLOCK, self.clock),
            ("GET", "/v2/calendar", Request.CALENDAR, self.calendar),
            ("GET", "/v2/assets", Request.ASSETS, self.assets),
            ("GET", "/v2/assets/{symbol}", Request.ASSETS, self.asset),
        ]

    async def submit(self, request: web.Request) -> web.Response:
        """Take or refuse an order."""
        body = json.loads(await request.text(), parse_float=Decimal)
        return web.json_response(self._exchange.submit(body))

    async def orders(self, request: web.Request) -> web.Response:
        """List orders; never more than a page of them, as at Alpaca."""
        query = request.query
        wanted = query.get("status", "open")
        ascending = query.get("direction", "desc") == "asc"
        with self._exchange.lock:
            rows = [
                order
                for order in self._exchange.orders.values()
                if (wanted == "all" or order.is_open == (wanted == "open"))
                and ("after" not in query or order.submitted_at > pd.Timestamp(query["after"]))
                and ("until" not in query or order.submitted_at < pd.Timestamp(query["until"]))
                and ("symbols" not in query or order.symbol in query["symbols"].split(","))
            ]
            rows.sort(key=lambda order: order.submitted_at, reverse=not ascending)
            size = min(int(query.get("limit", 50)), LARGEST_LIST_OF_ORDERS)
            return web.json_response([order.as_json() for order in rows[:size]])

    async def by_client_id(self, request: web.Request) -> web.Response:
        """Look an order up by the client's name of it."""
        order = self._exchange.by_client_id.get(request.query["client_order_id"])
        if order is None:
            raise Refused(404, 40410000, f"order not found for {request.query['client_order_id']}")
        return web.json_response(order.as_json())

    async def by_id(self, request: web.Request) -> web.Response:
        """Look an order up by the broker's name of it."""
        order = self._exchange.orders.get(request.match_info["order_id"])
        if order is None:
            raise Refused(404, 40410000, f"order not found for {request.match_info['order_id']}")
        return web.json_response(order.as_json())

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel an order."""
        self._exchange.cancel(request.match_info["order_id"])
        return web.Response(status=204)

    async def cancel_all(self, request: web.Request) -> web.Response:
        """Cancel every open order."""
        with self._exchange.lock:
            still_open = [order for order in self._exchange.orders.values() if order.is_open]
            for order in still_open:
                self._exchange.end(order, "canceled")
        rows = [{"id": order.order_id, "status": 200, "body": order.as_json()} for order in still_open]
        return web.json_response(rows, status=207)

    async def positions(self, request: web.Request) -> web.Response:
        """List positions."""
        exchange = self._exchange
        with exchange.lock:
            rows = [
                held.as_json(symbol, exchange.prices[symbol], exchange.held_for_orders(symbol))
                for symbol, held in exchange.positions.items()
            ]
        return web.json_response(rows)

    async def account(self, request: web.Request) -> web.Response:
        """Return the account."""
        return web.json_response(account_json(self._exchange))

    async def activities(self, request: web.Request) -> web.Response:
        """Return a page of the activity feed."""
        with self._exchange.lock:
            return web.json_response(self._exchange.feed.page(dict(request.query)))

    async def configuration(self, request: web.Request) -> web.Response:
        """Return the settings of the account."""
        return web.json_response(
            {
                "dtbp_check": "entry",
                "fractional_trading": True,
                "max_margin_multiplier": "1",
                "no_shorting": True,
                "pdt_check": "entry",
                "suspend_trade": self._exchange.suspended,
                "trade_confirm_email": "none",
                "ptp_no_exception_entry": False,
            }
        )

    async def configure(self, request: web.Request) -> web.Response:
        """Change whether new orders are taken."""
        body = await request.json()
        self._exchange.suspended = bool(body.get("suspend_trade", self._exchange.suspended))
        return await self.configuration(request)

    async def clock(self, request: web.Request) -> web.Response:
        """Return the time."""
        return web.json_response(self._exchange.hours.clock_json())

    async def calendar(self, request: web.Request) -> web.Response:
        """Return sessions and their hours."""
        start, end = (request.query.get(name, default) for name, default in zip(("start", "end"), FOREVER, strict=True))
        return web.json_response(self._exchange.hours.calendar_json(start, end))

    async def assets(self, request: web.Request) -> web.Response:
        """List what can be traded."""
        return web.json_response([asset_json(self._exchange, symbol) for symbol in self._exchange.prices])

    async def asset(self, request: web.Request) -> web.Response:
        """Return one asset, by symbol or id."""
        wanted = request.match_info["symbol"]
        symbols = {asset_id(symbol): symbol for symbol in self._exchange.prices}
        return web.json_response(asset_json(self._exchange, symbols.get(wanted, wanted)))


class DataRoutes:
    """Answers of the data API.

    Parameters
    ----------
    tape
        Bars and corporate actions.
    exchange
        Where everything is traded all the time, at the prices of the moment.
    stream
        What has published bars of minutes.
    """

    def __init__(self, tape: MarketTape, exchange: FakeExchange, stream: MarketStream) -> None:
        self._tape = tape
        self._exchange = exchange
        self._stream = stream

    def table(self) -> list[tuple[str, str, Request, Handler]]:
        """List method, path, name and handler of every request."""
        return [
            ("GET", "/v2/stocks/bars", Request.BARS, self.bars),
            ("GET", "/v2/stocks/trades/latest", Request.LAST_TRADES, self.last_trades),
            ("GET", "/v1/corporate-actions", Request.CORPORATE_ACTIONS, self.corporate_actions),
        ]

    async def bars(self, request: web.Request) -> web.Response:
        """Return a page of daily bars of sessions that have closed by the clock of the fake, or the bars of minutes."""
        if request.query.get("timeframe") == "1Min":
            return _answer(self._stream.minutes_json, request)
        newest = self._exchange.hours.latest_closed()
        return _answer(lambda query: self._tape.bars_json(query, newest), request)

    async def last_trades(self, request: web.Request) -> web.Response:
        """Return the newest trade of each symbol that is asked for and known; the account has the free feed."""
        exchange = self._exchange
        if request.query.get("feed") == "sip":
            raise Refused(403, 42210000, "subscription does not permit querying recent SIP data")
        with exchange.lock:
            at = exchange.hours.last_trading() - exchange.since_trade
            prices = {name: exchange.prices.get(name) for name in request.query["symbols"].split(",")}
        impossible = [name for name in prices if not SYMBOL.fullmatch(name)]
        if impossible:
            raise Refused(400, 40010001, f"invalid symbol: {impossible[0]}")
        trades = {
            name: {"t": instant(at), "p": float(price), "s": 100, "x": "V"}
            for name, price in prices.items()
            if price is not None
        }
        return web.json_response({"trades": trades})

    async def corporate_actions(self, request: web.Request) -> web.Response:
        """Return a page of corporate actions."""
        return _answer(self._tape.corporate_actions_json, request)


def _answer(tell: Callable[[dict[str, str]], dict[str, Any]], request: web.Request) -> web.Response:
    return web.json_response(tell(dict(request.query)))
