"""The ranking of one session: every source of scores over the universe, with what helps to judge a rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quant_pipeline.evaluation.decile_returns import HISTORY_COLUMNS, deciles
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.ranking.index import minmax_index, rank_index
from quant_pipeline.pipelines.ranking.parameters import RankingParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import decides_on

INDEXES = {"rank": rank_index, "minmax": minmax_index}
COLUMNS = [
    "session", "source", "kind", "rank", "index", "scaling", "instrument", "name", "sector", "score", "change",
    "agreement", "decile", "net_return", "lower", "upper", "sessions", "cases", "traded_value", "is_illiquid",
    "horizon", "deal_price", "execution_session", "age",
]  # fmt: skip


@dataclass(frozen=True)
class RankingRules:
    """How instruments are ranked, and what the scores were made for."""

    ranking: RankingParameters
    ensemble: EnsembleParameters
    label: LabelParameters
    market_rules: MarketRules
    strategy: StrategyRules

    def next_decision(self, session: pd.Timestamp) -> pd.Timestamp:
        """Return the first session, from this one on, at whose close the strategy decides."""
        first = session if self.strategy.schedule.anchor is None else pd.Timestamp(self.strategy.schedule.anchor)
        calendar = TradingCalendar.of(self.market_rules.calendar, min(first, session), session)
        while not decides_on(calendar, session, self.strategy.schedule):
            session = calendar.next(session)
        return session


@dataclass(frozen=True)
class Listing:
    """What is known of the instruments at the close of the session.

    Attributes
    ----------
    session, sessions
        The session, and all up to it.
    bars_up_to
        Date of the newest bar.
    members
        The universe of the session.
    facts
        ``name``, ``sector`` by instrument.
    traded_value
        Median of ``close × volume`` by instrument.
    """

    session: pd.Timestamp
    sessions: pd.DatetimeIndex
    bars_up_to: pd.Timestamp
    members: pd.Index
    facts: pd.DataFrame
    traded_value: pd.Series

    @classmethod
    def at(
        cls,
        as_of: str,
        sessions: pd.DataFrame,
        bars: pd.DataFrame,
        instruments: pd.DataFrame,
        universe_members: pd.DataFrame,
        ranking: RankingParameters,
    ) -> Listing:
        """Look at the close of a session; one without a bar counts as nothing traded."""
        session = pd.Timestamp(as_of)
        days = pd.DatetimeIndex(sessions["date"])
        days = days[days <= session]
        recent = bars[bars["date"].isin(days[-ranking.traded_value_window :])]
        value = recent.assign(value=recent["close"] * recent["volume"])
        by_session = value.pivot(index="date", columns="instrument", values="value").fillna(0.0)
        return cls(
            session,
            days,
            bars["date"].max(),
            pd.Index(universe_members.loc[universe_members["date"] == session, "instrument"]),
            instruments.set_index("instrument")[["name", "sector"]],
            by_session.median(),
        )

    def age_of(self, scored: pd.Timestamp) -> int:
        """Return how many sessions have passed since scores were made."""
        return int((self.sessions > scored).sum())


def rank_source(
    name: str,
    table: pd.DataFrame,
    listing: Listing,
    parameters: RankingParameters,
    history: pd.DataFrame | None,
    before: pd.DataFrame | None,
) -> pd.DataFrame:
    """Rank the members of the universe by the scores of one source.

    Parameters
    ----------
    name
        Of the source.
    table
        Its newest scores: ``instrument``, ``score``, ``kind``, ``age``. Missing scores are not ranked.
    listing
        What is known of the instruments.
    parameters
        How they are ranked.
    history
        ``decile_history``; None when there is none yet.
    before
        The ranking of an earlier session; None when there is none.

    Returns
    -------
    pandas.DataFrame
        The best first: ``source``, ``kind``, ``rank`` (1 is best; equal scores share the better rank), ``index``,
        ``instrument``, ``name``, ``sector``, ``score``, ``age``, ``change`` of the index since the earlier session
        (missing where its scaling was another one),
        ``decile`` with its history, ``traded_value``, ``is_illiquid``.
    """
    scores = table.set_index("instrument")["score"].dropna()
    scores = scores[scores.index.isin(listing.members)]
    known = listing.facts.reindex(scores.index)
    value = listing.traded_value.reindex(scores.index)
    ranked = pd.DataFrame(
        {
            "source": name,
            "kind": table["kind"].iloc[0],
            "rank": scores.rank(ascending=False, method="min").astype("int64"),
            "index": INDEXES[parameters.scaling](scores),
            "scaling": parameters.scaling,
            "name": known["name"].fillna(""),
            "sector": known["sector"].fillna(""),
            "score": scores,
            "age": table["age"].iloc[0],
            "decile": deciles(scores).astype("int64"),
            "traded_value": value,
            "is_illiquid": ~(value >= parameters.min_traded_value),
        }
    )
    ranked["change"] = ranked["index"] - _earlier_index(name, parameters, before).reindex(ranked.index)
    ranked = ranked.rename_axis("instrument").reset_index()
    own = _history_of(name, history)
    return ranked.merge(own, on="decile", how="left").sort_values(["rank", "instrument"], ignore_index=True)


def _earlier_index(name: str, parameters: RankingParameters, before: pd.DataFrame | None) -> pd.Series:
    """Return the index of an earlier ranking by instrument; nothing where it is of another scaling, or says none."""
    if before is None or "scaling" not in before.columns:
        return pd.Series(dtype="float64")
    same = before[(before["source"] == name) & (before["scaling"] == parameters.scaling)]
    return same.set_index("instrument")["index"]


def _history_of(name: str, history: pd.DataFrame | None) -> pd.DataFrame:
    if history is None:
        none = {column: pd.Series(dtype="float64") for column in HISTORY_COLUMNS}
        return pd.DataFrame(none).astype({"decile": "int64"})
    return history.loc[history["source"] == name, HISTORY_COLUMNS]


def agreement(ranked: pd.DataFrame, members: Mapping[str, list[str]]) -> pd.Series:
    """Return the share of other sources that see an instrument on the same side of the median.

    A combination is compared with its members, a model with all other models. A source without a score of the
    instrument, or one that has it in the median, is on no side.

    Parameters
    ----------
    ranked
        Rankings of all sources below each other: ``source``, ``kind``, ``instrument``, ``index``.
    members
        Models by combination.

    Returns
    -------
    pandas.Series
        On the index of `ranked`; missing where there is no other source.
    """
    sides = np.sign(ranked.pivot(index="instrument", columns="source", values="index")).replace(0.0, np.nan)
    models = list(ranked.loc[ranked["kind"] == "model", "source"].unique())
    shares = {}
    for source in sides.columns:
        others = [each for each in members.get(str(source), models) if each != source and each in sides.columns]
        same = sides[others].eq(sides[source], axis=0).astype("float64").where(sides[others].notna())
        shares[source] = same.mean(axis=1).where(sides[source].notna())
    places = pd.MultiIndex.from_frame(ranked[["source", "instrument"]])
    found = pd.concat(shares, names=["source", "instrument"])
    return found.reindex(places).set_axis(ranked.index).astype("float64")
