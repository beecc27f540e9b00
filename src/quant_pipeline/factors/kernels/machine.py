"""The machine that runs a stage of a plan over tiles of bars, outside the interpreter of Python.

A tile holds stretches of the histories of one or more instruments, each with the earlier bars that its windows reach
back to. Registers are rows of two arrays, one of float32 and one of float64; an instruction is a row of numbers, whose
meaning is written beside its opcode in `opcodes`. What follows a chain instruction finishes the windows of that chain.
"""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.kernels import opcodes as op
from quant_pipeline.factors.kernels.chaining import (
    RAW,
    fetch,
    finish_extreme,
    finish_mean,
    finish_pair,
    finish_quantile,
    finish_sum,
    rank,
    start_extremes,
    start_moments,
    start_pairs,
    start_sort,
)
from quant_pipeline.factors.kernels.compiling import entry, inner
from quant_pipeline.factors.kernels.direct import measure_windows
from quant_pipeline.factors.kernels.elementwise import (
    choose,
    combine,
    compare,
    convert,
    count_values,
    forget_outside,
    transform,
)
from quant_pipeline.factors.kernels.past_cache import settle, write_past_cache
from quant_pipeline.factors.kernels.rows import fill


@inner
def load(source, segments, out):
    """Copy the bars of every stretch into a register; bars that do not exist are missing."""
    for k in range(segments.shape[0]):
        at, before, row, count, after = segments[k, 0], segments[k, 1], segments[k, 2], segments[k, 3], segments[k, 4]
        fill(out, at, at + before, np.nan)
        at += before
        values = source[row : row + count]
        part = out[at : at + count]
        for i in range(count):
            part[i] = values[i]
        fill(out, at + count, at + count + after, np.nan)


@inner
def store(values, segments, out):
    """Copy the wanted bars of every stretch into a column, which the next stage reads."""
    for k in range(segments.shape[0]):
        at, count, row = segments[k, 5], segments[k, 6], segments[k, 8]
        part, source = out[row : row + count], values[at : at + count]
        for i in range(count):
            part[i] = source[i]


@inner
def write_out(values, segments, out):
    """Copy the wanted bars of every stretch into the output, which nothing reads soon."""
    for k in range(segments.shape[0]):
        at, count, row = segments[k, 5], segments[k, 6], segments[k, 7]
        write_past_cache(values[at : at + count], out[row : row + count])


@inner
def write_out_ratio(left, right, bars, segments, room, out):
    """Divide two registers into the output; the left one may be some bars old."""
    for k in range(segments.shape[0]):
        at, count, row = segments[k, 5], segments[k, 6], segments[k, 7]
        part, above, below = room[:count], left[at - bars : at - bars + count], right[at : at + count]
        for i in range(count):
            part[i] = above[i] / below[i]
        write_past_cache(part, out[row : row + count])


@inner
def write_out_product(left, right, segments, room, out):
    """Multiply two registers into the output."""
    for k in range(segments.shape[0]):
        at, count, row = segments[k, 5], segments[k, 6], segments[k, 7]
        part, a, b = room[:count], left[at : at + count], right[at : at + count]
        for i in range(count):
            part[i] = a[i] * b[i]
        write_past_cache(part, out[row : row + count])


@inner
def write_starts(segments, starts):
    """Write, for every row, the first row of its stretch that exists; rows that do not exist lie before it."""
    for k in range(segments.shape[0]):
        at, before, count, after = segments[k, 0], segments[k, 1], segments[k, 3], segments[k, 4]
        fill(starts, at, at + before + count, at + before)
        fill(starts, at + before + count, at + before + count + after, starts.shape[0] + 1)


@inner
def shift_rows(values, bars, begin, stop, out):
    """Move a series by some bars; what lies beyond the end of the tile is missing."""
    last = min(stop, stop + bars)
    part, source = out[begin:last], values[begin - bars : last - bars]
    for i in range(part.shape[0]):
        part[i] = source[i]
    fill(out, last, stop, np.nan)


@inner
def run_arithmetic(row, single, double, begin, stop, starts):
    """Run an instruction that works row by row."""
    code, dst, a, b, kind = row[0], row[1], row[2], row[3], row[6]
    singles = row[7] == op.SINGLES
    part = slice(begin, stop)
    if code == op.COMBINE:
        if singles:
            combine(kind, single[a, part], single[b, part], single[dst, part])
        else:
            combine(kind, double[a, part], double[b, part], double[dst, part])
    elif code == op.COMPARE:
        if singles:
            compare(kind, single[a, part], single[b, part], single[dst, part])
        else:
            compare(kind, double[a, part], double[b, part], single[dst, part])
    elif code == op.TRANSFORM:
        if singles:
            transform(kind, single[a, part], single[dst, part])
        else:
            transform(kind, double[a, part], double[dst, part])
    elif code == op.CHOOSE:
        if singles:
            choose(single[row[4], part], single[a, part], single[b, part], single[dst, part])
        else:
            choose(single[row[4], part], double[a, part], double[b, part], double[dst, part])
    elif code == op.WIDEN:
        convert(single[a, part], double[dst, part])
    elif code == op.NARROW:
        convert(double[a, part], single[dst, part])
    elif code == op.SHIFT:
        if singles:
            shift_rows(single[a], kind, begin, stop, single[dst])
        else:
            shift_rows(double[a], kind, begin, stop, double[dst])
    elif singles:
        forget_outside(starts, begin, stop, single[dst])
    else:
        forget_outside(starts, begin, stop, double[dst])


@inner
def run_move(row, here, fields, columns, output, single, double, room):
    """Copy between the tile and memory; there is room for a register of results."""
    kind, dst, a, number = row[0], row[1], row[2], row[6]
    columns_single, columns_double = columns
    if kind == op.LOAD_FIELD:
        load(fields[number], here, single[dst])
    elif kind == op.LOAD_SINGLE:
        load(columns_single[number], here, single[dst])
    elif kind == op.LOAD_DOUBLE:
        load(columns_double[number], here, double[dst])
    elif kind == op.STORE_SINGLE:
        store(single[a], here, columns_single[number])
    elif kind == op.STORE_DOUBLE:
        store(double[a], here, columns_double[number])
    elif kind == op.STORE_PRODUCT:
        write_out_product(double[a], double[row[3]], here, room, output[number])
    elif kind == op.STORE_RATIO and row[7] == op.SINGLES:
        write_out_ratio(single[a], single[row[3]], row[8], here, room, output[number])
    elif kind == op.STORE_RATIO:
        write_out_ratio(double[a], double[row[3]], row[8], here, room, output[number])
    elif row[7] == op.SINGLES:
        write_out(single[a], here, output[number])
    else:
        write_out(double[a], here, output[number])


@inner
def run_chain(row, tables, space, begin, stop):
    """Start a chain."""
    code, gaps = row[0], space[11][0]
    if code == op.CHAIN_PAIRS:
        start_pairs(row, tables, space, begin, stop)
    elif code == op.CHAIN_SORT:
        start_sort(row, tables, space, begin, stop)
    elif code != op.CHAIN_EXTREMES:
        start_moments(row, tables, space, begin, stop)
    elif row[7] == op.SINGLES:
        start_extremes(row, tables, space[0][row[2]], space[5], gaps, begin, stop)
    else:
        start_extremes(row, tables, space[1][row[2]], space[6], gaps, begin, stop)


@inner
def run_finish(row, tables, space, begin, stop):
    """Finish one window of the chain that was started last."""
    code = row[0]
    out, starts, gaps = space[1][row[1]], space[7], space[11][0]
    if code == op.FINISH_MEANS:
        finish_mean(row, space, begin, stop, out)
    elif code == op.FINISH_SUMS:
        finish_sum(row, space, begin, stop, out)
    elif code == op.FINISH_PAIRS:
        finish_pair(row, space, begin, stop, out)
    elif code == op.FINISH_QUANTILE:
        finish_quantile(row, tables, space, begin, stop, out)
    elif row[7] == op.SINGLES:
        finish_extreme(row, space[5], starts, gaps, begin, stop, out)
    else:
        finish_extreme(row, space[6], starts, gaps, begin, stop, out)


@inner
def run_window(row, tables, space, begin, stop):
    """Run a rolling instruction that stands alone."""
    window = row[6]
    if row[0] == op.RANK:
        rank(row, tables, space, stop)
        return
    out, raw = space[1][row[1]], space[4][RAW]
    fetch(row[7], row[2], space, begin - window + 1, stop, raw)
    if row[0] == op.COUNT:
        count_values(raw, window, begin, stop, space[7], space[3][0], out)
    else:
        measure_windows(row[9], raw, window, begin, stop, space[7], out)


@entry
def run_stage(code, tables, tiles, segments, fields, columns, output, space):
    """Run the instructions of a stage on every tile.

    Parameters
    ----------
    code
        Instructions, one per row.
    tables
        Chains, windows of ranks, steps, sources and comparators of sorting networks, and numbers.
    tiles
        First segment, last segment and length of every tile.
    segments
        Stretches: place in the tile, rows before the history, first row of the fields, rows, rows after the history,
        place of the first wanted row in the tile, wanted rows, their row in the output, their row in the columns.
    fields
        float32 ``(field, row)``.
    columns
        What earlier stages left, float32 and float64.
    output
        float32 ``(factor, row)``.
    space
        Working memory of one thread; see `chaining`.
    """
    single, double, starts = space[0], space[1], space[7]
    for k in range(code.shape[0]):
        if code[k, 0] == op.FILL:
            if code[k, 7] == op.SINGLES:
                single[code[k, 1], :] = tables[5][code[k, 6]]
            else:
                double[code[k, 1], :] = tables[5][code[k, 6]]
    for t in range(tiles.shape[0]):
        here = segments[tiles[t, 0] : tiles[t, 1]]
        stop = tiles[t, 2]
        write_starts(here, starts)
        for k in range(code.shape[0]):
            row = code[k]
            kind, begin = row[0], row[5]
            if kind == op.FILL:
                continue
            if kind < op.FIRST_MOVE:
                run_arithmetic(row, single, double, begin, stop, starts)
            elif kind < op.FIRST_CHAIN:
                run_move(row, here, fields, columns, output, single, double, space[4][0])
            elif kind < op.FIRST_FINISH:
                run_chain(row, tables, space, begin, stop)
            elif kind < op.FIRST_WINDOW:
                run_finish(row, tables, space, begin, stop)
            else:
                run_window(row, tables, space, begin, stop)
    settle()
