"""Kernels that run without numba: compiled by it once, kept as plain machine code and loaded by LLVM's linker alone."""

from quant_pipeline.common.machine_code.library import KernelLibrary
from quant_pipeline.common.machine_code.signatures import Array, Kernel

__all__ = ["Array", "Kernel", "KernelLibrary"]
