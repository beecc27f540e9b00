"""Old runs by policy: MLflow marks them as deleted, keeps them all the same, and takes the mark back on request."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.tracking.opening import local_store, named_store

ARCHIVED = "quant_pipeline.archived"
"""Tag of the runs that were deleted here; those that people have deleted are theirs."""
PAGE = 1_000


def client_of(settings: Mapping[str, Any], project: Path) -> MlflowClient:
    """Return a client of the store that the configuration names."""
    uri = named_store(settings.get("server") or {})
    file = local_store(uri, project)
    return MlflowClient(uri if file is None else sqlite_url(file))


def experiment_of(settings: Mapping[str, Any], account: str) -> str:
    """Return the experiment of an account: the configured one, that of the shell, or the one of its name."""
    configured = ((settings.get("tracking") or {}).get("experiment") or {}).get("name")
    return str(configured or os.environ.get("MLFLOW_EXPERIMENT_NAME") or account)


def old_runs(client: MlflowClient, keep: int, experiment_name: str) -> list[Run]:
    """Find the runs of an account that need not stay; a server may hold those of others, too.

    Parameters
    ----------
    client
        The store.
    keep
        Newest runs that stay, each with the runs nested in it.
    experiment_name
        Experiment of the account.

    Returns
    -------
    list of Run
        Ended runs with those nested in them; none of which a version of a registered model was made.
    """
    backing = {version.run_id for version in client.search_model_versions()}
    old: list[Run] = []
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is not None:
        families = _families(_all_runs(client, [experiment.experiment_id], ViewType.ACTIVE_ONLY))
        newest_first = sorted(families, key=lambda family: -int(family[0].info.start_time or 0))
        for family in newest_first[keep:]:
            is_over = all(run.info.status != "RUNNING" for run in family)
            if is_over and not any(run.info.run_id in backing for run in family):
                old += family
    return old


def count_runs(client: MlflowClient, experiment_name: str) -> int:
    """Return how many runs an account has that are not deleted."""
    experiment = client.get_experiment_by_name(experiment_name)
    return 0 if experiment is None else len(_all_runs(client, [experiment.experiment_id], ViewType.ACTIVE_ONLY))


def delete_runs(client: MlflowClient, runs: Sequence[Run]) -> None:
    """Mark runs as deleted; `mlflow gc` would remove them for good, nothing here does."""
    for run in runs:
        client.set_tag(run.info.run_id, ARCHIVED, "true")
        client.delete_run(run.info.run_id)


def restore_runs(client: MlflowClient) -> int:
    """Take the mark of all runs back that were deleted here, and return how many."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    deleted = _all_runs(client, experiments, ViewType.DELETED_ONLY)
    ours = [run for run in deleted if run.data.tags.get(ARCHIVED) == "true"]
    for run in ours:
        client.restore_run(run.info.run_id)
        client.delete_tag(run.info.run_id, ARCHIVED)
    return len(ours)


def _families(runs: Sequence[Run]) -> list[list[Run]]:
    """Put every run together with the runs nested in it; the outermost comes first."""
    by_id = {run.info.run_id: run for run in runs}

    def outermost(run: Run) -> str:
        parent = run.data.tags.get(MLFLOW_PARENT_RUN_ID)
        return outermost(by_id[parent]) if parent in by_id else str(run.info.run_id)

    families: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        family = families[outermost(run)]
        # The outermost stands first, whatever the order of the store.
        family.insert(0 if run.info.run_id == outermost(run) else len(family), run)
    return list(families.values())


def _all_runs(client: MlflowClient, experiments: list[str], view: int) -> list[Run]:
    found: list[Run] = []
    token: str | None = None
    while experiments:
        page = client.search_runs(experiments, run_view_type=view, max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    return found
