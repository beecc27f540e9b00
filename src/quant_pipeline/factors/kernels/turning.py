"""A square of numbers of four bytes whose rows become columns, within the registers of the processor.

Number by number, the time goes into the instructions that read and write it. Here a row of the square is one read or
write, and what lies between are exchanges of registers: of pairs of rows two apart by 1, 2, 4 and 8, each row gives
the half that belongs to the other one (Eklundh, "A fast computer method for matrix transposing", 1972).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from quant_pipeline.common.numba_settings import is_compilation_off

SIDE = 16


def _turn_as_python(source: Any, rows: Any, target: Any, places: Any) -> None:
    """Copy a square from one column to another, rows as columns.

    Parameters
    ----------
    source, target
        uint32.
    rows
        uint32: where each row of the square begins in the source.
    places
        int64: where each of its columns begins in the target.
    """
    for row in range(SIDE):
        for column in range(SIDE):
            target[places[column] + row] = source[rows[row] + column]


def _typed_turn(_context: Any, source: Any, rows: Any, target: Any, places: Any) -> Any:
    """See `_turn_as_python`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = zip(signature.args, arguments, strict=True)
        source, rows, target, places = (context.make_array(kind)(context, builder, value).data for kind, value in given)
        whole = ir.VectorType(ir.IntType(32), SIDE).as_pointer()

        def at(column: Any, begins: Any, number: int) -> Any:
            begin = builder.load(builder.gep(begins, [ir.Constant(ir.IntType(64), number)]))
            begin = builder.zext(begin, ir.IntType(64)) if begin.type.width < 64 else begin
            return builder.bitcast(builder.gep(column, [begin]), whole)

        square = [builder.load(at(source, rows, row), align=4) for row in range(SIDE)]
        for row, numbers in enumerate(_turned(builder, square)):
            builder.store(numbers, at(target, places, row), align=4)
        return context.get_dummy_value()

    return types.void(source, rows, target, places), emit


def _turned(builder: Any, square: list[Any]) -> list[Any]:
    """Emit the exchanges of the rows of a square."""
    numbers = range(SIDE)
    for apart in (1, 2, 4, 8):
        turned = list(square)
        for row in (row for row in numbers if not row & apart):
            pair = square[row], square[row + apart]
            upper = [SIDE + number - apart if number & apart else number for number in numbers]
            lower = [SIDE + number if number & apart else number + apart for number in numbers]
            turned[row] = builder.shuffle_vector(*pair, _mask(upper))
            turned[row + apart] = builder.shuffle_vector(*pair, _mask(lower))
        square = turned
    return square


def _mask(numbers: list[int]) -> Any:
    kind = ir.IntType(32)
    return ir.Constant(ir.VectorType(kind, SIDE), [ir.Constant(kind, number) for number in numbers])


turn: Any = _turn_as_python if is_compilation_off() else intrinsic(_typed_turn)
"""See `_turn_as_python`."""
