"""One market for all nodes of a run: the same bars and rules give the market that has been built from them already.

Every node loads its own copy of the bars. Copies that lie in the same memory are equal; others are recognised by their
content, and reading them through takes a quarter of the time of building a market.
"""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import MarketRules

USED: Final = ("date", "instrument", "open", "high", "low", "close", "volume", "vwap", "kind", "value")
"""Columns of bars and corporate actions that a market is built from."""
MOST_HELD: Final = 2**30
"""Bytes of the tables that are held to be recognised by their memory; larger ones no two nodes share."""


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
        # Shallow copies are held: pandas then gives whoever writes to the same memory one of its own.
        used = (table[[name for name in USED if name in table.columns]] for table in (bars, corporate_actions))
        self._held = [table.copy(deep=False) for table in used]
        self._columns = [pa.Table.from_pandas(table, preserve_index=False) for table in self._held]
        self._others = rules.model_dump_json(), sessions.to_numpy().tobytes()

    @cached_property
    def digest(self) -> bytes:
        """Digest of the tables."""
        digest = hashlib.blake2b(digest_size=16)
        for table in self._columns:
            _hash(table, digest)
        return digest.digest()

    @cached_property
    def _places(self) -> list[tuple[str, int, list[int]]]:
        """Where each column lies in memory, and how long it is."""
        return [
            (name, len(chunk), [chunk.offset, *_addresses(chunk)])
            for table in self._columns
            for name, column in zip(table.column_names, table.columns, strict=True)
            for chunk in column.chunks
        ]

    def let_go(self) -> None:
        """Let go of what a built market needs no more: of large tables the digest remains."""
        self.given = None  # type: ignore[assignment]
        if sum(table.nbytes for table in self._columns) > MOST_HELD:
            self.__dict__ |= {"digest": self.digest, "_places": [], "_columns": [], "_held": []}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Question) or self._others != other._others:
            return False
        is_same_memory = bool(self._places) and self._places == other._places
        return is_same_memory or self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self._others)


@lru_cache(maxsize=1)
def _build(question: _Question) -> TradingMarket:
    market = TradingMarket.from_bars(*question.given)
    question.let_go()
    return market


def _addresses(column: pa.Array) -> list[int]:
    """Return the addresses of a column; Arrow makes a new mark of missing numbers each time, which the numbers say."""
    buffers = column.buffers()[1:] if pa.types.is_floating(column.type) else column.buffers()
    return [0 if buffer is None else buffer.address for buffer in buffers]


def _hash(table: pa.Table, digest: Any) -> None:
    with pa.ipc.new_stream(pa.PythonFile(_Sink(digest), mode="w"), table.schema) as stream:
        stream.write_table(table.combine_chunks())


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
