"""The shipped algorithms by name; any other one is named by the dotted path of its record."""

from __future__ import annotations

from typing import Any, Final

from quant_pipeline.common.extensions import find_part
from quant_pipeline.models.algorithms.record import Algorithm

_HERE: Final = "quant_pipeline.models.algorithms"

SHIPPED: Final[dict[str, str]] = {
    "lightgbm": f"{_HERE}.lightgbm.LIGHTGBM",
    "double_ensemble": f"{_HERE}.double_ensemble.DOUBLE_ENSEMBLE",
    "xgboost": f"{_HERE}.xgboost.XGBOOST",
    "catboost": f"{_HERE}.catboost.CATBOOST",
    "ridge": f"{_HERE}.linear.RIDGE",
    "elastic_net": f"{_HERE}.linear.ELASTIC_NET",
    "signal": f"{_HERE}.signal.SIGNAL",
    "qlib": f"{_HERE}.qlib.QLIB",
    "mlp": f"{_HERE}.networks.MLP",
    "gru": f"{_HERE}.networks.GRU",
    "lstm": f"{_HERE}.networks.LSTM",
    "alstm": f"{_HERE}.networks.ALSTM",
    "tcn": f"{_HERE}.networks.TCN",
    "transformer": f"{_HERE}.networks.TRANSFORMER",
    "localformer": f"{_HERE}.networks.LOCALFORMER",
    "gats": f"{_HERE}.networks.GATS",
    "tra": f"{_HERE}.networks.TRA",
    "tabnet": f"{_HERE}.networks.TABNET",
    "sfm": f"{_HERE}.networks.SFM",
}
"""Name of an algorithm, as it stands in ``parameters_models.yml``, to the path of its record."""


def find_algorithm(name: str) -> Algorithm[Any]:
    """Return the record of an algorithm by its short name or its dotted path.

    Raises
    ------
    ExtensionError
        When there is no such algorithm, or its module cannot be imported.
    """
    found: Algorithm[Any] = find_part(name, SHIPPED, Algorithm, "algorithm")
    return found
