"""Folds that several trainings share: what is the same for all of them is made once."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any

import pandas as pd

from quant_pipeline.factors.processors import ProcessorChain
from quant_pipeline.models.bundle import BundleFacts, ModelBundle
from quant_pipeline.models.panels import Features
from quant_pipeline.models.processed import fits_in_memory
from quant_pipeline.models.training import Prepared, fit_bundle, prepare, train_bundle


class SharedFolds:
    """Train models that differ in their hyper-parameters on the same folds, over and over.

    Processors learn a fold once. What they make of its features, and what an algorithm makes of these, is kept for the
    folds that fit together into the memory that one array of features may take; others are processed again.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Prepared] = {}
        self._learned: dict[Hashable, ProcessorChain] = {}
        self._values = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel empty: every process makes its own."""
        return SharedFolds, ()

    def train(
        self,
        facts: BundleFacts,
        features: Features,
        labels: pd.Series,
        members: pd.DataFrame,
        segments: dict[str, pd.DatetimeIndex],
    ) -> ModelBundle:
        """Train as `train_bundle` does, with the same bits; features, labels and members are the same in every call."""
        if not self._lock.acquire(blocking=False):
            # Another thread of this worker trains on what is shared.
            return train_bundle(facts, features, labels, members, segments)
        try:
            return fit_bundle(facts, self._prepared(facts, features, labels, members, segments))
        finally:
            self._lock.release()

    def _prepared(
        self,
        facts: BundleFacts,
        features: Features,
        labels: pd.Series,
        members: pd.DataFrame,
        segments: dict[str, pd.DatetimeIndex],
    ) -> Prepared:
        spec = facts.spec
        processors = tuple(each.model_dump_json() for each in spec.processors)
        sessions = tuple((name, tuple(segments[name].asi8)) for name in ("train", "valid"))
        fold = processors, tuple(facts.columns), facts.label, spec.window, sessions
        prepared = self._kept.get(fold)
        if prepared is None:
            prepared = prepare(facts, features, labels, members, segments, self._learned.get(fold))
            self._learned[fold] = prepared.chain
            prepared = self._keep(fold, prepared)
        return prepared

    def _keep(self, fold: Hashable, prepared: Prepared) -> Prepared:
        """Keep what is prepared, if there is room."""
        values = len(prepared.known.index) * len(prepared.known.columns)
        if not fits_in_memory(self._values + values, 1):
            return prepared
        self._values += values
        samples = {name: each.kept() for name, each in prepared.samples.items()}
        self._kept[fold] = prepared._replace(samples=samples)
        return self._kept[fold]
