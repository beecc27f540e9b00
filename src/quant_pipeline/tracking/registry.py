"""The versions of a model in MLflow's registry, with the aliases ``candidate`` and ``champion``.

The bundle store decides which version scores; the registry shows the same to people and to other programs.
"""

from __future__ import annotations

import logging
from pathlib import Path

import mlflow
from kedro.framework.context import KedroContext
from mlflow.entities.model_registry import ModelVersion

from quant_pipeline.tracking.opening import describe, failing_open, open_tracking
from quant_pipeline.tracking.pyfunc_bundle import as_pyfunc

logger = logging.getLogger(__name__)

IDENTITY = "bundle"
"""Tag that holds the identity of the bundle."""


def register_candidate(name: str, folder: Path) -> None:
    """Log a bundle with the active run and register it as the candidate, unless this very version is registered.

    A version whose bundle was removed from the store of artifacts is registered once more.

    Parameters
    ----------
    name
        Registered model, `registered_name`.
    folder
        Directory of the bundle; its name is the identity.
    """
    client = mlflow.MlflowClient()
    run = mlflow.active_run()
    if run is None:
        return
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    version = _version_of(client, name, folder.name)
    if version is None or not mlflow.artifacts.list_artifacts(artifact_uri=version.source):
        with as_pyfunc(folder) as model:
            mlflow.log_artifacts(str(model), "bundle")
        version = client.create_model_version(
            name, f"{run.info.artifact_uri}/bundle", run.info.run_id, tags={IDENTITY: folder.name}
        )
    client.set_registered_model_alias(name, "candidate", version.version)


def registered_name(market: str, model: str) -> str:
    """Name a model in the registry: models of two markets that share a name are two models."""
    return f"{market}.{model}"


def mark_champion(name: str, identity: str) -> None:
    """Set the alias ``champion`` on the version of a bundle; where it is not registered no other version keeps it."""
    client = mlflow.MlflowClient()
    version = _version_of(client, name, identity)
    if version is not None:
        client.set_registered_model_alias(name, "champion", version.version)
        return
    for model in client.search_registered_models(f"name = '{name}'"):
        if "champion" in model.aliases:
            client.delete_registered_model_alias(name, "champion")
            logger.warning(
                "MLflow's registry has no version of %s, the champion of %s; the alias was taken from the version "
                "that had it",
                identity, name,
            )  # fmt: skip


def show_champion(context: KedroContext, name: str, identity: str) -> None:
    """Show in the registry which bundle scores; a registry that fails is left behind with one warning.

    Parameters
    ----------
    context
        Context of a session, whose ``mlflow.yml`` names the registry.
    name
        The model, as the project calls it.
    identity
        As for `mark_champion`.
    """

    def warn(error: Exception) -> None:
        logger.warning("MLflow's registry does not show that %s is the champion: %s", identity, describe(error))

    with failing_open(warn):
        open_tracking(context)
        mark_champion(registered_name(context.config_loader["globals"]["market"], name), identity)


def _version_of(client: mlflow.MlflowClient, name: str, identity: str) -> ModelVersion | None:
    """Return the newest version of a bundle."""
    found = client.search_model_versions(f"name = '{name}' and tags.{IDENTITY} = '{identity}'")
    return max(found, key=lambda version: int(version.version), default=None)
