"""A bounded memory of a session: last trades, bars of minutes, halts. One thread writes, others read."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from decimal import Decimal

import pandas as pd

from quant_pipeline.trading.broker_records import LastTrade
from quant_pipeline.trading.market_listener import MinuteBar, TradingStatus
from quant_pipeline.trading.market_snapshot import MarketSnapshot

KEPT_MINUTES = 960
"""Minutes that are kept of an instrument: a day of the longest hours at Alpaca, 4:00 to 20:00."""
COLUMNS = ("instrument", "open", "high", "low", "close", "volume")


class MarketRing:
    """Listens to a stream; implements `quant_pipeline.trading.market_listener.MarketListener`.

    Parameters
    ----------
    instruments
        What it remembers, the most important first; others are not looked at.
    opens_at, closes_at
        Of the session. Trades and bars outside of it are not remembered.

    Attributes
    ----------
    connections
        How often the stream has stood; more than one has gaps to be filled.
    """

    def __init__(self, instruments: Collection[str], opens_at: pd.Timestamp, closes_at: pd.Timestamp) -> None:
        self.instruments = tuple(dict.fromkeys(instruments))
        self.opens_at, self.closes_at = opens_at, closes_at
        self.connections = 0
        self._lock = threading.Lock()
        self._trades: dict[str, LastTrade] = {}
        self._minutes: dict[str, dict[pd.Timestamp, MinuteBar]] = {name: {} for name in self.instruments}
        self._statuses: dict[str, TradingStatus] = {}
        self._needs_filling = False

    def on_connected(self) -> None:
        """Remember that what came before was not sent."""
        with self._lock:
            self.connections += 1
            self._needs_filling = True

    def on_trade(self, instrument: str, price: Decimal, at: pd.Timestamp) -> None:
        """Remember a trade, if it is the newest one."""
        with self._lock:
            self._take_trade(instrument, LastTrade(price, at))

    def on_bar(self, bar: MinuteBar) -> None:
        """Remember the bar of a minute, in the place of an earlier one of the same minute."""
        with self._lock:
            self._take_bar(bar)

    def on_status(self, status: TradingStatus) -> None:
        """Remember a halt or its end, if it is the newest word."""
        with self._lock:
            known = self._statuses.get(status.instrument)
            if status.instrument in self._minutes and (known is None or known.at <= status.at):
                self._statuses[status.instrument] = status

    def gap(self) -> pd.Timestamp | None:
        """Return from when on bars have to be asked for, and take it as done; None when nothing was missed.

        The newest minute that is known may have been cut off, so it is asked for again.
        """
        with self._lock:
            if not self._needs_filling:
                return None
            self._needs_filling = False
            newest = [max(bars) for bars in self._minutes.values() if bars]
            return min(newest) if len(newest) == len(self._minutes) else self.opens_at

    def fill(self, bars: Iterable[MinuteBar]) -> None:
        """Take bars that were asked for; what the stream has said since is newer and stays."""
        with self._lock:
            for bar in bars:
                known = self._minutes.get(bar.instrument, {}).get(bar.begins_at)
                if known is None or known.volume <= bar.volume:
                    self._take_bar(bar)

    def ask_again(self) -> None:
        """Take the last gap as not filled."""
        with self._lock:
            self._needs_filling = True

    def session_bars(self) -> pd.DataFrame:
        """Return the bar of the session so far of every instrument that has traded; see `COLUMNS`."""
        with self._lock:
            rows = [_joined(name, bars) for name, bars in self._minutes.items() if bars]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        return frame.astype({"instrument": "str"})

    def snapshot(self) -> MarketSnapshot:
        """Return what commands may know."""
        with self._lock:
            halted = {name: status.reason for name, status in self._statuses.items() if status.is_halted}
            return MarketSnapshot(dict(self._trades), halted)

    def _take_trade(self, instrument: str, trade: LastTrade) -> None:
        known = self._trades.get(instrument)
        is_new = known is None or known.at <= trade.at
        if is_new and instrument in self._minutes and self.opens_at <= trade.at < self.closes_at:
            self._trades[instrument] = trade

    def _take_bar(self, bar: MinuteBar) -> None:
        bars = self._minutes.get(bar.instrument)
        if bars is None or not self.opens_at <= bar.begins_at < self.closes_at:
            return
        bars[bar.begins_at] = bar
        while len(bars) > KEPT_MINUTES:
            del bars[min(bars)]
        # Its close was traded in that minute at the earliest: a trade that is known exactly is newer.
        self._take_trade(bar.instrument, LastTrade(Decimal(str(bar.close)), bar.begins_at))


def _joined(instrument: str, bars: dict[pd.Timestamp, MinuteBar]) -> tuple[str, float, float, float, float, float]:
    minutes = [bars[at] for at in sorted(bars)]
    highest, lowest = max(bar.high for bar in minutes), min(bar.low for bar in minutes)
    return instrument, minutes[0].open, highest, lowest, minutes[-1].close, sum(bar.volume for bar in minutes)
