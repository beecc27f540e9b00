"""Nodes of ingestion: read the market, check its quality, adjust prices, select the universe, write a Qlib provider."""

import logging

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.calendar import TradingCalendar, require_session
from quant_pipeline.market.data import MarketData, said_to_come_from, source_of
from quant_pipeline.market.delistings import EndedBars, delist_ended, last_trades
from quant_pipeline.market.instrument_rows import sorted_by_instrument
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.quality import QualityParameters, check_bars, no_findings, order_by_effect
from quant_pipeline.market.sectors import add_sector_numbers
from quant_pipeline.market.sources.derived import mean_benchmark
from quant_pipeline.market.universe import UniverseParameters, no_universes, require_known_names, select_universe

logger = logging.getLogger(__name__)

ACTIONS = "table corporate_actions"
"""Where all delistings are, in the catalog."""
EARLIER = 3
"""Delistings of earlier sessions that a run names."""


def read_market(
    market: MarketData, universe: UniverseParameters, ended_bars: EndedBars, market_rules: MarketRules, as_of: str
) -> dict[str, pd.DataFrame]:
    """Take the tables out of a market source.

    Nothing is stored of a market that does not reach ``as_of``, or that lacks what ``universe`` names.

    Parameters
    ----------
    market
        A market as known at the close of its ``as_of``.
    universe
        Whose names of instruments, sectors and universes the market has to have.
    ended_bars
        When bars that stop without a corporate action are a delisting.
    market_rules, as_of
        Calendar of the exchange, and the session that the bars have to reach.

    Returns
    -------
    dict
        ``bars``, whose ``attrs`` say what made them, ``corporate_actions``, ``instruments``, ``benchmark``,
        ``source_findings``: what the source left out or noted, and ``named_universes``: who is a member of them when.

    Raises
    ------
    ConfigurationError
        When the market lacks a name of ``universe``.
    MarketDataError
        When ``as_of`` is no session of the exchange.
    StaleDataError
        When the bars end before ``as_of``.
    """
    require_known_names(universe, market.instruments, market.universes)
    bars = sorted_by_instrument(market.bars)
    list_sessions(bars, market_rules, as_of)
    traded = pd.DatetimeIndex(np.sort(bars["date"].unique()))
    ended = delist_ended(bars, market.corporate_actions, traded, ended_bars)
    actions, instruments = market.corporate_actions, market.instruments
    if len(ended):
        _say_ended(ended, ended_bars, traded[-1])
        actions, instruments = _with_ended(ended, bars, market)
    return {
        "bars": said_to_come_from(market.source, bars),
        "corporate_actions": actions,
        "instruments": instruments,
        "benchmark": mean_benchmark(bars, actions) if market.benchmark is None else market.benchmark,
        "source_findings": no_findings() if market.findings is None else market.findings,
        "named_universes": no_universes() if market.universes is None else market.universes,
    }


def _say_ended(ended: pd.DataFrame, rule: EndedBars, session: pd.Timestamp) -> None:
    """Warn of what counts as delisted from this session on; what did before is counted, the newest first."""
    is_new = ended["date"] == session
    before = ended[~is_new].sort_values("date", ascending=False, kind="stable")
    if is_new.any():
        logger.warning(
            "without a bar for %d sessions, and delisted from %s on by `ended_bars`: %s",
            rule.after_sessions, f"{session:%Y-%m-%d}", first_of(ended["instrument"][is_new], whole=ACTIONS),
        )  # fmt: skip
    if len(before):
        names = (f"{row.instrument} ({row.date:%Y-%m-%d})" for row in before.itertuples())
        logger.info(
            "delisted by `ended_bars` in earlier sessions: %d, %s",
            len(before), first_of(names, whole=ACTIONS, limit=EARLIER),
        )  # fmt: skip


def _with_ended(ended: pd.DataFrame, bars: pd.DataFrame, market: MarketData) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return corporate actions and instruments with the delistings that a rule has found."""
    last = last_trades(bars)
    delisted = market.instruments["instrument"].where(market.instruments["instrument"].isin(ended["instrument"]))
    order = ["date", "instrument", "kind"]
    actions = pd.concat([market.corporate_actions, ended]).sort_values(order, kind="stable", ignore_index=True)
    dates = market.instruments["delisted"].fillna(delisted.map(last).astype("datetime64[ns]"))
    return actions, market.instruments.assign(delisted=dates)


def list_sessions(bars: pd.DataFrame, market_rules: MarketRules, as_of: str) -> pd.DataFrame:
    """List the sessions from the first bar to ``as_of``.

    Parameters
    ----------
    bars
        As-traded bars, long.
    market_rules
        Names the exchange calendar.
    as_of
        Session at whose close the pipeline stands.

    Returns
    -------
    pandas.DataFrame
        One column ``date``.

    Raises
    ------
    MarketDataError
        When ``as_of`` is no session of the exchange.
    StaleDataError
        When the bars end before ``as_of``.
    """
    session = pd.Timestamp(as_of)
    trading = TradingCalendar.of(market_rules.calendar, bars["date"].min(), session)
    require_session(trading, session)
    last = bars["date"].max()
    if last < session:
        raise StaleDataError(
            f"the bars end on {last:%Y-%m-%d}, before as_of={as_of}. Bring newer bars, "
            f"or pass --params as_of={last:%Y-%m-%d}."
        )
    return pd.DataFrame({"date": trading.sessions})


def check_quality(
    bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    source_findings: pd.DataFrame,
    parameters: QualityParameters,
) -> pd.DataFrame:
    """Check the bars; findings are reported together with those of the source, not repaired.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``date``, ``check``, ``severity``, ``value``, ``detail``; first what changes returns most.
    """
    found = check_bars(bars, corporate_actions, pd.DatetimeIndex(sessions["date"]), parameters)
    return order_by_effect(pd.concat([found, source_findings], ignore_index=True) if len(source_findings) else found)


def adjust_for_corporate_actions(
    bars: pd.DataFrame, corporate_actions: pd.DataFrame, instruments: pd.DataFrame
) -> pd.DataFrame:
    """Adjust bars forward, so that every row depends on its own past only, and note the sector of each.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``instrument``, ``open``, ``high``, ``low``, ``close``, ``vwap``, ``volume``, ``factor``,
        ``sector`` (a number).
    """
    return said_to_come_from(source_of(bars), add_sector_numbers(adjust_bars(bars, corporate_actions), instruments))


def select_members(
    bars: pd.DataFrame, instruments: pd.DataFrame, named_universes: pd.DataFrame, universe: UniverseParameters
) -> pd.DataFrame:
    """Decide for every session who may be traded, by what was known at its close.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``instrument``; one row per member and session.
    """
    return select_universe(bars, instruments, universe, named_universes)


def arrange_for_qlib(
    adjusted_bars: pd.DataFrame, sessions: pd.DataFrame, universe_members: pd.DataFrame, benchmark: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Hand bars, calendar, universe and benchmark to the dataset that writes a Qlib provider.

    Returns
    -------
    dict
        ``adjusted_bars``, ``sessions``, ``universe_members`` and ``benchmark``, unchanged.
    """
    return {
        "adjusted_bars": adjusted_bars,
        "sessions": sessions,
        "universe_members": universe_members,
        "benchmark": benchmark,
    }
