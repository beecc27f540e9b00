"""Kernels that score one factor: sessions × instruments, one pass, ranks exact under any pattern of missing values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inlined, kernel

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@inlined
def rank_kept(values: Floats, order: Places, keep: Flags, ranks: Floats) -> int:
    """Rank the kept values from 1, ties averaged.

    The order of all values serves every subset, so that one sort is enough for all horizons.

    Parameters
    ----------
    values, order
        Values and the places that sort them; missing values come last.
    keep
        Which values take part; none of them may be missing.
    ranks
        Receives the ranks at the kept places; others stay as they are.

    Returns
    -------
    int
        How many were ranked.
    """
    count = 0
    first = 0
    while first < len(order):
        if not keep[order[first]]:
            first += 1
            continue
        value = values[order[first]]
        below = count
        last = first
        while last < len(order) and (not keep[order[last]] or values[order[last]] == value):
            if keep[order[last]]:
                count += 1
            last += 1
        for index in range(first, last):
            if keep[order[index]]:
                ranks[order[index]] = (below + 1 + count) / 2.0
        first = last
    return count


@inlined
def correlate_kept(left: Floats, right: Floats, keep: Flags, count: int, smallest: int) -> float:
    """Correlate kept pairs after Pearson; NaN below `smallest` pairs or when a side is constant."""
    if count < smallest:
        return np.nan
    left_mean = right_mean = 0.0
    left_low = right_low = np.inf
    left_high = right_high = -np.inf
    for index in range(len(keep)):
        if keep[index]:
            left_mean += left[index]
            right_mean += right[index]
            left_low, left_high = min(left_low, left[index]), max(left_high, left[index])
            right_low, right_high = min(right_low, right[index]), max(right_high, right[index])
    if left_low == left_high or right_low == right_high:
        return np.nan
    left_mean /= count
    right_mean /= count
    cross = left_square = right_square = 0.0
    for index in range(len(keep)):
        if keep[index]:
            left_gap, right_gap = left[index] - left_mean, right[index] - right_mean
            cross += left_gap * right_gap
            left_square += left_gap * left_gap
            right_square += right_gap * right_gap
    # Two roots: the product of two sums of tiny squares could underflow.
    return cross / (np.sqrt(left_square) * np.sqrt(right_square))


@kernel
def correlate_with_labels(
    values: Floats,
    orders: Places,
    labels: Floats,
    label_orders: Places,
    smallest: int,
    scratch: Floats,
    keep: Flags,
    ic: Floats,
    rank_ic: Floats,
) -> None:
    """Fill the information coefficients of every session and horizon.

    Parameters
    ----------
    values, orders
        Sessions × instruments: the factor and the places that sort each session.
    labels, label_orders
        Horizons × sessions × instruments: the same of the returns that follow.
    smallest
        Pairs below which a session has no coefficient.
    scratch, keep
        Room for two rows of ranks and one of flags.
    ic, rank_ic
        Sessions × horizons; receive Pearson's and Spearman's coefficient.
    """
    sessions, instruments = values.shape
    for horizon in range(labels.shape[0]):
        for session in range(sessions):
            value, label = values[session], labels[horizon, session]
            for index in range(instruments):
                keep[index] = not (np.isnan(value[index]) or np.isnan(label[index]))
            count = rank_kept(value, orders[session], keep, scratch[0])
            rank_kept(label, label_orders[horizon, session], keep, scratch[1])
            ic[session, horizon] = correlate_kept(value, label, keep, count, smallest)
            rank_ic[session, horizon] = correlate_kept(scratch[0], scratch[1], keep, count, smallest)


@kernel
def sort_into_quantiles(
    values: Floats, orders: Places, smallest: int, scratch: Floats, keep: Flags, quantiles: int, groups: Places
) -> None:
    """Give every instrument of a session its quantile by the factor, 0 the lowest; -1 where there is none.

    Equal values share one quantile, that of their average rank, so that the order of instruments does not matter.
    """
    sessions, instruments = values.shape
    for session in range(sessions):
        for index in range(instruments):
            keep[index] = not np.isnan(values[session, index])
            groups[session, index] = -1
        count = rank_kept(values[session], orders[session], keep, scratch[0])
        if count < max(smallest, quantiles):
            continue
        for index in range(instruments):
            if keep[index]:
                groups[session, index] = int((scratch[0, index] - 0.5) * quantiles / count)


@kernel
def average_quantiles(quantiles: Places, labels: Floats, counts: Places, returns: Floats) -> None:
    """Fill the mean return of every quantile, horizons × sessions × quantiles; NaN where a quantile has no return."""
    for horizon in range(labels.shape[0]):
        for session in range(labels.shape[1]):
            counts[:] = 0
            returns[horizon, session] = 0.0
            for index in range(labels.shape[2]):
                quantile = quantiles[session, index]
                if quantile >= 0 and not np.isnan(labels[horizon, session, index]):
                    counts[quantile] += 1
                    returns[horizon, session, quantile] += labels[horizon, session, index]
            for quantile in range(len(counts)):
                returns[horizon, session, quantile] = (
                    returns[horizon, session, quantile] / counts[quantile] if counts[quantile] else np.nan
                )


@kernel
def compare_with_session_before(
    values: Floats,
    orders: Places,
    quantiles: Places,
    highest: int,
    smallest: int,
    scratch: Floats,
    keep: Flags,
    autocorrelation: Floats,
    replaced: Floats,
) -> None:
    """Fill how much of a factor's order outlives a session.

    Parameters
    ----------
    values, orders, quantiles
        Sessions × instruments: the factor, the places that sort it, the quantile of each instrument.
    highest
        Number of the highest quantile.
    smallest
        Common instruments below which a session has no value.
    scratch, keep
        Room for two rows of ranks and one of flags.
    autocorrelation
        Receives Spearman's coefficient with the session before, over the instruments of both; the first is NaN.
    replaced
        Receives the part of the lowest and the highest quantile that was not in the same quantile before.
    """
    autocorrelation[0] = replaced[0] = np.nan
    for session in range(1, values.shape[0]):
        held = fresh = 0
        for index in range(values.shape[1]):
            keep[index] = not (np.isnan(values[session, index]) or np.isnan(values[session - 1, index]))
            quantile = quantiles[session, index]
            if keep[index] and (quantile == 0 or quantile == highest):
                held += 1
                fresh += quantiles[session - 1, index] != quantile
        count = rank_kept(values[session], orders[session], keep, scratch[0])
        rank_kept(values[session - 1], orders[session - 1], keep, scratch[1])
        autocorrelation[session] = correlate_kept(scratch[0], scratch[1], keep, count, smallest)
        replaced[session] = fresh / held if held else np.nan


@kernel
def rank_rows(values: Floats, orders: Places, keep: Flags, ranks: Floats) -> None:
    """Fill the ranks of every row, ties averaged; NaN where a value is missing."""
    for row in range(values.shape[0]):
        for index in range(values.shape[1]):
            keep[index] = not np.isnan(values[row, index])
            ranks[row, index] = np.nan
        rank_kept(values[row], orders[row], keep, ranks[row])
