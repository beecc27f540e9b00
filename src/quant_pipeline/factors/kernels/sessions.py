"""One column of a panel, session by session: filled, scaled or ranked.

Rows of a session follow one another; ``starts`` holds the first row of each and, behind them, the number of rows. Sums
are made in the order of the rows. A session is a slice: of each place in an array numba asks whether it is counted from
the end, unless it counts them from 0 itself.
"""

from __future__ import annotations

import math

import numpy as np

from quant_pipeline.factors.kernels.compiling import entry, inner
from quant_pipeline.factors.kernels.measures import MAD_TO_DEVIATION

_MOVES = 8
"""Moves for each number up to which insertion is faster than sorting by all bits."""
_FEW = 2 * _MOVES
"""Numbers that are inserted at once; they take no more moves than that."""
_SIGN = np.uint64(1) << np.uint64(63)
_LOW, _HALF = np.uint64(2**32 - 1), np.uint64(32)
_BYTE, _EIGHT = np.uint64(255), np.uint64(8)
_ROUNDING = 1e-12
"""Part of a mean below which a spread is that of equal values."""
_OF_EACH = 2.0**-52
"""Part of a mean by which it is that of equal values, for each of them: their sum is rounded as often."""


@inner
def _key_of(value, bits):
    """Turn a number into a key: keys are in the order of the numbers, and equal where these are."""
    if value == 0.0:  # Of either sign.
        return _SIGN
    return ~bits if bits & _SIGN else bits | _SIGN


@inner
def _sort_by_bytes(entries, half, n, lowest, counts):
    """Sort by radix, by the bytes from one upwards; return the half of the entries that has the order."""
    digits = counts[lowest:]
    for digit in range(8 - lowest):
        for byte in range(256):
            digits[digit, byte] = 0
    given = entries[half]
    for k in range(n):
        rest = given[k] >> (_EIGHT * np.uint64(lowest))
        for digit in range(8 - lowest):
            digits[digit, rest & _BYTE] += 1
            rest >>= _EIGHT
    for digit in range(8 - lowest):
        given, written, places = entries[half], entries[1 - half], digits[digit]
        shift = _EIGHT * np.uint64(lowest + digit)
        # Where all have the same digit, they are sorted by it.
        if places[(given[0] >> shift) & _BYTE] == n:
            continue
        before = 0
        for byte in range(256):
            count = places[byte]
            places[byte] = before
            before += count
        for k in range(n):
            byte = (given[k] >> shift) & _BYTE
            written[places[byte]] = given[k]
            places[byte] += 1
        half = 1 - half
    return half


@inner
def _is_after(one, other, keys):
    """Whether the key of an entry is larger than that of another."""
    if one >> _HALF != other >> _HALF:
        return one > other
    return keys[one & _LOW] > keys[other & _LOW]


@inner
def _insert(entries, n, keys):
    """Sort entries that nearly are, by insertion; return whether few moves were enough for all of them."""
    left = _MOVES * n
    for k in range(1, n):
        entry, j = entries[k], k
        while j > 0 and _is_after(entries[j - 1], entry, keys):
            entries[j] = entries[j - 1]
            j -= 1
        entries[j] = entry
        left -= k - j
        if left < 0:
            return False
    return True


@inner
def sort_rows(values, bits, space):
    """Sort the known ones of some values; return how many, and the entries in order.

    An entry is a place among the rows behind 32 bits of the key of its value, from the highest one in which any two of
    them differ. Sorted by 24 of these, nearly all numbers of a session are in their place.
    """
    entries, counts = space
    places, keys = entries[0], entries[2]
    n, differing, one = 0, np.uint64(0), np.uint64(0)
    for i in range(len(values)):
        if values[i] == values[i]:
            key = _key_of(values[i], bits[i])
            one = key if n == 0 else one
            keys[i], places[n] = key, np.uint64(i)
            differing |= key ^ one
            n += 1
    above = np.uint64(0)
    while above < np.uint64(63) and not differing >> (np.uint64(63) - above):
        above += np.uint64(1)
    for k in range(n):
        place = places[k]
        places[k] = ((keys[place] << above) & ~_LOW) | place
    half = _sort_by_bytes(entries, 0, n, 5, counts) if n > _FEW else 0
    if not _insert(entries[half], n, keys):
        for k in range(n):
            place = entries[half, k] & _LOW
            entries[half, k] = (keys[place] << _HALF) | place
        half = _sort_by_bytes(entries, half, n, 4, counts)
        for k in range(n):
            place = entries[half, k] & _LOW
            entries[half, k] = (keys[place] & ~_LOW) | place
        half = _sort_by_bytes(entries, half, n, 4, counts)
    return n, entries[half]


@inner
def end_of_equals(order, keys, k, n):
    """Return where the entries end whose value is that of the k-th."""
    entry, stop = order[k], k + 1
    while stop < n and order[stop] >> _HALF == entry >> _HALF and keys[order[stop] & _LOW] == keys[entry & _LOW]:
        stop += 1
    return stop


@inner
def place_of(entry):
    """Return the place of an entry among the rows."""
    return entry & _LOW


@entry
def rank_in_sessions(values, bits, starts, as_share, space, out):
    """Rank the values of every session from 1, equal ones by their average.

    Parameters
    ----------
    values, bits
        The column, NaN where missing, and the same memory as whole numbers.
    starts
        See the module.
    as_share
        Whether (0 or 1) to divide ranks by the number of known values of the session.
    space
        Entries and keys ``(3, rows of the longest session)``, and counts ``(8, 256)``.
    out
        Ranks; missing where the value is.
    """
    entries = space[0]
    for s in range(starts.shape[0] - 1):
        first, last = starts[s], starts[s + 1]
        ranks = out[first:last]
        for i in range(len(ranks)):
            ranks[i] = np.nan
        n, order = sort_rows(values[first:last], bits[first:last], space)
        k = 0
        while k < n:
            stop = end_of_equals(order, entries[2], k, n)
            rank = (k + 1 + stop) / 2.0
            if as_share:
                rank /= n
            for j in range(k, stop):
                ranks[place_of(order[j])] = rank
            k = stop


@entry
def fill_in_sessions(values, counted, starts):
    """Give missing and infinite values the mean of their session, 0 where it has none.

    Parameters
    ----------
    values
        The column, float32; changed in place.
    counted
        Whether (0 or 1) a row counts in the mean of its session.
    starts
        See the module.
    """
    for s in range(starts.shape[0] - 1):
        first, last = starts[s], starts[s + 1]
        session, takes_part = values[first:last], counted[first:last]
        total, n = 0.0, 0
        for i in range(len(session)):
            if takes_part[i] and abs(session[i]) < np.inf:
                total += np.float64(session[i])
                n += 1
        mean = np.float32(total / n) if n else np.float32(0.0)
        for i in range(len(session)):
            if not abs(session[i]) < np.inf:
                session[i] = mean


@inner
def _are_equal(values):
    """Whether the known ones of some values are the same number."""
    first = np.nan
    for i in range(len(values)):
        if values[i] == values[i]:
            if first == first and values[i] != first:
                return False
            first = values[i]
    return True


@inner
def _mean_and_deviation(values):
    """Mean and standard deviation of the known ones of some values; the deviation is 0 where they are equal."""
    total, n = 0.0, 0
    for i in range(len(values)):
        if values[i] == values[i]:
            total += values[i]
            n += 1
    if n == 0:
        return np.nan, 0.0
    mean, square = total / n, 0.0
    for i in range(len(values)):
        if values[i] == values[i]:
            gap = values[i] - mean
            square += gap * gap
    deviation = math.sqrt(square / max(n - 1, 1))
    if not deviation > _ROUNDING * abs(mean):
        return mean, 0.0
    return mean, 0.0 if deviation <= n * _OF_EACH * abs(mean) and _are_equal(values) else deviation


@inner
def _select(sample, n, k):
    """Put the number that is the k-th of n, from 0, in its place, by Hoare's FIND (1961), and return it."""
    left, right = 0, n - 1
    while left < right:
        pivot, i, j = sample[k], left, right
        while i <= j:
            while sample[i] < pivot:
                i += 1
            while pivot < sample[j]:
                j -= 1
            if i <= j:
                sample[i], sample[j] = sample[j], sample[i]
                i += 1
                j -= 1
        if j < k:
            left = i
        if k < i:
            right = j
    return sample[k]


@inner
def _median(values, centre, sample):
    """Median of the known ones of some values, of their distances from a centre where there is one; NaN without any."""
    n = 0
    for i in range(len(values)):
        if values[i] == values[i]:
            sample[n] = values[i] if centre != centre else abs(values[i] - centre)
            n += 1
    if n == 0:
        return np.nan
    upper = _select(sample, n, n // 2)
    return upper if n % 2 else (upper + _select(sample, n, n // 2 - 1)) / 2.0


@entry
def scale_in_sessions(values, starts, robust, sample, out):
    """Centre and scale the values of every session.

    Parameters
    ----------
    values, starts
        As for `rank_in_sessions`.
    robust
        Whether (0 or 1) by median and median absolute deviation, instead of mean and standard deviation.
    sample
        Room for the longest session.
    out
        float32; missing where the value is, zero where all values of the session are equal.
    """
    for s in range(starts.shape[0] - 1):
        first, last = starts[s], starts[s + 1]
        session, scaled = values[first:last], out[first:last]
        if robust:
            centre = _median(session, np.nan, sample)
            spread = _median(session, centre, sample) * MAD_TO_DEVIATION
        else:
            centre, spread = _mean_and_deviation(session)
        for i in range(len(session)):
            gap = session[i] - centre
            if gap != gap:
                scaled[i] = np.nan
            else:
                scaled[i] = gap / spread if spread > 0 else 0.0
