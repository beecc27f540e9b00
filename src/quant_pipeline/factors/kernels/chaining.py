"""Chain instructions of the machine: which kernels they start and finish, with and without gaps in the series.

Working memory (``space``) is a tuple: float32 registers, float64 registers, blocks, running sums, scratch rows, blocks
of extremes in float32 and in float64, starts of the histories, wires in float32, sorted values, marks.
"""

from __future__ import annotations

from quant_pipeline.factors.kernels import inner
from quant_pipeline.factors.kernels import opcodes as op
from quant_pipeline.factors.kernels.extremes import (
    chain_extremes,
    finish_complete_places,
    finish_places,
    finish_values,
    hide_missing,
    number_rows,
    raise_missing,
    sign_values,
)
from quant_pipeline.factors.kernels.moments import (
    chain_counted_means,
    chain_means,
    chain_sums,
    finish_complete,
    finish_counted,
    finish_counted_sums,
    finish_sums,
    leave_out,
    widen,
)
from quant_pipeline.factors.kernels.orders import (
    finish_quantiles,
    hide_infinite,
    quantile_windows,
    rank_windows,
    sort_windows,
)
from quant_pipeline.factors.kernels.pairs import (
    CORR,
    chain_counted_pairs,
    chain_pairs,
    finish_counted_pairs,
    finish_pairs,
    leave_out_pairs,
    mark_flat,
)

WITH_SQUARES, WITH_TRENDS = 1, 2
PLACES, MINIMUM = 2, 4
RAW = 5
"""Scratch row that keeps the values of a chain as they are."""


@inner
def fetch(types, register, space, begin, stop, out):
    """Copy a register as float64 and count what is not finite."""
    if types == op.SINGLES:
        return widen(space[0][register, begin:stop], out[begin:stop])
    return widen(space[1][register, begin:stop], out[begin:stop])


@inner
def start_moments(row, tables, space, begin, stop):
    """Fill the blocks for sums, or for means and trends; tell whether there are gaps."""
    chain = tables[0][row[6] : row[6] + row[8]]
    blocks, running, scratch = space[2], space[3], space[4]
    raw, values = scratch[RAW], blocks[0, 0]
    gaps = fetch(row[7], row[2], space, begin, stop, values) > 0
    if gaps:
        raw[begin:stop] = values[begin:stop]
        leave_out(values, begin, stop, running[0], running[1], running[2])
    if row[0] == op.CHAIN_SUMS:
        chain_sums(blocks[0], begin, stop, chain)
        return gaps
    squares, trends = row[9] & WITH_SQUARES != 0, row[9] & WITH_TRENDS != 0
    if gaps:
        chain_counted_means(blocks[0], blocks[1], blocks[2], scratch, begin, stop, chain, squares, trends, running)
    else:
        chain_means(blocks[0], blocks[1], blocks[2], scratch, begin, stop, chain, squares, trends)
    return gaps


@inner
def finish_mean(row, space, gaps, begin, stop, out):
    """Finish a measure of means, variances or trends."""
    window, slot, measure = row[6], row[8], row[9]
    blocks, raw = space[2], space[4][RAW]
    if gaps:
        mean, square, trend = blocks[0, slot], blocks[1, slot], blocks[2, slot]
        finish_counted(measure, window, begin, stop, raw, mean, square, trend, space[3], out)
    else:
        part = slice(begin, stop)
        mean, square, trend = blocks[0, slot, part], blocks[1, slot, part], blocks[2, slot, part]
        finish_complete(measure, window, blocks[0, 0, part], mean, square, trend, out[part])


@inner
def finish_sum(row, space, gaps, begin, stop, out):
    """Finish a sum or the mean of conditions."""
    window, slot, average = row[6], row[8], row[9] != 0
    sums = space[2][0, slot]
    if gaps:
        finish_counted_sums(average, window, begin, stop, sums, space[3][0], out)
    else:
        finish_sums(average, window, sums[begin:stop], out[begin:stop])


@inner
def start_pairs(row, tables, space, begin, stop):
    """Fill the blocks for correlations; with gaps, also those of either series alone."""
    chain = tables[0][row[6] : row[6] + row[8]]
    blocks, running, scratch = space[2], space[3], space[4]
    types = row[7]
    first = op.SINGLES if types == op.SINGLES or types == op.SINGLE_DOUBLE else op.DOUBLES
    second = op.SINGLES if types == op.SINGLES or types == op.DOUBLE_SINGLE else op.DOUBLES
    bad = fetch(first, row[2], space, begin, stop, blocks[0, 0])
    bad += fetch(second, row[3], space, begin, stop, blocks[1, 0])
    if bad == 0:
        chain_pairs(blocks[0], blocks[1], blocks[2], blocks[3], blocks[4], scratch, begin, stop, chain)
        return False
    if row[9] & (1 << CORR):
        for side in range(2):
            alone, mask = blocks[5 + 2 * side], running[3 + 3 * side : 6 + 3 * side]
            alone[0, begin:stop] = blocks[side, 0, begin:stop]
            leave_out(alone[0], begin, stop, mask[0], mask[1], mask[2])
            squares = blocks[6 + 2 * side]
            chain_counted_means(alone, squares, blocks[2], scratch, begin, stop, chain, True, False, mask)
    leave_out_pairs(blocks[0, 0], blocks[1, 0], begin, stop, running[0])
    chain_counted_pairs(blocks[0], blocks[1], blocks[2], blocks[3], blocks[4], scratch, begin, stop, chain, running[0])
    return True


@inner
def finish_pair(row, space, gaps, begin, stop, out):
    """Finish a correlation or covariance."""
    window, slot, measure = row[6], row[8], row[9]
    part = slice(begin, stop)
    blocks, running = space[2], space[3]
    if not gaps:
        left, right, product = blocks[2, slot, part], blocks[3, slot, part], blocks[4, slot, part]
        finish_pairs(measure, window, left, right, product, out[part])
        return
    flat = space[10][0]
    flat[part] = 0
    if measure == CORR:
        mark_flat(window, begin, stop, blocks[6, slot], running[3], flat)
        mark_flat(window, begin, stop, blocks[8, slot], running[6], flat)
    left, right, product = blocks[2, slot], blocks[3, slot], blocks[4, slot]
    finish_counted_pairs(measure, window, begin, stop, left, right, product, running[0], flat, out)


@inner
def start_extremes(row, tables, values, extremes, starts, begin, stop):
    """Fill the blocks for extremes, and for their places where these are wanted."""
    chain = tables[0][row[6] : row[6] + row[8]]
    sign = values.dtype.type(-1 if row[9] & MINIMUM else 1)
    largest, ranked, places = extremes[0], extremes[1], extremes[2]
    with_places = row[9] & PLACES != 0
    part = slice(begin, stop)
    gaps = sign_values(values[part], sign, largest[0, part]) > 0
    if with_places:
        number_rows(begin, stop, places[0])
    if gaps and with_places:
        raise_missing(largest[0], starts, begin, stop, ranked[0])
        chain_extremes(ranked, places, begin, stop, chain, True)
    if gaps:
        hide_missing(largest[0, part], largest[0, part])
    chain_extremes(largest, places, begin, stop, chain, with_places and not gaps)
    return gaps


@inner
def finish_extreme(row, extremes, starts, gaps, begin, stop, out):
    """Finish an extreme or its place."""
    window, slot = row[6], row[8]
    largest = extremes[0, slot]
    if row[9] & PLACES and not gaps:
        finish_complete_places(extremes[2, slot, begin:stop], window - begin, out[begin:stop])
    elif row[9] & PLACES:
        finish_places(extremes[2, slot], largest, starts, window, begin, stop, out)
    else:
        sign = -1.0 if row[9] & MINIMUM else 1.0
        finish_values(largest[begin:stop], sign, out[begin:stop])


@inner
def start_sort(row, tables, space, begin, stop):
    """Sort all windows at once when there is no gap; only float32 has the wires for it."""
    part = slice(begin, stop)
    if row[7] != op.SINGLES:
        return hide_infinite(space[1][row[2], part], space[9][0, part]) > 0
    wires = space[8]
    gaps = hide_infinite(space[0][row[2], part], wires[0, part]) > 0
    if not gaps:
        sort_windows(wires, begin, stop, row[6], row[8], tables[2], tables[3], tables[4])
    return gaps


@inner
def finish_quantile(row, tables, space, gaps, begin, stop, out):
    """Finish a quantile or the median; with gaps, or without a network, from a sorted window that moves."""
    window, share, fraction = row[6], tables[5][row[4]], tables[5][row[4] + 1]
    wires, ordered = space[8], space[9][1]
    if row[7] != op.SINGLES:
        quantile_windows(space[9][0], window, share, begin, stop, ordered, out)
    elif gaps or row[8] < 0:
        quantile_windows(wires[0], window, share, begin, stop, ordered, out)
    else:
        part = slice(begin, stop)
        finish_quantiles(wires[row[8], part], wires[row[9], part], share, fraction, out[part])


@inner
def rank(row, tables, space, stop):
    """Rank the newest values of all windows of a series."""
    rows = tables[1][row[6] : row[6] + row[8]]
    first = stop
    for k in range(rows.shape[0]):
        first = min(first, rows[k, 1] - rows[k, 0] + 1)
    part = slice(first, stop)
    twice, present = space[10][0], space[10][1]
    if row[7] == op.SINGLES:
        gaps = hide_infinite(space[0][row[2], part], space[8][0, part]) > 0
        rank_windows(space[8][0], stop, rows, space[1], twice, present, gaps)
    else:
        gaps = hide_infinite(space[1][row[2], part], space[9][0, part]) > 0
        rank_windows(space[9][0], stop, rows, space[1], twice, present, gaps)
