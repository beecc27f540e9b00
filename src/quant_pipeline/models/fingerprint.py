"""What a model was trained from, as hashes: equal hashes mean that training again would give the same model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from quant_pipeline.market.data import SOURCE, source_of
from quant_pipeline.models.algorithms import find_algorithm
from quant_pipeline.models.bundle import BundleFacts
from quant_pipeline.models.digests import DEFINITION, KnownTables, digest_of
from quant_pipeline.models.panels import Features, as_panel

CONTINUED = "continued_from"
"""Part of the fingerprint of a bundle that went on from another one: the identity of that one."""
ARITHMETIC, HASHING = "arithmetic", "hashing"
VERSIONS: Final = {ARITHMETIC: "1", HASHING: "1"}
"""Parts that are versions of the project, and what a bundle is of that does not say it."""
VALUES: Final = ("features", "labels", "universe")
"""Parts that are comparable only where both were hashed the same way."""
PARTS = {
    "specification": "its entry in the registry",
    "factors": "its factor expressions",
    "label": "its label",
    "segments": "its training window",
    "features": "the values of its features",
    "labels": "the realised labels",
    "universe": "the universe",
    SOURCE: "what made its bars",
    CONTINUED: "what it was continued from",
    ARITHMETIC: "the arithmetic of its algorithm",
    HASHING: "how its inputs are hashed",
}
"""What a fingerprint is made of, and what to call it."""


def fingerprint(
    facts: BundleFacts,
    features: Features,
    labels: pd.Series,
    members: pd.DataFrame,
    segments: Mapping[str, pd.DatetimeIndex],
    known: KnownTables | None = None,
) -> dict[str, str]:
    """Hash everything that training depends on, part by part.

    Parameters
    ----------
    facts
        What the bundle is to say about itself.
    features, labels, members
        As for `models.training.train_bundle`; only sessions up to the last one of ``valid`` enter.
    segments
        ``train`` and ``valid`` sessions.
    known
        What is known of the digests of tables, which calls with the same tables share.

    Returns
    -------
    dict
        Part, see `PARTS`, to hash; the source is in words, versions are numbers, and only `continue_or_keep` adds what
        was continued. Fields that choose where and when a model runs (tags, enabled) are left out, and its label, which
        is a part.
    """
    last = segments["valid"][-1]
    spec = facts.spec.model_dump(mode="json", exclude={"tags", "enabled", "label"})
    known = KnownTables() if known is None else known
    panel = known.panel_of(features) if isinstance(features, pd.DataFrame) else features
    label = known.panel_of(labels.to_frame("label"))
    universe = known.panel_of(members, index=["date", "instrument"])
    return {
        "specification": _of_json(spec),
        "factors": _of_json(list(facts.expressions.items())),
        "label": _of_json(facts.label),
        "segments": _of_json({name: [str(day) for day in segments[name]] for name in ("train", "valid")}),
        "features": digest_of(panel, facts.columns, last),
        "labels": digest_of(label, ["label"], last),
        "universe": digest_of(universe, [], last),
        SOURCE: source_of(as_panel(features)),
        ARITHMETIC: str(find_algorithm(facts.spec.algorithm).arithmetic_of(facts.spec.hyper)),
        HASHING: str(DEFINITION),
    }


def changes(stored: Mapping[str, str] | None, wanted: Mapping[str, str]) -> list[str]:
    """Say why a model has to be trained.

    Parameters
    ----------
    stored
        Fingerprint of the bundle at hand; None when there is none.
    wanted
        Fingerprint of what would be trained now.

    Returns
    -------
    list of str
        Names of `PARTS` that differ; ``["bundle"]`` when there is none; empty when nothing has to be done. Where values
        were hashed another way, it is not known whether they differ.
    """
    if stored is None:
        return ["bundle"]
    said = VERSIONS | dict(stored)
    unknown = VALUES if said[HASHING] != wanted[HASHING] else ()
    return [part for part in PARTS if part not in unknown and said.get(part, "") != wanted.get(part, "")]


def _of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
