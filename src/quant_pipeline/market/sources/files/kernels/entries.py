"""The kernels of `lines`, run from kept machine code; numba is imported only to compile them."""

from __future__ import annotations

from functools import partial
from typing import Final

from quant_pipeline.common.machine_code import Array, Kernel, KernelLibrary

_HERE: Final = __name__.rpartition(".")[0]
_TEXT, _TABLE = Array("uint8", 1), Array("int64", 2)

COUNT: Final = Kernel(f"{_HERE}.lines", "count_rows", (_TEXT, _TABLE))
READ: Final = Kernel(
    f"{_HERE}.lines", "read_rows", (_TEXT, _TABLE, _TABLE, int, Array("float64", 2), Array("int64", 1))
)
LIBRARY: Final = KernelLibrary("market_files", COUNT, READ)

count_rows = partial(LIBRARY.call, COUNT)
"""See `lines.count_rows`."""
read_rows = partial(LIBRARY.call, READ)
"""See `lines.read_rows`."""
