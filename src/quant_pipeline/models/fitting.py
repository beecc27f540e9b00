"""Fitting the algorithm of a specification, and making a fitted model again from its weights."""

from __future__ import annotations

from pathlib import PurePath

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.listing import first_of
from quant_pipeline.models.algorithms import FittedModel, Samples, find_algorithm
from quant_pipeline.models.libraries import versions_of
from quant_pipeline.models.spec import ModelSpec


def fit_model(spec: ModelSpec, train: Samples, valid: Samples, previous: FittedModel | None = None) -> FittedModel:
    """Fit the algorithm of a specification.

    Parameters
    ----------
    spec
        Specification.
    train, valid
        Samples of the two segments.
    previous
        A model of the same algorithm to continue from.

    Raises
    ------
    ModelError
        When the algorithm cannot continue, or its library is not installed.
    """
    algorithm = find_algorithm(spec.algorithm)
    if previous is None:
        return algorithm.fit(train, valid, spec.hyper, spec.seed)
    if algorithm.continue_from is None:
        raise ModelError(f"{spec.title} cannot continue from a model at hand; train it again, without continuation")
    return algorithm.continue_from(previous, train, valid, spec.hyper, spec.seed)


def load_model(spec: ModelSpec, weights: dict[str, bytes], factors: list[str]) -> FittedModel:
    """Make a fitted model again from the files that `FittedModel.weights` returned."""
    return find_algorithm(spec.algorithm).load(weights, factors, spec.hyper)


def libraries_of(spec: ModelSpec) -> dict[str, str]:
    """Return the libraries that fit the algorithm of a specification, and their installed versions.

    Raises
    ------
    ModelError
        When the record of the algorithm names a library that is not installed.
    """
    try:
        return versions_of(find_algorithm(spec.algorithm).packages(spec.hyper))
    except KeyError as error:
        raise ModelError(
            f"algorithm '{spec.algorithm}' names the library {error}, which is not installed; correct `libraries` of "
            "its record: names are those that are imported"
        ) from error


def score_rows(spec: ModelSpec, model: FittedModel, samples: Samples) -> npt.NDArray[np.float64]:
    """Score rows with a fitted model.

    Raises
    ------
    ModelError
        When the model does not return one number per row.
    """
    scores = np.asarray(model.predict(samples), dtype=np.float64)
    if scores.shape != samples.rows.shape:
        raise ModelError(
            f"algorithm '{spec.algorithm}' returned scores of shape {scores.shape} for {len(samples.rows)} rows; "
            "`predict` has to return one number per row, NaN where a row cannot be scored"
        )
    return scores


def table_of(spec: ModelSpec, model: FittedModel, name: str, empty: pd.DataFrame) -> pd.DataFrame:
    """Return a table that a fitted model may have as an attribute, or the empty one.

    Raises
    ------
    ModelError
        When the attribute is no table with the columns of the empty one.
    """
    table = getattr(model, name, empty)
    if not isinstance(table, pd.DataFrame) or list(table.columns) != list(empty.columns):
        raise ModelError(
            f"algorithm '{spec.algorithm}': `{name}` of a fitted model has to be a table with the columns "
            f"{first_of(empty.columns)}; leave it out where there is nothing to report"
        )
    return table


def weights_of(spec: ModelSpec, model: FittedModel, reserved: frozenset[str]) -> dict[str, bytes]:
    """Return the files of a fitted model by name.

    Parameters
    ----------
    spec, model
        What was fitted.
    reserved
        Names of the other files of a bundle.

    Raises
    ------
    ModelError
        When a name is no plain file name or one of another file, or the content is not bytes.
    """
    files = model.weights()
    for name, content in files.items():
        if name in reserved or PurePath(name).name != name or not isinstance(content, bytes):
            raise ModelError(
                f"algorithm '{spec.algorithm}' returned a file '{name}' that a bundle cannot keep; `weights` has to "
                f"return bytes by plain file names other than {first_of(sorted(reserved))}"
            )
    return files
