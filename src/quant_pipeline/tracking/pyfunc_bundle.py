"""Bundles as models of MLflow: ``mlflow.pyfunc.load_model`` reads the very bundle, verified as everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd

from quant_pipeline import __version__
from quant_pipeline.models.bundle import ModelBundle, read_bundle


class PyfuncBundle:
    """A bundle behind the interface of MLflow's Python functions.

    Parameters
    ----------
    bundle
        The verified bundle.
    """

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle

    def predict(self, features: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.Series:
        """Score a panel.

        Parameters
        ----------
        features
            Unprocessed panel ``(datetime, instrument) × factor``, as for `ModelBundle.predict`.
        params
            Not used; MLflow passes it.

        Returns
        -------
        pandas.Series
            ``score`` on the index of the panel.
        """
        return self.bundle.predict(features)


def _load_pyfunc(path: str) -> PyfuncBundle:
    """Read the bundle that MLflow keeps under a path; MLflow calls this by its name."""
    return PyfuncBundle(read_bundle(Path(path)))


@contextmanager
def as_pyfunc(folder: Path) -> Iterator[Path]:
    """Wrap the folder of a bundle as a model of MLflow, for the time of a block.

    Parameters
    ----------
    folder
        Directory of the bundle; its content lies under ``data/`` of what is made.
    """
    with TemporaryDirectory() as place:
        model = Path(place) / "bundle"
        mlflow.pyfunc.save_model(
            str(model),
            loader_module=__name__,
            data_path=str(folder),
            pip_requirements=[f"quant-pipeline=={__version__}"],
        )
        yield model
