"""Lines of plain text files, read cell by cell.

A cell is read only where it is written as nearly all are: numbers of up to eighteen digits, without an exponent, dates
of figures. A file with any other cell is left to readers that know more. What is read here is, bit for bit, what they
would read: a number is the float nearest to it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from quant_pipeline.common.compiled import inlined, inner
from quant_pipeline.market.sources.files.kernels.cells import (
    DATE,
    FIRST_ROW,
    IS_READ,
    MIDNIGHT,
    NAME,
    NAME_START,
    NAME_STOP,
    NUMBER,
    RATIO,
    ROWS,
    START,
    STOP,
)

_NUL, _NEW_LINE, _RETURN, _BLANK, _QUOTE, _MINUS, _POINT, _ZERO = (ord(sign) for sign in '\0\n\r "-.0')
_UNREAD: Final = -1
_EXACT: Final = 1 << 53
"""Whole numbers below it are floats."""
_MOST: Final = 10**17
"""A number that takes another digit is below it."""
_POWERS: Final = 10.0 ** np.arange(23)
"""Powers of ten that are floats."""
_WHOLE_POWERS: Final = 10 ** np.arange(19, dtype=np.int64)
_DAY: Final = 86_400 * 10**9
_FIRST_DAY, _FIRST_COMPACT_DAY, _LAST_DAY = (
    int(np.datetime64(day, "D").astype(np.int64)) for day in ("1700-01-01", "1800-01-01", "2200-01-01")
)
"""Days after the first one, and before the last one, are read."""


@inner
def count_rows(text, files):
    """Count the lines of files, of which the last one may have no end.

    Parameters
    ----------
    text
        Rows of files, as bytes.
    files
        A file per row, see `cells`; the number of rows is written into it.
    """
    for file in range(len(files)):
        start, stop = files[file, START], files[file, STOP]
        count = np.int64(0)
        for at in range(start, stop):
            count += _sign(text, at) == _NEW_LINE
        if stop > start and _sign(text, stop - 1) != _NEW_LINE:
            count += 1
        files[file, ROWS] = count


@inner
def read_rows(text, files, columns, separator, numbers, days):
    """Read the rows of files that have the same columns.

    Parameters
    ----------
    text
        Rows of files, as bytes.
    files
        A file per row, see `cells`; whether it was read, and its name, are written into it.
    columns
        What the cells of each column are, and the row of `numbers` for them.
    separator
        What stands between two cells.
    numbers
        Columns × rows of all files, written.
    days
        Midnights of the rows in nanoseconds, written.
    """
    for file in range(len(files)):
        files[file, IS_READ] = _read_file(text, files, file, columns, separator, numbers, days)


@inner
def _read_file(text, files, file, columns, separator, numbers, days):
    at, end = files[file, START], files[file, STOP]
    row = files[file, FIRST_ROW]
    last = row + files[file, ROWS]
    is_compact, is_first = False, True
    while at < end and row < last:
        for column in range(len(columns)):
            if at >= end:
                return 0
            kind = columns[column, 0]
            if NUMBER <= kind <= RATIO:
                at = _read_number(text, at, end, kind, numbers, columns[column, 1], row)
            elif kind == DATE:
                if is_first:
                    is_compact = at + 4 < end and _sign(text, at + 4) != _MINUS
                at = _read_date(text, at, end, is_compact, days, row)
            else:
                begin = at
                at = _end_of_text(text, at, end, separator)
                if kind == MIDNIGHT and at != _UNREAD:
                    at = at if _is_midnight(text, begin, at) else _UNREAD
                elif kind == NAME and at != _UNREAD:
                    if is_first:
                        files[file, NAME_START], files[file, NAME_STOP] = begin, at
                    elif not _are_same(text, files[file, NAME_START], files[file, NAME_STOP], begin, at):
                        return 0
            if at == _UNREAD:
                return 0
            if column + 1 < len(columns):
                if at >= end or _sign(text, at) != separator:
                    return 0
                at += 1
        if at < end and _sign(text, at) == _RETURN:
            at += 1
            if at >= end:
                return 0
        if at < end:
            if _sign(text, at) != _NEW_LINE:
                return 0
            at += 1
        row += 1
        is_first = False
    return 1 if at == end and row == last else 0


@inlined
def _sign(text, at):
    """Return a byte of a text.

    Of a signed place numba asks whether it is counted from the end. With every byte that takes a third of the time, and
    keeps bytes from being compared several at once.
    """
    return text[np.uint64(at)]


@inlined
def _read_number(text, at, end, kind, numbers, place, row):
    """Read a number, and return where it ends."""
    is_negative = _sign(text, at) == _MINUS
    if is_negative:
        at += 1
    begin = at
    digits, at = _read_digits(text, begin, end, np.int64(0))
    if at == begin or digits == _UNREAD:
        return _UNREAD
    after = np.int64(0)
    if at < end and _sign(text, at) == _POINT:
        begin = at + 1
        digits, at = _read_digits(text, begin, end, digits)
        after = np.int64(at - begin)
        if after == 0 or digits == _UNREAD:
            return _UNREAD
    if digits < _EXACT and after < len(_POWERS):
        # One operation on two floats that are exact is rounded once (Clinger, How to Read Floating Point Numbers).
        value = np.float64(digits) / _POWERS[after]
    elif after == 0:
        value = np.float64(digits)
    else:
        value = _nearest(digits, after)
        if value < 0.0:
            return _UNREAD
    if kind != NUMBER and is_negative and value > 0.0:
        return _UNREAD
    if kind == RATIO and value == 0.0:
        numbers[np.uint64(place), np.uint64(row)] = 1.0
    else:
        numbers[np.uint64(place), np.uint64(row)] = -value if is_negative else value
    return at


@inlined
def _read_digits(text, at, end, digits):
    """Put the digits that follow behind others, and return them all and where they end; -1 for them if too many."""
    while at < end:
        digit = np.int64(_sign(text, at)) - _ZERO
        if not 0 <= digit <= 9:
            break
        if digits >= _MOST:
            return np.int64(_UNREAD), at
        digits = digits * 10 + digit
        at += 1
    return digits, at


@inner
def _nearest(digits, after):
    """Return the float that is nearest to a number with so many digits after its point; -1 where that is not found.

    The quotient of two floats lies at most two floats away from it. The distance of `digits` times a power of two from
    the bits of such a float times the power of ten is less than 2^63, so that its last 64 bits are all of it.
    """
    if after >= len(_WHOLE_POWERS):
        return -1.0
    divisor = _WHOLE_POWERS[after]
    bits = np.float64(np.float64(digits) / np.float64(divisor)).view(np.int64)
    shift = 1075 - (bits >> 52)
    if not 0 <= shift < 64:
        return -1.0
    whole = (bits & (_EXACT // 2 - 1)) + _EXACT // 2
    distance = (digits << shift) - whole * divisor
    steps = np.int64(0)
    while 2 * distance > divisor or (2 * distance == divisor and (whole + steps) % 2 == 1):
        steps += 1
        distance -= divisor
    while 2 * distance < -divisor or (2 * distance == -divisor and (whole + steps) % 2 == 1):
        steps -= 1
        distance += divisor
    rounded = whole + steps
    if rounded < _EXACT // 2 or rounded > _EXACT or (rounded == _EXACT // 2 and distance < 0):
        return -1.0  # Floats are as far apart as assumed between two powers of two only.
    return np.int64(bits + steps).view(np.float64)


@inlined
def _read_date(text, at, end, is_compact, days, row):
    """Read a date, and return where it ends."""
    width, gap = (8, 0) if is_compact else (10, 1)
    if at + width > end:
        return _UNREAD
    if not is_compact and (_sign(text, at + 4) != _MINUS or _sign(text, at + 7) != _MINUS):
        return _UNREAD
    year = _two_digits(text, at) * 100 + _two_digits(text, at + 2)
    month, day = _two_digits(text, at + 4 + gap), _two_digits(text, at + 6 + 2 * gap)
    if year < 1600 or month < 1 or month > 12 or day < 1 or day > _days_of_month(year, month):
        return _UNREAD
    number = _day_number(year, month, day)
    if number <= (_FIRST_COMPACT_DAY if is_compact else _FIRST_DAY) or number >= _LAST_DAY:
        return _UNREAD
    days[np.uint64(row)] = number * _DAY
    return at + width


@inlined
def _two_digits(text, at):
    """Return the number of two digits; one so small that no sum with it is a part of a date where they are none."""
    tens, ones = np.int64(_sign(text, at)) - _ZERO, np.int64(_sign(text, at + 1)) - _ZERO
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else np.int64(-100_000)


@inlined
def _days_of_month(year, month):
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@inlined
def _day_number(year, month, day):
    """Count the days since 1970, of years from March on (Hinnant, chrono-Compatible Low-Level Date Algorithms)."""
    if month <= 2:
        year, month = year - 1, month + 12
    of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + of_year - 719_468


@inlined
def _end_of_text(text, at, end, separator):
    """Return where a text ends in which nothing has a meaning of its own."""
    if _sign(text, at) == _BLANK:
        return _UNREAD
    while at < end:
        sign = _sign(text, at)
        if sign in (separator, _NEW_LINE, _RETURN):
            return at
        if sign in (_QUOTE, _NUL):
            return _UNREAD
        at += 1
    return at


@inlined
def _is_midnight(text, begin, end):
    if end - begin != 6:
        return False
    for at in range(begin, end):  # noqa: SIM110 - numba compiles no generator
        if _sign(text, at) != _ZERO:
            return False
    return True


@inlined
def _are_same(text, one, end, other, stop):
    if end - one != stop - other:
        return False
    for place in range(end - one):  # noqa: SIM110 - numba compiles no generator
        if _sign(text, one + place) != _sign(text, other + place):
            return False
    return True
