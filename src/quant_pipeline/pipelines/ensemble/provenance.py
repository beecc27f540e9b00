"""What scores were made from, stated in their tables, and whether it is still in force.

A table of scores outlives its bundles: after a promotion, the scores of the session are still those of the bundle
before. So every table names its bundles, and order generation compares them with the champions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import pandas as pd

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.common.json_files import parse_object

BUNDLES = "bundles"
"""Column of scores: the bundle of every model behind them, as a JSON object."""
WEIGHTS = "weights_sha256"
"""Column of fused scores: see `fingerprint_of_weights`."""


def bundle_of(table: pd.DataFrame) -> str:
    """Return the identity of the bundle that made the scores of a model; empty when the table does not state it."""
    return str(table["bundle"].iloc[0]) if "bundle" in table.columns and len(table) else ""


def bundles_behind(weights: pd.DataFrame | None, combination: str) -> dict[str, str]:
    """Return the bundles from whose scores a combination was made, by model; without those that are not stated.

    Parameters
    ----------
    weights
        ``ensemble_weights`` or their history: ``combination``, ``model`` and ``bundle``, which is empty or missing in
        tables of former versions.
    combination
        Name of the combination.
    """
    if weights is None or "bundle" not in weights.columns:
        return {}
    own = weights[weights["combination"] == combination]
    made_by = zip(own["model"].astype(str), own["bundle"].astype(str), strict=True)
    return {model: bundle for model, bundle in sorted(made_by) if bundle}


def weighed_by_others(weights: pd.DataFrame, combination: str, champions: Mapping[str, str]) -> dict[str, str]:
    """Return the bundles from whose scores weights were estimated, of the models of which another one scores now.

    Parameters
    ----------
    weights
        See `bundles_behind`.
    combination
        Name of the combination.
    champions
        Champion by model.
    """
    made_by = bundles_behind(weights, combination)
    return {model: bundle for model, bundle in made_by.items() if bundle != champions.get(model)}


def state_bundles(bundles: Mapping[str, str]) -> str:
    """Write the bundles behind scores, by model, as the text that the column `BUNDLES` holds."""
    return json.dumps(dict(bundles), sort_keys=True)


def stated_bundles(table: pd.DataFrame) -> dict[str, str] | None:
    """Read the bundles behind scores; None when the table does not state them, as those of former versions.

    Raises
    ------
    StaleDataError
        When what it states is damaged.
    """
    if BUNDLES not in table.columns or table.empty:
        return None
    try:
        return parse_object(table[BUNDLES].iloc[0])
    except (TypeError, ValueError) as error:
        raise StaleDataError(
            f"the column '{BUNDLES}' of scores does not say which bundles have made them ({error}). Predict them "
            "again: `kedro run --pipelines prediction`"
        ) from error


def fingerprint_of_weights(weights: pd.DataFrame, combination: str) -> str:
    """Hash the weights of one combination.

    Parameters
    ----------
    weights
        ``ensemble_weights``: ``combination``, ``model``, ``weight``, ``session``.
    combination
        Name of the combination.
    """
    rows = weights[weights["combination"] == combination].sort_values("model")
    lines = [f"{row.model} {row.weight!r} {row.session:%Y-%m-%d}" for row in rows.itertuples()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def require_champions(
    name: str, bundles: Mapping[str, str] | None, champions: Mapping[str, str], session: pd.Timestamp
) -> None:
    """Refuse scores of bundles that are not in force any more.

    Parameters
    ----------
    name
        Of the scores, for the message.
    bundles
        What made them, see `stated_bundles`.
    champions
        Champion by model.
    session
        Session of the scores.

    Raises
    ------
    StaleDataError
        When a bundle is not the champion of its model, or the scores do not say what made them.
    """
    remedy = f"Score the session again: `kedro run --pipelines prediction --params as_of={session:%Y-%m-%d}`"
    if bundles is None:
        raise StaleDataError(f"the scores of {name} do not say which bundles made them. {remedy}")
    for model, made_by in bundles.items():
        champion = champions.get(model)
        if made_by != champion:
            now = f"the champion is {champion} by now" if champion else "it has no champion any more"
            raise StaleDataError(f"the scores of {name} come from bundle {made_by} of {model}, but {now}. {remedy}")
