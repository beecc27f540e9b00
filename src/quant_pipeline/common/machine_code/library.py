"""Kernels whose machine code is kept in one file; numba is imported only to compile them.

With ``NUMBA_DISABLE_JIT=1`` the functions run as Python, as all of numba's do.
"""

from __future__ import annotations

import ctypes
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quant_pipeline.common.exceptions import MachineCodeError
from quant_pipeline.common.machine_code.kept_code import load_machine_code
from quant_pipeline.common.machine_code.signatures import Kernel, flatten, layout_of
from quant_pipeline.common.numba_settings import is_compilation_off


class KernelLibrary:
    """Kernels whose machine code is kept in one file and loaded at the first call.

    Parameters
    ----------
    name
        Name of the file.
    kernels
        What it holds: functions of modules of one folder, in which stands all that is compiled into them.
    """

    def __init__(self, name: str, *kernels: Kernel):
        self._name = name
        self._kernels = kernels
        self._engine: Any = None  # Owns the machine code.
        self._functions: dict[str, Any] = {}
        self._loading = threading.Lock()

    def call(self, kernel: Kernel, *arguments: Any) -> None:
        """Run a kernel; other threads run meanwhile.

        Raises
        ------
        MachineCodeError
            When an argument has another type or layout than the machine code was compiled for.
        """
        if is_compilation_off():
            kernel.function()(*arguments)
            return
        labels = (f"argument {number} of {kernel.name}" for number in range(1, len(arguments) + 1))
        given = zip(arguments, kernel.parameters, labels, strict=True)
        numbers = [number for argument, parameter, label in given for number in flatten(argument, parameter, label)]
        result, exception = ctypes.c_void_p(), ctypes.c_void_p()
        status = self._function(kernel)(ctypes.addressof(result), ctypes.addressof(exception), *numbers)
        if status != 0:
            raise MachineCodeError(f"{kernel.name} failed with status {status}; set NUMBA_DISABLE_JIT=1 to see where")

    def _function(self, kernel: Kernel) -> Any:
        if not self._functions:
            with self._loading:
                if not self._functions:
                    self._functions = self._load()
        return self._functions[kernel.name]

    def _load(self) -> dict[str, Any]:
        self._engine = load_machine_code(self._name, self._folder(), repr(self._kernels), self._compile)
        functions = {}
        for kernel in self._kernels:
            convention = ctypes.CFUNCTYPE(ctypes.c_int32, *layout_of(kernel.parameters))
            functions[kernel.name] = convention(self._engine.get_function_address(kernel.name))
        return functions

    def _folder(self) -> Path:
        """Return the folder of the sources; the modules are not imported for it."""
        found = find_spec(self._kernels[0].module)
        assert found is not None
        assert found.origin is not None
        return Path(found.origin).parent

    def _compile(self) -> bytes:
        from quant_pipeline.common.machine_code.emission import emit_machine_code

        return emit_machine_code(self._kernels)
