"""Chain instructions of the machine: which kernels they start and finish, with and without gaps in the series.

Working memory (``space``) is a tuple: float32 registers, float64 registers, blocks, running sums, scratch rows, blocks
of extremes in float32 and in float64, starts of the histories, wires in float32, sorted values, marks, and the gaps of
the series, or of a pair and of either series of it.
"""

from __future__ import annotations

from quant_pipeline.factors.kernels import opcodes as op
from quant_pipeline.factors.kernels.compiling import inner
from quant_pipeline.factors.kernels.extremes import (
    chain_extremes,
    finish_complete_places,
    finish_places_with_gaps,
    finish_values,
    hide_missing,
    number_rows,
    sign_values,
)
from quant_pipeline.factors.kernels.gaps import (
    count_present,
    join_gaps,
    leave_out,
    next_stretch,
    note_gaps,
    sum_places,
)
from quant_pipeline.factors.kernels.measures import CORR, MINIMUM, PLACES, WITH_SQUARES, WITH_TRENDS
from quant_pipeline.factors.kernels.moments import (
    chain_means,
    chain_sums,
    finish_complete,
    finish_counted,
    finish_counted_sums,
    finish_sums,
    widen,
)
from quant_pipeline.factors.kernels.order_statistics import (
    finish_quantiles,
    hide_infinite,
    quantile_windows,
    rank_windows,
    sort_windows,
)
from quant_pipeline.factors.kernels.pairs import (
    chain_pairs,
    finish_counted_pairs,
    finish_pairs,
    mark_flat,
)
from quant_pipeline.factors.kernels.rows import copy, fill

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
    """Fill the blocks for sums, or for means and trends."""
    chain = tables[0][row[6] : row[6] + row[8]]
    blocks, running, scratch, gaps = space[2], space[3], space[4], space[11][0]
    values = blocks[0, 0]
    squares, trends = row[9] & WITH_SQUARES != 0, row[9] & WITH_TRENDS != 0
    gaps[0] = 0
    if fetch(row[7], row[2], space, begin, stop, values) > 0:
        copy(values[begin:stop], scratch[RAW, begin:stop])
        note_gaps(values, begin, stop, gaps)
        leave_out(values, gaps)
        count_present(begin, stop, gaps, running[0])
        if trends:
            sum_places(begin, stop, gaps, running[1], running[2])
    if row[0] == op.CHAIN_SUMS:
        chain_sums(blocks[0], begin, stop, chain)
    else:
        parts = blocks[0], blocks[1], blocks[2]
        chain_means(parts, scratch, begin, stop, chain, squares, trends, gaps, running)


@inner
def finish_mean(row, space, begin, stop, out):
    """Finish a measure of means, variances or trends."""
    window, slot, measure = row[6], row[8], row[9]
    blocks, gaps = space[2], space[11][0]
    mean, square, trend = blocks[0, slot], blocks[1, slot], blocks[2, slot]
    part = slice(begin, stop)
    finish_complete(measure, window, blocks[0, 0, part], mean[part], square[part], trend[part], out[part])
    k = 1
    while k <= gaps[0]:
        left, right, k = next_stretch(gaps, k, window, begin, stop)
        if left < right:
            finish_counted(measure, window, left, right, space[4][RAW], mean, square, trend, space[3], out)


@inner
def finish_sum(row, space, begin, stop, out):
    """Finish a sum or the mean of conditions."""
    window, slot, average = row[6], row[8], row[9] != 0
    sums, gaps = space[2][0, slot], space[11][0]
    finish_sums(average, window, sums[begin:stop], out[begin:stop])
    k = 1
    while k <= gaps[0]:
        left, right, k = next_stretch(gaps, k, window, begin, stop)
        if left < right:
            finish_counted_sums(average, window, left, right, sums, space[3][0], out)


@inner
def start_pairs(row, tables, space, begin, stop):
    """Fill the blocks for correlations, and those of either series alone when the two have other gaps."""
    chain = tables[0][row[6] : row[6] + row[8]]
    blocks, running, scratch, gaps = space[2], space[3], space[4], space[11]
    types = row[7]
    first = op.SINGLES if types == op.SINGLES or types == op.SINGLE_DOUBLE else op.DOUBLES
    second = op.SINGLES if types == op.SINGLES or types == op.DOUBLE_SINGLE else op.DOUBLES
    bad = fetch(first, row[2], space, begin, stop, blocks[0, 0])
    bad += fetch(second, row[3], space, begin, stop, blocks[1, 0])
    gaps[0, 0] = gaps[1, 0] = gaps[2, 0] = 0
    if bad > 0:
        note_gaps(blocks[0, 0], begin, stop, gaps[1])
        note_gaps(blocks[1, 0], begin, stop, gaps[2])
        join_gaps(gaps[1], gaps[2], gaps[0])
        count_present(begin, stop, gaps[0], running[0])
        if row[9] & (1 << CORR) and differ_in_gaps(gaps):
            for side in range(2):
                alone, squares, mask = blocks[5 + 2 * side], blocks[6 + 2 * side], running[3 + 3 * side : 6 + 3 * side]
                copy(blocks[side, 0, begin:stop], alone[0, begin:stop])
                leave_out(alone[0], gaps[1 + side])
                count_present(begin, stop, gaps[1 + side], mask[0])
                parts = alone, squares, blocks[2]
                chain_means(parts, scratch, begin, stop, chain, True, False, gaps[1 + side], mask)
        leave_out(blocks[0, 0], gaps[0])
        leave_out(blocks[1, 0], gaps[0])
    both = blocks[0], blocks[1], blocks[2], blocks[3], blocks[4]
    chain_pairs(both, scratch, begin, stop, chain, gaps[0], running[0])


@inner
def differ_in_gaps(gaps):
    """Whether one series of a pair has a gap that the other has not."""
    return gaps[1, 0] < gaps[0, 0] or gaps[2, 0] < gaps[0, 0]


@inner
def finish_pair(row, space, begin, stop, out):
    """Finish a correlation or covariance."""
    window, slot, measure = row[6], row[8], row[9]
    part = slice(begin, stop)
    blocks, running, flat, gaps = space[2], space[3], space[10][0], space[11]
    left, right, product = blocks[2, slot], blocks[3, slot], blocks[4, slot]
    finish_pairs(measure, window, left[part], right[part], product[part], out[part])
    k = 1
    while k <= gaps[0, 0]:
        first, last, k = next_stretch(gaps[0], k, window, begin, stop)
        if first >= last:
            continue
        fill(flat, first, last, 0)
        if measure == CORR and differ_in_gaps(gaps):
            mark_flat(window, first, last, blocks[6, slot], running[3], flat)
            mark_flat(window, first, last, blocks[8, slot], running[6], flat)
        elif measure == CORR:
            mark_flat(window, first, last, left, running[0], flat)
            mark_flat(window, first, last, right, running[0], flat)
        finish_counted_pairs(measure, window, first, last, left, right, product, running[0], flat, out)


@inner
def start_extremes(row, tables, values, extremes, gaps, begin, stop):
    """Fill the blocks for extremes, and for their places where these are wanted."""
    chain = tables[0][row[6] : row[6] + row[8]]
    sign = values.dtype.type(-1 if row[9] & MINIMUM else 1)
    largest, indices = extremes[0], extremes[1]
    with_places = row[9] & PLACES != 0
    part = slice(begin, stop)
    gaps[0] = 0
    if sign_values(values[part], sign, largest[0, part]) > 0:
        note_gaps(largest[0], begin, stop, gaps)
        hide_missing(largest[0, part], largest[0, part])
    if with_places:
        number_rows(begin, stop, indices[0])
    chain_extremes(largest, indices, begin, stop, chain, with_places)


@inner
def finish_extreme(row, extremes, starts, gaps, begin, stop, out):
    """Finish an extreme or its place."""
    window, slot = row[6], row[8]
    largest, indices = extremes[0, slot], extremes[1, slot]
    if not row[9] & PLACES:
        sign = -1.0 if row[9] & MINIMUM else 1.0
        finish_values(largest[begin:stop], sign, out[begin:stop])
        return
    finish_complete_places(indices[begin:stop], window - begin, out[begin:stop])
    k = 1
    while k <= gaps[0]:
        gap = k
        left, right, k = next_stretch(gaps, k, window, begin, stop)
        if left < right:
            finish_places_with_gaps(indices, largest, starts, gaps, gap, window, left, right, out)


@inner
def start_sort(row, tables, space, begin, stop):
    """Sort all windows at once; only float32 has the wires for it."""
    part = slice(begin, stop)
    wires, values, gaps = space[8], space[9][0], space[11][0]
    gaps[0] = 0
    if row[7] != op.SINGLES:
        hide_infinite(space[1][row[2], part], values[part])
        return
    if hide_infinite(space[0][row[2], part], wires[0, part]) > 0:
        note_gaps(wires[0], begin, stop, gaps)
    sort_windows(wires, begin, stop, row[6], row[8], tables[2], tables[3], tables[4])


@inner
def finish_quantile(row, tables, space, begin, stop, out):
    """Finish a quantile or the median; with gaps, or without a network, from a sorted window that moves."""
    window, share, fraction = row[6], tables[5][row[4]], tables[5][row[4] + 1]
    wires, ordered, gaps = space[8], space[9][1], space[11][0]
    if row[7] != op.SINGLES:
        quantile_windows(space[9][0], window, share, begin, stop, ordered, out)
        return
    if row[8] < 0:
        quantile_windows(wires[0], window, share, begin, stop, ordered, out)
        return
    part = slice(begin, stop)
    finish_quantiles(wires[row[8], part], wires[row[9], part], share, fraction, out[part])
    k = 1
    while k <= gaps[0]:
        left, right, k = next_stretch(gaps, k, window, begin, stop)
        if left < right:
            quantile_windows(wires[0], window, share, left, right, ordered, out)


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
