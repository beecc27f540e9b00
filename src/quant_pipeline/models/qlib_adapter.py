"""Any model class of Qlib, named in the registry by its import path.

What such a model has learned is collected from its attributes and written in open formats: LightGBM text, tensors and
arrays as safetensors, the rest as JSON. Nothing is pickled. Loading creates the class with its arguments and puts
the attributes back; only classes within ``qlib`` are made.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from importlib import import_module

import numpy as np
import numpy.typing as npt
import pandas as pd
from qlib.data.dataset import DatasetH, TSDatasetH
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader
from qlib.model.base import Model
from qlib.workflow import R

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.algorithms.qlib import QlibHyper
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.libraries import packages_used_by
from quant_pipeline.models.qlib_state import pack, unpack
from quant_pipeline.models.randomness import seeded

UNWRITTEN = {"xgboost": "xgboost", "catboost": "catboost"}
"""Libraries whose models `qlib_state` cannot write without pickling, and the algorithms of ours that train the same."""

USED = ("used", "used")
"""Column that marks for Qlib's sampler the rows to learn from or to score."""


class FittedQlibModel:
    """A model of Qlib behind the interface of ours."""

    def __init__(self, model: Model, hyper: QlibHyper, curve: pd.DataFrame, factors: list[str]) -> None:
        self._model, self._hyper, self._factors = model, hyper, factors
        self.curve = curve
        self.importance = importance_table([], [])

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; one that Qlib's model leaves out is NaN."""
        dataset = _dataset({"test": samples}, self._hyper.window)
        scores = self._model.predict(dataset).sort_index()
        return scores.reindex(samples.index).to_numpy(dtype=np.float64)

    def weights(self) -> dict[str, bytes]:
        """Return what the model has learned, as files."""
        return pack(vars(self._model))


def fit_qlib(train: Samples, valid: Samples, hyper: QlibHyper, seed: int) -> FittedQlibModel:
    """Fit a model of Qlib on our samples.

    Parameters
    ----------
    train, valid
        Samples of the two segments.
    hyper
        Class, arguments and window.
    seed
        Seed of numpy and torch before the model is made; a class may have a seed of its own among its arguments. Fits
        in threads of one process wait for each other, since Qlib's recorder and these generators are the process's.

    Raises
    ------
    ModelError
        When there is no such class, it refuses its arguments, or what it learns could not be written.
    """
    _refuse_what_cannot_be_written(hyper)
    with seeded(seed), _recording() as rows, tempfile.TemporaryDirectory() as folder:
        model = _make(hyper)
        options = {"save_path": f"{folder}/best"} if "save_path" in model.fit.__code__.co_varnames else {}
        model.fit(_dataset({"train": train, "valid": valid}, hyper.window), **options)
    return FittedQlibModel(model, hyper, learning_curve(rows), train.factors)


def load_qlib(weights: dict[str, bytes], factors: list[str], hyper: QlibHyper) -> FittedQlibModel:
    """Make the model again: its class with its arguments, then what it has learned."""
    with seeded(0):  # Classes of Qlib seed the generators of the process, and draw weights, when they are made.
        model = _make(hyper)
    unpack(weights, vars(model))
    return FittedQlibModel(model, hyper, learning_curve([]), factors)


def packages_of(hyper: QlibHyper) -> set[str]:
    """Return the packages that the class of Qlib computes with, by what its module imports."""
    return packages_used_by(import_module(_find(hyper).__module__))


def _find(hyper: QlibHyper) -> type[Model]:
    module, _, name = hyper.import_path.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"Qlib has no model {hyper.import_path}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Model)):
        raise ModelError(f"{hyper.import_path} is not a model of Qlib; name a class with `fit` and `predict`")
    return kind


def _refuse_what_cannot_be_written(hyper: QlibHyper) -> None:
    for library in sorted(packages_of(hyper) & UNWRITTEN.keys()):
        raise ModelError(
            f"{hyper.import_path} keeps what it learns in an object of {library}, which could only be pickled, and "
            f"bundles hold no pickles; use `algorithm: {UNWRITTEN[library]}` in its place"
        )


def _make(hyper: QlibHyper) -> Model:
    kind = _find(hyper)
    try:
        return kind(**hyper.arguments)
    except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
        raise ModelError(f"{hyper.import_path} refuses its arguments: {error}") from error


def _dataset(segments: dict[str, Samples], window: int) -> DatasetH:
    """Lay samples out as Qlib's data set: all sessions for a model with a window, else only the rows."""
    features = next(iter(segments.values())).features
    columns = pd.MultiIndex.from_product([["feature"], features.columns])
    table = features.set_axis(columns, axis=1)
    label, used = np.full(len(features), np.nan), np.zeros(len(features), dtype=bool)
    for samples in segments.values():
        used[samples.rows] = True
        if len(samples.labels):
            label[samples.rows] = samples.labels
    table[("label", "label")] = label
    if window > 1:
        table[USED] = used
    else:
        table = table[used]
    loader = StaticDataLoader(table)
    handler = DataHandlerLP(data_loader=loader, infer_processors=[], learn_processors=[])
    days = {name: each.index.get_level_values(0) for name, each in segments.items()}
    ranges = {name: (each.min(), each.max()) for name, each in days.items()}
    if window > 1:
        return TSDatasetH(handler=handler, segments=ranges, step_len=window, flt_col=USED[0])
    return DatasetH(handler=handler, segments=ranges)


class _Recorder:
    """What Qlib's models log while they learn; without it they would open an MLflow run of their own."""

    exp_manager = None

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, float]] = []

    def get_recorder(self, **names: object) -> _Recorder:
        """Return itself: there is one run, that of the fit."""
        return self

    def log_metrics(self, step: int | None = None, **metrics: float) -> None:
        """Keep metrics as rows of a learning curve."""
        self.rows += [(0 if step is None else step + 1, name, float(value)) for name, value in metrics.items()]

    def log_params(self, **parameters: object) -> None:
        """Ignore parameters: the specification has them."""

    def save_objects(self, **objects: object) -> None:
        """Ignore objects: they would be pickled."""


@contextlib.contextmanager
def _recording() -> Iterator[list[tuple[int, str, float]]]:
    before, recorder = vars(R)["_provider"], _Recorder()
    vars(R)["_provider"] = recorder
    try:
        yield recorder.rows
    finally:
        vars(R)["_provider"] = before
