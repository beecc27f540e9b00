"""What a model was trained from, as hashes: equal hashes mean that training again would give the same model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.models.bundle import BundleFacts

PARTS = {
    "specification": "its entry in the registry",
    "factors": "its factor expressions",
    "label": "its label",
    "segments": "its training window",
    "features": "the values of its features",
    "labels": "the realised labels",
    "universe": "the universe",
}
"""What a fingerprint is made of, and what to call it."""


def fingerprint(
    facts: BundleFacts,
    features: pd.DataFrame,
    labels: pd.Series,
    members: pd.DataFrame,
    segments: Mapping[str, pd.DatetimeIndex],
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

    Returns
    -------
    dict
        Part, see `PARTS`, to hash. Fields that choose where and when a model runs (tags, enabled) are left out.
    """
    last = segments["valid"][-1]
    spec = facts.spec.model_dump(mode="json", exclude={"tags", "enabled"})
    known = features.index.get_level_values("datetime") <= last
    listed = members.loc[members["date"] <= last, ["date", "instrument"]]
    return {
        "specification": _of_json(spec),
        "factors": _of_json(list(facts.expressions.items())),
        "label": _of_json(facts.label),
        "segments": _of_json({name: [str(day) for day in segments[name]] for name in ("train", "valid")}),
        "features": _of_table(features.loc[known, list(facts.expressions)]),
        "labels": _of_table(labels[labels.index.get_level_values("datetime") <= last].to_frame()),
        "universe": _of_table(listed.set_index(["date", "instrument"])),
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
        Names of `PARTS` that differ; ``["bundle"]`` when there is none; empty when nothing has to be done.
    """
    if stored is None:
        return ["bundle"]
    return [part for part in PARTS if stored.get(part) != wanted[part]]


def _of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _of_table(table: pd.DataFrame) -> str:
    """Hash index and values bit for bit; every missing value counts as the same."""
    digest = hashlib.blake2b(digest_size=8)
    index = table.index.remove_unused_levels()
    for level, codes in zip(index.levels, index.codes, strict=True):
        digest.update("\n".join(level.astype(str)).encode())
        digest.update(np.asarray(codes, dtype=np.int32).tobytes())
    for name in table.columns:
        values = table[name].to_numpy()
        digest.update(str(name).encode())
        digest.update(np.where(np.isnan(values), values.dtype.type(np.nan), values))
    return digest.hexdigest()
