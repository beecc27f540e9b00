"""Trade updates of Alpaca: they wake who waits for fills, and do nothing else.

The stream sends each update once, to its current listener, on the one connection that an account may have; it
may drop, be refused, or be connected and silent. So nothing is read from it: an update only starts a poll of the REST
API, and without updates a poll follows each pause, as without a stream.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

from alpaca.trading.stream import TradingStream

logger = logging.getLogger(__name__)

_CLIENT_LOGGER = logging.getLogger(TradingStream.__module__)
# Updates of the same fill, and fills of the same moment, are collected together.
_SHORTEST_PAUSE = 0.25
# Each waking costs about three requests of the 200 a minute that Alpaca allows, beside those of the polls.
_MOST_WAKINGS, _WINDOW_SECONDS = 4, 15.0
_CLOSING_SECONDS = 0.5
_STOPPING_SECONDS = 2.0
_LONGEST_REASON = 200
WITHOUT_UPDATES = "sends no trade updates for now ({reason}). Every poll reads the fills instead; nothing is lost."
"""What follows from a trouble of the trade updates."""


class TradeUpdates:
    """Pauses that end as soon as an account's orders are filled or change; use it in a ``with`` block.

    The connection is made in the background during the first pause: who never waits never connects. A connection that
    stands again wakes too, because what happened meanwhile is not sent any more.

    Parameters
    ----------
    address
        Of the websocket; see `quant_pipeline.trading.brokers.alpaca.adapter.AlpacaAdapter.updates_address`.
    api_key, secret_key
        Keys of the account; they appear in no log.
    """

    def __init__(self, address: str, api_key: str, secret_key: str) -> None:
        self._news = threading.Event()
        self._wakings: deque[float] = deque(maxlen=_MOST_WAKINGS)
        self._thread = threading.Thread(target=self._run, name="alpaca-trade-updates", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._stream = _WakingStream(address, api_key, secret_key, self._news.set)
        self._troubles = Troubles(self._thread, address, (api_key, secret_key))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def pause(self, seconds: float) -> float:
        """Wait until an update arrives, at most so long.

        However many updates arrive, a pause lasts a quarter of a second, and only four in 15 seconds are cut short.

        Parameters
        ----------
        seconds
            The longest pause.

        Returns
        -------
        float
            Seconds that it took; less than ``seconds`` only when it was cut short.
        """
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            _CLIENT_LOGGER.addFilter(self._troubles)
            self._thread.start()
        began = time.monotonic()
        deaf = min(seconds, max(_SHORTEST_PAUSE, self._closed_for()))
        time.sleep(deaf)
        is_woken = self._news.wait(seconds - deaf)
        self._news.clear()
        passed = time.monotonic() - began
        if not is_woken or passed >= seconds:
            return max(seconds, passed)
        self._wakings.append(time.monotonic())
        return passed

    def stop(self) -> None:
        """Close the connection and end its thread, within two seconds."""
        if self._loop is None:
            return
        with suppress(RuntimeError):  # It has ended on its own.
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOPPING_SECONDS)
        if not self._thread.is_alive():
            _CLIENT_LOGGER.removeFilter(self._troubles)

    def _closed_for(self) -> float:
        if len(self._wakings) < _MOST_WAKINGS:
            return 0.0
        return self._wakings[0] + _WINDOW_SECONDS - time.monotonic()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: cast(asyncio.AbstractEventLoop, self._loop)) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        listening = asyncio.ensure_future(self._stream._run_forever())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done() and not listening.cancelled():
            self._troubles.report(listening.exception() or "the client has ended")
        # The client itself looks up from its socket every five seconds only, and its closing swallows a cancellation.
        await self._stream.stop_ws()
        listening.cancel()
        stopping.cancel()
        await asyncio.wait({listening, stopping})
        await asyncio.wait({asyncio.ensure_future(self._stream.close())}, timeout=_CLOSING_SECONDS)


class _WakingStream(TradingStream):
    """The client of Alpaca; every message ends the pause, also that the stream is open from now on."""

    def __init__(self, address: str, api_key: str, secret_key: str, wake: Callable[[], None]) -> None:
        # At its level DEBUG the library would log what it sends, which is the keys; this logger has no switch.
        silent = logging.Logger("websockets", logging.CRITICAL + 1)
        # They replace the client's own, so its pings are repeated here.
        wire = {"ping_interval": 10, "ping_timeout": 180, "max_queue": 1024}
        options = {**wire, "close_timeout": _CLOSING_SECONDS, "logger": silent}
        super().__init__(api_key, secret_key, raw_data=True, url_override=address, websocket_params=options)
        self._wake = wake
        self.subscribe_trade_updates(self._dispatch)

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        self._wake()

    async def _connect(self) -> None:
        await super()._connect()
        # The library follows redirects, and the keys are the first thing that is said.
        socket: Any = self._ws
        asked, found = urlsplit(self._endpoint).netloc, socket.request_headers["Host"]
        if found != asked:
            raise ConnectionError(f"{asked} leads to {found}, which is sent no keys")


class Troubles(logging.Filter):
    """Logs the first trouble of a stream in one plain line, and keeps the client's own lines and traces back."""

    def __init__(
        self, thread: threading.Thread, address: str, secrets: tuple[str, ...], consequence: str = WITHOUT_UPDATES
    ) -> None:
        super().__init__()
        self._consequence = consequence
        self._thread = thread
        self._address = address
        self._secrets = secrets
        self._is_told = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Hold back what the thread of this stream logs."""
        if record.thread != self._thread.ident:
            return True
        if record.levelno >= logging.WARNING:
            self.report(record.exc_info[1] if record.exc_info and record.exc_info[1] else record.getMessage())
        return False

    def report(self, trouble: BaseException | str) -> None:
        """Log once that updates are missing for now, and that nothing is lost."""
        if self._is_told:
            return
        self._is_told = True
        reason = " ".join(str(trouble).split()) or type(trouble).__name__
        for secret in self._secrets:
            reason = reason.replace(secret, "…")
        logger.info("%s %s", self._address, self._consequence.format(reason=reason[:_LONGEST_REASON]))
