"""Models as the commands find them: what training one reads, and the store of its versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from quant_pipeline.cli.opened_project import OpenedProject, open_project
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of
from quant_pipeline.datasets.bundle import ModelBundles
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.factors.labels import describe_label, expression_of
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.models.bundle import BundleFacts, ModelBundle
from quant_pipeline.models.date_splits import SplitParameters, split_sessions
from quant_pipeline.models.digests import KnownTables
from quant_pipeline.models.fingerprint import PARTS, changes, fingerprint
from quant_pipeline.models.panels import Features
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.store import BundleStore
from quant_pipeline.models.window_lengths import next_refit_date
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.training.nodes import predict_out_of_sample
from quant_pipeline.pipelines.training.records import ModelSetting
from quant_pipeline.project.model_registry import label_dataset, load_model_registry, use_config_loader


class Inputs(NamedTuple):
    """What training one model reads."""

    features: Features
    labels: pd.DataFrame
    members: pd.DataFrame
    sessions: pd.DataFrame
    label: LabelParameters
    split: SplitParameters
    segments: dict[str, pd.DatetimeIndex]
    facts: BundleFacts


@contextmanager
def open_models(place: Place, env: str | None, params: dict[str, Any] | None = None) -> Iterator[OpenedProject]:
    """Open the project; the registry of models is that of the environment, and of ``--params``, from now on."""
    with open_project(place, env, params) as opened:
        use_config_loader(opened.configuration)
        yield opened


def plan_training(opened: OpenedProject, registry: Mapping[str, ModelSpec]) -> dict[str, tuple[str, str, str]]:
    """Say what every model learns, what training would do with it, and why.

    Tables that models share are read and hashed once.
    """
    load = cache(opened.catalog.load)
    known = KnownTables()
    price = opened.rules("market_rules", MarketRules).deal_price
    return {
        name: (
            describe_label(expression_of(label_of(opened, spec), price)),
            *_plan_one(opened, name, spec, load, known),
        )
        for name, spec in registry.items()
    }


def label_of(opened: OpenedProject, spec: ModelSpec) -> LabelParameters:
    """Return what a model learns to predict."""
    if spec.label is None:
        return opened.rules("label", LabelParameters)
    return LabelParameters.model_validate(spec.label.model_dump())


def describe_windows(opened: OpenedProject, registry: Mapping[str, ModelSpec]) -> list[str]:
    """Say on which sessions training would train each label, and when its windows move."""
    split = opened.rules("split", SplitParameters)
    if not opened.catalog.exists("sessions"):
        return []
    sessions = opened.catalog.load("sessions")
    days, _ = known_at(opened.parameters["as_of"], sessions, sessions)
    horizons = {label_of(opened, spec).horizon for spec in registry.values()}
    horizons = horizons or {opened.rules("label", LabelParameters).horizon}
    spans = [
        (f"label of {horizon} session{'' if horizon == 1 else 's'}: " if len(horizons) > 1 else "")
        + ", ".join(
            f"{name} {part[0]:%Y-%m-%d} to {part[-1]:%Y-%m-%d}"
            for name, part in split_sessions(days, split, horizon).items()
        )
        for horizon in sorted(horizons)
    ]
    if split.moves:
        moves = f"The windows move {split.refit}, next on {next_refit_date(days[-1], split.refit):%Y-%m-%d}."
        return [
            *spans,
            moves if split.anchor is None else f"The windows are anchored at {split.anchor} and do not move.",
        ]
    return [
        *spans,
        "These dates are fixed: with the same data, training again trains nothing. Lengths move with the calendar: "
        "`split: {train: 8 years, valid: 2 years, test: 3 years, refit: monthly}`.",
    ]


def _plan_one(
    opened: OpenedProject, name: str, spec: ModelSpec, load: Callable[[str], Any], known: KnownTables
) -> tuple[str, str]:
    if not opened.catalog.exists(f"{spec.features}_features"):
        command = in_environment("kedro run --pipelines features", opened.configuration.environment)
        return "wait", f"features '{spec.features}' are not there; run `{command}`"
    if not opened.catalog.exists(label_dataset(spec)):
        command = in_environment("kedro run --pipelines features", opened.configuration.environment)
        return "wait", f"its labels are not there; run `{command}`"
    inputs = inputs_of(opened, spec, load)
    found = bundles_of(opened, f"{name}.bundle_as_found").load_facts()
    wanted = fingerprint(inputs.facts, inputs.features, inputs.labels["label"], inputs.members, inputs.segments, known)
    reasons = changes(found.inputs if found else None, wanted)
    if not reasons:
        return "keep it", "nothing it was trained from has changed"
    return "train it", ", ".join(
        f"{PARTS[part]} changed" if part in PARTS else "there is no bundle" for part in reasons
    )


def inputs_of(opened: OpenedProject, spec: ModelSpec, load: Callable[[str], Any] | None = None) -> Inputs:
    """Load what training a model reads; `load` may give tables that are in memory already."""
    load = load or opened.catalog.load
    sessions = load("sessions")
    label = label_of(opened, spec)
    split = opened.rules("split", SplitParameters)
    segments = split_sessions(pd.DatetimeIndex(sessions["date"]), split, label.horizon)
    feature_set = FeatureSet.model_validate(opened.parameters["feature_sets"][spec.features])
    rules = opened.rules("market_rules", MarketRules)
    facts = ModelSetting(spec, feature_set, label, rules).describe(segments)
    tables = (f"{spec.features}_features", label_dataset(spec), "universe_members")
    features, labels, members = (load(table) for table in tables)
    return Inputs(features, labels, members, sessions, label, split, segments, facts)


def scores_of_test(bundle: ModelBundle, inputs: Inputs) -> pd.Series:
    """Score the test segment."""
    scores = predict_out_of_sample(bundle, inputs.features, inputs.members, inputs.sessions, inputs.label, inputs.split)
    return scores.loc[scores["segment"] == "test", "score"]


def registered(name: str) -> ModelSpec:
    """Return the specification of an enabled model, or name those there are."""
    registry = load_model_registry()
    if name not in registry:
        raise ConfigurationError(
            f"there is no enabled model '{name}' in parameters_models.yml; there are {first_of(registry)}"
        )
    return registry[name]


def store_of(opened: OpenedProject, name: str) -> BundleStore:
    """Return the store of the versions of a model."""
    return bundles_of(opened, f"{name}.bundle@candidate").store


def bundles_of(opened: OpenedProject, entry: str) -> ModelBundles:
    """Return a dataset of bundles."""
    dataset = opened.catalog.get(entry)
    if not isinstance(dataset, ModelBundles):
        raise ConfigurationError(f"catalog entry '{entry}' has to be a ModelBundles dataset")
    return dataset
