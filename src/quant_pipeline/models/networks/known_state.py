"""What a network holds, where all of it is known: a copy of such a network computes what the network does.

There is no list of all ways in which a network may reach itself past its modules: a hook, a weak reference, a function
with a default value, a table of its class. So what is known is listed, and a network that holds anything else is not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from enum import EnumMeta
from itertools import chain
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType, NoneType

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

from quant_pipeline.common.parameters import Parameters

Numbers = torch.Tensor | npt.NDArray[np.generic]
Part = tuple[object, bool]
"""A part of what a network holds, and whether a copy of the network shares it."""

CONSTANTS = frozenset({NoneType, bool, int, float, complex, str, bytes, range, torch.dtype})
GROUPS = frozenset({tuple, frozenset, torch.Size})
TABLES = frozenset({list, set, dict, OrderedDict})
OF_CLASSES = frozenset({ModuleType, staticmethod, classmethod, property})
"""They stand in classes and around functions; Python copies none of them."""
FUNCTIONS = frozenset({FunctionType, BuiltinFunctionType, *OF_CLASSES})
TENSORS = frozenset({torch.Tensor, nn.Parameter})
LIBRARIES = frozenset({"abc", "builtins", "torch", "typing"})
"""Their classes keep nothing from one call to the next, and are copied as Python copies objects."""
COPYING = frozenset(
    {"__deepcopy__", "__getnewargs__", "__getnewargs_ex__", "__getstate__", "__new__"}
    | {"__reduce__", "__reduce_ex__", "__setstate__"}
)
NOT_CALLED_BY_COPIES = frozenset({"__init__", "__repr__"})
"""Functions of a class that a record class of Python makes with numbers of its own around them."""
OF_BUFFERS = frozenset({"_is_buffer", "persistent"})


class _NoAttributes:
    """Objects of this size hold nothing but attributes; those of other languages are larger."""


def known_numbers(network: nn.Module) -> list[Numbers] | None:
    """Return all tensors and arrays that a network holds, or None where it holds anything that is not known.

    Known are modules, parameters, buffers and other tensors, arrays, numbers and texts, lists and tables of them,
    records, hyper-parameters, and functions that have nothing changeable around them. Hooks are not, on whatever.

    Parameters
    ----------
    network
        On any device.
    """
    if _has_any_global_hook():
        return None
    registered = {id(each) for each in chain(network.modules(), network.parameters())}
    seen: dict[tuple[int, bool], object] = {}
    left: list[Part] = [(network, False)]
    while left:
        value, is_shared = left.pop()
        if (id(value), is_shared) in seen:
            continue
        seen[id(value), is_shared] = value
        parts = _parts_of(value, is_shared=is_shared, is_registered=id(value) in registered)
        if parts is None:
            return None
        left += parts
    return [value for value in seen.values() if isinstance(value, torch.Tensor | np.ndarray)]


def share_memory(numbers: Iterable[Numbers]) -> bool:
    """Return whether two tensors or arrays lie in the same memory: copies of them would not."""
    places = [place for each in numbers if (place := _place_of(each))]
    return len(set(places)) < len(places)


def _place_of(numbers: Numbers) -> int:
    if isinstance(numbers, torch.Tensor):
        return numbers.untyped_storage().data_ptr()
    return numbers.ctypes.data if numbers.size else 0


def _parts_of(value: object, *, is_shared: bool, is_registered: bool) -> list[Part] | None:
    """Return what a value consists of; None for one that is not known, or that can change and is shared."""
    # A weak proxy has the class of another object, and no other type than its own.
    kind = type(value)
    if kind in CONSTANTS or issubclass(kind, np.generic | np.dtype):
        return []
    if kind in GROUPS or (kind.__bases__ == (tuple,) and hasattr(kind, "_fields")):
        return [(part, is_shared) for part in value]  # type: ignore[attr-defined]
    if kind is torch.device:
        # On no device, and so to be made again, lies a network that is only looked at.
        return [] if value.type != "meta" else None  # type: ignore[attr-defined]
    if isinstance(kind, EnumMeta):
        return [(value.value, True)]  # type: ignore[attr-defined]
    if issubclass(kind, type):
        return _parts_of_class(value)  # type: ignore[arg-type]
    if kind in FUNCTIONS:
        return _parts_of_function(value) if is_shared or kind not in OF_CLASSES else None
    if is_shared:
        return None
    if kind in TABLES:
        return [(part, False) for part in _in_table(value)]
    if kind is MethodType:
        return [(value.__func__, True), (value.__self__, False)]  # type: ignore[attr-defined]
    if kind in TENSORS:
        return _parts_of_tensor(value, is_registered)  # type: ignore[arg-type]
    if kind is np.ndarray:
        return [] if value.base is None and not value.dtype.hasobject else None  # type: ignore[attr-defined]
    return _parts_of_object(value, is_registered)


def _in_table(table: object) -> Iterator[object]:
    if isinstance(table, dict):
        yield from table
        yield from table.values()
    else:
        yield from table  # type: ignore[misc]


def _parts_of_tensor(tensor: torch.Tensor, is_registered: bool) -> list[Part] | None:
    is_plain = tensor.layout is torch.strided and vars(tensor).keys() <= OF_BUFFERS
    has_hooks = bool(tensor._backward_hooks) or bool(getattr(tensor, "_post_accumulate_grad_hooks", None))
    # Gradients of a copy reach parameters alone; and what still has its history cannot be copied.
    learns_elsewhere = tensor.requires_grad and not is_registered
    return [] if is_plain and tensor.is_leaf and not has_hooks and not learns_elsewhere else None


def _parts_of_object(value: object, is_registered: bool) -> list[Part] | None:
    kind = type(value)
    if issubclass(kind, Parameters):
        return [(part, False) for part in vars(value).values()] if value.__pydantic_private__ is None else None  # type: ignore[attr-defined]
    if kind.__basicsize__ != _NoAttributes.__basicsize__ or kind.__itemsize__ or not hasattr(value, "__dict__"):
        return None
    held = vars(value)
    if issubclass(kind, nn.Module):
        if not is_registered or any(table for name, table in held.items() if name.endswith("_hooks")):
            return None
        if issubclass(kind, nn.RNNBase):
            # With these torch sees that weights were replaced; a copy finds that out with its first call.
            held = {name: part for name, part in held.items() if name != "_flat_weight_refs"}
    return [(kind, True), *((part, False) for part in held.values())]


def _parts_of_class(kind: type) -> list[Part] | None:
    parts: list[Part] = []
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] in LIBRARIES:
            continue
        if not vars(base).keys().isdisjoint(COPYING):
            return None
        for name, value in vars(base).items():
            is_own = not (name.startswith("__") and name.endswith("__")) and name != "_abc_impl"
            if is_own or (type(value) is FunctionType and name not in NOT_CALLED_BY_COPIES):
                parts.append((value, True))
    return parts


def _parts_of_function(function: object) -> list[Part] | None:
    match function:
        case FunctionType():
            around = [_held_by(cell) for cell in function.__closure__ or ()]
            defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
            return [(part, True) for part in (*around, *defaults, *vars(function).values())]
        case BuiltinFunctionType():
            return [(function.__self__, True)]
        case staticmethod() | classmethod():
            return [(function.__func__, True)]
        case property():
            return [(part, True) for part in (function.fget, function.fset, function.fdel)]
    return []


def _held_by(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        # It is filled later; a cell is nothing that is known.
        return cell
