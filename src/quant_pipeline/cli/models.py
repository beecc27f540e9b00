"""``kedro models list|plan|train|continue|verify|promote|rollback|as-of|export``: versions, training, other formats.

Commands import what they need when they are called: Kedro imports this module to describe it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import ProjectGroup, TypedPath, env_option, name_cluster, params_option, read_date
from quant_pipeline.cli.sessions import Place, open_session
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.listing import first_of

if TYPE_CHECKING:
    from rich.table import Table


@click.group(cls=ProjectGroup)
def models() -> None:
    """List, plan, train, continue and export models, promote a candidate, go back to former champions."""


@models.command(name="list")
@env_option
@params_option
@click.pass_obj
def list_models(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Show the versions of every model that score, wait or have scored: what they learned from, rank IC, age."""
    from quant_pipeline.cli.model_versions import COLUMNS, describe_versions
    from quant_pipeline.cli.opened_models import open_models
    from quant_pipeline.project.model_registry import load_model_registry

    with open_models(metadata, env, params) as opened:
        rows = describe_versions(opened, load_model_registry())
    _print(_where_labels_differ(COLUMNS, rows))


@models.command()
@env_option
@params_option
@click.pass_obj
def plan(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Show which models `kedro run --pipelines training` would train, on which dates, and why."""
    from quant_pipeline.cli.opened_models import describe_windows, open_models, plan_training
    from quant_pipeline.project.model_registry import load_model_registry

    with open_models(metadata, env, params) as opened:
        rows = [(name, *planned) for name, planned in plan_training(opened, load_model_registry()).items()]
        windows = describe_windows(opened, load_model_registry())
    _print(_where_labels_differ(("model", "label", "training would", "because"), rows))
    for line in windows:
        click.echo(line)


@models.command()
@click.option(
    "--cluster",
    help="Processes to start on this machine, or the address of a Dask scheduler, tcp://host:8786; `cluster` of the "
    "parameters, or 2, when it is not given.",
)
@env_option
@params_option
@click.pass_obj
@name_cluster
def train(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Train all enabled models side by side, one session and one MLflow run each."""
    from quant_pipeline.cli.opened_models import open_models
    from quant_pipeline.project.cluster import PROCESSES, cluster_of, connect
    from quant_pipeline.project.cluster_sessions import run_namespaces, sessions_of
    from quant_pipeline.project.model_registry import load_model_registry

    with open_models(metadata, env, params) as opened:
        names, where = list(load_model_registry()), cluster_of(opened.parameters) or PROCESSES
        with connect(where) as client, sessions_of(opened.configuration, "training") as sessions:
            run_namespaces(client, sessions, names)
    click.echo(f"trained {first_of(names)}; what had not changed was kept")


@models.command(name="continue")
@click.argument("name")
@env_option
@params_option
@click.pass_obj
def continue_training(metadata: Place, name: str, env: str | None, params: dict[str, Any]) -> None:
    """Let model NAME go on learning from its champion in the present window; the result is its candidate."""
    from quant_pipeline.cli.opened_models import open_models, registered
    from quant_pipeline.models.algorithms import find_algorithm

    with open_models(metadata, env, params):
        spec = registered(name)
        if find_algorithm(spec.algorithm).continue_from is None:
            raise ModelError(
                f"{name}: algorithm '{spec.algorithm}' cannot go on from a model at hand; train it again: kedro run "
                f"--pipelines training --namespaces {name}"
            )
    with open_session(metadata, env, **params) as session:
        session.run(pipeline_names=["continuation"], namespaces=[name])


@models.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Promote although the candidate is not shown to be better.")
@env_option
@params_option
@click.pass_obj
def promote(metadata: Place, name: str, force: bool, env: str | None, params: dict[str, Any]) -> None:
    """Let the candidate of model NAME score new sessions, if it beats the champion out of sample."""
    from quant_pipeline.cli.opened_models import inputs_of, open_models, registered, scores_of_test, store_of
    from quant_pipeline.evaluation.comparison import PromotionGate, paired_rank_ic_test, refusal

    with open_models(metadata, env, params) as opened:
        spec = registered(name)
        store = store_of(opened, name)
        candidate, champion = store.read("candidate"), store.read("champion")
        if candidate.identity == champion.identity:
            click.echo(f"{name}: {candidate.identity} is the champion already")
            return
        gate = opened.rules("promotion_gate", PromotionGate)
        inputs = inputs_of(opened, spec)
        test = paired_rank_ic_test(
            scores_of_test(candidate, inputs),
            scores_of_test(champion, inputs),
            inputs.labels["label"],
            inputs.label.horizon,
        )
        click.echo(
            f"{name}: rank IC {test['candidate']:.4f} against {test['champion']:.4f} of the champion over "
            f"{test['sessions']} sessions, t = {test['t']:.2f}, p = {test['p_value']:.3f}"
        )
        reason = None if force else refusal(test, gate)
        if reason:
            raise ModelError(
                f"{name}: candidate {candidate.identity} is not shown to be better than champion {champion.identity}: "
                f"{reason}. The champion stays; --force promotes all the same."
            )
        _show_champion(metadata, env, params, name, store.promote(str(opened.parameters["as_of"])))
        click.echo(f"{name}: {candidate.identity} scores new sessions from now on; back: kedro models rollback {name}")


@models.command()
@click.argument("names", nargs=-1)
@env_option
@params_option
@click.pass_obj
def verify(metadata: Place, names: tuple[str, ...], env: str | None, params: dict[str, Any]) -> None:
    """Read the champions of models NAMES, or of all: every file, and whether they give the golden scores."""
    from quant_pipeline.cli.opened_models import open_models, store_of

    damaged = []
    with open_models(metadata, env, params) as opened:
        for name in names or sorted(opened.catalog.load("champions")):
            try:
                click.echo(f"{name}: champion {store_of(opened, name).read('champion').identity} is sound")
            except ModelError as error:
                click.echo(f"{name}: {error.message}")
                damaged.append(name)
    if damaged:
        raise ModelError(f"the champions of {first_of(damaged)} cannot be used; see above.")


@models.command()
@click.argument("name")
@env_option
@params_option
@click.pass_obj
def rollback(metadata: Place, name: str, env: str | None, params: dict[str, Any]) -> None:
    """Let the champion before the present one of model NAME score new sessions again."""
    from quant_pipeline.cli.opened_models import open_models, registered, store_of

    with open_models(metadata, env, params) as opened:
        registered(name)
        identity = store_of(opened, name).roll_back(str(opened.parameters["as_of"]))
        _show_champion(metadata, env, params, name, identity)
    click.echo(f"{name}: {identity} scores new sessions again")


@models.command(name="export")
@click.argument("name")
@click.option("--to", "kind", type=click.Choice(["onnx"]), default="onnx", show_default=True, help="Kind of the file.")
@click.option("--path", type=TypedPath(), help="File to write; by default exports/NAME.onnx.")
@click.option("--candidate", is_flag=True, help="Write the newest trained version instead of the one that scores.")
@env_option
@params_option
@click.pass_obj
def export_model(
    metadata: Place, name: str, kind: str, path: Path | None, candidate: bool, env: str | None, params: dict[str, Any]
) -> None:
    """Write model NAME for a server without Python, after its scores were compared with those of the file."""
    from quant_pipeline.cli.model_export import export_version
    from quant_pipeline.cli.opened_models import open_models

    target = path or Path("exports") / f"{name}.{kind}"
    with open_models(metadata, env, params) as opened:
        done = export_version(opened, name, "candidate" if candidate else "champion", target)
    click.echo(
        f"{name}: {done.bundle} in {target}, its input in {target}.json; the scores of {done.rows:,} rows agree within "
        f"{done.difference:.1g}"
    )


@models.command(name="as-of")
@click.argument("session", callback=read_date)
@click.option("--yes", is_flag=True, help="Change the champions; without it the command only says what would change.")
@env_option
@params_option
@click.pass_obj
def as_of(metadata: Place, session: str, yes: bool, env: str | None, params: dict[str, Any]) -> None:
    """Bring back the champions of all models as they were at the close of SESSION, YYYY-MM-DD."""
    from quant_pipeline.cli.model_versions import find_changes
    from quant_pipeline.cli.opened_models import open_models, store_of
    from quant_pipeline.project.model_registry import load_model_registry

    table = _table("model", "champion", f"at the close of {session}", "what happens")
    with open_models(metadata, env, params) as opened:
        changes = find_changes(opened, load_model_registry(), session)
        for each in changes:
            what = "comes back" if each.is_one else "stays" if each.then else "stays: no champion of then is recorded"
            table.add_row(each.model, each.present or "-", each.then or "-", what)
        _print(table)
        moved = [each for each in changes if each.is_one]
        for each in moved if yes else ():
            store_of(opened, each.model).restore(str(each.then), str(opened.parameters["as_of"]))
            _show_champion(metadata, env, params, each.model, str(each.then))
        environment = opened.configuration.environment
    if not moved:
        click.echo("nothing changes")
    elif yes:
        click.echo(in_environment("Next: kedro run --pipelines prediction,order_generation", environment))
    else:
        click.echo(in_environment(f"nothing was changed; to do it: kedro models as-of {session} --yes", environment))


def _show_champion(place: Place, env: str | None, params: dict[str, Any], name: str, identity: str) -> None:
    from quant_pipeline.tracking.registry import show_champion

    with open_session(place, env, **params) as session:
        show_champion(session.load_context(), name, identity)


def _where_labels_differ(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Put rows into a table, with what models learn to predict only where they learn different things."""
    place = columns.index("label")
    differ = len({row[place] for row in rows} - {"-"}) > 1
    shown = [index for index in range(len(columns)) if differ or index != place]
    table = _table(*(columns[index] for index in shown))
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    return table


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    Console().print(table)
