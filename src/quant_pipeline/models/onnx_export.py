"""Export of a model to ONNX, for servers that run no Python; what is written must score as the model itself does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.atomic import write_bytes
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.bundle import ModelBundle
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.gbdt import FittedTrees
from quant_pipeline.models.libraries import import_optional

if TYPE_CHECKING:
    from quant_pipeline.models.networks.scoring import FittedNetwork

EXTRA = "onnx"
TOLERANCE = 1e-4
ALLOWED_SHARE = 0.001
"""Rows that may differ by more: thresholds of trees are in single precision there, and a value may fall beside one."""


def export_onnx(bundle: ModelBundle, samples: Samples, file: Path) -> float:
    """Write the model of a bundle as ONNX and check it on rows.

    The graph begins behind the processors: its input ``features`` is ``(rows, factors)`` for trees and
    ``(window, rows, factors)`` for a network, single precision; its output ``score`` has one number per row.

    Parameters
    ----------
    bundle
        Bundle of LightGBM or of a network that does not look across instruments.
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
        When the algorithm cannot be exported, a library is missing, or the scores differ; nothing is written then.
    """
    model: Any = bundle.model
    if isinstance(model, FittedTrees):
        content, inputs = _trees(model, len(bundle.facts.expressions)), samples.values
        expected = model.predict(samples)
    elif _scores_single_names(model):
        content, inputs, expected = _network(model, samples)
    else:
        raise ModelError(f"{bundle.facts.spec.title} cannot be exported to ONNX; LightGBM and single-name networks can")
    difference = _difference(content, inputs, expected)
    if difference > TOLERANCE:
        raise ModelError(
            f"the ONNX graph of {bundle.facts.spec.title} scores otherwise, by {difference:.2g}; not written"
        )
    write_bytes(file, content)
    return difference


def _scores_single_names(model: Any) -> bool:
    if not hasattr(model, "network"):
        return False
    from quant_pipeline.models.networks.blocks import looks_across

    return not looks_across(model.network)


def _trees(model: FittedTrees, n_factors: int) -> bytes:
    tools = import_optional("onnxmltools", EXTRA)
    types = import_optional("onnxmltools.convert.common.data_types", EXTRA)
    graph = tools.convert_lightgbm(
        model.booster, initial_types=[("features", types.FloatTensorType([None, n_factors]))], target_opset=15
    )
    return graph.SerializeToString()


def _network(model: FittedNetwork, samples: Samples) -> tuple[bytes, npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    import_optional("onnxscript", EXTRA)
    import torch

    from quant_pipeline.models.networks.cube import SessionCube

    cube = SessionCube(samples.features, samples.rows, model.window)
    sessions, columns = cube.locate(samples.rows)
    usable = cube.complete[sessions, columns]
    windows = cube.windows(sessions[usable], columns[usable])
    program = torch.onnx.export(
        model.network,
        (torch.from_numpy(windows[:, :2]),),
        input_names=["features"],
        output_names=["score"],
        dynamic_shapes=({1: torch.export.Dim("rows")},),
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise ModelError("torch made no ONNX graph")
    return program.model_proto.SerializeToString(), windows, model.predict(samples)[usable]


def _difference(content: bytes, inputs: npt.NDArray[np.float32], expected: npt.NDArray[np.float64]) -> float:
    session = import_optional("onnxruntime", EXTRA).InferenceSession(content, providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {session.get_inputs()[0].name: inputs})
    differences = np.sort(np.abs(np.asarray(given, dtype=np.float64).reshape(-1) - expected))
    return float(differences[: len(differences) - int(len(differences) * ALLOWED_SHARE)].max(initial=0.0))
