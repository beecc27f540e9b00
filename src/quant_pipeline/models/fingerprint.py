"""What a model was trained from, as hashes: equal hashes mean that training again would give the same model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from quant_pipeline.market.data import SOURCE, source_of
from quant_pipeline.models.bundle import BundleFacts
from quant_pipeline.models.panel_rows import known_at_close
from quant_pipeline.models.panels import AT_ONCE, FeaturePanel, Features, MemoryPanel, PanelView, as_panel

CONTINUED = "continued_from"
"""Part of the fingerprint of a bundle that went on from another one: the identity of that one."""
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
}
"""What a fingerprint is made of, and what to call it."""

MOST_KNOWN: Final = 64
_known: dict[Hashable, str] = {}
"""Hashes of panels in files, by their `content`."""

Hashed = dict[Hashable, tuple[Any, str]]
"""Tables with their hashes, by what was asked for."""


def fingerprint(
    facts: BundleFacts,
    features: Features,
    labels: pd.Series,
    members: pd.DataFrame,
    segments: Mapping[str, pd.DatetimeIndex],
    hashed: Hashed | None = None,
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
    hashed
        Hashes so far, which calls with the same tables share: models of one feature set would
        hash the same hundreds of megabytes one after the other.

    Returns
    -------
    dict
        Part, see `PARTS`, to hash; the source is in words, and only `continue_or_keep` adds what was continued. Fields
        that choose where and when a model runs (tags, enabled) are left out, and its label, which is a part.
    """
    last = segments["valid"][-1]
    spec = facts.spec.model_dump(mode="json", exclude={"tags", "enabled", "label"})
    hashed = {} if hashed is None else hashed

    def hash_once(part: str, table: Any, make: Callable[[], str], *which: str) -> str:
        question = part, id(table), which, last
        if question not in hashed:
            # The table itself is kept too, or another one could come to lie at its address.
            hashed[question] = table, make()
        return hashed[question][1]

    def known_features() -> str:
        return _of_panel(PanelView(known_at_close(features, last), columns=facts.columns))

    def known_labels() -> str:
        return _of_panel(MemoryPanel(labels[labels.index.get_level_values("datetime") <= last].to_frame()))

    def known_members() -> str:
        known = members.loc[members["date"] <= last, ["date", "instrument"]]
        return _of_panel(MemoryPanel(known.set_index(["date", "instrument"])))

    return {
        "specification": _of_json(spec),
        "factors": _of_json(list(facts.expressions.items())),
        "label": _of_json(facts.label),
        "segments": _of_json({name: [str(day) for day in segments[name]] for name in ("train", "valid")}),
        "features": hash_once("features", features, known_features, *facts.columns),
        "labels": hash_once("labels", labels, known_labels),
        "universe": hash_once("universe", members, known_members),
        SOURCE: source_of(as_panel(features)),
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
    return [part for part in PARTS if stored.get(part, "") != wanted.get(part, "")]


def _of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _of_panel(panel: FeaturePanel) -> str:
    """Hash what a panel holds; one whose files have not changed is read once in a process, for all models of a run."""
    content = panel.content
    if content is None:
        return _of_values(panel)
    if content not in _known:
        digest = _of_values(panel)
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[content] = digest
    return _known[content]


def _of_values(panel: FeaturePanel) -> str:
    """Hash index and values bit for bit, some columns after the others; every missing value counts as the same."""
    digest = hashlib.blake2b(digest_size=8)
    index = panel.index.remove_unused_levels()
    for level, codes in zip(index.levels, index.codes, strict=True):
        digest.update("\n".join(level.astype(str)).encode())
        digest.update(np.asarray(codes, dtype=np.int32).tobytes())
    columns = list(panel.columns)
    at_once = max(AT_ONCE // max(len(index), 1), 1)
    for first in range(0, len(columns), at_once):
        table = panel.read(columns=columns[first : first + at_once])
        for name in table.columns:
            values = table[name].to_numpy()
            digest.update(str(name).encode())
            digest.update(np.where(np.isnan(values), values.dtype.type(np.nan), values))
    return digest.hexdigest()
