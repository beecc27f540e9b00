"""Export of a model to ONNX, for servers that run no Python; what is written must score as the model itself does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.atomic import write_bytes, write_text
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models import onnx_graphs
from quant_pipeline.models.algorithms.catboost import FittedCatBoost
from quant_pipeline.models.algorithms.linear import FittedLinear
from quant_pipeline.models.algorithms.signal import Signal
from quant_pipeline.models.algorithms.xgboost import FittedXGBoost
from quant_pipeline.models.bundle import ModelBundle
from quant_pipeline.models.double_ensemble import FittedDoubleEnsemble
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.gbdt import FittedTrees
from quant_pipeline.models.libraries import import_optional

TOLERANCE = 1e-4
ALLOWED_SHARE = 0.001
"""Rows that may differ by more: thresholds of trees are in single precision there, and a value may fall beside one."""

Inputs = npt.NDArray[np.float32]


def export_onnx(bundle: ModelBundle, samples: Samples, file: Path) -> float:
    """Write the model of a bundle as ONNX, checked on rows, and beside it what its input is.

    The graph begins behind the processors: its input ``features`` is ``(rows, factors)``, and ``(window, rows,
    factors)`` for a network, single precision; its output ``score`` has one number per row. A network that looks across
    instruments takes all rows of one session at a time. The document ``<file>.json`` names the factors in their order,
    their expressions, and the processors with what they learned.

    Parameters
    ----------
    bundle
        Bundle of any shipped algorithm but a class of Qlib.
    samples
        Processed rows to check on, the more the better.
    file
        Where to write.

    Returns
    -------
    float
        Largest difference of a score, leaving out the few rows that a threshold may divide otherwise.

    Raises
    ------
    ModelError
        When the algorithm cannot be exported, a library is missing, no row can be scored, or the scores differ; nothing
        is written then.
    """
    title = bundle.facts.spec.title
    scored = bundle.model.predict(samples)
    usable = np.isfinite(scored)
    if not usable.any():
        raise ModelError(f"{title}: no row has a score to compare the graph with; bring more sessions")
    content, batches = _graph_of(bundle, samples, usable)
    session = import_optional("onnxruntime", onnx_graphs.EXTRA).InferenceSession(
        content, _quietly(), providers=["CPUExecutionProvider"]
    )
    given = [np.asarray(session.run(None, {onnx_graphs.INPUT: batch})[0]).reshape(-1) for batch in batches]
    difference = _difference(np.concatenate(given).astype(np.float64), scored[usable])
    if difference > TOLERANCE:
        raise ModelError(f"the ONNX graph of {title} scores otherwise, by {difference:.2g}; not written")
    write_bytes(file, content)
    write_text(file.with_name(f"{file.name}.json"), json.dumps(_description(bundle), indent=2) + "\n")
    return difference


def _graph_of(
    bundle: ModelBundle, samples: Samples, usable: npt.NDArray[np.bool_]
) -> tuple[bytes, list[Inputs] | Iterator[Inputs]]:
    """Return the graph of a model, and the rows that have a score as its inputs, in their order."""
    model: Any = bundle.model
    factors = len(samples.factors)
    rows = [samples.values[usable]]
    match model:
        case FittedTrees():
            return onnx_graphs.lightgbm_graph([model.booster], [list(range(factors))], factors), rows
        case FittedDoubleEnsemble():
            return onnx_graphs.lightgbm_graph(model.boosters, model.columns, factors), rows
        case FittedXGBoost():
            return onnx_graphs.xgboost_graph(model, factors), rows
        case FittedCatBoost():
            return onnx_graphs.catboost_graph(model), rows
        case FittedLinear():
            return onnx_graphs.linear_graph(model.coefficients, model.intercept), rows
        case Signal():
            return onnx_graphs.first_factor_graph(factors), rows
    if not hasattr(model, "network"):
        raise ModelError(
            f"{bundle.facts.spec.title} cannot be exported to ONNX; all shipped algorithms can, classes of Qlib and "
            "algorithms of your own cannot"
        )
    batches = list(_windows(model, samples, usable))
    return onnx_graphs.network_graph(model.network, batches[0]), batches


def _windows(model: Any, samples: Samples, usable: npt.NDArray[np.bool_]) -> Iterator[Inputs]:
    """Yield the windows of the rows: of all at once, or session by session where the network looks across."""
    from quant_pipeline.models.networks.blocks import looks_across
    from quant_pipeline.models.networks.cube import SessionCube

    cube = SessionCube(samples.features, samples.rows, model.window)
    sessions, columns = (places[usable] for places in cube.locate(samples.rows))
    ends = np.flatnonzero(np.diff(sessions)) + 1 if looks_across(model.network) else np.empty(0, dtype=np.int64)
    for session, column in zip(np.split(sessions, ends), np.split(columns, ends), strict=True):
        yield cube.windows(session, column)


def _difference(given: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> float:
    if not np.isfinite(given).all():
        return np.inf
    differences = np.sort(np.abs(given - expected))
    return float(differences[: len(differences) - int(len(differences) * ALLOWED_SHARE)].max(initial=0.0))


def _quietly() -> Any:
    """Return options of a session that report errors only: CatBoost states a shape that it does not keep."""
    options = import_optional("onnxruntime", onnx_graphs.EXTRA).SessionOptions()
    options.log_severity_level = 3
    return options


def _description(bundle: ModelBundle) -> dict[str, Any]:
    facts = bundle.facts
    steps = [
        {**spec.model_dump(mode="json"), "learned": {name: values.tolist() for name, values in state.items()}}
        for spec, state in zip(facts.spec.processors, bundle.processor_states, strict=True)
    ]
    return {
        "bundle": bundle.identity,
        "model": facts.spec.title,
        "predicts": facts.label,
        "window": facts.spec.window,
        "factors": facts.expressions,
        "processors": steps,
    }
