"""The kernels that most plans need, run from kept machine code; numba is imported only to compile them.

With ``NUMBA_DISABLE_JIT=1`` the functions run as Python, as all of numba's do.
"""

from __future__ import annotations

from functools import partial

from quant_pipeline.common.machine_code import Array, Kernel, KernelLibrary

_HERE = __name__.rpartition(".")[0]
_TABLE, _SINGLES, _DOUBLES = Array("int64", 2), Array("float32", 2), Array("float64", 2)
_TABLES = (_TABLE, _TABLE, _TABLE, Array("int64", 1), _TABLE, Array("float64", 1))
_BLOCKS = (Array("float64", 3), _DOUBLES, _DOUBLES, Array("float32", 3), Array("float64", 3))
_SPACE = (_SINGLES, _DOUBLES, *_BLOCKS, Array("int64", 1), _SINGLES, _DOUBLES, Array("int32", 2), _TABLE)

RUN_STAGE = Kernel(
    f"{_HERE}.machine",
    "run_stage",
    (_TABLE, _TABLES, _TABLE, _TABLE, _SINGLES, (_SINGLES, _DOUBLES), _SINGLES, _SPACE),
)
CUT_TILES = Kernel(f"{_HERE}.tiles", "cut_tiles", (_TABLE, int, int, int, int, _TABLE, _TABLE, Array("int64", 1)))
_SINGLE, _DOUBLE, _BITS, _PLACES = (Array(kind, 1) for kind in ("float32", "float64", "uint64", "int64"))
_WORDS, _WORD = Array("uint32", 2), Array("uint32", 1)
CUT_STRIPS = Kernel(f"{_HERE}.rows", "cut_strips", (_TABLE, int, _PLACES, _WORDS))
REORDER = Kernel(f"{_HERE}.rows", "reorder", (_WORDS, _PLACES, _PLACES, _WORDS, _WORD, _PLACES))
_SORTING = (Array("uint64", 2), Array("uint64", 2), _WORDS, _DOUBLES)
RANK = Kernel(f"{_HERE}.sessions", "rank_in_sessions", (_DOUBLE, _BITS, _PLACES, int, _SORTING, _DOUBLE))
FILL = Kernel(f"{_HERE}.sessions", "fill_in_sessions", (_SINGLE, Array("uint8", 1), _PLACES))
SCALE = Kernel(f"{_HERE}.sessions", "scale_in_sessions", (_DOUBLE, _PLACES, int, _DOUBLE, _SINGLE))
_DISTANCES, _WORK = Array("int32", 1), (_SORTING, _DOUBLES, Array("uint64", 2), Array("int32", 1))
MEASURE = Kernel(
    f"{_HERE}.correlation", "measure_in_sessions", (_DOUBLE, _BITS, _PLACES, (_SORTING, _DOUBLE), _DISTANCES, _DOUBLES)
)
CORRELATE = Kernel(
    f"{_HERE}.correlation",
    "correlate_in_sessions",
    (_DOUBLE, _BITS, (_DOUBLE, _DISTANCES, _DOUBLES), _PLACES, _WORK, _PLACES, _DOUBLE, _DOUBLE),
)
LIBRARY = KernelLibrary(
    "factor_kernels", RUN_STAGE, CUT_TILES, CUT_STRIPS, REORDER, RANK, FILL, SCALE, MEASURE, CORRELATE
)

run_stage = partial(LIBRARY.call, RUN_STAGE)
"""See `machine.run_stage`."""
cut_tiles = partial(LIBRARY.call, CUT_TILES)
"""See `tiles.cut_tiles`."""
cut_strips = partial(LIBRARY.call, CUT_STRIPS)
"""See `rows.cut_strips`."""
reorder = partial(LIBRARY.call, REORDER)
"""See `rows.reorder`."""
rank_in_sessions = partial(LIBRARY.call, RANK)
"""See `sessions.rank_in_sessions`."""
fill_in_sessions = partial(LIBRARY.call, FILL)
"""See `sessions.fill_in_sessions`."""
scale_in_sessions = partial(LIBRARY.call, SCALE)
"""See `sessions.scale_in_sessions`."""
measure_in_sessions = partial(LIBRARY.call, MEASURE)
"""See `correlation.measure_in_sessions`."""
correlate_in_sessions = partial(LIBRARY.call, CORRELATE)
"""See `correlation.correlate_in_sessions`."""
