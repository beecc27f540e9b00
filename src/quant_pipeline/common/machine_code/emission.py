"""Kernels as plain machine code, out of what numba makes of them; imported only where something has to be compiled."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np

from quant_pipeline.common.compilation_progress import announce_compilation
from quant_pipeline.common.exceptions import MachineCodeError
from quant_pipeline.common.machine_code.kept_code import host_machine
from quant_pipeline.common.machine_code.signatures import Array, Kernel, Parameter, layout_of

announce_compilation()


def emit_machine_code(kernels: Sequence[Kernel]) -> bytes:
    """Compile kernels into one object file for this processor; each is found there by its name.

    Raises
    ------
    MachineCodeError
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
        raise MachineCodeError(
            f"numba {numba.__version__} passes the arguments of {kernel.name} in another way than this project; "
            "install a version that requirements.lock names"
        )


def _assert_self_contained(module: Any) -> None:
    """Check that every function from outside is one of the C library, which each process has."""
    process = ctypes.CDLL(None)
    outside = [function.name for function in module.functions if function.is_declaration]
    absent = [name for name in outside if not name.startswith("llvm.") and not hasattr(process, name)]
    if absent:
        raise MachineCodeError(
            f"the compiled kernels need {', '.join(absent)}, which only numba has; a kernel that is kept must not make "
            "arrays of its own"
        )
