"""Qlib's own tools on a provider, with experiments in a database: current MLflow refuses Qlib's default, a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from mlflow.exceptions import MlflowException
from qlib.workflow.exp import MLflowExperiment
from qlib.workflow.expm import ExpAlreadyExistError, MLflowExpManager

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.places import at_home
from quant_pipeline.tracking.store import prepare_store

STORE: Final = "qlib.mlflow.db"
ARTIFACTS: Final = "qlib.mlruns"


class DatabaseExperiments(MLflowExpManager):  # type: ignore[misc]  # Qlib has no types
    """Qlib's manager of experiments on any store of MLflow.

    Parameters
    ----------
    uri
        Address of the store.
    default_exp_name
        Name of the experiment of runs that name none.
    artifacts
        Folder of the artifacts; None leaves it to the store.
    """

    def __init__(self, uri: str, default_exp_name: str, artifacts: str | None = None) -> None:
        super().__init__(uri, default_exp_name)
        self._artifacts = artifacts

    def create_exp(self, experiment_name: str | None = None) -> MLflowExperiment:
        """Make an experiment; its artifacts lie beside the store, not in the folder that Python was started in."""
        try:
            number = self.client.create_experiment(experiment_name, artifact_location=self._artifacts)
        except MlflowException as error:
            if error.error_code == "RESOURCE_ALREADY_EXISTS":
                raise ExpAlreadyExistError from error
            raise
        return MLflowExperiment(number, experiment_name, self.uri)


def init_qlib(folder: str | Path, tracking_uri: str | None = None, **options: Any) -> None:
    """Initialise Qlib on a provider, so that its models, strategies and recorders work.

    Parameters
    ----------
    folder
        The provider: ``catalog.load("qlib_provider")``, or ``data/markets/<market>/03_primary/qlib``.
    tracking_uri
        Store of Qlib's experiments; None takes ``MLFLOW_TRACKING_URI``, else a SQLite file beside the provider.
    **options
        Further arguments of ``qlib.init``. ``region`` is ``us`` and ``kernels`` is 1 unless given: Qlib's processes
        cost more than they bring on a market of a few hundred instruments.

    Raises
    ------
    MarketDataError
        When the folder is no provider.
    """
    import qlib

    folder = Path(at_home(str(folder))).resolve()
    if not (folder / "calendars" / "day.txt").is_file():
        raise MarketDataError(f"{folder} is no Qlib provider; write it with `kedro run --pipelines ingestion`")
    uri, artifacts = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"), None
    if uri is None:
        store = folder.parent / STORE
        prepare_store(store)
        uri, artifacts = sqlite_url(store), (folder.parent / ARTIFACTS).as_uri()
    manager = {
        "class": "DatabaseExperiments",
        "module_path": __name__,
        "kwargs": {"uri": uri, "default_exp_name": "qlib", "artifacts": artifacts},
    }
    qlib.init(provider_uri=str(folder), exp_manager=manager, **({"region": "us", "kernels": 1} | options))
