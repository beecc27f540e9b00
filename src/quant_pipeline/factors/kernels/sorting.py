"""The values of a session in their order, and the rows that they stand in.

Values are cut into levels of equal width around their mean and sorted by these, in two passes; few are then out of
place, and insertion moves them. Values that levels do not tell apart are sorted by the bits of their numbers.
"""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.kernels.compiling import inner

_MOVES = 8
"""Moves for each number up to which insertion is faster than sorting by more bits."""
_FEW = 2 * _MOVES
"""Numbers that are inserted at once; they take no more moves than that."""
_LEVELS = 2.0**16
_GAPS = 16.0
"""Mean distances from the mean that all levels together are wide; what lies beyond is in the last one of its side."""
_ASKED = 64
"""Values, or up to twice as many, that are asked for the mean and the mean distance from it."""
_NARROWEST = 1e-300
"""Distances together from which the inverse of the width of a level is no infinity."""
_SIGN = np.uint64(1) << np.uint64(63)
_LOW, _HALF = np.uint64(2**32 - 1), np.uint64(32)
_BYTE, _EIGHT, _ONE = np.uint64(255), np.uint64(8), np.uint64(1)
_PLACE, _LEVEL, _UPPER = np.uint32(2**16 - 1), np.uint32(16), np.uint32(24)
_BYTE_OF_WORD = np.uint32(255)


@inner
def _begin_of_each(places):
    """Turn counts of bytes into the place where the entries of each begin."""
    before = np.uint64(0)
    for byte in range(256):
        count = places[byte]
        places[byte] = before
        before += count


@inner
def _find_levels(values, words, counts):
    """Write the level of each value, above its place, and count their bytes; return whether there are levels."""
    n = len(values)
    step, asked, total, distances = max(n // _ASKED, 1), 0, 0.0, 0.0
    for k in range(0, n, step):
        total += values[k]
        asked += 1
    mean = total / asked
    for k in range(0, n, step):
        distances += abs(values[k] - mean)
    if not _NARROWEST < distances < np.inf:
        return False
    scale = _LEVELS / (_GAPS * (distances / asked))
    for byte in range(256):
        counts[0, byte] = counts[1, byte] = np.uint64(0)
    for k in range(n):
        level = (values[k] - mean) * scale + 0.5 * _LEVELS
        level = level if level > 0.0 else 0.0
        level = level if level < _LEVELS - 1.0 else _LEVELS - 1.0
        words[k] = (np.uint32(np.int32(level)) << _LEVEL) | np.uint32(k)
    for k in range(n):
        counts[0, (words[k] >> _LEVEL) & _BYTE_OF_WORD] += _ONE
        counts[1, words[k] >> _UPPER] += _ONE
    return True


@inner
def _sort_words(given, n, shift, places, written):
    """Sort words by one of their bytes."""
    _begin_of_each(places)
    for k in range(n):
        word = given[k]
        byte = (word >> shift) & _BYTE_OF_WORD
        written[places[byte]] = word
        places[byte] += _ONE


@inner
def _sort_by_levels(values, words, counts):
    """Put the places of values in the order of their levels; return whether there are levels."""
    n = len(values)
    if n <= _FEW:
        for k in range(n):
            words[0, k] = np.uint32(k)
        return True
    if n > _PLACE or not _find_levels(values, words[0], counts):
        return False
    _sort_words(words[0], n, _LEVEL, counts[0], words[1])
    _sort_words(words[1], n, _UPPER, counts[1], words[0])
    return True


@inner
def _insert(ordered, order, n):
    """Sort values that nearly are, by insertion, and their rows; return whether few moves were enough for all."""
    left = _MOVES * n
    for k in range(1, n):
        value = ordered[k]
        if ordered[k - 1] <= value:
            continue
        row, j = order[k], np.uint64(k)
        while j > np.uint64(0) and ordered[j - _ONE] > value:
            ordered[j], order[j] = ordered[j - _ONE], order[j - _ONE]
            j -= _ONE
        ordered[j], order[j] = value, row
        left -= k - np.int64(j)
        if left < 0:
            return False
    return True


@inner
def _key_of(value, bits):
    """Turn a number into a key: keys are in the order of the numbers, and equal where these are."""
    if value == 0.0:  # Of either sign.
        return _SIGN
    return ~bits if bits & _SIGN else bits | _SIGN


@inner
def _sort_by_bytes(entries, half, n, counts):
    """Sort by radix, by the upper four bytes; return the half of the entries that has the order."""
    for digit in range(4):
        for byte in range(256):
            counts[digit, byte] = np.uint64(0)
    given = entries[half]
    for k in range(n):
        rest = given[k] >> _HALF
        for digit in range(4):
            counts[digit, rest & _BYTE] += _ONE
            rest >>= _EIGHT
    for digit in range(4):
        given, written, places = entries[half], entries[1 - half], counts[digit]
        shift = _HALF + _EIGHT * np.uint64(digit)
        # Where all have the same digit, they are sorted by it.
        if places[(given[0] >> shift) & _BYTE] == n:
            continue
        _begin_of_each(places)
        for k in range(n):
            byte = (given[k] >> shift) & _BYTE
            written[places[byte]] = given[k]
            places[byte] += _ONE
        half = 1 - half
    return half


@inner
def _sort_by_bits(values, rows, bits, entries, counts):
    """Sort by all bits, the lower half of them first; return the half of the entries that has the order."""
    n, keys, half = len(values), entries[2], 0
    for k in range(n):
        keys[k] = _key_of(values[k], bits[rows[k]])
        entries[0, k] = (keys[k] << _HALF) | np.uint64(k)
    half = _sort_by_bytes(entries, half, n, counts)
    for k in range(n):
        place = entries[half, k] & _LOW
        entries[half, k] = (keys[place] & ~_LOW) | place
    return _sort_by_bytes(entries, half, n, counts)


@inner
def _known_of(values, room, rows):
    """Return the known ones of some values, and how many; write the rows that they stand in."""
    missing, n = 0, np.uint64(0)
    for i in range(len(values)):
        rows[i] = np.uint32(i)
        missing += values[i] != values[i]
    if not missing:
        return values, len(values)
    for i in range(len(values)):
        if values[i] == values[i]:
            room[n], rows[n] = values[i], np.uint32(i)
            n += _ONE
    return room[: np.int64(n)], np.int64(n)


@inner
def sort_rows(values, bits, space):
    """Sort the known ones of some values.

    Parameters
    ----------
    values, bits
        Values, NaN where missing, and the same memory as whole numbers.
    space
        Entries and keys ``(3, rows of the longest session)``, counts ``(4, 256)``, words ``(4, rows)`` and numbers
        ``(2, rows)``.

    Returns
    -------
    tuple
        How many are known, the rows that they stand in and the values themselves, both in their order.
    """
    entries, counts, words, numbers = space
    ordered, rows, order = numbers[1], words[2], words[3]
    known, n = _known_of(values, numbers[0], rows)
    is_near = _sort_by_levels(known, words, counts)
    if is_near:
        for k in range(n):
            place = words[0, k] & _PLACE
            ordered[k], order[k] = known[place], rows[place]
    if not (is_near and _insert(ordered, order, n)):
        found = entries[_sort_by_bits(known, rows, bits, entries, counts)]
        for k in range(n):
            place = found[k] & _LOW
            ordered[k], order[k] = known[place], rows[place]
    return n, order, ordered


@inner
def are_any_equal(ordered, n):
    """Whether two of some values in their order are equal."""
    are_equal = False
    for k in range(1, n):
        are_equal |= ordered[k] == ordered[k - 1]
    return are_equal


@inner
def end_of_equals(ordered, k, n):
    """Return where the values end that are equal to the k-th."""
    stop = k + 1
    while stop < n and ordered[stop] == ordered[k]:
        stop += 1
    return stop
