"""Arguments of compiled kernels: what Python may pass, and how machine code takes it.

numba's calling convention (developer manual, "Notes on Numba's architecture"): a place for the result and one for an
exception come first; an array is passed as its owners, its number of elements, their size, their address, its shape
and its strides; a tuple as its members. `emission` compares this with what numba has compiled.
"""

from __future__ import annotations

import importlib
import operator
from ctypes import c_int64, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np

from quant_pipeline.common.exceptions import MachineCodeError


@dataclass(frozen=True)
class Array:
    """A writable array whose rows follow one another in memory.

    Attributes
    ----------
    dtype
        Name of its type of numbers.
    ndim
        Number of its dimensions.
    """

    dtype: str
    ndim: int


Parameter = Array | type[int] | tuple[Any, ...]
"""An array, a whole number, or a tuple of parameters."""


@dataclass(frozen=True)
class Kernel:
    """A function of one signature that writes its results into its arguments.

    Attributes
    ----------
    module
        Module that it stands in; imported only to compile it or to run it as Python.
    name
        Its name there.
    parameters
        What it takes.
    """

    module: str
    name: str
    parameters: tuple[Parameter, ...]

    def function(self) -> Any:
        """Import the function."""
        return getattr(importlib.import_module(self.module), self.name)


def layout_of(parameters: tuple[Parameter, ...]) -> list[Any]:
    """Types of the arguments of the machine code, places for result and exception first."""
    return [c_void_p, c_void_p, *_members_of(parameters)]


def _members_of(parameter: Parameter) -> list[Any]:
    if isinstance(parameter, Array):
        return [c_void_p, c_void_p, c_int64, c_int64, c_void_p] + [c_int64] * (2 * parameter.ndim)
    if isinstance(parameter, tuple):
        return [member for part in parameter for member in _members_of(part)]
    return [c_int64]


def flatten(argument: Any, parameter: Parameter, index: str) -> list[int | None]:
    """Turn an argument into what the machine code takes.

    Raises
    ------
    MachineCodeError
        When the argument is none that the code was compiled for; ``index`` names it.
    """
    if isinstance(parameter, Array):
        return _flatten_array(argument, parameter, index)
    if not isinstance(parameter, tuple):
        return [operator.index(argument)]
    if not isinstance(argument, tuple) or len(argument) != len(parameter):
        raise MachineCodeError(f"{index} must be a tuple of {len(parameter)}")
    parts = enumerate(zip(argument, parameter, strict=True))
    return [number for k, (value, part) in parts for number in flatten(value, part, f"{index}[{k}]")]


def _flatten_array(array: Any, parameter: Array, index: str) -> list[int | None]:
    fits = isinstance(array, np.ndarray) and array.dtype == parameter.dtype and array.ndim == parameter.ndim
    if not fits or not array.flags.carray:
        raise MachineCodeError(
            f"{index} must be a writable array of {parameter.dtype} with {parameter.ndim} dimensions and its rows one "
            "after another in memory; make one by numpy.array(…, order='C')"
        )
    address = array.__array_interface__["data"][0]
    return [None, None, array.size, array.itemsize, address, *array.shape, *array.strides]
