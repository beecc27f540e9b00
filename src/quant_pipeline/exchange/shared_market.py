"""One market for all nodes of a run: the same bars and rules give the market that has been built from them already.

Every node loads its own copy of the bars. Copies that lie in the same memory are equal; others are recognised by their
content, and reading them through takes a quarter of the time of building a market.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from quant_pipeline.common.same_memory import place_of
from quant_pipeline.exchange.market import ActionArrays, TradingMarket
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


def market_until(session: pd.Timestamp, market: TradingMarket, bars: pd.DataFrame) -> TradingMarket:
    """Return the market as it was at the close of an earlier session: the same as if it were built from less.

    Parameters
    ----------
    session
        One of the market's sessions.
    market
        The market up to a later session.
    bars
        Those it was built from; later ones do not matter.

    Returns
    -------
    TradingMarket
        The sessions up to that one and the instruments that have a bar by then. Its arrays are views where these are
        all instruments.
    """
    n_sessions = market.sessions.get_loc(session) + 1
    is_known = market.arrays.mark[n_sessions - 1] > 0
    if not is_known.all():
        # A bar may have no close.
        unpriced = bars["instrument"].isin(market.instruments[~is_known]) & (bars["date"] <= session)
        is_known |= market.instruments.isin(bars.loc[unpriced, "instrument"].unique())
    kept = np.flatnonzero(is_known)
    arrays = market.arrays
    tables = {
        name: _rows_of(getattr(arrays, name), n_sessions, kept)
        for name in arrays._fields
        if name not in ("actions", "interest")
    }
    actions = _actions_until(arrays.actions, n_sessions, kept, len(market.instruments))
    until = arrays._replace(actions=actions, interest=arrays.interest[:n_sessions], **tables)
    history = None if market.history is None else market_until(session, market.history, bars)
    axes = {"sessions": market.sessions[:n_sessions], "instruments": market.instruments[kept]}
    return replace(market, **axes, arrays=until, history=history)


def _rows_of(table: npt.NDArray[Any], n_sessions: int, kept: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    rows = table[:n_sessions]
    return rows if len(kept) == table.shape[1] else np.ascontiguousarray(rows[:, kept])


def _actions_until(
    actions: ActionArrays, n_sessions: int, kept: npt.NDArray[np.int64], n_instruments: int
) -> ActionArrays:
    offsets = actions.offsets[: n_sessions + 1]
    others = {name: getattr(actions, name)[: offsets[-1]] for name in actions._fields if name != "offsets"}
    until = actions._replace(offsets=offsets, **others)
    if len(kept) == n_instruments:
        return until
    numbers = np.full(n_instruments, -1, dtype=np.int64)
    numbers[kept] = np.arange(len(kept))
    is_kept = numbers[until.instrument] >= 0
    others = {name: column[is_kept] for name, column in others.items()}
    others["instrument"] = numbers[others["instrument"]].astype(np.uint32)
    return until._replace(offsets=np.append(0, np.cumsum(is_kept))[offsets], **others)


class _Question:
    """What a market is built from; equal when the content is."""

    def __init__(
        self, bars: pd.DataFrame, corporate_actions: pd.DataFrame, sessions: pd.DatetimeIndex, rules: MarketRules
    ) -> None:
        self.given = bars, corporate_actions, sessions, rules
        self._tables = _Content(bars), _Content(corporate_actions)
        self._others = rules.model_dump_json(), sessions.to_numpy().tobytes()

    def let_go(self) -> None:
        """Let go of what a built market needs no more; the question stays as a key."""
        self.given = None  # type: ignore[assignment]
        for table in self._tables:
            table.let_go()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self._others == other._others and self._tables == other._tables

    def __hash__(self) -> int:
        return hash(self._others)


class _Content:
    """The used columns of a table; equal where they lie in the same memory, or say the same."""

    def __init__(self, table: pd.DataFrame) -> None:
        # A shallow copy is held: pandas then gives a table of the same memory one of its own before it is written to.
        self._held = table[[name for name in USED if name in table.columns]].copy(deep=False)
        self._memory = [(name, place_of(self._held[name])) for name in self._held.columns]

    @cached_property
    def digest(self) -> bytes:
        """Digest of the content."""
        digest = hashlib.blake2b(digest_size=16)
        columns = pa.Table.from_pandas(self._held, preserve_index=False)
        with pa.ipc.new_stream(pa.PythonFile(_Sink(digest), mode="w"), columns.schema) as stream:
            stream.write_table(columns.combine_chunks())
        return digest.digest()

    def let_go(self) -> None:
        """Keep no more of a large table than its digest."""
        if self._held.memory_usage(index=False).sum() > MOST_HELD:
            self.__dict__ = {"digest": self.digest, "_memory": []}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Content):
            return False
        return bool(self._memory and self._memory == other._memory) or self.digest == other.digest

    __hash__ = None  # type: ignore[assignment]


@lru_cache(maxsize=1)
def _build(question: _Question) -> TradingMarket:
    market = TradingMarket.from_bars(*question.given)
    question.let_go()
    return market


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
