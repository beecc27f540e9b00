"""Filling, copying and sorting of rows; assignments to slices would need numba's memory manager, see `inner`."""

from __future__ import annotations

from quant_pipeline.factors.kernels.compiling import entry, inner


@inner
def fill(out, begin, stop, value):
    """Set a stretch to a value."""
    part = out[begin:stop]
    for i in range(part.shape[0]):
        part[i] = value


@inner
def copy(values, out):
    """Copy."""
    for i in range(out.shape[0]):
        out[i] = values[i]


@entry
def reorder(values, order, column):
    """Reorder the rows of every column ``(column, row)`` in place; ``column`` is room for one.

    Numbers of rows are uint32, which takes two thirds of the time: half of the bytes, and no test for negative ones.
    """
    for k in range(values.shape[0]):
        copy(values[k], column)
        for i in range(order.shape[0]):
            values[k, i] = column[order[i]]


@entry
def place_rows(stretches, firsts, order, codes):
    """Find the place of every row in order of session, then instrument.

    Parameters
    ----------
    stretches
        Per instrument: place in the calendar of its first row, number of rows, row of the first one.
    firsts
        Per session, the place of its first row, and behind them the number of rows; written, too: the places of the
        first rows of the next sessions.
    order
        Room for the row that comes to each place.
    codes
        Room for session and instrument of each place.
    """
    for session in range(firsts.shape[0] - 1):
        for place in range(firsts[session], firsts[session + 1]):
            codes[0, place] = session
    for k in range(stretches.shape[0]):
        session, count, row = stretches[k, 0], stretches[k, 1], stretches[k, 2]
        for i in range(count):
            place = firsts[session + i]
            firsts[session + i] = place + 1
            order[place] = row + i
            codes[1, place] = k
