"""Scores for newly arrived bars, by the current champion.

A process that runs all day asks `InferenceEngine.refresh` between bars: a new champion is read and verified on its
golden rows beside the old one, and only then takes its place. Whatever is wrong with it, the old one keeps scoring.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import ModelError, StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.factors.engine import compile_factors, compute_factors
from quant_pipeline.factors.feature_sets import FROM_FILE, with_traded
from quant_pipeline.market.calendar import as_sessions
from quant_pipeline.models.bundle import ModelBundle
from quant_pipeline.models.store import BundleStore

logger = logging.getLogger(__name__)


class Scores(NamedTuple):
    """Scores of one session, and what they were made of.

    Attributes
    ----------
    score
        By instrument, float64; an instrument whose window is not complete is absent.
    bundle
        Identity of the bundle.
    watermark
        Session of the newest bar that entered: the scores are known after its close.
    """

    score: pd.Series
    bundle: str
    watermark: pd.Timestamp


class InferenceEngine:
    """Score the newest session with the champion of a store.

    Parameters
    ----------
    store
        Versions of one model.

    Raises
    ------
    ModelError
        When there is no champion that can be verified, or it reads factors from a file.
    """

    def __init__(self, store: BundleStore) -> None:
        self._store = store
        self._bundle = _computable(store.read("champion"))
        self._identity = self._bundle.identity
        self._refused: str | None = None

    @property
    def bundle(self) -> ModelBundle:
        """The bundle that scores at present."""
        return self._bundle

    @property
    def history(self) -> float:
        """Sessions, the newest included, that a score depends on; infinite when it is the whole history."""
        return self._bundle.facts.spec.window + compile_factors(self._bundle.facts.expressions).program.back

    def refresh(self) -> bool:
        """Follow the champion's alias, and return whether another bundle scores from now on.

        A champion that cannot be verified is refused once with a logged error; the present one stays.
        """
        identity = self._store.aliases.champion
        if identity is None or identity in (self._identity, self._refused):
            return False
        try:
            bundle = _computable(self._store.read_version(identity))
        except ModelError as error:
            self._refused = identity
            logger.error("champion %s is refused, %s keeps scoring: %s", identity, self._identity, error.message)
            return False
        logger.info("champion %s takes the place of %s", identity, self._identity)
        self._bundle, self._identity, self._refused = bundle, identity, None
        return True

    def score(self, adjusted_bars: pd.DataFrame, sessions: pd.DatetimeIndex | pd.DataFrame) -> Scores:
        """Score the newest session.

        Parameters
        ----------
        adjusted_bars
            Adjusted bars up to the session to score, of at least the sessions that `history` counts; earlier ones are
            not read.
        sessions
            The trading calendar up to that session, as an index or as the catalog's table.

        Returns
        -------
        Scores
            Equal to what the daily run writes for that session.

        Raises
        ------
        StaleDataError
            When no instrument has a bar in the newest session.
        """
        sessions = as_sessions(sessions)
        watermark = sessions[-1]
        if not (adjusted_bars["date"] == watermark).any():
            newest = adjusted_bars["date"].max()
            raise StaleDataError(
                f"no bar of {watermark:%Y-%m-%d} has arrived yet; the newest are of {newest:%Y-%m-%d}."
            )
        bundle = self._bundle
        first = sessions[-bundle.facts.spec.window :][0]
        panel = compute_factors(adjusted_bars, with_traded(bundle.facts.expressions), sessions, start=first)
        rows = np.flatnonzero(panel.index.get_level_values("datetime") == watermark)
        score = bundle.predict(panel, rows).dropna().droplevel("datetime")
        return Scores(score, bundle.identity, watermark)


def _computable(bundle: ModelBundle) -> ModelBundle:
    """Return the bundle if all its factors are computed from bars."""
    read = [name for name, expression in bundle.facts.expressions.items() if expression.startswith(FROM_FILE)]
    if read:
        raise ModelError(
            f"{bundle.facts.spec.title} reads {first_of(read)} from a {bundle.facts.expressions[read[0]]}, which "
            "the engine cannot compute from bars. Score it by the daily run: kedro run --pipelines prediction"
        )
    return bundle
