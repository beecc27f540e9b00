"""``kedro models``: what is stored, what training would do, which version scores new sessions, and the way back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import click
import pandas as pd
from kedro.framework.cli.utils import env_option
from kedro.framework.context import KedroContext
from kedro.framework.startup import ProjectMetadata
from kedro.io import CatalogProtocol
from rich.console import Console
from rich.table import Table

from quant_pipeline.cli.sessions import open_session, quiet
from quant_pipeline.cluster import connect, run_namespaces
from quant_pipeline.datasets.bundle import ModelBundles
from quant_pipeline.evaluation.comparison import PromotionGate, paired_rank_ic_test, passes
from quant_pipeline.exceptions import ConfigurationError, ModelError
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.model_registry import load_model_registry
from quant_pipeline.models.bundle import BundleFacts, ModelBundle
from quant_pipeline.models.cross_validation import SplitParameters, split_sessions
from quant_pipeline.models.fingerprint import PARTS, changes, fingerprint
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.store import BundleStore
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.training.nodes import describe_model, predict_out_of_sample
from quant_pipeline.strategy.rules import MarketRules


class Opened(NamedTuple):
    """The project as the commands find it."""

    context: KedroContext
    catalog: CatalogProtocol
    params: dict[str, Any]


class Inputs(NamedTuple):
    """What training one model reads."""

    features: pd.DataFrame
    labels: pd.DataFrame
    members: pd.DataFrame
    sessions: pd.DataFrame
    label: LabelParameters
    split: SplitParameters
    segments: dict[str, pd.DatetimeIndex]
    facts: BundleFacts


@click.group()
def models() -> None:
    """List, plan and train models, promote a candidate, go back to the champion before."""


@models.command(name="list")
@env_option
@click.pass_obj
def list_models(metadata: ProjectMetadata, env: str | None) -> None:
    """Show every registered model, its newest version and the one in use."""
    table = _table("model", "what", "versions", "candidate", "champion", "champions before")
    with _open(metadata, env) as opened:
        for name, spec in load_model_registry().items():
            store = _store(opened, name)
            candidate, champion, champions = store.aliases
            before = ", ".join(reversed(champions[:-1])) or "-"
            table.add_row(name, spec.title, str(store.n_versions), candidate or "-", champion or "-", before)
    Console().print(table)


@models.command()
@env_option
@click.pass_obj
def plan(metadata: ProjectMetadata, env: str | None) -> None:
    """Show which models `kedro run --pipelines training` would train, and why."""
    table = _table("model", "training would", "because")
    with _open(metadata, env) as opened:
        for name, spec in load_model_registry().items():
            table.add_row(name, *_planned(opened, name, spec))
    Console().print(table)


@models.command()
@click.option("--workers", default=2, show_default=True, help="Processes of a cluster on this machine.")
@click.option("--scheduler", help="Address of a Dask scheduler instead, tcp://host:8786.")
@env_option
@click.pass_obj
def train(metadata: ProjectMetadata, workers: int, scheduler: str | None, env: str | None) -> None:
    """Train all enabled models side by side, one session and one MLflow run each."""
    with _open(metadata, env):
        names = list(load_model_registry())
    with connect(scheduler, workers) as client:
        run_namespaces(client, metadata.project_path, env, "training", names)
    click.echo(f"trained {', '.join(names)}; what had not changed was kept")


@models.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Promote although the candidate is not shown to be better.")
@env_option
@click.pass_obj
def promote(metadata: ProjectMetadata, name: str, force: bool, env: str | None) -> None:
    """Let the candidate of model NAME score new sessions, if it beats the champion out of sample."""
    with _open(metadata, env) as opened:
        spec = _registered(name)
        store = _store(opened, name)
        candidate, champion = store.read("candidate"), store.read("champion")
        if candidate.identity == champion.identity:
            click.echo(f"{name}: {candidate.identity} is the champion already")
            return
        gate = PromotionGate.model_validate(opened.params["promotion_gate"])
        inputs = _inputs(opened, spec)
        test = paired_rank_ic_test(
            _test_scores(candidate, inputs),
            _test_scores(champion, inputs),
            inputs.labels["label"],
            inputs.label.horizon,
        )
        click.echo(
            f"{name}: rank IC {test['candidate']:.4f} against {test['champion']:.4f} of the champion over "
            f"{test['sessions']} sessions, t = {test['t']:.2f}, p = {test['p_value']:.3f}"
        )
        if not (force or passes(test, gate)):
            raise ModelError(
                f"{name}: candidate {candidate.identity} is not shown to be better than champion {champion.identity} "
                f"(`promotion_gate` asks for a difference above {gate.minimum_difference} with p at most "
                f"{gate.significance}). The champion stays; --force promotes all the same."
            )
        _show_champion(opened, name, store.promote())
        click.echo(f"{name}: {candidate.identity} scores new sessions from now on; back: kedro models rollback {name}")


@models.command()
@click.argument("name")
@env_option
@click.pass_obj
def rollback(metadata: ProjectMetadata, name: str, env: str | None) -> None:
    """Let the champion before the present one of model NAME score new sessions again."""
    with _open(metadata, env) as opened:
        _registered(name)
        identity = _store(opened, name).roll_back()
        _show_champion(opened, name, identity)
    click.echo(f"{name}: {identity} scores new sessions again")


def _planned(opened: Opened, name: str, spec: ModelSpec) -> tuple[str, str]:
    if not opened.catalog.exists(f"{spec.features}_features"):
        return "wait", f"features '{spec.features}' are not there; run `kedro run --pipelines features`"
    inputs = _inputs(opened, spec)
    found = opened.catalog.load(f"{name}.bundle_as_found")
    wanted = fingerprint(inputs.facts, inputs.features, inputs.labels["label"], inputs.members, inputs.segments)
    reasons = changes(found.facts.inputs if found else None, wanted)
    if not reasons:
        return "keep it", "nothing it was trained from has changed"
    return "train it", ", ".join(
        f"{PARTS[part]} changed" if part in PARTS else "there is no bundle" for part in reasons
    )


def _inputs(opened: Opened, spec: ModelSpec) -> Inputs:
    load, parameters = opened.catalog.load, opened.params
    sessions = load("sessions")
    label = LabelParameters.model_validate(parameters["label"])
    split = SplitParameters.model_validate(parameters["split"])
    segments = split_sessions(pd.DatetimeIndex(sessions["date"]), split, label.horizon)
    feature_set = FeatureSet.model_validate(parameters["feature_sets"][spec.features])
    rules = MarketRules.model_validate(parameters["market_rules"])
    facts = describe_model(spec, feature_set, label, rules, segments)
    features, labels, members = (load(table) for table in (f"{spec.features}_features", "labels", "universe_members"))
    return Inputs(features, labels, members, sessions, label, split, segments, facts)


def _test_scores(bundle: ModelBundle, inputs: Inputs) -> pd.Series:
    scores = predict_out_of_sample(bundle, inputs.features, inputs.members, inputs.sessions, inputs.label, inputs.split)
    return scores.loc[scores["segment"] == "test", "score"]


def _registered(name: str) -> ModelSpec:
    registry = load_model_registry()
    if name not in registry:
        raise ConfigurationError(
            f"there is no enabled model '{name}' in parameters_models.yml; there are {', '.join(registry)}"
        )
    return registry[name]


def _store(opened: Opened, name: str) -> BundleStore:
    dataset = opened.catalog.get(f"{name}.bundle@candidate")
    if not isinstance(dataset, ModelBundles):
        raise ConfigurationError(f"catalog entry '{name}.bundle@candidate' has to be a ModelBundles dataset")
    return dataset.store


@contextmanager
def _open(metadata: ProjectMetadata, env: str | None) -> Iterator[Opened]:
    with quiet(), open_session(metadata, env) as session:
        context = session.load_context()
        # The context makes its catalog anew, from all files, whenever it is asked.
        yield Opened(context, context.catalog, context.params)


def _show_champion(opened: Opened, name: str, identity: str) -> None:
    from quant_pipeline.tracking.registry import show_champion

    show_champion(opened.context, name, identity)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table
