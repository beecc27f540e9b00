"""Scores of one session by where they come from: combinations, models, a file."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.factors.labels import require_price, stated_label
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble.provenance import (
    BUNDLES,
    WEIGHTS,
    bundle_of,
    fingerprint_of_weights,
    require_champions,
    state_bundles,
    stated_bundles,
)
from quant_pipeline.pipelines.order_generation.parameters import FILE, FUSED

logger = logging.getLogger(__name__)


def scores_by_source(
    latest_fused_scores: pd.DataFrame | None,
    latest_scores: Mapping[str, pd.DataFrame],
    score_file: pd.DataFrame | None,
) -> dict[str, pd.DataFrame]:
    """Arrange the newest scores by source: combinations, then models, then the file when there is one.

    Returns
    -------
    dict of pandas.DataFrame
        ``datetime``, ``instrument``, ``score``, ``kind`` (``combination``, ``model`` or ``file``); ``label``, what was
        predicted, and ``bundles``, what scored: a file does not say it; ``weights_sha256`` of a combination.
    """
    columns = ["datetime", "instrument", "score"]
    sources = {}
    if latest_fused_scores is not None:
        for name, table in latest_fused_scores.groupby("combination", sort=False):
            made = table[[column for column in (*columns, BUNDLES, WEIGHTS) if column in table.columns]]
            sources[str(name)] = made.assign(kind="combination", label=stated_label(table))
    for name, table in latest_scores.items():
        model = name.removesuffix("_latest_scores")
        if table.empty:
            continue
        facts = {"kind": "model", "label": stated_label(table), BUNDLES: state_bundles({model: bundle_of(table)})}
        sources.setdefault(model, table.reset_index()[columns].assign(**facts))
    if score_file is not None:
        sources[FILE] = score_file[columns].assign(kind="file")
    return sources


def choose_source(
    sources: Mapping[str, pd.DataFrame],
    source: str,
    ensemble: EnsembleParameters,
    session: pd.Timestamp,
    deal_price: DealPrice,
) -> pd.DataFrame:
    """Return the scores that become orders.

    Returns
    -------
    pandas.DataFrame
        The rows of the session, see `scores_by_source`.

    Raises
    ------
    ConfigurationError
        When there is no such source, or its models predict returns between other prices than those that orders execute
        at.
    StaleDataError
        When its scores are not of the session, or do not state what they predict.
    """
    name = ensemble.default if source == FUSED else source
    if name not in sources and name == FILE:
        raise ConfigurationError(
            "order_generation.source is `file`, but there is no file of scores; write instrument, date and score into "
            "01_raw/scores.csv of the account, or give --params scores=<file>"
        )
    if name not in sources and source != FUSED:
        raise ConfigurationError(
            f"order_generation.source is '{source}', which is neither a combination nor a model with scores; there are "
            f"{first_of([FUSED, *sources])}"
        )
    table = sources.get(name, pd.DataFrame({"datetime": [], "instrument": [], "score": []}))
    today = table[table["datetime"] == session]
    if today.empty:
        found = "there are none" if table.empty else f"they are of {table['datetime'].max():%Y-%m-%d}"
        command = f"Run `kedro run --pipelines prediction --params as_of={session:%Y-%m-%d}` first."
        raise StaleDataError(
            f"orders of {session:%Y-%m-%d} need {source} scores of that session, but {found}. "
            f"{'Bring the file up to date.' if name == FILE else command}"
        )
    _require_price(name, today, deal_price)
    return today


def sources_of_session(
    sources: Mapping[str, pd.DataFrame], session: pd.Timestamp, deal_price: DealPrice
) -> dict[str, pd.DataFrame]:
    """Keep the scores of one session and execution price; a source without them is left out, with a warning."""
    kept = {}
    for name, table in sources.items():
        today = table[table["datetime"] == session]
        if today.empty:
            logger.warning("%s has no scores of %s and is left out of the opinions", name, f"{session:%Y-%m-%d}")
            continue
        try:
            _require_price(name, today, deal_price)
        except (ConfigurationError, StaleDataError) as error:
            logger.warning("left out of the opinions: %s", error)
            continue
        kept[name] = today
    return kept


def _require_price(name: str, today: pd.DataFrame, deal_price: DealPrice) -> None:
    """Refuse scores of models that predict what orders at this price do not earn; a file does not say what it is of."""
    if today["kind"].iloc[0] == "file":
        return
    remedy = f"`kedro run --pipelines prediction --params as_of={today['datetime'].iloc[0]:%Y-%m-%d}`"
    trained = (
        f"train for it (`kedro run --pipelines features,training`), promote where promotion is gated, and run {remedy}"
    )
    require_price(name, stated_label(today), deal_price, remedy=f"score the session again: {remedy}", trained=trained)


@dataclass(frozen=True)
class InForce:
    """What scores of models have to be made by.

    Attributes
    ----------
    champions
        Champion by model.
    ensemble_weights
        ``combination``, ``model``, ``weight``, ``session``: newest weights. None of the two where the scores of a file
        become the orders.
    """

    champions: dict[str, str] | None = None
    ensemble_weights: pd.DataFrame | None = None

    def require(self, name: str, today: pd.DataFrame) -> None:
        """Refuse scores that were made by other bundles or weights; a file does not say what it was made from.

        Parameters
        ----------
        name
            Combination, model or file.
        today
            Its scores of the session, see `choose_source`.

        Raises
        ------
        StaleDataError
            When they are not in force.
        """
        kind, session = today["kind"].iloc[0], today["datetime"].iloc[0]
        if kind == FILE:
            return
        require_champions(name, stated_bundles(today), self.champions or {}, session)
        if kind == "combination" and today[WEIGHTS].iloc[0] != fingerprint_of_weights(self.ensemble_weights, name):
            raise StaleDataError(
                f"the weights of combination '{name}' were renewed after its scores of {session:%Y-%m-%d} were fused. "
                f"Fuse them again: `kedro run --pipelines prediction --params as_of={session:%Y-%m-%d}`"
            )


def fingerprint_of_scores(today: pd.DataFrame) -> str:
    """Return the SHA-256 of the scores of a session.

    It is not one of bytes of memory, so that anybody can compute it from the table of scores.
    """
    scores = today.set_index("instrument")["score"]
    return hashlib.sha256(scores.sort_index().to_csv(header=False).encode()).hexdigest()


def provenance_of(today: pd.DataFrame) -> dict[str, str]:
    """Name what made the scores of a session.

    Returns
    -------
    dict of str
        ``bundle.<model>`` to the identity of its bundle, and ``weights_sha256`` of a combination; empty for a file.
    """
    facts = {f"bundle.{model}": identity for model, identity in (stated_bundles(today) or {}).items()}
    return facts | ({WEIGHTS: str(today[WEIGHTS].iloc[0])} if WEIGHTS in today.columns else {})
