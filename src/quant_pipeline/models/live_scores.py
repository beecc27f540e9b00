"""Scores while a session goes on: as if it closed with the bars that have arrived so far.

The history is read once; each look computes the newest row of every factor only. After the close, with the bars that
the daily run reads, the scores are those of the daily run, bit for bit: both run the same programs.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.factors.engine import compile_factors
from quant_pipeline.factors.feature_sets import with_traded
from quant_pipeline.factors.streaming import FactorStream
from quant_pipeline.market.calendar import as_sessions
from quant_pipeline.market.price_adjustment import PRICES, adjust_bars, multiply
from quant_pipeline.models.inference import InferenceEngine, Scores


class LiveScorer:
    """Score the session that goes on with the champion of a store.

    Parameters
    ----------
    engine
        The champion; it is followed between looks, see `InferenceEngine.refresh`.
    bars, adjusted_bars
        As traded and adjusted, up to the close before the session.
    sessions
        The trading calendar up to that close, as an index or as the catalog's table.
    corporate_actions
        Those that are known; one of the session itself counts.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        bars: pd.DataFrame,
        adjusted_bars: pd.DataFrame,
        sessions: pd.DatetimeIndex | pd.DataFrame,
        corporate_actions: pd.DataFrame,
    ) -> None:
        self._engine, self._adjusted, self._sessions = engine, adjusted_bars, as_sessions(sessions)
        last = bars.groupby("instrument", observed=True).tail(1)
        self._last = last[["date", "instrument", *PRICES, "volume"]]
        self._actions = corporate_actions
        seen = last.set_index("instrument")["date"].reindex(corporate_actions["instrument"]).to_numpy()
        # Nearly no instrument has a split or a dividend in one session: the others keep their factor.
        self._acting = set(corporate_actions.loc[corporate_actions["date"].to_numpy() > seen, "instrument"])
        self._factors = adjusted_bars.groupby("instrument", observed=True)["factor"].last()
        self._prepare()

    @property
    def instruments(self) -> list[str]:
        """Instruments with a bar in the last session of the history: what may trade today."""
        newest = self._last["date"] == self._last["date"].max()
        return list(self._last.loc[newest, "instrument"])

    def score(self, session: pd.Timestamp, bars: pd.DataFrame) -> Scores:
        """Score the session as if it closed now.

        Parameters
        ----------
        session
            The session after the last one of the history.
        bars
            ``instrument``, ``open``, ``high``, ``low``, ``close``, ``volume`` of the session so far, as traded; one row
            per instrument. An instrument without a row has not traded yet, and has no score.

        Returns
        -------
        Scores
            See `InferenceEngine.score`.

        Raises
        ------
        StaleDataError
            When no bar has arrived yet.
        """
        if bars.empty:
            raise StaleDataError(f"no bar of {session:%Y-%m-%d} has arrived yet; wait for the first one.")
        if self._engine.refresh():
            self._prepare()
        adjusted = self._adjust(session, bars)
        today = self._stream.preview(session, adjusted)
        is_traded = today.index.get_level_values("instrument").isin(adjusted["instrument"])
        panel = pd.concat([*self._rows, today[is_traded]]).sort_index()
        rows = np.flatnonzero(panel.index.get_level_values("datetime") == session)
        score = self._engine.bundle.predict(panel, rows).dropna().droplevel("datetime")
        return Scores(score, self._engine.bundle.identity, session)

    def _prepare(self) -> None:
        """Feed the history to the factors of the champion; keep the rows that a sequence model looks back at."""
        facts = self._engine.bundle.facts
        self._stream = FactorStream(compile_factors(with_traded(facts.expressions)))
        back, self._rows = facts.spec.window - 1, list[pd.DataFrame]()
        history = self._engine.history + 1
        sessions = self._sessions if np.isinf(history) else self._sessions[-int(history) :]
        by_session = dict(tuple(self._adjusted[self._adjusted["date"] >= sessions[0]].groupby("date")))
        empty = self._adjusted.iloc[:0]
        for number, day in enumerate(sessions):
            rows = self._stream.update(day, by_session.get(day, empty))
            if number >= len(sessions) - back:
                self._rows.append(rows)

    def _adjust(self, session: pd.Timestamp, bars: pd.DataFrame) -> pd.DataFrame:
        """Adjust the bars of the session as `adjust_bars` would adjust them at the end of the history."""
        today = bars[["instrument", *PRICES, "volume"]].assign(date=session)
        today = today.sort_values("instrument", kind="stable", ignore_index=True)
        factor = self._factors.reindex(today["instrument"]).fillna(1.0).to_numpy(copy=True)
        if (acts := today["instrument"].isin(self._acting)).any():
            factor[acts.to_numpy()] *= self._changes(session, today[acts])
        return multiply(today, factor)

    def _changes(self, session: pd.Timestamp, today: pd.DataFrame) -> np.ndarray:
        """Return what splits and dividends since their last bars change of the factors of some instruments.

        The factor of the first of two bars is 1, so that of the second is the change.
        """
        known = self._last[self._last["instrument"].isin(today["instrument"])]
        both = pd.concat([known, today]).sort_values(["instrument", "date"], kind="stable", ignore_index=True)
        adjusted = adjust_bars(both, self._actions)
        return adjusted.loc[adjusted["date"] == session, "factor"].to_numpy()
