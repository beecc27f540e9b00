"""Writing results past the cache.

A tile's results of one factor lie far from those of the next. An ordinary store first reads each line of memory into
the cache, where nothing asks for it again. Whole lines are written past it here ("non-temporal" stores); every core
sees them after `settle`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from quant_pipeline.common.numba_settings import is_compilation_off
from quant_pipeline.factors.kernels.compiling import inner

LINE = 16
"""Numbers of four bytes in a line of 64 bytes."""


def _place_in_line_as_python(out: Any) -> int:
    """Return how many numbers of four bytes lie before an array in its first line of memory."""
    return out.ctypes.data // 4 % LINE


def _typed_place_in_line(_context: Any, out: Any) -> Any:
    """See `_place_in_line_as_python`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.ptrtoint(_data(context, builder, signature.args[0], arguments[0]), ir.IntType(64))
        return builder.urem(builder.udiv(place, place.type(4)), place.type(LINE))

    return types.int64(out), emit


def _write_line_as_python(values: Any, begin: Any, out: Any) -> None:
    """Copy a line of numbers.

    Parameters
    ----------
    values
        float32 or float64.
    begin
        Place of the first number, int64; in ``out`` a line begins there.
    out
        float32.
    """
    out[begin : begin + LINE] = values[begin : begin + LINE]


def _typed_write_line(_context: Any, values: Any, begin: Any, out: Any) -> Any:
    """See `_write_line_as_python`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        read, _, written = signature.args
        place = arguments[1]
        source = builder.gep(_data(context, builder, read, arguments[0]), [place])
        target = builder.gep(_data(context, builder, written, arguments[2]), [place])
        line = ir.VectorType(ir.FloatType(), LINE)
        held = ir.VectorType(source.type.pointee, LINE)
        numbers = builder.load(builder.bitcast(source, held.as_pointer()), align=read.dtype.bitwidth // 8)
        numbers = numbers if held == line else builder.fptrunc(numbers, line)
        written = builder.store(numbers, builder.bitcast(target, line.as_pointer()), align=4 * LINE)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(values, begin, out), emit


def _settle_as_python() -> None:
    """Wait until every core sees what was written past the cache."""


def _typed_settle(_context: Any) -> Any:
    """See `_settle_as_python`."""

    def emit(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), emit


def _data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


_place_in_line: Any = _place_in_line_as_python if is_compilation_off() else intrinsic(_typed_place_in_line)
_write_line: Any = _write_line_as_python if is_compilation_off() else intrinsic(_typed_write_line)
settle: Any = _settle_as_python if is_compilation_off() else intrinsic(_typed_settle)
"""See `_settle_as_python`."""


@inner
def write_past_cache(values, out):
    """Copy float32 or float64 numbers into float32, whole lines past the cache."""
    stop = out.shape[0]
    first = min(-_place_in_line(out) % LINE, stop)
    last = stop - (stop - first) % LINE
    for i in range(first):
        out[i] = values[i]
    for i in range(first, last, LINE):
        _write_line(values, i, out)
    for i in range(last, stop):
        out[i] = values[i]
