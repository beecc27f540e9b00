"""The fake Alpaca on loopback: REST and both websockets in one thread, with faults on the way in and out."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from decimal import Decimal
from types import TracebackType

import pandas as pd
from aiohttp import web

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.testing.fake_alpaca.control import book
from quant_pipeline.testing.fake_alpaca.days import advance
from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange
from quant_pipeline.testing.fake_alpaca.market_stream import MarketStream
from quant_pipeline.testing.fake_alpaca.records import Refused, number
from quant_pipeline.testing.fake_alpaca.routes import DataRoutes, Handler, TradingRoutes
from quant_pipeline.testing.fake_alpaca.script import FaultKind, Request, Script, ScriptedFault
from quant_pipeline.testing.fake_alpaca.streams import TradeUpdates
from quant_pipeline.testing.fake_alpaca.tape import MarketTape

API_KEY, SECRET_KEY = "FAKEKEY", "fake-secret"
LOOPBACK = "127.0.0.1"
STARTING_SECONDS = 10
TOO_MANY_REQUESTS = 429


class FakeAlpaca:
    """A whole Alpaca on ``127.0.0.1``; use it in a ``with`` block.

    Parameters
    ----------
    exchange
        Account and exchange; the tests look at it and change it while the server runs.
    tape
        Market data; none is an empty market.
    port
        0 takes a free one.
    requests_a_minute
        Answer 429 above this many requests; None never does.
    """

    def __init__(
        self,
        exchange: FakeExchange | None = None,
        tape: MarketTape | None = None,
        port: int = 0,
        requests_a_minute: int | None = None,
    ) -> None:
        self.exchange = exchange or FakeExchange()
        self.trade_updates = TradeUpdates(self.exchange, (API_KEY, SECRET_KEY))
        self.market_stream = MarketStream((API_KEY, SECRET_KEY), self.exchange.director)
        self.requests: Counter[Request] = Counter()
        self._tape = tape or MarketTape.empty()
        self._port = port
        self._budget = requests_a_minute
        self._times: list[float] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="fake-alpaca", daemon=True)

    @property
    def port(self) -> int:
        """Port that is listened on."""
        return self._port

    @property
    def url(self) -> str:
        """Root of the REST paths."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def stream_url(self) -> str:
        """Address of the trade updates."""
        return f"ws://{LOOPBACK}:{self._port}/stream"

    @property
    def market_stream_url(self) -> str:
        """Address of the market data."""
        return f"ws://{LOOPBACK}:{self._port}/v2/iex"

    def play(self, script: Script) -> None:
        """Let a script of faults begin."""
        self.exchange.director.play(script)

    def start(self) -> FakeAlpaca:
        """Start to serve.

        Raises
        ------
        ConfigurationError
            When the port is taken.
        """
        self._thread.start()
        self._started.wait(STARTING_SECONDS)
        if self._failure is not None:
            raise ConfigurationError(f"port {self._port} cannot be used: {self._failure}; choose another with --port")
        return self

    def stop(self) -> None:
        """Stop to serve and close every connection."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STARTING_SECONDS)

    def __enter__(self) -> FakeAlpaca:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
        try:
            self._loop.run_until_complete(runner.setup())
            site = web.TCPSite(runner, LOOPBACK, self._port)
            self._loop.run_until_complete(site.start())
            self._port = runner.addresses[0][1]
        except OSError as error:
            self._failure = error
        self._started.set()
        if self._failure is None:
            self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def _application(self) -> web.Application:
        application = web.Application()
        for method, path, name, handler in self._routes():
            application.router.add_route(method, path, self._wrapped(name, handler))
        application.router.add_get("/", self._state)
        application.router.add_get("/stream", self.trade_updates.handle)
        application.router.add_get("/v2/{feed:iex|sip|test}", self.market_stream.handle)
        application.router.add_post("/control/script", self._control_script)
        application.router.add_post("/control/prices", self._control_prices)
        application.router.add_post("/control/clock", self._control_clock)
        application.router.add_post("/control/bookings", self._control_bookings)
        return application

    def _routes(self) -> list[tuple[str, str, Request, Handler]]:
        data = DataRoutes(self._tape, self.exchange, self.market_stream)
        return TradingRoutes(self.exchange).table() + data.table()

    def _wrapped(self, name: Request, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.requests[name] += 1
            keys = (request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY"))
            if keys != (API_KEY, SECRET_KEY):
                return _error(401, 40110000, "access key verification failed")
            headers = self._budget_headers()
            if headers.get("X-RateLimit-Remaining") == "-1":
                return _error(429, 42910000, "rate limit exceeded", headers | {"X-RateLimit-Remaining": "0"})
            fault = self.exchange.director.fault_for(name)
            if fault is not None and fault.kind.is_before:
                return await _strike(fault, request)
            try:
                response = await handler(request)
            except Refused as refusal:
                response = _error(refusal.status, refusal.code, str(refusal))
            if fault is not None:
                if fault.kind is not FaultKind.SLOW:
                    return await _strike(fault, request)
                await asyncio.sleep(fault.seconds)
            response.headers.update(headers)
            return response

        return answer

    def _budget_headers(self) -> dict[str, str]:
        if self._budget is None:
            return {}
        now = self._loop.time()
        self._times = [at for at in self._times if now - at < 60]
        left = self._budget - len(self._times) - 1
        if left >= 0:
            self._times.append(now)
        reset = pd.Timestamp.now("UTC").timestamp() + 60 - (now - self._times[0] if self._times else 0)
        return {
            "X-RateLimit-Limit": str(self._budget),
            "X-RateLimit-Remaining": str(max(left, -1)),
            "X-RateLimit-Reset": str(int(reset) + 1),
        }

    async def _state(self, request: web.Request) -> web.Response:
        exchange = self.exchange
        with exchange.lock:
            state = {
                "fake": "Alpaca",
                "requests": self.requests,
                "cash": number(exchange.cash),
                "positions": {symbol: number(held.quantity) for symbol, held in exchange.positions.items()},
                "orders": [order.as_json() for order in exchange.orders.values()],
                "activities": exchange.feed.records,
                "next_splits": self._tape.next_splits(exchange.hours.date()),
            }
        return web.json_response(state)

    async def _control_script(self, request: web.Request) -> web.Response:
        self.play(Script.model_validate(await request.json()))
        return web.json_response({"played": True})

    async def _control_prices(self, request: web.Request) -> web.Response:
        prices = json.loads(await request.text(), parse_float=Decimal, parse_int=Decimal)
        with self.exchange.lock:
            self.exchange.prices |= prices
        self.exchange.work()
        return web.json_response({symbol: str(price) for symbol, price in self.exchange.prices.items()})

    async def _control_clock(self, request: web.Request) -> web.Response:
        now = pd.Timestamp((await request.json())["now"])
        advance(self.exchange, self._tape, now)
        return web.json_response(self.exchange.hours.clock_json())

    async def _control_bookings(self, request: web.Request) -> web.Response:
        wanted = json.loads(await request.text(), parse_float=str, parse_int=str)
        try:
            booked = [
                record
                for each in (wanted if isinstance(wanted, list) else [wanted])
                for record in book(self.exchange, each)
            ]
        except Refused as refusal:
            return _error(refusal.status, refusal.code, str(refusal))
        return web.json_response(booked)


async def _strike(fault: ScriptedFault, request: web.Request) -> web.StreamResponse:
    if fault.kind in (FaultKind.STATUS_BEFORE, FaultKind.STATUS_AFTER):
        reset = pd.Timestamp.now("UTC").timestamp() + fault.seconds
        headers = {"X-RateLimit-Reset": f"{reset:.0f}"} if fault.status == TOO_MANY_REQUESTS else None
        return _error(fault.status, fault.status * 100_000, f"scripted fault {fault.kind}", headers)
    if fault.kind is FaultKind.GARBAGE:
        return web.Response(text="<html>not json</html>")
    if fault.kind in (FaultKind.TIMEOUT_BEFORE, FaultKind.TIMEOUT_AFTER):
        await asyncio.sleep(fault.seconds)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=504)


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status, headers=headers)
