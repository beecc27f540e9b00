"""The websocket of market data, in msgpack: trades, bars and trading statuses.

Shapes, codes and the single connection are those of https://docs.alpaca.markets/docs/real-time-stock-pricing-data.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgpack
import pandas as pd
from aiohttp import WSMsgType, web

from quant_pipeline.testing.fake_alpaca.records import instant
from quant_pipeline.testing.fake_alpaca.script import Director

KINDS: Final = {"bars": "b", "updatedBars": "u", "dailyBars": "d", "trades": "t", "statuses": "s"}
TOO_MANY: Final = {"T": "error", "code": 405, "msg": "symbol limit exceeded"}
LIMIT: Final = {"T": "error", "code": 406, "msg": "connection limit exceeded"}


class MarketStream:
    """``/v2/{feed}``: sends to those who have subscribed; nothing is repeated later.

    Parameters
    ----------
    keys
        Key and secret that are let in.
    director
        Whether the stream is mute, drops its connections, or takes more than one.

    Attributes
    ----------
    subscriptions
        By connection, the symbols of each channel.
    minutes
        The bars that were published, listeners or not, by symbol and beginning: what the REST API has of them.
    """

    def __init__(self, keys: tuple[str, str], director: Director | None = None) -> None:
        self._keys, self._director = keys, director or Director()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._let_in: set[web.WebSocketResponse] = set()
        self.subscriptions: dict[web.WebSocketResponse, dict[str, list[str]]] = {}
        self.minutes: dict[tuple[str, pd.Timestamp], dict[str, float]] = {}

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it ends."""
        self._loop = asyncio.get_running_loop()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_bytes(msgpack.packb([{"T": "success", "msg": "connected"}]))
        try:
            async for message in socket:
                if message.type is not WSMsgType.BINARY:
                    break
                await self._obey(socket, msgpack.unpackb(message.data))
        finally:
            self._let_in.discard(socket)
            self.subscriptions.pop(socket, None)
        return socket

    async def _obey(self, socket: web.WebSocketResponse, command: dict[str, Any]) -> None:
        if command["action"] == "auth":
            await socket.send_bytes(msgpack.packb([self._answer_to(socket, command)]))
        elif command["action"] == "subscribe":
            if any(len(names) > self._director.market.max_symbols for key, names in command.items() if key != "action"):
                await socket.send_bytes(msgpack.packb([TOO_MANY]))
                return
            wanted = self.subscriptions.setdefault(socket, {})
            for channel, symbols in command.items():
                if channel != "action":
                    wanted[channel] = sorted({*wanted.get(channel, []), *symbols})
            await socket.send_bytes(msgpack.packb([{"T": "subscription", **wanted}]))

    def _answer_to(self, socket: web.WebSocketResponse, command: dict[str, Any]) -> dict[str, Any]:
        if (command.get("key"), command.get("secret")) != self._keys:
            return {"T": "error", "code": 402, "msg": "auth failed"}
        if len(self._let_in) >= self._director.market.max_connections:
            return LIMIT
        self._let_in.add(socket)
        return {"T": "success", "msg": "authenticated"}

    def publish_bar(self, symbol: str, at: pd.Timestamp, bar: dict[str, float], channel: str = "bars") -> None:
        """Send a bar to its subscribers, from any thread.

        Parameters
        ----------
        symbol, at
            Which instrument, beginning of the bar.
        bar
            ``o, h, l, c, v``.
        channel
            ``bars``, ``updatedBars`` or ``dailyBars``.
        """
        if channel != "dailyBars":
            self.minutes[symbol, at] = bar
        self._publish(channel, symbol, at, {"n": 1, "vw": bar["c"], **bar})

    def publish_trade(self, symbol: str, at: pd.Timestamp, price: float, size: int = 100) -> None:
        """Send a trade to its subscribers, from any thread."""
        facts = {"i": len(self.minutes) + 1, "x": "V", "p": price, "s": size, "c": ["@"], "z": "C"}
        self._publish("trades", symbol, at, facts)

    def publish_status(self, symbol: str, at: pd.Timestamp, code: str, words: str) -> None:
        """Send a trading status to its subscribers: ``H`` is a halt, ``T`` is trading again (tape C)."""
        facts = {"sc": code, "sm": words, "rc": "T12" if code == "H" else "", "rm": words, "z": "C"}
        self._publish("statuses", symbol, at, facts)

    def minutes_json(self, query: dict[str, str]) -> dict[str, Any]:
        """Write the minute bars of some symbols from an instant on, as the REST API does."""
        start = pd.Timestamp(query["start"])
        start = start.tz_localize("UTC") if start.tzinfo is None else start
        found: dict[str, list[dict[str, Any]]] = {}
        for (symbol, at), bar in sorted(self.minutes.items()):
            if symbol in query["symbols"].split(",") and at >= start:
                found.setdefault(symbol, []).append({"t": instant(at), "n": 1, "vw": bar["c"], **bar})
        return {"bars": found, "next_page_token": None}

    def _publish(self, channel: str, symbol: str, at: pd.Timestamp, facts: dict[str, Any]) -> None:
        if self._loop is None or self._director.market.mute:
            return
        stamp = msgpack.Timestamp.from_datetime(at.to_pydatetime())
        message = msgpack.packb([{"T": KINDS[channel], "S": symbol, "t": stamp, **facts}])
        drops = self._director.takes_one("market_drops")

        async def send() -> None:
            for socket, wanted in list(self.subscriptions.items()):
                if drops:
                    self.subscriptions.pop(socket)
                    await socket.close(code=1011)
                elif {symbol, "*"} & set(wanted.get(channel, [])):
                    await socket.send_bytes(message)

        asyncio.run_coroutine_threadsafe(send(), self._loop).result(timeout=5)
