"""Filling, copying and sorting of rows; assignments to slices would need numba's memory manager, see `inner`."""

from __future__ import annotations

from quant_pipeline.factors.kernels.compiling import entry, inner
from quant_pipeline.factors.kernels.turning import SIDE, turn


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
def cut_strips(stretches, sessions, bounds, strips):
    """Cut the rows of every instrument into strips of `SIDE` sessions, which all begin with the same sessions.

    Parameters
    ----------
    stretches
        Per instrument: place of the session of its first row, number of rows, row of the first one.
    sessions
        How many there are.
    bounds
        Written: the first strip of every `SIDE` sessions, and behind them the number of strips.
    strips
        Room for the strips, in order of session, then instrument: row of the first session, its place among the
        `SIDE`, number of sessions, and how many strips have all of them from this one on.
    """
    n = 0
    for k in range(bounds.shape[0] - 1):
        begin = k * SIDE
        stop = min(begin + SIDE, sessions)
        bounds[k] = n
        for i in range(stretches.shape[0]):
            first = max(stretches[i, 0], begin)
            last = min(stretches[i, 0] + stretches[i, 1], stop)
            if first < last:
                strips[0, n] = stretches[i, 2] + first - stretches[i, 0]
                strips[1, n] = first - begin
                strips[2, n] = last - first
                n += 1
        whole = 0
        for i in range(n - 1, bounds[k] - 1, -1):
            whole = whole + 1 if strips[2, i] == SIDE else 0
            strips[3, i] = whole
    bounds[bounds.shape[0] - 1] = n


@entry
def reorder(values, firsts, bounds, strips, column, places):
    """Bring the rows of columns in place into the order of session, then instrument.

    Parameters
    ----------
    values
        uint32 ``(column, row)``, the bits of any numbers; the rows of an instrument lie together.
    firsts
        Per session, the place of its first row, and behind them the number of rows.
    bounds, strips
        What `cut_strips` writes.
    column, places
        Room for a column, and for `SIDE` places.
    """
    for k in range(values.shape[0]):
        copy(values[k], column)
        for j in range(bounds.shape[0] - 1):
            for session in range(min(SIDE, firsts.shape[0] - 1 - j * SIDE)):
                places[session] = firsts[j * SIDE + session]
            i = bounds[j]
            while i < bounds[j + 1]:
                if strips[3, i] >= SIDE:
                    turn(column, strips[0, i : i + SIDE], values[k], places)
                    for session in range(SIDE):
                        places[session] += SIDE
                    i += SIDE
                else:
                    row, first = strips[0, i], strips[1, i]
                    for session in range(strips[2, i]):
                        values[k, places[first + session]] = column[row + session]
                        places[first + session] += 1
                    i += 1
