"""How kernels are compiled by numba; imported only where something has to be compiled or is kept by numba."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np

from quant_pipeline.common.compilation import stamp
from quant_pipeline.common.compilation_progress import announce_compilation
from quant_pipeline.common.compiled import bar_from_python
from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.factors.kernels.machine_code import digest_sources, host_machine
from quant_pipeline.factors.kernels.signatures import Array, Kernel, Parameter, layout_of

announce_compilation()

_njit: Any = numba.njit  # Its annotations leave `_nrt` out.


def _keep(function: Callable, *, allocates: bool) -> Any:
    """Compile and keep the machine code on disk, until any kernel changes."""
    return stamp(_njit(cache=True, nogil=True, error_model="numpy", _nrt=allocates)(function), digest_sources())


def compiled(function: Callable) -> Any:
    """Compile what Python calls; other threads run meanwhile, and x/0 is what IEEE 754 says."""
    return _keep(function, allocates=False)


def allocating(function: Callable) -> Any:
    """Compile what Python calls and what makes arrays of its own."""
    return _keep(function, allocates=True)


def inner(function: Callable) -> Any:
    """Compile what only other kernels call, and Python cannot.

    Without numba's memory manager, which counts the references of every slice, with a locked instruction each time.
    """
    options = {"nogil": True, "error_model": "numpy", "_nrt": False}
    return bar_from_python(_njit(**options, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function))


entry = inner
"""Compilation of what `entries` calls: the bare function, which needs nothing of numba or Python when it runs."""


def emit_machine_code(kernels: Sequence[Kernel]) -> bytes:
    """Compile kernels into one object file for this processor; each is found there by its name.

    Raises
    ------
    FactorError
        When numba passes arguments in another way than `signatures`, or a kernel needs functions of numba at run time.
    """
    whole = llvm.parse_assembly("")
    for kernel in kernels:
        dispatcher = kernel.function()
        dispatcher.compile(numba.void(*(_type_of(parameter) for parameter in kernel.parameters)))
        module = llvm.parse_assembly(dispatcher.inspect_llvm(dispatcher.signatures[0]))
        (function,) = (f for f in module.functions if f.linkage == llvm.Linkage.external and not f.is_declaration)
        _assert_layout(kernel, function)
        function.name = kernel.name
        whole.link_in(module)
    _assert_self_contained(whole)
    return host_machine().emit_object(whole)


def _type_of(parameter: Parameter) -> Any:
    if isinstance(parameter, Array):
        return numba.types.Array(numba.from_dtype(np.dtype(parameter.dtype)), parameter.ndim, "C")
    if isinstance(parameter, tuple):
        return numba.types.Tuple([_type_of(part) for part in parameter])
    return numba.int64


def _assert_layout(kernel: Kernel, function: Any) -> None:
    """Compare the arguments that the machine code takes with those that it will be given."""
    names = {ctypes.c_void_p: "ptr", ctypes.c_int64: "i64"}
    given = [names[kind] for kind in layout_of(kernel.parameters)]
    taken = [str(argument.type) for argument in function.arguments]
    if given != taken:
        raise FactorError(
            f"numba {numba.__version__} passes the arguments of {kernel.name} in another way than this engine; "
            "install a version that requirements.lock names"
        )


def _assert_self_contained(module: Any) -> None:
    """Check that every function from outside is one of the C library, which each process has."""
    process = ctypes.CDLL(None)
    outside = [function.name for function in module.functions if function.is_declaration]
    absent = [name for name in outside if not name.startswith("llvm.") and not hasattr(process, name)]
    if absent:
        raise FactorError(
            f"the compiled kernels need {', '.join(absent)}, which only numba has; a kernel that is kept must not make "
            "arrays of its own"
        )
