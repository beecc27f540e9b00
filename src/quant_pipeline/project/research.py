"""One call from a script or a notebook: values of expressions, and the market for a backtest, from the catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from quant_pipeline.common.exceptions import FactorError, StrategyError
from quant_pipeline.common.listing import first_of
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.market.calendar import as_sessions
from quant_pipeline.project.opened_catalog import open_catalog

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol


def features(
    instruments: Sequence[str] | str,
    expressions: Sequence[str] | Mapping[str, str],
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    *,
    catalog: CatalogProtocol[Any, Any] | None = None,
) -> pd.DataFrame:
    """Evaluate expressions for some instruments, as Qlib's ``D.features`` does.

    Parameters
    ----------
    instruments
        Names, or ``all``.
    expressions
        Expressions, which name their columns; or names with expressions.
    start, end
        First and last date; None: all of the market.
    catalog
        Catalog to read ``adjusted_bars`` and ``sessions`` from; None: that of the project in the working folder.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument) × expression``, float32. Operators over the cross-section see every instrument.

    Raises
    ------
    FactorError
        When an instrument is unknown, an expression cannot be read, or one looks ahead.

    Notes
    -----
    ``features(["AAPL"], ["Mean($close, 20)"], "2024-01-02", "2024-12-31")`` is a whole program.
    """
    catalog = open_catalog() if catalog is None else catalog
    bars, sessions = catalog.load("adjusted_bars"), as_sessions(catalog.load("sessions"))
    named = dict(expressions) if isinstance(expressions, Mapping) else {each: each for each in expressions}
    first, last = (None if date is None else pd.Timestamp(date) for date in (start, end))
    inside = sessions[(sessions >= (first or sessions[0])) & (sessions <= (last or sessions[-1]))]
    if inside.empty:
        raise FactorError(f"there is no session from {start} to {end}; the market has {_span(sessions)}")
    panel = compute_factors(bars, named, sessions, start=inside[0], end=inside[-1])
    if instruments == "all":
        return panel
    wanted = [instruments] if isinstance(instruments, str) else list(instruments)
    known = set(bars["instrument"].unique())
    if unknown := [name for name in wanted if name not in known]:
        raise FactorError(f"the market has no bars of {first_of(unknown)}; there are {len(known)} instruments")
    return panel[panel.index.get_level_values("instrument").isin(wanted)]


def scores_in(table: pd.Series | pd.DataFrame) -> pd.Series:
    """Return the scores of a table of the catalog: those of the test sessions, where it says which they are.

    Parameters
    ----------
    table
        Scores indexed ``(datetime, instrument)``; or ``score``, with the same index or with columns ``datetime`` and
        ``instrument``, and perhaps ``segment``: predictions of the validation sessions stopped the training early.
    """
    if isinstance(table, pd.Series):
        return table
    known = table[table["segment"] == "test"] if "segment" in table.columns else table
    indexed = known.set_index(["datetime", "instrument"]) if "datetime" in known.columns else known
    scores: pd.Series = indexed["score"]
    return scores


def trading_market(
    catalog: CatalogProtocol[Any, Any],
    scores: pd.Series | pd.DataFrame,
    rules: MarketRules | None = None,
) -> TradingMarket:
    """Build the market that scores are backtested on; it begins at the first score, so that no idle years are measured.

    Parameters
    ----------
    catalog
        Catalog to read ``bars``, ``corporate_actions`` and ``sessions`` from.
    scores
        Scores, or a table of them, see `scores_in`.
    rules
        Rules of the exchange; None: those of the US.

    Raises
    ------
    StrategyError
        When there is no score.
    """
    days, scored = as_sessions(catalog.load("sessions")), scores_in(scores).dropna()
    if scored.empty:
        raise StrategyError("there is no score of a test session to backtest")
    first = scored.index.get_level_values(0).min()
    return TradingMarket.from_bars(
        catalog.load("bars"), catalog.load("corporate_actions"), days[days >= first], rules or MarketRules.preset("US")
    )


def _span(sessions: pd.DatetimeIndex) -> str:
    return f"{sessions[0]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d}"
