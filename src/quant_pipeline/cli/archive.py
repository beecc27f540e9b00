"""``kedro archive``: move files of old sessions and unused bundles aside, bring them back, verify them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from quant_pipeline.cli.options import ProjectGroup, TypedPath, env_option
from quant_pipeline.cli.sessions import Place, as_typed, configuration_folder
from quant_pipeline.common.environments import environments_in
from quant_pipeline.common.exceptions import ArchiveError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.places import path_here

if TYPE_CHECKING:
    from mlflow.entities import Run

    from quant_pipeline.cli.opened_project import OpenedProject
    from quant_pipeline.project.archive.retention import OldFile
    from quant_pipeline.project.archive.store import Archive, Record


class Old(NamedTuple):
    """What may go, and of how many each kind is."""

    files: Sequence[OldFile]
    notebooks: Sequence[OldFile]
    bundles: Sequence[Path]
    runs: Sequence[Run]
    totals: tuple[int, int, int, int]

    @property
    def to_move(self) -> bool:
        """Whether there is anything for the archive; runs stay in MLflow."""
        return bool(self.files or self.notebooks or self.bundles)


Item = TypeVar("Item")
KINDS = ("account", "market")
"""What a run locks."""
LARGEST_SHARE = 0.9
"""Share of the files of sessions, bundles, notebooks or runs above which a move is not what the user means."""
DEFAULT_FOLDER = Path("data/archive")
folder_option = click.option(
    "--folder",
    type=TypedPath(file_okay=False),
    help=f"Folder of the archive, also on another disk; without it {DEFAULT_FOLDER} of the project.",
)


@click.group(cls=ProjectGroup, invoke_without_command=True)
@click.option("--keep", type=click.IntRange(1), help="Newest sessions whose files stay, in place of the catalog's.")
@click.option("--bundles", is_flag=True, help="Also move bundles as old that no alias and no plan refers to.")
@click.option("--include-notebooks", is_flag=True, help="Also move notebooks whose names have a date as old.")
@click.option("--runs", type=click.IntRange(1), help="Also delete MLflow's runs but this many newest of an experiment.")
@click.option("--dry-run", is_flag=True, help="Say what would be moved.")
@click.option("--force", is_flag=True, help=f"Also when it is more than {LARGEST_SHARE:.0%} of what there is.")
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
    folder: Path | None,
    env: str | None,
) -> None:
    """Move the files of old sessions of an account and its market into an archive.

    The ledger, statements, champions and candidates are never touched. Each catalog entry says for how many sessions
    its files stay.
    """
    if context.invoked_subcommand is not None:
        return
    from quant_pipeline.project.archive.store import Archive

    project = context.obj.project_path
    with _opened(context.obj, env) as opened:
        old = _find_old(context.obj, opened, keep, bundles, include_notebooks, runs)
        _describe(old, project, runs)
        if not force:
            _refuse_nearly_all(old, dry_run)
        if dry_run:
            return
        if not old.to_move:
            _delete_runs(opened, old)
            return
        store = Archive(project, _folder_of_archive(project, folder))
        with store.opened():
            _delete_runs(opened, old)
            _move(store, [*old.files, *old.notebooks], old.bundles, project)
    click.echo(
        f"archive: {as_typed(store.folder)}; `kedro archive restore` brings files back, `kedro archive verify` "
        "compares hashes"
    )


@archive.command()
@click.argument("names", nargs=-1)
@click.option("--runs", is_flag=True, help="Bring back MLflow's runs that `kedro archive --runs` has deleted instead.")
@folder_option
@env_option
@click.pass_obj
def restore(metadata: Place, names: tuple[str, ...], runs: bool, folder: Path | None, env: str | None) -> None:
    """Bring back what is in the archive: everything, or the files whose path contains one of NAMES (2024-01-31)."""
    if runs:
        _restore_runs(metadata, env)
        return
    store = _archive(metadata, folder)
    with _opened(metadata, env) as opened, store.opened(), ExitStack() as held:
        chosen = [r for r in store.records().values() if not names or any(name in r.path for name in names)]
        if not chosen:
            raise ArchiveError(f"the archive has no file whose path contains {' or '.join(names) or 'anything'}")
        _lock_others(held, metadata.project_path, opened, chosen)
        left = _each(chosen, store.restore)
    click.echo(f"brought back: {len(chosen) - len(left)} of {len(chosen)}")
    _raise_left(left)


@archive.command()
@folder_option
@click.pass_obj
def verify(metadata: Place, folder: Path | None) -> None:
    """Compare every file of the archive with its hash; exit with 1 if one is missing or has changed."""
    store = _archive(metadata, folder)
    wrong = store.verify()
    if wrong:
        raise ArchiveError(first_of(wrong, "; "))
    click.echo(f"{len(store.records())} files in {as_typed(store.folder)} are as they were moved")


def _archive(metadata: Place, folder: Path | None) -> Archive:
    from quant_pipeline.project.archive.store import MANIFEST, Archive

    store = Archive(metadata.project_path, _folder_of_archive(metadata.project_path, folder))
    if not (store.folder / MANIFEST).is_file():
        raise ArchiveError(
            f"there is no archive in {as_typed(store.folder)}; `kedro archive` makes one, --folder names another"
        )
    return store


def _folder_of_archive(project: Path, named: Path | None) -> Path:
    """Return the folder of the archive; one that was typed begins where it was typed, as with every command."""
    return project / DEFAULT_FOLDER if named is None else named.absolute()


@contextmanager
def _opened(metadata: Place, env: str | None) -> Iterator[OpenedProject]:
    """Open an environment, and keep runs from its account and its market."""
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.common.locks import locked
    from quant_pipeline.project.archive.retention import SESSION
    from quant_pipeline.project.hooks.storage import LOCK

    with open_project(metadata, env, {"as_of": SESSION}, of_session=False) as opened, ExitStack() as held:
        names = opened.configuration["globals"]
        for kind in KINDS:
            folder = _folder_of(opened, kind)
            if folder.is_dir():
                held.enter_context(locked(folder / LOCK, f"the {kind} '{names[kind]}'"))
        yield opened


def _folder_of(opened: OpenedProject, kind: str) -> Path:
    """Return where the account or the market of an environment lies, or the copy of one in a bucket."""
    return path_here(opened.configuration.project, opened.configuration["globals"]["paths"][kind])


def _lock_others(held: ExitStack, project: Path, opened: OpenedProject, chosen: Sequence[Record]) -> None:
    """Keep runs also from the other accounts and markets that files come back to."""
    from quant_pipeline.common.locks import locked
    from quant_pipeline.project.hooks.storage import LOCK

    places = [(project / record.path).resolve() for record in chosen]
    own = [_folder_of(opened, kind).resolve() for kind in KINDS]
    for kind, mine in zip(KINDS, own, strict=True):
        files = [place.relative_to(mine.parent) for place in places if place.is_relative_to(mine.parent)]
        folders = {mine.parent / file.parts[0] for file in files}
        for folder in sorted(folders - {*own}):
            if folder.is_dir():
                held.enter_context(locked(folder / LOCK, f"the {kind} '{folder.name}'"))


def _plans_of_market(metadata: Place, opened: OpenedProject) -> list[tuple[str, set[str]]]:
    """Look at the plans of every account of the market, whatever its environment.

    Returns
    -------
    list of tuple
        By account with plans: the session of the newest one, whose scores and orders are still to be executed, and
        what all of them were made by.
    """
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.trading.ledger.events import EventKind

    market, found = _folder_of(opened, "market").resolve(), []
    for environment in environments_in(configuration_folder(metadata)):
        with open_project(metadata, environment, logs=False, of_session=False) as other:
            if _folder_of(other, "market").resolve() != market:
                continue
            plans = [event for event in other.catalog.load("ledger_as_found") if event.kind == EventKind.PLAN_RECORDED]
            if plans:
                made_by = {each for plan in plans for each in plan.payload.get("provenance", {}).values()}
                found.append((f"{plans[-1].session:%Y-%m-%d}", made_by))
    return found


def _find_old(
    metadata: Place, opened: OpenedProject, keep: int | None, bundles: bool, notebooks: bool, runs: int | None
) -> Old:
    """Find the old files of sessions and, where they are asked for, notebooks, bundles and runs."""
    from quant_pipeline.project.archive import retention

    project = metadata.project_path
    kept = retention.retention_of(opened.configuration["catalog"])
    plans = _plans_of_market(metadata, opened)
    stores = sorted(file.parent for file in _folder_of(opened, "market").glob("06_models/*/bundle/aliases.json"))
    made_by = set().union(*(identities for _, identities in plans))
    oldest = retention.oldest_that_stays(project, kept, keep)
    old_runs, all_runs = ([], 0) if runs is None else _find_runs(opened, runs)
    return Old(
        retention.old_files(project, kept, keep, [newest for newest, _ in plans]),
        retention.old_notebooks(project, kept, keep) if notebooks else [],
        retention.unused_bundles(project, stores, made_by, oldest) if bundles and oldest is not None else [],
        old_runs,
        (
            retention.count_files(project, kept),
            retention.count_notebooks(project),
            sum(len(list(store.glob("versions/*/"))) for store in stores),
            all_runs,
        ),
    )


def _find_runs(opened: OpenedProject, keep: int) -> tuple[list[Run], int]:
    """Find old runs in MLflow, and count all of the account."""
    from quant_pipeline.tracking.old_runs import client_of, count_runs, experiment_of, old_runs

    settings, names = opened.configuration["mlflow"], opened.configuration["globals"]
    client, experiment = client_of(settings, opened.configuration.project), experiment_of(settings, names["account"])
    return old_runs(client, keep, experiment), count_runs(client, experiment)


def _delete_runs(opened: OpenedProject, old: Old) -> None:
    """Delete old runs in MLflow, which keeps them until `mlflow gc`."""
    if old.runs:
        from quant_pipeline.tracking.old_runs import client_of, delete_runs

        delete_runs(client_of(opened.configuration["mlflow"], opened.configuration.project), old.runs)


def _refuse_nearly_all(old: Old, dry_run: bool) -> None:
    """Refuse to move nearly all of a kind; a dry run says that it would be refused."""
    kinds = ("files of sessions", "notebooks", "bundles", "runs of MLflow")
    shares = zip((old.files, old.notebooks, old.bundles, old.runs), old.totals, kinds, strict=True)
    improbable = [f"{len(some)} of {every} {kind}" for some, every, kind in shares if len(some) > LARGEST_SHARE * every]
    if not improbable:
        return
    message = f"{', '.join(improbable)} would go, nearly all; with larger numbers fewer do, with --force all of them"
    if not dry_run:
        raise ArchiveError(message)
    click.echo(f"without --dry-run this is refused: {message}")


def _restore_runs(metadata: Place, env: str | None) -> None:
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.tracking.old_runs import client_of, restore_runs

    with open_project(metadata, env, of_session=False) as opened:
        client = client_of(opened.configuration["mlflow"], opened.configuration.project)
        click.echo(f"brought back: {restore_runs(client)} runs of MLflow")


def _describe(old: Old, project: Path, keep_runs: int | None) -> None:
    """Say what is to be moved, by catalog entry, and which runs are to be deleted."""
    from collections import Counter

    every, _, _, runs = old.totals
    if not old.to_move:
        click.echo(f"nothing to move: none of the {every} files of sessions is old enough")
    if old.files:
        span = f"{old.files[0].session} to {old.files[-1].session}"
        size = sum((project / file.path).stat().st_size for file in old.files)
        click.echo(f"{len(old.files)} of {every} files of sessions, {span}, {size / 2**20:,.1f} MiB")
    for entry, number in Counter(file.entry for file in old.files).items():
        click.echo(f"  {entry}: {number}")
    for file in old.notebooks:
        click.echo(f"  {file.path}")
    for path in old.bundles:
        click.echo(f"  bundle {path.relative_to(project)}")
    if keep_runs is not None:
        click.echo(
            f"{len(old.runs)} runs of MLflow, of {runs}, are older than the newest {keep_runs} of their experiment "
            "and back no version"
        )


def _move(store: Archive, old: Sequence[OldFile], unused: Sequence[Path], project: Path) -> None:
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
        raise ArchiveError(f"{len(left)} files were left where they are: {first_of(left, '; ')}")
