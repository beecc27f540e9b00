"""The websocket of trade updates: JSON in binary frames."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from aiohttp import WSMsgType, web

from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange
from quant_pipeline.testing.fake_alpaca.records import FakeOrder, instant


class TradeUpdates:
    """``/stream``: sends every change of an order once to the current listeners; nothing is repeated later.

    Parameters
    ----------
    exchange
        Whose orders.
    keys
        Key and secret that are let in.
    """

    def __init__(self, exchange: FakeExchange, keys: tuple[str, str]) -> None:
        self._exchange = exchange
        self._keys = keys
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held_back: list[dict[str, Any]] = []
        self._open: set[web.StreamResponse] = set()
        self.connections: set[web.WebSocketResponse] = set()
        exchange.listen(self._on_change)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends; one above those that an account may have is refused."""
        if len(self._open) >= self._exchange.director.stream.max_connections:
            return web.Response(status=HTTPStatus.TOO_MANY_REQUESTS)
        self._loop = asyncio.get_running_loop()
        socket = web.WebSocketResponse()
        self._open.add(socket)
        try:
            await socket.prepare(request)
            async for message in socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                await self._obey(socket, json.loads(message.data))
        finally:
            self._open.discard(socket)
            self.connections.discard(socket)
        return socket

    async def _obey(self, socket: web.WebSocketResponse, command: dict[str, Any]) -> None:
        data = command.get("data", {})
        if command.get("action") == "authenticate":
            right = (data.get("key_id"), data.get("secret_key")) == self._keys
            status = "authorized" if right else "unauthorized"
            await _send(socket, {"stream": "authorization", "data": {"action": "authenticate", "status": status}})
        elif command.get("action") == "listen":
            self.connections.add(socket)
            await _send(socket, {"stream": "listening", "data": {"streams": data.get("streams", [])}})

    def _on_change(self, event: str, order: FakeOrder, details: dict[str, Any]) -> None:
        # Called in whatever thread changed the order, under the lock of the exchange: the order is copied here.
        if self._loop is None:
            return
        at = instant(self._exchange.hours.now())
        message = {"event": event, "order": order.as_json(), "timestamp": at} | details
        self._loop.call_soon_threadsafe(self._publish, message)

    def _publish(self, message: dict[str, Any]) -> None:
        director, plan = self._exchange.director, self._exchange.director.stream
        is_fill = message["event"] in ("fill", "partial_fill")
        if plan.mute:
            return
        if is_fill and director.takes_one("drops"):
            for socket in list(self.connections):
                self.connections.discard(socket)
                self._start(socket.close(code=1011))
            return
        if plan.reorder and message["event"] == "new":
            self._held_back.append(message)
            return
        messages = [message] * (2 if plan.duplicate else 1)
        if plan.unknown_event:
            messages = [{**message, "event": "some_new_event"}, *messages]
        if plan.unknown_status:
            messages = [{**one, "order": one["order"] | {"status": "some_new_status"}} for one in messages]
        messages, self._held_back = messages + self._held_back, []
        for one in messages:
            for socket in list(self.connections):
                self._start(_send(socket, {"stream": "trade_updates", "data": one}))

    @staticmethod
    def _start(work: Any) -> None:
        task = asyncio.ensure_future(work)
        _RUNNING.add(task)
        task.add_done_callback(_RUNNING.discard)


# The event loop keeps only weak references to its tasks.
_RUNNING: set[asyncio.Future[Any]] = set()


async def _send(socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
    if not socket.closed:
        await socket.send_bytes(json.dumps(message).encode())
