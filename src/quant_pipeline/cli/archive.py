"""``kedro archive``: move files of old sessions and unused bundles aside, bring them back, verify them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from quant_pipeline.cli.options import ProjectGroup, env_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.exceptions import ArchiveError

if TYPE_CHECKING:
    from quant_pipeline.cli.opened_project import OpenedProject
    from quant_pipeline.project.archive.retention import OldFile
    from quant_pipeline.project.archive.store import Archive

Item = TypeVar("Item")
LARGEST_SHARE = 0.9
"""Share of the files of sessions above which a move is not what the user means."""
folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/archive"),
    show_default=True,
    help="Folder of the archive, also on another disk.",
)


@click.group(cls=ProjectGroup, invoke_without_command=True)
@click.option("--keep", type=click.IntRange(1), help="Newest sessions whose files stay, in place of the catalog's.")
@click.option("--bundles", is_flag=True, help="Also move bundles as old that no alias and no plan refers to.")
@click.option("--include-notebooks", is_flag=True, help="Also move notebooks whose names have a date as old.")
@click.option("--runs", type=click.IntRange(1), help="Also delete MLflow's runs but this many newest of an experiment.")
@click.option("--dry-run", is_flag=True, help="Say what would be moved.")
@click.option("--force", is_flag=True, help=f"Also when it is more than {LARGEST_SHARE:.0%} of the files.")
@folder_option
@env_option
@click.pass_context
def archive(
    context: click.Context,
    keep: int | None,
    bundles: bool,
    include_notebooks: bool,
    runs: int | None,
    dry_run: bool,
    force: bool,
    folder: Path,
    env: str | None,
) -> None:
    """Move the files of old sessions of an account and its market into an archive.

    The ledger, statements, champions and candidates are never touched. Each catalog entry says for how many sessions
    its files stay.
    """
    if context.invoked_subcommand is not None:
        return
    from quant_pipeline.project.archive import retention
    from quant_pipeline.project.archive.store import Archive

    project = context.obj.project_path
    with _opened(context.obj, env) as opened:
        kept = retention.retention_of(opened.configuration["catalog"])
        plans = _plans_of_market(context.obj, opened)
        old = retention.old_files(project, kept, keep, [newest for newest, _ in plans])
        everything = retention.count_files(project, kept)
        oldest = retention.oldest_that_stays(project, kept, keep) if bundles else None
        made_by = set().union(*(identities for _, identities in plans))
        unused = [] if oldest is None else _unused_bundles(opened, made_by, oldest)
        notebooks = retention.old_notebooks(project, kept, keep) if include_notebooks else []
        _describe(old, everything, unused, project, notebooks)
        if not dry_run and len(old) > LARGEST_SHARE * everything and not force:
            raise ArchiveError(
                f"{len(old)} of {everything} files of sessions would be moved, nearly all; with a larger --keep fewer "
                "are, with --force all of them"
            )
        if runs is not None:
            _archive_runs(opened, runs, dry_run)
        if dry_run or not (old or unused or notebooks):
            return
        store = Archive(project, project / folder)
        with store.opened():
            _move(store, [*old, *notebooks], unused, project)
    click.echo(f"archive: {folder}; `kedro archive restore` brings files back, `kedro archive verify` compares hashes")


@archive.command()
@click.argument("names", nargs=-1)
@click.option("--runs", is_flag=True, help="Bring back MLflow's runs that `kedro archive --runs` has deleted instead.")
@folder_option
@env_option
@click.pass_obj
def restore(metadata: Place, names: tuple[str, ...], runs: bool, folder: Path, env: str | None) -> None:
    """Bring back what is in the archive: everything, or the files whose path contains one of NAMES (2024-01-31)."""
    if runs:
        _restore_runs(metadata, env)
        return
    store = _archive(metadata, folder)
    with _opened(metadata, env), store.opened():
        chosen = [r for r in store.records().values() if not names or any(name in r.path for name in names)]
        if not chosen:
            raise ArchiveError(f"the archive has no file whose path contains {' or '.join(names) or 'anything'}")
        left = _each(chosen, store.restore)
    click.echo(f"brought back: {len(chosen) - len(left)} of {len(chosen)}")
    _raise_left(left)


@archive.command()
@folder_option
@click.pass_obj
def verify(metadata: Place, folder: Path) -> None:
    """Compare every file of the archive with its hash; exit with 1 if one is missing or has changed."""
    store = _archive(metadata, folder)
    wrong = store.verify()
    if wrong:
        raise ArchiveError("; ".join(wrong))
    click.echo(f"{len(store.records())} files in {folder} are as they were moved")


def _archive(metadata: Place, folder: Path) -> Archive:
    from quant_pipeline.project.archive.store import MANIFEST, Archive

    if not (metadata.project_path / folder / MANIFEST).is_file():
        raise ArchiveError(f"there is no archive in {folder}; `kedro archive` makes one, --folder names another")
    return Archive(metadata.project_path, metadata.project_path / folder)


@contextmanager
def _opened(metadata: Place, env: str | None) -> Iterator[OpenedProject]:
    """Open an environment, and keep runs from its account and its market."""
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.common.locks import locked
    from quant_pipeline.project.archive.retention import SESSION
    from quant_pipeline.project.hooks.storage import LOCK

    with open_project(metadata, env, {"as_of": SESSION}) as opened, ExitStack() as held:
        names = opened.configuration["globals"]
        for kind in ("account", "market"):
            folder = metadata.project_path / names["paths"][kind]
            if folder.is_dir():
                held.enter_context(locked(folder / LOCK, f"the {kind} '{names[kind]}'"))
        yield opened


def _plans_of_market(metadata: Place, opened: OpenedProject) -> list[tuple[str, set[str]]]:
    """Look at the plans of every account of the market, whatever its environment.

    Returns
    -------
    list of tuple
        By account with plans: the session of the newest one, whose scores and orders are still to be executed, and
        what all of them were made by.
    """
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.project.configuration import SHARED
    from quant_pipeline.trading.ledger.events import EventKind

    market, found = opened.configuration["globals"]["paths"]["market"], []
    folders = {path.name for path in (metadata.project_path / "conf").iterdir() if path.is_dir()}
    for environment in sorted(name for name in folders - SHARED if not name.startswith(".")):
        with open_project(metadata, environment, logs=False) as other:
            if other.configuration["globals"]["paths"]["market"] != market:
                continue
            plans = [event for event in other.catalog.load("ledger_as_found") if event.kind == EventKind.PLAN_RECORDED]
            if plans:
                made_by = {each for plan in plans for each in plan.payload.get("provenance", {}).values()}
                found.append((f"{plans[-1].session:%Y-%m-%d}", made_by))
    return found


def _unused_bundles(opened: OpenedProject, referenced: set[str], oldest: str) -> list[Path]:
    """Find old bundles that nothing refers to: no alias, no plan of any account of the market."""
    from quant_pipeline.project.archive.retention import unused_bundles

    project = opened.configuration.project
    market = project / opened.configuration["globals"]["paths"]["market"]
    stores = sorted(file.parent for file in market.glob("06_models/*/bundle/aliases.json"))
    return unused_bundles(project, stores, referenced, oldest)


def _archive_runs(opened: OpenedProject, keep: int, dry_run: bool) -> None:
    """Delete old runs in MLflow, which keeps them until `mlflow gc`."""
    from quant_pipeline.tracking.old_runs import client_of, delete_runs, experiment_of, old_runs

    client = client_of(opened.configuration["mlflow"], opened.configuration.project)
    old = old_runs(
        client, keep, experiment_of(opened.configuration["mlflow"], opened.configuration["globals"]["account"])
    )
    click.echo(f"{len(old)} runs of MLflow are older than the newest {keep} of their experiments and back no version")
    if not dry_run:
        delete_runs(client, old)


def _restore_runs(metadata: Place, env: str | None) -> None:
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.tracking.old_runs import client_of, restore_runs

    with open_project(metadata, env) as opened:
        client = client_of(opened.configuration["mlflow"], opened.configuration.project)
        click.echo(f"brought back: {restore_runs(client)} runs of MLflow")


def _describe(old: list[OldFile], everything: int, unused: list[Path], project: Path, notebooks: list[OldFile]) -> None:
    """Say what is to be moved, by catalog entry."""
    from collections import Counter

    if not old and not unused and not notebooks:
        click.echo(f"nothing to move: none of the {everything} files of sessions is old enough")
        return
    if old:
        span = f"{old[0].session} to {old[-1].session}"
        click.echo(f"{len(old)} of {everything} files of sessions, {span}, {_size(old, project) / 2**20:,.1f} MiB")
    for entry, number in Counter(file.entry for file in old).items():
        click.echo(f"  {entry}: {number}")
    for file in notebooks:
        click.echo(f"  {file.path}")
    for path in unused:
        click.echo(f"  bundle {path.relative_to(project)}")


def _size(old: list[OldFile], project: Path) -> int:
    return sum((project / file.path).stat().st_size for file in old)


def _move(store: Archive, old: list[OldFile], unused: list[Path], project: Path) -> None:
    left = _each(old, lambda file: store.move(file.path, file.entry))
    left += _each(unused, lambda bundle: store.move_folder(str(bundle.relative_to(project)), "bundle"))
    click.echo(f"{len(old) + len(unused) - len(left)} moved")
    _raise_left(left)


def _each(items: Sequence[Item], act: Callable[[Item], Any]) -> list[str]:
    """Do something with each item, and return why some could not be done: one of them does not stop the others."""
    left = []
    for item in items:
        try:
            act(item)
        except ArchiveError as error:
            left.append(error.message)
        except OSError as error:
            left.append(f"{error.filename or item}: {error.strerror or error}")
    return left


def _raise_left(left: list[str]) -> None:
    if left:
        raise ArchiveError(f"{len(left)} files were left where they are: {'; '.join(left[:5])}")
