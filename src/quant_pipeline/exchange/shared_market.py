"""One market for all nodes of a run: the same bars and rules give the market that has been built from them already.

Every node loads its own copy of the bars, so equal bars are recognised by content. Reading them through takes a quarter
of the time of building a market.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import pandas as pd
import pyarrow as pa

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import MarketRules

USED = ("date", "instrument", "open", "high", "low", "close", "volume", "vwap", "kind", "value")
"""Columns of bars and corporate actions that a market is built from."""


def market_of(
    bars: pd.DataFrame, corporate_actions: pd.DataFrame, sessions: pd.DatetimeIndex, rules: MarketRules
) -> TradingMarket:
    """Return the market of some bars. It is built once and shared: do not write into its arrays.

    Parameters
    ----------
    bars, corporate_actions, sessions, rules
        As for `TradingMarket.from_bars`.

    Raises
    ------
    MarketDataError
        As `TradingMarket.from_bars`.
    """
    return _build(_Question(bars, corporate_actions, sessions, rules))


class _Question:
    """What a market is built from; equal when the content is."""

    def __init__(
        self, bars: pd.DataFrame, corporate_actions: pd.DataFrame, sessions: pd.DatetimeIndex, rules: MarketRules
    ) -> None:
        self.given = bars, corporate_actions, sessions, rules
        digest = hashlib.blake2b(digest_size=16)
        for table in (bars, corporate_actions, sessions.to_frame(index=False, name="date")):
            _hash(table, digest)
        digest.update(rules.model_dump_json().encode())
        self.digest = digest.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=1)
def _build(question: _Question) -> TradingMarket:
    market = TradingMarket.from_bars(*question.given)
    # The tables have done their work; the question stays as a key and must not keep them in memory.
    question.given = None  # type: ignore[assignment]
    return market


def _hash(table: pd.DataFrame, digest: Any) -> None:
    columns = pa.Table.from_pandas(table[[name for name in USED if name in table.columns]], preserve_index=False)
    with pa.ipc.new_stream(pa.PythonFile(_Sink(digest), mode="w"), columns.schema) as stream:
        stream.write_table(columns.combine_chunks())


class _Sink:
    """A file that only hashes what is written to it."""

    closed = False

    def __init__(self, digest: Any) -> None:
        self._digest = digest

    def write(self, content: Any) -> int:
        self._digest.update(content)
        return len(content)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""
