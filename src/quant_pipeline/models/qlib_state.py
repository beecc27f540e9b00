"""What a Qlib model has learned, as files in open formats, and back."""

from __future__ import annotations

import json
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from safetensors.torch import load, save
from torch import Tensor, from_numpy, nn

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.listing import first_of

STATE, TENSORS = "state.json", "tensors.safetensors"


def pack(attributes: dict[str, Any]) -> dict[str, bytes]:
    """Write the attributes of a model that hold something learned.

    Parameters
    ----------
    attributes
        All attributes. Loggers, devices, optimisers and the like are left out: the class creates them.

    Returns
    -------
    dict
        File name to content.

    Raises
    ------
    ModelError
        When nothing that was learned could be written.
    """
    packer = _Packer()
    state = {name: packed for name, value in attributes.items() if (packed := packer.pack(name, value)) is not None}
    if not packer.learned:
        raise ModelError(
            f"what this model of Qlib learned cannot be written without pickling; its attributes: "
            f"{first_of(sorted(attributes))}"
        )
    return packer.files | {STATE: json.dumps(state, sort_keys=True).encode(), TENSORS: save(packer.tensors)}


def unpack(files: dict[str, bytes], attributes: dict[str, Any]) -> None:
    """Put what `pack` wrote back into the attributes of a new model of the same class."""
    tensors = load(files[TENSORS])
    for name, packed in json.loads(files[STATE]).items():
        attributes[name] = _unpack(packed, files, tensors, attributes.get(name))


class _Packer:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.tensors: dict[str, Tensor] = {}
        self.learned = False

    def pack(self, name: str, value: Any) -> dict[str, Any] | None:
        """Describe a value as JSON; None when it is of a kind that is left out."""
        match value:
            case None | bool() | int() | float() | str():
                return {"kind": "plain", "value": value}
            case np.number():
                return {"kind": "plain", "value": value.item()}
            case np.ndarray() if value.dtype.kind in "fiub":
                self.learned = True
                self.tensors[name] = from_numpy(np.ascontiguousarray(value))
                return {"kind": "array", "name": name}
            case pd.Index():
                return {"kind": "index", "value": value.tolist()}
            case nn.Module():
                self.learned = True
                state = value.state_dict()
                self.tensors |= {f"{name}/{key}": tensor.contiguous().cpu() for key, tensor in state.items()}
                return {"kind": "network", "name": name}
            case lightgbm.Booster():
                self.learned = True
                self.files[f"{name}.txt"] = value.model_to_string(num_iteration=value.best_iteration).encode()
                return {"kind": "trees", "name": f"{name}.txt"}
            case list() | tuple():
                items = [self.pack(f"{name}.{index}", item) for index, item in enumerate(value)]
                return None if None in items else {"kind": "list", "value": items}
        return None


def _unpack(packed: dict[str, Any], files: dict[str, bytes], tensors: dict[str, Tensor], present: Any) -> Any:
    match packed["kind"]:
        case "array":
            return tensors[packed["name"]].numpy()
        case "index":
            return pd.Index(packed["value"])
        case "network":
            prefix = packed["name"] + "/"
            present.load_state_dict(
                {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            )
            return present
        case "trees":
            return lightgbm.Booster(model_str=files[packed["name"]].decode())
        case "list":
            return [_unpack(item, files, tensors, None) for item in packed["value"]]
    return packed["value"]
