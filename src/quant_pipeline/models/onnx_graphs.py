"""Graphs of ONNX from fitted models, one function for each kind of model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.libraries import import_optional

if TYPE_CHECKING:
    import lightgbm
    from torch import nn

    from quant_pipeline.models.algorithms.catboost import FittedCatBoost
    from quant_pipeline.models.algorithms.xgboost import FittedXGBoost

EXTRA = "onnx"
INPUT, OUTPUT = "features", "score"
OPSET, OPSET_OF_TREES, IR_VERSION = 18, 15, 8


def linear_graph(coefficients: npt.NDArray[np.float64], intercept: float) -> bytes:
    """Multiply the factors of a row with coefficients; `features` is ``(rows, factors)``."""
    onnx = import_optional("onnx", EXTRA)
    weights = {
        "coefficients": np.asarray(coefficients, dtype=np.float32)[:, None],
        "intercept": np.asarray([intercept], dtype=np.float32),
    }
    nodes = [onnx.helper.make_node("Gemm", [INPUT, *weights], [OUTPUT])]
    return _assemble(nodes, weights, len(coefficients))


def first_factor_graph(factors: int) -> bytes:
    """Return the first factor of a row as its score, missing where it is missing or infinite."""
    onnx = import_optional("onnx", EXTRA)
    weights: dict[str, npt.NDArray[Any]] = {
        "first": np.array([0], dtype=np.int64),
        "missing": np.array(np.nan, dtype=np.float32),
    }
    nodes = [
        onnx.helper.make_node("Gather", [INPUT, "first"], ["value"], axis=1),
        onnx.helper.make_node("IsInf", ["value"], ["infinite"]),
        onnx.helper.make_node("Where", ["infinite", "missing", "value"], [OUTPUT]),
    ]
    return _assemble(nodes, weights, factors)


def lightgbm_graph(boosters: list[lightgbm.Booster], columns: list[list[int]], factors: int) -> bytes:
    """Average the scores of several boosters, each of columns of its own; `features` is ``(rows, factors)``."""
    onnx = import_optional("onnx", EXTRA)
    tools = import_optional("onnxmltools", EXTRA)
    types = import_optional("onnxmltools.convert.common.data_types", EXTRA)
    weights: dict[str, npt.NDArray[Any]] = {"models": np.array(len(boosters), dtype=np.float32)}
    nodes, scores = [], []
    for number, (booster, chosen) in enumerate(zip(boosters, columns, strict=True)):
        own = [(INPUT, types.FloatTensorType([None, len(chosen)]))]
        graph = tools.convert_lightgbm(booster, initial_types=own, target_opset=OPSET_OF_TREES)
        part = onnx.compose.add_prefix(graph, f"{number}/").graph
        places = f"{number}/columns"
        weights[places] = np.asarray(chosen, dtype=np.int64)
        weights |= {each.name: onnx.numpy_helper.to_array(each) for each in part.initializer}
        nodes += [onnx.helper.make_node("Gather", [INPUT, places], [part.input[0].name], axis=1), *part.node]
        scores.append(part.output[0].name)
    nodes += [
        onnx.helper.make_node("Sum", scores, ["total"]),
        onnx.helper.make_node("Div", ["total", "models"], [OUTPUT]),
    ]
    return _assemble(nodes, weights, factors)


def xgboost_graph(model: FittedXGBoost, factors: int) -> bytes:
    """Convert the trees of XGBoost; `features` is ``(rows, factors)``."""
    tools = import_optional("onnxmltools", EXTRA)
    types = import_optional("onnxmltools.convert.common.data_types", EXTRA)
    given = [(INPUT, types.FloatTensorType([None, factors]))]
    graph = tools.convert_xgboost(model.booster, initial_types=given, target_opset=OPSET_OF_TREES)
    content: bytes = graph.SerializeToString()
    return content


def catboost_graph(model: FittedCatBoost) -> bytes:
    """Let CatBoost write its trees; `features` is ``(rows, factors)``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        model.model.save_model(str(file), format="onnx")
        return file.read_bytes()


def network_graph(network: nn.Module, example: npt.NDArray[np.float32]) -> bytes:
    """Trace a network; `features` is ``(window, rows, factors)``, rows of one session where it looks across."""
    import_optional("onnxscript", EXTRA)
    import torch

    program = torch.onnx.export(
        _of_one_session(network),
        (torch.from_numpy(example),),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({1: torch.export.Dim("rows")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise ModelError("torch made no ONNX graph")
    return program.model_proto.SerializeToString()


def _of_one_session(network: nn.Module) -> nn.Module:
    """Return what maps windows to scores: the network, or the network with all rows present where it looks across."""
    import torch

    from quant_pipeline.models.networks.blocks import looks_across, score_block

    if not looks_across(network):
        return network

    class Session(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            return score_block(self.network, windows, torch.ones_like(windows[-1:, :, 0], dtype=torch.bool))

    return Session().eval()


def _assemble(nodes: list[Any], weights: dict[str, npt.NDArray[Any]], factors: int) -> bytes:
    onnx = import_optional("onnx", EXTRA)
    single = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "model",
        [onnx.helper.make_tensor_value_info(INPUT, single, [None, factors])],
        [onnx.helper.make_tensor_value_info(OUTPUT, single, [None, 1])],
        [onnx.numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET_OF_TREES), onnx.helper.make_opsetid("ai.onnx.ml", 1)]
    # The format of the runtimes that first knew these operators, not the newest that our library writes.
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content
